"""Codecs against programs that nobody here wrote: what the engine encodes is decoded by ffmpeg, what ffmpeg and opusenc
encode is decoded by the engine, and both decoders make the same of the same packets."""

from __future__ import annotations

import math
import shutil
import subprocess
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest

from pbx.media.engine import codec_names
from tests.support.ogg import packets_of, wrapped
from tests.support.sound import correlation

ROOT = Path(__file__).parents[2]
PROMPTS = sorted(Path("/usr/share/asterisk/sounds").glob("en*/demo-instruct.wav"))
RATES = {"G722": 16000, "opus": 48000, "G729": 8000}
SECONDS = 3
LATEST = 15
"""Milliseconds that a codec may be behind."""


def run(*command: object, given: bytes = b"") -> bytes:
    return subprocess.run([str(word) for word in command], input=given, capture_output=True, check=True).stdout


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the engine's codecs as a program."""
    program = tmp_path_factory.mktemp("codecs") / "codec_pipe"
    flags: list[str] = []
    for library in ("opus", "spandsp", "libbcg729"):
        found = subprocess.run(
            ["pkg-config", "--cflags", "--libs", library], capture_output=True, text=True, check=False
        )
        if found.returncode == 0:
            flags += [f"-DHAVE_{library.upper()}", *found.stdout.split()]
    sources = [ROOT / "pbx/native/src" / f"{name}.c" for name in ("codec", "encoder", "decoder", "g711", "resample")]
    main = ROOT / "tests/native/c/codec_pipe.c"
    run("cc", "-std=gnu11", "-O1", "-I", ROOT / "pbx/native/src", main, *sources, *flags, "-lm", "-o", program)
    return program


@pytest.fixture(scope="module")
def voice() -> dict[int, array[int]]:
    """Return real speech, by its rate."""
    need("ffmpeg")
    if not PROMPTS:
        pytest.skip("the prompts of asterisk-core-sounds-en-wav are not installed")
    command = ["ffmpeg", "-v", "error", "-i", PROMPTS[0], "-t", SECONDS, "-ac", 1]
    return {rate: array("h", run(*command, "-ar", rate, "-f", "s16le", "-")) for rate in RATES.values()}


def encoded(pipe: Path, codec: str, samples: array[int]) -> list[bytes]:
    data = run(pipe, "encode", codec, RATES[codec], given=samples.tobytes())
    packets = []
    while data:
        length = int.from_bytes(data[:2], "big")
        packets.append(data[2 : 2 + length])
        data = data[2 + length :]
    return packets


def decoded(pipe: Path, codec: str, packets: Sequence[bytes]) -> array[int]:
    framed = b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)
    return array("h", run(pipe, "decode", codec, RATES[codec], given=framed))


def by_ffmpeg(codec: str, packets: Sequence[bytes], tmp_path: Path) -> array[int]:
    """Decode by ffmpeg's own decoders, none of which is the engine's library."""
    path = tmp_path / f"packets.{codec.lower()}"
    path.write_bytes(wrapped(packets) if codec == "opus" else b"".join(packets))
    kind = {"opus": ["-f", "ogg", "-c:a", "opus"], "G722": ["-f", "g722"], "G729": ["-f", "g729"]}[codec]
    command = ["ffmpeg", "-v", "error", *kind, "-i", path, "-ar", RATES[codec], "-f", "s16le", "-"]
    return array("h", run(*command))


