"""Whom the engine believes: the address said, a latched one, and nobody else."""

from __future__ import annotations

import time

import pytest

from pbx.media.commands import Connect
from pbx.media.events import Latched
from tests.support.desk import Desk, Phone

PAYLOAD = bytes(range(160))


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def behind_nat(desk: Desk, **options) -> tuple[Phone, Phone]:
    """A phone that says one address and sends from another, and the one it talks to."""
    phone = desk.phone("a", ssrc=0xAAAA, address="127.0.0.1", settle=False)
    desk.set_remote("a", phone, address="192.0.2.1", port=4000, rtcp_address="192.0.2.1", rtcp_port=4001, **options)
    other = desk.phone("b", ssrc=0xBBBB)
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    return phone, other


def stranger_for(desk: Desk, phone: Phone, ssrc: int = 0xBAD) -> Phone:
    stranger = Phone(ssrc=ssrc)
    stranger.to = phone.to
    desk.phones.append(stranger)
    return stranger


def test_a_phone_behind_nat_is_heard_and_answered(desk: Desk) -> None:
    phone, other = behind_nat(desk)
    for _ in range(5):
        phone.send(PAYLOAD)
    heard = [other.hear() for _ in range(5)]
    assert [packet.sequence - heard[0].sequence for packet in heard] == [
        0,
        1,
        2,
        3,
        4,
    ]  # what was held back is not lost
    latched = desk.wait(Latched)
    assert (latched.stream, latched.address, latched.port) == ("a", "127.0.0.1", phone.port)
    other.send(PAYLOAD)
    assert phone.hear().payload == PAYLOAD
    desk.none(Latched, 0.1)


def test_a_few_consistent_packets_are_needed(desk: Desk) -> None:
    phone, other = behind_nat(desk)
    for ssrc in range(20):
        phone.send_raw(phone.packet(PAYLOAD, ssrc=ssrc, sequence=ssrc * 100))
    assert not other.hear_all()
    assert desk.counts("a").source == ""


def test_a_stranger_cannot_steal(desk: Desk) -> None:
    phone, other = behind_nat(desk)
    stranger = stranger_for(desk, phone)
    for _ in range(3):
        phone.send(PAYLOAD)
    desk.wait(Latched)
    for _ in range(10):
        stranger.send(b"x" * 160)
    phone.send(PAYLOAD)
    assert [packet.payload for packet in other.hear_all()] == [PAYLOAD] * 4
    other.send(PAYLOAD)
    phone.hear()
    counts = desk.counts("a")
    assert counts.dropped_stranger == 10
    assert counts.source == f"127.0.0.1:{phone.port}"


def test_not_even_after_a_silence(desk: Desk) -> None:
    phone, other = behind_nat(desk)
    stranger = stranger_for(desk, phone)
    for _ in range(3):
        phone.send(PAYLOAD)
    desk.wait(Latched)
    time.sleep(1.1)
    for _ in range(5):
        stranger.send(b"x" * 160)
    assert [packet.payload for packet in other.hear_all()] == [PAYLOAD] * 3


def test_a_nat_that_changes_the_port_is_followed(desk: Desk) -> None:
    """The same SSRC goes on with its numbers from another port, once the old one is silent."""
    phone, other = behind_nat(desk)
    for _ in range(3):
        phone.send(PAYLOAD)
    desk.wait(Latched)
    moved = stranger_for(desk, phone, phone.ssrc)
    moved.sequence, moved.timestamp = phone.sequence, phone.timestamp
    moved.send(PAYLOAD)
    assert len(other.hear_all(0.05)) == 3  # too early: the old port was heard a moment ago
    time.sleep(1.1)
    for _ in range(4):
        moved.send(PAYLOAD)
    heard = other.hear_all()
    assert len(heard) == 4
    assert not any(packet.marker for packet in heard)  # the source is the same
    assert desk.wait(Latched).port == moved.port
    other.send(PAYLOAD)
    assert moved.hear().payload == PAYLOAD


