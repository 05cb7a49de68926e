"""The section `sip.hep`."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field

from pbx.config.kinds import SINGLE, Kind, SecretText, Section

__all__ = ["Collector", "Hep"]

_COLLECTOR = re.compile(r"(udp|tcp)://(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})", re.ASCII)


class Collector(NamedTuple):
    """Where a collector listens; `host` may be a name."""

    transport: str
    host: str
    port: int


def parse_collector(text: object) -> Collector:
    """Read ``udp://homer.example.com:9060``."""
    if isinstance(text, Collector):
        return text
    match = _COLLECTOR.fullmatch(str(text))
    if match is None or not 0 < int(match[4]) < 65536:
        raise ValueError(f"`{text}` is no collector; write it like udp://homer.example.com:9060, or tcp://")
    return Collector(match[1], match[2] or match[3], int(match[4]))


class Hep(Section):
    """Every SIP message is sent to a collector of HEP version 3, such as Homer, without digest responses and SRTP
    keys."""

    collector: Annotated[
        Collector, BeforeValidator(parse_collector), SINGLE, Kind("collector", "udp://homer.example.com:9060")
    ]
    """Where it listens: `udp://` or `tcp://`, a name or an address, and a port."""
    agent: int = Field(default=2001, ge=0, le=0xFFFFFFFF)
    """The number by which it tells its sources apart."""
    node: str = ""
    """The name by which it tells them apart."""
    key: SecretText | None = None
    """What it asks of its sources."""
