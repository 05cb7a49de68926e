"""The end of a server's calls: for a while they may end by themselves, and calls for help for a longer one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from pbx.call.items import HangUpWanted
from pbx.cause import cause_named

if TYPE_CHECKING:
    from pbx.call.call import Call
    from pbx.call.ports import Services
    from pbx.call.summary import Summary
    from pbx.sip.stack import Timer

__all__ = ["Drain", "Waits"]

Waits = Callable[[tuple["Summary", ...], float], None]
"""Told which calls for help are waited for, and for how many seconds at most; 0 when they are ended."""

_LOOK = 1.0
"""How often is looked which calls are for help still: a transfer may make one of any call, and end that. Seconds."""
_REMIND = 30.0
"""How often is told that nothing has changed. Seconds."""


class Drain:
    """Ends calls at a limit, those for help at a later one; both are counted from when it is made."""

    def __init__(
        self, services: Services, calls: Callable[[], Collection[Call]], seconds: float, for_help: float, waits: Waits
    ) -> None:
        self._services = services
        self._calls = calls
        self._waits = waits
        now = services.now()
        self._limit, self._last = now + seconds, now + max(seconds, for_help)
        self._timer: Timer | None = None
        self._done: Callable[[], None] | None = None
        self._hung_up: set[str] = set()
        self._told: tuple[str, ...] = ()
        self._told_at = now

    @property
    def over(self) -> bool:
        """True when no call is waited for any more, not even one for help."""
        return self._services.now() >= self._last

    def wait(self, done: Callable[[], None]) -> None:
        """Call `done` when no call is left."""
        if not self._calls():
            done()
            return
        self._done = done
        if self._timer is None:
            self._timer = self._services.later(max(0.0, self._limit - self._services.now()), self._look)

    def emptied(self) -> None:
        """Take that the last call is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        done, self._done = self._done, None
        if done is not None:
            done()

    def _look(self) -> None:
        """End what need not be waited for any more, and look again soon."""
        left = max(0.0, self._last - self._services.now())
        self._timer = self._services.later(min(_LOOK, left) or _LOOK, self._look)
        help_calls = [call for call in self._calls() if call.emergency and call.id not in self._hung_up]
        self._tell(help_calls, left)
        for call in list(self._calls()):
            if (left and call.emergency) or call.id in self._hung_up:
                continue
            self._hung_up.add(call.id)
            call.post(HangUpWanted(cause_named("shutting-down")))

    def _tell(self, calls: list[Call], left: float) -> None:
        now, ids = self._services.now(), tuple([call.id for call in calls])
        if ids and (ids != self._told or not left or now - self._told_at >= _REMIND):
            self._waits(tuple([call.summary for call in calls]), left)
            self._told_at = now
        self._told = ids
