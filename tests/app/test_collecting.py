"""When the cyclic garbage collector looks at what is new, and when at everything."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass

import pytest

from pbx.app.collecting import Collecting, PythonCollector
from tests.support.clock import SteppedClock


@dataclass
class FakeCollector:
    blocks: int = 5_000
    young: int = 0
    whole: int = 0

    def allocated(self) -> int:
        return self.blocks

    def collect_young(self) -> None:
        self.young += 1

    def collect_all(self) -> None:
        self.whole += 1


@pytest.mark.parametrize(
    ("grown", "quiet", "whole"),
    [
        (0, True, 0),
        (999_999, True, 0),
        (1_000_000, True, 1),
        (1_000_000, False, 0),
        (39_999_999, False, 0),
        (40_000_000, False, 1),
    ],
)
def test_everything_is_looked_at_when_it_is_worth_it_and_quiet_or_when_it_cannot_wait(
    grown: int, quiet: bool, whole: int
) -> None:
    clock, collector = SteppedClock(), FakeCollector()
    collecting = Collecting(clock.later, lambda: quiet, collector)
    collecting.start()
    collector.blocks += grown
    clock.advance(59)
    assert (collector.young, collector.whole) == (19, 0)
    clock.advance(61)
    # Of what has stayed after that nothing is new.
    assert (collector.young, collector.whole) == (40 - whole, whole)
    collecting.stop()
    assert not clock.getDelayedCalls()


def test_it_waits_for_a_quiet_minute() -> None:
    clock, collector, busy = SteppedClock(), FakeCollector(), [True]
    collecting = Collecting(clock.later, lambda: not busy[0], collector)
    collecting.start()
    collector.blocks += 2_000_000
    clock.advance(300)
    assert collector.whole == 0
    busy[0] = False
    clock.advance(60)
    assert collector.whole == 1
    collecting.stop()


class Cycle:
    def __init__(self) -> None:
        self.own = self


def test_python_s_collector_frees_new_cycles_and_old_ones() -> None:
    collector = PythonCollector()
    gc.collect()
    gc.disable()
    try:
        kept = Cycle()
        old, new = weakref.ref(kept), weakref.ref(Cycle())
        collector.collect_young()
        assert new() is None
        del kept
        collector.collect_young()
        assert old() is not None
        collector.collect_all()
        assert old() is None
    finally:
        gc.enable()
    assert collector.allocated() > 0
