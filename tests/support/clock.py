"""A clock for tests that goes to each due call in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.task import Clock as TwistedTestClock

if TYPE_CHECKING:
    from twisted.internet.base import DelayedCall

__all__ = ["SteppedClock"]


class SteppedClock(TwistedTestClock):
    """Twisted's clock for tests, but `advance` stops at each due call: under Twisted's own a doubling timer fires once.

    It serves as an `IReactorTime` and as a `pbx.net.clock.Clock`.
    """

    def advance(self, amount: float) -> None:
        end = self.rightNow + amount
        while self.calls and self.calls[0].getTime() <= end:
            self.rightNow = max(self.rightNow, self.calls[0].getTime())
            super().advance(0)
        self.rightNow = end

    def advance_to(self, moment: float) -> None:
        """Go on until `moment`, exactly."""
        self.advance(0)
        while self.calls and self.calls[0].getTime() <= moment:
            self.rightNow = max(self.rightNow, self.calls[0].getTime())
            super().advance(0)
        self.rightNow = max(self.rightNow, moment)

    def later(self, delay: float, call: Callable[[], None]) -> _Cancellable:
        return _Cancellable(self.callLater(delay, call))

    def run_out(self, longest: float = 3600.0) -> float:
        """Go on until nothing is due any more, and return when that was. Fails if that takes over `longest` seconds."""
        end = self.rightNow + longest
        while self.calls:
            assert self.calls[0].getTime() <= end, f"still due: {self.calls}"
            self.rightNow = max(self.rightNow, self.calls[0].getTime())
            super().advance(0)
        return self.rightNow


class _Cancellable:
    def __init__(self, delayed: DelayedCall) -> None:
        self._delayed = delayed

    def cancel(self) -> None:
        if self._delayed.active():
            self._delayed.cancel()
