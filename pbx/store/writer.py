"""The writer: a thread of its own that brings changes to the database, so that nobody else waits for a disk.

A change is the whole new state of one row. Changes that wait are kept by key, so a row that changes twice within a
batch is written once. Every half second, or sooner when many wait, they go out in one transaction. When the database
does not take them they go to the spool, and from there to the database, before anything newer, once it is back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from itertools import islice
from typing import Protocol

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pbx.store.apply import apply_changes
from pbx.store.schema import Key, Row, heartbeats
from pbx.store.spool import Change, Spool

__all__ = ["Storable", "Writer", "WriterSettings", "WriterState", "WriterStatus"]

_log = structlog.get_logger("pbx.store.writer")

_UNAVAILABLE = (OperationalError, InterfaceError, InternalError, ProgrammingError, PoolTimeout, OSError)
"""What says that the database cannot be written now; anything else is the fault of a row."""

_REPLAY_CHUNK = 1000


class Storable(Protocol):
    """What can be put: it makes its row when it is written, not when it is put."""

    def row(self) -> Row:
        """Return the whole row."""


class WriterState(Enum):
    """How writing goes."""

    OK = "ok"
    SPOOLING = "spooling"
    """The database takes nothing; what is put is safe in the spool."""
    FAILING = "failing"
    """Neither database nor spool; what is put waits in memory."""


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """How it writes. Times are seconds."""

    interval: float = 0.5
    batch: int = 2000
    """Changes waiting that start a batch before its time."""
    backlog: int = 200_000
    """Rows that may wait in memory; what comes beyond is lost, and counted."""
    heartbeat: float = 1.0
    longest_pause: float = 30.0
    """Between two attempts at a database that is gone; the first pause is one second, and doubles."""


@dataclass(frozen=True, slots=True)
class WriterStatus:
    """What can be seen of the writer from outside. Counts are rows, since the start."""

    state: WriterState
    waiting: int
    written: int
    batches: int
    spooled_octets: int
    refused: int
    """Rows that the database would not take for what they hold; they are in the refused file."""
    lost: int
    error: str
    """The last failure, in words; empty when all is well."""


_DEFAULTS = WriterSettings()


def _nothing() -> None:
    """Have nothing else to do."""


class Writer:
    """The thread and its queue. `put` and `delete` may be called from any thread and return at once."""

    def __init__(
        self,
        engine: Engine,
        spool: Spool,
        refused: Spool,
        node: str,
        settings: WriterSettings = _DEFAULTS,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._spool = spool
        self._refused_rows = refused
        self._node = node
        self._settings = settings
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._wake = threading.Event()
        self._waiting: dict[tuple[str, Key], Storable | Change | None] = {}
        self._cycles_wanted = 0
        self._cycles_done = 0
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._retry_at = 0.0
        self._pause = 0.0
        self._last_beat = float("-inf")
        self._state = WriterState.OK
        self._error = ""
        self._written = self._batches = self._refused = self._lost = 0
        self.spare: Callable[[], None] = _nothing
        """Called on the writer's thread after each batch, unless much waits or the database does not take it."""

    # What everybody calls

    def put(self, table: str, key: Key, item: Storable) -> None:
        """Have the row `item` written, in place of the one with this primary key."""
        self._take((table, key), item)

    def delete(self, table: str, key: Key) -> None:
        """Have the row with this primary key removed."""
        self._take((table, key), None)

    def _take(self, slot: tuple[str, Key], item: Storable | None) -> None:
        with self._lock:
            waiting = self._waiting
            if len(waiting) >= self._settings.backlog and slot not in waiting:
                self._lost += 1
                return
            waiting[slot] = item
            many = len(waiting) == self._settings.batch
        if many:
            self._wake.set()

    def status(self) -> WriterStatus:
        """Return how writing goes."""
        return WriterStatus(
            self._state,
            len(self._waiting),
            self._written,
            self._batches,
            self._spool.octets,
            self._refused,
            self._lost,
            self._error,
        )

    # Lifecycle

    def start(self) -> None:
        """Start writing."""
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all that was put before this call is in the database or the spool; False if it is not."""
        with self._idle:
            # The cycle under way may have begun before the put; the one after it has not.
            target = self._cycles_done + 2
            self._cycles_wanted = max(self._cycles_wanted, target)
            self._wake.set()
            done = self._idle.wait_for(lambda: self._cycles_done >= target, timeout)
        return done and self._state is not WriterState.FAILING

    def stop(self, timeout: float = 10.0) -> bool:
        """Write what waits and end the thread. True if nothing was left behind outside database and spool."""
        if self._thread is not None:
            self._stopping = True
            self._wake.set()
            self._thread.join(timeout)
            if self._thread.is_alive():
                _log.error("store-writer-stuck", waiting=len(self._waiting), seconds=timeout)
                return False
            self._thread = None
        return not self._waiting

    # The thread

    def _run(self) -> None:
        while True:
            if self._cycles_wanted <= self._cycles_done:
                self._wake.wait(self._settings.interval)
            self._wake.clear()
            stopping = self._stopping
            try:
                self.write_now()
                if self._state is WriterState.OK and len(self._waiting) < self._settings.batch and not stopping:
                    self.spare()
            except Exception as error:  # noqa: BLE001 - a fault of ours costs one batch, and not all that follow
                self._move_to(WriterState.FAILING, f"a fault of this server: {type(error).__name__}")
                _log.error("fault", where="the store's writer", exc_info=error)
            with self._idle:
                self._cycles_done += 1
                self._idle.notify_all()
            if stopping:
                return

    def write_now(self) -> None:
        """Write what waits, on the caller's thread: what the thread does each half second. For tests and tools."""
        with self._lock:
            taken, self._waiting = self._waiting, {}
        changes = [change for slot, item in taken.items() if (change := self._change(slot, item)) is not None]
        now = self._clock()
        if changes or now - self._last_beat >= self._settings.heartbeat:
            self._last_beat = now
            changes.append(Change(heartbeats.name, (self._node,), {"node": self._node, "beat": self._wall()}))
        elif not (self._spool and now >= self._retry_at):
            return
        if now >= self._retry_at and self._to_database(changes, now):
            return
        self._to_spool(changes)

    def _change(self, slot: tuple[str, Key], item: Storable | Change | None) -> Change | None:
        if isinstance(item, Change):
            return item
        try:
            return Change(slot[0], slot[1], None if item is None else item.row())
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a row, the others must not suffer
            self._lost += 1
            _log.error("fault", where=f"a row of {slot[0]}", key=slot[1], exc_info=error)
            return None

    def _to_database(self, changes: list[Change], now: float) -> bool:
        try:
            if self._spool:
                self._replay()
            self._transact(changes)
        except _UNAVAILABLE as error:
            self._pause = min(self._settings.longest_pause, 2 * self._pause or 1.0)
            self._retry_at = now + self._pause
            self._move_to(WriterState.SPOOLING, str(error).splitlines()[0])
            return False
        self._pause = self._retry_at = 0.0
        self._move_to(WriterState.OK, "")
        return True

    def _transact(self, changes: list[Change]) -> None:
        """Write changes in one transaction; if a row is refused, one by one, so that it alone is left out."""
        try:
            with self._engine.begin() as connection:
                apply_changes(connection, changes)
        except _UNAVAILABLE:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a row does to a driver, the other rows must not suffer
            if len(changes) > 1:
                for change in changes:
                    self._transact([change])
                return
            self._refuse(changes, error)
            return
        self._written += len(changes)
        self._batches += 1

    def _refuse(self, changes: list[Change], error: Exception) -> None:
        self._refused += 1
        _log.error("store-row-refused", table=changes[0].table, key=changes[0].key, error=str(error).partition("\n")[0])
        try:
            self._refused_rows.append(changes)
        except (OSError, TypeError, ValueError) as fault:
            # Else it would come again with each batch, and nothing behind it would ever be written.
            self._lost += 1
            _log.error("store-row-lost", table=changes[0].table, key=changes[0].key, error=str(fault))

    def replay(self) -> None:
        """Bring what an earlier run spooled to the database. Raises SQLAlchemyError or OSError if it cannot be done."""
        if self._spool:
            self._replay()

    def _replay(self) -> None:
        octets = self._spool.octets
        changes = self._spool.read()
        while chunk := _latest(islice(changes, _REPLAY_CHUNK)):
            self._transact(chunk)
        if self._spool.damaged:
            _log.warning("store-spool-damaged", lines=self._spool.damaged)
        self._spool.clear()
        _log.info("store-spool-replayed", octets=octets)

    def _to_spool(self, changes: list[Change]) -> None:
        try:
            self._spool.append(changes)
        except OSError as error:
            self._move_to(WriterState.FAILING, str(error))
            self._put_back(changes)
        except (TypeError, ValueError) as error:
            # A row that is no JSON; alone it is left out.
            if len(changes) > 1:
                for change in changes:
                    self._to_spool([change])
            else:
                self._refuse(changes, error)
        else:
            self._move_to(WriterState.SPOOLING, self._error)

    def _put_back(self, changes: list[Change]) -> None:
        """Let changes wait again, under those that came meanwhile."""
        old: dict[tuple[str, Key], Storable | Change | None] = {
            (change.table, change.key): change for change in changes if change.table != heartbeats.name
        }
        with self._lock:
            old.update(self._waiting)
            self._waiting = old

    def _move_to(self, state: WriterState, error: str) -> None:
        if state is not self._state:
            log = _log.info if state is WriterState.OK else _log.error
            log("store-writing", state=state.value, error=error)
        self._state, self._error = state, error


def _latest(changes: Iterator[Change]) -> list[Change]:
    return list({(change.table, change.key): change for change in changes}.values())
