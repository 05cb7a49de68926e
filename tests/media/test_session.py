from __future__ import annotations

import pytest

from pbx.errors import NegotiationError, UsageError
from pbx.media.commands import (
    Close,
    Codec,
    Connect,
    Disconnect,
    Mute,
    Open,
    PauseRecording,
    Play,
    Query,
    Record,
    SendDigits,
    SetRemote,
    StopPlaying,
    StopRecording,
)
from pbx.media.events import Closed, Latched, Opened, PlayEnded, RecordingEnded, Statistics, StreamStatistics
from pbx.media.policy import LatchPolicy, MediaSettings, RtcpMux
from pbx.media.session import MediaSession, call_of
from pbx.sdp.model import Direction
from pbx.sdp.parser import parse
from tests.support.media import audio, direction, ids, open_streams, remotes, sdp, session, talk, text


def test_a_call_from_open_to_close() -> None:
    made = session()
    made.set_remote("a", sdp("a=rtpmap:101 telephone-event/8000", "a=ptime:30", formats="8 0 101"), offer=True)
    made.offer_to("b", "a")
    assert made.take_commands() == []  # nothing is told to the engine before both sides agree
    made.set_remote("b", sdp("a=rtpmap:101 telephone-event/8000", address="192.0.2.2", formats="0 101"), offer=False)
    made.answer_to("a", "b")
    made.connect("a", "b")
    event = Codec(101, "telephone-event", 8000)
    assert made.take_commands() == [
        SetRemote(
            "call/2",
            "192.0.2.2",
            4000,
            "192.0.2.2",
            4001,
            False,
            (Codec(0, "PCMU", 8000), event),
            no_media_timeout=60000,
        ),
        SetRemote(
            "call/1",
            "192.0.2.1",
            4000,
            "192.0.2.1",
            4001,
            False,
            (Codec(0, "PCMU", 8000), event),
            packet_time=30,
            no_media_timeout=60000,
        ),
        Connect("call/1", "call/2"),
    ]
    assert made.codec_name("a") == made.codec_name("b") == "PCMU"
    assert (made.packet_time("a"), made.packet_time("b")) == (30, 20)
    assert made.close_all() == {"call/1", "call/2"}
    assert made.take_commands() == [Close("call/1"), Close("call/2")]
    made.close("a")
    assert made.take_commands() == []
    made.on_event(Closed("call/1", StreamStatistics(received_packets=50, payload_type=0)))
    assert made.close_all() == {"call/2"}
    assert not made.ready("a")
    assert made.counts("a") == StreamStatistics(received_packets=50, payload_type=0)
    made.on_event(Closed("call/1", StreamStatistics(), "no such stream"))
    assert made.counts("a") == StreamStatistics(received_packets=50, payload_type=0)


def test_names() -> None:
    made = session()
    assert made.leg_of("call/2") == "b"
    assert made.leg_of("elsewhere/2") is None
    assert made.stream_of("b") == "call/2"
    assert call_of("call/2") == "call"
    assert made.counts("nobody") is None
    assert made.codec_name("nobody") == ""
    assert made.quality("nobody") is None
    assert made.packet_time("nobody") == 20


def test_our_own_faults_are_loud() -> None:
    made = session(legs="a")
    with pytest.raises(UsageError):
        made.open("a")
    with pytest.raises(UsageError):
        made.offer_to("a", "nobody")
    with pytest.raises(UsageError):
        made.connect("a", "nobody")
    with pytest.raises(UsageError):
        made.on_event(Opened("other/1", "127.0.0.1", 1, 2))
    with pytest.raises(UsageError):
        made.offer_to("a", "a")  # has said nothing
    with pytest.raises(UsageError):
        made.answer_to("a", "a")
    with pytest.raises(UsageError):
        made.local_answer("a")
    with pytest.raises(UsageError):
        made.set_remote("a", sdp(), offer=False)
    made.open("b")
    with pytest.raises(UsageError):
        made.local_offer("b")  # has no ports yet
    assert not made.ready("b")


