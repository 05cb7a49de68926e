"""Extended reports (RFC 3611): read, and made for a peer that sends some."""

from __future__ import annotations

import struct
import time

import pytest

from pbx.media.commands import Connect
from pbx.rtp.rtcp import ReceiverReport, SenderReport, parse_compound, to_bytes
from tests.support.desk import Desk, Phone, wait_until

PAYLOAD = bytes(160)


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def report(ssrc: int, *blocks: bytes) -> bytes:
    content = struct.pack("!I", ssrc) + b"".join(blocks)
    return to_bytes([ReceiverReport(ssrc, ())]) + struct.pack("!BBH", 0x80, 207, len(content) // 4) + content


def receiver_time(seconds: int, fraction: int) -> bytes:
    return struct.pack("!BBHII", 4, 0, 2, seconds, fraction)


def metrics(ssrc: int, rating: int, score: int) -> bytes:
    values = struct.pack(
        "!IBBBBHHHHbbBBBBBBBBHHH",
        ssrc,
        13,
        0,
        0,
        13,
        0,
        0,
        40,
        60,
        127,
        127,
        127,
        16,
        rating,
        127,
        41,
        score,
        0,
        0,
        40,
        80,
        200,
    )
    return struct.pack("!BBH", 7, 0, 8) + values


def talk(left: Phone, right: Phone) -> None:
    for _ in range(10):
        left.send(PAYLOAD)
        right.send(PAYLOAD)
    left.hear_all(0.05)
    right.hear_all(0.05)


def blocks_of(compound: bytes) -> dict[int, bytes]:
    """Return the blocks of the extended report in a compound, by type."""
    at = 0
    while at < len(compound):
        size = 4 * (struct.unpack_from("!H", compound, at + 2)[0] + 1)
        if compound[at + 1] == 207:
            found, inside = {}, at + 8
            while inside < at + size:
                own = 4 * (struct.unpack_from("!H", compound, inside + 2)[0] + 1)
                found[compound[inside]] = compound[inside + 4 : inside + own]
                inside += own
            return found
        at += size
    return {}


def exchange(desk: Desk, *blocks: bytes) -> tuple[Phone, bytes]:
    """Let two talk, one of them send an extended report, and return it with our next report."""
    left, right = desk.phone("a", ssrc=0xAAAA), desk.phone("b", ssrc=0xBBBB)
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    talk(left, right)
    left.rtcp.sendto(report(0xAAAA, *blocks), (left.to[0], left.to[1] + 1))
    wait_until(lambda: desk.counts("a").rtcp_received == 1)
    left.rtcp.settimeout(8)
    return left, left.rtcp.recv(2048)


def test_who_asks_for_its_round_trip_is_told_and_asked_too(desk: Desk) -> None:
    left, compound = exchange(desk, receiver_time(0x11223344, 0x55667788), metrics(0xDEAD, 90, 40))
    sender = parse_compound(compound)[0]
    assert isinstance(sender, SenderReport)
    blocks = blocks_of(compound)
    ssrc, last, delay = struct.unpack("!III", blocks[5])
    assert (ssrc, last) == (0xAAAA, 0x33445566)
    assert 0 < delay < 8 * 65536
    # Our own time comes back 50 ms later than it was sent, so that is the round trip.
    seconds, fraction = struct.unpack("!II", blocks[4])
    assert abs(seconds - 2208988800 - time.time()) < 2
    middle = (seconds & 0xFFFF) << 16 | fraction >> 16
    answer = struct.pack("!BBHIII", 5, 0, 3, sender.ssrc, middle, 0)
    time.sleep(0.05)
    left.rtcp.sendto(report(0xAAAA, answer), (left.to[0], left.to[1] + 1))
    wait_until(lambda: desk.counts("a").round_trip >= 0)
    assert desk.counts("a").round_trip >= 50
    # The metrics were of another source.
    assert (desk.counts("a").remote_rating, desk.counts("a").remote_score) == (-1, -1)
    assert desk.counts("a").extended_received == 2


def test_who_sends_metrics_gets_ours(desk: Desk) -> None:
    left, compound = exchange(desk, metrics(0, 90, 40))
    sender = parse_compound(compound)[0]
    assert isinstance(sender, SenderReport)
    assert blocks_of(compound) == {}  # those were of nobody's source
    left.rtcp.sendto(report(0xAAAA, metrics(sender.ssrc, 88, 42)), (left.to[0], left.to[1] + 1))
    wait_until(lambda: desk.counts("a").remote_rating == 88)
    assert desk.counts("a").remote_score == 4.2
    left.skip(10)
    left.send(PAYLOAD)
    wait_until(lambda: desk.counts("a").lost == 10)
    ours = blocks_of(left.rtcp.recv(2048))[7]
    ssrc, loss = struct.unpack_from("!IB", ours)
    assert ssrc == 0xAAAA
    assert loss == 10 * 256 // 21
    assert ours[20] == ours[23] == 127  # ratings are not made up


@pytest.mark.parametrize(
    "block",
    [
        b"\x04\x00\x00\x09" + bytes(8),
        b"\x07\x00\x00\x01" + bytes(4),
        b"\x05\x00\x00\x02" + bytes(8),
        b"\xff\x00\x00\x00",
    ],
)
def test_blocks_that_are_wrong_change_nothing(desk: Desk, block: bytes) -> None:
    _left, compound = exchange(desk, block)
    assert blocks_of(compound) == {}
    assert desk.counts("a").round_trip == -1
