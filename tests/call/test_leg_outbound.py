"""The leg that we open: RFC 3261 §9.1, §13.2, §22, RFC 3323, RFC 3325, RFC 3326, and the flows of RFC 3665 §3 seen from
the caller."""

import gc
from types import FunctionType, ModuleType

import pytest

from pbx.call import commands, events
from pbx.call.commands import Party
from pbx.call.leg import LegSettings
from pbx.call.leg.profile import Profile
from pbx.call.leg.table import State
from pbx.cause import cause_named
from pbx.sdp import parser
from pbx.sip.digest import Credential, parse_auth
from pbx.sip.message import Response
from pbx.sip.stack import Destination, Flow
from pbx.sip.uri import Uri
from tests.support.legs import Bench, body, reply, sdp

PATIENT = Destination(Uri.parse("sip:bob@198.51.100.7:5062"), patience=2.0)
DONE = cause_named("completed")
CHALLENGE = 'Digest realm="carrier", nonce="{}", qop="auth", algorithm=MD5'


def hang_up(peer, slug="completed"):
    peer.do(commands.HangUp("out", cause_named(slug)))


def _reachable(leg):
    """Return the ids and types of what a leg holds, not counting what all legs share."""
    found, waiting = {id(leg.context): "LegContext"}, [leg]
    while waiting:
        thing = waiting.pop()
        if id(thing) not in found and not isinstance(thing, type | ModuleType | FunctionType):
            found[id(thing)] = type(thing).__name__
            waiting += gc.get_referents(thing)
    return found


@pytest.fixture
def bench():
    return Bench()


class TestSilence:
    """Who says nothing in time is given up where another one is to be tried, and its late answer is not a call."""

    def test_is_told_and_the_invite_cancelled_as_soon_as_it_may_be(self, bench):
        peer = bench.outbound(destination=PATIENT, gives_up_silent=True)
        peer.leg.on_silence(peer.client)
        (event,) = bench.events
        assert (event.cause.slug, event.cause.detail, event.status) == ("callee-timeout", "no response within 2 s", 0)
        assert peer.leg.state is State.CANCELLING
        peer.respond(180)
        peer.respond(487)
        assert peer.leg.finished

    def test_a_late_answer_is_acknowledged_and_hung_up(self, bench):
        peer = bench.outbound(destination=PATIENT, gives_up_silent=True)
        peer.leg.on_silence(peer.client)
        peer.respond(200, body())
        assert len(bench.stack.acks) == 1
        assert [client.request.method for client in bench.stack.requests] == ["INVITE", "BYE"]
        reply(bench.stack.requests[-1], 200)
        assert peer.leg.finished
        assert len(bench.events) == 1

    def test_changes_nothing_where_nobody_else_is_to_be_tried(self, bench):
        peer = bench.outbound(destination=PATIENT)
        peer.leg.on_silence(peer.client)
        assert bench.events == []
        assert peer.leg.state is State.CALLING
        hang_up(peer)


