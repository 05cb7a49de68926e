"""Recordings in other formats, mixed, on disks that fail, and what is missing in them."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pbx.media.commands import Connect, Mute, PauseRecording, Record, StopRecording
from pbx.media.engine import Engine
from pbx.media.events import RecordingBehind, RecordingEnded, RecordingFailed, RecordingFinishing
from tests.support.desk import Desk, Phone, wait_until
from tests.support.sound import correlation, level, read_wav, tone, tone_share, ulaw_decode, ulaw_encode

FRAME = 160


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def couple(desk: Desk) -> tuple[Phone, Phone]:
    left, right = desk.phone("a"), desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("b")
    return left, right


def talk_both(left: Phone, right: Phone, seconds: float = 1.0) -> None:
    """One kilohertz left, half of that right."""
    one, two = ulaw_encode(tone(1000, seconds)), ulaw_encode(tone(500, seconds))
    begin = time.monotonic()
    for start in range(0, len(one), FRAME):
        left.send(one[start : start + FRAME])
        right.send(two[start : start + FRAME])
        time.sleep(max(0.0, begin + (start + FRAME) / 8000 - time.monotonic()))


def finish(desk: Desk) -> RecordingEnded:
    desk.counts("a")
    desk.submit(StopRecording("r"))
    return desk.wait(RecordingEnded)


def decoded(path: Path, folder: Path) -> tuple[int, list[list[int]]]:
    """What a program that knows nothing of us reads in a file."""
    tool = "opusdec" if path.suffix == ".opus" else "flac"
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    out = folder / "decoded.wav"
    command = ["opusdec", "--quiet", "--rate", "48000", str(path), str(out)]
    if tool == "flac":
        command = ["flac", "-s", "-f", "-d", "-o", str(out), str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return read_wav(out)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("sound_format", ["wav", "flac", "opus"])
def test_formats_and_channels(desk: Desk, tmp_path: Path, sound_format: str, mixed: bool) -> None:
    left, right = couple(desk)
    path = tmp_path / f"r.{sound_format}"
    desk.submit(Record("r", "a", "b", str(path), format=sound_format, mixed=mixed))
    desk.counts("a")
    talk_both(left, right)
    assert read_wav(tmp_path / f"r.{sound_format}.part")[0] == 8000  # a WAV while it runs, whatever it shall be
    ended = finish(desk)
    assert (ended.path, ended.note) == (str(path), "")
    assert ended.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert ended.octets == path.stat().st_size
    rate, channels = read_wav(path) if sound_format == "wav" else decoded(path, tmp_path)
    assert len(channels) == (1 if mixed else 2)
    assert len(channels[0]) / rate == pytest.approx(ended.duration / 1000, abs=0.002)
    loud = range(rate // 5, rate * 4 // 5)
    sound = [[channel[n] for n in loud] for channel in channels]
    if mixed:
        assert tone_share(sound[0], 1000, rate) == pytest.approx(0.5, abs=0.08)
        assert tone_share(sound[0], 500, rate) == pytest.approx(0.5, abs=0.08)
    else:
        assert tone_share(sound[0], 1000, rate) > 0.97
        assert tone_share(sound[1], 500, rate) > 0.97
    assert os.listdir(tmp_path) in ([path.name], [path.name, "decoded.wav"], ["decoded.wav", path.name])


def test_flac_is_the_wav_bit_by_bit(desk: Desk, tmp_path: Path) -> None:
    left, right = couple(desk)
    desk.submit(Record("r", "a", "b", str(tmp_path / "r.flac"), format="flac"))
    desk.submit(Record("w", "a", "b", str(tmp_path / "w.wav")))
    desk.counts("a")
    talk_both(left, right, 0.5)
    desk.submit(StopRecording("r"), StopRecording("w"))
    desk.wait(RecordingEnded)
    desk.wait(RecordingEnded)
    _, (first, second) = read_wav(tmp_path / "w.wav")
    _, (one, two) = decoded(tmp_path / "r.flac", tmp_path)
    for channel, other in ((first, one), (second, two)):  # they began a moment after each other
        a, b = (next(n for n in range(len(heard)) if heard[n] > 1000) for heard in (channel, other))
        assert channel[a : a + 3500] == other[b : b + 3500]


def test_the_sum_of_two_loud_voices_does_not_wrap(desk: Desk, tmp_path: Path) -> None:
    left, right = couple(desk)
    desk.submit(Record("r", "a", "b", str(tmp_path / "r.wav"), mixed=True))
    desk.counts("a")
    for _ in range(10):
        left.send(b"\x80" * FRAME)
        right.send(b"\x80" * FRAME)
        time.sleep(0.02)
    finish(desk)
    _, (channel,) = read_wav(tmp_path / "r.wav")
    assert max(channel) == 32767
    assert min(channel) >= 0


def test_what_cannot_be_converted_stays_a_wav(desk: Desk, tmp_path: Path) -> None:
    """The disk is full for the second file: the first one is kept, whole, and why is said."""
    left, right = couple(desk)
    (tmp_path / "r.flac.part.draft").mkdir()
    desk.submit(Record("r", "a", "b", str(tmp_path / "r.flac"), format="flac"))
    desk.counts("a")
    talk_both(left, right, 0.3)
    ended = finish(desk)
    assert ended.path == str(tmp_path / "r.wav")
    assert "exists" in ended.note
    assert ended.sha256 == hashlib.sha256((tmp_path / "r.wav").read_bytes()).hexdigest()
    _, (first, _) = read_wav(tmp_path / "r.wav")
    assert level(first) > 1000


def test_who_waits_for_a_conversion_is_told(desk: Desk, tmp_path: Path) -> None:
    left, right = couple(desk)
    desk.submit(Record("r", "a", "b", str(tmp_path / "r.opus"), format="opus"))
    talk_both(left, right, 0.1)
    desk.submit(StopRecording("r"))
    desk.wait(RecordingEnded)
    assert {event.recording for event in desk.events if isinstance(event, RecordingFinishing)} == {"r"}


def test_stopping_the_engine_converts_what_is_left(tmp_path: Path) -> None:
    with Desk() as desk:
        left, right = couple(desk)
        desk.submit(Record("r", "a", "b", str(tmp_path / "r.flac"), format="flac"))
        desk.counts("a")
        talk_both(left, right, 0.2)
    assert [event.path for event in desk.events if isinstance(event, RecordingEnded)] == [str(tmp_path / "r.flac")]
    assert tone_share(decoded(tmp_path / "r.flac", tmp_path)[1][0][400:1200], 1000) > 0.97


# -- what is missing


def test_a_call_in_which_nobody_sent_a_packet(desk: Desk, tmp_path: Path) -> None:
    couple(desk)
    desk.submit(Record("r", "a", "b", str(tmp_path / "r.wav")))
    time.sleep(2.2)
    ended = finish(desk)
    assert ended.duration >= 2190
    assert ended.gaps == pytest.approx(2 * ended.duration, abs=20)


def test_silence_that_is_no_gap(desk: Desk, tmp_path: Path) -> None:
    """A peer on hold, one that is muted, and a pause: nothing was to come."""
    left, right = couple(desk)
    desk.set_remote("a", left, receive=False)
    desk.submit(Mute("b", receive=True, send=False), Record("r", "a", "b", str(tmp_path / "r.wav")))
    desk.counts("a")
    time.sleep(2.1)
    desk.set_remote("a", left, receive=True, settle=False)
    desk.submit(Mute("b", receive=False, send=False), PauseRecording("r", True))
    desk.counts("a")
    time.sleep(2.1)
    desk.submit(PauseRecording("r", False))
    desk.counts("a")
    talk_both(left, right, 0.2)
    assert finish(desk).gaps == 0


# -- disks


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 64 KiB, really full after two seconds."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(desk: Desk, small_disk: Path) -> None:
    left, right = couple(desk)
    desk.submit(Record("r", "a", "b", str(small_disk / "r.opus"), format="opus"))
    desk.counts("a")
    talk_both(left, right, 2.4)
    failed = desk.wait(RecordingFailed)
    assert "No space left" in failed.reason
    assert len(right.hear_all()) == 120  # the call does not notice
    _, (first, _) = read_wav(small_disk / "r.wav")  # what was written stays
    assert tone_share(first[1600:8000], 1000) > 0.97
    assert (small_disk / "r.wav").stat().st_size > 50_000


def test_a_disk_that_is_full_when_the_conversion_comes(desk: Desk, small_disk: Path) -> None:
    left, right = couple(desk)
    desk.submit(Record("r", "a", "b", str(small_disk / "r.flac"), format="flac"))
    desk.counts("a")
    begin = time.monotonic()
    noise, other = os.urandom(FRAME * 60), os.urandom(FRAME * 60)
    for start in range(0, len(noise), FRAME):
        left.send(noise[start : start + FRAME])
        right.send(other[start : start + FRAME])
        time.sleep(max(0.0, begin + start / 8000 - time.monotonic()))
    ended = finish(desk)
    assert ended.path == str(small_disk / "r.wav")
    assert ended.note
    _, (first, _) = read_wav(small_disk / "r.wav")
    # In the file as heard, whatever came of the conversion.
    assert ulaw_decode(noise)[:FRAME] == next(
        first[n : n + FRAME] for n in range(4000) if first[n : n + 4] == ulaw_decode(noise)[:4]
    )
    assert os.listdir(small_disk) == ["r.wav"]


def test_a_slow_disk_is_told(tmp_path: Path) -> None:
    """A writer that stands still: what the memory for recordings cannot take is missing, and that is said once."""
    with Desk() as desk:
        desk.events += desk.engine.close()
        desk.engine = Engine(30000, 30999, drain=50, workers=1, backlog=1)
        left, right = couple(desk)
        count = 330
        for number in range(count):
            desk.submit(Record(f"r{number}", "a", "b", str(tmp_path / f"{number}.wav")))
        desk.counts("a")
        talk_both(left, right, 0.8)
        for number in range(count):
            desk.submit(StopRecording(f"r{number}"))
        wait_until(lambda: (desk.drain(), sum(isinstance(e, RecordingEnded) for e in desk.events) == count)[1])
        behind = [event.recording for event in desk.events if isinstance(event, RecordingBehind)]
        assert behind
        assert len(behind) == len(set(behind))
        gaps = {event.recording: event.gaps for event in desk.events if isinstance(event, RecordingEnded)}
        assert all(gaps[name] > 0 for name in behind)


def test_what_was_recorded_is_what_was_said(desk: Desk, tmp_path: Path) -> None:
    """Opus is no wave form codec at 8 kHz, but a shifted or lost frame would show in each tenth of a second."""
    left, right = couple(desk)
    chirp = [round(8000 * math.sin(0.4 * n * (1 + n / 8000))) for n in range(8000)]
    desk.submit(Record("r", "a", "b", str(tmp_path / "r.opus"), format="opus"))
    desk.counts("a")
    left.talk(ulaw_encode(chirp))
    right.send(bytes(FRAME))
    finish(desk)
    rate, (heard, _) = decoded(tmp_path / "r.opus", tmp_path)
    narrow = heard[:: rate // 8000]
    begin = next(n for n in range(len(narrow)) if abs(narrow[n]) > 60)
    lag = max(range(begin - 300, begin + 300), key=lambda by: sum(chirp[n] * narrow[n + by] for n in range(0, 7000, 3)))
    for start in range(800, 7200, 800):
        assert correlation(chirp[start : start + 800], narrow[start + lag : start + lag + 800]) > 0.9


def test_a_wav_while_it_runs_survives_kill(tmp_path: Path) -> None:
    """The process dies by SIGKILL in the middle of a FLAC recording; what it leaves is played by anybody."""
    script = """
import sys, time
from tests.native.test_recorder_formats import *
desk = Desk().__enter__()
left, right = couple(desk)
desk.submit(Record("r", "a", "b", sys.argv[1], format="flac"))
desk.counts("a")
talk_both(left, right, 1.5)
print("ready", flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "r.flac")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()
    rate, (first, second) = read_wav(tmp_path / "r.flac.part")
    assert rate == 8000
    assert len(first) > 8000
    assert tone_share(first[1600:8000], 1000) > 0.97
    assert tone_share(second[1600:8000], 500) > 0.97
    assert struct.unpack("<I", (tmp_path / "r.flac.part").read_bytes()[40:44])[0] == len(first) * 4
