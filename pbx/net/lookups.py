"""Questions to DNS: asked once however many want to know, remembered for as long as the answer says, and bounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from pbx.net.records import Answer, Dns, DnsFailure

if TYPE_CHECKING:
    from pbx.net.clock import Clock
    from pbx.sip.stack import Timer

__all__ = ["COUNTERS", "LookupSettings", "Lookups", "Outcome"]

COUNTERS: Final = {
    "dns_asked": "questions sent to DNS",
    "dns_cached": "questions answered from memory",
    "dns_shared": "questions that joined one already under way",
    "dns_failed": "questions that DNS failed to answer, or not in time",
    "dns_stale": "failures that an older answer stood in for (RFC 8767)",
    "dns_refused": "questions not asked because too many were under way",
}
"""Every counter of DNS and what it counts."""

_SHORTER: Final = 0.5
"""The part of its time that DNS gets while an older answer stands by: one call may make three questions, one after the
other, and is given the older answers before its own patience ends."""

Outcome = Answer | DnsFailure
Key = tuple[str, str]


class LookupSettings(Protocol):
    """What is wanted of `resolver.ResolverSettings` here."""

    @property
    def question(self) -> float: ...  # noqa: D102 - described there

    @property
    def outstanding(self) -> int: ...  # noqa: D102

    @property
    def cached(self) -> int: ...  # noqa: D102

    @property
    def longest(self) -> float: ...  # noqa: D102

    @property
    def longest_negative(self) -> float: ...  # noqa: D102

    @property
    def failure(self) -> float: ...  # noqa: D102

    @property
    def stale(self) -> float: ...  # noqa: D102


@dataclass(slots=True)
class _Known:
    outcome: Outcome
    until: float
    """Until when it is given without asking."""
    end: float
    """Until when it may stand in for an answer that DNS fails to give."""
    failing: bool = False
    """Whether it does, since DNS failed when it was asked last."""


@dataclass(slots=True)
class _Asked:
    waiting: list[Callable[[Outcome], None]]
    timer: Timer | None = None


class Lookups:
    """A cache in front of DNS."""

    __slots__ = ("_asked", "_clock", "_dns", "_known", "_settings", "counters")

    def __init__(self, dns: Dns, clock: Clock, settings: LookupSettings) -> None:
        self._dns = dns
        self._clock = clock
        self._settings = settings
        self._known: dict[Key, _Known] = {}
        self._asked: dict[Key, _Asked] = {}
        self.counters: dict[str, int] = dict.fromkeys(COUNTERS, 0)

    @property
    def outstanding(self) -> int:
        """How many questions are under way."""
        return len(self._asked)

    def __len__(self) -> int:
        return len(self._known)

    def forget(self) -> None:
        """Forget every answer, as a reload of the configuration asks for."""
        self._known.clear()

    def find(self, name: str, kind: str, done: Callable[[Outcome], None]) -> None:
        """Give `done` the records of `name`, at once if they are known."""
        key = (name, kind)
        now = self._clock.seconds()
        known = self._known.get(key)
        if known is not None and known.until > now:
            self.counters["dns_cached"] += 1
            done(known.outcome)
            return
        if known is not None and known.failing and known.end > now:
            # RFC 8767 §5: a recursive resolver that cannot refresh its data may answer with stale data right away while
            # it goes on trying.
            if key not in self._asked and len(self._asked) < self._settings.outstanding:
                self._ask(key, _Asked([]))
            self.counters["dns_stale"] += 1
            done(self._known[key].outcome)
            return
        asked = self._asked.get(key)
        if asked is not None:
            self.counters["dns_shared"] += 1
            asked.waiting.append(done)
            return
        if len(self._asked) >= self._settings.outstanding:
            self.counters["dns_refused"] += 1
            done(self._instead(key, DnsFailure("too many questions to DNS are under way")))
            return
        self._ask(key, _Asked([done]))

    def _ask(self, key: Key, asked: _Asked) -> None:
        self.counters["dns_asked"] += 1
        self._asked[key] = asked
        name, kind = key
        self._dns.lookup(name, kind, partial(self._answered, key, asked))
        if self._asked.get(key) is asked:
            late = DnsFailure(f"DNS did not answer in time for {name}")
            patience = self._settings.question * (_SHORTER if self._stands_by(key) else 1.0)
            asked.timer = self._clock.later(patience, partial(self._answered, key, asked, late))

    def _stands_by(self, key: Key) -> bool:
        known = self._known.get(key)
        return known is not None and known.end > self._clock.seconds() and isinstance(known.outcome, Answer)

    def _answered(self, key: Key, asked: _Asked, outcome: Outcome) -> None:
        if self._asked.get(key) is not asked:
            # It was too late, and whoever waited has been told.
            if isinstance(outcome, Answer):
                self._remember(key, outcome)
            return
        del self._asked[key]
        if asked.timer is not None:
            asked.timer.cancel()
        if isinstance(outcome, DnsFailure):
            self.counters["dns_failed"] += 1
            outcome = self._instead(key, outcome)
        else:
            self._remember(key, outcome)
        for done in asked.waiting:
            done(outcome)

    def _remember(self, key: Key, answer: Answer) -> None:
        settings = self._settings
        ttl = min(answer.ttl, settings.longest if answer.records else settings.longest_negative)
        until = self._clock.seconds() + ttl
        self._store(key, _Known(answer, until, until + settings.stale if answer.records else until))

    def _instead(self, key: Key, failure: DnsFailure) -> Outcome:
        """Return an old answer that may stand in for a failure, else the failure; either is given for a while."""
        now = self._clock.seconds()
        if self._stands_by(key):
            known = self._known[key]
            self.counters["dns_stale"] += 1
            known.until = now + self._settings.failure
            known.failing = True
            return known.outcome
        self._store(key, _Known(failure, now + self._settings.failure, now))
        return failure

    def _store(self, key: Key, known: _Known) -> None:
        # Taken out first, so that the order of the table is the order of storing.
        self._known.pop(key, None)
        self._known[key] = known
        if len(self._known) > self._settings.cached:
            now = self._clock.seconds()
            self._known = {name: each for name, each in self._known.items() if max(each.until, each.end) > now}
            for name in list(self._known)[: len(self._known) - self._settings.cached * 9 // 10]:
                del self._known[name]