class TestAddresses:
    def test_each_leg_is_told_what_it_can_reach(self) -> None:
        made = MediaSession("call", MediaSettings(address="192.168.1.2", external_address="203.0.113.5"), ids())
        made.open("a", peer="192.168.1.77")
        made.open("b", peer="198.51.100.9")
        open_streams(made)
        made.set_remote("a", sdp(), offer=True)
        assert "c=IN IP4 203.0.113.5" in text(made.offer_to("b", "a"))
        made.set_remote("b", sdp(), offer=False)
        assert "c=IN IP4 192.168.1.2" in text(made.answer_to("a", "b"))

    def test_a_bound_wildcard_is_replaced_by_our_address_on_the_signalling_path(self) -> None:
        made = MediaSession("call", MediaSettings(address="0.0.0.0"), ids())
        made.open("a", peer="198.51.100.9", local="203.0.113.7")
        open_streams(made)
        assert "c=IN IP4 203.0.113.7" in text(made.local_offer("a"))

    def test_a_leg_is_bound_to_the_address_of_its_signalling(self) -> None:
        settings = MediaSettings(address="203.0.113.5", address6="2001:db8::5", follow_signalling=True)
        made = MediaSession("call", settings, ids())
        made.open("a", peer="10.9.9.9", local="10.0.0.1")
        made.open("b", peer="198.51.100.9")
        made.open("c", peer="fe80::9", local="fe80::1%eth0")
        assert [command.address for command in made._commands if isinstance(command, Open)] == [
            "10.0.0.1",
            "203.0.113.5",
            "::",
        ]
        made.on_event(Opened(made.stream_of("c"), "::", 20000, 20001))
        assert "c=IN IP6 fe80::1" in text(made.local_offer("c"))

    def test_an_ipv6_offer_is_bound_by_ipv6(self) -> None:
        made = MediaSession("call", MediaSettings(address="203.0.113.5", address6="2001:db8::5"), ids())
        made.set_remote("a", sdp(address="2001:db8::a"), offer=True)
        made.open("a", peer="198.51.100.9")
        made.open("b", peer="198.51.100.10")
        assert [command.address for command in made._commands if isinstance(command, Open)] == [
            "2001:db8::5",
            "203.0.113.5",
        ]
        open_streams(made)
        offer = made.offer_to("b", "a")
        assert "c=IN IP4 203.0.113.5" in text(offer)
        assert "2001:db8" not in "\n".join(text(offer))
        made.set_remote("b", sdp(), offer=False)
        assert "c=IN IP6 2001:db8::5" in text(made.answer_to("a", "b"))
        assert remotes(made)["a"].address == "2001:db8::a"

    @pytest.mark.parametrize(("ours", "theirs"), [("203.0.113.5", "2001:db8::a"), ("2001:db8::5", "192.0.2.1")])
    def test_what_our_socket_cannot_reach_is_refused(self, ours: str, theirs: str) -> None:
        made = session(MediaSettings(address=ours))
        with pytest.raises(NegotiationError, match="where only IPv"):
            made.set_remote("a", sdp(address=theirs), offer=True)

    @pytest.mark.parametrize("address", ["224.0.0.1", "239.255.0.1", "255.255.255.255", "ff02::1"])
    def test_nothing_is_sent_to_many(self, address: str) -> None:
        made = session(MediaSettings(address="2001:db8::5" if ":" in address else "203.0.113.5"))
        with pytest.raises(NegotiationError, match="multicast"):
            made.set_remote("a", sdp(address=address), offer=True)

    def test_a_host_name_is_looked_for_where_the_signalling_comes_from(self) -> None:
        made = MediaSession("call", MediaSettings(address="203.0.113.5", latch=LatchPolicy.NEVER), ids())
        made.open("a", latch=False, peer="198.51.100.9")
        made.open("b", latch=False)
        open_streams(made)
        for leg in "ab":
            made.set_remote(leg, sdp(address="host.atlanta.example.com"), offer=True)
            made.local_answer(leg)
        told = remotes(made)
        assert (told["a"].address, told["a"].port, told["a"].latch) == ("198.51.100.9", 4000, True)
        assert (told["a"].rtcp_address, told["a"].rtcp_port) == ("198.51.100.9", 4001)
        assert (told["b"].port, told["b"].rtcp_port, told["b"].latch) == (0, 0, True)

    @pytest.mark.parametrize(
        ("latch", "said", "peer", "expected"),
        [
            (True, "192.0.2.1", "192.0.2.1", True),
            (False, "192.0.2.1", "192.0.2.1", False),
            (False, "10.0.0.1", "192.0.2.1", True),
        ],
    )
    def test_latch(self, latch: bool, said: str, peer: str, expected: bool) -> None:
        made = MediaSession("call", MediaSettings(address="203.0.113.5"), ids())
        made.open("a", latch=latch, peer=peer)
        open_streams(made)
        made.set_remote("a", sdp(address=said), offer=True)
        made.local_answer("a")
        assert remotes(made)["a"].latch is expected