class TestInvite:
    def test_says_who_calls_whom(self, bench):
        request = bench.outbound(
            caller=Party("100", 'Al "x" ice'), called=Party("200", "Bob"), max_forwards=17
        ).client.request
        assert str(request.uri) == "sip:bob@198.51.100.7:5062"
        assert request.headers.get("From").startswith('"Al \\"x\\" ice" <sip:100@192.0.2.1>;tag=')
        assert request.headers.get("To") == '"Bob" <sip:200@198.51.100.7>'
        assert request.max_forwards == 17
        assert request.supported == ("100rel", "timer")
        assert "UPDATE" in request.allow
        assert request.headers.get("User-Agent") == "Tandem"
        assert parser.parse(request.body) == sdp(5000)
        assert "P-Asserted-Identity" not in request.headers
        assert "Privacy" not in request.headers

    def test_uses_the_domain_of_its_settings(self, bench):
        request = bench.outbound(settings=LegSettings(domain="pbx.example.com")).client.request
        assert request.from_.uri.host == request.to.uri.host == "pbx.example.com"
        assert "User-Agent" not in request.headers

    def test_escapes_a_strange_number(self, bench):
        request = bench.outbound(caller=Party("1 2#"), called=Party("")).client.request
        assert str(request.from_.uri) == "sip:1%202%23@192.0.2.1"
        assert request.to.uri.user == "bob"

    def test_anonymous_caller(self, bench):
        # RFC 3323 §4.1.1.3
        request = bench.outbound(caller=Party("100", "Alice", anonymous=True)).client.request
        assert request.headers.get("From").startswith('"Anonymous" <sip:anonymous@anonymous.invalid>;tag=')
        assert request.headers.get("Privacy") == "id"
        assert b"Alice" not in request.to_bytes()
        assert b"100@" not in request.to_bytes()

    def test_trusted_peer_learns_who_the_anonymous_caller_is(self, bench):
        # RFC 3325 §9.1
        profile = Profile(identity="p-asserted-identity", trusted=True)
        settings = LegSettings(domain="example.com", profile=profile)
        request = bench.outbound(caller=Party("100", "Alice", anonymous=True), settings=settings).client.request
        assert request.headers.get("P-Asserted-Identity") == '"Alice" <sip:100@example.com>'
        assert request.headers.get("Privacy") == "id"

    def test_headers_of_policy_come_along_but_none_of_ours(self, bench):
        extra = (
            ("X-Tenant", "7"),
            ("P-Asserted-Identity", "<sip:a@b>"),
            ("Contact", "<sip:secret@10.0.0.1>"),
            ("record-route", "<sip:secret;lr>"),
            ("v", "SIP/2.0/UDP 10.0.0.1"),
        )
        request = bench.outbound(headers=extra, settings=LegSettings()).client.request
        assert request.headers.get("X-Tenant") == "7"
        assert "P-Asserted-Identity" not in request.headers
        assert b"secret" not in request.to_bytes()
        assert b"10.0.0.1" not in request.to_bytes()
        assert bench.counts["header-withheld"] == 4

    def test_call_ids_and_tags_are_new_each_time(self, bench):
        one, other = bench.outbound().client.request, bench.outbound().client.request
        assert one.call_id != other.call_id
        assert one.from_.tag != other.from_.tag

    def test_without_an_offer_it_wants_no_reliable_provisionals(self, bench):
        request = bench.outbound(late=True).client.request
        assert not request.body
        assert request.supported == ("timer",)


