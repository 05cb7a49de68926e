"""What a plan that loads may still have wrong: names that nobody knows, routes that nobody reaches, doors left open."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pbx.dialplan.actions import RESTRICTIONS, Refused
from pbx.dialplan.conditions import Source
from pbx.dialplan.decision import Decision, Query
from pbx.dialplan.emergency import gets_out, reaches_nobody
from pbx.dialplan.model import Dialplan, Reference, Route
from pbx.dialplan.pattern import Pattern, covers
from pbx.dialplan.services import SERVICE_URN
from pbx.positions import Fault
from pbx.units import suggestion

__all__ = ["Findings", "Known", "check_plan", "unknown_names"]

_SOME_DAY = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Known:
    """What there is outside the plan."""

    extensions: Collection[str]
    trunks: Collection[str]
    features: Collection[str] = field(default=())
    """Words of the features that this server has."""


@dataclass(frozen=True, slots=True)
class Findings:
    """`faults` refuse the plan; `warnings` are told and no more."""

    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]


def check_plan(plan: Dialplan, known: Known) -> Findings:
    """Check a loaded plan against what is configured."""
    faults = [*unknown_names(plan.references, known), *_open_doors(plan)]
    warnings = [*_missing_features(plan, known), *_shadowed(plan), *_always_refused(plan)]
    warnings += [*_without_help(plan), *_dead_services(plan)]
    return Findings(tuple(sorted(faults)), tuple(sorted(warnings)))


def unknown_names(references: Iterable[Reference], known: Known) -> Iterator[Fault]:
    """Yield a fault for each extension or trunk that is named and not there."""
    for reference in dict.fromkeys(references):
        if reference.kind not in ("extension", "trunk"):
            continue
        names = known.extensions if reference.kind == "extension" else known.trunks
        if reference.name not in names:
            what = f"there is no {reference.kind} `{reference.name}` in the configuration"
            hint = suggestion(reference.name, names) or f"; add it to `{reference.kind}s` or correct the name"
            yield Fault(reference.position, what + hint)


def _open_doors(plan: Dialplan) -> Iterator[Fault]:
    for route in plan.routes:
        if route.dials_out is not None and Source("any") in route.source.sources:
            yield Fault(
                route.dials_out,
                f"the route `{route.name}` lets anyone dial out, even callers who have not proven who they are; "
                "add `from: extension`, or whom it is for, to its `when`",
            )


def _missing_features(plan: Dialplan, known: Known) -> Iterator[Fault]:
    for feature in dict.fromkeys(plan.features):
        if feature.kind not in known.features:
            yield Fault(
                feature.position,
                f"this server has no `{feature.kind}` yet; callers who get here are rejected as `not-available`",
            )


def _shadowed(plan: Dialplan) -> Iterator[Fault]:
    for place, route in enumerate(plan.routes):
        for earlier in plan.routes[:place]:
            if _takes_all(earlier, route):
                yield Fault(
                    route.position,
                    f"the route `{route.name}` is never reached: `{earlier.name}`, at line {earlier.position.line}, "
                    "takes all its calls; put it before that one, or remove it",
                )
                break


def _takes_all(earlier: Route, later: Route) -> bool:
    """Return True if it is certain that every call which `later` would take is taken by `earlier`."""
    if not all(any(ours.covers(theirs) for ours in earlier.source.sources) for theirs in later.source.sources):
        return False
    if any(condition not in later.conditions for condition in earlier.conditions):
        return False
    if earlier.number is not None:
        if later.number is None:
            return False
        for narrow in later.number.patterns:
            if not any(covers(broad, narrow) for broad in earlier.number.patterns):
                return False
    if earlier.dials_out is None or all(source.kind == "trunk" for source in later.source.sources):
        return True
    # The earlier one passes on numbers that it is not allowed to dial: international ones, say.
    return later.dials_out is not None and later.allowed <= earlier.allowed


def _always_refused(plan: Dialplan) -> Iterator[Fault]:
    for route in plan.routes:
        sources = [source for source in route.source.sources if source.kind == "extension"]
        if not sources or route.number is None or route.dials_out is None:
            continue
        refusals = [_refusal(plan, route, pattern, sources[0]) for pattern in route.number.patterns]
        refused = [refusal for refusal in refusals if refusal is not None]
        if refused and len(refused) == len(refusals):
            why = RESTRICTIONS[refused[0].restriction].format(number=refused[0].number)
            yield Fault(route.position, f"the route `{route.name}` takes no call from an extension: {why}")


def _without_help(plan: Dialplan) -> Iterator[Fault]:
    """Yield a warning for each emergency number of the plan's own that who may dial out does not get."""
    callers = [
        (route, source)
        for route in plan.routes
        if route.dials_out is not None
        for source in route.source.sources
        if source.kind == "extension"
    ]
    if not callers:
        return
    route, source = callers[0]
    caller, numbering = f"extension/{source.name or 'anyone'}", plan.numbering
    for number in numbering.own_emergency_numbers:
        decision = plan.decide(Query(caller, number, _SOME_DAY))
        if not gets_out(decision.steps):
            yield Fault(
                route.position,
                f"a call for help to {number} reaches nobody outside: {_taken(decision)}; put a route for {number} "
                "that dials a trunk before the others",
            )
    # A plan that does not say what calls for help is asked for what a phone's button calls.
    said = any(service.name == "sos" for service in numbering.services)
    if numbering.own_emergency_numbers or said or not numbering.numbers_of_service("sos"):
        return
    decision = plan.decide(Query(caller, SERVICE_URN + "sos", _SOME_DAY))
    if not gets_out(decision.steps):
        yield Fault(
            route.position,
            f"a call for help to {decision.query.number} reaches nobody outside: {_taken(decision)}; say in which "
            'country the plan is (`numbering: {country: "49"}`, or which numbers call for help: `emergency`), and put '
            "a route for those that dials a trunk before the others",
        )


def _taken(decision: Decision) -> str:
    return f"the route `{decision.route}` takes it" if decision.route is not None else "no route takes it"


def _dead_services(plan: Dialplan) -> Iterator[Fault]:
    """Yield a warning for each service that the plan has become a number which gets nobody anywhere."""
    sources = [source for route in plan.routes for source in route.source.sources]
    for service in plan.numbering.services:
        callers = {f"{one.kind}/{one.name or 'anyone'}" for one in sources if one.kind != "any"} or {"extension/anyone"}
        query = [Query(caller, service.number, _SOME_DAY) for caller in sorted(callers)]
        decisions = [plan.decide(one) for one in query]
        if all(one.route is None or reaches_nobody(one.steps) for one in decisions):
            yield Fault(
                service.position,
                f"`{SERVICE_URN}{service.name}` becomes {service.number}, which reaches nobody: "
                f"{_taken(decisions[0])}; put a route for {service.number} before the others, or write another number",
            )


def _refusal(plan: Dialplan, route: Route, pattern: Pattern, source: Source) -> Refused | None:
    """Try the route on a number made to fit the pattern; None if it takes it, or if that cannot be told."""
    if pattern.is_regex:
        return None
    number = pattern.text.removesuffix(".").replace("X", "5").replace("Z", "5").replace("N", "5")
    if pattern.text.endswith("."):
        number += "5555555"
    name = source.name or "someone"
    outcome = plan.attempt(route, Query(f"extension/{name}", number, _SOME_DAY), "extension", name)
    return outcome if isinstance(outcome, Refused) else None
