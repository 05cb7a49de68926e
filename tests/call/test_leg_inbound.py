"""The leg that a peer opens: RFC 3261 §8.2, §9.2, §13.3, §15, and the flows of RFC 3665 §3 seen from the callee."""

from dataclasses import replace

import pytest

from pbx.call import commands, events
from pbx.call.leg import LegSettings
from pbx.call.leg.table import State
from pbx.cause import cause_named
from pbx.sdp import parser
from pbx.sip.stack import Flow, TransactionFailure
from pbx.sip.uri import Uri
from tests.support.legs import Bench, InboundPeer, body, reply, sdp

BUSY = cause_named("busy")
DONE = cause_named("completed")


@pytest.fixture
def bench():
    return Bench()


class TestScreening:
    """RFC 3261 §8.2: what each INVITE must satisfy."""

    def refused(self, bench, status, *arguments, **keywords):
        peer = bench.inbound(*arguments, **keywords)
        assert peer.server.statuses == [status]
        assert peer.server.last.to.tag
        bench.silent()
        bench.nothing_left(peer.leg)
        return peer.server.last

    def test_takes_an_offer(self, bench):
        peer = bench.inbound(body(4000))
        assert peer.leg.offer == sdp(4000)
        assert peer.server.statuses == []
        assert peer.leg.sip_call_id == peer.call_id
        assert peer.leg.remote == "udp:198.51.100.7:5062"

    def test_takes_a_late_offer(self, bench):
        assert bench.inbound(b"").leg.offer is None

    def test_names_unknown_extensions(self, bench):
        response = self.refused(bench, 420, Require="100rel, foo, timer", Supported="bar")
        assert response.headers.get("Unsupported") == "foo"

    def test_refuses_another_body(self, bench):
        response = self.refused(bench, 415, b"whatever", content_type="application/unknown")
        assert response.headers.get("Accept") == "application/sdp"

    def test_refuses_an_encoded_body(self, bench):
        response = self.refused(bench, 415, body(), Content_Encoding="gzip")
        assert response.headers.get("Accept-Encoding") == "identity"

    def test_extension_comes_before_content(self, bench):
        self.refused(bench, 420, b"whatever", content_type="application/unknown", Require="foo")

    @pytest.mark.parametrize("accept", ["text/nobodyKnowsThis", "", "text/plain;q=1, image/*"])
    def test_refuses_who_takes_no_description(self, bench, accept):
        # RFC 4475 §3.3.15 (sdp01)
        self.refused(bench, 406, Accept=accept)

    @pytest.mark.parametrize(
        "accept", ["application/sdp", "text/plain, application/SDP;level=1", "*/*", "application/*"]
    )
    def test_takes_who_takes_one(self, bench, accept):
        assert bench.inbound(Accept=accept).leg.state is State.CALLING

    def test_refuses_what_is_no_description(self, bench):
        response = self.refused(bench, 400, b"hello")
        assert response.reason != "Bad Request"

    def test_refuses_who_cannot_be_reached(self, bench):
        self.refused(bench, 400, contact=False)

    def test_refuses_too_short_a_session(self, bench):
        response = self.refused(bench, 422, Session_Expires="60", Supported="timer")
        assert response.headers.get("Min-SE") == "90"

    @pytest.mark.parametrize("header", ["Session_Expires", "Min_SE"])
    def test_refuses_a_malformed_session_interval(self, bench, header):
        self.refused(bench, 400, Supported="timer", **{header: "soon"})

    def test_ignores_a_body_that_may_be_ignored(self, bench):
        peer = bench.inbound(b"card", content_type="text/x-card", Content_Disposition="render;handling=optional")
        assert peer.leg.offer is None
        assert peer.leg.state is State.CALLING

    def test_finds_the_offer_among_other_parts(self, bench):
        parts = (
            b"preamble\r\n--x\r\nContent-Type: application/isup;version=itu\r\n"
            b"Content-Disposition: signal;handling=optional\r\n\r\n\x01\x02\r\n"
            b"--x\r\nContent-Type: application/sdp\r\n\r\n" + body(4100) + b"\r\n--x--\r\nepilogue"
        )
        peer = bench.inbound(parts, content_type='multipart/mixed;boundary="x"')
        assert peer.leg.offer == sdp(4100)


