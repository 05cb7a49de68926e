"""REFER inside a call's dialog, either way, and the NOTIFYs that tell how it went (RFC 3515).

The subscription that a REFER makes shares the dialog with the call (RFC 5057). One at a time, each way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call.called import called_in, reason_against
from pbx.call.events import ReferProgress, ReferRequested
from pbx.call.leg.client import ClientRequest
from pbx.errors import ParseError, ProtocolError
from pbx.sip.ext.identity import without_verstat
from pbx.sip.ext.refer import SIPFRAG, refer_to_of, replaces_in, sipfrag, sipfrag_status, wants_subscription
from pbx.sip.stack import TransactionFailure

if TYPE_CHECKING:
    from pbx.call.leg.usage import InviteUsage
    from pbx.cause import EndCause
    from pbx.sip.message import Response
    from pbx.sip.stack import ServerTransaction

__all__ = ["Referral", "send", "take", "take_notify"]

_LASTS = 180
"""Seconds that a transfer may take, as the subscription says."""


class Referral:
    """A REFER of the peer that is being carried out."""

    __slots__ = ("_accepted", "_closed", "_reports", "_sending", "_silent", "_then", "_told", "_transaction", "_usage")

    def __init__(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        self._usage = usage
        self._transaction = transaction
        # RFC 4488 §4: Refer-Sub: false asks for no NOTIFY; whoever honours that says the same in its response.
        self._silent = not wants_subscription(transaction.request)
        self._accepted = False
        self._closed = False
        self._reports: list[int] = []
        self._told = 0
        self._sending = False
        self._then: EndCause | None = None

    def accept(self) -> bool:
        """Answer 202; False if it was answered already."""
        if self._accepted:
            return False
        self._accepted = True
        leg = self._usage.leg
        silent = (("Refer-Sub", "false"),) if self._silent else ()
        leg.respond(self._transaction, 202, (*leg.dialog_headers(self._transaction), *silent))
        # RFC 3515 §2.4.4: the agent that issued the 202 MUST immediately send a NOTIFY.
        self.report(100)
        return True

    def decline(self, status: int) -> bool:
        """Refuse it; False if it was answered already."""
        if self._accepted:
            return False
        self._usage.leg.respond(self._transaction, status)
        return True

    def report(self, status: int, then: EndCause | None = None) -> None:
        """Tell how it stands; end the leg after the last word of it, if `then` says why."""
        if status == self._told or (self._silent and status < 200):
            return
        self._told = status
        self._reports.append(status)
        self._then = then
        if not self._sending:
            self._next()

    def _next(self) -> None:
        leg = self._usage.leg
        if self._closed or not self._reports:
            return
        status = self._reports.pop(0)
        if self._silent:
            self._said(status)
            return
        # RFC 3515 §2.4.4, §2.4.7: Event: refer, with the CSeq number of the REFER as its id; the last NOTIFY ends the
        # subscription.
        last = status >= 200
        headers = (
            ("Event", f"refer;id={self._transaction.request.cseq.number}"),
            ("Subscription-State", "terminated;reason=noresource" if last else f"active;expires={_LASTS}"),
            ("Contact", leg.contact(self._transaction.flow)),
        )
        self._sending = True
        ClientRequest(self._usage, "NOTIFY", lambda _: self._said(status), headers, SIPFRAG, sipfrag(status)).send()

    def _said(self, status: int) -> None:
        """One NOTIFY after the other, so that none overtakes. What became of it is the peer's own concern."""
        self._sending = False
        leg = self._usage.leg
        if self._closed:
            return
        if status < 200:
            self._next()
            return
        self._closed = True
        leg.referral = None
        if self._then is not None:
            leg.terminate(self._then)

    def close(self) -> None:
        """Leave it: the dialog ends."""
        self._closed = True
        if not self._accepted:
            self.decline(487)
            self._accepted = True


def take(usage: InviteUsage, transaction: ServerTransaction) -> None:
    """Take a REFER: hand it up (RFC 3515 §2.4.2)."""
    leg, request = usage.leg, transaction.request
    if leg.referral is not None:
        leg.respond(transaction, 491)
        return
    target = without_verstat(refer_to_of(request).uri)
    replaces = replaces_in(target)
    method = (target.params.get("method") or "INVITE").upper()
    if reason_against("INVITE", target) or method != "INVITE":
        # Only calls can be transferred: nobody may send other requests to third parties through us.
        raise ProtocolError("Only a call can be referred to", 603)
    plain = target.with_(headers="", params={}) if target.is_sip else target
    leg.referral = Referral(usage, transaction)
    leg.tell(
        ReferRequested(
            leg.id,
            str(plain),
            called_in(plain),
            (replaces.call_id, replaces.to_tag, replaces.from_tag) if replaces is not None else None,
        )
    )


def send(usage: InviteUsage, uri: str) -> None:
    """Send a REFER; its outcome and its NOTIFYs are told as ReferProgress."""
    leg = usage.leg
    leg.referred = True

    def answered(outcome: Response | TransactionFailure) -> None:
        status = 408 if isinstance(outcome, TransactionFailure) else outcome.status
        if status >= 300:
            leg.referred = False
            leg.tell(ReferProgress(leg.id, status))

    contact = () if leg.peer_flow is None else (("Contact", leg.contact(leg.peer_flow)),)
    ClientRequest(usage, "REFER", answered, (("Refer-To", f"<{uri}>"), *contact)).send()


def take_notify(usage: InviteUsage, transaction: ServerTransaction) -> None:
    """Take a NOTIFY that tells how our REFER stands; any other event has no subscription here (RFC 6665 §4.1.3)."""
    leg, request = usage.leg, transaction.request
    event = (request.headers.get("Event") or "").partition(";")[0].strip().lower()
    if event != "refer":
        leg.take_unknown(usage, transaction)
        return
    if not leg.referred:
        leg.respond(transaction, 481)
        return
    leg.respond(transaction, 200)
    state = (request.headers.get("Subscription-State") or "").partition(";")[0].strip().lower()
    try:
        status = sipfrag_status(request.body)[0]
    except ParseError:
        leg.context.count("response-malformed")
        status = 100
    if state == "terminated" and status < 200:
        # RFC 3515 §2.4.7: the subscription is over, and how the call went was never said.
        status = 408
    if status >= 200:
        leg.referred = False
    leg.tell(ReferProgress(leg.id, status))
