"""RTCP: our reports, what we read of the peer's, and what is no RTCP."""

from __future__ import annotations

import struct
import time

import pytest

from pbx.media.commands import Close, Connect
from pbx.media.engine import Engine
from pbx.media.events import NoMedia
from pbx.rtp.rtcp import Bye, ReceiverReport, ReportBlock, SenderReport, SourceDescription, parse_compound, to_bytes
from tests.support.desk import Desk, Phone, wait_until
from tests.support.vectors import vectors

PAYLOAD = bytes(160)


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def talk(left: Phone, right: Phone, packets: int = 10) -> None:
    for _ in range(packets):
        left.send(PAYLOAD)
        right.send(PAYLOAD)
    left.hear_all(0.05)
    right.hear_all(0.05)


def reports(phone: Phone) -> tuple[object, ...]:
    phone.rtcp.settimeout(8)
    return tuple(parse_compound(phone.rtcp.recv(2048)))


def test_each_leg_has_reports_of_its_own(desk: Desk) -> None:
    left = desk.phone("a", ssrc=0xAAAA)
    right = desk.phone("b", ssrc=0xBBBB)
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    talk(left, right)
    left.skip(5)
    talk(left, right)
    left.rtcp.sendto(to_bytes([SenderReport(0xAAAA, 0x1122334455667788, 1, 1, 1)]), (left.to[0], left.to[1] + 1))
    first = reports(left)
    sender, description = first
    assert isinstance(sender, SenderReport)
    assert (sender.packets, sender.octets) == (20, 20 * 160)
    assert abs((sender.ntp >> 32) - 2208988800 - time.time()) < 2
    (block,) = sender.reports
    assert (block.ssrc, block.lost, block.highest_sequence) == (0xAAAA, 5, left.sequence - 1)
    assert block.fraction_lost == 5 * 256 // 25
    assert block.last_report == 0x33445566
    assert 0 < block.delay < 8 * 65536
    assert isinstance(description, SourceDescription)
    name = description.cname(sender.ssrc)
    assert name is not None
    assert len(name) == 16  # random: RFC 7022
    other_sender, other_description = reports(right)
    assert isinstance(other_sender, SenderReport)
    assert isinstance(other_description, SourceDescription)
    assert other_sender.reports[0].lost == 0
    assert other_description.cname(other_sender.ssrc) != name
    assert sender.ssrc not in (0xAAAA, 0xBBBB, other_sender.ssrc)

    # What the peer says of us is read. It had our report 0.1 s.
    peer = ReportBlock(sender.ssrc, 0, 3, 20, 80, sender.ntp >> 16 & 0xFFFFFFFF, 6554)
    time.sleep(0.15)
    left.rtcp.sendto(to_bytes([ReceiverReport(0xAAAA, (peer,))]), (left.to[0], left.to[1] + 1))
    time.sleep(0.05)
    counts = desk.counts("a")
    assert counts.remote_lost == 3
    assert counts.remote_jitter == 10.0
    assert counts.round_trip > 40
    assert counts.rtcp_received == 2
    assert counts.rtcp_sent == 1

    # RFC 3550 6.3.7: BYE in a compound at the end.
    desk.submit(Close("a"))
    compound = reports(left)
    assert isinstance(compound[-1], Bye)
    assert compound[-1].ssrcs == (sender.ssrc,)


def test_multiplexed(desk: Desk) -> None:
    left = desk.phone("a", ssrc=0xAAAA, rtcp_mux=True)
    right = desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    talk(left, right)
    left.send_raw(to_bytes([SenderReport(0xAAAA, 0x1122334455667788, 1, 1, 1)]))
    desk.submit(Close("a"))
    left.rtp.settimeout(2)
    while not 192 <= (data := left.rtp.recv(2048))[1] <= 223:
        pass
    (sender, *_) = parse_compound(data)
    assert isinstance(sender, SenderReport)
    assert sender.reports[0].last_report == 0x33445566
    assert desk.close("b").counts.received_packets == 10


def test_jitter_is_measured(desk: Desk) -> None:
    phone = desk.phone("a")
    for number in range(100):
        phone.send(PAYLOAD)
        time.sleep(0.01 if number % 2 else 0.03)
    jitter = desk.counts("a").jitter
    assert 5 < jitter < 20  # of a difference of 10 ms each time


def test_a_source_that_says_bye_may_be_followed_at_once(desk: Desk) -> None:
    left = desk.phone("a", ssrc=1)
    right = desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    left.send(PAYLOAD)
    left.rtcp.sendto(to_bytes([ReceiverReport(1), Bye((1,))]), (left.to[0], left.to[1] + 1))
    desk.counts("a")
    left.ssrc, left.sequence = 2, 9
    left.send(PAYLOAD)
    assert len(right.hear_all()) == 2


def test_a_source_is_not_told_of_reports_of_the_one_before(desk: Desk) -> None:
    """RFC 3550 6.4.1: of a source whose sender report has not come, LSR and DLSR are zero."""
    left = desk.phone("a", ssrc=1)
    desk.submit(Connect("a", "a"))
    desk.counts("a")
    left.send(PAYLOAD)
    report = to_bytes([SenderReport(1, 0x1122334455667788, 1, 1, 1), Bye((1,))])
    left.rtcp.sendto(report, (left.to[0], left.to[1] + 1))
    desk.counts("a")
    left.ssrc, left.sequence = 2, 9
    left.send(PAYLOAD)
    desk.submit(Close("a"))
    (sender, *_) = reports(left)
    assert isinstance(sender, SenderReport)
    (block,) = sender.reports
    assert (block.ssrc, block.last_report, block.delay) == (2, 0, 0)


