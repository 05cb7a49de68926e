"""What the call records are told while a call runs."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from pbx.app.observer import CallObserver
from pbx.app.sidecars import SidecarWriter
from pbx.call.commands import Party
from pbx.call.summary import RecordingSummary, Summary
from pbx.cause import cause_named
from pbx.store.call_records import CallRecord

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_a_recording_is_in_the_record_from_its_beginning() -> None:
    """So that the record of a call that the server did not survive says that it has one."""
    records: list[CallRecord] = []
    written: list[str] = []
    sidecars: Any = SimpleNamespace(write=lambda summary, recording: written.append(recording.status))
    observer = CallObserver(records.append, cast("SidecarWriter", sidecars))
    summary = Summary("c1", "trunk/customer", Party("1"), "2", NOON, 1.0)
    recording = RecordingSummary("c1/3", "c1.wav", NOON)
    summary.recordings.append(recording)
    observer.recording_changed(summary, recording)
    assert [one.status for one in records[-1].recordings] == ["running"]
    assert records[-1].ended is None
    # What is told at the end goes into the record of the end.
    summary.ended_at, summary.cause, recording.status = NOON, cause_named("completed"), "complete"
    observer.recording_changed(summary, recording)
    assert len(records) == 1
    assert written == ["running", "complete"]
