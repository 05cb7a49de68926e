"""The outbound registration against a scripted registrar: every header, wait and outcome."""

from __future__ import annotations

import pytest

from pbx.errors import ParseError
from pbx.sip.digest import Credential, DigestServer
from pbx.sip.message import Response, make_response
from pbx.sip.stack import Destination, Flow
from pbx.sip.uri import Uri
from pbx.trunks.account import Account, RegistrationSettings, Status, Trouble
from pbx.trunks.registration import Registration
from pbx.trunks.registration_table import TABLE, Action, Input, State
from tests.support.clock import SteppedClock
from tests.support.fake_stack import FakeClient, FakeStack
from tests.support.sip import counted_ids

AOR = Uri.parse("sip:101@example.com")
REGISTRAR = Uri.parse("sip:example.com")
TCP = Flow("tcp", ("192.0.2.1", 40000), ("198.51.100.7", 5060), 3)
OTHER = Uri.parse("sip:101@192.0.2.99:5070")


class Stack(FakeStack):
    """Tells another Contact once the flow is known, as a machine with several addresses does."""

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__(clock)
        self.moved = False
        self.wandering = 0

    def contact_uri(self, flow: Flow | None, destination: Destination | None = None, user: str = "") -> Uri:
        found = super().contact_uri(flow, destination, user)
        if self.wandering:
            self.wandering += 1
            return OTHER.with_(port=self.wandering)
        return OTHER if self.moved and flow is not None else found


class Desk:
    """A registration, and the registrar that the test plays."""

    def __init__(self, password: str | None = "secret", **changes: object) -> None:
        self.clock = SteppedClock()
        self.stack = Stack(self.clock)
        self.told: list[Status] = []
        self.ids = counted_ids()
        self.digest = DigestServer(self.ids, "example.com", bytes(32), algorithms=("SHA-512-256", "SHA-256", "MD5"))
        settings = RegistrationSettings(product="Tandem")
        account = Account("line", AOR, REGISTRAR, contact_user="101", **changes)  # type: ignore[arg-type]
        self.asked: list[tuple[str, str]] = []
        self.password = password
        self.one = Registration(account, self.stack, self.ids, self.credentials, self, settings)

    def credentials(self, name: str, realm: str) -> Credential | None:
        self.asked.append((name, realm))
        return None if self.password is None else Credential("101", self.password)

    def registration_changed(self, status: Status) -> None:
        assert status is self.one.status
        self.told.append(status)

    # -- the registrar

    @property
    def open(self) -> FakeClient:
        client = self.stack.take("REGISTER")
        assert not client.finished
        return client

    def answer(self, status: int, *headers: tuple[str, str], reason: str | None = None) -> Response:
        client = self.open
        response = make_response(client.request, status, reason, to_tag="theirs")
        for name, value in headers:
            response.headers.add(name, value)
        client.respond(response)
        return response

    def accept(self, expires: int = 3600) -> None:
        contact = self.open.request.contacts[0].uri
        self.answer(200, ("Contact", f"<sip:other@192.0.2.9>;expires=7, <{contact}>;expires={expires}"))

    def challenge(self, *, stale: bool = False) -> None:
        values = self.digest.challenges(self.clock.seconds(), stale)
        self.answer(401, *(("WWW-Authenticate", value) for value in values))

    def proven(self) -> bool:
        """Whether the open request proves who it is."""
        request = self.open.request
        values = request.headers.all("Authorization")
        judged = self.digest.check(
            values, "REGISTER", request.uri, b"", self.clock.seconds(), lambda name: Credential(name, "secret")
        )
        return judged.ok

    def states(self) -> list[State]:
        return [status.state for status in self.told]

    def due(self) -> float:
        """Seconds until the next thing happens by itself."""
        return min(call.getTime() for call in self.clock.calls) - self.clock.seconds()


def registered(**changes: object) -> Desk:
    desk = Desk(**changes)  # type: ignore[arg-type]
    desk.one.start()
    desk.accept()
    assert desk.one.state is State.REGISTERED
    return desk