class TestAnswer:
    def test_rings_and_answers(self, bench):
        # RFC 3665 §3.1
        peer = bench.inbound()
        peer.do(commands.Ring("in"))
        peer.do(commands.Answer("in", sdp(5000)))
        assert peer.server.statuses == [180, 200]
        ringing, answer = peer.server.responses
        assert ringing.to.tag == answer.to.tag == peer.leg_tag
        assert ringing.contacts
        assert not ringing.body
        assert parser.parse(answer.body) == sdp(5000)
        assert answer.headers.get("Allow")
        assert answer.headers.get("Server") == "Tandem"
        peer.ack()
        assert peer.leg.state is State.CONFIRMED
        bench.silent()

    def test_copies_record_route(self, bench):
        peer = bench.inbound(Record_Route="<sip:p1;lr>, <sip:p2;lr>").answered()
        assert peer.server.last.headers.get("Record-Route") == "<sip:p1;lr>, <sip:p2;lr>"
        peer.do(commands.HangUp("in", DONE))
        assert bench.stack.take("BYE").destination.route == ("<sip:p1;lr>", "<sip:p2;lr>")

    @pytest.mark.parametrize(
        ("invite", "ours"),
        [
            ({"uri": "sips:100@example.com"}, "sips:192.0.2.1:5061"),
            ({"Record_Route": "<sips:p1;lr>"}, "sips:192.0.2.1:5061"),
            ({"contact": False, "Contact": "<sips:alice@198.51.100.7>"}, "sips:192.0.2.1:5061"),
            ({}, "sip:192.0.2.1:5061;transport=tls"),
        ],
    )
    def test_who_came_by_sips_is_given_a_sips_contact(self, bench, invite, ours):
        # RFC 3261 §12.1.1, §12.2.1.1
        peer = InboundPeer(bench)
        peer.flow = Flow("tls", ("192.0.2.1", 5061), ("198.51.100.7", 40000), 1)
        assert peer.invite(body(), **invite)
        peer.do(commands.Ring("in"))
        peer.answered()
        assert [str(response.contacts[0].uri) for response in peer.server.responses] == [ours, ours]
        peer.do(commands.Offer("in", sdp(5000, version=2)))
        offer = bench.stack.take("INVITE").request
        assert str(offer.contacts[0].uri) == (ours if peer.leg.usage.dialog.secure else "sip:192.0.2.1:5060")

    def test_repeats_the_answer_until_its_ack(self, bench):
        # RFC 3261 §13.3.1.4
        peer = bench.inbound()
        peer.do(commands.Answer("in", sdp()))
        bench.clock.advance(16)
        assert peer.server.times == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5]
        peer.ack()
        bench.clock.advance(60)
        assert len(peer.server.responses) == 7

    def test_ends_a_call_whose_ack_never_comes(self, bench):
        peer = bench.inbound()
        peer.do(commands.Answer("in", sdp()))
        bench.clock.advance(31.9)
        bench.silent()
        bench.clock.advance(0.1)
        assert bench.told(events.HungUp).cause.slug == "ack-missing"
        reply(bench.stack.take("BYE"), 481)
        bench.nothing_left(peer.leg)

    def test_dials_back_to_the_contact(self, bench):
        peer = bench.inbound().answered()
        peer.do(commands.HangUp("in", DONE))
        bye = bench.stack.take("BYE")
        assert str(bye.request.uri) == "sip:alice@198.51.100.7:5062"
        assert bye.destination.flow is None

    def test_phone_behind_nat_is_reached_over_its_flow(self):
        bench = Bench(LegSettings(keep_flow=True))
        peer = bench.inbound().answered()
        peer.do(commands.HangUp("in", DONE))
        bye = bench.stack.take("BYE")
        assert bye.destination.flow == peer.server.flow
        assert bye.destination.fallback

    def test_minute_by_minute_it_says_that_it_still_rings(self, bench):
        # RFC 3261 §13.3.1.1
        peer = bench.inbound()
        peer.do(commands.Ring("in"))
        bench.clock.advance(125)
        assert peer.server.statuses == [180, 180, 180]
        peer.do(commands.Answer("in", sdp()))
        peer.ack()
        assert not bench.clock.getDelayedCalls()

    def test_same_ring_twice_is_sent_once(self, bench):
        peer = bench.inbound()
        peer.do(commands.Ring("in"))
        peer.do(commands.Ring("in"))
        assert peer.server.statuses == [180]

    def test_early_media_comes_again_in_the_answer(self, bench):
        peer = bench.inbound()
        peer.do(commands.Progress("in", sdp(5000)))
        peer.do(commands.Progress("in", sdp(5000), ringing=True))
        peer.do(commands.Answer("in", sdp(5000)))
        assert peer.server.statuses == [183, 180, 200]
        assert all(parser.parse(response.body) == sdp(5000) for response in peer.server.responses)


