"""Writes what the fuzzers start from, and a sound file: ``seeds.py CORPUS SOUND CORPUS_OF_LISTENER``."""

from __future__ import annotations

import math
import struct
import sys
import wave
from pathlib import Path

ACCEPT, LATER, REMOTE, CONNECT, MUTE, KEYS, RECORD, STOP, PAUSE = range(9)
SECURE, SEALED = 11, 12


def step(what: int, data: bytes, stream: int = 0, *, rtcp: bool = False, stranger: bool = False) -> bytes:
    """Return one step of `fuzz_packet.c`."""
    return struct.pack("!BH", what << 1 | stream | rtcp << 6 | stranger << 7, len(data)) + data


def rtp(payload: bytes, number: int = 0, payload_type: int = 0, ssrc: int = 7, first: int = 0x80) -> bytes:
    """Return an RTP packet."""
    return struct.pack("!BBHII", first, payload_type, number, number * 160, ssrc) + payload


def seeds() -> list[bytes]:
    """Return inputs that reach each part of the packet path."""
    voice = [step(ACCEPT, rtp(b"\x55" * 160, n), stream=n & 1) for n in range(10)]
    report = struct.pack("!BBHI", 0x81, 200, 12, 7) + bytes(20) + bytes(24)
    report = report[:2] + struct.pack("!H", len(report) // 4 - 1) + report[4:]
    sealed = [step(SEALED, rtp(b"\x55" * 160, n), stream=n & 1) for n in range(10)]
    return [
        b"".join(voice),
        step(SECURE, b"\x11") + step(SECURE, b"\x31", stream=1) + b"".join(sealed) + step(SEALED, report),
        step(SECURE, b"\x19") + b"".join(sealed) + step(SECURE, b"\x23\1") + b"".join(voice + sealed) + step(KEYS, b""),
        step(RECORD, b"\1") + b"".join(voice) + step(LATER, b"\xff") + b"".join(voice) + step(STOP, b""),
        step(RECORD, b"\0")
        + b"".join(step(ACCEPT, rtp(bytes(range(60)), n, kind)) for n, kind in enumerate((9, 107, 96, 8, 13, 18))),
        b"".join(step(ACCEPT, rtp(b"\x05\x0a" + struct.pack("!H", n * 160), n, 101)) for n in range(5)),
        # One side of Opus, the other of PCMU; of G.722 and PCMA, with keys and comfort noise.
        step(REMOTE, b"\x00\x00\x08")
        + step(REMOTE, b"\x00\x04\x01", stream=1)
        + b"".join(
            step(ACCEPT, rtp(b"\x55" * 80, n), stream=1)
            + step(ACCEPT, rtp(b"\x08" + bytes(range(40)), n, 107))
            + step(LATER, b"\x14")
            for n in range(12)
        ),
        step(REMOTE, b"\x00\x00\x64")
        + step(REMOTE, b"\x00\x08\x62", stream=1)
        + b"".join(step(ACCEPT, rtp(bytes(160), n, (9, 101, 13)[n % 3])) + step(LATER, b"\x1e") for n in range(12)),
        step(KEYS, b"") + b"".join(step(LATER, b"\x14") for _ in range(20)),
        b"".join(step(ACCEPT, rtp(b"x" * 20, n), stranger=True) + step(ACCEPT, rtp(b"y", n, ssrc=n)) for n in range(8)),
        step(ACCEPT, report, rtcp=True) + step(ACCEPT, struct.pack("!BBHI", 0x81, 203, 1, 7), rtcp=True),
        step(ACCEPT, rtp(b"S" * 8 + b"\xbe\xde\0\1abcd" + b"v" * 20 + b"\0\0\0\4", first=0xB2)),
        step(REMOTE, b"\x08\x01\xff") + b"".join(voice) + step(MUTE, b"\1") + step(CONNECT, b"\0") + step(PAUSE, b"\1"),
        step(ACCEPT, b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12)),
    ]


def listener_seeds() -> list[bytes]:
    """Return inputs of `fuzz_listener.c`: each codec in order, with losses, keys and comfort noise."""

    def put(kind: int, payload: bytes, later: int = 20, lost: int = 0) -> bytes:
        return bytes([kind, later, lost, 0, 7, len(payload)]) + payload

    def take(milliseconds: int = 19) -> bytes:
        return bytes([0x80, 0, milliseconds, 0, 0, 0])

    payloads = (
        bytes(160),
        bytes(160),
        bytes(160),
        b"\x08" + bytes(range(40)),
        bytes(240),
        bytes(240),
        bytes(20),
        b"\5\x0a\0\xa0",
        b"\x28",
    )
    return [
        bytes([rate]) + b"".join(put(kind, payload, lost=n % 5 == 4) + take() for n in range(10))
        for rate in range(3)
        for kind, payload in enumerate(payloads)
    ] + [b"\0" + put(0, bytes(160)) * 30 + take() * 30 + put(8, b"\x28") + take() * 9 + put(0, bytes(160)) + take()]


def main() -> None:
    corpus, sound, listener = (Path(argument) for argument in sys.argv[1:4])
    for number, seed in enumerate(listener_seeds()):
        (listener / f"seed-{number}").write_bytes(seed)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(22050)
        file.writeframes(b"".join(struct.pack("<hh", round(9000 * math.sin(n / 9)), n % 999) for n in range(30000)))


if __name__ == "__main__":
    main()
