from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pbx.config.tree import parse_tree
from pbx.dialplan.loader import load_dialplan
from tests.support.plans import faults, load

CASES = yaml.safe_load(Path(__file__).with_name("faults.yaml").read_text("utf-8"))


def in_step(step: str) -> str:
    return f"routes:\n- name: a\n  when: {{from: trunk, number: '1'}}\n  do:\n  - {step}\n"


def in_when(when: str) -> str:
    return f"routes:\n- name: a\n  when: {{{when}}}\n  do: [echo]\n"


@pytest.mark.parametrize("case", CASES["plan"], ids=lambda case: case["text"])
def test_faults_of_a_plan(case: dict[str, str]) -> None:
    assert faults(case["text"]) == [case["fault"]]


@pytest.mark.parametrize("case", CASES["when"], ids=lambda case: case["text"])
def test_faults_of_when(case: dict[str, str]) -> None:
    assert faults(in_when(case["text"])) == [case["fault"]]


@pytest.mark.parametrize("case", CASES["step"], ids=lambda case: case["text"])
def test_faults_of_steps(case: dict[str, str]) -> None:
    assert faults(in_step(case["text"])) == [case["fault"]]


def test_steps_that_nothing_reaches() -> None:
    text = "routes: [{name: a, do: [{reject: busy}, echo]}]"
    assert faults(text) == ["1:41: this step is never performed: the one before it is `reject`; remove it"]


def test_goto_needs_the_groups_that_the_other_route_uses() -> None:
    text = r"""
        routes:
          - {name: a, when: {number: "1"}, do: [{goto: b}]}
          - {name: b, when: {number: "/2(.)/"}, do: [{play: "x{1}"}]}
    """
    assert faults(text) == ["3:48: `goto`: the route `b` uses {1} of its pattern; this route's has no such group"]


def test_goto_in_a_wide_circle() -> None:
    text = """
        routes:
          - {name: a, do: [{goto: b}]}
          - {name: b, do: [{dial: extension/1, on: {busy: [{goto: c}]}}]}
          - {name: c, do: [{goto: b}]}
    """
    assert faults(text) == ["5:27: `goto` leads in a circle: b → c → b"]


def test_goto_cannot_be_used_to_blow_a_plan_up() -> None:
    lines = ["routes:", "- {name: r0, do: [echo]}"]
    for place in range(1, 12):
        handlers = f"on: {{busy: [{{goto: r{place - 1}}}], any: [{{goto: r{place - 1}}}]}}"
        lines.append(f"- {{name: r{place}, do: [{{dial: extension/1, {handlers}}}]}}")
    found = faults("\n".join(lines))
    assert found
    assert all("256 are the most" in fault for fault in found)


def test_a_group_must_be_in_every_pattern_of_its_route() -> None:
    text = r"""
        routes: [{name: a, when: {number: ["/1(.)/", "2"]}, do: [{play: "x{1}"}]}]
    """
    assert len(faults(text)) == 1


def test_all_faults_at_once_in_the_order_of_the_file() -> None:
    text = """
        routes:
          - name: a
            when: {form: extension}
            do: [{dail: x}, {dial: 101, timeout: 5}]
          - name: a
            do: [{goto: nowhere}]
        tests:
          - call: {from: extension}
    """
    found = [fault.split(": ")[0] for fault in faults(text)]
    assert found == ["4:12", "5:11", "5:28", "5:42", "6:5", "9:5"]


def test_names_are_known_even_if_the_plan_has_faults() -> None:
    loaded = load("routes: [{name: a, when: {from: trunk/x}, do: [{dial: trunk/y}, {dail: z}]}]")
    assert loaded.plan is None
    assert [(each.kind, each.name) for each in loaded.references] == [("trunk", "x"), ("trunk", "y")]


# fmt: off
KEYS = [
    "at", "busy", "call", "caller", "dial", "do", "expect", "from", "goto", "header", "hours", "name", "number",
    "numbering", "on", "play", "prefix", "record", "reject", "route",
    "routes", "set", "strip", "tests", "timeout", "when", "zone",
]
# fmt: on

YAML = st.recursive(
    st.sampled_from(["1", "extension", "trunk/a", "'.'", "busy", "20s", "{number}", "/(/", "true", "", "'{1}'"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        ).map(lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"),
    ),
    max_leaves=20,
)


@given(YAML)
def test_any_tree_gives_a_plan_or_faults(text: str) -> None:
    tree = parse_tree(text, "plan.yaml")
    if tree.root is not None and not tree.faults:
        loaded = load_dialplan(tree.root)
        assert (loaded.plan is None) == bool(loaded.faults)
