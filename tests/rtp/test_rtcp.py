from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.errors import ParseError
from pbx.rtp.rtcp import (
    Application,
    Bye,
    Feedback,
    Packet,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    Unknown,
    parse_compound,
    round_trip,
    to_bytes,
)
from tests.support.vectors import vectors


def read(name: str) -> bytes:
    return (vectors("rtp/aiortc") / name).read_bytes()


def test_receiver_report() -> None:
    data = read("rtcp_rr.bin")
    (report,) = parse_compound(data)
    assert report == ReceiverReport(0x30B68407, (ReportBlock(0x479437AF, 0, 0, 630, 1906, 0, 0),))
    assert to_bytes([report]) == data


def test_sender_report() -> None:
    data = read("rtcp_sr.bin")
    (report,) = parse_compound(data)
    assert isinstance(report, SenderReport)
    assert (report.ssrc, report.ntp, report.timestamp) == (0x6D2453EA, 0xDE46475B_151A005C, 0x66A8DD3E)
    assert (report.packets, report.octets) == (0x10D, 0x34F5)
    assert report.reports == (ReportBlock(0x8EF891ED, 0, 0, 246, 127, 0, 0),)
    assert to_bytes([report]) == data


def test_source_description() -> None:
    data = read("rtcp_sdes.bin")
    (description,) = parse_compound(data)
    assert isinstance(description, SourceDescription)
    assert description.cname(0x6D2453EA) == b"{63f459ea-41fe-4474-9d33-9707c9ee79d1}"
    assert description.cname(1) is None
    assert to_bytes([description]) == data


def test_bye() -> None:
    assert parse_compound(read("rtcp_bye.bin")) == (Bye((0xAE528B43,)),)
    assert parse_compound(read("rtcp_bye_no_sources.bin")) == (Bye(()),)
    assert parse_compound(read("rtcp_bye_padding.bin")) == (Bye(()),)
    assert parse_compound(to_bytes([Bye((1, 2), b"teardown")])) == (Bye((1, 2), b"teardown"),)


def test_feedback() -> None:
    assert parse_compound(read("rtcp_psfb_pli.bin")) == (Feedback(True, 1, 0x54506265, 0x23013FB9),)
    (nack,) = parse_compound(read("rtcp_rtpfb.bin"))
    assert isinstance(nack, Feedback)
    assert (nack.payload_specific, nack.message, len(nack.data)) == (False, 1, 40)
    assert to_bytes([nack]) == read("rtcp_rtpfb.bin")


@pytest.mark.parametrize(
    "name",
    [
        "rtcp_bye_invalid.bin",
        "rtcp_psfb_invalid.bin",
        "rtcp_rr_invalid.bin",
        "rtcp_rtpfb_invalid.bin",
        "rtcp_sdes_item_truncated.bin",
        "rtcp_sdes_source_truncated.bin",
        "rtcp_sr_invalid.bin",
    ],
)
def test_truncated(name: str) -> None:
    with pytest.raises(ParseError):
        parse_compound(read(name))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\xc9\x00",
        b"\x40\xc9\x00\x01\x00\x00\x00\x01",  # version 1
        b"\x80\xc9\x00\x02\x00\x00\x00\x01",  # longer than the datagram
        b"\xa0\xcb\x00\x01\x00\x00\x00\x08",  # more padding than packet
        b"\xa0\xcb\x00\x01\x00\x00\x00\x03",  # padding is no multiple of four
        b"\xa0\xcb\x00\x00",  # padding of nothing
        b"\x80\xcc\x00\x01\x00\x00\x00\x01",  # an APP without a name
        b"\x80\xcb\x00\x01\x09abc",  # a reason longer than the packet
    ],
)
def test_what_is_no_rtcp(data: bytes) -> None:
    with pytest.raises(ParseError):
        parse_compound(data)


u32 = st.integers(0, 0xFFFFFFFF)
blocks = st.lists(
    st.builds(ReportBlock, u32, st.integers(0, 255), st.integers(-0x800000, 0x7FFFFF), u32, u32, u32, u32), max_size=3
).map(tuple)
texts = st.binary(min_size=1, max_size=20)
words = st.binary(max_size=3).map(lambda data: data * 4)
packets: st.SearchStrategy[Packet] = st.one_of(
    st.builds(SenderReport, u32, st.integers(0, 2**64 - 1), u32, u32, u32, blocks),
    st.builds(ReceiverReport, u32, blocks),
    st.builds(
        SourceDescription,
        st.lists(st.tuples(u32, st.lists(st.tuples(st.integers(1, 8), texts), max_size=3).map(tuple)), max_size=3).map(
            tuple
        ),
    ),
    st.builds(Bye, st.lists(u32, max_size=3).map(tuple), st.just(b"") | texts),
    st.builds(Application, st.integers(0, 31), u32, st.binary(min_size=4, max_size=4), words),
    st.builds(Feedback, st.booleans(), st.integers(0, 31), u32, u32, words),
    st.builds(Unknown, st.integers(207, 223), st.integers(0, 31), words),
)


@given(st.lists(packets, min_size=1, max_size=4))
def test_what_is_written_is_read(compound: list[Packet]) -> None:
    assert parse_compound(to_bytes(compound)) == tuple(compound)


@given(st.integers(200, 207), st.integers(0, 31), st.binary(max_size=40))
def test_any_bytes_give_packets_or_a_parse_error(packet_type: int, count: int, body: bytes) -> None:
    body += bytes(-len(body) % 4)
    data = bytes((0x80 | count, packet_type, 0, len(body) // 4)) + body
    for datagram in (data, data[:-1], data + b"\x80", body):
        with suppress(ParseError):
            parse_compound(datagram)


def test_loss_is_clamped_to_24_bits() -> None:
    (report,) = parse_compound(to_bytes([ReceiverReport(1, (ReportBlock(2, 255, 2**30, 0, 0),))]))
    assert isinstance(report, ReceiverReport)
    assert report.reports[0].lost == 0x7FFFFF


def test_round_trip_of_rfc_3550_figure_2() -> None:
    # SR sent at ntp 0xb44db705:20000000, report back at 0xb710:8000 with a delay of 5.25 s: 6.125 s there and back.
    block = ReportBlock(1, 0, 0, 0, 0, last_report=0xB7052000, delay=0x00054000)
    assert round_trip(block, 0xB44DB710_80000000) == 6125.0
    assert round_trip(ReportBlock(1, 0, 0, 0, 0), 0xB44DB710_80000000) is None
    assert round_trip(block, 0xB44DB705_20000000) is None
