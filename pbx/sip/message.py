"""Requests and responses (RFC 3261 §7)."""

from __future__ import annotations

from typing import Final

from pbx.errors import ParseError, UsageError
from pbx.sip.grammar import parse_number, parse_params
from pbx.sip.headers import CSeq, Headers, NameAddress, Via
from pbx.sip.reasons import REASON_PHRASES
from pbx.sip.uri import Uri

__all__ = ["REASON_PHRASES", "Message", "Request", "Response", "make_response", "stamp_received"]

_LARGEST_32_BIT: Final = 2**32 - 1
_DIALOG_METHODS: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER"})


def _max_forwards(text: str) -> int:
    return parse_number(text, 255, "Max-Forwards")


def _delta_seconds(text: str) -> int:
    """RFC 3261 §20.19: a decimal number of seconds; one over 32 bits counts as the largest (RFC 4475 §3.1.2.4 allows
    that)."""
    text = text.partition(";")[0].rstrip(" \t")
    if not (text.isascii() and text.isdigit()):
        raise ParseError("Malformed Expires")
    text = text.lstrip("0")
    return min(int(text or "0"), _LARGEST_32_BIT) if len(text) <= 10 else _LARGEST_32_BIT


def _media_type(text: str) -> tuple[str, dict[str, str | None]]:
    media, semicolon, params = text.partition(";")
    main, slash, sub = media.partition("/")
    main, sub = main.strip(" \t").lower(), sub.strip(" \t").lower()
    if not (main and slash and sub):
        raise ParseError("Malformed Content-Type")
    return f"{main}/{sub}", parse_params(semicolon + params)


class Message:
    """What requests and responses share.

    Each property parses its header when first asked for and keeps the value until that header is changed; it raises
    ParseError for a malformed one, and those that are not optional also for a missing one.
    """

    __slots__ = ("body", "headers")

    def __init__(self, headers: Headers | None = None, body: bytes = b"") -> None:
        self.headers = Headers() if headers is None else headers
        self.body = body

    @property
    def top_via(self) -> Via:
        """The first Via."""
        return self.headers.top_via()

    @property
    def vias(self) -> tuple[Via, ...]:
        """Every Via, top first."""
        return self.headers.each("Via", Via.parse)

    @property
    def from_(self) -> NameAddress:
        """From."""
        return self.headers.one("From", NameAddress.parse)

    @property
    def to(self) -> NameAddress:
        """To."""
        return self.headers.one("To", NameAddress.parse)

    @property
    def call_id(self) -> str:
        """Call-ID, compared octet by octet."""
        value = self.headers.get("Call-ID")
        if not value or " " in value or "\t" in value:
            raise ParseError("Malformed Call-ID" if value else "Call-ID is missing")
        return value

    @property
    def cseq(self) -> CSeq:
        """CSeq."""
        return self.headers.one("CSeq", CSeq.parse)

    @property
    def contacts(self) -> tuple[NameAddress, ...]:
        """Every Contact; empty also for ``Contact: *`` (see `wildcard_contact`)."""
        if self.headers.get("Contact") == "*" and "Contact" not in self.headers.repeated():
            return ()
        return self.headers.each("Contact", NameAddress.parse)

    @property
    def wildcard_contact(self) -> bool:
        """True for ``Contact: *`` alone (RFC 3261 §10.2.2)."""
        return self.headers.get("Contact") == "*" and "Contact" not in self.headers.repeated()

    @property
    def routes(self) -> tuple[NameAddress, ...]:
        """Every Route, the next hop first."""
        return self.headers.each("Route", NameAddress.parse)

    @property
    def record_routes(self) -> tuple[NameAddress, ...]:
        """Every Record-Route, top first."""
        return self.headers.each("Record-Route", NameAddress.parse)

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, 0 to 255; None if it is missing."""
        return self.headers.maybe("Max-Forwards", _max_forwards)

    @property
    def content_type(self) -> str | None:
        """The body's media type in lower case without parameters (``application/sdp``); None if it is missing."""
        parsed = self.headers.maybe("Content-Type", _media_type)
        return None if parsed is None else parsed[0]

    @property
    def content_params(self) -> dict[str, str | None]:
        """The parameters of Content-Type, such as a multipart's boundary."""
        parsed = self.headers.maybe("Content-Type", _media_type)
        return {} if parsed is None else parsed[1]

    @property
    def expires(self) -> int | None:
        """Expires in seconds; None if it is missing. One over 32 bits counts as the largest number of 32 bits."""
        return self.headers.maybe("Expires", _delta_seconds)

    def _tokens(self, name: str) -> tuple[str, ...]:
        return tuple([token for token in self.headers.each(name, str) if token])

    @property
    def require(self) -> tuple[str, ...]:
        """The option tags of Require."""
        return self._tokens("Require")

    @property
    def proxy_require(self) -> tuple[str, ...]:
        """The option tags of Proxy-Require."""
        return self._tokens("Proxy-Require")

    @property
    def supported(self) -> tuple[str, ...]:
        """The option tags of Supported."""
        return self._tokens("Supported")

    @property
    def unsupported(self) -> tuple[str, ...]:
        """The option tags of Unsupported."""
        return self._tokens("Unsupported")

    @property
    def allow(self) -> tuple[str, ...]:
        """The methods of Allow."""
        return self._tokens("Allow")

    @property
    def user_agent(self) -> str | None:
        """What the sender calls itself: User-Agent, or Server."""
        return self.headers.get("User-Agent") or self.headers.get("Server")

    def start_line(self) -> str:
        """Return the first line, without its line break."""
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """Return the message as it goes on the wire. Content-Length is computed, whatever the headers say."""
        lines = [self.start_line()]
        lines += [f"{name}: {value}" for name, value in self.headers if name != "Content-Length"]
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("utf-8", "replace") + self.body


