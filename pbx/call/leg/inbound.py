"""A leg that the peer opened: we are the user agent server of its INVITE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call.leg.base import Leg
from pbx.sdp.model import SessionDescription

if TYPE_CHECKING:
    from pbx.sip.message import Request
    from pbx.sip.stack import ServerTransaction

__all__ = ["InboundLeg"]


class InboundLeg(Leg):
    """Takes Ring, Progress, Answer and Reject until it is answered; from then on what any leg takes."""

    offer: SessionDescription | None
    """What the INVITE offered; None for a late offer. Valid once `start` has returned True."""

    def start(self, transaction: ServerTransaction, request: Request) -> bool:
        """Take the INVITE. False: it was refused with what RFC 3261 §8.2 says (400, 406, 415, 420, 422, 488), no event comes, the leg is gone.

        True: the leg is in the DialogTable and waits for commands; whoever started it tells Incoming.
        """
        raise NotImplementedError
