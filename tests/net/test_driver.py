"""The driver over the in-memory network: whole exchanges, failures, and handlers that misbehave."""

from __future__ import annotations

from typing import cast

import pytest

from pbx.net.trace import Trace
from pbx.net.transactions import Transactions
from pbx.net.transport import Listener
from pbx.sip.effects import Effect
from pbx.sip.message import Request, Response
from pbx.sip.stack import ClientTransaction, Destination, Flow, ServerTransaction
from pbx.sip.targets import Target
from pbx.sip.uri import Uri
from tests.support.network import Nat, SteppedClock, Wire
from tests.support.stack import Caller, Host, compose

ALICE, BOB, CAROL = "192.0.2.1", "192.0.2.2", "192.0.2.3"
LARGE = b"x" * 1400


def udp(host: str) -> Listener:
    return Listener("udp", host, 5060)


def tcp(host: str) -> Listener:
    return Listener("tcp", host, 5060)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def wire(clock: SteppedClock) -> Wire:
    return Wire(clock)


def ends_clean(*hosts: Host) -> None:
    """Nothing is left of any transaction, and no timer runs, once everything has had its time."""
    hosts[0].clock.run_out()
    for host in hosts:
        assert host.layer.leftovers() == []
        assert host.faults == []


# Requests of ours


def test_a_request_goes_out_and_its_response_comes_back(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB))
    caller, transaction = alice.send("OPTIONS", f"sip:bob@{BOB}")
    assert caller.statuses == []
    alice.clock.advance(0)
    assert caller.statuses == [200]
    via = bob.requests[0][1].top_via
    assert (via.host, via.port, via.transport, via.received) == (ALICE, 5060, "UDP", ALICE)
    assert transaction.flow == Flow("udp", (ALICE, 5060), (BOB, 5060))
    ends_clean(alice, bob)


def test_contact_is_added_only_where_one_is_wanted_and_missing(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB))
    for method, given, there in (
        ("INVITE", (), f"<sip:{ALICE}:5060>"),
        ("INVITE", (("Contact", "<sip:own@host>"),), "<sip:own@host>"),
        ("OPTIONS", (), None),
        ("REGISTER", (), None),
    ):
        alice.send(method, f"sip:bob@{BOB}", headers=given)
        alice.clock.advance(0)
        assert bob.requests[-1][1].headers.get("Contact") == there


def test_route_and_request_uri_of_a_loose_route(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB))
    route = (f"<sip:{BOB};lr>", "<sip:next.example;lr>")
    alice.send("INVITE", "sip:carol@192.0.2.99", route)
    alice.clock.advance(0)
    request = bob.requests[0][1]
    assert str(request.uri) == "sip:carol@192.0.2.99"
    assert request.headers.all("Route") == list(route)


def test_a_strict_router_gets_the_request_uri(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB))
    alice.send("BYE", "sip:carol@192.0.2.99;x=y", (f"<sip:{BOB};method=BYE?a=b>", "<sip:next.example;lr>"))
    alice.clock.advance(0)
    request = bob.requests[0][1]
    assert str(request.uri) == f"sip:{BOB}"
    assert request.headers.all("Route") == ["<sip:next.example;lr>", "<sip:carol@192.0.2.99;x=y>"]


def test_a_dialog_that_rewrote_for_a_strict_router_is_left_alone(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB))
    strict = Uri.parse(f"sip:{BOB}")
    route = ("<sip:next.example>", "<sip:carol@192.0.2.99>")
    request = compose("BYE", str(strict))
    alice.driver.send_request(request, Destination(strict, route, next_hop=strict), Caller())
    alice.clock.advance(0)
    assert bob.requests[0][1].headers.all("Route") == list(route)
    assert str(bob.requests[0][1].uri) == str(strict)


def test_a_route_that_cannot_be_read_is_a_failure_and_not_an_exception(wire: Wire) -> None:
    alice = Host(wire, udp(ALICE))
    caller, _ = alice.send("OPTIONS", f"sip:bob@{BOB}", ("<no uri",))
    assert caller.failures == []
    alice.clock.advance(0)
    assert [failure.kind for failure in caller.failures] == ["resolve"]
    ends_clean(alice)


