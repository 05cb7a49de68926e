"""Old call records are deleted, a few at a time, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from pbx.cause import cause_named
from pbx.store.call_records import CallRecord
from pbx.store.retention import Retention
from pbx.store.store import Store
from pbx.store.writer import WriterSettings

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = 86_400.0


class Archive:
    """A database with records of each of the last ten days, and a retention whose clocks the test turns."""

    def __init__(self, folder: Path, url: str) -> None:
        self.time, self.set = 1000.0, 0.0
        self.store = Store.open(folder, url, wall=self.wall)
        for day in range(10):
            self.put(f"day{day}", day + 0.5)
        self.retention = Retention(self.store.engine, "main", lambda: self.time, self.wall, chunk=2)
        self.retention.keep = 5 * DAY

    def wall(self) -> datetime:
        return NOW + timedelta(seconds=self.time - 1000.0 + self.set)

    def put(self, call: str, days: float, *, ended: bool = True, node: str = "") -> None:
        started = NOW - timedelta(days=days)
        record = CallRecord(call, started, "extension/101", "101", "102", node=node)
        if ended:
            record = record.ended_by(cause_named("answered-caller-hung-up"), started + timedelta(minutes=1))
        self.store.records.put(record)
        self.store.writer.write_now()

    def work(self, seconds: float, every: float = 0.5) -> None:
        """Let time pass, and the retention work as often as the writer lets it."""
        for _ in range(round(seconds / every)):
            self.time += every
            self.retention.work()

    @property
    def left(self) -> list[str]:
        return sorted(record.id for record in self.store.records.search().records)


@pytest.fixture
def archive(tmp_path: Path, url: str) -> Iterator[Archive]:
    made = Archive(tmp_path, url)
    yield made
    made.store.stop()


def test_what_is_older_goes_a_few_at_a_time(archive: Archive) -> None:
    archive.time += 3600
    archive.retention.work()
    assert archive.left == [f"day{day}" for day in range(8)]
    archive.work(1.0)
    assert archive.left == [f"day{day}" for day in range(5)]
    assert archive.retention.deleted == 5
    # Day by day, the next ones become old.
    archive.work(DAY, every=30.0)
    assert archive.left == [f"day{day}" for day in range(4)]


def test_without_a_word_all_are_kept(archive: Archive) -> None:
    archive.retention.keep = None
    archive.work(3 * DAY, every=600.0)
    assert len(archive.left) == 10
    assert archive.store.retention.keep is None


def test_what_still_runs_is_kept_and_what_nobody_will_close_is_not(archive: Archive) -> None:
    archive.put("running", 7, ended=False)
    archive.put("forgotten", 7, ended=False, node="other")
    archive.work(3700)
    assert archive.left == [*(f"day{day}" for day in range(5)), "running"]


def test_a_clock_that_is_set_is_believed_after_an_hour(archive: Archive) -> None:
    """A machine that takes itself to be years further on, until its time server is asked, deletes nothing."""
    archive.work(3500)
    archive.set += 3650 * DAY
    archive.work(3000)
    assert len(archive.left) == 10
    archive.set -= 3650 * DAY
    archive.work(3500)
    assert len(archive.left) == 10
    archive.work(200)
    assert archive.left == [f"day{day}" for day in range(5)]


def test_a_database_that_is_gone_is_asked_again_later(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.time += 3600
    with monkeypatch.context() as patch:
        patch.setattr(archive.retention, "_engine", create_engine("sqlite://"))
        archive.retention.work()
    archive.retention.work()
    assert len(archive.left) == 10
    archive.work(61)
    assert archive.left == [f"day{day}" for day in range(5)]


def test_the_writer_gives_it_its_time(tmp_path: Path) -> None:
    store = Store.open(tmp_path, settings=WriterSettings(interval=0.01))
    old = replace(CallRecord("old", NOW - timedelta(days=400), "", "", ""), ended=NOW - timedelta(days=400))
    store.records.put(old)
    seconds = 0.0
    retention = Retention(store.engine, "main", lambda: seconds, lambda: NOW + timedelta(seconds=seconds))
    seconds = 4000.0
    retention.keep = DAY
    store.writer.spare = retention.work
    store.start()
    assert store.writer.flush()
    assert store.writer.flush()
    assert store.records.get("old") is None
    assert store.stop()
