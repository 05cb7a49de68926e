"""Recordings on disk: their place, the JSON beside them, and what becomes of those that a crash cut off."""

from __future__ import annotations

import hashlib
import struct
import wave
from datetime import datetime
from pathlib import Path

import pytest

from pbx.media.recordings import Sidecar, read_sidecar, recording_path, recover, sidecar_path, write_sidecar


def a_part(folder: Path, seconds: float, header_says: float, extra: bytes = b"", rate: int = 8000) -> Path:
    """Write an unfinished stereo recording whose header counts fewer samples than there are."""
    path = recording_path(folder, "c1", datetime(2026, 11, 20, 14, 30, 5))  # noqa: DTZ001
    path.parent.mkdir(parents=True, exist_ok=True)
    counted = int(header_says * rate) * 4
    header = (
        b"RIFF"
        + struct.pack("<I", counted + 36)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 2, rate, rate * 4, 4, 16)
    )
    header += b"data" + struct.pack("<I", counted)
    part = path.with_name(path.name + ".part")
    part.write_bytes(header + b"\x01\x02\x03\x04" * int(seconds * rate) + extra)
    return path


def test_place() -> None:
    path = recording_path(Path("recordings"), "c5f2", datetime(2026, 1, 2, 3, 4, 5))  # noqa: DTZ001
    assert str(path) == "recordings/2026/01/02/030405-c5f2.wav"


def test_a_sidecar_is_read_as_it_was_written(tmp_path: Path) -> None:
    sidecar = Sidecar(
        "c1", "c1/1", "x.wav", "2026-11-20T14:30:05+01:00", "extension/101", "trunk/a", pauses=(("a", "b"),)
    )
    write_sidecar(tmp_path / "deep" / "x.wav", sidecar)
    assert read_sidecar(tmp_path / "deep" / "x.wav") == sidecar
    assert [one.name for one in (tmp_path / "deep").iterdir()] == ["x.json"]


def test_a_sidecar_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert read_sidecar(tmp_path / "x.wav") is None
    sidecar_path(tmp_path / "x.wav").write_text("{not json")
    assert read_sidecar(tmp_path / "x.wav") is None
    sidecar_path(tmp_path / "x.wav").write_text('{"call": "c1"}')
    assert read_sidecar(tmp_path / "x.wav") is None


@pytest.mark.parametrize("extra", [b"", b"\x01", b"\x01\x02\x03"])
def test_what_a_crash_cut_off_is_mended_with_every_sample(tmp_path: Path, extra: bytes) -> None:
    path = a_part(tmp_path, seconds=2.5, header_says=2.0, extra=extra)
    write_sidecar(path, Sidecar("c1", "c1/1", path.name, "2026-11-20T14:30:05+01:00"))
    (found,) = recover(tmp_path)
    assert found.path == path
    assert found.duration == 2500
    with wave.open(str(path)) as sound:
        assert (sound.getnchannels(), sound.getnframes(), sound.getframerate()) == (2, 20000, 8000)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    sidecar = read_sidecar(path)
    assert sidecar is not None
    assert (sidecar.status, sidecar.duration, sidecar.sha256) == ("interrupted", 2500, found.sha256)
    assert sidecar.octets == path.stat().st_size
    assert recover(tmp_path) == []


def test_a_part_without_json_is_mended_too(tmp_path: Path) -> None:
    path = a_part(tmp_path, 1.0, 0.0)
    (found,) = recover(tmp_path)
    assert found.sidecar is None
    assert path.exists()


def test_what_is_no_sound_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x.wav.part").write_bytes(b"RIFF")
    (tmp_path / "y.wav.part").write_bytes(b"\0" * 100)
    assert recover(tmp_path) == []
    assert (tmp_path / "x.wav.part").exists()


def test_no_folder_is_no_fault(tmp_path: Path) -> None:
    assert recover(tmp_path / "nowhere") == []
