"""Keys whose change waits for a restart; everything else changes when the files are read again."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from pbx.config.schema import Settings

__all__ = ["RESTART", "hold_back"]

S = TypeVar("S", bound=BaseModel)

RESTART = (
    "sip.listen",
    "sip.domain",
    "sip.external_address",
    "sip.local_networks",
    "sip.t1",
    "sip.t2",
    "sip.t4",
    "sip.keep_alive",
    "sip.receive_buffer",
    "sip.dscp",
    "sip.digest",
    "sip.tcp",
    "sip.resolver",
    "sip.hep",
    "sip.stun",
    "media.ports",
    "media.threads",
    "media.dscp",
    "media.sound_memory",
    "media.rtcp.interval",
    "security.firewall",
    "security.firewall_table",
    "storage.directory",
    "storage.database",
    "storage.recordings",
    "http.listen",
    "http.certificate",
    "http.key",
    "log.format",
    "log.file",
)
"""What a server takes up when it starts and holds until its end: ports, files, threads, and what they are made with."""


def hold_back(running: Settings, fresh: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Return `fresh` with everything that only a restart can change as it is in `running`, and the keys that differ."""
    held = tuple([key for key in RESTART if _value(running, key) != _value(fresh, key)])
    for key in held:
        fresh = _with(fresh, key.split("."), _value(running, key))
    return fresh, held


def _value(settings: BaseModel, key: str) -> object:
    found: object = settings
    for part in key.split("."):
        found = getattr(found, part)
    return found


def _with(section: S, parts: list[str], value: object) -> S:
    first, *rest = parts
    return section.model_copy(update={first: _with(getattr(section, first), rest, value) if rest else value})
