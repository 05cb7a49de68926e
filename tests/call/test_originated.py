"""Calls that an operator or a program wants: who rings first, who becomes the caller, and what ends it."""

from __future__ import annotations

import pytest

from pbx.call import events
from pbx.call.commands import Dial, HangUp, Party
from pbx.cause import cause_named, cause_of_status
from pbx.dialplan.steps import DialStep, Target
from pbx.media import commands as engine
from pbx.media import events as media
from tests.support.call_rig import FakeLeg, Rig, phone_sdp, targets

ALICE = Target("extension", "101", "101")


def originated(phones: int) -> Rig:
    rig = Rig(plan=(DialStep(targets("extension/102"), "102"),), phones={"extension/101": phones, "extension/102": 1})
    rig.registry.originate("extension/101", ALICE, "102", Party("101", "Alice"))
    rig.settle()
    return rig


def refuse(rig: Rig, leg: FakeLeg, status: int) -> None:
    rig.tell(leg, events.Rejected(leg.id, cause_of_status(status), status, (), 0))


def test_the_caller_is_dialled_first() -> None:
    rig = originated(1)
    caller = rig.leg(0)
    assert caller.last(Dial).offer is not None
    rig.answer(caller, phone_sdp(4000, "0 101"))
    callee = rig.leg(1)
    assert callee.last(Dial).offer.media[0].formats[0] == "0"
    rig.answer(callee)
    assert len(rig.asked(engine.Connect)) == 1
    rig.tell(callee, events.HungUp(callee.id, cause_named("answered-callee-hung-up")))
    rig.assert_nothing_left()


def test_all_phones_ring_and_the_first_to_answer_is_the_caller() -> None:
    rig = originated(3)
    assert [leg.last(Dial).called.number for leg in rig.legs.values()] == ["101"] * 3
    refuse(rig, rig.leg(0), 486)
    rig.answer(rig.leg(2), phone_sdp(4000, "0 101"))
    assert rig.leg(1).last(HangUp).cause.slug == "answered-elsewhere"
    callee = rig.leg(3)
    rig.answer(callee)
    rig.tell(rig.leg(2), events.HungUp(rig.leg(2).id, cause_named("answered-caller-hung-up")))
    rig.assert_nothing_left()
    summary = rig.ended[0]
    assert summary.caller_leg == rig.leg(2).id
    assert [one.outcome for one in summary.attempts] == ["busy", "answered"]
    assert summary.destination == "extension/102"
    assert summary.cause.slug == "answered-caller-hung-up"


@pytest.mark.parametrize(
    ("statuses", "cause"), [([486, 480], "busy"), ([480, 486], "busy"), ([480, 404], "number-unknown")]
)
def test_nobody_answers(statuses: list[int], cause: str) -> None:
    rig = originated(2)
    for leg, status in zip(list(rig.legs.values()), statuses, strict=True):
        refuse(rig, leg, status)
    rig.assert_nothing_left()
    assert rig.ended[0].cause.slug == cause
    assert len(rig.legs) == 2


def test_who_declines_on_one_phone_declines_on_all() -> None:
    rig = originated(2)
    refuse(rig, rig.leg(0), 603)
    assert rig.leg(1).last(HangUp).cause.slug == "declined"
    rig.assert_nothing_left()
    assert rig.ended[0].cause.slug == "declined"


def test_an_answer_that_cannot_be_met_leaves_the_others_ringing() -> None:
    rig = originated(2)
    rig.answer(rig.leg(0), phone_sdp(0, "0"))
    assert rig.leg(0).last(HangUp).cause.slug == "media-unacceptable"
    rig.answer(rig.leg(1), phone_sdp(4000, "0"))
    assert len(rig.legs) == 3
    rig.answer(rig.leg(2))
    rig.tell(rig.leg(2), events.HungUp(rig.leg(2).id, cause_named("answered-callee-hung-up")))
    rig.assert_nothing_left()


def test_a_phone_without_ports_does_not_keep_the_others_from_ringing() -> None:
    rig = Rig(
        plan=(DialStep(targets("extension/102"), "102"),),
        phones={"extension/101": 2, "extension/102": 1},
        engine_is_slow=True,
    )
    rig.registry.originate("extension/101", ALICE, "102", Party("101", "Alice"))
    first, second = [command.stream for command in rig.asked(engine.Open)]
    rig.registry.on_media([media.Closed(first, media.StreamStatistics(), "no port is free")])
    rig.registry.on_media([media.Opened(second, "127.0.0.1", 20002, 20003)])
    assert [leg.kinds() for leg in rig.legs.values()] == [[], ["Dial"]]
    rig.registry.on_media([media.Closed(second, media.StreamStatistics(), "the engine has failed")])
    assert rig.leg(1).last(HangUp).cause.slug == "media-failed"
    # What the engine has closed by itself.
    rig.owed.clear()
    rig.open_streams.clear()
    rig.assert_nothing_left()
    assert [one.outcome for one in rig.ended[0].attempts] == ["no-ports", "media-failed"]


def test_an_operator_gives_up_while_it_rings() -> None:
    rig = Rig(plan=(DialStep(targets("extension/102"), "102"),), phones={"extension/101": 2})
    call = rig.registry.originate("extension/101", ALICE, "102", Party("101", "Alice"))
    rig.settle()
    assert rig.registry.hang_up(call)
    rig.settle()
    rig.assert_nothing_left()
    assert rig.ended[0].answered == 0


def test_what_no_route_takes_rings_nobody() -> None:
    rig = Rig(phones={"extension/101": 1})
    rig.refusal = "no-route"
    with pytest.raises(LookupError, match="999: "):
        rig.registry.originate("extension/101", ALICE, "999", Party("101"))
    with pytest.raises(LookupError, match="no phone registered"):
        Rig(plan=()).registry.originate("extension/101", ALICE, "102", Party("101"))
    rig.assert_nothing_left()
