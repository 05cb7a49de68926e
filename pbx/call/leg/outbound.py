"""A leg that we open: we are the user agent client of its INVITE (RFC 3261 §13.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call.events import Answered, Rejected
from pbx.call.leg.authentication import answer_challenge, credentials_in
from pbx.call.leg.bodies import description_of
from pbx.call.leg.calling import CallingLeg
from pbx.call.leg.client import ClientRequest
from pbx.call.leg.headers import redirections_in, retry_after_in
from pbx.call.leg.negotiation import Phase
from pbx.call.leg.offers import OfferInSuccess, ack_of
from pbx.call.leg.table import OUTBOUND, State
from pbx.call.leg.usage import InviteUsage
from pbx.cause import EndCause, cause_named, cause_of_status
from pbx.errors import ParseError, ProtocolError
from pbx.sdp import parser
from pbx.sip.dialog import Dialog
from pbx.sip.ext.reason import reason_of
from pbx.sip.stack import TransactionFailure

if TYPE_CHECKING:
    from pbx.sdp.model import SessionDescription
    from pbx.sip.message import Response
    from pbx.sip.stack import ServerTransaction

__all__ = ["OutboundLeg"]

_MOST_ATTEMPTS = 5


class OutboundLeg(CallingLeg):
    """Takes Dial first; tells Ringing, Progressing, then Answered or Rejected; from then on it is as any leg."""

    __slots__ = ()

    table = OUTBOUND
    peer_hung_up = cause_named("answered-callee-hung-up")
    peer_gone = cause_named("callee-gone")
    owns_call_id = True

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
        except ProtocolError as refused:
            fault = fault or refused.reason
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
        self.tell(Answered(self.id, session, passed=self.passed()))
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
        self.tell(Answered(self.id, description[1], is_offer=True, passed=self.passed()))
        self._invite_done()

    def _answered_badly(self, usage: InviteUsage, detail: str) -> None:
        """End a call whose answer cannot be used: RFC 3261 §13.2.2.4 has us acknowledge it and send BYE."""
        cause = cause_named("protocol-error", detail)
        self.tell_end(Rejected(self.id, cause, 200, passed=self.passed()))
        self._acknowledge(usage, b"")
        self.become(State.ENDING)
        self.close()
        self.say_goodbye(cause)
        self._invite_done()

    def _acknowledge(self, usage: InviteUsage, body: bytes) -> None:
        self._acknowledged.append((usage.dialog, body))
        self._send_ack(usage.dialog, body)

    def _send_ack(self, dialog: Dialog, body: bytes) -> None:
        self.context.stack.send_ack(ack_of(dialog, self._invite, body), dialog.destination())

    def take_extra_success(self, response: Response) -> None:
        """Take a 2xx that is a repetition, or comes from another phone of a fork, or crossed our CANCEL.

        RFC 3261 §13.2.2.4: an ACK each time; a dialog that is not wanted is ended by BYE.
        """
        tag = response.to.tag or ""
        for dialog, body in self._acknowledged:
            if dialog.remote_tag == tag:
                self._send_ack(dialog, body)
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
            self._passed = self.passed()
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
        self.tell_end(Rejected(self.id, cause, status, redirected_to, retry_after, self.passed()))
        self._end()

    def take_cancelled(self, outcome: Response | TransactionFailure) -> None:
        """Take that the INVITE that we had cancelled is over."""
        self._end()

    def take_early_bye(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take that a callee leaves its early dialog, which RFC 3261 §15 does not allow: the INVITE itself is still to
        be answered."""
        self.respond(transaction, 200)
        self._forget(usage)
