"""Session timers in both roles (RFC 4028)."""

import pytest

from pbx.call import commands, events
from pbx.call.leg import LegSettings
from pbx.call.leg.session_timer import SessionTimer
from pbx.cause import cause_named
from pbx.sdp import parser
from pbx.sip.headers import Headers
from pbx.sip.message import Request, Response
from tests.support.fake_stack import FakeStack
from tests.support.legs import Bench, body, reply, sdp

UPDATES = "INVITE, ACK, BYE, CANCEL, UPDATE"


class Owner:
    def __init__(self):
        self.refreshed = 0
        self.expired = 0

    def refresh_session(self):
        self.refreshed += 1

    def session_expired(self):
        self.expired += 1


def timer(**settings):
    stack, owner = FakeStack(), Owner()
    return SessionTimer(stack, LegSettings(**settings), owner), owner, stack.clock


def request(**headers):
    return Request("INVITE", "sip:a@b", Headers((name.replace("_", "-"), value) for name, value in headers.items()))


def response(status=200, **headers):
    return Response(status, None, Headers((name.replace("_", "-"), value) for name, value in headers.items()))


class TestGrant:
    """RFC 4028 §9: what a server answers."""

    @pytest.mark.parametrize(
        ("asked", "settings", "granted"),
        [
            # Table 2: who refreshes. We do, wherever the choice is ours.
            ({}, {}, ("1800;refresher=uas", None)),
            ({"Supported": "timer"}, {}, ("1800;refresher=uas", None)),
            ({"Supported": "timer", "Session_Expires": "600"}, {}, ("600;refresher=uas", None)),
            ({"Supported": "timer", "Session_Expires": "600;refresher=uas"}, {}, ("600;refresher=uas", None)),
            ({"Supported": "timer", "Session_Expires": "600;refresher=uac"}, {}, ("600;refresher=uac", "timer")),
            ({"Require": "timer", "Session_Expires": "600;refresher=UAC"}, {}, ("600;refresher=uac", "timer")),
            # A proxy put it there; the client itself cannot refresh.
            ({"Session_Expires": "600;refresher=uac"}, {}, ("600;refresher=uas", None)),
            # The interval: never above ours, never below the client's minimum, never below 90.
            ({"Supported": "timer", "Session_Expires": "3600"}, {}, ("1800;refresher=uas", None)),
            ({"Supported": "timer", "Session_Expires": "3600", "Min_SE": "2400"}, {}, ("2400;refresher=uas", None)),
            ({"Supported": "timer", "Min_SE": "2400"}, {}, ("2400;refresher=uas", None)),
            ({"Session_Expires": "30"}, {}, ("90;refresher=uas", None)),
            # Turned off we start none, but take part in the client's.
            ({"Supported": "timer"}, {"session_expires": 0}, (None, None)),
            ({"Supported": "timer", "Session_Expires": "7200"}, {"session_expires": 0}, ("7200;refresher=uas", None)),
            # The compact form.
            ({"k": "timer", "x": "300"}, {}, ("300;refresher=uas", None)),
        ],
    )
    def test_table(self, asked, settings, granted):
        one, _, _ = timer(**settings)
        headers = dict(one.grant(request(**asked)))
        assert (headers.get("Session-Expires"), headers.get("Require")) == granted
        assert one.running == (granted[0] is not None)

    @pytest.mark.parametrize(
        ("asked", "minimum"),
        [
            ({"Supported": "timer", "Session_Expires": "89"}, "90"),
            ({"Supported": "timer", "Session_Expires": "90"}, None),
            ({"Session_Expires": "10"}, None),
            ({"Supported": "timer"}, None),
        ],
    )
    def test_too_small(self, asked, minimum):
        one, _, _ = timer()
        assert dict(one.too_small(request(**asked))).get("Min-SE") == minimum

    def test_too_small_for_our_settings(self):
        one, _, _ = timer(min_se=600)
        assert one.too_small(request(Supported="timer", Session_Expires="599")) == (("Min-SE", "600"),)

    def test_minimum_of_settings_is_never_below_the_rfcs(self):
        one, _, _ = timer(min_se=10)
        assert one.too_small(request(Supported="timer", Session_Expires="20")) == (("Min-SE", "90"),)


