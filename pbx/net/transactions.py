"""The transaction layer as the driver sees it; `pbx.sip.layer` has the real one, and tests put others in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pbx.sip.client import ClientTransaction
    from pbx.sip.effects import Effect
    from pbx.sip.message import Request, Response
    from pbx.sip.parser import MessageError
    from pbx.sip.server import ServerTransaction
    from pbx.sip.stack import Flow

__all__ = ["Transactions"]


class Transactions(Protocol):
    """What is asked of it; the words are those of `pbx.sip.layer.TransactionLayer`."""

    def receive(self, data: bytes | Request | Response, flow: Flow, now: float) -> list[Effect]:
        """Take one message."""

    def malformed(self, error: MessageError, flow: Flow, now: float) -> list[Effect]:
        """Take what is known of a message that cannot be read."""

    def timers_due(self, now: float) -> list[Effect]:
        """Run every timer that is due."""

    def next_timer(self) -> float | None:
        """Return when `timers_due` wants to be called next."""

    def soonest_started(self) -> float:
        """Return when the first of the timers falls due that were started since this was last asked."""

    def transport_failed(
        self, transaction: ClientTransaction | ServerTransaction, now: float, detail: str = ""
    ) -> list[Effect]:
        """Take that what the transaction last sent could not be sent."""

    def flow_failed(self, flow: Flow, now: float, detail: str = "") -> list[Effect]:
        """Take that a connection is gone, or that an address cannot be reached."""

    def request(
        self, request: Request, flow: Flow, sent_by: str, user: object, now: float
    ) -> tuple[ClientTransaction, list[Effect]]:
        """Start a client transaction."""

    def ack(self, request: Request, flow: Flow, sent_by: str) -> list[Effect]:
        """Send the ACK of a 2xx."""

    def cancel(self, transaction: ClientTransaction, headers: tuple[tuple[str, str], ...], now: float) -> list[Effect]:
        """Cancel an INVITE."""

    def respond(self, transaction: ServerTransaction, response: Response, now: float) -> list[Effect]:
        """Answer a request."""
