"""What the transaction layer asks of its driver: bytes to send, and what to tell the transaction user.

An effect is a small immutable value. The driver carries the effects of one call out in their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.values import dataclass

if TYPE_CHECKING:
    from pbx.sip.client import ClientTransaction
    from pbx.sip.message import Request, Response
    from pbx.sip.server import ServerTransaction
    from pbx.sip.stack import Flow, TransactionFailure

__all__ = [
    "AckArrived",
    "Cancelled",
    "ClientFailed",
    "Dropped",
    "Effect",
    "RequestArrived",
    "ResponseArrived",
    "Send",
    "ServerFailed",
    "StrayResponse",
]


@dataclass(frozen=True, slots=True)
class Send:
    """Send `data` over `flow`. If it cannot be sent, give the transaction to `TransactionLayer.transport_failed`."""

    flow: Flow
    """For a response over UDP it has the remote address that RFC 3261 §18.2.2 and RFC 3581 say. If it was a connection
    and is gone, a response may go over a new one to `layer.reply_address`."""
    data: bytes
    transaction: ClientTransaction | ServerTransaction | None
    """None if nobody waits for the outcome: a stateless response, an ACK, a repetition of a finished transaction."""


@dataclass(frozen=True, slots=True)
class RequestArrived:
    """A new request other than ACK and CANCEL; must be answered by `TransactionLayer.respond`."""

    transaction: ServerTransaction
    request: Request


@dataclass(frozen=True, slots=True)
class AckArrived:
    """An ACK that belongs to no transaction: that of a 2xx."""

    request: Request
    flow: Flow


@dataclass(frozen=True, slots=True)
class Cancelled:
    """An INVITE was cancelled before it had a final response. The CANCEL has been answered; the INVITE has not."""

    transaction: ServerTransaction
    cancel: Request


@dataclass(frozen=True, slots=True)
class ResponseArrived:
    """A response to a request of ours: provisional ones, then one final, or several 2xx if it was an INVITE."""

    transaction: ClientTransaction
    user: object
    """What the transaction was created with."""
    response: Response
    flow: Flow
    """The way that it came."""


@dataclass(frozen=True, slots=True)
class ClientFailed:
    """There will be no final response. Nothing follows."""

    transaction: ClientTransaction
    user: object
    failure: TransactionFailure


@dataclass(frozen=True, slots=True)
class ServerFailed:
    """A response could not be delivered, its ACK never came, or the transaction user never gave one."""

    transaction: ServerTransaction
    failure: TransactionFailure


@dataclass(frozen=True, slots=True)
class StrayResponse:
    """A response that belongs to no transaction, or that came after its end."""

    response: Response
    flow: Flow


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was received and led to nothing; `reason` is the counter that was raised."""

    reason: str


Effect = (
    Send
    | RequestArrived
    | AckArrived
    | Cancelled
    | ResponseArrived
    | ClientFailed
    | ServerFailed
    | StrayResponse
    | Dropped
)
