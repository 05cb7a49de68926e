"""How keys (DTMF) get to a leg and from it, and what its descriptions say of that."""

from __future__ import annotations

from collections.abc import Iterable

from pbx.media.policy import MAXIMUM_FORMATS
from pbx.sdp.codecs import TELEPHONE_EVENT, PayloadFormat
from pbx.values import Enum

__all__ = ["KEY_MILLISECONDS", "DtmfMode", "is_event", "with_events", "without_events"]

KEY_MILLISECONDS = (40, 5000)
"""How long a key that is sent on lasts at the least and at the most."""

_DYNAMIC = (101, *range(127, 95, -1))


class DtmfMode(Enum):
    """How a leg and we tell each other keys."""

    AUTO = "auto"
    """By telephone-events if they are negotiated, else by INFO if the peer says that it takes it, else as tones."""
    RFC4733 = "rfc4733"
    """By telephone-events; where the peer takes none, as with `AUTO`."""
    INFO = "info"
    """By INFO; telephone-events are neither offered nor answered."""
    INBAND = "inband"
    """As tones in the voice; telephone-events are neither offered nor answered."""

    @property
    def has_events(self) -> bool:
        """Whether telephone-events may be negotiated."""
        return self in (DtmfMode.AUTO, DtmfMode.RFC4733)


def is_event(codec: PayloadFormat) -> bool:
    """Return whether a format is that of telephone-events."""
    return codec.name.lower() == TELEPHONE_EVENT


def without_events(codecs: Iterable[PayloadFormat]) -> tuple[PayloadFormat, ...]:
    """Return the formats that are not those of telephone-events."""
    return tuple(codec for codec in codecs if not is_event(codec))


def with_events(codecs: tuple[PayloadFormat, ...]) -> tuple[PayloadFormat, ...]:
    """Return what to offer to a leg that may be sent telephone-events, whatever the other side has: `codecs`, and
    events that a phone of these voices understands (RFC 4733 §2.1: their clock is that of the voice)."""
    narrow = any(not codec.is_companion and codec.rate != 48000 for codec in codecs)
    clocks = {codec.rate for codec in codecs if is_event(codec)}
    clock = 8000 if narrow else 48000
    if not codecs or (clocks and not (narrow and 8000 not in clocks)) or len(codecs) >= MAXIMUM_FORMATS:
        return codecs
    taken = {codec.payload_type for codec in codecs}
    number = next(free for free in _DYNAMIC if free not in taken)
    return (*codecs, PayloadFormat(number, TELEPHONE_EVENT, clock, 1, "0-15"))