class TestAnswer:
    def test_rings_and_is_answered(self, bench):
        # RFC 3665 §3.1
        peer = bench.outbound()
        peer.respond(100)
        bench.silent()
        peer.respond(180)
        assert bench.told(events.Ringing) == events.Ringing("out")
        peer.respond(180)
        bench.silent()
        peer.respond(200, body(4000))
        assert bench.told(events.Answered) == events.Answered("out", sdp(4000))
        ((ack, destination),) = bench.stack.acks
        assert str(ack.uri) == str(destination.uri) == "sip:bob@198.51.100.7:5062"
        assert str(ack.cseq) == "1 ACK"
        assert ack.to.tag == "peer"
        assert not ack.body
        assert peer.leg.remote == "udp:198.51.100.7:5062"
        hang_up(peer)
        assert bench.told(events.HungUp).cause.slug == "completed"
        reply(bench.stack.take("BYE"), 200)
        bench.nothing_left(peer.leg)

    def test_repeated_answer_gets_the_same_ack(self, bench):
        peer = bench.outbound().answered()
        peer.respond(200, body())
        (first, _), (second, _) = bench.stack.acks
        assert first.uri == second.uri
        for name in ("From", "To", "Call-ID", "CSeq"):
            assert first.headers.all(name) == second.headers.all(name)
        bench.silent()

    def test_repeated_answer_gets_its_ack_after_the_end_too(self, bench):
        peer = bench.outbound().answered()
        peer.send("BYE")
        bench.told(events.HungUp)
        bench.nothing_left(peer.leg)
        peer.respond(200, body())
        assert len(bench.stack.acks) == 2

    def test_only_the_leg_waits_for_repeated_answers(self, bench):
        # Its transaction holds it for 64*T1: a call that is over must not be kept with it, nor what was dialled.
        peer = bench.outbound().answered()
        before = _reachable(peer.leg)
        assert id(bench.events) in before
        peer.send("BYE")
        bench.told(events.HungUp)
        after = _reachable(peer.leg)
        assert id(bench.events) not in after
        assert "SessionDescription" in before.values()
        assert "SessionDescription" not in after.values()

    def test_early_media(self, bench):
        peer = bench.outbound()
        peer.respond(183, body(4000))
        assert bench.told(events.Progressing) == events.Progressing("out", sdp(4000), ringing=False)
        peer.respond(180, body(4000))
        assert bench.told(events.Progressing).ringing
        peer.answered(body(4000))

    def test_progress_without_media_is_no_news(self, bench):
        peer = bench.outbound()
        for status in (181, 182, 183):
            peer.respond(status)
        bench.silent()
        assert peer.leg.state is State.EARLY

    def test_answer_that_stood_only_in_the_early_media(self, bench):
        peer = bench.outbound()
        peer.respond(183, body(4000))
        bench.told(events.Progressing)
        peer.respond(200)
        assert bench.told(events.Answered).sdp == sdp(4000)

    def test_answer_in_the_2xx_counts_more_than_early_media(self, bench):
        peer = bench.outbound()
        peer.respond(183, body(4000))
        bench.told(events.Progressing)
        peer.respond(200, body(4002))
        assert bench.told(events.Answered).sdp == sdp(4002)

    @pytest.mark.parametrize("content", [b"", b"nonsense"])
    def test_2xx_without_an_answer_is_ended(self, bench, content):
        # RFC 3261 §13.2.2.4
        peer = bench.outbound()
        peer.respond(200, content)
        assert bench.told(events.Rejected).cause.slug == "protocol-error"
        assert len(bench.stack.acks) == 1
        reply(bench.stack.take("BYE"), 200)
        bench.nothing_left(peer.leg)

    def test_2xx_whose_contact_cannot_be_used_is_ended(self, bench):
        peer = bench.outbound()
        peer.respond(200, body(), contact=False, Contact="<tel:+49>")
        assert bench.told(events.Rejected).cause.slug == "protocol-error"
        assert str(bench.stack.acks[0][0].uri) == "sip:bob@198.51.100.7:5062"
        reply(bench.stack.take("BYE"), 200)
        bench.nothing_left(peer.leg)

    def test_2xx_without_contact_is_taken(self, bench):
        peer = bench.outbound()
        peer.respond(200, body(), contact=False)
        bench.told(events.Answered)

    def test_ack_goes_by_the_route_set(self, bench):
        peer = bench.outbound().answered(Record_Route="<sip:p1;lr>, <sip:p2;lr>")
        assert bench.stack.acks[0][1].route == ("<sip:p2;lr>", "<sip:p1;lr>")
        assert peer.leg.state is State.CONFIRMED

    def test_dialog_stays_on_the_flow_that_was_dialled(self, bench):
        flow = Flow("tcp", ("192.0.2.1", 5060), ("203.0.113.50", 1025), 4)
        destination = Destination(Uri.parse("sip:bob@10.0.0.5"), flow=flow, fallback=True)
        peer = bench.outbound(destination=destination).answered()
        hang_up(peer)
        assert bench.stack.acks[0][1].flow == flow
        assert bench.stack.take("BYE").destination.flow == flow

    def test_dialog_follows_the_phone_s_registration(self, bench):
        flow = Flow("tcp", ("192.0.2.1", 5060), ("203.0.113.50", 1025), 4)
        again = Flow("tcp", ("192.0.2.1", 5060), ("203.0.113.50", 1026), 5)
        peer = bench.outbound(destination=Destination(Uri.parse("sip:bob@10.0.0.5"), flow=flow))
        peer.respond(180)
        bench.told(events.Ringing)
        bench.context.dialogs.moved(Uri.parse("sip:bob@10.0.0.5"), flow, again)
        peer.answered()
        hang_up(peer)
        assert bench.stack.acks[0][1].flow == again
        assert bench.stack.take("BYE").destination.flow == again


