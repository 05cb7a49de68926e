"""An outbound leg before its answer: the INVITE and the provisional responses (RFC 3261 §13.2.2.1, RFC 3262 §4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pbx.call import commands
from pbx.call.events import HungUp, Offered, Progressing, Rejected, Ringing
from pbx.call.leg.base import Leg
from pbx.call.leg.bodies import description_of
from pbx.call.leg.headers import invite_headers
from pbx.call.leg.negotiation import Phase, Step
from pbx.call.leg.offers import OfferInProvisional, send_prack
from pbx.call.leg.table import Input, State
from pbx.call.leg.usage import InviteUsage
from pbx.cause import EndCause, cause_named, cause_of_status
from pbx.errors import ParseError, ProtocolError
from pbx.sdp import writer
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
    from pbx.sip.stack import ClientTransaction, PassedOver

__all__ = ["CallingLeg"]

_MOST_EARLY_DIALOGS = 16
_NOBODY = commands.Party("")


class CallingLeg(Leg):
    """An outbound leg as far as its answer: takes Dial, tells Ringing and Progressing."""

    __slots__ = (
        "_acknowledged",
        "_attempts",
        "_dial",
        "_given_up",
        "_invite",
        "_invite_open",
        "_offer",
        "_passed",
        "_transaction",
        "_usages",
    )

    def __init__(
        self, leg_id: str, context: LegContext, emit: Callable[[Event], None], settings: LegSettings | None = None
    ) -> None:
        super().__init__(leg_id, context, emit, settings)
        self._usages: dict[str, InviteUsage] = {}
        self._acknowledged: list[tuple[Dialog, bytes]] = []
        """The dialogs whose 2xx was acknowledged, with the body of the ACK."""
        self._attempts = 0
        self._offer = b""
        self._invite_open = False
        self._given_up = cause_named("answered-elsewhere")
        """Why an answer that comes too late is not wanted."""
        self._transaction: ClientTransaction | None = None
        self._passed: tuple[EndCause, ...] = ()
        """Why hosts did not take INVITEs before the current one."""
        self._dial: commands.Dial
        self._invite: Request

    def usage_with(self, remote_tag: str) -> InviteUsage | None:
        """Return the dialog with that remote tag."""
        return self._usages.get(remote_tag)

    def usages(self) -> tuple[InviteUsage, ...]:
        """Return the dialogs."""
        return tuple(self._usages.values())

    def usage_with_open_offer(self) -> InviteUsage | None:
        """Return the dialog whose peer waits for AcceptOffer or DeclineOffer; there is never more than one."""
        for usage in self._usages.values():
            if usage.pending is not None:
                return usage
        return None

    def release(self) -> None:
        """Let go of what refers back to this leg, and of all that a late 2xx does not need."""
        super().release()
        self._usages.clear()
        self._transaction = None
        if self._attempts:
            # Where it was dialled is all that counts now.
            self._dial = commands.Dial(self.id, self._dial.destination, _NOBODY, _NOBODY, None)

    # -- commands

    def dial(self, command: commands.Dial) -> None:
        """Send the INVITE."""
        uri = self.settings.profile.uri(command.destination.uri)
        if uri is not command.destination.uri:
            command = replace(command, destination=replace(command.destination, uri=uri))
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

    def passed(self) -> tuple[EndCause, ...]:
        """Return why hosts that were tried before the one that has the INVITE now did not take it."""
        found = self._transaction.passed if self._transaction is not None else ()
        return (*self._passed, *[_why_passed(one) for one in found])

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

    def on_silence(self, transaction: ClientTransaction) -> None:
        """Take that nobody has said anything within the destination's patience."""
        self.perform(Input.SILENCE, transaction)

    def _invite_done(self) -> None:
        if self._invite_open:
            self._invite_open = False
            self.closed()

    def take_silence(self, transaction: ClientTransaction) -> None:
        """Give up on who has said nothing in time, if somebody else is to be tried. An answer that comes all the same
        is acknowledged and hung up."""
        if not self._dial.gives_up_silent:
            return
        cause = cause_named("callee-timeout", f"no response within {self._dial.destination.patience:g} s")
        self.tell_end(Rejected(self.id, cause, passed=self.passed()))
        self._given_up = cause
        self.become(State.CANCELLING)
        self.close()
        self.context.stack.cancel(transaction, (("Reason", reason_of(cause)),))

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
        heard = self.settings.profile.early_media
        if description is not None and self._offer:
            usage.preview = body
        if description is not None and self._offer and heard:
            self.tell(Progressing(self.id, description[1], ringing))
        elif ringing or (description is not None and not heard):
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

    # -- the end

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


def _why_passed(host: PassedOver) -> EndCause:
    """Return why a host did not take the INVITE."""
    if host.status:
        return replace(cause_of_status(host.status), detail=host.detail)
    return cause_named("callee-timeout" if host.kind == "timeout" else "unreachable", host.detail)