@pytest.mark.parametrize("host", ["224.0.0.1", "255.255.255.255", "0.0.0.0"])
def test_nothing_goes_to_broadcast_or_multicast(wire: Wire, host: str) -> None:
    alice = Host(wire, udp(ALICE))
    alice.resolver.table[host] = [Target("udp", host, 5060)]
    caller, _ = alice.send("OPTIONS", f"sip:bob@{host}")
    alice.clock.advance(0)
    assert [failure.kind for failure in caller.failures] == ["resolve"]
    assert wire.log == []


def test_an_unreachable_port_fails_the_request_at_once(wire: Wire) -> None:
    alice = Host(wire, udp(ALICE))
    Host(wire, Listener("udp", BOB, 5070))
    caller, _ = alice.send("OPTIONS", f"sip:bob@{BOB}:5060")
    alice.clock.advance(0)
    assert [failure.kind for failure in caller.failures] == ["transport"]
    assert f"{BOB}:5060" in caller.failures[0].detail
    ends_clean(alice)


def test_silence_is_a_timeout_after_32_seconds(wire: Wire) -> None:
    alice = Host(wire, udp(ALICE))
    caller, _ = alice.send("OPTIONS", f"sip:bob@{BOB}")
    alice.clock.advance(31.99)
    assert caller.failures == []
    alice.clock.advance(0.02)
    assert [failure.kind for failure in caller.failures] == ["timeout"]
    ends_clean(alice)


# Flows


def test_a_flow_is_taken_and_no_other_way(wire: Wire) -> None:
    nat = Nat(wire, "198.51.100.7")
    server, phone = Host(wire, udp(ALICE)), Host(wire, Listener("udp", "10.0.0.2", 5060), nat=nat)
    phone.send("REGISTER", f"sip:{ALICE}")
    server.clock.advance(0)
    flow = server.requests[0][0].flow
    assert flow.remote == ("198.51.100.7", 20000)
    caller, _ = server.send("OPTIONS", "sip:phone@10.0.0.2", flow=flow)
    server.clock.advance(0)
    assert caller.statuses == [200]
    assert phone.requests[0][1].uri.host == "10.0.0.2"
    ends_clean(server, phone)


def test_a_connection_that_is_gone_fails_or_falls_back(wire: Wire) -> None:
    server, phone = Host(wire, tcp(ALICE), udp(ALICE)), Host(wire, tcp(BOB), udp(BOB))
    phone.send("REGISTER", f"sip:{ALICE};transport=tcp")
    server.clock.advance(0)
    flow = server.requests[0][0].flow
    assert flow.transport == "tcp"
    caller, transaction = server.send("OPTIONS", f"sip:phone@{BOB}", flow=flow)
    server.clock.advance(0)
    assert (caller.statuses, transaction.flow) == ([200], flow)
    closed: list[Flow] = []
    server.driver.on_flow_closed(closed.append)
    phone.network.break_streams()
    server.clock.advance(0)
    assert closed == [flow]
    assert not server.driver.alive(flow)
    failing, _ = server.send("OPTIONS", f"sip:phone@{BOB}", flow=flow)
    resolving, transaction = server.send("OPTIONS", f"sip:phone@{BOB}", flow=flow, fallback=True)
    server.clock.advance(0)
    assert [failure.kind for failure in failing.failures] == ["transport"]
    assert resolving.statuses == [200]
    assert transaction.flow is not None
    assert transaction.flow.transport == "udp"


def test_a_connection_that_closes_in_mid_transaction_fails_it(wire: Wire) -> None:
    server, phone = Host(wire, tcp(ALICE), udp(ALICE)), Host(wire, tcp(BOB), udp(BOB))
    phone.send("REGISTER", f"sip:{ALICE};transport=tcp")
    server.clock.advance(0)
    flow = server.requests[0][0].flow
    phone.answer = lambda transaction, request: None
    strict, _ = server.send("OPTIONS", f"sip:phone@{BOB}", flow=flow)
    lenient, _ = server.send("OPTIONS", f"sip:phone@{BOB}", flow=flow, fallback=True)
    server.clock.advance(1)
    phone.driver.stop()
    Host(wire, tcp(BOB), udp(BOB))
    server.clock.advance(1)
    assert [failure.kind for failure in strict.failures] == ["transport"]
    assert lenient.statuses == [200]


