"""Calls for help go on where others are stopped, however they come about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbx.call import events
from pbx.call.commands import Dial, Party
from pbx.call.registry import Limits
from pbx.call.summary import Summary
from pbx.cause import EndCause, cause_named, cause_of_status
from pbx.dialplan.decision import Decision, Query
from pbx.dialplan.steps import CallerOverride, DialStep, Recording, Target
from pbx.media import events as media
from tests.call.test_transfer import Office
from tests.support.call_rig import FLOW, FakeLeg, phone_sdp

LONGEST = 100.0
RESCUE = (DialStep((Target("trunk", "rescue", "112"),), "112"),)


class Street(Office):
    """112 calls for help, over a trunk; 00900 costs; every budget is spent, and calls last 100 s at the most."""

    def __init__(self) -> None:
        super().__init__()
        self.phones["trunk/rescue"] = 1
        self.plans = {"112": RESCUE, "00900": (DialStep((Target("trunk", "carrier", "00900"),), "00900"),)}
        self.meters: set[str] = set()
        self.asked: list[str] = []
        self.transfers._decide = self._decide
        self.change(replace(self.settings, maximum_duration=LONGEST))

    def _decide(self, query: Query) -> Decision:
        return replace(super()._decide(query), emergency=query.number == "112")

    def change(self, settings: object) -> None:
        self.services = replace(
            self.services,
            settings=settings,
            decide=self._decide,
            permit=self._permit,
            charge=lambda leg, payer, target, number: self.meters.add(leg),
            gone=self.meters.discard,
        )
        self.registry._services = self.services

    def _permit(self, call: str, source: str, target: Target) -> EndCause | None:
        self.asked.append(str(target))
        return None

    def originate(self) -> str:
        call = self.registry.originate("extension/102", Target("extension", "102", "102"), "112", Party("102"))
        self.settle()
        return call


@pytest.fixture
def street() -> Street:
    return Street()


def shown(leg: FakeLeg) -> Party:
    dial = leg.last(Dial)
    assert isinstance(dial, Dial)
    return dial.caller


def test_it_spends_no_budget_and_may_last(street: Street) -> None:
    caller, _ = street.talk("112")
    assert (street.asked, street.meters) == ([], set())
    street.advance(10 * LONGEST)
    assert not caller.gone
    street.end()


def test_a_route_s_own_duration_does_not_end_it(street: Street) -> None:
    street.plans["112"] = (replace(RESCUE[0], max_duration=5.0),)
    caller, _ = street.talk("112")
    street.advance(10 * LONGEST)
    assert not caller.gone
    street.end()


def test_another_call_is_charged_and_ends(street: Street) -> None:
    caller, trunk = street.talk("00900")
    assert (street.asked, street.meters) == (["trunk/carrier"], {trunk.id})
    street.advance(LONGEST + 1)
    assert caller.gone
    street.assert_nothing_left()


def test_who_talks_to_what_costs_and_is_transferred_to_help_is_not_cut_off(street: Street) -> None:
    caller, trunk = street.talk("00900")
    street.refer(caller, "112")
    rescue = street.leg(2)
    street.answer(rescue, phone_sdp(7000, "0 101"))
    street.accept_offer(trunk, 6000)
    assert street.meters == set()
    street.advance(10 * LONGEST)
    assert not trunk.gone
    street.end()


def test_one_that_is_transferred_from_there_is_none_any_more(street: Street) -> None:
    caller, rescue = street.talk("112")
    street.refer(rescue, "103")
    street.answer(street.leg(2), phone_sdp(7000, "0 101"))
    street.accept_offer(caller, 4000)
    street.tell(rescue, events.HungUp(rescue.id, cause_named("transferred")))
    street.advance(LONGEST + 1)
    assert caller.gone
    street.assert_nothing_left()


def test_who_is_handed_to_help_that_somebody_has_called_for_it(street: Street) -> None:
    """An attended transfer: what was said of the call for help holds for the call that its leg moves into."""
    caller, colleague = street.talk()
    second = street.incoming("112", source="extension/102")
    rescue = street.leg(1)
    street.answer(rescue, phone_sdp(7000, "0 101"))
    street.dialogs["c", "ours", "theirs"] = second.id
    street.refer(colleague, "112", ("c", "ours", "theirs"))
    street.accept_offer(rescue, 7000)
    street.accept_offer(caller, 4000)
    street.tell(colleague, events.HungUp(colleague.id, cause_named("transferred")))
    street.advance(10 * LONGEST)
    assert not caller.gone
    assert not rescue.gone
    street.end()


def test_a_trunk_that_costs_and_is_handed_to_help(street: Street) -> None:
    caller, _ = street.talk("112")
    second = street.incoming("00900", source="extension/101")
    trunk = street.leg(1)
    street.answer(trunk, phone_sdp(7000, "0 101"))
    assert street.meters == {trunk.id}
    street.dialogs["c", "ours", "theirs"] = second.id
    street.refer(caller, "00900", ("c", "ours", "theirs"))
    assert street.meters == set()
    street.end()


def test_a_redirection_leads_to_help_and_from_it(street: Street) -> None:
    street.redirects = {
        "extension/102": (Target("number", "112", "112"),),
        "trunk/rescue": (Target("trunk", "carrier", "1"),),
    }
    caller = street.incoming("102")
    moved = events.Rejected(street.leg(1).id, cause_of_status(302, "Moved"), 302, ("sip:112@x",))
    street.tell(street.leg(1), moved)
    street.tell(street.leg(2), replace(moved, leg=street.leg(2).id))
    street.answer(street.leg(3))
    assert (street.asked, street.meters) == (["extension/102"], set())
    street.advance(10 * LONGEST)
    assert not caller.gone
    street.end()


def test_nothing_stops_one_that_is_made_for_somebody(street: Street) -> None:
    street.registry.limits = Limits(calls=0, per_second=0.001)
    street.originate()
    street.answer(street.leg(0))
    street.answer(street.leg(1))
    street.advance(10 * LONGEST)
    assert street.meters == set()
    with pytest.raises(LookupError):
        street.registry.originate("extension/102", Target("extension", "102", "102"), "103", Party("102"))
    street.end()


def test_a_server_that_stops_takes_it(street: Street) -> None:
    street.talk()
    street.registry.drain(1000.0, lambda: None)
    refusal = street.registry.refusal("extension/101")
    assert refusal is not None
    assert (refusal.slug, street.registry.refused) == ("shutting-down", {"draining": 1})
    assert street.registry.refusal("extension/101", lambda: True) is None
    assert street.registry.refused == {"draining": 1}
    street.advance(1000.0)
    street.assert_nothing_left()


class Ending:
    """A server that ends: other calls after 30 s, those for help after 100 s."""

    def __init__(self, street: Street) -> None:
        self.street = street
        self.done = 0
        self.told: list[tuple[tuple[str, ...], float]] = []
        street.change(replace(street.settings, maximum_duration=0.0))
        street.registry.drain(30.0, self.count, for_help=100.0, waits=self.hear)

    def count(self) -> None:
        self.done += 1

    def hear(self, calls: tuple[Summary, ...], seconds: float) -> None:
        self.told.append((tuple([call.called for call in calls]), round(seconds)))


def test_a_server_that_stops_waits_longer_for_it(street: Street) -> None:
    helped, rescue = street.talk("112")
    other, _ = street.talk("102")
    end = Ending(street)
    street.advance(29.0)
    assert (helped.gone, other.gone, end.told) == (False, False, [])
    street.advance(2.0)
    assert (helped.gone, other.gone, end.told) == (False, True, [(("112",), 70)])
    street.advance(60.0)
    assert [seconds for _, seconds in end.told] == [70, 40, 10], "now and then"
    assert end.done == 0
    street.tell(rescue, events.HungUp(rescue.id, cause_named("answered-callee-hung-up")))
    street.settle()
    assert (helped.gone, end.done) == (True, 1)
    street.assert_nothing_left()


def test_it_does_not_wait_for_ever(street: Street) -> None:
    helped, _ = street.talk("112")
    end = Ending(street)
    street.advance(99.0)
    assert not helped.gone
    assert street.registry.refusal("extension/101", lambda: True) is None
    street.advance(2.0)
    assert helped.gone
    assert street.ended[-1].cause.slug == "shutting-down"
    assert (end.done, end.told[-1]) == (1, (("112",), 0))
    refusal = street.registry.refusal("extension/101", lambda: True)
    assert refusal is not None, "one that began now would be cut off"
    street.assert_nothing_left()


def test_it_waits_for_one_that_began_when_others_were_ended(street: Street) -> None:
    first, rescue = street.talk("112")
    end = Ending(street)
    street.advance(40.0)
    second, _ = street.talk("112")
    street.tell(rescue, events.HungUp(rescue.id, cause_named("answered-callee-hung-up")))
    street.advance(2.0)
    assert (first.gone, second.gone, end.done) == (True, False, 0)
    assert [called for called, _ in end.told] == [("112",), ("112",)], "the other one is told of, too"
    street.advance(60.0)
    assert (second.gone, end.done) == (True, 1)
    street.assert_nothing_left()


def test_it_waits_for_one_that_begins_when_no_call_was_left(street: Street) -> None:
    end = Ending(street)
    assert end.done == 1
    helped, _ = street.talk("112")
    street.registry.when_drained(end.count)
    street.advance(99.0)
    assert (helped.gone, end.done) == (False, 1)
    street.advance(2.0)
    assert (helped.gone, end.done) == (True, 2)
    street.assert_nothing_left()


def test_one_that_is_transferred_from_help_is_not_waited_for(street: Street) -> None:
    caller, rescue = street.talk("112")
    end = Ending(street)
    street.advance(40.0)
    street.refer(rescue, "103")
    street.answer(street.leg(2), phone_sdp(7000, "0 101"))
    street.accept_offer(caller, 4000)
    street.tell(rescue, events.HungUp(rescue.id, cause_named("transferred")))
    street.advance(2.0)
    assert (caller.gone, end.done) == (True, 1)
    street.assert_nothing_left()


def test_no_less_than_others_have(street: Street) -> None:
    helped, _ = street.talk("112")
    street.registry.drain(30.0, lambda: None, for_help=5.0)
    street.advance(29.0)
    assert not helped.gone
    street.advance(2.0)
    assert helped.gone
    street.assert_nothing_left()


def test_a_recording_that_fails_does_not_end_it(street: Street) -> None:
    """Whatever policy says of calls that have to be recorded."""
    policy = Recording(failure="end")
    for number in ("112", "00900"):
        street.plans[number] = (replace(street.plans[number][0], record=policy),)
    gone = []
    for number in ("112", "00900"):
        caller, _ = street.talk(number)
        (call,) = [call for call in street.registry._calls.values() if call.caller == caller.id]
        recording = call.summary.recordings[0]
        street.registry.on_media([media.RecordingFailed(recording.recording, recording.path, "the disk is full")])
        street.settle()
        gone.append(caller.gone)
    assert gone == [False, True]
    street.end()


@pytest.mark.parametrize(
    ("called", "override", "anonymous"),
    [
        ("112", None, False),
        ("112", CallerOverride(number="+4930110"), False),
        ("112", CallerOverride(number="+4930110", anonymous=True), True),
        ("00900", None, True),
    ],
)
def test_a_number_that_is_withheld_is_shown_unless_the_route_says_otherwise(
    street: Street, called: str, override: CallerOverride | None, anonymous: bool
) -> None:
    street.plans[called] = (replace(street.plans[called][0], caller=override),)
    leg = FakeLeg("c0-0", street.registry.deliver, inbound=True)
    street.legs[leg.id] = leg
    caller = Party("+4930555", "Eve", anonymous=True)
    street.registry.begin(events.Incoming(leg.id, "trunk/customer", caller, called, phone_sdp(), 70), leg, "c0", FLOW)
    street.settle()
    number = override.number if override is not None else "+4930555"
    assert (shown(street.leg(1)).number, shown(street.leg(1)).anonymous) == (number, anonymous)
    street.end()


def test_who_has_no_number_stays_unknown(street: Street) -> None:
    leg = FakeLeg("c0-0", street.registry.deliver, inbound=True)
    street.legs[leg.id] = leg
    incoming = events.Incoming(leg.id, "trunk/customer", Party("", anonymous=True), "112", phone_sdp(), 70)
    street.registry.begin(incoming, leg, "c0", FLOW)
    street.settle()
    assert shown(street.leg(1)).anonymous
    street.end()
