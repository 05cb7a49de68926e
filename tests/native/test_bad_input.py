"""Whatever arrives: a counter, and no other stream hears of it."""

from __future__ import annotations

import random

import pytest

from pbx.media.commands import Codec, Connect
from tests.support.desk import ULAW, Desk, Phone
from tests.support.vectors import vectors

PAYLOAD = bytes(range(160))


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def couple(desk: Desk) -> tuple[Phone, Phone]:
    left, right = desk.phone("a"), desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    return left, right


def rtp(first: int, rest: bytes) -> bytes:
    return bytes([first, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]) + rest


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        rtp(0x80, b"")[:11],
        rtp(0x00, PAYLOAD),  # version 0
        rtp(0x40, PAYLOAD),  # version 1
        rtp(0xC0, PAYLOAD),  # version 3
        rtp(0x8F, bytes(59)),  # fifteen contributing sources, and not room for them
        rtp(0x90, bytes(3)),  # an extension without its head
        rtp(0x90, b"\xbe\xde\x00\x28" + bytes(159)),  # an extension that is longer than the packet
        rtp(0x90, b"\xbe\xde\xff\xff" + bytes(160)),
        rtp(0xA0, bytes(159) + b"\x00"),  # no padding at all
        rtp(0xA0, bytes(159) + b"\xa1"),  # more padding than packet
        rtp(0xA0, b""),
        rtp(0xB2, bytes(8) + b"\xbe\xde\x00\x01" + bytes(4) + bytes(10) + b"\x0c"),
        rtp(0x80, bytes(4096)),  # larger than any sound
        b"\x00\x01\x00\x00\x21\x12\xa4\x43" + bytes(12),  # a cookie that is none
        b"\x00\x01\x00\x04\x21\x12\xa4\x42" + bytes(12),  # a STUN length that lies
        b"\x16\xfe\xff" + bytes(60),  # DTLS
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_packet(desk: Desk, data: bytes) -> None:
    left, right = couple(desk)
    left.send_raw(data)
    left.send(PAYLOAD)
    assert right.hear().payload == PAYLOAD
    counts = desk.counts("a")
    assert counts.dropped_invalid == 1
    assert counts.received_packets == 1
    assert not right.hear_all(0.02)


def test_rtp_on_the_rtcp_port(desk: Desk) -> None:
    left, _ = couple(desk)
    left.rtcp.sendto(left.packet(PAYLOAD), (left.to[0], left.to[1] + 1))
    assert desk.counts("a").dropped_invalid == 1


@pytest.mark.parametrize("folder", ["rfc5769", "aioice"])
def test_stun_is_counted_and_not_answered(desk: Desk, folder: str) -> None:
    left, right = couple(desk)
    files = sorted((vectors("stun") / folder).glob("*.bin"))
    for file in files:
        left.send_raw(file.read_bytes())
    assert desk.counts("a").stun_received == len(files)
    assert not right.hear_all(0.02)
    assert not left.hear_all(0.02)


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("rtp", 160),
        ("rtp_with_csrc", None),
        ("rtp_only_padding", 0),
        ("rtp_only_padding_with_header_extensions", 0),
        ("rtp_with_sdes_mid", None),
    ],
)
def test_vectors(desk: Desk, name: str, payload: int | None) -> None:
    data = (vectors("rtp") / "aiortc" / f"{name}.bin").read_bytes()
    codec = Codec(data[1] & 0x7F, "x", 8000)
    left = desk.phone("a", (codec,))
    right = desk.phone("b", (codec,))
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    left.send_raw(data)
    heard = right.hear()
    assert data.endswith(heard.payload) or not heard.payload
    if payload is not None:
        assert len(heard.payload) == payload


def test_noise_on_one_stream_leaves_the_others_alone(desk: Desk) -> None:
    left, right = couple(desk)
    noisy = desk.phone("noisy", group="another")
    chance = random.Random(1)
    for number in range(50):
        for _ in range(20):
            noisy.send_raw(chance.randbytes(chance.randrange(1, 400)))
        left.send(PAYLOAD)
        if number % 2:
            desk.counts("noisy")  # what a socket has no room for is the system's to drop
    heard = right.hear_all()
    assert [packet.payload for packet in heard] == [PAYLOAD] * 50
    assert [(packet.sequence - heard[0].sequence) & 0xFFFF for packet in heard] == list(range(50))
    counts = desk.counts("a")
    assert (counts.dropped_invalid, counts.dropped_stranger, counts.lost) == (0, 0, 0)
    noise = desk.counts("noisy")
    assert noise.dropped_invalid > 500


def test_mutated_packets(desk: Desk) -> None:
    """Any bits of a good packet turned: the engine lives and counts every datagram somewhere."""
    left, _ = couple(desk)
    chance = random.Random(2)
    sent = 400
    for _ in range(sent):
        data = bytearray(left.packet(PAYLOAD))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(16)] ^= 1 << chance.randrange(8)
        left.send_raw(bytes(data))
        left.sequence += 1
        if left.sequence % 50 == 0:
            desk.counts("a")
    counts = desk.counts("a")
    accounted = (
        counts.received_packets
        + counts.rtcp_received
        + counts.dropped_invalid
        + counts.dropped_source
        + counts.dropped_stranger
        + counts.stun_received
    )
    # A source on probation may hold two back, and what has another payload type than any source is only that.
    assert sent - 2 <= accounted + counts.dropped_payload
    assert accounted <= sent


def test_a_looping_packet(desk: Desk) -> None:
    left, right = couple(desk)
    packet = left.packet(PAYLOAD)
    for _ in range(50):
        left.send_raw(packet)
    heard = right.hear_all()
    assert len({heard_packet.sequence for heard_packet in heard}) == 1
    assert desk.counts("a").lost == 1 - 50


def test_codecs_that_are_none(desk: Desk) -> None:
    from pbx.errors import UsageError

    phone = desk.phone("a")
    for codec in (Codec(128, "PCMU", 8000), Codec(-1, "PCMU", 8000), Codec(0, "PCMU", 0), Codec(0, "PCMU", 8000, 0)):
        with pytest.raises(UsageError):
            desk.set_remote("a", phone, (codec,), settle=False)
    with pytest.raises(UsageError):
        desk.set_remote("a", phone, (ULAW,) * 17, settle=False)
    with pytest.raises(UsageError):
        desk.set_remote("a", phone, address="phone.example.com", settle=False)
    desk.set_remote("a", phone, (Codec(0, "x" * 100, 8000),))
