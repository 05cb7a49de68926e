"""The codecs that a route asks for: the callee has these alone, and the call is transcoded if the caller has none."""

from __future__ import annotations

import pytest

from pbx.call.commands import Answer, Dial
from pbx.dialplan.steps import DialStep
from pbx.media import commands as engine
from pbx.sdp.model import SessionDescription
from tests.support.call_rig import Rig, phone_sdp, targets


def voices(description: SessionDescription | None) -> list[str]:
    assert description is not None
    return [number for number in description.media[0].formats if number != "101"]


@pytest.mark.parametrize(
    ("asked", "offered", "to_callee", "picked", "to_caller"),
    [
        ((), "8 0 101", ["8", "0"], "0", ["0"]),  # what the caller offers, as it offers it
        (("PCMU",), "8 0 101", ["0"], "0", ["0"]),  # both can: relayed
        (("G722",), "8 0 101", ["9"], "9", ["8"]),  # the callee alone: transcoded, by what the caller likes best
        (("G722", "PCMU"), "8 101", ["9", "0"], "0", ["8"]),
    ],
)
def test_the_callee_has_what_the_route_asks_for(
    asked: tuple[str, ...], offered: str, to_callee: list[str], picked: str, to_caller: list[str]
) -> None:
    step = DialStep(targets("extension/102"), "102", codecs=asked)
    rig = Rig(plan=(step,), phones={"extension/102": 1}, transcode=True)
    caller = rig.incoming(offer=phone_sdp(codecs=offered))
    callee = rig.leg(1)
    assert voices(callee.last(Dial).offer) == to_callee
    rig.answer(callee, phone_sdp(codecs=f"{picked} 101"))
    assert voices(caller.last(Answer).sdp) == to_caller
    assert len(rig.asked(engine.Connect)) == 1
    rig.registry.end_all()
    rig.assert_nothing_left()
