"""SDES (RFC 4568): the keys of SRTP in a=crypto lines, read, judged and written.

A line's key protects what the one who wrote it sends, so an offer and its answer carry two keys. What is read here of a
peer is never written to another: keys of ours are made afresh.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import field
from typing import NamedTuple

from pbx.errors import NegotiationError
from pbx.sdp.model import Attribute, MediaDescription
from pbx.sdp.transport import Crypto, crypto_of
from pbx.values import Enum, dataclass

__all__ = [
    "ACCEPTING",
    "OFFERED_SUITES",
    "SUITES",
    "MasterKey",
    "PeerKey",
    "Protection",
    "Srtp",
    "answered_key",
    "crypto_attribute",
    "fresh_key",
    "offered_attributes",
    "offered_key",
    "read_key",
]

SUITES: Mapping[str, int] = {
    "AEAD_AES_256_GCM": 44,
    "AEAD_AES_128_GCM": 28,
    "AES_256_CM_HMAC_SHA1_80": 46,
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_256_CM_HMAC_SHA1_32": 46,
    "AES_CM_128_HMAC_SHA1_32": 30,
}
"""The crypto-suites that are known, best first, with the octets of master key and salt (RFC 4568 §6.2, RFC 6188 §2,
RFC 7714 §12)."""

OFFERED_SUITES = ("AEAD_AES_256_GCM", "AEAD_AES_128_GCM", "AES_256_CM_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
"""What we offer. The short tags are taken from whoever offers nothing better; each line costs an INVITE 90 octets."""

_ALIASES = {"AES_CM_256_HMAC_SHA1_80": "AES_256_CM_HMAC_SHA1_80", "AES_CM_256_HMAC_SHA1_32": "AES_256_CM_HMAC_SHA1_32"}
"""How drafts of RFC 6188 had it, and phones have it still."""

_MAXIMUM_LIFETIME = 1 << 48  # packets: RFC 3711 §9.2


class Srtp(Enum):
    """Whether a leg's audio is encrypted."""

    OFF = "off"
    """Never: offers of RTP/SAVP are refused, keys beside RTP/AVP ignored."""
    ACCEPT = "accept"
    """If the peer offers it."""
    PREFER = "prefer"
    """Our offers have keys too, beside RTP/AVP (RFC 8643): the peer takes them, or leaves it at plain RTP."""
    REQUIRE = "require"
    """Our offers are RTP/SAVP, and what comes without keys is refused."""


@dataclass(frozen=True, slots=True)
class MasterKey:
    """What one direction is protected with."""

    suite: str
    """Of `SUITES`."""
    key: bytes = field(repr=False)
    """Master key, then master salt."""
    mki: bytes = field(default=b"", repr=False)
    """What names the key in each packet; empty if nothing does."""


class PeerKey(NamedTuple):
    """A line of the peer's that was chosen."""

    tag: str
    suite: str
    """As the peer writes it."""
    key: MasterKey


class Protection(NamedTuple):
    """What a leg may do: its policy, and the suites that the engine has."""

    policy: Srtp
    suites: Container[str] = SUITES


ACCEPTING = Protection(Srtp.ACCEPT)
"""Of whoever says nothing else."""


def read_key(crypto: Crypto) -> MasterKey:
    """Return the key of a line. Raises NegotiationError that says why it cannot be used."""
    suite = _ALIASES.get(crypto.suite.upper(), crypto.suite.upper())
    size = SUITES.get(suite)
    if size is None:
        raise NegotiationError(f"the suite {crypto.suite} is not known")
    if not (_is_number(crypto.tag) and len(crypto.tag) < 10):
        raise NegotiationError("a tag that is no number")
    _check_session_parameters(crypto.session_parameters)
    method, colon, rest = crypto.key_parameters.partition(":")
    if method.lower() != "inline" or not colon:
        raise NegotiationError("a key that is not inline")
    if ";" in rest:
        raise NegotiationError("several master keys in one line are not supported")
    text, *parameters = rest.split("|")
    mki = b""
    for parameter in parameters:
        # RFC 4568 §9.2: the lifetime and the MKI may each be left out; only the MKI has a colon.
        if ":" in parameter:
            mki = _mki(parameter)
        else:
            _check_lifetime(parameter)
    try:
        # RFC 4568 §6.1 demands the padding; some phones leave it out.
        key = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise NegotiationError("a key that is not base64") from None
    if len(key) != size:
        raise NegotiationError(f"a key of {len(key)} octets, where {suite} has {size}")
    return MasterKey(suite, key, mki)


