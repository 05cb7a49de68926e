"""What configuration says of trunks, extensions, the registrar and limits, seen from phones and carriers."""

from __future__ import annotations

import pytest

from pbx.app.operation import Operation
from pbx.sip.message import Request, Response
from tests.support.loopback import World
from tests.support.pbx import LOOPBACK, Connect, Pbx, Phone, Serve, free_ports, sdp

TWO = 'extensions:\n  "101": {name: Alice, password: wonderland}\n  "102": {name: Bob, password: looking-glass}\n'
PLAN = """
routes:
  - {name: echo, when: {number: "600"}, do: [echo]}
  - {name: phones, when: {number: "1XX"}, do: [{dial: "extension/{number}"}]}
  - name: carrier
    when: {from: [extension, trunk/other], number: "7X"}
    do: [{dial: trunk/carrier, pass_headers: [X-Account]}]
  - {name: either, when: {from: extension, number: "8X"}, do: [{dial: [trunk/carrier, trunk/other]}]}
"""


class Town:
    """A server with two phones and two carriers, each of which is known by its port."""

    def __init__(
        self, serve: Serve, phone: Connect, carrier: str = "", extensions: str = TWO, more: str = "", other: str = ""
    ) -> None:
        one, two = free_ports(2)
        lines = [
            "trunks:",
            f'  carrier: {{address: "sip:{LOOPBACK}:{one}", identify: "{LOOPBACK}:{one}"{carrier}}}',
            f'  other: {{address: "sip:{LOOPBACK}:{two}", identify: "{LOOPBACK}:{two}"{other}}}',
        ]
        self.text = "\n".join(lines) + f"\n{extensions}{more}"
        self.pbx: Pbx = serve(self.text, PLAN)
        self.alice: Phone = phone(self.pbx, "101", "wonderland")
        self.bob: Phone = phone(self.pbx, "102", "looking-glass")
        self.carrier: Phone = phone(self.pbx, port=one)
        self.other: Phone = phone(self.pbx, port=two)

    def reaches(self, caller: Phone, number: str, callee: Phone, headers: list[tuple[str, str]] | None = None):
        """Call a number and return the INVITE that arrives; the callee refuses it, so that nothing is left."""
        sent = caller.dial(number, headers=headers or ())
        heard = callee.request("INVITE")
        callee.answer(heard, 486)
        assert caller.final(sent).status == 486
        return heard


def shown(invite: Request) -> tuple[str | None, str]:
    return invite.from_.uri.user, invite.from_.display


def test_two_phones_talk(serve: Serve, phone: Connect) -> None:
    pbx = serve(TWO)
    alice, bob = phone(pbx, "101", "wonderland"), phone(pbx, "102", "looking-glass")
    assert bob.register().status == 200
    invite = alice.dial("102")
    heard = bob.request("INVITE")
    assert shown(heard) == ("101", "Alice")
    bob.answer(heard, 180)
    alice.provisional(invite, 180)
    bob.pick_up(heard, sdp())
    answer = alice.final(invite)
    assert answer.status == 200
    alice.acknowledge(invite, answer)
    assert alice.hang_up(invite, answer).status == 200
    bob.answer(bob.request("BYE"), 200)


# Trunks


