"""Finding the session description in a message's body (RFC 3261 §8.2.3, §20.11; RFC 5621 for multiparts)."""

from __future__ import annotations

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
    delimiter = b"\r\n--" + boundary.encode("utf-8", "replace")
    sections = (b"\r\n" + message.body).split(delimiter, _MOST_PARTS + 1)
    if len(sections) < 2:
        raise ParseError("A multipart body without its boundary")
    parts: list[Message] = []
    for section in sections[1:]:
        if section.startswith(b"--"):
            return parts
        if len(parts) == _MOST_PARTS:
            break
        # transport-padding, then the part's header lines (none of them is required), an empty line and the content.
        _, _, rest = section.partition(b"\r\n")
        if rest.startswith(b"\r\n"):
            lines, content = [], rest[2:]
        else:
            head, _, content = rest.partition(b"\r\n\r\n")
            text = head.decode("utf-8", "replace").replace("\r\n ", " ").replace("\r\n\t", " ")
            lines = [line for line in text.split("\r\n") if line]
        parts.append(Message(Headers.of_lines(lines), content))
    raise ParseError("A multipart body that does not end")
