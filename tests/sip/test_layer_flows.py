"""Call flows of RFC 3665 at the level of transactions, on two layers back to back, and what can go wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from pbx.sip.message import Request
from pbx.sip.server import ServerTransaction
from tests.support.network import Faults, Nat, SteppedClock, Wire
from tests.support.peer import Outcome, Peer
from tests.support.sip import request

ALICE = ("192.0.2.101", 5060)
BOB = ("192.0.2.201", 5060)


class Pair:
    """Alice calls, Bob answers as told."""

    def __init__(self, transport: str = "udp", faults: Faults | None = None, nat: bool = False) -> None:
        self.clock = SteppedClock()
        self.wire = Wire(self.clock, seed=1, faults=faults)
        self.nat = Nat(self.wire, "198.51.100.7") if nat else None
        self.transport = transport
        self.alice = Peer(self.wire, ALICE, (transport,), self.nat)
        self.bob = Peer(self.wire, BOB, (transport,))
        self.held: list[ServerTransaction] = []
        self.bob.answer = self.hold

    def hold(self, transaction: ServerTransaction, message: Request) -> None:
        self.held.append(transaction)

    def call(self, method: str = "INVITE", **more: Any) -> Outcome:
        outcome = self.alice.send(request(method, **more), BOB, self.transport)
        self.clock.advance(0)
        return outcome

    def say(self, status: int, number: int = 0) -> None:
        self.bob.say(self.held[number], status)
        self.clock.advance(0)

    def run_out(self) -> None:
        """Let every timer run out; nothing may be left."""
        self.clock.run_out()
        assert self.alice.layer.leftovers() == []
        assert self.bob.layer.leftovers() == []


@pytest.fixture(params=["udp", "tcp"])
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


def test_registration_rfc_3665_2_1(pair: Pair):
    """REGISTER is challenged, then accepted."""
    first = pair.call("REGISTER")
    pair.say(401)
    second = pair.call("REGISTER", cseq=2)
    pair.say(200, 1)
    assert first.finals == [401]
    assert second.finals == [200]
    pair.run_out()


def test_session_establishment_rfc_3665_3_1(pair: Pair):
    outcome = pair.call()
    pair.say(180)
    pair.clock.advance(2)
    pair.say(200)
    assert outcome.provisionals == [180]
    assert outcome.finals == [200]
    assert len(pair.bob.acks) == 1
    assert pair.alice.heard == ["SIP/2.0 180 Ringing", "SIP/2.0 200 OK"]
    bye = pair.call("BYE", to_tag="tag-192.0.2.201", cseq=2)
    pair.say(200, 1)
    assert bye.finals == [200]
    pair.run_out()
    assert not pair.alice.strays
    assert not pair.bob.server_failures


def test_unsuccessful_no_answer_rfc_3665_3_8(pair: Pair):
    """INVITE, 180, CANCEL, 200 to the CANCEL, 487 to the INVITE, ACK."""
    outcome = pair.call()
    pair.say(180)
    pair.clock.advance(9)
    pair.alice.cancel(outcome, (("Reason", 'SIP;cause=200;text="Call completed elsewhere"'),))
    pair.clock.advance(0)
    assert outcome.finals == [487]
    assert pair.bob.heard[0].startswith("INVITE")
    assert [line.split(" ")[0] for line in pair.bob.heard] == ["INVITE", "CANCEL", "ACK"]
    assert sorted(pair.alice.heard[1:]) == ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]
    assert pair.bob.acks == []
    pair.run_out()
    assert outcome.failures == []
    assert pair.bob.layer.counters["cancels_unmatched"] == 0


def test_unsuccessful_busy_rfc_3665_3_9(pair: Pair):
    outcome = pair.call()
    pair.say(486)
    assert outcome.finals == [486]
    assert [line.split(" ")[0] for line in pair.bob.heard] == ["INVITE", "ACK"]
    pair.run_out()
    assert pair.bob.acks == []
    assert pair.bob.server_failures == []


def test_unsuccessful_no_response_rfc_3665_3_10():
    """Seven INVITEs and no answer."""
    pair = Pair()
    pair.wire.dark.add(BOB[0])
    outcome = pair.call()
    pair.clock.advance(32)
    assert outcome.failures == ["timeout"]
    assert outcome.ended == 32
    assert len(pair.wire.log) == 7
    pair.run_out()


def test_unsuccessful_temporarily_unavailable_rfc_3665_3_11(pair: Pair):
    outcome = pair.call()
    pair.say(180)
    pair.say(480)
    assert outcome.finals == [480]
    pair.run_out()


# -- lost and doubled


def test_a_lost_invite_is_sent_again():
    pair = Pair()
    pair.wire.drop_next(2, holding=b"INVITE sip")
    outcome = pair.call()
    pair.clock.advance(1.5)
    assert len(pair.bob.requests) == 1
    pair.say(200)
    assert outcome.finals == [200]
    pair.run_out()


def test_a_lost_ack_brings_the_failure_again_and_the_ack_again():
    pair = Pair()
    outcome = pair.call()
    pair.wire.drop_next(holding=b"ACK sip")
    pair.say(486)
    pair.clock.advance(10)
    assert outcome.finals == [486]
    assert [line.split(" ")[0] for line in pair.bob.heard] == ["INVITE", "ACK"]
    assert len(pair.alice.heard) == 2
    pair.run_out()
    assert pair.bob.server_failures == []


def test_a_lost_2xx_is_repeated_by_the_user_and_each_one_acknowledged():
    pair = Pair()
    outcome = pair.call()
    pair.wire.drop_next(2, holding=b"SIP/2.0 200")
    pair.say(200)
    pair.clock.advance(10)
    assert outcome.finals == [200]
    assert len(pair.bob.acks) == 1
    pair.run_out()


def test_a_lost_ack_to_a_2xx_brings_the_2xx_again():
    pair = Pair()
    outcome = pair.call()
    pair.wire.drop_next(2, holding=b"ACK sip")
    pair.say(200)
    pair.clock.advance(10)
    assert outcome.finals == [200, 200, 200], "each is passed up, and acknowledged there"
    assert len(pair.bob.acks) == 1
    pair.run_out()


def test_everything_twice_makes_no_difference():
    pair = Pair(faults=Faults(duplication=1.0))
    outcome = pair.call()
    pair.say(180)
    pair.say(486)
    assert outcome.finals == [486]
    assert len(pair.bob.requests) == 1
    pair.run_out()
    assert pair.bob.acks == []


def test_a_repeated_request_is_answered_where_the_nat_now_has_it():
    pair = Pair(nat=True)
    assert pair.nat is not None
    outcome = pair.call("OPTIONS")
    pair.nat.rebind()
    pair.say(200)
    assert outcome.finals == []
    pair.clock.advance(1)
    assert outcome.finals == [200]
    pair.run_out()


# -- the races of CANCEL


def test_cancel_waits_for_a_provisional_response(pair: Pair):
    outcome = pair.call()
    pair.alice.cancel(outcome)
    pair.clock.advance(0.1)
    assert pair.bob.heard == ["INVITE sip:bob@example.com SIP/2.0"]
    pair.clock.advance(0.1)
    assert [line.split(" ")[0] for line in pair.bob.heard] == ["INVITE", "CANCEL", "ACK"]
    assert outcome.provisionals == [100]
    assert outcome.finals == [487]
    pair.run_out()


def test_cancel_without_any_response_ends_at_64_t1():
    pair = Pair()
    pair.wire.dark.add(BOB[0])
    outcome = pair.call()
    pair.alice.cancel(outcome)
    pair.alice.cancel(outcome)
    pair.clock.advance(32)
    assert outcome.failures == ["cancelled"]
    assert not any(b"CANCEL" in datagram.data for datagram in pair.wire.log)
    pair.run_out()


def test_cancel_crosses_a_2xx(pair: Pair):
    outcome = pair.call()
    pair.say(180)
    pair.bob.say(pair.held[0], 200)
    pair.alice.cancel(outcome)
    pair.clock.advance(0)
    assert outcome.finals == [200]
    assert pair.bob.requests[0].method == "INVITE"
    assert len(pair.bob.requests) == 1, "a CANCEL that came too late is no news"
    assert "SIP/2.0 200 OK" in pair.alice.heard
    assert len(pair.bob.acks) == 1
    pair.run_out()


def test_cancel_after_the_final_response_is_harmless(pair: Pair):
    outcome = pair.call()
    pair.say(486)
    pair.alice.cancel(outcome)
    pair.run_out()
    pair.alice.cancel(outcome)
    assert not any(line.startswith("CANCEL") for line in pair.bob.heard)


def test_a_cancel_that_never_brings_a_final_response_ends_64_t1_later(pair: Pair):
    outcome = pair.call()
    pair.say(180)
    pair.bob.cancelled = lambda transaction: None
    pair.clock.advance(10)
    pair.alice.cancel(outcome)
    pair.clock.advance(31.9)
    assert outcome.failures == []
    pair.clock.advance(0.1)
    assert outcome.failures == ["cancelled"]
    assert outcome.ended == 42
    pair.say(487)
    pair.run_out()
    assert len(pair.alice.strays) >= 1
    assert pair.bob.server_failures == ["timeout"]


def test_a_lost_cancel_is_repeated():
    pair = Pair()
    outcome = pair.call()
    pair.say(180)
    pair.wire.drop_next(2, holding=b"CANCEL sip")
    pair.alice.cancel(outcome)
    pair.clock.advance(1.5)
    assert outcome.finals == [487]
    pair.run_out()


def test_a_cancel_after_a_cancel_by_timer_c_only_changes_the_verdict(pair: Pair):
    outcome = pair.call()
    pair.say(180)
    pair.bob.cancelled = lambda transaction: None
    pair.clock.advance(190)
    pair.alice.cancel(outcome)
    pair.clock.advance(40)
    assert outcome.failures == ["cancelled"]
    assert sum(line.startswith("CANCEL") for line in pair.bob.heard) == 1
    pair.say(487)
    pair.run_out()


# -- the transport fails


def test_a_closed_port_fails_the_request_at_once():
    pair = Pair()
    outcome = pair.alice.send(request("INVITE"), (BOB[0], 9))
    pair.clock.advance(0)
    assert outcome.failures == ["transport"]
    pair.run_out()


def test_a_broken_connection_fails_what_waits_on_it_and_nothing_else():
    pair = Pair("tcp")
    ringing, waiting = pair.call(), pair.call("OPTIONS", call_id="another")
    pair.say(180)
    answered = pair.call(call_id="third")
    pair.say(200, 2)
    pair.alice.network.break_streams()
    pair.clock.advance(0)
    assert ringing.failures == ["transport"]
    assert waiting.failures == ["transport"]
    assert answered.failures == []
    pair.say(486)
    assert pair.bob.server_failures == ["transport"]
    pair.clock.run_out()
    assert pair.bob.server_failures == ["transport", "timeout"]
    assert pair.alice.layer.leftovers() == pair.bob.layer.leftovers() == []


def test_a_cancelled_invite_whose_connection_breaks_is_cancelled():
    pair = Pair("tcp")
    outcome = pair.call()
    pair.alice.cancel(outcome)
    pair.alice.network.break_streams()
    pair.clock.advance(0)
    assert outcome.failures == ["cancelled"]
    pair.say(487)
    pair.clock.run_out()