class TestRtcp:
    def test_where_the_peer_says(self) -> None:
        made = session()
        talk(made, sdp("a=rtcp:5555 IN IP4 192.0.2.77"))
        assert _last(made, "a").rtcp_address == "192.0.2.77"
        assert _last(made, "a").rtcp_port == 5555

    @pytest.mark.parametrize("said", ["IN IP6 2001:db8::1", "IN IP4 host.example.com"])
    def test_an_address_that_cannot_be_reached_is_replaced_by_that_of_the_media(self, said: str) -> None:
        made = session()
        talk(made, sdp(f"a=rtcp:5555 {said}"))
        assert (_last(made, "a").rtcp_address, _last(made, "a").rtcp_port) == ("192.0.2.1", 5555)

    def test_multiplexed_when_the_peer_asks(self) -> None:
        made = session()
        made.set_remote("a", sdp("a=rtcp-mux"), offer=True)
        assert "a=rtcp-mux" in audio(made.local_answer("a"))
        told = remotes(made)["a"]
        assert (told.rtcp_mux, told.rtcp_port) == (True, 4000)

    def test_never_multiplexed_if_policy_says_so(self) -> None:
        made = session(MediaSettings(address="203.0.113.5", rtcp_mux=RtcpMux.NEVER))
        made.set_remote("a", sdp("a=rtcp-mux"), offer=True)
        assert "a=rtcp-mux" not in audio(made.local_answer("a"))
        assert remotes(made)["a"].rtcp_mux is False

    def test_an_answer_cannot_multiplex_what_was_not_offered(self) -> None:
        made = session()
        talk(made, answer=sdp("a=rtcp-mux"))
        assert _last(made, "b").rtcp_mux is False

    def test_multiplexing_offered_and_accepted(self) -> None:
        made = session(MediaSettings(address="203.0.113.5", rtcp_mux=RtcpMux.OFFER))
        talk(made, answer=sdp("a=rtcp-mux"))
        assert _last(made, "b").rtcp_mux is True
        assert _last(made, "a").rtcp_mux is False

    def test_a_port_that_is_not_the_next_one_is_said(self) -> None:
        made = MediaSession("call", MediaSettings(address="203.0.113.5"), ids())
        made.open("a")
        made.on_event(Opened("call/1", "203.0.113.5", 20000, 20007))
        assert "a=rtcp:20007" in audio(made.local_offer("a"))


