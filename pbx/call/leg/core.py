"""The frame of a leg: dispatch by the state table, telling and answering, and the way to the end."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from pbx.call import commands
from pbx.call.events import Event, HungUp, Rejected
from pbx.call.leg.client import ClientRequest
from pbx.call.leg.context import LegContext, LegSettings
from pbx.call.leg.headers import ACCEPT, capabilities, option_tags
from pbx.call.leg.screening import check_required
from pbx.call.leg.session_timer import SessionTimer
from pbx.call.leg.table import Input, State, Table
from pbx.cause import EndCause
from pbx.errors import ProtocolError
from pbx.sip.ext.reason import reason_of
from pbx.sip.message import Response, make_response
from pbx.sip.stack import TransactionFailure
from pbx.values import dataclass

if TYPE_CHECKING:
    from pbx.call.leg.referral import Referral
    from pbx.call.leg.usage import InviteUsage
    from pbx.sip.digest import DigestClient
    from pbx.sip.message import Request
    from pbx.sip.stack import Flow, ServerTransaction
    from pbx.sip.uri import Uri

__all__ = ["LegCore"]

_COMMANDS: dict[type, Input] = {
    commands.Dial: Input.DIAL,
    commands.Ring: Input.RING,
    commands.Progress: Input.PROGRESS,
    commands.Answer: Input.ANSWER,
    commands.Reject: Input.REJECT,
    commands.HangUp: Input.HANG_UP,
    commands.Offer: Input.OFFER,
    commands.AcceptOffer: Input.ACCEPT_OFFER,
    commands.DeclineOffer: Input.DECLINE_OFFER,
    commands.Inform: Input.INFORM,
    commands.Refer: Input.REFER,
    commands.AcceptRefer: Input.ACCEPT_REFER,
    commands.DeclineRefer: Input.DECLINE_REFER,
    commands.ReportRefer: Input.REPORT_REFER,
}
_REQUESTS = (
    *(Input.INVITE, Input.UPDATE, Input.PRACK, Input.BYE, Input.INFO, Input.MESSAGE, Input.OPTIONS),
    *(Input.REFERRED, Input.NOTIFY),
)

_Method = Callable[..., None]


@dataclass(frozen=True, slots=True)
class _Row:
    """One state's row of the table, ready for use: what arrives to the method that takes it."""

    commands: dict[type, _Method]
    requests: dict[str, _Method]
    other_request: _Method
    others: dict[Input, _Method]