class TestLateOffer:
    def test_answer_goes_into_the_ack(self, bench):
        peer = bench.outbound(late=True)
        peer.respond(200, body(4000))
        assert bench.told(events.Answered) == events.Answered("out", sdp(4000), is_offer=True)
        assert bench.stack.acks == []
        peer.respond(200, body(4000))
        peer.do(commands.AcceptOffer("out", sdp(5000)))
        ((ack, _),) = bench.stack.acks
        assert parser.parse(ack.body) == sdp(5000)
        peer.respond(200, body(4000))
        assert [parser.parse(again.body) for again, _ in bench.stack.acks] == [sdp(5000), sdp(5000)]
        assert peer.leg.state is State.CONFIRMED
        assert not bench.clock.getDelayedCalls()
        bench.silent()

    def test_early_media_of_an_open_offer_is_no_news(self, bench):
        peer = bench.outbound(late=True)
        peer.respond(183, body(4000))
        bench.silent()

    @pytest.mark.parametrize("command", ["decline", "hang up", "wait"])
    def test_offer_not_taken_is_refused_and_the_call_ended(self, bench, command):
        # RFC 3261 §13.2.2.4
        peer = bench.outbound(late=True)
        peer.respond(200, body(4000))
        bench.told(events.Answered)
        if command == "decline":
            peer.do(commands.DeclineOffer("out"))
        elif command == "hang up":
            hang_up(peer)
        else:
            bench.clock.advance(32)
        bench.told(events.HungUp)
        ((ack, _),) = bench.stack.acks
        assert [media.port for media in parser.parse(ack.body).media] == [0]
        reply(bench.stack.take("BYE"), 200)
        bench.nothing_left(peer.leg)

    def test_peer_that_hangs_up_first_gets_its_ack_all_the_same(self, bench):
        peer = bench.outbound(late=True)
        peer.respond(200, body(4000))
        bench.told(events.Answered)
        assert peer.send("BYE").statuses == [200]
        assert bench.told(events.HungUp).cause.slug == "answered-callee-hung-up"
        assert len(bench.stack.acks) == 1
        bench.nothing_left(peer.leg)

    def test_2xx_without_an_offer_is_ended(self, bench):
        peer = bench.outbound(late=True)
        peer.respond(200)
        bench.told(events.Rejected)
        reply(bench.stack.take("BYE"), 200)
        bench.nothing_left(peer.leg)


