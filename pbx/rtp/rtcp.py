"""RTCP packets (RFC 3550 §6, RFC 4585), for tools and tests: the engine reads and writes its own in C."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from pbx.errors import ParseError

__all__ = [
    "Application",
    "Bye",
    "Feedback",
    "Packet",
    "ReceiverReport",
    "ReportBlock",
    "SenderReport",
    "SourceDescription",
    "Unknown",
    "parse_compound",
    "round_trip",
    "to_bytes",
]

_SR, _RR, _SDES, _BYE, _APP, _RTPFB, _PSFB = range(200, 207)
_BLOCK = struct.Struct("!IIIIII")
_SENDER = struct.Struct("!IIIII")

CNAME = 1
"""The SDES item that every compound packet must have (RFC 3550 §6.5.1)."""


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says of one source (RFC 3550 §6.4.1). `lost` may be negative when duplicates arrive."""

    ssrc: int
    fraction_lost: int
    """Of 256, since the last report."""
    lost: int
    highest_sequence: int
    """Extended by the count of wraps in its upper half."""
    jitter: int
    """In units of the RTP clock."""
    last_report: int = 0
    """The middle 32 bits of the last sender report's NTP time; 0 if there was none."""
    delay: int = 0
    """Since then, in units of 1/65536 seconds."""

    @classmethod
    def unpack(cls, data: bytes, place: int) -> ReportBlock:
        """Return the block at `place`, where 24 octets must be."""
        ssrc, loss, highest, jitter, last, delay = _BLOCK.unpack_from(data, place)
        lost = loss & 0xFFFFFF
        return cls(ssrc, loss >> 24, lost - 0x1000000 if lost & 0x800000 else lost, highest, jitter, last, delay)

    def pack(self) -> bytes:
        """Return the 24 octets; a loss beyond 24 bits is clamped, as RFC 3550 §A.3 does."""
        lost = max(-0x800000, min(0x7FFFFF, self.lost)) & 0xFFFFFF
        first = self.fraction_lost << 24 | lost
        return _BLOCK.pack(self.ssrc, first, self.highest_sequence, self.jitter, self.last_report, self.delay)


@dataclass(frozen=True, slots=True)
class SenderReport:
    """SR (RFC 3550 §6.4.1). `ntp` is a 64-bit NTP timestamp: seconds since 1900 in its upper half."""

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int
    reports: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """RR (RFC 3550 §6.4.2)."""

    ssrc: int
    reports: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """SDES (RFC 3550 §6.5): for each chunk its SSRC and its (item type, text) pairs."""

    chunks: tuple[tuple[int, tuple[tuple[int, bytes], ...]], ...]

    def cname(self, ssrc: int) -> bytes | None:
        """Return the canonical name of a source, None if it is not said."""
        for source, items in self.chunks:
            for item, text in items:
                if source == ssrc and item == CNAME:
                    return text
        return None


@dataclass(frozen=True, slots=True)
class Bye:
    """BYE (RFC 3550 §6.6)."""

    ssrcs: tuple[int, ...]
    reason: bytes = b""


