"""Session timers: Session-Expires and Min-SE (RFC 4028). Intervals are in seconds."""

from __future__ import annotations

from typing import Final, NamedTuple

from pbx.errors import ParseError
from pbx.sip.grammar import NO_PARAMS, Params, format_params, parse_number, parse_params
from pbx.sip.message import Message

__all__ = ["SMALLEST_INTERVAL", "SessionExpires", "min_se_of", "session_expires_of"]

SMALLEST_INTERVAL: Final = 90
"""RFC 4028 §5: when the Min-SE header field is not present, the default value is 90 seconds."""

_LARGEST: Final = 2**32 - 1


class SessionExpires(NamedTuple):
    """A Session-Expires value. `refresher` is ``uac``, ``uas`` or None if that is left open."""

    interval: int
    refresher: str | None = None
    params: Params = NO_PARAMS
    """Other parameters."""

    @staticmethod
    def parse(text: str) -> SessionExpires:
        """Parse a Session-Expires value. Raises ParseError."""
        seconds, semicolon, rest = text.partition(";")
        params = parse_params(semicolon + rest)
        refresher = params.pop("refresher", None)
        if refresher is not None:
            refresher = refresher.lower()
            if refresher not in ("uac", "uas"):
                raise ParseError("Malformed refresher")
        return SessionExpires(parse_number(seconds.rstrip(" \t"), _LARGEST, "Session-Expires"), refresher, params)

    def __str__(self) -> str:
        refresher = f";refresher={self.refresher}" if self.refresher else ""
        return f"{self.interval}{refresher}{format_params(self.params)}"


def _min_se(text: str) -> int:
    seconds, semicolon, rest = text.partition(";")
    parse_params(semicolon + rest)
    return parse_number(seconds.rstrip(" \t"), _LARGEST, "Min-SE")


def session_expires_of(message: Message) -> SessionExpires | None:
    """Return Session-Expires, None if it is missing. Raises ParseError."""
    return message.headers.maybe("Session-Expires", SessionExpires.parse)


def min_se_of(message: Message) -> int:
    """Return Min-SE, or its default if it is missing. Raises ParseError."""
    value = message.headers.maybe("Min-SE", _min_se)
    return SMALLEST_INTERVAL if value is None else max(value, SMALLEST_INTERVAL)
