"""Which codecs two legs without a common one are offered and answered."""

from __future__ import annotations

import pytest

from pbx.errors import NegotiationError
from pbx.media.commands import Codec
from pbx.media.policy import MediaSettings
from pbx.media.session import MediaSession
from pbx.sdp.model import SessionDescription
from tests.support.media import audio, ids, open_streams, remotes, sdp, session

OPUS = "a=rtpmap:96 opus/48000/2"


def settings(*codecs: str, transcode: bool = True) -> MediaSettings:
    return MediaSettings(address="203.0.113.5", codecs=codecs, transcode=transcode)


def formats(description: SessionDescription) -> list[str]:
    return audio(description)[0].split()[3:]


def with_lists(caller: tuple[str, ...], callee: tuple[str, ...]) -> MediaSession:
    made = MediaSession("call", settings(), ids())
    made.open("a", codecs=caller)
    made.open("b", codecs=callee)
    open_streams(made)
    return made


def test_what_both_can_do_comes_first_and_is_answered() -> None:
    made = session(settings())
    made.set_remote("a", sdp(formats="9 0 13"), offer=True)
    assert formats(made.offer_to("b", "a")) == ["9", "0", "8", "13"]
    made.set_remote("b", sdp(formats="0", address="192.0.2.2"), offer=False)
    assert formats(made.answer_to("a", "b")) == ["0"]


def test_nothing_in_common_is_transcoded() -> None:
    made = session(settings())
    made.set_remote("a", sdp(OPUS, "a=fmtp:96 stereo=1;sprop-stereo=1;usedtx=1", formats="96"), offer=True)
    assert formats(made.offer_to("b", "a")) == ["96", "8", "0"]
    made.set_remote("b", sdp(formats="0", address="192.0.2.2"), offer=False)
    answer = audio(made.answer_to("a", "b"))
    assert answer[0].split()[3:] == ["96"]
    assert "a=fmtp:96 useinbandfec=1;stereo=0;sprop-stereo=0" in answer
    made.connect("a", "b")
    told = remotes(made)
    assert told["b"].codecs == (Codec(0, "PCMU", 8000),)
    assert told["a"].codecs == (Codec(96, "opus", 48000, 2, "stereo=1;sprop-stereo=1;usedtx=1"),)


def test_each_side_keeps_its_packet_time() -> None:
    made = session(settings())
    made.set_remote("a", sdp("a=ptime:30", formats="9"), offer=True)
    made.offer_to("b", "a")
    made.set_remote("b", sdp("a=ptime:10", formats="8", address="192.0.2.2"), offer=False)
    assert "a=ptime:30" in audio(made.answer_to("a", "b"))
    told = remotes(made)
    assert (told["a"].packet_time, told["b"].packet_time) == (30, 10)


def test_never() -> None:
    made = session(settings(transcode=False))
    made.set_remote("a", sdp(formats="9"), offer=True)
    assert formats(made.offer_to("b", "a")) == ["9"]
    with pytest.raises(NegotiationError):
        made.set_remote("b", sdp(formats="0", address="192.0.2.2"), offer=False)


def test_what_nobody_can_decode_is_not_transcoded() -> None:
    made = session(settings())
    made.set_remote("a", sdp(formats="3 4"), offer=True)
    assert formats(made.offer_to("b", "a")) == ["3", "4"]


def test_the_list_of_the_callee_says_what_is_offered_to_it() -> None:
    made = with_lists(("G722", "PCMA"), ("L16", "PCMU"))
    made.set_remote("a", sdp(formats="0 8 9"), offer=True)
    assert formats(made.offer_to("b", "a")) == ["97", "0"]
    made.set_remote("b", sdp("a=rtpmap:97 L16/16000", formats="97", address="192.0.2.2"), offer=False)
    assert formats(made.answer_to("a", "b")) == ["9"]


def test_payload_numbers_do_not_collide() -> None:
    made = with_lists((), ("opus", "L16"))
    made.set_remote(
        "a", sdp("a=rtpmap:97 iLBC/8000", "a=rtpmap:96 telephone-event/8000", formats="97 0 96"), offer=True
    )
    lines = audio(made.offer_to("b", "a"))
    numbers = lines[0].split()[3:]
    assert len(set(numbers)) == len(numbers) == 3
    assert numbers[2] == "96"
    assert [line for line in lines if "opus" in line] == [f"a=rtpmap:{numbers[0]} opus/48000/2"]


def test_one_side_changes_its_codec() -> None:
    """A re-INVITE of the caller for another codec does not take the callee's away."""
    made = with_lists(("G722", "PCMU"), ("PCMU", "L16"))
    made.set_remote("a", sdp(formats="0"), offer=True)
    made.offer_to("b", "a")
    made.set_remote("b", sdp(formats="0", address="192.0.2.2"), offer=False)
    made.answer_to("a", "b")
    assert made.concerns_other("a", sdp(formats="9"))
    made.set_remote("a", sdp(formats="9"), offer=True)
    assert formats(made.offer_to("b", "a"))[0] == "0"
    made.set_remote("b", sdp(formats="0", address="192.0.2.2"), offer=False)
    assert formats(made.answer_to("a", "b")) == ["9"]
    told = remotes(made)
    assert (told["a"].codecs[0].name, told["b"].codecs[0].name) == ("G722", "PCMU")
    # And the callee holds: the caller is asked in its own codec.
    made.set_remote("b", sdp("a=sendonly", formats="0", address="192.0.2.2"), offer=True)
    offer = made.offer_to("a", "b")
    assert "9" in formats(offer)
    made.set_remote("a", sdp("a=recvonly", formats="9"), offer=False)
    assert formats(made.answer_to("b", "a")) == ["0"]


def test_keys_and_comfort_noise_beside_a_transcoded_voice() -> None:
    made = session(settings())
    event = "a=rtpmap:101 telephone-event/8000"
    made.set_remote("a", sdp(event, formats="9 13 101"), offer=True)
    made.offer_to("b", "a")
    made.set_remote("b", sdp(event, formats="8 101", address="192.0.2.2"), offer=False)
    assert formats(made.answer_to("a", "b")) == ["9", "13", "101"]


def test_a_build_without_a_codec_does_not_offer_it() -> None:
    made = MediaSession("call", settings("G729", "PCMA"), ids())
    made.open("a")
    made.open("b")
    open_streams(made)
    made.set_remote("a", sdp(formats="8"), offer=True)
    assert formats(made.offer_to("b", "a")) == ["8"]