class TestForking:
    def test_several_phones_ring(self, bench):
        # RFC 3261 §12.1.2
        peer = bench.outbound()
        peer.respond(180, tag="one")
        bench.told(events.Ringing)
        peer.respond(183, body(4000), tag="two")
        bench.told(events.Progressing)
        peer.respond(180, tag="three")
        bench.told(events.Ringing)
        assert all(peer.leg.owns(tag) for tag in ("one", "two", "three"))
        peer.respond(200, body(4002), tag="one")
        assert bench.told(events.Answered).sdp == sdp(4002)
        assert [peer.leg.owns(tag) for tag in ("one", "two", "three")] == [True, False, False]
        assert peer.leg.is_confirmed("one")

    def test_second_answer_is_acknowledged_and_ended(self, bench):
        # RFC 3261 §13.2.2.4
        peer = bench.outbound().answered()
        peer.respond(200, body(4002), tag="two")
        bench.silent()
        bye = bench.stack.take("BYE")
        assert bye.request.to.tag == "two"
        assert str(bye.request.uri) == "sip:two@198.51.100.7:5062"
        assert [ack.to.tag for ack, _ in bench.stack.acks] == ["peer", "two"]
        peer.respond(200, body(4002), tag="two")
        assert [ack.to.tag for ack, _ in bench.stack.acks] == ["peer", "two", "two"]
        assert len(bench.stack.all("BYE")) == 1
        reply(bye, 200)
        assert peer.leg.state is State.CONFIRMED

    def test_second_answer_after_the_end(self, bench):
        peer = bench.outbound().answered()
        peer.send("BYE")
        bench.told(events.HungUp)
        peer.respond(200, body(4002), tag="two")
        assert [ack.to.tag for ack, _ in bench.stack.acks] == ["peer", "two"]
        bye = bench.stack.take("BYE")
        assert bye.request.to.tag == "two"
        reply(bye, 200)
        bench.nothing_left(peer.leg)

    def test_second_answer_with_an_offer_is_refused_in_the_ack(self, bench):
        peer = bench.outbound(late=True)
        peer.respond(200, body(4000))
        bench.told(events.Answered)
        peer.respond(200, body(4002), tag="two")
        ((ack, _),) = bench.stack.acks
        assert ack.to.tag == "two"
        assert parser.parse(ack.body).media[0].port == 0
        bench.silent()

    def test_early_dialog_that_ends(self, bench):
        # RFC 6228
        peer = bench.outbound()
        peer.respond(180, tag="one")
        peer.respond(180, tag="two")
        peer.respond(199, tag="two")
        assert peer.leg.owns("one")
        assert not peer.leg.owns("two")

    def test_bye_in_an_early_dialog_ends_only_that(self, bench):
        peer = bench.outbound()
        peer.respond(180)
        bench.told(events.Ringing)
        assert peer.send("BYE").statuses == [200]
        bench.silent()
        peer.respond(200, body(), tag="two")
        bench.told(events.Answered)

    def test_no_more_early_dialogs_than_are_sane(self, bench):
        peer = bench.outbound()
        for number in range(40):
            peer.respond(180, tag=f"t{number}")
        assert bench.counts["early-dialog-refused"] == 24

    def test_ringing_without_a_tag(self, bench):
        peer = bench.outbound()
        response = peer.response(180)
        response.headers.set("To", peer.client.request.headers.get("To"))
        peer.client.respond(response)
        bench.told(events.Ringing)
        assert peer.leg.state is State.CALLING


class TestRejected:
    @pytest.mark.parametrize(
        ("status", "slug"),
        [
            (486, "busy"),
            (603, "declined"),
            (404, "number-unknown"),
            (480, "unavailable"),
            (503, "callee-overloaded"),
            (488, "media-refused"),
        ],
    )
    def test_status_becomes_a_cause(self, bench, status, slug):
        peer = bench.outbound()
        peer.respond(180)
        bench.told(events.Ringing)
        peer.respond(status, Retry_After="120 (later);duration=3")
        rejected = bench.told(events.Rejected)
        assert (rejected.cause.slug, rejected.status, rejected.retry_after) == (slug, status, 120)
        bench.nothing_left(peer.leg)

    def test_redirection_best_first(self, bench):
        # RFC 3261 §8.1.3.4
        peer = bench.outbound()
        contacts = "<sip:c@x>;q=0.1, <sip:a@x>, <sip:b@x>;q=0.7, <sip:d@x>;q=nan"
        peer.respond(302, contact=False, Contact=contacts)
        rejected = bench.told(events.Rejected)
        assert rejected.redirected_to == ("sip:a@x", "sip:b@x", "sip:c@x", "sip:d@x")
        assert rejected.status == 302
        bench.nothing_left(peer.leg)

    @pytest.mark.parametrize(
        ("kind", "slug"), [("timeout", "callee-timeout"), ("transport", "unreachable"), ("resolve", "unreachable")]
    )
    def test_nobody_there(self, bench, kind, slug):
        peer = bench.outbound()
        peer.client.fail(kind)
        rejected = bench.told(events.Rejected)
        assert (rejected.cause.slug, rejected.status) == (slug, 0)
        bench.nothing_left(peer.leg)


