"""Past calls decided anew by another plan: which of them would go another way."""

from __future__ import annotations

from pbx.dialplan.conditions import HeaderCondition
from pbx.dialplan.decision import Decision, Query
from pbx.dialplan.explain import decision_lines
from pbx.dialplan.model import Dialplan
from pbx.values import dataclass

__all__ = ["PastCall", "Rehearsed", "rehearse"]


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call that was decided, as its record has it."""

    call: str
    query: Query
    """Without headers: a record keeps none."""
    route: str
    """The route that it took; empty if there was none."""
    number: str
    """As it was dialled on; empty if nothing was dialled."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What another plan makes of a past call."""

    past: PastCall
    decision: Decision
    changed: bool
    before: tuple[str, ...]
    """What was done with it, in words: of the plan in force where that explains the record, else of the record."""
    after: tuple[str, ...]
    headers: bool
    """True if a route that it met looks at a header: no record says what that held, so the outcome may be another."""


def rehearse(past: PastCall, candidate: Dialplan, in_force: Dialplan | None) -> Rehearsed:
    """Decide `past` by `candidate`, and compare that with what the record says.

    The record names the route and the number. All else that a route does (targets, recording, time limits) is compared
    with what `in_force` does, provided that it decides this call as the record says; the plan may have changed since.
    """
    after = candidate.decide(past.query)
    before = in_force.decide(past.query) if in_force is not None else None
    if before is not None and (before.route or "") != past.route:
        before = None
    looks = _looks_at_headers(candidate, after) or (before is not None and _looks_at_headers(in_force, before))
    if before is not None:
        told, changed = _words(before), (before.route, _words(before)) != (after.route, _words(after))
    else:
        told = (f"dial {past.number}",) if past.number else ()
        changed = (after.route or "") != past.route or bool(past.number and past.number != after.number)
    return Rehearsed(past, after, changed, told, _words(after), looks)


def _words(decision: Decision) -> tuple[str, ...]:
    return tuple("  " * depth + sentence for depth, sentence in decision_lines(decision))


def _looks_at_headers(plan: Dialplan | None, decision: Decision) -> bool:
    """Return whether a route that could have taken the call, up to the one that did, depends on a header."""
    if plan is None:
        return False
    query = decision.query
    for route in plan.routes:
        others = [each for each in route.all_conditions() if not isinstance(each, HeaderCondition)]
        if len(others) < len(route.all_conditions()) and all(each.holds(query) for each in others):
            return True
        if route.name == decision.route:
            return False
    return False
