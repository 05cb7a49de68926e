"""The section `sip.stun`."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator

from pbx.config.kinds import SINGLE, Kind, Seconds, Section

__all__ = ["Stun", "StunServer"]

_SERVER = re.compile(r"([A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?", re.ASCII)
_PORT = 3478
"""RFC 8489 §18.6."""


class StunServer(NamedTuple):
    """Where a STUN server listens; `host` may be a name."""

    host: str
    port: int


def parse_stun_server(text: object) -> StunServer:
    """Read ``stun.example.com:3478``; the port may be left out."""
    if isinstance(text, StunServer):
        return text
    match = _SERVER.fullmatch(str(text))
    if match is None or not 0 < int(match[2] or _PORT) < 65536:
        raise ValueError(f"`{text}` is no STUN server; write it like stun.example.com:3478")
    return StunServer(match[1], int(match[2] or _PORT))


class Stun(Section):
    """Learns the address by which the outside reaches us from a STUN server (RFC 8489), for a router with NAT whose
    address changes. For IPv4, and where no `external_address` is given, of SIP and of audio."""

    server: Annotated[
        StunServer, BeforeValidator(parse_stun_server), SINGLE, Kind("STUN server", "stun.example.com:3478")
    ]
    """Whom to ask, over UDP: a name or an address, and a port, 3478 if left out."""
    interval: Seconds = 60.0
    """How often it is asked. An address that is known stays when nobody answers."""
