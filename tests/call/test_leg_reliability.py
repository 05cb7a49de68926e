"""Reliable provisional responses in either role (RFC 3262), and the offers and answers that travel in them (RFC 6337
§2.2)."""

import pytest

from pbx.call import commands, events
from pbx.call.leg import LegSettings
from pbx.call.leg.table import State
from pbx.cause import cause_named
from pbx.sdp import parser
from tests.support.legs import Bench, body, reply, sdp

SUPPORTS = {"Supported": "100rel", "Allow": "INVITE, ACK, BYE, CANCEL, PRACK, UPDATE"}
REQUIRES = {"Require": "100rel", "Allow": "INVITE, ACK, BYE, CANCEL, PRACK, UPDATE"}


@pytest.fixture
def bench():
    return Bench()


def rseq(peer):
    return int(peer.server.last.headers.get("RSeq"))


def prack(peer, content=b"", number=None, cseq=1):
    return peer.send("PRACK", content, RAck=f"{number or rseq(peer)} {cseq} INVITE")


def hang_up(peer):
    peer.do(commands.HangUp(peer.leg.id, cause_named("completed")))


class TestSending:
    """We are the server of the INVITE."""

    def test_ring_is_unreliable_if_it_may_be(self, bench):
        peer = bench.inbound(**SUPPORTS)
        peer.do(commands.Ring("in"))
        assert "RSeq" not in peer.server.last.headers

    def test_ring_is_reliable_if_it_must_be(self, bench):
        peer = bench.inbound(**REQUIRES)
        peer.do(commands.Ring("in"))
        assert peer.server.last.require == ("100rel",)
        assert 1 <= rseq(peer) < 2**31
        assert prack(peer).statuses == [200]

    def test_early_media_is_reliable_if_it_can_be(self, bench):
        peer = bench.inbound(**SUPPORTS)
        peer.do(commands.Progress("in", sdp(5000)))
        assert peer.server.last.require == ("100rel",)
        assert prack(peer).statuses == [200]
        # The answer has been given; RFC 3261 §13.2.1 has the UAC ignore any other.
        peer.do(commands.Answer("in", sdp(5000)))
        assert peer.server.last.status == 200
        assert not peer.server.last.body
        peer.ack(1)
        bench.silent()
        assert peer.leg.state is State.CONFIRMED

    def test_settings_turn_it_off_but_not_against_a_requirement(self, bench):
        off = LegSettings(reliable_provisionals=False)
        peer = bench.inbound(settings=off, **SUPPORTS)
        peer.do(commands.Progress("in", sdp(5000)))
        assert "RSeq" not in peer.server.last.headers
        peer = bench.inbound(settings=off, **REQUIRES)
        peer.do(commands.Ring("in"))
        assert "RSeq" in peer.server.last.headers

    def test_repeats_with_doubling_until_the_prack(self, bench):
        # RFC 3262 §3
        peer = bench.inbound(**REQUIRES)
        peer.do(commands.Ring("in"))
        bench.clock.advance(31)
        assert peer.server.times == [0, 0.5, 1.5, 3.5, 7.5, 15.5]
        assert len({response.headers.get("RSeq") for response in peer.server.responses}) == 1
        prack(peer)
        bench.clock.advance(100)
        assert len(peer.server.times) == 6

    def test_refuses_the_call_if_no_prack_comes(self, bench):
        peer = bench.inbound(**REQUIRES)
        peer.do(commands.Ring("in"))
        bench.clock.advance(32)
        assert peer.server.last.status == 504
        assert bench.told(events.HungUp).cause.slug == "caller-gone"
        bench.nothing_left(peer.leg)

    def test_second_waits_for_the_first(self, bench):
        peer = bench.inbound(**REQUIRES)
        peer.do(commands.Ring("in"))
        peer.do(commands.Progress("in", sdp(5000)))
        assert peer.server.statuses == [180]
        first = rseq(peer)
        prack(peer)
        assert peer.server.statuses == [180, 183]
        assert rseq(peer) == first + 1
        prack(peer)
        assert not [call for call in bench.clock.getDelayedCalls() if call.getTime() < 60]

    @pytest.mark.parametrize("rack", ["99999 1 INVITE", "{} 2 INVITE", "{} 1 UPDATE", "{} 1 invite"])
    def test_prack_that_matches_nothing(self, bench, rack):
        peer = bench.inbound(**REQUIRES)
        peer.do(commands.Ring("in"))
        assert peer.send("PRACK", RAck=rack.format(rseq(peer))).statuses == [481]
        assert bench.clock.getDelayedCalls()

    @pytest.mark.parametrize("rack", ["x 1 INVITE", "1 INVITE", ""])
    def test_malformed_prack(self, bench, rack):
        peer = bench.inbound(**REQUIRES)
        peer.do(commands.Ring("in"))
        assert peer.send("PRACK", RAck=rack).statuses == [400]

    def test_prack_twice(self, bench):
        peer = bench.inbound(**REQUIRES)
        peer.do(commands.Ring("in"))
        number = rseq(peer)
        assert prack(peer, number=number).statuses == [200]
        assert prack(peer, number=number).statuses == [481]

    def test_prack_to_who_sends_nothing_reliably(self, bench):
        peer = bench.inbound()
        peer.do(commands.Ring("in"))
        assert peer.send("PRACK", RAck="1 1 INVITE").statuses == [481]

    def test_answer_waits_for_the_prack_of_a_description(self, bench):
        # RFC 3262 §3
        peer = bench.inbound(**SUPPORTS)
        peer.do(commands.Progress("in", sdp(5000)))
        peer.do(commands.Answer("in", sdp(5000)))
        assert peer.leg.state is State.ANSWERING
        assert peer.server.statuses == [183]
        prack(peer)
        assert peer.server.statuses == [183, 200]
        peer.ack(1)
        assert peer.leg.state is State.CONFIRMED

    def test_answer_does_not_wait_for_the_prack_of_a_ring(self, bench):
        peer = bench.inbound(**REQUIRES)
        peer.do(commands.Ring("in"))
        number = rseq(peer)
        peer.do(commands.Answer("in", sdp(5000)))
        assert peer.server.statuses == [180, 200]
        assert parser.parse(peer.server.last.body) == sdp(5000)
        # RFC 3262 §3: it MUST be prepared to process PRACK requests for those outstanding responses.
        assert prack(peer, number=number).statuses == [200]
        peer.ack(1)
        hang_up(peer)
        reply(bench.stack.take("BYE"), 200)
        bench.told(events.HungUp)
        bench.nothing_left(peer.leg)

    def test_caller_gives_up_while_the_answer_waits(self, bench):
        peer = bench.inbound(**SUPPORTS)
        peer.do(commands.Progress("in", sdp(5000)))
        peer.do(commands.Answer("in", sdp(5000)))
        peer.cancel()
        assert peer.server.statuses == [183, 487]
        bench.told(events.HungUp)
        bench.nothing_left(peer.leg)

    def test_reject_does_not_wait(self, bench):
        peer = bench.inbound(**SUPPORTS)
        peer.do(commands.Progress("in", sdp(5000)))
        peer.do(commands.Reject("in", cause_named("busy")))
        assert peer.server.statuses == [183, 486]
        bench.told(events.HungUp)
        bench.nothing_left(peer.leg)

    def test_every_two_and_a_half_minutes_it_rings_anew(self, bench):
        peer = bench.inbound(**REQUIRES)
        peer.do(commands.Ring("in"))
        first = rseq(peer)
        prack(peer)
        bench.clock.advance(151)
        assert rseq(peer) == first + 1
        prack(peer)

    def test_changed_answer_is_offered_anew_when_the_call_is_up(self, bench):
        peer = bench.inbound(**{**SUPPORTS, "Allow": "INVITE, ACK, BYE, PRACK"})
        peer.do(commands.Progress("in", sdp(5000)))
        prack(peer)
        peer.do(commands.Answer("in", sdp(5002, version=2)))
        assert not peer.server.last.body
        peer.ack(1)
        offer = bench.stack.take("INVITE")
        assert parser.parse(offer.request.body) == sdp(5002, version=2)
        reply(offer, 200, body(4000))
        bench.told(events.OfferAnswered)

    def test_answer_that_differs_in_its_origin_only_is_the_same(self, bench):
        peer = bench.inbound(**SUPPORTS)
        peer.do(commands.Progress("in", sdp(5000)))
        prack(peer)
        peer.do(commands.Answer("in", sdp(5000, version=2)))
        peer.ack(1)
        assert bench.stack.requests == []

    def test_changed_early_media_goes_by_update(self, bench):
        # RFC 3311 §5.1
        peer = bench.inbound(**SUPPORTS)
        peer.do(commands.Progress("in", sdp(5000)))
        prack(peer)
        peer.do(commands.Progress("in", sdp(5002, version=2), ringing=True))
        assert peer.server.statuses == [183, 180]
        assert not peer.server.last.body
        update = bench.stack.take("UPDATE")
        assert parser.parse(update.request.body) == sdp(5002, version=2)
        # The answer does not overtake the exchange.
        peer.do(commands.Answer("in", sdp(5002, version=2)))
        assert peer.server.statuses == [183, 180]
        reply(update, 200, body(4000))
        bench.told(events.OfferAnswered)
        assert peer.server.statuses == [183, 180, 200]


