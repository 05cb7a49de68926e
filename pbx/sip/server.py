"""Server transactions at work: what each action of their tables does (RFC 3261 §17.2, RFC 6026, RFC 4320)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pbx.sip.effects import AckArrived, Cancelled, Dropped, RequestArrived, Send, ServerFailed
from pbx.sip.machine import CompiledTable, Context, Machine, Perform, compile_table, step
from pbx.sip.message import Request, Response, make_response
from pbx.sip.stack import TransactionFailure
from pbx.sip.transaction import INVITE_SERVER, NON_INVITE_SERVER, Action, Input

if TYPE_CHECKING:
    from pbx.sip.message import Message
    from pbx.sip.stack import Flow

__all__ = ["CancelServerMachine", "InviteServerMachine", "ServerMachine", "ServerTransaction"]


class ServerTransaction:
    """One request received, as its transaction user holds it.

    It lives as long as somebody refers to it. The machine behind it lives by its timers and does not hold it once a
    final response was given, so that the 32 seconds of waiting for repetitions cost little memory.
    """

    __slots__ = ("final_sent", "flow", "last", "machine", "request", "user")

    def __init__(self, request: Request, flow: Flow, machine: ServerMachine) -> None:
        self.request = request
        """As received, with received and rport in its top Via."""
        self.flow = flow
        """The way that it came."""
        self.machine = machine
        self.final_sent = False
        """True once a final response was given."""
        self.last: Response | None = None
        """The latest response to an INVITE that gives it a To tag, None before and after a 2xx."""
        self.user: object | None = None
        """Who took the request; the layer never looks at it."""


class ServerMachine(Machine):
    """The machine of a request other than INVITE, and the base of INVITE's."""

    __slots__ = ("merge_key", "transaction")

    table: ClassVar[CompiledTable]

    def __init__(self, key: str, flow: Flow, merge_key: str | None = None) -> None:
        super().__init__(key, flow)
        self.merge_key = merge_key
        self.transaction: ServerTransaction | None = None

    def enter(self, context: Context) -> None:
        """Take place in the context's tables."""
        context.servers[self.key] = self
        if self.merge_key is not None:
            context.merged[self.merge_key] = self

    def to_tag(self) -> str | None:
        """Return the To tag that our responses to an INVITE have; None if none had one yet, or after a 2xx."""
        last = self.transaction.last if self.transaction is not None else None
        return None if last is None else last.to.tag

    def leave(self, context: Context) -> None:
        """Take leave of the context's tables: the transaction is terminated."""
        self.data = self.transaction = None
        if context.servers.get(self.key) is self:
            del context.servers[self.key]
        if self.merge_key is not None and context.merged.get(self.merge_key) is self:
            del context.merged[self.merge_key]


class InviteServerMachine(ServerMachine):
    """The machine of an INVITE."""

    __slots__ = ()


class CancelServerMachine(ServerMachine):
    """The machine of a CANCEL: the layer answers it at once, and nobody else hears of it."""

    __slots__ = ()


# -- the actions


def _send(context: Context, machine: ServerMachine, message: Message | None) -> None:
    assert message is not None
    machine.data = data = message.to_bytes()
    context.effects.append(Send(machine.flow, data, machine.transaction))


def _send_once(context: Context, machine: ServerMachine, message: Message | None) -> None:
    assert message is not None
    machine.data = None
    context.effects.append(Send(machine.flow, message.to_bytes(), context.transaction))


def _send_trying(context: Context, machine: ServerMachine, message: Message | None) -> None:
    assert machine.transaction is not None
    machine.data = data = make_response(machine.transaction.request, 100).to_bytes()
    # Nobody said it, so nobody needs to hear that it could not be sent.
    context.effects.append(Send(machine.flow, data, None))


def _resend(context: Context, machine: ServerMachine, message: Message | None) -> None:
    if machine.data is not None:
        context.counters["resent"] += 1
        context.effects.append(Send(machine.flow, machine.data, machine.transaction))


def _stop_timers(context: Context, machine: ServerMachine, message: Message | None) -> None:
    machine.stop_timers()


def _start_trying(context: Context, machine: ServerMachine, message: Message | None) -> None:
    machine.retry = context.timers.start(context.times.trying, machine, Input.TIMER_TRYING, context.now)


def _start_slow(context: Context, machine: ServerMachine, message: Message | None) -> None:
    machine.retry = context.timers.start(context.slow, machine, Input.TIMER_SLOW, context.now)


def _start_expiry(context: Context, machine: ServerMachine, message: Message | None) -> None:
    machine.limit = context.timers.start(context.lifetime, machine, Input.TIMER_EXPIRY, context.now)


