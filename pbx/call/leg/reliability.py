"""Provisional responses that must arrive, and the PRACK that says so (RFC 3262), for either role."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pbx.sip.ext.prack import RAck, make_reliable

if TYPE_CHECKING:
    from pbx.call.leg.context import LegContext, LegSettings
    from pbx.sip.message import Response
    from pbx.sip.stack import ServerTransaction, Timer

__all__ = ["RSeqOrder", "ReliableProvisionals"]


class RSeqOrder:
    """The order of the reliable provisional responses to our INVITE within one early dialog."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def is_next(self, rseq: int) -> bool:
        """Return whether a response is new and in order; then it must be acknowledged by PRACK.

        RFC 3262 §4: if the UAC receives another reliable provisional response to the same request, and its RSeq value
        is not one higher than the value of the sequence number, that response MUST NOT be acknowledged with a PRACK,
        and MUST NOT be processed further by the UAC. (It is a retransmission, or comes again when the one before it has
        been acknowledged.)
        """
        if self._last and rseq != self._last + 1:
            return False
        self._last = rseq
        return True


class ReliableProvisionals:
    """Sends reliable provisional responses to one INVITE, each until its PRACK comes and then the next.

    RFC 3262 §3 allows several unacknowledged ones after the first; one at a time keeps their order for every peer.
    `lost` is called when the peer is silent for 64*T1.
    """

    __slots__ = (
        "_context",
        "_gave_up",
        "_interval",
        "_lost",
        "_rseq",
        "_settings",
        "_timer",
        "_transaction",
        "_waiting",
    )

    def __init__(
        self, context: LegContext, settings: LegSettings, transaction: ServerTransaction, lost: Callable[[], None]
    ) -> None:
        self._context = context
        self._settings = settings
        self._transaction: ServerTransaction | None = transaction
        self._lost: Callable[[], None] | None = lost
        # RFC 3262 §3: the value of the header field in the first reliable provisional response MUST be between 1 and
        # 2**31 - 1. It is RECOMMENDED that it be chosen uniformly in this range. (Less room is left for what is added.)
        self._rseq = context.ids.number(24)
        self._waiting: list[tuple[Response, bool]] = []
        self._timer: Timer | None = None
        self._interval = 0.0
        self._gave_up = 0.0

    @property
    def holds_description(self) -> bool:
        """True while a response with a session description is not acknowledged: a 2xx must wait for that (RFC 3262
        §3)."""
        return any(described for _, described in self._waiting)

    def send(self, response: Response, described: bool) -> None:
        """Send a response reliably, once those before it are acknowledged; `described` if it has a session
        description."""
        self._waiting.append((response, described))
        if len(self._waiting) == 1:
            self._send_first()

    def acknowledge(self, rack: RAck, invite_cseq: int) -> bool:
        """Take a PRACK; False if it matches no response that awaits one, and must get 481 (RFC 3262 §3)."""
        if not self._waiting or rack != (self._rseq, invite_cseq, "INVITE"):
            return False
        del self._waiting[0]
        self._stop_timer()
        if self._waiting:
            self._send_first()
        return True

    def stop(self) -> None:
        """Send nothing more: the INVITE has a final response.

        RFC 3262 §3: the UAS MAY send a final response before having received PRACKs for all unacknowledged reliable
        provisional responses; [it] SHOULD NOT continue to retransmit them, but MUST be prepared to process PRACK
        requests for them.
        """
        self._stop_timer()
        self._transaction = self._lost = None
        del self._waiting[1:]

    def _send_first(self) -> None:
        response, _ = self._waiting[0]
        self._rseq += 1
        make_reliable(response, self._rseq)
        # RFC 3262 §3: the provisional response is passed to the transaction layer periodically with an interval that
        # starts at T1 seconds and doubles for each retransmission. [...] Retransmissions cease [...] after 64*T1
        # seconds.
        self._interval = self._settings.t1
        self._gave_up = self._context.stack.now() + 64 * self._settings.t1
        if self._transaction is not None:
            self._context.stack.send_response(self._transaction, response)
        self._timer = self._context.stack.later(self._interval, self._retransmit)

    def _retransmit(self) -> None:
        stack = self._context.stack
        left = self._gave_up - stack.now()
        if left < 1e-6:
            self._timer = None
            if self._lost is not None:
                self._lost()
            return
        if self._transaction is not None:
            stack.send_response(self._transaction, self._waiting[0][0])
        self._interval *= 2
        self._timer = stack.later(min(self._interval, left), self._retransmit)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