class TestLateOffer:
    def test_offers_in_the_answer_and_finds_the_answer_in_the_ack(self, bench):
        peer = bench.inbound(b"")
        peer.do(commands.Answer("in", sdp(5000)))
        assert parser.parse(peer.server.last.body) == sdp(5000)
        peer.ack(content=body(4000))
        assert bench.told(events.OfferAnswered) == events.OfferAnswered("in", sdp(4000))

    @pytest.mark.parametrize("content", [b"", b"nonsense"])
    def test_ends_a_call_without_an_answer(self, bench, content):
        peer = bench.inbound(b"")
        peer.do(commands.Answer("in", sdp(5000)))
        peer.ack(content=content)
        assert bench.told(events.HungUp).cause.slug == "protocol-error"
        reply(bench.stack.take("BYE"), 200)
        bench.nothing_left(peer.leg)

    def test_unreliable_early_media_has_no_description(self, bench):
        peer = bench.inbound(b"")
        peer.do(commands.Progress("in", sdp(5000)))
        assert peer.server.statuses == [183]
        assert not peer.server.last.body


class TestRefusal:
    def test_says_busy(self, bench):
        # RFC 3665 §3.9
        peer = bench.inbound()
        peer.do(commands.Ring("in"))
        peer.do(commands.Reject("in", BUSY, (("Retry-After", "30"), ("Contact", "<sip:secret@10.0.0.1>"))))
        assert peer.server.last.status == 486
        assert peer.server.last.headers.get("Reason") == 'Q.850;cause=17;text="The callee is busy"'
        assert peer.server.last.headers.get("Retry-After") == "30"
        assert "Contact" not in peer.server.last.headers
        assert bench.told(events.HungUp).cause is BUSY
        bench.nothing_left(peer.leg)

    @pytest.mark.parametrize("slug", ["completed", "operator", "maximum-duration"])
    def test_end_that_is_no_failure_refuses_as_unavailable(self, bench, slug):
        peer = bench.inbound()
        peer.do(commands.HangUp("in", cause_named(slug)))
        assert peer.server.statuses == [480]
        bench.told(events.HungUp)
        bench.nothing_left(peer.leg)


class TestCallerGivesUp:
    def test_cancel(self, bench):
        # RFC 3665 §3.8
        peer = bench.inbound()
        peer.do(commands.Ring("in"))
        peer.cancel()
        assert peer.server.statuses == [180, 487]
        assert bench.told(events.HungUp).cause.slug == "cancelled"
        bench.nothing_left(peer.leg)

    def test_cancel_before_anything_was_sent(self, bench):
        peer = bench.inbound()
        peer.cancel()
        assert peer.server.statuses == [487]
        bench.told(events.HungUp)
        bench.nothing_left(peer.leg)

    def test_cancel_because_another_phone_answered(self, bench):
        peer = bench.inbound()
        peer.cancel(Reason='SIP;cause=200;text="Call completed elsewhere"')
        assert bench.told(events.HungUp).cause.slug == "answered-elsewhere"

    def test_answer_after_cancel_is_dropped(self, bench):
        peer = bench.inbound()
        peer.cancel()
        bench.told(events.HungUp)
        peer.do(commands.Answer("in", sdp()))
        assert peer.server.statuses == [487]
        assert bench.counts["command-dropped"] == 1
        bench.silent()

    def test_bye_in_an_early_dialog(self, bench):
        # RFC 3261 §15.1.2
        peer = bench.inbound()
        peer.do(commands.Ring("in"))
        bye = peer.send("BYE")
        assert bye.statuses == [200]
        assert peer.server.statuses == [180, 487]
        assert bench.told(events.HungUp).cause.slug == "cancelled"
        bench.nothing_left(peer.leg)

    def test_invitation_that_expires(self, bench):
        # RFC 3261 §13.3.1
        peer = bench.inbound(Expires="30")
        peer.do(commands.Ring("in"))
        bench.clock.advance(29.9)
        bench.silent()
        bench.clock.advance(0.2)
        assert peer.server.last.status == 487
        assert bench.told(events.HungUp).cause.slug == "cancelled"
        bench.nothing_left(peer.leg)

    @pytest.mark.parametrize("expires", ["30", "0x", "", "4294967296"])
    def test_invitation_that_is_answered_does_not_expire(self, bench, expires):
        peer = bench.inbound(Expires=expires).answered()
        assert not bench.clock.getDelayedCalls()
        assert peer.leg.state is State.CONFIRMED

    def test_transaction_that_ends_without_an_answer(self, bench):
        peer = bench.inbound()
        peer.leg.on_server_failure(peer.server, TransactionFailure("timeout"))
        assert bench.told(events.HungUp).cause.slug == "caller-gone"
        bench.nothing_left(peer.leg)

    def test_answer_that_cannot_be_delivered(self, bench):
        peer = bench.inbound()
        peer.do(commands.Answer("in", sdp()))
        peer.leg.on_server_failure(peer.server, TransactionFailure("transport", "reset"))
        assert bench.told(events.HungUp).cause.slug == "caller-gone"
        bench.stack.take("BYE").fail()
        bench.nothing_left(peer.leg)