class TestGivenUp:
    def test_cancel_says_why(self, bench):
        # RFC 3665 §3.8, RFC 3326 §3.1
        peer = bench.outbound()
        peer.respond(180)
        bench.told(events.Ringing)
        hang_up(peer, "answered-elsewhere")
        assert peer.client.cancelled == (("Reason", 'SIP;cause=200;text="Call completed elsewhere"'),)
        assert bench.told(events.HungUp).cause.slug == "answered-elsewhere"
        assert not peer.leg.finished
        peer.respond(487)
        bench.silent()
        bench.nothing_left(peer.leg)

    @pytest.mark.parametrize("kind", ["timeout", "cancelled", "transport"])
    def test_cancel_without_a_reply(self, bench, kind):
        peer = bench.outbound()
        hang_up(peer)
        bench.told(events.HungUp)
        peer.client.fail(kind)
        bench.silent()
        bench.nothing_left(peer.leg)

    def test_answer_that_crosses_the_cancel(self, bench):
        # RFC 5407 §3.1.2
        peer = bench.outbound()
        peer.respond(180)
        bench.told(events.Ringing)
        hang_up(peer)
        bench.told(events.HungUp)
        peer.respond(200, body())
        bye = bench.stack.take("BYE")
        assert bye.request.headers.get("Reason").startswith("Q.850;cause=16;")
        assert len(bench.stack.acks) == 1
        peer.respond(200, body())
        assert len(bench.stack.acks) == 2
        assert len(bench.stack.all("BYE")) == 1
        reply(bye, 200)
        bench.silent()
        bench.nothing_left(peer.leg)

    def test_answer_with_an_offer_that_crosses_the_cancel(self, bench):
        peer = bench.outbound(late=True)
        hang_up(peer)
        bench.told(events.HungUp)
        peer.respond(200, body(4000))
        assert parser.parse(bench.stack.acks[0][0].body).media[0].port == 0
        reply(bench.stack.take("BYE"), 200)
        bench.nothing_left(peer.leg)

    def test_provisional_after_the_cancel_is_no_news(self, bench):
        peer = bench.outbound()
        hang_up(peer)
        bench.told(events.HungUp)
        peer.respond(180)
        bench.silent()
        peer.respond(487)
        bench.nothing_left(peer.leg)

    def test_challenge_after_the_cancel_ends_it(self, bench):
        bench.context.credentials = lambda name, realm: Credential("user", "secret")
        peer = bench.outbound(credentials="carrier")
        hang_up(peer)
        bench.told(events.HungUp)
        peer.respond(401, WWW_Authenticate=CHALLENGE.format("n1"))
        bench.nothing_left(peer.leg)

    def test_given_up_before_it_was_dialled(self, bench):
        from pbx.call.leg import OutboundLeg

        leg = OutboundLeg("out", bench.context, bench.events.append)
        leg.handle(commands.HangUp("out", DONE))
        assert bench.told(events.HungUp).cause is DONE
        bench.nothing_left(leg)


