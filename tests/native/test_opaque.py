"""Datagrams that are relayed as they come: UDPTL, and RTP with RTCP that nobody here looks into."""

from __future__ import annotations

import pytest

from pbx.media.commands import Connect, Mute
from pbx.media.events import Latched
from tests.support.desk import Desk, Phone

UDPTL = bytes([0, 7, 6, 1, 2, 3, 4, 5, 6, 0])
"""A datagram that is no RTP: its first octet is a sequence number (T.38 Annex A)."""


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def couple(desk: Desk, **options) -> tuple[Phone, Phone]:
    left = desk.phone("a", (), opaque=True, **options)
    right = desk.phone("b", (), opaque=True, **options)
    desk.submit(Connect("a", "b"))
    desk.counts("b")
    return left, right


def receive(phone: Phone, control: bool = False) -> bytes:
    return (phone.rtcp if control else phone.rtp).recv(4096)


def test_any_datagram_goes_both_ways_unchanged(desk: Desk) -> None:
    left, right = couple(desk)
    for datagram in (UDPTL, b"\x00", bytes(range(256)), b"\x80" + bytes(1399)):
        left.send_raw(datagram)
        assert receive(right) == datagram
        right.send_raw(datagram[::-1])
        assert receive(left) == datagram[::-1]
    counts = desk.counts("a")
    octets = len(UDPTL) + 1 + 256 + 1400
    assert (counts.received_packets, counts.sent_packets) == (4, 4)
    assert (counts.received_octets, counts.sent_octets) == (octets, octets)
    assert counts.source == f"127.0.0.1:{left.port}"
    assert counts.rtcp_sent == 0


def test_reports_and_feedback_go_to_the_port_for_them(desk: Desk) -> None:
    left = desk.phone("a", (), opaque=True)
    right = desk.phone("b", (), opaque=True, rtcp_mux=True)
    desk.submit(Connect("a", "b"))
    desk.counts("b")
    picture_loss = bytes.fromhex("81ce0002aabbccdd11223344")
    left.rtcp.sendto(picture_loss, (left.to[0], left.to[1] + 1))
    assert receive(right) == picture_loss
    right.send_raw(picture_loss[:4] + bytes(8))
    assert receive(left, control=True) == picture_loss[:4] + bytes(8)
    assert (desk.counts("a").rtcp_received, desk.counts("a").rtcp_sent) == (1, 1)
    assert desk.counts("a").received_packets == 0


def test_who_is_behind_nat_is_latched_once(desk: Desk) -> None:
    left, right = couple(desk)
    desk.set_remote("a", left, (), opaque=True, address="192.0.2.1", port=4000, rtcp_address="192.0.2.1")
    left.send_raw(UDPTL)
    assert receive(right) == UDPTL
    assert desk.wait(Latched, stream="a").port == left.port
    right.send_raw(UDPTL)
    assert receive(left) == UDPTL
    stranger = Phone()
    desk.phones.append(stranger)
    stranger.to = left.to
    stranger.send_raw(UDPTL)
    assert desk.counts("a").dropped_stranger == 1


def test_a_stranger_is_not_heard_without_latch(desk: Desk) -> None:
    left, right = couple(desk, latch=False)
    stranger = Phone()
    desk.phones.append(stranger)
    stranger.to = left.to
    stranger.send_raw(UDPTL)
    left.send_raw(b"mine")
    assert receive(right) == b"mine"
    assert desk.counts("a").dropped_stranger == 1


def test_nothing_goes_where_it_may_not(desk: Desk) -> None:
    left, right = couple(desk)
    desk.submit(Mute("b", receive=False, send=True))
    desk.counts("b")
    left.send_raw(UDPTL)
    assert desk.counts("a").dropped_unconnected == 1
    desk.submit(Mute("b", receive=False, send=False))
    desk.set_remote("b", right)  # heard as RTP again: not what the other side sends
    left.send_raw(UDPTL)
    left.send_raw(b"")
    counts = desk.counts("a")
    assert (counts.dropped_unconnected, counts.dropped_invalid) == (2, 1)
    assert desk.counts("b").sent_packets == 0
