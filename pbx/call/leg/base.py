"""What both roles of a leg do: what is commanded and what is asked in any dialog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call import commands
from pbx.call.events import Delivered, OfferDeclined, ReferProgress
from pbx.call.leg import in_dialog, referral
from pbx.call.leg.client import ClientRequest
from pbx.call.leg.core import LegCore
from pbx.call.leg.headers import reason_text_in
from pbx.call.leg.table import Input
from pbx.cause import EndCause, cause_named
from pbx.sdp import writer
from pbx.sip.stack import TransactionFailure

if TYPE_CHECKING:
    from pbx.call.leg.usage import InviteUsage
    from pbx.sip.message import Request, Response
    from pbx.sip.stack import ServerTransaction

__all__ = ["Leg"]


class Leg(LegCore):
    """A leg of either role. Each method below `handle`'s is an action of the state table, or serves one."""

    __slots__ = ()

    # -- actions: commands

    def drop(self, command: commands.Command) -> None:
        """Drop a command that no longer fits."""
        self.context.count("command-dropped")

    def hang_up(self, command: commands.HangUp) -> None:
        """End a confirmed dialog."""
        self.terminate(command.cause)

    def make_offer(self, command: commands.Offer) -> None:
        """Offer a changed session as soon as it can be."""
        self.postpone_offer(command)
        if self.usage is not None:
            self.usage.offer_next()

    def postpone_offer(self, command: commands.Offer) -> None:
        """Keep an offer for when the dialog is ready for it."""
        self.postponed.append(b"" if command.sdp is None else writer.to_bytes(command.sdp))

    def accept_offer(self, command: commands.AcceptOffer) -> None:
        """Answer the peer's open offer."""
        usage = self.usage_with_open_offer()
        if usage is None:
            self.drop(command)
        else:
            usage.accept(writer.to_bytes(command.sdp))

    def decline_offer(self, command: commands.DeclineOffer) -> None:
        """Refuse the peer's open offer."""
        usage = self.usage_with_open_offer()
        if usage is None:
            self.drop(command)
        else:
            usage.decline(command.status)

    def usage_with_open_offer(self) -> InviteUsage | None:
        """Return the dialog whose peer waits for AcceptOffer or DeclineOffer."""
        return self.usage if self.usage is not None and self.usage.pending is not None else None

    def inform(self, command: commands.Inform) -> None:
        """Send a body inside the dialog."""
        if self.usage is None or command.method not in ("INFO", "MESSAGE"):
            self.undeliverable(command)
            return

        def delivered(outcome: Response | TransactionFailure) -> None:
            status = 408 if isinstance(outcome, TransactionFailure) else outcome.status
            if status == 481:
                # RFC 3261 §12.2.1.2: if the response for a request within a dialog is a 481 or a 408, the UAC SHOULD
                # terminate the dialog. Not for a 408 here: one lost key press must not end a call that talks.
                self.perform(Input.PEER_GONE)
            self.tell(Delivered(self.id, command.token, status))

        ClientRequest(self.usage, command.method, delivered, (), command.content_type, command.body).send()

    def refer(self, command: commands.Refer) -> None:
        """Ask the peer to call somebody else."""
        if self.usage is None or self.referred:
            self.tell(ReferProgress(self.id, 491))
        else:
            referral.send(self.usage, command.uri)

    def accept_refer(self, command: commands.AcceptRefer) -> None:
        """Agree to the peer's REFER."""
        if self.referral is None or not self.referral.accept():
            self.drop(command)

    def decline_refer(self, command: commands.DeclineRefer) -> None:
        """Refuse the peer's REFER."""
        if self.referral is None or not self.referral.decline(command.status):
            self.drop(command)
        else:
            self.referral = None

    def report_refer(self, command: commands.ReportRefer) -> None:
        """Tell the peer how its REFER stands."""
        if self.referral is not None:
            self.referral.report(command.status, command.then)
        elif command.then is not None:
            self.terminate(command.then)
        else:
            self.drop(command)

    def undeliverable(self, command: commands.Inform) -> None:
        """Tell that there is no dialog to send a body in."""
        self.drop(command)
        self.tell(Delivered(self.id, command.token, 481))

    def declined(self, status: int) -> None:
        """Tell that an Offer of ours came to nothing."""
        self.tell(OfferDeclined(self.id, status))

    # -- actions: requests

    def refuse_overlap(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Answer an INVITE that overtakes an earlier one."""
        self.respond(transaction, 500, in_dialog.retry_soon(self.context.ids))

    def refuse_glare(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Answer an INVITE that crosses ours."""
        self.respond(transaction, 491)

    def take_invite(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take a re-INVITE."""
        in_dialog.take_invite(usage, transaction)

    def take_update(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take an UPDATE."""
        in_dialog.take_update(usage, transaction)

    def take_prack(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take a PRACK that matches nothing (RFC 3262 §3)."""
        self.respond(transaction, 481)

    def take_information(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take an INFO or a MESSAGE."""
        in_dialog.take_information(usage, transaction)

    def take_options(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take an OPTIONS."""
        in_dialog.take_options(usage, transaction)

    def take_refer(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take a REFER."""
        referral.take(usage, transaction)

    def take_notify(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take a NOTIFY: how a REFER of ours stands."""
        referral.take_notify(usage, transaction)

    def take_unknown(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take a request whose method a leg does not serve."""
        in_dialog.take_unknown(usage, transaction)

    def take_bye(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take that the peer hangs up."""
        self.respond(transaction, 200)
        detail = reason_text_in(transaction.request)
        self.terminate(self.peer_hung_up.with_detail(detail) if detail else self.peer_hung_up, bye=False)

    def take_crossing_bye(self, usage: InviteUsage, transaction: ServerTransaction) -> None:
        """Take that the peer hangs up as we do (RFC 5407 §3.2.2)."""
        self.respond(transaction, 200)

    # -- actions: the rest

    def take_ack(self, usage: InviteUsage, request: Request) -> None:
        """Take the ACK of a 2xx."""
        usage.acknowledged(request)

    def take_reinvite_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        """Take that the peer takes its re-INVITE back."""
        usage = self.usage_with_open_offer()
        if usage is None or not usage.withdraw_pending(transaction, 487):
            self.ignore()

    def take_no_ack(self) -> None:
        """End a session whose 2xx was never acknowledged.

        RFC 3261 §13.3.1.4: if the server retransmits the 2xx response for 64*T1 seconds without receiving an ACK, the
        dialog is confirmed, but the session SHOULD be terminated. This is accomplished with a BYE.
        """
        self.terminate(self.cause_without_ack())

    def cause_without_ack(self) -> EndCause:
        """Return the cause of a missing ACK."""
        return self.peer_gone.with_detail("no ACK")

    def take_no_ack_at_end(self) -> None:
        """Take that the ACK for which the BYE waited will not come."""
        self.finish_if_idle()

    def take_expiry(self) -> None:
        """End a session that nobody refreshed (RFC 4028 §10)."""
        self.terminate(cause_named("session-expired"))

    def take_peer_gone(self, *_: object) -> None:
        """End a dialog that the peer no longer knows, or no longer answers in (RFC 3261 §12.2.1.2)."""
        self.terminate(self.peer_gone)

    def take_protocol_fault(self, detail: str) -> None:
        """End a dialog whose peer broke the protocol beyond repair."""
        self.terminate(cause_named("protocol-error", detail))
