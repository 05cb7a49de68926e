"""The clock's timers: many behind one of the loop's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest

from pbx.net.clock import LoopClock

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class Handle:
    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due = due
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """A loop whose time goes on only when told to, and which counts whole milliseconds."""

    def __init__(self) -> None:
        self.time = 100.0
        self.handles: list[Handle] = []

    def call_later(self, delay: float, call: Callable[[], None]) -> Handle:
        self.handles.append(Handle(int((self.time + delay) * 1000) / 1000, call))
        return self.handles[-1]

    def pending(self) -> list[Handle]:
        return [handle for handle in self.handles if not handle.cancelled]

    def advance(self, seconds: float) -> None:
        end = self.time + seconds
        while due := [handle for handle in self.pending() if handle.due <= end]:
            first = min(due, key=lambda handle: handle.due)
            self.handles.remove(first)
            self.time = max(self.time, first.due)
            first.call()
        self.time = end


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def clock(loop: Loop) -> LoopClock:
    clock = LoopClock(cast("AbstractEventLoop", loop))
    clock.seconds = lambda: loop.time
    return clock


def test_calls_come_in_the_order_in_which_they_are_due(loop: Loop, clock: LoopClock) -> None:
    told: list[tuple[str, float]] = []
    for name, delay in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("also b", 2.0)):
        clock.later(delay, lambda name=name: told.append((name, loop.time)))  # type: ignore[misc]
    loop.advance(10)
    assert told == [("a", 101.0), ("b", 102.0), ("also b", 102.0), ("c", 103.0)]
    assert not loop.pending()


def test_one_timer_of_the_loop_stands_for_all(loop: Loop, clock: LoopClock) -> None:
    timers = [clock.later(5.0 - n / 100, lambda: None) for n in range(100)]
    assert len(loop.pending()) == 1
    timers[-1].cancel()
    timers[-1].cancel()
    loop.advance(10)
    assert not loop.pending()


def test_a_cancelled_call_does_not_come(loop: Loop, clock: LoopClock) -> None:
    told: list[str] = []
    first = clock.later(1.0, lambda: told.append("first"))
    clock.later(2.0, lambda: told.append("second"))
    first.cancel()
    loop.advance(10)
    assert told == ["second"]


def test_a_call_may_start_and_cancel_others(loop: Loop, clock: LoopClock) -> None:
    told: list[str] = []

    def first() -> None:
        told.append("first")
        second.cancel()
        clock.later(0.0, lambda: told.append(f"at {loop.time}"))
        assert told == ["first"]

    clock.later(1.0, first)
    second = clock.later(1.0, lambda: told.append("second"))
    clock.later(1.0, lambda: told.append("third"))
    loop.advance(5)
    assert told == ["first", "third", "at 101.0"]


def test_one_that_is_started_again_and_again_lets_the_loop_go_on(loop: Loop, clock: LoopClock) -> None:
    turns: list[int] = []

    def again() -> None:
        turns.append(len(loop.handles))
        if len(turns) < 5:
            clock.later(0.0, again)

    clock.later(0.0, again)
    loop.handles.pop().call()
    assert len(turns) == 1
    loop.advance(0.0)
    assert len(turns) == 5


def test_others_have_their_turn_after_one_that_raises(loop: Loop, clock: LoopClock) -> None:
    told: list[str] = []

    def fails() -> None:
        raise RuntimeError("ours")

    clock.later(1.0, fails)
    clock.later(1.0, lambda: told.append("second"))
    clock.later(2.0, lambda: told.append("third"))
    with pytest.raises(RuntimeError, match="ours"):
        loop.advance(5)
    loop.advance(5)
    assert told == ["second", "third"]


def test_a_loop_that_is_a_little_early_is_on_time(loop: Loop, clock: LoopClock) -> None:
    told: list[float] = []
    clock.later(0.0019, lambda: told.append(loop.time))
    loop.advance(0.0015)
    assert told == [100.001]


def test_cancelled_timers_take_no_room_for_long(loop: Loop, clock: LoopClock) -> None:
    kept = clock.later(3600.0, lambda: None)
    for _ in range(10_000):
        clock.later(3000.0, lambda: None).cancel()
    assert len(clock._waiting) < 600
    kept.cancel()
    loop.advance(4000)
    assert not loop.pending()
    assert not clock._waiting
