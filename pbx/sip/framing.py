"""Where one message ends and the next begins on a stream (RFC 3261 §18.3, RFC 5626 §3.5.1).

Datagrams need none of this; `is_keep_alive` tells the ones that phones send only to keep a NAT binding open.
"""

from __future__ import annotations

import re
from typing import Final

from pbx.errors import ParseError
from pbx.sip.parser import MessageError, salvage

__all__ = ["PING", "PONG", "StreamFramer", "is_keep_alive"]

PING: Final = b"\r\n\r\n"
"""What a peer sends to learn whether the connection lives; the answer is `PONG` (RFC 5626 §3.5.1)."""
PONG: Final = b"\r\n"

_LONGEST_NUMBER: Final = 20
_CONTENT_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*+:((?:[^\r]++|\r\n[ \t])*+)", re.IGNORECASE)


def is_keep_alive(datagram: bytes) -> bool:
    """Return whether a datagram holds no message but only line breaks, blanks or NULs, as phones send to keep a NAT
    open."""
    return len(datagram) <= 64 and not datagram.strip(b"\r\n\0 ")


class StreamFramer:
    """Cuts a stream into messages.

    `max_headers`, `max_body` and `max_message`, which is both together, are in octets; the start line counts as a
    header. Between messages a double CRLF is
    a ping and comes out as `PING`; a single CRLF (a pong, or a line break too many) is dropped.

    The work for each octet is constant, however the stream is cut into pieces.
    """

    __slots__ = ("_buffer", "_end", "_scanned", "error", "max_body", "max_headers", "max_message")

    def __init__(self, max_headers: int = 65536, max_body: int = 262144, max_message: int = 0) -> None:
        self.max_headers = max_headers
        self.max_body = max_body
        self.max_message = max_message or max_headers + max_body + len(PING)
        self.error: MessageError | None = None
        """Why the stream can't be read any further; the connection is to be closed, after an answer if `error.request`
        is there."""
        self._buffer = bytearray()
        self._scanned = 0
        self._end = 0

    @property
    def pending(self) -> int:
        """How many octets of an unfinished message are held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages (and pings) that are complete with `data`, each to be given to `parse_message`.

        Raises MessageError, a ParseError, when the stream cannot be read any further. If messages were complete before
        that point they are returned first, `error` is set, and any later call raises.
        """
        if self.error is not None:
            raise self.error
        self._buffer += data
        items: list[bytes] = []
        try:
            while (item := self._next()) is not None:
                items.append(item)
        except MessageError as error:
            self.error = error
            self._buffer.clear()
            if not items:
                raise
        return items

    def _next(self) -> bytes | None:
        buffer = self._buffer
        if not self._end:
            if not self._scanned:
                if self._starts_with_line_break():
                    return PING if self._take_ping() else None
                if not buffer:
                    return None
            if not self._find_end():
                return None
        if len(buffer) < self._end:
            return None
        message = bytes(memoryview(buffer)[: self._end])
        del buffer[: self._end]
        self._scanned = self._end = 0
        return message

    def _starts_with_line_break(self) -> bool:
        """Drop a single CRLF before a message; return whether a ping, or what may become one, is left."""
        buffer = self._buffer
        while buffer[:2] == PONG:
            rest = bytes(buffer[2:4])
            if rest in (b"", b"\r", PONG):
                return True
            del buffer[:2]
        return buffer == b"\r"

    def _take_ping(self) -> bool:
        if self._buffer[:4] != PING:
            return False
        del self._buffer[:4]
        return True

    def _find_end(self) -> bool:
        """Look for the end of the headers, from where the last look ended; return whether the whole message's end is
        known."""
        buffer = self._buffer
        end = buffer.find(PING, max(self._scanned - 3, 0))
        if end < 0:
            self._scanned = len(buffer)
            if self._scanned > self.max_headers + 3:  # which may be the beginning of their end
                raise MessageError("The headers are too long", 513)
            return False
        if end > self.max_headers:
            raise MessageError("The headers are too long", 513)
        head = bytes(memoryview(buffer)[:end])
        try:
            size = self._body_size(head)
        except ParseError as error:
            raise MessageError(error.reason, error.status, salvage(head)) from None
        self._end = end + 4 + size
        return True

    def _body_size(self, head: bytes) -> int:
        found = _CONTENT_LENGTH.findall(head)
        if not found:
            # RFC 3261 §18.3 wants Content-Length on a stream; without it there can be no body, which is all that
            # matters here.
            return 0
        if len(found) > 1:
            raise ParseError("Content-Length is given twice")
        text = found[0].strip(b" \t\r\n")
        if not text.isdigit() or len(text) > _LONGEST_NUMBER:
            raise ParseError("Content-Length is not a number")
        size = int(text)
        if size > self.max_body or len(head) + len(PING) + size > self.max_message:
            raise ParseError("The body is too long", 513)
        return size