@dataclass(frozen=True, slots=True)
class Application:
    """APP (RFC 3550 §6.7)."""

    subtype: int
    ssrc: int
    name: bytes
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Feedback:
    """Transport-layer (`payload_specific` False) or payload-specific feedback (RFC 4585 §6.1)."""

    payload_specific: bool
    message: int
    ssrc: int
    media_ssrc: int
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A packet of a type that is not read here, XR (RFC 3611) among them: its type, count field and content."""

    packet_type: int
    count: int
    data: bytes


Packet = SenderReport | ReceiverReport | SourceDescription | Bye | Application | Feedback | Unknown


def parse_compound(data: bytes) -> tuple[Packet, ...]:
    """Return the packets of a datagram. Raises ParseError unless all of them are whole (RFC 3550 §A.2).

    That the first is a report and the padding only in the last is not demanded: reduced-size RTCP (RFC 5506) exists.
    """
    packets: list[Packet] = []
    place = 0
    while place < len(data):
        if len(data) - place < 4:
            raise ParseError("RTCP packet shorter than its header")
        first, packet_type, words = struct.unpack_from("!BBH", data, place)
        if first >> 6 != 2:
            raise ParseError("RTCP version is not 2")
        end = place + 4 + 4 * words
        if end > len(data):
            raise ParseError("RTCP packet truncated")
        body = data[place + 4 : end]
        if first & 0x20:
            padding = body[-1] if body else 0
            if not 0 < padding <= len(body) or padding % 4:
                raise ParseError("RTCP padding longer than the packet, or no multiple of four")
            body = body[: len(body) - padding]
        packets.append(_parse(packet_type, first & 31, body))
        place = end
    if not packets:
        raise ParseError("RTCP datagram is empty")
    return tuple(packets)


def _parse(packet_type: int, count: int, body: bytes) -> Packet:
    if packet_type == _SR:
        _need(body, 24 + 24 * count)
        ssrc = int.from_bytes(body[:4], "big")
        high, low, timestamp, packets, octets = _SENDER.unpack_from(body, 4)
        return SenderReport(ssrc, high << 32 | low, timestamp, packets, octets, _blocks(body, 24, count))
    if packet_type == _RR:
        _need(body, 4 + 24 * count)
        return ReceiverReport(int.from_bytes(body[:4], "big"), _blocks(body, 4, count))
    if packet_type == _SDES:
        return _parse_description(count, body)
    if packet_type == _BYE:
        _need(body, 4 * count)
        reason = body[4 * count :]
        if reason:
            _need(reason, 1 + reason[0])
            reason = reason[1 : 1 + reason[0]]
        return Bye(struct.unpack_from(f"!{count}I", body), reason)
    if packet_type == _APP:
        _need(body, 8)
        return Application(count, int.from_bytes(body[:4], "big"), body[4:8], body[8:])
    if packet_type in (_RTPFB, _PSFB):
        _need(body, 8)
        ssrc, media_ssrc = struct.unpack_from("!II", body)
        return Feedback(packet_type == _PSFB, count, ssrc, media_ssrc, body[8:])
    return Unknown(packet_type, count, body)


def _parse_description(count: int, body: bytes) -> SourceDescription:
    chunks = []
    place = 0
    for _ in range(count):
        _need(body, place + 4)
        ssrc = int.from_bytes(body[place : place + 4], "big")
        place += 4
        items: list[tuple[int, bytes]] = []
        while True:
            _need(body, place + 1)
            item = body[place]
            if item == 0:
                # RFC 3550 §6.5: one or more null octets terminate the list, up to the next 32-bit boundary.
                place = (place // 4 + 1) * 4
                break
            _need(body, place + 2)
            length = body[place + 1]
            _need(body, place + 2 + length)
            items.append((item, body[place + 2 : place + 2 + length]))
            place += 2 + length
        chunks.append((ssrc, tuple(items)))
    return SourceDescription(tuple(chunks))


def _blocks(body: bytes, place: int, count: int) -> tuple[ReportBlock, ...]:
    return tuple([ReportBlock.unpack(body, place + 24 * number) for number in range(count)])


def _need(body: bytes, octets: int) -> None:
    if len(body) < octets:
        raise ParseError("RTCP packet truncated")


def to_bytes(packets: Iterable[Packet]) -> bytes:
    """Return the datagram that holds `packets`."""
    return b"".join([_pack(packet) for packet in packets])


def _pack(packet: Packet) -> bytes:
    if isinstance(packet, SenderReport):
        sender = _SENDER.pack(
            packet.ntp >> 32, packet.ntp & 0xFFFFFFFF, packet.timestamp, packet.packets, packet.octets
        )
        body = packet.ssrc.to_bytes(4, "big") + sender + b"".join([block.pack() for block in packet.reports])
        return _framed(_SR, len(packet.reports), body)
    if isinstance(packet, ReceiverReport):
        body = packet.ssrc.to_bytes(4, "big") + b"".join([block.pack() for block in packet.reports])
        return _framed(_RR, len(packet.reports), body)
    if isinstance(packet, SourceDescription):
        return _framed(_SDES, len(packet.chunks), b"".join([_chunk(ssrc, items) for ssrc, items in packet.chunks]))
    if isinstance(packet, Bye):
        reason = bytes((len(packet.reason),)) + packet.reason if packet.reason else b""
        return _framed(_BYE, len(packet.ssrcs), struct.pack(f"!{len(packet.ssrcs)}I", *packet.ssrcs) + reason)
    if isinstance(packet, Application):
        return _framed(_APP, packet.subtype, packet.ssrc.to_bytes(4, "big") + packet.name + packet.data)
    if isinstance(packet, Feedback):
        body = struct.pack("!II", packet.ssrc, packet.media_ssrc) + packet.data
        return _framed(_PSFB if packet.payload_specific else _RTPFB, packet.message, body)
    return _framed(packet.packet_type, packet.count, packet.data)


def _framed(packet_type: int, count: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack("!BBH", 0x80 | count, packet_type, len(body) // 4) + body


def _chunk(ssrc: int, items: tuple[tuple[int, bytes], ...]) -> bytes:
    body = ssrc.to_bytes(4, "big")
    body += b"".join([bytes((item, len(text))) + text for item, text in items]) + b"\0"
    return body + bytes(-len(body) % 4)


def round_trip(block: ReportBlock, now: int) -> float | None:
    """Return milliseconds to the peer and back, from its report of our sender report (RFC 3550 §6.4.1).

    `now` is a 64-bit NTP timestamp. None if the report quotes no sender report, or a time yet to come.
    """
    if block.last_report == 0:
        return None
    elapsed = ((now >> 16) - block.last_report - block.delay) & 0xFFFFFFFF
    return None if elapsed & 0x80000000 else elapsed * 1000 / 65536
