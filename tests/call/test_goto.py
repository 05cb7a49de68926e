"""A route into which a call goes on by ``goto`` takes only so many, as it does of those that come into it otherwise."""

from __future__ import annotations

from dataclasses import replace

from pbx.call import events
from pbx.call.commands import Answer, Dial, Reject
from pbx.cause import cause_named
from pbx.dialplan.decision import Decision, Query
from pbx.dialplan.steps import DialStep, EnterStep, RouteLimits
from tests.call.test_transfer import Office
from tests.support.call_rig import FakeLeg, Rig, phone_sdp, targets

ONE = EnterStep("few", RouteLimits(calls=1))


def rig_of(enter: EnterStep = ONE) -> Rig:
    """Calls ring at 102, and if nobody answers there at 103, by a route that takes only so many."""
    first = DialStep(targets("extension/102"), "102")
    second = DialStep(targets("extension/103", number="103"), "103")
    return Rig(plan=(first, enter, second), phones={"extension/102": 1, "extension/103": 1})


def busy(rig: Rig, leg: FakeLeg) -> None:
    rig.tell(leg, events.Rejected(leg.id, cause_named("busy"), 486))


def of_few(rig: Rig) -> int:
    return rig.services.occupancy.of("route/few")


def end(rig: Rig) -> None:
    rig.registry.end_all()
    rig.assert_nothing_left()
    assert of_few(rig) == 0


def test_it_counts_from_the_goto_on_until_the_end() -> None:
    rig = rig_of()
    caller = rig.incoming()
    assert of_few(rig) == 0
    busy(rig, rig.leg(1))
    assert of_few(rig) == 1
    rig.answer(rig.leg(2))
    assert caller.last(Answer)
    assert of_few(rig) == 1
    end(rig)


def test_what_is_above_is_refused_and_told_when_to_try_again() -> None:
    rig = rig_of()
    first = rig.incoming()
    busy(rig, rig.leg(1))
    second = rig.incoming()
    busy(rig, rig.leg(1))
    refused = second.last(Reject)
    assert isinstance(refused, Reject)
    assert (refused.cause.slug, refused.cause.sip_status) == ("too-many-calls", 503)
    assert [name for name, _ in refused.headers] == ["Retry-After"]
    assert rig.registry.refused == {"route-calls": 1}
    assert not first.gone
    assert rig.ended[0].steps == ["dial", "goto"]
    end(rig)


def test_so_is_what_comes_too_soon() -> None:
    rig = rig_of(EnterStep("few", RouteLimits(per_second=0.1)))
    rig.incoming()
    busy(rig, rig.leg(1))
    second = rig.incoming()
    busy(rig, rig.leg(1))
    assert second.gone
    assert rig.registry.refused == {"route-rate": 1}
    rig.advance(11)
    third = rig.incoming()
    busy(rig, rig.leg(1))
    assert not third.gone
    end(rig)


def test_a_call_that_is_there_needs_no_place_beside_itself() -> None:
    rig = rig_of()
    rig.plan = (ONE, rig.plan[0], ONE, rig.plan[2])
    rig.incoming()
    busy(rig, rig.leg(1))
    assert rig.leg(2).last(Dial)
    assert of_few(rig) == 1
    end(rig)


def test_a_call_for_help_is_not_asked() -> None:
    rig = rig_of(EnterStep("few", RouteLimits(calls=0)))
    decide = rig._decide

    def for_help(query: Query) -> Decision:
        return replace(decide(query), emergency=True)

    rig.services = replace(rig.services, decide=for_help)
    rig.registry._services = rig.services
    rig.incoming()
    busy(rig, rig.leg(1))
    assert rig.leg(2).last(Dial)
    end(rig)


def test_a_transfer_that_comes_to_a_full_route_has_failed() -> None:
    office = Office()
    office.plans = {"103": (ONE, DialStep(targets("extension/103", number="103"), "103"))}
    office.incoming("103", source="trunk/carrier")
    caller, callee = office.talk()
    office.refer(caller, "103")
    assert office.reports(caller)[-1] == 503
    assert not callee.gone
    assert office.registry.refused == {"route-calls": 1}
    office.end()


def test_who_answers_there_keeps_the_place() -> None:
    """As with routes that a call begins in: it is one of theirs as long as whoever was reached through them stays."""
    office = Office()
    office.plans = {"103": (ONE, DialStep(targets("extension/103", number="103"), "103"))}
    _, callee = office.talk("103")
    assert office.services.occupancy.of("route/few") == 1
    office.refer(callee, "104")
    office.answer(office.leg(2), phone_sdp(7000, "0 101"))
    assert office.services.occupancy.of("route/few") == 0
    office.end()
