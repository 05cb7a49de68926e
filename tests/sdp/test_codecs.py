from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.sdp.codecs import (
    PayloadFormat,
    codec_attributes,
    codecs_of,
    maximum_packet_time_of,
    packet_time_of,
    same_codec,
    telephone_event_of,
)
from pbx.sdp.model import Attribute, MediaDescription

PCMU = PayloadFormat(0, "PCMU", 8000)
EVENT = PayloadFormat(101, "telephone-event", 8000, 1, "0-15")


def audio(formats: str, *attributes: Attribute) -> MediaDescription:
    return MediaDescription("audio", 4000, "RTP/AVP", tuple(formats.split()), attributes=attributes)


def test_mapped_and_static_numbers() -> None:
    media = audio(
        "9 0 96 101 18",
        ("rtpmap", "96 opus/48000/2"),
        ("fmtp", "96 useinbandfec=1; stereo=0"),
        ("rtpmap", "101 telephone-event/8000"),
        ("fmtp", "101 0-15"),
        ("rtpmap", "0 PCMU/8000"),
        ("fmtp", "18 annexb=no"),
    )
    assert codecs_of(media) == (
        PayloadFormat(9, "G722", 8000),
        PCMU,
        PayloadFormat(96, "opus", 48000, 2, "useinbandfec=1; stereo=0"),
        EVENT,
        PayloadFormat(18, "G729", 8000, 1, "annexb=no"),
    )


def test_g722_has_the_clock_of_rfc_3551() -> None:
    # RFC 3551 §4.5.2: 8000 was erroneously assigned, and must remain.
    assert codecs_of(audio("9"))[0].rate == 8000


@pytest.mark.parametrize(
    "mapping",
    [
        "96",
        "96 opus",
        "96 /8000",
        "96 opus/",
        "96 opus/x",
        "96 opus/0",
        "96 o p/8000",
        "96 opus/-1",
        "96 \udcff/8000",
        "96 o\x1bp/8000",
        "96 \u00fc/8000",
        f"96 {'x' * 65}/8000",
        "",
    ],
)
def test_a_dynamic_number_without_a_usable_map_is_left_out(mapping: str) -> None:
    assert codecs_of(audio("96", ("rtpmap", mapping))) == ()


def test_formats_that_are_no_payload_types_are_left_out() -> None:
    assert codecs_of(audio("128 x 0 0 -1 \u0663 webrtc-datachannel")) == (PCMU,)


def test_a_broken_map_of_a_static_number_is_ignored() -> None:
    assert codecs_of(audio("0", ("rtpmap", "0 PCMU"))) == (PCMU,)


def test_the_first_map_of_a_number_holds() -> None:
    media = audio("96", ("rtpmap", "96 iLBC/8000"), ("rtpmap", "96 opus/48000/2"))
    assert codecs_of(media) == (PayloadFormat(96, "iLBC", 8000),)


def test_known_numbers_stand_in_for_maps_that_an_answer_leaves_out() -> None:
    assert codecs_of(audio("0 101"), known=(PCMU, EVENT)) == (PCMU, PayloadFormat(101, "telephone-event", 8000))


def test_opus_always_has_two_channels() -> None:
    assert codecs_of(audio("96", ("rtpmap", "96 OPUS/48000")))[0].channels == 2


def test_same_codec_prefers_the_same_number() -> None:
    wide = PayloadFormat(97, "AMR", 8000, 1, "octet-align=1")
    narrow = PayloadFormat(98, "amr", 8000)
    assert same_codec(PayloadFormat(98, "AMR", 8000), (wide, narrow)) is narrow
    assert same_codec(PayloadFormat(99, "AMR", 8000), (wide, narrow)) is wide
    assert same_codec(PayloadFormat(98, "AMR-WB", 16000), (wide, narrow)) is None
    assert same_codec(PayloadFormat(10, "L16", 44100, 2), (PayloadFormat(11, "L16", 44100),)) is None


def test_telephone_event_goes_with_the_clock_of_the_voice() -> None:
    wide = PayloadFormat(100, "telephone-event", 48000)
    assert telephone_event_of((PCMU, EVENT, wide), 48000) is wide
    assert telephone_event_of((PCMU, EVENT), 48000) is EVENT
    assert telephone_event_of((PCMU,), 8000) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [("20", 20), (" 30", 30), ("20.0", 20), ("0.125", None), ("0", None), ("201", None), ("x", None), ("", None)],
)
def test_packet_times(value: str, expected: int | None) -> None:
    assert packet_time_of(audio("0", ("ptime", value))) == expected


def test_packet_times_absent() -> None:
    assert packet_time_of(audio("0")) is None
    assert packet_time_of(audio("0", ("ptime", None))) is None
    assert maximum_packet_time_of(audio("0")) is None
    assert maximum_packet_time_of(audio("0", ("maxptime", "240"))) == 240


formats = st.builds(
    PayloadFormat,
    st.integers(0, 127),
    st.text("ABCabc-0123", min_size=1, max_size=8).filter(lambda name: name.lower() != "opus"),
    st.integers(1, 1_000_000),
    st.integers(1, 64),
    st.text("abc=;0 ", max_size=12).map(str.strip),
)


@given(st.lists(formats, unique_by=lambda codec: codec.payload_type, max_size=8))
def test_what_is_written_is_read(codecs: list[PayloadFormat]) -> None:
    media = audio(" ".join(str(codec.payload_type) for codec in codecs), *codec_attributes(codecs))
    assert codecs_of(media) == tuple(codecs)


@given(st.lists(st.text(max_size=6), max_size=6), st.lists(st.text(max_size=20), max_size=6))
def test_no_attribute_upsets_it(numbers: list[str], values: list[str]) -> None:
    attributes = [(name, value) for value in values for name in ("rtpmap", "fmtp", "ptime", "maxptime")]
    media = MediaDescription("audio", 1, "RTP/AVP", (*numbers, "96"), attributes=tuple(attributes))
    for codec in codecs_of(media):
        assert 0 <= codec.payload_type <= 127
        assert codec.rate > 0
    packet_time_of(media)
    maximum_packet_time_of(media)