def test_a_trunk_is_known_by_where_it_sends_from(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    town.bob.register()
    assert shown(town.reaches(town.carrier, "102", town.bob, [("From", '"Carl" <sip:030123@x>;tag=1')]))[0] == "030123"
    stranger = phone(town.pbx)
    assert stranger.final(stranger.dial("102")).status == 401


@pytest.mark.parametrize(
    ("identify", "known"),
    [(f'"{LOOPBACK}/8"', True), (f'["{LOOPBACK}:9", {LOOPBACK}]', True), ("[]", False), (f'"{LOOPBACK}:9"', False)],
)
def test_a_trunk_may_be_networks_or_nobody(serve: Serve, phone: Connect, identify: str, known: bool) -> None:
    trunk = f'trunks: {{any: {{address: "sip:{LOOPBACK}:9", identify: {identify}}}}}\n'
    line = phone(serve(trunk, "routes: [{name: echo, do: [echo]}]"))
    assert line.final(line.dial("600")).status == (200 if known else 401)


def test_a_trunk_without_identify_is_known_by_its_numeric_address(serve: Serve, phone: Connect) -> None:
    pbx = serve(f'trunks: {{any: {{address: "sip:{LOOPBACK}:9"}}}}\n', "routes: [{name: echo, do: [echo]}]")
    line = phone(pbx)
    assert line.final(line.dial("600")).status == 200
    elsewhere = phone(pbx, host="127.0.0.2")
    assert elsewhere.final(elsewhere.dial("600")).status == 401


def test_requests_go_through_the_outbound_proxy(serve: Serve, phone: Connect) -> None:
    (port,) = free_ports()
    trunk = f'trunks: {{carrier: {{address: "sip:192.0.2.9", outbound_proxy: "sip:{LOOPBACK}:{port};lr"}}}}\n'
    pbx = serve(TWO + trunk, "routes: [{name: out, when: {from: extension}, do: [{dial: trunk/carrier}]}]")
    alice, proxy = phone(pbx, "101", "wonderland"), phone(pbx, port=port)
    alice.dial("70")
    heard = proxy.request("INVITE")
    assert str(heard.uri) == "sip:70@192.0.2.9"
    assert [str(route.uri) for route in heard.routes] == [f"sip:{LOOPBACK}:{port};lr"]


@pytest.mark.parametrize(("realm", "answers"), [("", True), (", realm: theirs", True), (", realm: others", False)])
def test_a_trunk_s_challenge_is_answered(serve: Serve, phone: Connect, realm: str, answers: bool) -> None:
    town = Town(serve, phone, f", username: us, password: sesame-open{realm}")
    sent = town.alice.dial("70")
    first = town.carrier.request("INVITE")
    challenge = 'Digest realm="theirs", nonce="n0", algorithm=SHA-256, qop="auth"'
    town.carrier.answer(first, 407, headers=[("Proxy-Authenticate", challenge)])
    if not answers:
        assert town.alice.final(sent).status == 403  # a challenge of a carrier is none for a phone
        return
    again = town.carrier.request("INVITE")
    proof = again.headers.get("Proxy-Authorization") or ""
    assert 'username="us"' in proof
    assert 'realm="theirs"' in proof


@pytest.mark.parametrize(
    ("carrier", "extension", "number"),
    [
        ("", "", "101"),
        ("", ", caller_number: '+4930101'", "+4930101"),
        (", caller_number: '+4930000'", "", "101"),
        (", caller: own, caller_number: '+4930000'", ", caller_number: '+4930101'", "+4930000"),
        (", caller: pass, caller_number: '+4930000'", ", caller_number: '+4930101'", "+4930101"),
    ],
)
def test_whom_a_trunk_is_shown(serve: Serve, phone: Connect, carrier: str, extension: str, number: str) -> None:
    extensions = TWO.replace("wonderland", f"wonderland{extension}")
    town = Town(serve, phone, carrier, extensions)
    assert shown(town.reaches(town.alice, "70", town.carrier)) == (number, "Alice")
    town.bob.register()
    assert shown(town.reaches(town.alice, "102", town.bob)) == ("101", "Alice")


def test_a_trunk_is_shown_its_number_for_a_caller_who_has_none(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone, ", caller_number: '+4930000'")
    anonymous = ("From", '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1')
    heard = town.reaches(town.other, "70", town.carrier, [anonymous])
    assert heard.from_.uri.user == "anonymous"
    nameless = town.reaches(town.other, "70", town.carrier, [("From", "<sip:192.0.2.9>;tag=1")])
    assert shown(nameless)[0] == "+4930000"


ASSERTED = ("P-Asserted-Identity", '"Carl" <sip:030123@carrier.example>')


@pytest.mark.parametrize(("trust", "number"), [("", "555"), (", trust_identity: true", "030123")])
def test_an_asserted_identity_is_believed_from_who_is_trusted(
    serve: Serve, phone: Connect, trust: str, number: str
) -> None:
    town = Town(serve, phone, trust)
    town.bob.register()
    said = [("From", "<sip:555@x>;tag=1"), ASSERTED]
    heard = town.reaches(town.carrier, "102", town.bob, said)
    assert shown(heard)[0] == number
    assert "P-Asserted-Identity" not in heard.headers  # a phone is not trusted
    private = town.reaches(town.carrier, "102", town.bob, [*said, ("Privacy", "id")])
    assert (private.from_.uri.user, private.from_.uri.host) == ("anonymous", "anonymous.invalid")
    assert b"030123" not in private.to_bytes()


@pytest.mark.parametrize("trust", ["", ", trust_identity: true"])
def test_an_asserted_identity_is_sent_to_who_is_trusted(serve: Serve, phone: Connect, trust: str) -> None:
    town = Town(serve, phone, trust, other=", trust_identity: true")
    heard = town.reaches(town.alice, "70", town.carrier)
    asserted = heard.headers.get("P-Asserted-Identity") or ""
    assert ("101" in asserted) is bool(trust)
    private = town.reaches(
        town.other,
        "70",
        town.carrier,
        [("From", "<sip:anonymous@anonymous.invalid>;tag=1"), ASSERTED, ("Privacy", "id")],
    )
    assert private.headers.get("Privacy") == "id"
    assert private.from_.uri.user == "anonymous"
    assert ("030123" in (private.headers.get("P-Asserted-Identity") or "")) is bool(trust)


def test_a_carrier_is_spoken_to_as_its_profile_says(serve: Serve, phone: Connect) -> None:
    profile = (
        ", profile: {user_phone: true, plus: add, contact_user: office, identity: remote-party-id,"
        " diversion: history-info, prack: false, session_timers: false},"
        " headers: {remove: [X-Colour], set: {X-Caller: 'ext-{caller}', X-Was: '{header.X-Colour}'}}"
    )
    town = Town(serve, phone, profile, other=", trust_identity: true")
    heard = town.reaches(
        town.other,
        "70",
        town.carrier,
        [("From", "<sip:49301@x>;tag=1"), ("Diversion", "<sip:49302@x>;reason=user-busy")],
    )
    assert heard.uri.params.get("user") == "phone"
    assert (heard.from_.uri.user, heard.from_.uri.params.get("user")) == ("+49301", "phone")
    assert heard.contacts[0].uri.user == "office"
    assert "party=calling" in (heard.headers.get("Remote-Party-ID") or "")
    history = heard.headers.get("History-Info") or ""
    assert "sip:+49302@" in history
    assert "cause=486" in history
    assert heard.supported == ()
    assert heard.headers.get("X-Caller") == "ext-49301"
    assert "X-Was" not in heard.headers
    # From who is not trusted nothing of this is believed.
    town = Town(serve, phone, profile)
    heard = town.reaches(town.other, "70", town.carrier, [("Diversion", "<sip:49302@x>;reason=user-busy")])
    assert "History-Info" not in heard.headers


def test_remote_party_id_is_believed_from_who_is_trusted(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone, ", trust_identity: true")
    town.bob.register()
    said = [("From", "<sip:555@x>;tag=1"), ("Remote-Party-ID", '"Carl" <sip:030123@x>;party=calling;privacy=off')]
    assert shown(town.reaches(town.carrier, "102", town.bob, said)) == ("030123", "Carl")
    said[1] = ("Remote-Party-ID", '"Carl" <sip:030123@x>;party=calling;privacy=full')
    assert town.reaches(town.carrier, "102", town.bob, said).from_.uri.host == "anonymous.invalid"


def test_a_trunk_has_as_many_calls_as_it_may(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone, ", max_calls: 1")
    first = town.alice.dial("70")
    town.carrier.request("INVITE")
    assert town.bob.final(town.bob.dial("70")).status == 503
    refused = town.carrier.final(town.carrier.dial("600"))
    assert (refused.status, refused.headers.get("Retry-After")) == (503, "5")
    town.bob.dial("80")
    town.other.request("INVITE")  # the next one of the list
    assert first


# Health


def test_a_trunk_that_is_down_is_passed_over(serve: Serve, phone: Connect, world: World) -> None:
    town = Town(serve, phone, ", health: {interval: 1s, timeout: 300ms}")
    operation = Operation(town.pbx.server, world.loop, {})
    asked = town.carrier.request("OPTIONS")
    assert (asked.user_agent, asked.max_forwards) == ("Tandem", 70)
    town.carrier.answer(asked, 405)
    world.until(lambda: operation._trunks()[0].health == "up")
    town.alice.dial("80")
    town.carrier.request("INVITE")
    again = town.carrier.request("OPTIONS", 3)
    world.until(lambda: operation._trunks()[0].health == "down")
    assert [trunk.health for trunk in operation._trunks()] == ["down", "unwatched"]
    assert b'tandem_trunk_up{trunk="carrier"} 0.0' in operation.metrics.exposition()
    town.carrier.answer(again, 200)  # too late
    town.bob.dial("80")
    town.other.request("INVITE")
    town.bob.dial("70")  # it is the only one
    town.carrier.request("INVITE")
    town.carrier.answer(town.carrier.request("OPTIONS", 3), 200)
    world.until(lambda: operation._trunks()[0].health in ("up", "unknown"), 3)
    operation.stop()
    assert town.other.silent(0.05) or all(one.method != "OPTIONS" for one in town.other.inbox)


# Extensions


def test_the_user_name_of_phones_may_differ_from_the_number(serve: Serve, phone: Connect) -> None:
    extensions = (
        'extensions:\n  "101": {password: wonderland}\n  "102": {name: Bob, username: bob, password: looking-glass}\n'
    )
    town = Town(serve, phone, extensions=extensions)
    town.bob.user = "bob"
    for to in ("bob", "102"):
        answer = town.bob.ask("REGISTER", f"sip:{LOOPBACK}", headers=[("To", f"<sip:{to}@{LOOPBACK}>")])
        assert answer.status == 200
    assert [binding.aor for binding in town.pbx.server.location] == ["sip:102@tandem"]
    town.reaches(town.alice, "102", town.bob)
    assert shown(town.reaches(town.bob, "70", town.carrier)) == ("102", "Bob")
    assert town.bob.ask("REGISTER", f"sip:{LOOPBACK}", headers=[("To", f"<sip:101@{LOOPBACK}>")]).status == 403
    town.bob.user = "102"
    assert town.bob.register().status == 401


@pytest.mark.parametrize(
    ("registrar", "extension", "most"), [("", "", 10), ("2", "", 2), ("2", ", max_contacts: 3", 3)]
)
def test_phones_of_an_extension(serve: Serve, phone: Connect, registrar: str, extension: str, most: int) -> None:
    section = f"registrar: {{max_contacts: {registrar}}}\n" if registrar else ""
    pbx = serve(TWO.replace("looking-glass", f"looking-glass{extension}") + section)
    bob = phone(pbx, "102", "looking-glass")
    for port in range(most):
        assert bob.register(headers=[("Contact", f"<sip:102@{LOOPBACK}:{5000 + port}>")]).status == 200
    assert bob.register(headers=[("Contact", f"<sip:102@{LOOPBACK}:6000>")]).status == 403
    assert len(list(pbx.server.location)) == most


def test_an_extension_has_as_many_calls_as_it_may(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone, extensions=TWO.replace("looking-glass", "looking-glass, max_calls: 1"))
    town.bob.register()
    town.alice.dial("102")
    town.bob.request("INVITE")
    assert town.carrier.final(town.carrier.dial("102")).status == 486
    assert town.bob.final(town.bob.dial("600")).status == 503


# The registrar


def test_how_long_phones_stay_registered(serve: Serve, phone: Connect) -> None:
    pbx = serve(TWO + "registrar: {default_expires: 10m, min_expires: 5m, max_expires: 20m}\n")
    bob = phone(pbx, "102", "looking-glass")
    for asked, granted in ((None, 600), (400, 400), (5000, 1200)):
        answer = bob.register(asked)
        assert answer.status == 200
        assert abs(int(answer.contacts[0].params["expires"] or 0) - granted) <= 1
    brief = bob.register(100)
    assert (brief.status, brief.headers.get("Min-Expires")) == (423, "300")


# Limits


@pytest.mark.parametrize(("limit", "taken"), [("1", 1), ("0", 0), ("null", 2)])
def test_the_server_has_as_many_calls_as_it_may(serve: Serve, phone: Connect, limit: str, taken: int) -> None:
    town = Town(serve, phone, more=f"limits: {{calls: {limit}}}\n")
    statuses = [town.carrier.final(town.carrier.dial("600")).status for _ in range(2)]
    assert statuses == [200] * taken + [503] * (2 - taken)


def test_the_longest_call(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone, more="limits: {max_duration: 400ms}\n")
    sent = town.carrier.dial("600")
    town.carrier.acknowledge(sent, town.carrier.final(sent))
    assert "The longest allowed duration" in (town.carrier.request("BYE", 3).headers.get("Reason") or "")


def test_running_calls_may_go_on_while_it_drains(serve: Serve, phone: Connect, world: World) -> None:
    town = Town(serve, phone, more="limits: {drain_timeout: 500ms}\n")
    sent = town.carrier.dial("600")
    town.carrier.acknowledge(sent, town.carrier.final(sent))
    done: list[bool] = []
    town.pbx.server.drain(lambda: done.append(True))
    assert town.other.final(town.other.dial("600")).status == 503
    assert town.carrier.silent(0.2)
    assert not done
    town.carrier.answer(town.carrier.request("BYE", 3), 200)
    world.until(lambda: done)
    assert isinstance(town.carrier.ask("OPTIONS"), Response)
