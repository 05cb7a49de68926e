"""Requests find the leg of their dialog (RFC 3261 §12.2.2)."""

from pbx.call import commands
from pbx.call.dialogs import DialogTable
from pbx.cause import cause_named
from tests.support.legs import Bench, body, reply


def test_inbound_leg_is_found_by_all_three():
    bench = Bench()
    peer = bench.inbound()
    table = bench.context.dialogs
    peer.do(commands.Ring("in"))
    assert table.lookup(peer.call_id, peer.leg_tag, "peer") is peer.leg
    assert table.lookup(peer.call_id, peer.leg_tag, "other") is None
    assert table.lookup(peer.call_id, "other", "peer") is None
    assert table.lookup("other", peer.leg_tag, "peer") is None
    assert not peer.leg.is_confirmed("peer")
    peer.answered()
    assert peer.leg.is_confirmed("peer")
    assert list(table) == [peer.leg]
    peer.send("BYE")
    assert len(table) == 0


def test_outbound_leg_is_found_by_each_early_dialog():
    bench = Bench()
    peer = bench.outbound()
    table = bench.context.dialogs
    assert len(table) == 1
    assert table.lookup(peer.call_id, peer.leg_tag, "peer") is None
    peer.respond(180)
    peer.respond(180, tag="two")
    assert table.lookup(peer.call_id, peer.leg_tag, "peer") is peer.leg
    assert table.lookup(peer.call_id, peer.leg_tag, "two") is peer.leg
    peer.respond(200, body(), tag="two")
    assert table.lookup(peer.call_id, peer.leg_tag, "peer") is None
    assert peer.leg.is_confirmed("two")
    peer.do(commands.HangUp("out", cause_named("completed")))
    assert table.find(peer.message("BYE")) is None
    peer.tag = "two"
    assert table.find(peer.message("BYE")) is peer.leg
    reply(bench.stack.take("BYE"), 200)
    assert len(table) == 0


def test_caller_of_rfc_2543_has_no_tag():
    bench = Bench()
    peer = bench.inbound()
    peer.leg.handle(commands.HangUp("in", cause_named("busy")))
    table = DialogTable()
    table.remove("nothing", "there")
    assert table.lookup("a", "b", "") is None


def test_call_between_two_legs_of_this_server():
    """Both legs of a call to ourselves have one Call-ID and different local tags."""
    bench = Bench()
    outbound = bench.outbound()
    inbound = bench.inbound()
    table = bench.context.dialogs
    table.add(outbound.call_id, inbound.leg_tag, inbound.leg)
    outbound.respond(180)
    assert table.lookup(outbound.call_id, outbound.leg_tag, "peer") is outbound.leg
    assert table.lookup(outbound.call_id, inbound.leg_tag, "peer") is inbound.leg
