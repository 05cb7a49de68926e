from __future__ import annotations

from pbx.security.rates import RateLimiter


def test_a_burst_and_then_the_rate() -> None:
    limiter: RateLimiter[str] = RateLimiter(10.0, 5.0)
    assert [limiter.allows("a", 0.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert limiter.allows("b", 0.0)
    allowed = sum(limiter.allows("a", 0.01 * tick) for tick in range(1, 1001))
    assert 99 <= allowed <= 101
    assert [limiter.allows("a", 1000.0) for _ in range(6)] == [True] * 5 + [False]


def test_a_flood_of_sources_does_not_free_the_busiest() -> None:
    limiter: RateLimiter[int] = RateLimiter(1.0, 2.0, most_keys=100)
    passed = 0
    for source in range(1, 5001):
        limiter.allows(source, 0.0)
        passed += limiter.allows(0, 0.0)
    assert passed == 2
    assert len(limiter) == 100
