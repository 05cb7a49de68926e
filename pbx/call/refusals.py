"""Records of calls that were refused before they began: one each, and of a flood one for many."""

from __future__ import annotations

from typing import Final

from pbx.call.commands import Party
from pbx.call.ports import Services
from pbx.call.summary import Summary
from pbx.call.table import State
from pbx.cause import EndCause
from pbx.trunks.verification import UNVERIFIED, Verification

__all__ = ["Refusals"]

_RECORDS: Final = "* records"
_RECORDS_A_SECOND: Final = 50.0
_TOGETHER: Final = 1.0
"""Seconds of which one record tells how many there were beyond that."""


class Refusals:
    """Writes down what was refused. A carrier that comes back from the dead with a thousand calls shall not fill the
    database with what one line says."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._beyond: dict[tuple[str, str], tuple[EndCause, int]] = {}
        """How many have no record of their own, by source and cause."""

    def write(
        self, source: str, caller: Party, called: str, cause: EndCause, verification: Verification = UNVERIFIED
    ) -> None:
        """Write down one call."""
        services = self._services
        if services.rates.within(_RECORDS, _RECORDS_A_SECOND):
            self._record(source, caller, called, cause, verification)
            return
        if not self._beyond:
            services.later(_TOGETHER, self.flush)
        key = source, cause.slug
        _, count = self._beyond.get(key, (cause, 0))
        self._beyond[key] = cause, count + 1

    def flush(self) -> None:
        """Write down how many there were without a record of their own."""
        beyond, self._beyond = self._beyond, {}
        for (source, _), (cause, count) in beyond.items():
            detail = f"{count:,} calls of {source} within a second have this record together"
            self._record(source, Party("", "", True), "", cause.with_detail(detail), UNVERIFIED)

    def _record(self, source: str, caller: Party, called: str, cause: EndCause, verification: Verification) -> None:
        services = self._services
        now, wall = services.now(), services.wall()
        summary = Summary(services.token(), source, caller, called, wall, now, cause=cause, ended=now, ended_at=wall)
        summary.state = State.ENDED.value
        summary.verification = verification
        services.observer.call_ended(summary)
