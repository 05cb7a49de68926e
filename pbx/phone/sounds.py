"""Sound files: silence, tones and melodies made, and what is in one measured. 16-bit PCM in WAV.

Everything is plain Python: a phone's sounds are seconds long, and nothing here runs while audio does.
"""

from __future__ import annotations

import math
import wave
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import mul
from pathlib import Path
from typing import Final

__all__ = [
    "Sound",
    "at_rate",
    "likeness",
    "melody",
    "read_wav",
    "share_of_tone",
    "tone",
    "write_silence",
    "write_wav",
]

_LOUDNESS: Final = 8000
"""Peak of a tone: 12 dB below full scale."""
_COARSE: Final = 4
"""How many samples make one where a place is looked for roughly."""
_QUIET: Final = 0.05
"""Half a second whose loudest hundredth is softer than this, beside the loudest of all, says nothing."""
_RAMP: Final = 0.01
"""Seconds in which a tone rises and falls, so that it does not click."""


class Sound:
    """Samples of one or more channels at one rate in Hz."""

    __slots__ = ("channels", "rate")

    def __init__(self, rate: int, *channels: array[int]) -> None:
        self.rate = rate
        self.channels = channels

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.channels[0]) / self.rate if self.channels else 0.0


def tone(frequency: float, seconds: float, rate: int = 8000) -> array[int]:
    """Return a tone of `frequency` Hz that swells in and out."""
    count = round(seconds * rate)
    ramp = max(1, min(round(_RAMP * rate), count // 2))
    step = 2 * math.pi * frequency / rate
    return array(
        "h",
        [
            round(_LOUDNESS * math.sin(step * place) * min(1.0, (place + 1) / ramp, (count - place) / ramp))
            for place in range(count)
        ],
    )


def melody(notes: Sequence[float], seconds: float, rate: int = 8000) -> array[int]:
    """Return tones one after the other, `seconds` each."""
    samples = array("h")
    for note in notes:
        samples.extend(tone(note, seconds, rate))
    return samples


def write_wav(path: Path, sound: Sound) -> None:
    """Write a sound. Raises OSError."""
    channels = sound.channels
    mixed = array("h", bytes(2 * len(channels) * len(channels[0])))
    for number, samples in enumerate(channels):
        mixed[number :: len(channels)] = samples
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(sound.rate)
        file.writeframes(mixed.tobytes())


def write_silence(path: Path, seconds: float, rate: int = 8000) -> None:
    """Write so many seconds of silence. Raises OSError."""
    write_wav(path, Sound(rate, array("h", bytes(2 * round(seconds * rate)))))


def read_wav(path: Path) -> Sound:
    """Read a WAV of 16-bit PCM. Raises OSError, and ValueError for what is none."""
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2:
                raise ValueError(f"{path} does not hold 16-bit samples")
            count = file.getnchannels()
            mixed = array("h", file.readframes(file.getnframes()))
            return Sound(file.getframerate(), *(mixed[number::count] for number in range(count)))
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path} is no WAV file: {error}") from None


def share_of_tone(samples: Sequence[int], rate: int, frequency: float) -> float:
    """Return how much of the energy lies at `frequency` Hz, 0 to 1, by Goertzel's algorithm; 0 for silence.

    The resolution is 1 / duration: a tenth of a second tells tones 10 Hz apart.
    """
    count = len(samples)
    energy = sum(sample * sample for sample in samples)
    if not energy:
        return 0.0
    turn = 2 * math.cos(2 * math.pi * frequency / rate)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + turn * last - before
    power = before * before + last * last - turn * before * last
    return min(1.0, 2 * power / (count * energy))


def likeness(original: Sequence[int], heard: Sequence[int], rate: int) -> tuple[float, float]:
    """Return how much of what was `heard` is the `original`, -1 to 1, and where it begins in it, in seconds.

    The mean of the normalised cross-correlations of each half second of the original that is not silent, at the delay
    where it fits best: 1 for a copy at any loudness, near 0 for something else. The delay is found by the loudness of
    hundredths of a second first; each half second may then lie a little off it, as clocks drift and packets jitter.
    """
    frame, piece = rate // 100, rate // 2
    outline, noise = _loudness(original, frame), _loudness(heard, frame)
    furthest = max(0, len(noise) - len(outline) // 2)
    delay = _best(outline, noise, range(-len(outline) // 4, furthest + 1))[1] * frame
    loudest = max(outline, default=0.0)
    found = [
        _best_near(original[start : start + piece], heard, delay + start, 2 * frame)
        for start in range(0, len(original) - piece + 1, piece)
        if max(outline[start // frame : (start + piece) // frame]) > _QUIET * loudest
    ]
    return sum(found) / len(found) if found else 0.0, delay / rate


def _best_near(piece: Sequence[int], heard: Sequence[int], place: int, reach: int) -> float:
    """Return the best correlation of a piece within `reach` samples of a place: looked for roughly, then exactly."""
    first = max(0, place - reach)
    there = heard[first : max(first, place + len(piece) + reach)]
    rough = _best(at_rate(piece, _COARSE, 1), at_rate(there, _COARSE, 1), range(2 * reach // _COARSE + 1))[1] * _COARSE
    return _best(piece, there, range(max(0, rough - _COARSE), rough + _COARSE + 1))[0]


def _loudness(samples: Sequence[int], frame: int) -> list[float]:
    powers = list(accumulate(map(mul, samples, samples), initial=0))
    return [math.sqrt((powers[at + frame] - powers[at]) / frame) for at in range(0, len(samples) - frame + 1, frame)]


def _best(original: Sequence[float], heard: Sequence[float], delays: Iterable[int]) -> tuple[float, int]:
    """Return the best correlation and its delay.

    That of a part is worth as much less as it is shorter than the original, so that no snippet of it wins.
    """
    ours = list(accumulate(map(mul, original, original), initial=0.0))
    theirs = list(accumulate(map(mul, heard, heard), initial=0.0))
    best = 0.0, 0
    for delay in delays:
        skipped, start = max(0, -delay), max(0, delay)
        count = min(len(original) - skipped, len(heard) - start)
        if count <= 0:
            continue
        power = (ours[skipped + count] - ours[skipped]) * (theirs[start + count] - theirs[start])
        if power > 0:
            product = sum(map(mul, original[skipped : skipped + count], heard[start : start + count]))
            best = max(best, (product / math.sqrt(power) * count / len(original), delay))
    return best


def at_rate(sound: Sequence[int], rate: int, wanted: int) -> array[int]:
    """Return samples at a rate that divides theirs: means of neighbours. Raises ValueError if it does not."""
    if rate % wanted:
        raise ValueError(f"{rate} Hz is no multiple of {wanted} Hz")
    step = rate // wanted
    return array("h", [sum(sound[at : at + step]) // step for at in range(0, len(sound) - step + 1, step)])
