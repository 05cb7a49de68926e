from __future__ import annotations

from pbx.security.overload import OverloadControl, OverloadLimits

TICK = 0.1


class Machine:
    """A server that carries `capacity` calls a second, under an `offered` load: what it cannot read waits."""

    def __init__(self, capacity: float, room: float = 2000.0) -> None:
        self.control = OverloadControl()
        self.capacity, self.room = capacity, room
        self.waiting, self.now, self._part = 0.0, 0.0, 0.0
        self.taken = self.refused = self.lost = 0

    def run(self, seconds: float, offered: float, known: bool = True) -> None:
        """A refusal costs a tenth of a call."""
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self.waiting += offered * TICK
            if self.waiting > self.room:
                self.lost += round(self.waiting - self.room)
                self.waiting = self.room
            work = self.capacity * TICK
            while self.waiting >= 1 and work > 0:
                self.waiting -= 1
                if self.control.takes(known):
                    self.taken += 1
                    work -= 1
                else:
                    self.refused += 1
                    work -= 0.1
            self.control.sample(0.0, self.waiting / self.room, self.now)


def test_a_load_that_can_be_carried_is_not_touched() -> None:
    machine = Machine(capacity=100)
    machine.run(30, 90)
    assert machine.refused == 0
    assert not machine.control.active


def test_at_five_times_the_capacity_what_can_be_carried_is_and_nothing_waits() -> None:
    machine = Machine(capacity=100)
    machine.run(20, 90)
    machine.taken = 0
    machine.run(10, 500)
    machine.taken = machine.lost = 0
    machine.run(30, 500)
    assert machine.lost == 0, "all are answered"
    assert machine.waiting < machine.room / 2
    assert machine.taken > 30 * 100 * 0.4, "a refusal costs something, too"


def test_after_the_flood_everything_is_taken_again() -> None:
    machine = Machine(capacity=100)
    machine.run(10, 50)
    machine.run(10, 800)
    assert machine.control.active
    machine.run(20, 50)
    machine.refused = 0
    machine.run(20, 50)
    assert machine.refused == 0
    assert not machine.control.active


def test_strangers_are_refused_first() -> None:
    control = OverloadControl()
    now = 0.0
    for _ in range(40):
        now += TICK
        assert all(control.takes(True) for _ in range(10))
        control.sample(0.0, 0.0, now)
    for _ in range(3):
        now += TICK
        control.sample(0.5, 0.0, now)
    assert control.active
    for _ in range(20):
        now += TICK
        control.sample(0.0, 0.0, now)
        assert not control.takes(False)
        assert control.takes(True)


def test_a_pause_is_no_overload() -> None:
    control = OverloadControl()
    control.sample(0.0, 0.0, 1.0)
    control.sample(3.0, 0.9, 4.1)
    control.sample(0.0, 0.0, 4.2)
    control.sample(3.0, 0.9, 7.3)
    control.sample(0.0, 0.0, 7.4)
    assert not control.active
    assert control.takes(False)


def test_some_calls_are_always_taken() -> None:
    control = OverloadControl(OverloadLimits(least=5.0))
    now = taken = 0.0
    for _ in range(200):
        now += TICK
        control.sample(1.0, 1.0, now)
        taken += control.takes(True)
    assert 60 <= taken <= 120