class TestAsk:
    """RFC 4028 §7: what a client asks and takes."""

    def test_first_request_leaves_the_choice(self):
        assert timer()[0].ask() == (("Session-Expires", "1800"),)
        assert timer(session_expires=0)[0].ask() == ()
        assert timer(session_expires=60)[0].ask() == (("Session-Expires", "90"),)
        assert timer(min_se=120)[0].ask() == (("Session-Expires", "1800"), ("Min-SE", "120"))

    @pytest.mark.parametrize(
        ("granted", "ask", "ours"),
        [
            ("900;refresher=uac", "900;refresher=uac", True),
            ("900;refresher=uas", "900;refresher=uas", False),
            ("900", "900;refresher=uac", True),
        ],
    )
    def test_refresh_keeps_who_refreshes(self, granted, ask, ours):
        one, _, _ = timer()
        one.granted(response(Session_Expires=granted))
        assert one.ours is ours
        assert one.ask() == (("Session-Expires", ask),)

    def test_interval_that_is_none_is_the_shortest(self):
        one, owner, clock = timer()
        one.granted(response(Session_Expires="0;refresher=uac"))
        clock.advance(44)
        assert (one.interval, owner.refreshed) == (90, 0)

    def test_role_follows_the_transaction(self):
        # RFC 4028 §7.4: the server of one refresh is the client of the next.
        one, _, _ = timer()
        one.grant(request(Supported="timer", Session_Expires="600;refresher=uac"))
        assert one.ask() == (("Session-Expires", "600;refresher=uas"),)

    def test_answer_without_the_header_ends_it(self):
        # RFC 4028 §7.2
        one, _, clock = timer()
        one.granted(response(Session_Expires="900;refresher=uac"))
        one.granted(response())
        assert not one.running
        assert not clock.getDelayedCalls()

    def test_422_raises_the_minimum(self):
        # RFC 4028 §7.3
        one, _, _ = timer(session_expires=100)
        assert one.raise_minimum(response(422, Min_SE="300"))
        assert one.ask() == (("Session-Expires", "300"), ("Min-SE", "300"))
        assert not one.raise_minimum(response(422, Min_SE="300"))
        assert not one.raise_minimum(response(422))
        one.granted(response(Session_Expires="300;refresher=uac"))
        assert one.raise_minimum(response(422, Min_SE="500"))
        assert one.ask() == (("Session-Expires", "500;refresher=uac"), ("Min-SE", "500"))


class TestTime:
    @pytest.mark.parametrize(("interval", "expires"), [(90, 60), (96, 64), (1800, 1768)])
    def test_expires_before_the_interval_is_over(self, interval, expires):
        # RFC 4028 §10
        one, owner, clock = timer()
        one.grant(request(Supported="timer", Session_Expires=f"{interval};refresher=uac"))
        clock.advance(expires - 0.01)
        assert (owner.refreshed, owner.expired) == (0, 0)
        clock.advance(0.02)
        assert (owner.refreshed, owner.expired) == (0, 1)
        assert not clock.getDelayedCalls()

    def test_refreshes_at_half(self):
        one, owner, clock = timer()
        one.grant(request(Session_Expires="600"))
        clock.advance(299)
        assert owner.refreshed == 0
        clock.advance(2)
        assert owner.refreshed == 1
        # A refresh that never succeeds does not keep the session alive.
        clock.advance(600)
        assert owner.expired == 1

    def test_tries_again_while_there_is_time(self):
        one, owner, clock = timer()
        one.grant(request(Session_Expires="600"))
        clock.advance(301)
        one.refresh_failed()
        clock.advance(29)
        assert owner.refreshed == 1
        clock.advance(2)
        assert owner.refreshed == 2
        clock.advance(600)
        assert owner.expired == 1

    def test_each_refresh_starts_it_anew(self):
        one, owner, clock = timer()
        for _ in range(5):
            one.grant(request(Supported="timer", Session_Expires="90;refresher=uac"))
            clock.advance(50)
        assert owner.expired == 0
        one.stop()
        assert not clock.getDelayedCalls()


@pytest.fixture
def bench():
    return Bench(LegSettings(session_expires=600))


