"""The JSON beside recordings: what cannot be written is counted, and what comes after it is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from structlog.testing import capture_logs

from pbx.app.sidecars import SidecarWriter
from pbx.call.commands import Party
from pbx.call.summary import RecordingSummary, Summary

STARTED = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def write(writer: SidecarWriter, path: Path, number: str) -> None:
    summary = Summary("c1", "extension/101", Party(number), "102", STARTED, 0.0)
    writer.write(summary, RecordingSummary("c1/1", str(path), STARTED, "extension/101", "extension/102"))


def test_one_that_cannot_be_written_is_told_and_counted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    writer = SidecarWriter()
    with capture_logs() as logs:
        write(writer, tmp_path / "file" / "a.wav", "101")  # no folder
        write(writer, tmp_path / "b.wav", "\udc80")  # no Unicode
        write(writer, tmp_path / "c.wav", "101")
        writer.stop()
    assert writer.failures == 2
    assert [entry["path"] for entry in logs] == [str(tmp_path / "file" / "a.wav"), str(tmp_path / "b.wav")]
    assert json.loads((tmp_path / "c.json").read_text())["caller"] == "101"
