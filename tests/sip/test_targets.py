"""Falling over from one target to the next (RFC 3263 §4.3), and the memory of dead ones."""

from __future__ import annotations

import pytest

from pbx.sip.targets import DeadTargets, Failover, Target

A, B, C = (Target("udp", f"192.0.2.{number}", 5060) for number in (1, 2, 3))


def test_targets_in_order_until_one_answers():
    dead = DeadTargets()
    failover = Failover([A, B, C], dead, 0.0)
    assert failover.current == A
    assert failover.failure("timeout", 32.0) == B
    assert failover.response(503, 33.0) == C
    assert failover.response(100, 34.0) is None
    assert failover.response(180, 35.0) is None
    assert failover.settled
    assert failover.response(503, 36.0) is None, "the caller has heard of this one already"
    assert dead.dead(A, 40.0)
    assert dead.dead(B, 40.0)
    assert not dead.dead(C, 40.0)


@pytest.mark.parametrize("status", [180, 183, 200, 302, 404, 486, 500, 504, 603])
def test_any_other_response_is_an_answer(status: int):
    failover = Failover([A, B], DeadTargets(), 0.0)
    assert failover.response(status, 1.0) is None
    assert failover.failure("timeout", 2.0) is None
    assert failover.failure("transport", 2.0) is None


def test_the_last_failure_is_passed_up():
    failover = Failover([A], DeadTargets(), 0.0)
    assert failover.response(503, 1.0) is None
    assert failover.settled
    assert Failover([], DeadTargets(), 0.0).current is None


def test_after_a_100_a_timeout_is_no_reason_to_ask_somebody_else_but_a_broken_transport_is():
    failover = Failover([A, B], DeadTargets(), 0.0)
    failover.response(100, 1.0)
    assert failover.failure("timeout", 32.0) is None
    assert failover.failure("transport", 32.0) == B


@pytest.mark.parametrize("kind", ["cancelled", "resolve"])
def test_other_failures_are_final(kind: str):
    assert Failover([A, B], DeadTargets(), 0.0).failure(kind, 1.0) is None


def test_a_cancelled_request_goes_nowhere_else():
    failover = Failover([A, B], DeadTargets(), 0.0)
    failover.settle()
    assert failover.response(503, 1.0) is None
    assert failover.failure("transport", 1.0) is None


def test_dead_targets_come_last_and_come_back():
    dead = DeadTargets(duration=60.0)
    dead.mark(A, 0.0)
    assert dead.ordered([A, B, C], 59.9) == (B, C, A)
    assert Failover([A, B], dead, 59.9).current == B
    assert dead.ordered([A, B, C], 60.0) == (A, B, C)
    assert len(dead) == 0


def test_if_all_are_dead_all_are_tried():
    dead = DeadTargets()
    for target in (A, B):
        dead.mark(target, 0.0)
    failover = Failover([A, B], dead, 1.0)
    assert failover.current == A
    assert failover.failure("transport", 1.0) == B


def test_what_died_while_waiting_comes_last():
    dead = DeadTargets()
    failover = Failover([A, B, C], dead, 0.0)
    dead.mark(B, 1.0)
    assert failover.failure("timeout", 32.0) == C
    assert failover.failure("timeout", 64.0 - 4) == B


def test_retry_after_decides_how_long_within_limits():
    dead = DeadTargets(duration=60.0, longest=600.0)
    Failover([A, B], dead, 0.0).response(503, 0.0, retry_after=5.0)
    Failover([B, A], dead, 0.0).response(503, 0.0, retry_after=86_400.0)
    assert not dead.dead(A, 5.0)
    assert dead.dead(B, 599.9)
    assert not dead.dead(B, 600.0)


def test_an_answer_revives():
    dead = DeadTargets()
    dead.mark(A, 0.0)
    Failover([A], dead, 1.0).response(200, 1.0)
    assert not dead.dead(A, 1.0)


def test_the_name_is_no_part_of_what_is_dead_and_the_transport_is():
    dead = DeadTargets()
    dead.mark(Target("tls", "192.0.2.1", 5061, "a.example.com"), 0.0)
    assert dead.dead(Target("tls", "192.0.2.1", 5061, "b.example.com"), 1.0)
    assert not dead.dead(Target("tcp", "192.0.2.1", 5061), 1.0)


def test_the_memory_is_bounded():
    dead = DeadTargets(limit=100)
    for number in range(1000):
        dead.mark(Target("udp", f"192.0.2.{number}", 5060), float(number))
    assert len(dead) <= 100
    assert dead.dead(Target("udp", "192.0.2.999", 5060), 1000.0)
