"""Offers in mid-call: re-INVITE (RFC 3261 §14), UPDATE (RFC 3311), glare and overlap, and what RFC 6141 says of a
failed one."""

import pytest

from pbx.call import commands, events
from pbx.call.leg import LegSettings
from pbx.call.leg.offers import glare_delay
from pbx.call.leg.table import State
from pbx.cause import cause_named
from pbx.sdp import parser
from pbx.sip.stack import Flow, TransactionFailure
from tests.support.legs import Bench, body, reply, sdp
from tests.support.sip import counted_ids

UPDATES = "INVITE, ACK, BYE, CANCEL, UPDATE"
HOLD = body(4000, 2, "sendonly")


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture(params=["inbound", "outbound"])
def peer(bench, request):
    """The peer of a confirmed dialog, in either role."""
    return (bench.inbound() if request.param == "inbound" else bench.outbound()).answered()


def accept(peer, description=None):
    peer.do(commands.AcceptOffer(peer.leg.id, description or sdp(5000)))


def offer(peer, description=None):
    peer.do(commands.Offer(peer.leg.id, description))


def hang_up(bench, peer):
    """End the call in good order and see that nothing is left."""
    peer.do(commands.HangUp(peer.leg.id, cause_named("completed")))
    bench.told(events.HungUp)
    reply(bench.stack.take("BYE"), 200)
    bench.nothing_left(peer.leg)


