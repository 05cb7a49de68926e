"""A leg that we open: we are the user agent client of its INVITE."""

from __future__ import annotations

from pbx.call.leg.base import Leg

__all__ = ["OutboundLeg"]


class OutboundLeg(Leg):
    """Takes Dial first; tells Ringing, Progressing, then Answered or Rejected."""
