"""A call that the API makes, through a running server: real datagrams to every phone of whom it is made for."""

from __future__ import annotations

import pytest

from pbx.call.commands import Party
from pbx.dialplan.steps import Target
from tests.support.loopback import World
from tests.support.pbx import Connect, Serve, sdp

CONFIGURATION = """
extensions:
  "101": {password: wonderland}
  "102": {password: looking-glass}
"""
PLAN = """
routes:
  - {name: phones, when: {number: "1XX"}, do: [{dial: "extension/{number}"}]}
"""


def test_every_phone_rings_and_the_first_to_answer_calls(serve: Serve, phone: Connect, world: World) -> None:
    pbx = serve(CONFIGURATION, PLAN)
    desk, mobile, bob = [phone(pbx, "101", "wonderland") for _ in range(2)] + [phone(pbx, "102", "looking-glass")]
    for one in (desk, mobile, bob):
        one.register()
    registry, alice = pbx.server.registry, Target("extension", "101", "101")
    with pytest.raises(LookupError, match="999"):
        registry.originate("extension/101", alice, "999", Party("101"))
    call = registry.originate("extension/101", alice, "102", Party("101", "Alice"))
    rung, picked = desk.request("INVITE"), mobile.request("INVITE")
    desk.answer(rung, 180)
    mobile.pick_up(picked, sdp())
    cancelled = desk.request("CANCEL")
    desk.answer(cancelled, 200)
    desk.answer(rung, 487)
    asked = bob.request("INVITE")
    assert "101" in asked.headers.get("From")
    bob.pick_up(asked, sdp())
    world.until(lambda: registry.get(call).destination == "extension/102")
    assert registry.hang_up(call)
    mobile.answer(mobile.request("BYE"), 200)
    bob.answer(bob.request("BYE"), 200)
    world.until(lambda: len(registry) == 0)