class TestOnALeg:
    def test_inbound_leg_grants_and_refreshes_by_update(self, bench):
        peer = bench.inbound(Supported="timer", Session_Expires="300", Allow=UPDATES).answered()
        assert peer.server.last.headers.get("Session-Expires") == "300;refresher=uas"
        bench.clock.advance(151)
        update = bench.stack.take("UPDATE")
        assert not update.request.body
        assert update.request.headers.get("Session-Expires") == "300;refresher=uac"
        reply(update, 200, Session_Expires="300;refresher=uac")
        bench.clock.advance(149)
        assert len(bench.stack.requests) == 1
        bench.clock.advance(2)
        assert len(bench.stack.requests) == 2
        bench.silent()

    def test_peer_without_update_is_refreshed_by_re_invite(self, bench):
        peer = bench.outbound().answered(Session_Expires="300;refresher=uac", Allow="INVITE, ACK, BYE")
        bench.clock.advance(151)
        again = bench.stack.take("INVITE")
        assert again.request.body == peer.client.request.body
        assert again.request.headers.get("Session-Expires") == "300;refresher=uac"
        reply(again, 200, body(), Session_Expires="300;refresher=uac")
        bench.silent()
        assert peer.leg.timer.running

    def test_answer_to_a_refresh_that_changes_the_session_is_told(self, bench):
        bench.outbound().answered(Session_Expires="300;refresher=uac")
        bench.clock.advance(151)
        reply(bench.stack.take("INVITE"), 200, body(4002, 2), Session_Expires="300;refresher=uac")
        assert bench.told(events.OfferAnswered).sdp == sdp(4002, 2)

    def test_answer_to_a_refresh_is_not_taken_for_the_one_to_an_offer(self, bench):
        peer = bench.outbound().answered(Session_Expires="300;refresher=uac")
        bench.clock.advance(151)
        refresh = bench.stack.take("INVITE")
        peer.do(commands.Offer("out", sdp(5002, 2)))
        reply(refresh, 200, body(4002, 2), Session_Expires="300;refresher=uac")
        bench.silent()
        reply(bench.stack.take("INVITE"), 200, body(4004, 3), Session_Expires="300;refresher=uac")
        assert bench.told(events.OfferAnswered).sdp == sdp(4004, 3)

    def test_outbound_invite_asks(self, bench):
        request = bench.outbound().client.request
        assert request.headers.get("Session-Expires") == "600"
        assert "timer" in request.supported

    def test_outbound_invite_is_sent_again_after_422(self, bench):
        peer = bench.outbound()
        peer.respond(422, Min_SE="900")
        bench.silent()
        peer.client = bench.stack.take("INVITE")
        assert peer.client.request.headers.get("Session-Expires") == "900"
        assert peer.client.request.headers.get("Min-SE") == "900"
        assert peer.client.request.cseq.number == 2
        peer.answered()

    @pytest.mark.parametrize("minimum", ["60", "what"])
    def test_422_that_asks_for_nothing_more_is_a_refusal(self, bench, minimum):
        peer = bench.outbound()
        peer.respond(422, Min_SE=minimum)
        assert bench.told(events.Rejected).status == 422
        bench.nothing_left(peer.leg)

    def test_peer_that_does_not_refresh_is_hung_up_on(self, bench):
        peer = bench.outbound().answered(Session_Expires="90;refresher=uas")
        bench.clock.advance(60)
        assert bench.told(events.HungUp).cause.slug == "session-expired"
        reply(bench.stack.take("BYE"), 481)
        bench.nothing_left(peer.leg)

    def test_peer_that_refreshes_is_not(self, bench):
        peer = bench.outbound().answered(Session_Expires="90;refresher=uas")
        for _ in range(5):
            bench.clock.advance(45)
            server = peer.send("UPDATE", Supported="timer", Session_Expires="90;refresher=uac")
            assert server.last.headers.get("Session-Expires") == "90;refresher=uac"
            assert server.last.require == ("timer",)
        bench.silent()

    def test_refresh_by_re_invite_keeps_the_session_too(self, bench):
        peer = bench.inbound(Supported="timer", Session_Expires="90;refresher=uac").answered()
        for _ in range(5):
            bench.clock.advance(45)
            server = peer.send("INVITE", body(), Supported="timer", Session_Expires="90;refresher=uac")
            assert server.statuses == [200]
            peer.ack()
        bench.silent()

    def test_too_short_a_refresh_is_refused(self, bench):
        peer = bench.outbound().answered()
        server = peer.send("UPDATE", Supported="timer", Session_Expires="10")
        assert server.statuses == [422]
        assert server.last.headers.get("Min-SE") == "90"

    @pytest.mark.parametrize("outcome", [408, 481, "timeout"])
    def test_refresh_finds_the_peer_gone(self, bench, outcome):
        peer = bench.outbound().answered(Session_Expires="300;refresher=uac", Allow=UPDATES)
        bench.clock.advance(151)
        update = bench.stack.take("UPDATE")
        if isinstance(outcome, int):
            reply(update, outcome)
        else:
            update.fail(outcome)
        assert bench.told(events.HungUp).cause.slug == "callee-gone"
        reply(bench.stack.take("BYE"), 200)
        bench.nothing_left(peer.leg)

    def test_refresh_that_fails_otherwise_is_tried_until_the_session_expires(self, bench):
        peer = bench.outbound().answered(Session_Expires="300;refresher=uac", Allow=UPDATES)
        bench.clock.advance(151)
        while not bench.events:
            client = bench.stack.requests[-1]
            if not client.finished:
                reply(client, 503)
            bench.clock.advance(1)
        assert bench.told(events.HungUp).cause.slug == "session-expired"
        assert bench.clock.seconds() == pytest.approx(268, abs=1.1)
        assert len(bench.stack.all("UPDATE")) >= 3
        reply(bench.stack.take("BYE"), 200)
        bench.nothing_left(peer.leg)

    def test_refresh_waits_for_an_exchange_under_way(self, bench):
        peer = bench.inbound(Allow=UPDATES).answered()
        peer.send("INVITE", body(4002, 2))
        bench.told(events.Offered)
        bench.clock.advance(310)
        assert not bench.stack.all("UPDATE")
        peer.do(commands.AcceptOffer("in", sdp(5000)))
        peer.ack()
        # The re-INVITE was a refresh by itself.
        bench.clock.advance(299)
        assert not bench.stack.all("UPDATE")
        bench.clock.advance(2)
        assert bench.stack.all("UPDATE")

    def test_session_without_a_limit(self):
        bench = Bench(LegSettings(session_expires=0))
        peer = bench.inbound(Supported="timer").answered()
        assert "Session-Expires" not in peer.server.last.headers
        assert not bench.clock.getDelayedCalls()

    def test_malformed_header_in_an_answer_counts_as_none(self, bench):
        peer = bench.outbound().answered(Session_Expires="soon")
        assert not peer.leg.timer.running

    def test_our_own_offer_refreshes(self, bench):
        peer = bench.outbound().answered(Session_Expires="300;refresher=uac")
        bench.clock.advance(100)
        peer.do(commands.Offer("out", sdp(5002, 2)))
        client = bench.stack.take("INVITE")
        assert client.request.headers.get("Session-Expires") == "300;refresher=uac"
        assert parser.parse(client.request.body) == sdp(5002, 2)
        reply(client, 200, body(4002, 2), Session_Expires="300;refresher=uac")
        bench.told(events.OfferAnswered)
        bench.clock.advance(149)
        assert len(bench.stack.all("INVITE")) == 2

    def test_hang_up_stops_it(self, bench):
        peer = bench.outbound().answered(Session_Expires="300;refresher=uac")
        peer.do(commands.HangUp("out", cause_named("completed")))
        bench.told(events.HungUp)
        reply(bench.stack.take("BYE"), 200)
        bench.nothing_left(peer.leg)


class TestOff:
    """Session timers that are not to be: as if RFC 4028 did not exist."""

    SETTINGS = LegSettings(session_timers=False, session_expires=0)

    def test_a_client_that_asks_for_one_gets_none(self):
        bench = Bench(self.SETTINGS)
        peer = bench.inbound(Supported="timer", Session_Expires="30")
        peer.answered()
        assert peer.server.last.headers.get("Session-Expires") is None
        assert peer.server.last.headers.get("Supported") == "100rel"
        assert not peer.leg.timer.running

    def test_a_client_that_requires_one_is_refused(self):
        bench = Bench(self.SETTINGS)
        peer = bench.inbound(Require="timer, 100rel")
        assert (peer.server.last.status, peer.server.last.headers.get("Unsupported")) == (420, "timer")

    def test_none_is_asked_for_and_none_is_taken(self):
        bench = Bench(self.SETTINGS)
        peer = bench.outbound()
        assert peer.client.request.headers.get("Supported") == "100rel"
        assert peer.client.request.headers.get("Session-Expires") is None
        peer.answered(Session_Expires="90;refresher=uac")
        assert not peer.leg.timer.running
        assert "Supported" not in Bench(self.SETTINGS).outbound(late=True).client.request.headers
