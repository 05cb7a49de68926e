"""Pairs of ports that are bound ahead of the streams that will have them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pbx.media.commands import Connect, Open
from pbx.media.events import Closed, Opened
from tests.native.test_life import free_block
from tests.support.desk import Desk, wait_until

FIRST, LAST = 33000, 33199


def bound(first: int = FIRST, last: int = LAST) -> dict[str, set[int]]:
    """Return the UDP ports of the range that are bound in this machine, by the address as the kernel writes it."""
    found: dict[str, set[int]] = {}
    for table in ("udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            address, _, port = line.split()[1].partition(":")
            if first <= int(port, 16) <= last:
                found.setdefault(address, set()).add(int(port, 16))
    return found


def total(first: int = FIRST, last: int = LAST) -> int:
    return sum(len(ports) for ports in bound(first, last).values())


def settled(desk: Desk, pairs: int, first: int = FIRST, last: int = LAST) -> None:
    """Wait until so many pairs are bound, and those that no stream has are ready for one."""

    def done() -> bool:
        counters = desk.engine.counters()
        return total(first, last) == 2 * pairs and counters.ports_ready == pairs - len(desk.ports)

    wait_until(done)


@pytest.fixture
def free_range():
    holders = free_block(10)
    first = holders[0].getsockname()[1]
    for holder in holders:
        holder.close()
    return first, first + 9


def test_they_are_bound_once_an_address_is_in_use_and_closed_at_the_end() -> None:
    with Desk(FIRST, LAST, spares=3) as desk:
        assert total() == 0
        desk.open("a")
        settled(desk, 1 + 3)
        desk.open("b", address="::1")
        settled(desk, 2 * (1 + 3))
        assert len(bound()) == 2
        counters = desk.engine.counters()
        assert (counters.ports_ready, counters.ports_free) == (6, (LAST - FIRST + 1) // 2 - 8)
    assert total() == 0


def test_a_stream_takes_one_and_it_is_made_up_for() -> None:
    with Desk(FIRST, LAST, spares=2) as desk:
        desk.open("a")
        settled(desk, 1 + 2)
        for name in "bcdefgh":
            kept = next(iter(bound().values())) - set(desk.ports.values())
            assert desk.open(name) in kept
            settled(desk, len(desk.ports) + 2)
        assert len(set(desk.ports.values())) == len(desk.ports) == 8


def test_sound_goes_through_streams_that_have_them() -> None:
    with Desk(FIRST, LAST, spares=4) as desk:
        desk.open("first")
        settled(desk, 1 + 4)
        left, right = desk.phone("a"), desk.phone("b")
        desk.submit(Connect("a", "b"))
        desk.counts("a")
        left.send(b"l" * 160)
        right.send(b"r" * 160)
        assert (right.hear().payload, left.hear().payload) == (b"l" * 160, b"r" * 160)


def test_what_came_before_a_stream_had_it_is_read_away() -> None:
    with Desk(FIRST, LAST, spares=1) as desk, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        desk.open("first")
        settled(desk, 1 + 1)
        (kept,) = {port for port in next(iter(bound().values())) if port % 2 == 0} - {desk.ports["first"]}
        for port in (kept, kept, kept + 1):
            stranger.sendto(b"\x80\0" + bytes(170), ("127.0.0.1", port))
        left = desk.phone("a")
        assert desk.ports["a"] == kept
        right = desk.phone("b")
        desk.submit(Connect("a", "b"))
        desk.counts("a")
        left.send(b"l" * 160)
        assert right.hear().payload == b"l" * 160
        counts = desk.counts("a")
        assert (counts.received_packets, counts.dropped_stranger, counts.rtcp_received) == (1, 0, 0)


def test_one_that_somebody_goes_on_sending_to_is_not_given() -> None:
    with Desk(FIRST, LAST, spares=1) as desk, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        desk.open("first")
        settled(desk, 1 + 1)
        (kept,) = {port for port in next(iter(bound().values())) if port % 2 == 0} - {desk.ports["first"]}
        for _ in range(40):
            stranger.sendto(b"\x80\0" + bytes(170), ("127.0.0.1", kept))
        assert desk.open("a") != kept
        assert desk.engine.counters().ports_draining == 1


def test_what_is_kept_at_one_address_is_given_up_for_a_stream_at_another(free_range: tuple[int, int]) -> None:
    """Five pairs: one in use and the other four kept beside it; the stream at another address must not go without."""
    with Desk(*free_range, spares=8) as desk:
        desk.open("a")
        settled(desk, 5, *free_range)
        assert (desk.engine.counters().ports_ready, desk.engine.counters().ports_free) == (4, 0)
        for number in range(4):
            desk.open(f"b{number}", address="::1")
        desk.submit(Open("c", "call", "127.0.0.1"))
        assert "in use" in desk.wait(Closed, stream="c").reason
        assert (desk.engine.counters().ports_ready, desk.engine.counters().ports_free) == (0, 0)


def test_an_address_that_was_not_asked_for_longest_has_to_go() -> None:
    addresses = [f"127.0.0.{number}" for number in range(1, 6)]
    with Desk(FIRST, LAST, spares=2) as desk:
        for number, address in enumerate(addresses):
            desk.open(f"s{number}", address=address)
            # Four addresses at most have some to spare.
            settled(desk, number + 1 + 2 * min(4, number + 1))
        assert len(bound()["0100007F"]) == 2
        assert len(bound()["0500007F"]) == 6


def test_an_address_that_is_not_ours_has_none() -> None:
    with Desk(FIRST, LAST, spares=2) as desk:
        desk.submit(Open("a", "call", "192.0.2.1"))
        assert desk.wait(Closed, stream="a").reason
        assert not [event for event in desk.events if isinstance(event, Opened)]
        assert total() == 0
        desk.open("b")
        settled(desk, 1 + 2)
        # Nor does it cost others theirs.
        desk.submit(Open("c", "call", "192.0.2.1"))
        assert desk.wait(Closed, stream="c").reason
        assert desk.engine.counters().ports_ready == 2
