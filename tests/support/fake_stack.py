"""A `Stack` without transactions, for tests of what stands on it: it remembers what was sent, and the test plays the
network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pbx.sip.message import Message, Request, Response
from pbx.sip.parser import parse_message, validate
from pbx.sip.stack import (
    ClientTransaction,
    Destination,
    Flow,
    PassedOver,
    ServerTransaction,
    Timer,
    TransactionFailure,
    TransactionUser,
)
from pbx.sip.uri import Uri
from tests.support.clock import SteppedClock

__all__ = ["FLOW", "FakeClient", "FakeServer", "FakeStack"]

FLOW = Flow("udp", ("192.0.2.1", 5060), ("198.51.100.7", 5062))


@dataclass(eq=False)
class FakeClient:
    """A request that was sent. The test answers it."""

    request: Request
    destination: Destination
    user: TransactionUser
    flow: Flow | None = FLOW
    cancelled: tuple[tuple[str, str], ...] | None = None
    finished: bool = False
    passed: tuple[PassedOver, ...] = ()

    @property
    def method(self) -> str:
        return self.request.method

    def respond(self, response: Response) -> None:
        assert not self.finished or response.status < 300, "nothing follows a final response but a 2xx"
        self.finished = self.finished or response.status >= 200
        validate(response)
        self.user.on_response(self, response)

    def fail(self, kind: str = "timeout") -> None:
        assert not self.finished
        self.finished = True
        self.user.on_failure(self, TransactionFailure(kind, f"test {kind}"))


@dataclass(eq=False)
class FakeServer:
    """A request that was received, and how it was answered."""

    request: Request
    flow: Flow = FLOW
    user: object | None = None
    responses: list[Response] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """When each response was sent."""

    @property
    def final_sent(self) -> bool:
        return any(response.status >= 200 for response in self.responses)

    @property
    def last(self) -> Response:
        return self.responses[-1]

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.responses]


class FakeStack:
    """Implements `pbx.sip.stack.Stack`. Every message is written and read again, so that none that is malformed goes
    unseen."""

    def __init__(self, clock: SteppedClock | None = None) -> None:
        self.clock = clock or SteppedClock()
        self.requests: list[FakeClient] = []
        self.acks: list[tuple[Request, Destination]] = []
        self._branches = 0

    def now(self) -> float:
        return self.clock.seconds()

    def later(self, delay: float, call: Callable[[], None]) -> Timer:
        return self.clock.later(delay, call)

    def send_request(self, request: Request, destination: Destination, user: TransactionUser) -> ClientTransaction:
        assert request.method not in ("ACK", "CANCEL")
        self._prepare(request, destination)
        client = FakeClient(request, destination, user)
        self.requests.append(client)
        return client

    def send_ack(self, request: Request, destination: Destination) -> None:
        assert request.method == "ACK"
        self._prepare(request, destination)
        self.acks.append((request, destination))

    def send_response(self, transaction: ServerTransaction, response: Response) -> None:
        assert isinstance(transaction, FakeServer)
        if transaction.final_sent:
            # Only a 2xx to INVITE may be given again.
            assert transaction.request.method == "INVITE"
            assert transaction.last is response
            assert 200 <= response.status < 300
        _check(response)
        transaction.responses.append(response)
        transaction.times.append(self.now())

    def cancel(self, transaction: ClientTransaction, headers: tuple[tuple[str, str], ...] = ()) -> None:
        assert isinstance(transaction, FakeClient)
        assert transaction.cancelled is None
        transaction.cancelled = headers

    def contact_uri(self, flow: Flow | None, destination: Destination | None = None, user: str = "") -> Uri:
        if flow is not None and flow.transport == "tls":
            return Uri("sip", user or None, None, "192.0.2.1", 5061, {"transport": "tls"})
        return Uri("sip", user or None, None, "192.0.2.1", 5060)

    def _prepare(self, request: Request, destination: Destination) -> None:
        headers = request.headers
        self._branches += 1
        headers.remove("Via")
        headers.remove("Route")
        for route in reversed(destination.route):
            headers.prepend("Route", route)
        headers.prepend("Via", f"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKfake{self._branches}")
        if request.method in ("INVITE", "UPDATE") and "Contact" not in headers:
            headers.add("Contact", "<sip:192.0.2.1:5060>")
        assert request.uri == destination.uri
        _check(request)

    # -- for the test

    def take(self, method: str) -> FakeClient:
        """Return the latest request sent, which must be of that method."""
        assert self.requests, f"no {method} was sent"
        client = self.requests[-1]
        assert client.method == method, f"{client.method} was sent, not {method}"
        return client

    def all(self, method: str) -> list[FakeClient]:
        return [client for client in self.requests if client.method == method]


def _check(message: Message) -> None:
    again = parse_message(message.to_bytes())
    validate(again)
    assert again.body == message.body
