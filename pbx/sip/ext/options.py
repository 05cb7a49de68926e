"""Option tags (RFC 3261 §19.2): what we understand, and what a request asks for beyond that (420)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from pbx.sip.message import Message

__all__ = [
    "FROM_CHANGE",
    "NO_REFER_SUB",
    "OUTBOUND",
    "PATH",
    "RELIABLE",
    "REPLACES",
    "TIMER",
    "supports",
    "unsupported",
]

RELIABLE: Final = "100rel"
"""RFC 3262"""
TIMER: Final = "timer"
"""RFC 4028"""
REPLACES: Final = "replaces"
"""RFC 3891"""
PATH: Final = "path"
"""RFC 3327"""
OUTBOUND: Final = "outbound"
"""RFC 5626"""
NO_REFER_SUB: Final = "norefersub"
"""RFC 4488"""
FROM_CHANGE: Final = "from-change"
"""RFC 4916"""


def supports(message: Message, tag: str) -> bool:
    """Return whether the sender understands an extension: its tag stands in Supported or Require."""
    return any(offered.lower() == tag for offered in (*message.supported, *message.require))


def unsupported(message: Message, understood: Collection[str]) -> tuple[str, ...]:
    """Return the tags of Require that are not `understood`, as spelled, for the Unsupported header of a 420 (RFC 3261
    §8.2.2.3)."""
    return tuple([tag for tag in message.require if tag.lower() not in understood])