def test_the_address_said_wins_while_learning(desk: Desk) -> None:
    phone = desk.phone("a")
    other = desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    stranger = stranger_for(desk, phone)
    stranger.send(b"x" * 160)
    stranger.send(b"x" * 160)
    phone.send(PAYLOAD)
    stranger.send(b"x" * 160)
    assert [packet.payload for packet in other.hear_all()] == [PAYLOAD]
    assert desk.counts("a").dropped_stranger == 3


def test_the_address_said_wins_even_after_a_stranger_was_believed(desk: Desk) -> None:
    phone = desk.phone("a")
    other = desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    stranger = stranger_for(desk, phone)
    for _ in range(3):
        stranger.send(b"x" * 160)
    desk.wait(Latched)
    phone.send(PAYLOAD)
    stranger.send(b"x" * 160)
    assert [packet.payload[:1] for packet in other.hear_all()] == [b"x"] * 3 + [PAYLOAD[:1]]
    assert desk.counts("a").source == f"127.0.0.1:{phone.port}"


def test_without_latching_only_the_address_said_is_believed(desk: Desk) -> None:
    phone, other = behind_nat(desk, latch=False)
    for _ in range(5):
        phone.send(PAYLOAD)
    assert not other.hear_all()
    assert desk.counts("a").dropped_stranger == 5


def test_nobody_is_believed_before_the_peer_is_described(desk: Desk) -> None:
    phone = Phone()
    desk.phones.append(phone)
    phone.to = ("127.0.0.1", desk.open("a"))
    for _ in range(5):
        phone.send(PAYLOAD)
    assert desk.counts("a").dropped_stranger == 5


def test_set_remote_opens_the_latch_again(desk: Desk) -> None:
    phone, other = behind_nat(desk)
    for _ in range(3):
        phone.send(PAYLOAD)
    desk.wait(Latched)
    moved = stranger_for(desk, phone, 0xAAAB)
    desk.set_remote("a", phone, address="192.0.2.7", port=4000)
    for _ in range(4):
        moved.send(b"m" * 160)
    assert desk.wait(Latched).port == moved.port
    assert len(other.hear_all()) == 7
    phone.send(PAYLOAD)
    assert not other.hear_all()


def test_a_refresh_that_changes_nothing_loses_nothing(desk: Desk) -> None:
    phone, other = behind_nat(desk)
    stranger = stranger_for(desk, phone)
    for _ in range(3):
        phone.send(PAYLOAD)
    desk.wait(Latched)
    for _ in range(3):
        desk.set_remote("a", phone, address="192.0.2.1", port=4000, rtcp_address="192.0.2.1", rtcp_port=4001)
        stranger.send(b"x" * 160)
        phone.send(PAYLOAD)
        for _ in range(4):
            stranger.send(b"x" * 160)
    heard = other.hear_all()
    assert [packet.payload for packet in heard] == [PAYLOAD] * 6
    assert [packet.marker for packet in heard] == [True] + [False] * 5
    other.send(PAYLOAD)
    phone.hear()


def test_the_old_source_is_heard_until_the_new_address_sends(desk: Desk) -> None:
    old = desk.phone("a", ssrc=1)
    other = desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    new = stranger_for(desk, old, 2)
    old.send(PAYLOAD)
    desk.set_remote("a", new)
    old.send(PAYLOAD)
    other.send(PAYLOAD)
    assert new.hear().payload == PAYLOAD  # the new address is sent to at once
    new.send(PAYLOAD)
    old.send(PAYLOAD)
    assert len(other.hear_all()) == 3
    assert desk.counts("a").dropped_stranger == 1


def test_who_goes_on_from_the_old_address_is_believed_again(desk: Desk) -> None:
    """A phone that says a new address and sends from the old one all the same."""
    phone, other = behind_nat(desk)
    for _ in range(3):
        phone.send(PAYLOAD)
    desk.wait(Latched)
    desk.set_remote("a", phone, address="192.0.2.9", port=4444)
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        phone.send(PAYLOAD)
        time.sleep(0.05)
    other.hear_all(0.05)
    other.send(PAYLOAD)
    assert phone.hear().payload == PAYLOAD
