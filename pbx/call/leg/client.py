"""One request of ours inside a dialog, until its outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pbx.call.leg.authentication import answer_challenge

if TYPE_CHECKING:
    from pbx.call.leg.usage import InviteUsage
    from pbx.sip.message import Request, Response
    from pbx.sip.stack import ClientTransaction, TransactionFailure

__all__ = ["ClientRequest"]

_MOST_ATTEMPTS = 4
"""A peer may call every nonce stale."""

_REFRESH_TARGET = frozenset(("INVITE", "UPDATE"))
"""The requests that need a Contact. The stack adds it, but knows only of the next hop whether it is to be secure."""


class ClientRequest:
    """Sends a request in a dialog and tells `done` its final response or failure, once. Challenges are answered on the
    way."""

    __slots__ = ("_attempts", "_body", "_content_type", "_done", "_headers", "_method", "_usage", "request")

    def __init__(
        self,
        usage: InviteUsage,
        method: str,
        done: Callable[[Response | TransactionFailure], None],
        headers: tuple[tuple[str, str], ...] = (),
        content_type: str = "",
        body: bytes = b"",
    ) -> None:
        self._usage = usage
        self._method = method
        self._done: Callable[[Response | TransactionFailure], None] | None = done
        self._headers = headers
        self._content_type = content_type
        self._body = body
        self._attempts = 0
        self.request: Request

    def send(self) -> None:
        """Send it, once."""
        self._usage.leg.opened()
        self._send(())

    def _send(self, authorization: tuple[tuple[str, str], ...]) -> None:
        leg, dialog = self._usage.leg, self._usage.dialog
        self._attempts += 1
        self.request = request = dialog.request(self._method)
        headers = request.headers
        headers.extend(self._headers)
        headers.extend(authorization)
        if dialog.secure and leg.peer_flow is not None and self._method in _REFRESH_TARGET:
            headers.add("Contact", leg.contact(leg.peer_flow))
        if leg.settings.product:
            headers.add("User-Agent", leg.settings.product)
        if self._body:
            headers.add("Content-Type", self._content_type)
            request.body = self._body
        if leg.digest is not None and not authorization:
            leg.digest.authorize(request, leg.context.ids.token(8))
        leg.context.stack.send_request(request, dialog.destination(), self)

    # -- TransactionUser

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        """Take a response."""
        if response.status < 200:
            self._usage.leg.enter(self.take_provisional, response)
        elif self._done is None:
            self.take_repeated(response)
        elif response.status not in (401, 407) or not self._answer_challenge(response):
            self._finish(response)

    def on_failure(self, transaction: ClientTransaction, failure: TransactionFailure) -> None:
        """Take that there will be no final response."""
        if self._done is not None:
            self._finish(failure)

    # -- for INVITE

    def take_provisional(self, response: Response) -> None:
        """Take a provisional response: nothing waits for one inside a dialog, except for INVITE."""

    def take_repeated(self, response: Response) -> None:
        """Take a final response after the first: only INVITE has such."""

    # -- inside

    def _answer_challenge(self, response: Response) -> bool:
        """RFC 3261 §22.2: send it again with credentials, the same dialog identifiers and a new CSeq number."""
        if self._attempts >= _MOST_ATTEMPTS:
            return False
        authorization = answer_challenge(self._usage.leg, self.request, response)
        if not authorization:
            return False
        self._send(authorization)
        return True

    def _finish(self, outcome: Response | TransactionFailure) -> None:
        done, self._done = self._done, None
        assert done is not None
        leg = self._usage.leg
        try:
            leg.enter(done, outcome)
        finally:
            leg.enter(leg.closed)
