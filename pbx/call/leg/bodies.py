"""Finding the session description in a message's body (RFC 3261 §8.2.3, §20.11; RFC 5621 for multiparts)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pbx.errors import ParseError, ProtocolError
from pbx.sdp import parser
from pbx.sip.grammar import parse_params, unquote
from pbx.sip.headers import Headers
from pbx.sip.message import Message

if TYPE_CHECKING:
    from pbx.sdp.model import SessionDescription

__all__ = ["SDP", "UnsupportedBody", "description_of"]

SDP = "application/sdp"

_DEEPEST = 3
_MOST_PARTS = 16


class UnsupportedBody(ProtocolError):
    """A body that we must understand and do not: 415. `headers` tell the peer what we would take (RFC 3261 §8.2.3)."""

    def __init__(self, reason: str, headers: tuple[tuple[str, str], ...]) -> None:
        super().__init__(reason, 415)
        self.headers = headers


_WANT_SDP = (("Accept", SDP),)
_WANT_PLAIN = (("Accept-Encoding", "identity"),)


def description_of(message: Message) -> tuple[bytes, SessionDescription] | None:
    """Return the session description of a message, as bytes and parsed; None if it has none.

    Raises UnsupportedBody for a body that must be understood and is not, and ParseError for a malformed one.
    """
    if not message.body:
        return None
    body = _session_body(message, 0)
    return None if body is None else (body, parser.parse(body))


def _session_body(part: Message, depth: int) -> bytes | None:
    headers = part.headers
    kind = part.content_type
    disposition, optional = _disposition(headers)
    if kind == SDP and disposition == "session":
        encoding = headers.get("Content-Encoding")
        if encoding and encoding.strip().lower() != "identity":
            if optional:
                return None
            raise UnsupportedBody("The body is encoded", _WANT_PLAIN)
        return part.body
    if kind is not None and kind.startswith("multipart/") and depth < _DEEPEST:
        for inner in _parts(part):
            body = _session_body(inner, depth + 1)
            if body is not None:
                return body
        return None
    # RFC 3261 §20.11: if this parameter [handling] is missing, the value "required" SHOULD be assumed. Within a
    # multipart it is not assumed: gateways put ISUP, location or metadata beside the description and say nothing of
    # handling.
    if optional or (depth and "Content-Disposition" not in headers) or (depth and disposition != "session"):
        return None
    raise UnsupportedBody("The body's type is not supported", _WANT_SDP)


def _disposition(headers: Headers) -> tuple[str, bool]:
    """Return a part's disposition and whether it may be ignored. Raises ParseError."""
    text = headers.get("Content-Disposition")
    if text is None:
        return "session", False
    kind, semicolon, params = text.partition(";")
    handling = parse_params(semicolon + params).get("handling") or ""
    return kind.strip(" \t").lower(), unquote(handling).lower() == "optional"


def _parts(message: Message) -> list[Message]:
    """Take a multipart body apart (RFC 2046 §5.1.1). Raises ParseError."""
    boundary = unquote(message.content_params.get("boundary") or "")
    if not boundary:
        raise ParseError("A multipart body without a boundary")
    # RFC 2046 §5.1.1: delimiter := CRLF "--" boundary, then "--" after the last part, transport-padding, and a line
    # break.
    text = b"\r\n" + message.body
    delimiter = re.compile(rb"\r\n--" + re.escape(boundary.encode("utf-8", "replace")) + rb"(--)?+[ \t]*+(?=\r\n|\Z)")
    parts: list[Message] = []
    begin = -1
    for match in delimiter.finditer(text):
        if begin >= 0:
            if len(parts) == _MOST_PARTS:
                raise ParseError("A multipart body of too many parts")
            parts.append(_part(text[begin : match.start()]))
        if match[1]:
            return parts
        begin = match.end()
    raise ParseError("A multipart body that does not end")


def _part(section: bytes) -> Message:
    """Read what stands between two delimiters: a line break, header lines (none is required), an empty line, the
    content."""
    section = section.removeprefix(b"\r\n")
    if section.startswith(b"\r\n"):
        return Message(Headers(), section[2:])
    head, _, content = section.partition(b"\r\n\r\n")
    text = head.decode("utf-8", "replace").replace("\r\n ", " ").replace("\r\n\t", " ")
    return Message(Headers.of_lines([line for line in text.split("\r\n") if line]), content)
