"""The audio verdict in the life of a call: when it is asked for, where it is written, and when nobody asks."""

from __future__ import annotations

from dataclasses import replace

from pbx.call import events
from pbx.call.ports import CallSettings
from pbx.cause import cause_named
from pbx.dialplan.steps import DialStep
from pbx.media import commands as engine
from pbx.media import events as media
from tests.support.call_rig import FakeLeg, Rig, targets

GONE = cause_named("answered-caller-hung-up")


def talking(**settings: float) -> tuple[Rig, FakeLeg]:
    rig = Rig(
        plan=(DialStep(targets("extension/102"), "102"),),
        phones={"extension/102": 1},
        settings=CallSettings(**settings),
    )
    caller = rig.incoming()
    rig.advance(1)
    rig.answer(rig.leg(1))
    return rig, caller


def flow(rig: Rig, caller: tuple[int, int], callee: tuple[int, int]) -> None:
    """Let so many packets come from each leg, and go to it."""
    streams = [one.stream for one in rig.asked(engine.Open)]
    for stream, (received, sent) in zip(streams, (caller, callee), strict=True):
        counts = rig.counts.get(stream, media.StreamStatistics(payload_type=0))
        rig.counts[stream] = replace(
            counts, received_packets=counts.received_packets + received, sent_packets=counts.sent_packets + sent
        )


def told(rig: Rig) -> list[tuple[bool, str]]:
    found = [(one.arriving, one.finding) for one in rig.judged]
    rig.judged.clear()
    return found


def over(rig: Rig, caller: FakeLeg) -> None:
    rig.tell(caller, events.HungUp(caller.id, GONE))
    rig.assert_nothing_left()


def test_five_seconds_after_the_answer_both_legs_are_judged() -> None:
    rig, caller = talking()
    flow(rig, (250, 250), (250, 250))
    rig.advance(4.9)
    assert told(rig) == []
    assert not rig.asked(engine.Query)
    rig.advance(0.2)
    assert told(rig) == [(True, "flowing"), (False, "flowing")] * 2
    over(rig, caller)
    legs = list(rig.ended[0].legs.values())
    assert [leg.receiving.text for leg in legs] == [
        "Audio flows from extension/101.",
        "Audio flows from extension/102.",
    ]


def test_a_change_is_told_when_it_shows_and_what_stays_is_not_told_again() -> None:
    rig, caller = talking()
    flow(rig, (250, 250), (250, 250))
    rig.advance(5)
    told(rig)
    flow(rig, (250, 0), (0, 250))
    rig.advance(5)
    assert told(rig) == [(False, "nothing-to-send"), (True, "stopped")]
    flow(rig, (250, 0), (0, 250))
    rig.advance(5)
    assert told(rig) == []
    callee = rig.registry.get("c0").legs["c0-1"]
    assert callee.receiving.finding == "stopped"
    assert callee.counts.received_packets == 250
    over(rig, caller)
    assert rig.ended[0].legs["c0-1"].receiving.finding == "stopped"
    assert rig.ended[0].legs["c0-1"].sending.finding == "flowing"


def test_a_call_of_two_seconds_is_judged_at_its_end() -> None:
    rig, caller = talking()
    rig.advance(2)
    over(rig, caller)
    # The engine of this test counts seven packets received on each stream at its close, and none sent.
    assert told(rig) == [(True, "flowing"), (False, "not-carried")] * 2


def test_a_call_of_no_time_is_not_judged() -> None:
    rig, caller = talking()
    rig.advance(0.5)
    over(rig, caller)
    assert told(rig) == []
    assert all(leg.receiving is None for leg in rig.ended[0].legs.values())


def test_nobody_asks_when_that_is_off() -> None:
    rig, caller = talking(verdict_after=0.0)
    rig.advance(30)
    over(rig, caller)
    assert not rig.asked(engine.Query)
    assert told(rig) == []


def test_how_often_is_a_setting() -> None:
    rig, caller = talking(verdict_after=0.5)
    for _ in range(3):
        flow(rig, (25, 25), (25, 25))
        rig.advance(0.5)
    assert len(rig.asked(engine.Query)) == 6
    over(rig, caller)


def test_a_leg_that_was_never_answered_has_no_verdict() -> None:
    rig = Rig(
        plan=(DialStep(targets("extension/102", "extension/103"), "102", strategy="all"),),
        phones={"extension/102": 1, "extension/103": 1},
    )
    caller = rig.incoming()
    rig.answer(rig.leg(1))
    rig.advance(5)
    judged = {leg.leg for leg in rig.ended or rig.registry.get("c0").legs.values() if leg.receiving}
    assert judged == {"c0-0", "c0-1"}
    over(rig, caller)
