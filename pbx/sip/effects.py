"""What the transaction layer asks of its driver: bytes to send, and what to tell the transaction user.

An effect is a small immutable value. The driver carries the effects of one call out in their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pbx.sip.machine import ClientTransaction, ServerTransaction
    from pbx.sip.message import Request, Response
    from pbx.sip.stack import Flow, TransactionFailure
    from pbx.sip.targets import Target

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


class Send(NamedTuple):
    """Send `data` that way. If it cannot be sent, give the transaction to `TransactionLayer.transport_failed`."""

    way: Flow | Target
    """For a response it is the flow that the request came by, with the remote address that RFC 3261 §18.2.2 and RFC 3581 say; if that was a
    connection and is gone, a new one to `reply_address` may be opened."""
    data: bytes
    transaction: ClientTransaction | ServerTransaction | None
    """None if nobody waits for the outcome: a stateless response, an ACK, a repetition of a finished transaction."""


class RequestArrived(NamedTuple):
    """A new request other than ACK and CANCEL; must be answered by `TransactionLayer.respond`."""

    transaction: ServerTransaction
    request: Request


class AckArrived(NamedTuple):
    """An ACK that belongs to no transaction: that of a 2xx."""

    request: Request
    flow: Flow


class Cancelled(NamedTuple):
    """The INVITE of `transaction` was cancelled before it had a final response. The CANCEL has been answered; the INVITE has not."""

    transaction: ServerTransaction
    cancel: Request


class ResponseArrived(NamedTuple):
    """A response to a request of ours: provisional ones, then one final, or several 2xx if it was an INVITE."""

    transaction: ClientTransaction
    response: Response
    flow: Flow
    """The way that it came."""


class ClientFailed(NamedTuple):
    """There will be no final response. Nothing follows."""

    transaction: ClientTransaction
    failure: TransactionFailure


class ServerFailed(NamedTuple):
    """A response could not be delivered, its ACK never came, or the transaction user never gave one."""

    transaction: ServerTransaction
    failure: TransactionFailure


class StrayResponse(NamedTuple):
    """A response that belongs to no transaction, or that came after its end. It must not be forwarded (RFC 6026 §7.1)."""

    response: Response
    flow: Flow


class Dropped(NamedTuple):
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