def offered_key(media: MediaDescription, protection: Protection) -> PeerKey | None:
    """Return the first line of an offered section that can be taken; None if the section is to be plain RTP.

    Raises NegotiationError if it must be neither by policy.
    """
    policy, secure = protection.policy, media.protocol.upper().startswith("RTP/SAVP")
    if policy is Srtp.OFF:
        if secure:
            raise NegotiationError("SRTP is turned off here")
        return None
    reasons: list[str] = []
    for crypto in crypto_of(media):
        try:
            key = read_key(crypto)
        except NegotiationError as error:
            reasons.append(error.reason)
            continue
        if key.suite in protection.suites:
            return PeerKey(crypto.tag, crypto.suite, key)
        reasons.append(f"{crypto.suite} is not supported here")
    if secure:
        raise NegotiationError("SRTP without a usable key: " + ("; ".join(reasons) or "no a=crypto"))
    if policy is Srtp.REQUIRE:
        raise NegotiationError("; ".join(["SRTP is required, and the offer has none", *reasons]), 488, "srtp-required")
    return None


def answered_key(media: MediaDescription, offered: Mapping[str, MasterKey]) -> PeerKey | None:
    """Return the line of an answer to `offered`, our keys by tag; None if it has none.

    RFC 4568 §5.1.3: the answer has exactly one line, of a tag that was offered, with its suite. Raises NegotiationError
    for another.
    """
    lines = crypto_of(media) if offered else ()
    if not lines:
        return None
    crypto = lines[0]
    ours = offered.get(crypto.tag)
    if len(lines) > 1 or ours is None:
        raise NegotiationError("an answer with other keys than those offered")
    key = read_key(crypto)
    if key.suite != ours.suite:
        raise NegotiationError(f"{crypto.suite} in answer to {ours.suite}")
    return PeerKey(crypto.tag, crypto.suite, key)


def fresh_key(suite: str, entropy: Callable[[int], bytes]) -> MasterKey:
    """Return a key of ours; `entropy(n)` gives n random octets."""
    return MasterKey(suite, entropy(SUITES[suite]))


def crypto_attribute(tag: str, suite: str, key: MasterKey) -> Attribute:
    """Return the attribute that says a key of ours; `suite` as the peer writes it."""
    return ("crypto", f"{tag} {suite} inline:{base64.b64encode(key.key).decode()}")


def offered_attributes(keys: Mapping[str, MasterKey]) -> Iterable[Attribute]:
    """Return the attributes of an offer of these keys, by tag."""
    return [crypto_attribute(tag, key.suite, key) for tag, key in keys.items()]


def _check_session_parameters(text: str) -> None:
    for parameter in text.split():
        name, _, value = parameter.partition("=")
        if name.startswith("-"):
            # RFC 4568 §6.3.7: a parameter of this form may be ignored by who does not know it.
            continue
        if name.upper() == "WSH" and _is_number(value):
            # A hint how long the window against replays should be; ours is longer than the least of 64.
            continue
        raise NegotiationError(f"the session parameter {name[:40]} is not accepted")


def _check_lifetime(text: str) -> None:
    """The sender's own promise to take another key in time; that it is one is all that concerns who receives."""
    base, caret, exponent = text.partition("^")
    number = exponent if caret else base
    if not _is_number(number) or len(number) > 15 or (caret and base != "2"):
        raise NegotiationError("a lifetime that is no number")
    if (int(number) > 48) if caret else (int(number) > _MAXIMUM_LIFETIME):
        raise NegotiationError("a lifetime beyond 2^48 packets")


def _mki(text: str) -> bytes:
    value, _, length = text.partition(":")
    if not (_is_number(value) and _is_number(length)) or len(length) > 3 or not 0 < int(length) <= 128:
        raise NegotiationError("an MKI that is none")
    if len(value) > 320 or int(value) >= 1 << 8 * int(length):
        raise NegotiationError("an MKI that is longer than it says")
    return int(value).to_bytes(int(length), "big")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
