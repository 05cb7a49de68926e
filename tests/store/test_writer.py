from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import OperationalError

from pbx.store import writer as writer_module
from pbx.store.database import default_url, migrate, open_engine
from pbx.store.schema import Row, bindings, heartbeats
from pbx.store.spool import Spool
from pbx.store.writer import Writer, WriterSettings, WriterState

WALL = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class Item:
    """A binding's row, with its making counted."""

    def __init__(self, aor: str, contact: str = "sip:a@b", **changed: object) -> None:
        self.made = 0
        self.values: Row = {
            "aor": aor,
            "slot": "s",
            "node": "main",
            "contact": contact,
            "parameters": {},
            "q": 1000,
            "registered": 1.0,
            "expires": 2.0,
            "call_id": "c",
            "cseq": 1,
            "path": [],
            "instance_id": "",
            "reg_id": 0,
            "outbound": False,
            "transport": "udp",
            "local_host": "",
            "local_port": 0,
            "remote_host": "",
            "remote_port": 0,
            "user_agent": "",
        } | changed

    def row(self) -> Row:
        self.made += 1
        return self.values


class Rig:
    def __init__(self, engine: Engine, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = engine
        self.now = 100.0
        self.gone = False
        self.full = False
        self.spool = Spool(directory / "spool.jsonl")
        self.refused = Spool(directory / "refused.jsonl")
        self.writer = Writer(
            engine,
            self.spool,
            self.refused,
            "main",
            WriterSettings(backlog=10),
            clock=lambda: self.now,
            wall=lambda: WALL,
        )
        apply = writer_module.apply_changes
        append = self.spool.append

        def faulty_apply(*args: object) -> None:
            if self.gone:
                raise OperationalError("x", None, Exception("the database is gone"))
            apply(*args)  # type: ignore[arg-type]

        def faulty_append(changes: object) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            append(changes)  # type: ignore[arg-type]

        monkeypatch.setattr(writer_module, "apply_changes", faulty_apply)
        monkeypatch.setattr(self.spool, "append", faulty_append)

    def put(self, aor: str, contact: str = "sip:a@b") -> None:
        self.writer.put("bindings", (aor, "s"), Item(aor, contact))

    def write(self, after: float = 0.5) -> None:
        self.now += after
        self.writer.write_now()

    def contacts(self) -> dict[str, str]:
        with self.engine.connect() as connection:
            rows = connection.execute(select(bindings.c.aor, bindings.c.contact)).all()
            return {row.aor: row.contact for row in rows}


@pytest.fixture
def rig(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    engine = open_engine(url)
    migrate(engine)
    yield Rig(engine, tmp_path, monkeypatch)
    engine.dispose()


def test_changes_of_one_row_are_written_once_and_the_last_one_counts(rig: Rig) -> None:
    first, last = Item("sip:101@x", "sip:old"), Item("sip:101@x", "sip:new")
    rig.writer.put("bindings", ("sip:101@x", "s"), first)
    rig.writer.put("bindings", ("sip:101@x", "s"), last)
    rig.put("sip:102@x")
    rig.write()
    assert rig.contacts() == {"sip:101@x": "sip:new", "sip:102@x": "sip:a@b"}
    assert (first.made, last.made) == (0, 1)
    rig.writer.delete("bindings", ("sip:101@x", "s"))
    rig.put("sip:103@x")
    rig.writer.delete("bindings", ("sip:103@x", "s"))
    rig.write()
    assert rig.contacts() == {"sip:102@x": "sip:a@b"}
    assert rig.writer.status().state is WriterState.OK
    assert rig.writer.status().batches == 2


def test_the_heart_beats_each_second_and_with_each_batch(rig: Rig) -> None:
    rig.write()
    assert rig.writer.status().batches == 1
    rig.write(0.5)
    assert rig.writer.status().batches == 1
    rig.write(0.5)
    assert rig.writer.status().batches == 2
    rig.put("sip:101@x")
    rig.write(0.1)
    assert rig.writer.status().written == 4
    with rig.engine.connect() as connection:
        assert connection.execute(select(heartbeats)).all() == [("main", WALL)]


def test_without_database_everything_waits_in_the_spool_and_comes_in_order(rig: Rig) -> None:
    rig.put("sip:101@x", "sip:0")
    rig.put("sip:103@x")
    rig.write()
    rig.gone = True
    rig.put("sip:101@x", "sip:1")
    rig.write()
    rig.put("sip:101@x", "sip:2")
    rig.put("sip:102@x")
    rig.writer.delete("bindings", ("sip:103@x", "s"))
    rig.write()
    status = rig.writer.status()
    assert status.state is WriterState.SPOOLING
    assert status.spooled_octets > 0
    assert "the database is gone" in status.error
    assert rig.contacts() == {"sip:101@x": "sip:0", "sip:103@x": "sip:a@b"}
    rig.gone = False
    rig.put("sip:102@x", "sip:newest")
    rig.write(after=31)
    assert rig.contacts() == {"sip:101@x": "sip:2", "sip:102@x": "sip:newest"}
    status = rig.writer.status()
    assert (status.state, status.spooled_octets, status.error, status.lost) == (WriterState.OK, 0, "", 0)


def test_a_database_that_is_gone_is_not_asked_each_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.gone = True
    asked = []
    begin = rig.engine.begin
    monkeypatch.setattr(rig.engine, "begin", lambda: asked.append(rig.now) or begin())
    for _ in range(200):
        rig.put("sip:101@x")
        rig.write(after=0.5)
    assert [later - earlier for earlier, later in pairwise(asked)] == [
        1.0,
        2.0,
        4.0,
        8.0,
        16.0,
        30.0,
        30.0,
    ]


def test_a_spool_left_by_another_run_comes_before_anything_new(rig: Rig) -> None:
    rig.gone = True
    rig.put("sip:101@x", "sip:old")
    rig.write()
    rig.gone = False
    rig.writer.replay()
    assert rig.contacts() == {"sip:101@x": "sip:old"}
    assert not rig.spool


def test_with_neither_database_nor_spool_the_rows_wait_in_memory_and_only_what_is_beyond_is_lost(rig: Rig) -> None:
    rig.gone = rig.full = True
    for number in range(8):
        rig.put(f"sip:{number}@x", "sip:old")
    rig.write()
    assert rig.writer.status().state is WriterState.FAILING
    for number in range(5, 13):
        rig.put(f"sip:{number}@x", "sip:new")
    assert (rig.writer.status().waiting, rig.writer.status().lost) == (10, 3)
    rig.write()
    rig.full = False
    rig.write()
    assert rig.writer.status().state is WriterState.SPOOLING
    rig.gone = False
    rig.write(after=31)
    expected = {f"sip:{number}@x": "sip:old" if number < 5 else "sip:new" for number in range(10)}
    assert rig.contacts() == expected


def test_a_row_that_the_database_refuses_is_set_aside_and_hurts_no_other(rig: Rig) -> None:
    rig.put("sip:101@x")
    rig.writer.put("bindings", ("sip:bad@x", "s"), Item("sip:bad@x", contact=None))  # type: ignore[arg-type]
    rig.writer.put("bindings", ("sip:big@x", "s"), Item("sip:big@x", cseq=1 << 80))
    rig.put("sip:102@x")
    rig.write()
    assert set(rig.contacts()) == {"sip:101@x", "sip:102@x"}
    assert rig.writer.status().refused == 2
    assert rig.writer.status().state is WriterState.OK
    assert {change.key[0] for change in rig.refused.read()} == {"sip:bad@x", "sip:big@x"}


def test_a_refused_row_that_cannot_be_kept_either_stops_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(changes: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rig.refused, "append", full)
    rig.writer.put("bindings", ("sip:bad@x", "s"), Item("sip:bad@x", contact=None))  # type: ignore[arg-type]
    rig.put("sip:101@x")
    rig.write()
    rig.put("sip:102@x")
    rig.write()
    assert set(rig.contacts()) == {"sip:101@x", "sip:102@x"}
    status = rig.writer.status()
    assert (status.state, status.refused, status.lost) == (WriterState.OK, 1, 1)


def test_a_row_that_cannot_be_made_costs_itself_alone(rig: Rig) -> None:
    class Broken(Item):
        def row(self) -> Row:
            raise AttributeError("a bug of ours")

    rig.writer.put("bindings", ("sip:bad@x", "s"), Broken("sip:bad@x"))
    rig.put("sip:101@x")
    rig.write()
    rig.gone = True
    rig.writer.put("bindings", ("sip:odd@x", "s"), Item("sip:odd@x", path=[object()]))
    rig.put("sip:102@x")
    rig.write()
    assert (rig.writer.status().lost, rig.writer.status().refused) == (2, 1)
    rig.gone = False
    rig.write(after=31)
    assert set(rig.contacts()) == {"sip:101@x", "sip:102@x"}


def test_a_fault_in_one_batch_does_not_end_the_thread(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [RuntimeError("a bug of ours")]
    write = rig.writer.write_now

    def faulty() -> None:
        if faults:
            raise faults.pop()
        write()

    monkeypatch.setattr(rig.writer, "write_now", faulty)
    rig.writer.start()
    rig.put("sip:101@x")
    assert rig.writer.flush(10)
    assert rig.writer.stop()
    assert set(rig.contacts()) == {"sip:101@x"}
    assert rig.writer.status().state is WriterState.OK


def test_what_a_peer_may_put_into_a_header_never_costs_a_row(rig: Rig) -> None:
    rig.writer.put("bindings", ("a\0\udcff", "s"), Item("a\0\udcff", user_agent="\0\udc80é", path=["\0\ud800"]))
    rig.write()
    assert rig.writer.status().refused == 0
    with rig.engine.connect() as connection:
        assert connection.execute(select(bindings.c.user_agent, bindings.c.path)).all() == [("\ufffd?é", ["\ufffd?"])]
    rig.writer.delete("bindings", ("a\0\udcff", "s"))
    rig.write()
    assert rig.contacts() == {}


def test_the_thread_writes_by_itself_and_stops_clean(tmp_path: Path) -> None:
    engine = open_engine(default_url(tmp_path))
    migrate(engine)
    writer = Writer(engine, Spool(tmp_path / "s"), Spool(tmp_path / "r"), "main", WriterSettings(batch=50))
    writer.start()
    threads = [
        threading.Thread(
            target=lambda first: [
                writer.put("bindings", (f"sip:{first + number}@x", "s"), Item(f"sip:{first + number}@x"))
                for number in range(500)
            ],
            args=(first,),
        )
        for first in (0, 1000, 2000)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.flush(10)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM bindings")).scalar() == 1500
    writer.put("bindings", ("sip:last@x", "s"), Item("sip:last@x"))
    assert writer.stop()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM bindings")).scalar() == 1501
    engine.dispose()