class TestSendingLateOffer:
    def test_offer_goes_reliably_and_the_answer_comes_in_the_prack(self, bench):
        # RFC 3262 §5
        peer = bench.inbound(b"", **SUPPORTS)
        peer.do(commands.Progress("in", sdp(5000)))
        assert parser.parse(peer.server.last.body) == sdp(5000)
        assert prack(peer, body(4000)).statuses == [200]
        assert bench.told(events.OfferAnswered).sdp == sdp(4000)
        peer.do(commands.Answer("in", sdp(5000)))
        assert not peer.server.last.body
        peer.ack(1)
        bench.silent()

    def test_prack_without_the_answer_has_the_offer_made_again(self, bench):
        peer = bench.inbound(b"", **SUPPORTS)
        peer.do(commands.Progress("in", sdp(5000)))
        assert prack(peer).statuses == [200]
        assert bench.counts["answer-missing"] == 1
        peer.do(commands.Answer("in", sdp(5000)))
        assert parser.parse(peer.server.last.body) == sdp(5000)
        peer.ack(1, body(4000))
        assert bench.told(events.OfferAnswered).sdp == sdp(4000)

    def test_required_ring_without_an_offer_is_left_out(self, bench):
        peer = bench.inbound(b"", **REQUIRES)
        peer.do(commands.Ring("in"))
        assert peer.server.statuses == []
        assert bench.counts["provisional-impossible"] == 1
        peer.do(commands.Answer("in", sdp(5000)))
        assert peer.server.statuses == [200]


