"""Session descriptions of both ends of a call: one codec, plain or with the key of SDES-SRTP (RFC 4568)."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from bench.processes import LOOPBACK
from pbx.media.commands import Codec

__all__ = ["KEY", "PCMU", "Keyed", "audio_of", "description"]

PCMU = Codec(0, "PCMU", 8000)
KEY = base64.b64encode(bytes(range(30))).decode()
"""What both ends encrypt with: `media/seal.h` has it too."""

_SUITES = ("AES_CM_128_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80")
"""Of caller and callee. Where both have the same, rtpengine gives the one's key to the other and lets packets pass
sealed; so it has to do what Tandem does."""
_AUDIO = re.compile(rb"^m=audio (\d+) ", re.MULTILINE)
_CRYPTO = re.compile(rb"^a=crypto:(\d+) (\w+) inline:([A-Za-z0-9+/=]+)", re.MULTILINE)


@dataclass(frozen=True)
class Keyed:
    """Where a server hears, and the master key of what it sends from there."""

    port: int
    key: str = ""
    """Base64; empty: it speaks plain RTP."""
    tag: int = 1


def description(side: int, port: int, codec: Codec = PCMU, tag: int = 0) -> str:
    """Return an offer of the caller (side 0) or an answer of the callee (1); encrypted by `KEY`, under that tag, unless
    this is 0."""
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    return (
        f"v=0\r\no=bench 1 1 IN IP4 {LOOPBACK}\r\ns=-\r\nc=IN IP4 {LOOPBACK}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/{'SAVP' if tag else 'AVP'} {codec.payload_type}\r\n"
        f"a=rtpmap:{codec.payload_type} {codec.name}/{codec.rate}{channels}\r\n"
        + (f"a=crypto:{tag} {_SUITES[side]} inline:{KEY}\r\n" if tag else "")
    )


def audio_of(side: int, message: bytes) -> Keyed:
    """Return the port and the key in a message that a server sends to the caller (side 0) or the callee (1).
    RuntimeError without audio."""
    audio = _AUDIO.search(message)
    if audio is None:
        raise RuntimeError(f"no audio in {message.splitlines()[0].decode(errors='replace')}")
    for tag, suite, key in _CRYPTO.findall(message):
        if suite.decode() == _SUITES[side]:
            return Keyed(int(audio[1]), key.decode(), int(tag))
    return Keyed(int(audio[1]))