class Request(Message):
    """A request. `uri` is parsed when first asked for and then raises ParseError if it is malformed."""

    __slots__ = ("_uri", "method")

    def __init__(self, method: str, uri: Uri | str, headers: Headers | None = None, body: bytes = b"") -> None:
        self.method = method
        self._uri = uri
        self.headers = Headers() if headers is None else headers
        self.body = body

    @property
    def uri(self) -> Uri:
        """The Request-URI."""
        uri = self._uri
        if isinstance(uri, str):
            uri = self._uri = Uri.parse(uri)
        return uri

    @uri.setter
    def uri(self, uri: Uri) -> None:
        self._uri = uri

    def start_line(self) -> str:
        """Return the request line, without its line break."""
        return f"{self.method} {self.uri} SIP/2.0"

    def copy(self) -> Request:
        """Return a request that can be changed without changing this one."""
        return Request(self.method, self._uri, self.headers.copy(), self.body)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self._uri}>"


class Response(Message):
    """A response."""

    __slots__ = ("reason", "status")

    def __init__(
        self, status: int, reason: str | None = None, headers: Headers | None = None, body: bytes = b""
    ) -> None:
        self.status = status
        self.reason = REASON_PHRASES.get(status, "") if reason is None else reason
        self.headers = Headers() if headers is None else headers
        self.body = body

    def start_line(self) -> str:
        """Return the status line, without its line break."""
        if "\r" in self.reason or "\n" in self.reason:
            raise UsageError("a line break in a reason phrase")
        return f"SIP/2.0 {self.status} {self.reason}"

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"


def make_response(request: Request, status: int, reason: str | None = None, to_tag: str | None = None) -> Response:
    """Return a response to `request` with what RFC 3261 §8.2.6.2 has it copy: Via, From, To, Call-ID and CSeq.

    `to_tag` goes into To unless it has a tag already. Record-Route is copied into a response that creates a dialog
    (§12.1.1), and Timestamp into a 100 (§8.2.6.1). What a broken request lacks is left out.
    """
    source = request.headers
    wanted = _DIALOG_COPIED if 100 < status < 300 and request.method in _DIALOG_METHODS else _COPIED
    copied = [item for item in source if item[0] in wanted]
    if to_tag is not None and not _has_tag(request):
        copied = [(name, f"{value};tag={to_tag}") if name == "To" else (name, value) for name, value in copied]
    headers = Headers(copied)
    if status == 100:
        timestamp = source.get("Timestamp")
        if timestamp is not None:
            headers.add("Timestamp", timestamp)
    return Response(status, reason, headers)


_COPIED: Final = frozenset({"Via", "From", "To", "Call-ID", "CSeq"})
_DIALOG_COPIED: Final = _COPIED | {"Record-Route"}


def _has_tag(request: Request) -> bool:
    try:
        return request.to.tag is not None
    except ParseError:
        return True


def stamp_received(message: Message, host: str, port: int) -> None:
    """Note in a request's top Via where it came from: received (RFC 3261 §18.2.1) and rport (RFC 3581 §4). Raises
    ParseError.

    `host` is numeric, an IPv6 address without brackets. A `received` that the sender wrote itself does not survive.
    """
    via = message.headers.top_via()
    changed = dict(via.params)
    changed.pop("received", None)
    # RFC 3581 §4: it MUST insert a "received" parameter [...] even if it is identical to the value of the "sent-by"
    # component.
    asked = "rport" in changed
    if asked:
        changed["rport"] = str(port)
    if asked or host != via.host:
        changed["received"] = host
    if changed != via.params:
        message.headers.set_top_via(Via(via.transport, via.host, via.port, changed, via.version))
