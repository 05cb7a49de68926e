"""``when: {verification: …}``: routes by what the signature of a call says."""

from __future__ import annotations

import pytest

from pbx.dialplan.selftest import run_tests
from tests.support.plans import NOON, Query, faults, plan

PLAN = """
    routes:
      - {name: forged, when: {from: trunk/a, verification: failed}, do: [{reject: declined}]}
      - {name: known, when: {from: trunk/a, verification: [passed, none]}, do: [{dial: extension/1}]}
"""


@pytest.mark.parametrize(
    ("verification", "route", "why"),
    [
        ("failed", "forged", "from trunk/a, verification is failed"),
        ("none", "known", "verification is none, not failed"),
        ("passed", "known", "verification is passed, not failed"),
    ],
)
def test_a_route_by_verification(verification: str, route: str, why: str) -> None:
    decision = plan(PLAN).decide(Query("trunk/a", "1", NOON, verification=verification))
    assert decision.route == route
    assert decision.considered[0].why == why


def test_a_call_of_a_test_says_how_it_is_verified() -> None:
    tests = """
    tests:
      - {call: {from: trunk/a, number: "1", verification: failed}, expect: {reject: declined}}
      - {call: {from: trunk/a, number: "1"}, expect: {route: known}}
      - {call: {from: trunk/a, number: "1", verification: passed}, expect: {route: forged}}
    """
    (fault,) = run_tests(plan(PLAN + tests))
    assert "has route known, not forged" in fault.text


def test_faults() -> None:
    (route,) = faults("routes:\n  - {name: a, when: {verification: pased}, do: [echo]}")
    assert route.endswith("`pased` is no verification; write passed, failed or none; did you mean `passed`?")
    (call,) = faults(
        f"{PLAN}\n    tests:\n      - {{call: {{from: trunk/a, number: '1', verification: x}}, expect: {{}}}}"
    )[:1]
    assert "`x` is no verification" in call
