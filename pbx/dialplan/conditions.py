"""The conditions of a route's ``when:``. Each can say whether it holds, and why."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Protocol

from pbx.dialplan.decision import Query
from pbx.dialplan.pattern import Pattern
from pbx.dialplan.windows import Window
from pbx.values import dataclass

__all__ = [
    "ANONYMOUS",
    "CallerCondition",
    "CodecCondition",
    "Condition",
    "HeaderCondition",
    "NumberCondition",
    "Source",
    "SourceCondition",
    "TimeCondition",
    "VERIFICATIONS",
    "VerificationCondition",
    "local_time",
]

VERIFICATIONS = ("passed", "failed", "none")
"""What can be said of who calls: its signature holds, does not hold, or there is none that could be checked."""
ANONYMOUS = "anonymous"
"""As a ``caller``: one whose number is unknown or withheld."""


class Condition(Protocol):
    """One thing that must be so for a route to match."""

    def holds(self, query: Query) -> bool:
        """Return whether it is so."""

    def explain(self, query: Query) -> str:
        """Return in words what was compared with what, as a clause that names the outcome."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a call may come from. `kind` is ``extension``, ``trunk`` or ``any``; an empty `name` means every one of
    the kind."""

    kind: str
    name: str = ""

    def holds(self, kind: str, name: str) -> bool:
        """Return whether a call from ``kind/name`` comes from here."""
        return self.kind == "any" or (self.kind == kind and self.name in ("", name))

    def covers(self, other: Source) -> bool:
        """Return whether every call from `other` also comes from here."""
        return self.kind == "any" or (self.kind == other.kind and self.name in ("", other.name))

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.name else self.kind


@dataclass(frozen=True, slots=True)
class SourceCondition:
    """``from:`` one of some sources."""

    sources: tuple[Source, ...]

    def holds(self, query: Query) -> bool:
        """Return whether the call comes from one of them."""
        kind, _, name = query.source.partition("/")
        return any(source.holds(kind, name) for source in self.sources)

    def explain(self, query: Query) -> str:
        """Say where the call comes from, and where it would have to."""
        wanted = _either([str(source) for source in self.sources])
        if self.holds(query):
            return f"from {query.source}"
        return f"it is for calls from {wanted}, not from {query.source}"


@dataclass(frozen=True, slots=True)
class NumberCondition:
    """``number:`` one of some patterns."""

    patterns: tuple[Pattern, ...]

    def find(self, number: str) -> Pattern | None:
        """Return the first pattern that matches."""
        for pattern in self.patterns:
            if pattern.match(number) is not None:
                return pattern
        return None

    def holds(self, query: Query) -> bool:
        """Return whether a pattern matches the number dialled."""
        return self.find(query.number) is not None

    def explain(self, query: Query) -> str:
        """Say which pattern matches, or that none does."""
        pattern = self.find(query.number)
        if pattern is not None:
            return f"{query.number} matches {pattern}"
        return f"{query.number or 'an empty number'} does not match {_either([str(each) for each in self.patterns])}"


@dataclass(frozen=True, slots=True)
class CallerCondition:
    """``caller:`` one of some patterns, or anonymous."""

    patterns: tuple[Pattern, ...]
    anonymous: bool = False

    def holds(self, query: Query) -> bool:
        """Return whether the caller's number matches."""
        if not query.caller:
            return self.anonymous
        return any(pattern.match(query.caller) is not None for pattern in self.patterns)

    def explain(self, query: Query) -> str:
        """Say who calls, and who would have to."""
        wanted = _either([str(each) for each in self.patterns] + [ANONYMOUS] * self.anonymous)
        caller = query.caller or "without a number"
        return f"the caller {caller} {'matches' if self.holds(query) else 'does not match'} {wanted}"


@dataclass(frozen=True, slots=True)
class HeaderCondition:
    """``header:`` a header whose value is as written, without regard to case, or matches a regular expression."""

    name: str
    text: str
    regex: Pattern | None = None

    def holds(self, query: Query) -> bool:
        """Return whether a header of that name has such a value."""
        return any(name.lower() == self.name.lower() and self._fits(value) for name, value in query.headers)

    def explain(self, query: Query) -> str:
        """Say what the header holds, and what it would have to."""
        if self.holds(query):
            return f"header {self.name} is {self.text}"
        values = [value for name, value in query.headers if name.lower() == self.name.lower()]
        return f"header {self.name} is {_either(values) if values else 'absent'}, not {self.text}"

    def _fits(self, value: str) -> bool:
        return self.regex.match(value) is not None if self.regex is not None else value.lower() == self.text.lower()


@dataclass(frozen=True, slots=True)
class VerificationCondition:
    """``verification:`` what the signature of a call says of who calls is one of `outcomes`."""

    outcomes: tuple[str, ...]

    def holds(self, query: Query) -> bool:
        """Return whether it is."""
        return query.verification in self.outcomes

    def explain(self, query: Query) -> str:
        """Say what it says, and what it would have to."""
        if self.holds(query):
            return f"verification is {query.verification}"
        return f"verification is {query.verification}, not {_either(list(self.outcomes))}"


@dataclass(frozen=True, slots=True)
class CodecCondition:
    """``codec:`` the caller offers one of some codecs; names without regard to case."""

    names: tuple[str, ...]

    def holds(self, query: Query) -> bool:
        """Return whether one of them is offered."""
        wanted = {name.lower() for name in self.names}
        return any(codec.lower() in wanted for codec in query.codecs)

    def explain(self, query: Query) -> str:
        """Say what is offered, and what would have to be."""
        offered = ", ".join(query.codecs) or "no codec"
        among = "among them" if self.holds(query) else "not"
        return f"the caller offers {offered}, {among} {_either(list(self.names))}"


@dataclass(frozen=True, slots=True)
class TimeCondition:
    """``at:`` within one of the windows `within`, if there are any, and within none of `outside`."""

    text: str
    within: tuple[Window, ...]
    outside: tuple[Window, ...]
    zone: tzinfo | None

    def holds(self, query: Query) -> bool:
        """Return whether the moment of the call is such a time."""
        local = local_time(query, self.zone)
        return (not self.within or any(window.holds(local) for window in self.within)) and not any(
            window.holds(local) for window in self.outside
        )

    def explain(self, query: Query) -> str:
        """Say what time it is, and what time it would have to be."""
        local = local_time(query, self.zone)
        return f"{local:%a %Y-%m-%d %H:%M} is {'within' if self.holds(query) else 'not within'} {self.text}"


def local_time(query: Query, zone: tzinfo | None) -> datetime:
    """Return the moment of the call on the clock of the plan's zone; without one, on the clock that the query was
    made with."""
    return query.at if zone is None else query.at.astimezone(zone)


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}" if words else "nobody"
