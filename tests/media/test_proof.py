"""Recordings that are proven complete, and every way in which one is not."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pbx.cli.main import application
from pbx.media.proof import prove, recordings_below
from pbx.media.recordings import Sidecar, write_sidecar
from tests.support.sound import tone, write_wav


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, Sidecar]:
    (tmp_path / "2026").mkdir()
    path = write_wav(tmp_path / "2026" / "143005-c5.wav", [tone(1000, 0.5)] * 2)
    sidecar = Sidecar(
        "c5",
        "c5/1",
        path.name,
        "2026-11-20T14:30:05.000+01:00",
        status="complete",
        duration=500,
        octets=path.stat().st_size,
        sha256=sha256(path.read_bytes()).hexdigest(),
    )
    write_sidecar(path, sidecar)
    return path, sidecar


def test_whole(recorded: tuple[Path, Sidecar], tmp_path: Path) -> None:
    path, sidecar = recorded
    assert prove(path).proven
    write_sidecar(path, replace(sidecar, gaps=120, pauses=(("a", "b"),), note="packets are missing"))
    assert prove(path).remarks == ("120 ms of packets were missing", "it was paused 1 time", "packets are missing")
    assert list(recordings_below(tmp_path)) == [path]
    run = CliRunner().invoke(application(), ["verify-recording", str(tmp_path)])
    assert (run.exit_code, run.output.splitlines()[-1]) == (0, "1 proven, 0 not")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"octets": 5}, "octets; 5 were written"),
        ({"duration": 400}, "lasts 500 ms; its JSON says 400"),
        ({"status": "interrupted"}, "interrupted, not complete"),
        ({"status": "failed", "failure": "disk full"}, "failed, not complete: disk full"),
        ({"file": "other.wav"}, "tells of other.wav"),
    ],
)
def test_what_the_json_says_otherwise(recorded: tuple[Path, Sidecar], change: dict[str, object], says: str) -> None:
    path, sidecar = recorded
    write_sidecar(path, replace(sidecar, **change))
    assert any(says in fault for fault in prove(path).faults)


def test_one_changed_octet(recorded: tuple[Path, Sidecar], tmp_path: Path) -> None:
    path, _ = recorded
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    assert prove(path).faults == ("its SHA-256 is another one: it was changed after it was written",)
    run = CliRunner().invoke(application(), ["verify-recording", "--json", str(tmp_path)])
    assert run.exit_code == 1
    assert json.loads(run.output)["proven"] is False


def test_what_is_missing(recorded: tuple[Path, Sidecar], tmp_path: Path) -> None:
    path, _ = recorded
    (tmp_path / "running.flac.part").write_bytes(b"RIFF")
    path.with_suffix(".json").rename(path.with_name("gone.json"))
    faults = {one.name: prove(one).faults[0] for one in recordings_below(tmp_path)}
    assert set(faults) == {path.name, "running.flac.part", "gone.json"}
    assert "no 143005-c5.json" in faults[path.name]
    assert "cut off" in faults["running.flac.part"]
    assert "is not there" in faults["gone.json"]


def test_no_recording_at_all_is_nothing_proven(tmp_path: Path) -> None:
    assert CliRunner().invoke(application(), ["verify-recording", str(tmp_path)]).exit_code == 1
