"""The dialplan in memory: routes in order, and the decision which of them takes a call."""

from __future__ import annotations

from dataclasses import field, replace
from datetime import tzinfo

from pbx.dialplan.actions import RESTRICTIONS, Action, Context, Refused
from pbx.dialplan.conditions import CodecCondition, Condition, NumberCondition, Source, SourceCondition, TimeCondition
from pbx.dialplan.decision import Considered, Decision, Query
from pbx.dialplan.emergency import gets_out, goes_out_first, number_dialled_out, reaches_nobody
from pbx.dialplan.numbering import Numbering
from pbx.dialplan.pattern import Pattern
from pbx.dialplan.regex import LONGEST
from pbx.dialplan.services import is_for_help, service_in
from pbx.dialplan.steps import DialStep, RouteLimits, Step
from pbx.positions import Position
from pbx.values import dataclass

__all__ = ["Dialplan", "Paid", "PlanTest", "Reference", "Route"]

_DIGITS = "0123456789"
_BEGIN_URNS = ("u", "U")
_ANYONE = ""
"""The key of the index for callers who have not proven who they are."""


@dataclass(frozen=True, slots=True)
class Paid:
    """A route's word that callers who have no password may spend money by it."""

    sources: tuple[Source, ...]
    """Trunks."""
    because: str


@dataclass(frozen=True, slots=True)
class Route:
    """One route."""

    name: str
    position: Position
    source: SourceCondition
    number: NumberCondition | None
    """None: any number."""
    conditions: tuple[Condition, ...]
    """What else must hold, in the order in which it is tested."""
    actions: tuple[Action, ...]
    allowed: frozenset[str] = frozenset()
    """Which of ``international`` and ``premium`` the route allows."""
    dials_out: Position | None = None
    """Where it first dials a trunk or a URI, itself or by ``goto``; None if it never does."""
    paid: Paid | None = None
    limits: RouteLimits | None = None

    @property
    def depends_on_time(self) -> bool:
        """True if the moment of the call decides whether it matches."""
        return any(isinstance(condition, TimeCondition) for condition in self.conditions)

    def names(self, number: str) -> bool:
        """Return whether it is there for this very number."""
        return self.number is not None and any(pattern.text == number for pattern in self.number.patterns)

    def all_conditions(self) -> tuple[Condition, ...]:
        """Return every condition in the order in which they are tested."""
        return (self.source, *((self.number,) if self.number else ()), *self.conditions)


@dataclass(frozen=True, slots=True)
class Reference:
    """Something outside the plan that it names. `kind`: ``extension``, ``trunk``, ``sound``, or a feature's word."""

    kind: str
    name: str
    position: Position


@dataclass(frozen=True, slots=True)
class PlanTest:
    """One of the plan's own tests: a call, and what must become of it (see `pbx.dialplan.selftest`)."""

    position: Position
    query: Query
    timed: bool
    """True if the test says when the call is made."""
    expected: tuple[tuple[str, Position, tuple[str, ...]], ...]
    """What is expected, where it says so, and the values."""