class TestReInvite:
    def test_offer_is_handed_up_and_answered(self, bench, peer):
        # RFC 3665 §3.6: hold
        server = peer.send("INVITE", HOLD)
        assert server.statuses == []
        assert bench.told(events.Offered) == events.Offered(peer.leg.id, parser.parse(HOLD))
        accept(peer, sdp(5000, 2, "recvonly"))
        assert server.statuses == [200]
        assert parser.parse(server.last.body) == sdp(5000, 2, "recvonly")
        assert server.last.contacts
        bench.clock.advance(2)
        assert server.statuses == [200] * 3
        peer.ack()
        bench.clock.advance(100)
        assert server.statuses == [200] * 3
        hang_up(bench, peer)

    def test_declined_leaves_the_session(self, bench, peer):
        server = peer.send("INVITE", HOLD)
        bench.told(events.Offered)
        peer.do(commands.DeclineOffer(peer.leg.id, 488))
        assert server.statuses == [488]
        server = peer.send("INVITE", HOLD)
        bench.told(events.Offered)
        accept(peer)
        assert server.statuses == [200]

    def test_without_an_offer_asks_for_ours(self, bench, peer):
        server = peer.send("INVITE")
        assert bench.told(events.Offered).sdp is None
        accept(peer, sdp(5002, 2))
        assert parser.parse(server.last.body) == sdp(5002, 2)
        peer.ack(content=body(4002, 2))
        assert bench.told(events.OfferAnswered).sdp == sdp(4002, 2)
        hang_up(bench, peer)

    def test_ack_without_the_answer_leaves_the_session(self, bench, peer):
        peer.send("INVITE")
        bench.told(events.Offered)
        accept(peer, sdp(5002, 2))
        peer.ack()
        assert bench.told(events.OfferDeclined).status == 488
        peer.send("INVITE", HOLD)
        bench.told(events.Offered)

    def test_without_an_ack_the_call_ends(self, bench, peer):
        peer.send("INVITE", HOLD)
        bench.told(events.Offered)
        accept(peer)
        bench.clock.advance(32)
        assert bench.told(events.HungUp).cause.slug in ("caller-gone", "callee-gone")
        reply(bench.stack.take("BYE"), 481)
        bench.nothing_left(peer.leg)

    def test_overlapping_one_is_put_off(self, bench, peer):
        # RFC 3261 §14.2
        peer.send("INVITE", HOLD)
        bench.told(events.Offered)
        second = peer.send("INVITE", HOLD)
        assert second.statuses == [500]
        assert 0 <= int(second.last.headers.get("Retry-After")) <= 10
        third = peer.send("UPDATE", HOLD)
        assert third.statuses == [500]
        bench.silent()

    def test_cancelled_one_is_withdrawn(self, bench, peer):
        server = peer.send("INVITE", HOLD)
        bench.told(events.Offered)
        peer.leg.on_cancel(server, peer.message("CANCEL", cseq=peer.cseq))
        assert server.statuses == [487]
        bench.told(events.OfferWithdrawn)
        accept(peer)
        assert bench.counts["command-dropped"] == 1
        assert server.statuses == [487]
        peer.send("INVITE", HOLD)
        bench.told(events.Offered)

    def test_cancel_of_something_else_is_ignored(self, bench, peer):
        server = peer.send("INVITE", HOLD)
        bench.told(events.Offered)
        other = peer.send("OPTIONS")
        peer.leg.on_cancel(other, peer.message("CANCEL", cseq=peer.cseq))
        assert server.statuses == []
        bench.silent()

    def test_same_body_by_the_same_way_is_answered_here(self, bench, peer):
        # RFC 4028 §7.4: a refresh repeats the session description.
        server = peer.send("INVITE", body())
        bench.silent()
        assert server.statuses == [200]
        assert parser.parse(server.last.body) == sdp(5000)
        peer.ack()
        hang_up(bench, peer)

    def test_same_body_from_elsewhere_is_handed_up(self, bench, peer):
        peer.flow = Flow("udp", ("192.0.2.1", 5060), ("203.0.113.50", 1025))
        peer.send("INVITE", body())
        bench.told(events.Offered)

    def test_new_target_counts_once_accepted(self, bench, peer):
        # RFC 6141 §4.3
        moved = "<sip:bob@203.0.113.50:1025>"
        peer.send("INVITE", HOLD, Contact=moved)
        bench.told(events.Offered)
        peer.do(commands.DeclineOffer(peer.leg.id))
        assert str(peer.leg.usage.dialog.target) != "sip:bob@203.0.113.50:1025"
        peer.send("INVITE", HOLD, Contact=moved)
        bench.told(events.Offered)
        accept(peer)
        peer.ack()
        peer.do(commands.HangUp(peer.leg.id, cause_named("completed")))
        assert str(bench.stack.take("BYE").request.uri) == "sip:bob@203.0.113.50:1025"

    @pytest.mark.parametrize(
        ("content", "extra", "status"),
        [
            (b"nonsense", {}, 400),
            (b"x", {"content_type": "text/plain"}, 415),
            (HOLD, {"Require": "foo"}, 420),
            (HOLD, {"Contact": "*"}, 400),
            (HOLD, {"Session-Expires": "20", "Supported": "timer"}, 422),
            (HOLD, {"Session-Expires": "never"}, 400),
        ],
    )
    def test_faulty_one_is_refused(self, bench, peer, content, extra, status):
        assert peer.send("INVITE", content, **extra).statuses == [status]
        bench.silent()
        peer.send("INVITE", HOLD)
        bench.told(events.Offered)

    def test_open_one_ends_with_the_call(self, bench, peer):
        # RFC 3261 §15.1.2
        server = peer.send("INVITE", HOLD)
        bench.told(events.Offered)
        assert peer.send("BYE").statuses == [200]
        assert server.statuses == [487]
        bench.told(events.HungUp)
        bench.nothing_left(peer.leg)

    def test_open_one_ends_with_our_bye(self, bench, peer):
        server = peer.send("INVITE", HOLD)
        bench.told(events.Offered)
        hang_up(bench, peer)
        assert server.statuses == [487]

    def test_failure_to_deliver_its_answer_is_noticed_by_the_missing_ack(self, bench, peer):
        server = peer.send("INVITE", HOLD)
        bench.told(events.Offered)
        accept(peer)
        peer.leg.on_server_failure(server, TransactionFailure("transport"))
        bench.silent()
        bench.clock.advance(32)
        bench.told(events.HungUp)

    def test_before_the_first_ack(self, bench):
        # RFC 5407 §3.1.5: the ACK is late; the session is agreed all the same.
        peer = bench.inbound()
        peer.do(commands.Answer("in", sdp(5000)))
        peer.send("INVITE", HOLD)
        bench.told(events.Offered)
        accept(peer)
        peer.ack()
        assert peer.leg.state is State.ANSWERED
        peer.ack(1)
        assert peer.leg.state is State.CONFIRMED
        hang_up(bench, peer)

    def test_before_the_answer_to_our_late_offer(self, bench):
        peer = bench.inbound(b"")
        peer.do(commands.Answer("in", sdp(5000)))
        assert peer.send("INVITE", HOLD).statuses == [491]
        peer.ack(1, body())
        bench.told(events.OfferAnswered)

    def test_before_the_call_is_answered(self, bench):
        peer = bench.inbound()
        peer.do(commands.Ring("in"))
        second = peer.send("INVITE", HOLD)
        assert second.statuses == [500]
        assert second.last.headers.get("Retry-After")
        peer = bench.outbound()
        peer.respond(180)
        assert peer.send("INVITE", HOLD).statuses == [491]