# -- the request


def test_first_request() -> None:
    desk = Desk(route=("<sip:192.0.2.5;transport=tcp;lr>",))
    desk.one.start()
    client = desk.open
    request = client.request
    assert str(request.uri) == "sip:example.com"
    assert str(request.to) == "<sip:101@example.com>"
    assert request.from_.uri == request.to.uri
    assert request.from_.tag
    assert request.headers.raw("Contact") == ["<sip:101@192.0.2.1:5060>;expires=3600"]
    assert request.headers.get("Supported") == "path"
    assert request.headers.get("User-Agent") == "Tandem"
    assert request.max_forwards == 70
    assert client.destination.route == ("<sip:192.0.2.5;transport=tcp;lr>",)
    assert desk.states() == [State.REGISTERING]


def test_outbound_names_the_instance() -> None:
    desk = Desk(instance="urn:uuid:00000000-0000-1000-8000-000a95a0e128")
    desk.one.start()
    request = desk.open.request
    contact = request.contacts[0]
    assert contact.params["+sip.instance"] == '"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>"'
    assert contact.params["reg-id"] == "1"
    assert request.supported == ("path", "outbound")
    desk.answer(439)
    again = desk.open.request
    assert "reg-id" not in again.contacts[0].params
    assert again.supported == ("path",)


def test_a_route_that_is_none() -> None:
    with pytest.raises(ParseError):
        Desk(route=("<nothing",))


def test_grants() -> None:
    """What the registrar says, in which place, counts."""
    cases: list[tuple[tuple[tuple[str, str], ...], int]] = [
        ((("Contact", "<sip:101@192.0.2.1:5060>;expires=120"), ("Expires", "90")), 120),
        ((("Contact", "<sip:101@192.0.2.1:5060>"), ("Expires", "90")), 90),
        ((("Contact", "<sip:101@203.0.113.1:1024>;expires=180"),), 180),
        ((("Expires", "90"),), 90),
        ((), 3600),
        ((("Contact", "<sip:101@192.0.2.1:5060>;expires=soon"), ("Expires", "90")), 90),
        ((("Contact", "<sip:101@192.0.2.1:5060>;expires=0"),), 3600),
        ((("Contact", "<sip:101@192.0.2.1:5060>;expires=1"),), 2),
        ((("Contact", "<sip:101@192.0.2.1:5060>;expires=9999999"),), 604800),
    ]
    for headers, interval in cases:
        desk = Desk()
        desk.one.start()
        desk.answer(200, *headers)
        assert desk.one.status.interval == interval, headers
        assert desk.one.status.until == interval
        assert desk.due() < interval


def test_what_a_200_says_besides() -> None:
    desk = Desk()
    desk.one.start()
    desk.answer(200, ("Service-Route", "<sip:a;lr>, <sip:b;lr>"), ("Flow-Timer", "30"), ("Expires", "60"))
    status = desk.one.status
    assert status.service_route == ("<sip:a;lr>", "<sip:b;lr>")
    assert status.flow_timer == 30
    assert status.contact == Uri.parse("sip:101@192.0.2.1:5060")
    desk.one.start()
    desk.answer(200, ("Service-Route", "<sip:a"), ("Flow-Timer", "x"), ("Expires", "60"))
    assert (desk.one.status.service_route, desk.one.status.flow_timer) == ((), 0)


# -- who we are


def test_a_challenge_is_answered_with_the_strongest_algorithm() -> None:
    desk = Desk()
    desk.one.start()
    first = desk.open.request
    desk.challenge()
    second = desk.open.request
    assert (second.call_id, second.from_.tag) == (first.call_id, first.from_.tag)
    assert second.cseq.number == first.cseq.number + 1
    assert "algorithm=SHA-512-256" in (second.headers.get("Authorization") or "")
    assert desk.proven()
    # The way of the challenge: another server would not know the nonce.
    assert desk.open.destination.flow == desk.open.flow
    assert desk.open.destination.fallback
    desk.accept()
    assert desk.states() == [State.REGISTERING, State.REGISTERED]
    # The next one carries credentials at once, with the next count.
    desk.one.start()
    assert "nc=00000002" in (desk.open.request.headers.get("Authorization") or "")
    assert desk.proven()
    desk.challenge(stale=True)
    assert desk.proven()
    desk.accept()
    assert desk.one.state is State.REGISTERED


