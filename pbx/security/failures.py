"""Who fails too often: a growing delay, then a ban. Pure, and bounded in memory whatever comes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["FailureCounter", "FailureLimits", "Penalty"]

KeyT = TypeVar("KeyT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class FailureLimits:
    """When failing has consequences. Times are seconds."""

    free: int = 3
    """Failures without consequence: somebody mistypes."""
    first_delay: float = 0.5
    longest_delay: float = 8.0
    ban_after: int = 20
    ban: float = 300.0
    longest_ban: float = 86_400.0
    """A ban that follows another one doubles, up to this."""
    forgive_every: float = 60.0
    """One failure is forgotten each time this has passed."""
    most_keys: int = 50_000
    """Beyond it the one that failed longest ago is forgotten."""


@dataclass(frozen=True, slots=True)
class Penalty:
    """What a failure costs: wait `delay` seconds with the answer; or with `banned`, do not answer at all."""

    delay: float = 0.0
    banned: bool = False


@dataclass(slots=True)
class _Record:
    score: float
    at: float
    banned_until: float = 0.0
    bans: int = 0


_NOTHING = Penalty()


class FailureCounter(Generic[KeyT]):
    """Counts failures by key (an address, an address with a user name). The clock is the caller's."""

    def __init__(self, limits: FailureLimits) -> None:
        self._limits = limits
        self._records: OrderedDict[KeyT, _Record] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._records)

    def failed(self, key: KeyT, now: float) -> Penalty:
        """Count a failure, and return what it costs."""
        limits = self._limits
        record = self._records.get(key)
        if record is None:
            if len(self._records) >= limits.most_keys:
                self._records.popitem(last=False)
            record = self._records[key] = _Record(0.0, now)
        else:
            # The first one is always the one that failed longest ago.
            self._records.move_to_end(key)
        record.score = self._score(record, now) + 1.0
        record.at = now
        if record.banned_until > now:
            return Penalty(banned=True)
        if record.score > limits.ban_after:
            # A ban forgives nothing: the next failure after it bans again, for twice as long.
            record.banned_until = now + min(limits.longest_ban, limits.ban * 2**record.bans)
            record.bans = min(record.bans + 1, 32)
            record.score = float(limits.ban_after)
            return Penalty(banned=True)
        excess = record.score - limits.free
        if excess <= 0:
            return _NOTHING
        return Penalty(min(limits.longest_delay, limits.first_delay * 2.0 ** min(excess - 1, 32)))

    def banned(self, key: KeyT, now: float) -> bool:
        """Return whether this key is banned now."""
        record = self._records.get(key)
        return record is not None and record.banned_until > now

    def succeeded(self, key: KeyT) -> None:
        """Forget the failures of a key."""
        self._records.pop(key, None)

    def _score(self, record: _Record, now: float) -> float:
        return max(0.0, record.score - (now - record.at) / self._limits.forgive_every)
