"""Sections beside the audio: video, text and T.38, each with ports of its own, nothing of one peer told to another."""

from __future__ import annotations

import pytest

from pbx.errors import NegotiationError
from pbx.media.commands import Connect, Open, SetRemote
from pbx.media.events import Closed, Opened, StreamStatistics
from pbx.media.policy import MediaSettings
from pbx.media.session import MediaSession
from pbx.sdp.model import SessionDescription
from pbx.sdp.parser import parse
from tests.support.media import ids, text

AUDIO = "m=audio 4000 RTP/AVP 0"
VIDEO = (
    "m=video 4002 RTP/AVPF 97 98",
    "b=AS:512",
    "a=rtpmap:97 H264/90000",
    "a=fmtp:97 profile-level-id=42e01f;packetization-mode=1",
    "a=rtpmap:98 rtx/90000",
    "a=fmtp:98 apt=97",
    "a=rtcp-fb:97 nack pli",
    "a=imageattr:97 send [x=640,y=480]",
    "a=candidate:1 1 udp 1 10.0.0.7 4002 typ host",
    "a=ssrc:1234 cname:alice@10.0.0.7",
    "a=label:secret",
    "a=rtcp-mux",
)
TEXT = ("m=text 4004 RTP/AVP 99", "a=rtpmap:99 t140/1000", "a=recvonly")
T38 = ("m=image 4006 udptl t38", "a=T38FaxVersion:0", "a=T38FaxUdpEC:t38UDPRedundancy", "a=x-secret:10.0.0.7")
CHAT = ("m=message 4008 TCP/MSRP *", "a=path:msrp://10.0.0.7:4008/s;tcp")


def described(*sections: str, host: str = "192.0.2.1", version: int = 1) -> SessionDescription:
    lines = ("v=0", f"o=phone 1 {version} IN IP4 {host}", "s=phone", f"c=IN IP4 {host}", "t=0 0", *sections)
    return parse("\r\n".join(lines))


class Media:
    """A call's media with an engine that opens what is asked, port after port."""

    def __init__(self, settings: MediaSettings | None = None) -> None:
        self.session = MediaSession("call", settings or MediaSettings(address="203.0.113.5"), ids())
        self.port = 20000
        self.told: list[object] = []

    def settle(self) -> None:
        for command in self.session.take_commands():
            self.told.append(command)
            if isinstance(command, Open):
                self.session.on_event(Opened(command.stream, command.address, self.port, self.port + 1))
                self.port += 10

    def remote(self, port: int) -> SetRemote:
        """What the engine was last told of the peer who is reached at `port`."""
        return next(one for one in reversed(self.told) if isinstance(one, SetRemote) and one.port == port)

    def connections(self) -> list[tuple[str, str]]:
        return [(one.left, one.right) for one in self.told if isinstance(one, Connect)]

    def offer(self, offer: SessionDescription) -> list[str]:
        """Let a call b; return what b is offered."""
        self.session.set_remote("a", offer, offer=True)
        self.session.open("a")
        self.session.open("b", like="a")
        self.settle()
        assert self.session.ready("a")
        assert self.session.ready("b")
        return text(self.session.offer_to("b", "a"))

    def answer(self, answer: SessionDescription) -> list[str]:
        """Let b answer; return what a is answered."""
        self.session.set_remote("b", answer, offer=False)
        told = text(self.session.answer_to("a", "b"))
        self.session.connect("a", "b")
        self.settle()
        return told

    def change(self, asker: str, asked: str, offer: SessionDescription) -> list[str]:
        """Let one offer a change in mid-call; return what the other is offered."""
        assert self.session.concerns_other(asker, offer)
        self.session.set_remote(asker, offer, offer=True)
        if not self.session.open_missing(asker, asked):
            self.settle()
        assert self.session.open_missing(asker, asked)
        return text(self.session.offer_to(asked, asker))

    def agree(self, asker: str, asked: str, answer: SessionDescription) -> list[str]:
        self.session.take_answer(asked, answer)
        told = text(self.session.answer_to(asker, asked))
        self.session.connect("a", "b")
        self.settle()
        return told


def sections(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("m=")]


