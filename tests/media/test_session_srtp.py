"""Encryption of the legs of a call: each for itself."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from pbx.errors import NegotiationError
from pbx.ids import Ids
from pbx.media.commands import SetKeys, SetRemote
from pbx.media.policy import MediaSettings
from pbx.media.session import MediaSession
from pbx.sdp.model import SessionDescription
from pbx.sdp.sdes import Srtp
from tests.support.media import audio, open_streams, sdp

CM = "AES_CM_128_HMAC_SHA1_80"
GCM = "AEAD_AES_256_GCM"
THEIRS = base64.b64encode(b"p" * 30).decode()
OTHERS = base64.b64encode(b"q" * 30).decode()


class Entropy:
    """Octets that never come twice."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, octets: int) -> bytes:
        self.count += 1
        return bytes((self.count + n) & 255 for n in range(octets))


def made(srtp: Srtp = Srtp.ACCEPT, **policies: Srtp) -> MediaSession:
    """Return a call whose legs are open, with policies of their own."""
    session = MediaSession("call", MediaSettings(address="203.0.113.5", srtp=srtp), Ids(Entropy()))
    for leg in "ab":
        session.protect(leg, policies.get(leg))
        session.open(leg)
    open_streams(session)
    return session


def phone(*lines: str, protocol: str = "RTP/SAVP", address: str = "192.0.2.1") -> SessionDescription:
    """Return a phone's description."""
    plain = sdp(*lines, address=address)
    return replace(plain, media=(replace(plain.media[0], protocol=protocol),))


def crypto(description: SessionDescription) -> list[str]:
    return [line for line in audio(description) if line.startswith("a=crypto")]


def protocol(description: SessionDescription) -> str:
    return description.media[0].protocol


def keys(session: MediaSession) -> dict[str, SetKeys]:
    """Return the SetKeys that wait, by leg; each comes before its SetRemote."""
    found: dict[str, SetKeys] = {}
    told: set[str] = set()
    for command in session.take_commands():
        if isinstance(command, SetRemote):
            told.add(command.stream)
        if isinstance(command, SetKeys):
            assert command.stream not in told
            found[session.leg_of(command.stream) or ""] = command
    return found


def test_the_caller_encrypts_and_the_callee_does_not() -> None:
    session = made()
    session.set_remote("a", phone(f"a=crypto:3 {CM} inline:{THEIRS}|2^31"), offer=True)
    offer = session.offer_to("b", "a")
    assert (protocol(offer), crypto(offer)) == ("RTP/AVP", [])
    session.set_remote("b", sdp(address="192.0.2.2"), offer=False)
    answer = session.answer_to("a", "b")
    assert protocol(answer) == "RTP/SAVP"
    (line,) = crypto(answer)
    assert line.startswith(f"a=crypto:3 {CM} inline:")
    assert THEIRS not in line
    told = keys(session)
    assert set(told) == {"a"}
    receive, send = told["a"].receive, told["a"].send
    assert receive is not None
    assert send is not None
    assert receive.key == b"p" * 30
    assert base64.b64encode(send.key).decode() in line
    assert (session.encryption("a"), session.encryption("b")) == (CM, "")


def test_both_encrypt_each_with_keys_of_its_own() -> None:
    session = made(b=Srtp.REQUIRE)
    session.set_remote("a", phone(f"a=crypto:1 {CM} inline:{THEIRS}"), offer=True)
    offer = session.offer_to("b", "a")
    assert protocol(offer) == "RTP/SAVP"
    lines = crypto(offer)
    assert [line.split()[0][9:] + line.split()[1] for line in lines] == [
        "1AEAD_AES_256_GCM",
        "2AEAD_AES_128_GCM",
        "3AES_256_CM_HMAC_SHA1_80",
        "4AES_CM_128_HMAC_SHA1_80",
    ]
    session.set_remote("b", phone(f"a=crypto:4 {CM} inline:{OTHERS}", address="192.0.2.2"), offer=False)
    answer = session.answer_to("a", "b")
    assert len({line.partition("inline:")[2] for line in lines + crypto(answer)} | {THEIRS, OTHERS}) == 7
    told = keys(session)
    assert told["b"].receive is not None
    assert told["b"].receive.key == b"q" * 30
    assert told["b"].send != told["a"].send
    assert not told["b"].after_peer
    # In mid-call the key that is in use comes first, and the others are those of before.
    assert {line.partition("inline:")[2] for line in crypto(session.offer_to("b", "a"))} == {
        line.partition("inline:")[2] for line in lines
    }


