"""Offer and answer (RFC 3264 §4)."""

import pytest

from pbx.call.leg.negotiation import TABLE, Negotiation, Phase, Step, same_session
from pbx.errors import UsageError
from tests.support.legs import body

WAYS = {
    Phase.NOTHING: (),
    Phase.OFFERED: (Step.SEND_OFFER,),
    Phase.ASKED: (Step.RECEIVE_OFFER,),
    Phase.AGREED: (Step.SEND_OFFER, Step.RECEIVE_ANSWER),
}


def take(negotiation, step, content=b"x"):
    if step is Step.WITHDRAW:
        negotiation.withdraw()
    else:
        verb, what = step.value.split(" an ")
        getattr(negotiation, f"{verb}_{what}")(content)


def in_phase(phase):
    negotiation = Negotiation()
    for step in WAYS[phase]:
        take(negotiation, step)
    assert negotiation.phase is phase
    return negotiation


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("step", Step)
def test_walk(phase, step):
    negotiation = in_phase(phase)
    expected = TABLE[phase].get(step)
    assert negotiation.allows(step) == (expected is not None)
    if expected is None:
        with pytest.raises(UsageError):
            take(negotiation, step)
        assert negotiation.phase is phase
    else:
        take(negotiation, step)
        assert negotiation.phase is expected


def test_bodies_are_what_was_agreed_upon():
    negotiation = Negotiation()
    negotiation.receive_offer(b"theirs")
    assert (negotiation.local, negotiation.remote) == (b"", b"")
    negotiation.send_answer(b"ours")
    assert (negotiation.local, negotiation.remote) == (b"ours", b"theirs")
    negotiation.send_offer(b"ours 2")
    assert (negotiation.local, negotiation.remote) == (b"ours", b"theirs")
    negotiation.receive_answer(b"theirs 2")
    assert (negotiation.local, negotiation.remote) == (b"ours 2", b"theirs 2")


@pytest.mark.parametrize("step", [Step.SEND_OFFER, Step.RECEIVE_OFFER])
def test_refused_offer_leaves_the_session(step):
    negotiation = in_phase(Phase.AGREED)
    take(negotiation, step, b"new")
    negotiation.withdraw()
    assert negotiation.settled
    assert (negotiation.local, negotiation.remote) == (b"x", b"x")


def test_sessions_are_compared_without_their_origin():
    assert same_session(body(4000, 1), body(4000, 2))
    assert not same_session(body(4000), body(4002))
