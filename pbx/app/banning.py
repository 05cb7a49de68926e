"""Bans as operators see and change them, and what the log says of each."""

from __future__ import annotations

import structlog

from pbx.security.bans import Ban
from pbx.security.edge import EdgeGuard
from pbx.security.sources import show_source
from pbx.sip.stack import Flow
from pbx.web.ports import BanState

__all__ = ["Banning"]

_log = structlog.get_logger("pbx.security")


class Banning:
    """Implements `pbx.web.ports.Bans` with the guard's list."""

    def __init__(self, guard: EdgeGuard[Flow]) -> None:
        self._guard = guard
        guard.bans.told.append(self._told)

    def all(self) -> list[BanState]:
        """Return who is banned now."""
        return [_state(ban) for ban in self._guard.bans]

    def ban(self, address: str, reason: str, seconds: float | None) -> BanState:
        """Ban an address, with None for twice as long as the last time."""
        return _state(self._guard.ban(address, f"operator: {reason}" if reason else "operator", seconds))

    def lift(self, address: str) -> bool:
        """Lift a ban; False if there is none."""
        return self._guard.lift(address)

    def _told(self, source: str, seconds: float | None) -> None:
        if seconds is None:
            _log.info("ban-lifted", source=show_source(source))
            return
        ban = self._guard.bans.get(source)
        _log.warning("banned", source=show_source(source), seconds=round(seconds), reason=ban.reason if ban else "")


def _state(ban: Ban) -> BanState:
    return BanState(show_source(ban.source), ban.reason, ban.since, ban.until, ban.count)
