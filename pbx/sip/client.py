"""Client transactions at work: what each action of their tables does (RFC 3261 §17.1, RFC 6026)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pbx.sip.effects import ClientFailed, Dropped, ResponseArrived, Send, StrayResponse
from pbx.sip.headers import Headers
from pbx.sip.machine import CompiledTable, Context, Machine, Perform, compile_table, step
from pbx.sip.matching import client_key
from pbx.sip.message import Request, Response
from pbx.sip.stack import TransactionFailure
from pbx.sip.transaction import INVITE_CLIENT, NON_INVITE_CLIENT, Action, Input

if TYPE_CHECKING:
    from pbx.sip.message import Message
    from pbx.sip.stack import Flow

__all__ = ["CancelTransaction", "ClientTransaction", "InviteClientTransaction", "make_ack", "make_cancel"]


class ClientTransaction(Machine):
    """One request of ours other than INVITE and CANCEL, and the base of those.

    `user` is whatever the creator gave; the layer never looks at it. `request` becomes None with the final response,
    and `user` too unless more can come: a finished transaction is only there to absorb repetitions.
    """

    __slots__ = ("cancel_headers", "request", "user")

    table: ClassVar[CompiledTable]

    def __init__(self, key: str, flow: Flow, request: Request, user: object) -> None:
        super().__init__(key, flow)
        self.request: Request | None = request
        self.user: object = user
        self.cancel_headers: tuple[tuple[str, str], ...] = ()

    @property
    def finished(self) -> bool:
        """True if a final response or a failure was told."""
        return self.request is None

    def enter(self, context: Context) -> None:
        """Take place in the context's tables."""
        context.clients[self.key] = self
        way = self.flow.connection or self.flow.remote
        waiting = context.pending.get(way)
        if waiting is None:
            context.pending[way] = {self.key: self}
        else:
            waiting[self.key] = self

    def settle(self, context: Context) -> None:
        """Let go of all that only an unfinished transaction needs."""
        if self.request is None:
            return
        self.request = None
        self.cancel_headers = ()
        way = self.flow.connection or self.flow.remote
        waiting = context.pending.get(way)
        if waiting is not None:
            waiting.pop(self.key, None)
            if not waiting:
                del context.pending[way]

    def leave(self, context: Context) -> None:
        """Take leave of the context's tables: the transaction is terminated."""
        self.settle(context)
        self.data = self.user = None
        if context.clients.get(self.key) is self:
            del context.clients[self.key]


class InviteClientTransaction(ClientTransaction):
    """One INVITE of ours."""

    __slots__ = ()


class CancelTransaction(ClientTransaction):
    """One CANCEL of ours. Nobody is told what becomes of it: what counts is what becomes of the INVITE."""

    __slots__ = ()


def _request_like(request: Request, method: str, to: str) -> Request:
    """Start an ACK or CANCEL of `request`: one Via, the same Request-URI, From, Call-ID, CSeq number and Route."""
    source = request.headers
    headers = Headers()
    headers.add("Via", str(request.top_via))
    for route in source.raw("Route"):
        headers.add("Route", route)
    headers.add("Max-Forwards", "70")
    headers.add("From", source.get("From") or "")
    headers.add("To", to)
    headers.add("Call-ID", request.call_id)
    headers.add("CSeq", f"{request.cseq.number} {method}")
    return Request(method, request.uri, headers)


def make_ack(request: Request, response: Response) -> Request:
    """Return the ACK of a final response other than 2xx (RFC 3261 §17.1.1.3)."""
    # The To header field in the ACK MUST equal the To header field in the response being acknowledged.
    return _request_like(request, "ACK", response.headers.get("To") or "")


def make_cancel(request: Request, headers: tuple[tuple[str, str], ...] = ()) -> Request:
    """Return the CANCEL of `request`, an INVITE as it was sent (RFC 3261 §9.1), with `headers` added (Reason)."""
    cancel = _request_like(request, "CANCEL", request.headers.get("To") or "")
    for name, value in headers:
        cancel.headers.add(name, value)
    return cancel


# -- the actions


