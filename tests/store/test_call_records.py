from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.cause import cause_named
from pbx.store.call_records import AttemptRecord, CallFilter, CallRecord, LegRecord, RecordingRecord
from pbx.store.store import Store

START = datetime(2026, 5, 4, 12, 0, 0, 250000, tzinfo=UTC)

OPEN = CallRecord("c1", START, "extension/101", "101", "0301234567", caller_name="Alice Ä")
FULL = replace(
    OPEN.ended_by(cause_named("answered-caller-hung-up", "BYE"), START + timedelta(seconds=65), 60.5),
    number="+49301234567",
    route="national",
    destination="trunk/telco-b",
    answered=START + timedelta(seconds=4),
    steps=("dial trunk/telco-a", "dial trunk/telco-b"),
    attempts=(
        AttemptRecord("trunk/telco-a", "callee-overloaded", "503 Busy"),
        AttemptRecord("trunk/telco-b", "answered"),
    ),
    legs=(
        LegRecord(
            "extension/101",
            "x@y",
            "udp:127.0.0.1:5062",
            "PCMA/8000",
            3000,
            3001,
            2,
            1.25,
            20.5,
            4.3,
            "answered-caller-hung-up",
        ),
        LegRecord("trunk/telco-b", "z"),
    ),
    recordings=(RecordingRecord("r1", "2026/05/04/c1.wav", "complete", 60_500, "ab" * 32),),
)


@pytest.fixture
def store(tmp_path: Path, url: str) -> Iterator[Store]:
    store = Store.open(tmp_path, url, wall=lambda: START + timedelta(minutes=30))
    yield store
    store.stop()


def put(store: Store, *records: CallRecord) -> None:
    for record in records:
        store.records.put(record)
    store.writer.write_now()


def test_a_record_comes_back_as_it_was_put_and_the_end_replaces_the_start(store: Store) -> None:
    put(store, OPEN)
    assert store.records.get("c1") == replace(OPEN, node="main")
    put(store, FULL)
    assert store.records.get("c1") == replace(FULL, node="main")
    assert store.records.get("c2") is None
    assert len(store.records.search().records) == 1


def test_times_of_another_zone_come_back_the_same_moment(store: Store) -> None:
    east = START.astimezone(timezone(timedelta(hours=5, minutes=30)))
    put(store, replace(OPEN, started=east))
    found = store.records.get("c1")
    assert found is not None
    assert found.started == START
    assert found.started.tzinfo is UTC


def test_pages_follow_each_other_without_gap_or_repeat(store: Store) -> None:
    records = [
        replace(OPEN, id=f"c{number:02}", started=START + timedelta(seconds=number // 3)) for number in range(20)
    ]
    put(store, *records)
    seen: list[str] = []
    after = ""
    for _ in range(5):
        page = store.records.search(limit=6, after=after)
        seen += [record.id for record in page.records]
        after = page.next
        if not after:
            break
    assert seen == sorted((record.id for record in records), reverse=True)
    with pytest.raises(ValueError, match=r"position|isoformat"):
        store.records.search(after="rubbish")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (CallFilter(), {"c1", "c2"}),
        (CallFilter(since=START + timedelta(hours=1)), {"c2"}),
        (CallFilter(until=START + timedelta(hours=1)), {"c1"}),
        (CallFilter(number="101"), {"c1", "c2"}),
        (CallFilter(number="+49301234567"), {"c1"}),
        (CallFilter(caller="101"), {"c1"}),
        (CallFilter(called="101"), {"c2"}),
        (CallFilter(source="trunk/a"), {"c2"}),
        (CallFilter(destination="trunk/telco-b", route="national"), {"c1"}),
        (CallFilter(cause="busy"), {"c2"}),
        (CallFilter(answered=True), {"c1"}),
        (CallFilter(answered=False), {"c2"}),
        (CallFilter(recorded=True), {"c1"}),
        (CallFilter(recorded=False), {"c2"}),
        (CallFilter(caller="%"), set()),
    ],
)
def test_filters(store: Store, wanted: CallFilter, found: set[str]) -> None:
    other = CallRecord("c2", START + timedelta(hours=2), "trunk/a", "0170", "101", number="101")
    put(store, FULL, other.ended_by(cause_named("busy"), START + timedelta(hours=2, seconds=1)))
    assert {record.id for record in store.records.search(wanted).records} == found


def test_a_run_that_died_has_its_calls_closed_at_its_last_sign_of_life(tmp_path: Path, url: str) -> None:
    first = Store.open(tmp_path, url, wall=lambda: START + timedelta(seconds=42))
    talking = replace(
        OPEN, id="talking", answered=START + timedelta(seconds=2), recordings=(RecordingRecord("r", "p.wav"),)
    )
    put(
        first,
        talking,
        replace(OPEN, id="ringing"),
        replace(OPEN, id="late", started=START + timedelta(minutes=5)),
        FULL,
    )
    first.engine.dispose()

    second = Store.open(tmp_path, url)
    assert {record.id for record in second.interrupted} == {"talking", "ringing", "late"}
    found = second.records.get("talking")
    assert found is not None
    assert found in second.interrupted
    assert (found.cause, found.blame, found.sip_status) == ("server-crashed", "tandem", 500)
    assert found.ended == START + timedelta(seconds=42)
    assert found.duration == 40
    assert found.recording_status == "interrupted"
    late = second.records.get("late")
    assert late is not None
    assert late.ended == late.started
    assert second.records.get("c1") == replace(FULL, node="main")
    second.stop()

    third = Store.open(tmp_path, url)
    assert third.interrupted == ()
    third.stop()


def test_the_calls_of_another_node_are_left_alone(tmp_path: Path, url: str) -> None:
    first = Store.open(tmp_path, url, node="a")
    put(first, OPEN)
    first.engine.dispose()
    second = Store.open(tmp_path, url, node="b")
    assert second.interrupted == ()
    second.stop()


def test_what_was_only_spooled_counts_as_well(tmp_path: Path, url: str) -> None:
    first = Store.open(tmp_path, url)
    first.records.put(OPEN)
    first.writer._retry_at = float("inf")  # the database is gone
    first.writer.write_now()
    assert first.records.get("c1") is None
    first.engine.dispose()
    second = Store.open(tmp_path, url)
    assert [record.id for record in second.interrupted] == ["c1"]
    second.stop()


@given(st.lists(st.sampled_from(["running", "complete", "failed", "interrupted"])))
def test_the_worst_recording_names_the_status(statuses: list[str]) -> None:
    record = replace(OPEN, recordings=tuple(RecordingRecord("r", "p", status) for status in statuses))
    order = ["failed", "interrupted", "running", "complete", ""]
    assert order.index(record.recording_status) == min((order.index(status) for status in statuses), default=4)
