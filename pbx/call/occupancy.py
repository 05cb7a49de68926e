"""How many calls each extension and trunk has now, where configuration limits them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

__all__ = ["Occupancy"]


class Occupancy:
    """Counts calls by target; `limit(target)` is the most that it may have, None for no limit.

    The phones of an extension, which ring together, are one call, however many legs that takes.
    """

    def __init__(self, limit: Callable[[str], int | None]) -> None:
        self._limit = limit
        self._legs: dict[str, Counter[str]] = {}

    def enter(self, target: str, call: str) -> None:
        """Count a leg of a call that begins."""
        legs = self._legs.get(target)
        if legs is None:
            legs = self._legs[target] = Counter()
        legs[call] += 1

    def leave(self, target: str, call: str) -> None:
        """Count a leg of a call that ends."""
        legs = self._legs[target]
        legs[call] -= 1
        if not legs[call]:
            del legs[call]
            if not legs:
                del self._legs[target]

    def full(self, target: str) -> bool:
        """Return whether a target has as many calls as it may have."""
        return self.reached(target, self._limit(target))

    def has(self, target: str, call: str) -> bool:
        """Return whether a call is one of a target's."""
        return call in self._legs.get(target, ())

    def reached(self, target: str, limit: int | None) -> bool:
        """Return whether there are as many calls as a limit that is given allows."""
        return limit is not None and self.of(target) >= limit

    def of(self, target: str) -> int:
        """Return how many calls a target has."""
        return len(self._legs.get(target, ()))
