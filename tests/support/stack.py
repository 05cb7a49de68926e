"""The real driver and transaction layer on the in-memory network: a whole SIP host for tests, with a scripted user.

clock = SteppedClock(); wire = Wire(clock); server = Host(wire, Listener("udp", "192.0.2.1", 5060))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pbx.net.addresses import may_send_to
from pbx.net.driver import Driver, Gate
from pbx.net.trace import Trace
from pbx.net.transport import Listener
from pbx.sip.headers import Headers
from pbx.sip.layer import LayerSettings, TransactionLayer
from pbx.sip.message import Request, Response, make_response
from pbx.sip.stack import ClientTransaction, Destination, Flow, ServerTransaction, TransactionFailure
from pbx.sip.targets import Target
from pbx.sip.uri import Uri
from tests.support.network import MemoryNetwork, Nat, Wire
from tests.support.sip import counted_ids

__all__ = ["Caller", "Host", "TableResolver", "compose"]

_DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


class TableResolver:
    """Resolves numeric hosts at once, others by a table; with `held` the answer waits until `release`."""

    def __init__(self) -> None:
        self.table: dict[str, list[Target]] = {}
        self.held = False
        self._waiting: list[Callable[[], None]] = []

    def resolve(self, uri: Uri, hint: str, callback: Callable[[Sequence[Target], str], None]) -> None:
        transport = "tls" if uri.scheme == "sips" else (uri.params.get("transport") or "udp").lower()
        if may_send_to(uri.host):
            targets = [Target(transport, uri.host, uri.port or _DEFAULT_PORTS[transport])]
        else:
            targets = self.table.get(uri.host, [])
        if self.held:
            self._waiting.append(lambda: callback(targets, f"{uri.host} is unknown"))
        else:
            callback(targets, f"{uri.host} is unknown")

    def release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()


@dataclass
class Caller:
    """A `TransactionUser` that notes everything; `act` is called with each response."""

    responses: list[Response] = field(default_factory=list)
    failures: list[TransactionFailure] = field(default_factory=list)
    silences: int = 0
    act: Callable[[ClientTransaction, Response], None] = lambda transaction, response: None

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.responses]

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        self.responses.append(response)
        self.act(transaction, response)

    def on_failure(self, transaction: ClientTransaction, failure: TransactionFailure) -> None:
        self.failures.append(failure)

    def on_silence(self, transaction: ClientTransaction) -> None:
        self.silences += 1


class Host:
    """One host. `answer`, `cancelled` and `acknowledged` are what its `RequestHandler` does."""

    def __init__(
        self,
        wire: Wire,
        *listeners: Listener,
        nat: Nat | None = None,
        settings: LayerSettings | None = None,
        trace: Trace | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.clock = wire.clock
        self.network = MemoryNetwork(wire, list(listeners), nat)
        self.resolver = TableResolver()
        self.layer = TransactionLayer(counted_ids(), settings)
        self.faults: list[tuple[str, Exception]] = []
        self.driver = Driver(
            wire.clock,
            self.layer,
            self.resolver,
            self.network,
            counted_ids(),
            lambda where, error: self.faults.append((where, error)),
            trace=trace,
            gate=gate,
        )
        self.requests: list[tuple[ServerTransaction, Request]] = []
        self.acks: list[Request] = []
        self.cancels: list[Request] = []
        self.failures: list[TransactionFailure] = []
        self.answer: Callable[[ServerTransaction, Request], None] = lambda transaction, request: self.say(
            transaction, 200
        )
        self.cancelled: Callable[[ServerTransaction], None] = lambda transaction: self.say(transaction, 487)
        self.driver.start(self)

    def say(self, transaction: ServerTransaction, status: int, *headers: tuple[str, str], body: bytes = b"") -> None:
        response = make_response(transaction.request, status, to_tag="theirs" if status > 100 else None)
        for name, value in headers:
            response.headers.add(name, value)
        response.body = body
        self.driver.send_response(transaction, response)

    def send(
        self,
        method: str,
        to: str,
        route: tuple[str, ...] = (),
        flow: Flow | None = None,
        *,
        fallback: bool = False,
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
        patience: float = 0.0,
    ) -> tuple[Caller, ClientTransaction]:
        caller = Caller()
        request = compose(method, to, body, headers)
        destination = Destination(Uri.parse(to), route, flow, fallback, patience=patience)
        return caller, self.driver.send_request(request, destination, caller)

    # -- pbx.sip.stack.RequestHandler

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        self.requests.append((transaction, request))
        self.answer(transaction, request)

    def on_ack(self, request: Request, flow: Flow) -> None:
        self.acks.append(request)

    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        self.cancels.append(cancel)
        self.cancelled(transaction)

    def on_server_failure(self, transaction: ServerTransaction, failure: TransactionFailure) -> None:
        self.failures.append(failure)


_numbers = iter(range(1, 1_000_000))


def compose(method: str, to: str, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()) -> Request:
    """Return a request as a transaction user makes it: without Via and Route."""
    number = next(_numbers)
    fields = Headers(
        (
            ("Max-Forwards", "70"),
            ("From", "<sip:alice@example.com>;tag=ours"),
            ("To", f"<{to}>"),
            ("Call-ID", f"call-{number}"),
            ("CSeq", f"1 {method}"),
            *headers,
        )
    )
    return Request(method, to, fields, body)
