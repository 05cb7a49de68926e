"""The INVITE usage of one dialog (RFC 5057 §3): its offers and answers, its ACKs, and the requests that we send in
it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pbx.call.events import OfferAnswered, OfferWithdrawn
from pbx.call.leg.acknowledgement import AwaitedAck
from pbx.call.leg.bodies import description_of
from pbx.call.leg.negotiation import Negotiation, Phase
from pbx.call.leg.offers import OwnOffer
from pbx.call.leg.reliability import RSeqOrder
from pbx.call.leg.table import Input
from pbx.errors import ProtocolError

if TYPE_CHECKING:
    from pbx.call.leg.base import Leg
    from pbx.sip.dialog import Dialog
    from pbx.sip.message import Message, Request, Response
    from pbx.sip.stack import ServerTransaction

__all__ = ["InviteUsage", "OpenOffer"]


class OpenOffer(Protocol):
    """An offer of the peer that waits for AcceptOffer or DeclineOffer; it came in a request, or in a 2xx to ours."""

    def accept(self, body: bytes) -> None:
        """Send our answer, or our offer if the peer asked for one."""

    def decline(self, status: int) -> None:
        """Refuse it."""

    def close(self) -> None:
        """Finish it in a dialog that ends."""

    def belongs_to(self, transaction: ServerTransaction) -> bool:
        """Return whether it came in that request."""


class InviteUsage:
    """One dialog of a leg. An outbound leg has several while its INVITE is open and forks downstream."""

    __slots__ = (
        "dialog",
        "heard",
        "informable",
        "leg",
        "negotiation",
        "own_offer",
        "pending",
        "preview",
        "rseqs",
        "unacknowledged",
        "updatable",
    )

    def __init__(self, leg: Leg, dialog: Dialog) -> None:
        self.leg = leg
        self.dialog = dialog
        self.negotiation = Negotiation()
        self.rseqs = RSeqOrder()
        self.updatable = False
        """Whether the peer takes UPDATE, as its Allow says (RFC 3311 §4)."""
        self.informable = False
        """Whether the peer takes INFO."""
        self.pending: OpenOffer | None = None
        """The peer's open offer."""
        self.own_offer: OwnOffer | None = None
        """Our offer or refresh under way."""
        self.unacknowledged: list[AwaitedAck] = []
        """Our 2xx to INVITE that await their ACK."""
        self.heard: tuple[int, bytes] | None = None
        """The provisional response last told (status and body), so that a repeated one is not told again."""
        self.preview = b""
        """The description of an unreliable provisional response: it is the answer only once the 2xx says so."""

    def note_capabilities(self, message: Message) -> None:
        """Learn from a message of the peer which methods it takes."""
        if "Allow" in message.headers:
            # Taking the list apart would cost more than a 405 once in a while (`OwnOffer` then goes on by re-INVITE).
            allowed = message.headers.raw("Allow")
            self.updatable = any("UPDATE" in methods for methods in allowed)
            self.informable = any("INFO" in methods for methods in allowed)

    # -- 2xx that we send, and their ACK

    def await_ack(self, transaction: ServerTransaction, response: Response) -> None:
        """Send a 2xx to INVITE until it is acknowledged. If our offer is open it is in this response."""
        leg = self.leg
        leg.context.stack.send_response(transaction, response)
        number = transaction.request.cseq.number

        def lost() -> None:
            self.take_awaited(number)
            leg.perform(Input.NO_ACK)

        brings_answer = self.negotiation.phase is Phase.OFFERED
        self.unacknowledged.append(
            AwaitedAck(leg.context.stack, leg.settings, transaction, response, lost, brings_answer=brings_answer)
        )

    def take_awaited(self, number: int) -> AwaitedAck | None:
        """Return the 2xx to the INVITE with that number, which awaits its ACK here no more; None if none does."""
        for awaited in self.unacknowledged:
            if awaited.number == number:
                self.unacknowledged.remove(awaited)
                return awaited
        return None

    def acknowledged(self, request: Request) -> bool:
        """Take an ACK; False if it was not awaited, which is usual for the ACK of a repeated 2xx."""
        awaited = self.take_awaited(request.cseq.number)
        if awaited is None:
            self.leg.context.count("ack-repeated")
            return False
        awaited.stop()
        if awaited.brings_answer:
            self._take_answer_in_ack(request)
        self.offer_next()
        return True

    def _take_answer_in_ack(self, request: Request) -> None:
        """RFC 3261 §13.2.1: if the initial offer is in the first reliable non-failure message from the UAS, the answer
        MUST be in the ACK."""
        had_session = bool(self.negotiation.local)
        try:
            answer = description_of(request)
        except ProtocolError as error:
            answer, fault = None, error.reason
        else:
            fault = "The ACK brought no answer"
        if answer is not None:
            self.negotiation.receive_answer(answer[0])
            self.leg.tell(OfferAnswered(self.leg.id, answer[1]))
        elif had_session:
            # The session of before is still there, and the peer has not said otherwise.
            self.leg.context.count("answer-missing")
            self.negotiation.withdraw()
            self.leg.declined(488)
        else:
            self.leg.perform(Input.PROTOCOL_FAULT, fault)

    # -- the peer's offers

    def accept(self, body: bytes) -> None:
        """Answer the peer's open offer."""
        pending, self.pending = self.pending, None
        if pending is not None:
            pending.accept(body)
            self.offer_next()

    def decline(self, status: int) -> None:
        """Refuse the peer's open offer."""
        pending, self.pending = self.pending, None
        if pending is not None:
            pending.decline(status)
            self.offer_next()

    def withdraw_pending(self, transaction: ServerTransaction, status: int) -> bool:
        """Refuse an open offer that the peer took back or that nobody answered, and tell; False if it is not open."""
        if self.pending is None or not self.pending.belongs_to(transaction):
            return False
        self.decline(status)
        self.leg.tell(OfferWithdrawn(self.leg.id))
        return True

    # -- our offers

    def offer_next(self) -> None:
        """Send the next postponed offer, if there is one and it is our turn."""
        leg = self.leg
        leg.settled()
        if leg.usage is not self or not leg.postponed or self.own_offer is not None or self.pending is not None:
            return
        if not self.negotiation.settled:
            return
        body = leg.postponed[0]
        if self.dialog.confirmed:
            if self.unacknowledged:
                return
            method = "INVITE"
        elif self.updatable and body:
            # RFC 3311 §5.1: an early dialog is changed by UPDATE; an offer cannot be asked for by it.
            method = "UPDATE"
        else:
            return
        del leg.postponed[0]
        self.own_offer = OwnOffer(self, method, body)
        self.own_offer.start()

    def refresh(self) -> None:
        """Refresh the session (RFC 4028 §7.4): by UPDATE if the peer takes it, else by a re-INVITE that changes
        nothing."""
        if self.own_offer is not None or self.pending is not None or not self.negotiation.settled:
            # Whatever is under way refreshes the session if it succeeds.
            self.leg.timer.refresh_failed()
            return
        if self.updatable:
            self.own_offer = OwnOffer(self, "UPDATE", b"", refresh=True)
        else:
            self.own_offer = OwnOffer(self, "INVITE", self.negotiation.local, refresh=True)
        self.own_offer.start()

    def own_offer_done(self) -> None:
        """Take that our offer or refresh has come to its end."""
        self.own_offer = None
        self.offer_next()

    # -- the end

    def close(self) -> None:
        """Stop everything that could still begin by itself, and finish what waits for an answer of ours.

        RFC 3261 §15.1.2: the UAS MUST still respond to any pending requests received for that dialog. It is RECOMMENDED
        that a 487 (Request Terminated) response be generated to those pending requests.
        """
        pending, self.pending = self.pending, None
        if pending is not None:
            pending.close()
        if self.own_offer is not None:
            self.own_offer.close()
            self.own_offer = None
        for awaited in self.unacknowledged:
            awaited.stop()
        self.unacknowledged.clear()
