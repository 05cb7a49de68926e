"""The reactor's heartbeat: measures how late timers run, and tells the watchdog that they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["Heartbeat"]


class _Timer(Protocol):
    def cancel(self) -> None: ...


class Heartbeat:
    """Beats every `interval` seconds, on time or late.

    `now` and `later` are the stack's; `lag(seconds)` hears how late each beat was; `alive()` is called often enough for
    a watchdog of `watchdog` seconds.
    """

    def __init__(
        self,
        now: Callable[[], float],
        later: Callable[[float, Callable[[], None]], _Timer],
        lag: Callable[[float], None],
        alive: Callable[[], None],
        watchdog: float = 0.0,
        interval: float = 1.0,
    ) -> None:
        self._now = now
        self._later = later
        self._lag = lag
        self._alive = alive
        # sd_watchdog_enabled(3) recommends a sign of life every half of the interval.
        self._interval = min(interval, watchdog / 2) if watchdog else interval
        self._timer: _Timer | None = None
        self.last = 0.0
        """When it last beat."""
        self.worst = 0.0
        """The longest that a beat was late, since the start. Seconds."""

    def start(self) -> None:
        """Begin to beat."""
        self.last = self._now()
        self._timer = self._later(self._interval, self._beat)

    def stop(self) -> None:
        """Stop beating."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        now = self._now()
        late = max(0.0, now - self.last - self._interval)
        self.last = now
        self.worst = max(self.worst, late)
        self._lag(late)
        self._alive()
        self._timer = self._later(self._interval, self._beat)