def test_wrong_credentials_are_not_repeated() -> None:
    desk = Desk("wrong")
    desk.one.start()
    desk.challenge()
    assert not desk.proven()
    desk.challenge()
    assert len(desk.stack.requests) == 2
    status = desk.told[-1]
    assert (status.state, status.trouble, status.status) == (State.WAITING, Trouble.CREDENTIALS, 401)
    assert 300 <= status.retry_at - desk.clock.seconds() <= 600
    assert desk.due() == pytest.approx(status.retry_at - desk.clock.seconds())


def test_no_credentials() -> None:
    desk = Desk(None)
    desk.one.start()
    desk.challenge()
    assert desk.asked[-1] == ("line", "example.com")
    assert desk.told[-1].trouble is Trouble.NO_CREDENTIALS
    assert desk.told[-1].state is State.WAITING


def test_a_registrar_that_calls_every_nonce_stale() -> None:
    desk = Desk()
    desk.one.start()
    for _ in range(4):
        desk.challenge(stale=True)
    desk.challenge(stale=True)
    assert len(desk.stack.requests) == 5
    assert desk.told[-1].trouble is Trouble.CREDENTIALS


# -- intervals


def test_too_brief() -> None:
    desk = Desk(expires=60)
    desk.one.start()
    desk.answer(423, ("Min-Expires", "1800"))
    assert desk.open.request.contacts[0].params["expires"] == "1800"
    desk.accept(1800)
    # It is remembered.
    desk.one.start()
    assert desk.open.request.contacts[0].params["expires"] == "1800"


@pytest.mark.parametrize("least", ["", "30", "99999999", "x"])
def test_too_brief_without_reason(least: str) -> None:
    desk = Desk(expires=60)
    desk.one.start()
    desk.answer(423, *((("Min-Expires", least),) if least else ()))
    assert desk.told[-1].trouble is Trouble.REFUSED


@pytest.mark.parametrize(("expires", "earliest", "latest"), [(3600, 2916, 3240), (300, 234, 260), (60, 27, 30)])
def test_renewed_in_time_and_not_all_at_once(expires: int, earliest: float, latest: float) -> None:
    waits = set()
    for number in range(20):
        desk = Desk()
        for _ in range(number):
            desk.ids.number(16)
        desk.one.start()
        desk.accept(expires)
        wait = desk.due()
        assert earliest <= wait <= latest
        waits.add(wait)
        desk.clock.advance(wait)
        assert desk.one.state is State.REFRESHING
        assert desk.one.status.state.bound
        desk.accept(expires)
        assert desk.one.state is State.REGISTERED
        desk.one.abandon()
        assert desk.clock.calls == []
    assert len(waits) > 10


# -- trouble


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (302, Trouble.REFUSED),
        (403, Trouble.REFUSED),
        (404, Trouble.REFUSED),
        (408, Trouble.SERVER),
        (480, Trouble.SERVER),
        (500, Trouble.SERVER),
        (503, Trouble.SERVER),
        (600, Trouble.SERVER),
        (603, Trouble.REFUSED),
    ],
)
def test_responses_that_refuse(status: int, trouble: Trouble) -> None:
    desk = Desk()
    desk.one.start()
    desk.answer(status, reason="So It Is")
    told = desk.told[-1]
    assert (told.state, told.trouble, told.status, told.detail) == (State.WAITING, trouble, status, "So It Is")


