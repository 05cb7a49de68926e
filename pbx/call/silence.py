"""Does anybody still send audio? One direction may be silent for good reason, a call in which nobody sends is dead."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pbx.media.events import NoMedia

__all__ = ["Silence"]


class Silence:
    """Remembers which streams are silent.

    The engine tells NoMedia again for as long as a stream stays silent, so all are silent if each was told of within
    one period.
    """

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def reigns(self, event: NoMedia, streams: Iterable[str], now: float) -> bool:
        """Take an event; return whether all of `streams` are silent now."""
        self._told[event.stream] = now
        return all(now - self._told.get(stream, -math.inf) <= event.milliseconds / 1000 for stream in streams)
