"""RTP packets (RFC 3550 §5), for tools and tests: the engine reads its own in C.

Also the first look at a datagram that tells RTP, RTCP, STUN and DTLS on one port apart (RFC 7983, RFC 5761 §4).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

from pbx.errors import ParseError

__all__ = ["Extension", "Kind", "RtpPacket", "kind_of"]

_HEADER = struct.Struct("!BBHII")
_ONE_BYTE_PROFILE = 0xBEDE
_TWO_BYTE_PROFILE = 0x1000  # to 0x100f: the low four bits are "appbits"


class Kind(Enum):
    """What a datagram on a media port is, by its first octets."""

    RTP = "rtp"
    RTCP = "rtcp"
    STUN = "stun"
    DTLS = "dtls"
    OTHER = "other"


def kind_of(datagram: bytes) -> Kind:
    """Return what `datagram` claims to be; nothing beyond its first two octets is looked at."""
    if len(datagram) < 2:
        return Kind.OTHER
    first, second = datagram[0], datagram[1]
    if first < 4:
        return Kind.STUN
    if 20 <= first <= 63:
        return Kind.DTLS
    if 128 <= first <= 191:
        # RFC 5761 §4: RTCP packet types of 192 to 223 are payload types of 64 to 95 with the marker bit set.
        return Kind.RTCP if 192 <= second <= 223 else Kind.RTP
    return Kind.OTHER


@dataclass(frozen=True, slots=True)
class Extension:
    """The header extension: its profile and content, without the length word (RFC 3550 §5.3.1)."""

    profile: int
    data: bytes

    def elements(self) -> tuple[tuple[int, bytes], ...]:
        """Return the (id, value) pairs of RFC 8285's one-byte and two-byte forms; none for another profile.

        Raises ParseError for a value that runs over the end.
        """
        if self.profile == _ONE_BYTE_PROFILE:
            return self._elements(two_bytes=False)
        if self.profile & 0xFFF0 == _TWO_BYTE_PROFILE:
            return self._elements(two_bytes=True)
        return ()

    def _elements(self, two_bytes: bool) -> tuple[tuple[int, bytes], ...]:
        data, place = self.data, 0
        found: list[tuple[int, bytes]] = []
        while place < len(data):
            octet = data[place]
            place += 1
            if octet == 0:
                continue  # padding
            if two_bytes:
                if place == len(data):
                    raise ParseError("RTP header extension truncated")
                number, length = octet, data[place]
                place += 1
            else:
                number, length = octet >> 4, (octet & 15) + 1
                if number == 15:
                    break  # RFC 8285 §4.2: an id of 15 ends the reading
            if place + length > len(data):
                raise ParseError("RTP header extension truncated")
            found.append((number, data[place : place + length]))
            place += length
        return tuple(found)


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One RTP packet. `padding` counts the octets at its end that are none of the payload, the count octet included."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes = b""
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: Extension | None = None
    padding: int = 0

    @classmethod
    def parse(cls, data: bytes) -> RtpPacket:
        """Return the packet in `data`. Raises ParseError for what RFC 3550 §A.1 would have dropped."""
        if len(data) < _HEADER.size:
            raise ParseError("RTP packet shorter than its header")
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        if first >> 6 != 2:
            raise ParseError("RTP version is not 2")
        place = _HEADER.size + 4 * (first & 15)
        if len(data) < place:
            raise ParseError("RTP packet shorter than its CSRC list")
        csrcs = struct.unpack_from(f"!{first & 15}I", data, _HEADER.size)
        extension = None
        if first & 0x10:
            if len(data) < place + 4:
                raise ParseError("RTP header extension truncated")
            profile, words = struct.unpack_from("!HH", data, place)
            place += 4
            if len(data) < place + 4 * words:
                raise ParseError("RTP header extension truncated")
            extension = Extension(profile, data[place : place + 4 * words])
            place += 4 * words
        padding = 0
        if first & 0x20:
            padding = data[-1] if len(data) > place else 0
            if not 0 < padding <= len(data) - place:
                raise ParseError("RTP padding longer than the packet")
        payload = data[place : len(data) - padding]
        return cls(second & 127, sequence, timestamp, ssrc, payload, bool(second & 128), csrcs, extension, padding)

    def to_bytes(self) -> bytes:
        """Return the datagram."""
        first = 0x80 | (0x20 if self.padding else 0) | (0x10 if self.extension else 0) | len(self.csrcs)
        second = self.payload_type | (128 if self.marker else 0)
        parts = [_HEADER.pack(first, second, self.sequence, self.timestamp, self.ssrc)]
        parts.append(struct.pack(f"!{len(self.csrcs)}I", *self.csrcs))
        if self.extension:
            data = self.extension.data + bytes(-len(self.extension.data) % 4)
            parts.append(struct.pack("!HH", self.extension.profile, len(data) // 4) + data)
        parts.append(self.payload)
        if self.padding:
            parts.append(bytes(self.padding - 1) + bytes((self.padding,)))
        return b"".join(parts)
