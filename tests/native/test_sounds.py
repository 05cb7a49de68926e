"""Sounds of every format, tones, and what can be done with a play while it runs, by what phones hear of it."""

from __future__ import annotations

import math
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from pbx.media.commands import Mute, PausePlaying, Play, SeekPlaying, SetVolume, StopPlaying
from pbx.media.engine import codec_names
from pbx.media.events import Digit, PlayEnded
from tests.support.desk import ALAW, EVENT, G722, ULAW, Desk, Heard
from tests.support.sound import alaw_decode, correlation, level, read_wav, tone, tone_share, ulaw_decode, write_wav
from tests.support.vectors import vectors

FRAME = 160


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def samples_of(heard: list[Heard]) -> list[int]:
    return ulaw_decode(b"".join(packet.payload for packet in heard))


def play(desk: Desk, *sounds: str, codec=ULAW, **options) -> list[Heard]:
    """Play sounds once and return what was heard."""
    phone = desk.phone("a", (codec, EVENT))
    desk.submit(Play("a", "p", sounds, **options))
    assert desk.wait(PlayEnded).failure == ""
    return phone.hear_all(0.1)


def failure(desk: Desk, *sounds: str) -> str:
    """Play what cannot be played and return what is said of it."""
    name = f"s{random.random()}"
    desk.phone(name)
    desk.submit(Play(name, f"p-{name}", sounds))
    return desk.wait(PlayEnded).failure


def run(*command: str | Path) -> None:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not installed")
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


# -- files that other programs wrote


@pytest.mark.parametrize(
    ("suffix", "command", "least"),
    [
        ("flac", ("flac", "-s", "-o", "OUT", "IN"), 0.99),
        ("ogg", ("oggenc", "-Q", "-q", "6", "-o", "OUT", "IN"), 0.93),
        ("opus", ("opusenc", "--quiet", "--bitrate", "32", "IN", "OUT"), 0.9),
        ("mp3", ("lame", "--quiet", "-b", "64", "IN", "OUT"), 0.93),
        ("aiff", ("sox", "IN", "OUT"), 0.99),
        ("wav", ("sox", "IN", "-r", "44100", "-c", "2", "-b", "24", "OUT"), 0.99),
        ("g722", ("ffmpeg", "-i", "IN", "-f", "g722", "OUT"), 0.97),
        ("sln16", ("sox", "IN", "-t", "raw", "-e", "signed", "-b", "16", "OUT"), 0.99),
    ],
)
def test_speech_of_every_format(
    desk: Desk, tmp_path: Path, suffix: str, command: tuple[str, ...], least: float
) -> None:
    """Real speech at 16 kHz, made into a file by a tool that knows nothing of us, against what sox makes of it."""
    if suffix == "g722" and "G722" not in codec_names():
        pytest.skip("built without spandsp")
    source, out, reference = vectors("speech") / "input.16.wav", tmp_path / f"speech.{suffix}", tmp_path / "8.wav"
    run("sox", source, "-r", "8000", reference)
    run(*(str(source) if part == "IN" else str(out) if part == "OUT" else part for part in command))
    _, (expected,) = read_wav(reference)
    phone = desk.phone("a", (ALAW,))
    desk.submit(Play("a", "p", (str(out),)))
    heard = alaw_decode(b"".join(phone.hear().payload for _ in range(110)))
    desk.submit(StopPlaying("a", "p"))
    assert desk.wait(PlayEnded).failure == ""
    # Codecs delay, each by its own: where the whole fits best, every half second has to.
    lag = max(range(-200, 800), key=lambda by: sum(expected[n] * heard[n + by] for n in range(4000, 12000, 7)))
    for start in range(4000, 14000, 4000):
        piece = expected[start : start + 4000]
        if level(piece) > 200:
            assert correlation(piece, heard[start + lag : start + lag + 4000]) > least


def test_an_mp3_ends_where_its_sound_does(desk: Desk, tmp_path: Path) -> None:
    """Of variable rate; without the header that tells its length it is refused rather than half of it played."""
    write_wav(tmp_path / "t.wav", [tone(1000, 1.0, 44100)], 44100)
    run("lame", "--quiet", "-V", "5", tmp_path / "t.wav", tmp_path / "t.mp3")
    heard = play(desk, str(tmp_path / "t.mp3"))
    assert len(heard) == pytest.approx(51, abs=2)
    assert tone_share(samples_of(heard)[800:-1600], 1000) > 0.98
    write_wav(tmp_path / "long.wav", [tone(1000, 0.5, 44100) + tone(1000, 9.0, 44100, 30000)], 44100)
    run("lame", "--quiet", "-V", "5", "-t", tmp_path / "long.wav", tmp_path / "untold.mp3")
    assert "variable rate" in failure(desk, str(tmp_path / "untold.mp3"))


