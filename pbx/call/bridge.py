"""Two connected legs: what one side wants to change is offered to the other, and what it says is passed on.

Since the media of both ends here, an offer that changes nothing for the other side (a new address, a session refresh)
is answered at once and the other phone never hears of it; only what it must agree to (hold, codecs, streams) is
relayed. One offer is relayed at a time: the second one of a glare gets 491 and comes again (RFC 3261 §14.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pbx.call.commands import (
    AcceptOffer,
    AcceptRefer,
    DeclineOffer,
    DeclineRefer,
    Inform,
    Offer,
    Refer,
    ReportRefer,
)
from pbx.call.events import (
    Informed,
    OfferAnswered,
    OfferDeclined,
    Offered,
    OfferWithdrawn,
    ReferProgress,
    ReferRequested,
)
from pbx.cause import cause_named
from pbx.errors import NegotiationError
from pbx.media import events as media

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = ["Bridge"]


@dataclass(slots=True)
class _Pending:
    """An offer under way: `asker` gets an AcceptOffer once `asked` has answered; empty if nobody waits for that any
    more."""

    asker: str
    asked: str
    restoring: bool = False
    """It offers what was before a withdrawn offer, or what the other leg already has: nothing more follows."""
    then: str = ""
    """The leg that is offered next what this one has agreed to."""


class Bridge:
    """Caller and callee of one call, connected."""

    __slots__ = ("_call", "_joining", "_passed", "_pending", "_waiting", "callee")

    def __init__(self, call: Call, callee: str) -> None:
        self._call = call
        self.callee = callee
        self._pending: _Pending | None = None
        self._waiting: Offered | None = None
        """An offer of new media, taken, that is passed on once both legs have ports for them."""
        self._joining = False
        """The callee came from another call, and is offered what the caller has once it has its ports."""
        self._passed = ""
        """The leg whose REFER was passed on to the other one."""

    def other_than(self, leg: str) -> str:
        """Return the leg that `leg` talks to."""
        return self.callee if leg == self._call.caller else self._call.caller

    def refresh(self, leg: str, then: str = "") -> None:
        """Offer a leg what the other one has, since that is another one than before, or was not heard on it before;
        then that one what has been agreed to, if `then` names it."""
        call = self._call
        try:
            offer = call.session.offer_to(leg, self.other_than(leg))
        except NegotiationError as error:
            call.end(cause_named("media-refused", error.reason))
            return
        self._pending = _Pending("", leg, restoring=True, then=then)
        call.command(Offer(leg, offer))

    def part(self) -> None:
        """Take that the two are parted by a transfer. Whoever waits for what the other one says to its offer asks again
        (RFC 3261 §14.1), and then somebody else answers: without an answer its leg could be offered nothing more."""
        pending, waiting = self._pending, self._waiting
        self._pending = self._waiting = None
        asker = waiting.leg if waiting is not None else pending.asker if pending is not None else ""
        if pending is not None:
            # Its answer, should it still come, is taken for what it says of its own side.
            self._call.session.rollback(pending.asked)
        if asker:
            self._call.session.rollback(asker)
            self._call.command(DeclineOffer(asker, 491))

    def join(self) -> None:
        """Connect a callee that came from another call, as soon as it has its ports."""
        self._joining = True

    def pass_refer(self, item: ReferRequested) -> None:
        """Ask the other party to go where this one wants it, itself."""
        if self._passed:
            self._call.command(DeclineRefer(item.leg, 491))
            return
        self._passed = item.leg
        self._call.command(AcceptRefer(item.leg))
        self._call.command(Refer(self.other_than(item.leg), item.uri))

    def refer_progressed(self, item: ReferProgress) -> None:
        """Tell whoever asked for it how a transfer that the other party carries out stands."""
        if self._passed and item.leg != self._passed:
            self._call.command(ReportRefer(self._passed, item.status))
            if item.status >= 200:
                self._passed = ""

    def expect_answer(self, asker: str, asked: str) -> None:
        """Remember that `asker` made an offer which went to `asked`: the late offer of an INVITE without a
        description. Empty: it has answered one already, and hears no more of this."""
        self._pending = _Pending(asker, asked, restoring=not asker)

    def take(self, item: Any) -> None:
        """Take an Offered, OfferAnswered, OfferDeclined or Informed of either leg, or that a stream has its ports;
        those of other legs (losers of a fork) are refused."""
        call = self._call
        if isinstance(item, media.Opened):
            self._ports_came()
            return
        if item.leg not in (call.caller, self.callee):
            if isinstance(item, Offered):
                call.command(DeclineOffer(item.leg, 491))
            return
        other = self.callee if item.leg == call.caller else call.caller
        self._take(item, other)
        if call.connected:
            call.music.review(call, call.caller, self.callee)

    def _take(self, item: Any, other: str) -> None:
        call = self._call
        if isinstance(item, Offered):
            self._offered(item, other)
        elif isinstance(item, OfferAnswered):
            self._answered(item)
        elif isinstance(item, OfferDeclined):
            self._declined(item)
        elif isinstance(item, OfferWithdrawn):
            self._withdrawn(item)
        elif isinstance(item, Informed):
            call.command(Inform(other, item.method, item.content_type, item.body))

    def _offered(self, item: Offered, other: str) -> None:
        call, session = self._call, self._call.session
        if self._pending is not None or self._waiting is not None or self._joining:
            # RFC 3261 §14.2: a UAS that receives an INVITE on a dialog while an INVITE it had sent on that dialog is in
            # progress MUST return a 491. The two legs of a call are one negotiation, so the same holds across them.
            call.command(DeclineOffer(item.leg, 491))
            return
        if item.sdp is None:
            self._pending = _Pending(item.leg, other)
            call.command(Offer(other, None))
            return
        try:
            concerns_other = session.concerns_other(item.leg, item.sdp)
            session.set_remote(item.leg, item.sdp, offer=True)
            if not concerns_other:
                call.command(AcceptOffer(item.leg, session.repeat_answer(item.leg)))
                return
            if not session.open_missing(item.leg, other):
                self._waiting = item
                return
        except NegotiationError as error:
            session.rollback(item.leg)
            call.command(DeclineOffer(item.leg, error.status))
            return
        self._pass_on(item.leg, other)

    def _ports_came(self) -> None:
        item, call = self._waiting, self._call
        if self._joining and call.session.ready(self.callee):
            self._joining = False
            self.refresh(self.callee, then=call.caller)
        if item is None:
            return
        other = self.callee if item.leg == call.caller else call.caller
        if call.session.ready(item.leg) and call.session.ready(other):
            self._waiting = None
            self._pass_on(item.leg, other)

    def _pass_on(self, asker: str, asked: str) -> None:
        call, session = self._call, self._call.session
        try:
            offer = session.offer_to(asked, asker, music=call.music.is_played_for(call, asker))
        except NegotiationError as error:
            session.rollback(asker)
            call.command(DeclineOffer(asker, error.status))
            return
        self._pending = _Pending(asker, asked)
        call.command(Offer(asked, offer))

    def _answered(self, item: OfferAnswered) -> None:
        call, session, pending = self._call, self._call.session, self._pending
        asked = pending is not None and item.leg == pending.asked
        try:
            if item.is_offer:
                session.set_remote(item.leg, item.sdp, offer=True)
            else:
                session.take_answer(item.leg, item.sdp)
            if pending is None or not asked:
                # Nobody asked: a refresh of the session told something new of this side alone.
                return
            self._pending = None
            if pending.restoring:
                if pending.then:
                    session.connect(call.caller, self.callee)
                    self.refresh(pending.then)
                return
            if not pending.asker:
                self._restore(item)
            elif item.is_offer:
                # We had asked for an offer (a re-INVITE without a description); the roles change: now the asker must
                # answer it.
                offer = session.offer_to(pending.asker, item.leg)
                self._pending = _Pending(asker=item.leg, asked=pending.asker)
                call.command(AcceptOffer(pending.asker, offer))
            else:
                call.command(AcceptOffer(pending.asker, session.answer_to(pending.asker, item.leg)))
                session.connect(call.caller, self.callee)
        except NegotiationError as error:
            # An answer cannot be refused (RFC 3264 §6); the session that both believe in is no longer the same.
            call.end(cause_named("media-refused", error.reason))

    def _declined(self, item: OfferDeclined) -> None:
        pending = self._pending
        if pending is None or item.leg != pending.asked:
            return
        self._pending = None
        session = self._call.session
        session.rollback(pending.asked)
        if pending.then:
            # It moved here from another call, and its audio cannot follow.
            self._call.end(cause_named("media-refused", f"{item.status} to the offer after a transfer"))
            return
        if pending.asker:
            session.rollback(pending.asker)
            self._call.command(DeclineOffer(pending.asker, item.status if item.status in (488, 606, 415) else 488))

    def _withdrawn(self, item: OfferWithdrawn) -> None:
        """The one who asked goes on as before; the other may have agreed already, and is asked back when its answer
        comes."""
        pending, waiting = self._pending, self._waiting
        if waiting is not None and item.leg == waiting.leg:
            self._waiting = None
            self._call.session.rollback(item.leg)
        elif pending is not None and item.leg == pending.asker:
            self._call.session.rollback(item.leg)
            pending.asker = ""

    def _restore(self, item: OfferAnswered) -> None:
        """Offer the session as it was before to a leg that agreed to what has been withdrawn meanwhile."""
        call, session = self._call, self._call.session
        other = self.callee if item.leg == call.caller else call.caller
        if item.is_offer:
            call.command(AcceptOffer(item.leg, session.answer_to(item.leg, other)))
        else:
            self._pending = _Pending("", item.leg, restoring=True)
            call.command(Offer(item.leg, session.offer_to(item.leg, other)))
