"""Sound files played to a phone: what arrives, when, and what is said of files that can't be played."""

from __future__ import annotations

import math
import os
import struct
import time
from itertools import pairwise
from pathlib import Path

import pytest

from pbx.media.commands import Codec, Connect, Mute, Play, StopPlaying
from pbx.media.engine import codec_names
from pbx.media.events import Closed, PlayEnded
from tests.support.desk import ALAW, EVENT, G722, OPUS, ULAW, Desk, Heard, wait_until
from tests.support.sound import alaw_decode, correlation, level, read_wav, tone, tone_share, ulaw_decode, write_wav
from tests.support.vectors import vectors

L16 = Codec(96, "L16", 16000)


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def play(desk: Desk, path: Path, codec: Codec = ULAW, **remote) -> list[Heard]:
    """Play a file once to a phone of one codec and return what it heard."""
    phone = desk.phone("a", (codec, EVENT), **remote)
    desk.submit(Play("a", "p", (str(path),)))
    ended = desk.wait(PlayEnded)
    assert (ended.stream, ended.play, ended.failure) == ("a", "p", "")
    return phone.hear_all(0.1)


def payload(heard: list[Heard]) -> bytes:
    return b"".join(packet.payload for packet in heard)


def l16(data: bytes) -> list[int]:
    return list(struct.unpack(f"!{len(data) // 2}h", data))


@pytest.mark.parametrize(("codec", "decode"), [(ULAW, ulaw_decode), (ALAW, alaw_decode)])
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 11025, 48000])
def test_a_tone_of_any_rate(desk: Desk, tmp_path: Path, codec: Codec, decode, rate: int) -> None:
    path = write_wav(tmp_path / "tone.wav", [tone(1000, 0.4, rate)], rate)
    heard = play(desk, path, codec)
    samples = decode(payload(heard))
    assert len(heard) == 20
    assert {len(packet.payload) for packet in heard} == {160}
    assert tone_share(samples[160:-160], 1000) > 0.99
    assert level(samples[160:-160]) == pytest.approx(8000 / 2**0.5, rel=0.03)


def test_stereo_is_mixed_down(desk: Desk, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "two.wav", [tone(500, 0.3), tone(2000, 0.3)])
    samples = ulaw_decode(payload(play(desk, path)))
    assert tone_share(samples, 500) == pytest.approx(0.5, abs=0.05)
    assert tone_share(samples, 2000) == pytest.approx(0.5, abs=0.05)


def test_what_lies_above_the_band_is_cut_off(desk: Desk, tmp_path: Path) -> None:
    both = [a + b for a, b in zip(tone(1000, 0.3, 48000), tone(7000, 0.3, 48000), strict=True)]
    samples = ulaw_decode(payload(play(desk, write_wav(tmp_path / "high.wav", [both], 48000))))
    assert tone_share(samples, 1000) > 0.99  # 7 kHz would fold down to 1 kHz; its phase would spoil this level
    assert level(samples[160:-160]) == pytest.approx(8000 / 2**0.5, rel=0.05)


