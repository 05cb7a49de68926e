"""What both roles of a leg share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from pbx.call.commands import Command
from pbx.call.events import Event
from pbx.call.leg.context import LegContext, LegSettings

if TYPE_CHECKING:
    from pbx.sip.message import Request
    from pbx.sip.stack import Flow, ServerTransaction, TransactionFailure

__all__ = ["Leg"]


class Leg(ABC):
    """A leg's outside. `emit` is called from within `handle` and the `on_` methods and must not call back into the leg.

    `settings` replaces the context's for this leg.
    """

    def __init__(
        self, leg_id: str, context: LegContext, emit: Callable[[Event], None], settings: LegSettings | None = None
    ) -> None:
        self.id = leg_id
        self.context = context
        self.emit = emit
        self.settings = settings or context.settings

    @abstractmethod
    def handle(self, command: Command) -> None:
        """Carry a command out; one that no longer fits is dropped and counted."""

    @abstractmethod
    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Take a request of one of this leg's dialogs, other than ACK and CANCEL."""

    @abstractmethod
    def on_ack(self, request: Request, flow: Flow) -> None:
        """Take an ACK for a 2xx."""

    @abstractmethod
    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        """Take that an INVITE of this leg's dialog was cancelled."""

    @abstractmethod
    def on_server_failure(self, transaction: ServerTransaction, failure: TransactionFailure) -> None:
        """Take that a final response could not be delivered."""

    @abstractmethod
    def owns(self, remote_tag: str) -> bool:
        """Return whether one of the leg's dialogs has this remote tag."""

    @abstractmethod
    def is_confirmed(self, remote_tag: str) -> bool:
        """Return whether the dialog with this remote tag is confirmed."""

    @property
    @abstractmethod
    def finished(self) -> bool:
        """True once nothing is left: no timer, no transaction, no entry in the DialogTable."""