class TestUpdate:
    def test_offer_is_handed_up_and_answered(self, bench, peer):
        server = peer.send("UPDATE", HOLD)
        bench.told(events.Offered)
        accept(peer, sdp(5000, 2))
        assert server.statuses == [200]
        assert parser.parse(server.last.body) == sdp(5000, 2)
        assert server.last.contacts
        assert not bench.clock.getDelayedCalls()

    def test_declined(self, bench, peer):
        server = peer.send("UPDATE", HOLD)
        bench.told(events.Offered)
        peer.do(commands.DeclineOffer(peer.leg.id, 491))
        assert server.statuses == [491]
        assert not bench.clock.getDelayedCalls()

    def test_waits_not_for_ever(self, bench, peer):
        server = peer.send("UPDATE", HOLD)
        bench.told(events.Offered)
        bench.clock.advance(16)
        assert server.statuses == [504]
        bench.told(events.OfferWithdrawn)

    def test_without_an_offer_moves_the_target(self, bench, peer):
        server = peer.send("UPDATE", Contact="<sip:bob@203.0.113.50:1025>")
        assert server.statuses == [200]
        bench.silent()
        assert str(peer.leg.usage.dialog.target) == "sip:bob@203.0.113.50:1025"

    def test_in_an_early_dialog(self, bench):
        # RFC 3311 §5.2: not before the first exchange is over.
        peer = bench.inbound(Supported="100rel")
        peer.do(commands.Ring("in"))
        assert peer.send("UPDATE", HOLD).statuses == [500]
        peer.do(commands.Progress("in", sdp(5000)))
        peer.send("PRACK", RAck=f"{peer.server.last.headers.get('RSeq')} 1 INVITE")
        server = peer.send("UPDATE", HOLD)
        bench.told(events.Offered)
        accept(peer)
        assert server.statuses == [200]
        peer.do(commands.Answer("in", sdp(5000)))
        assert peer.server.last.status == 200

    def test_of_a_callee_in_an_early_dialog(self, bench):
        peer = bench.outbound()
        peer.respond(180)
        bench.told(events.Ringing)
        # Our offer has no reliable answer yet.
        assert peer.send("UPDATE", HOLD).statuses == [491]
        peer.reliable(183, 1, body())
        bench.told(events.Progressing)
        server = peer.send("UPDATE", HOLD)
        bench.told(events.Offered)
        accept(peer)
        assert server.statuses == [200]
        peer.respond(200)
        assert bench.told(events.Answered).sdp == parser.parse(HOLD)

    def test_open_one_survives_the_answer(self, bench):
        peer = bench.outbound()
        peer.reliable(183, 1, body())
        bench.told(events.Progressing)
        server = peer.send("UPDATE", HOLD)
        bench.told(events.Offered)
        peer.respond(200)
        assert bench.told(events.Answered).sdp == sdp()
        accept(peer)
        assert server.statuses == [200]

    def test_one_open_offer_a_leg(self, bench):
        peer = bench.outbound()
        peer.reliable(183, 1, body(), tag="one")
        peer.reliable(183, 1, body(4002), tag="two")
        bench.events.clear()
        peer.tag = "one"
        peer.send("UPDATE", HOLD)
        bench.told(events.Offered)
        peer.tag = "two"
        assert peer.send("UPDATE", HOLD).statuses == [500]
        accept(peer)
        assert peer.send("UPDATE", HOLD).statuses == []
        bench.told(events.Offered)

    def test_losers_of_a_fork_get_their_refusal(self, bench):
        peer = bench.outbound()
        peer.reliable(183, 1, body(), tag="one")
        bench.told(events.Progressing)
        peer.tag = "one"
        server = peer.send("UPDATE", HOLD)
        bench.told(events.Offered)
        peer.respond(200, body(4002), tag="two")
        bench.told(events.Answered)
        assert server.statuses == [487]


