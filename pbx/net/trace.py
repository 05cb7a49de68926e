"""The capture ring: recent messages of each call, kept as they went over the wire.

Capturing stores references only. `pbx.net.ladder` and `pbx.net.pcap` make something of them when somebody asks.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from pbx.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pbx.sip.stack import Flow

__all__ = ["Captured", "Trace", "call_id_of", "redacted"]

_CALL_ID = re.compile(rb"\n(?:call-id|i)[ \t]*+:[ \t]*+([^\r\n]*+)", re.IGNORECASE)
_USUAL = b"\nCall-ID: "
_UNIT = 11
"""Messages count one for each 2 KiB (two to the power of this) begun, so that few large ones take no more room."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One message as it went over the wire. `when` is in seconds on the clock that never goes back."""

    when: float
    outgoing: bool
    flow: Flow
    data: bytes


class _Ring:
    """The messages of one Call-ID: the first ones, which set the call up, and the latest."""

    __slots__ = ("dropped", "first", "latest", "weight")

    def __init__(self) -> None:
        self.first: list[float | bool | Flow | bytes] = []
        """Four entries a message, not an object for each: what the garbage collector need not visit costs nothing."""
        self.latest: deque[Captured] | None = None
        """Made when it is needed: an empty one takes 600 octets."""
        self.weight = 0
        self.dropped = 0

    def messages(self) -> list[Captured]:
        first = self.first
        found = [Captured(*first[start : start + 4]) for start in range(0, len(first), 4)]  # type: ignore[arg-type]
        return found + list(self.latest or ())


class Trace:
    """Keeps recent messages by Call-ID, in bounds: those of `calls` calls of two legs, `messages` of each leg, and a
    quarter as many Call-IDs of all that did not begin with an INVITE, so that registrations do not push calls out.

    Of a call that exceeds its bound the beginning and the end are kept. `epoch` is the wall-clock time in seconds at
    zero of the clock that `when` counts by.
    """

    def __init__(self, epoch: float = 0.0, calls: int = 1000, messages: int = 64) -> None:
        self.epoch = epoch
        # The one that was quiet for longest comes first. Not plain dicts: taking from the front of one again and again
        # walks over everything taken before.
        self._calls: OrderedDict[bytes, _Ring] = OrderedDict()
        self._others: OrderedDict[bytes, _Ring] = OrderedDict()
        self._subscribers: tuple[Callable[[Captured], None], ...] = ()
        self.tally: Callable[[bytes, bool], None] | None = None
        """Counts every message: its bytes, and whether we sent it. As quick and quiet as a subscriber."""
        self.limit(calls, messages)

    def limit(self, calls: int, messages: int) -> None:
        """Keep no more than this from now on; 0 `calls` keeps nothing."""
        self._most_calls, self._most_others = 2 * calls, (calls + 1) // 2
        self._half = (messages + 1) // 2
        self._most = messages
        for rings, most in ((self._calls, self._most_calls), (self._others, self._most_others)):
            while len(rings) > most:
                rings.popitem(last=False)

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
        if self.tally is not None:
            self.tally(data, outgoing)
        if self._subscribers:
            message = Captured(when, outgoing, flow, data)
            for subscriber in self._subscribers:
                subscriber(message)
        if not self._most_calls:
            return
        start = data.find(_USUAL)
        if start >= 0:
            start += len(_USUAL)
            call_id = data[start : data.find(b"\r", start)]
        else:
            call_id = call_id_of(data)
        rings = self._calls
        ring = rings.get(call_id)
        if ring is None:
            if data[:7] != b"INVITE ":
                rings = self._others
                ring = rings.get(call_id)
            if ring is None:
                ring = rings[call_id] = _Ring()
                if len(rings) > (self._most_calls if rings is self._calls else self._most_others):
                    rings.popitem(last=False)
        rings.move_to_end(call_id)
        ring.weight += 1 + (len(data) >> _UNIT)
        if ring.weight <= self._half:
            ring.first += (when, outgoing, flow, data)
        else:
            self._append_latest(ring, Captured(when, outgoing, flow, data))

    def messages(self, call_ids: Iterable[str]) -> list[Captured]:
        """Return what is known of these Call-IDs together, in the order of time."""
        found = [message for ring in self._rings(call_ids) for message in ring.messages()]
        found.sort(key=lambda message: message.when)
        return found

    def dropped(self, call_ids: Iterable[str]) -> int:
        """Return how many messages from the middle of these calls were let go."""
        return sum(ring.dropped for ring in self._rings(call_ids))

    def call_ids(self) -> list[str]:
        """Return the Call-IDs of the calls that are held, the one that spoke last at the end."""
        return [key.decode("utf-8", "replace") for key in self._calls]

    def _rings(self, call_ids: Iterable[str]) -> Iterator[_Ring]:
        for call_id in dict.fromkeys(call_ids):
            key = call_id.encode("utf-8", "replace")
            for rings in (self._calls, self._others):
                ring = rings.get(key)
                if ring is not None:
                    yield ring

    def _append_latest(self, ring: _Ring, message: Captured) -> None:
        latest = ring.latest
        if latest is None:
            latest = ring.latest = deque()
        latest.append(message)
        while ring.weight > self._most and len(latest) > 1:
            ring.weight -= 1 + (len(latest.popleft().data) >> _UNIT)
            ring.dropped += 1


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
# Wherever it stands: a line may hold several keys, and a key in a place where none belongs opens the call as well.
_SECRET_KEY = re.compile(rb"(\binline:|^k=(?:clear|base64|uri):)([^\s|;\r\n]+)", re.IGNORECASE | re.MULTILINE)
# Keys that are pressed may be a PIN.
_PRESSED = re.compile(rb"(^[ \t]*Signal[ \t]*=[ \t]*)(\S+)", re.IGNORECASE | re.MULTILINE)
_PRESSED_ALONE = re.compile(
    rb"^(?:content-type|c)[ \t]*:[ \t]*application/dtmf[ \t]*(?:;|\r|$)", re.IGNORECASE | re.MULTILINE
)


def redacted(data: bytes) -> bytes:
    """Return a message without its secrets, every one crossed out at its length: digest responses, tokens, SRTP keys,
    keys pressed.

    A digest response with its nonce lets passwords be guessed (RFC 3261 §22); an SDES key opens the call (RFC 4568).
    """
    head, gap, body = data.partition(b"\r\n\r\n")
    if _SECRET_HEADER.search(head) is not None:
        head = _SECRET_HEADER.sub(_cross_out_header, head)
    if body:
        body = _SECRET_KEY.sub(_cross_out_key, body)
        if data.startswith(b"INFO "):
            body = b"x" * len(body) if _PRESSED_ALONE.search(head) is not None else _PRESSED.sub(_cross_out_key, body)
    return head + gap + body


def _cross_out_key(match: re.Match[bytes]) -> bytes:
    return match[1] + b"x" * len(match[2])


def _cross_out_header(header: re.Match[bytes]) -> bytes:
    return _SECRET_VALUE.sub(_cross_out, header[0])


def _cross_out(match: re.Match[bytes]) -> bytes:
    kept, value = (match[1], match[2]) if match[1] is not None else (match[3], match[4])
    if value.startswith(b'"') and len(value) > 1:
        return kept + b'"' + b"x" * (len(value) - 2) + b'"'
    return kept + b"x" * len(value)
