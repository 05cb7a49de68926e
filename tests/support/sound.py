"""Sound for tests: tones, G.711 written down a second time from the recommendation, and ears that measure."""

from __future__ import annotations

import math
import struct
import wave
from array import array
from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "alaw_decode",
    "correlation",
    "level",
    "read_wav",
    "tone",
    "tone_power",
    "tone_share",
    "ulaw_decode",
    "ulaw_encode",
    "write_wav",
]


def tone(frequency: float, seconds: float, rate: int = 8000, amplitude: int = 8000) -> list[int]:
    """Return a sine."""
    step = 2 * math.pi * frequency / rate
    return [round(amplitude * math.sin(step * n)) for n in range(round(seconds * rate))]


def _ulaw_sample(octet: int) -> int:
    octet = ~octet & 0xFF
    magnitude = (((octet & 0x0F) << 3) + 0x84) << ((octet & 0x70) >> 4)
    return 0x84 - magnitude if octet & 0x80 else magnitude - 0x84


def _alaw_sample(octet: int) -> int:
    octet ^= 0x55
    segment, magnitude = (octet & 0x70) >> 4, (octet & 0x0F) << 4
    magnitude = magnitude + 8 if segment == 0 else (magnitude + 0x108) << (segment - 1)
    return magnitude if octet & 0x80 else -magnitude


_ULAW = [_ulaw_sample(octet) for octet in range(256)]
_ALAW = [_alaw_sample(octet) for octet in range(256)]
_ULAW_OCTETS = sorted(range(256), key=lambda octet: _ULAW[octet])


def ulaw_decode(payload: bytes) -> list[int]:
    """Return the samples of PCMU."""
    return [_ULAW[octet] for octet in payload]


def alaw_decode(payload: bytes) -> list[int]:
    """Return the samples of PCMA."""
    return [_ALAW[octet] for octet in payload]


def ulaw_encode(samples: Sequence[int]) -> bytes:
    """Return the nearest PCMU octets."""
    cache: dict[int, int] = {}
    for sample in set(samples):
        cache[sample] = min(_ULAW_OCTETS, key=lambda octet: abs(_ULAW[octet] - sample))
    return bytes(cache[sample] for sample in samples)


def level(samples: Sequence[int]) -> float:
    """Return the root mean square."""
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples)) if samples else 0.0


def tone_share(samples: Sequence[int], frequency: float, rate: int = 8000) -> float:
    """Return how much of the energy is at a frequency, 0 to 1 (Goertzel)."""
    energy = sum(sample * sample for sample in samples)
    if not energy:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * frequency / rate)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    power = last * last + before * before - coefficient * last * before
    return 2 * power / (energy * len(samples))


def tone_power(samples: Sequence[int], frequency: float, rate: int = 8000) -> float:
    """Return the amplitude of the tone of a frequency within a sound."""
    if not samples:
        return 0.0
    count = len(samples)
    window = [0.5 - 0.5 * math.cos(2 * math.pi * n / count) for n in range(count)]
    angle = 2 * math.pi * frequency / rate
    real = sum(sample * w * math.cos(angle * n) for n, (sample, w) in enumerate(zip(samples, window, strict=True)))
    imaginary = sum(sample * w * math.sin(angle * n) for n, (sample, w) in enumerate(zip(samples, window, strict=True)))
    return 4 * math.hypot(real, imaginary) / count


def correlation(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the normalised correlation of two pieces of the same length at lag 0."""
    energies = sum(a * a for a in first) * sum(b * b for b in second)
    return sum(a * b for a, b in zip(first, second, strict=True)) / math.sqrt(energies) if energies else 0.0


def write_wav(path: Path, channels: Sequence[Sequence[int]], rate: int = 8000) -> Path:
    """Write 16-bit PCM, one sequence of samples a channel."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        frames = [sample for frame in zip(*channels, strict=True) for sample in frame]
        file.writeframes(struct.pack(f"<{len(frames)}h", *frames))
    return path


def read_wav(path: Path) -> tuple[int, list[list[int]]]:
    """Return the rate and the channels of a 16-bit WAV file."""
    with wave.open(str(path), "rb") as file:
        assert file.getsampwidth() == 2
        samples = array("h", file.readframes(file.getnframes()))
        count = file.getnchannels()
        return file.getframerate(), [list(samples[channel::count]) for channel in range(count)]