class TestOurOffer:
    def test_goes_by_re_invite(self, bench, peer):
        offer(peer, sdp(5002, 2))
        client = bench.stack.take("INVITE")
        assert parser.parse(client.request.body) == sdp(5002, 2)
        assert client.request.to.tag == "peer"
        assert "Allow" in client.request.headers
        reply(client, 100)
        reply(client, 200, body(4002, 2))
        assert bench.told(events.OfferAnswered) == events.OfferAnswered(peer.leg.id, sdp(4002, 2))
        ack, _ = bench.stack.acks[-1]
        assert ack.cseq.number == client.request.cseq.number
        acks = len(bench.stack.acks)
        reply(client, 200, body(4002, 2))
        assert bench.stack.acks[-1][0] is ack
        assert len(bench.stack.acks) == acks + 1
        bench.silent()
        hang_up(bench, peer)

    def test_one_follows_the_other(self, bench, peer):
        before = len(bench.stack.all("INVITE"))
        offer(peer, sdp(5002, 2))
        offer(peer, sdp(5004, 3))
        assert len(bench.stack.all("INVITE")) == before + 1
        reply(bench.stack.take("INVITE"), 200, body(4002, 2))
        bench.told(events.OfferAnswered)
        assert parser.parse(bench.stack.take("INVITE").request.body) == sdp(5004, 3)
        reply(bench.stack.take("INVITE"), 200, body(4004, 3))
        bench.told(events.OfferAnswered)

    def test_asks_for_the_peers_offer(self, bench, peer):
        offer(peer, None)
        client = bench.stack.take("INVITE")
        assert not client.request.body
        acks = len(bench.stack.acks)
        reply(client, 200, body(4002, 2))
        assert bench.told(events.OfferAnswered) == events.OfferAnswered(peer.leg.id, sdp(4002, 2), is_offer=True)
        assert len(bench.stack.acks) == acks
        assert peer.send("INVITE", HOLD).statuses == [500]
        accept(peer, sdp(5002, 2))
        assert parser.parse(bench.stack.acks[-1][0].body) == sdp(5002, 2)
        hang_up(bench, peer)

    def test_peers_offer_that_is_not_taken_ends_the_call(self, bench, peer):
        offer(peer, None)
        reply(bench.stack.take("INVITE"), 200, body(4002, 2))
        bench.told(events.OfferAnswered)
        peer.do(commands.DeclineOffer(peer.leg.id))
        assert bench.told(events.HungUp).cause.slug == "media-refused"
        assert parser.parse(bench.stack.acks[-1][0].body).media[0].port == 0
        reply(bench.stack.take("BYE"), 200)
        bench.nothing_left(peer.leg)

    @pytest.mark.parametrize("status", [488, 606, 415, 500, 503, 603, 302])
    def test_refused(self, bench, peer, status):
        # RFC 3261 §14.1: the session parameters MUST remain unchanged, as if no re-INVITE had been issued.
        offer(peer, sdp(5002, 2))
        reply(bench.stack.take("INVITE"), status)
        assert bench.told(events.OfferDeclined).status == status
        hang_up(bench, peer)

    @pytest.mark.parametrize("outcome", [408, 481, "timeout"])
    def test_peer_is_gone(self, bench, peer, outcome):
        # RFC 3261 §14.1
        offer(peer, sdp(5002, 2))
        client = bench.stack.take("INVITE")
        if isinstance(outcome, int):
            reply(client, outcome)
        else:
            client.fail(outcome)
        assert bench.told(events.HungUp).cause.slug in ("caller-gone", "callee-gone")
        reply(bench.stack.take("BYE"), 481)
        bench.nothing_left(peer.leg)

    def test_way_to_the_peer_is_broken(self, bench, peer):
        offer(peer, sdp(5002, 2))
        bench.stack.take("INVITE").fail("transport")
        assert bench.told(events.OfferDeclined).status == 503

    def test_glare(self, bench, peer):
        # RFC 3261 §14.1
        offer(peer, sdp(5002, 2))
        first = bench.stack.take("INVITE")
        assert peer.send("INVITE", HOLD).statuses == [491]
        reply(first, 491)
        bench.silent()
        delay = bench.clock.getDelayedCalls()[0].getTime() - bench.clock.seconds()
        assert (2.1 <= delay <= 4) if peer.leg.id == "out" else (0 <= delay <= 2)
        bench.clock.advance(4)
        again = bench.stack.take("INVITE")
        assert again is not first
        assert again.request.cseq.number == first.request.cseq.number + 1
        assert again.request.body == first.request.body
        reply(again, 200, body(4002, 2))
        bench.told(events.OfferAnswered)

    def test_peers_offer_passes_while_ours_waits(self, bench, peer):
        offer(peer, sdp(5002, 2))
        reply(bench.stack.take("INVITE"), 491)
        sent = len(bench.stack.requests)
        server = peer.send("INVITE", HOLD)
        bench.told(events.Offered)
        bench.clock.advance(60)
        assert len(bench.stack.requests) == sent
        accept(peer)
        assert server.last.status == 200
        peer.ack()
        bench.clock.advance(4)
        reply(bench.stack.take("INVITE"), 200, body(4002, 2))
        bench.told(events.OfferAnswered)

    def test_glare_does_not_go_on_for_ever(self, bench, peer):
        offer(peer, sdp(5002, 2))
        for _ in range(10):
            reply(bench.stack.take("INVITE"), 491)
            bench.clock.advance(4)
        assert bench.told(events.OfferDeclined).status == 491
        assert not bench.clock.getDelayedCalls()

    @pytest.mark.parametrize("seconds", [0, 3, 10])
    def test_peer_asks_to_come_again_soon(self, bench, peer, seconds):
        offer(peer, sdp(5002, 2))
        reply(bench.stack.take("INVITE"), 500, Retry_After=str(seconds))
        sent = len(bench.stack.requests)
        bench.clock.advance(max(seconds, 0.5) - 0.1)
        assert len(bench.stack.requests) == sent
        bench.clock.advance(0.2)
        reply(bench.stack.take("INVITE"), 200, body(4002, 2))
        bench.told(events.OfferAnswered)

    @pytest.mark.parametrize("content", [b"", b"nonsense"])
    def test_2xx_without_an_answer(self, bench, peer, content):
        offer(peer, sdp(5002, 2))
        acks = len(bench.stack.acks)
        reply(bench.stack.take("INVITE"), 200, content)
        assert len(bench.stack.acks) == acks + 1
        assert bench.told(events.OfferDeclined).status == 488
        hang_up(bench, peer)

    def test_2xx_without_the_offer_that_was_asked_for(self, bench, peer):
        offer(peer, None)
        acks = len(bench.stack.acks)
        reply(bench.stack.take("INVITE"), 200)
        assert len(bench.stack.acks) == acks + 1
        bench.told(events.OfferDeclined)

    def test_waits_for_the_answer_to_the_peers(self, bench, peer):
        peer.send("INVITE", HOLD)
        bench.told(events.Offered)
        sent = len(bench.stack.requests)
        offer(peer, sdp(5002, 2))
        assert len(bench.stack.requests) == sent
        accept(peer)
        peer.ack()
        assert parser.parse(bench.stack.take("INVITE").request.body) == sdp(5002, 2)

    def test_new_contact_of_the_peer_is_taken(self, bench, peer):
        offer(peer, sdp(5002, 2))
        client = bench.stack.take("INVITE")
        response_contact = "<sip:bob@203.0.113.50:1025>"
        from pbx.sip.message import make_response

        response = make_response(client.request, 200)
        response.headers.add("Contact", response_contact)
        response.headers.add("Content-Type", "application/sdp")
        response.body = body(4002, 2)
        client.respond(response)
        bench.told(events.OfferAnswered)
        assert str(bench.stack.acks[-1][0].uri) == "sip:bob@203.0.113.50:1025"

    def test_hang_up_meanwhile(self, bench, peer):
        offer(peer, sdp(5002, 2))
        client = bench.stack.take("INVITE")
        acks = len(bench.stack.acks)
        peer.do(commands.HangUp(peer.leg.id, cause_named("completed")))
        bench.told(events.HungUp)
        reply(bench.stack.take("BYE"), 200)
        assert not peer.leg.finished
        reply(client, 200, body(4002, 2))
        assert len(bench.stack.acks) == acks + 1
        bench.silent()
        bench.nothing_left(peer.leg)

    def test_hang_up_meanwhile_and_the_2xx_brings_an_offer(self, bench, peer):
        offer(peer, None)
        client = bench.stack.take("INVITE")
        assert peer.send("BYE").statuses == [200]
        bench.told(events.HungUp)
        reply(client, 200, body(4002, 2))
        assert parser.parse(bench.stack.acks[-1][0].body).media[0].port == 0
        bench.silent()
        bench.nothing_left(peer.leg)

    def test_hang_up_while_it_waits_to_come_again(self, bench, peer):
        offer(peer, sdp(5002, 2))
        reply(bench.stack.take("INVITE"), 491)
        hang_up(bench, peer)

    def test_reliable_provisional_response_is_acknowledged(self, bench, peer):
        offer(peer, sdp(5002, 2))
        client = bench.stack.take("INVITE")
        reply(client, 183, b"", Require="100rel", RSeq="9")
        prack = bench.stack.take("PRACK")
        assert prack.request.headers.get("RAck") == f"9 {client.request.cseq.number} INVITE"
        reply(prack, 200)
        reply(client, 200, body(4002, 2))
        bench.told(events.OfferAnswered)


