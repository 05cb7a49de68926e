"""A 2xx to INVITE, until its ACK comes (RFC 3261 §13.3.1.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pbx.call.leg.context import LegSettings
    from pbx.sip.message import Response
    from pbx.sip.stack import ServerTransaction, Stack, Timer

__all__ = ["AwaitedAck"]


class AwaitedAck:
    """Gives a 2xx to the transport again and again. `lost` is called once if no ACK comes in 64*T1.

    RFC 3261 §13.3.1.4: the 2xx response is passed to the transport with an interval that starts at T1 seconds and
    doubles for each retransmission until it reaches T2 seconds. Response retransmissions cease when an ACK request for
    the response is received. This is independent of whatever transport protocols are used to send the response.
    """

    __slots__ = (
        "_gives_up",
        "_interval",
        "_lost",
        "_response",
        "_stack",
        "_t2",
        "_timer",
        "brings_answer",
        "transaction",
    )

    def __init__(
        self,
        stack: Stack,
        settings: LegSettings,
        transaction: ServerTransaction,
        response: Response,
        lost: Callable[[], None],
        *,
        brings_answer: bool = False,
    ) -> None:
        self._stack = stack
        self.transaction = transaction
        self.brings_answer = brings_answer
        """Whether the ACK must bring the answer to an offer in the 2xx."""
        self._response = response
        self._lost = lost
        self._interval = settings.t1
        self._t2 = settings.t2
        self._gives_up = stack.now() + 64 * settings.t1
        self._timer: Timer | None = stack.later(self._interval, self._due)

    @property
    def number(self) -> int:
        """The INVITE's sequence number."""
        return self.transaction.request.cseq.number

    def stop(self) -> None:
        """Retransmit no more: the ACK is there, or the dialog over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        left = self._gives_up - self._stack.now()
        if left < 1e-6:
            self._timer = None
            self._lost()
            return
        self._stack.send_response(self.transaction, self._response)
        self._interval = min(self._interval * 2, self._t2)
        self._timer = self._stack.later(min(self._interval, left), self._due)
