"""How many calls a second each source and target has now, where something limits them."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["CallRates"]


class CallRates:
    """A token bucket for each that has a limit: `limit(name)` is its calls a second, None for no limit.

    What was not used within a second is lost: after a silence no more than a second's calls, and one at least, come at
    once. The names are those of configuration and dialplan, so the table does not grow.
    """

    def __init__(self, limit: Callable[[str], float | None], now: Callable[[], float]) -> None:
        self._limit = limit
        self._now = now
        self._buckets: dict[str, tuple[float, float]] = {}
        """Tokens left, and when that was."""

    def allows(self, name: str) -> bool:
        """Take a token of the name's limit; False if there is none."""
        rate = self._limit(name)
        return rate is None or self.within(name, rate)

    def within(self, name: str, rate: float) -> bool:
        """Take a token of a limit that is given; False if there is none."""
        now, burst = self._now(), max(rate, 1.0)
        tokens, at = self._buckets.get(name, (burst, now))
        tokens = min(burst, tokens + (now - at) * rate)
        allowed = tokens >= 1.0
        self._buckets[name] = tokens - 1.0 if allowed else tokens, now
        return allowed