class TestRefusals:
    @pytest.mark.parametrize(
        "body",
        [
            "m=audio 4000 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\na=rtpmap:111 opus/48000/2\na=fingerprint:sha-256 AA",
            "m=audio 4000 RTP/AVP 101\na=rtpmap:101 telephone-event/8000",
            "m=audio 4000 RTP/AVP 96",
            "m=audio 4000 RTP/AVP",
            "m=video 4000 RTP/SAVP 31",
            "m=application 4000 TCP/MRCPv2 1",
            "a=nothing",
        ],
    )
    def test_offers(self, body: str) -> None:
        made = session()
        offer = parse(f"v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n{body}\n")
        with pytest.raises(NegotiationError) as caught:
            made.set_remote("a", offer, offer=True)
        assert caught.value.status == 488
        made.set_remote("a", sdp(), offer=True)  # nothing is pending from the refused one

    def test_nothing_left_after_policy(self) -> None:
        made = session(MediaSettings(address="203.0.113.5", codecs=("PCMA",)))
        made.set_remote("a", sdp(formats="0 18"), offer=True)
        with pytest.raises(NegotiationError):
            made.offer_to("b", "a")
        with pytest.raises(NegotiationError):
            made.local_answer("a")

    def test_a_leg_may_have_codecs_of_its_own(self) -> None:
        made = MediaSession("call", MediaSettings(address="203.0.113.5", codecs=("PCMA", "PCMU")), ids())
        made.open("a", codecs=("G722", "PCMU", "PCMA"))
        made.open("b", codecs=("pcma", "G722"))
        made.open("c")
        open_streams(made)
        keys = "a=rtpmap:101 telephone-event/8000"
        made.set_remote("a", sdp(keys, formats="101 0 8 9 18"), offer=True)
        assert made.offer_to("b", "a").media[0].formats == ("8", "9", "101")
        assert made.offer_to("c", "a").media[0].formats == ("8", "0", "101")
        made.set_remote("b", sdp(keys, formats="8 9 101"), offer=False)
        assert made.answer_to("a", "b").media[0].formats == ("9", "8", "101")
        assert made.local_answer("a").media[0].formats == ("9", "101")
        assert made.local_offer("c").media[0].formats == ("8", "0", "101")
        assert made.local_offer("b").media[0].formats == ("8", "9", "101")

    def test_legs_whose_lists_share_nothing(self) -> None:
        made = MediaSession("call", MediaSettings(address="203.0.113.5"), ids())
        made.open("a", codecs=("PCMU",))
        made.open("b", codecs=("PCMA",))
        open_streams(made)
        made.set_remote("a", sdp(formats="0 8"), offer=True)
        with pytest.raises(NegotiationError):
            made.offer_to("b", "a")

    def test_an_offer_of_our_own_without_a_codec_of_the_engine(self) -> None:
        made = session(MediaSettings(address="203.0.113.5", codecs=("G729",)))
        with pytest.raises(NegotiationError):
            made.local_offer("a")

    def test_a_change_in_mid_call_cannot_silence_a_recording(self) -> None:
        made = session()
        talk(made)
        recording = made.record("a", "b", "/recordings/x.wav")
        made.set_remote("a", sdp(formats="18 8"), offer=True)
        assert made.offer_to("b", "a").media[0].formats == ("8",)
        made.rollback("b")
        made.rollback("a")
        made.set_remote("a", sdp(formats="18"), offer=True)
        with pytest.raises(NegotiationError):
            made.offer_to("b", "a")
        made.on_event(RecordingEnded(recording, "/recordings/x.wav", 1000, 32044, ""))
        assert made.offer_to("b", "a").media[0].formats == ("18",)

    @pytest.mark.parametrize("mapping", ["x/192001", "x/8000/9"])
    def test_what_the_engine_does_not_even_relay(self, mapping: str) -> None:
        made = session()
        made.set_remote("a", sdp(f"a=rtpmap:96 {mapping}", formats="96"), offer=True)
        with pytest.raises(NegotiationError):
            made.offer_to("b", "a")

    def test_nothing_that_can_be_recorded(self) -> None:
        made = session()
        made.set_remote("a", sdp(formats="18"), offer=True)
        with pytest.raises(NegotiationError):
            made.offer_to("b", "a", decodable_only=True)
        made.offer_to("b", "a")

    @pytest.mark.parametrize(
        "answer",
        [sdp(port=0), sdp(formats="8"), sdp("a=rtpmap:96 x/8000", formats="96"), parse("v=0\n")],
    )
    def test_answers(self, answer: object) -> None:
        made = session()
        made.set_remote("a", sdp(), offer=True)
        made.offer_to("b", "a")
        with pytest.raises(NegotiationError):
            made.set_remote("b", answer, offer=False)  # type: ignore[arg-type]
        assert made.take_commands() == []
        made.set_remote("b", sdp(), offer=False)  # another phone behind a forking proxy may do better

    def test_two_sides_without_a_common_codec(self) -> None:
        made = session()
        made.set_remote("a", sdp(formats="0 8"), offer=True)
        made.local_answer("a")  # PCMU
        made.set_remote("b", sdp(formats="8"), offer=True)
        with pytest.raises(NegotiationError, match="no codec in common"):
            made.answer_to("b", "a")


