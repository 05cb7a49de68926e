"""Past calls decided anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from pbx.config.tree import read_tree
from pbx.dialplan.decision import Query
from pbx.dialplan.loader import load_dialplan
from pbx.dialplan.model import Dialplan
from pbx.dialplan.rehearsal import PastCall, rehearse

AT = datetime(2026, 11, 20, 10, tzinfo=UTC)
IN_FORCE = """
routes:
  - {name: internal, when: {from: extension, number: "1XX"}, do: [{dial: "extension/{number}"}]}
  - name: national
    when: {from: extension, number: "0Z."}
    do: [{set: {number: {strip: 1, prefix: "+49"}}}, {dial: trunk/a}]
"""


Make = Callable[[str], Dialplan]


@pytest.fixture
def plan(tmp_path_factory: pytest.TempPathFactory) -> Make:
    def make(text: str) -> Dialplan:
        path = tmp_path_factory.mktemp("plan") / "plan.yaml"
        path.write_text(text)
        loaded = load_dialplan(read_tree(path).root)
        assert loaded.plan is not None, loaded.faults
        return loaded.plan

    return make


def past(number: str, route: str, dialled: str = "") -> PastCall:
    return PastCall("c1", Query("extension/101", number, AT, "101"), route, dialled or number)


def test_the_same_plan_changes_nothing(plan: Make) -> None:
    old = plan(IN_FORCE)
    for call in (
        past("102", "internal"),
        past("0301234", "national", "+49301234"),
        PastCall("c2", Query("extension/101", "9", AT), "", ""),
    ):
        outcome = rehearse(call, plan(IN_FORCE), old)
        assert not outcome.changed
        assert outcome.before == outcome.after
        assert not rehearse(call, old, None).changed


def test_every_thing_that_a_route_does_is_compared(plan: Make) -> None:
    old, call = plan(IN_FORCE), past("0301234", "national", "+49301234")
    for was, now in (("trunk/a", "trunk/b"), ("dial: trunk/a", "dial: trunk/a, record: true"), ("+49", "+43")):
        outcome = rehearse(call, plan(IN_FORCE.replace(was, now)), old)
        assert outcome.changed
        assert "trunk/a as +49301234" in outcome.before[0]
        assert outcome.before != outcome.after


def test_a_record_that_the_plan_in_force_does_not_explain_counts_by_itself(plan: Make) -> None:
    """The plan was another one when the call was made."""
    new = plan(IN_FORCE.replace("trunk/a", "trunk/b"))
    assert not rehearse(past("0301234", "national", "+49301234"), new, None).changed
    older = past("0301234", "old name", "0301234")
    outcome = rehearse(older, plan(IN_FORCE), plan(IN_FORCE))
    assert outcome.changed
    assert outcome.before == ("dial 0301234",)
    assert rehearse(past("0301234", "national", "+43301234"), new, None).changed


def test_what_depends_on_a_header_is_said(plan: Make) -> None:
    special = '  - {name: vip, when: {from: extension, number: "0Z.", header: {X-Vip: "1"}}, do: [{dial: trunk/b}]}\n'
    new = plan("routes:\n" + special + IN_FORCE.split("routes:\n")[1])
    call = past("0301234", "national", "+49301234")
    assert rehearse(call, new, plan(IN_FORCE)).headers
    assert not rehearse(past("102", "internal"), new, plan(IN_FORCE)).headers
    below = plan(IN_FORCE + special)
    assert not rehearse(call, below, plan(IN_FORCE)).headers  # it is decided before the header is looked at
