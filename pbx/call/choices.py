"""What a fork chooses by: the order that weights draw; of several failures, the one that the caller is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pbx.cause import EndCause
from pbx.dialplan.steps import DialStep, Target

__all__ = ["as_told", "drawn", "worse"]

# The cause that a caller is told when several phones failed differently: the one that says most. RFC 3261 §16.7 step 6
# has a proxy choose likewise (6xx first, then the lowest class), and leaves the choice inside a class to taste.
_WEIGHT = {
    "declined": 100,
    "busy": 90,
    "budget-exceeded": 80,
    "callee-refused": 70,
    "media-refused": 65,
    "number-incomplete": 60,
    "number-gone": 55,
    "no-answer": 50,
    "number-unknown": 40,
    "callee-overloaded": 35,
    "callee-failed": 30,
    "callee-timeout": 25,
    "unreachable": 20,
    "unavailable": 10,
}

_BETWEEN_US = {401: 403, 407: 403, 405: 500, 420: 500, 421: 500, 422: 500, 423: 500, 494: 500}
"""What a caller is told for what a peer says of our own request alone. Each of these must come with a header by which
its client can do better (RFC 3261 §21.4), and the caller cannot: a phone would take a 401 for a wrong password."""


def worse(one: EndCause | None, other: EndCause) -> EndCause:
    """Return which of two failures says more of why nobody answered."""
    if one is None or _WEIGHT.get(other.slug, 45) > _WEIGHT.get(one.slug, 45):
        return other
    return one


def as_told(target: str, cause: EndCause) -> EndCause:
    """Return a failure of `target` as the caller is told of it.

    RFC 3261 §21.5.4: a client that receives a 503 SHOULD attempt to forward the request to an alternate server, and
    SHOULD NOT forward any other requests to this one. A phone that is switched off is no reason for that: like one that
    is not registered, it is temporarily unavailable.
    """
    if 300 <= cause.sip_status < 400:
        # Where it would lead is not told to the caller: what was not followed here is not for it to try.
        return replace(cause, sip_status=480)
    if cause.sip_status in _BETWEEN_US:
        return replace(cause, sip_status=_BETWEEN_US[cause.sip_status])
    if target.startswith("extension/") and cause.slug in ("unreachable", "callee-overloaded"):
        return replace(cause, sip_status=480)
    return cause


def drawn(step: DialStep, chance: Callable[[], float]) -> list[Target]:
    """Return the targets of a weighted step in an order drawn for one call: each is the next one with a chance that is
    its share of the weights left (as RFC 2782 has it for SRV). Those of weight 0 come last."""
    left = [(target, weight) for target, weight in zip(step.targets, step.weights, strict=True) if weight]
    order = []
    while left:
        point = chance() * sum(weight for _, weight in left)
        place = 0
        while place < len(left) - 1 and point >= left[place][1]:
            point -= left[place][1]
            place += 1
        order.append(left.pop(place)[0])
    return order + [target for target, weight in zip(step.targets, step.weights, strict=True) if not weight]