def test_the_best_file_of_a_name(desk: Desk, tmp_path: Path) -> None:
    """For a wide codec the wide file, for a narrow one what is in its own codec, and no broken one."""
    write_wav(tmp_path / "hello.wav", [tone(500, 0.2)])
    (tmp_path / "hello.sln16").write_bytes(
        b"".join(s.to_bytes(2, "little", signed=True) for s in tone(1000, 0.2, 16000))
    )
    (tmp_path / "hello.ulaw").write_bytes(bytes(range(1, 101)) * 16)
    (tmp_path / "hello.flac").write_bytes(b"fLaC and no more")
    name = str(tmp_path / "hello")
    assert b"".join(packet.payload for packet in play(desk, name)) == bytes(range(1, 101)) * 16
    phone = desk.phone("b", (ALAW,))
    desk.submit(Play("b", "q", (name,)))
    desk.wait(PlayEnded)
    assert tone_share(alaw_decode(b"".join(packet.payload for packet in phone.hear_all(0.1))), 500) > 0.99
    if "G722" in codec_names():
        wide = desk.phone("c", (G722,))
        desk.submit(Play("c", "r", (name,)))
        desk.wait(PlayEnded)
        heard = b"".join(packet.payload for packet in wide.hear_all(0.1))
        (tmp_path / "heard.g722").write_bytes(heard)
        back = desk.phone("d", (ALAW,))
        desk.submit(Play("d", "s", (str(tmp_path / "heard.g722"),)))
        desk.wait(PlayEnded)
        assert tone_share(alaw_decode(b"".join(p.payload for p in back.hear_all(0.1)))[200:-200], 1000) > 0.95


def test_debians_prompt(desk: Desk) -> None:
    folder = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
    if not (folder / "hello-world.wav").exists():
        pytest.skip("asterisk-core-sounds-en-wav is not installed")
    rate, (spoken,) = read_wav(folder / "hello-world.wav")
    assert rate == 8000
    samples = samples_of(play(desk, str(folder / "hello-world")))
    assert correlation(spoken, samples[: len(spoken)]) > 0.99


# -- what lies


