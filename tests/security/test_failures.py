from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pbx.security.failures import FailureCounter, FailureLimits, Penalty

LIMITS = FailureLimits(
    free=2, first_delay=1.0, longest_delay=4.0, ban_after=6, ban=100.0, longest_ban=300.0, forgive_every=10.0
)


def test_the_delay_grows_and_then_there_is_a_ban() -> None:
    counter: FailureCounter[str] = FailureCounter(LIMITS)
    penalties = [counter.failed("a", 0.0) for _ in range(8)]
    assert [penalty.delay for penalty in penalties] == [0, 0, 1, 2, 4, 4, 0, 0]
    assert [penalty.banned for penalty in penalties] == [False] * 6 + [True] * 2
    assert counter.banned("a", 99.9)
    assert not counter.banned("a", 100.0)
    assert not counter.banned("b", 0.0)


def test_bans_that_follow_each_other_double_up_to_a_limit() -> None:
    counter: FailureCounter[str] = FailureCounter(LIMITS)
    now, lengths = 0.0, []
    for _ in range(4):
        while not counter.failed("a", now).banned:
            pass
        start = now
        while counter.banned("a", now):
            now += 10
        lengths.append(now - start)
    assert lengths == [100, 200, 300, 300]


def test_failures_are_forgotten_with_time_and_by_success() -> None:
    counter: FailureCounter[str] = FailureCounter(LIMITS)
    for tick in range(100):
        assert counter.failed("slow", tick * 10.0) == Penalty()
    for _ in range(5):
        counter.failed("typist", 0.0)
    counter.succeeded("typist")
    assert counter.failed("typist", 0.0) == Penalty()


@given(st.lists(st.tuples(st.integers(0, 200), st.floats(0, 1000)), max_size=300))
def test_memory_is_bounded_and_the_worst_is_not_forgotten_first(failures: list[tuple[int, float]]) -> None:
    counter: FailureCounter[int] = FailureCounter(FailureLimits(most_keys=10))
    for key, now in failures:
        penalty = counter.failed(key, now)
        assert 0 <= penalty.delay <= 8.0
        assert len(counter) <= 10
    if failures:
        key, now = failures[-1]
        before = len(counter)
        counter.failed(key, now)
        assert len(counter) == before
