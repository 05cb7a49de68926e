"""The clock that SIP runs by: it never goes back, and a timer of it may be cancelled at any time.

Twisted's own reactor clock is the wall clock, so a step of the system time would fire or stall every SIP timer; the
loop beneath the asyncio reactor counts monotonic time, and arming a timer there costs a fraction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

    from pbx.sip.stack import Timer

__all__ = ["Clock", "LoopClock", "TwistedClock"]

_NEVER: Final = float("inf")
_EARLY: Final = 0.001
_HUSKS: Final = 256
"""Cancelled timers that may wait before it is worth the work to look for them."""


class Clock(Protocol):
    """Seconds that never go back, and calls that are due later."""

    def seconds(self) -> float:
        """Return the time in seconds; only differences mean anything."""

    def later(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call `call` after `delay` seconds, never before this returns."""


class _DelayedCall(Protocol):
    def active(self) -> bool: ...

    def cancel(self) -> None: ...


class _ReactorTime(Protocol):
    """`twisted.internet.interfaces.IReactorTime`, in a form that the type checker can read."""

    def seconds(self) -> float: ...

    def callLater(self, delay: float, callable: Callable[[], object]) -> _DelayedCall: ...  # noqa: A002, N802


class _LoopTimer:
    """A call that is due later."""

    __slots__ = ("_clock", "call")

    def __init__(self, clock: LoopClock, call: Callable[[], None]) -> None:
        self._clock = clock
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        if self.call is not None:
            self.call = None
            self._clock.forget_one()


class LoopClock:
    """The monotonic clock and timers of an asyncio (uvloop) event loop, the one beneath Twisted's asyncio reactor.

    One timer of the loop stands for all that wait here, in a heap: each of the loop's own takes half a KiB, and a call
    has two for as long as it is up.
    """

    __slots__ = ("_armed", "_husks", "_loop", "_order", "_timer", "_waiting", "seconds")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self.seconds = time.monotonic
        self._waiting: list[tuple[float, int, _LoopTimer]] = []
        self._order = 0
        self._husks = 0
        """How many of those that wait were cancelled."""
        self._timer: TimerHandle | None = None
        self._armed = _NEVER

    def later(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call `call` after `delay` seconds."""
        timer = _LoopTimer(self, call)
        due = self.seconds() + delay
        self._order = order = self._order + 1
        heappush(self._waiting, (due, order, timer))
        if due < self._armed:
            self._arm(due, delay)
        return timer

    def forget_one(self) -> None:
        """Take that a timer was cancelled; once they are the greater part, cancelled ones are thrown away."""
        self._husks += 1
        if self._husks > _HUSKS and self._husks * 2 > len(self._waiting):
            self._waiting = [entry for entry in self._waiting if entry[2].call is not None]
            heapify(self._waiting)
            self._husks = 0

    def _arm(self, due: float, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = due
        self._timer = self._loop.call_later(delay, self._turn)

    def _turn(self) -> None:
        self._timer, self._armed = None, _NEVER
        # The loop counts whole milliseconds.
        now, last = self.seconds() + _EARLY, self._order
        try:
            while self._waiting:
                due, order, timer = self._waiting[0]
                call = timer.call
                if call is not None and (due > now or order > last):
                    break
                heappop(self._waiting)
                if call is None:
                    self._husks -= 1
                    continue
                timer.call = None
                call()
        finally:
            # Also if one raised: the others still have their turn.
            if self._waiting and self._waiting[0][0] < self._armed:
                due = self._waiting[0][0]
                self._arm(due, max(due - self.seconds(), 0.0))


class TwistedClock:
    """Any Twisted clock, `twisted.internet.task.Clock` of the tests among them."""

    __slots__ = ("_reactor",)

    def __init__(self, reactor: _ReactorTime) -> None:
        self._reactor = reactor

    def seconds(self) -> float:
        """Return the reactor's time."""
        return float(self._reactor.seconds())

    def later(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call `call` after `delay` seconds."""
        return _TwistedTimer(self._reactor.callLater(delay, call))


class _TwistedTimer:
    __slots__ = ("_delayed",)

    def __init__(self, delayed: _DelayedCall) -> None:
        self._delayed = delayed

    def cancel(self) -> None:
        if self._delayed.active():
            self._delayed.cancel()
