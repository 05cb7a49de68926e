"""Mixes: each member hears the others and not itself, in any codec, coming and going, on any thread."""

from __future__ import annotations

import itertools
import select
import threading
import time
from pathlib import Path

import pytest

from pbx.media.commands import Codec, Connect, Join, Leave, Mute, Play, Record, SetRole, StopRecording
from pbx.media.events import ActiveSpeaker, PlayEnded, RecordingEnded
from tests.support.desk import ALAW, EVENT, ULAW, Desk, Heard, Phone
from tests.support.sound import alaw_decode, level, read_wav, tone, tone_power, ulaw_decode, ulaw_encode, write_wav

WIDE = Codec(96, "L16", 16000)
LINEAR = Codec(97, "L16", 8000)

TONES = {"a": 440, "b": 700, "c": 1000, "d": 1300}


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def encode(samples: list[int], codec: Codec) -> bytes:
    if codec.name == "PCMU":
        return ulaw_encode(samples)
    if codec.name == "PCMA":
        return alaw_encode(samples)
    return b"".join(sample.to_bytes(2, "big", signed=True) for sample in samples)


def alaw_encode(samples: list[int]) -> bytes:
    octets = sorted(range(256), key=lambda octet: alaw_decode(bytes([octet]))[0])
    levels = {octet: alaw_decode(bytes([octet]))[0] for octet in octets}
    cache = {sample: min(octets, key=lambda octet: abs(levels[octet] - sample)) for sample in set(samples)}
    return bytes(cache[sample] for sample in samples)


def decode(heard: list[Heard], codec: Codec) -> list[int]:
    data = b"".join(packet.payload for packet in heard if packet.payload_type == codec.payload_type)
    if codec.name == "PCMU":
        return ulaw_decode(data)
    if codec.name == "PCMA":
        return alaw_decode(data)
    return [int.from_bytes(data[at : at + 2], "big", signed=True) for at in range(0, len(data), 2)]


