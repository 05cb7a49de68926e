"""Who can reach what costs money: proven for every number that can be dialled, not tried on some.

For each source that a plan tells apart, the routes are gone through in order with the *set* of numbers that get there:
what a route surely takes is taken out before the next one. The set of a route is carried through its steps (``set
number``, ``goto``, ``on``) to each trunk or URI that they dial, and cut with the sets of `pbx.dialplan.billing`. Where
something cannot be known beforehand (the time, a header, what a group of a regular expression took), everything is
taken to be possible. So what is not listed cannot happen; what is listed may still depend on a condition.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pbx.dialplan.actions import (
    Action,
    Dial,
    DialTarget,
    Fixed,
    GoTo,
    Named,
    Play,
    RecordCaller,
    SetCaller,
    SetHeaders,
    SetNumber,
    Several,
)
from pbx.dialplan.billing import Billing
from pbx.dialplan.conditions import Source
from pbx.dialplan.decision import Decision, Query
from pbx.dialplan.language import Languages, TooLarge
from pbx.dialplan.model import Dialplan, Route
from pbx.dialplan.pattern import Pattern
from pbx.dialplan.steps import DialStep, Step
from pbx.dialplan.template import Template
from pbx.positions import Fault, Position

__all__ = ["ANYBODY", "CLASSES", "Proof", "Reach", "prove"]

ANYBODY = "anybody"
"""The source that stands for callers who have proven nothing."""
CLASSES = ("", "international", "premium")
"""Kinds of numbers: what is neither of the others, and what `Numbering.restriction` says."""

_SOME_DAY = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
_HARMLESS = (Fixed, Named, Play, RecordCaller, SetCaller, SetHeaders)
"""Actions that neither dial nor change the number."""


@dataclass(frozen=True, slots=True)
class Reach:
    """One way to spend money: calls from `source` to `target` with numbers of one class, by one route."""

    source: str
    """``extension/101``, ``extension`` (every other one), ``trunk/customer``."""
    target: str
    """``trunk/carrier``, or the host of a URI."""
    restriction: str
    """Of `CLASSES`."""
    route: str
    position: Position
    said: bool
    """Whether the plan says in words that calls from this source may."""
    numbers: int = field(compare=False)
    """The set of the numbers dialled, of `Proof.languages`."""
    example: str | None = None
    """A number that is dialled so; None if a condition decides or none could be named."""
    sent: str = ""
    """What the target would get for it."""


@dataclass(frozen=True, slots=True)
class Proof:
    """All ways there are."""

    reaches: tuple[Reach, ...]
    sources: tuple[str, ...]
    """Everybody who was looked at."""
    languages: Languages = field(repr=False, compare=False)

    def faults(self) -> Iterator[Fault]:
        """Yield a fault for each route by which somebody without a password reaches what costs money, unsaid."""
        told: set[tuple[str, str]] = set()
        for reach in self.reaches:
            if reach.said or (reach.route, reach.target) in told:
                continue
            told.add((reach.route, reach.target))
            kind = f"{reach.restriction} numbers" if reach.restriction else "calls that cost money"
            example = f", for example {reach.example}, sent as {reach.sent}," if reach.example else ""
            yield Fault(
                reach.position,
                f"the route `{reach.route}` lets {reach.source}, known by its address alone, make {kind} over "
                f"{reach.target}{example} and no word of the plan says that it may; name it in `when: {{from: "
                f"{reach.source}}}`, or add `paid: {{from: {reach.source}, because: …}}` to the route",
            )


@dataclass(frozen=True, slots=True)
class _Number:
    """What is known of the number at one point: `written`, and then what was dialled less `strip` characters, nothing,
    or anything at all."""

    written: str = ""
    tail: str = "dialled"
    """``dialled``, ``none`` or ``any``."""
    strip: int = 0
    fixed: str = ""
    """The beginning that the route wrote, as `Numbering.restriction` reckons it."""


@dataclass(frozen=True, slots=True)
class _Exit:
    """A target outside that a route dials."""

    target: DialTarget
    number: _Number
    allowed: frozenset[str]
    by_goto: bool


_Way = tuple[Route, _Exit, str, int]
"""A route, where it leads out, with numbers of which class, and the set of them."""


def prove(plan: Dialplan, trunks: Iterable[str], extensions: Iterable[str], unpaid: Collection[str] = ()) -> Proof:
    """Return every way by which somebody reaches a trunk or a URI; `unpaid` are trunks that cost nothing."""
    return _Prover(plan, frozenset(unpaid)).prove(sorted(trunks), sorted(extensions))


class _Prover:
    def __init__(self, plan: Dialplan, unpaid: frozenset[str]) -> None:
        self.plan = plan
        self.unpaid = unpaid
        self.languages = Languages()
        self.billing = Billing(self.languages, plan.numbering)
        languages = self.languages
        digit = languages.chars("0123456789")
        begins = languages.union(languages.empty, languages.word("+"), languages.word("00"))
        self.likely = (
            languages.sequence(begins, languages.times(digit, 6, 12)),
            languages.many(languages.chars("0123456789*#+")),
            languages.everything,
        )
        self.exits = {route.name: tuple(_exits(route.actions, self.unpaid)) for route in plan.routes}

    def prove(self, trunks: list[str], extensions: list[str]) -> Proof:
        named = {source.name for route in self.plan.routes for source in route.source.sources if source.name}
        sources = [Source("trunk", name) for name in trunks]
        sources += [Source("extension", name) for name in extensions if name in named]
        if len(sources) - len(trunks) < len(extensions) or not extensions:
            sources.append(Source("extension"))
        reaches: list[Reach] = []
        found: dict[tuple[str, tuple[str, ...]], list[_Way]] = {}
        for source in sources:
            routes = [
                route
                for route in self.plan.routes
                if any(one.holds(source.kind, source.name) for one in route.source.sources)
            ]
            key = (source.kind, tuple(route.name for route in routes))
            if key not in found:
                found[key] = self._ways(source.kind, routes)
            reaches += [self._reach(source, *way) for way in found[key]]
        everybody = tuple(str(source) for source in sources)
        return Proof(tuple(reaches), (*everybody, ANYBODY), self.languages)

    def _ways(self, kind: str, routes: list[Route]) -> list[_Way]:
        """Return what calls of one kind of source reach, with the set of numbers."""
        languages = self.languages
        found: dict[tuple[str, str, str], _Way] = {}
        last = max((place for place, route in enumerate(routes) if self.exits[route.name]), default=-1)
        remaining = languages.everything
        for route in routes[: last + 1]:
            taken = [languages.nothing]
            earlier_surely, earlier_maybe = [languages.nothing], [languages.nothing]
            for pattern in route.number.patterns if route.number is not None else (None,):
                surely, maybe = self._matched(pattern)
                exits = [_placed(one, pattern) for one in self.exits[route.name]]
                refused_surely, refused_maybe = self._refused(exits if kind == "extension" else [])
                here = languages.without(languages.both(remaining, maybe), *earlier_surely, refused_surely)
                taken.append(languages.without(surely, *earlier_maybe, refused_maybe))
                earlier_surely.append(surely)
                earlier_maybe.append(maybe)
                for way in exits:
                    for restriction in CLASSES:
                        if kind == "extension" and restriction and restriction not in way.allowed:
                            continue
                        numbers = languages.both(here, self._priced(restriction, way.number)[1])
                        if self._likely_one(numbers) is not None:
                            key = (route.name, _shown(way.target), restriction)
                            first = found.get(key)
                            if first is not None:
                                numbers = languages.union(first[3], numbers)
                                merged = _Exit(way.target, way.number, way.allowed, first[1].by_goto or way.by_goto)
                                found[key] = (route, merged, restriction, numbers)
                            else:
                                found[key] = (route, way, restriction, numbers)
            if not route.conditions:
                remaining = languages.without(remaining, *taken)
        return list(found.values())

    def _matched(self, pattern: Pattern | None) -> tuple[int, int]:
        everything = self.languages.everything
        return (everything, everything) if pattern is None else self.languages.pattern(pattern)

    def _refused(self, exits: list[_Exit]) -> tuple[int, int]:
        """Return the numbers dialled that the route surely, and maybe, passes over for what they cost."""
        surely, maybe = [self.languages.nothing], [self.languages.nothing]
        for way in exits:
            for restriction in CLASSES[1:]:
                if restriction not in way.allowed:
                    certain, possible = self._priced(restriction, way.number)
                    surely.append(certain)
                    maybe.append(possible)
        return self.languages.union(*surely), self.languages.union(*maybe)

    def _priced(self, restriction: str, number: _Number) -> tuple[int, int]:
        """Return the numbers dialled for which what is sent surely, and maybe, is of a class."""
        languages = self.languages
        priced = self.billing.restricted(restriction, number.fixed)
        rest = languages.after(priced, number.written)
        if number.tail == "dialled":
            found = languages.sequence(*[languages.any] * number.strip, rest)
            if languages.contains(rest, ""):
                found = languages.union(found, languages.times(languages.any, 0, number.strip))
            return found, found
        if number.tail == "none":
            found = languages.everything if languages.contains(rest, "") else languages.nothing
            return found, found
        certain = languages.everything if self._is_empty(languages.without(languages.everything, rest)) else None
        return (
            certain or languages.nothing,
            languages.nothing if self._is_empty(rest) else languages.everything,
        )

    def _likely_one(self, numbers: int) -> str | None:
        """Return a number of a set, one that somebody would dial if there is one; None if the set is empty.

        Where a set is too intricate to tell, it is taken not to be empty.
        """
        for likely in (self.likely[0], self.languages.everything):
            try:
                number = self.languages.witness(self.languages.both(numbers, likely))
            except TooLarge:
                return ""
            if number is not None:
                return number
        return None

    def _is_empty(self, numbers: int) -> bool:
        try:
            return self.languages.witness(numbers) is None
        except TooLarge:
            return False

    # -- one way, for one source

    def _reach(self, source: Source, route: Route, way: _Exit, restriction: str, numbers: int) -> Reach:
        example, sent = self._example(source, route, way, numbers)
        target = _shown(way.target)
        said = source.kind == "extension" or _says(route, source, way, restriction, target)
        return Reach(str(source), target, restriction, route.name, route.position, said, numbers, example, sent)

    def _example(self, source: Source, route: Route, way: _Exit, numbers: int) -> tuple[str | None, str]:
        """Return a number that really goes this way, and what is sent; the plan itself is asked."""
        for likely in self.likely:
            try:
                number = self.languages.witness(self.languages.both(numbers, likely))
            except TooLarge:
                continue
            if number is None:
                continue
            query = Query(f"{source.kind}/{source.name or 'anyone'}", number, _SOME_DAY)
            decision = self.plan.decide(query)
            if decision.route == route.name:
                sent = _sent(decision, way.target)
                if sent is not None:
                    return number, sent
        return None, ""


def _says(route: Route, source: Source, way: _Exit, restriction: str, target: str) -> bool:
    """Return whether a plan says in words that a trunk may spend money so.

    It does by a route that names the trunk and dials, save back over the trunk that the call came from, where that is
    international or premium: nobody means that. And it does with ``paid``.
    """
    if route.paid is not None and any(said.covers(source) for said in route.paid.sources):
        return True
    if way.by_goto or source not in route.source.sources:
        return False
    return target != str(source) or not restriction


def _sent(decision: Decision, target: DialTarget) -> str | None:
    def dials(steps: Iterable[Step]) -> Iterator[DialStep]:
        for step in steps:
            if isinstance(step, DialStep):
                yield step
                for handler in step.on.values():
                    yield from dials(handler)

    for step in dials(decision.steps):
        for one in step.targets:
            same = one.kind == target.kind and (one.kind == "uri" or one.name == target.name.literals[0])
            if same:
                return one.number
    return None


def _shown(target: DialTarget) -> str:
    if target.kind == "trunk":
        return f"trunk/{target.name.literals[0]}"
    return target.name.text.rpartition("@")[2].partition(";")[0].removeprefix("sip:").removeprefix("sips:")


def _exits(
    actions: Iterable[Action], unpaid: Collection[str], number: _Number | None = None, by_goto: bool = False
) -> Iterator[_Exit]:
    """Yield each target outside that actions dial, with what is known of the number there."""
    for exit_, _ in _walk(tuple(actions), _Number() if number is None else number, by_goto):
        target = exit_.target
        if not (target.kind == "trunk" and target.name.literals[0] in unpaid):
            yield exit_


def _walk(actions: tuple[Action, ...], number: _Number, by_goto: bool) -> Iterator[tuple[_Exit, _Number]]:
    for action in actions:
        if isinstance(action, Dial):
            for target in action.targets:
                if target.kind != "extension":
                    yield _Exit(target, _number_for(target, number), action.allowed, by_goto), number
            for _, handler in action.on:
                yield from _walk(handler, number, by_goto)
        elif isinstance(action, GoTo):
            yield from _walk(action.actions, number, True)
        elif isinstance(action, SetNumber):
            number = _rewritten(number, action)
        elif isinstance(action, Several):
            for part in action.actions:
                if isinstance(part, SetNumber):
                    number = _rewritten(number, part)
        elif not isinstance(action, _HARMLESS):
            number = _Number(tail="any")  # an action that nobody has told this proof of: anything may come of it


def _rewritten(number: _Number, action: SetNumber) -> _Number:
    if action.replace is not None:
        number = _filled(action.replace, number)
    if action.strip:
        kept = number.written[action.strip :]
        number = _Number(
            kept, number.tail, number.strip + max(0, action.strip - len(number.written)), number.fixed[action.strip :]
        )
    if action.prefix is not None:
        if action.prefix.constant:
            text = action.prefix.literals[0]
            number = _Number(text + number.written, number.tail, number.strip, text + number.fixed)
        else:
            number = _Number(action.prefix.literals[0], "any", 0, action.prefix.literals[0])
    return number


def _filled(template: Template, number: _Number) -> _Number:
    """Return what a template makes of the number."""
    first = template.literals[0]
    if template.constant:
        return _Number(first, "none", 0, first)
    if template.names == ("dialled",) and not template.literals[1]:
        return _Number(first, "dialled", 0, first)
    if template.names == ("number",) and not template.literals[1]:
        return _Number(first + number.written, number.tail, number.strip, first)
    return _Number(first, "any", 0, first)


def _number_for(target: DialTarget, number: _Number) -> _Number:
    """Return what a target gets: a trunk the number, a URI what its user part says."""
    if target.kind == "trunk":
        return number
    literal = target.name.literals[0].partition(":")[2]
    if target.name.constant:
        user = literal.rpartition("@")[0]
        return _Number(user, "none", 0, literal)
    if target.name.names == ("number",):
        # What may not stand in a URI is escaped on the way; a trunk would be sent that.
        if not literal:
            return number if number.tail != "dialled" else _Number(number.written, "any", 0, number.fixed)
        return _Number(literal, "any", 0, literal)
    return _Number(literal, "any", 0, literal)


def _placed(way: _Exit, pattern: Pattern | None) -> _Exit:
    """Return a way out as it is for the numbers of one pattern, whose literal beginning counts as the route's own."""
    number = way.number
    if pattern is None or not pattern.prefix or number.tail != "dialled":
        return way
    if number.fixed != number.written:
        return way
    fixed = number.fixed + pattern.prefix[number.strip :]
    return _Exit(way.target, _Number(number.written, number.tail, number.strip, fixed), way.allowed, way.by_goto)