# Targets


def test_the_next_target_is_tried_after_503_and_after_a_refused_connection(wire: Wire) -> None:
    alice, bob, carol = Host(wire, udp(ALICE), tcp(ALICE)), Host(wire, udp(BOB)), Host(wire, udp(CAROL))
    alice.resolver.table["carrier.example"] = [
        Target("tcp", BOB, 5060),
        Target("udp", BOB, 5060),
        Target("udp", CAROL, 5060),
    ]
    bob.answer = lambda transaction, request: bob.say(transaction, 503, ("Retry-After", "120"))
    caller, transaction = alice.send("INVITE", "sip:1@carrier.example")
    branch = transaction.request.headers.get("Via")
    alice.clock.advance(0)
    assert caller.statuses == [200]
    assert transaction.flow is not None
    assert transaction.flow.remote == (CAROL, 5060)
    assert transaction.request.headers.get("Via") != branch
    assert transaction.request.headers.raw("Via") == [transaction.request.headers.get("Via")]
    # The dead ones are remembered: Bob asked for two minutes.
    alice.clock.advance(100)
    alice.send("OPTIONS", "sip:1@carrier.example")
    alice.clock.advance(0)
    assert (len(bob.requests), len(carol.requests)) == (1, 2)
    alice.clock.advance(30)
    alice.send("OPTIONS", "sip:1@carrier.example")
    alice.clock.advance(0)
    assert len(bob.requests) == 2
    ends_clean(alice, bob, carol)


def test_the_last_503_is_passed_up(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB))
    bob.answer = lambda transaction, request: bob.say(transaction, 503)
    caller, _ = alice.send("INVITE", f"sip:1@{BOB}")
    alice.clock.advance(0)
    assert caller.statuses == [503]
    assert caller.failures == []
    ends_clean(alice, bob)


def test_silent_targets_are_left_for_the_next(wire: Wire) -> None:
    alice, carol = Host(wire, udp(ALICE)), Host(wire, udp(CAROL))
    alice.resolver.table["carrier.example"] = [Target("udp", BOB, 5060), Target("udp", CAROL, 5060)]
    caller, _ = alice.send("OPTIONS", "sip:1@carrier.example")
    alice.clock.advance(33)
    assert caller.statuses == [200]
    ends_clean(alice, carol)


class Pair:
    """A name with two hosts, the first of which says nothing until it is told to."""

    def __init__(self, wire: Wire) -> None:
        self.alice, self.bob, self.carol = Host(wire, udp(ALICE)), Host(wire, udp(BOB)), Host(wire, udp(CAROL))
        self.alice.resolver.table["carrier.example"] = [Target("udp", BOB, 5060), Target("udp", CAROL, 5060)]
        self.bob.answer = lambda transaction, request: None
        self.carol.answer = lambda transaction, request: self.carol.say(transaction, 180)
        # A host that is up sends 100 by itself, after 200 ms: that is kept from arriving.
        speaks = wire.drop_if(lambda datagram: datagram.source[0] == BOB)
        self.caller, self.transaction = self.alice.send("INVITE", "sip:1@carrier.example", patience=2.0)
        self.alice.clock.advance(1.9)
        assert self.carol.requests == []
        self.alice.clock.advance(0.2)
        assert self.caller.statuses == [180]
        speaks()

    def over(self) -> None:
        ends_clean(self.alice, self.bob, self.carol)


def test_an_invite_to_a_silent_host_is_cancelled_when_it_speaks_at_last(wire: Wire) -> None:
    pair = Pair(wire)
    pair.bob.say(pair.bob.requests[0][0], 180)
    pair.alice.clock.advance(0.1)
    assert len(pair.bob.cancels) == 1
    pair.carol.say(pair.carol.requests[0][0], 200)
    pair.alice.clock.advance(0.1)
    assert pair.caller.statuses == [180, 200]
    assert pair.carol.cancels == []
    pair.over()


