"""Captured messages as a capture file that Wireshark, tshark and sngrep read (the pcap format, raw IP packets).

The packets are made up, the addresses, times and octets in them are not. What went over TLS is written as TCP,
decrypted: at port 5061 Wireshark expects TLS, so it stands at 5060 there.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from pbx.net.trace import redacted
from pbx.net.transport import family_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pbx.net.trace import Captured
    from pbx.net.transport import Address
    from pbx.sip.stack import Flow

__all__ = ["pcap"]

_FILE = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")
_MAGIC_MICROSECONDS = 0xA1B2C3D4
_LINKTYPE_RAW = 101
_LONGEST = 262_144
_SEGMENT = 60_000
_TCP, _UDP = 6, 17
_PUSH_ACK = 0x18
_TLS_PORT, _SIP_PORT = 5061, 5060


def pcap(messages: Iterable[Captured], epoch: float = 0.0) -> bytes:
    """Return a capture file. `epoch` is the wall-clock time in seconds at zero of the messages' clock.

    Digest responses and SRTP keys are crossed out.
    """
    parts = [_FILE.pack(_MAGIC_MICROSECONDS, 2, 4, 0, 0, _LONGEST, _LINKTYPE_RAW)]
    sequences: dict[tuple[Flow, bool], int] = {}
    for message in messages:
        microseconds = max(round((epoch + message.when) * 1_000_000), 0)
        seconds, microseconds = divmod(microseconds, 1_000_000)
        for packet in _packets(message, sequences):
            parts.append(_RECORD.pack(seconds & 0xFFFFFFFF, microseconds, len(packet), len(packet)))
            parts.append(packet)
    return b"".join(parts)


def _packets(message: Captured, sequences: dict[tuple[Flow, bool], int]) -> list[bytes]:
    flow, data = message.flow, redacted(message.data)
    source, destination = (flow.local, flow.remote) if message.outgoing else (flow.remote, flow.local)
    if flow.transport == "udp":
        return [_ip(source, destination, _UDP, _udp(source, destination, data[:65_000]))]
    if flow.transport == "tls":
        source, destination = _plain(source), _plain(destination)
    mine, theirs = (flow, message.outgoing), (flow, not message.outgoing)
    packets = []
    for start in range(0, len(data), _SEGMENT):
        piece = data[start : start + _SEGMENT]
        sequence, acknowledged = sequences.get(mine, 1), sequences.get(theirs, 1)
        sequences[mine] = (sequence + len(piece)) & 0xFFFFFFFF
        packets.append(_ip(source, destination, _TCP, _tcp(source, destination, sequence, acknowledged, piece)))
    return packets


def _plain(address: Address) -> Address:
    return (address[0], _SIP_PORT) if address[1] == _TLS_PORT else address


def _udp(source: Address, destination: Address, data: bytes) -> bytes:
    length = 8 + len(data)
    bare = struct.pack(">HHHH", source[1], destination[1], length, 0)
    total = _checksum(_pseudo(source, destination, _UDP, length) + bare + data) or 0xFFFF
    return struct.pack(">HHHH", source[1], destination[1], length, total) + data


def _tcp(source: Address, destination: Address, sequence: int, acknowledged: int, data: bytes) -> bytes:
    def header(checksum: int) -> bytes:
        return struct.pack(
            ">HHIIBBHHH", source[1], destination[1], sequence, acknowledged, 5 << 4, _PUSH_ACK, 65535, checksum, 0
        )

    total = _checksum(_pseudo(source, destination, _TCP, 20 + len(data)) + header(0) + data)
    return header(total) + data


def _ip(source: Address, destination: Address, protocol: int, payload: bytes) -> bytes:
    if _is_v6(source, destination):
        head = struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64)
        return head + _packed(source, True) + _packed(destination, True) + payload

    def header(checksum: int) -> bytes:
        return (
            struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, checksum)
            + _packed(source, False)
            + _packed(destination, False)
        )

    return header(_checksum(header(0))) + payload


def _pseudo(source: Address, destination: Address, protocol: int, length: int) -> bytes:
    if _is_v6(source, destination):
        return _packed(source, True) + _packed(destination, True) + struct.pack(">II", length, protocol)
    return _packed(source, False) + _packed(destination, False) + struct.pack(">BBH", 0, protocol, length)


def _is_v6(source: Address, destination: Address) -> bool:
    return family_of(source[0]) == 6 or family_of(destination[0]) == 6


def _packed(address: Address, v6: bool) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, address[0].partition("%")[0])


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
