"""The capture ring: recent messages of each call, kept as they went over the wire.

Capturing stores references only. `pbx.net.ladder` and `pbx.net.pcap` make something of them when somebody asks.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pbx.sip.stack import Flow

__all__ = ["Captured", "Trace", "call_id_of", "redacted"]

_CALL_ID = re.compile(rb"\n(?:call-id|i)[ \t]*+:[ \t]*+([^\r\n]*+)", re.IGNORECASE)
_USUAL = b"\nCall-ID: "
_OVERHEAD = 240
"""Octets that a stored message takes beside its own."""


class Captured(NamedTuple):
    """One message as it went over the wire. `when` is in seconds on the clock that never goes back."""

    when: float
    outgoing: bool
    flow: Flow
    data: bytes


class _Ring:
    """The messages of one Call-ID: the first ones, which set the call up, and the latest."""

    __slots__ = ("dropped", "first", "is_call", "latest", "octets")

    def __init__(self, is_call: bool) -> None:
        self.is_call = is_call
        self.first: list[Captured] = []
        self.latest: deque[Captured] = deque()
        self.octets = 0
        self.dropped = 0


class _Budget:
    """Rings that share a bound, the one that was quiet for longest first."""

    __slots__ = ("limit", "octets", "rings")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.octets = 0
        self.rings: dict[bytes, _Ring] = {}


class Trace:
    """Keeps recent messages by Call-ID, in bounds: `per_call` octets for each, `calls` for all that began with an
    INVITE, and `others` for all else, so that registrations do not push calls out.

    Of a call that exceeds its bound the beginning and the end are kept. `epoch` is the wall-clock time in seconds at
    zero of the clock that `when` counts by.
    """

    def __init__(
        self,
        epoch: float = 0.0,
        per_call: int = 131_072,
        calls: int = 64 * 1024 * 1024,
        others: int = 16 * 1024 * 1024,
    ) -> None:
        self.epoch = epoch
        self._per_call = per_call
        self._calls = _Budget(calls)
        self._others = _Budget(others)
        self._subscribers: tuple[Callable[[Captured], None], ...] = ()

    @property
    def octets(self) -> int:
        """How much is held."""
        return self._calls.octets + self._others.octets

    def subscribe(self, subscriber: Callable[[Captured], None]) -> Callable[[], None]:
        """Give every message to `subscriber` as it is captured (a HEP exporter), until the return value is called.

        It must be quick and must not raise: it runs between the socket and the parser.
        """
        self._subscribers = (*self._subscribers, subscriber)

        def stop() -> None:
            self._subscribers = tuple(each for each in self._subscribers if each is not subscriber)

        return stop

    def capture(self, data: bytes, flow: Flow, when: float, outgoing: bool) -> None:
        """Keep one message."""
        message = Captured(when, outgoing, flow, data)
        for subscriber in self._subscribers:
            subscriber(message)
        start = data.find(_USUAL)
        if start >= 0:
            start += len(_USUAL)
            call_id = data[start : data.find(b"\r", start)]
        else:
            call_id = call_id_of(data)
        budget = self._calls
        ring = budget.rings.pop(call_id, None)
        if ring is None:
            if data[:7] != b"INVITE ":
                budget = self._others
                ring = budget.rings.pop(call_id, None)
            if ring is None:
                ring = _Ring(budget is self._calls)
        # Last in the dictionary is the one that spoke last.
        budget.rings[call_id] = ring
        size = len(data) + _OVERHEAD
        if ring.octets + size <= self._per_call // 2:
            ring.first.append(message)
        else:
            ring.latest.append(message)
        ring.octets += size
        budget.octets += size
        if ring.octets > self._per_call:
            self._shorten(ring, budget)
        if budget.octets > budget.limit:
            self._make_room(budget)

    def messages(self, call_ids: Iterable[str]) -> list[Captured]:
        """Return what is known of these Call-IDs together, in the order of time."""
        found: list[Captured] = []
        for call_id in dict.fromkeys(call_ids):
            key = call_id.encode("utf-8", "replace")
            for budget in (self._calls, self._others):
                ring = budget.rings.get(key)
                if ring is not None:
                    found += ring.first
                    found += ring.latest
        found.sort(key=lambda message: message.when)
        return found

    def dropped(self, call_ids: Iterable[str]) -> int:
        """Return how many messages from the middle of these calls were let go."""
        keys = {call_id.encode("utf-8", "replace") for call_id in call_ids}
        rings = (budget.rings.get(key) for key in keys for budget in (self._calls, self._others))
        return sum(ring.dropped for ring in rings if ring is not None)

    def call_ids(self) -> list[str]:
        """Return the Call-IDs of the calls that are held, the one that spoke last at the end."""
        return [key.decode("utf-8", "replace") for key in self._calls.rings]

    def _shorten(self, ring: _Ring, budget: _Budget) -> None:
        while ring.octets > self._per_call and len(ring.latest) > 1:
            size = len(ring.latest.popleft().data) + _OVERHEAD
            ring.octets -= size
            budget.octets -= size
            ring.dropped += 1

    def _make_room(self, budget: _Budget) -> None:
        while budget.octets > budget.limit and len(budget.rings) > 1:
            quietest = next(iter(budget.rings))
            budget.octets -= budget.rings.pop(quietest).octets


def call_id_of(data: bytes) -> bytes:
    """Return a message's Call-ID as it stands there, empty if none is found."""
    match = _CALL_ID.search(data)
    return match[1].rstrip(b" \t") if match is not None else b""


_SECRET_HEADER = re.compile(
    rb"^(?:proxy-)?authorization[ \t]*:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*|^(?:proxy-)?authentication-info[ \t]*:[^\r\n]*"
    rb"(?:\r\n[ \t][^\r\n]*)*",
    re.IGNORECASE | re.MULTILINE,
)
_SECRET_VALUE = re.compile(
    rb"(\b(?:response|rspauth|cnonce)[ \t]*=[ \t]*)(\"[^\"\r\n]*\"|[^\s,\"]+)|"
    rb"(:[ \t]*(?:basic|bearer)[ \t]+)([^\s,]+)",
    re.IGNORECASE,
)
_SECRET_KEY = re.compile(rb"^(a=crypto:[^\r\n]*?inline:)([^\s|;\r\n]+)", re.IGNORECASE | re.MULTILINE)


def redacted(data: bytes) -> bytes:
    """Return a message without its secrets, every one crossed out at its length: digest responses, tokens, SRTP keys.

    A digest response with its nonce lets passwords be guessed (RFC 3261 §22); an SDES key opens the call (RFC 4568).
    """
    head, gap, body = data.partition(b"\r\n\r\n")
    if _SECRET_HEADER.search(head) is not None:
        head = _SECRET_HEADER.sub(_cross_out_header, head)
    if b"inline:" in body:
        body = _SECRET_KEY.sub(lambda match: match[1] + b"x" * len(match[2]), body)
    return head + gap + body


def _cross_out_header(header: re.Match[bytes]) -> bytes:
    return _SECRET_VALUE.sub(_cross_out, header[0])


def _cross_out(match: re.Match[bytes]) -> bytes:
    kept, value = (match[1], match[2]) if match[1] is not None else (match[3], match[4])
    if value.startswith(b'"') and len(value) > 1:
        return kept + b'"' + b"x" * (len(value) - 2) + b'"'
    return kept + b"x" * len(value)
