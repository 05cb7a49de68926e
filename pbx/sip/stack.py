"""What the rooms above SIP see of it: where a message goes, who hears of a transaction, and what the stack does for
them.

`pbx.net.driver.Driver` implements `Stack` over real sockets, and over an in-memory network in the tests. Everything
here is synchronous: a call returns at once and what happens later comes back through a `TransactionUser`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pbx.sip.uri import Uri
from pbx.values import dataclass

if TYPE_CHECKING:
    from pbx.sip.message import Request, Response

__all__ = [
    "ClientTransaction",
    "Destination",
    "Flow",
    "ImpatientUser",
    "PassedOver",
    "RequestHandler",
    "ServerTransaction",
    "Stack",
    "Timer",
    "TransactionFailure",
    "TransactionUser",
]


@dataclass(frozen=True, slots=True)
class Flow:
    """A way to a peer that is known to work (RFC 5626 §3): a connection, or a pair of UDP addresses.

    `transport` is ``udp``, ``tcp``, ``tls``, ``ws`` or ``wss``; addresses are (numeric host, port); `connection`
    numbers a connection of this process, 0 for UDP. A flow is hashable and two equal flows are the same way.
    """

    transport: str
    local: tuple[str, int]
    remote: tuple[str, int]
    connection: int = 0

    @property
    def reliable(self) -> bool:
        """True if the transport retransmits by itself."""
        return self.transport != "udp"

    @property
    def secure(self) -> bool:
        """True for TLS beneath."""
        return self.transport in ("tls", "wss")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request goes: `uri` becomes the Request-URI, `route` the Route headers, top first.

    With `flow` it takes that flow and no other (a phone behind NAT, a connection that a phone made); else the next hop
    (the top route, or `uri`)
    is resolved by RFC 3263. `fallback`: if the flow is gone, resolve rather than fail.
    """

    uri: Uri
    route: tuple[str, ...] = ()
    flow: Flow | None = None
    fallback: bool = False
    next_hop: Uri | None = None
    """Resolved in place of the top route or `uri`: a strict router, which is the Request-URI while all routes lie
    behind it (RFC 3261 §12.2.1.1). `pbx.sip.dialog` sets it."""
    patience: float = 0.0
    """For an INVITE: the seconds that each target has for its first response before the next one is tried; 0 for SIP's
    own timeout. Whoever asks for it is an `ImpatientUser`."""


@dataclass(frozen=True, slots=True)
class TransactionFailure:
    """A client transaction without a final response. `kind` is ``timeout``, ``transport``, ``resolve`` or
    ``cancelled``."""

    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A host that a request was tried at in vain, before it went on to the next one (RFC 3263 §4.3)."""

    status: int
    """Its response; 0 if there was none."""
    kind: str
    """That of the `TransactionFailure`; empty if there was a response."""
    detail: str
    """Which host, and what it said or the network did."""


class ServerTransaction(Protocol):
    """One request received that must be answered."""

    user: object | None
    """Who took the request, set by the `RequestHandler`: whom a CANCEL of it, or the failure of its answer,
    concerns."""

    @property
    def request(self) -> Request:
        """The request as received; its top Via holds received and rport."""

    @property
    def flow(self) -> Flow:
        """The way that it came."""

    @property
    def final_sent(self) -> bool:
        """True once a final response was given."""


class ClientTransaction(Protocol):
    """One request sent that will be answered."""

    @property
    def request(self) -> Request:
        """The request as last sent, with its Via."""

    @property
    def flow(self) -> Flow | None:
        """The way that it went; None while it is being resolved."""

    @property
    def passed(self) -> tuple[PassedOver, ...]:
        """The hosts that it was tried at before."""


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Forget it; harmless when it has run."""


class TransactionUser(Protocol):
    """Who owns a client transaction."""

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        """Take a response: provisional ones, then one final; for INVITE possibly several 2xx (forking, RFC 3261
        §13.2.2.4)."""

    def on_failure(self, transaction: ClientTransaction, failure: TransactionFailure) -> None:
        """Take that there will be no final response. Comes at most once and nothing follows."""


class ImpatientUser(TransactionUser, Protocol):
    """Who sent an INVITE with `Destination.patience`."""

    def on_silence(self, transaction: ClientTransaction) -> None:
        """Take that nobody has said anything in time, and that there is no further target. The transaction goes on; it
        may be cancelled. A target that was given up and answers 2xx all the same is told by `on_response`."""


class RequestHandler(Protocol):
    """Who takes requests that arrive. ACK to a non-2xx and retransmissions never get here."""

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Take a new request other than ACK and CANCEL."""

    def on_ack(self, request: Request, flow: Flow) -> None:
        """Take an ACK for a 2xx; it has no transaction to answer."""

    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        """Take that an INVITE without final response was cancelled. The CANCEL has been answered; the INVITE must be,
        with 487."""

    def on_server_failure(self, transaction: ServerTransaction, failure: TransactionFailure) -> None:
        """Take that a final response could not be delivered: no ACK in 64*T1 (``timeout``), or a dead transport."""


class Stack(Protocol):
    """SIP below the transaction user."""

    def now(self) -> float:
        """Return seconds on a clock that never goes back."""

    def later(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call `call` after `delay` seconds."""

    def send_request(self, request: Request, destination: Destination, user: TransactionUser) -> ClientTransaction:
        """Start a client transaction. Via and Route are added here, and Contact too where the method wants one and none
        is there.

        Resolves the next hop, falls over to the next target on failure or 503 (RFC 3263 §4.3), and takes TCP for a
        request over 1300 octets.
        """

    def send_ack(self, request: Request, destination: Destination) -> None:
        """Send an ACK for a 2xx, outside any transaction (RFC 3261 §13.2.2.4). Via and Route are added here."""

    def send_response(self, transaction: ServerTransaction, response: Response) -> None:
        """Answer a request. A 2xx to INVITE may be given again until its ACK arrives (RFC 3261 §13.3.1.4)."""

    def cancel(self, transaction: ClientTransaction, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Cancel an INVITE: at once if it has had a provisional response, else as soon as one comes (RFC 3261 §9.1)."""

    def contact_uri(self, flow: Flow | None, destination: Destination | None = None, user: str = "") -> Uri:
        """Return the URI by which the peer at the other end of that flow or destination reaches us."""