class TestOfferInPrack:
    @pytest.fixture
    def peer(self, bench):
        peer = bench.inbound(**SUPPORTS)
        peer.do(commands.Progress("in", sdp(5000)))
        return peer

    def test_is_answered_in_its_2xx(self, bench, peer):
        server = prack(peer, body(4002, 2))
        assert server.statuses == []
        assert bench.told(events.Offered).sdp == sdp(4002, 2)
        # An Answer waits until the offer has its answer.
        peer.do(commands.Answer("in", sdp(5000)))
        assert peer.server.statuses == [183]
        peer.do(commands.AcceptOffer("in", sdp(5000)))
        assert server.statuses == [200]
        assert parser.parse(server.last.body) == sdp(5000)
        assert peer.server.statuses == [183, 200]
        peer.ack(1)

    def test_waits_not_for_ever(self, bench, peer):
        server = prack(peer, body(4002, 2))
        bench.told(events.Offered)
        bench.clock.advance(16)
        assert server.statuses == [504]
        bench.told(events.OfferWithdrawn)
        peer.do(commands.AcceptOffer("in", sdp(5000)))
        assert bench.counts["command-dropped"] == 1

    def test_out_of_turn_does_not_keep_the_answer_waiting(self, bench):
        peer = bench.inbound(b"", **SUPPORTS)
        peer.do(commands.Progress("in", sdp(5000)))
        number = rseq(peer)
        prack(peer, body(4000))
        bench.told(events.OfferAnswered)
        peer.do(commands.Ring("in"))
        peer.do(commands.Answer("in", sdp(5000)))
        assert peer.server.last.status == 200
        assert prack(peer, body(4002), number=number).statuses == [481]

    def test_out_of_turn_is_refused(self, bench):
        peer = bench.inbound(**REQUIRES)
        peer.do(commands.Ring("in"))
        assert prack(peer, body(4002)).statuses == [400]


