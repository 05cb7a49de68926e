from __future__ import annotations

from pbx.dialplan.builtin import builtin_plan
from pbx.dialplan.decision import Query
from pbx.dialplan.steps import DialStep, Target
from tests.support.plans import NOON


def test_extensions_reach_each_other_and_nothing_else() -> None:
    plan = builtin_plan(["101", "a.b"])
    (step,) = plan.decide(Query("extension/101", "a.b", NOON)).steps
    assert isinstance(step, DialStep)
    assert step.targets == (Target("extension", "a.b", "a.b"),)
    for source, number in (("extension/101", "axb"), ("extension/101", "0301"), ("trunk/a", "101"), ("nobody", "101")):
        assert plan.decide(Query(source, number, NOON)).refusal == "no-route"


def test_without_extensions_there_is_no_route() -> None:
    assert builtin_plan([]).decide(Query("extension/1", "1", NOON)).route is None
