"""A leg that we open: we are the user agent client of its INVITE (RFC 3261 §13.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call import commands
from pbx.call.events import Answered, HungUp, Offered, Progressing, Rejected, Ringing
from pbx.call.leg.authentication import answer_challenge, credentials_in
from pbx.call.leg.base import Leg
from pbx.call.leg.bodies import description_of
from pbx.call.leg.client import ClientRequest
from pbx.call.leg.headers import invite_headers, redirections_in, retry_after_in
from pbx.call.leg.negotiation import Phase, Step
from pbx.call.leg.offers import OfferInProvisional, OfferInSuccess, ack_of, send_prack
from pbx.call.leg.table import OUTBOUND, Input, State
from pbx.call.leg.usage import InviteUsage
from pbx.cause import EndCause, cause_named, cause_of_status
from pbx.errors import ParseError, ProtocolError
from pbx.sdp import parser, writer
from pbx.sip.dialog import Dialog
from pbx.sip.ext.prack import is_reliable, rseq_of
from pbx.sip.ext.reason import reason_of
from pbx.sip.message import Request
from pbx.sip.stack import TransactionFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from pbx.call.events import Event
    from pbx.call.leg.context import LegContext, LegSettings
    from pbx.sdp.model import SessionDescription
    from pbx.sip.message import Response
    from pbx.sip.stack import ClientTransaction, Destination, ServerTransaction

__all__ = ["OutboundLeg"]

_MOST_EARLY_DIALOGS = 16
_MOST_ATTEMPTS = 5


class OutboundLeg(Leg):
    """Takes Dial first; tells Ringing, Progressing, then Answered or Rejected; from then on it is as any leg."""

    __slots__ = (
        "_acks",
        "_attempts",
        "_dial",
        "_given_up",
        "_invite",
        "_invite_open",
        "_offer",
        "_transaction",
        "_usages",
    )

    table = OUTBOUND
    peer_hung_up = cause_named("answered-callee-hung-up")
    peer_gone = cause_named("callee-gone")
    owns_call_id = True

    def __init__(
        self, leg_id: str, context: LegContext, emit: Callable[[Event], None], settings: LegSettings | None = None
    ) -> None:
        super().__init__(leg_id, context, emit, settings)
        self._usages: dict[str, InviteUsage] = {}
        self._acks: dict[str, tuple[Request, Destination]] = {}
        self._attempts = 0
        self._offer = b""
        self._invite_open = False
        self._given_up = cause_named("answered-elsewhere")
        """Why an answer that comes too late is not wanted."""
        self._transaction: ClientTransaction | None = None
        self._dial: commands.Dial
        self._invite: Request

    def usage_with(self, remote_tag: str) -> InviteUsage | None:
        """Return the dialog with that remote tag."""
        return self._usages.get(remote_tag)

    def usage_with_open_offer(self) -> InviteUsage | None:
        """Return the dialog whose peer waits for AcceptOffer or DeclineOffer; there is never more than one."""
        for usage in self._usages.values():
            if usage.pending is not None:
                return usage
        return None

    def release(self) -> None:
        """Let go of what refers back to this leg."""
        super().release()
        self._usages.clear()
        self._transaction = None

    # -- commands

    def dial(self, command: commands.Dial) -> None:
        """Send the INVITE."""
        self._dial = command
        self.credentials = command.credentials
        self.call_id = self.context.ids.call_id()
        self.local_tag = self.context.ids.tag()
        if command.offer is not None:
            self._offer = writer.to_bytes(command.offer)
        self.context.dialogs.add(self.call_id, self.local_tag, self)
        self._invite_open = True
        self.opened()
        self._send_invite(())

    def _send_invite(self, authorization: tuple[tuple[str, str], ...]) -> None:
        self._attempts += 1
        destination = self._dial.destination
        headers = invite_headers(self, self._dial, self._attempts)
        for name, value in authorization:
            headers.add(name, value)
        self._invite = Request("INVITE", destination.uri, headers, self._offer)
        self.become(State.CALLING)
        self._transaction = self.context.stack.send_request(self._invite, destination, self)

    def give_up(self, command: commands.HangUp) -> None:
        """Cancel the INVITE (RFC 3261 §9.1) and say why (RFC 3326): a phone shows no missed call if another one
        answered."""
        self.tell_end(HungUp(self.id, command.cause))
        if self._transaction is None:
            self._end()
            return
        self._given_up = command.cause
        self.become(State.CANCELLING)
        self.close()
        self.context.stack.cancel(self._transaction, (("Reason", reason_of(command.cause)),))

    # -- TransactionUser

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        """Take a response to the INVITE."""
        if transaction.flow is not None:
            self.peer_flow = transaction.flow
        if response.status < 200:
            self.perform(Input.PROVISIONAL, response)
        elif response.status < 300:
            self.perform(Input.SUCCESS, response)
        else:
            self.perform(Input.FAILURE, response)

    def on_failure(self, transaction: ClientTransaction, failure: TransactionFailure) -> None:
        """Take that the INVITE has no final response."""
        self.perform(Input.NO_RESPONSE, failure)

    def _invite_done(self) -> None:
        if self._invite_open:
            self._invite_open = False
            self.closed()

    # -- provisional responses

    def take_provisional(self, response: Response) -> None:
        """Take a 1xx: it may begin an early dialog, ring, bring early media, an answer or an offer (RFC 3261 §13.2.2.1,
        RFC 3262 §4)."""
        if response.status == 100:
            return
        try:
            usage = self._early_usage(response)
            if usage is None:
                # RFC 3261 §12.1: only a response with a To tag makes a dialog; without one it tells no more than that
                # somebody rings.
                if response.status == 180:
                    self.tell(Ringing(self.id))
                return
            if response.status == 199:
                # RFC 6228 §5: the early dialog is terminated; others of the same INVITE may go on.
                self._forget(usage)
                return
            rseq = (rseq_of(response) or 0) if is_reliable(response) else 0
            if rseq and not usage.rseqs.is_next(rseq):
                self.context.count("provisional-repeated")
                return
        except ParseError:
            self.context.count("response-malformed")
            return
        try:
            description = description_of(response)
        except ProtocolError:
            # That it rings, and that it must be acknowledged, is true all the same.
            self.context.count("response-malformed")
            description = None
        usage.note_capabilities(response)
        if rseq and not self._acknowledge_provisional(usage, rseq, description):
            return
        self._tell_progress(usage, response, description)
        usage.offer_next()

    def _early_usage(self, response: Response) -> InviteUsage | None:
        tag = response.to.tag
        if not tag:
            return None
        usage = self._usages.get(tag)
        if usage is None:
            if len(self._usages) >= _MOST_EARLY_DIALOGS:
                self.context.count("early-dialog-refused")
                return None
            usage = self._usages[tag] = self._new_usage(response)
        self.usage = usage
        if self.state is State.CALLING:
            self.become(State.EARLY)
        return usage

    def _new_usage(self, response: Response) -> InviteUsage:
        dialog = Dialog.of_client(self._invite, response)
        destination = self._dial.destination
        if destination.flow is not None:
            dialog.use_flow(destination.flow, destination.fallback)
        usage = InviteUsage(self, dialog)
        if self._offer:
            usage.negotiation.send_offer(self._offer)
        return usage

    def _acknowledge_provisional(
        self, usage: InviteUsage, rseq: int, description: tuple[bytes, SessionDescription] | None
    ) -> bool:
        """Send the PRACK. False if it must wait for our answer to an offer that the response brought."""
        if description is not None:
            if usage.negotiation.allows(Step.RECEIVE_ANSWER) and usage.own_offer is None:
                usage.negotiation.receive_answer(description[0])
            elif usage.negotiation.phase is Phase.NOTHING and self.usage_with_open_offer() is None:
                # RFC 3262 §5: if the UAC receives a reliable provisional response with an offer (this would occur if
                # the UAC sent an INVITE without an offer, in which case the first reliable provisional response will
                # contain the offer), it MUST generate an answer in the PRACK.
                usage.negotiation.receive_offer(description[0])
                usage.pending = OfferInProvisional(usage, description[1], self._invite, rseq)
                self.tell(Offered(self.id, description[1]))
                return False
        send_prack(usage, self._invite, rseq)
        return True

    def _tell_progress(
        self, usage: InviteUsage, response: Response, description: tuple[bytes, SessionDescription] | None
    ) -> None:
        ringing = response.status == 180
        body = description[0] if description is not None else b""
        if usage.heard == (response.status, body):
            return
        usage.heard = (response.status, body)
        if description is not None and self._offer:
            usage.preview = body
            self.tell(Progressing(self.id, description[1], ringing))
        elif ringing:
            self.tell(Ringing(self.id))

    def _abandon(self, usage: InviteUsage) -> None:
        """Give an early dialog up. An offer of ours that was open in it is made again in the one that is answered."""
        own = usage.own_offer
        if own is not None:
            self.postponed.insert(0, own.body)
        usage.close()

    def _forget(self, usage: InviteUsage) -> None:
        self._abandon(usage)
        self._usages = {tag: other for tag, other in self._usages.items() if other is not usage}
        self.usage = next(iter(self._usages.values()), None)

    # -- the answer

    def take_success(self, response: Response) -> None:
        """Take the first 2xx: its dialog is the leg's, all other early dialogs are given up (RFC 3261 §13.2.2.4)."""
        tag = response.to.tag or ""
        fault = ""
        try:
            usage = self._usages.get(tag) or self._new_usage(response)
            usage.dialog.confirm(response)
        except ParseError as error:
            usage = InviteUsage(self, Dialog.of_unusable(self._invite, response))
            fault = error.reason
        for other in self._usages.values():
            if other is not usage:
                self._abandon(other)
        self._usages = {tag: usage}
        self.usage = usage
        usage.note_capabilities(response)
        self.timer.granted(response)
        try:
            description = description_of(response)
        except ProtocolError as error:
            fault = fault or error.reason
        if fault:
            self.context.count("response-malformed")
            self._answered_badly(usage, fault)
        elif usage.negotiation.phase is Phase.NOTHING:
            self._answered_with_offer(usage, description)
        else:
            self._answered(usage, description)

    def _answered(self, usage: InviteUsage, description: tuple[bytes, SessionDescription] | None) -> None:
        negotiation = usage.negotiation
        if negotiation.remote:
            # RFC 3261 §13.2.1: the UAC MUST treat the first session description it receives [reliably] as the answer,
            # and MUST ignore any session descriptions in subsequent responses to the initial INVITE.
            session = parser.parse(negotiation.remote)
        elif negotiation.phase is Phase.OFFERED:
            if description is None and usage.preview:
                # The answer must be in the 2xx as well (RFC 3261 §13.2.1); gateways that sent it in a 183 forget that.
                description = usage.preview, parser.parse(usage.preview)
            if description is None:
                self._answered_badly(usage, "The answer is missing")
                return
            negotiation.receive_answer(description[0])
            session = description[1]
        else:
            self._answered_badly(usage, "An answer before our PRACK")
            return
        self._acknowledge(usage, b"")
        self.become(State.CONFIRMED)
        self.tell(Answered(self.id, session))
        self._invite_done()
        usage.offer_next()

    def _answered_with_offer(self, usage: InviteUsage, description: tuple[bytes, SessionDescription] | None) -> None:
        if description is None:
            self._answered_badly(usage, "The offer is missing")
            return

        def acknowledge(body: bytes) -> None:
            self._acknowledge(usage, body)
            if self.state is State.ANSWERED:
                self.become(State.CONFIRMED)

        usage.negotiation.receive_offer(description[0])
        usage.pending = OfferInSuccess(usage, description[1], acknowledge)
        self.become(State.ANSWERED)
        self.tell(Answered(self.id, description[1], is_offer=True))
        self._invite_done()

    def _answered_badly(self, usage: InviteUsage, detail: str) -> None:
        """End a call whose answer cannot be used: RFC 3261 §13.2.2.4 has us acknowledge it and send BYE."""
        cause = cause_named("protocol-error", detail)
        self.tell_end(Rejected(self.id, cause, 200))
        self._acknowledge(usage, b"")
        self.become(State.ENDING)
        self.close()
        self.say_goodbye(cause)
        self._invite_done()

    def _acknowledge(self, usage: InviteUsage, body: bytes) -> None:
        destination = usage.dialog.destination()
        ack = ack_of(usage.dialog, self._invite, body)
        self._acks[usage.dialog.remote_tag] = ack, destination
        self.context.stack.send_ack(ack, destination)

    def take_extra_success(self, response: Response) -> None:
        """Take a 2xx that is a repetition, or comes from another phone of a fork, or crossed our CANCEL.

        RFC 3261 §13.2.2.4: an ACK each time; a dialog that is not wanted is ended by BYE.
        """
        tag = response.to.tag or ""
        if tag in self._acks:
            self.context.stack.send_ack(*self._acks[tag])
            return
        if self.usage is not None and self.usage.dialog.confirmed and self.usage.dialog.remote_tag == tag:
            return  # its ACK waits for AcceptOffer
        try:
            usage = self._new_usage(response)
            usage.dialog.confirm(response)
            description = None if self._offer else description_of(response)
        except ProtocolError:
            self.context.count("response-malformed")
        else:
            self.context.count("answer-unwanted")
            if description is not None:
                usage.negotiation.receive_offer(description[0])
                OfferInSuccess(usage, description[1], lambda body: self._acknowledge(usage, body)).close()
            else:
                self._acknowledge(usage, b"")
            ClientRequest(usage, "BYE", self._goodbye_said, (("Reason", reason_of(self._given_up)),)).send()
        if self.state is State.CANCELLING:
            self.become(State.ENDING)
        self._invite_done()

    # -- failure

    def take_failure(self, response: Response) -> None:
        """Take a final response of 300 to 699: answer a challenge, ask for a longer session, or give up."""
        status = response.status
        again: tuple[tuple[str, str], ...] | None = None
        if self._attempts < _MOST_ATTEMPTS:
            if status in (401, 407):
                again = answer_challenge(self, self._invite, response) or None
            elif status == 422:
                again = self._longer_session(response)
        if again is not None:
            for usage in self._usages.values():
                self._abandon(usage)
            self._usages.clear()
            self.usage = None
            self._send_invite(again)
            return
        cause = cause_of_status(status, response.reason)
        self._rejected(cause, status, redirections_in(response), retry_after_in(response))

    def _longer_session(self, response: Response) -> tuple[tuple[str, str], ...] | None:
        """RFC 4028 §7.3: try again with the interval that the 422 asks for."""
        try:
            return credentials_in(self._invite) if self.timer.raise_minimum(response) else None
        except ParseError:
            return None

    def take_no_response(self, failure: TransactionFailure) -> None:
        """Take that the callee could not be reached, or never said anything final."""
        slug = "callee-timeout" if failure.kind in ("timeout", "cancelled") else "unreachable"
        self._rejected(cause_named(slug, failure.detail), 0)

    def _rejected(
        self, cause: EndCause, status: int, redirected_to: tuple[str, ...] = (), retry_after: int = 0
    ) -> None:
        self.tell_end(Rejected(self.id, cause, status, redirected_to, retry_after))
        self._end()

    def take_cancelled(self, outcome: Response | TransactionFailure) -> None:
        """Take that the INVITE that we had cancelled is over."""
        self._end()

    def _end(self) -> None:
        self.become(State.ENDING)
        self.close()
        self._invite_done()
        self.finish_if_idle()

    def close(self) -> None:
        """Stop everything that could still begin by itself, in every early dialog."""
        super().close()
        for usage in self._usages.values():
            usage.close()

    def take_early_bye(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take that a callee leaves its early dialog, which RFC 3261 §15 does not allow: the INVITE itself is still to
        be answered."""
        self.respond(transaction, 200)
        self._forget(usage)
