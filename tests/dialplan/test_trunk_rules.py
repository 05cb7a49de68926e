"""What a plan says of limits, codecs, emergencies, failover; how tests and `explain` see a trunk's numbers."""

from __future__ import annotations

import pytest

from pbx.dialplan.explain import decision_lines
from pbx.dialplan.selftest import heard, run_tests
from pbx.dialplan.steps import DialStep, EnterStep, RouteLimits
from pbx.failover import parse_next_on
from pbx.numbers import NumberRules, TrunkNumbers
from tests.support.plans import NOON, Query, decide, faults, plan

PLAN = """
    numbering: {country: "49"}
    routes:
      - name: limited
        max_calls: 10
        max_calls_per_second: 0.5
        when: {from: extension, number: "3."}
        do: [{dial: [trunk/a, trunk/b], next_on: [5xx, timeout], wait_for_line: 3s, codecs: [g722, PCMA]}]
      - {name: wide, when: {from: extension, number: "5X", codec: [opus, G722]}, do: [{dial: trunk/a}]}
      - {name: help, when: {from: extension, number: "1XX"}, do: [{dial: trunk/a}]}
      - name: prefixed
        when: {from: extension, number: "0XXX"}
        do: [{set: {number: {strip: 1}}}, {dial: {trunk/a: 70, trunk/b: 30}}]
      - {name: in, when: {from: trunk/a, number: "+4930X.", caller: "+44."}, do: [{dial: extension/1}]}
"""
RULES = TrunkNumbers({"a": NumberRules("49", "30", "national", "national"), "b": NumberRules("49", outbound="digits")})


def test_what_a_route_takes() -> None:
    assert decide(PLAN, "30").limits == RouteLimits(10, 0.5)
    assert decide(PLAN, "112").limits is None


def test_how_a_dial_goes_on() -> None:
    (step,) = decide(PLAN, "30").steps
    assert (step.next_on, step.wait_for_line) == (parse_next_on(["5xx", "timeout"]), 3.0)
    assert step.codecs == ("G722", "PCMA")
    ((_, line),) = decision_lines(decide(PLAN, "30"))
    assert "by G722 or PCMA, the next one only on 5xx, callee-timeout, waiting up to 3s for a free line" in line


@pytest.mark.parametrize(
    ("number", "helps"), [("112", True), ("110", True), ("113", False), ("0110", True), ("30", False)]
)
def test_an_emergency_call_is_known_by_what_is_dialled_or_sent(number: str, helps: bool) -> None:
    assert decide(PLAN, number).emergency is helps


def test_a_plan_may_name_its_emergency_numbers() -> None:
    text = PLAN.replace('country: "49"', 'country: "49", emergency: ["113"]')
    assert [decide(text, number).emergency for number in ("112", "113")] == [False, True]
    assert not decide(PLAN.replace('country: "49"', 'country: "49", emergency: []'), "112").emergency


@pytest.mark.parametrize(
    ("codecs", "route"), [(("PCMA", "OPUS"), "wide"), (("g722",), "wide"), (("PCMA",), None), ((), None)]
)
def test_a_route_for_codecs(codecs: tuple[str, ...], route: str | None) -> None:
    made = plan(PLAN)
    assert made.asks_codecs
    decision = made.decide(Query("extension/1", "55", NOON, codecs=codecs))
    assert decision.route == route
    why = next(one.why for one in decision.considered if one.route == "wide")
    assert ("among them" if route else "not opus or G722") in why
    assert not plan(PLAN.replace(", codec: [opus, G722]", "")).asks_codecs


def test_explain_shows_shares_and_numbers_as_they_are_sent() -> None:
    ((_, line),) = decision_lines(decide(PLAN.replace("strip: 1", 'strip: 1, prefix: "+4930"'), "0123"), RULES)
    assert line.startswith("dial trunk/a as 030123 (70 %) or trunk/b as 4930123 (30 %) for 1m each")


def test_a_test_says_what_a_trunk_sends_and_what_it_gets() -> None:
    text = (
        PLAN
        + """
    tests:
      - call: {from: trunk/a, number: "03012", caller: "0044207123456"}
        expect: {route: in, number: "+493012"}
      - {call: {from: extension/1, number: "55", codec: opus}, expect: {route: wide}}
      - call: {from: extension/1, number: "30123"}
        expect: {sent: ["30123", "30123"]}
      - {call: {from: extension/1, number: "112"}, expect: {sent: "0112"}}
"""
    )
    made = plan(text)
    assert [str(fault).split("test failed: ")[1] for fault in run_tests(made, RULES)] == [
        "the call from extension/1 to 112 has sent 112, not 0112"
    ]
    assert len(run_tests(made)) == 3  # without the trunk's rules nothing is made of what it sends


def test_a_call_of_an_extension_is_left_as_it_is() -> None:
    query = Query("extension/a", "030123", NOON)
    assert heard(query, RULES) is query


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ("max_calls: x", "`max_calls` must be a whole number from 0 to 1000000; it is `x`"),
        (
            "max_calls_per_second: 0",
            "`max_calls_per_second`: `0` is no number of calls a second; write it like 5 or 0.5",
        ),
        ("when: {codec: []}", ""),
    ],
)
def test_faults_of_a_route(route: str, fault: str) -> None:
    found = faults(f"routes:\n  - {{name: a, {route}, do: [echo]}}")
    assert [one.split(": ", 1)[1] for one in found] == ([fault] if fault else [])


@pytest.mark.parametrize(
    ("dial", "fault"),
    [
        ("dial: {trunk/a: x}", "the weight of `trunk/a` must be a whole number from 0 to 10000; it is `x`"),
        ("dial: {truk: 1}", "`dial`: `truk` is no target; did you mean `trunk`?"),
        ("dial: {}", "`dial` has no target; name an extension or a trunk"),
        ("dial: trunk/a, strategy: weighted", "`strategy: weighted` needs a weight for each target"),
        ("dial: trunk/a, next_on: 5x", "`next_on`: `5x` is no failure"),
        ("dial: trunk/a, wait_for_line: 5", "`wait_for_line`: `5` is not a duration"),
        ("dial: trunk/a, codecs: [PCMX]", "`codecs`: there is no codec `PCMX`; did you mean"),
        ("dial: {least_cost: x.csv}", "`least_cost`: x.csv: there is no file; correct the path"),
    ],
)
def test_faults_of_a_dial(dial: str, fault: str) -> None:
    (found,) = faults(f"routes:\n  - {{name: a, when: {{from: extension}}, do: [{{{dial}}}]}}")
    assert found.split(": ", 1)[1].startswith(fault)


def test_a_goto_asks_for_the_limits_of_the_route_it_leads_to() -> None:
    text = PLAN.replace(
        "      - {name: in,", "      - {name: on, when: {number: '7X'}, do: [{goto: limited}]}\n      - {name: in,"
    )
    decision = decide(text, "71")
    assert decision.limits is None
    enter, dial = decision.steps
    assert enter == EnterStep("limited", RouteLimits(10, 0.5))
    assert isinstance(dial, DialStep)
    lines = [line for _, line in decision_lines(decision)]
    assert lines[0] == "go on with the route limited, which takes 10 calls at once and 0.5 a second"
    call = "{from: extension/1, number: '71'}"
    tests = f"    tests:\n      - {{call: {call}, expect: {{steps: dial, dial: [trunk/a, trunk/b]}}}}\n"
    assert run_tests(plan(text + tests)) == ()
    assert len(decide(text.replace("goto: limited", "goto: wide"), "71").steps) == 1
