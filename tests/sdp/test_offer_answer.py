from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.errors import NegotiationError
from pbx.sdp.codecs import PayloadFormat
from pbx.sdp.model import Direction, SessionDescription
from pbx.sdp.offer_answer import (
    LocalMedia,
    answer_codecs,
    check_answer,
    describe,
    find_audio,
    number_codecs,
    read_media,
    refused_section,
    section,
)
from pbx.sdp.parser import parse
from pbx.sdp.writer import to_bytes

PCMU = PayloadFormat(0, "PCMU", 8000)
PCMA = PayloadFormat(8, "PCMA", 8000)
ILBC = PayloadFormat(97, "iLBC", 8000)
EVENT = PayloadFormat(101, "telephone-event", 8000, 1, "0-15")


def sdp(*lines: str, address: str = "IN IP4 192.0.2.1") -> SessionDescription:
    return parse("\n".join(("v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", f"c={address}", "t=0 0", *lines)))


def alice(*lines: str) -> SessionDescription:
    return sdp(*lines, address="IN IP4 host.atlanta.example.com")


def bob(*lines: str) -> SessionDescription:
    return sdp(*lines, address="IN IP4 host.biloxi.example.com")


OFFER_2_1 = alice(
    "m=audio 49170 RTP/AVP 0 8 97",
    "a=rtpmap:0 PCMU/8000",
    "a=rtpmap:8 PCMA/8000",
    "a=rtpmap:97 iLBC/8000",
    "m=video 51372 RTP/AVP 31 32",
    "a=rtpmap:31 H261/90000",
    "a=rtpmap:32 MPV/90000",
)


class TestRfc4317:
    """The exchanges of RFC 4317, as far as they are of audio."""

    def test_2_1_one_of_three_codecs(self) -> None:
        answer = bob(
            "m=audio 49174 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "m=video 49170 RTP/AVP 32", "a=rtpmap:32 MPV/90000"
        )
        index = find_audio(OFFER_2_1)[0]
        offered = read_media(OFFER_2_1, index)
        assert offered.codecs == (PCMU, PCMA, ILBC)
        assert (offered.address, offered.port, offered.direction) == (
            "host.atlanta.example.com",
            49170,
            Direction.SENDRECV,
        )
        check_answer(answer, OFFER_2_1.media, index)
        answered = read_media(answer, index, offered.codecs)
        assert answer_codecs(offered.codecs, answered.codecs) == (PCMU,)

    def test_2_2_several_codecs_accepted(self) -> None:
        answer = bob(
            "m=audio 49172 RTP/AVP 0 8",
            "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:8 PCMA/8000",
            "m=video 0 RTP/AVP 31",
            "a=rtpmap:31 H261/90000",
        )
        check_answer(answer, OFFER_2_1.media, 0)
        assert answer_codecs(read_media(OFFER_2_1, 0).codecs, read_media(answer, 0).codecs) == (PCMU, PCMA)

    def test_2_4_telephone_events_on_a_stream_of_their_own(self) -> None:
        offer = alice(
            "m=audio 49170 RTP/AVP 0 97",
            "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:97 iLBC/8000",
            "m=audio 49172 RTP/AVP 98",
            "a=rtpmap:98 telephone-event/8000",
            "a=sendonly",
        )
        answer = bob(
            "m=audio 49172 RTP/AVP 97",
            "a=rtpmap:97 iLBC/8000",
            "m=audio 49174 RTP/AVP 98",
            "a=rtpmap:98 telephone-event/8000",
            "a=recvonly",
        )
        assert find_audio(offer)[0] == 0
        assert answer_codecs(read_media(offer, 0).codecs, read_media(answer, 0).codecs) == (ILBC,)
        events = read_media(offer, 1)
        assert events.direction is Direction.SENDONLY
        with pytest.raises(NegotiationError):
            answer_codecs(events.codecs, read_media(answer, 1).codecs)

    def test_2_6_the_second_audio_stream_taken(self) -> None:
        answer = bob(
            "m=audio 0 RTP/AVP 0",
            "a=rtpmap:0 PCMU/8000",
            "m=audio 49170 RTP/AVP 97 101",
            "a=rtpmap:97 iLBC/8000",
            "a=rtpmap:101 telephone-event/8000",
        )
        assert find_audio(answer)[0] == 1
        assert find_audio(answer, preferred=0)[0] == 1

    def test_3_1_hold_and_resume(self) -> None:
        hold = bob("m=audio 49174 RTP/AVP 0 97", "a=rtpmap:97 iLBC/8000", "a=sendonly")
        view = read_media(hold, 0)
        assert view.direction is Direction.SENDONLY
        assert view.direction.reversed is Direction.RECVONLY
        assert read_media(bob("m=audio 49174 RTP/AVP 0 97"), 0).direction is Direction.SENDRECV


