"""Every (state, input) pair of either role has a defined outcome, and from every one of them the leg comes to its
end."""

from pathlib import Path

import pytest

from pbx.call import commands, events
from pbx.call.leg import InboundLeg, LegSettings, OutboundLeg
from pbx.call.leg.diagram import document
from pbx.call.leg.table import INBOUND, OUTBOUND, Action, Input, State
from pbx.cause import cause_named
from pbx.sip.message import make_response
from pbx.sip.stack import TransactionFailure
from tests.support.fake_stack import FakeServer
from tests.support.legs import Bench, InboundPeer, OutboundPeer, body, reply, sdp

CAUSE = cause_named("completed")
RELIABLE = {"Supported": "100rel", "Allow": "INVITE, ACK, BYE, CANCEL, UPDATE, PRACK"}

COMMANDS = {
    Input.DIAL: None,
    Input.RING: commands.Ring("leg"),
    Input.PROGRESS: commands.Progress("leg", sdp(5000)),
    Input.ANSWER: commands.Answer("leg", sdp(5000)),
    Input.REJECT: commands.Reject("leg", cause_named("busy")),
    Input.HANG_UP: commands.HangUp("leg", CAUSE),
    Input.OFFER: commands.Offer("leg", sdp(5002, 2)),
    Input.ACCEPT_OFFER: commands.AcceptOffer("leg", sdp(5002, 2)),
    Input.DECLINE_OFFER: commands.DeclineOffer("leg"),
    Input.INFORM: commands.Inform("leg", "INFO", "text/plain", b"x", 1),
    Input.REFER: commands.Refer("leg", "sip:103@192.0.2.9"),
    Input.ACCEPT_REFER: commands.AcceptRefer("leg"),
    Input.DECLINE_REFER: commands.DeclineRefer("leg"),
    Input.REPORT_REFER: commands.ReportRefer("leg", 180),
}
REQUESTS = {
    Input.INVITE: ("INVITE", body(4002, 2), {}),
    Input.UPDATE: ("UPDATE", body(4002, 2), {}),
    Input.PRACK: ("PRACK", b"", {"RAck": "5 1 INVITE"}),
    Input.BYE: ("BYE", b"", {}),
    Input.INFO: ("INFO", b"x", {"content_type": "text/plain"}),
    Input.MESSAGE: ("MESSAGE", b"x", {"content_type": "text/plain"}),
    Input.OPTIONS: ("OPTIONS", b"", {}),
    Input.REFERRED: ("REFER", b"", {"Refer-To": "<sip:a@b>"}),
    Input.NOTIFY: ("NOTIFY", b"", {"Event": "refer", "Subscription-State": "active"}),
    Input.OTHER_REQUEST: ("PUBLISH", b"", {}),
}
RESPONSES = {Input.PROVISIONAL: 180, Input.SUCCESS: 200, Input.FAILURE: 486}

# Where a leg may go from each state: whatever else it does there is a fault.
EDGES = {
    State.NEW: {State.CALLING, State.ENDED},
    State.CALLING: {
        State.EARLY,
        State.ANSWERING,
        State.ANSWERED,
        State.CONFIRMED,
        State.CANCELLING,
        State.ENDING,
        State.ENDED,
    },
    State.EARLY: {State.ANSWERING, State.ANSWERED, State.CONFIRMED, State.CANCELLING, State.ENDING, State.ENDED},
    State.ANSWERING: {State.ANSWERED, State.ENDED},
    State.ANSWERED: {State.CONFIRMED, State.ENDING, State.ENDED},
    State.CONFIRMED: {State.ENDING, State.ENDED},
    State.CANCELLING: {State.ENDING, State.ENDED},
    State.ENDING: {State.ENDED},
    State.ENDED: set(),
}


def inbound_in(bench: Bench, state: State) -> InboundPeer:
    if state is State.NEW:
        return InboundPeer(bench)
    peer = bench.inbound(**RELIABLE)
    if state is State.EARLY:
        peer.do(commands.Ring("in"))
    elif state is State.ANSWERING:
        peer.do(commands.Progress("in", sdp(5000)))
        peer.do(commands.Answer("in", sdp(5000)))
    elif state is State.ANSWERED:
        peer.do(commands.Answer("in", sdp(5000)))
    elif state in (State.CONFIRMED, State.ENDING, State.ENDED):
        peer.answered()
    if state in (State.ENDING, State.ENDED):
        peer.do(commands.HangUp("in", CAUSE))
    if state is State.ENDED:
        reply(bench.stack.take("BYE"), 200)
    return peer


def outbound_in(bench: Bench, state: State) -> OutboundPeer:
    if state is State.NEW:
        return OutboundPeer(bench, None, dialled=False)
    peer = bench.outbound(late=state is State.ANSWERED)
    if state is State.EARLY:
        peer.reliable(183, 1, body(), Allow="INVITE, UPDATE")
        reply(bench.stack.take("PRACK"), 200)
    elif state is State.ANSWERED:
        peer.respond(200, body())
    elif state in (State.CONFIRMED, State.ENDING, State.ENDED):
        peer.answered()
    elif state is State.CANCELLING:
        peer.do(commands.HangUp("out", CAUSE))
    if state in (State.ENDING, State.ENDED):
        peer.do(commands.HangUp("out", CAUSE))
    if state is State.ENDED:
        reply(bench.stack.take("BYE"), 200)
    return peer


PAIRS = [
    *((inbound_in, state, given) for state in State if state is not State.CANCELLING for given in Input),
    *((outbound_in, state, given) for state in State if state is not State.ANSWERING for given in Input),
]