def _send(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    assert message is not None
    machine.data = data = message.to_bytes()
    context.effects.append(Send(machine.flow, data, machine))


def _resend(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    if machine.data is not None:
        context.counters["resent"] += 1
        context.effects.append(Send(machine.flow, machine.data, machine))


def _send_ack(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    assert machine.request is not None
    assert isinstance(message, Response)
    machine.data = data = make_ack(machine.request, message).to_bytes()
    context.effects.append(Send(machine.flow, data, machine))


def _send_cancel(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    assert machine.request is not None
    cancel = make_cancel(machine.request, machine.cancel_headers)
    branch = machine.key.partition(" ")[0]
    transaction = CancelTransaction(client_key(branch, "CANCEL"), machine.flow, cancel, None)
    transaction.enter(context)
    step(context, transaction, Input.BEGIN, cancel)


def _stop_timers(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    machine.stop_timers()


def _retry(context: Context, machine: ClientTransaction, interval: float, given: Input) -> None:
    machine.interval = interval
    machine.retry = context.timers.start(interval, machine, given, context.now)


def _start_a(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    # RFC 3261 §17.1.1.2: if a reliable transport is being used, the client transaction SHOULD NOT start timer A.
    if not machine.flow.reliable:
        _retry(context, machine, context.times.t1, Input.TIMER_A)


def _double_a(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    _retry(context, machine, machine.interval * 2, Input.TIMER_A)


def _start_e(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    if not machine.flow.reliable:
        _retry(context, machine, context.times.t1, Input.TIMER_E)


def _double_e(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    _retry(context, machine, min(machine.interval * 2, context.times.t2), Input.TIMER_E)


def _slow_e(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    _retry(context, machine, context.times.t2, Input.TIMER_E)


def _limit(given: Input) -> Perform[ClientTransaction]:
    """Return the action that starts a timer of 64*T1."""

    def start(context: Context, machine: ClientTransaction, message: Message | None) -> None:
        machine.limit = context.timers.start(context.lifetime, machine, given, context.now)

    return start


def _start_c(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    machine.limit = context.timers.start(context.times.ringing, machine, Input.TIMER_C, context.now)


def _start_d(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    machine.settle(context)
    machine.user = None
    if machine.flow.reliable:
        step(context, machine, Input.TIMER_D)
    else:
        machine.limit = context.timers.start(context.lifetime, machine, Input.TIMER_D, context.now)


def _start_k(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    machine.settle(context)
    machine.data = machine.user = None
    if machine.flow.reliable:
        step(context, machine, Input.TIMER_K)
    else:
        machine.limit = context.timers.start(context.times.t4, machine, Input.TIMER_K, context.now)


def _start_m(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    machine.settle(context)
    machine.data = None
    machine.limit = context.timers.start(context.lifetime, machine, Input.TIMER_M, context.now)


def _tell_response(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    assert isinstance(message, Response)
    assert context.flow is not None
    context.effects.append(ResponseArrived(machine, machine.user, message, context.flow))


def _tell_timeout(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    context.counters["client_timeouts"] += 1
    context.effects.append(ClientFailed(machine, machine.user, TransactionFailure("timeout")))


def _tell_cancelled(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    context.counters["client_cancelled"] += 1
    context.effects.append(ClientFailed(machine, machine.user, TransactionFailure("cancelled", context.detail)))


def _tell_transport(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    context.counters["client_transport_errors"] += 1
    context.effects.append(ClientFailed(machine, machine.user, TransactionFailure("transport", context.detail)))


def _drop(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    context.counters["responses_repeated"] += 1
    context.effects.append(Dropped("responses_repeated"))


def _stray(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    assert isinstance(message, Response)
    assert context.flow is not None
    context.counters["responses_stray"] += 1
    context.effects.append(StrayResponse(message, context.flow))


def _nothing(context: Context, machine: ClientTransaction, message: Message | None) -> None:
    pass


_PERFORMERS: dict[Action, Perform[ClientTransaction]] = {
    Action.SEND: _send,
    Action.RESEND: _resend,
    Action.SEND_ACK: _send_ack,
    Action.SEND_CANCEL: _send_cancel,
    Action.STOP_TIMERS: _stop_timers,
    Action.START_A: _start_a,
    Action.DOUBLE_A: _double_a,
    Action.START_B: _limit(Input.TIMER_B),
    Action.START_C: _start_c,
    Action.START_D: _start_d,
    Action.START_E: _start_e,
    Action.DOUBLE_E: _double_e,
    Action.SLOW_E: _slow_e,
    Action.START_F: _limit(Input.TIMER_F),
    Action.START_K: _start_k,
    Action.START_M: _start_m,
    Action.START_CANCEL: _limit(Input.TIMER_CANCEL),
    Action.TELL_RESPONSE: _tell_response,
    Action.TELL_TIMEOUT: _tell_timeout,
    Action.TELL_CANCELLED: _tell_cancelled,
    Action.TELL_TRANSPORT: _tell_transport,
    Action.DROP: _drop,
    Action.STRAY: _stray,
}

_TOLD = (Action.TELL_RESPONSE, Action.TELL_TIMEOUT, Action.TELL_TRANSPORT)

InviteClientTransaction.table = compile_table(INVITE_CLIENT, _PERFORMERS)
ClientTransaction.table = compile_table(NON_INVITE_CLIENT, _PERFORMERS)
CancelTransaction.table = compile_table(NON_INVITE_CLIENT, {**_PERFORMERS, **dict.fromkeys(_TOLD, _nothing)})