@pytest.mark.parametrize("answers", [True, False])
def test_a_preference_is_offered_beside_plain_rtp(answers: bool) -> None:
    session = made(b=Srtp.PREFER)
    session.set_remote("a", sdp(), offer=True)
    offer = session.offer_to("b", "a")
    assert (protocol(offer), len(crypto(offer))) == ("RTP/AVP", 4)
    lines = [f"a=crypto:4 {CM} inline:{OTHERS}"] if answers else []
    session.set_remote("b", sdp(*lines, address="192.0.2.2"), offer=False)
    session.answer_to("a", "b")
    assert set(keys(session)) == ({"b"} if answers else set())
    # In mid-call it stays as it was agreed on.
    again = session.offer_to("b", "a")
    assert len(crypto(again)) == (4 if answers else 0)
    if answers:
        assert crypto(again)[0].partition(" ")[2] == crypto(offer)[3].partition(" ")[2]


def test_a_requirement_is_not_met() -> None:
    session = made(a=Srtp.REQUIRE, b=Srtp.REQUIRE)
    with pytest.raises(NegotiationError) as caught:
        session.set_remote("a", sdp(), offer=True)
    assert (caught.value.status, caught.value.cause) == (488, "srtp-required")
    session.set_remote("a", phone(f"a=crypto:1 {CM} inline:{THEIRS}"), offer=True)
    session.offer_to("b", "a")
    with pytest.raises(NegotiationError, match="no key in answer"):
        session.set_remote("b", sdp(address="192.0.2.2"), offer=False)
    assert session.encryption("b") == ""


def test_srtp_that_was_not_offered_is_no_answer() -> None:
    session = made()
    session.set_remote("a", sdp(), offer=True)
    session.offer_to("b", "a")
    with pytest.raises(NegotiationError, match="SRTP in answer to plain RTP"):
        session.set_remote("b", phone(f"a=crypto:1 {CM} inline:{OTHERS}", address="192.0.2.2"), offer=False)


def test_the_section_is_chosen_by_policy() -> None:
    """A phone that offers both, the encrypted one first."""
    first, second = phone(f"a=crypto:1 {CM} inline:{THEIRS}"), sdp()
    both = replace(first, media=first.media + second.media)
    for policy, place in ((Srtp.ACCEPT, 0), (Srtp.OFF, 1), (Srtp.REQUIRE, 0)):
        session = made(a=policy)
        session.set_remote("a", both, offer=True)
        answer = session.local_answer("a")
        assert [media.port != 0 for media in answer.media] == [place == 0, place == 1]


class TestNewKeys:
    """A phone offers again."""

    def answered(self) -> tuple[MediaSession, list[str]]:
        session = made()
        session.set_remote("a", phone(f"a=crypto:1 {CM} inline:{THEIRS}"), offer=True)
        line = crypto(session.local_answer("a"))
        session.take_commands()
        return session, line

    def test_with_the_same_key(self) -> None:
        session, line = self.answered()
        session.set_remote("a", phone(f"a=crypto:1 {CM} inline:{THEIRS}", "a=sendonly"), offer=True)
        assert crypto(session.local_answer("a")) == line
        assert keys(session) == {}

    def test_with_another(self) -> None:
        session, line = self.answered()
        offer = phone(f"a=crypto:1 {CM} inline:{OTHERS}")
        assert not session.concerns_other("a", offer)
        session.set_remote("a", offer, offer=True)
        changed = crypto(session.repeat_answer("a"))
        assert len(changed) == 1
        assert changed != line
        told = keys(session)["a"]
        assert told.after_peer
        assert told.receive is not None
        assert told.receive.key == b"q" * 30

    def test_and_is_refused(self) -> None:
        session, line = self.answered()
        session.set_remote("a", phone(f"a=crypto:1 {CM} inline:{OTHERS}"), offer=True)
        session.rollback("a")
        assert keys(session) == {}
        session.set_remote("a", phone(f"a=crypto:1 {CM} inline:{THEIRS}"), offer=True)
        assert crypto(session.local_answer("a")) == line

    def test_plain_rtp(self) -> None:
        session, _ = self.answered()
        session.set_remote("a", sdp(), offer=True)
        assert crypto(session.local_answer("a")) == []
        assert not keys(session)["a"].secured
        assert session.encryption("a") == ""

    def test_ours_repeats_what_is_agreed_on(self) -> None:
        session, line = self.answered()
        offer = session.local_offer("a")
        assert protocol(offer) == "RTP/SAVP"
        assert crypto(offer)[0] == line[0]
        session.set_remote("a", phone(f"a=crypto:1 {CM} inline:{THEIRS}"), offer=False)
        assert keys(session) == {}