@pytest.mark.parametrize(("form", "codec", "decode"), [(7, ULAW, ulaw_decode), (6, ALAW, alaw_decode)])
def test_companded_files_pass_unchanged(desk: Desk, tmp_path: Path, form: int, codec: Codec, decode) -> None:
    octets = bytes(range(256)) * 5
    header = b"RIFF" + struct.pack("<I", 36 + len(octets)) + b"WAVEfmt "
    header += struct.pack("<IHHIIHH", 16, form, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", len(octets))
    path = tmp_path / "law.wav"
    path.write_bytes(header + octets)
    assert decode(payload(play(desk, path, codec))) == decode(octets)


def test_wide_codecs(desk: Desk, tmp_path: Path) -> None:
    wide = [a + b for a, b in zip(tone(1000, 0.5, 16000, 6000), tone(5000, 0.5, 16000, 6000), strict=True)]
    path = write_wav(tmp_path / "wide.wav", [wide], 16000)
    heard = play(desk, path, L16)
    assert {len(packet.payload) for packet in heard} == {640}
    assert {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(heard)} == {320}
    assert l16(payload(heard))[: len(wide)] == wide
    for packet in heard:
        assert packet.size == 652


@pytest.mark.skipif("G722" not in codec_names(), reason="built without spandsp")
def test_g722(desk: Desk, tmp_path: Path) -> None:
    """Played to a phone, taken back by a second engine's recorder in the recorder's tests; here the frames' shape."""
    heard = play(desk, write_wav(tmp_path / "t.wav", [tone(1000, 0.4, 16000)], 16000), G722)
    assert {len(packet.payload) for packet in heard} == {160}
    assert {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(heard)} == {160}  # RFC 3551 4.5.2


@pytest.mark.skipif("opus" not in codec_names(), reason="built without libopus")
def test_opus(desk: Desk, tmp_path: Path) -> None:
    heard = play(desk, write_wav(tmp_path / "t.wav", [tone(1000, 0.4, 16000)], 16000), OPUS)
    assert len(heard) == 20
    assert {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(heard)} == {960}
    assert 20 < sum(len(packet.payload) for packet in heard) / len(heard) < 200


def test_headerless_files(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "raw.ulaw"
    path.write_bytes(bytes(range(256)) * 5)
    assert ulaw_decode(payload(play(desk, path))) == ulaw_decode(path.read_bytes())


def test_speech_survives(desk: Desk) -> None:
    """A frame lost, doubled or shifted would show in the correlation of each half second."""
    path = vectors("speech") / "input.8.wav"
    _, (spoken,) = read_wav(path)
    samples = alaw_decode(payload(play(desk, path, ALAW)))
    for start in range(0, len(spoken) - 4000, 4000):
        assert correlation(spoken[start : start + 4000], samples[start : start + 4000]) > 0.995


def test_speech_of_another_rate_survives(desk: Desk) -> None:
    """Against the plainest resampler there is: a long windowed sinc, summed up sample by sample."""
    _, (wide,) = read_wav(vectors("speech") / "input.16.wav")
    taps = [math.sin(math.pi * n * 0.46) / (math.pi * n) if n else 0.46 for n in range(-60, 61)]
    taps = [tap * (0.5 + 0.5 * math.cos(math.pi * n / 61)) for n, tap in enumerate(taps, -60)]
    samples = alaw_decode(payload(play(desk, vectors("speech") / "input.16.wav", ALAW)))
    for start in range(4000, 30000, 8000):
        expected = [
            round(sum(tap * wide[2 * n + m] for m, tap in enumerate(taps, -60))) for n in range(start, start + 2000)
        ]
        assert correlation(expected, samples[start : start + 2000]) > 0.99


@pytest.mark.parametrize("packet_time", [10, 20, 30, 60])
def test_packet_times(desk: Desk, tmp_path: Path, packet_time: int) -> None:
    heard = play(desk, write_wav(tmp_path / "t.wav", [tone(1000, 0.36)]), packet_time=packet_time)
    assert {len(packet.payload) for packet in heard} == {8 * packet_time}
    assert len(heard) == 360 // packet_time


def test_pace_does_not_drift(desk: Desk, tmp_path: Path) -> None:
    heard = play(desk, write_wav(tmp_path / "t.wav", [tone(1000, 2)]))
    assert len(heard) == 100
    assert heard[-1].at - heard[0].at == pytest.approx(99 * 0.02, abs=0.2)
    assert [(b.sequence - a.sequence) & 0xFFFF for a, b in pairwise(heard)] == [1] * 99
    assert [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(heard)] == [160] * 99
    assert [packet.marker for packet in heard] == [True] + [False] * 99


def test_a_loop_ends_by_command(desk: Desk, tmp_path: Path) -> None:
    phone = desk.phone("a")
    samples = tone(1000, 0.1)
    desk.submit(Play("a", "p", (str(write_wav(tmp_path / "t.wav", [samples])),), loop=True))
    heard = phone.hear_for(0.5)
    desk.submit(StopPlaying("a", "other"), StopPlaying("a", "p"), StopPlaying("a", "p"))
    ended = desk.wait(PlayEnded)
    assert ended.failure == ""
    assert ended.played >= 400
    assert heard[5].payload == heard[0].payload
    assert tone_share(ulaw_decode(payload(heard)), 1000) > 0.99
    desk.none(PlayEnded, 0.05)


def test_relaying_goes_on_around_a_prompt(desk: Desk, tmp_path: Path) -> None:
    left = desk.phone("a")
    right = desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    path = str(write_wav(tmp_path / "t.wav", [tone(1000, 0.3)]))
    heard = []
    for number in range(35):
        if number == 10:
            desk.submit(Play("b", "p", (path,)))
        left.send(b"\x55" * 160)
        due = time.monotonic() + 0.02
        while (left_time := due - time.monotonic()) > 0:
            heard += right.hear_for(left_time)
    desk.wait(PlayEnded)
    relayed = [packet.payload == b"\x55" * 160 for packet in heard]
    first = relayed.index(False)
    assert relayed[first : first + 15] == [False] * 15
    assert all(relayed[:first])
    assert all(relayed[first + 15 :])
    assert len(relayed) > first + 20
    assert [(b.sequence - a.sequence) & 0xFFFF for a, b in pairwise(heard)] == [1] * (len(heard) - 1)
    assert len({packet.ssrc for packet in heard}) == 1
    assert [index for index, packet in enumerate(heard) if packet.marker] == [0, first, first + 15]
    passed = (heard[-1].timestamp - heard[0].timestamp) & 0xFFFFFFFF
    assert passed / 8000 == pytest.approx(heard[-1].at - heard[0].at, abs=0.2)
    assert desk.counts("a").dropped_unconnected >= 5


def test_a_second_play_replaces_the_first(desk: Desk, tmp_path: Path) -> None:
    phone = desk.phone("a")
    desk.submit(Play("a", "first", (str(write_wav(tmp_path / "1.wav", [tone(500, 5)])),)))
    phone.hear()
    desk.submit(Play("a", "second", (str(write_wav(tmp_path / "2.wav", [tone(2000, 0.2)])),)))
    assert desk.wait(PlayEnded).play == "first"
    assert desk.wait(PlayEnded).play == "second"
    heard = [packet for packet in phone.hear_all() if tone_share(ulaw_decode(packet.payload), 2000) > 0.9]
    assert len(heard) == 10


def test_the_play_goes_on_in_another_codec(desk: Desk, tmp_path: Path) -> None:
    phone = desk.phone("a", (ULAW,))
    desk.submit(Play("a", "p", (str(write_wav(tmp_path / "t.wav", [tone(1000, 0.8)])),)))
    for _ in range(10):
        phone.hear()
    desk.set_remote("a", phone, (ALAW,))
    heard = phone.hear_all()
    assert desk.wait(PlayEnded).played == 800
    later = [packet for packet in heard if packet.payload_type == 8]
    assert tone_share(alaw_decode(payload(later)), 1000) > 0.98
    assert 25 <= len(later) <= 30


def test_the_play_waits_for_the_peer_to_be_described(desk: Desk, tmp_path: Path) -> None:
    from tests.support.desk import Phone

    phone = Phone()
    desk.phones.append(phone)
    desk.open("a")
    desk.submit(Play("a", "p", (str(write_wav(tmp_path / "t.wav", [tone(1000, 0.2)])),)))
    desk.none(PlayEnded, 0.1)
    desk.set_remote("a", phone, settle=False)
    assert desk.wait(PlayEnded).failure == ""
    assert len(phone.hear_all()) == 10


def test_time_goes_on_while_muted(desk: Desk, tmp_path: Path) -> None:
    phone = desk.phone("a")
    desk.submit(Mute("a", receive=False, send=True))
    desk.submit(Play("a", "p", (str(write_wav(tmp_path / "t.wav", [tone(1000, 0.2)])),)))
    assert desk.wait(PlayEnded).played == 200
    assert not phone.hear_all(0.05)


def test_closing_the_stream_ends_the_play(desk: Desk, tmp_path: Path) -> None:
    phone = desk.phone("a")
    desk.submit(Play("a", "p", (str(write_wav(tmp_path / "t.wav", [tone(1000, 5)])),)))
    phone.hear()
    assert desk.close("a").reason == ""
    assert desk.wait(PlayEnded).play == "p"
    desk.submit(Play("a", "q", ("nothing",)))
    assert desk.wait(PlayEnded).failure == "no such stream"


def wav_bytes(data: bytes, *, claimed: int | None = None, form: int = 1, bits: int = 16, rate: int = 8000) -> bytes:
    size = len(data) if claimed is None else claimed
    return (
        b"RIFF"
        + struct.pack("<I", 36 + size & 0xFFFFFFFF)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, form, 1, rate, rate * bits // 8, bits // 8, bits)
        + b"data"
        + struct.pack("<I", size & 0xFFFFFFFF)
        + data
    )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.wav", None, "No such file or directory"),
        ("empty.wav", b"", "neither a WAV"),
        ("text.txt", b"hello" * 100, "neither a WAV"),
        ("cut.wav", wav_bytes(bytes(100), claimed=100000), "cut short"),
        ("lie.wav", wav_bytes(bytes(100), claimed=0xFFFFFFFF), "cut short"),
        ("silent.wav", wav_bytes(b""), "without sound"),
        ("broken.wav", wav_bytes(bytes(400), form=85, bits=0), "neither a WAV"),
        ("float.wav", wav_bytes(bytes(400), claimed=40000, form=3, bits=32), "cut short"),
        ("slow.wav", wav_bytes(bytes(400), rate=1), "1 Hz"),
        ("head.wav", wav_bytes(bytes(100))[:20], "without sound"),
        ("noformat.wav", b"RIFF\x40\0\0\0WAVEdata\x04\0\0\0abcd", "without a format"),
        ("chunk.wav", b"RIFF\x40\0\0\0WAVEfmt \xff\xff\xff\xff" + bytes(40), "without sound"),
        ("short.wav", b"RIFF\x40\0\0\0WAVEfmt \x04\0\0\0abcdefgh", "broken format"),
    ],
)
def test_files_that_cannot_be_played(desk: Desk, tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    desk.phone("a")
    desk.submit(Play("a", "p", (str(tmp_path / name),)))
    ended = desk.wait(PlayEnded)
    assert says in ended.failure
    assert ended.played == 0


def test_what_is_no_file(desk: Desk, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    desk.phone("a")
    desk.submit(Play("a", "1", (str(tmp_path / "pipe.wav"),)))
    assert "not a regular file" in desk.wait(PlayEnded).failure
    desk.submit(Play("a", "2", (str(tmp_path),)))
    assert "not a regular file" in desk.wait(PlayEnded).failure


def test_a_peer_without_a_codec_to_play_in(desk: Desk, tmp_path: Path) -> None:
    desk.phone("a", (Codec(3, "GSM", 8000), EVENT))
    desk.submit(Play("a", "p", (str(write_wav(tmp_path / "t.wav", [tone(1000, 0.2)])),)))
    assert "no codec" in desk.wait(PlayEnded).failure


def test_a_mended_file_is_read_again(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "t.wav"
    phone = desk.phone("a")
    desk.submit(Play("a", "1", (str(path),)))
    assert desk.wait(PlayEnded).failure
    write_wav(path, [tone(500, 0.2)])
    desk.submit(Play("a", "2", (str(path),)))
    assert desk.wait(PlayEnded).failure == ""
    phone.hear_all(0.05)
    path.unlink()
    write_wav(path, [tone(2000, 0.2)])
    desk.submit(Play("a", "3", (str(path),)))
    desk.wait(PlayEnded)
    assert tone_share(ulaw_decode(payload(phone.hear_all())), 2000) > 0.99


def test_a_long_file_begins_at_once(desk: Desk, tmp_path: Path) -> None:
    phone = desk.phone("a")
    path = tmp_path / "long.wav"
    path.write_bytes(wav_bytes(struct.pack("<8000h", *tone(1000, 1)) * 600))
    start = time.time()
    desk.submit(Play("a", "p", (str(path),)))
    assert phone.hear().at - start < 1
    desk.submit(StopPlaying("a", "p"))
    desk.wait(PlayEnded)


def test_many_hear_the_same_file(desk: Desk, tmp_path: Path) -> None:
    path = str(write_wav(tmp_path / "t.wav", [tone(1000, 0.2)]))
    phones = [desk.phone(f"s{number}", group=f"g{number}") for number in range(10)]
    for number in range(10):
        desk.submit(Play(f"s{number}", f"p{number}", (path,)))
    wait_until(lambda: (desk.drain(), sum(isinstance(event, PlayEnded) for event in desk.events) == 10)[1])
    assert len({payload(phone.hear_all(0.02)) for phone in phones}) == 1


def test_the_engine_stops_in_the_middle(tmp_path: Path) -> None:
    path = str(write_wav(tmp_path / "t.wav", [tone(1000, 30)]))
    with Desk() as desk:
        phone = desk.phone("a", (OPUS,) if "opus" in codec_names() else (ULAW,))
        desk.submit(Play("a", "p", (path,)))
        phone.hear()
    assert [event for event in desk.events if isinstance(event, PlayEnded)]
    assert [event.reason for event in desk.events if isinstance(event, Closed)] == ["the engine was stopped"]
