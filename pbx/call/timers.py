"""The timers of one call, by name."""

from __future__ import annotations

from collections.abc import Callable

from pbx.errors import UsageError
from pbx.sip.stack import Timer

__all__ = ["Timers"]

Later = Callable[[float, Callable[[], None]], Timer]


def _nobody(name: str) -> None:
    raise UsageError(f"timer {name} of a call that is over")


class Timers:
    """Each name has one timer at most; `due(name)` hears when it runs out."""

    __slots__ = ("_due", "_later", "_running")

    def __init__(self, later: Later, due: Callable[[str], None]) -> None:
        self._later = later
        self._due = due
        self._running: dict[str, Timer] = {}

    def set(self, name: str, delay: float) -> None:
        """Call `due` after `delay` seconds; an earlier timer of that name is forgotten."""
        self.clear(name)
        self._running[name] = self._later(delay, _Due(self, name))

    def clear(self, name: str) -> None:
        """Forget a timer; harmless if there is none."""
        timer = self._running.pop(name, None)
        if timer is not None:
            timer.cancel()

    def clear_all(self) -> None:
        """Forget every timer."""
        for timer in self._running.values():
            timer.cancel()
        self._running.clear()

    def stop(self) -> None:
        """Forget every timer, and who would have heard of it: no cycle is left for the garbage collector."""
        self.clear_all()
        self._due = _nobody

    def fire(self, name: str) -> None:
        """Take that a timer has run out."""
        del self._running[name]
        self._due(name)


class _Due:
    """One timer's end: a fifth of what a lambda would take, for as long as the call is up."""

    __slots__ = ("_name", "_timers")

    def __init__(self, timers: Timers, name: str) -> None:
        self._timers = timers
        self._name = name

    def __call__(self) -> None:
        self._timers.fire(self._name)
