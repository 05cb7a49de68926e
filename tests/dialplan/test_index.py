"""The index never changes what a plan decides, and what `explain` says is what `decide` did."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pbx.dialplan.decision import Query
from pbx.dialplan.model import Dialplan
from tests.support.plans import NOON, plan

SOURCES = ["extension", "extension/1", "extension/2", "trunk", "trunk/a", "trunk/b", "any"]
PATTERNS = ["1XX", "1.", ".", "0Z.", "00.", "+49.", "*1", "N", r"/[0-3]\d*/", r"/a+/", "a."]

routes = st.lists(
    st.tuples(
        st.lists(st.sampled_from(SOURCES), min_size=1, max_size=2, unique=True),
        st.lists(st.sampled_from(PATTERNS), max_size=2, unique=True),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)
queries = st.builds(
    Query,
    st.sampled_from(["extension/1", "extension/2", "extension/3", "trunk/a", "trunk/c", "nobody", "", "any", "any/x"]),
    st.one_of(st.text(alphabet="01249+*a", max_size=5), st.text(max_size=3)),
    st.just(NOON),
)


def build(made: list[tuple[list[str], list[str], bool]]) -> Dialplan:
    lines = ["numbering: {country: '49'}", "routes:"]
    for place, (sources, patterns, dials) in enumerate(made):
        number = ", number: [" + ", ".join(f"'{pattern}'" for pattern in patterns) + "]" if patterns else ""
        step = "dial: trunk/a" if dials else "echo: "
        lines.append(f"- {{name: r{place}, when: {{from: [{', '.join(sources)}]{number}}}, do: [{{{step}}}]}}")
    return plan("\n".join(lines))


@settings(max_examples=300)
@given(routes, queries)
def test_decide_agrees_with_trying_every_route(made: list[tuple[list[str], list[str], bool]], query: Query) -> None:
    dialplan = build(made)
    decision = dialplan.decide(query)
    considered = decision.considered
    matched = [each.route for each in considered if each.matched]
    assert matched == ([decision.route] if decision.route is not None else [])
    assert all(each.why for each in considered)
    if decision.route is None:
        assert len(considered) == len(dialplan.routes)
        refused = any("does not say" in each.why or "nobody unknown" in each.why for each in considered)
        assert decision.refusal == ("forbidden" if refused else "no-route")


@given(st.text(max_size=200))
def test_any_number_is_decided(number: str) -> None:
    dialplan = build([(["any"], [".", r"/\d+/"], False), (["extension"], [".", r"/.*/"], True)])
    dialplan.decide(Query("extension/1", number, NOON, number, number, (("X", number),)))
