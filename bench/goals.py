"""The budgets of the media engine as what they are beside the bare loop, which took 0.07 % of a core for a call on the
machine that they were set on: another machine is faster or slower, and the loop with it."""

from __future__ import annotations

__all__ = ["BELOW", "DECODED", "MEMORY", "RECORDED", "RECORDED_BESIDE", "RELAYED", "WIDE"]

_LOOP = 0.07

RELAYED = 1.25
RECORDED = 0.11 / _LOOP
RECORDED_BESIDE = 4 / 3
"""Recording beside relaying: at most a third on top."""
DECODED = 0.10 / _LOOP
"""PCMU and PCMA."""
WIDE = 0.20 / _LOOP
"""PCMU and G.722."""
BELOW = 1.0
"""Beside rtpengine."""
MEMORY = 60
"""KiB of a call of the whole server."""
