"""A leg: one SIP dialog, or the attempt at one, between Tandem and a phone, trunk or browser.

Downward a leg speaks `pbx.sip.stack`, upward the vocabulary of `pbx.call.commands` and `pbx.call.events`. Its life has
exactly one last event, HungUp or Rejected, told at once when the end is decided; what SIP still has to do after it (a
BYE to be answered, a 200 that crossed a CANCEL) the leg does by itself, stays in the DialogTable until then, and tells
nothing more.

::

    inbound.py, outbound.py    the two roles; ringing.py and calling.py what they do before the answer
    table.py                   their states as data; core.py, base.py what they share
    usage.py                   one dialog of a leg
    in_dialog.py, offers.py    what the peer asks in it, and what we offer
    negotiation.py             offer and answer (RFC 3264, RFC 6337)
    referral.py                REFER and what tells how it went (RFC 3515)
    reliability.py             100rel and PRACK (RFC 3262)
    session_timer.py           RFC 4028
    screening.py, bodies.py    what an INVITE must satisfy (RFC 3261 §8.2)
    headers.py                 what our messages carry
"""

from __future__ import annotations

from pbx.call.leg.base import Leg
from pbx.call.leg.context import LegContext, LegSettings
from pbx.call.leg.inbound import InboundLeg
from pbx.call.leg.outbound import OutboundLeg

__all__ = ["InboundLeg", "Leg", "LegContext", "LegSettings", "OutboundLeg"]
