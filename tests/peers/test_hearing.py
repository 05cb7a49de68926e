"""The ear that judges what phones heard: a stutter is told from another sound."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.peers.support.hearing import OTHER, SILENCE, heard
from tests.support.sound import tone, write_wav


def stuttering(hertz: int, seconds: float) -> list[int]:
    """A tone of which every third piece of 30 ms is missing and the next begins with another phase."""
    pieces = [tone(hertz, 0.03, amplitude=12_000) for _ in range(round(seconds / 0.03))]
    return [sample for place, piece in enumerate(pieces) for sample in (piece if place % 3 else [0] * len(piece))]


def noise(seconds: float) -> list[int]:
    chance = random.Random(1)
    return [chance.randrange(-8000, 8000) for _ in range(round(seconds * 8000))]


@pytest.mark.parametrize(
    ("beginning", "found"),
    [
        (stuttering(440, 0.6), [440]),
        (noise(0.6), [OTHER, 440]),
        (tone(425, 0.6), [OTHER, 440]),
        ([one + other for one, other in zip(tone(440, 0.6), tone(1000, 0.6), strict=True)], [OTHER, 440]),
        (stuttering(1000, 0.6), [OTHER, 440]),
        ([*tone(1000, 0.6), *[0] * 4000], [1000, SILENCE, 440]),
    ],
    ids=["stutter", "noise", "a neighbouring tone", "two at once", "a stutter of another", "one after the other"],
)
def test_what_came_before_the_tone(tmp_path: Path, beginning: list[int], found: list[int]) -> None:
    assert heard(write_wav(tmp_path / "heard.wav", [[*beginning, *tone(440, 1.0, amplitude=12_000)]], 8000)) == found
