"""Reason: why a request was sent or a response given (RFC 3326; RFC 6432 lets a response have it)."""

from __future__ import annotations

from typing import NamedTuple

from pbx.cause import EndCause
from pbx.errors import ParseError
from pbx.sip.grammar import NO_PARAMS, Params, format_params, is_token, parse_number, parse_params, quote, unquote
from pbx.sip.message import Message

__all__ = ["Reason", "answered_elsewhere", "q850_of", "reason_of", "reasons_of"]


class Reason(NamedTuple):
    """One Reason value. `protocol` is ``SIP``, ``Q.850`` or another token; `text` is unquoted."""

    protocol: str
    cause: int | None = None
    text: str = ""
    params: Params = NO_PARAMS
    """Other parameters."""

    @staticmethod
    def parse(value: str) -> Reason:
        """Parse one Reason value. Raises ParseError."""
        protocol, semicolon, rest = value.partition(";")
        protocol = protocol.rstrip(" \t")
        if not is_token(protocol):
            raise ParseError("Malformed Reason")
        params = parse_params(semicolon + rest)
        cause = params.pop("cause", None)
        text = unquote(params.pop("text", None) or "")
        return Reason(
            protocol, None if cause is None else parse_number(cause, 9999, "The cause of Reason"), text, params
        )

    def __str__(self) -> str:
        cause = "" if self.cause is None else f";cause={self.cause}"
        text = f";text={quote(self.text)}" if self.text else ""
        return f"{self.protocol}{cause}{text}{format_params(self.params)}"


def reasons_of(message: Message) -> tuple[Reason, ...]:
    """Return every Reason that can be read; a malformed one is left out, since no call should fail for it (RFC 3326
    §2)."""
    found = []
    try:
        values = message.headers.all("Reason")
    except ParseError:
        return ()
    for value in values:
        try:
            found.append(Reason.parse(value))
        except ParseError:
            continue
    return tuple(found)


def q850_of(message: Message) -> int | None:
    """Return the Q.850 cause value that a peer gave, None if it gave none."""
    return next((reason.cause for reason in reasons_of(message) if reason.protocol.upper() == "Q.850"), None)


def answered_elsewhere(message: Message) -> bool:
    """Return whether a CANCEL says that another phone answered, so that no missed call is shown (RFC 3326 §3.1)."""
    return any(
        (reason.protocol.upper(), reason.cause) in (("SIP", 200), ("Q.850", 26)) for reason in reasons_of(message)
    )


def reason_of(cause: EndCause) -> str:
    """Return the Reason value of a BYE, CANCEL or final response that ends a call for that cause.

    A CANCEL because another phone answered is told so in SIP's words, which phones look for (RFC 3326 §3.1).
    """
    if cause.slug == "answered-elsewhere":
        return str(Reason("SIP", 200, "Call completed elsewhere"))
    return str(Reason("Q.850", cause.q850, cause.text.rstrip(".")))
