"""How long call records are kept: the oldest are deleted, a few at a time, between two batches of the writer.

It runs on the writer's thread, so nobody waits for it and it never competes with a batch for SQLite's one lock.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Engine, delete, or_, select
from sqlalchemy.exc import SQLAlchemyError

from pbx.store.schema import call_records

__all__ = ["Retention"]

_log = structlog.get_logger("pbx.store.retention")

_CHUNK = 200
"""Records deleted in one transaction: some 20 ms. Twice a second, that is more than come at 200 calls a second."""
_EVERY = 60.0
"""Seconds between two looks for records that have become old."""
_SETTLES = 3600.0
"""Seconds that the wall clock has to run evenly before it is believed: at the start, and after each step of it."""
_STEP = 60.0
"""Seconds by which the wall clock may leave the clock that never goes back, before that is a step."""


class Retention:
    """Deletes records that began longer ago than `keep` seconds; None keeps all. `clock` never goes back.

    A machine that takes itself to be years further on must not delete everything; so nothing is deleted until the wall
    clock has run evenly for an hour.
    """

    def __init__(
        self, engine: Engine, node: str, clock: Callable[[], float], wall: Callable[[], datetime], chunk: int = _CHUNK
    ) -> None:
        self._engine = engine
        self._node = node
        self._clock = clock
        self._wall = wall
        self._chunk = chunk
        self._began = clock(), wall()
        self._next = clock() + _SETTLES
        self.keep: float | None = None
        """May be set by any thread."""
        self.deleted = 0
        """Records, since the start."""

    def work(self) -> None:
        """Delete a few old records, if it is time for that; harmless at any time. Waits for the disk."""
        keep, now = self.keep, self._clock()
        if keep is None or self._clock_stepped(now) or now < self._next:
            return
        try:
            count = self._delete(self._wall() - timedelta(seconds=keep))
        except SQLAlchemyError as error:
            self._next = now + _EVERY
            _log.warning("records-not-deleted", error=str(error).partition("\n")[0])
            return
        self.deleted += count
        # The rest comes behind the next batches.
        if count < self._chunk:
            self._next = now + _EVERY

    def _clock_stepped(self, now: float) -> bool:
        began, moment = self._began
        wall = self._wall()
        off = (wall - moment).total_seconds() - (now - began)
        if abs(off) <= _STEP:
            return False
        self._began = now, wall
        self._next = now + _SETTLES
        _log.warning("records-not-deleted", error=f"the clock was set by {off:.0f} s", again_in=round(_SETTLES))
        return True

    def _delete(self, oldest: datetime) -> int:
        columns = call_records.c
        # What this node has open runs; what another one left open so long ago will never be closed.
        over = or_(columns.ended.is_not(None), columns.node != self._node)
        found = select(columns.id).where(columns.started < oldest, over).order_by(columns.started).limit(self._chunk)
        with self._engine.begin() as connection:
            return connection.execute(delete(call_records).where(columns.id.in_(found))).rowcount