def lag_of(said: array[int], heard: array[int], rate: int) -> int:
    """Return by how many samples `heard` is most like `said`, looked for in half a second of it."""
    step, start, most = max(1, rate // 8000), rate, rate * LATEST // 1000
    piece = said[start : start + rate // 2 : step]
    found = {
        lag: correlation(piece, heard[start + lag : start + lag + rate // 2 : step]) for lag in range(0, most, step)
    }
    best = max(found, key=lambda lag: found[lag])
    near = range(max(0, best - step), best + step + 1)
    return max(near, key=lambda lag: correlation(said[start : start + 2000], heard[start + lag : start + lag + 2000]))


def worst(said: array[int], heard: array[int], rate: int) -> float:
    """Return the least likeness of the loud quarters of a second, all at one lag: a frame that was lost, doubled or
    shifted shows in all that follow."""
    lag, piece = lag_of(said, heard, rate), rate // 4
    pieces = [said[at : at + piece] for at in range(rate // 4, (SECONDS - 1) * rate, piece)]
    energies = [sum(sample * sample for sample in one) for one in pieces]
    mean = sum(energies) / len(energies)
    return min(
        correlation(one, heard[rate // 4 + place * piece + lag :][:piece])
        for place, (one, energy) in enumerate(zip(pieces, energies, strict=True))
        if energy > mean / 2
    )


def ratio(reference: array[int], other: array[int]) -> float:
    """Return the ratio of a signal to its difference from another, dB."""
    noise = sum((a - b) ** 2 for a, b in zip(reference, other, strict=False))
    return 10 * math.log10(sum(a * a for a in reference) / max(noise, 1e-9))


def case(codec: str, *values: float) -> object:
    missing = codec not in codec_names()
    return pytest.param(codec, *values, marks=pytest.mark.skipif(missing, reason=f"built without {codec}"))


@pytest.mark.parametrize(
    ("codec", "alike", "same"), [case("G722", 0.99, 1.0), case("opus", 0.9, 0.999), case("G729", 0.6, 0.99)]
)
def test_what_the_engine_encodes(
    pipe: Path, voice: dict[int, array[int]], tmp_path: Path, codec: str, alike: float, same: float
) -> None:
    rate = RATES[codec]
    packets = encoded(pipe, codec, voice[rate])
    assert len(packets) == SECONDS * 50
    theirs, ours = by_ffmpeg(codec, packets, tmp_path), decoded(pipe, codec, packets)
    assert len(ours) == len(theirs) == len(voice[rate])
    assert worst(voice[rate], theirs, rate) > alike
    if same == 1.0:  # G.722 is defined to the bit
        assert ours == theirs
    else:
        assert lag_of(ours, theirs, rate) <= 3
        assert worst(ours, theirs, rate) > same


@pytest.mark.skipif("G722" not in codec_names(), reason="built without spandsp")
def test_g722_of_ffmpeg(pipe: Path, voice: dict[int, array[int]], tmp_path: Path) -> None:
    data = run(
        "ffmpeg", "-v", "error", "-f", "s16le", "-ar", 16000, "-i", "-", "-f", "g722", "-", given=voice[16000].tobytes()
    )
    packets = [data[at : at + 160] for at in range(0, len(data), 160)]
    heard = decoded(pipe, "G722", packets)
    assert heard == by_ffmpeg("G722", packets, tmp_path)
    assert worst(voice[16000], heard, 16000) > 0.99


@pytest.mark.skipif("opus" not in codec_names(), reason="built without libopus")
@pytest.mark.parametrize("bit_rate", [12, 24, 64])
def test_opus_of_opusenc(pipe: Path, voice: dict[int, array[int]], bit_rate: int) -> None:
    """Speech, hybrid and music modes of the codec, by the reference's own programs."""
    need("opusenc")
    raw = ["--raw", "--raw-rate", 48000, "--raw-chan", 1, "--bitrate", bit_rate, "--quiet", "-", "-"]
    data = run("opusenc", *raw, given=voice[48000].tobytes())
    heard = decoded(pipe, "opus", packets_of(data))
    skipped = int.from_bytes(data[data.index(b"OpusHead") + 10 :][:2], "little")
    theirs = array("h", run("opusdec", "--quiet", "--no-dither", "--rate", 48000, "-", "-", given=data))
    assert len(theirs) == len(voice[48000])
    assert ratio(theirs, heard[skipped : skipped + len(theirs)]) > 50
    assert worst(voice[48000], theirs, 48000) > 0.9
