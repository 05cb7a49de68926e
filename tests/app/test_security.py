"""What `security:` says, seen from phones, carriers and strangers."""

from __future__ import annotations

from pbx.app.operation import Operation
from pbx.store.call_records import CallFilter
from tests.support.loopback import World
from tests.support.pbx import LOOPBACK, Connect, Pbx, Phone, Serve, free_ports, sdp

PLAN = """
numbering: {country: "49"}
routes:
  - {name: phones, when: {from: extension, number: "1XX"}, do: [{dial: "extension/{number}"}]}
  - {name: line, when: {from: extension, number: "9."}, do: [{set: {number: {strip: 1}}}, {dial: trunk/carrier}]}
  - {name: out, international: true, when: {from: extension, number: "."}, do: [{dial: trunk/carrier}]}
"""
PHONES = 'extensions:\n  "101": {password: wonderland}\n  "102": {password: looking-glass, allow_from: 127.0.66.0/24}\n'
SCAN = b"OPTIONS sip:100@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nUser-Agent: friendly-scanner\r\n\r\n"


class Town:
    """A server with a phone and a carrier."""

    def __init__(self, serve: Serve, phone: Connect, security: str = "") -> None:
        (port,) = free_ports(1)
        trunk = f'trunks:\n  carrier: {{address: "sip:{LOOPBACK}:{port}", identify: "{LOOPBACK}:{port}"}}\n'
        self.text = trunk + PHONES + security
        self.pbx: Pbx = serve(self.text, PLAN)
        self.alice: Phone = phone(self.pbx, "101", "wonderland")
        self.carrier: Phone = phone(self.pbx, port=port)

    def refused(self, number: str) -> int:
        sent = self.alice.dial(number)
        final = self.alice.final(sent)
        self.alice.acknowledge(sent, final)
        return final.status

    def busy(self, number: str) -> int:
        sent = self.alice.dial(number)
        self.carrier.answer(self.carrier.request("INVITE"), 486)
        final = self.alice.final(sent)
        self.alice.acknowledge(sent, final)
        return final.status


def test_a_budget_stops_calls_of_its_kind_and_no_others(serve: Serve, phone: Connect, world: World) -> None:
    town = Town(
        serve, phone, "security: {budgets: {abroad: {callers: extension, destinations: international, calls: 2}}}"
    )
    assert [town.busy("00441"), town.busy("00442")] == [486, 486]
    assert town.refused("00443") == 403
    assert town.busy("030123") == 486
    server = town.pbx.server
    (state,) = server.budgeting.all()
    assert (state.subject, state.calls, state.exceeded) == ("extension/101", 2, True)
    server.observer.flush()
    server.store.writer.flush()
    causes = [record.cause for record in server.store.records.search(CallFilter(), 10, "").records]
    assert causes.count("budget-exceeded") == 1
    assert server.store.budgets.load()[0]["calls"] == 2
    assert server.budgeting.reset("abroad", "extension/101")
    assert town.busy("00444") == 486


def test_who_sends_a_call_on_pays_for_it(serve: Serve, phone: Connect) -> None:
    forwarding = "security: {budgets: {abroad: {callers: extension, destinations: international, calls: 1}}}"
    town = Town(serve, phone, forwarding)
    text = town.text.replace("password: looking-glass", "password: looking-glass, redirects: follow")
    assert town.pbx.reload(text, PLAN)
    bob = phone(town.pbx, "102", "looking-glass", host="127.0.66.5")
    assert bob.register().status == 200
    for status in (486, 403):
        sent = town.alice.dial("102")
        bob.answer(bob.request("INVITE"), 302, headers=[("Contact", "<sip:00441234@127.0.0.1>")])
        if status == 486:
            town.carrier.answer(town.carrier.request("INVITE"), 486)
        final = town.alice.final(sent)
        town.alice.acknowledge(sent, final)
        assert final.status == status
        assert bob.request("ACK").method == "ACK"
    assert [state.subject for state in town.pbx.server.budgeting.all()] == ["extension/102"]


def test_a_budget_of_minutes_ends_a_call(serve: Serve, phone: Connect, world: World) -> None:
    town = Town(serve, phone, "security: {budgets: {carrier: {over: trunk, minutes: 0.005}}}")
    sent = town.alice.dial("030123")
    heard = town.carrier.request("INVITE")
    town.carrier.pick_up(heard, sdp())
    answer = town.alice.final(sent)
    town.alice.acknowledge(sent, answer)
    ended = town.alice.request("BYE")
    town.alice.answer(ended, 200)
    town.carrier.answer(town.carrier.request("BYE"), 200)
    assert town.refused("030124") == 403
    assert town.pbx.server.budgeting.budgets.refused == {"carrier": 2}


