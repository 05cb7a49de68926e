"""Hold and resume in every style, from either side."""

from __future__ import annotations

import pytest

from pbx.errors import NegotiationError
from pbx.media.session import MediaSession
from tests.support.media import direction, remotes, sdp, session, talk

STYLES = [
    # the holder's offer (attribute, c=), what the other side is offered, its answer, what the holder gets,
    # then (send, receive) of the holder's stream and of the other's.
    ("sendonly", "", "sendonly", "recvonly", "recvonly", (False, True), (True, False)),
    ("inactive", "", "inactive", "inactive", "inactive", (False, False), (False, False)),
    ("sendrecv", "0.0.0.0", "sendonly", "recvonly", "recvonly", (False, True), (True, False)),
    ("sendonly", "0.0.0.0", "sendonly", "recvonly", "recvonly", (False, True), (True, False)),
    ("inactive", "0.0.0.0", "inactive", "inactive", "inactive", (False, False), (False, False)),
    ("recvonly", "", "recvonly", "sendonly", "sendonly", (True, False), (False, True)),
    # Devices that answer more, or less, than they may.
    ("sendonly", "", "sendonly", "sendrecv", "recvonly", (False, True), (True, False)),
    ("sendonly", "", "sendonly", "inactive", "inactive", (False, False), (False, False)),
    ("recvonly", "", "recvonly", "sendrecv", "sendonly", (True, False), (False, True)),
    ("sendrecv", "", "sendrecv", "sendonly", "sendonly", (True, False), (False, True)),
]


def exchange(made: MediaSession, asker: str, asked: str, attribute: str, address: str, answer: str) -> tuple[str, str]:
    """Relay an offer and its answer; return what was offered to the other side, and what was answered to the asker."""
    own = {"a": "192.0.2.1", "b": "192.0.2.2"}
    made.set_remote(asker, sdp(f"a={attribute}", address=address or own[asker]), offer=True)
    offered = direction(made.offer_to(asked, asker))
    made.set_remote(asked, sdp(f"a={answer}", address=own[asked]), offer=False)
    return offered, direction(made.answer_to(asker, asked))


@pytest.mark.parametrize(("asker", "asked"), [("a", "b"), ("b", "a")])
@pytest.mark.parametrize(("attribute", "address", "offered", "answer", "answered", "own", "others"), STYLES)
def test_hold_and_resume(
    asker: str,
    asked: str,
    attribute: str,
    address: str,
    offered: str,
    answer: str,
    answered: str,
    own: tuple[bool, bool],
    others: tuple[bool, bool],
) -> None:
    made = session()
    talk(made)
    assert exchange(made, asker, asked, attribute, address, answer) == (offered, answered)
    told = remotes(made)
    assert (told[asker].send, told[asker].receive) == own
    assert (told[asked].send, told[asked].receive) == others
    if address:
        assert told[asker].port == 0

    assert exchange(made, asker, asked, "sendrecv", "", "sendrecv") == ("sendrecv", "sendrecv")
    told = remotes(made)
    for leg in (asker, asked):
        assert (told[leg].send, told[leg].receive, told[leg].port) == (True, True, 4000)


def test_both_sides_hold_and_the_first_resumes() -> None:
    made = session()
    talk(made)
    assert exchange(made, "a", "b", "sendonly", "", "recvonly") == ("sendonly", "recvonly")
    assert exchange(made, "b", "a", "inactive", "", "inactive") == ("inactive", "inactive")
    # a takes its hold back; b still has its own, and says so in its answer.
    assert exchange(made, "a", "b", "sendrecv", "", "inactive") == ("sendrecv", "inactive")
    assert exchange(made, "b", "a", "sendrecv", "", "sendrecv") == ("sendrecv", "sendrecv")


@pytest.mark.parametrize("refresh", ["recvonly", "sendrecv"])
def test_a_held_phone_refreshes_its_session_and_stays_held(refresh: str) -> None:
    made = session()
    talk(made)
    exchange(made, "a", "b", "sendonly", "", "recvonly")
    offer = sdp(f"a={refresh}", address="192.0.2.2")
    assert not made.concerns_other("b", offer)
    made.take_commands()
    made.set_remote("b", offer, offer=True)
    assert direction(made.repeat_answer("b")) == "sendonly"
    told = remotes(made)
    assert set(told) == {"b"}
    assert (told["b"].send, told["b"].receive) == (True, False)
    assert direction(made.offer_to("a", "b")) == "sendrecv"  # its wish is still the same


def test_a_holder_refreshes_its_session_and_keeps_its_hold() -> None:
    made = session()
    talk(made)
    exchange(made, "a", "b", "sendonly", "", "recvonly")
    offer = sdp("a=sendonly", address="192.0.2.1")
    assert not made.concerns_other("a", offer)
    made.set_remote("a", offer, offer=True)
    assert direction(made.repeat_answer("a")) == "recvonly"
    assert made.concerns_other("a", sdp("a=sendrecv", address="192.0.2.1"))


def test_resume_by_a_late_offer_is_offered_both_ways() -> None:
    """A holder that resumes by a re-INVITE without a description is offered what the other side wishes, not what is."""
    made = session()
    talk(made)
    exchange(made, "a", "b", "sendonly", "", "recvonly")
    assert direction(made.offer_to("a", "b")) == "sendrecv"
    made.set_remote("a", sdp("a=sendrecv"), offer=False)
    assert direction(made.offer_to("b", "a")) == "sendrecv"


def test_a_hold_that_is_declined_changes_nothing() -> None:
    made = session()
    talk(made)
    made.set_remote("a", sdp("a=sendonly"), offer=True)
    made.offer_to("b", "a")
    made.rollback("b")
    made.rollback("a")
    assert made.take_commands() == []
    assert exchange(made, "b", "a", "sendrecv", "", "sendrecv") == ("sendrecv", "sendrecv")


def test_refused_audio_is_no_hold() -> None:
    made = session()
    talk(made)
    with pytest.raises(NegotiationError):
        made.set_remote("a", sdp(port=0), offer=True)
    assert exchange(made, "a", "b", "sendrecv", "", "sendrecv") == ("sendrecv", "sendrecv")
