"""A call that an operator or a program wants: first the one for whom it is made is dialled, on all phones at once, and
whichever of them answers becomes the caller of the route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pbx.call.choices import worse
from pbx.call.events import Answered, HungUp, Rejected
from pbx.call.own_offer import dial_with_own_offer
from pbx.call.ports import Candidate
from pbx.call.summary import Attempt
from pbx.cause import EndCause, cause_named
from pbx.errors import NegotiationError
from pbx.media import events as media

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = ["CallerRunner"]


class CallerRunner:
    """Dials whoever shall be the caller; the route's steps follow the first answer."""

    __slots__ = ("_call", "_candidates", "_cause", "_dialled", "_legs")

    def __init__(self, call: Call, candidates: tuple[Candidate, ...]) -> None:
        self._call = call
        self._candidates = candidates
        self._legs: dict[str, Candidate] = {}
        self._dialled: set[str] = set()
        self._cause: EndCause | None = None

    def start(self) -> bool:
        """Open a leg to each phone."""
        call = self._call
        for number, candidate in enumerate(self._candidates):
            leg = f"{call.id}-{number}"
            self._legs[leg] = candidate
            call.open_leg(leg, candidate)
        return True

    def take(self, item: Any) -> None:
        """Dial each leg once its stream has its ports; go on with the first that answers, end with the last that does
        not."""
        if isinstance(item, (media.Opened, media.Closed)):
            self._stream(item)
        elif isinstance(item, Answered) and item.leg in self._legs:
            self._answered(item)
        elif isinstance(item, (Rejected, HungUp)) and item.leg in self._legs:
            self._gone(item)

    def _stream(self, item: media.Opened | media.Closed) -> None:
        session = self._call.session
        leg = session.leg_of(item.stream)
        if leg not in self._legs:
            return
        if isinstance(item, media.Closed):
            cause = cause_named("media-failed" if leg in self._dialled else "no-ports", item.reason)
            self._drop(leg, cause)
            self._lost(leg, cause)
        elif leg not in self._dialled and session.ready(leg):
            self._dialled.add(leg)
            dial_with_own_offer(self._call, leg, self._legs[leg])

    def _answered(self, item: Answered) -> None:
        call = self._call
        try:
            call.session.set_remote(item.leg, item.sdp, offer=False)
        except NegotiationError as error:
            cause = cause_named("media-unacceptable", error.reason)
            call.drop_leg(item.leg, cause)
            self._lost(item.leg, cause)
            return
        del self._legs[item.leg]
        self._drop_all(cause_named("answered-elsewhere"))
        call.begin_with(item.leg)
        call.route.step_done(call)

    def _gone(self, item: Rejected | HungUp) -> None:
        call = self._call
        call.legs.strike(item)
        call.session.close(item.leg)
        # RFC 3261 §16.7 step 5: a 6xx response: the client SHOULD cancel all pending client transactions.
        self._lost(item.leg, item.cause, for_all=isinstance(item, Rejected) and item.status >= 600)

    def _drop_all(self, cause: EndCause) -> None:
        for leg in self._legs:
            self._drop(leg, cause)
        self._legs.clear()

    def _drop(self, leg: str, cause: EndCause) -> None:
        if leg in self._dialled:
            self._call.drop_leg(leg, cause)
        else:
            self._call.forget_leg(leg, cause)

    def _lost(self, leg: str, cause: EndCause, *, for_all: bool = False) -> None:
        candidate = self._legs.pop(leg)
        self._cause = worse(self._cause, cause)
        self._call.summary.attempts.append(Attempt(candidate.target, cause.slug, cause.detail))
        if for_all:
            self._drop_all(cause)
        if not self._legs:
            self._call.end(self._cause)
