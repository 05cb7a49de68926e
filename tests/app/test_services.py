"""Services that are called by name (RFC 5031), from the phone's INVITE to what a carrier is sent."""

from __future__ import annotations

import pytest

from pbx.sip.message import Request
from tests.support.pbx import LOOPBACK, Connect, Pbx, Phone, Serve, free_ports, sdp

PLAN = """
numbering: {country: "49", services: {test.sos: "0199"}}
routes:
  - name: help
    max_calls: 0
    when: {from: [extension, trunk/other], number: ["112", "110"]}
    do: [{dial: trunk/carrier}]
  - name: out
    when: {from: extension, number: "0."}
    do: [{set: {number: {strip: 1}}}, {dial: trunk/carrier}]
"""


class Town:
    """A server with a phone and two carriers; it takes no call but for help."""

    def __init__(self, serve: Serve, phone: Connect, more: str = "limits: {calls: 0}\n") -> None:
        one, two = free_ports(2)
        self.pbx: Pbx = serve(
            f'trunks:\n  carrier: {{address: "sip:{LOOPBACK}:{one}", identify: "{LOOPBACK}:{one}"}}\n'
            f'  other: {{address: "sip:{LOOPBACK}:{two}", identify: "{LOOPBACK}:{two}"}}\n'
            f'extensions: {{"101": {{name: Alice, password: wonderland}}}}\n{more}',
            PLAN,
        )
        self.alice: Phone = phone(self.pbx, "101", "wonderland")
        self.carrier: Phone = phone(self.pbx, port=one)
        self.other: Phone = phone(self.pbx, port=two)

    def reaches(self, target: str, caller: Phone | None = None, to: str = "") -> Request:
        """Call a URI and return the INVITE that arrives; the callee refuses it."""
        headers = [("To", to)] if to else []
        sent = (caller or self.alice).start("INVITE", target, sdp(), headers)
        heard = self.carrier.request("INVITE")
        self.carrier.answer(heard, 486)
        answer = (caller or self.alice).final(sent)
        assert answer.status == 486
        assert str(answer.to.uri) == (to.strip("<>") or target)
        return heard


@pytest.mark.parametrize(
    ("target", "to", "number"),
    [
        ("urn:service:sos", "", "112"),
        ("URN:SERVICE:SOS.Police", "", "110"),
        ("urn:service:sos.fire", "<sip:112@pbx.example>", "112"),
        ("sip:112@pbx.example", "<urn:service:sos>", "112"),
        ("sip:+49112@pbx.example;user=phone", "", "112"),
    ],
)
def test_a_phone_s_button_for_help(serve: Serve, phone: Connect, target: str, to: str, number: str) -> None:
    """The carrier gets the number, and no limit stops the call."""
    town = Town(serve, phone)
    heard = town.reaches(target, to=to)
    assert (heard.uri.scheme, heard.uri.user, heard.to.uri.user) == ("sip", number, number)
    assert town.pbx.server.registry.refused == {}


def test_it_is_a_call_like_any_other_once_it_is_up(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    sent = town.alice.start("INVITE", "urn:service:sos", sdp())
    heard = town.carrier.request("INVITE")
    town.carrier.answer(heard, 200, sdp())
    answer = town.alice.final(sent)
    assert answer.status == 200
    town.alice.acknowledge(sent, answer)
    town.carrier.request("ACK")
    (call,) = town.pbx.server.registry.all()
    assert (call.called, call.number, call.route) == ("urn:service:sos", "112", "help")
    town.pbx.server.registry.hang_up(call.call)
    bye = town.alice.request("BYE")
    assert str(bye.from_.uri) == "urn:service:sos"
    town.alice.answer(bye, 200)
    town.carrier.answer(town.carrier.request("BYE"), 200)
    town.pbx.world.until(lambda: not len(town.pbx.server.context.dialogs))


def test_a_trunk_calls_it_where_the_plan_lets_it(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    assert town.reaches("urn:service:sos.ambulance", town.other).uri.user == "112"
    assert town.carrier.ask("INVITE", "urn:service:sos", sdp()).status == 404


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("urn:service:counseling", 404),
        ("urn:service:test.sos", 503),
        ("urn:service:sos..police", 404),
        ("urn:service:", 404),
        ("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", 416),
        ("urn:services:sos", 416),
        ("mailto:sos@pbx.example", 416),
    ],
)
def test_what_is_no_call_for_help(serve: Serve, phone: Connect, target: str, status: int) -> None:
    """A test of the way (RFC 6881 §15) is none either: it waits for its turn."""
    more = "limits: {calls: 0}\n" if status == 503 else ""
    assert Town(serve, phone, more).alice.ask("INVITE", target, sdp()).status == status


def test_the_way_to_help_is_tested_by_a_number_of_its_own(serve: Serve, phone: Connect) -> None:
    assert Town(serve, phone, "").reaches("urn:service:test.sos").uri.user == "199"


def test_what_else_is_asked_of_a_service(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    assert town.carrier.ask("OPTIONS", "urn:service:sos").status == 200
    assert town.carrier.ask("OPTIONS", "urn:isbn:1").status == 416
    assert town.carrier.ask("REGISTER", "urn:service:sos").status == 416
    assert town.carrier.ask("MESSAGE", "urn:service:sos").status == 405


def test_a_server_that_stops_takes_it_and_waits_for_it(serve: Serve, phone: Connect) -> None:
    """Also when it had no call any more and was about to go."""
    town = Town(serve, phone, "limits: {drain_timeout: 0s, drain_timeout_emergency: 60s}\n")
    world, server, done = town.pbx.world, town.pbx.server, list[bool]()
    server.lines.leave = lambda left: None  # a registrar that says nothing: the server would go in three seconds
    server.drain(lambda: done.append(True))
    sent = town.alice.start("INVITE", "urn:service:sos", sdp())
    heard = town.carrier.request("INVITE")
    town.carrier.answer(heard, 200, sdp())
    answer = town.alice.final(sent)
    town.alice.acknowledge(sent, answer)
    assert town.other.ask("INVITE", f"sip:0301@{LOOPBACK}", sdp()).status == 503
    world.until(lambda: server.registry._drain._timer is not None)
    assert town.alice.silent(0.1)
    assert not done
    server._left = True
    bye = town.alice.compose("BYE", str(answer.contacts[0].uri), call_id=sent.call_id, to=str(answer.to))
    town.alice.say(bye)
    town.carrier.answer(town.carrier.request("BYE"), 200)
    world.until(lambda: done)
    assert town.alice.final(bye).status == 200