def test_a_scanner_gets_no_answer_and_is_banned_and_the_ban_outlives_the_server(
    serve: Serve, phone: Connect, world: World
) -> None:
    town = Town(serve, phone)
    server = town.pbx.server
    scanner = phone(town.pbx, host="127.0.67.1")
    scanner.socket.sendto(SCAN, scanner.server)
    assert scanner.silent()
    scanner.say(scanner.compose("OPTIONS", "sip:127.0.0.1"))
    assert scanner.silent()
    assert server.guard.dropped["scanner"] == 1
    assert server.guard.dropped["banned"] == 1
    assert [ban.source for ban in server.bans] == ["127.0.67.1"]
    server.store.writer.flush()
    assert [row["source"] for row in server.store.bans.load()] == ["127.0.67.1"]
    assert server.guard.lift("127.0.67.1")
    scanner.say(scanner.compose("OPTIONS", "sip:127.0.0.1"))
    world.until(lambda: not scanner.silent(0.01))
    assert town.busy("030") == 486


def test_the_right_password_at_the_wrong_place_is_a_wrong_one(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    home = phone(town.pbx, "102", "looking-glass", host="127.0.66.5")
    assert home.register().status == 200
    thief = phone(town.pbx, "102", "looking-glass", host="127.0.67.5")
    stolen, wrong = thief.register(), phone(town.pbx, "102", "wrong", host="127.0.67.6").register()
    assert stolen.status == wrong.status == 401
    assert [name for name, _ in stolen.headers] == [name for name, _ in wrong.headers]


def test_a_listener_hears_only_whom_it_is_for(serve: Serve, phone: Connect, world: World) -> None:
    one, two = free_ports(2)
    text = (
        f"sip:\n  listen: ['udp://127.0.0.1:{one}', {{uri: 'udp://127.0.0.1:{two}', allow_from: 127.0.66.0/24}}]\n"
        + PHONES
    )
    pbx = serve(text)
    inside, outside = phone(pbx, host="127.0.66.1"), phone(pbx, host="127.0.67.1")
    for asker, port, heard in ((inside, two, True), (outside, two, False), (outside, one, True)):
        asker.say(asker.compose("OPTIONS", "sip:127.0.0.1"), ("127.0.0.1", port))
        assert asker.silent() != heard
        asker.inbox.clear()
    assert pbx.server.guard.dropped["blocked"] == 1


def test_limits_change_with_a_reload(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    stranger = phone(town.pbx, host="127.0.67.9")
    assert town.pbx.reload(town.text + "security: {block: 127.0.67.0/24}", PLAN)
    stranger.say(stranger.compose("OPTIONS", "sip:127.0.0.1"))
    assert stranger.silent()
    assert town.pbx.reload(town.text, PLAN)
    assert stranger.ask("OPTIONS").status == 200


def test_an_overloaded_server_refuses_strangers_at_once_and_takes_emergencies(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    control = town.pbx.server.shedding.control
    for number in range(4):
        control.sample(1.0, 1.0, 1e9 + number)
    assert control.active
    sent = town.alice.compose("INVITE", f"sip:030@{LOOPBACK}", sdp())
    town.alice.say(sent)
    refusal = town.alice.final(sent)
    assert (refusal.status, refusal.headers.get("Retry-After")) == (503, "5")
    town.alice.acknowledge(sent, refusal)
    for number in ("112", "%2A31%23112", "9112"):
        sent = town.alice.compose("INVITE", f"sip:{number}@{LOOPBACK}", sdp())
        town.alice.say(sent)
        challenge = town.alice.final(sent)
        assert challenge.status == 401
        town.alice.acknowledge(sent, challenge)
    assert town.alice.register().status == 200
    assert town.busy("030") == 486, "a registered phone has its share"
    assert control.refused == 1, "a call for help is none of the refused"


def test_a_call_that_an_overloaded_server_refuses_is_written_down(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    server = town.pbx.server
    assert town.alice.register().status == 200
    for number in range(4):
        server.shedding.control.sample(1.0, 1.0, 1e9 + number)
    server.shedding.control.sample(1.0, 1.0, 1e9 + 3.01)
    assert town.busy("0301") == 486
    assert town.refused("0302") == 503
    sent = town.carrier.compose("INVITE", f"sip:101@{LOOPBACK}", sdp(), [("From", "Eve <sip:0401@x>;tag=1")])
    town.carrier.say(sent, town.pbx.address())
    refusal = town.carrier.final(sent)
    assert refusal.status == 503
    town.carrier.acknowledge(sent, refusal)
    server.observer.flush()
    server.store.writer.flush()
    written = server.store.records.search(CallFilter(), 10, "").records
    found = {(one.source, one.caller, one.called, one.cause, one.sip_status) for one in written}
    assert {one for one in found if one[3] == "overloaded"} == {
        ("extension/101", "101", "0302", "overloaded", 503),
        ("trunk/carrier", "0401", "101", "overloaded", 503),
    }
    assert server.shedding.control.refused == 2


def test_what_operators_see(serve: Serve, phone: Connect, world: World) -> None:
    town = Town(serve, phone)
    operation = Operation(town.pbx.server, world.loop, {})
    town.pbx.server.guard.ban("192.0.2.1", "operator: noisy", 60.0)
    text = operation.metrics.exposition().decode()
    for line in (
        "tandem_bans 1.0",
        'tandem_bans_made_total{reason="operator"} 1.0',
        'tandem_sip_dropped_total{reason="scanner"} 0.0',
        "tandem_overload_rate 0.0",
    ):
        assert line in text
    operation.stop()