def test_every_section_is_offered_with_ports_of_its_own_and_nothing_else_of_the_peer() -> None:
    media = Media()
    offered = media.offer(described(AUDIO, *VIDEO, *TEXT, *T38, *CHAT))
    # a's streams: 20000 audio, 20010 video, 20020 text, 20030 image; then b's.
    assert offered[offered.index("m=audio 20040 RTP/AVP 0") :] == [
        "m=audio 20040 RTP/AVP 0",
        "a=rtpmap:0 PCMU/8000",
        "a=rtcp-xr:rcvr-rtt=all voip-metrics",
        "a=sendrecv",
        "m=video 20050 RTP/AVPF 97 98",
        "b=AS:512",
        "a=rtpmap:97 H264/90000",
        "a=fmtp:97 profile-level-id=42e01f;packetization-mode=1",
        "a=rtpmap:98 rtx/90000",
        "a=fmtp:98 apt=97",
        "a=rtcp-fb:97 nack pli",
        "a=imageattr:97 send [x=640,y=480]",
        "a=rtcp-mux",
        "a=sendrecv",
        "m=text 20060 RTP/AVP 99",
        "a=rtpmap:99 t140/1000",
        "a=recvonly",
        "m=image 20070 udptl t38",
        "a=T38FaxVersion:0",
        "a=T38FaxUdpEC:t38UDPRedundancy",
    ]
    assert not any(secret in line for line in offered for secret in ("10.0.0.7", "192.0.2.1", "secret", "alice"))


def test_what_is_agreed_is_relayed_and_what_is_not_is_refused_in_its_place() -> None:
    media = Media()
    media.offer(described(AUDIO, *CHAT, *VIDEO, *TEXT))
    answered = media.answer(
        described(
            "m=audio 5000 RTP/AVP 0",
            "m=video 5002 RTP/AVPF 97",
            "a=rtpmap:97 H264/90000",
            "a=sendonly",
            "m=text 0 RTP/AVP 99",
            host="192.0.2.2",
        )
    )
    assert sections(answered) == [
        "m=audio 20000 RTP/AVP 0",
        "m=message 0 TCP/MSRP *",
        "m=video 20010 RTP/AVPF 97",
        "m=text 0 RTP/AVP 99",
    ]
    assert "a=sendonly" in answered
    to_caller, to_callee = media.remote(4002), media.remote(5002)
    assert to_caller.opaque
    assert to_callee.opaque
    assert (to_caller.address, to_caller.send, to_caller.receive, to_caller.codecs) == ("192.0.2.1", True, False, ())
    assert (to_callee.address, to_callee.send, to_callee.receive) == ("192.0.2.2", False, True)
    assert to_callee.rtcp_port == 5003
    assert not media.remote(4000).opaque
    assert len(media.connections()) == 3
    assert media.session.close_all() == set(media.session._by_id)


def test_a_fax_takes_the_place_of_the_audio_and_gives_it_back() -> None:
    media = Media()
    media.offer(described(AUDIO))
    media.answer(described("m=audio 5000 RTP/AVP 0", host="192.0.2.2"))
    offered = media.change("b", "a", described("m=image 5006 udptl t38", *T38[1:], host="192.0.2.2", version=2))
    assert sections(offered) == ["m=image 20030 udptl t38"]
    assert "a=T38FaxUdpEC:t38UDPRedundancy" in offered
    answered = media.agree("b", "a", described("m=image 4006 udptl t38", "a=T38FaxVersion:0", version=2))
    assert sections(answered) == ["m=image 20020 udptl t38"]
    assert (media.remote(4006).opaque, media.remote(4006).rtcp_port) == (True, 0)
    # The audio stands still meanwhile, and nobody counts its silence.
    assert (media.remote(5000).send, media.remote(5000).receive) == (False, False)
    offered = media.change("a", "b", described(AUDIO, version=3))
    assert sections(offered) == ["m=audio 20010 RTP/AVP 0"]
    answered = media.agree("a", "b", described("m=audio 5000 RTP/AVP 0", host="192.0.2.2", version=3))
    assert sections(answered) == ["m=audio 20000 RTP/AVP 0"]
    assert (media.remote(5000).send, media.remote(5000).receive) == (True, True)
    image = [one for one in media.told if isinstance(one, SetRemote) and one.opaque]
    assert {one.send for one in image[-2:]} == {False}
    # The next fax has the same streams.
    ports = media.port
    media.change("b", "a", described("m=image 5006 udptl t38", host="192.0.2.2", version=4))
    assert media.port == ports


def test_a_fax_on_a_line_of_its_own_is_mirrored() -> None:
    media = Media()
    media.offer(described(AUDIO))
    media.answer(described("m=audio 5000 RTP/AVP 0", host="192.0.2.2"))
    refused_audio = "m=audio 0 RTP/AVP 0"
    offered = media.change("a", "b", described(refused_audio, *T38, version=2))
    assert sections(offered) == ["m=audio 0 RTP/AVP 0", "m=image 20030 udptl t38"]
    answered = media.agree("a", "b", described(refused_audio, "m=image 5006 udptl t38", host="192.0.2.2", version=2))
    assert sections(answered) == ["m=audio 0 RTP/AVP 0", "m=image 20020 udptl t38"]


