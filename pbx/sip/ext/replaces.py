"""Replaces: which dialog a new INVITE takes the place of (RFC 3891)."""

from __future__ import annotations

from typing import NamedTuple

from pbx.errors import ParseError
from pbx.sip.grammar import parse_params
from pbx.sip.message import Message

__all__ = ["Replaces", "replaces_of"]


class Replaces(NamedTuple):
    """A Replaces value. The tags are as the recipient sees them: `to_tag` is its own (RFC 3891 §3)."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    @staticmethod
    def parse(text: str) -> Replaces:
        """Parse a Replaces value. Raises ParseError; both tags are mandatory (RFC 3891 §6.1)."""
        call_id, semicolon, rest = text.partition(";")
        call_id = call_id.rstrip(" \t")
        params = parse_params(semicolon + rest)
        to_tag, from_tag = params.get("to-tag"), params.get("from-tag")
        if not call_id or " " in call_id or "\t" in call_id or not to_tag or not from_tag:
            raise ParseError("Malformed Replaces")
        return Replaces(call_id, to_tag, from_tag, "early-only" in params)

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


def replaces_of(message: Message) -> Replaces | None:
    """Return Replaces, None if it is missing. Raises ParseError, also if it stands twice (RFC 3891 §3: 400)."""
    if "Replaces" in message.headers.repeated():
        raise ParseError("Replaces is given twice")
    return message.headers.maybe("Replaces", Replaces.parse)