def test_rfc_3264_10_2_inactive_until_chosen() -> None:
    offer = alice(
        "m=audio 62986 RTP/AVP 0 4 18",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:4 G723/8000",
        "a=rtpmap:18 G729/8000",
        "a=inactive",
    )
    view = read_media(offer, 0)
    assert view.direction.reversed is Direction.INACTIVE
    answer = bob("m=audio 54344 RTP/AVP 0 4", "a=rtpmap:0 PCMU/8000", "a=rtpmap:4 G723/8000", "a=inactive")
    assert [codec.name for codec in answer_codecs(view.codecs, read_media(answer, 0).codecs)] == ["PCMU", "G723"]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((), "no audio"),
        (("m=video 4000 RTP/AVP 31",), "no audio"),
        (("m=audio 0 RTP/AVP 0",), "refused"),
        (("m=audio 4000 RTP/SAVP 0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x"), "SRTP"),
        (("m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=rtpmap:111 opus/48000/2"), "DTLS"),
        (("m=audio 9 RTP/AVP 0", "c=IN IP4 0.0.0.0", "a=ice-ufrag:x"), "ICE"),
        (("m=audio 4000 TCP 0",), "only RTP"),
    ],
)
def test_offers_that_cannot_be_met(lines: tuple[str, ...], reason: str) -> None:
    with pytest.raises(NegotiationError, match=reason) as caught:
        find_audio(sdp(*lines))
    assert caught.value.status == 488


def test_plain_rtp_is_found_beside_srtp() -> None:
    offer = sdp("m=audio 4000 RTP/SAVP 0", "a=crypto:1 x y", "m=audio 4002 RTP/AVP 0", "a=crypto:1 x y")
    assert find_audio(offer)[0] == 1


def test_a_section_without_an_address() -> None:
    with pytest.raises(NegotiationError, match="address"):
        read_media(parse("v=0\nm=audio 4000 RTP/AVP 0\n"), 0)


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("sendrecv", Direction.SENDONLY),
        ("sendonly", Direction.SENDONLY),
        ("recvonly", Direction.INACTIVE),
        ("inactive", Direction.INACTIVE),
    ],
)
@pytest.mark.parametrize("address", ["IN IP4 0.0.0.0", "IN IP6 ::"])
def test_hold_in_the_manner_of_rfc_2543(address: str, written: str, means: Direction) -> None:
    assert read_media(sdp("m=audio 4000 RTP/AVP 0", f"a={written}", address=address), 0).direction is means


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("m=video 4000 RTP/AVP 31",),
        ("m=audio 0 RTP/AVP 0",),
        ("m=audio 4000 RTP/SAVP 0",),
    ],
)
def test_what_answers_nothing(lines: tuple[str, ...]) -> None:
    with pytest.raises(NegotiationError):
        check_answer(sdp(*lines), OFFER_2_1.media, 0)


def test_an_answer_keeps_the_numbers_of_its_offer() -> None:
    offered = (ILBC, EVENT, PCMU)
    wanted = (PCMU, PayloadFormat(102, "TELEPHONE-EVENT", 8000, 1, "0-16"), PCMA, PayloadFormat(98, "ilbc", 8000))
    assert answer_codecs(offered, wanted) == (PCMU, PayloadFormat(101, "telephone-event", 8000, 1, "0-16"), ILBC)


@pytest.mark.parametrize("wanted", [(), (PCMA,), (EVENT,), (PayloadFormat(0, "PCMU", 16000),)])
def test_nothing_in_common(wanted: tuple[PayloadFormat, ...]) -> None:
    with pytest.raises(NegotiationError, match="no codec in common"):
        answer_codecs((PCMU, EVENT), wanted)


def test_a_number_keeps_its_codec_for_the_whole_session() -> None:
    opus = PayloadFormat(101, "opus", 48000, 2)
    history = {101: EVENT.key, 96: opus.key, 97: ILBC.key}
    assert number_codecs((opus, ILBC), history) == (PayloadFormat(96, "opus", 48000, 2), ILBC)
    amr = PayloadFormat(101, "AMR", 8000)
    assert number_codecs((amr,), history) == (PayloadFormat(98, "AMR", 8000),)
    assert number_codecs((EVENT, PCMU), history) == (EVENT, PCMU)
    full = dict.fromkeys([*range(96, 128), *range(35, 64)], EVENT.key)
    assert number_codecs((amr, PCMU), full) == (PCMU,)


codecs = st.lists(
    st.builds(PayloadFormat, st.integers(96, 104), st.sampled_from("abcd"), st.just(8000)),
    unique_by=lambda codec: codec.payload_type,
    max_size=6,
)


@given(codecs, codecs)
def test_numbers_are_unique_and_true_to_history(before: list[PayloadFormat], after: list[PayloadFormat]) -> None:
    history = {codec.payload_type: codec.key for codec in before}
    numbered = number_codecs(after, history)
    numbers = [codec.payload_type for codec in numbered]
    assert len(set(numbers)) == len(numbers) == len(after)
    assert [codec.key for codec in numbered] == [codec.key for codec in after]
    for codec in numbered:
        assert history.get(codec.payload_type, codec.key) == codec.key


def test_our_description() -> None:
    local = LocalMedia("audio", "RTP/AVP", "2001:db8::1", 20000, 20003, rtcp_mux=True)
    audio = section(local, (ILBC, EVENT), Direction.RECVONLY, 20, 150)
    description = describe(4711, 3, "2001:db8::1", (audio, refused_section(OFFER_2_1.media[1])))
    assert to_bytes(description).decode().splitlines() == [
        "v=0",
        "o=- 4711 3 IN IP6 2001:db8::1",
        "s=-",
        "c=IN IP6 2001:db8::1",
        "t=0 0",
        "m=audio 20000 RTP/AVP 97 101",
        "a=rtpmap:97 iLBC/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=maxptime:150",
        "a=rtcp-mux",
        "a=rtcp:20003",
        "a=recvonly",
        "m=video 0 RTP/AVP 31 32",
    ]
    assert parse(to_bytes(description)) == description