def test_files_that_lie(desk: Desk, tmp_path: Path) -> None:
    write_wav(tmp_path / "t.wav", [tone(1000, 1.0) + tone(500, 3.0)])
    run("flac", "-s", "-o", tmp_path / "t.flac", tmp_path / "t.wav")
    whole = (tmp_path / "t.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    assert "cut short" in failure(desk, str(tmp_path / "cut.flac"))
    # STREAMINFO, RFC 9639 §8.2: 36 bits of samples end at octet 26.
    claims = bytearray(whole)
    claims[21] |= 0x0F
    (tmp_path / "long.flac").write_bytes(claims)
    assert "longer than four hours" in failure(desk, str(tmp_path / "long.flac"))
    before = desk.engine.counters().sounds_failed
    (tmp_path / "empty.mp3").write_bytes(b"")
    assert "neither" in failure(desk, str(tmp_path / "empty.mp3"))
    generator = random.Random(5)
    (tmp_path / "noise.ogg").write_bytes(b"OggS" + generator.randbytes(5000))
    assert failure(desk, str(tmp_path / "noise.ogg"))
    (tmp_path / "nothing.wav").symlink_to(tmp_path / "gone.wav")
    assert "No such file" in failure(desk, str(tmp_path / "nothing"))
    assert desk.engine.counters().sounds_failed == before + 3


def test_a_file_that_would_take_too_much_memory(desk: Desk, tmp_path: Path) -> None:
    with (tmp_path / "huge.sln48").open("wb") as file:
        file.truncate(48000 * 2 * 3600 * 3)
    assert "MiB" in failure(desk, str(tmp_path / "huge.sln48"))


# -- tones


@pytest.mark.parametrize(
    ("spec", "frequencies", "sounding"),
    [
        ("tone:440+480/400,0/400", (440, 480), 0.5),
        ("tone:425/480,0/480", (425,), 0.5),
        ("tone:350+440/3000", (350, 440), 1.0),
        ("tone:400*25/400,0/200,400*25/400,0/2000", (400,), 0.235),
    ],
)
def test_tones(desk: Desk, spec: str, frequencies: tuple[int, ...], sounding: float) -> None:
    samples = samples_of(play(desk, spec))
    loud = [n for n in range(0, len(samples), 80) if level(samples[n : n + 80]) > 500]
    assert len(loud) * 80 / len(samples) == pytest.approx(sounding, abs=0.05)
    sound = samples[:3000]
    if "*" not in spec:
        for frequency in frequencies:
            assert tone_share(sound, frequency) == pytest.approx(1 / len(frequencies), abs=0.06)
        # ITU-T E.180: -10 dBm0, where a full sine is +3.17
        assert 20 * math.log10(level(sound) * 2**0.5 / 32124) == pytest.approx(-13.17, abs=0.7)


def test_a_continuous_tone_has_no_seam(desk: Desk) -> None:
    phone = desk.phone("a")
    desk.submit(Play("a", "p", ("tone:425/200",), loop=True))
    samples = samples_of(phone.hear_for(1.0))
    desk.submit(StopPlaying("a", "p"))
    assert tone_share(samples, 425) > 0.995


@pytest.mark.parametrize(
    "spec", ["tone:", "tone:440", "tone:440/", "tone:440/5", "tone:99999/100", "tone:0+440/100", "tone:a/1"]
)
def test_what_is_no_tone(desk: Desk, spec: str) -> None:
    assert "no tone" in failure(desk, spec)


# -- sequences


def test_sounds_follow_each_other_without_a_gap(desk: Desk, tmp_path: Path) -> None:
    names = [str(write_wav(tmp_path / f"{hertz}.wav", [tone(hertz, 0.2)])) for hertz in (500, 1000, 2000)]
    heard = play(desk, *names)
    assert len(heard) == 30
    for place, hertz in enumerate((500, 1000, 2000)):
        assert tone_share(samples_of(heard[10 * place : 10 * place + 10]), hertz) > 0.98
    assert [packet.marker for packet in heard] == [True] + [False] * 29


def test_a_sequence_goes_round(desk: Desk, tmp_path: Path) -> None:
    names = tuple(str(write_wav(tmp_path / f"{hertz}.wav", [tone(hertz, 0.1)])) for hertz in (500, 1000))
    phone = desk.phone("a")
    desk.submit(Play("a", "p", names, loop=True))
    heard = [phone.hear() for _ in range(25)]
    desk.submit(StopPlaying("a", "p"))
    assert desk.wait(PlayEnded).failure == ""
    for place in range(5):
        assert tone_share(samples_of(heard[5 * place : 5 * place + 5]), (500, 1000)[place % 2]) > 0.98


def test_the_sound_that_fails_is_named(desk: Desk, tmp_path: Path) -> None:
    good = str(write_wav(tmp_path / "good.wav", [tone(500, 0.1)]))
    assert failure(desk, good, str(tmp_path / "missing")) == "missing: No such file or directory"


# -- while it plays


def steps(tmp_path: Path, count: int = 20) -> str:
    """A file whose every tenth of a second has a frequency of its own."""
    samples: list[int] = []
    for place in range(count):
        samples += tone(300 + 100 * place, 0.1)
    return str(write_wav(tmp_path / "steps.wav", [samples]))


def place_of(packet: Heard, count: int = 20) -> int:
    samples = ulaw_decode(packet.payload)
    return max(range(count), key=lambda place: tone_share(samples, 300 + 100 * place))


def test_pause_and_resume(desk: Desk, tmp_path: Path) -> None:
    phone = desk.phone("a")
    desk.submit(Play("a", "p", (steps(tmp_path),)))
    before = [phone.hear() for _ in range(10)]
    desk.submit(PausePlaying("a", "p", True), PausePlaying("a", "p", True))
    desk.counts("a")
    before += phone.hear_all(0.05)
    assert not phone.hear_all(0.2)
    desk.submit(PausePlaying("a", "p", False))
    after = phone.hear_for(0.2)
    desk.submit(StopPlaying("a", "p"))
    assert place_of(after[0]) in (place_of(before[-1]), place_of(before[-1]) + 1)
    assert after[0].marker
    assert (after[0].timestamp - before[-1].timestamp) & 0xFFFFFFFF > 1600  # the pause took its time
    assert after[0].sequence == before[-1].sequence + 1 & 0xFFFF


def test_seek(desk: Desk, tmp_path: Path) -> None:
    phone = desk.phone("a")
    desk.submit(Play("a", "p", (steps(tmp_path),), start=1000))
    assert place_of(phone.hear()) == 10
    desk.submit(SeekPlaying("a", "p", -800))
    desk.counts("a")
    places = [place_of(packet) for packet in phone.hear_for(0.3)]
    assert min(places) in (2, 3)
    desk.submit(SeekPlaying("a", "p", -100_000))
    desk.counts("a")
    assert 0 in [place_of(packet) for packet in phone.hear_for(0.1)]
    desk.submit(SeekPlaying("a", "p", 100_000))
    assert desk.wait(PlayEnded).failure == ""


def test_seek_over_the_seams_of_a_sequence(desk: Desk, tmp_path: Path) -> None:
    names = tuple(str(write_wav(tmp_path / f"{hertz}.wav", [tone(hertz, 0.2)])) for hertz in (500, 1000, 2000))
    phone = desk.phone("a")
    desk.submit(Play("a", "p", names))
    while tone_share(samples_of([phone.hear()]), 1000) < 0.9:
        pass
    desk.submit(SeekPlaying("a", "p", -150))
    desk.counts("a")
    assert any(tone_share(samples_of([packet]), 500) > 0.9 for packet in phone.hear_for(0.08))
    desk.submit(SeekPlaying("a", "p", 350))
    desk.wait(PlayEnded)
    assert tone_share(samples_of(phone.hear_all(0.05)[-2:]), 2000) > 0.9


def test_volume(desk: Desk, tmp_path: Path) -> None:
    phone = desk.phone("a")
    desk.submit(Play("a", "p", (str(write_wav(tmp_path / "t.wav", [tone(1000, 5)])),), volume=-12))
    quiet = samples_of([phone.hear() for _ in range(10)])
    desk.submit(SetVolume("a", "p", 6))
    desk.counts("a")
    phone.hear_for(0.1)
    loud = samples_of([phone.hear() for _ in range(10)])
    desk.submit(StopPlaying("a", "p"))
    assert 20 * math.log10(level(quiet) / (8000 / 2**0.5)) == pytest.approx(-12, abs=0.3)
    assert 20 * math.log10(level(loud) / (8000 / 2**0.5)) == pytest.approx(6, abs=0.3)


def test_a_key_stops_it(desk: Desk, tmp_path: Path) -> None:
    phone = desk.phone("a", (ULAW, EVENT))
    desk.submit(Play("a", "p", (steps(tmp_path),), stopped_by="5#"))
    phone.hear()

    def press(event: int) -> None:
        for number in range(1, 4):
            phone.send(bytes((event, 0x8A if number == 3 else 0x0A)) + (160 * number).to_bytes(2, "big"), 101, step=0)
        phone.timestamp += 800

    press(4)
    assert desk.wait(Digit).digit == "4"
    desk.none(PlayEnded, 0.05)
    press(11)
    ended = desk.wait(PlayEnded)
    assert (ended.digit, ended.failure) == ("#", "")
    assert 0 < ended.played < 2000


# -- shared


def test_whoever_shares_a_list_hears_the_same_place(desk: Desk, tmp_path: Path) -> None:
    names = (steps(tmp_path), str(tmp_path / "broken"), str(write_wav(tmp_path / "end.wav", [tone(250, 0.2)])))
    first = desk.phone("a")
    desk.submit(Play("a", "p", names, shared=True))
    first.hear_for(0.5)
    second, third = desk.phone("b", group="g2"), desk.phone("c", (ALAW,), group="g3")
    desk.submit(Play("b", "q", names, shared=True), Play("c", "r", names, shared=True))
    both = [(second.hear(), third.hear()) for _ in range(5)]
    late = first.hear_for(0.1)[-1]
    now = second.hear_for(0.02)[-1:] or [both[-1][0]]
    assert abs(place_of(late) - place_of(now[0])) <= 1
    assert place_of(both[0][0]) >= 4
    samples = alaw_decode(both[-1][1].payload)
    assert abs(max(range(20), key=lambda n: tone_share(samples, 300 + 100 * n)) - place_of(both[-1][0])) <= 1
    for stream, name in (("a", "p"), ("b", "q"), ("c", "r")):
        desk.submit(StopPlaying(stream, name))
        desk.wait(PlayEnded)
    # Nobody hears it: it stands still until somebody does.
    first.hear_all(0.05)
    time.sleep(0.3)
    desk.submit(Play("a", "again", names, shared=True))
    assert abs(place_of(first.hear()) - place_of(late)) <= 3
    desk.submit(StopPlaying("a", "again"))


def test_a_shared_list_of_nothing_ends(desk: Desk, tmp_path: Path) -> None:
    desk.phone("a")
    desk.submit(Play("a", "p", (str(tmp_path / "x"), str(tmp_path / "y")), shared=True))
    assert "No such file" in desk.wait(PlayEnded).failure


def test_time_goes_on_for_who_is_muted(desk: Desk, tmp_path: Path) -> None:
    phone = desk.phone("a")
    desk.submit(Play("a", "p", (steps(tmp_path),)), Mute("a", receive=False, send=True))
    time.sleep(0.3)
    desk.submit(Mute("a", receive=False, send=False))
    assert place_of(phone.hear_for(0.15)[-1]) >= 2
    desk.submit(StopPlaying("a", "p"))
