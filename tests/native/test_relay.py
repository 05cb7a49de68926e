"""What a receiver hears of what a sender sends: relaying between real sockets."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from pbx.media.commands import Close, Connect, Disconnect, Mute, Query
from pbx.media.events import Closed
from tests.support.desk import ALAW, EVENT, ULAW, Desk, Phone

PAYLOAD = bytes(range(160))


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def couple(desk: Desk, **options):
    left = desk.phone("a", ssrc=0xAAAA, **options)
    right = desk.phone("b", ssrc=0xBBBB, **options)
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    return left, right


def test_both_ways(desk: Desk) -> None:
    left, right = couple(desk)
    for number in range(20):
        left.send(bytes([number]) * 160)
        right.send(bytes([number + 100]) * 160)
        assert right.hear().payload == bytes([number]) * 160
        assert left.hear().payload == bytes([number + 100]) * 160
    counts = desk.counts("a")
    assert (counts.received_packets, counts.sent_packets) == (20, 20)
    assert counts.received_octets == counts.sent_octets == 20 * 172
    assert counts.lost == 0
    assert counts.payload_type == 0
    assert counts.source == f"127.0.0.1:{left.port}"


def test_ipv6(desk: Desk) -> None:
    left, right = couple(desk, address="::1")
    left.send(PAYLOAD)
    assert right.hear().payload == PAYLOAD
    assert desk.counts("a").source == f"[::1]:{left.port}"


def test_between_families(desk: Desk) -> None:
    left = desk.phone("a", address="::1")
    right = desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    left.send(PAYLOAD)
    assert right.hear().payload == PAYLOAD


def test_the_receiver_sees_one_source(desk: Desk) -> None:
    left, right = couple(desk)
    left.send(PAYLOAD, marker=True)
    left.send(PAYLOAD)
    first, second = right.hear(), right.hear()
    assert first.ssrc == second.ssrc not in (left.ssrc, right.ssrc)
    assert first.marker
    assert not second.marker
    assert second.sequence == first.sequence + 1
    assert second.timestamp == (first.timestamp + 160) & 0xFFFFFFFF


def test_loss_and_order_stay_as_they_are(desk: Desk) -> None:
    left, right = couple(desk)
    numbers = [0, 1, 4, 3, 2, 5, 5, 9]
    for number in numbers:
        left.send_raw(left.packet(bytes([number]) * 160, sequence=100 + number, timestamp=160 * number))
    heard = [right.hear() for _ in numbers]
    base = heard[0].sequence
    assert [packet.payload[0] for packet in heard] == numbers
    assert [(packet.sequence - base) & 0xFFFF for packet in heard] == numbers
    assert [(packet.timestamp - heard[0].timestamp) & 0xFFFFFFFF for packet in heard] == [160 * n for n in numbers]
    assert desk.counts("a").lost == 10 - 8  # 6, 7 and 8 never came, and 5 came twice (RFC 3550 A.3)


def test_sequence_and_timestamp_wrap(desk: Desk) -> None:
    left, right = couple(desk)
    left.sequence, left.timestamp = 65530, 0xFFFFFFFF - 800
    for _ in range(20):
        left.send(PAYLOAD)
    heard = [right.hear() for _ in range(20)]
    for before, after in itertools.pairwise(heard):
        assert after.sequence == (before.sequence + 1) & 0xFFFF
        assert after.timestamp == (before.timestamp + 160) & 0xFFFFFFFF
        assert not after.marker
    assert desk.counts("a").lost == 0


def test_header_fields_of_one_leg_stay_there(desk: Desk) -> None:
    left, right = couple(desk)
    plain = left.packet(PAYLOAD)
    csrc_extension_padding = (
        bytes([0x80 | 0x20 | 0x10 | 2]) + plain[1:12] + b"SRC1SRC2" + b"\xbe\xde\x00\x01abcd" + PAYLOAD + b"\0\0\0\4"
    )
    left.send_raw(csrc_extension_padding)
    data = right.rtp.recv(4096)
    assert data[0] == 0x80
    assert data[12:] == PAYLOAD


def test_echo(desk: Desk) -> None:
    phone = desk.phone("a")
    desk.submit(Connect("a", "a"))
    desk.counts("a")
    phone.send(PAYLOAD)
    heard = phone.hear()
    assert heard.payload == PAYLOAD
    assert heard.ssrc != phone.ssrc


def test_payload_numbers_are_mapped(desk: Desk) -> None:
    from pbx.media.commands import Codec

    left = desk.phone("a", (ALAW, Codec(96, "telephone-event", 8000)))
    right = desk.phone("b", (Codec(100, "pcma", 8000), EVENT, Codec(3, "GSM", 8000)))
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    left.send(PAYLOAD, 8)
    left.send(b"\x01\x0a\x00\xa0", 96)
    right.send(PAYLOAD, 100)
    right.send(PAYLOAD, 3)
    assert [right.hear().payload_type, right.hear().payload_type] == [100, 101]
    assert left.hear().payload_type == 8
    assert not left.hear_all()
    assert desk.counts("b").dropped_payload == 1


def test_payload_types_not_negotiated_are_dropped(desk: Desk) -> None:
    left, right = couple(desk)
    left.send(PAYLOAD)
    left.send(PAYLOAD, 18)
    left.send(PAYLOAD)
    first, second = right.hear(), right.hear()
    assert second.sequence == first.sequence + 2
    counts = desk.counts("a")
    assert counts.dropped_payload == 1
    assert counts.received_packets == 3


def test_nowhere_to_go_is_counted(desk: Desk) -> None:
    left = desk.phone("a")
    left.send(PAYLOAD)
    right = desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    desk.set_remote("b", right, send=False)
    left.send(PAYLOAD)
    desk.set_remote("b", right, port=0)
    left.send(PAYLOAD)
    desk.set_remote("b", right)
    desk.submit(Disconnect("b"))
    desk.counts("b")
    left.send(PAYLOAD)
    assert not right.hear_all()
    assert desk.counts("a").dropped_unconnected == 4


def test_mute(desk: Desk) -> None:
    left, right = couple(desk)
    desk.submit(Mute("a", receive=True, send=False))
    desk.counts("a")
    left.send(PAYLOAD)
    right.send(PAYLOAD)
    assert left.hear().payload == PAYLOAD
    desk.submit(Mute("a", receive=False, send=True))
    desk.counts("a")
    left.send(PAYLOAD)
    right.send(PAYLOAD)
    assert right.hear().payload == PAYLOAD
    assert not left.hear_all()
    desk.submit(Mute("a", receive=False, send=False))
    desk.counts("a")
    right.send(PAYLOAD)
    left.hear()


def test_a_third_takes_over_the_connection(desk: Desk) -> None:
    """An early-media announcement, then the phone that answers: the caller hears one clean source."""
    caller, fork = couple(desk)
    answerer = desk.phone("c", ssrc=0xCCCC)
    fork.sequence, answerer.sequence = 7, 60000
    for _ in range(3):
        fork.send(PAYLOAD)
    heard = [caller.hear() for _ in range(3)]
    time.sleep(0.1)
    desk.submit(Connect("a", "c"))
    desk.counts("a")
    fork.send(PAYLOAD)
    for _ in range(3):
        answerer.send(PAYLOAD)
    after = [caller.hear() for _ in range(3)]
    assert not caller.hear_all()
    assert {packet.ssrc for packet in heard + after} == {heard[0].ssrc}
    assert [packet.sequence for packet in after] == [(heard[-1].sequence + n) & 0xFFFF for n in (1, 2, 3)]
    assert [packet.marker for packet in heard + after] == [True, False, False, True, False, False]
    passed = (after[0].timestamp - heard[-1].timestamp) & 0xFFFFFFFF
    assert abs(passed - 8000 * (after[0].at - heard[-1].at)) < 1600
    assert desk.counts("b").dropped_unconnected == 1


def test_the_ssrc_of_the_peer_changes(desk: Desk) -> None:
    left, right = couple(desk)
    for _ in range(3):
        left.send(PAYLOAD)
    left.ssrc, left.sequence, left.timestamp = 0xDEAD, 40000, 99
    for _ in range(3):
        left.send(PAYLOAD)
    heard = [right.hear() for _ in range(6)]
    assert len({packet.ssrc for packet in heard}) == 1
    assert [(packet.sequence - heard[0].sequence) & 0xFFFF for packet in heard] == list(range(6))
    assert [packet.marker for packet in heard] == [True, False, False, True, False, False]
    counts = desk.counts("a")
    assert counts.lost == 0
    assert counts.dropped_source == 0


@pytest.mark.parametrize("jump", [8000 * 3600, -8000 * 3600, 0x7FFFFFFF])
def test_a_jump_of_the_timestamp_goes_on_in_real_time(desk: Desk, jump: int) -> None:
    left, right = couple(desk)
    for _ in range(3):
        left.send(PAYLOAD)
    left.timestamp += jump
    for _ in range(3):
        left.send(PAYLOAD)
    heard = [right.hear() for _ in range(6)]
    steps = [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in itertools.pairwise(heard)]
    assert steps[:2] == steps[3:] == [160, 160]
    assert 160 <= steps[2] < 8000
    assert [packet.marker for packet in heard] == [True, False, False, True, False, False]


def test_a_pause_of_the_talker_is_no_jump(desk: Desk) -> None:
    left, right = couple(desk)
    left.send(PAYLOAD)
    time.sleep(0.3)
    left.timestamp += 2400
    left.send(PAYLOAD, marker=True)
    first, second = right.hear(), right.hear()
    assert (second.timestamp - first.timestamp) & 0xFFFFFFFF == 2560


def test_a_jump_of_the_sequence_is_a_new_line(desk: Desk) -> None:
    left, right = couple(desk)
    for _ in range(2):
        left.send(PAYLOAD)
    left.sequence += 20000
    for _ in range(2):
        left.send(PAYLOAD)
    heard = [right.hear() for _ in range(4)]
    assert [(packet.sequence - heard[0].sequence) & 0xFFFF for packet in heard] == [0, 1, 2, 3]
    assert desk.counts("a").lost == 0


def test_many_gaps_are_no_end(desk: Desk) -> None:
    """Each gap is one of a source that goes on; together they are half of all sequence numbers and more."""
    left, right = couple(desk)
    for _ in range(40):
        left.send(PAYLOAD)
        left.skip(2500, step=0)
    heard = [right.hear() for _ in range(40)]
    assert {(b.sequence - a.sequence) & 0xFFFF for a, b in itertools.pairwise(heard)} == {2501}
    assert desk.counts("a").dropped_late == 0


def muted(desk: Desk, right: Phone) -> Iterator[None]:
    desk.submit(Mute("a", receive=True, send=False))
    yield
    desk.submit(Mute("a", receive=False, send=False))


def held(desk: Desk, right: Phone) -> Iterator[None]:
    desk.set_remote("b", right, send=False)
    yield
    desk.set_remote("b", right)


def apart(desk: Desk, right: Phone) -> Iterator[None]:
    desk.submit(Disconnect("a"))
    yield
    desk.submit(Connect("a", "b"))


@pytest.mark.parametrize("way", [muted, held, apart])
def test_what_was_not_sent_on_is_no_loss(desk: Desk, way: Callable[[Desk, Phone], Iterator[None]]) -> None:
    """RFC 3550 5.1: the sequence number goes on by one for each packet *sent*, however much was withheld before."""
    left, right = couple(desk)
    left.send(PAYLOAD)
    first = right.hear()
    meanwhile = way(desk, right)
    next(meanwhile)
    desk.counts("a")
    for _ in range(17):  # more than half of all sequence numbers, as in eleven minutes
        left.send(PAYLOAD)
        left.skip(2000)
    desk.counts("a")
    next(meanwhile, None)
    desk.counts("a")
    left.send(PAYLOAD)
    second = right.hear()
    assert second.sequence == (first.sequence + 1) & 0xFFFF
    assert second.marker
    assert desk.counts("a").dropped_late == 0


def test_twenty_sources_on_one_port(desk: Desk) -> None:
    """The first is heard, the others change nothing for it."""
    left, right = couple(desk)
    for _ in range(10):
        left.send(PAYLOAD)
        for ssrc in range(19):
            left.send_raw(left.packet(b"x" * 160, ssrc=ssrc, sequence=left.sequence + ssrc))
    heard = right.hear_all()
    assert [packet.payload for packet in heard] == [PAYLOAD] * 10
    assert [packet.marker for packet in heard] == [True] + [False] * 9
    counts = desk.counts("a")
    assert counts.dropped_source + 1 >= 190 - 1
    assert counts.received_packets == 10


def test_nothing_crosses_streams(desk: Desk) -> None:
    pairs = []
    for call in range(10):
        left = desk.phone(f"a{call}", group=f"call{call}")
        right = desk.phone(f"b{call}", group=f"call{call}")
        desk.submit(Connect(f"a{call}", f"b{call}"))
        desk.counts(f"a{call}")
        pairs.append((left, right))
    for number in range(5):
        for call, (left, right) in enumerate(pairs):
            left.send(bytes([call, number]) * 80)
            right.send(bytes([100 + call, number]) * 80)
    for call, (left, right) in enumerate(pairs):
        assert [packet.payload[:2] for packet in right.hear_all(0.05)] == [bytes([call, n]) for n in range(5)]
        assert [packet.payload[:2] for packet in left.hear_all(0.05)] == [bytes([100 + call, n]) for n in range(5)]


def test_closing_ends_the_connection(desk: Desk) -> None:
    left, right = couple(desk)
    left.send(PAYLOAD)
    right.hear()
    closed = desk.close("b")
    assert closed.reason == ""
    assert closed.counts.sent_packets == 1
    left.send(PAYLOAD)
    assert desk.counts("a").dropped_unconnected == 1


def test_unknown_streams_are_answered(desk: Desk) -> None:
    desk.submit(Close("nobody"))
    assert desk.wait(Closed, stream="nobody").reason == "no such stream"
    desk.events.clear()
    desk.phone("a")
    desk.close("a")
    desk.events.clear()
    desk.submit(Query("a"))
    assert desk.wait(Closed, stream="a").reason == "no such stream"
    desk.events.clear()


def test_collision_of_ssrcs(desk: Desk) -> None:
    """RFC 3550 8.2: ours gives way, once."""
    left, right = couple(desk)
    left.send(PAYLOAD)
    right.send(PAYLOAD)
    right.hear()
    ours = left.hear().ssrc
    left.ssrc = ours
    for _ in range(3):
        left.send(PAYLOAD)
    assert len(right.hear_all()) == 3
    right.send(PAYLOAD)
    assert left.hear().ssrc != ours


def test_dtx_keeps_the_clock_of_another_codec(desk: Desk) -> None:
    """The codec changes in the middle of a call; the receiver's timestamps go on."""
    left = desk.phone("a", (ULAW, ALAW))
    right = desk.phone("b", (ULAW, ALAW))
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    left.send(PAYLOAD, 0)
    left.send(PAYLOAD, 8)
    first, second = right.hear(), right.hear()
    assert (first.payload_type, second.payload_type) == (0, 8)
    assert second.timestamp - first.timestamp in (160, 160 - 2**32)


def test_phone_helper_counts_what_it_sends() -> None:
    phone = Phone()
    phone.to = ("127.0.0.1", phone.port)
    phone.send(PAYLOAD)
    assert phone.hear().sequence == 100
    phone.close()
