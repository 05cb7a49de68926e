"""The store as a whole: opened at start, closed at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from pbx.errors import EnvironmentFault
from pbx.store.bans import BanTable, BudgetTable
from pbx.store.bindings import BindingTable
from pbx.store.call_records import CallRecord, CallRecords
from pbx.store.database import default_url, migrate, open_engine
from pbx.store.retention import Retention
from pbx.store.spool import Spool
from pbx.store.writer import Writer, WriterSettings, WriterStatus

__all__ = ["Store"]

_WRITING = WriterSettings()


@dataclass(slots=True)
class Store:
    """Everything that is kept in the database."""

    engine: Engine
    writer: Writer
    records: CallRecords
    bindings: BindingTable
    bans: BanTable
    budgets: BudgetTable
    retention: Retention
    interrupted: tuple[CallRecord, ...]
    """The calls that the last run did not live to end, closed at this start."""

    @classmethod
    def open(
        cls,
        directory: Path,
        url: str = "",
        node: str = "main",
        settings: WriterSettings = _WRITING,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Store:
        """Open the database, bring it up to date, take in what was spooled, and close the calls of a run that died.

        `url` empty means the embedded one in `directory`, which also holds the spool; `node` names this server among
        several that share a database. Waits for the disk. Raises EnvironmentFault with what to do.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            spool, refused = Spool(directory / "spool.jsonl"), Spool(directory / "refused.jsonl")
        except OSError as error:
            raise EnvironmentFault(
                f"storage.directory {directory} cannot be used: {error.strerror}; create it, writable for this user"
            ) from error
        engine = open_engine(url or default_url(directory))
        try:
            migrate(engine)
            writer = Writer(engine, spool, refused, node, settings, wall=wall)
            writer.replay()
            records = CallRecords(engine, writer, node)
            interrupted = records.close_interrupted()
            retention = Retention(engine, node, time.monotonic, wall)
            writer.spare = retention.work
        except EnvironmentFault:
            engine.dispose()
            raise
        except (SQLAlchemyError, OSError) as error:
            engine.dispose()
            raise EnvironmentFault(f"the database cannot be written: {str(error).splitlines()[0]}") from error
        return cls(
            engine,
            writer,
            records,
            BindingTable(engine, writer, node),
            BanTable(engine, writer, node),
            BudgetTable(engine, writer, node),
            retention,
            interrupted,
        )

    def start(self) -> None:
        """Start the writer's thread."""
        self.writer.start()

    def stop(self, timeout: float = 10.0) -> bool:
        """Write what waits and close. True if nothing was left behind."""
        clean = self.writer.stop(timeout)
        self.engine.dispose()
        return clean

    def status(self) -> WriterStatus:
        """Return how writing goes."""
        return self.writer.status()
