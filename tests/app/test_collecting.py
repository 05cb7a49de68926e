"""When the cyclic garbage collector looks at everything."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pbx.app.collecting import Collecting
from tests.support.clock import SteppedClock


@dataclass
class FakeCollector:
    grown: int = 0
    runs: int = 0

    def get_count(self) -> tuple[int, int, int]:
        return (0, self.grown, 0)

    def collect(self) -> int:
        self.runs += 1
        self.grown = 0
        return 0


@pytest.mark.parametrize(
    ("grown", "quiet", "runs"),
    [
        (0, True, 0),
        (49, True, 0),
        (50, True, 1),
        (50, False, 0),
        (999, False, 0),
        (1000, False, 1),
    ],
)
def test_everything_is_looked_at_when_it_is_worth_it_and_quiet_or_when_it_cannot_wait(grown, quiet, runs):
    clock, collector = SteppedClock(), FakeCollector(grown)
    collecting = Collecting(clock.later, lambda: quiet, collector)
    collecting.start()
    clock.advance(59)
    assert collector.runs == 0
    clock.advance(61)
    assert collector.runs == runs
    collecting.stop()
    assert not clock.getDelayedCalls()


def test_it_waits_for_a_quiet_minute():
    clock, collector, busy = SteppedClock(), FakeCollector(60), [True]
    collecting = Collecting(clock.later, lambda: not busy[0], collector)
    collecting.start()
    clock.advance(300)
    assert collector.runs == 0
    busy[0] = False
    clock.advance(60)
    assert collector.runs == 1
    collecting.stop()