class TestEnd:
    def test_peer_hangs_up(self, bench):
        peer = bench.inbound().answered()
        bye = peer.send("BYE", Reason='Q.850;cause=16;text="Normal"')
        assert bye.statuses == [200]
        cause = bench.told(events.HungUp).cause
        assert cause.slug == "answered-caller-hung-up"
        assert cause.detail == "Q.850 16 Normal"
        bench.nothing_left(peer.leg)

    def test_peer_hangs_up_instead_of_acknowledging(self, bench):
        peer = bench.inbound()
        peer.do(commands.Answer("in", sdp()))
        assert peer.send("BYE").statuses == [200]
        bench.told(events.HungUp)
        bench.nothing_left(peer.leg)

    def test_we_hang_up(self, bench):
        peer = bench.inbound().answered()
        peer.do(commands.HangUp("in", DONE))
        assert bench.told(events.HungUp).cause is DONE
        bye = bench.stack.take("BYE")
        assert bye.request.headers.get(
            "Reason",
        ).startswith("Q.850;cause=16")
        assert not peer.leg.finished
        reply(bye, 200)
        bench.nothing_left(peer.leg)

    @pytest.mark.parametrize("kind", ["timeout", "transport", "resolve"])
    def test_bye_without_a_reply(self, bench, kind):
        peer = bench.inbound().answered()
        peer.do(commands.HangUp("in", DONE))
        bench.told(events.HungUp)
        bench.stack.take("BYE").fail(kind)
        bench.silent()
        bench.nothing_left(peer.leg)

    def test_bye_waits_for_the_ack(self, bench):
        # RFC 3261 §15
        peer = bench.inbound()
        peer.do(commands.Answer("in", sdp()))
        peer.do(commands.HangUp("in", DONE))
        bench.told(events.HungUp)
        bench.clock.advance(1)
        assert bench.stack.requests == []
        assert len(peer.server.responses) == 2
        peer.ack()
        reply(bench.stack.take("BYE"), 200)
        bench.nothing_left(peer.leg)

    def test_bye_waits_no_longer_than_the_transaction(self, bench):
        peer = bench.inbound()
        peer.do(commands.Answer("in", sdp()))
        peer.do(commands.HangUp("in", DONE))
        bench.told(events.HungUp)
        bench.clock.advance(32)
        reply(bench.stack.take("BYE"), 200)
        bench.silent()
        bench.nothing_left(peer.leg)

    def test_both_hang_up_while_the_ack_is_awaited(self, bench):
        peer = bench.inbound()
        peer.do(commands.Answer("in", sdp()))
        peer.do(commands.HangUp("in", DONE))
        bench.told(events.HungUp)
        assert peer.send("BYE").statuses == [200]
        assert bench.stack.requests == []
        bench.nothing_left(peer.leg)

    def test_byes_cross(self, bench):
        # RFC 5407 §3.2.2
        peer = bench.inbound().answered()
        peer.do(commands.HangUp("in", DONE))
        bench.told(events.HungUp)
        assert peer.send("BYE").statuses == [200]
        reply(bench.stack.take("BYE"), 481)
        bench.silent()
        bench.nothing_left(peer.leg)

    def test_late_requests_find_no_dialog(self, bench):
        peer = bench.inbound().answered()
        peer.do(commands.HangUp("in", DONE))
        bench.told(events.HungUp)
        assert peer.send("INFO", b"x", content_type="text/plain").statuses == [481]
        assert peer.send("INVITE", body()).statuses == [481]
        reply(bench.stack.take("BYE"), 200)
        bench.nothing_left(peer.leg)


