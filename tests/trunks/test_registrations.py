"""Several accounts: begun, replaced and ended together."""

from __future__ import annotations

from dataclasses import replace

from pbx.sip.digest import Credential
from pbx.sip.message import make_response
from pbx.sip.stack import Flow
from pbx.sip.uri import Uri
from pbx.trunks.account import Account, Status
from pbx.trunks.registration_table import State
from pbx.trunks.registrations import Registrations
from tests.support.fake_stack import FakeClient, FakeStack
from tests.support.sip import counted_ids


def account(name: str) -> Account:
    return Account(name, Uri.parse(f"sip:{name}@example.com"), Uri.parse("sip:example.com"), contact_user=name)


class Desk:
    def __init__(self, *names: str) -> None:
        self.stack = FakeStack()
        self.told: list[tuple[str, State]] = []
        self.all = Registrations(self.stack, counted_ids(), self.credentials, self)
        self.all.replace([account(name) for name in names])

    def credentials(self, name: str, realm: str) -> Credential | None:
        return Credential(name, f"{name}'s")

    def registration_changed(self, status: Status) -> None:
        self.told.append((status.account, status.state))

    def open(self) -> list[FakeClient]:
        return [client for client in self.stack.requests if not client.finished]

    def accept_all(self) -> None:
        for client in self.open():
            client.respond(make_response(client.request, 200, to_tag="theirs"))

    def states(self) -> dict[str, State]:
        return {status.account: status.state for status in self.all}


def test_all_register() -> None:
    desk = Desk("a", "b")
    assert [client.request.to.uri.user for client in desk.open()] == ["a", "b"]
    assert len({client.request.call_id for client in desk.open()}) == 2
    desk.accept_all()
    assert desk.states() == {"a": State.REGISTERED, "b": State.REGISTERED}
    assert len(desk.all) == 2
    found = desk.all.get("a")
    assert found is not None
    assert found.contact is not None
    assert found.contact.user == "a"
    assert desk.all.get("c") is None


def test_a_reload_touches_only_what_changed() -> None:
    desk = Desk("a", "b", "c")
    desk.accept_all()
    before = len(desk.stack.requests)
    desk.all.replace([account("a"), replace(account("b"), expires=60), account("d")])
    sent = [
        (client.request.to.uri.user, client.request.contacts[0].params["expires"])
        for client in desk.stack.requests[before:]
    ]
    assert sent == [("b", "0"), ("c", "0"), ("d", "3600")]
    desk.accept_all()
    assert desk.stack.requests[-1].request.contacts[0].params["expires"] == "60"
    desk.accept_all()
    assert desk.states() == {"a": State.REGISTERED, "b": State.REGISTERED, "d": State.REGISTERED}
    assert [name for name, state in desk.told if state is State.ENDED] == ["b", "c"]


def test_a_changed_account_registers_once_its_old_binding_is_gone() -> None:
    """Both have one Contact: the removal, arriving second, would leave the trunk unregistered for an hour."""
    desk = Desk("a")
    desk.accept_all()
    desk.all.replace([replace(account("a"), expires=60)])
    (removal,) = desk.open()
    assert removal.request.contacts[0].params["expires"] == "0"
    assert desk.all.renew("a")
    desk.all.address_changed("a")
    assert desk.open() == [removal]
    desk.all.replace([replace(account("a"), expires=90)])
    removal.fail()
    (renewal,) = desk.open()
    assert renewal.request.contacts[0].params["expires"] == "90"
    desk.accept_all()
    assert desk.states() == {"a": State.REGISTERED}


def test_an_account_that_moves_to_another_registrar_does_not_wait_for_the_old_one() -> None:
    desk = Desk("a")
    desk.accept_all()
    desk.all.replace([replace(account("a"), registrar=Uri.parse("sip:other.example.com"))])
    assert [str(client.request.uri) for client in desk.open()] == ["sip:example.com", "sip:other.example.com"]


def waiting() -> Desk:
    desk = Desk("a")
    desk.accept_all()
    desk.all.replace([replace(account("a"), expires=60)])
    return desk


def test_one_that_waits_is_ended_with_the_rest() -> None:
    desk = waiting()
    done: list[bool] = []
    desk.all.stop(lambda: done.append(True))
    assert done == []
    desk.accept_all()
    assert done == [True]
    desk.accept_all()
    assert len(desk.all) == 0
    assert desk.stack.clock.calls == []


def test_one_that_waits_is_abandoned_with_the_rest() -> None:
    desk = waiting()
    desk.all.abandon()
    assert len(desk.all) == 0
    assert desk.stack.clock.calls == []


def test_renewed_by_name() -> None:
    desk = Desk("a")
    desk.accept_all()
    assert desk.all.renew("a")
    assert not desk.all.renew("b")
    assert len(desk.open()) == 1


def test_a_lost_connection_concerns_those_registered_over_it() -> None:
    desk = Desk("a", "b")
    flows = [Flow("tcp", ("192.0.2.1", port), ("198.51.100.7", 5060), port) for port in (1, 2)]
    for client, flow in zip(desk.open(), flows, strict=True):
        client.flow = flow
    desk.accept_all()
    desk.all.flow_closed(flows[1])
    assert desk.states() == {"a": State.REGISTERED, "b": State.REFRESHING}


def test_stop_waits_for_the_registrars() -> None:
    desk = Desk("a", "b")
    desk.accept_all()
    done: list[bool] = []
    desk.all.stop(lambda: done.append(True))
    assert len(desk.all) == 0
    assert len(desk.open()) == 2
    desk.open()[0].fail()
    assert not done
    desk.accept_all()
    assert done == [True]
    assert desk.stack.clock.calls == []
    Desk().all.stop(lambda: done.append(True))
    assert done == [True, True]


def test_abandon_waits_for_nobody() -> None:
    desk = Desk("a", "b", "c")
    desk.accept_all()
    desk.all.replace([account("a")])
    desk.all.abandon()
    assert desk.stack.clock.calls == []
    assert len(desk.all) == 0
    assert {name for name, state in desk.told if state is State.ENDED} == {"a", "b", "c"}
