"""What a sound file holds: which tone is heard when, and for how long."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tests.support.sound import level, tone, tone_share, write_wav

__all__ = ["SILENCE", "Spell", "channels", "heard", "length", "spells", "tone_file"]

SILENCE = 0
OTHER = -1
_WINDOW = 0.1
_SEAMLESS = 0.05
"""Seconds that a stuttering tone may go on for without a seam, and long enough to tell it from one 15 Hz beside it."""
_SILENT = 100
_SHORTEST = 0.25
"""A change that is over sooner is no spell: an edge, a packet that came late."""


@dataclass(frozen=True)
class Spell:
    """One stretch of the same sound: `hertz` is a tone's frequency, `SILENCE`, or -1 for anything else. Seconds."""

    hertz: int
    start: float
    seconds: float


def tone_file(path: Path, hertz: int, seconds: int = 60, rate: int = 8000) -> Path:
    """Write a sine of whole hertz, without a seam."""
    return write_wav(path, [tone(hertz, 1, rate, 12_000) * seconds], rate)


def channels(path: Path) -> tuple[int, list[array[int]]]:
    """Return the rate and the channels of a 16-bit WAV file, also of one that is still being written."""
    data = path.read_bytes()
    assert data[:4] == b"RIFF", f"{path} is no WAV"
    assert data[8:12] == b"WAVE", f"{path} is no WAV"
    place, rate, count = 12, 0, 0
    while data[place : place + 4] not in (b"data", b""):
        if data[place : place + 4] == b"fmt ":
            _, count, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, place + 8)
            assert bits == 16, f"{path} has {bits} bits"
        place += 8 + struct.unpack_from("<I", data, place + 4)[0]
    body = data[place + 8 :]
    samples = array("h", body[: len(body) // (2 * count) * 2 * count])
    return rate, [samples[channel::count] for channel in range(count)]


def length(path: Path) -> float:
    """Return the seconds that a WAV file lasts."""
    rate, found = channels(path)
    return len(found[0]) / rate


def spells(samples: Sequence[int], rate: int, tones: Sequence[int] = (440, 1000)) -> list[Spell]:
    """Return what is heard, in order."""
    width = int(rate * _WINDOW)
    windows = [samples[start : start + width] for start in range(0, len(samples) - width + 1, width)]
    raw = [(key, len(list(group))) for key, group in groupby(_sound(window, rate, tones) for window in windows)]
    merged: list[list[int]] = []
    for key, count in raw:
        if count * _WINDOW < _SHORTEST or (merged and merged[-1][0] == key):
            if merged:
                merged[-1][1] += count
            else:
                merged.append([key, count])
        else:
            merged.append([key, count])
    if len(merged) > 1 and merged[0][1] * _WINDOW < _SHORTEST:
        merged[1][1] += merged.pop(0)[1]
    found, start = [], 0
    for key, count in merged:
        found.append(Spell(key, start * _WINDOW, count * _WINDOW))
        start += count
    return found


def _sound(window: Sequence[int], rate: int, tones: Sequence[int]) -> int:
    if level(window) < _SILENT:
        return SILENCE
    return next((hertz for hertz in tones if tone_share(window, hertz, rate) > 0.85), OTHER)


def _stutters(samples: Sequence[int], hertz: int, rate: int, tones: Sequence[int]) -> bool:
    """Return whether this is a tone with gaps and seams: what a phone makes of it that gets no time to run. Of any
    other tone, or of noise, it has next to nothing."""
    width = int(rate * _SEAMLESS)
    windows = [samples[start : start + width] for start in range(0, len(samples) - width + 1, width)]
    sounding = [window for window in windows if level(window) >= _SILENT]
    shares = {one: sum(tone_share(window, one, rate) for window in sounding) / len(sounding) for one in tones}
    return shares[hertz] > 0.3 and all(share < 0.1 for one, share in shares.items() if one != hertz)


def heard(path: Path, channel: int = 0, tones: Sequence[int] = (440, 1000)) -> list[int]:
    """Return the tones of one channel in order, silence at its edges left out, and where a tone stuttered too."""
    rate, found = channels(path)
    samples = found[channel]
    told = spells(samples, rate, tones)
    order: list[int] = []
    for place, spell in enumerate(told):
        if spell.hertz == OTHER:
            beside = {one.hertz for one in told[max(place - 1, 0) : place + 2]} - {SILENCE, OTHER}
            part = samples[round(spell.start * rate) : round((spell.start + spell.seconds) * rate)]
            if any(_stutters(part, hertz, rate, tones) for hertz in beside):
                continue
        if not order or order[-1] != spell.hertz:
            order.append(spell.hertz)
    while order and order[0] == SILENCE:
        order.pop(0)
    while order and order[-1] == SILENCE:
        order.pop()
    return order