class TestAuthentication:
    """RFC 3261 §22.2: once for each nonce."""

    @pytest.fixture
    def bench(self):
        return Bench(
            credentials=lambda name, realm: (
                Credential("user", "secret") if (name, realm) == ("trunk", "carrier") else None
            )
        )

    def test_challenge_is_answered(self, bench):
        peer = bench.outbound(credentials="trunk")
        first = peer.client.request
        peer.respond(407, Proxy_Authenticate=CHALLENGE.format("n1"))
        bench.silent()
        peer.client = bench.stack.take("INVITE")
        again = peer.client.request
        assert again is not first
        assert (again.cseq.number, again.call_id, again.from_.tag) == (2, first.call_id, first.from_.tag)
        assert again.body == first.body
        _, values = parse_auth(again.headers.get("Proxy-Authorization"))
        assert values["nonce"] == "n1"
        peer.answered()
        # RFC 3261 §13.2.2.4: the ACK MUST contain the same credentials as the INVITE.
        ack = bench.stack.acks[0][0]
        assert ack.headers.get("Proxy-Authorization") == again.headers.get("Proxy-Authorization")
        assert ack.cseq.number == 2
        # Later requests have credentials at once, the next nonce count in them.
        hang_up(peer)
        bye = bench.stack.take("BYE").request
        _, values = parse_auth(bye.headers.get("Proxy-Authorization"))
        assert values["nc"] == "00000002"
        assert bye.cseq.number == 3

    def test_wrong_password_is_not_tried_twice(self, bench):
        peer = bench.outbound(credentials="trunk")
        peer.respond(401, WWW_Authenticate=CHALLENGE.format("n1"))
        peer.client = bench.stack.take("INVITE")
        peer.respond(401, WWW_Authenticate=CHALLENGE.format("n2"))
        assert bench.told(events.Rejected).status == 401
        bench.nothing_left(peer.leg)

    def test_stale_nonce_is_replaced_but_not_for_ever(self, bench):
        peer = bench.outbound(credentials="trunk")
        for number in range(4):
            peer.respond(401, WWW_Authenticate=CHALLENGE.format(f"n{number}") + ", stale=true")
            bench.silent()
            peer.client = bench.stack.take("INVITE")
        peer.respond(401, WWW_Authenticate=CHALLENGE.format("n9") + ", stale=true")
        bench.told(events.Rejected)
        assert len(bench.stack.requests) == 5

    @pytest.mark.parametrize(("credentials", "realm"), [("", "carrier"), ("other", "carrier"), ("trunk", "elsewhere")])
    def test_no_credentials_for_it(self, bench, credentials, realm):
        peer = bench.outbound(credentials=credentials)
        peer.respond(401, WWW_Authenticate=f'Digest realm="{realm}", nonce="n"')
        assert bench.told(events.Rejected).cause.slug == "callee-refused"
        bench.nothing_left(peer.leg)

    def test_malformed_challenge(self, bench):
        peer = bench.outbound(credentials="trunk")
        peer.respond(401, WWW_Authenticate='Digest realm="unclosed')
        bench.told(events.Rejected)

    def test_challenged_bye(self, bench):
        peer = bench.outbound(credentials="trunk").answered()
        hang_up(peer)
        bench.told(events.HungUp)
        reply(bench.stack.take("BYE"), 401, WWW_Authenticate=CHALLENGE.format("n1"))
        assert not peer.leg.finished
        again = bench.stack.take("BYE")
        assert again.request.headers.get("Authorization")
        assert again.request.headers.get("Reason")
        reply(again, 200)
        bench.nothing_left(peer.leg)


def test_dialog_state_survives_malformed_provisionals():
    bench = Bench()
    peer = bench.outbound()
    peer.respond(183, b"nonsense")
    peer.respond(180, contact=False, Contact="<tel:1>", tag="bad")
    peer.respond(183, Require="100rel", RSeq="x", tag="bad2")
    bench.silent()
    assert bench.counts["response-malformed"] == 3
    peer.answered()


def test_topology_of_the_other_leg_is_unknown_here():
    """Nothing that a leg writes comes from anywhere but its own dialog, its settings and its commands."""
    bench = Bench()
    inbound = bench.inbound(X_Secret="10.9.8.7", Via="SIP/2.0/UDP 10.9.8.7", User_Agent="Secret/1")
    peer = bench.outbound()
    inbound.answered()
    peer.answered()
    hang_up(peer)
    sent = [client.request.to_bytes() for client in bench.stack.requests]
    assert not any(
        secret in data for data in sent for secret in (b"10.9.8.7", b"Secret", b"call@198", b"alice@example")
    )
    assert isinstance(inbound.server.last, Response)