@pytest.mark.parametrize(("leg", "never"), [(InboundLeg, State.CANCELLING), (OutboundLeg, State.ANSWERING)])
def test_tables_are_whole(leg, never):
    assert set(leg.table) == set(State) - {never}
    for row in leg.table.values():
        assert set(row) == set(Input)
        assert all(callable(getattr(leg, action.value)) for action in row.values())


def test_document_is_drawn_from_the_tables():
    path = Path(__file__).parents[2] / "docs" / "leg.md"
    assert path.read_text() == document(), "python -m pbx.call.leg.diagram > docs/leg.md"


def test_every_action_is_used_and_has_its_own_method():
    used = {action for table in (INBOUND, OUTBOUND) for row in table.values() for action in row.values()}
    assert used == set(Action)
    assert len({action.value for action in Action}) == len(Action)


def give(bench, peer, given):
    """Let an input reach the leg; return the server transaction if it is a request."""
    leg = peer.leg
    peer.leg_tag = peer.leg_tag or "none-yet"
    if given is Input.DIAL:
        from pbx.call.commands import Dial, Party
        from tests.support.legs import CALLEE

        leg.handle(Dial("leg", CALLEE, Party("1"), Party("2"), sdp(5000)))
    elif given in COMMANDS:
        leg.handle(COMMANDS[given])
    elif given in REQUESTS:
        method, content, extra = REQUESTS[given]
        request = peer.message(method, content, **extra)
        server = FakeServer(request, user=leg)
        leg.on_request(server, request)
        return server
    elif given is Input.ACK:
        leg.on_ack(peer.message("ACK", cseq=1), peer.flow)
    elif given is Input.CANCEL:
        server = getattr(peer, "server", None) or FakeServer(peer.message("INVITE", body()))
        leg.on_cancel(server, peer.message("CANCEL", cseq=1))
    elif given is Input.UNDELIVERED:
        server = getattr(peer, "server", None) or FakeServer(peer.message("INVITE", body()))
        leg.on_server_failure(server, TransactionFailure("transport"))
    elif given in RESPONSES:
        invite = getattr(peer, "client", None)
        if isinstance(leg, OutboundLeg) and invite is not None:
            if invite.finished and given is not Input.SUCCESS:
                leg.perform(given, peer.response(RESPONSES[given]))
            else:
                peer.respond(RESPONSES[given], body() if given is Input.SUCCESS else b"")
        else:
            leg.perform(given, make_response(peer.message("INVITE"), RESPONSES[given]))
    elif given is Input.NO_RESPONSE:
        invite = getattr(peer, "client", None)
        if invite is not None and not invite.finished:
            invite.fail("timeout")
        else:
            leg.perform(given, TransactionFailure("timeout"))
    elif given is Input.SILENCE:
        leg.perform(given, getattr(peer, "client", None))
    elif given is Input.PROTOCOL_FAULT:
        leg.perform(given, "test")
    else:
        leg.perform(given)
    return None


def finish(bench, peer):
    """Bring the leg to its end by the peer's silence alone."""
    leg = peer.leg
    leg.handle(commands.HangUp("leg", CAUSE))
    for _ in range(50):
        bench.clock.advance(40)
        for client in bench.stack.requests:
            if not client.finished:
                client.fail("timeout")
        if leg.finished and not bench.clock.getDelayedCalls():
            break
    for server in bench.servers:
        assert server.final_sent, server.request
    assert leg.finished, leg.state
    assert len(bench.context.dialogs) == 0
    assert not bench.clock.getDelayedCalls()


@pytest.mark.parametrize(("build", "state", "given"), PAIRS)
def test_walk(build, state, given):
    bench = Bench(LegSettings(session_expires=0))
    bench.servers = []
    peer = build(bench, state)
    leg = peer.leg
    assert leg.state is state
    table = leg.table
    action = table[state][given]
    dropped = bench.counts["command-dropped"]
    bench.events.clear()

    server = give(bench, peer, given)

    assert leg.state is state or leg.state in EDGES[state], leg.state
    if server is not None:
        bench.servers.append(server)
        open_offer = leg.usage_with_open_offer() is not None
        assert server.final_sent or open_offer or leg.referral is not None
        expected = {Action.REFUSE_NO_DIALOG: 481, Action.REFUSE_GLARE: 491, Action.REFUSE_OVERLAP: 500}.get(action)
        if expected is not None:
            assert server.statuses == [expected]
    if action is Action.DROP:
        assert bench.counts["command-dropped"] == dropped + 1
        assert leg.state is state
        assert bench.events == []
    if action is Action.IGNORE:
        assert bench.counts["input-ignored"] == 1
        assert leg.state is state
        assert bench.events == []
    ends = [event for event in bench.events if isinstance(event, (events.HungUp, events.Rejected))]
    assert len(ends) <= 1
    if state in (State.CANCELLING, State.ENDING, State.ENDED):
        assert bench.events == [], "nothing is told after the end"
    if ends:
        assert bench.events[-1] is ends[0]
        assert leg.state in (State.CANCELLING, State.ENDING, State.ENDED)
    if build is inbound_in and state is State.NEW:
        # It has not begun: there is nothing to end.
        assert len(bench.context.dialogs) == 0
        assert not bench.clock.getDelayedCalls()
        return
    finish(bench, peer)
    ends = [event for event in bench.events if isinstance(event, (events.HungUp, events.Rejected))]
    assert len(ends) == (state not in (State.CANCELLING, State.ENDING, State.ENDED)), bench.events
