"""Following a 3xx: a target says that the call should go elsewhere, and policy lets it (RFC 3261 §8.1.3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call.commands import Redirection
from pbx.call.route_limits import route_refusal
from pbx.call.summary import Attempt
from pbx.dialplan.decision import Query
from pbx.dialplan.steps import Step, Target
from pbx.values import dataclass

if TYPE_CHECKING:
    from pbx.call.call import Call
    from pbx.call.events import Rejected
    from pbx.call.ports import Candidate

__all__ = ["Way", "follow"]

MOST_REDIRECTIONS = 5
"""Of one call: whoever redirects in a circle is not followed for ever."""

_REASONS = {301: "unconditional", 302: "unconditional", 380: "deflection"}


@dataclass(frozen=True, slots=True)
class Way:
    """Where a redirected call goes: to a target, or by the steps of a route."""

    target: Target | None = None
    steps: tuple[Step, ...] = ()


def follow(call: Call, candidate: Candidate, item: Rejected) -> Way | None:
    """Return where a call goes on that `candidate` redirects; None if it does not: it failed there.

    A trunk may send it to numbers behind trunks, a phone to numbers that its extension may dial.
    """
    services, target = call.services, candidate.target
    if call.redirected >= MOST_REDIRECTIONS:
        return None
    for goal in services.directory.redirected(target, item.redirected_to):
        if goal.kind == "number":
            caller = call.shown[1]
            query = Query(
                target,
                goal.number,
                services.wall(),
                caller="" if caller.anonymous else caller.number,
                caller_name=caller.name,
            )
            decision = services.decide(query)
            if decision.route is None or route_refusal(services, decision) is not None:
                continue
            call.come_into(decision, was_for_help=call.emergency)
            way = Way(steps=decision.steps)
            call.payer = target
        else:
            way = Way(goal)
        call.redirected += 1
        call.redirections = (Redirection(candidate.called, _REASONS.get(item.status, "unknown")), *call.redirections)
        call.summary.attempts.append(Attempt(target, "redirected", f"to {goal.number}"))
        return way
    return None