class TestForking:
    def test_phones_that_answer_differently(self) -> None:
        made = session(legs="abc")
        made.set_remote("a", sdp(formats="9 8 0"), offer=True)
        for leg in "bc":
            assert audio(made.offer_to(leg, "a"))[0].endswith("RTP/AVP 9 8 0")
        made.set_remote("b", sdp(address="192.0.2.2", formats="0"), offer=False)
        early = made.answer_to("a", "b")
        made.connect("a", "b")
        made.set_remote("c", sdp(address="192.0.2.3", formats="8"), offer=False)
        final = made.answer_to("a", "c")
        made.connect("a", "c")
        made.close("b")
        assert (early.origin.version, final.origin.version) == ("1", "2")
        assert early.media[0].formats == ("0",)
        assert final.media[0].formats == ("8",)
        commands = made.take_commands()
        assert [type(command) for command in commands] == [
            SetRemote,
            SetRemote,
            Connect,
            SetRemote,
            SetRemote,
            Connect,
            Close,
        ]
        assert commands[-2] == Connect("call/1", "call/3")

    def test_several_phones_behind_one_proxy(self) -> None:
        made = session()
        made.set_remote("a", sdp(formats="8 0"), offer=True)
        made.offer_to("b", "a")
        made.set_remote("b", sdp(address="192.0.2.2", formats="8"), offer=False)
        made.answer_to("a", "b")
        made.set_remote("b", sdp(address="192.0.2.3", formats="0"), offer=False)
        assert made.answer_to("a", "b").media[0].formats == ("0",)
        assert _last(made, "b").address == "192.0.2.3"

    def test_an_answer_said_twice_is_told_once(self) -> None:
        made = session()
        made.set_remote("a", sdp(), offer=True)
        made.offer_to("b", "a")
        first = []
        for _ in range(2):
            made.set_remote("b", sdp(address="192.0.2.2"), offer=False)
            first.append(made.answer_to("a", "b"))
        assert first[0] == first[1]
        assert len(made.take_commands()) == 2

    def test_an_answer_is_inferred_where_it_can_be(self) -> None:
        made = session()
        made.set_remote("a", sdp())
        made.offer_to("b", "a")
        made.set_remote("b", sdp(address="192.0.2.2"))
        made.set_remote("b", sdp(address="192.0.2.3"))
        assert _last(made, "b").address == "192.0.2.3"

    def test_a_200_after_an_update_changes_nothing(self) -> None:
        made = session()
        talk(made)
        made.set_remote("b", sdp("a=sendonly", address="192.0.2.2"), offer=True)
        made.offer_to("a", "b")
        made.set_remote("a", sdp("a=recvonly"), offer=False)
        made.answer_to("b", "a")
        made.take_commands()
        made.set_remote("b", sdp(address="192.0.2.2"), offer=False)
        assert made.take_commands() == []


class TestLateOffer:
    def test_the_callee_makes_the_offer(self) -> None:
        made = session()
        made.set_remote("b", sdp("a=ptime:20", address="192.0.2.2", formats="9 8"), offer=True)
        offer = made.offer_to("a", "b")
        assert offer.media[0].formats == ("9", "8")
        made.set_remote("a", sdp(formats="8"), offer=False)
        answer = made.answer_to("b", "a")
        assert answer.media[0].formats == ("8",)
        assert set(remotes(made)) == {"a", "b"}

    def test_we_make_the_offer(self) -> None:
        made = session(legs="a")
        offer = made.local_offer("a")
        assert offer.media[0].formats == ("96", "9", "8", "0", "101", "100")
        made.set_remote("a", sdp("a=rtpmap:101 telephone-event/8000", formats="8 101"), offer=False)
        assert [codec.name for codec in remotes(made)["a"].codecs] == ["PCMA", "telephone-event"]
        assert made.codec_name("a") == "PCMA"

    def test_our_offer_in_mid_call_keeps_the_numbers_of_the_session(self) -> None:
        made = session(legs="a")
        made.set_remote("a", sdp("a=rtpmap:96 telephone-event/8000", formats="0 96"), offer=True)
        made.local_answer("a")
        lines = audio(made.local_offer("a"))
        assert "a=rtpmap:96 telephone-event/8000" in lines
        assert not any(line.startswith("a=rtpmap:96 opus") for line in lines)
        assert sum("opus/48000/2" in line for line in lines) == 1

    def test_an_answered_caller_and_a_callee_that_offers(self) -> None:
        made = session()
        made.set_remote("a", sdp(formats="8 0"), offer=True)
        made.local_answer("a")
        made.set_remote("b", sdp(address="192.0.2.2", formats="0 8"), offer=True)
        assert made.answer_to("b", "a").media[0].formats == ("8",)

    def test_re_invite_without_a_description(self) -> None:
        made = session()
        talk(made)
        made.set_remote("b", sdp(address="192.0.2.9", port=6000), offer=True)  # b's offer, asked for
        made.offer_to("a", "b")
        made.set_remote("a", sdp(), offer=False)
        made.answer_to("b", "a")
        assert _last(made, "b").port == 6000


