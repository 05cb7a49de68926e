"""Registrations that follow what happens between us and the registrar, on a stepped clock."""

from __future__ import annotations

import pytest

from pbx.app.lines import Lines
from pbx.sip.headers import Headers
from pbx.sip.message import Response, make_response
from pbx.sip.stack import Flow
from pbx.sip.uri import Uri
from pbx.trunks.account import Account
from pbx.trunks.health import Health, Probe, TrunkHealth, TrunkStatus
from pbx.trunks.registration_table import State
from tests.support.fake_stack import FLOW, FakeClient, FakeStack
from tests.support.sip import counted_ids

REGISTRAR = Uri.parse("sip:example.com")
HOME, MOVED = ("203.0.113.20", 5060), ("203.0.113.20", 31337)
ELSEWHERE = Flow("udp", FLOW.local, ("198.51.100.99", 5060))


class Network:
    """Stays where it is."""

    def refreshed_towards(self, transport: str, host: str) -> str:
        return "192.0.2.1"

    def close(self, flow: Flow, detail: str) -> None:
        raise AssertionError("nothing is closed here")


class Office:
    """Registrations at one registrar, and a trunk's watch, that the test answers."""

    def __init__(self, *names: str) -> None:
        self.stack = FakeStack()
        ids = counted_ids()
        self.lines = Lines(
            self.stack, ids, Network(), lambda flow, interval: lambda: None, lambda name, realm: None, bytes(32)
        )
        self.lines.registrations.replace(
            [Account(name, Uri.parse(f"sip:{name}@example.com"), REGISTRAR, contact_user=name) for name in names]
        )
        self.health = TrunkHealth(self.stack, ids, "", self.told, self.lines.seen)

    def told(self, status: TrunkStatus) -> None:
        self.lines.health_changed(status.trunk, up=status.health is Health.UP)

    @property
    def open(self) -> list[str]:
        """Whose REGISTER is to be answered."""
        return [str(one.request.to.uri.user) for one in self.stack.all("REGISTER") if not one.finished]

    def accept(self, seen: tuple[str, int] | None = HOME, flow: Flow = FLOW) -> None:
        """Accept every REGISTER, seen to come from there."""
        for client in [one for one in self.stack.all("REGISTER") if not one.finished]:
            client.flow = flow
            client.respond(answer(client, 200, seen))

    def fail(self, kind: str = "timeout") -> None:
        for client in [one for one in self.stack.all("REGISTER") if not one.finished]:
            client.fail(kind)

    def watch(self, trunk: str) -> FakeClient:
        """Ask a trunk whether it is there; return the question."""
        self.health.replace([Probe(trunk, self.stack.requests[0].destination, 30.0, 5.0)])
        return self.asked()

    def asked(self) -> FakeClient:
        return self.stack.all("OPTIONS")[-1]

    def state(self, name: str = "a") -> State | None:
        status = self.lines.of(name)
        return None if status is None else status.state


def answer(client: FakeClient, status: int, seen: tuple[str, int] | None) -> Response:
    response = make_response(client.request, status, to_tag="theirs")
    if seen is not None:
        response.headers.set_top_via(response.headers.top_via().with_params(received=seen[0], rport=str(seen[1])))
    return response


def test_who_is_seen_elsewhere_registers_at_once() -> None:
    office = Office("a")
    office.accept()
    question = office.watch("a")
    question.respond(answer(question, 200, HOME))
    assert office.open == []
    office.stack.clock.advance(30.0)
    office.asked().respond(answer(office.asked(), 200, MOVED))
    assert office.open == ["a"]
    office.accept(MOVED)
    office.stack.clock.advance(30.0)
    office.asked().respond(answer(office.asked(), 200, MOVED))
    assert office.open == []


def test_a_refusal_says_as_well_where_we_are() -> None:
    office = Office("a")
    office.accept()
    question = office.watch("a")
    question.respond(answer(question, 405, MOVED))
    assert office.open == ["a"]


def test_all_that_is_registered_over_the_same_way_follows() -> None:
    """The renewal of one shows that a router was started anew."""
    office = Office("a", "b", "c")
    office.accept()
    office.lines.registrations.renew("a")
    office.accept(MOVED)
    assert office.open == ["b", "c"]
    office.accept(MOVED)
    assert office.open == []
    assert [office.state(name) for name in "abc"] == [State.REGISTERED] * 3


def test_another_way_says_nothing_of_this_one() -> None:
    """Many routers map each destination elsewhere."""
    office = Office("a", "b")
    office.accept()
    office.lines.registrations.renew("a")
    office.accept(MOVED, ELSEWHERE)
    assert office.open == []


def test_a_registrar_that_does_not_say_is_left_alone() -> None:
    office = Office("a")
    office.accept(None)
    question = office.watch("a")
    question.respond(answer(question, 200, MOVED))
    assert office.open == []


def test_an_address_that_changes_with_each_request_is_not_chased() -> None:
    office = Office("a", "b")
    office.accept()
    registered = len(office.stack.all("REGISTER"))
    for port in range(5061, 5091):
        office.lines.registrations.renew("a")
        office.accept((HOME[0], port))
        office.stack.clock.advance(1.0)
    assert len(office.stack.all("REGISTER")) - registered <= 30 + 3 + 2


def test_a_trunk_that_does_not_answer_is_registered_with_anew() -> None:
    office = Office("a", "b")
    office.accept()
    office.watch("a")
    office.stack.clock.advance(5.0)
    assert office.health.is_down("a")
    assert office.open == ["a"]


@pytest.mark.parametrize("kind", ["timeout", "unreachable"])
def test_one_that_could_not_be_renewed_is_as_soon_as_somebody_answers(kind: str) -> None:
    office = Office("a")
    office.accept()
    office.watch("a")
    office.stack.clock.advance(5.0)
    office.fail(kind)
    assert (office.state(), office.open) == (State.OVERDUE, [])
    office.stack.clock.advance(1.0)
    office.health.replace([])
    question = office.watch("a")
    question.respond(answer(question, 200, HOME))
    assert office.open == ["a"]


def test_one_that_was_refused_is_not_tried_again_for_that() -> None:
    """Carriers ban who insists."""
    office = Office("a")
    (client,) = office.stack.all("REGISTER")
    client.respond(answer(client, 403, HOME))
    question = office.watch("a")
    question.respond(answer(question, 200, HOME))
    assert (office.state(), office.open) == (State.WAITING, [])


@pytest.mark.parametrize(
    "via",
    [
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;received=203.0.113.20",
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;received=203.0.113.20;rport",
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;received=203.0.113.20;rport=x",
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;received=203.0.113.20;rport=99999",
    ],
)
def test_what_cannot_be_read_says_nothing(via: str) -> None:
    office = Office("a")
    (client,) = office.stack.all("REGISTER")
    response = make_response(client.request, 200, to_tag="theirs")
    response.headers = Headers([(name, via if name == "Via" else value) for name, value in response.headers])
    client.respond(response)
    status = office.lines.of("a")
    assert status is not None
    assert (status.state, status.outer) == (State.REGISTERED, None)
