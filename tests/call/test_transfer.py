"""Transfers: blind and attended, from either side, that succeed and that fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pbx.call import events
from pbx.call.commands import (
    AcceptOffer,
    AcceptRefer,
    DeclineOffer,
    DeclineRefer,
    Dial,
    HangUp,
    Offer,
    Party,
    Refer,
    ReportRefer,
)
from pbx.call.table import State
from pbx.cause import cause_named
from pbx.dialplan.decision import Decision, Query
from pbx.dialplan.steps import DialStep, EchoStep, RejectStep, RouteLimits, Step, Target
from pbx.features.transfer import Transfers
from pbx.media import commands as engine
from tests.support.call_rig import FakeLeg, Rig, phone_sdp, targets

HUNG_UP = cause_named("answered-caller-hung-up")


class Office(Rig):
    """Extensions 101 to 104 and a trunk; who may transfer what stands in `policies`."""

    def __post_init__(self) -> None:
        self.phones = {"extension/102": 1, "extension/103": 1, "extension/104": 1, "trunk/carrier": 1}
        super().__post_init__()
        self.policies: dict[str, str] = {}
        self.asked_for: list[Query] = []
        self.dialogs: dict[tuple[str, str, str], str] = {}
        self.plans: dict[str, tuple[Step, ...]] = {}
        """Steps of numbers that mean something else here than usual."""
        self.route_limits: dict[str, RouteLimits] = {}
        """Of the routes of some numbers, which are called like the number."""
        self.transfers = Transfers(
            lambda source: self.policies.get(source, "handle"),
            self._decide,
            lambda: datetime(2026, 11, 20, 12, tzinfo=UTC),
            self.dialogs.get,
            lambda leg: self.registry.find(leg),
        )
        self.services = replace(self.services, transfers=self.transfers)
        self.registry._services = self.services

    def _decide(self, query: Query) -> Decision:
        self.asked_for.append(query)
        number = query.number
        steps: tuple[Step, ...]
        if number in self.plans:
            steps = self.plans[number]
        elif number == "600":
            steps = (EchoStep(),)
        elif number == "699":
            steps = (RejectStep("busy"),)
        elif number.startswith("1"):
            steps = (DialStep(targets(f"extension/{number}", number=number), number),)
        else:
            return Decision(query, None, number, (), number, "forbidden")
        limits = self.route_limits.get(number)
        return Decision(query, "a route" if limits is None else number, number, steps, number, limits=limits)

    def talk(self, called: str = "102", source: str = "extension/101") -> tuple[FakeLeg, FakeLeg]:
        caller = self.incoming(called, source=source)
        callee = self.leg(1)
        self.answer(callee)
        return caller, callee

    def refer(self, leg: FakeLeg, number: str, replaces: tuple[str, str, str] | None = None) -> None:
        self.tell(leg, events.ReferRequested(leg.id, f"sip:{number}@pbx", number, replaces))

    def accept_offer(self, leg: FakeLeg, port: int) -> None:
        """Answer the newest offer to a leg."""
        assert leg.kinds()[-1] == "Offer", leg.kinds()
        self.tell(leg, events.OfferAnswered(leg.id, phone_sdp(port, "0 101", version=9)))

    def reports(self, leg: FakeLeg) -> list[int]:
        return [command.status for command in leg.heard if isinstance(command, ReportRefer)]

    def connected(self) -> tuple[str | None, str | None]:
        """The legs of the last connection that the engine was asked for."""
        connect = self.asked(engine.Connect)[-1]
        assert isinstance(connect, engine.Connect)
        call = next(iter(self.registry._calls.values()))
        return call.session.leg_of(connect.left), call.session.leg_of(connect.right)

    def end(self) -> None:
        self.registry.end_all()
        self.assert_nothing_left()


@pytest.fixture
def office() -> Office:
    return Office()


def leave(office: Office, leg: FakeLeg) -> None:
    office.tell(leg, events.HungUp(leg.id, cause_named("transferred")))


class TestBlind:
    @pytest.mark.parametrize("asker", ["caller", "callee"])
    def test_the_other_party_is_led_to_the_new_number(self, office: Office, asker: str) -> None:
        caller, callee = office.talk()
        transferor, staying = (caller, callee) if asker == "caller" else (callee, caller)
        rights = "extension/101" if asker == "caller" else "extension/102"
        office.refer(transferor, "103")
        assert transferor.last(AcceptRefer)
        assert office.asked_for[-1].source == rights
        target = office.leg(2)
        dial = target.last(Dial)
        assert dial.called.number == "103"
        # The new phone sees whom it will talk to, not who has gone.
        assert dial.caller.number == ("102" if asker == "caller" else "101")
        office.tell(target, events.Ringing(target.id))
        # Who stays hears that it rings: its own phone has been answered and makes no tone of its own.
        (play,) = office.asked(engine.Play)
        assert isinstance(play, engine.Play)
        office.answer(target, phone_sdp(7000, "0 101"))
        assert [stop.play for stop in office.asked(engine.StopPlaying)] == [play.play]
        assert office.reports(transferor) == [180, 200]
        assert transferor.last(ReportRefer).then == cause_named("transferred")
        assert office.connected() == (staying.id, target.id)
        office.accept_offer(staying, 4000)
        leave(office, transferor)
        assert len(office.registry) == 1
        office.tell(target, events.HungUp(target.id, HUNG_UP))
        office.assert_nothing_left()
        outcomes = [(one.target, one.outcome) for one in office.ended[0].attempts]
        assert (rights, "transferred") in outcomes
        assert outcomes[-1] == ("extension/103", "answered")
        assert office.ended[0].destination == "extension/103"

    def test_who_leaves_at_once_is_not_missed(self, office: Office) -> None:
        caller, callee = office.talk()
        office.refer(callee, "103")
        office.tell(callee, events.HungUp(callee.id, HUNG_UP))
        target = office.leg(2)
        office.answer(target, phone_sdp(7000, "0 101"))
        assert office.connected() == (caller.id, target.id)
        office.end()

    @pytest.mark.parametrize("number", ["103", "699"])
    def test_a_failure_gives_the_party_back(self, office: Office, number: str) -> None:
        caller, callee = office.talk()
        office.refer(callee, number)
        if number == "103":
            target = office.leg(2)
            office.tell(target, events.Rejected(target.id, cause_named("busy"), 486))
        assert office.reports(callee) == [486]
        assert callee.last(ReportRefer).then is None
        assert office.connected() == (caller.id, callee.id)
        # And they go on as before: a hold goes from one to the other.
        office.tell(callee, events.Offered(callee.id, phone_sdp(6000, "0 101", "sendonly", 2)))
        assert caller.last(Offer)
        office.accept_offer(caller, 4000)
        office.refer(callee, "104")
        assert office.asked_for[-1].number == "104"
        assert list(office.legs.values())[-1].last(Dial).called.number == "104"
        office.end()

    def test_a_failure_after_the_asker_has_left_ends_the_call(self, office: Office) -> None:
        caller, callee = office.talk()
        office.refer(callee, "103")
        office.tell(callee, events.HungUp(callee.id, HUNG_UP))
        target = office.leg(2)
        office.tell(target, events.Rejected(target.id, cause_named("busy"), 486))
        assert caller.last(HangUp).cause.slug == "busy"
        office.assert_nothing_left()

    def test_to_a_service_of_the_server(self, office: Office) -> None:
        caller, callee = office.talk()
        office.refer(caller, "600")
        assert office.reports(caller) == [200]
        leave(office, caller)
        office.accept_offer(callee, 6000)
        assert office.connected() == (callee.id, callee.id)
        office.tell(callee, events.HungUp(callee.id, HUNG_UP))
        office.assert_nothing_left()

    def test_the_party_that_stays_may_hang_up_meanwhile(self, office: Office) -> None:
        caller, callee = office.talk()
        office.refer(callee, "103")
        target = office.leg(2)
        office.tell(caller, events.HungUp(caller.id, HUNG_UP))
        assert target.gone
        assert callee.gone
        office.assert_nothing_left()

    def test_a_number_that_the_asker_may_not_dial(self, office: Office) -> None:
        _, callee = office.talk()
        office.refer(callee, "0900123456")
        assert callee.last(DeclineRefer).status == 403
        office.end()

    def test_policy(self, office: Office) -> None:
        office.policies = {"extension/102": "refuse", "extension/101": "pass"}
        caller, callee = office.talk()
        office.refer(callee, "103")
        assert callee.last(DeclineRefer).status == 603
        office.refer(caller, "103")
        assert caller.last(AcceptRefer)
        assert callee.last(Refer).uri == "sip:103@pbx"
        office.refer(caller, "104")
        assert caller.last(DeclineRefer).status == 491
        office.tell(callee, events.ReferProgress(callee.id, 180))
        office.tell(callee, events.ReferProgress(callee.id, 200))
        assert office.reports(caller) == [180, 200]
        office.end()

    def test_nobody_transfers_before_there_is_a_call(self, office: Office) -> None:
        caller = office.incoming("102")
        office.refer(caller, "103")
        assert caller.last(DeclineRefer).status == 603
        office.end()


class TestAttended:
    def consult(self, office: Office) -> tuple[FakeLeg, FakeLeg, FakeLeg, FakeLeg]:
        """101 calls 102, who calls 103: the legs of 101, 102 (first), 102 (second), 103."""
        caller, first = office.talk()
        second = office.incoming("103", source="extension/102")
        third = office.leg(1)
        office.answer(third, phone_sdp(7000, "0 101"))
        office.dialogs["c", "ours", "theirs"] = second.id
        return caller, first, second, third

    def test_both_parties_are_joined(self, office: Office) -> None:
        caller, first, second, third = self.consult(office)
        office.refer(first, "103", ("c", "ours", "theirs"))
        assert office.reports(first) == [200]
        assert second.last(HangUp).cause.slug == "transferred"
        # Who has moved is offered its new ports first, then the other one what was agreed.
        assert len(third.heard) == 2
        office.accept_offer(third, 7000)
        assert office.connected() == (caller.id, third.id)
        office.accept_offer(caller, 4000)
        leave(office, first)
        assert len(office.registry) == 1
        assert third.last(Offer).sdp.media[0].port not in (0, third.last(Dial).offer.media[0].port)
        versions = [third.last(kind) for kind in (Dial, Offer)]
        assert versions[0].offer.origin.session_id == versions[1].sdp.origin.session_id
        assert int(versions[1].sdp.origin.version) > int(versions[0].offer.origin.version)
        # They can hold each other, and either may end the call.
        office.tell(third, events.Offered(third.id, phone_sdp(7000, "0 101", "sendonly", 3)))
        office.accept_offer(caller, 4000)
        assert third.last(AcceptOffer)
        office.tell(third, events.HungUp(third.id, HUNG_UP))
        office.assert_nothing_left()
        assert {summary.cause.slug for summary in office.ended} == {"transferred", "answered-caller-hung-up"}

    def test_it_may_be_asked_for_in_either_call_and_again(self, office: Office) -> None:
        caller, first, second, third = self.consult(office)
        office.dialogs["d", "ours", "theirs"] = first.id
        office.refer(second, "101", ("d", "ours", "theirs"))
        office.accept_offer(caller, 4000)
        office.accept_offer(third, 7000)
        leave(office, second)
        # 103 transfers 101, whose leg has moved, once more.
        office.refer(third, "104")
        fourth = office.leg(3)
        assert fourth.last(Dial).called.number == "104"
        office.answer(fourth, phone_sdp(8000, "0 101"))
        office.accept_offer(caller, 4000)
        leave(office, third)
        office.tell(caller, events.HungUp(caller.id, HUNG_UP))
        office.assert_nothing_left()

    def test_offers_while_it_moves_come_again(self, office: Office) -> None:
        caller, first, _, third = self.consult(office)
        office.engine_is_slow = True
        office.refer(first, "103", ("c", "ours", "theirs"))
        office.tell(caller, events.Offered(caller.id, phone_sdp(4000, direction="sendonly", version=2)))
        assert caller.last(DeclineOffer).status == 491
        office.engine_is_slow = False
        office.settle()
        assert third.last(Offer)
        office.end()

    def test_a_party_that_refuses_its_new_ports_ends_the_call(self, office: Office) -> None:
        caller, first, _, third = self.consult(office)
        office.refer(first, "103", ("c", "ours", "theirs"))
        office.tell(third, events.OfferDeclined(third.id, 488))
        assert caller.gone
        office.assert_nothing_left()

    def test_before_the_second_call_is_answered_it_goes_on_as_a_blind_one(self, office: Office) -> None:
        caller, first = office.talk()
        second = office.incoming("103", source="extension/102")
        office.dialogs["c", "ours", "theirs"] = second.id
        office.refer(first, "103", ("c", "ours", "theirs"))
        assert second.gone
        target = office.leg(2)
        assert target.last(Dial).called.number == "103"
        office.answer(target, phone_sdp(7000, "0 101"))
        assert office.connected() == (caller.id, target.id)
        office.end()

    @pytest.mark.parametrize("fault", ["unknown", "itself", "another's"])
    def test_whose_dialog_it_is_not(self, office: Office, fault: str) -> None:
        _, first, _, _ = self.consult(office)
        if fault == "unknown":
            office.dialogs.clear()
        elif fault == "itself":
            office.dialogs["c", "ours", "theirs"] = first.id
        else:
            stranger, _ = office.talk("104", source="extension/101")
            office.dialogs["c", "ours", "theirs"] = stranger.id
        office.refer(first, "103", ("c", "ours", "theirs"))
        assert first.last(DeclineRefer).status == (403 if fault == "another's" else 481)
        assert all(call.state is State.TALKING for call in office.registry._calls.values())
        office.end()


class TestLimitsOfRoutes:
    def calls(self, office: Office, number: str) -> int:
        """How many calls a route has."""
        return office.services.occupancy.of(f"route/{number}")

    def test_a_transfer_into_a_full_route_is_refused(self, office: Office) -> None:
        office.route_limits["103"] = RouteLimits(calls=1)
        office.incoming("103", source="trunk/carrier")
        caller, _ = office.talk()
        office.refer(caller, "103")
        assert caller.last(DeclineRefer) == DeclineRefer(caller.id, 503)
        assert office.registry.refused == {"route-calls": 1}
        assert len(office.registry) == 2
        office.end()

    def test_so_is_one_that_comes_too_soon(self, office: Office) -> None:
        office.route_limits["103"] = RouteLimits(per_second=0.1)
        caller, _ = office.talk()
        office.incoming("103", source="trunk/carrier")
        office.refer(caller, "103")
        assert caller.last(DeclineRefer) == DeclineRefer(caller.id, 503)
        assert office.registry.refused == {"route-rate": 1}
        office.end()

    def test_a_call_is_the_routes_as_long_as_who_was_reached_by_it_is_there(self, office: Office) -> None:
        office.route_limits["102"] = office.route_limits["103"] = RouteLimits(calls=1)
        _, callee = office.talk()
        office.refer(callee, "103")
        assert (self.calls(office, "102"), self.calls(office, "103")) == (1, 1)
        office.answer(office.leg(2))
        assert (self.calls(office, "102"), self.calls(office, "103")) == (0, 1)
        office.end()
        assert self.calls(office, "103") == 0

    def test_one_whose_callee_stays_is_of_both(self, office: Office) -> None:
        office.route_limits["102"] = office.route_limits["103"] = RouteLimits(calls=1)
        caller, _ = office.talk()
        office.refer(caller, "103")
        office.answer(office.leg(2))
        assert (self.calls(office, "102"), self.calls(office, "103")) == (1, 1)
        office.end()
        assert (self.calls(office, "102"), self.calls(office, "103")) == (0, 0)

    def test_a_transfer_that_fails_leaves_the_route(self, office: Office) -> None:
        office.route_limits["102"] = office.route_limits["103"] = RouteLimits(calls=1)
        caller, _ = office.talk()
        office.refer(caller, "103")
        target = office.leg(2)
        office.tell(target, events.Rejected(target.id, cause_named("busy"), 486))
        assert (self.calls(office, "102"), self.calls(office, "103")) == (1, 0)
        office.end()

    def test_who_is_joined_takes_the_route_along(self, office: Office) -> None:
        """An attended transfer: the call in which the asker reached 103 is over, and 103 talks on in the other one."""
        office.route_limits["102"] = office.route_limits["103"] = RouteLimits(calls=1)
        _, callee = office.talk(source="extension/104")
        asking = office.incoming("103", source="extension/102")
        office.answer(office.leg(1))
        office.dialogs["b", "ours", "theirs"] = asking.id
        office.refer(callee, "103", ("b", "ours", "theirs"))
        assert len(office.registry) == 1
        assert (self.calls(office, "102"), self.calls(office, "103")) == (0, 1)
        office.end()
        assert self.calls(office, "103") == 0

    def test_a_call_that_still_rings_makes_room_for_its_transfer(self, office: Office) -> None:
        office.route_limits["103"] = RouteLimits(calls=1, per_second=0.1)
        _, callee = office.talk(source="extension/104")
        asking = office.incoming("103", source="extension/102")
        office.dialogs["b", "ours", "theirs"] = asking.id
        office.refer(callee, "103", ("b", "ours", "theirs"))
        assert callee.last(AcceptRefer)
        assert self.calls(office, "103") == 1
        office.end()
        assert self.calls(office, "103") == 0

    def test_an_originated_call_is_one_of_its_route(self, office: Office) -> None:
        office.route_limits["103"] = RouteLimits(calls=1)
        target = Target("extension", "102", "102")
        office.registry.originate("extension/102", target, "103", Party("102"))
        assert self.calls(office, "103") == 1
        with pytest.raises(LookupError, match="as many calls"):
            office.registry.originate("extension/102", target, "103", Party("102"))
        office.end()
        assert self.calls(office, "103") == 0