class TestRenegotiation:
    def test_a_new_address_does_not_concern_the_other_side(self) -> None:
        made = session()
        talk(made, sdp(formats="8 0 18"), sdp(address="192.0.2.2", formats="8"))
        moved = sdp(address="192.0.2.99", port=7000, formats="8 0 18")
        assert not made.concerns_other("a", moved)
        made.set_remote("a", moved, offer=True)
        answer = made.repeat_answer("a")
        assert answer.origin.version == "1"  # nothing of ours has changed
        assert answer.media[0].formats == ("8",)
        told = remotes(made)
        assert set(told) == {"a"}
        assert (told["a"].address, told["a"].port) == ("192.0.2.99", 7000)

    def test_a_refresh_tells_the_engine_again_so_that_the_latch_opens(self) -> None:
        made = session()
        talk(made)
        made.set_remote("a", sdp(), offer=True)
        made.repeat_answer("a")
        assert set(remotes(made)) == {"a"}

    @pytest.mark.parametrize(
        "offer",
        [
            sdp("a=sendonly", formats="8"),
            sdp("a=inactive", formats="8"),
            sdp(formats="0"),
            sdp("a=rtpmap:8 L16/8000", formats="8"),
            sdp("a=rtpmap:98 PCMA/8000", formats="98"),
        ],
    )
    def test_what_concerns_the_other_side(self, offer: object) -> None:
        made = session()
        talk(made, sdp(formats="8 0"), sdp(address="192.0.2.2", formats="8"))
        assert made.concerns_other("a", offer)  # type: ignore[arg-type]

    def test_everything_concerns_the_other_side_before_an_agreement(self) -> None:
        assert session().concerns_other("a", sdp())

    def test_a_change_of_codec_goes_through(self) -> None:
        made = session()
        talk(made, sdp(formats="8 0"), sdp(address="192.0.2.2", formats="8"))
        made.set_remote("a", sdp(formats="0"), offer=True)
        offer = made.offer_to("b", "a")
        assert (offer.origin.version, offer.media[0].formats) == ("2", ("0",))
        made.set_remote("b", sdp(address="192.0.2.2", formats="0"), offer=False)
        answer = made.answer_to("a", "b")
        assert (answer.origin.version, answer.media[0].formats) == ("2", ("0",))
        assert made.codec_name("a") == "PCMU"

    def test_glare(self) -> None:
        """Both sides offer at once: the second gets 491, and after the first is through it works."""
        made = session()
        talk(made)
        made.set_remote("a", sdp("a=sendonly"), offer=True)
        made.offer_to("b", "a")
        with pytest.raises(NegotiationError) as caught:
            made.set_remote("b", sdp("a=sendonly", address="192.0.2.2"), offer=True)
        assert caught.value.status == 491
        made.rollback("b")  # b's phone says 491 too
        made.rollback("a")
        assert made.take_commands() == []
        made.set_remote("b", sdp("a=sendonly", address="192.0.2.2"), offer=True)
        assert direction(made.offer_to("a", "b")) == "sendonly"
        made.set_remote("a", sdp("a=recvonly"), offer=False)
        assert direction(made.answer_to("b", "a")) == "recvonly"

    def test_a_declined_offer_leaves_the_session_as_it_was(self) -> None:
        made = session()
        talk(made, sdp(formats="8 0"), sdp(address="192.0.2.2", formats="8"))
        made.set_remote("a", sdp(formats="0", port=9000), offer=True)
        declined = made.offer_to("b", "a")
        made.rollback("b")
        made.rollback("a")
        made.rollback("a")
        assert made.take_commands() == []
        assert made.codec_name("a") == "PCMA"
        # a comes back with what it had; b's next description has a version of its own.
        made.set_remote("a", sdp(formats="8"), offer=True)
        offer = made.offer_to("b", "a")
        assert (declined.origin.version, offer.origin.version) == ("2", "3")

    def test_the_places_of_sections_are_kept_in_our_offers(self) -> None:
        made = session()
        offer = parse(
            "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=video 4002 RTP/AVP 31\n"
            "m=audio 4000 RTP/AVP 0\nm=image 4004 udptl t38\n"
        )
        talk(made, offer)
        made.set_remote("b", sdp("a=sendonly", address="192.0.2.2"), offer=True)
        to_a = made.offer_to("a", "b")
        assert [(media.kind, media.port) for media in to_a.media] == [("video", 0), ("audio", 20000), ("image", 0)]
        made.set_remote(
            "a",
            parse(
                "v=0\no=- 1 2 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=video 0 RTP/AVP 31\n"
                "m=audio 4000 RTP/AVP 0\na=recvonly\nm=image 0 udptl t38\n"
            ),
            offer=False,
        )
        assert [media.kind for media in made.answer_to("b", "a").media] == ["audio"]

    def test_the_audio_stays_in_its_place_when_another_is_added_before(self) -> None:
        made = session()
        head = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n"
        first = head + "m=audio 0 RTP/AVP 8\nm=audio 4000 RTP/AVP 0\n"
        talk(made, parse(first))
        made.set_remote("a", parse(first.replace("audio 0", "audio 4002")), offer=True)
        assert [media.port for media in made.repeat_answer("a").media] == [0, 20000]

    def test_a_number_never_changes_its_meaning(self) -> None:
        made = session()
        talk(
            made,
            sdp("a=rtpmap:101 telephone-event/8000", formats="0 101"),
            sdp("a=rtpmap:101 telephone-event/8000", formats="0 101"),
        )
        made.set_remote(
            "b", sdp("a=rtpmap:101 opus/48000/2", "a=rtpmap:102 telephone-event/8000", formats="101 0 102"), offer=True
        )
        offer = made.offer_to("a", "b")
        assert offer.media[0].formats[0] != "101"
        assert "a=rtpmap:102 telephone-event/8000" in audio(offer)

    def test_a_second_offer_of_ours_replaces_the_first(self) -> None:
        made = session()
        made.set_remote("a", sdp(formats="8 0"), offer=True)
        made.offer_to("b", "a")
        assert made.offer_to("b", "a", decodable_only=True).origin.version == "1"


