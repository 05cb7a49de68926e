from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pbx.dialplan.selftest import run_tests
from tests.support.plans import faults, plan

CASES = yaml.safe_load(Path(__file__).with_name("selftests.yaml").read_text("utf-8"))

PLAN = """
    zone: Europe/Berlin
    routes:
      - name: day
        when: {from: extension, number: "1XX", at: "08:00-18:00"}
        do: [{dial: [extension/1, extension/2], record: true}, {reject: busy}]
      - name: out
        when: {from: extension, number: "0."}
        do: [{set: {number: {prefix: "9"}, caller: "77"}}, {dial: trunk/a}]
      - {name: sounds, when: {number: "7"}, do: [{play: [a, b]}, {voicemail: "{number}"}, {queue: q}, hangup]}
      - {name: no, when: {number: "8"}, do: [{reject: forbidden}]}
    tests:
"""


def failures(test: str) -> list[str]:
    return [str(fault).removeprefix("plan.yaml:") for fault in run_tests(plan(f"{PLAN}      - {test}"))]


@pytest.mark.parametrize("case", CASES["passes"], ids=str)
def test_passes(case: str) -> None:
    assert failures(case) == []


@pytest.mark.parametrize("case", CASES["fails"], ids=lambda case: case["test"])
def test_fails_where_it_says_so(case: dict[str, Any]) -> None:
    assert failures(case["test"]) == case["failures"]


@pytest.mark.parametrize("case", CASES["faults"], ids=lambda case: case["test"])
def test_faults_of_tests(case: dict[str, str]) -> None:
    assert faults(f"{PLAN}      - {case['test']}") == [case["fault"]]
