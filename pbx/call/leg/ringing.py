"""An inbound leg before its answer: the INVITE and the provisional responses (RFC 3261 §13.3.1.1, RFC 3262 §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call import commands
from pbx.call.events import OfferAnswered
from pbx.call.leg.base import Leg
from pbx.call.leg.bodies import description_of
from pbx.call.leg.headers import option_tags
from pbx.call.leg.in_dialog import take_offer
from pbx.call.leg.negotiation import Phase, same_session
from pbx.call.leg.reliability import ReliableProvisionals
from pbx.call.leg.screening import Refusal, screen_invite
from pbx.call.leg.table import Input, State
from pbx.call.leg.usage import InviteUsage
from pbx.errors import ParseError, ProtocolError
from pbx.sdp import writer
from pbx.sip.dialog import Dialog
from pbx.sip.ext.options import RELIABLE, supports
from pbx.sip.ext.prack import rack_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pbx.call.events import Event
    from pbx.call.leg.context import LegContext, LegSettings
    from pbx.sdp.model import SessionDescription
    from pbx.sip.message import Request
    from pbx.sip.stack import ServerTransaction, Timer

__all__ = ["RingingLeg"]

_REPEAT = 60.0
_REPEAT_RELIABLE = 150.0
"""Seconds. RFC 3261 §13.3.1.1: the UAS MUST send a non-100 provisional response at every minute, to handle the
possibility of lost provisional responses; RFC 3262 §3: once every two and a half minutes if it is sent reliably."""

_LONGEST_EXPIRY = 86400
"""Seconds. An INVITE that may wait for longer may wait for ever."""


class RingingLeg(Leg):
    """An inbound leg as far as its answer: takes Ring and Progress."""

    __slots__ = ("_expiry", "_invite_cseq", "_invited", "_provided", "_reliables", "_repeat", "offer")

    def __init__(
        self, leg_id: str, context: LegContext, emit: Callable[[Event], None], settings: LegSettings | None = None
    ) -> None:
        super().__init__(leg_id, context, emit, settings)
        self.offer: SessionDescription | None = None
        """What the INVITE offered; None for a late offer. Valid from `start` until the call is answered."""
        self._invited: ServerTransaction | None = None
        """The INVITE, until it is answered and acknowledged."""
        self._invite_cseq = 0
        self._reliables: ReliableProvisionals | None = None
        self._provided: tuple[int, bytes] = (0, b"")
        """The provisional response last sent."""
        self._repeat: Timer | None = None
        self._expiry: Timer | None = None

    def start(self, transaction: ServerTransaction, request: Request) -> bool:
        """Take the INVITE. False: it was refused with what RFC 3261 §8.2 says (400, 406, 415, 420, 422), no event
        comes, the leg is gone.

        True: the leg is in the DialogTable and waits for commands; whoever started it tells Incoming.
        """
        self._invited = transaction
        self._invite_cseq = request.cseq.number
        self.call_id = request.call_id
        self.local_tag = self.context.ids.tag()
        self.peer_flow = transaction.flow
        try:
            offer = screen_invite(request, option_tags(self.settings))
            too_small = self.timer.too_small(request)
            if too_small:
                raise Refusal("Session Interval Too Small", 422, too_small)
            dialog = Dialog.of_server(request, self.local_tag)
        except ProtocolError as error:
            self.refuse(transaction, error)
            self.become(State.ENDED)
            self.release()
            return False
        usage = self.usage = InviteUsage(self, dialog)
        usage.note_capabilities(request)
        if self.settings.keep_flow:
            dialog.use_flow(transaction.flow, fallback=True)
        if offer is not None:
            usage.negotiation.receive_offer(offer[0])
            self.offer = offer[1]
        if supports(request, RELIABLE) and (self.settings.reliable_provisionals or RELIABLE in request.require):
            self._reliables = ReliableProvisionals(self.context, self.settings, transaction, self._no_prack)
        self.context.dialogs.add(self.call_id, self.local_tag, self)
        self.become(State.CALLING)
        self._note_expiry(request)
        return True

    def _note_expiry(self, request: Request) -> None:
        """RFC 3261 §13.3.1: if the invitation expires before the UAS has generated a final response, a 487 (Request
        Terminated) response SHOULD be generated."""
        if "Expires" not in request.headers:
            return
        try:
            seconds = request.expires
        except ParseError:
            return
        if seconds is not None and seconds <= _LONGEST_EXPIRY:
            self._expiry = self.context.stack.later(float(seconds), self._expired)

    def _expired(self) -> None:
        self._expiry = None
        self.perform(Input.INVITE_EXPIRED)

    def usage_with(self, remote_tag: str) -> InviteUsage | None:
        """Return the dialog, if that is its remote tag."""
        usage = self.usage
        return usage if usage is not None and usage.dialog.remote_tag == remote_tag else None

    def _dialog(self) -> InviteUsage:
        assert self.usage is not None, "a started leg that has not ended has its dialog"
        return self.usage

    def _invite(self) -> ServerTransaction:
        assert self._invited is not None, "a leg that has not been answered has its INVITE"
        return self._invited

    def release(self) -> None:
        """Let go of what refers back to this leg."""
        super().release()
        self._invited = self._reliables = self.offer = None

    # -- provisional responses

    def ring(self, command: commands.Ring) -> None:
        """Send 180, or what the peer takes in its place."""
        self._provide(self.settings.profile.ringing, b"")

    def progress(self, command: commands.Progress) -> None:
        """Send early media: 183, or 180 with a description."""
        body = writer.to_bytes(command.sdp)
        negotiation = self._dialog().negotiation
        if negotiation.local:
            # The answer has reached the peer reliably. RFC 3261 §13.2.1 has it ignore any description in later
            # responses: what has changed since is a new offer.
            if not same_session(body, negotiation.local):
                self._offer_change(body)
            body = b""
        elif negotiation.phase is Phase.NOTHING and self._reliables is None:
            # RFC 3261 §13.2.1: the initial offer must be in the first reliable non-failure message: this response is
            # none.
            body = b""
        elif negotiation.phase is Phase.OFFERED:
            body = b""
        self._provide(self.settings.profile.ringing if command.ringing else 183, body)

    def _offer_change(self, body: bytes) -> None:
        self.postponed[:] = [body]
        self._dialog().offer_next()

    def _provide(self, status: int, body: bytes) -> None:
        usage, transaction = self._dialog(), self._invite()
        if self._provided == (status, body):
            return
        required = RELIABLE in transaction.request.require
        if required and not body and usage.negotiation.phase is Phase.NOTHING:
            # RFC 3262 §5: if a reliable provisional response is the first reliable message sent back to the UAC, and
            # the INVITE did not contain an offer, one MUST appear in that response. There is none to give yet, and no
            # response may be unreliable.
            self.context.count("provisional-impossible")
            return
        self._provided = status, body
        if self.state is State.CALLING:
            self.become(State.EARLY)
        response = self.response(transaction, status, self.dialog_headers(transaction), body)
        if self._reliables is None or not (required or body):
            self.context.stack.send_response(transaction, response)
            self._repeat_in(_REPEAT)
            return
        if body and usage.negotiation.phase is Phase.ASKED:
            usage.negotiation.send_answer(body)
        elif body:
            usage.negotiation.send_offer(body)
        self._reliables.send(response, described=bool(body))
        self._repeat_in(_REPEAT_RELIABLE)

    def _repeat_in(self, seconds: float) -> None:
        if self._repeat is not None:
            self._repeat.cancel()
        self._repeat = self.context.stack.later(seconds, self._provide_again)

    def _provide_again(self) -> None:
        """Keep proxies on the way from giving up: their Timer C ends a call that says nothing for three minutes."""
        status, body = self._provided
        self._provided = 0, b""
        # A description that has been agreed upon reliably is not repeated.
        self._provide(status, b"" if self._dialog().negotiation.local else body)

    def _stop_ringing(self) -> None:
        """Stop what belongs to an INVITE that has no final response yet."""
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat = None
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self._reliables is not None:
            self._reliables.stop()

    def _no_prack(self) -> None:
        self.perform(Input.NO_PRACK)

    def take_prack(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take the PRACK of a reliable provisional response; it may bring an answer or a new offer (RFC 3262 §3,
        §5)."""
        request = transaction.request
        description = description_of(request)
        if self._reliables is None or not self._reliables.acknowledge(rack_of(request), self._invite_cseq):
            self.respond(transaction, 481)
            return
        negotiation = usage.negotiation
        awaits_answer = negotiation.phase is Phase.OFFERED and usage.own_offer is None
        if description is not None and negotiation.settled and usage.pending is None:
            take_offer(usage, transaction, description)
            return
        if description is not None and not awaits_answer:
            self.refuse(transaction, ProtocolError("An offer out of turn"))
            usage.offer_next()
            return
        self.respond(transaction, 200)
        if description is not None:
            negotiation.receive_answer(description[0])
            self.tell(OfferAnswered(self.id, description[1]))
        elif awaits_answer:
            # The offer of our response must be answered here (RFC 3262 §5). The 2xx makes it again.
            self.context.count("answer-missing")
            negotiation.withdraw()
        usage.offer_next()
