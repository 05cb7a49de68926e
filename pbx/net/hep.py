"""Captured messages as HEP version 3, which Homer and its kin collect (the EEP/HEP3 draft, sipcapture.org).

A packet is ``HEP3``, its length, and chunks: vendor, type, length, value. Only what a receiver needs is written.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from pbx.net.trace import redacted
from pbx.net.transport import family_of

if TYPE_CHECKING:
    from pbx.net.trace import Captured

__all__ = ["LONGEST", "hep3"]

LONGEST = 65_000
"""Octets of a message that are sent; more does not fit into a datagram."""

_CHUNK = struct.Struct(">HHH")
_IP_FAMILY, _IP_PROTOCOL, _SOURCE_4, _DESTINATION_4, _SOURCE_6, _DESTINATION_6 = 1, 2, 3, 4, 5, 6
_SOURCE_PORT, _DESTINATION_PORT, _SECONDS, _MICROSECONDS, _PROTOCOL = 7, 8, 9, 10, 11
_AGENT, _KEY, _PAYLOAD, _CORRELATION, _NODE = 12, 14, 15, 17, 19
_SIP = 1
_AF_INET, _AF_INET6, _UDP, _TCP = 2, 10, 17, 6
"""As Linux numbers them, which is what the draft means, whatever machine reads it."""


def hep3(message: Captured, epoch: float, agent: int, node: str = "", key: str = "", correlation: str = "") -> bytes:
    """Return one packet.

    `epoch` is the wall-clock time in seconds at zero of the message's clock; `agent` and `node` say who captured it,
    `key` is what the collector asks for, `correlation` names the call that ties its legs together. Digest responses and
    SRTP keys are crossed out.
    """
    flow = message.flow
    source, destination = (flow.local, flow.remote) if message.outgoing else (flow.remote, flow.local)
    six = family_of(source[0]) == 6 or family_of(destination[0]) == 6
    family = socket.AF_INET6 if six else socket.AF_INET
    microseconds = max(round((epoch + message.when) * 1_000_000), 0)
    chunks = [
        _chunk(_IP_FAMILY, bytes((_AF_INET6 if six else _AF_INET,))),
        _chunk(_IP_PROTOCOL, bytes((_UDP if flow.transport == "udp" else _TCP,))),
        _chunk(_SOURCE_6 if six else _SOURCE_4, socket.inet_pton(family, source[0].partition("%")[0])),
        _chunk(_DESTINATION_6 if six else _DESTINATION_4, socket.inet_pton(family, destination[0].partition("%")[0])),
        _chunk(_SOURCE_PORT, struct.pack(">H", source[1])),
        _chunk(_DESTINATION_PORT, struct.pack(">H", destination[1])),
        _chunk(_SECONDS, struct.pack(">I", microseconds // 1_000_000 & 0xFFFFFFFF)),
        _chunk(_MICROSECONDS, struct.pack(">I", microseconds % 1_000_000)),
        _chunk(_PROTOCOL, bytes((_SIP,))),
        _chunk(_AGENT, struct.pack(">I", agent)),
    ]
    if key:
        chunks.append(_chunk(_KEY, key.encode()))
    if node:
        chunks.append(_chunk(_NODE, node.encode()))
    if correlation:
        chunks.append(_chunk(_CORRELATION, correlation.encode()))
    room = LONGEST - 6 - sum(map(len, chunks)) - _CHUNK.size
    chunks.append(_chunk(_PAYLOAD, redacted(message.data)[:room]))
    body = b"".join(chunks)
    return b"HEP3" + struct.pack(">H", 6 + len(body)) + body


def _chunk(kind: int, value: bytes) -> bytes:
    return _CHUNK.pack(0, kind, _CHUNK.size + len(value)) + value
