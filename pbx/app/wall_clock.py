"""The time of day as records and schedules want it: aware, in the zone of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

__all__ = ["WallClock"]

_QUARTER = 900.0
"""Seconds. Offsets from UTC are multiples of a quarter of an hour, and so are the moments at which they change."""


class WallClock:
    """Returns the time when called.

    The zone's offset is asked for once in each quarter of an hour: the C library looks at /etc/localtime whenever it is
    asked, which takes fifteen times as long as everything else here, and each call wants the time of day three times.
    """

    __slots__ = ("_quarter", "_seconds", "_zone")

    def __init__(self, seconds: Callable[[], float] = time.time) -> None:
        self._seconds = seconds
        self._quarter = -1.0
        self._zone: tzinfo | None = UTC

    def __call__(self) -> datetime:
        """Return the time of day."""
        now = self._seconds()
        quarter = now // _QUARTER
        if quarter != self._quarter:
            self._quarter = quarter
            self._zone = datetime.fromtimestamp(now, UTC).astimezone().tzinfo
        return datetime.fromtimestamp(now, self._zone)
