"""Keys as tones in the voice (ITU-T Q.23): made by the engine for one peer, heard by it from another."""

from __future__ import annotations

import random
import time

import pytest

from pbx.media.commands import Clamp, Codec, Connect, HearDigits, SendDigits
from pbx.media.events import Digit
from tests.support.desk import ALAW, EVENT, G722, OPUS, ULAW, Desk, Heard

_ALL = "0123456789*#ABCD"


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def tones(desk: Desk, codec: Codec, digits: str, duration: int) -> list[Heard]:
    """Return the packets that the engine makes of keys, without waiting longer than they last."""
    phone = desk.phone("sender", (codec,))
    desk.submit(SendDigits("sender", digits, duration))
    return phone.hear_for((duration + 60) * len(digits) / 1000 + 0.3)


def press(desk: Desk, packets: list[Heard], codec: Codec, lost: set[int], name: str = "hearer") -> list[Digit]:
    """Let a phone say these packets at their pace, but those lost; return the keys that are told."""
    phone = desk.phone(name, (codec,))
    desk.submit(HearDigits(name, True))
    desk.counts(name)  # that it listens
    begin, first = time.monotonic(), packets[0]
    silence = b"\xff" * 160 if codec is ULAW else b"\xd5" * 160
    for number in range(len(packets) + 15):
        time.sleep(max(0.0, begin + number * 0.02 - time.monotonic()))
        one = packets[number] if number < len(packets) else None
        if number not in lost and (one is not None or codec in (ULAW, ALAW)):
            stamp = first.timestamp + number * 160 if one is None else one.timestamp
            payload = silence if one is None else one.payload
            phone.send_raw(phone.packet(payload, codec.payload_type, timestamp=stamp))
        phone.sequence += 1
    found: list[Digit] = []
    time.sleep(0.3)
    desk.drain()
    while True:
        try:
            found.append(desk.wait(Digit, 0.05))
        except AssertionError:
            return found


@pytest.mark.parametrize("codec", [ULAW, G722], ids=["PCMU", "G722"])
def test_every_key_is_made_and_heard_once(desk: Desk, codec: Codec) -> None:
    packets = tones(desk, codec, _ALL, 80)
    assert {packet.payload_type for packet in packets} == {codec.payload_type}
    told = press(desk, packets, codec, set())
    assert "".join(one.digit for one in told) == _ALL
    assert all(50 <= one.duration <= 120 for one in told)


def test_no_key_is_lost_or_doubled_with_one_packet_in_twenty_lost(desk: Desk) -> None:
    digits = "1122*#AD5"
    packets = tones(desk, ALAW, digits, 100)
    chance = random.Random(4733)
    lost = {number for number in range(len(packets)) if chance.random() < 0.05}
    assert lost
    assert "".join(one.digit for one in press(desk, packets, ALAW, lost)) == digits


@pytest.mark.parametrize(("clamp", "loud"), [("events", False), ("never", True)])
def test_nothing_of_a_tone_goes_to_a_side_that_has_events(desk: Desk, clamp: Clamp, loud: bool) -> None:
    """It is told of the key by an event, and may hear tones, too."""
    packets = tones(desk, ULAW, "1*", 80)
    other = desk.phone("other", (ULAW, EVENT))
    phone = desk.phone("hearer", (ULAW,))
    desk.submit(Connect("hearer", "other"), HearDigits("hearer", True, clamp))
    desk.counts("hearer")  # that it is connected
    begin = time.monotonic()
    for number, packet in enumerate(packets):
        time.sleep(max(0.0, begin + number * 0.02 - time.monotonic()))
        phone.send(packet.payload)
    assert [desk.wait(Digit).digit for _ in "1*"] == ["1", "*"]
    heard = [packet.payload for packet in other.hear_all()]
    assert len(heard) >= len(packets) - 3
    assert any(max(~octet & 0x7F for octet in payload) > 0x30 for payload in heard) is loud


def test_speech_without_keys_tells_none(desk: Desk) -> None:
    chance = random.Random(1)
    packets = [
        Heard(0, False, n, n * 160, 1, bytes(chance.randrange(256) for _ in range(160)), 0, 0) for n in range(50)
    ]
    assert press(desk, packets, ULAW, set()) == []


def test_nobody_listens_unless_asked(desk: Desk) -> None:
    packets = tones(desk, ULAW, "5", 100)
    phone = desk.phone("hearer", (ULAW,))
    desk.submit(HearDigits("hearer", True), HearDigits("hearer", False))
    for packet in packets:
        phone.send(packet.payload)
    desk.none(Digit, 0.3)


def test_each_key_keeps_its_own_duration(desk: Desk) -> None:
    phone = desk.phone("a", (ULAW, EVENT))
    desk.submit(SendDigits("a", "1", 60), SendDigits("a", "2", 200))
    events = [packet for packet in phone.hear_for(0.7) if packet.payload_type == 101]
    ends = {
        (packet.payload[0], int.from_bytes(packet.payload[2:], "big")) for packet in events if packet.payload[1] & 0x80
    }
    assert ends == {(1, 480), (2, 1600)}


def test_events_say_whether_they_are_relayed(desk: Desk) -> None:
    """A clock that the other side lacks is not: an Opus phone's events towards one that has those of 8 kHz."""
    wide = Codec(100, "telephone-event", 48000)
    phone = desk.phone("a", (OPUS, EVENT, wide))
    other = desk.phone("b", (ULAW, EVENT))
    desk.submit(Connect("a", "b"))
    desk.counts("a")  # that it is connected
    for payload_type in (101, 100):
        end = bytes((7, 0x8A, 0x03, 0x20))
        phone.send_raw(phone.packet(end, payload_type, marker=True))
        phone.sequence += 1
        phone.timestamp += 9600
    assert [desk.wait(Digit).relayed for _ in range(2)] == [True, False]
    assert [packet.payload[0] for packet in other.hear_all() if packet.payload_type == 101] == [7]
