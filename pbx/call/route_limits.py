"""How many calls a route takes, whichever way they come into it: as they begin, by a transfer, by a redirection, by a
``goto``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.cause import EndCause, cause_named

if TYPE_CHECKING:
    from pbx.call.call import Call
    from pbx.call.occupancy import Occupancy
    from pbx.call.ports import Services
    from pbx.dialplan.decision import Decision
    from pbx.dialplan.steps import EnterStep, RouteLimits

__all__ = ["HeldRoutes", "entry_refusal", "route_refusal"]


def route_refusal(services: Services, decision: Decision, instead_of: str = "") -> EndCause | None:
    """Return why a route takes no more calls now; None if it takes one, which counts as begun then. A call for help is
    stopped by no limit.

    A call that comes into a route `instead_of` another one, of that id, needs no place beside it.
    """
    if decision.route is None or decision.limits is None or decision.emergency:
        return None
    return _refusal(services, decision.route, decision.limits, instead_of)


def entry_refusal(call: Call, step: EnterStep) -> EndCause | None:
    """Return why a route takes no more calls now into which a call goes on; None if it takes it, which is one of its
    calls then."""
    refusal = None if call.emergency else _refusal(call.services, step.route, step.limits, call.id)
    if refusal is None:
        call.held_routes().enter(step.route)
    return refusal


def _refusal(services: Services, route: str, limits: RouteLimits, instead_of: str) -> EndCause | None:
    name = _name(route)
    if services.occupancy.has(name, instead_of):
        return None
    if services.occupancy.reached(name, limits.calls):
        services.refused["route-calls"] += 1
        return cause_named("too-many-calls", f"the route {route} has as many calls as it may have")
    if limits.per_second is not None and not services.rates.within(name, limits.per_second):
        services.refused["route-rate"] += 1
        return cause_named("too-many-calls", f"the route {route} takes no more calls a second")
    return None


def _name(route: str) -> str:
    """Return what a route is counted as."""
    return f"route/{route}"


class HeldRoutes:
    """The routes with limits that one call has come into.

    It is one of a route's calls as long as the leg is there that it has reached through it. Until somebody has
    answered, that is none yet.
    """

    __slots__ = ("_call", "_held", "_occupancy")

    def __init__(self, occupancy: Occupancy, call: str) -> None:
        self._occupancy = occupancy
        self._call = call
        self._held: list[tuple[str, str]] = []
        """Routes, each with the leg that was reached through it, empty while there is none."""

    def enter(self, route: str) -> None:
        """Count the call as one of a route's."""
        name = _name(route)
        self._occupancy.enter(name, self._call)
        self._held.append((name, ""))

    def reached(self, leg: str) -> None:
        """Take that what has answered is this leg."""
        self._held = [(name, there or leg) for name, there in self._held]

    def leave(self, leg: str = "") -> None:
        """Leave the routes through which a leg was reached; without one, those through which nobody was yet."""
        for name, there in self._held:
            if there == leg:
                self._occupancy.leave(name, self._call)
        self._held = [(name, there) for name, there in self._held if there != leg]

    def give(self, leg: str, to: HeldRoutes) -> None:
        """Let a leg take the routes that it was reached through into another call."""
        to._held += [(name, leg) for name, there in self._held if there == leg]
        for name, there in self._held:
            if there == leg:
                self._occupancy.enter(name, to._call)
        self.leave(leg)

    def leave_all(self) -> None:
        """Leave every route: the call is over."""
        for name, _ in self._held:
            self._occupancy.leave(name, self._call)
        self._held.clear()
