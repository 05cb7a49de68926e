"""The capture ring: recent messages of each call, kept as they went over the wire.

Capturing stores references only. `pbx.net.ladder` and `pbx.net.pcap` make something of them when somebody asks.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pbx.sip.stack import Flow

__all__ = ["Captured", "Trace", "call_id_of", "redacted"]

_CALL_ID = re.compile(rb"\n(?:call-id|i)[ \t]*+:[ \t]*+([^\r\n]*+)", re.IGNORECASE)
_USUAL = b"\nCall-ID: "
_OVERHEAD = 320
"""Octets that a stored message takes beside its own, its share of the ring with it."""


class Captured(NamedTuple):
    """One message as it went over the wire. `when` is in seconds on the clock that never goes back."""

    when: float
    outgoing: bool
    flow: Flow
    data: bytes


class _Ring:
    """The messages of one Call-ID: the first ones, which set the call up, and the latest."""

    __slots__ = ("dropped", "first", "latest", "octets")

    def __init__(self) -> None:
        self.first: list[float | bool | Flow | bytes] = []
        """Four entries a message, not an object for each: what the garbage collector need not visit costs nothing."""
        self.latest: deque[Captured] | None = None
        """Made when it is needed: an empty one takes 600 octets."""
        self.octets = 0
        self.dropped = 0

    def messages(self) -> list[Captured]:
        first = self.first
        found = [Captured(*first[start : start + 4]) for start in range(0, len(first), 4)]  # type: ignore[arg-type]
        return found + list(self.latest or ())


class _Budget:
    """Rings that share a bound, the one that was quiet for longest first."""

    __slots__ = ("limit", "octets", "rings")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.octets = 0
        # Not a plain dict: taking from its front again and again walks over everything taken before.
        self.rings: OrderedDict[bytes, _Ring] = OrderedDict()


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
        self._half = per_call // 2
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
        if self._subscribers:
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
        ring = budget.rings.get(call_id)
        if ring is None:
            if data[:7] != b"INVITE ":
                budget = self._others
                ring = budget.rings.get(call_id)
            if ring is None:
                ring = budget.rings[call_id] = _Ring()
        budget.rings.move_to_end(call_id)
        size = len(data) + _OVERHEAD
        ring.octets += size
        budget.octets += size
        if ring.octets <= self._half:
            ring.first += (when, outgoing, flow, data)
        else:
            self._append_latest(ring, budget, Captured(when, outgoing, flow, data))
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
                    found += ring.messages()
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

    def _append_latest(self, ring: _Ring, budget: _Budget, message: Captured) -> None:
        latest = ring.latest
        if latest is None:
            latest = ring.latest = deque()
        latest.append(message)
        while ring.octets > 2 * self._half and len(latest) > 1:
            size = len(latest.popleft().data) + _OVERHEAD
            ring.octets -= size
            budget.octets -= size
            ring.dropped += 1

    def _make_room(self, budget: _Budget) -> None:
        while budget.octets > budget.limit and len(budget.rings) > 1:
            _, quietest = budget.rings.popitem(last=False)
            budget.octets -= quietest.octets


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