def test_a_silent_host_that_answers_first_after_all_has_the_call(wire: Wire) -> None:
    """The call is not answered twice: the other host's INVITE is cancelled, and a second answer would be told too."""
    pair = Pair(wire)
    pair.bob.say(pair.bob.requests[0][0], 200)
    pair.alice.clock.advance(0.1)
    assert pair.caller.statuses == [180, 200]
    assert len(pair.carol.cancels) == 1
    pair.over()


def test_both_answers_of_hosts_that_were_tried_are_told(wire: Wire) -> None:
    pair = Pair(wire)
    pair.carol.say(pair.carol.requests[0][0], 200)
    pair.alice.clock.advance(0.1)
    pair.bob.say(pair.bob.requests[0][0], 200)
    pair.alice.clock.advance(0.1)
    assert pair.caller.statuses == [180, 200, 200]
    pair.over()


def test_the_silence_of_the_last_host_is_told_and_its_transaction_goes_on(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB))
    bob.answer = lambda transaction, request: None
    speaks = wire.drop_if(lambda datagram: datagram.source[0] == BOB)
    caller, _ = alice.send("INVITE", f"sip:1@{BOB}", patience=2.0)
    alice.clock.advance(2.1)
    assert (caller.silences, caller.failures) == (1, [])
    speaks()
    bob.say(bob.requests[0][0], 486)
    alice.clock.advance(0.1)
    assert caller.statuses == [486]
    ends_clean(alice, bob)


def test_an_unknown_name_fails_as_unresolved(wire: Wire) -> None:
    alice = Host(wire, udp(ALICE))
    caller, _ = alice.send("OPTIONS", "sip:1@nowhere.example")
    alice.clock.advance(0)
    assert [(failure.kind, failure.detail) for failure in caller.failures] == [
        ("resolve", "nowhere.example is unknown")
    ]


# Large requests


def test_a_large_request_goes_by_tcp(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE), tcp(ALICE)), Host(wire, udp(BOB), tcp(BOB))
    caller, transaction = alice.send("MESSAGE", f"sip:bob@{BOB}", body=LARGE)
    alice.clock.advance(0)
    assert caller.statuses == [200]
    assert bob.requests[0][1].top_via.transport == "TCP"
    assert transaction.flow is not None
    assert transaction.flow.transport == "tcp"
    _, transaction = alice.send("MESSAGE", f"sip:bob@{BOB}", body=LARGE[:900])
    alice.clock.advance(0)
    assert transaction.flow is not None
    assert transaction.flow.transport == "udp"


def test_a_large_request_goes_by_udp_where_tcp_is_refused_and_that_is_remembered(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE), tcp(ALICE)), Host(wire, udp(BOB))
    for _ in range(2):
        caller, _ = alice.send("MESSAGE", f"sip:bob@{BOB}", body=LARGE)
        alice.clock.advance(0)
        assert caller.statuses == [200]
        assert bob.requests[-1][1].top_via.transport == "UDP"
    assert len(alice.driver.dead) == 1
    ends_clean(alice, bob)


def test_a_large_request_does_not_wait_for_tcp_that_never_answers(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE), tcp(ALICE)), Host(wire, udp(BOB))
    wire.connect = lambda *arguments: None  # type: ignore[method-assign, assignment]
    caller, _ = alice.send("MESSAGE", f"sip:bob@{BOB}", body=LARGE)
    alice.clock.advance(1.4)
    assert caller.statuses == []
    alice.clock.advance(0.2)
    assert caller.statuses == [200]
    ends_clean(alice, bob)


def test_a_host_without_tcp_sends_large_requests_by_udp(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB), tcp(BOB))
    caller, _ = alice.send("MESSAGE", f"sip:bob@{BOB}", body=LARGE)
    alice.clock.advance(0)
    assert caller.statuses == [200]
    assert bob.requests[0][1].top_via.transport == "UDP"


# INVITE, ACK, CANCEL


