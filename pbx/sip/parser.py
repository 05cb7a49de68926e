"""From bytes to a message, and the checks that decide whether it can be worked with (RFC 3261 §7, §8.2, §18.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pbx.errors import ParseError
from pbx.sip.grammar import is_token, parse_number
from pbx.sip.headers import MOST_VALUES, Headers
from pbx.sip.message import Message, Request, Response
from pbx.sip.names import SINGLE

__all__ = ["MessageError", "parse_message", "salvage", "validate"]

_LARGEST_BODY: Final = 2**31 - 1
_FOLD = re.compile(r"\r\n[ \t]+")
_VERSION = re.compile(r"SIP/[0-9]+\.[0-9]+", re.IGNORECASE)
_COOKIE: Final = "z9hG4bK"


class MessageError(ParseError):
    """A ParseError for a whole message.

    `request` is what could be read of the request, enough for `make_response` and for sending it back by its Via; None
    if nothing can be answered: a response, an ACK, or a request whose top Via is unreadable.
    """

    def __init__(self, reason: str, status: int = 400, request: Request | None = None) -> None:
        super().__init__(reason, status)
        self.request = request


def parse_message(data: bytes) -> Request | Response:
    """Parse one datagram, or one message as `framing.StreamFramer` cuts them. Raises MessageError, a ParseError.

    The body is what Content-Length says, octets after it are ignored (RFC 3261 §18.3); without Content-Length it is all
    the rest. Only what is needed to read the message is checked here; `validate` does the rest.
    """
    if data[:1] in (b"\r", b"\n"):
        # RFC 3261 §7.5: implementations SHOULD ignore any CRLF appearing before the start-line.
        data = data.lstrip(b"\r\n")
    end = data.find(b"\r\n\r\n")
    lines = _header_lines(data if end < 0 else data[:end])
    try:
        if len(lines) > MOST_VALUES:
            raise ParseError("Too many headers", 513)
        if end < 0:
            raise ParseError("The headers do not end")
        start = lines[0]
        headers = Headers.of_lines(lines[1:])
        body = data[end + 4 :]
        length = headers.get("Content-Length")
        if length is not None:
            size = parse_number(length, _LARGEST_BODY, "Content-Length")
            if size != len(body):
                if size > len(body):
                    raise ParseError("Content-Length is larger than the message")
                body = body[:size]
            if "Content-Length" in headers.repeated():
                raise ParseError("Content-Length is given twice")
        if start[:4].upper() == "SIP/":
            return _response(start, headers, body)
        return _request(start, headers, body)
    except ParseError as error:
        raise MessageError(error.reason, error.status, _salvage_lines(lines)) from error


def _header_lines(head: bytes) -> list[str]:
    """Decode the start line and the headers into lines, folded ones joined (RFC 3261 §7.3.1)."""
    try:
        text = head.decode()
    except UnicodeDecodeError:
        # Older phones put Latin-1 into display names. RFC 3261 §7.1 knows UTF-8 only, but no call should fail for a
        # name.
        text = head.decode("latin-1")
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    lines = text.split("\r\n")
    # A lone CR or LF is no line break (RFC 3261 §7), and written out again it might be taken for one.
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks:
        raise MessageError("A line break that is not CRLF")
    return lines


def _request(start: str, headers: Headers, body: bytes) -> Request:
    parts = start.split(" ")
    if len(parts) != 3:
        raise ParseError("Malformed request line")
    method, uri, version = parts
    if version != "SIP/2.0" and version.upper() != "SIP/2.0":
        if _VERSION.fullmatch(version):
            raise ParseError("SIP version not supported", 505)
        raise ParseError("Malformed request line")
    if not (method.isalpha() and method.isascii()) and not is_token(method):
        raise ParseError("Malformed method")
    return Request(method, uri, headers, body)


def _response(start: str, headers: Headers, body: bytes) -> Response:
    version, _, rest = start.partition(" ")
    code, _, reason = rest.partition(" ")
    if version.upper() != "SIP/2.0":
        raise ParseError("SIP version not supported")
    if not (len(code) == 3 and code.isascii() and code.isdigit() and "100" <= code <= "699"):
        raise ParseError("Malformed status code")
    return Response(int(code), reason, headers, body)


def _salvage_lines(lines: Sequence[str]) -> Request | None:
    """Read what can be read of a broken request, so that it can be answered."""
    method, _, rest = lines[0].partition(" ")
    if method == "ACK" or not is_token(method):
        return None
    headers = Headers()
    for line in lines[1:MOST_VALUES]:
        try:
            for name, value in Headers.of_lines([line]):
                if name not in SINGLE or name not in headers:
                    headers.add(name, value)
        except ParseError:
            continue
    request = Request(method, rest.partition(" ")[0], headers)
    try:
        request.top_via  # noqa: B018
    except ParseError:
        return None
    return request


def salvage(head: bytes) -> Request | None:
    """Return what can be read of a request from its start line and headers, None if that is not enough to answer it."""
    try:
        return _salvage_lines(_header_lines(head))
    except ParseError:
        return None


def validate(message: Message) -> None:
    """Check what every element must be able to rely on. Raises MessageError with the status to answer (a response is
    dropped).

    After it `top_via`, `from_`, `to`, `call_id` and `cseq` raise no more, nor do a request's `uri`, `max_forwards`,
    `contacts`, `routes` and `record_routes`. A response may still have a bad Contact: dropping it for that would only
    have it sent again.
    """
    try:
        _validate(message)
    except ParseError as error:
        request = message if isinstance(message, Request) and message.method != "ACK" else None
        if request is not None:
            try:
                request.top_via  # noqa: B018
            except ParseError:
                request = None
        raise MessageError(error.reason, error.status, request) from error


def _validate(message: Message) -> None:
    headers = message.headers
    repeated = headers.repeated()
    if repeated and not repeated.isdisjoint(SINGLE):
        raise ParseError(f"{sorted(repeated & SINGLE)[0]} is given twice")
    via = message.top_via
    cseq = message.cseq
    message.call_id  # noqa: B018
    message.from_  # noqa: B018
    message.to  # noqa: B018
    if not isinstance(message, Request):
        return
    # RFC 3261 §8.1.1.5: the method [of CSeq] MUST match that of the request.
    if cseq.method != message.method:
        raise ParseError("The method of CSeq is not that of the request")
    uri = message.uri
    # RFC 3261 §19.1.1, table 1: headers are not allowed in a Request-URI.
    if uri.headers:
        raise ParseError("Headers in the Request-URI")
    message.max_forwards  # noqa: B018
    message.contacts  # noqa: B018
    message.routes  # noqa: B018
    message.record_routes  # noqa: B018
    # RFC 4475 §3.2.1: the cookie with nothing after it identifies no transaction.
    if via.branch == _COOKIE:
        raise ParseError("The branch of the top Via is empty")
