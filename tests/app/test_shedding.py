"""What overload is judged by: how late timers are, and how long what was read had waited."""

from __future__ import annotations

from pbx.app.shedding import LoadShedding
from pbx.security.overload import OverloadControl
from tests.support.clock import SteppedClock


def never() -> bool:
    return False


class Rig:
    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.waited = 0.0
        self.shedding = LoadShedding(
            OverloadControl(), self.clock.seconds, self.clock.later, lambda: 0.0, lambda: self.waited
        )
        self.shedding.start()

    def takes(self) -> bool:
        return self.shedding.takes(False, never, proven=False)


def test_datagrams_that_wait_are_an_overload_within_half_a_second() -> None:
    rig = Rig()
    rig.clock.advance(5)
    rig.waited = 0.25
    rig.clock.advance(0.45)
    assert not rig.takes()
    assert rig.shedding.control.refused == 1
    rig.waited = 0.0
    rig.clock.advance(3.5)
    assert rig.takes()
    rig.shedding.stop()
    assert not rig.clock.getDelayedCalls()


def test_a_server_that_is_to_take_all_does() -> None:
    rig = Rig()
    rig.shedding.wanted = False
    rig.waited = 1.0
    rig.clock.advance(2)
    assert rig.takes()
    assert rig.shedding.control.refused == 0
