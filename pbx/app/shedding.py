"""Overload at work: samples how late the reactor is, how long what it reads has waited and how much waits, and logs
when calls are refused."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import structlog

from pbx.security.overload import OverloadControl
from pbx.sip.stack import Timer

__all__ = ["LoadShedding"]

_INTERVAL = 0.1
_SAMPLES = 3
"""So many times in a row a timer has to be late: a machine that has other things to do lets it wait now and then."""
_log = structlog.get_logger("pbx.security")


class LoadShedding:
    """Feeds an `OverloadControl`. `now` and `later` are the stack's, `backlog` says how full receive buffers are,
    `waited` how long what was read lately had waited in them."""

    def __init__(
        self,
        control: OverloadControl,
        now: Callable[[], float],
        later: Callable[[float, Callable[[], None]], Timer],
        backlog: Callable[[], float],
        waited: Callable[[], float],
    ) -> None:
        self.control = control
        self.wanted = True
        """False: no call is turned away."""
        self._now = now
        self._later = later
        self._backlog = backlog
        self._waited = waited
        self._timer: Timer | None = None
        self._lags: deque[float] = deque([0.0], maxlen=_SAMPLES)
        self._due = 0.0
        self._refused = 0

    def start(self) -> None:
        """Begin to sample."""
        self._due = self._now() + _INTERVAL
        self._timer = self._later(_INTERVAL, self._sample)

    def stop(self) -> None:
        """End that."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def takes(self, known: bool, exempt: Callable[[], bool], *, proven: bool) -> bool:
        """Return whether a new call is taken (see `OverloadControl.takes`)."""
        return not self.wanted or self.control.takes(known, exempt, proven=proven)

    def _sample(self) -> None:
        now, control = self._now(), self.control
        before = control.active
        self._lags.append(max(0.0, now - self._due))
        # Nobody notes when what comes over a connection came: there it is the timers that are late, each time.
        control.sample(max(min(self._lags), self._waited()), self._backlog(), now)
        if self.wanted and control.active != before:
            if control.active:
                self._refused = control.refused
                _log.warning("overload", calls_a_second=round(control.rate or 0.0, 1))
            else:
                _log.warning("overload-over", refused=control.refused - self._refused)
        self._due = now + _INTERVAL
        self._timer = self._later(_INTERVAL, self._sample)
