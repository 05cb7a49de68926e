"""STUN messages (RFC 8489), for tools and tests: enough to ask, to answer, and to check integrity and fingerprint."""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from pbx.errors import ParseError

__all__ = [
    "BINDING",
    "Attribute",
    "MessageClass",
    "StunMessage",
    "decode_address",
    "encode_address",
    "long_term_key",
]

MAGIC_COOKIE = 0x2112A442
BINDING = 0x001
_HEADER = struct.Struct("!HHI12s")
_FINGERPRINT_XOR = 0x5354554E


class MessageClass(Enum):
    """The class bits of a message type (RFC 8489 §5)."""

    REQUEST = 0
    INDICATION = 1
    SUCCESS = 2
    ERROR = 3


class Attribute:
    """Attribute types that are used here (RFC 8489 §18.3, RFC 8445 §16.1)."""

    MAPPED_ADDRESS = 0x0001
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    REALM = 0x0014
    NONCE = 0x0015
    XOR_MAPPED_ADDRESS = 0x0020
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    SOFTWARE = 0x8022
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A


@dataclass(frozen=True, slots=True)
class StunMessage:
    """One message: its attributes in order, each a type and a value without padding.

    `raw` is the datagram that it was parsed from; integrity and fingerprint are checked on it.
    """

    message_class: MessageClass
    method: int
    transaction: bytes
    attributes: tuple[tuple[int, bytes], ...] = ()
    raw: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> StunMessage:
        """Return the message in `data`. Raises ParseError for what RFC 8489 §6.3 has dropped."""
        if len(data) < _HEADER.size:
            raise ParseError("STUN message shorter than its header")
        message_type, length, cookie, transaction = _HEADER.unpack_from(data)
        if message_type >> 14 or cookie != MAGIC_COOKIE:
            raise ParseError("no STUN message")
        if length % 4 or length != len(data) - _HEADER.size:
            raise ParseError("STUN length does not fit the datagram")
        attributes: list[tuple[int, bytes]] = []
        place = _HEADER.size
        while place < len(data):
            # The length is a multiple of four, so there is always room for an attribute's header.
            kind, size = struct.unpack_from("!HH", data, place)
            place += 4
            if place + size > len(data):
                raise ParseError("STUN attribute truncated")
            attributes.append((kind, data[place : place + size]))
            place += (size + 3) & ~3
        method = message_type & 0xF | message_type >> 1 & 0x70 | message_type >> 2 & 0xF80
        message_class = MessageClass(message_type >> 4 & 1 | message_type >> 7 & 2)
        return cls(message_class, method, transaction, tuple(attributes), data)

    def to_bytes(self, key: bytes | None = None, fingerprint: bool = False) -> bytes:
        """Return the datagram; with `key` a MESSAGE-INTEGRITY is added, then, if wanted, a FINGERPRINT."""
        body = b"".join([_attribute(kind, value) for kind, value in self.attributes])
        if key is not None:
            covered = self._header(len(body) + 24) + body
            body += _attribute(Attribute.MESSAGE_INTEGRITY, hmac.digest(key, covered, "sha1"))
        if fingerprint:
            covered = self._header(len(body) + 8) + body
            check = zlib.crc32(covered) ^ _FINGERPRINT_XOR
            body += _attribute(Attribute.FINGERPRINT, check.to_bytes(4, "big"))
        return self._header(len(body)) + body

    def _header(self, length: int) -> bytes:
        method, kind = self.method, self.message_class.value
        bits = method & 0xF | (method & 0x70) << 1 | (method & 0xF80) << 2 | (kind & 1) << 4 | (kind & 2) << 7
        return _HEADER.pack(bits, length, MAGIC_COOKIE, self.transaction)

    def value(self, kind: int) -> bytes | None:
        """Return the value of the first attribute of that type (RFC 8489 §14: others are ignored)."""
        for found, value in self.attributes:
            if found == kind:
                return value
        return None

    def integrity_valid(self, key: bytes) -> bool:
        """Return whether the message has a MESSAGE-INTEGRITY that `key` made (RFC 8489 §14.5)."""
        place = self._place(Attribute.MESSAGE_INTEGRITY)
        value = self.value(Attribute.MESSAGE_INTEGRITY)
        if place is None or value is None:
            return False
        # The length covers up to and including the attribute itself, whatever follows it.
        covered = self._header(place - _HEADER.size + 24) + self.raw[_HEADER.size : place]
        return hmac.compare_digest(hmac.digest(key, covered, "sha1"), value)

    def fingerprint_valid(self) -> bool:
        """Return whether the message ends in a FINGERPRINT that fits it (RFC 8489 §14.7)."""
        place = self._place(Attribute.FINGERPRINT)
        value = self.value(Attribute.FINGERPRINT)
        if place is None or value is None or place + 8 != len(self.raw):
            return False
        return (zlib.crc32(self.raw[:place]) ^ _FINGERPRINT_XOR).to_bytes(4, "big") == value

    def _place(self, kind: int) -> int | None:
        place = _HEADER.size
        for found, value in self.attributes:
            if found == kind:
                return place if self.raw else None
            place += 4 + ((len(value) + 3) & ~3)
        return None


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def encode_address(host: str, port: int, transaction: bytes) -> bytes:
    """Return the value of an XOR-MAPPED-ADDRESS (RFC 8489 §14.2) for a numeric address."""
    mask = MAGIC_COOKIE.to_bytes(4, "big") + transaction
    family, packed = (2, IPv6Address(host).packed) if ":" in host else (1, IPv4Address(host).packed)
    xored = bytes([octet ^ mask[place] for place, octet in enumerate(packed)])
    return struct.pack("!BBH", 0, family, port ^ MAGIC_COOKIE >> 16) + xored


def decode_address(value: bytes, transaction: bytes) -> tuple[str, int]:
    """Return host and port of an XOR-MAPPED-ADDRESS. Raises ParseError for what is none."""
    if len(value) not in (8, 20) or value[1] != (1 if len(value) == 8 else 2):
        raise ParseError("STUN address of no known family")
    mask = MAGIC_COOKIE.to_bytes(4, "big") + transaction
    packed = bytes([octet ^ mask[place] for place, octet in enumerate(value[4:])])
    host = IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
    return str(host), int.from_bytes(value[2:4], "big") ^ MAGIC_COOKIE >> 16


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """Return the key of the long-term credential mechanism (RFC 8489 §9.2.2), strings already prepared by SASLprep."""
    return hashlib.md5(f"{username}:{realm}:{password}".encode(), usedforsecurity=False).digest()