@pytest.mark.parametrize(("kind", "trouble"), [("timeout", Trouble.TIMEOUT), ("resolve", Trouble.UNREACHABLE)])
def test_back_off(kind: str, trouble: Trouble) -> None:
    desk = Desk()
    desk.one.start()
    for failures, bound in enumerate((10, 20, 40, 80, 160, 300, 300), 1):
        desk.open.fail(kind)
        status = desk.told[-1]
        assert (status.state, status.trouble, status.failures) == (State.WAITING, trouble, failures)
        wait = desk.due()
        assert bound / 2 <= wait <= bound
        desk.clock.advance(wait)
        assert desk.one.state is State.REGISTERING
    desk.accept()
    assert desk.told[-1].failures == 0
    assert desk.told[-1].trouble is Trouble.NONE


def test_retry_after() -> None:
    desk = Desk()
    desk.one.start()
    desk.answer(503, ("Retry-After", "120 (maintenance);duration=60"))
    assert desk.due() == 120
    desk.clock.advance(120)
    desk.answer(503, ("Retry-After", "9999999"))
    assert desk.due() == 3600
    # Not believed for ever.
    desk.one.start()
    desk.open.fail()
    assert desk.due() <= 40


def test_a_renewal_that_fails_leaves_the_binding_until_it_expires() -> None:
    desk = registered()
    desk.clock.advance(desk.due())
    desk.open.fail()
    assert desk.one.state is State.OVERDUE
    assert desk.one.status.state.bound
    while desk.one.state in (State.OVERDUE, State.REFRESHING):
        assert desk.clock.seconds() <= 3600
        desk.clock.advance(desk.due())
        if desk.one.state is State.REFRESHING:
            desk.open.fail()
    assert desk.one.state is State.WAITING
    assert desk.one.status.contact is None
    assert desk.clock.seconds() == pytest.approx(3600)
    desk.clock.advance(desk.due())
    desk.accept()
    assert desk.one.state is State.REGISTERED


def test_a_renewal_that_takes_longer_than_the_binding() -> None:
    desk = registered()
    desk.clock.advance(desk.due())
    assert desk.one.state is State.REFRESHING
    desk.clock.advance(desk.one.status.until - desk.clock.seconds())
    assert desk.one.state is State.REGISTERING
    assert not desk.one.status.state.bound
    desk.accept()
    assert desk.one.state is State.REGISTERED


def test_a_renewal_refused() -> None:
    desk = registered()
    desk.one.start()
    desk.answer(403)
    assert desk.one.state is State.WAITING
    assert desk.one.status.contact is None
    # Only the next attempt is due.
    assert len(desk.clock.calls) == 1


# -- connections


def test_a_lost_connection_is_made_anew() -> None:
    desk = Desk()
    desk.one.start()
    desk.open.flow = TCP
    desk.accept()
    assert desk.one.status.flow == TCP
    desk.one.flow_closed(Flow("tcp", ("192.0.2.1", 1), ("198.51.100.7", 5060), 9))
    assert desk.one.state is State.REGISTERED
    desk.one.flow_closed(TCP)
    assert desk.one.state is State.REFRESHING
    assert desk.open.destination.flow is None


def test_a_connection_is_kept_for_later_rounds() -> None:
    desk = Desk()
    desk.one.start()
    desk.open.flow = TCP
    desk.accept()
    desk.one.start()
    assert desk.open.destination.flow == TCP
    desk.open.flow = TCP
    desk.accept()
    desk.one.start()
    desk.open.fail("transport")
    # Whatever was wrong with it, the next attempt looks for a way anew.
    desk.clock.advance(desk.due())
    assert desk.open.destination.flow is None


def test_over_udp_each_round_finds_its_server() -> None:
    desk = registered()
    desk.one.start()
    assert desk.open.destination.flow is None


