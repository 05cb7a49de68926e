"""What the peer asks inside a dialog: re-INVITE, UPDATE, INFO, MESSAGE, OPTIONS (RFC 3261 §12.2.2, §14.2; RFC 3311; RFC
6086)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call.events import Informed, Offered
from pbx.call.leg.bodies import description_of
from pbx.call.leg.headers import ACCEPT, ALLOW, capabilities
from pbx.call.leg.negotiation import Phase
from pbx.errors import UsageError
from pbx.sip.dialog import remote_target_of

if TYPE_CHECKING:
    from pbx.call.leg.usage import InviteUsage
    from pbx.ids import Ids
    from pbx.sdp.model import SessionDescription
    from pbx.sip.stack import ServerTransaction, Timer

__all__ = [
    "RequestedOffer",
    "retry_soon",
    "take_information",
    "take_invite",
    "take_offer",
    "take_options",
    "take_unknown",
    "take_update",
]

_KNOWN_ELSEWHERE = frozenset(("REFER", "REGISTER", "PUBLISH"))
# REFER is taken once the dialog is confirmed.
_EVENTS = frozenset(("SUBSCRIBE", "NOTIFY"))


def retry_soon(ids: Ids) -> tuple[tuple[str, str], ...]:
    """Return a Retry-After of 0 to 10 seconds, chosen at random (RFC 3261 §14.2, RFC 3311 §5.2)."""
    return (("Retry-After", str(ids.number(16) % 11)),)


def take_invite(usage: InviteUsage, transaction: ServerTransaction) -> None:
    """Take a re-INVITE in a confirmed dialog."""
    if _refused_for_now(usage, transaction) or _interval_refused(usage, transaction):
        return
    request = transaction.request
    remote_target_of(request)
    offer = description_of(request)
    usage.note_capabilities(request)
    negotiation = usage.negotiation
    if offer is not None:
        if _changes_nothing(usage, transaction, offer[0]):
            # The very body of before, by the way that its sender was last heard on: a session refresh (RFC 3264 §8, RFC
            # 4028 §7.4). Who repeats it from elsewhere has a reason: then the call hears of it.
            negotiation.receive_offer(offer[0])
            RequestedOffer(usage, transaction).accept(negotiation.local)
            return
        negotiation.receive_offer(offer[0])
    usage.pending = RequestedOffer(usage, transaction)
    usage.leg.tell(Offered(usage.leg.id, None if offer is None else offer[1]))


def take_update(usage: InviteUsage, transaction: ServerTransaction) -> None:
    """Take an UPDATE, in an early or a confirmed dialog (RFC 3311 §5.2)."""
    request = transaction.request
    remote_target_of(request)
    offer = description_of(request)
    if offer is None:
        # A refresh of target or session crosses nothing.
        if not _interval_refused(usage, transaction):
            usage.note_capabilities(request)
            usage.dialog.refresh_target(request)
            leg = usage.leg
            leg.respond(transaction, 200, leg.dialog_headers(transaction) + session_headers(usage, transaction))
        return
    if _refused_for_now(usage, transaction) or _interval_refused(usage, transaction):
        return
    usage.note_capabilities(request)
    take_offer(usage, transaction, offer)


def take_offer(usage: InviteUsage, transaction: ServerTransaction, offer: tuple[bytes, SessionDescription]) -> None:
    """Hand up the offer of an UPDATE or PRACK; it must be answered soon, or its client transaction ends."""
    leg = usage.leg
    usage.negotiation.receive_offer(offer[0])
    pending = RequestedOffer(usage, transaction)

    def expired() -> None:
        # RFC 3311 §5.2: if the UAS cannot change the session parameters without prompting the user, it SHOULD reject
        # with a 504.
        leg.context.count("offer-unanswered")
        usage.withdraw_pending(transaction, 504)

    pending.timer = leg.context.stack.later(leg.settings.offer_timeout, expired)
    usage.pending = pending
    leg.tell(Offered(leg.id, offer[1]))


def session_headers(usage: InviteUsage, transaction: ServerTransaction) -> tuple[tuple[str, str], ...]:
    """Return the session timer's headers for a 2xx, and start the timer; an early dialog has none (RFC 4028 §9 times
    the session)."""
    return usage.leg.timer.grant(transaction.request) if usage.dialog.confirmed else ()


def _refused_for_now(usage: InviteUsage, transaction: ServerTransaction) -> bool:
    """Refuse an INVITE, or an UPDATE with an offer, that comes while another offer is open."""
    leg = usage.leg
    phase = usage.negotiation.phase
    if leg.usage_with_open_offer() is not None or phase is Phase.ASKED:
        # RFC 3261 §14.2: a UAS that receives a second INVITE before it sends the final response to a first INVITE with
        # a lower CSeq sequence number on the same dialog MUST return a 500 (Server Internal Error) response to the
        # second INVITE and MUST include a Retry-After header field with a randomly chosen value of between 0 and 10
        # seconds. (RFC 3311 §5.2 says the same of UPDATE.)
        leg.refuse_overlap(usage, transaction)
        return True
    if phase is not Phase.AGREED or (usage.own_offer is not None and usage.own_offer.on_its_way):
        # RFC 3261 §14.2: a UAS that receives an INVITE on a dialog while an INVITE it had sent on that dialog is in
        # progress MUST return a 491 (Request Pending) response to the received INVITE.
        leg.refuse_glare(usage, transaction)
        return True
    return False


def _interval_refused(usage: InviteUsage, transaction: ServerTransaction) -> bool:
    leg = usage.leg
    headers = leg.timer.too_small(transaction.request)
    if headers:
        leg.respond(transaction, 422, headers)
    return bool(headers)


def _changes_nothing(usage: InviteUsage, transaction: ServerTransaction, body: bytes) -> bool:
    return body == usage.negotiation.remote and transaction.flow == usage.leg.peer_flow


class RequestedOffer:
    """An INVITE, UPDATE or PRACK of the peer that waits for our answer, or for our offer."""

    __slots__ = ("_transaction", "_usage", "timer")

    def __init__(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        self._usage = usage
        self._transaction = transaction
        self.timer: Timer | None = None

    def accept(self, body: bytes) -> None:
        """Send the 2xx with our description."""
        self._stop_timer()
        usage, transaction = self._usage, self._transaction
        leg, request = usage.leg, transaction.request
        if usage.negotiation.phase is Phase.ASKED:
            usage.negotiation.send_answer(body)
        else:
            usage.negotiation.send_offer(body)
        leg.peer_flow = transaction.flow
        if request.method == "PRACK":
            leg.respond(transaction, 200, (), body)
            return
        # RFC 6141 §4.3: the target refresh takes effect with our 2xx; a request that was refused changes nothing.
        usage.dialog.refresh_target(request)
        headers = leg.dialog_headers(transaction) + session_headers(usage, transaction)
        if request.method == "UPDATE":
            leg.respond(transaction, 200, headers, body)
        elif request.method == "INVITE":
            usage.await_ack(transaction, leg.response(transaction, 200, headers, body))
        else:
            raise UsageError(f"{request.method} carries no offer")

    def decline(self, status: int) -> None:
        """Refuse it; the session goes on as it was (RFC 3261 §14.2)."""
        self._stop_timer()
        usage = self._usage
        if usage.negotiation.phase is Phase.ASKED:
            usage.negotiation.withdraw()
        usage.leg.respond(self._transaction, status if status >= 400 else 488)

    def close(self) -> None:
        """Finish it in a dialog that ends."""
        self._stop_timer()
        self._usage.leg.respond(self._transaction, 487)

    def belongs_to(self, transaction: ServerTransaction) -> bool:
        """Return whether it came in that request."""
        return transaction is self._transaction

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def take_information(usage: InviteUsage, transaction: ServerTransaction) -> None:
    """Take an INFO or a MESSAGE: hand its body up, whatever it is, and answer 200 (RFC 6086 §4.2.2, RFC 3428 §7)."""
    leg, request = usage.leg, transaction.request
    content_type = request.headers.get("Content-Type") or ""
    leg.respond(transaction, 200)
    if request.body:
        leg.tell(Informed(leg.id, request.method, content_type, request.body))


def take_options(usage: InviteUsage, transaction: ServerTransaction) -> None:
    """Say what we can do (RFC 3261 §11.2)."""
    usage.leg.respond(transaction, 200, (*capabilities(usage.leg.settings), ("Accept", ACCEPT)))


def take_unknown(usage: InviteUsage, transaction: ServerTransaction) -> None:
    """Refuse a method that a leg does not serve."""
    method, leg = transaction.request.method, usage.leg
    leg.context.count("method-refused")
    if method in _EVENTS:
        # RFC 6665 §4.2.1.3, §4.1.3: no event package is served inside a call's dialog.
        leg.respond(transaction, 489, (("Allow", ALLOW),))
    elif method in _KNOWN_ELSEWHERE:
        leg.respond(transaction, 405, (("Allow", ALLOW),))
    else:
        # RFC 3261 §21.5.2: the appropriate response when a UAS does not recognize the request method and is not capable
        # of supporting it for any user.
        leg.respond(transaction, 501, (("Allow", ALLOW),))
