"""A leg that the peer opened: we are the user agent server of its INVITE (RFC 3261 §13.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call import commands
from pbx.call.events import HungUp
from pbx.call.leg.headers import OURS, cause_of_cancel
from pbx.call.leg.in_dialog import session_headers
from pbx.call.leg.negotiation import Phase, same_session
from pbx.call.leg.ringing import RingingLeg
from pbx.call.leg.table import INBOUND, State
from pbx.call.leg.usage import InviteUsage
from pbx.cause import EndCause, cause_named
from pbx.sdp import writer
from pbx.sip.ext.reason import reason_of
from pbx.sip.names import key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pbx.call.events import Event
    from pbx.call.leg.context import LegContext, LegSettings
    from pbx.sip.message import Request
    from pbx.sip.stack import ServerTransaction, TransactionFailure

__all__ = ["InboundLeg"]


class InboundLeg(RingingLeg):
    """Takes Ring, Progress, Answer and Reject until it is answered; from then on what any leg takes."""

    __slots__ = ("_answer", "_goodbye")

    table = INBOUND
    peer_hung_up = cause_named("answered-caller-hung-up")
    peer_gone = cause_named("caller-gone")
    owns_call_id = False

    def __init__(
        self, leg_id: str, context: LegContext, emit: Callable[[Event], None], settings: LegSettings | None = None
    ) -> None:
        super().__init__(leg_id, context, emit, settings)
        self._answer: bytes | None = None
        """The answer that waits until the exchanges before it are over."""
        self._goodbye: EndCause | None = None
        """Why BYE is to be sent once the ACK has come."""

    # -- the answer

    def answer(self, command: commands.Answer) -> None:
        """Answer the call, at once or as soon as the exchanges before it are over."""
        self._answer = writer.to_bytes(command.sdp)
        self.become(State.ANSWERING)
        self.settled()

    def settled(self) -> None:
        """Send the answer if it waits for nothing any more.

        RFC 3262 §3: if the UAS had placed a session description in any reliable provisional response that is
        unacknowledged when the INVITE is accepted, the UAS MUST delay sending the 2xx until the provisional response is
        acknowledged.
        """
        usage, body = self.usage, self._answer
        if self.state is not State.ANSWERING or usage is None or body is None:
            return
        if self._reliables is not None and self._reliables.holds_description:
            return
        if usage.pending is not None or (usage.own_offer is not None and usage.own_offer.on_its_way):
            return
        self._answer = None
        self._send_answer(usage, body)

    def _send_answer(self, usage: InviteUsage, body: bytes) -> None:
        transaction, negotiation = self._invite(), usage.negotiation
        self._stop_ringing()
        if negotiation.settled:
            # RFC 3261 §13.2.1: the answer went in a reliable provisional response; this one has none. If the session
            # was to be another one, that is for an offer once the call is up.
            if not same_session(body, negotiation.local):
                self.postponed[:] = [body]
            body = b""
        elif negotiation.phase is Phase.ASKED:
            negotiation.send_answer(body)
        else:
            negotiation.send_offer(body)
        usage.dialog.confirmed = True
        headers = self.dialog_headers(transaction) + session_headers(usage, transaction)
        self.become(State.ANSWERED)
        usage.await_ack(transaction, self.response(transaction, 200, headers, body))

    def take_ack(self, usage: InviteUsage, request: Request) -> None:
        """Take the ACK of our answer, or of our 2xx to a re-INVITE."""
        initial = request.cseq.number == self._invite_cseq
        if not usage.acknowledged(request) or not initial:
            return
        self._invited = self.offer = None
        if self.state is State.ANSWERED:
            self.become(State.CONFIRMED)
        self._say_goodbye_now()

    def cause_without_ack(self) -> EndCause:
        """Return the cause of a missing ACK: of our answer, or of a later 2xx."""
        return cause_named("ack-missing") if self.state is State.ANSWERED else super().cause_without_ack()

    # -- the end

    def reject(self, command: commands.Reject | commands.HangUp) -> None:
        """Refuse the call: with its cause's status, and the cause in words (RFC 3326, RFC 6432)."""
        cause = command.cause
        headers = [("Reason", reason_of(cause))]
        for name, value in command.headers if isinstance(command, commands.Reject) else ():
            if key_of(name) in OURS:
                self.context.count("header-withheld")
            else:
                headers.append((name, value))
        # A call that ends well has a status that no unanswered one can be refused with.
        self._end_unanswered(cause, cause.sip_status if cause.sip_status >= 400 else 480, tuple(headers))

    def _end_unanswered(self, cause: EndCause, status: int, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.tell_end(HungUp(self.id, cause))
        self.become(State.ENDING)
        transaction = self._invite()
        if status and not transaction.final_sent:
            self.respond(transaction, status, headers)
        self.close()
        self.finish_if_idle()

    def take_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        """Take that the caller gives up (RFC 3261 §9.2)."""
        if transaction is self._invited:
            self._end_unanswered(cause_of_cancel(cancel), 487)
        else:
            self.ignore()

    def take_early_bye(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take that the caller leaves the early dialog by BYE (RFC 3261 §15: it MAY; §15.1.2: the INVITE gets 487)."""
        self.respond(transaction, 200)
        self._end_unanswered(cause_of_cancel(transaction.request), 487)

    def take_invite_expiry(self) -> None:
        """Take that the caller did not want to wait longer."""
        self._end_unanswered(cause_named("cancelled", "the invitation expired"), 487)

    def take_no_prack(self) -> None:
        """End a call whose reliable provisional response was never acknowledged.

        RFC 3262 §3: if a reliable provisional response is retransmitted for 64*T1 seconds without reception of a
        corresponding PRACK, the UAS SHOULD reject the original request with a 5xx response.
        """
        self._end_unanswered(self.peer_gone.with_detail("no PRACK"), 504)

    def take_undelivered(self, transaction: ServerTransaction, failure: TransactionFailure) -> None:
        """Take that the answer could not be delivered, or that the INVITE's transaction ended without one."""
        usage = self.usage
        if transaction is not self._invited or usage is None:
            self.ignore()
            return
        cause = self.peer_gone.with_detail(failure.detail or failure.kind)
        if self.state is State.ANSWERED:
            self._stop_awaiting()
            self.terminate(cause)
        else:
            self._end_unanswered(cause, 0)

    def close(self) -> None:
        """Stop everything but the repetition of an answer that has no ACK yet."""
        self._stop_ringing()
        self._answer = None
        usage = self.usage
        awaited = usage.take_awaited(self._invite_cseq) if usage is not None else None
        super().close()
        if usage is not None and awaited is not None:
            usage.unacknowledged.append(awaited)

    def terminate(self, cause: EndCause, bye: bool = True) -> None:
        """End the dialog. If the peer ended it nothing more is to be acknowledged."""
        if not bye:
            self._stop_awaiting()
        super().terminate(cause, bye)

    def say_goodbye(self, cause: EndCause) -> None:
        """Send BYE, but not before the ACK.

        RFC 3261 §15: the callee's UA MUST NOT send a BYE on a confirmed dialog until it has received an ACK for its 2xx
        response or until the server transaction times out.
        """
        if self.usage is not None and self.usage.unacknowledged:
            self._goodbye = cause
        else:
            super().say_goodbye(cause)

    def _say_goodbye_now(self) -> None:
        cause, self._goodbye = self._goodbye, None
        if cause is not None:
            super().say_goodbye(cause)

    def take_no_ack_at_end(self) -> None:
        """Take that the ACK for which the BYE waited will not come."""
        self._say_goodbye_now()
        self.finish_if_idle()

    def take_crossing_bye(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take that the peer hangs up as we do: our own BYE, if it still waits, is needless."""
        super().take_crossing_bye(usage, transaction)
        self._goodbye = None
        self._stop_awaiting()
        self.finish_if_idle()

    def _stop_awaiting(self) -> None:
        if self.usage is not None:
            for awaited in self.usage.unacknowledged:
                awaited.stop()
            self.usage.unacknowledged.clear()

    def idle(self) -> bool:
        """Return whether SIP has nothing left to finish."""
        return self._goodbye is None and super().idle()
