"""The clock that SIP runs by: it never goes back, and a timer of it may be cancelled at any time.

Twisted's own reactor clock is the wall clock, so a step of the system time would fire or stall every SIP timer; the
loop beneath the asyncio reactor counts monotonic time, and arming a timer there costs a fraction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from pbx.sip.stack import Timer

__all__ = ["Clock", "LoopClock", "TwistedClock"]


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


class LoopClock:
    """The monotonic clock and timers of an asyncio (uvloop) event loop, the one beneath Twisted's asyncio reactor."""

    __slots__ = ("_loop", "seconds")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self.seconds = time.monotonic

    def later(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call `call` after `delay` seconds."""
        return self._loop.call_later(delay, call)


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