class LegCore:
    """A leg's outside. Events are emitted when the leg is at rest, so that `emit` may well come back with a command.

    `settings` replaces the context's for this leg. Whoever hands it a request sets the server transaction's `user` to
    the leg. It is abstract without `ABC`, whose subclasses, compiled, share one memory of what is an instance of what.
    """

    __slots__ = (
        "_busy",
        "_contact_flow",
        "_dialog_headers",
        "_emit",
        "_open",
        "_outbox",
        "_row",
        "_told_end",
        "call_id",
        "context",
        "credentials",
        "digest",
        "id",
        "local_tag",
        "peer_flow",
        "postponed",
        "referral",
        "referred",
        "settings",
        "state",
        "timer",
        "usage",
    )

    table: ClassVar[Table]
    peer_hung_up: ClassVar[EndCause]
    peer_gone: ClassVar[EndCause]
    owns_call_id: ClassVar[bool]
    """Whether we chose the Call-ID, which decides who waits longer after a glare (RFC 3261 §14.1)."""
    _rows: ClassVar[dict[State, _Row]]

    def __init_subclass__(cls) -> None:
        if "table" not in vars(cls):
            return
        cls._rows = {
            state: _Row(
                {kind: getattr(cls, row[given].value) for kind, given in _COMMANDS.items()},
                {given.value: getattr(cls, row[given].value) for given in _REQUESTS},
                getattr(cls, row[Input.OTHER_REQUEST].value),
                {given: getattr(cls, action.value) for given, action in row.items()},
            )
            for state, row in cls.table.items()
        }

    def __init__(
        self, leg_id: str, context: LegContext, emit: Callable[[Event], None], settings: LegSettings | None = None
    ) -> None:
        self.id = leg_id
        self.context = context
        self.settings = settings or context.settings
        self.state = State.NEW
        self.usage: InviteUsage | None = None
        """The dialog; of several early ones the one heard of last."""
        self.timer = SessionTimer(context.stack, self.settings, self)
        self.call_id = ""
        self.local_tag = ""
        self.credentials = ""
        self.digest: DigestClient | None = None
        self.postponed: list[bytes] = []
        """Offers that wait for their turn; an empty one asks the peer for its own."""
        self.peer_flow: Flow | None = None
        """The way by which the peer last agreed to a session."""
        self.referral: Referral | None = None
        """The peer's REFER that is being carried out."""
        self.referred = False
        """Whether the peer carries a REFER of ours out, and will tell how it went."""
        self._emit = emit
        self._outbox: list[Event] = []
        self._busy = False
        self._contact_flow: Flow | None = None
        self._dialog_headers: tuple[tuple[str, str], ...] = ()
        self._row = self._rows[State.NEW]
        self._told_end = False
        self._open = 0

    # -- from outside

    def handle(self, command: commands.Command) -> None:
        """Carry a command out; one that no longer fits is dropped and counted."""
        self.enter(self._row.commands[type(command)], self, command)

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Take a request of one of this leg's dialogs, other than ACK and CANCEL; it is answered always."""
        self.enter(self._take_request, transaction, request)

    def _take_request(self, transaction: ServerTransaction, request: Request) -> None:
        try:
            usage = self.usage_with(request.from_.tag or "")
            if usage is None:
                self.refuse_no_dialog(None, transaction)
            elif not usage.dialog.in_order(request):
                # RFC 3261 §12.2.2: if the sequence number of the request is lower than the remote sequence number, the
                # request is out of order and MUST be rejected with a 500 (Server Internal Error) response.
                self.context.count("request-out-of-order")
                self.respond(transaction, 500)
            else:
                check_required(request, option_tags(self.settings))
                if self.settings.keep_flow or usage.dialog.flow is not None:
                    usage.dialog.use_flow(transaction.flow, fallback=True)
                self._row.requests.get(request.method, self._row.other_request)(self, usage, transaction)
        except ProtocolError as error:
            self.refuse(transaction, error)

    def on_ack(self, request: Request, flow: Flow) -> None:
        """Take an ACK for a 2xx."""
        usage = self.usage_with(request.from_.tag or "")
        if usage is None:
            self.ignore()
        else:
            self.perform(Input.ACK, usage, request)

    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        """Take that an INVITE of this leg was cancelled."""
        self.perform(Input.CANCEL, transaction, cancel)

    def on_server_failure(self, transaction: ServerTransaction, failure: TransactionFailure) -> None:
        """Take that a final response of this leg could not be delivered, or was never given."""
        self.perform(Input.UNDELIVERED, transaction, failure)

    def on_move(self, contact: Uri, before: Flow, now: Flow) -> None:
        """Take that the phone with this contact is reached over `now` and no more over `before`."""
        for usage in self.usages():
            dialog = usage.dialog
            # A NAT may have given the port to another phone behind it, whose call this is. That one has another address
            # there; while a phone that has got another address still has its name.
            if dialog.flow == before and (
                dialog.target.host == contact.host or (contact.user and dialog.target.user == contact.user)
            ):
                dialog.use_flow(now, dialog.fallback)
                self.context.count("dialog-moved")

    def usages(self) -> tuple[InviteUsage, ...]:
        """Return the dialogs."""
        return () if self.usage is None else (self.usage,)

    @abstractmethod
    def usage_with(self, remote_tag: str) -> InviteUsage | None:
        """Return the dialog with that remote tag."""

    def owns(self, remote_tag: str) -> bool:
        """Return whether one of the leg's dialogs, early or confirmed, has this remote tag."""
        return self.usage_with(remote_tag) is not None

    def is_confirmed(self, remote_tag: str) -> bool:
        """Return whether the dialog with this remote tag is confirmed."""
        usage = self.usage_with(remote_tag)
        return usage is not None and usage.dialog.confirmed

    @property
    def initiated(self) -> bool:
        """Whether the INVITE was ours."""
        return self.owns_call_id

    @property
    def leaving(self) -> bool:
        """Whether the end is decided."""
        return self.state in (State.CANCELLING, State.ENDING, State.ENDED)

    @property
    def sip_call_id(self) -> str:
        """The Call-ID; empty before there is one."""
        return self.call_id

    @property
    def remote(self) -> str:
        """The signalling address of the peer, ``transport:host:port``; empty while unknown."""
        flow = self.peer_flow
        return f"{flow.transport}:{flow.remote[0]}:{flow.remote[1]}" if flow is not None else ""

    @property
    def takes_info(self) -> bool:
        """Whether the peer says that it takes INFO."""
        return any(usage.informable for usage in self.usages())

    @property
    def finished(self) -> bool:
        """True once nothing is left: no timer, no client transaction, no entry in the DialogTable."""
        return self.state is State.ENDED

    def settled(self) -> None:
        """Take that an exchange of offer and answer is over; called before the next one begins.

        In most roles and states nothing waits for it.
        """

    # -- for the parts of a leg

    def perform(self, given: Input, *arguments: object) -> None:
        """Do what the table says of an input that is neither command nor request."""
        self.enter(self._row.others[given], self, *arguments)

    def enter(self, method: Callable[..., None], *arguments: object) -> None:
        """Run what may tell events, and emit them once it is through."""
        if self._busy:
            method(*arguments)
            return
        self._busy = True
        try:
            method(*arguments)
        finally:
            self._busy = False
            while self._outbox:
                self._emit(self._outbox.pop(0))
            if self.state is State.ENDED:
                # The INVITE's transaction knows its user for half a minute more (RFC 6026 §8.5); the call may go.
                self._emit = _tell_nobody

    def become(self, state: State) -> None:
        """Change state."""
        self.state = state
        self._row = self._rows[state]

    def tell(self, event: Event) -> None:
        """Tell an event, unless the end has been told."""
        if self._told_end:
            return
        if self._busy:
            self._outbox.append(event)
        else:
            self._emit(event)

    def respond(
        self,
        transaction: ServerTransaction,
        status: int,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        reason: str | None = None,
    ) -> Response:
        """Answer a request; `body` is a session description."""
        response = self.response(transaction, status, headers, body, reason)
        self.context.stack.send_response(transaction, response)
        return response

    def response(
        self,
        transaction: ServerTransaction,
        status: int,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        reason: str | None = None,
    ) -> Response:
        """Return the response that `respond` would send."""
        response = make_response(transaction.request, status, reason, self.local_tag or None)
        response.headers.extend(headers)
        if self.settings.product:
            response.headers.add("Server", self.settings.product)
        if body:
            response.headers.add("Content-Type", ACCEPT)
            response.body = body
        return response

    def refuse(self, transaction: ServerTransaction, error: ProtocolError) -> None:
        """Answer a request that breaks the protocol or asks for what we do not have."""
        self.context.count(f"request-refused-{error.status}")
        if not transaction.final_sent:
            self.respond(transaction, error.status, getattr(error, "headers", ()), reason=_phrase(error))

    def dialog_headers(self, transaction: ServerTransaction) -> tuple[tuple[str, str], ...]:
        """Return what a response carries that creates a dialog or refreshes our target (RFC 3261 §12.1.1,
        §13.3.1.4)."""
        flow = transaction.flow
        if flow is not self._contact_flow:
            self._dialog_headers = ("Contact", self.contact(flow)), *capabilities(self.settings)
            self._contact_flow = flow
        return self._dialog_headers

    def contact(self, flow: Flow) -> str:
        """Return the Contact by which the peer at the other end of `flow` reaches us."""
        uri = self.context.stack.contact_uri(flow, None, self.settings.profile.contact_user)
        if self.usage is not None and self.usage.dialog.secure and uri.params.get("transport") == "tls":
            # RFC 5630 §3.1.4: with SIPS the transport parameter names what is beneath TLS, and TCP goes without saying.
            uri = uri.with_(scheme="sips", params={})
        return f"<{uri}>"

    def refuse_no_dialog(self, usage: InviteUsage | None, transaction: ServerTransaction) -> None:
        """Answer that there is no such dialog."""
        self.respond(transaction, 481)

    def ignore(self, *_: object) -> None:
        """Count something late or strange that needs no reply."""
        self.context.count("input-ignored")

    def opened(self) -> None:
        """Take that a client transaction began."""
        self._open += 1

    def closed(self) -> None:
        """Take that a client transaction has its outcome."""
        self._open -= 1
        if self.state is State.ENDING:
            self.finish_if_idle()

    # -- the way to the end

    def tell_end(self, event: HungUp | Rejected) -> None:
        """Tell the last event, once."""
        self.tell(event)
        self._told_end = True

    def terminate(self, cause: EndCause, bye: bool = True) -> None:
        """End a dialog that may be confirmed: tell it, and send BYE if the peer does not know yet."""
        self.tell_end(HungUp(self.id, cause))
        self.become(State.ENDING)
        self.close()
        if bye:
            self.say_goodbye(cause)
        self.finish_if_idle()

    def close(self) -> None:
        """Stop everything that could still begin by itself, and answer what waits for an answer."""
        self.timer.stop()
        self.postponed.clear()
        if self.referral is not None:
            self.referral.close()
            self.referral = None
        if self.usage is not None:
            self.usage.close()

    def say_goodbye(self, cause: EndCause) -> None:
        """Send BYE."""
        if self.usage is not None:
            ClientRequest(self.usage, "BYE", self._goodbye_said, (("Reason", reason_of(cause)),)).send()

    def _goodbye_said(self, outcome: Response | TransactionFailure) -> None:
        # RFC 3261 §15.1.1: if the response for the BYE is a 481 or a 408 or no response at all is received, the UAC
        # MUST consider the session and the dialog terminated. Any other response ends it too: nothing is left to be
        # said.
        if isinstance(outcome, TransactionFailure) or outcome.status >= 300:
            self.context.count("bye-failed")

    def idle(self) -> bool:
        """Return whether SIP has nothing left to finish."""
        return self._open == 0

    def finish_if_idle(self) -> None:
        """Leave nothing behind once the last transaction is over."""
        if self.state is State.ENDING and self.idle():
            self.become(State.ENDED)
            self.context.dialogs.remove(self.call_id, self.local_tag)
            self.release()

    def release(self) -> None:
        """Let go of what refers back to this leg, so that its memory is freed at once."""
        self.usage = None
        self.timer.release()

    # -- SessionTimer's owner

    def refresh_session(self) -> None:
        """Send a session refresh request."""
        if self.usage is not None:
            self.usage.refresh()

    def session_expired(self) -> None:
        """End the session: nobody refreshed it."""
        self.perform(Input.SESSION_EXPIRED)


def _tell_nobody(event: Event) -> None:
    """Drop an event: the end has been told."""


def _phrase(error: ProtocolError) -> str | None:
    """Return a reason phrase for a 400, which says what was wrong (RFC 3261 §21.4.1); other statuses have their own."""
    return error.reason if error.status == 400 else None