def test_ack_goes_by_the_dialogs_destination_and_may_be_sent_again(wire: Wire) -> None:
    alice, bob, carol = Host(wire, udp(ALICE)), Host(wire, udp(BOB)), Host(wire, udp(CAROL))
    ack = compose("ACK", f"sip:bob@{BOB}")
    for _ in range(2):
        alice.driver.send_ack(ack, Destination(Uri.parse(f"sip:bob@{BOB}"), (f"<sip:{CAROL};lr>",)))
    alice.clock.advance(0)
    assert bob.acks == []
    assert [one.headers.all("Route") for one in carol.acks] == [[f"<sip:{CAROL};lr>"]] * 2
    assert [len(one.headers.raw("Via")) for one in carol.acks] == [1, 1]


def test_an_ack_that_cannot_be_sent_is_counted(wire: Wire) -> None:
    alice = Host(wire, udp(ALICE))
    alice.driver.send_ack(compose("ACK", "sip:bob@nowhere.example"), Destination(Uri.parse("sip:bob@nowhere.example")))
    alice.clock.advance(0)
    assert alice.driver.counters["ack_failed"] == 1


def test_cancel_of_a_ringing_invite(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB))
    bob.answer = lambda transaction, request: bob.say(transaction, 180)
    caller, transaction = alice.send("INVITE", f"sip:bob@{BOB}")
    alice.clock.advance(1)
    alice.driver.cancel(transaction, (("Reason", "SIP;cause=200"),))
    alice.clock.advance(1)
    assert caller.statuses == [180, 487]
    assert bob.cancels[0].headers.get("Reason") == "SIP;cause=200"
    ends_clean(alice, bob)


def test_cancel_before_the_address_is_known_sends_nothing(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB))
    alice.resolver.held = True
    caller, transaction = alice.send("INVITE", f"sip:bob@{BOB}")
    assert transaction.flow is None
    alice.driver.cancel(transaction)
    assert caller.failures == []
    alice.resolver.release()
    alice.clock.advance(1)
    assert [failure.kind for failure in caller.failures] == ["cancelled"]
    assert bob.requests == []
    alice.driver.cancel(transaction)
    ends_clean(alice, bob)


def test_a_cancelled_invite_is_tried_nowhere_else(wire: Wire) -> None:
    alice, bob, carol = Host(wire, udp(ALICE)), Host(wire, udp(BOB)), Host(wire, udp(CAROL))
    alice.resolver.table["carrier.example"] = [Target("udp", BOB, 5060), Target("udp", CAROL, 5060)]
    bob.answer = lambda transaction, request: None
    bob.cancelled = lambda transaction: bob.say(transaction, 503)
    caller, transaction = alice.send("INVITE", "sip:1@carrier.example")
    alice.clock.advance(1)
    alice.driver.cancel(transaction)
    alice.clock.advance(1)
    assert caller.statuses[-1] == 503
    assert carol.requests == []
    ends_clean(alice, bob, carol)


# Responses


def test_a_response_takes_a_new_connection_when_its_own_is_gone(wire: Wire) -> None:
    alice, bob = Host(wire, tcp(ALICE), udp(ALICE)), Host(wire, tcp(BOB))
    bob.answer = lambda transaction, request: None
    caller, _ = alice.send("OPTIONS", f"sip:bob@{BOB};transport=tcp")
    alice.clock.advance(1)
    transaction, _ = bob.requests[0]
    # Only Bob notices that the connection is gone.
    bob.network._streams.clear()
    bob.say(transaction, 200)
    alice.clock.advance(1)
    assert caller.statuses == [200]
    assert bob.driver.counters["response_rerouted"] == 1


def test_a_response_that_cannot_be_delivered_is_told(wire: Wire) -> None:
    alice, bob = Host(wire, tcp(ALICE)), Host(wire, tcp(BOB))
    bob.answer = lambda transaction, request: None
    alice.send("INVITE", f"sip:bob@{BOB};transport=tcp")
    alice.clock.advance(0.1)
    transaction, _ = bob.requests[0]
    alice.driver.stop()
    bob.clock.advance(0)
    bob.say(transaction, 200)
    assert bob.failures == []
    bob.clock.advance(0)
    assert [failure.kind for failure in bob.failures] == ["transport"]
    assert bob.driver.counters["response_unroutable"] == 1


