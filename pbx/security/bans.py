"""Who is banned, why, and for how long: the list that outlives a restart, and that operators read and change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Ban", "BanKeeper", "BanLimits", "BanList"]


@dataclass(frozen=True, slots=True)
class BanLimits:
    """How long bans last. Times are seconds."""

    first: float = 300.0
    longest: float = 86_400.0
    """A ban that follows another one doubles, up to this."""
    remembered: float = 86_400.0
    """How long after its end a ban still makes the next one longer."""
    most: int = 50_000
    """Beyond it the one that was banned longest ago is let go."""


@dataclass(frozen=True, slots=True)
class Ban:
    """One source that is, or was, banned. Times are seconds since the epoch; `until` may have passed."""

    source: str
    """See `pbx.security.sources.source_of`."""
    reason: str
    since: float
    until: float
    count: int
    """Bans so far that make the next one longer, this one among them unless its source may have been made up."""

    def row(self) -> dict[str, Any]:
        """Return the row that the store keeps."""
        return {
            "source": self.source,
            "reason": self.reason,
            "since": self.since,
            "until": self.until,
            "count": self.count,
        }


class BanKeeper(Protocol):
    """Keeps bans over a restart (`pbx.store.bans.BanTable`). Must not wait."""

    def put(self, source: str, ban: Ban) -> None:
        """Keep a ban."""

    def delete(self, source: str) -> None:
        """Forget one."""


class BanList:
    """Bans by source. `wall` gives the seconds since the epoch; a wall clock that jumps moves ends of bans with it.

    `told` hears of every source that is banned (with the seconds) or let go (None): a firewall.
    """

    def __init__(self, limits: BanLimits, wall: Callable[[], float], keeper: BanKeeper | None = None) -> None:
        self.limits = limits
        self.told: list[Callable[[str, float | None], None]] = []
        self.counts: dict[str, int] = {}
        """Bans since the start, by reason."""
        self._wall = wall
        self._keeper = keeper
        self._bans: OrderedDict[str, Ban] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are banned now."""
        now = self._wall()
        return sum(ban.until > now for ban in self._bans.values())

    def __iter__(self) -> Iterator[Ban]:
        """Return those banned now, the one whose ban ends last first."""
        now = self._wall()
        return iter(sorted([ban for ban in self._bans.values() if ban.until > now], key=lambda ban: -ban.until))

    def restore(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Take what an earlier run kept; return how many are banned still."""
        now = self._wall()
        for row in sorted(rows, key=lambda row: float(row["since"])):
            ban = Ban(row["source"], row["reason"], row["since"], row["until"], row["count"])
            if ban.until + self.limits.remembered <= now:
                if self._keeper is not None:
                    self._keeper.delete(ban.source)
                continue
            self._bans[ban.source] = ban
            if ban.until > now:
                self._tell(ban.source, ban.until - now)
        return len(self)

    def get(self, source: str) -> Ban | None:
        """Return the last ban of a source, which may be over."""
        return self._bans.get(source)

    def banned(self, source: str) -> bool:
        """Return whether a source is banned now."""
        ban = self._bans.get(source)
        return ban is not None and ban.until > self._wall()

    def ban(self, source: str, reason: str, seconds: float | None = None, *, counts: bool = True) -> Ban:
        """Ban a source: for `seconds`, or for twice as long as the last time. One that is banned stays so at least.

        One that does not count makes no later one longer.
        """
        now, limits = self._wall(), self.limits
        before = self._bans.pop(source, None)
        if before is not None and before.until + limits.remembered <= now:
            before = None
        count = (before.count if before is not None else 0) + counts
        if seconds is None:
            seconds = min(limits.longest, limits.first * 2.0 ** min(count - 1, 32))
        until = max(now + seconds, before.until if before is not None else 0.0)
        self._make_room(now)
        made = self._bans[source] = Ban(source, reason, now, until, count)
        kind = reason.partition(":")[0]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self._keeper is not None:
            self._keeper.put(source, made)
        self._tell(source, until - now)
        return made

    def lift(self, source: str) -> bool:
        """Let a source go, and forget that it was ever banned; False if it was not."""
        ban = self._bans.pop(source, None)
        if ban is None:
            return False
        if self._keeper is not None:
            self._keeper.delete(source)
        self._tell(source, None)
        return ban.until > self._wall()

    def _make_room(self, now: float) -> None:
        # The first ones were banned longest ago.
        while self._bans:
            oldest = next(iter(self._bans.values()))
            if len(self._bans) < self.limits.most and oldest.until + self.limits.remembered > now:
                return
            del self._bans[oldest.source]
            if self._keeper is not None:
                self._keeper.delete(oldest.source)
            if oldest.until > now:
                self._tell(oldest.source, None)

    def _tell(self, source: str, seconds: float | None) -> None:
        for tell in self.told:
            tell(source, seconds)
