"""Recordings: every sample where it belongs, whole files or told why not."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pbx.media.commands import Codec, Connect, PauseRecording, Play, Record, StopRecording
from pbx.media.engine import Engine, codec_names
from pbx.media.events import PlayEnded, RecordingEnded, RecordingFailed
from tests.support.desk import ALAW, EVENT, G722, OPUS, ULAW, Desk, Phone, wait_until
from tests.support.sound import (
    alaw_decode,
    correlation,
    level,
    read_wav,
    tone,
    tone_share,
    ulaw_decode,
    ulaw_encode,
)
from tests.support.vectors import vectors

FRAME = 160


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def together(*talks: Callable[[], None]) -> None:
    threads = [threading.Thread(target=talk) for talk in talks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def pattern(seed: int, packets: int) -> bytes:
    """Octets that occur nowhere else: each piece can be found again exactly."""
    return random.Random(seed).randbytes(FRAME * packets)


def record(desk: Desk, command: Record) -> None:
    """Start recording, for certain: a packet sent after this is in it."""
    desk.submit(command)
    desk.counts(command.left)


def apart(left: Phone, right: Phone) -> float:
    """Return by how many samples the left phone began to talk later: the test's own threads don't start at once."""
    return (left.began - right.began) * 8000


def finish(desk: Desk, path: Path, recording: str = "r") -> tuple[RecordingEnded, int, list[list[int]]]:
    desk.submit(StopRecording(recording))
    ended = desk.wait(RecordingEnded)
    assert ended.recording == recording
    assert ended.path == str(path)
    content = path.read_bytes()
    assert ended.octets == len(content)
    assert ended.sha256 == hashlib.sha256(content).hexdigest()
    assert not path.with_name(path.name + ".part").exists()
    rate, channels = read_wav(path)
    assert ended.duration == len(channels[0]) * 1000 // rate
    return ended, rate, channels


def place_of(piece: list[int], channel: list[int]) -> int:
    """Where a piece lies in a channel, exactly and once."""
    needle = struct.pack(f"<{len(piece)}h", *piece)
    hay = struct.pack(f"<{len(channel)}h", *channel)
    at = hay.find(needle)
    while at % 2 and at > 0:
        at = hay.find(needle, at + 1)
    assert at >= 0, "the piece is not there"
    return at // 2


def couple(desk: Desk, codecs=(ULAW, EVENT)) -> tuple[Phone, Phone]:
    left = desk.phone("a", codecs, ssrc=0xAAAA)
    right = desk.phone("b", codecs, ssrc=0xBBBB)
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    return left, right


def test_caller_left_callee_right(desk: Desk, tmp_path: Path) -> None:
    left, right = couple(desk)
    path = tmp_path / "2026/11/20/call.wav"
    record(desk, Record("r", "a", "b", str(path)))
    start = time.monotonic()
    low, high = ulaw_encode(tone(500, 1)), ulaw_encode(tone(2000, 1))
    together(lambda: left.talk(low), lambda: right.talk(high))
    assert path.with_name("call.wav.part").exists()
    ended, rate, (first, second) = finish(desk, path)
    took = time.monotonic() - start
    assert rate == 8000
    assert abs(ended.duration / 1000 - took) < 0.5
    assert ended.gaps == 0
    a, b = place_of(ulaw_decode(low), first), place_of(ulaw_decode(high), second)
    assert abs(a - b - apart(left, right)) < FRAME  # within a packet time
    assert tone_share(first[a : a + 8000], 500) > 0.99
    assert tone_share(second[b : b + 8000], 2000) > 0.99
    assert level(first[: max(0, a)]) == 0
    assert os.stat(path).st_mode & 0o077 == 0o040


def test_the_two_sides_keep_their_distance(desk: Desk, tmp_path: Path) -> None:
    left, right = couple(desk)
    record(desk, Record("r", "a", "b", str(tmp_path / "r.wav")))
    one, two, three = (pattern(seed, 5) for seed in (1, 2, 3))
    left.talk(one)
    first_began = left.began
    right.talk(two)
    time.sleep(0.5)
    left.timestamp += round((time.monotonic() - first_began - 0.1) * 8000)
    left.talk(three)
    _, _, (first, second) = finish(desk, tmp_path / "r.wav")
    at = place_of(ulaw_decode(one), first)
    assert abs(place_of(ulaw_decode(two), second) - at - 8000 * (right.began - first_began)) < FRAME
    assert abs(place_of(ulaw_decode(three), first) - at - 8000 * (left.began - first_began)) < FRAME


def test_lost_packets_are_silence_and_are_counted(desk: Desk, tmp_path: Path) -> None:
    left, _ = couple(desk)
    record(desk, Record("r", "a", "b", str(tmp_path / "r.wav")))
    one, two = pattern(1, 10), pattern(2, 10)
    left.talk(one)
    left.skip(10)
    time.sleep(0.2)
    left.talk(two)
    ended, _, (first, _) = finish(desk, tmp_path / "r.wav")
    a, b = place_of(ulaw_decode(one), first), place_of(ulaw_decode(two), first)
    assert b - a == 20 * FRAME
    assert level(first[a + 10 * FRAME : b]) == 0
    assert ended.gaps == 200


def test_jitter_and_reordering_are_not_heard(desk: Desk, tmp_path: Path) -> None:
    left, _ = couple(desk)
    record(desk, Record("r", "a", "", str(tmp_path / "r.wav")))
    content, chance = pattern(1, 100), random.Random(1)
    packets = []
    for number in range(100):
        payload = content[number * FRAME : (number + 1) * FRAME]
        packet = left.packet(payload, sequence=number, timestamp=number * FRAME)
        packets.append((number * 0.02 + (chance.random() * 0.09 if number else 0), packet))
    start = time.monotonic()
    for due, packet in sorted(packets):
        time.sleep(max(0.0, start + due - time.monotonic()))
        left.send_raw(packet)
    ended, _, (first,) = finish(desk, tmp_path / "r.wav")
    place_of(ulaw_decode(content), first)
    assert ended.gaps == 0


def test_a_stall_of_the_network_loses_nothing(desk: Desk, tmp_path: Path) -> None:
    """What comes in one burst, long after its time, finds its place in the file all the same."""
    left, right = couple(desk)
    record(desk, Record("r", "a", "b", str(tmp_path / "r.wav")))
    content, other = pattern(1, 100), pattern(2, 100)

    begun = []

    def stalled() -> None:
        left.talk(content[: 20 * FRAME])
        begun.append(left.began)
        time.sleep(1.2)
        left.talk(content[20 * FRAME : 80 * FRAME], every=0)
        left.talk(content[80 * FRAME :])

    together(stalled, lambda: right.talk(other))
    started_apart = (begun[0] - right.began) * 8000
    ended, _, (first, second) = finish(desk, tmp_path / "r.wav")
    a, b = place_of(ulaw_decode(content), first), place_of(ulaw_decode(other), second)
    assert abs(a - b - started_apart) < FRAME
    assert ended.gaps == 0


def test_a_phone_that_stops_its_clock_on_hold(desk: Desk, tmp_path: Path) -> None:
    left, right = couple(desk)
    record(desk, Record("r", "a", "b", str(tmp_path / "r.wav")))
    one, two, other = pattern(1, 10), pattern(2, 10), pattern(3, 60)
    begun = []

    def holder() -> None:
        left.talk(one)
        begun.append(left.began)
        time.sleep(0.8)
        begun.append(time.monotonic())
        payload = two[:FRAME]
        left.send(payload, marker=True)  # timestamps go on as if no time had passed
        time.sleep(0.02)
        left.talk(two[FRAME:])

    together(holder, lambda: right.talk(other))
    _, _, (first, second) = finish(desk, tmp_path / "r.wav")
    a, b = place_of(ulaw_decode(one), first), place_of(ulaw_decode(two), first)
    assert abs(b - a - 8000 * (begun[1] - begun[0])) < 2 * FRAME
    assert abs(place_of(ulaw_decode(other), second) - a - 8000 * (right.began - begun[0])) < FRAME


def test_a_change_of_source_goes_on_in_time(desk: Desk, tmp_path: Path) -> None:
    left, _ = couple(desk)
    record(desk, Record("r", "a", "", str(tmp_path / "r.wav")))
    one, two = pattern(1, 10), pattern(2, 10)
    left.talk(one)
    left.ssrc, left.sequence, left.timestamp = 77, 30000, 123456789
    left.talk(two)
    ended, _, (first,) = finish(desk, tmp_path / "r.wav")
    assert abs(place_of(ulaw_decode(two), first) - place_of(ulaw_decode(one), first) - 10 * FRAME) < FRAME
    assert ended.gaps == 0


@pytest.mark.parametrize(("codec", "decode"), [(ULAW, ulaw_decode), (ALAW, alaw_decode)])
def test_g711_is_exact(desk: Desk, tmp_path: Path, codec: Codec, decode) -> None:
    left, _ = couple(desk, (codec,))
    record(desk, Record("r", "a", "", str(tmp_path / "r.wav")))
    content = bytes(range(256)) * 5
    left.talk(content, codec.payload_type)
    _, rate, (first,) = finish(desk, tmp_path / "r.wav")
    assert rate == 8000
    place_of(decode(content), first)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_l16(desk: Desk, tmp_path: Path, rate: int) -> None:
    left, _ = couple(desk, (Codec(96, "L16", rate),))
    record(desk, Record("r", "a", "", str(tmp_path / "r.wav")))
    samples = tone(1000, 0.5, rate)
    left_step = rate // 50
    for start in range(0, len(samples), left_step):
        piece = samples[start : start + left_step]
        left.send(struct.pack(f"!{len(piece)}h", *piece), 96, step=left_step)
        time.sleep(0.02)
    _, file_rate, (first,) = finish(desk, tmp_path / "r.wav")
    assert file_rate == (8000 if rate == 8000 else 16000)
    sounding = [index for index, sample in enumerate(first) if abs(sample) > 100]
    heard = first[sounding[0] + 100 : sounding[-1] - 100]
    assert len(heard) == pytest.approx(file_rate / 2 - 200, rel=0.02)
    assert tone_share(heard, 1000, file_rate) > 0.99
    assert level(heard) == pytest.approx(8000 / 2**0.5, rel=0.02)


@pytest.mark.parametrize("codec", [G722, OPUS])
@pytest.mark.parametrize("name", ["input.16.wav"])
def test_what_is_played_is_what_is_recorded(desk: Desk, tmp_path: Path, codec: Codec, name: str) -> None:
    """The player's encoder to the recorder's decoder, over an echoing phone, in each wide codec."""
    if codec.name not in codec_names():
        pytest.skip(f"built without {codec.name}")
    phone = desk.phone("a", (codec,))
    path = vectors("speech") / name
    record(desk, Record("r", "a", "", str(tmp_path / "r.wav")))
    desk.submit(Play("a", "p", (str(path),)))
    step = 960 if codec is OPUS else 160
    while not [event for event in desk.events if isinstance(event, PlayEnded)]:
        for packet in phone.hear_for(0.05):
            phone.send(packet.payload, packet.payload_type, step=step)
        desk.drain()
    ended, rate, (heard,) = finish(desk, tmp_path / "r.wav")
    _, (spoken,) = read_wav(path)
    assert rate == 16000
    assert ended.gaps == 0
    start = next(index for index, sample in enumerate(heard) if abs(sample) > 60)
    begin = next(index for index, sample in enumerate(spoken) if abs(sample) > 60)
    lag = max(
        range(start - begin - 800, start - begin + 800),
        key=lambda by: sum(spoken[n] * heard[n + by] for n in range(8000, 16000, 3)) if by > -8000 else 0,
    )
    for first in range(0, len(spoken) - 16000, 8000):
        piece = spoken[first : first + 8000]
        if level(piece) > 300:
            assert correlation(piece, heard[first + lag : first + lag + 8000]) > (0.97 if codec is G722 else 0.9)


def test_g722_beside_g711_is_recorded_wide(desk: Desk, tmp_path: Path) -> None:
    if "G722" not in codec_names():
        pytest.skip("built without spandsp")
    left = desk.phone("a", (ULAW,))
    desk.phone("b", (G722,))
    record(desk, Record("r", "a", "b", str(tmp_path / "r.wav")))
    left.talk(ulaw_encode(tone(1000, 0.5)))
    _, rate, (first, _) = finish(desk, tmp_path / "r.wav")
    assert rate == 16000
    sounding = [index for index, sample in enumerate(first) if abs(sample) > 100]
    heard = first[sounding[0] + 100 : sounding[-1] - 100]
    assert tone_share(heard, 1000, 16000) > 0.99


def test_keys_and_comfort_noise_are_silence(desk: Desk, tmp_path: Path) -> None:
    left, _ = couple(desk, (ULAW, EVENT, Codec(13, "CN", 8000)))
    record(desk, Record("r", "a", "", str(tmp_path / "r.wav")))
    one, two = pattern(1, 5), pattern(2, 5)
    left.talk(one)
    for number in range(10):
        left.send(b"\x05\x0a" + struct.pack("!H", 160 * (number + 1)), 101, step=0)
        time.sleep(0.02)
    left.timestamp += 1600
    left.send(b"\x40", 13, step=160)
    time.sleep(0.02)
    left.talk(two)
    ended, _, (first,) = finish(desk, tmp_path / "r.wav")
    a, b = place_of(ulaw_decode(one), first), place_of(ulaw_decode(two), first)
    assert b - a == 16 * FRAME
    assert level(first[a + 5 * FRAME : b]) == 0
    assert ended.gaps == 0


def test_a_pause_is_silence_and_no_gap(desk: Desk, tmp_path: Path) -> None:
    left, _ = couple(desk)
    record(desk, Record("r", "a", "", str(tmp_path / "r.wav")))
    one, hidden, two = pattern(1, 10), pattern(2, 10), pattern(3, 10)
    left.talk(one)
    begun = left.began
    desk.submit(PauseRecording("r", True))
    desk.counts("a")
    left.talk(hidden)
    desk.submit(PauseRecording("r", False))
    desk.counts("a")
    left.timestamp += round((time.monotonic() - begun) * 8000) - 20 * FRAME  # a phone's clock does not wait
    left.talk(two)
    ended, _, (first,) = finish(desk, tmp_path / "r.wav")
    a, b = place_of(ulaw_decode(one), first), place_of(ulaw_decode(two), first)
    assert abs(b - a - 8000 * (left.began - begun)) < 2 * FRAME
    assert level(first[a + 10 * FRAME : b]) == 0
    assert ended.gaps == 0


def test_it_ends_by_itself(desk: Desk, tmp_path: Path) -> None:
    left, _ = couple(desk)
    record(desk, Record("r", "a", "b", str(tmp_path / "r.wav"), maximum=300))
    left.talk(pattern(1, 30))
    assert 300 <= desk.wait(RecordingEnded).duration < 400
    desk.submit(StopRecording("r"))
    desk.none(RecordingFailed, 0.05)


def test_it_ends_with_the_last_of_its_streams(desk: Desk, tmp_path: Path) -> None:
    left, right = couple(desk)
    record(desk, Record("r", "a", "b", str(tmp_path / "r.wav")))
    one, two = pattern(1, 5), pattern(2, 5)
    left.talk(one)
    desk.close("a")
    desk.none(RecordingEnded, 0.05)
    right.talk(two)
    desk.close("b")
    desk.wait(RecordingEnded)
    _, (first, second) = read_wav(tmp_path / "r.wav")
    place_of(ulaw_decode(one), first)
    place_of(ulaw_decode(two), second)


def test_two_recordings_of_one_stream(desk: Desk, tmp_path: Path) -> None:
    left, _ = couple(desk)
    record(desk, Record("one", "a", "b", str(tmp_path / "1.wav")))
    record(desk, Record("two", "a", "a", str(tmp_path / "2.wav")))
    content = pattern(1, 10)
    left.talk(content)
    _, _, (first, _) = finish(desk, tmp_path / "1.wav", "one")
    _, _, (second, third) = finish(desk, tmp_path / "2.wav", "two")
    for channel in (first, second, third):
        place_of(ulaw_decode(content), channel)


def test_stopping_the_engine_finishes_the_files(tmp_path: Path) -> None:
    with Desk() as desk:
        left, _ = couple(desk)
        record(desk, Record("r", "a", "b", str(tmp_path / "r.wav")))
        content = pattern(1, 10)
        left.talk(content)
    ended = [event for event in desk.events if isinstance(event, RecordingEnded)]
    assert len(ended) == 1
    place_of(ulaw_decode(content), read_wav(tmp_path / "r.wav")[1][0])


def test_an_empty_recording_is_a_file_all_the_same(desk: Desk, tmp_path: Path) -> None:
    couple(desk)
    record(desk, Record("r", "a", "b", str(tmp_path / "r.wav")))
    time.sleep(0.1)
    ended, _, (first, second) = finish(desk, tmp_path / "r.wav")
    assert ended.duration >= 90
    assert level(first) == level(second) == 0


def test_what_cannot_be_written_is_told(desk: Desk, tmp_path: Path) -> None:
    left, right = couple(desk)
    (tmp_path / "file").write_text("")
    record(desk, Record("r", "a", "b", str(tmp_path / "file" / "r.wav")))
    failed = desk.wait(RecordingFailed)
    assert (failed.recording, failed.path) == ("r", str(tmp_path / "file" / "r.wav"))
    assert "Not a directory" in failed.reason
    left.send(bytes(160))
    right.hear()
    wait_until(lambda: desk.engine.counters().recordings == 0)
    record(desk, Record("s", "a", "nobody", str(tmp_path / "s.wav")))
    assert desk.wait(RecordingFailed).reason == "no such stream"


def test_nothing_is_written_over(desk: Desk, tmp_path: Path) -> None:
    couple(desk)
    (tmp_path / "r.wav.part").write_text("precious")
    record(desk, Record("r", "a", "b", str(tmp_path / "r.wav")))
    assert "exists" in desk.wait(RecordingFailed).reason
    (tmp_path / "s.wav").write_text("precious")
    record(desk, Record("s", "a", "b", str(tmp_path / "s.wav")))
    desk.counts("a")
    desk.submit(StopRecording("s"))
    assert "exists" in desk.wait(RecordingFailed).reason
    assert (tmp_path / "r.wav.part").read_text() == (tmp_path / "s.wav").read_text() == "precious"


def test_a_full_disk_ends_the_recording_and_not_the_call(desk: Desk, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: writing fails in the middle."""
    left, right = couple(desk)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, before[1]))
    try:
        record(desk, Record("r", "a", "b", str(tmp_path / "r.wav")))
        content = pattern(1, 60)
        left.talk(content)
        failed = desk.wait(RecordingFailed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "large" in failed.reason
    assert len(right.hear_all()) == 60
    _, (first, _) = read_wav(tmp_path / "r.wav")  # what was written stays, with a true header
    assert level(first) > 1000
    desk.submit(StopRecording("r"))
    desk.none(RecordingEnded, 0.1)


def test_a_codec_that_cannot_be_decoded_is_told(desk: Desk, tmp_path: Path) -> None:
    left, _ = couple(desk, (Codec(3, "GSM", 8000),))
    record(desk, Record("r", "a", "b", str(tmp_path / "r.wav")))
    left.send(bytes(33), 3)
    assert "decode" in desk.wait(RecordingFailed).reason


def test_what_the_disk_cannot_take_is_a_gap_and_never_a_shift(tmp_path: Path) -> None:
    """More recordings than the backlog has room for: packets are missing, what is there stands where it belongs."""
    with Desk() as desk:
        desk.events += desk.engine.close()
        desk.engine = Engine(30000, 30999, drain=50, workers=2, backlog=1)
        left, _ = couple(desk)
        count = 400
        for number in range(count):
            record(desk, Record(f"r{number}", "a", "b", str(tmp_path / f"{number}.wav")))
        desk.counts("a")
        content = pattern(1, 50)
        left.talk(content)
        for number in range(count):
            desk.submit(StopRecording(f"r{number}"))
        wait_until(lambda: (desk.drain(), sum(isinstance(e, RecordingEnded) for e in desk.events) == count)[1])
        dropped = desk.engine.counters().recording_packets_dropped
        assert dropped > 0
        decoded = ulaw_decode(content)
        wrong = 0
        for number in range(count):
            _, (first, _) = read_wav(tmp_path / f"{number}.wav")
            placed = [
                (place, start)
                for start in range(0, len(decoded), FRAME)
                if (place := find(decoded[start : start + FRAME], first)) is not None
            ]
            wrong += len({place - start for place, start in placed}) > 1
        assert wrong == 0


def find(piece: list[int], channel: list[int]) -> int | None:
    try:
        return place_of(piece, channel)
    except AssertionError:
        return None


def test_sound_files_written_are_played(desk: Desk, tmp_path: Path) -> None:
    phone = desk.phone("a")
    record(desk, Record("r", "a", "", str(tmp_path / "r.wav")))
    phone.talk(ulaw_encode(tone(1000, 0.5)))
    finish(desk, tmp_path / "r.wav")
    desk.submit(Play("a", "p", (str(tmp_path / "r.wav"),)))
    assert desk.wait(PlayEnded).failure == ""
    samples = ulaw_decode(b"".join(packet.payload for packet in phone.hear_all()))
    assert tone_share(samples, 1000) > 0.7  # a test that is held up stretches the tone
