"""How much one source may send: a token bucket each. Pure, and bounded in memory whatever comes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["RateLimiter"]

KeyT = TypeVar("KeyT", bound=Hashable)


class RateLimiter(Generic[KeyT]):
    """Lets `rate` per second through for each key, and `burst` at once. The clock is the caller's.

    At most `most_keys` are remembered; the one quiet the longest is forgotten first, which gives it a full bucket: a
    source that is limited right now is never the one.
    """

    __slots__ = ("_buckets", "_burst", "_most_keys", "_rate")

    def __init__(self, rate: float, burst: float, most_keys: int = 50_000) -> None:
        self._rate = rate
        self._burst = burst
        self._most_keys = most_keys
        self._buckets: OrderedDict[KeyT, tuple[float, float]] = OrderedDict()
        """Key to tokens left, and when that was."""

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._buckets)

    def allows(self, key: KeyT, now: float) -> bool:
        """Take one token; False if there is none."""
        buckets = self._buckets
        bucket = buckets.get(key)
        if bucket is None:
            if len(buckets) >= self._most_keys:
                buckets.popitem(last=False)
            tokens = self._burst
        else:
            tokens = min(self._burst, bucket[0] + (now - bucket[1]) * self._rate)
            buckets.move_to_end(key)
        allowed = tokens >= 1.0
        buckets[key] = (tokens - 1.0 if allowed else tokens, now)
        return allowed
