"""What is written down of calls that are refused before they begin."""

from __future__ import annotations

from pbx.call.commands import Party
from pbx.cause import cause_named
from tests.support.call_rig import Rig

CALLER = Party("0301", "", False)


def flood(rig: Rig, calls: int, source: str = "trunk/a", cause: str = "overloaded") -> None:
    for _ in range(calls):
        rig.registry.refuse(source, CALLER, "101", cause_named(cause))


def test_each_has_a_record_as_long_as_they_are_fifty_a_second() -> None:
    rig = Rig()
    for _ in range(10):
        flood(rig, 50)
        rig.advance(1)
    assert [(one.source, one.caller, one.called) for one in rig.ended] == [("trunk/a", CALLER, "101")] * 500
    rig.assert_nothing_left()


def test_those_of_a_flood_have_one_together_each_second_for_each_source_and_cause() -> None:
    rig = Rig()
    flood(rig, 50)
    flood(rig, 1234)
    flood(rig, 7, "trunk/b")
    flood(rig, 3, "trunk/b", "too-many-calls")
    assert len(rig.ended) == 50
    rig.advance(1)
    assert [(one.source, one.cause.slug, one.cause.detail) for one in rig.ended[50:] if one.cause] == [
        ("trunk/a", "overloaded", "1,234 calls of trunk/a within a second have this record together"),
        ("trunk/b", "overloaded", "7 calls of trunk/b within a second have this record together"),
        ("trunk/b", "too-many-calls", "3 calls of trunk/b within a second have this record together"),
    ]
    flood(rig, 52)
    rig.registry.write_refusals()
    assert rig.ended[-1].cause is not None
    assert rig.ended[-1].cause.detail.startswith("2 calls"), "a server that ends does not wait"
    rig.advance(2)
    assert len(rig.ended) == 53 + 50 + 1
    rig.assert_nothing_left()
