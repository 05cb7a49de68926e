"""How many calls each extension and trunk has now, where configuration limits them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

__all__ = ["Occupancy"]


class Occupancy:
    """Counts legs by target; `limit(target)` is the most that it may have, None for no limit."""

    def __init__(self, limit: Callable[[str], int | None]) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()

    def enter(self, target: str) -> None:
        """Count a leg that begins."""
        self._counts[target] += 1

    def leave(self, target: str) -> None:
        """Count a leg that ends."""
        left = self._counts[target] - 1
        if left > 0:
            self._counts[target] = left
        else:
            del self._counts[target]

    def full(self, target: str) -> bool:
        """Return whether a target has as many calls as it may have."""
        limit = self._limit(target)
        return limit is not None and self._counts[target] >= limit

    def of(self, target: str) -> int:
        """Return how many legs a target has."""
        return self._counts[target]