class TestReceiving:
    """We are the client of the INVITE."""

    def test_prack_carries_what_it_acknowledges(self, bench):
        peer = bench.outbound()
        peer.reliable(180, 77)
        bench.told(events.Ringing)
        request = bench.stack.take("PRACK").request
        assert request.headers.get("RAck") == "77 1 INVITE"
        assert request.cseq.number == 2
        assert request.to.tag == "peer"

    def test_only_the_next_is_acknowledged(self, bench):
        # RFC 3262 §4
        peer = bench.outbound()
        peer.reliable(180, 77)
        bench.told(events.Ringing)
        peer.reliable(180, 77)
        peer.reliable(183, 79, body())
        bench.silent()
        assert len(bench.stack.all("PRACK")) == 1
        assert bench.counts["provisional-repeated"] == 2
        peer.reliable(183, 78, body())
        bench.told(events.Progressing)
        assert len(bench.stack.all("PRACK")) == 2

    def test_each_early_dialog_counts_for_itself(self, bench):
        peer = bench.outbound()
        peer.reliable(180, 77, tag="one")
        peer.reliable(180, 5, tag="two")
        assert [client.request.to.tag for client in bench.stack.all("PRACK")] == ["one", "two"]

    def test_hundred_is_never_reliable(self, bench):
        peer = bench.outbound()
        peer.reliable(100, 1)
        assert not bench.stack.all("PRACK")

    def test_reliable_answer_is_the_answer(self, bench):
        peer = bench.outbound()
        peer.reliable(183, 1, body(4000))
        assert bench.told(events.Progressing).sdp == sdp(4000)
        reply(bench.stack.take("PRACK"), 200)
        peer.respond(200, body(4999))
        assert bench.told(events.Answered).sdp == sdp(4000)
        assert not bench.stack.acks[0][0].body

    def test_answer_without_a_description_after_a_reliable_one(self, bench):
        peer = bench.outbound()
        peer.reliable(183, 1, body(4000))
        bench.told(events.Progressing)
        peer.respond(200)
        assert bench.told(events.Answered).sdp == sdp(4000)

    @pytest.mark.parametrize("outcome", [481, 500, "timeout"])
    def test_failed_prack_changes_nothing(self, bench, outcome):
        peer = bench.outbound()
        peer.reliable(180, 1)
        bench.told(events.Ringing)
        client = bench.stack.take("PRACK")
        if isinstance(outcome, int):
            reply(client, outcome)
        else:
            client.fail(outcome)
        assert bench.counts["prack-failed"] == 1
        peer.answered()

    def test_leg_waits_for_the_outcome_of_its_prack(self, bench):
        peer = bench.outbound()
        peer.reliable(180, 1)
        bench.told(events.Ringing)
        peer.respond(486)
        bench.told(events.Rejected)
        assert not peer.leg.finished
        reply(bench.stack.take("PRACK"), 200)
        bench.nothing_left(peer.leg)

    def test_offer_of_a_provisional_response_is_answered_in_the_prack(self, bench):
        # RFC 3262 §5; we did not offer 100rel with a late offer, but a peer may not care.
        peer = bench.outbound(late=True)
        peer.reliable(183, 1, body(4000))
        assert bench.told(events.Offered).sdp == sdp(4000)
        assert bench.stack.all("PRACK") == []
        peer.do(commands.AcceptOffer("out", sdp(5000)))
        prack = bench.stack.take("PRACK").request
        assert parser.parse(prack.body) == sdp(5000)
        peer.respond(200)
        assert bench.told(events.Answered) == events.Answered("out", sdp(4000))
        assert not bench.stack.acks[0][0].body

    def test_offer_of_a_provisional_response_that_is_declined(self, bench):
        peer = bench.outbound(late=True)
        peer.reliable(183, 1, body(4000))
        bench.told(events.Offered)
        peer.do(commands.DeclineOffer("out"))
        assert parser.parse(bench.stack.take("PRACK").request.body).media[0].port == 0

    def test_answer_before_our_prack_is_ended(self, bench):
        peer = bench.outbound(late=True)
        peer.reliable(183, 1, body(4000))
        bench.told(events.Offered)
        peer.respond(200, body(4000))
        assert bench.told(events.Rejected).cause.slug == "protocol-error"
        reply(bench.stack.take("BYE"), 200)
        bench.nothing_left(peer.leg)

    def test_cancel_leaves_the_offer(self, bench):
        peer = bench.outbound(late=True)
        peer.reliable(183, 1, body(4000))
        bench.told(events.Offered)
        hang_up(peer)
        bench.told(events.HungUp)
        peer.respond(487)
        bench.nothing_left(peer.leg)