@dataclass(frozen=True, slots=True)
class Dialplan:
    """All routes, ready to decide. Immutable: a reload makes another one."""

    routes: tuple[Route, ...]
    zone: tzinfo | None = None
    """Where time windows are read; None: the zone of the query's own time."""
    numbering: Numbering = field(default_factory=Numbering)
    tests: tuple[PlanTest, ...] = ()
    references: tuple[Reference, ...] = ()
    features: tuple[Reference, ...] = ()
    """Steps that ask for a feature, such as ``voicemail``."""
    _index: dict[str, dict[str, tuple[Route, ...]]] = field(init=False, repr=False, compare=False)
    _asks_codecs: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", _build_index(self.routes))
        asked = any(isinstance(condition, CodecCondition) for route in self.routes for condition in route.conditions)
        object.__setattr__(self, "_asks_codecs", asked)

    @property
    def asks_codecs(self) -> bool:
        """True if a route asks for the codecs that a caller offers."""
        return self._asks_codecs

    def decide(self, query: Query) -> Decision:
        """Return where `query` goes: the first route that matches, with its steps filled in.

        A call for help goes where the emergency number alone goes, whatever was dialled before it
        (`pbx.dialplan.emergency`), and one for a service where the number of that goes.
        """
        if query.number[:1] in _BEGIN_URNS:
            service = service_in(query.number)
            if service:
                return self._serve(query, service)
        decision, _ = self._first(query)
        number = self._emergency_number(query, decision)
        if not number:
            return decision
        helping, route = self._first(replace(query, number=number))
        if route is None:
            better = decision.route is None
        elif gets_out(decision.steps):
            better = gets_out(helping.steps) and (
                route.names(number) or bool(number_dialled_out(helping.steps, self.numbering, as_it_is=True))
            )
        else:
            better = True
        return replace(helping, dialled=query.number) if better else decision

    def _serve(self, query: Query, service: str) -> Decision:
        """Return where a call for a service goes (RFC 5031): by the first of the numbers that it may become which gets
        it there."""
        best, reach = None, -1
        for number, said in self.numbering.numbers_of_service(service):
            decision = self.decide(replace(query, number=number))
            reaches = self._reach(decision, said)
            if reaches > reach:
                best, reach = decision, reaches
        if best is None:
            return Decision(query, None, query.number, (), query.number, "no-route")
        return replace(best, dialled=query.number, emergency=best.emergency or is_for_help(service))

    def _reach(self, decision: Decision, said: bool) -> int:
        """Return how much there is to say for a number of a service: most for what the plan says it is, unless that
        reaches nobody, and then for one that gets out. Where nobody has said which numbers call for help, one that a
        route names comes before one that any route takes."""
        if decision.route is None or reaches_nobody(decision.steps):
            return 0
        if said:
            return 4
        if not gets_out(decision.steps):
            return 1
        if self.numbering.own_emergency_numbers:
            return 2
        number = decision.query.number
        return 3 if any(route.name == decision.route and route.names(number) for route in self.routes) else 2

    def _emergency_number(self, query: Query, decision: Decision) -> str:
        """Return the number for which a call is to be decided that was decided for what was dialled; empty for none."""
        if decision.emergency:
            number = self._helps(decision) if goes_out_first(decision.steps) else ""
            return number if number != query.number else ""
        numbering = self.numbering
        numbers = numbering.behind_codes(query.number)
        if not numbers and query.number not in numbering.emergency_forms:
            return ""
        if not (gets_out(decision.steps) or reaches_nobody(decision.steps)):
            return ""
        found = [numbering.emergency_number(query.number)]
        found += [self._helps(self._first(replace(query, number=number))[0]) for number in numbers]
        return next(filter(None, found), "")

    def _helps(self, decision: Decision) -> str:
        return number_dialled_out(decision.steps, self.numbering)

    def _first(self, query: Query) -> tuple[Decision, Route | None]:
        """Return the decision of the first route that matches, and the route."""
        index = self._index
        kind, _, name = query.source.partition("/")
        by_first = index.get(query.source) or index.get(kind) or index[_ANYONE]
        number = query.number
        routes = by_first.get(number[:1])
        forbidden = False
        for route in by_first["other"] if routes is None else routes:
            outcome = self.attempt(route, query, kind, name)
            if outcome is None:
                continue
            if isinstance(outcome, Decision):
                return outcome, route
            forbidden = forbidden or outcome.restriction != "unrated"
        refusal = "forbidden" if forbidden else "no-route"
        emergency = number in self.numbering.emergency_numbers
        return Decision(query, None, number, (), number, refusal, emergency, _explainer=self), None

    def consider(self, query: Query) -> tuple[Considered, ...]:
        """Return every route tried for `query`, in order, up to the one that matched, and why it did or did not."""
        kind, _, name = query.source.partition("/")
        considered = []
        for route in self.routes:
            outcome = self.attempt(route, query, kind, name) if route.source.holds(query) else None
            matched = isinstance(outcome, Decision)
            why = _why(route, query, outcome if isinstance(outcome, Refused) else None)
            considered.append(Considered(route.name, matched, why, route.position))
            if matched:
                break
        return tuple(considered)

    def attempt(self, route: Route, query: Query, kind: str, name: str) -> Decision | Refused | None:
        """Return the decision of a route whose source holds; None if another condition does not, Refused if it may
        not."""
        number = query.number
        if len(number) > LONGEST or not number.isprintable():
            return None
        pattern: Pattern | None = None
        if route.number is not None:
            pattern = route.number.find(number)
            if pattern is None:
                return None
        for condition in route.conditions:
            if not condition.holds(query):
                return None
        values = {
            "number": number,
            "dialled": number,
            "caller": query.caller,
            "caller_name": query.caller_name,
            "source": name,
        }
        fixed = 0
        if pattern is not None:
            fixed = len(pattern.prefix)
            if pattern.groups:
                values.update(pattern.parts(number))
        context = Context(query, kind, values, fixed, self.numbering)
        steps: list[Step] = []
        try:
            for action in route.actions:
                action.perform(context, steps)
        except Refused as refused:
            return refused
        sent = next((step.number for step in steps if isinstance(step, DialStep)), number)
        done = tuple(steps)
        emergency = number in self.numbering.emergency_numbers or bool(number_dialled_out(done, self.numbering))
        return Decision(query, route.name, sent, done, number, "", emergency, route.limits, self)


def _why(route: Route, query: Query, refused: Refused | None) -> str:
    if len(query.number) > LONGEST or not query.number.isprintable():
        return f"a number of more than {LONGEST} characters, or with control characters, is taken by no route"
    clauses = []
    for condition in route.all_conditions():
        if not condition.holds(query):
            return condition.explain(query)
        clauses.append(condition.explain(query))
    if refused is not None:
        return RESTRICTIONS[refused.restriction].format(number=refused.number)
    return ", ".join(clauses)


def _build_index(routes: tuple[Route, ...]) -> dict[str, dict[str, tuple[Route, ...]]]:
    """Return the routes that can match by source and first character of the number.

    The first key is a source named by some route, or a kind of source, or `_ANYONE`; the second a character, or
    ``other`` for every one that no pattern begins with. A call thus never tries the routes of other sources or
    other digits.
    """
    keys = {("extension", ""), ("trunk", ""), (_ANYONE, "")}
    keys.update(
        (source.kind, source.name) for route in routes for source in route.source.sources if source.kind != "any"
    )
    index = {}
    for kind, name in keys:
        mine = [route for route in routes if any(source.holds(kind, name) for source in route.source.sources)]
        firsts = {*_DIGITS, "+", "*", "#", ""}
        firsts.update(pattern.prefix[:1] for route in mine if route.number for pattern in route.number.patterns)
        by_first = {first: tuple(route for route in mine if _may_begin_with(route, first)) for first in firsts}
        by_first["other"] = tuple(route for route in mine if _may_begin_with(route, "\0"))
        index[f"{kind}/{name}" if name else kind] = by_first
    return index


def _may_begin_with(route: Route, first: str) -> bool:
    return route.number is None or any(pattern.may_begin_with(first) for pattern in route.number.patterns)