class TestOurEarlyOffer:
    def test_goes_by_update_if_the_peer_takes_it(self, bench):
        # RFC 3311 §5.1
        peer = bench.outbound()
        peer.reliable(183, 1, body(), Allow=UPDATES)
        bench.told(events.Progressing)
        offer(peer, sdp(5002, 2))
        client = bench.stack.take("UPDATE")
        assert parser.parse(client.request.body) == sdp(5002, 2)
        # The answer to the call crosses: the description in it belongs to nobody.
        peer.respond(200, body(4999))
        assert bench.told(events.Answered).sdp == sdp()
        reply(client, 200, body(4002, 2))
        assert bench.told(events.OfferAnswered).sdp == sdp(4002, 2)

    @pytest.mark.parametrize("allow", ["INVITE, ACK", UPDATES])
    def test_waits_for_the_call_to_be_answered_else(self, bench, allow):
        peer = bench.outbound()
        offer(peer, sdp(5002, 2))
        peer.respond(180, Allow=allow)
        bench.told(events.Ringing)
        assert len(bench.stack.requests) == 1
        peer.respond(200, body())
        bench.told(events.Answered)
        assert parser.parse(bench.stack.take("INVITE").request.body) == sdp(5002, 2)

    def test_of_an_inbound_leg_waits_for_the_ack(self, bench):
        peer = bench.inbound()
        offer(peer, sdp(5002, 2))
        peer.do(commands.Ring("in"))
        offer(peer, None)
        peer.do(commands.Answer("in", sdp(5000)))
        assert bench.stack.requests == []
        peer.ack(1)
        reply(bench.stack.take("INVITE"), 200, body())
        bench.told(events.OfferAnswered)
        assert not bench.stack.take("INVITE").request.body

    def test_of_a_phone_that_loses_is_made_to_the_one_that_answers(self, bench):
        peer = bench.outbound()
        peer.reliable(183, 1, body(), Allow=UPDATES, tag="one")
        bench.told(events.Progressing)
        offer(peer, sdp(5002, 2))
        update = bench.stack.take("UPDATE")
        peer.respond(200, body(4002), tag="two")
        bench.told(events.Answered)
        again = bench.stack.take("INVITE")
        assert parser.parse(again.request.body) == sdp(5002, 2)
        reply(update, 481)
        bench.silent()
        reply(again, 200, body(4002, 2))
        bench.told(events.OfferAnswered)

    def test_refused_update(self, bench):
        peer = bench.outbound()
        peer.reliable(183, 1, body(), Allow=UPDATES)
        bench.told(events.Progressing)
        offer(peer, sdp(5002, 2))
        reply(bench.stack.take("UPDATE"), 481)
        assert bench.told(events.OfferDeclined).status == 481
        assert peer.leg.state is State.EARLY
        peer.respond(200)
        bench.told(events.Answered)