def loudness(samples: list[int], frequency: float, rate: int) -> float:
    """Return the amplitude of a tone, by pieces: the jitter buffer may take out a period, and turn its phase."""
    piece = rate // 20
    found = sorted(
        tone_power(samples[at : at + piece], frequency, rate) for at in range(0, len(samples) - piece, piece)
    )
    return found[len(found) // 2] if found else 0.0


def waiting(phone: Phone) -> list[Heard]:
    """Return what has come and not been read."""
    heard = []
    while select.select([phone.rtp], [], [], 0)[0]:
        heard.append(phone.hear())
    return heard


LATE = 0.03
"""Seconds that a packet may be late by, with a jitter buffer, until what is heard is not what was said."""


def paced(heard: list[Heard]) -> bool:
    """Return whether packets came at the pace at which a mix sends them."""
    return all(after.at - before.at < 0.02 + LATE for before, after in itertools.pairwise(heard))


class Conference:
    """Members with a tone each, who talk in real time beside each other."""

    def __init__(self, desk: Desk, codecs: dict[str, Codec], mix: str = "room", groups: bool = False) -> None:
        self.desk, self.codecs, self.mix = desk, codecs, mix
        self.phones: dict[str, Phone] = {}
        self.began: list[float] = []
        self.stopped = 0.0
        for number, (name, codec) in enumerate(codecs.items()):
            group = f"call {name}" if groups else "call"
            self.phones[name] = desk.phone(name, (codec, EVENT), ssrc=0x1000 * (number + 1), group=group)

    def join(self, *names: str, **role: object) -> None:
        for name in names or self.codecs:
            self.desk.submit(Join(name, self.mix, **role))  # type: ignore[arg-type]
        for name in names or self.codecs:
            self.desk.counts(name)

    def talk(self, seconds: float, silent: str = "", lost: int = 0) -> dict[str, dict[str, float]]:
        """Return how loud each tone was to each member in the last part of that time.

        Where the machine held up these phones or the mix, what was heard proves nothing: they talk again.
        """
        for _ in range(4):
            late = self._talk(seconds, silent, lost)
            over = time.time()  # what a slow reader finds beyond this is the silence afterwards
            heard = {
                name: [packet for packet in waiting(phone) if packet.at < over] for name, phone in self.phones.items()
            }
            if late < LATE and all(paced(packets) for packets in heard.values()):
                break
        return {name: self._levels(name, packets, seconds) for name, packets in heard.items()}

    def _talk(self, seconds: float, silent: str, lost: int) -> float:
        """Return by how many seconds a packet was sent too late, at most."""
        payloads = {}
        for name, codec in self.codecs.items():
            rate = codec.rate
            samples = tone(TONES[name], seconds, rate) if name not in silent else [0] * round(rate * seconds)
            payloads[name] = encode(samples, codec)
        for phone in self.phones.values():
            waiting(phone)  # what came before
        due = time.monotonic()
        self.began.append(due)
        for name, phone in self.phones.items():  # the clock of a phone that sends nothing goes on
            phone.timestamp += round((due - self.stopped) * self.codecs[name].rate)
        late = 0.0
        for number in range(round(seconds * 50)):
            late = max(late, time.monotonic() - due)
            for name in self.phones:
                self._speak(name, payloads[name], number, bool(lost) and number % lost == 7)
            due += 0.02
            time.sleep(max(0.0, due - time.monotonic()))
        self.stopped = time.monotonic()
        return late

    def _speak(self, name: str, payload: bytes, number: int, lost: bool) -> None:
        phone, codec = self.phones[name], self.codecs[name]
        step = codec.rate // 50
        octets = step * (1 if codec.name.startswith("PCM") else 2)
        if lost:
            phone.skip(1, step)
        else:
            phone.send(payload[number * octets : (number + 1) * octets], codec.payload_type, step=step)

    def _levels(self, name: str, heard: list[Heard], seconds: float) -> dict[str, float]:
        codec = self.codecs[name]
        samples = decode(heard, codec)
        window = samples[-round(codec.rate * min(0.4, seconds / 2)) :]
        return {other: loudness(window, TONES[other], codec.rate) for other in self.codecs}


LOUD, SILENT = 5000, 60
"""Of a tone of 8000: what counts as heard, and what as not heard."""


def assert_hears(levels: dict[str, dict[str, float]], expected: dict[str, str]) -> None:
    for hearer, others in expected.items():
        for name, loudness in levels[hearer].items():
            if name in others:
                assert loudness > LOUD, f"{hearer} does not hear {name}: {levels[hearer]}"
            else:
                assert loudness < SILENT, f"{hearer} hears {name}: {levels[hearer]}"


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_three_codecs_hear_the_two_others(desk: Desk, rate: int) -> None:
    room = Conference(desk, {"a": ULAW, "b": ALAW, "c": WIDE})
    room.join(rate=rate)
    assert_hears(room.talk(1.0), {"a": "bc", "b": "ac", "c": "ab"})
    assert desk.engine.counters().mixes == 1


def test_members_of_all_packet_threads(desk: Desk) -> None:
    """Calls on different threads: those that join from another one are moved, whatever they are doing."""
    room = Conference(desk, {"a": ULAW, "b": ULAW, "c": ULAW}, groups=True)
    spread(desk, "call b")
    room.join()
    assert_hears(room.talk(0.8), {"a": "bc", "b": "ac", "c": "ab"})
    desk.submit(Leave("b"))
    assert_hears(room.talk(0.8), {"a": "c", "b": "", "c": "a"})
    desk.submit(Connect("b", "b"))
    assert_hears(room.talk(0.8), {"a": "c", "b": "b", "c": "a"})


def spread(desk: Desk, group: str) -> None:
    """Put a group on another thread than it would have been put on, as if the first ones were full."""
    from pbx.native._engine import lib

    engine, commander = desk.engine, desk.engine._commander
    moving = commander._names.groups[group]
    thread = lib.engine_thread(engine._engine, moving.number)
    target = moving.number + 1
    assert lib.engine_thread(engine._engine, target) != thread
    before = moving.number
    assert commander.move(moving, target) == 0
    while moving.number == before:
        desk.drain(0.05)


def test_roles(desk: Desk) -> None:
    room = Conference(desk, {"a": ULAW, "b": ULAW, "c": ULAW, "d": ULAW})
    room.join()
    desk.submit(SetRole("c", mute=True), SetRole("d", deaf=True))
    assert_hears(room.talk(0.8), {"a": "bd", "b": "ad", "c": "abd", "d": ""})
    desk.submit(SetRole("c", hearers=("b",)), SetRole("d", mute=True))  # c whispers to b, d listens
    assert_hears(room.talk(0.8), {"a": "b", "b": "ac", "c": "ab", "d": "ab"})
    desk.submit(SetRole("c"), Mute("a", receive=True, send=False))
    assert_hears(room.talk(0.8), {"a": "bc", "b": "c", "c": "b", "d": "bc"})
    desk.submit(SetRole("c", hearers=("gone",)))  # nobody is left who may hear it
    assert_hears(room.talk(0.8), {"a": "b", "b": "", "c": "b", "d": "b"})


def test_from_a_connection_into_a_mix_and_back(desk: Desk) -> None:
    """Supervision: no packet of the call is missing on either way of the change."""
    room = Conference(desk, {"a": ULAW, "b": ULAW, "c": ULAW}, mix="call/mix")
    desk.submit(Connect("a", "b"))
    assert_hears(room.talk(0.6), {"a": "b", "b": "a", "c": ""})
    desk.submit(Join("a", "call/mix"), Join("b", "call/mix"), Join("c", "call/mix", mute=True))
    assert_hears(room.talk(0.8), {"a": "b", "b": "a", "c": "ab"})
    desk.submit(Leave("c"), Leave("a"), Leave("b"), Connect("a", "b"))
    assert_hears(room.talk(0.6), {"a": "b", "b": "a", "c": ""})
    assert desk.engine.counters().mixes == 0


def test_a_change_of_path_leaves_no_gap(desk: Desk) -> None:
    """What b hears of a's tone while their call becomes a mix and a call again: one source, and no hole of 60 ms."""
    left, right = desk.phone("a"), desk.phone("b", ssrc=0x2000)
    desk.submit(Connect("a", "b"))
    payload = ulaw_encode(tone(400, 0.02))
    heard: list[Heard] = []
    ear = threading.Thread(target=lambda: heard.extend(right.hear_for(2.2)))
    ear.start()
    due = time.monotonic()
    for number in range(100):
        left.send(payload)
        if number == 30:
            desk.submit(Join("a", "m"), Join("b", "m"))
        if number == 65:
            desk.submit(Leave("a"), Leave("b"), Connect("a", "b"))
        due += 0.02
        time.sleep(max(0.0, due - time.monotonic()))
    ear.join()
    assert len({packet.ssrc for packet in heard}) == 1
    assert [(after.sequence - before.sequence) & 0xFFFF for before, after in itertools.pairwise(heard)] == [1] * (
        len(heard) - 1
    )
    assert 97 <= len(heard) <= 103
    silent = [level(ulaw_decode(packet.payload)) < 1000 for packet in heard]
    holes = [len(run) for run in "".join("x" if one else " " for one in silent).split()]
    assert max(holes, default=0) <= 3, holes
    spans = [after.at - before.at for before, after in itertools.pairwise(heard)]
    timestamps = [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in itertools.pairwise(heard)]
    assert all(abs(units / 8000 - span) < 0.2 for units, span in zip(timestamps, spans, strict=True))


def test_leaving_closing_and_another_source(desk: Desk) -> None:
    room = Conference(desk, {"a": ULAW, "b": ULAW, "c": ULAW})
    room.join()
    room.phones["a"].ssrc = 0x7777  # a phone that restarts its source in mid-call
    room.phones["a"].sequence += 5000
    room.phones["a"].timestamp += 123456
    assert_hears(room.talk(1.4), {"a": "bc", "b": "ac", "c": "ab"})
    desk.close("c")
    assert_hears(room.talk(0.8), {"a": "b", "b": "a", "c": ""})
    desk.close("b")
    desk.close("a")
    assert desk.engine.counters().mixes == 0


def test_loss_is_concealed(desk: Desk) -> None:
    room = Conference(desk, {"a": ULAW, "b": ALAW, "c": ULAW})
    room.join()
    assert_hears(room.talk(1.0, lost=20), {"a": "bc", "b": "ac", "c": "ab"})


def test_who_speaks(desk: Desk) -> None:
    room = Conference(desk, {"a": ULAW, "b": ULAW, "c": ULAW})
    room.join()
    room.talk(0.6, silent="bc")
    first = desk.wait(ActiveSpeaker)
    assert (first.mix, first.stream) == ("room", "a")
    assert -20 < first.level < -10
    assert desk.counts("a").level > -60
    assert desk.counts("b").level == -127
    room.talk(0.8, silent="ac")
    assert desk.wait(ActiveSpeaker).stream == "b"
    room.talk(2.0, silent="abc")
    assert desk.wait(ActiveSpeaker) == ActiveSpeaker("room", "", -127)
    desk.none(ActiveSpeaker, 0.1)
    desk.submit(Leave("a"))
    assert desk.counts("a").level == -128


def test_sounds_and_recordings_of_a_mix(desk: Desk, tmp_path: Path) -> None:
    chime = write_wav(tmp_path / "chime.wav", [tone(1300, 5.0, 44100)], 44100)
    room = Conference(desk, {"a": ULAW, "b": ALAW, "d": ULAW})
    desk.submit(Join("a", "room"), Join("b", "room"))
    desk.submit(Play("room", "chime", (str(chime),)), Record("tape", "room", "", str(tmp_path / "all.wav")))
    levels = room.talk(1.2)
    assert_hears(levels, {"a": "bd", "b": "ad", "d": ""})  # d's tone is the chime's
    desk.submit(StopRecording("tape"))
    ended = desk.wait(RecordingEnded)
    assert (ended.recording, ended.duration >= 1000) == ("tape", True)
    rate, channels = read_wav(tmp_path / "all.wav")
    assert (rate, len(channels)) == (16000, 1)
    window = channels[0][-12000:-4000]
    for name in "abd":
        assert loudness(window, TONES[name], rate) > LOUD
    desk.submit(Leave("a"), Leave("b"))
    over = desk.wait(PlayEnded)
    assert (over.stream, over.play, over.failure) == ("room", "chime", "")
    desk.submit(Play("room", "late", (str(chime),)))
    assert desk.wait(PlayEnded, play="late").failure == "no such stream"


def test_a_sound_ends_and_a_missing_one_says_so(desk: Desk, tmp_path: Path) -> None:
    room = Conference(desk, {"a": ULAW})
    room.join()
    short = write_wav(tmp_path / "short.wav", [tone(1300, 0.1)])
    desk.submit(Play("room", "short", (str(short),)), Play("room", "none", (str(tmp_path / "none.wav"),)))
    ended = desk.wait(PlayEnded, play="short")
    assert (ended.failure, 100 <= ended.played <= 140) == ("", True)
    assert desk.wait(PlayEnded, play="none").failure


def test_a_recording_goes_on_when_its_call_is_moved(desk: Desk, tmp_path: Path) -> None:
    room = Conference(desk, {"a": ULAW, "b": ULAW, "c": ULAW}, groups=True)
    desk.submit(Record("tape", "b", "", str(tmp_path / "b.wav")))
    room.talk(0.4)
    spread(desk, "call b")
    room.talk(0.4)
    room.join()
    room.talk(0.4)
    desk.submit(StopRecording("tape"))
    ended = desk.wait(RecordingEnded)
    assert ended.gaps < 60
    rate, (channel,) = read_wav(tmp_path / "b.wav")
    assert len(channel) / rate > 1.1
    onset = next(place for place, sample in enumerate(channel) if sample)
    for began in room.began:
        window = channel[onset + round((began - room.began[0] + 0.1) * rate) :][: rate // 5]
        assert loudness(window, TONES["b"], rate) > LOUD


def test_what_is_no_mix(desk: Desk) -> None:
    from pbx.errors import UsageError
    from pbx.media.events import Closed

    phone = Conference(desk, {"a": ULAW})
    with pytest.raises(UsageError):
        desk.submit(Join("a", "room", rate=11025))
    desk.submit(Join("nobody", "room"))
    assert desk.wait(Closed, stream="nobody").reason == "no such stream"
    desk.submit(Leave("a"), SetRole("a", mute=True), Leave("a"))  # it is in none: nothing to do
    assert_hears(phone.talk(0.2), {"a": ""})
