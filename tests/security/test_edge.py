from __future__ import annotations

from pbx.security.edge import EdgeGuard, EdgeLimits
from pbx.security.failures import FailureLimits

LIMITS = EdgeLimits(
    rate=10.0,
    burst=20.0,
    hosts=FailureLimits(free=2, ban_after=8, forgive_every=5.0),
    users=FailureLimits(free=1, ban_after=4),
)
PHONE, STRANGER = ("192.0.2.1", 5060), ("192.0.2.1", 40000)


def guard() -> EdgeGuard[tuple[str, int]]:
    return EdgeGuard(lambda way: way == PHONE, LIMITS)


def test_a_stranger_is_limited_and_the_phone_beside_it_is_not() -> None:
    edge = guard()
    passed = [sum(edge.admits(way, "192.0.2.1", 0.0) for _ in range(100)) for way in (STRANGER, PHONE)]
    assert passed == [20, 100]
    assert (edge.dropped_rate, edge.dropped_banned) == (80, 0)


def test_one_user_s_failures_ban_that_user_and_many_users_ban_the_host() -> None:
    edge = guard()
    for _ in range(5):
        penalty = edge.failed("192.0.2.1", "101", 0.0)
    assert penalty.banned
    assert edge.user_banned(STRANGER, "192.0.2.1", "101", 1.0)
    assert not edge.user_banned(STRANGER, "192.0.2.1", "102", 1.0)
    assert not edge.user_banned(STRANGER, "192.0.2.9", "101", 1.0)
    assert not edge.user_banned(PHONE, "192.0.2.1", "101", 1.0)
    assert edge.admits(STRANGER, "192.0.2.1", 1.0)
    for number in range(6):
        edge.failed("192.0.2.1", f"guess-{number}", 1.0)
    assert not edge.admits(STRANGER, "192.0.2.1", 2.0)
    assert edge.admits(PHONE, "192.0.2.1", 2.0)
    assert edge.dropped_banned == 1
    assert edge.admits(STRANGER, "192.0.2.1", 302.0)


def test_success_forgives_the_user_but_not_the_host() -> None:
    edge = guard()
    for number in range(9):
        edge.failed("192.0.2.1", f"guess-{number}", 0.0)
        edge.succeeded("192.0.2.1", "mine")
    assert not edge.admits(STRANGER, "192.0.2.1", 0.0)


def test_garbage_bans_its_sender() -> None:
    edge = guard()
    for _ in range(9):
        edge.offended("192.0.2.7", 0.0)
    assert not edge.admits(("192.0.2.7", 1), "192.0.2.7", 0.0)


def test_a_rate_of_nothing_is_no_limit() -> None:
    edge: EdgeGuard[tuple[str, int]] = EdgeGuard(lambda way: False, EdgeLimits(rate=0.0))
    assert all(edge.admits(STRANGER, "192.0.2.1", 0.0) for _ in range(5000))
