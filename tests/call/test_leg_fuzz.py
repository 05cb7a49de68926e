"""Whatever stands in the headers of a message that the layer lets pass: a leg never raises, and every request is
answered."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from pbx.call import commands
from pbx.call.leg import LegSettings
from pbx.cause import cause_named
from pbx.sip.message import make_response
from pbx.sip.parser import MessageError, validate
from tests.support.fake_stack import FakeServer
from tests.support.legs import Bench, InboundPeer, body, sdp

NAMES = (
    *("Session-Expires", "Min-SE", "Contact", "RAck", "RSeq", "Require", "Supported", "Allow", "Accept", "Expires"),
    *("Content-Type", "Content-Disposition", "Content-Encoding", "Reason", "Record-Route", "Retry-After"),
    *("WWW-Authenticate", "Proxy-Authenticate", "Proxy-Require", "P-Asserted-Identity", "Privacy"),
)
VALUES = st.one_of(
    st.sampled_from(
        (
            *(
                "",
                "0",
                "1",
                "90",
                "99999999999999999999",
                "-1",
                "100rel",
                "timer",
                "foo",
                "1 1 INVITE",
                ";",
                ",",
                "a=b",
            ),
            *("600;refresher=uac", "600;refresher=them", '"', "<", "<>", "*", "sip:a@b", "<sip:a@b;lr>", "<tel:1>"),
            *("application/sdp", "multipart/mixed;boundary=x", "text/plain", "session;handling=optional", "gzip", "é"),
            *('Digest realm="r", nonce="n"', "SIP;cause=200", "UPDATE", "100rel, 100rel"),
        )
    ),
    st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=("Cs",)), max_size=30),
)
EXTRA = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=5)
CONTENT = st.one_of(st.sampled_from((b"", body(4000), body(4002, 2), b"v=0\r\n", b"--x\r\n")), st.binary(max_size=60))
METHODS = ("INVITE", "UPDATE", "PRACK", "BYE", "INFO", "MESSAGE", "OPTIONS", "REFER", "NOTIFY")


def passes(message) -> bool:
    """Return whether the transaction layer would let the message pass."""
    with contextlib.suppress(MessageError):
        validate(message)
        return True
    return False


def put(message, extra) -> None:
    for name, value in extra:
        message.headers.add(name, value.strip(" \t"))


def end(bench, peer) -> None:
    peer.leg.handle(commands.HangUp(peer.leg.id, cause_named("completed")))
    for _ in range(20):
        bench.clock.advance(40)
        for client in list(bench.stack.requests):
            if not client.finished:
                client.fail("timeout")
    assert peer.leg.finished
    assert len(bench.context.dialogs) == 0
    assert not bench.clock.getDelayedCalls()


@settings(deadline=None, max_examples=200)
@given(EXTRA, CONTENT, st.booleans(), st.booleans())
def test_any_invite(extra, content, contact, early):
    bench = Bench(LegSettings())
    peer = InboundPeer(bench)
    request = peer.message("INVITE", content, cseq=1)
    request.headers.set("To", "<sip:100@example.com>")
    if not contact:
        request.headers.remove("Contact")
    put(request, extra)
    if not passes(request):
        return
    peer.server = FakeServer(request, user=peer.leg)
    taken = peer.leg.start(peer.server, request)
    assert taken != peer.server.final_sent
    if taken:
        if early:
            peer.do(commands.Progress("in", sdp(5000)))
        peer.do(commands.Ring("in"))
        peer.do(commands.Answer("in", sdp(5000)))
        end(bench, peer)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(METHODS), EXTRA, CONTENT), max_size=6), st.booleans(), st.booleans())
def test_any_requests_in_a_dialog(requests, inbound, confirmed):
    bench = Bench(LegSettings())
    if inbound:
        peer = bench.inbound(Supported="100rel", Allow="UPDATE, INVITE")
        if confirmed:
            peer.answered()
        else:
            peer.do(commands.Progress("in", sdp(5000)))
    else:
        peer = bench.outbound()
        if confirmed:
            peer.answered()
        else:
            peer.reliable(183, 1, body(), Allow="UPDATE")
    servers = []
    for method, extra, content in requests:
        peer.cseq += 1
        request = peer.message(method, content, cseq=peer.cseq)
        put(request, extra)
        owner = bench.context.dialogs.lookup(request.call_id, peer.leg_tag, peer.tag)
        if not passes(request) or owner is None:
            continue
        server = FakeServer(request, user=owner)
        servers.append(server)
        owner.on_request(server, request)
        assert server.final_sent or peer.leg.usage_with_open_offer() is not None
    end(bench, peer)
    assert all(server.final_sent for server in servers)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((100, 180, 183, 199, 200, 202, 302, 401, 407, 422, 486, 491, 603)),
            EXTRA,
            CONTENT,
            st.sampled_from(("one", "two")),
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_any_responses_to_our_invite(responses, late):
    bench = Bench(LegSettings())
    peer = bench.outbound(late=late, credentials="x")
    for status, extra, content, tag in responses:
        invites = bench.stack.all("INVITE")
        client = invites[-1]
        response = make_response(client.request, status, to_tag=tag)
        response.body = content
        put(response, extra)
        if passes(response) and (not client.finished or status in (200, 202)):
            client.finished = client.finished or status >= 200
            client.user.on_response(client, response)
    end(bench, peer)
