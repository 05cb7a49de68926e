"""Trunks that we register with: from start to drain, and how their calls find them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from pbx.app.lines import ensure_contact_key
from pbx.errors import EnvironmentFault
from pbx.sip.message import Request, make_response
from pbx.sip.uri import Uri
from tests.support.loopback import World
from tests.support.pbx import LOOPBACK, Connect, Pbx, Phone, Serve, free_ports, sdp

PLAN = """
routes:
  - {name: in, when: {from: trunk/telco, number: "493012"}, do: [{dial: extension/101}]}
  - {name: second, when: {from: trunk/second, number: "493013"}, do: [{dial: extension/101}]}
  - {name: out, when: {from: extension, number: "7X"}, do: [{dial: trunk/telco}]}
  - {name: either, when: {from: extension, number: "8X"}, do: [{dial: [trunk/telco, trunk/second]}]}
"""
ALICE = 'extensions: {"101": {name: Alice, password: wonderland}}\n'


class Town:
    """A server with a phone, and the registrar of a carrier that it registers with."""

    def __init__(self, serve: Serve, phone: Connect, telco: str = "", second: str = "") -> None:
        self.port, self.elsewhere, self.second = free_ports(3)
        quiet = f', identify: "{LOOPBACK}:{self.second}"'
        self.text = (
            f'trunks:\n  telco: {{address: "sip:{LOOPBACK}:{self.port}", identify: [], username: "493012", '
            f"password: hush, registration: true{telco}}}\n"
            f'  second: {{address: "sip:{LOOPBACK}:{self.port if second else self.second}"{second or quiet}}}\n{ALICE}'
        )
        self.pbx: Pbx = serve(self.text, PLAN)
        # The registrar begins to listen when its port is known to be free: the first attempt finds nobody.
        lines = self.pbx.server.lines
        self.pbx.world.until(lambda: all(status.failures for status in lines.registrations))
        self.telco: Phone = phone(self.pbx, port=self.port)
        for status in lines.registrations:
            lines.registrations.renew(status.account)
        self.alice: Phone = phone(self.pbx, "101", "wonderland")

    def accept(self, expires: int = 60, headers: Iterable[tuple[str, str]] = ()) -> Request:
        """Challenge a REGISTER, and accept it with credentials; return that one."""
        asked = self.telco.request("REGISTER")
        if "Authorization" not in asked.headers:
            challenge = 'Digest realm="telco", nonce="abc", algorithm=MD5, qop="auth"'
            self.telco.answer(asked, 401, headers=[("WWW-Authenticate", challenge)])
            asked = self.telco.request("REGISTER")
        contact = [value for value in asked.headers.all("Contact") if "expires=0" not in value][:1]
        self.telco.answer(
            asked, 200, headers=[("Contact", value) for value in contact] + [("Expires", str(expires)), *headers]
        )
        return asked

    def state(self, trunk: str = "telco") -> str:
        status = self.pbx.server.lines.of(trunk)
        return "" if status is None else status.state.value

    def settle(self, state: str = "registered") -> None:
        self.pbx.world.until(lambda: self.state() == state)

    def call(self, caller: Phone, uri: str, to: str = "") -> Request:
        """Call us as a carrier; return the INVITE sent."""
        invite = caller.compose("INVITE", uri, sdp(), to=to)
        caller.say(invite, self.pbx.address())
        return invite


def test_it_registers_at_the_start_and_leaves_at_the_drain(serve: Serve, phone: Connect, world: World) -> None:
    town = Town(serve, phone)
    asked = town.accept()
    assert (asked.uri.user, str(asked.to.uri), asked.from_.uri.user) == (None, f"sip:493012@{LOOPBACK}", "493012")
    assert 'username="493012"' in (asked.headers.get("Authorization") or "")
    town.settle()
    contact = asked.contacts[0].uri
    drained: list[bool] = []
    town.pbx.server.drain(lambda: drained.append(True))
    left = town.telco.request("REGISTER")
    assert (left.contacts[0].uri, left.contacts[0].params["expires"]) == (contact, "0")
    assert not drained
    town.telco.answer(left, 200)
    world.until(lambda: drained)


def test_its_contact_outlives_a_restart(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    first = town.telco.request("REGISTER").contacts[0].uri
    assert len(first.user or "") == 24
    assert ensure_contact_key(town.pbx.folder / "var") == ensure_contact_key(town.pbx.folder / "var")
    assert town.pbx.server.lines.contact_user("telco") == first.user
    assert town.pbx.server.lines.contact_user("other") != first.user


def test_a_broken_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "contact-key").write_bytes(b"short")
    with pytest.raises(EnvironmentFault, match="contact-key is broken"):
        ensure_contact_key(tmp_path)


def test_its_calls_find_it_wherever_they_come_from(serve: Serve, phone: Connect) -> None:
    """Carriers call from other machines than they register at; who is called stands in To, or in P-Called-Party-ID."""
    town = Town(serve, phone)
    contact = town.accept().contacts[0].uri
    town.settle()
    town.alice.register()
    elsewhere = phone(town.pbx, port=town.elsewhere)
    invite = town.call(elsewhere, str(contact), f"<sip:493012@{LOOPBACK}>")
    town.alice.answer(town.alice.request("INVITE"), 486)
    assert elsewhere.final(invite).status == 486
    invite = elsewhere.compose(
        "INVITE", str(contact), sdp(), [("P-Called-Party-ID", f"<sip:493012@{LOOPBACK}>")], to="<sip:x@y>"
    )
    elsewhere.say(invite)
    town.alice.answer(town.alice.request("INVITE"), 486)
    assert elsewhere.final(invite).status == 486


def test_a_stranger_learns_nothing_and_is_counted(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    contact = town.accept().contacts[0].uri
    town.settle()
    stranger = phone(town.pbx)
    guesses = [
        f"sip:493012@{LOOPBACK}",
        str(contact.with_(user=(contact.user or "")[:-1] + "x")),
        f"sip:101@{LOOPBACK}",
    ]
    answers = [stranger.final(town.call(stranger, guess)) for guess in guesses]
    assert {(answer.status, answer.reason) for answer in answers} == {(401, "Unauthorized")}
    assert town.pbx.server.admission.strangers == 3


def test_the_registrar_itself_may_call_the_number(serve: Serve, phone: Connect) -> None:
    """Over the way that we registered, with the number in the Request-URI: no `identify` is needed."""
    town = Town(serve, phone)
    town.accept()
    town.settle()
    town.alice.register()
    invite = town.call(town.telco, f"sip:493012@{LOOPBACK}")
    town.alice.answer(town.alice.request("INVITE"), 486)
    assert town.telco.final(invite).status == 486


def test_two_accounts_at_one_registrar_are_told_apart(serve: Serve, phone: Connect) -> None:
    second = ', identify: [], username: "493013", password: hush, registration: {contact: thirteen}'
    town = Town(serve, phone, second=second)
    contacts = {}
    for _ in range(2):
        asked = town.accept()
        contacts[asked.to.uri.user] = asked.contacts[0].uri
    town.settle()
    town.pbx.world.until(lambda: town.state("second") == "registered")
    assert contacts["493013"].user == "thirteen"
    town.alice.register()
    for number in ("493012", "493013"):
        invite = town.call(town.telco, str(contacts[number]), f"<sip:{number}@{LOOPBACK}>")
        heard = town.alice.request("INVITE")
        town.alice.answer(heard, 486)
        assert town.telco.final(invite).status == 486
        town.telco.acknowledge(invite, make_response(invite, 486, to_tag="x"))


def test_calls_to_it_show_its_domain_and_answer_its_challenge(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone, telco=", caller: own, caller_number: '493012', domain: telco.example")
    town.accept(headers=[("Service-Route", f"<sip:{LOOPBACK}:{town.port};lr;x=1>")])
    town.settle()
    town.alice.register()
    sent = town.alice.dial("71")
    heard = town.telco.request("INVITE")
    assert str(heard.from_.uri) == "sip:493012@telco.example"
    assert heard.headers.all("Route") == [f"<sip:{LOOPBACK}:{town.port};lr;x=1>"]
    challenge = 'Digest realm="telco", nonce="def", algorithm=MD5, qop="auth"'
    town.telco.answer(heard, 401, headers=[("WWW-Authenticate", challenge)])
    town.telco.request("ACK")
    again = town.telco.request("INVITE")
    assert 'username="493012"' in (again.headers.get("Authorization") or "")
    assert again.cseq.number == heard.cseq.number + 1
    town.telco.answer(again, 486)
    assert town.alice.final(sent).status == 486


def test_one_that_cannot_be_registered_is_passed_over(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    other = phone(town.pbx, port=town.second)
    asked = town.telco.request("REGISTER")
    town.telco.answer(asked, 403)
    town.settle("waiting")
    status = town.pbx.server.lines.of("telco")
    assert status is not None
    assert (status.trouble.value, status.status) == ("refused", 403)
    town.alice.register()
    sent = town.alice.dial("81")
    other.answer(other.request("INVITE"), 486)
    assert town.alice.final(sent).status == 486
    assert town.telco.silent()


def test_a_reload_ends_what_is_gone(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    town.accept()
    town.settle()
    text = town.text.replace("registration: true", "registration: false")
    assert town.pbx.reload(text, PLAN)
    left = town.telco.request("REGISTER")
    assert left.contacts[0].params["expires"] == "0"
    town.telco.answer(left, 200)


def test_a_registrar_that_is_gone_is_looked_for_at_once(serve: Serve, phone: Connect) -> None:
    """The ICMP error of a call or a keep-alive is news: nobody waits for the registration to run out."""
    town = Town(serve, phone)
    town.accept(600)
    town.settle()
    town.pbx.server.driver.unreachable((LOOPBACK, town.port), "port unreachable")
    assert town.accept(600).contacts[0].params["expires"] == "3600"
    town.settle()


def test_another_address_of_ours_is_registered_at_once(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    town.accept(600)
    town.settle()
    lines = town.pbx.server.lines
    lines._look_around()
    assert town.telco.silent()
    lines._addresses["telco"] = ("udp", LOOPBACK, "192.0.2.77")
    lines._look_around()
    town.accept(600)
    town.settle()


def test_over_tcp_a_closed_connection_is_made_anew(serve: Serve, phone: Connect) -> None:
    """Two servers: one is the registrar of the other, over a connection that is then cut."""
    registrar = serve('sip: {listen: ["tcp://127.0.0.1:0"]}\nextensions: {"493012": {password: wonderland}}\n')
    host, port = registrar.address("tcp")
    branch = serve(
        'sip: {listen: ["tcp://127.0.0.1:0"]}\n'
        f'trunks: {{head: {{address: "sip:{host}:{port};transport=tcp", identify: [], username: "493012", '
        "password: wonderland, registration: true}}\n" + ALICE,
        'routes: [{name: in, when: {from: trunk/head, number: "493012"}, do: [{dial: extension/101}]}]\n',
    )
    location = registrar.server.location
    registrar.world.until(lambda: len(list(location)) == 1)
    (before,) = location
    assert Uri.parse(f"sip:{branch.server.lines.contact_user('head')}@x").user == before.contact.user
    registrar.server.network.close(before.flow, "cut by a test")
    registrar.world.until(lambda: [one for one in location if one.flow != before.flow])
    (after,) = location
    assert after.contact == before.contact