# Handlers that misbehave


def test_an_exception_of_a_handler_is_answered_500_and_hurts_nobody(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB))

    def answer(transaction: ServerTransaction, request: Request) -> None:
        if request.uri.user == "broken":
            raise ZeroDivisionError
        bob.say(transaction, 200)

    bob.answer = answer
    broken, _ = alice.send("OPTIONS", f"sip:broken@{BOB}")
    whole, _ = alice.send("OPTIONS", f"sip:whole@{BOB}")
    alice.clock.advance(0)
    assert (broken.statuses, whole.statuses) == ([500], [200])
    assert [type(error) for _, error in bob.faults] == [ZeroDivisionError]
    assert bob.faults[0][0].startswith("OPTIONS call-")
    assert bob.driver.counters["user_errors"] == 1
    bob.faults.clear()
    ends_clean(alice, bob)


def test_an_exception_after_the_answer_is_only_reported(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB))

    def answer(transaction: ServerTransaction, request: Request) -> None:
        bob.say(transaction, 486)
        raise ZeroDivisionError

    bob.answer = answer
    caller, _ = alice.send("INVITE", f"sip:bob@{BOB}")
    alice.clock.advance(0)
    assert caller.statuses == [486]
    assert len(bob.faults) == 1


def test_an_exception_of_a_transaction_user_is_reported(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB))

    def act(transaction: ClientTransaction, response: Response) -> None:
        raise ZeroDivisionError

    caller, _ = alice.send("OPTIONS", f"sip:bob@{BOB}")
    caller.act = act
    other, _ = alice.send("OPTIONS", f"sip:bob@{BOB}")
    alice.clock.advance(0)
    assert other.statuses == [200]
    assert [type(error) for _, error in alice.faults] == [ZeroDivisionError]
    alice.faults.clear()
    ends_clean(alice, bob)


def test_exceptions_of_timers_and_flow_listeners_are_reported(wire: Wire) -> None:
    alice, bob = Host(wire, tcp(ALICE)), Host(wire, tcp(BOB))
    heard: list[Flow] = []

    def fail(flow: Flow | None = None) -> None:
        raise ZeroDivisionError

    alice.driver.on_flow_closed(fail)
    alice.driver.on_flow_closed(heard.append)
    alice.driver.later(1, fail)
    alice.send("OPTIONS", f"sip:bob@{BOB};transport=tcp")
    alice.clock.advance(0)
    bob.network.break_streams()
    alice.clock.advance(1)
    assert len(heard) == 1
    assert len(alice.faults) == 2


def test_a_fault_of_ours_stops_neither_the_socket_nor_the_timers(wire: Wire) -> None:
    alice = Host(wire, udp(ALICE))
    whole, _ = alice.send("OPTIONS", "sip:bob@192.0.2.77")
    sound = alice.layer.timers_due
    broken = [True]

    class Layer:
        def timers_due(self, now: float) -> list[Effect]:
            if broken:
                broken.clear()
                raise ZeroDivisionError
            return sound(now)

        def __getattr__(self, name: str) -> object:
            return getattr(alice.layer, name)

    alice.driver.layer = cast(Transactions, Layer())
    alice.clock.advance(40)
    assert [failure.kind for failure in whole.failures] == ["timeout"]
    assert [where for where, _ in alice.faults] == ["the transaction timers"]


def test_a_fault_in_reading_a_message_is_contained(wire: Wire) -> None:
    bob = Host(wire, udp(BOB))

    class Layer:
        def __getattr__(self, name: str) -> object:
            if name == "receive":
                raise ZeroDivisionError
            return getattr(bob.layer, name)

    bob.driver.layer = cast(Transactions, Layer())
    bob.driver.received(b"INVITE", Flow("udp", (BOB, 5060), (ALICE, 5060)))
    assert [where for where, _ in bob.faults] == [f"a message from {ALICE}:5060"]


