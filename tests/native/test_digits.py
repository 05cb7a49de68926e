"""Keys as telephone-events (RFC 4733): each press told once, and sent so that any phone reads it."""

from __future__ import annotations

import random
import struct
import time
from itertools import pairwise

import pytest

from pbx.media.commands import Codec, Connect, SendDigits
from pbx.media.events import Digit
from pbx.rtp.telephone_event import TelephoneEvent, press
from tests.support.desk import ULAW, Desk, Phone
from tests.support.vectors import vectors


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def send_press(
    phone: Phone,
    digit: str,
    *,
    duration: int = 1280,
    step: int = 160,
    lost: set[int] | None = None,
    payload_type: int = 101,
) -> None:
    """Send one press at once, without the packets numbered in `lost`."""
    start = phone.timestamp
    for number, event in enumerate(press(digit, duration, step)):
        packet = phone.packet(event.to_bytes(), payload_type, marker=number == 0, timestamp=start)
        phone.sequence += 1
        if number not in (lost or ()):
            phone.send_raw(packet)
    phone.timestamp = start + duration + 800


def told(desk: Desk, count: int) -> str:
    digits = "".join(desk.wait(Digit).digit for _ in range(count))
    desk.none(Digit, 0.2)
    return digits


def test_every_key_is_told_once(desk: Desk) -> None:
    phone = desk.phone("a")
    for digit in "0123456789*#ABCD":
        send_press(phone, digit)
    assert told(desk, 16) == "0123456789*#ABCD"


def test_duration_is_in_milliseconds(desk: Desk) -> None:
    phone = desk.phone("a", (ULAW, Codec(110, "telephone-event", 48000)))
    send_press(phone, "5", duration=9600, step=960, payload_type=110)
    assert desk.wait(Digit).duration == 200


def test_a_key_twice_is_two_keys(desk: Desk) -> None:
    phone = desk.phone("a")
    send_press(phone, "7")
    send_press(phone, "7")
    assert told(desk, 2) == "77"


@pytest.mark.parametrize("lost", [{0}, {0, 1, 2}, {8, 9}, {7, 8, 9}, set(range(3)) | {7, 8, 9}])
def test_lost_packets(desk: Desk, lost: set[int]) -> None:
    phone = desk.phone("a")
    send_press(phone, "3", lost=lost)
    assert told(desk, 1) == "3"


def test_no_key_is_lost_or_doubled_with_one_packet_in_twenty_lost(desk: Desk) -> None:
    """Dialled fast, 50 ms on and 50 ms off: three packets of the key, and its end twice more."""
    phone = desk.phone("a")
    chance = random.Random(4733)
    digits = "".join(chance.choice("0123456789*#ABCD") for _ in range(100))
    drops = 0
    for number, digit in enumerate(digits):
        if number % 10 == 0:
            desk.counts("a")  # what a socket has no room for is the system's to drop
        lost = {packet for packet in range(6) if chance.random() < 0.05}
        drops += len(lost)
        send_press(phone, digit, duration=400, lost=lost)
    assert drops > 20
    assert told(desk, 100) == digits


def test_without_its_end_a_key_is_told_when_the_next_begins(desk: Desk) -> None:
    phone = desk.phone("a")
    send_press(phone, "1", lost={7, 8, 9})
    send_press(phone, "2")
    assert told(desk, 2) == "12"


def test_order_does_not_matter(desk: Desk) -> None:
    phone = desk.phone("a")
    phone.send(bytes(160))
    start = phone.timestamp
    packets = [
        phone.packet(event.to_bytes(), 101, timestamp=start, sequence=phone.sequence + number)
        for number, event in enumerate(press("9", 1280, 160))
    ]
    random.Random(5).shuffle(packets)
    for packet in packets:
        phone.send_raw(packet)
    assert told(desk, 1) == "9"


def test_a_hundred_keys_under_loss(desk: Desk) -> None:
    phone = desk.phone("a")
    chance = random.Random(20)
    keys = "".join(chance.choice("0123456789*#") for _ in range(100))
    for number, key in enumerate(keys):
        if number % 10 == 0:
            desk.counts("a")  # what a socket has no room for is the system's to drop
        send_press(phone, key, lost={packet for packet in range(10) if chance.random() < 0.05})
    assert told(desk, 100) == keys


@pytest.mark.parametrize("jump", [-8000 * 3600, -8000 * 11, 0x7FFFFFFF, 0x80000000])
def test_keys_of_another_line_of_timestamps(desk: Desk, jump: int) -> None:
    """What stands before the peer has changed to another line and kept its SSRC: no packet is late by that."""
    phone = desk.phone("a")
    phone.timestamp += 1 << 31
    send_press(phone, "1")
    phone.timestamp += jump
    send_press(phone, "2")
    send_press(phone, "3")
    assert told(desk, 3) == "123"


def test_a_long_press_in_segments(desk: Desk) -> None:
    """RFC 4733 2.5.1.3: an event longer than 0xFFFF goes on at a new timestamp, without the marker."""
    phone = desk.phone("a")
    start = phone.timestamp
    for timestamp, duration, end in (
        (0, 30000, False),
        (0, 0xFFFF, False),
        (0xFFFF, 4465, False),
        (0xFFFF, 14465, True),
        (0xFFFF, 14465, True),
    ):
        event = TelephoneEvent(4, end, 10, duration)
        phone.send_raw(phone.packet(event.to_bytes(), 101, timestamp=start + timestamp))
        phone.sequence += 1
    assert desk.wait(Digit).duration == 10000
    desk.none(Digit, 0.2)


