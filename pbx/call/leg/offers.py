"""What we offer in a dialog, by re-INVITE or UPDATE, and the offers that the 2xx to an INVITE of ours brings.

RFC 3261 §14.1 (glare and its back-off), RFC 3311 (UPDATE), RFC 4028 §7.4 (a refresh is an offer that changes nothing).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pbx.call.events import OfferAnswered
from pbx.call.leg.authentication import credentials_in
from pbx.call.leg.bodies import SDP, description_of
from pbx.call.leg.client import ClientRequest
from pbx.call.leg.headers import capabilities_late, retry_after_in
from pbx.call.leg.table import Input
from pbx.cause import cause_named
from pbx.errors import ParseError, ProtocolError
from pbx.sdp import writer
from pbx.sdp.offer_answer import describe, refused_section
from pbx.sip.ext.prack import RAck, is_reliable, rseq_of
from pbx.sip.stack import TransactionFailure

if TYPE_CHECKING:
    from pbx.call.leg.usage import InviteUsage
    from pbx.ids import Ids
    from pbx.sdp.model import SessionDescription
    from pbx.sip.dialog import Dialog
    from pbx.sip.message import Request, Response
    from pbx.sip.stack import Destination, ServerTransaction, Timer

__all__ = ["OfferInProvisional", "OfferInSuccess", "OwnOffer", "ack_of", "glare_delay", "send_prack"]

_MOST_ATTEMPTS = 10
_LONGEST_RETRY_AFTER = 10


def glare_delay(ids: Ids, owns_call_id: bool) -> float:
    """Return how long to wait after a 491, in seconds.

    RFC 3261 §14.1: if the UAC is the owner of the Call-ID of the dialog ID, T has a randomly chosen value between 2.1
    and 4 seconds in units of 10 ms. If the UAC is not the owner of the Call-ID of the dialog ID, T has a randomly
    chosen value of between 0 and 2 seconds in units of 10 ms.
    """
    number = ids.number(32)
    return (210 + number % 191 if owns_call_id else number % 201) / 100


def ack_of(dialog: Dialog, invite: Request, body: bytes) -> Request:
    """Return the ACK for a 2xx to `invite`; `body` is our answer, empty if the offer was ours.

    RFC 3261 §13.2.2.4: the ACK MUST contain the same credentials as the INVITE.
    """
    ack = dialog.ack(invite.cseq.number)
    for name, value in credentials_in(invite):
        ack.headers.add(name, value)
    if body:
        ack.headers.add("Content-Type", SDP)
        ack.body = body
    return ack


def send_prack(usage: InviteUsage, invite: Request, rseq: int, body: bytes = b"") -> None:
    """Acknowledge a reliable provisional response (RFC 3262 §4). Its own outcome changes nothing: the INVITE's
    decides."""
    leg = usage.leg

    def done(outcome: Response | TransactionFailure) -> None:
        if isinstance(outcome, TransactionFailure) or outcome.status >= 300:
            leg.context.count("prack-failed")

    rack = RAck(rseq, invite.cseq.number, "INVITE")
    ClientRequest(usage, "PRACK", done, (("RAck", str(rack)),), SDP, body).send()


class OfferInSuccess:
    """The offer of a 2xx to our INVITE: its answer goes into the ACK (RFC 3261 §13.2.1), which `acknowledge` sends."""

    __slots__ = ("_acknowledge", "_offer", "_timer", "_usage")

    def __init__(self, usage: InviteUsage, offer: SessionDescription, acknowledge: Callable[[bytes], None]) -> None:
        self._usage = usage
        self._offer = offer
        self._acknowledge = acknowledge
        leg = usage.leg

        def expired() -> None:
            leg.context.count("offer-unanswered")
            leg.enter(usage.decline, 488)

        # The peer repeats its 2xx for so long; there is nothing to be gained by waiting longer.
        self._timer: Timer = leg.context.stack.later(64 * leg.settings.t1, expired)

    def accept(self, body: bytes) -> None:
        """Send the ACK with our answer."""
        self._timer.cancel()
        self._usage.negotiation.send_answer(body)
        self._acknowledge(body)

    def decline(self, status: int) -> None:
        """Refuse it, which ends the dialog.

        RFC 3261 §13.2.2.4: if the offer in the 2xx response is not acceptable, the UAC core MUST generate a valid
        answer in the ACK and then send a BYE immediately.
        """
        self.close()
        self._usage.leg.terminate(cause_named("media-refused"))

    def close(self) -> None:
        """Send the ACK with an answer that refuses every stream."""
        self.accept(_refusal(self._usage, self._offer))

    def belongs_to(self, transaction: ServerTransaction) -> bool:
        """Return whether it came in that request: never."""
        return False


class OfferInProvisional:
    """The offer of a reliable provisional response to our INVITE: its answer goes into the PRACK (RFC 3262 §5)."""

    __slots__ = ("_invite", "_offer", "_rseq", "_usage")

    def __init__(self, usage: InviteUsage, offer: SessionDescription, invite: Request, rseq: int) -> None:
        self._usage = usage
        self._offer = offer
        self._invite = invite
        self._rseq = rseq

    def accept(self, body: bytes) -> None:
        """Send the PRACK with our answer."""
        self._usage.negotiation.send_answer(body)
        send_prack(self._usage, self._invite, self._rseq, body)

    def decline(self, status: int) -> None:
        """Refuse every stream: a PRACK must carry an answer, and no answer is a refusal by itself."""
        self.accept(_refusal(self._usage, self._offer))

    def close(self) -> None:
        """Leave it: the early dialog ends with its INVITE."""

    def belongs_to(self, transaction: ServerTransaction) -> bool:
        """Return whether it came in that request: never."""
        return False


def _refusal(usage: InviteUsage, offer: SessionDescription) -> bytes:
    """Return an answer that refuses every stream of `offer` (RFC 3264 §6: port zero)."""
    context = usage.leg.context
    host = context.stack.contact_uri(None, usage.dialog.destination()).host
    sections = tuple(refused_section(media) for media in offer.media)
    return writer.to_bytes(describe(context.ids.number(32), 0, host, sections))


class _OfferRequest(ClientRequest):
    """The re-INVITE or UPDATE of an OwnOffer. An INVITE's ACK is kept, to be sent again for each repeated 2xx."""

    __slots__ = ("_ack", "_ack_destination")

    def __init__(
        self,
        usage: InviteUsage,
        method: str,
        done: Callable[[Response | TransactionFailure], None],
        headers: tuple[tuple[str, str], ...],
        body: bytes,
    ) -> None:
        super().__init__(usage, method, done, headers, SDP, body)
        self._ack: Request | None = None
        self._ack_destination: Destination | None = None

    def acknowledge(self, body: bytes) -> None:
        """Send the ACK, if this is an INVITE."""
        if self._method == "INVITE":
            usage = self._usage
            self._ack = ack_of(usage.dialog, self.request, body)
            self._ack_destination = usage.dialog.destination()
            usage.leg.context.stack.send_ack(self._ack, self._ack_destination)

    def take_provisional(self, response: Response) -> None:
        """Acknowledge a reliable one, though we did not offer 100rel; its description, if any, must come again in the
        2xx."""
        try:
            if is_reliable(response):
                send_prack(self._usage, self.request, rseq_of(response) or 0)
        except ParseError:
            self._usage.leg.context.count("response-malformed")

    def take_repeated(self, response: Response) -> None:
        """Send the ACK again (RFC 3261 §13.2.2.4: each time a retransmission of the 2xx arrives)."""
        if self._ack is not None and self._ack_destination is not None and response.status < 300:
            self._usage.leg.context.stack.send_ack(self._ack, self._ack_destination)