def test_glare_delays_are_what_the_rfc_says():
    # RFC 3261 §14.1: in units of 10 ms
    ids = counted_ids()
    owner = {glare_delay(ids, owns_call_id=True) for _ in range(2000)}
    other = {glare_delay(ids, owns_call_id=False) for _ in range(2000)}
    assert (min(owner), max(owner), len(owner)) == (2.1, 4.0, 191)
    assert (min(other), max(other), len(other)) == (0, 2.0, 201)


def test_events_are_told_when_the_leg_is_at_rest():
    """Whoever hears an event may command the leg at once, from within."""
    bench = Bench(LegSettings(session_expires=0))
    peer = bench.inbound().answered()

    def emit(event: events.Event) -> None:
        bench.events.append(event)
        if isinstance(event, events.Offered):
            peer.do(commands.AcceptOffer("in", sdp(5000, 2)))
            peer.do(commands.HangUp("in", cause_named("completed")))

    peer.leg._emit = emit
    server = peer.send("INVITE", HOLD)
    assert [type(event) for event in bench.events] == [events.Offered, events.HungUp]
    assert server.statuses == [200]
    reply(bench.stack.take("BYE"), 200)
    bench.nothing_left(peer.leg)


class TestPeerThatDoesNotTakeUpdateAfterAll:
    def test_early_offer_waits(self, bench):
        peer = bench.outbound()
        peer.reliable(183, 1, body(), Allow=UPDATES)
        bench.told(events.Progressing)
        offer(peer, sdp(5002, 2))
        reply(bench.stack.take("UPDATE"), 405)
        bench.silent()
        peer.respond(200)
        bench.told(events.Answered)
        assert parser.parse(bench.stack.take("INVITE").request.body) == sdp(5002, 2)

    def test_refresh_goes_by_re_invite(self):
        bench = Bench(LegSettings(session_expires=600))
        peer = bench.outbound().answered(Session_Expires="300;refresher=uac", Allow=UPDATES)
        bench.clock.advance(151)
        reply(bench.stack.take("UPDATE"), 501)
        again = bench.stack.take("INVITE")
        assert again.request.body == peer.client.request.body
        reply(again, 200, body(), Session_Expires="300;refresher=uac")
        bench.silent()