class TestLocal:
    def test_one_voice_and_its_keys(self) -> None:
        made = session(legs="a")
        offer = sdp(
            "a=rtpmap:97 speex/8000",
            "a=rtpmap:96 opus/48000/2",
            "a=rtpmap:101 telephone-event/8000",
            "a=rtpmap:100 telephone-event/48000",
            formats="97 96 8 0 101 100",
        )
        made.set_remote("a", offer, offer=True)
        assert made.local_answer("a").media[0].formats == ("96", "100")
        assert made.local_answer("a", Direction.SENDONLY).media[0].attributes[-1] == ("sendonly", None)

    def test_the_engine_plays_with_a_voice_even_if_keys_come_first(self) -> None:
        made = session()
        first = sdp("a=rtpmap:101 telephone-event/8000", formats="101 8")
        talk(made, first, first)
        assert [codec.name for codec in _last(made, "a").codecs] == ["PCMA", "telephone-event"]

    def test_the_only_keys_there_are(self) -> None:
        made = session(legs="a")
        made.set_remote("a", sdp("a=rtpmap:100 telephone-event/48000", formats="8 100"), offer=True)
        assert made.local_answer("a").media[0].formats == ("8", "100")

    def test_hold_of_an_echo(self) -> None:
        made = session(legs="a")
        made.set_remote("a", sdp(), offer=True)
        made.local_answer("a")
        made.set_remote("a", sdp("a=sendonly"), offer=True)
        assert direction(made.local_answer("a")) == "recvonly"
        made.set_remote("a", sdp(), offer=True)
        assert direction(made.local_answer("a")) == "sendrecv"

    def test_commands(self) -> None:
        made = session()
        made.echo("a")
        made.echo("a")
        play = made.play("a", "/sounds/hello", loop=True)
        made.stop_playing("a", play)
        recording = made.record("a", "b", "/recordings/x.wav", maximum=60000)
        mono = made.record("a", None, "/recordings/y.wav")
        made.pause_recording(recording, paused=True)
        made.stop_recording(recording)
        made.send_digits("b", "12#")
        made.mute("b", receive=True, send=False)
        made.query("b")
        made.disconnect("a")
        made.disconnect("a")
        assert len({play, recording, mono, "call/1", "call/2"}) == 5
        assert made.take_commands() == [
            Connect("call/1", "call/1"),
            Play("call/1", play, ("/sounds/hello",), True),
            StopPlaying("call/1", play),
            Record(recording, "call/1", "call/2", "/recordings/x.wav", 60000),
            Record(mono, "call/1", "", "/recordings/y.wav"),
            PauseRecording(recording, True),
            StopRecording(recording),
            SendDigits("call/2", "12#"),
            Mute("call/2", True, False),
            Query("call/2"),
            Disconnect("call/1"),
        ]
        made.on_event(PlayEnded("call/1", play))

    def test_connections(self) -> None:
        made = session(legs="abc")
        made.connect("a", "b")
        made.connect("b", "a")
        made.connect("a", "c")
        made.disconnect("b")  # a went on to c
        made.connect("a", "b")
        made.close("b")
        made.connect("a", "c")
        assert made.take_commands() == [
            Connect("call/1", "call/2"),
            Connect("call/1", "call/3"),
            Connect("call/1", "call/2"),
            Close("call/2"),
            Connect("call/1", "call/3"),
        ]

    def test_who_is_left_alone_can_be_connected_again(self) -> None:
        made = session(legs="abc")
        made.connect("a", "b")
        made.connect("c", "b")
        made.connect("a", "b")
        assert [(command.left, command.right) for command in made.take_commands() if isinstance(command, Connect)] == [
            ("call/1", "call/2"),
            ("call/3", "call/2"),
            ("call/1", "call/2"),
        ]