def test_a_contact_that_does_not_fit_the_way_is_replaced_at_once() -> None:
    desk = Desk()
    desk.stack.moved = True
    desk.one.start()
    assert desk.open.request.contacts[0].uri != OTHER
    desk.accept()
    desk.clock.advance(0)
    request = desk.open.request
    assert request.headers.raw("Contact") == [
        f"<{OTHER}>;expires=3600",
        "<sip:101@192.0.2.1:5060>;expires=0",
    ]
    desk.accept()
    assert desk.one.status.contact == OTHER
    assert desk.due() > 60


def test_a_way_that_changes_each_time_is_not_chased() -> None:
    desk = Desk()
    desk.stack.wandering = 6000
    desk.one.start()
    desk.accept()
    desk.clock.advance(0)
    desk.accept()
    assert desk.due() > 60
    assert len(desk.stack.requests) == 2


# -- the end


def test_stop_removes_our_binding_and_no_other() -> None:
    desk = Desk()
    desk.one.start()
    desk.challenge()
    desk.accept()
    desk.one.stop()
    request = desk.open.request
    assert request.headers.raw("Contact") == ["<sip:101@192.0.2.1:5060>;expires=0"]
    assert desk.proven()
    desk.challenge(stale=True)
    assert desk.open.request.headers.raw("Contact") == ["<sip:101@192.0.2.1:5060>;expires=0"]
    desk.answer(200)
    assert desk.states()[-2:] == [State.REMOVING, State.ENDED]
    assert desk.clock.calls == []


def test_stop_while_a_request_is_open_awaits_it() -> None:
    desk = Desk()
    desk.one.start()
    desk.one.stop()
    assert desk.one.state is State.STOPPING
    assert len(desk.stack.requests) == 1
    desk.accept()
    assert desk.one.state is State.REMOVING
    assert desk.open.request.contacts[0].params["expires"] == "0"
    desk.open.fail()
    assert desk.one.state is State.ENDED
    assert desk.clock.calls == []


def test_stop_before_anything() -> None:
    desk = Desk()
    desk.one.stop()
    assert desk.states() == [State.ENDED]
    assert desk.stack.requests == []


def test_after_the_end_nothing_is_heard() -> None:
    desk = registered()
    desk.one.start()
    client = desk.open
    desk.one.abandon()
    assert desk.clock.calls == []
    count = len(desk.told)
    client.respond(make_response(client.request, 200, to_tag="theirs"))
    desk.one.start()
    desk.one.stop()
    assert len(desk.told) == count


# -- the table


def reach(state: State) -> Desk:
    """Return a registration in that state, led there by what happens in life."""
    desk = Desk()
    if state is State.IDLE:
        return desk
    if state is State.ENDED:
        desk.one.stop()
        return desk
    desk.one.start()
    if state is State.WAITING:
        desk.open.fail()
    elif state is State.STOPPING:
        desk.one.stop()
    elif state is not State.REGISTERING:
        desk.accept()
        if state is State.REMOVING:
            desk.one.stop()
        elif state is not State.REGISTERED:
            desk.one.start()
            if state is State.OVERDUE:
                desk.open.fail()
    assert desk.one.state is state
    return desk


@pytest.mark.parametrize("given", Input)
@pytest.mark.parametrize("state", State)
def test_every_pair_is_defined_and_leads_to_the_end(state: State, given: Input) -> None:
    assert set(TABLE) == set(State)
    assert set(TABLE[state]) == set(Input)
    action, target = TABLE[state][given]
    desk = reach(state)
    told = len(desk.told)
    desk.one._take(given)
    assert desk.one.state is (target or state)
    assert len(desk.told) == told + (target is not None)
    if target is None:
        assert action is Action.NOTHING
    if desk.one.state in (State.REGISTERED, State.OVERDUE, State.WAITING):
        assert desk.clock.calls, "nothing would ever happen again"
    if not desk.one.state.bound:
        assert desk.one.status.contact is None or desk.one.state in (State.STOPPING, State.REMOVING)
    desk.one.abandon()
    assert desk.one.state is State.ENDED
    assert desk.clock.calls == []


def test_every_action_is_a_method() -> None:
    for action in Action:
        assert callable(getattr(Registration, action.value))
