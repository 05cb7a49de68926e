"""REFER in a call's dialog, taken and sent (RFC 3515, RFC 3891, RFC 4488)."""

from __future__ import annotations

import pytest

from pbx.call import commands, events
from pbx.cause import cause_named
from tests.support.legs import Bench, InboundPeer, reply

CAUSE = cause_named("completed")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def referred(bench: Bench, to: str = "<sip:103@pbx.example>", **extra: str) -> InboundPeer:
    peer = bench.inbound().answered()
    server = peer.send("REFER", Refer_To=to, **extra)
    assert not server.statuses
    peer.server = server
    return peer


def test_one_may_be_referred_to_help(bench: Bench) -> None:
    referred(bench, "<URN:service:SOS.police>")
    told = bench.told(events.ReferRequested)
    assert (told.number, told.uri, told.replaces) == ("urn:service:sos.police", "URN:service:SOS.police", None)


def test_a_transfer_from_request_to_last_notify(bench: Bench) -> None:
    peer = referred(bench, "<sip:+49%2030@pbx.example;transport=tcp>")
    told = bench.told(events.ReferRequested)
    assert (told.number, told.uri, told.replaces) == ("+49 30", "sip:+49%2030@pbx.example", None)
    peer.do(commands.AcceptRefer("in"))
    assert peer.server.last.status == 202
    trying = bench.stack.take("NOTIFY")
    assert trying.request.body == b"SIP/2.0 100 Trying\r\n"
    assert trying.request.headers.get("Event") == f"refer;id={peer.cseq}"
    assert (trying.request.headers.get("Subscription-State") or "").startswith("active")
    # The next one waits for the response to the one before, so that none overtakes.
    peer.do(commands.ReportRefer("in", 180))
    peer.do(commands.ReportRefer("in", 180))
    peer.do(commands.ReportRefer("in", 200, CAUSE))
    assert len(bench.stack.all("NOTIFY")) == 1
    reply(trying, 200)
    ringing = bench.stack.take("NOTIFY")
    assert ringing.request.body == b"SIP/2.0 180 Ringing\r\n"
    reply(ringing, 200)
    done = bench.stack.take("NOTIFY")
    assert done.request.headers.get("Subscription-State") == "terminated;reason=noresource"
    assert done.request.headers.get("Content-Type") == "message/sipfrag;version=2.0"
    reply(done, 200)
    bench.told(events.HungUp)
    reply(bench.stack.take("BYE"), 200)
    bench.nothing_left(peer.leg)


def test_nobody_says_what_was_verified_of_a_number(bench: Bench) -> None:
    referred(bench, "<sip:103;verstat=TN-Validation-Passed@pbx.example>")
    told = bench.told(events.ReferRequested)
    assert (told.number, told.uri) == ("103", "sip:103@pbx.example")


def test_a_phone_that_leaves_by_itself_is_not_hung_up_on(bench: Bench) -> None:
    peer = referred(bench)
    bench.told(events.ReferRequested)
    peer.do(commands.AcceptRefer("in"))
    notify = bench.stack.take("NOTIFY")
    peer.do(commands.ReportRefer("in", 200, CAUSE))
    assert peer.send("BYE").last.status == 200
    bench.told(events.HungUp)
    reply(notify, 481)
    assert len(bench.stack.all("NOTIFY")) == 1
    bench.nothing_left(peer.leg)


def test_an_attended_transfer_names_the_other_dialog(bench: Bench) -> None:
    referred(bench, "<sip:103@pbx.example?Replaces=abc%40host%3Bto-tag%3Dours%3Bfrom-tag%3Dtheirs>")
    told = bench.told(events.ReferRequested)
    assert told.replaces == ("abc@host", "ours", "theirs")
    assert told.uri == "sip:103@pbx.example"


def test_refused(bench: Bench) -> None:
    peer = referred(bench)
    bench.told(events.ReferRequested)
    assert peer.send("REFER", Refer_To="<sip:104@pbx.example>").last.status == 491
    peer.do(commands.DeclineRefer("in", 403))
    assert peer.server.last.status == 403
    assert not peer.send("REFER", Refer_To="<sip:104@pbx.example>").statuses
    bench.told(events.ReferRequested)
    peer.do(commands.HangUp("in", CAUSE))
    bench.told(events.HungUp)
    reply(bench.stack.take("BYE"), 200)
    bench.nothing_left(peer.leg)


@pytest.mark.parametrize(
    ("to", "status"),
    [
        ("<sip:103@pbx.example;method=BYE>", 603),
        ("<mailto:alice@example.com>", 603),
        ("<urn:service:sos.>", 603),
        ("nonsense:<", 400),
        ("<sip:103@pbx.example?Replaces=abc>", 400),
    ],
)
def test_what_is_no_transfer(bench: Bench, to: str, status: int) -> None:
    peer = bench.inbound().answered()
    assert peer.send("REFER", Refer_To=to).last.status == status
    bench.silent()
    assert peer.send("REFER").last.status == 400


def test_who_asks_for_no_notify_gets_none(bench: Bench) -> None:
    peer = referred(bench, Refer_Sub="false")
    bench.told(events.ReferRequested)
    peer.do(commands.AcceptRefer("in"))
    assert peer.server.last.headers.get("Refer-Sub") == "false"
    peer.do(commands.ReportRefer("in", 180))
    assert not bench.stack.all("NOTIFY")
    peer.do(commands.ReportRefer("in", 200, CAUSE))
    bench.told(events.HungUp)
    bench.stack.take("BYE")


def test_our_own_refer_and_what_the_peer_says_of_it(bench: Bench) -> None:
    peer = bench.outbound().answered()
    peer.do(commands.Refer("out", "sip:103@192.0.2.9"))
    refer = bench.stack.take("REFER")
    assert refer.request.headers.get("Refer-To") == "<sip:103@192.0.2.9>"
    peer.do(commands.Refer("out", "sip:104@192.0.2.9"))
    assert bench.told(events.ReferProgress).status == 491
    reply(refer, 202)
    bench.silent()
    notify = {"Event": "refer", "content_type": "message/sipfrag"}
    state = {"Subscription_State": "active;expires=60"}
    assert peer.send("NOTIFY", b"SIP/2.0 180 Ringing\r\n", **notify, **state).last.status == 200
    assert bench.told(events.ReferProgress).status == 180
    assert peer.send("NOTIFY", b"SIP/2.0 486 Busy\r\n", **notify, Subscription_State="terminated").last.status == 200
    assert bench.told(events.ReferProgress).status == 486
    assert peer.send("NOTIFY", b"SIP/2.0 200 OK\r\n", **notify, **state).last.status == 481
    assert peer.send("NOTIFY", b"x", Event="dialog", content_type="text/plain", **state).last.status == 489


def test_our_refer_may_be_refused_or_its_end_left_out(bench: Bench) -> None:
    peer = bench.outbound().answered()
    peer.do(commands.Refer("out", "sip:103@192.0.2.9"))
    reply(bench.stack.take("REFER"), 405)
    assert bench.told(events.ReferProgress).status == 405
    peer.do(commands.Refer("out", "sip:103@192.0.2.9"))
    reply(bench.stack.take("REFER"), 202)
    peer.send("NOTIFY", b"?", Event="refer", Subscription_State="terminated", content_type="message/sipfrag")
    assert bench.told(events.ReferProgress).status == 408