def test_counts_begin_anew_with_our_ssrc(desk: Desk) -> None:
    """RFC 3550 6.4.1, after a collision (8.2)."""
    left = desk.phone("a", ssrc=1)
    desk.submit(Connect("a", "a"))
    desk.counts("a")
    for _ in range(5):
        left.send(PAYLOAD)
        ours = left.hear().ssrc
    left.ssrc = ours
    for _ in range(3):
        left.send(PAYLOAD)
    new = {left.hear().ssrc for _ in range(3)} - {ours}
    desk.submit(Close("a"))
    bye, report = reports(left), reports(left)[0]
    assert isinstance(bye[-1], Bye)
    assert bye[-1].ssrcs == (ours,)
    assert isinstance(report, SenderReport)
    assert {report.ssrc} == new
    assert (report.packets, report.octets) == (3, 3 * 160)


def test_reports_may_be_wanted_often() -> None:
    """However short the interval, there is time for something else between two reports."""
    with Desk() as desk:
        desk.events += desk.engine.close()
        desk.engine = Engine(30000, 30999, drain=50, workers=1, report_interval=1)
        phone = desk.phone("a")
        phone.send(PAYLOAD)
        wait_until(lambda: desk.counts("a").rtcp_sent > 3)


def test_reports_of_strangers_are_dropped(desk: Desk) -> None:
    phone = desk.phone("a", latch=False)
    stranger = Phone()
    desk.phones.append(stranger)
    stranger.rtcp.sendto(to_bytes([ReceiverReport(1)]), (phone.to[0], phone.to[1] + 1))
    counts = desk.counts("a")
    assert (counts.dropped_stranger, counts.rtcp_received) == (1, 0)


def test_reports_from_behind_nat_are_found(desk: Desk) -> None:
    phone = desk.phone("a", settle=False)
    desk.set_remote("a", phone, address="192.0.2.1", port=4000, rtcp_address="192.0.2.1", rtcp_port=4001)
    desk.submit(Connect("a", "a"))
    desk.counts("a")
    for _ in range(5):
        phone.send(PAYLOAD)
    phone.hear_all(0.05)
    phone.rtcp.sendto(to_bytes([ReceiverReport(phone.ssrc)]), (phone.to[0], phone.to[1] + 1))
    assert desk.counts("a").rtcp_received == 1
    desk.submit(Close("a"))
    assert isinstance(reports(phone)[-1], Bye)


def test_another_address_for_reports_alone_is_followed(desk: Desk) -> None:
    phone = desk.phone("a")
    elsewhere = Phone()
    desk.phones.append(elsewhere)
    desk.submit(Connect("a", "a"))
    desk.counts("a")
    for _ in range(5):
        phone.send(PAYLOAD)
    phone.hear_all(0.05)
    desk.set_remote("a", phone, rtcp_port=elsewhere.rtcp_port)
    desk.submit(Close("a"))
    assert isinstance(reports(elsewhere)[-1], Bye)


@pytest.mark.parametrize("name", ["rtcp_bye_invalid", "rtcp_rr_invalid", "rtcp_sr_invalid"])
def test_invalid_vectors(desk: Desk, name: str) -> None:
    phone = desk.phone("a")
    data = (vectors("rtp") / "aiortc" / f"{name}.bin").read_bytes()
    phone.rtcp.sendto(data, (phone.to[0], phone.to[1] + 1))
    counts = desk.counts("a")
    assert (counts.dropped_invalid, counts.rtcp_received) == (1, 0)


def test_every_vector_is_survived_and_counted(desk: Desk) -> None:
    phone = desk.phone("a")
    files = sorted((vectors("rtp") / "aiortc").glob("rtcp_*.bin"))
    for file in files:
        phone.rtcp.sendto(file.read_bytes(), (phone.to[0], phone.to[1] + 1))
    counts = desk.counts("a")
    assert counts.rtcp_received + counts.dropped_invalid == len(files)
    assert counts.rtcp_received >= 7


def test_lengths_that_lie(desk: Desk) -> None:
    phone = desk.phone("a")
    good = to_bytes([ReceiverReport(1, (ReportBlock(2, 0, 0, 0, 0),))])
    bad = [
        good[:-4],
        good + b"\x80",
        good[:2] + struct.pack("!H", 100) + good[4:],
        bytes([0x9F]) + good[1:],
        bytes([0x40]) + good[1:],
        bytes([good[0] | 0x20]) + good[1:-1] + b"\xff",
        good + b"\x80\xc9\xff\xff",
    ]
    for data in bad:
        phone.rtcp.sendto(data, (phone.to[0], phone.to[1] + 1))
    counts = desk.counts("a")
    assert (counts.dropped_invalid, counts.rtcp_received) == (len(bad), 0)


def test_silence_is_told_again_until_it_ends(desk: Desk) -> None:
    phone = desk.phone("a", no_media_timeout=150)
    for _ in range(3):
        event = desk.wait(NoMedia)
        assert (event.stream, event.milliseconds) == ("a", 150)
    for _ in range(10):
        phone.send(PAYLOAD)
        time.sleep(0.03)
    desk.drain(0.0)
    desk.events = [event for event in desk.events if not isinstance(event, NoMedia)]
    desk.none(NoMedia, 0.05)
    desk.wait(NoMedia)


def test_who_need_not_send_may_be_silent(desk: Desk) -> None:
    phone = desk.phone("a", no_media_timeout=100, receive=False)
    desk.none(NoMedia, 0.3)
    desk.set_remote("a", phone, no_media_timeout=100)
    assert desk.wait(NoMedia)
    desk.set_remote("a", phone, no_media_timeout=0)
    desk.none(NoMedia, 0.3)