def test_several_events_in_a_packet(desk: Desk) -> None:
    """RFC 4733 2.5.1.5."""
    phone = desk.phone("a")
    events = [TelephoneEvent(1, True, 10, 400), TelephoneEvent(2, True, 10, 400), TelephoneEvent(3, False, 10, 160)]
    phone.send(b"".join(event.to_bytes() for event in events), 101)
    assert told(desk, 3) == "123"


def test_no_keys(desk: Desk) -> None:
    phone = desk.phone("a")
    phone.send(TelephoneEvent(16, True, 10, 400).to_bytes(), 101)  # flash
    phone.send(TelephoneEvent(255, True, 10, 400).to_bytes(), 101)
    phone.send(b"", 101)
    phone.send(b"\x01\x8a\x01", 101)
    desk.none(Digit, 0.2)


def test_vector(desk: Desk) -> None:
    data = (vectors("rtp") / "aiortc" / "rtp_dtmf.bin").read_bytes()
    phone = desk.phone("a", (ULAW, Codec(data[1] & 0x7F, "telephone-event", 8000)))
    phone.send_raw(data)
    event = TelephoneEvent.parse(data[12:16])
    assert told(desk, 1) == event.digit


def test_keys_are_relayed_as_they_are(desk: Desk) -> None:
    left = desk.phone("a")
    right = desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    left.send(bytes(160))
    send_press(left, "8")
    left.send(bytes(160))
    heard = right.hear_all()
    events = [packet for packet in heard if packet.payload_type == 101]
    assert len(events) == 10
    assert len({packet.timestamp for packet in events}) == 1
    assert [(b.sequence - a.sequence) & 0xFFFF for a, b in pairwise(heard)] == [1] * 11
    assert [packet.marker for packet in events] == [True] + [False] * 9


def test_sending(desk: Desk) -> None:
    phone = desk.phone("a")
    desk.submit(SendDigits("a", "1#", 100))
    heard = phone.hear_all(0.3)
    assert {packet.payload_type for packet in heard} == {101}
    assert len({packet.ssrc for packet in heard}) == 1
    assert [(b.sequence - a.sequence) & 0xFFFF for a, b in pairwise(heard)] == [1] * (len(heard) - 1)
    presses: dict[int, list[tuple[int, int, int]]] = {}
    for packet in heard:
        presses.setdefault(packet.timestamp, []).append(struct.unpack("!BBH", packet.payload))
    assert [packet.marker for packet in heard] == [index % 7 == 0 for index in range(14)]
    for expected, packets in zip((1, 11), presses.values(), strict=True):
        assert {event for event, _, _ in packets} == {expected}
        assert [flags >> 7 for _, flags, _ in packets] == [0, 0, 0, 0, 1, 1, 1]
        assert [duration for _, _, duration in packets] == [160, 320, 480, 640, 800, 800, 800]
    first, second = presses
    assert (second - first) & 0xFFFFFFFF == 8 * (100 + 40 + 60)
    assert abs(heard[7].at - heard[0].at - 0.2) < 0.15


def test_a_key_no_longer_than_a_packet(desk: Desk) -> None:
    """RFC 4733 2.5.1.1: the marker is of the first packet of an event, which may be its last, too."""
    phone = desk.phone("a", packet_time=60)
    desk.submit(SendDigits("a", "12", 40))
    heard = phone.hear_all(0.3)
    assert [packet.marker for packet in heard] == [True, False, False] * 2


def test_sending_takes_the_place_of_what_is_relayed(desk: Desk) -> None:
    left = desk.phone("a")
    right = desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    left.send(bytes(160))
    desk.submit(SendDigits("b", "5", 100))
    for _ in range(20):
        time.sleep(0.02)
        left.send(bytes(160))
    heard = right.hear_all()
    kinds = [packet.payload_type for packet in heard]
    start, end = kinds.index(101), len(kinds) - kinds[::-1].index(101)
    assert kinds[start:end] == [101] * 7
    assert kinds[:start] == [0]
    assert len(kinds) > end
    assert [(b.sequence - a.sequence) & 0xFFFF for a, b in pairwise(heard)] == [1] * (len(heard) - 1)
    after = heard[end]
    assert after.marker
    passed = (after.timestamp - heard[start].timestamp) & 0xFFFFFFFF
    assert abs(passed / 8000 - (after.at - heard[start].at)) < 0.2


def test_more_keys_wait_for_those_before(desk: Desk) -> None:
    phone = desk.phone("a")
    desk.submit(SendDigits("a", "1", 60), SendDigits("a", "2d", 60))
    heard = phone.hear_all(0.3)
    assert [packet.payload[0] for packet in heard if packet.marker] == [1, 2, 15]


def test_a_peer_without_events_or_a_voice_of_ours_is_counted(desk: Desk) -> None:
    phone = desk.phone("a", (Codec(98, "AMR", 8000),))
    desk.submit(SendDigits("a", "1"))
    assert not phone.hear_all()
    assert desk.engine.counters().commands_refused == 1
