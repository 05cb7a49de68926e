"""The driver: carries the transaction layer's effects out, and is the SIP stack that every room above sees.

It is the only place where SIP meets the clock and the network. What happens in a handler stays there: its exception is
reported, answered 500 where a request is open, and concerns nobody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from pbx.net.contact import contact_uri
from pbx.net.counters import Counters
from pbx.net.outgoing import OutgoingAck, OutgoingRequest, Resolving
from pbx.net.replies import RoutedReply
from pbx.net.transport import show
from pbx.sip.effects import (
    AckArrived,
    Cancelled,
    ClientFailed,
    Dropped,
    RequestArrived,
    ResponseArrived,
    Send,
    ServerFailed,
)
from pbx.sip.message import make_response
from pbx.sip.server import ServerTransaction
from pbx.sip.stack import Flow
from pbx.sip.targets import DeadTargets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pbx.ids import Ids
    from pbx.net.clock import Clock
    from pbx.net.trace import Trace
    from pbx.net.transactions import Transactions
    from pbx.net.transport import Address, Network
    from pbx.sip.client import ClientTransaction as LayerClientTransaction
    from pbx.sip.effects import Effect
    from pbx.sip.message import Request, Response
    from pbx.sip.parser import MessageError
    from pbx.sip.stack import ClientTransaction, Destination, RequestHandler, Timer, TransactionUser
    from pbx.sip.stack import ServerTransaction as StackServerTransaction
    from pbx.sip.uri import Uri

__all__ = ["Driver", "Gate"]

_TLS_PORT = 5061
_EARLY = 0.001
"""How much too early a timer may fire: event loops count in milliseconds."""


_NO_MESSAGE = "malformed_dropped"


class Gate(Protocol):
    """Who decides what is read at all (`pbx.security.edge.EdgeGuard`)."""

    def admits(self, way: Flow, host: str, now: float, data: bytes) -> bool:
        """Return whether a message from `host` over `way` is to be read."""

    def offended(self, way: Flow, host: str, now: float) -> None:
        """Take that `host` sent what is no message."""


class Driver:
    """Implements `pbx.sip.stack.Stack`.

    `report(where, error)` hears of every exception that a handler, a transaction user or we ourselves let out.
    """

    def __init__(
        self,
        clock: Clock,
        layer: Transactions,
        resolver: Resolving,
        network: Network,
        ids: Ids,
        report: Callable[[str, Exception], None],
        *,
        counters: Counters | None = None,
        dead: DeadTargets | None = None,
        trace: Trace | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.layer = layer
        self.network = network
        self.resolver = resolver
        self.counters = counters if counters is not None else Counters()
        self.dead = dead if dead is not None else DeadTargets()
        self.trace = trace
        self.now = clock.seconds
        self._clock = clock
        self._ids = ids
        self._report = report
        self._gate = gate
        self._handler: RequestHandler | None = None
        self._flow_listeners: list[Callable[[Flow], None]] = []
        self._unreachable_listeners: list[Callable[[Address], None]] = []
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self._depth = 0
        self._waiting: list[Callable[[], None]] = []
        self._stopped = False

    # -- life

    def start(self, handler: RequestHandler) -> None:
        """Begin to hand requests to `handler`."""
        self._handler = handler
        self.network.start(self)

    def stop(self) -> None:
        """Close every socket and run no timer any more. Transactions that are open are told nothing."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()
        self.network.stop()

    # -- what is not in `Stack`, for the registrar and the metrics

    def on_flow_closed(self, listener: Callable[[Flow], None]) -> None:
        """Tell `listener` of every connection that is gone: bindings over it are dead."""
        self._flow_listeners.append(listener)

    def on_unreachable(self, listener: Callable[[Address], None]) -> None:
        """Tell `listener` of every address that datagrams do not get to."""
        self._unreachable_listeners.append(listener)

    def keep_alive(self, flow: Flow, interval: float = 25.0) -> Callable[[], None]:
        """Send a keep-alive over `flow` every `interval` seconds, and keep a connection open that long; the return
        value ends that."""
        return self.network.keep_alive(flow, interval)

    def alive(self, flow: Flow) -> bool:
        """Return whether `flow` can still be sent over."""
        return self.network.alive(flow)

    def peer_names(self, flow: Flow) -> tuple[str, ...]:
        """Return the SIP domains and addresses that the peer's verified certificate is for."""
        return self.network.peer_names(flow)

    # -- pbx.sip.stack.Stack

    def later(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call `call` after `delay` seconds; its exception is reported and concerns nobody else."""
        return self._clock.later(delay, _Guarded(self, call))

    def send_request(self, request: Request, destination: Destination, user: TransactionUser) -> ClientTransaction:
        """Start a client transaction; `request` is the stack's from now on."""
        outgoing = OutgoingRequest(self, request, destination, user)
        outgoing.start()
        # Until its final response it is the request as sent; the type says so for every moment that a user sees it.
        return cast("ClientTransaction", outgoing)

    def send_ack(self, request: Request, destination: Destination) -> None:
        """Send an ACK for a 2xx. The same request may be given again."""
        OutgoingAck(self, request, destination).start()

    def send_response(self, transaction: StackServerTransaction, response: Response) -> None:
        """Answer a request. A 2xx to INVITE may be given again until its ACK arrives."""
        self._carry_out(self.layer.respond(cast("ServerTransaction", transaction), response, self.now()))

    def cancel(self, transaction: ClientTransaction, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Cancel an INVITE: at once if it has had a provisional response, else as soon as one comes."""
        open_transaction = cast("OutgoingRequest", transaction).cancel()
        if open_transaction is not None:
            self._carry_out(self.layer.cancel(open_transaction, headers, self.now()))

    def contact_uri(self, flow: Flow | None, destination: Destination | None = None, user: str = "") -> Uri:
        """Return the URI by which the peer at the other end of that flow or destination reaches us."""
        return contact_uri(self.network, flow, destination, user)

    # -- what a request on its way needs (`outgoing.Carrier`)

    def sent_by(self, flow: Flow) -> str:
        """Return ``host:port`` for a Via that goes over `flow`."""
        host, port = self.network.sent_by(flow)
        return show((host.partition("%")[0], port))

    def begin(self, outgoing: OutgoingRequest, flow: Flow, sent_by: str) -> LayerClientTransaction:
        """Give a request to the transaction layer, and carry out what it asks for."""
        transaction, effects = self.layer.request(outgoing.request, flow, sent_by, outgoing, self.now())
        self._carry_out(effects)
        return transaction

    def cancel_abandoned(self, transaction: LayerClientTransaction) -> None:
        """Cancel an INVITE whose target is given up: as soon as it says anything."""
        self._carry_out(self.layer.cancel(transaction, (), self.now()))

    def send_ack_over(self, request: Request, flow: Flow, sent_by: str) -> str:
        """Send an ACK; return an empty text, or why it cannot be sent."""
        for effect in self.layer.ack(request, flow, sent_by):
            if isinstance(effect, Send):
                return self.send_over(effect.flow, effect.data)
        return ""

    def soon(self, call: Callable[[], None]) -> None:
        """Call `call` as soon as whoever is calling now has returned to the event loop."""
        self._waiting.append(call)
        if len(self._waiting) == 1:
            self._clock.later(0.0, self._run_waiting)

    def _run_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            self.guarded("a transaction user", call)

    # -- pbx.net.transport.Sink

    def received(self, data: bytes, flow: Flow) -> None:
        """Take one message from the network. Raises nothing: that would cost the socket."""
        try:
            self._receive(data, flow)
        except Exception as error:  # noqa: BLE001 - a fault of ours in one message must not hurt another
            self._fault(f"a message from {show(flow.remote)}", error)

    def _receive(self, data: bytes, flow: Flow) -> None:
        now = self.now()
        gate = self._gate
        if gate is not None and not gate.admits(flow, flow.remote[0], now, data):
            self.counters["refused"] += 1
            return
        if self.trace is not None:
            self.trace.capture(data, flow, now, False)
        effects = self.layer.receive(data, flow, now)
        first = effects[0] if effects else None
        if gate is not None and isinstance(first, Dropped) and first.reason == _NO_MESSAGE:
            gate.offended(flow, flow.remote[0], now)
        self._carry_out(effects)

    def unframeable(self, error: MessageError, flow: Flow) -> None:
        """Take that a stream cannot be read any further; answer what can be answered."""
        if self._gate is not None:
            self._gate.offended(flow, flow.remote[0], self.now())
        self.guarded("a stream", lambda: self._carry_out(self.layer.malformed(error, flow, self.now())))

    def unreachable(self, remote: Address, detail: str) -> None:
        """Take that datagrams to `remote` do not get there: requests that wait for a response from it fail."""
        self._flow_failed(Flow("udp", ("", 0), remote), f"{show(remote)}: {detail}")
        for listener in self._unreachable_listeners:
            self.soon(lambda listener=listener: listener(remote))  # type: ignore[misc]

    def closed(self, flow: Flow, detail: str) -> None:
        """Take that a connection is gone."""
        self._flow_failed(flow, f"{flow.transport} {show(flow.remote)}: {detail}")
        for listener in self._flow_listeners:
            self.soon(lambda listener=listener: listener(flow))  # type: ignore[misc]

    def _flow_failed(self, flow: Flow, detail: str) -> None:
        # Not at once: it may come out of a send, in the middle of somebody's call.
        self.soon(lambda: self._carry_out(self.layer.flow_failed(flow, self.now(), detail)))

    # -- effects

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        self._depth += 1
        try:
            for effect in effects:
                kind = type(effect)
                if kind is Send:
                    self._carry_send(cast("Send", effect))
                elif kind is not Dropped:
                    self._tell(effect)
        finally:
            self._depth -= 1
            if not self._depth:
                self._arm()

    def _carry_send(self, effect: Send) -> None:
        flow, data, transaction = effect.flow, effect.data, effect.transaction
        if self.trace is not None:
            self.trace.capture(data, flow, self.now(), True)
        fault = self.network.send(flow, data)
        if not fault:
            return
        if flow.reliable and isinstance(transaction, ServerTransaction):
            RoutedReply(self, data, transaction).start(flow)
        elif transaction is not None:
            self.send_failed(transaction, fault)
        else:
            self.counters["response_unroutable"] += 1

    def send_over(self, flow: Flow, data: bytes) -> str:
        """Send bytes; return an empty text, or why they cannot be sent."""
        if self.trace is not None:
            self.trace.capture(data, flow, self.now(), True)
        return self.network.send(flow, data)

    def send_failed(self, transaction: LayerClientTransaction | ServerTransaction, detail: str) -> None:
        """Tell the layer that what a transaction last sent could not be sent."""
        self.soon(lambda: self._carry_out(self.layer.transport_failed(transaction, self.now(), detail)))

    def _tell(self, effect: Effect) -> None:
        """Tell whom it concerns. An exception of theirs ends here."""
        handler = self._handler
        try:
            if isinstance(effect, ResponseArrived):
                outgoing = cast("OutgoingRequest", effect.user)
                user = outgoing.responded(effect.transaction, effect.response)
                if user is not None:
                    user.on_response(cast("ClientTransaction", outgoing), effect.response)
            elif isinstance(effect, RequestArrived):
                self._note_alias(effect)
                if handler is not None:
                    handler.on_request(effect.transaction, effect.request)
            elif isinstance(effect, AckArrived):
                if handler is not None:
                    handler.on_ack(effect.request, effect.flow)
            elif isinstance(effect, Cancelled):
                if handler is not None:
                    handler.on_cancel(effect.transaction, effect.cancel)
            elif isinstance(effect, ClientFailed):
                cast("OutgoingRequest", effect.user).broke(effect.transaction, effect.failure)
            elif isinstance(effect, ServerFailed) and handler is not None:
                handler.on_server_failure(effect.transaction, effect.failure)
        except Exception as error:  # noqa: BLE001 - one misbehaving handler must not hurt another
            self._fault(_where(effect), error)
            if isinstance(effect, RequestArrived | Cancelled):
                self._excuse(effect.transaction)

    def _excuse(self, transaction: ServerTransaction) -> None:
        """Answer for a handler that could not."""
        if transaction.final_sent:
            return
        response = make_response(transaction.request, 500, to_tag=self._ids.tag())
        self.guarded("a 500", lambda: self.send_response(transaction, response))

    def _note_alias(self, effect: RequestArrived) -> None:
        """RFC 5923 §8.1: a peer whose certificate was verified may ask for its connection to be used both ways."""
        flow = effect.transaction.flow
        if flow.transport == "tls":
            via = effect.request.top_via
            if "alias" in via.params:
                self.network.alias(flow, via.port or _TLS_PORT)

    # -- timers

    def _arm(self) -> None:
        started = self.layer.soonest_started()
        if self._timer is not None:
            # One that fires too early finds nothing due and is armed anew: that is cheaper than to arm at each message.
            if started >= self._timer_due:
                return
            self._timer.cancel()
        due = self.layer.next_timer()
        if due is None or self._stopped:
            return
        self._timer_due = due
        self._timer = self._clock.later(max(due - self.now(), _EARLY), self._run_timers)

    def _run_timers(self) -> None:
        self._timer = None
        now = self.now()
        if now < self._timer_due <= now + _EARLY:
            now = self._timer_due
        self.guarded("the transaction timers", lambda: self._carry_out(self.layer.timers_due(now)))
        self._arm()

    # -- faults

    def guarded(self, where: str, call: Callable[[], object]) -> bool:
        """Call `call`, unless everything has stopped; report its exception, and return False then."""
        if not self._stopped:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - one misbehaving caller must not hurt another
                self._fault(where, error)
                return False
        return True

    def _fault(self, where: str, error: Exception) -> None:
        self.counters["user_errors"] += 1
        self._report(where, error)


class _Guarded:
    """A call that is due later, contained."""

    __slots__ = ("_call", "_driver")

    def __init__(self, driver: Driver, call: Callable[[], None]) -> None:
        self._driver = driver
        self._call = call

    def __call__(self) -> None:
        self._driver.guarded("a timer", self._call)


def _where(effect: Effect) -> str:
    """Name what was going on, for the log: never the message itself."""
    if isinstance(effect, RequestArrived | AckArrived):
        return f"{effect.request.method} {effect.request.headers.get('Call-ID') or ''}"
    if isinstance(effect, ResponseArrived):
        return f"{effect.response.status} {effect.response.headers.get('Call-ID') or ''}"
    return type(effect).__name__
