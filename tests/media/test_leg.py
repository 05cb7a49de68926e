from __future__ import annotations

import pytest

from pbx.errors import NegotiationError, UsageError
from pbx.media.leg import TABLE, Input, MediaLeg, State
from pbx.sdp.codecs import PayloadFormat
from pbx.sdp.model import Direction
from pbx.sdp.offer_answer import LocalMedia
from tests.support.media import sdp

PCMU = PayloadFormat(0, "PCMU", 8000)


def leg_in(state: State, exchange: Input | None) -> MediaLeg:
    """Return a leg in `state` whose last completed exchange was completed by `exchange`."""
    leg = MediaLeg("a", 1, lambda count: b"\x22" * count)
    leg.audio.local = LocalMedia("audio", "RTP/AVP", "203.0.113.5", 20000, 20001, rtcp_mux=False)
    if exchange is Input.RECEIVE_ANSWER:
        leg.make_offer((PCMU,), Direction.SENDRECV, rtcp_mux=False)
        leg.receive_answer(sdp())
    elif exchange is Input.SEND_ANSWER:
        leg.receive_offer(sdp())
        leg.make_answer((PCMU,), Direction.SENDRECV, rtcp_mux=False)
    if state is State.LOCAL_OFFER:
        leg.make_offer((PCMU,), Direction.SENDRECV, rtcp_mux=False)
    elif state is State.REMOTE_OFFER:
        leg.receive_offer(sdp())
    assert leg.state is state
    return leg


def do(leg: MediaLeg, happened: Input) -> None:
    if happened is Input.SEND_OFFER:
        leg.make_offer((PCMU,), Direction.SENDRECV, rtcp_mux=False)
    elif happened is Input.SEND_ANSWER:
        leg.make_answer((PCMU,), Direction.SENDRECV, rtcp_mux=False)
    elif happened is Input.RECEIVE_OFFER:
        leg.receive_offer(sdp())
    elif happened is Input.RECEIVE_ANSWER:
        leg.receive_answer(sdp())
    else:
        leg.roll_back()


@pytest.mark.parametrize("exchange", [None, Input.SEND_ANSWER, Input.RECEIVE_ANSWER])
@pytest.mark.parametrize("happened", Input)
@pytest.mark.parametrize("state", State)
def test_every_state_and_input(state: State, happened: Input, exchange: Input | None) -> None:
    leg = leg_in(state, exchange)
    target = TABLE[state][happened]
    if state is State.STABLE and happened in (Input.SEND_ANSWER, Input.RECEIVE_ANSWER) and exchange is not happened:
        target = None  # an answer again, where none was before
    if target is None:
        with pytest.raises(NegotiationError if happened is Input.RECEIVE_OFFER else UsageError):
            do(leg, happened)
        assert leg.state is state
    else:
        do(leg, happened)
        assert leg.state is target


def test_the_table_is_whole() -> None:
    assert set(TABLE) == set(State)
    for row in TABLE.values():
        assert set(row) == set(Input)


def test_an_answer_without_a_common_codec_leaves_the_offer_pending() -> None:
    leg = leg_in(State.REMOTE_OFFER, None)
    with pytest.raises(NegotiationError):
        leg.make_answer((PayloadFormat(8, "PCMA", 8000),), Direction.SENDRECV, rtcp_mux=False)
    assert leg.state is State.REMOTE_OFFER
    leg.make_answer((PCMU,), Direction.SENDRECV, rtcp_mux=False)


def test_the_version_counts_changes() -> None:
    leg = leg_in(State.STABLE, Input.SEND_ANSWER)
    versions = []
    for direction in (Direction.SENDRECV, Direction.SENDONLY, Direction.SENDONLY, Direction.SENDRECV):
        versions.append(leg.make_offer((PCMU,), direction, rtcp_mux=False).origin.version)
        leg.receive_answer(sdp())
    assert versions == ["1", "2", "2", "3"]


@pytest.mark.parametrize("pending", [State.LOCAL_OFFER, State.REMOTE_OFFER])
def test_after_a_rollback_no_answer_is_repeated(pending: State) -> None:
    leg = leg_in(pending, Input.SEND_ANSWER)
    leg.roll_back()
    with pytest.raises(UsageError):
        do(leg, Input.SEND_ANSWER)
    leg = leg_in(pending, Input.RECEIVE_ANSWER)
    settled = leg.audio.remote
    leg.roll_back()
    leg.receive_answer(sdp(port=9000))
    assert leg.audio.remote is settled


@pytest.mark.parametrize("exchange", [Input.SEND_ANSWER, Input.RECEIVE_ANSWER])
@pytest.mark.parametrize("rolled_back", [False, True])
def test_a_session_that_is_offered_again_is_followed(exchange: Input, rolled_back: bool) -> None:
    leg = leg_in(State.STABLE, exchange)
    if rolled_back:
        leg.make_offer((PayloadFormat(8, "PCMA", 8000),), Direction.SENDONLY, rtcp_mux=False)
        leg.roll_back()
    leg.follow(sdp(port=9000))
    assert leg.audio.remote is not None
    assert (leg.audio.remote.port, leg.audio.send, leg.audio.receive) == (9000, True, True)
    assert [codec.name for codec in leg.audio.agreed] == ["PCMU"]
    leg.follow(sdp("a=recvonly", port=9000))
    assert (leg.audio.send, leg.audio.receive, leg.audio.wish) == (True, False, Direction.RECVONLY)
    assert leg.state is State.STABLE


def test_an_answer_that_is_said_again_may_still_be_said_otherwise() -> None:
    leg = leg_in(State.STABLE, Input.SEND_ANSWER)
    leg.follow(sdp(port=9000))
    leg.make_answer((PCMU,), Direction.SENDONLY, rtcp_mux=False)
    assert (leg.audio.send, leg.audio.receive) == (True, False)


def test_nothing_is_followed_that_is_no_answer() -> None:
    leg = leg_in(State.STABLE, Input.SEND_ANSWER)
    settled = leg.audio.remote
    with pytest.raises(NegotiationError):
        leg.follow(sdp(formats="8"))
    assert leg.audio.remote is settled
    for state in (State.LOCAL_OFFER, State.REMOTE_OFFER):
        with pytest.raises(UsageError):
            leg_in(state, Input.SEND_ANSWER).follow(sdp())
    with pytest.raises(UsageError):
        leg_in(State.STABLE, None).follow(sdp())