class TestInDialog:
    def test_old_numbers_are_refused(self, bench):
        # RFC 3261 §12.2.2
        peer = bench.inbound().answered()
        peer.send("OPTIONS")
        peer.cseq = 0
        assert peer.send("OPTIONS").statuses == [500]
        assert bench.counts["request-out-of-order"] == 1

    def test_options(self, bench):
        response = bench.inbound().answered().send("OPTIONS").last
        assert response.status == 200
        assert "INVITE" in response.allow
        assert response.headers.get("Accept") == "application/sdp"
        assert "timer" in response.supported

    @pytest.mark.parametrize(
        ("method", "status"),
        [
            ("SUBSCRIBE", 489),
            ("NOTIFY", 489),
            ("PUBLISH", 405),
            ("JUMP", 501),
            ("Ring", 501),
            ("1xx", 501),
        ],
    )
    def test_methods_that_are_not_served(self, bench, method, status):
        response = bench.inbound().answered().send(method).last
        assert response.status == status
        assert response.headers.get("Allow")

    def test_unknown_extension(self, bench):
        response = bench.inbound().answered().send("INFO", Require="foo").last
        assert response.status == 420
        assert response.unsupported == ("foo",)

    @pytest.mark.parametrize("method", ["INFO", "MESSAGE"])
    def test_body_is_handed_up(self, bench, method):
        peer = bench.inbound().answered()
        assert peer.send(method, b"Signal=5", content_type="application/dtmf-relay").statuses == [200]
        assert bench.told(events.Informed) == events.Informed("in", method, "application/dtmf-relay", b"Signal=5")

    def test_info_without_a_body_is_only_answered(self, bench):
        assert bench.inbound().answered().send("INFO").statuses == [200]
        bench.silent()

    @pytest.mark.parametrize(("status", "told"), [(200, 200), (202, 202), (415, 415)])
    def test_body_is_sent(self, bench, status, told):
        peer = bench.inbound().answered()
        peer.do(commands.Inform("in", "MESSAGE", "text/plain", b"hello", token=9))
        message = bench.stack.take("MESSAGE")
        assert message.request.body == b"hello"
        assert message.request.content_type == "text/plain"
        reply(message, status)
        assert bench.told(events.Delivered) == events.Delivered("in", 9, told)

    def test_lost_info_ends_nothing(self, bench):
        peer = bench.inbound().answered()
        peer.do(commands.Inform("in", "INFO", "text/plain", b"x", token=1))
        bench.stack.take("INFO").fail()
        assert bench.told(events.Delivered).status == 408
        assert peer.leg.state is State.CONFIRMED

    def test_peer_without_the_dialog_ends_it(self, bench):
        # RFC 3261 §12.2.1.2
        peer = bench.inbound().answered()
        peer.do(commands.Inform("in", "INFO", "text/plain", b"x"))
        reply(bench.stack.take("INFO"), 481)
        assert bench.told(events.HungUp).cause.slug == "caller-gone"
        reply(bench.stack.take("BYE"), 481)
        bench.nothing_left(peer.leg)

    def test_nothing_can_be_sent_before_there_is_a_dialog(self, bench):
        peer = bench.inbound()
        peer.do(commands.Inform("in", "INFO", "text/plain", b"x", token=3))
        assert bench.told(events.Delivered).status == 481
        assert bench.stack.requests == []

    def test_flow_follows_the_phone(self):
        bench = Bench(LegSettings(keep_flow=True))
        peer = bench.inbound().answered()
        moved = type(peer.server.flow)("udp", ("192.0.2.1", 5060), ("203.0.113.50", 1025))
        peer.flow = moved
        peer.send("OPTIONS")
        peer.do(commands.HangUp("in", DONE))
        assert bench.stack.take("BYE").destination.flow == moved

    def test_flow_follows_the_phone_s_registration(self):
        bench = Bench(LegSettings(keep_flow=True))
        peer = bench.inbound().answered()
        before = peer.server.flow
        moved = replace(before, remote=("203.0.113.50", 1025))
        alice, bob = Uri.parse("sip:alice@10.0.0.1"), Uri.parse("sip:bob@10.0.0.2")
        for contact, left in ((bob, before), (alice, moved)):
            bench.context.dialogs.moved(contact, left, replace(moved, remote=("203.0.113.99", 1)))
        assert not bench.counts["dialog-moved"], "neither another phone's, nor one that is somewhere else"
        bench.context.dialogs.moved(alice, before, moved)
        bench.context.dialogs.moved(Uri.parse("sip:line1@198.51.100.7:1025"), moved, before)
        bench.context.dialogs.moved(alice, before, moved)
        assert bench.counts["dialog-moved"] == 3
        peer.do(commands.HangUp("in", DONE))
        assert bench.stack.take("BYE").destination.flow == moved