class TestEnds:
    def test_quality(self) -> None:
        made = session()
        talk(made, sdp(formats="8 0"), sdp(formats="8 0"))
        assert made.quality("a") is not None
        made.on_event(Statistics("call/1", StreamStatistics(received_packets=90, lost=10, payload_type=0)))
        made.on_event(Latched("call/1", "192.0.2.66", 4444))
        quality = made.quality("a")
        assert quality is not None
        assert quality.loss == 10
        assert made.codec_name("a") == "PCMU"  # what was heard, though PCMA came first
        assert made.codec_name("b") == "PCMA"

    def test_a_stream_that_could_not_be_opened(self) -> None:
        made = session(legs="")
        made.open("a")
        made.take_commands()
        made.on_event(Closed("call/1", StreamStatistics(), "no port is free"))
        assert not made.ready("a")
        made.close("a")
        assert made.take_commands() == []
        assert made.close_all() == set()

    def test_a_leg_that_was_never_opened(self) -> None:
        made = session(legs="")
        made.set_remote("a", sdp(), offer=True)
        made.close("a")
        made.close("nobody")
        assert made.close_all() == set()
        assert made.counts("a") is None
        assert made.take_commands() == []


def _last(made: MediaSession, leg: str) -> SetRemote:
    """Return what the engine was told last of a leg's peer."""
    remote = made._streams[leg].remote
    assert remote is not None
    return remote


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ("a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup voip-metrics", "rcvr-rtt=all voip-metrics"),
        ("a=rtcp-xr:rcvr-rtt=sender", "rcvr-rtt=sender"),
        ("a=rtcp-xr:pkt-loss-rle", None),
        ("a=rtcp-xr", None),
    ],
)
def test_extended_reports_are_answered_where_they_are_offered(offered: str, answered: str | None) -> None:
    made = session()
    open_streams(made, "a")
    made.set_remote("a", sdp(offered), offer=True)
    assert made.local_answer("a").media[0].value("rtcp-xr") == answered
    # An offer of ours in mid-call says the same again: nothing of the session changes by it.
    assert made.local_offer("a").media[0].value("rtcp-xr") == answered


def test_extended_reports_are_offered() -> None:
    made = session()
    open_streams(made, "a")
    first = made.local_offer("a")
    assert first.media[0].value("rtcp-xr") == "rcvr-rtt=all voip-metrics"
    made.set_remote("a", sdp())
    assert made.local_offer("a") == first
