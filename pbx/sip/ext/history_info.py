"""History-Info: to whom a call was sent, one after the other, and why it went on (RFC 7044, RFC 4244).

What it says of redirections is turned into Diversion's words and back by the table of RFC 7544 §6.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from pbx.errors import ParseError
from pbx.sip.ext.diversion import Diversion
from pbx.sip.headers import NameAddress
from pbx.sip.message import Message

__all__ = ["HistoryEntry", "diversions_in", "history_of", "history_with"]

_CAUSES: Final = {
    # RFC 7544 §6.1, with the cause values of RFC 4458 §2.1.
    "unconditional": 302,
    "user-busy": 486,
    "no-answer": 408,
    "deflection": 480,
    "unavailable": 503,
    "out-of-service": 503,
    "do-not-disturb": 404,
    "time-of-day": 404,
    "follow-me": 404,
    "away": 404,
    "unknown": 404,
}
_REASONS: Final = {302: "unconditional", 486: "user-busy", 408: "no-answer", 480: "deflection", 487: "deflection"} | {
    503: "unavailable"
}
_MOST_ENTRIES = 32


class HistoryEntry(NamedTuple):
    """One History-Info value: a target of the call."""

    address: NameAddress
    """Without what its URI carries as headers."""
    place: str
    """Dotted numbers: ``1.2`` is the second target that ``1`` led to."""
    cause: int = 0
    """Why the call came to this target: a status of RFC 4458, 0 if it does not say."""
    private: bool = False
    """True if the address is not to be shown (RFC 7044 §5.1: Privacy among the headers of its URI)."""

    @staticmethod
    def parse(text: str) -> HistoryEntry:
        """Parse one History-Info value. Raises ParseError."""
        address = NameAddress.parse(text)
        uri = address.uri
        index = address.params.get("index") or ""
        if not index or any(not part.isdigit() for part in index.split(".")):
            raise ParseError("Malformed History-Info")
        fields = dict(uri.header_fields()) if uri.is_sip else {}
        privacy = fields.get("privacy", "").lower().replace(",", ";").split(";")
        cause = uri.params.get("cause") or ""
        plain = uri
        if uri.is_sip:
            plain = uri.with_(headers="", params={k: v for k, v in uri.params.items() if k != "cause"})
        return HistoryEntry(
            NameAddress(address.display, plain),
            index,
            int(cause) if cause.isascii() and cause.isdigit() and len(cause) == 3 else 0,
            bool({word.strip() for word in privacy} & {"history", "header", "session"}),
        )

    def __str__(self) -> str:
        uri = self.address.uri
        if self.cause:
            uri = uri.with_(params={**uri.params, "cause": str(self.cause)})
        if self.private:
            uri = uri.with_(headers="Privacy=history")
        return f"{NameAddress(self.address.display, uri)};index={self.place}"


def history_of(message: Message) -> tuple[HistoryEntry, ...]:
    """Return History-Info, the first target first. Raises ParseError."""
    return message.headers.each("History-Info", HistoryEntry.parse)[:_MOST_ENTRIES]


def diversions_in(history: Iterable[HistoryEntry]) -> tuple[Diversion, ...]:
    """Return the redirections that a history tells of, the last first, as Diversion has them.

    RFC 7544 §6.2: an entry with a cause was reached by redirection from the one before it, which is who diverted.
    """
    found: list[Diversion] = []
    before: HistoryEntry | None = None
    for entry in history:
        if entry.cause and before is not None:
            found.insert(0, Diversion(before.address, _REASONS.get(entry.cause, "unknown"), 1, before.private))
        before = entry
    return tuple(found)


def history_with(diversions: Iterable[Diversion], target: NameAddress) -> tuple[HistoryEntry, ...]:
    """Return a history of redirections, the last given first, that ends with the present target (RFC 7544 §6.1)."""
    entries: list[HistoryEntry] = []
    index, cause = "1", 0
    for diversion in reversed(tuple(diversions)[: _MOST_ENTRIES - 1]):
        entries.append(HistoryEntry(diversion.address, index, cause, diversion.private))
        index, cause = f"{index}.1", _CAUSES[diversion.reason]
    entries.append(HistoryEntry(target, index, cause))
    return tuple(entries)
