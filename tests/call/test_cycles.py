"""A call that is over is freed at once. The garbage collector, which has to walk over every call in progress, finds
nothing to do."""

from __future__ import annotations

import gc

from pbx.call import events
from pbx.call.commands import HangUp
from pbx.cause import cause_named
from pbx.dialplan.steps import DialStep
from tests.support.call_rig import Rig, targets


def test_a_call_that_is_over_leaves_no_cycle() -> None:
    rig = Rig(plan=(DialStep(targets("extension/102"), "102"),), phones={"extension/102": 1})
    caller = rig.incoming()
    callee = rig.leg(1)
    rig.tell(callee, events.Ringing(callee.id))
    rig.answer(callee)
    gc.collect()
    gc.disable()
    try:
        rig.tell(caller, events.HungUp(caller.id, cause_named("answered-caller-hung-up")))
        assert callee.last(HangUp)
        rig.assert_nothing_left()
        rig.legs.clear()
        del caller, callee
        assert gc.collect() == 0
    finally:
        gc.enable()