def test_a_timer_can_be_cancelled_before_and_after(wire: Wire) -> None:
    alice = Host(wire, udp(ALICE))
    ran: list[int] = []
    first, second = alice.driver.later(1, lambda: ran.append(1)), alice.driver.later(1, lambda: ran.append(2))
    first.cancel()
    alice.clock.advance(2)
    second.cancel()
    assert ran == [2]
    assert alice.driver.now() == alice.clock.seconds()


def test_any_bytes_are_a_response_or_a_drop(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB))
    flow = Flow("udp", (BOB, 5060), (ALICE, 5060))
    for data in (b"garbage", b"INVITE\r\n\r\n", b"\xff" * 1000, b"SIP/2.0 abc\r\n\r\n", b"A" * 60_000, b"OPTIONS a b"):
        bob.driver.received(data, flow)
    bob.driver.received(compose("OPTIONS", f"sip:b@{BOB}").to_bytes(), flow)
    assert bob.faults == []
    assert bob.requests == []
    ends_clean(alice, bob)


def test_the_gate_drops_before_the_parser(wire: Wire) -> None:
    class Closed:
        offences = 0

        def admits(self, way: Flow, host: str, now: float, data: bytes) -> bool:
            return host != ALICE

        def offended(self, way: Flow, host: str, now: float) -> None:
            self.offences += 1

    gate = Closed()
    alice, bob, carol = Host(wire, udp(ALICE)), Host(wire, udp(BOB), gate=gate), Host(wire, udp(CAROL))
    banned, _ = alice.send("OPTIONS", f"sip:bob@{BOB}")
    welcome, _ = carol.send("OPTIONS", f"sip:bob@{BOB}")
    alice.clock.advance(0)
    assert (banned.statuses, welcome.statuses) == ([], [200])
    assert bob.driver.counters["refused"] == 1
    bob.driver.received(b"INVITE garbage", Flow("udp", (BOB, 5060), (CAROL, 5060)))
    assert gate.offences == 1


def test_what_goes_both_ways_is_traced(wire: Wire) -> None:
    trace = Trace()
    alice, _ = Host(wire, udp(ALICE)), Host(wire, udp(BOB), trace=trace)
    _, transaction = alice.send("INVITE", f"sip:bob@{BOB}")
    alice.clock.advance(0)
    messages = trace.messages([transaction.request.call_id])
    assert [(message.outgoing, message.data[:11]) for message in messages] == [
        (False, b"INVITE sip:"),
        (True, b"SIP/2.0 200"),
    ]


# What peers are told of us


def test_contact_uri_by_flow_and_by_destination(wire: Wire) -> None:
    alice = Host(wire, udp(ALICE), tcp(ALICE), Listener("tls", ALICE, 5061))
    flow = Flow("tcp", (ALICE, 5060), (BOB, 40_000), 1)
    assert str(alice.driver.contact_uri(flow, user="101")) == f"sip:101@{ALICE}:5060;transport=tcp"
    for uri, expected in (
        ("sip:bob@192.0.2.2", f"sip:{ALICE}:5060"),
        ("sip:bob@192.0.2.2;transport=tcp", f"sip:{ALICE}:5060;transport=tcp"),
        ("sip:bob@carrier.example;transport=tls", f"sip:{ALICE}:5061;transport=tls"),
        ("sips:bob@carrier.example", f"sips:{ALICE}:5061"),
        ("sip:bob@192.0.2.2;transport=ws", f"sip:{ALICE}:5060"),
    ):
        assert str(alice.driver.contact_uri(None, Destination(Uri.parse(uri)))) == expected


def test_nothing_happens_after_stop(wire: Wire) -> None:
    alice, bob = Host(wire, udp(ALICE)), Host(wire, udp(BOB))
    caller, _ = alice.send("INVITE", f"sip:bob@{BOB}:5099")
    alice.driver.later(1, lambda: caller.failures.clear())
    alice.driver.stop()
    alice.clock.advance(60)
    assert caller.statuses == caller.failures == []
    assert alice.clock.calls == []
    assert bob.faults == alice.faults == []
