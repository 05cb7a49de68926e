"""What TCP and TLS connections may take."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StreamLimits"]


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What connections may take: numbers of them, seconds and octets."""

    total: int = 20_000
    per_source: int = 2_000
    """Connections from one IPv4 address or one IPv6 /64."""
    half_open: int = 512
    """Accepted connections that have not completed a message yet; the oldest makes room for the next."""
    half_open_per_source: int = 64
    connect: float = 4.0
    handshake: float = 5.0
    first_message: float = 10.0
    message: float = 15.0
    """From the first octet of a message to its last."""
    idle: float = 3_700.0
    """Longer than the usual registration of an hour. Connections with a keep-alive are exempt."""
    pong: float = 10.0
    """RFC 5626 §4.4.1: how long to wait for an answer to a ping; only where one ever came."""
    write_bytes: int = 1024 * 1024
    write_stall: float = 20.0
    headers: int = 65_536
    body: int = 262_144
    message_octets: int = 327_680
    """Headers and body together."""
    farewell: float = 2.0
    """How long an orderly close may take before the connection is reset."""