def _start_g(context: Context, machine: ServerMachine, message: Message | None) -> None:
    # RFC 3261 §17.2.1: for unreliable transports, timer G is set to fire in T1 seconds; for reliable ones not at all.
    if not machine.flow.reliable:
        machine.interval = context.times.t1
        machine.retry = context.timers.start(machine.interval, machine, Input.TIMER_G, context.now)


def _double_g(context: Context, machine: ServerMachine, message: Message | None) -> None:
    machine.interval = min(machine.interval * 2, context.times.t2)
    machine.retry = context.timers.start(machine.interval, machine, Input.TIMER_G, context.now)


def _start_h(context: Context, machine: ServerMachine, message: Message | None) -> None:
    machine.limit = context.timers.start(context.lifetime, machine, Input.TIMER_H, context.now)


def _start_i(context: Context, machine: ServerMachine, message: Message | None) -> None:
    machine.data = machine.transaction = None
    if machine.flow.reliable:
        step(context, machine, Input.TIMER_I)
    else:
        machine.limit = context.timers.start(context.times.t4, machine, Input.TIMER_I, context.now)


def _start_j(context: Context, machine: ServerMachine, message: Message | None) -> None:
    machine.transaction = None
    if machine.flow.reliable:
        step(context, machine, Input.TIMER_J)
    else:
        machine.limit = context.timers.start(context.lifetime, machine, Input.TIMER_J, context.now)


def _start_l(context: Context, machine: ServerMachine, message: Message | None) -> None:
    machine.transaction = None
    machine.limit = context.timers.start(context.lifetime, machine, Input.TIMER_L, context.now)


def _tell_request(context: Context, machine: ServerMachine, message: Message | None) -> None:
    assert machine.transaction is not None
    context.effects.append(RequestArrived(machine.transaction, machine.transaction.request))


def _tell_ack(context: Context, machine: ServerMachine, message: Message | None) -> None:
    assert isinstance(message, Request)
    assert context.flow is not None
    context.effects.append(AckArrived(message, context.flow))


def _tell_cancel(context: Context, machine: ServerMachine, message: Message | None) -> None:
    assert isinstance(message, Request)
    assert machine.transaction is not None
    context.effects.append(Cancelled(machine.transaction, message))


def _tell_failure(context: Context, machine: ServerMachine, kind: str, transaction: ServerTransaction | None) -> None:
    if transaction is None:
        return
    context.effects.append(ServerFailed(transaction, TransactionFailure(kind, context.detail)))
    if transaction.final_sent:
        # Told once; whatever still comes of this response is no news.
        machine.transaction = None


def _tell_timeout(context: Context, machine: ServerMachine, message: Message | None) -> None:
    context.counters["server_timeouts"] += 1
    _tell_failure(context, machine, "timeout", machine.transaction)


def _tell_transport(context: Context, machine: ServerMachine, message: Message | None) -> None:
    context.counters["server_transport_errors"] += 1
    _tell_failure(context, machine, "transport", context.transaction)


def _drop(context: Context, machine: ServerMachine, message: Message | None) -> None:
    if isinstance(message, Response):
        reason = "answers_late"
    elif isinstance(message, Request) and message.method == "ACK":
        reason = "acks_unexpected"
    else:
        # Counted where it was recognised.
        return
    context.counters[reason] += 1
    context.effects.append(Dropped(reason))


_PERFORMERS: dict[Action, Perform[ServerMachine]] = {
    Action.SEND: _send,
    Action.SEND_ONCE: _send_once,
    Action.SEND_TRYING: _send_trying,
    Action.RESEND: _resend,
    Action.STOP_TIMERS: _stop_timers,
    Action.START_TRYING: _start_trying,
    Action.START_SLOW: _start_slow,
    Action.START_EXPIRY: _start_expiry,
    Action.START_G: _start_g,
    Action.DOUBLE_G: _double_g,
    Action.START_H: _start_h,
    Action.START_I: _start_i,
    Action.START_J: _start_j,
    Action.START_L: _start_l,
    Action.TELL_REQUEST: _tell_request,
    Action.TELL_ACK: _tell_ack,
    Action.TELL_CANCEL: _tell_cancel,
    Action.TELL_TIMEOUT: _tell_timeout,
    Action.TELL_TRANSPORT: _tell_transport,
    Action.DROP: _drop,
}


def _nothing(context: Context, machine: ServerMachine, message: Message | None) -> None:
    pass


_UNTOLD = (
    Action.TELL_REQUEST,
    Action.TELL_TIMEOUT,
    Action.TELL_TRANSPORT,
    Action.START_SLOW,
    Action.START_EXPIRY,
)

CancelServerMachine.table = compile_table(NON_INVITE_SERVER, {**_PERFORMERS, **dict.fromkeys(_UNTOLD, _nothing)})
ServerMachine.table = compile_table(NON_INVITE_SERVER, _PERFORMERS)
InviteServerMachine.table = compile_table(INVITE_SERVER, _PERFORMERS)
