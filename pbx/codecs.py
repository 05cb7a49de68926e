"""The names of audio codecs that configuration and dialplan may use."""

from __future__ import annotations

from pbx.units import suggestion

__all__ = ["CODECS", "parse_codec"]

CODECS = (
    "opus",
    "G722",
    "PCMA",
    "PCMU",
    "L16",
    "G729",
    "GSM",
    "iLBC",
    "speex",
    "AMR",
    "AMR-WB",
    "EVS",
    "G723",
    "G726-32",
    "G728",
    "SILK",
    "telephone-event",
)
"""As RFC 3551 and its followers spell them."""


def parse_codec(text: str) -> str:
    """Return the codec's name as `CODECS` spells it, whatever the case. Raises ValueError for another one."""
    for name in CODECS:
        if name.lower() == text.lower():
            return name
    hint = suggestion(text, CODECS) or f"; known are {', '.join(CODECS)}"
    raise ValueError(f"there is no codec `{text}`{hint}")
