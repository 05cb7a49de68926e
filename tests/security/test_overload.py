from __future__ import annotations

from collections import deque

import pytest

from pbx.security.overload import OverloadControl, OverloadLimits

TICK = 0.1
ROOM = 4000
REFUSAL = 1 / 30
"""What a refusal costs, in calls."""
T1 = 0.5
"""Seconds after which a client sends again."""


def never() -> bool:
    return False


class Machine:
    """A server that carries `capacity` calls a second, under an `offered` load: what it cannot read waits its turn, in
    steps of a hundredth of a second. A call comes in three messages, one after the other."""

    def __init__(self, capacity: float) -> None:
        self.control = OverloadControl()
        self.capacity = capacity
        self.now, self._arriving, self._power, self._sampled = 0.0, 0.0, 0.0, 0.0
        self.queue: deque[tuple[float, int]] = deque()
        """When each message came, and how many more its call needs."""
        self.taken = self.refused = self.repeated = 0
        self._late = 0.0
        self.waits: list[float] = []
        """How long what was read had waited."""

    def run(self, seconds: float, offered: float, *, pause: float = 0.0) -> None:
        """Go on for a while, standing still for the first `pause` seconds of it."""
        self.taken = self.refused = self.repeated = 0
        self.waits.clear()
        begin = self.now
        while self.now < begin + seconds:
            self.now += TICK / 10
            self._arriving += offered * TICK / 10
            while self._arriving >= 1:
                self._arriving -= 1
                self.queue.append((self.now, 3))
            if self.now >= begin + pause:
                self._work()

    def _work(self) -> None:
        self._power += self.capacity * TICK / 10
        while self.queue and self._power > 0:
            came, left = self.queue.popleft()
            self._late = self.now - came
            self.waits.append(self._late)
            self.repeated += self._late > T1
            if left < 3 or self.control.takes(True, never):
                self.taken += left == 3
                self._power -= 1 / 3
                if left > 1:
                    self.queue.append((self.now, left - 1))
            else:
                self.refused += 1
                self._power -= REFUSAL
        if not self.queue:
            self._late = 0.0
            self._power = min(0.0, self._power)
        if self.now - self._sampled >= TICK:
            self._sampled = self.now
            self.control.sample(self._late, len(self.queue) / ROOM, self.now)


def test_a_load_that_can_be_carried_is_not_touched() -> None:
    machine = Machine(capacity=100)
    machine.run(30, 95)
    assert machine.refused == 0
    assert not machine.control.active


@pytest.mark.parametrize(("capacity", "offered"), [(160, 175), (160, 200), (160, 320), (30, 60), (1000, 1500)])
def test_it_carries_what_it_can_and_nothing_waits_until_it_is_sent_again(capacity: float, offered: float) -> None:
    machine = Machine(capacity)
    machine.run(10, 0.6 * capacity)
    machine.run(5, offered)
    assert machine.refused > 0
    assert machine.repeated == 0, "it is noticed in time"
    machine.run(60, offered)
    assert machine.repeated == 0
    left_for_calls = capacity - REFUSAL * (offered - capacity)
    assert machine.taken >= 60 * 0.95 * left_for_calls
    assert machine.taken + machine.refused >= 60 * offered - 0.5 * capacity, "all are answered"
    assert max(machine.waits) < 0.3


def test_at_twelve_times_the_capacity_what_can_be_carried_is_and_nothing_is_lost() -> None:
    machine = Machine(capacity=160)
    machine.run(20, 90)
    machine.run(10, 2000)
    machine.run(30, 2000)
    assert machine.repeated == 0
    assert machine.taken > 30 * 0.9 * (160 - 2000 * REFUSAL)


@pytest.mark.parametrize("offered", [200, 2000])
def test_after_the_flood_everything_is_taken_again(offered: float) -> None:
    machine = Machine(capacity=160)
    machine.run(10, 100)
    machine.run(20, offered)
    assert machine.control.active
    machine.run(2, 100)
    machine.run(3, 100)
    assert machine.refused == 0, "two seconds later nobody is refused any more"
    assert not machine.control.active, "and strangers are not either, soon after"


@pytest.mark.parametrize("seconds", [0.4, 1.0, 3.0])
def test_who_catches_up_after_a_pause_refuses_nobody(seconds: float) -> None:
    machine = Machine(capacity=160)
    machine.run(10, 120)
    machine.run(30, 120, pause=seconds)
    assert machine.refused == 0
    assert max(machine.waits) >= seconds - TICK


def test_strangers_are_refused_first() -> None:
    control = OverloadControl()
    now = 0.0
    for _ in range(40):
        now += TICK
        assert all(control.takes(True, never) for _ in range(10))
        control.sample(0.0, 0.0, now)
    for _ in range(3):
        now += TICK
        control.sample(0.5, 0.0, now)
    assert control.active
    for _ in range(20):
        now += TICK
        control.sample(0.0, 0.0, now)
        assert not control.takes(False, never)
        assert control.takes(True, never)


def test_a_pause_is_no_overload() -> None:
    control = OverloadControl()
    control.sample(0.0, 0.0, 1.0)
    control.sample(3.0, 0.9, 4.1)
    control.sample(0.0, 0.0, 4.2)
    control.sample(3.0, 0.9, 7.3)
    control.sample(0.0, 0.0, 7.4)
    assert not control.active
    assert control.takes(False, never)


def test_some_calls_are_always_taken() -> None:
    control = OverloadControl(OverloadLimits(least=5.0))
    now = taken = 0.0
    for _ in range(200):
        now += TICK
        control.sample(1.0, 1.0, now)
        taken += control.takes(True, never)
    assert 60 <= taken <= 120
