"""What the engine notices of a stream beside counting it: silence, clipping, who is not believed, ICMP."""

from __future__ import annotations

import math
import struct

import pytest

from pbx.media.commands import Codec, Connect
from pbx.media.events import Refusal
from tests.support.desk import ALAW, G722, OPUS, ULAW, Desk, wait_until

L16 = Codec(97, "L16", 16000)
TONE = bytes(0x80 | (0x20 + int(15 * math.sin(index / 3))) for index in range(160))
LOUD = (b"\x00" * 6 + b"\x40" * 4 + b"\x80" * 6) * 10


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def _linear(*samples: int) -> bytes:
    return struct.pack(f"!{len(samples)}h", *samples)


@pytest.mark.parametrize(
    ("codec", "payload", "silent", "clipped"),
    [
        (ULAW, b"\xff" * 160, 2, 0),
        (ULAW, b"\x7f" * 160, 2, 0),
        (ULAW, TONE, 0, 0),
        (ULAW, LOUD, 0, 2),
        (ULAW, (b"\x00" * 3 + b"\x80" * 3 + b"\x40" * 4) * 16, 0, 0),
        (ALAW, b"\xd5" * 160, 2, 0),
        (ALAW, (b"\x2a" * 5 + b"\x55" * 5) * 16, 0, 2),
        (ALAW, (b"\xaa\x2a\x55\x10") * 40, 0, 0),
        (G722, b"\xfa" * 160, 2, 0),
        (G722, TONE, 0, 0),
        (L16, bytes(640), 2, 0),
        (L16, _linear(*([1, -1, 0, 0] * 80)), 2, 0),
        (L16, _linear(*([300, -300, 20, 7] * 80)), 0, 0),
        (L16, _linear(*([32767] * 5 + [0] * 3 + [-32768] * 8) * 20), 0, 2),
        (OPUS, b"\xf8\xff\xfe", 2, 0),
        (OPUS, bytes(range(40)), 0, 0),
        (ULAW, b"\xff", 0, 0),
        (ULAW, b"", 0, 0),
    ],
)
def test_one_packet_in_sixteen_is_looked_at(
    desk: Desk, codec: Codec, payload: bytes, silent: int, clipped: int
) -> None:
    phone = desk.phone("a", codecs=(codec,))
    for _ in range(33):
        phone.send(payload, codec.payload_type)
    wait_until(lambda: desk.counts("a").received_packets == 33)
    counts = desk.counts("a")
    assert (counts.inspected, counts.silent, counts.clipped) == (2, silent, clipped)


def test_who_is_not_believed_is_named(desk: Desk) -> None:
    phone = desk.phone("a", address="127.0.0.1", settle=False)
    desk.set_remote("a", phone, address="192.0.2.1", port=4000, rtcp_address="192.0.2.1", rtcp_port=4001, latch=False)
    assert desk.counts("a").stranger == ""
    for _ in range(5):
        phone.send(TONE)
    wait_until(lambda: desk.counts("a").dropped_stranger == 5)
    counts = desk.counts("a")
    assert counts.stranger == f"127.0.0.1:{phone.port}"
    assert (counts.source, counts.received_packets) == ("", 0)


def test_a_closed_port_is_heard_of_and_costs_no_packet(desk: Desk) -> None:
    """The phone's socket is closed: loopback answers by ICMP. RTP to others goes on, and ours to it too."""
    phone, other = desk.phone("a"), desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    phone.rtp.close()
    sent = 0
    while desk.counts("a").refused < 2 and sent < 100:
        other.send(TONE)
        sent += 1
        wait_until(lambda: desk.counts("b").received_packets == sent)  # noqa: B023
    counts = desk.counts("a")
    assert counts.refused >= 2
    assert counts.refusal is Refusal.PORT
    assert (counts.sent_packets, counts.send_errors) == (sent, 0)
    assert desk.counts("b").refused == 0