class OwnOffer:
    """An offer of ours in mid-call, a request for the peer's (`body` empty), or a refresh, until it succeeds or is
    given up.

    A refresh is not told unless the peer's session has changed by it.
    """

    __slots__ = ("_attempts", "_client", "_closed", "_method", "_refresh", "_timer", "_usage", "body", "on_its_way")

    def __init__(self, usage: InviteUsage, method: str, body: bytes, refresh: bool = False) -> None:
        self._usage = usage
        self._method = method
        self.body = body
        self._refresh = refresh
        self._attempts = 0
        self._closed = False
        self._timer: Timer | None = None
        self._client: _OfferRequest | None = None
        self.on_its_way = False
        """True while the peer has it; False while it waits to be sent again."""

    def start(self) -> None:
        """Send it, or put it off while an offer of the peer is open."""
        usage, leg = self._usage, self._usage.leg
        self._timer = None
        if usage.pending is not None or not usage.negotiation.settled:
            self._retry_in(glare_delay(leg.context.ids, leg.owns_call_id))
            return
        self._attempts += 1
        if self.body:
            usage.negotiation.send_offer(self.body)
        supported = capabilities_late(leg.settings)
        timing = leg.timer.ask() if usage.dialog.confirmed else ()
        self._client = _OfferRequest(usage, self._method, self._done, supported + timing, self.body)
        self.on_its_way = True
        self._client.send()

    def close(self) -> None:
        """Give up: the dialog ends. A 2xx that still comes is acknowledged."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the outcome

    def _done(self, outcome: Response | TransactionFailure) -> None:
        self.on_its_way = False
        accepted = not isinstance(outcome, TransactionFailure) and outcome.status < 300
        if self.body and not accepted:
            self._usage.negotiation.withdraw()
        if isinstance(outcome, TransactionFailure):
            if outcome.kind == "timeout":
                self._peer_gone(408)
            else:
                self._failed(503)
        elif accepted:
            self._accepted(outcome)
        else:
            self._refused(outcome)

    def _accepted(self, response: Response) -> None:
        usage, leg = self._usage, self._usage.leg
        try:
            description = description_of(response)
            usage.dialog.refresh_target(response)
            usage.note_capabilities(response)
            if usage.dialog.confirmed and not self._closed:
                leg.timer.granted(response)
        except ProtocolError:
            leg.context.count("response-malformed")
            description = None
        if self.body or description is None:
            self._acknowledge(b"")
            self._take_answer(description)
            return
        usage.negotiation.receive_offer(description[0])
        offer = OfferInSuccess(usage, description[1], self._answer_late)
        if self._closed:
            offer.close()
            return
        usage.pending = offer
        leg.tell(OfferAnswered(leg.id, description[1], is_offer=True))

    def _take_answer(self, answer: tuple[bytes, SessionDescription] | None) -> None:
        usage, leg = self._usage, self._usage.leg
        if answer is None:
            if self.body:
                usage.negotiation.withdraw()
            if self._method == "INVITE":
                # A 2xx without the description that it must bring (RFC 3261 §13.2.1): what the peer now believes is
                # unknown; what it last agreed to is the best guess.
                leg.context.count("answer-missing")
                self._failed(488)
            else:
                usage.own_offer_done()
            return
        body, description = answer
        if not self.body:
            # A description in answer to an UPDATE without one: not allowed, and no harm.
            usage.own_offer_done()
            return
        changed = body != usage.negotiation.remote
        usage.negotiation.receive_answer(body)
        if not self._refresh or (changed and not usage.leg.postponed):
            # (An answer that comes unasked for must not be taken for the one to an Offer that still waits.)
            leg.tell(OfferAnswered(leg.id, description))
        usage.own_offer_done()

    def _answer_late(self, body: bytes) -> None:
        self._acknowledge(body)
        self._usage.own_offer_done()

    def _acknowledge(self, body: bytes) -> None:
        assert self._client is not None
        self._client.acknowledge(body)

    def _refused(self, response: Response) -> None:
        leg, status = self._usage.leg, response.status
        if self._closed:
            return
        if status in (408, 481):
            # RFC 3261 §12.2.1.2, §14.1: the UAC SHOULD terminate the dialog.
            self._peer_gone(status)
        elif self._attempts >= _MOST_ATTEMPTS:
            self._failed(status)
        elif self._method == "UPDATE" and status in (405, 501):
            self._without_update()
        elif status == 491:
            self._retry_in(glare_delay(leg.context.ids, leg.owns_call_id))
        elif status == 500 and "Retry-After" in response.headers and retry_after_in(response) <= _LONGEST_RETRY_AFTER:
            # RFC 3261 §14.2: an INVITE of ours overlapped with one that the peer had not answered yet.
            self._retry_in(max(retry_after_in(response), leg.settings.t1))
        elif status == 422 and self._raise_minimum(response):
            self.start()
        else:
            self._failed(status)

    def _without_update(self) -> None:
        """Go on by re-INVITE if the peer does not take UPDATE after all; while the dialog is early that must wait."""
        usage = self._usage
        usage.updatable = False
        if usage.dialog.confirmed:
            self._method = "INVITE"
            self.body = self.body or usage.negotiation.local
            self.start()
        else:
            usage.leg.postponed.insert(0, self.body)
            usage.own_offer_done()

    def _raise_minimum(self, response: Response) -> bool:
        try:
            return self._usage.leg.timer.raise_minimum(response)
        except ParseError:
            return False

    def _retry_in(self, delay: float) -> None:
        leg = self._usage.leg
        self._timer = leg.context.stack.later(delay, lambda: leg.enter(self.start))
        leg.settled()

    def _peer_gone(self, status: int) -> None:
        if self._closed:
            return
        leg = self._usage.leg
        self._usage.own_offer = None
        leg.perform(Input.PEER_GONE)
        if not self._refresh:
            leg.declined(status)

    def _failed(self, status: int) -> None:
        if self._closed:
            return
        leg = self._usage.leg
        if self._refresh:
            leg.context.count("refresh-failed")
            leg.timer.refresh_failed()
        else:
            leg.declined(status)
        self._usage.own_offer_done()
