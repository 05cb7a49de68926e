from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.errors import ParseError
from pbx.rtp.packet import Extension, Kind, RtpPacket, kind_of
from tests.support.vectors import vectors


def read(name: str) -> bytes:
    return (vectors("rtp/aiortc") / name).read_bytes()


def test_plain_packet() -> None:
    data = read("rtp.bin")
    packet = RtpPacket.parse(data)
    assert (packet.payload_type, packet.sequence, packet.timestamp, packet.ssrc) == (0, 0x3D7F, 0xEAAA63F4, 0xF01B40E9)
    assert len(packet.payload) == 160
    assert not packet.marker
    assert packet.to_bytes() == data


def test_contributing_sources() -> None:
    data = read("rtp_with_csrc.bin")
    packet = RtpPacket.parse(data)
    assert packet.csrcs == (0xABCDEF01, 0xDEADBEEF)
    assert len(packet.payload) == 160
    assert packet.to_bytes() == data


def test_header_extension() -> None:
    data = read("rtp_with_sdes_mid.bin")
    packet = RtpPacket.parse(data)
    assert packet.extension is not None
    assert packet.extension.elements() == ((9, b"0"),)
    assert packet.to_bytes() == data


@pytest.mark.parametrize(
    ("name", "padding"),
    [("rtp_only_padding.bin", 224), ("rtp_only_padding_with_header_extensions.bin", 224)],
)
def test_nothing_but_padding(name: str, padding: int) -> None:
    packet = RtpPacket.parse(read(name))
    assert packet.payload == b""
    assert packet.padding == padding


def test_two_byte_extension_elements() -> None:
    extension = Extension(0x1000, b"\x01\x02ab\x00\x02\x00\x00")
    assert extension.elements() == ((1, b"ab"), (2, b""))
    assert Extension(0x1234, b"abcd").elements() == ()
    with pytest.raises(ParseError):
        Extension(0xBEDE, b"\x1f\x00\x00\x00").elements()
    with pytest.raises(ParseError):
        Extension(0x1001, b"\x00\x00\x00\x01").elements()
    assert Extension(0xBEDE, b"\x10a\xf0\xff").elements() == ((1, b"a"),)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80" * 11,
        b"\xc0" + bytes(11),  # version 3
        b"\x8f" + bytes(11),  # fifteen CSRCs that are not there
        b"\x90" + bytes(11),  # an extension that is not there
        b"\x90" + bytes(11) + b"\xbe\xde\x00\x01",
        b"\xa0" + bytes(11),  # padding in an empty packet
        b"\xa0" + bytes(12),  # padding of none
        b"\xa0" + bytes(11) + b"\x05",
    ],
)
def test_what_is_no_packet(data: bytes) -> None:
    with pytest.raises(ParseError):
        RtpPacket.parse(data)


packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=40),
    marker=st.booleans(),
    csrcs=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15).map(tuple),
    extension=st.none()
    | st.builds(
        Extension,
        profile=st.integers(0, 0xFFFF),
        data=st.binary(max_size=16).map(lambda data: data + bytes(-len(data) % 4)),
    ),
    padding=st.integers(0, 255),
)


@given(packets)
def test_what_is_written_is_read(packet: RtpPacket) -> None:
    assert RtpPacket.parse(packet.to_bytes()) == packet


@given(st.binary(max_size=64), st.sampled_from([b"", b"\x80", b"\x90", b"\xb0", b"\x8f"]))
def test_any_bytes_give_a_packet_or_a_parse_error(data: bytes, first: bytes) -> None:
    try:
        packet = RtpPacket.parse(first + data)
        if packet.extension:
            packet.extension.elements()
    except ParseError:
        pass


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", Kind.OTHER),
        (b"\x80", Kind.OTHER),
        (b"\x00\x01", Kind.STUN),
        (b"\x03\xff", Kind.STUN),
        (b"\x04\x00", Kind.OTHER),
        (b"\x16\xfe", Kind.DTLS),
        (b"\x80\x00", Kind.RTP),
        (b"\x80\xe5", Kind.RTP),
        (b"\x80\xbf", Kind.RTP),
        (b"\x80\xc8", Kind.RTCP),
        (b"\xbf\xdf", Kind.RTCP),
        (b"\x80\xe0", Kind.RTP),
        (b"\xc0\x00", Kind.OTHER),
    ],
)
def test_kind_of_datagram(data: bytes, kind: Kind) -> None:
    assert kind_of(data) is kind
