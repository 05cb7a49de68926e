"""Least cost: a table of rates, its faults, and the routes that use it."""

from __future__ import annotations

from textwrap import dedent

import pytest

from pbx.config.tree import parse_tree
from pbx.dialplan.explain import decision_lines
from pbx.dialplan.loader import Loaded, load_dialplan
from pbx.dialplan.rates import read_rates
from pbx.dialplan.reader import Reader
from tests.support.plans import NOON, Query

RATES = """\
prefix,trunk,price
# Germany
49,alpha,1.00
49,beta,0.8
4915,beta,4.5
+4930, alpha ,0.5
,gamma,9
"""
PLAN = """
numbering: {country: "49"}
routes:
  - {name: out, when: {from: extension, number: "+."}, do: [{dial: {least_cost: rates.csv}}], international: true}
  - {name: else, when: {from: extension, number: "."}, do: [{dial: trunk/alpha}]}
"""


def load(rates: str = RATES, plan: str = PLAN) -> Loaded:
    def read(name: str) -> tuple[str, str]:
        if name != "rates.csv":
            raise FileNotFoundError(2, "No such file or directory")
        return f"/etc/{name}", rates

    tree = parse_tree(dedent(plan), "plan.yaml")
    assert tree.root is not None
    return load_dialplan(tree.root, read)


@pytest.mark.parametrize(
    ("number", "order"),
    [
        ("+4940", ["beta", "alpha", "gamma"]),
        ("+49151", ["alpha", "beta", "gamma"]),
        ("+4930", ["alpha", "beta", "gamma"]),
        ("4930", ["alpha", "beta", "gamma"]),
        ("+1", ["gamma"]),
        ("", ["gamma"]),
    ],
)
def test_the_longest_prefix_of_each_trunk_counts(number: str, order: list[str]) -> None:
    reader = Reader()
    table, _ = read_rates(reader, "rates.csv", RATES.splitlines(keepends=True))
    assert reader.faults == []
    assert [rate.trunk for rate in table.find(number)] == order


def test_a_route_dials_the_cheapest_first() -> None:
    plan = load().plan
    assert plan is not None
    decision = plan.decide(Query("extension/1", "+49151", NOON))
    assert decision_lines(decision) == (
        (
            0,
            "dial trunk/alpha as +49151 (1 for 49), then trunk/beta as +49151 (4.5 for 4915), "
            "then trunk/gamma as +49151 (9 for any number) for 1m each",
        ),
    )


def test_a_number_without_a_rate_is_left_to_the_next_route() -> None:
    plan = load(RATES.replace(",gamma,9\n", "")).plan
    assert plan is not None
    decision = plan.decide(Query("extension/1", "+1555", NOON))
    assert decision.route is None
    assert decision.refusal == "forbidden"  # the next one may not take it either: international
    assert "the table of rates has no line for +1555" in decision.considered[0].why


def test_the_trunks_of_a_table_are_references_with_their_line() -> None:
    found = {(one.name, str(one.position)) for one in load().references if one.kind == "trunk"}
    assert ("alpha", "/etc/rates.csv:3:1") in found
    assert ("gamma", "/etc/rates.csv:7:1") in found


@pytest.mark.parametrize(
    ("rates", "fault"),
    [
        ("49,alpha,1\n", "1:1: the first line must name the columns: prefix,trunk,price"),
        ("prefix,trunk,price\n", "1:1: the table has no rates; write lines such as 49,telco-a,0.8"),
        ("prefix,trunk,price\n49x,a,1\n", "2:1: `49x` is no beginning of a number"),
        ("prefix,trunk,price\n49,,1\n", "2:1: the trunk is missing"),
        ("prefix,trunk,price\n49,a,dear\n", "2:1: `dear` is no price"),
        ("prefix,trunk,price\n49,a,-1\n", "2:1: `-1` is no price"),
        ("prefix,trunk,price\n49,a,NaN\n", "2:1: `NaN` is no price"),
        ("prefix,trunk,price\n49,a\n", "2:1: `` is no price"),
        ("prefix,trunk,price\n49,a,1\n\n+49,a,2\n", "4:1: a has a price for 49 already, at line 2"),
        ('prefix,trunk,price\n"49,a,1\n', "2:1: this is no CSV"),
    ],
)
def test_faults_of_a_table(rates: str, fault: str) -> None:
    found = [str(each) for each in load(rates).faults]
    assert len(found) == 1
    assert found[0].startswith(f"/etc/rates.csv:{fault}")


def test_many_faults_are_not_all_told() -> None:
    assert len(load("prefix,trunk,price\n" + "x,a,1\n" * 1000).faults) == 21


def test_a_table_that_is_not_there() -> None:
    (fault,) = load(plan=PLAN.replace("rates.csv", "other.csv")).faults
    assert str(fault).startswith("plan.yaml:4:81: `least_cost`: other.csv: No such file or directory; correct the path")
