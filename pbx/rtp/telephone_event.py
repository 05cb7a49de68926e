"""Keys pressed, as RTP payloads (RFC 4733): reading them, sending them, and hearing each press once."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pbx.errors import ParseError

__all__ = ["DIGITS", "DigitListener", "TelephoneEvent", "press"]

DIGITS = "0123456789*#ABCD"
"""Events 0 to 15 in order (RFC 4733 §3.2, table 3)."""

_PAYLOAD = struct.Struct("!BBH")
_END_REPEATS = 3


@dataclass(frozen=True, slots=True)
class TelephoneEvent:
    """One payload: `volume` in dBm0 below zero (0 to 63), `duration` in units of the RTP clock since the press."""

    event: int
    end: bool
    volume: int
    duration: int

    @classmethod
    def parse(cls, payload: bytes) -> TelephoneEvent:
        """Return the event in `payload`; what follows it (RFC 4733 §2.5.1.5 allows more) is not read."""
        if len(payload) < _PAYLOAD.size:
            raise ParseError("telephone-event shorter than four octets")
        event, flags, duration = _PAYLOAD.unpack_from(payload)
        return cls(event, bool(flags & 0x80), flags & 0x3F, duration)

    def to_bytes(self) -> bytes:
        """Return the payload."""
        return _PAYLOAD.pack(self.event, (0x80 if self.end else 0) | self.volume, self.duration)

    @property
    def digit(self) -> str:
        """The key, one of `DIGITS`; empty for an event that is no key."""
        return DIGITS[self.event] if self.event < len(DIGITS) else ""


def press(digit: str, duration: int, step: int, volume: int = 10) -> Iterator[TelephoneEvent]:
    """Yield what is sent for one press, a packet each `step`: updates, and the end three times (RFC 4733 §2.5.1.4).

    `duration` and `step` are in units of the RTP clock; all packets of a press carry the timestamp of its start, and
    the first has the marker bit set. Raises ValueError for a character that is no key, or more than 65535 units.
    """
    event = DIGITS.index(digit.upper())
    if not 0 < duration <= 0xFFFF:
        raise ValueError("a press takes 1 to 65535 units")
    for elapsed in range(step, duration, step):
        yield TelephoneEvent(event, False, volume, elapsed)
    for _ in range(_END_REPEATS):
        yield TelephoneEvent(event, True, volume, duration)


class DigitListener:
    """Hears each press once, however often its packets are repeated and even if all its end packets are lost."""

    __slots__ = ("_pressed", "_told")

    def __init__(self) -> None:
        self._pressed: tuple[int, TelephoneEvent] | None = None
        self._told: int | None = None

    def hear(self, timestamp: int, payload: bytes) -> list[tuple[str, int]]:
        """Take a telephone-event payload with its RTP timestamp; return the presses that are over by it.

        Each is the key and its duration in units of the RTP clock. Raises ParseError for a payload that is none.
        """
        event = TelephoneEvent.parse(payload)
        if timestamp == self._told:
            return []
        over: list[tuple[str, int]] = []
        pressed = self._pressed
        if pressed is not None and pressed[0] != timestamp:
            # RFC 4733 §2.5.2.2: a new event ends the one before, whose end packets were lost then.
            over += self._end(*pressed)
        if event.end:
            over += self._end(timestamp, event)
        else:
            self._pressed = (timestamp, event)
        return over

    def other(self) -> list[tuple[str, int]]:
        """Take that a packet of another payload type came, which ends a press; return it as `hear` does."""
        return self._end(*self._pressed) if self._pressed is not None else []

    def _end(self, timestamp: int, event: TelephoneEvent) -> list[tuple[str, int]]:
        self._pressed = None
        self._told = timestamp
        return [(event.digit, event.duration)] if event.digit else []
