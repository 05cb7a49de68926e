"""Packets of Opus in an Ogg file (RFC 3533, RFC 7845), for programs that read no bare packets, and out of one again."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

__all__ = ["packets_of", "wrapped"]

_SERIAL = 7
_FRAME = 960
"""Samples at 48 kHz of a packet of 20 ms."""


def _crc(data: bytes) -> int:
    """CRC-32 without reflection, RFC 3533 section 6 field 7."""
    value = 0
    for octet in data:
        value ^= octet << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value


def _page(packet: bytes, number: int, position: int, flags: int) -> bytes:
    segments = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
    head = b"OggS" + struct.pack("<BBqIII", 0, flags, position, _SERIAL, number, 0) + bytes([len(segments)]) + segments
    page = head + packet
    return page[:22] + struct.pack("<I", _crc(page)) + page[26:]


def wrapped(packets: Sequence[bytes]) -> bytes:
    """Return an Ogg Opus file, mono, of packets of 20 ms; nothing is to be skipped at its start."""
    head = b"OpusHead" + struct.pack("<BBHIHB", 1, 1, 0, 48000, 0, 0)
    pages = [_page(head, 0, 0, 2), _page(b"OpusTags" + struct.pack("<II", 0, 0), 1, 0, 0)]
    for number, packet in enumerate(packets, 1):
        pages.append(_page(packet, number + 1, number * _FRAME, 4 if number == len(packets) else 0))
    return b"".join(pages)


def _packets(data: bytes) -> Iterator[bytes]:
    at, packet = 0, b""
    while at < len(data):
        count = data[at + 26]
        body = at + 27 + count
        for segment in data[at + 27 : body]:
            packet += data[body : body + segment]
            body += segment
            if segment < 255:
                yield packet
                packet = b""
        at = body


def packets_of(data: bytes) -> list[bytes]:
    """Return the packets of sound of an Ogg Opus file."""
    return list(_packets(data))[2:]
