"""Diversion: who has redirected a call before it came here (RFC 5806). The last redirection stands first."""

from __future__ import annotations

from typing import Final, NamedTuple

from pbx.sip.grammar import quote
from pbx.sip.headers import NameAddress
from pbx.sip.message import Message

__all__ = ["REASONS", "Diversion", "diversions_of"]

REASONS: Final = (
    "unknown",
    "user-busy",
    "no-answer",
    "unavailable",
    "unconditional",
    "time-of-day",
    "do-not-disturb",
    "deflection",
    "follow-me",
    "out-of-service",
    "away",
)
"""RFC 5806 §4: the reasons that have names."""

_MOST_REDIRECTIONS = 255


class Diversion(NamedTuple):
    """One Diversion value."""

    address: NameAddress
    reason: str = "unknown"
    counter: int = 1
    """How many redirections it stands for."""
    private: bool = False
    """True if the address is not to be shown."""

    @staticmethod
    def parse(text: str) -> Diversion:
        """Parse one Diversion value. Raises ParseError."""
        address = NameAddress.parse(text)
        params = address.params
        reason = (params.get("reason") or "unknown").strip('"').lower()
        counter = params.get("counter") or "1"
        number = int(counter) if counter.isascii() and counter.isdigit() and len(counter) < 4 else 1
        return Diversion(
            NameAddress(address.display, address.uri),
            reason if reason in REASONS else "unknown",
            min(max(number, 1), _MOST_REDIRECTIONS),
            (params.get("privacy") or "off").strip('"').lower() not in ("off", ""),
        )

    def __str__(self) -> str:
        name = f"{quote(self.address.display)} " if self.address.display else ""
        privacy = "full" if self.private else "off"
        return f"{name}<{self.address.uri}>;reason={self.reason};counter={self.counter};privacy={privacy}"


def diversions_of(message: Message) -> tuple[Diversion, ...]:
    """Return Diversion, the last redirection first. Raises ParseError."""
    return message.headers.each("Diversion", Diversion.parse)
