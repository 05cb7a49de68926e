"""The requests that reach a phone: to the leg that they belong to, or answered here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pbx.call.leg import Leg
from pbx.call.leg.headers import ACCEPT, ALLOW, OPTION_TAGS, SUPPORTED
from pbx.errors import ParseError
from pbx.sip.ext.options import unsupported
from pbx.sip.message import make_response

if TYPE_CHECKING:
    from pbx.call.leg import LegContext
    from pbx.sip.message import Request
    from pbx.sip.stack import Flow, ServerTransaction, TransactionFailure

__all__ = ["Door"]

_IN_DIALOG_ONLY: Final = frozenset(("BYE", "PRACK", "UPDATE", "INFO", "NOTIFY"))
_KNOWN: Final = frozenset(("REGISTER", "MESSAGE", "REFER", "SUBSCRIBE", "PUBLISH", "ACK"))


class Door:
    """The phone's `RequestHandler`. `invited` takes an INVITE that begins a call."""

    def __init__(self, context: LegContext, invited: Callable[[ServerTransaction, Request], None]) -> None:
        self._context = context
        self._invited = invited

    # -- RequestHandler

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Take a new request other than ACK and CANCEL."""
        try:
            if request.to.tag is None:
                self._outside_dialog(transaction, request)
                return
            owner = self._context.dialogs.find(request)
        except ParseError as error:
            self.refuse(transaction, error.status)
            return
        if owner is None:
            # RFC 3261 §12.2.2: if the UAS does not wish to recreate the dialog, it MUST respond with a 481.
            self.refuse(transaction, 481)
        else:
            transaction.user = owner
            owner.on_request(transaction, request)

    def on_ack(self, request: Request, flow: Flow) -> None:
        """Give the ACK of a 2xx to its leg."""
        owner = self._context.dialogs.find(request)
        if owner is not None:
            owner.on_ack(request, flow)

    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        """Tell a leg that its INVITE was cancelled."""
        owner = transaction.user
        if isinstance(owner, Leg):
            owner.on_cancel(transaction, cancel)
        else:
            self.refuse(transaction, 487)

    def on_server_failure(self, transaction: ServerTransaction, failure: TransactionFailure) -> None:
        """Tell a leg that its response could not be delivered."""
        owner = transaction.user
        if isinstance(owner, Leg):
            owner.on_server_failure(transaction, failure)

    # -- outside dialogs

    def _outside_dialog(self, transaction: ServerTransaction, request: Request) -> None:
        method = request.method
        if method == "INVITE":
            self._invited(transaction, request)
        elif method == "OPTIONS":
            self._options(transaction, request)
        elif method in _IN_DIALOG_ONLY:
            self.refuse(transaction, 481)
        else:
            # RFC 3261 §8.2.1: a method that is known and not supported gets 405 with Allow; §21.5.2: one that is not
            # known, 501.
            self.refuse(transaction, 405 if method in _KNOWN else 501)

    def _options(self, transaction: ServerTransaction, request: Request) -> None:
        """Say what we can do (RFC 3261 §11.2): servers ask so whether a phone is there."""
        unknown = unsupported(request, OPTION_TAGS)
        response = make_response(request, 420 if unknown else 200, to_tag=self._context.ids.tag())
        if unknown:
            response.headers.set("Unsupported", ", ".join(unknown))
        else:
            response.headers.set("Allow", ALLOW)
            response.headers.set("Accept", ACCEPT)
            response.headers.set("Supported", SUPPORTED)
        self._context.stack.send_response(transaction, response)

    def refuse(self, transaction: ServerTransaction, status: int) -> None:
        """Answer with a failure."""
        response = make_response(transaction.request, status, to_tag=self._context.ids.tag())
        if status in (405, 501):
            response.headers.set("Allow", ALLOW)
        self._context.stack.send_response(transaction, response)