def test_a_refused_fax_leaves_the_call_as_it_was() -> None:
    media = Media()
    media.offer(described(AUDIO))
    media.answer(described("m=audio 5000 RTP/AVP 0", host="192.0.2.2"))
    before = list(media.told)
    media.change("b", "a", described(*T38, host="192.0.2.2", version=2))
    media.session.rollback("a")
    media.session.rollback("b")
    assert [one for one in media.told[len(before) :] if isinstance(one, SetRemote)] == []
    assert not media.session.concerns_other("b", described("m=audio 5000 RTP/AVP 0", host="192.0.2.2", version=3))
    # An answer that takes neither audio nor fax is none.
    media.change("b", "a", described(*T38, host="192.0.2.2", version=4))
    with pytest.raises(NegotiationError):
        media.session.take_answer("a", described("m=image 0 udptl t38", version=2))


def test_video_is_added_and_taken_away_in_mid_call() -> None:
    media = Media()
    media.offer(described(AUDIO))
    media.answer(described("m=audio 5000 RTP/AVP 0", host="192.0.2.2"))
    offered = media.change("a", "b", described(AUDIO, *VIDEO, version=2))
    assert sections(offered) == ["m=audio 20010 RTP/AVP 0", "m=video 20030 RTP/AVPF 97 98"]
    both = ("m=audio 5000 RTP/AVP 0", "m=video 5002 RTP/AVPF 97", "a=rtpmap:97 H264/90000")
    media.agree("a", "b", described(*both, host="192.0.2.2", version=2))
    assert media.remote(5002).send
    # Only another address: the other side need not hear of it, and is not told the engine anew.
    moved = described(AUDIO, VIDEO[0].replace("4002", "4102"), *VIDEO[1:], version=3)
    assert not media.session.concerns_other("a", moved)
    media.session.set_remote("a", moved, offer=True)
    assert sections(text(media.session.repeat_answer("a")))[1] == "m=video 20020 RTP/AVPF 97"
    media.settle()
    assert media.remote(4102).opaque
    offered = media.change("b", "a", described(both[0], "m=video 0 RTP/AVPF 97", host="192.0.2.2", version=3))
    assert sections(offered)[1].startswith("m=video 0 ")


def test_policy_may_refuse_video() -> None:
    media = Media(MediaSettings(address="203.0.113.5", relayed=frozenset(("image",))))
    assert sections(media.offer(described(AUDIO, *VIDEO, *TEXT, *T38))) == [
        "m=audio 20020 RTP/AVP 0",
        "m=image 20030 udptl t38",
    ]
    answered = media.answer(described("m=audio 5000 RTP/AVP 0", "m=image 0 udptl t38", host="192.0.2.2"))
    assert sections(answered)[1:] == ["m=video 0 RTP/AVPF 97 98", "m=text 0 RTP/AVP 99", "m=image 0 udptl t38"]


def test_without_ports_the_section_is_refused_and_the_call_goes_on() -> None:
    media = Media()
    media.session.set_remote("a", described(AUDIO, *VIDEO), offer=True)
    media.session.open("a")
    media.session.open("b", like="a")
    for command in media.session.take_commands():
        assert isinstance(command, Open)
        if media.session.is_audio(command.stream):
            media.session.on_event(Opened(command.stream, "203.0.113.5", 20000, 20001))
        else:
            media.session.on_event(Closed(command.stream, StreamStatistics(), "every port is in use"))
    assert media.session.ready("a")
    assert media.session.ready("b")
    assert sections(text(media.session.offer_to("b", "a"))) == ["m=audio 20000 RTP/AVP 0"]
    media.session.set_remote("b", described("m=audio 5000 RTP/AVP 0", host="192.0.2.2"), offer=False)
    assert sections(text(media.session.answer_to("a", "b")))[1] == "m=video 0 RTP/AVPF 97 98"


def test_what_we_answer_ourselves_has_no_video() -> None:
    media = Media()
    media.offer(described(AUDIO, *VIDEO))
    assert sections(text(media.session.local_answer("a"))) == ["m=audio 20000 RTP/AVP 0", "m=video 0 RTP/AVPF 97 98"]
    silent = Media()
    silent.offer(described(*T38))
    with pytest.raises(NegotiationError):
        silent.session.local_answer("a")
