"""Sounds made, written, read and compared."""

from __future__ import annotations

import random
from array import array
from pathlib import Path

import pytest

from pbx.phone.sounds import (
    Sound,
    at_rate,
    likeness,
    melody,
    read_wav,
    share_of_tone,
    tone,
    write_silence,
    write_wav,
)

NOTES = (262, 330, 392, 523)


def test_a_tone_is_where_it_should_be() -> None:
    samples = tone(440, 0.5)
    assert len(samples) == 4000
    assert share_of_tone(samples, 8000, 440) > 0.95
    assert share_of_tone(samples, 8000, 460) < 0.05
    assert share_of_tone(array("h", bytes(1600)), 8000, 440) == 0.0
    # It neither begins nor ends with a click.
    assert abs(samples[0]) < 100
    assert abs(samples[-1]) < 400


def test_files_keep_what_is_written(tmp_path: Path) -> None:
    left, right = tone(440, 0.1), tone(1000, 0.1)
    write_wav(tmp_path / "two.wav", Sound(8000, left, right))
    found = read_wav(tmp_path / "two.wav")
    assert (found.rate, found.channels, found.seconds) == (8000, (left, right), pytest.approx(0.1))
    write_silence(tmp_path / "none.wav", 0.25)
    assert read_wav(tmp_path / "none.wav").seconds == 0.25
    assert not any(read_wav(tmp_path / "none.wav").channels[0])
    assert Sound(8000).seconds == 0.0


def test_what_is_no_sound(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(b"hello")
    with pytest.raises(ValueError, match=r"x\.wav is no WAV"):
        read_wav(path)
    with pytest.raises(OSError, match="No such file"):
        read_wav(tmp_path / "y.wav")


def test_rates() -> None:
    assert list(at_rate(array("h", [1, 3, 5, 7, 9]), 16000, 8000)) == [2, 6]
    with pytest.raises(ValueError, match="no multiple"):
        at_rate(array("h"), 11025, 8000)


def noisy(samples: array[int], delay: int, level: float) -> array[int]:
    draw = random.Random(7)
    quiet = array("h", [draw.randint(-20, 20) for _ in range(delay)])
    return quiet + array("h", [round(sample * level) + draw.randint(-200, 200) for sample in samples])


def test_a_copy_is_recognised_late_soft_and_noisy() -> None:
    original = melody(NOTES, 0.4)
    for delay in (0, 37, 4000):
        found, at = likeness(original, noisy(original, delay, 0.5), 8000)
        assert found > 0.95
        assert at == pytest.approx(delay / 8000, abs=0.02)


def test_a_copy_that_slips_is_still_one() -> None:
    """A jitter buffer or a drifting clock moves what comes later by some samples."""
    original = melody(NOTES, 0.5)
    moved = original[:4000] + array("h", bytes(2 * 30)) + original[4000:12000] + original[12050:]
    assert likeness(original, moved, 8000)[0] > 0.9


def test_another_sound_is_not_recognised() -> None:
    original = melody(NOTES, 0.4)
    assert abs(likeness(original, noisy(melody((440, 494, 554, 587), 0.4), 100, 1.0), 8000)[0]) < 0.2
    assert likeness(original, array("h", bytes(2 * 16000)), 8000)[0] == 0.0
    assert likeness(original, array("h"), 8000)[0] == 0.0
    half = original[: len(original) // 2] + array("h", bytes(len(original)))
    assert 0.3 < likeness(original, half, 8000)[0] < 0.7


def test_silence_resembles_nothing() -> None:
    assert likeness(array("h", bytes(16000)), tone(440, 2), 8000)[0] == 0.0
