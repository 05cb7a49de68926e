"""A transaction layer on the in-memory network with a transaction user that a test scripts: half a driver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pbx.net.transport import Address, Listener, show
from pbx.sip.client import ClientTransaction
from pbx.sip.effects import (
    AckArrived,
    Cancelled,
    ClientFailed,
    Dropped,
    Effect,
    RequestArrived,
    ResponseArrived,
    Send,
    ServerFailed,
    StrayResponse,
)
from pbx.sip.layer import LayerSettings, TransactionLayer
from pbx.sip.message import Request, Response, make_response
from pbx.sip.server import ServerTransaction
from pbx.sip.stack import Flow
from tests.support.network import MemoryNetwork, Nat, Wire
from tests.support.sip import counted_ids, request

__all__ = ["Outcome", "Peer", "make_2xx_ack"]


@dataclass
class Outcome:
    """What became of one request that a `Peer` sent."""

    request: Request
    transaction: ClientTransaction | None = None
    provisionals: list[int] = field(default_factory=list)
    finals: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    ended: float | None = None

    @property
    def over(self) -> bool:
        return bool(self.finals or self.failures)


def make_2xx_ack(invite: Request, response: Response) -> Request:
    """Return the ACK of a 2xx, as a dialog makes it but straight to the Request-URI."""
    ack = request("ACK", None, invite.cseq.number, invite.call_id, from_tag=invite.from_.tag or "")
    ack.headers.set("To", response.headers.get("To") or "")
    ack.uri = invite.uri
    return ack


class Peer:
    """One host. `answer` is called with every new request, `cancelled` with an INVITE that was cancelled.

    2xx to INVITE are repeated until the ACK comes, as RFC 3261 §13.3.1.4 asks of a transaction user, and acknowledged.
    """

    def __init__(
        self,
        wire: Wire,
        address: Address,
        transports: tuple[str, ...] = ("udp",),
        nat: Nat | None = None,
        settings: LayerSettings | None = None,
    ) -> None:
        self.clock = wire.clock
        self.address = address
        self.network = MemoryNetwork(wire, [Listener(kind, *address) for kind in transports], nat)
        self.network.start(self)
        self.layer = TransactionLayer(counted_ids(), settings)
        self.answer: Callable[[ServerTransaction, Request], None] = lambda transaction, request: self.say(
            transaction, 200
        )
        self.cancelled: Callable[[ServerTransaction], None] = lambda transaction: self.say(transaction, 487)
        self.requests: list[Request] = []
        self.acks: list[Request] = []
        self.strays: list[Response] = []
        self.dropped: list[str] = []
        self.server_failures: list[str] = []
        self.heard: list[str] = []
        """What arrived, one first line each."""
        self._unacknowledged: dict[str, ServerTransaction] = {}
        self._timer_at: float | None = None

    # -- speaking

    def send(self, message: Request, to: Address, transport: str = "udp") -> Outcome:
        """Send a request; over a stream it goes once the connection is there."""
        outcome = Outcome(message)
        self.network.connect(transport, to, "", _Waiting(self, outcome))
        return outcome

    def send_over(self, flow: Flow, outcome: Outcome) -> None:
        sent_by = show(self.network.sent_by(flow))
        outcome.transaction, effects = self.layer.request(outcome.request, flow, sent_by, outcome, self.clock.seconds())
        self.carry_out(effects)

    def cancel(self, outcome: Outcome, headers: tuple[tuple[str, str], ...] = ()) -> None:
        assert outcome.transaction is not None
        self.carry_out(self.layer.cancel(outcome.transaction, headers, self.clock.seconds()))

    def say(self, transaction: ServerTransaction, status: int, tag: str | None = None) -> None:
        message = transaction.request
        response = make_response(message, status, to_tag=tag or f"tag-{self.address[0]}" if status > 100 else None)
        self.carry_out(self.layer.respond(transaction, response, self.clock.seconds()))
        if message.method == "INVITE" and 200 <= status < 300:
            self._unacknowledged[message.call_id] = transaction
            self._repeat(transaction, response, 0.5, self.clock.seconds() + 32)

    def _repeat(self, transaction: ServerTransaction, response: Response, interval: float, end: float) -> None:
        def again() -> None:
            if self._unacknowledged.get(transaction.request.call_id) is not transaction:
                return
            if self.clock.seconds() >= end:
                del self._unacknowledged[transaction.request.call_id]
                return
            self.carry_out(self.layer.respond(transaction, response, self.clock.seconds()))
            self._repeat(transaction, response, min(2 * interval, 4.0), end)

        self.clock.callLater(interval, again)

    # -- pbx.net.transport.Sink

    def received(self, data: bytes, flow: Flow) -> None:
        self.heard.append(data.split(b"\r\n", 1)[0].decode("utf-8", "replace"))
        self.carry_out(self.layer.receive(data, flow, self.clock.seconds()))

    def unreachable(self, remote: Address, detail: str) -> None:
        flow = Flow("udp", self.address, remote)
        self.carry_out(self.layer.flow_failed(flow, self.clock.seconds(), detail))

    def closed(self, flow: Flow, detail: str) -> None:
        self.carry_out(self.layer.flow_failed(flow, self.clock.seconds(), detail))

    # -- inside

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(flow, data, transaction):
                    trouble = self.network.send(flow, data)
                    if trouble and transaction is not None:
                        self.carry_out(self.layer.transport_failed(transaction, self.clock.seconds(), trouble))
                case RequestArrived(transaction, message):
                    self.requests.append(message)
                    self.answer(transaction, message)
                case AckArrived(message, _):
                    self.acks.append(message)
                    self._unacknowledged.pop(message.call_id, None)
                case Cancelled(transaction, _):
                    self.cancelled(transaction)
                case ResponseArrived(_, Outcome() as outcome, response, flow):
                    self._take(outcome, response, flow)
                case ClientFailed(_, Outcome() as outcome, failure):
                    outcome.failures.append(failure.kind)
                    outcome.ended = self.clock.seconds()
                case ServerFailed(_, failure):
                    self.server_failures.append(failure.kind)
                case StrayResponse(response, _):
                    self.strays.append(response)
                case Dropped(reason):
                    self.dropped.append(reason)
                case _:
                    raise AssertionError(effect)
        self._arm()

    def _take(self, outcome: Outcome, response: Response, flow: Flow) -> None:
        if response.status < 200:
            outcome.provisionals.append(response.status)
            return
        outcome.finals.append(response.status)
        outcome.ended = self.clock.seconds()
        if outcome.request.method == "INVITE" and response.status < 300:
            ack = make_2xx_ack(outcome.request, response)
            self.carry_out(self.layer.ack(ack, flow, show(self.address)))

    def _arm(self) -> None:
        due = self.layer.next_timer()
        if due is None or (self._timer_at is not None and self._timer_at <= due):
            return
        self._timer_at = due
        self.clock.callLater(max(0.0, due - self.clock.seconds()), self._wake, due)

    def _wake(self, due: float) -> None:
        if self._timer_at == due:
            self._timer_at = None
        self.carry_out(self.layer.timers_due(max(due, self.clock.seconds())))


class _Waiting:
    def __init__(self, peer: Peer, outcome: Outcome) -> None:
        self.peer = peer
        self.outcome = outcome

    def connected(self, flow: Flow) -> None:
        self.peer.send_over(flow, self.outcome)

    def not_connected(self, detail: str) -> None:
        self.outcome.failures.append("connect")
