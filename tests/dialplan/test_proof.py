from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pbx.dialplan.actions import Context, Dial, DialTarget, GoTo, SetNumber
from pbx.dialplan.decision import Query
from pbx.dialplan.model import Dialplan, Route
from pbx.dialplan.proof import Proof, prove
from tests.support.plans import NOON, faults, plan

TRUNKS, EXTENSIONS = ("a", "b"), ("101", "102")


def proof(text: str, unpaid: tuple[str, ...] = ()) -> Proof:
    return prove(plan(text), TRUNKS, EXTENSIONS, unpaid)


def reached(text: str, source: str) -> set[tuple[str, str]]:
    return {(one.target, one.restriction) for one in proof(text).reaches if one.source == source}


def refused(text: str, unpaid: tuple[str, ...] = ()) -> list[str]:
    return [fault.text for fault in proof(text, unpaid).faults()]


USUAL = ""


def test_an_extension_reaches_what_its_routes_allow_and_no_more() -> None:
    text = """
        numbering: {country: "49"}
        routes:
          - {name: own, international: true, when: {from: extension/101, number: "00."}, do: [{dial: trunk/a}]}
          - {name: all, when: {from: extension, number: "."}, do: [{dial: trunk/b}]}
    """
    assert reached(text, "extension/101") == {("trunk/a", USUAL), ("trunk/a", "international"), ("trunk/b", USUAL)}
    assert reached(text, "extension") == {("trunk/b", USUAL)}
    assert reached(text, "trunk/a") == set()
    assert refused(text) == []


def test_what_an_earlier_route_takes_gets_no_further() -> None:
    text = """
        numbering: {country: "49"}
        routes:
          - {name: abroad, when: {from: trunk/a, number: ["00.", "+."]}, do: [{reject: forbidden}]}
          - {name: dear, when: {from: trunk/a, number: ["0900.", "0137.", "118."]}, do: [{reject: forbidden}]}
          - {name: rest, when: {from: trunk/a, number: "/[0-9]{5,15}/"}, do: [{dial: trunk/b}]}
    """
    assert reached(text, "trunk/a") == {("trunk/b", USUAL)}
    assert reached(text.replace('"0137.", ', ""), "trunk/a") == {("trunk/b", USUAL), ("trunk/b", "premium")}
    timed = text.replace('number: ["00.", "+."]', 'at: "Mon-Fri", number: ["00.", "+."]')
    assert ("trunk/b", "international") in reached(timed, "trunk/a"), "on a Sunday nothing stands in the way"


def test_numbers_are_followed_through_what_is_set() -> None:
    text = """
        numbering: {country: "49"}
        routes:
          - name: nine
            when: {from: trunk/a, number: "9."}
            do: [{set: {number: {strip: 1, prefix: "0"}}}, {dial: extension/101, on: {any: [{goto: out}]}}]
          - {name: out, when: {from: extension, number: "7777"}, do: [{dial: trunk/b}]}
          - {name: fixed, when: {from: trunk/a, number: "1"}, do: [{set: {number: "+4930123"}}, {dial: trunk/b}]}
          - {name: part, when: {from: trunk/a, number: "/8([0-9]+)/"}, do: [{set: {number: "00{1}"}}, {dial: trunk/b}]}
    """
    found = {(one.route, one.restriction): one for one in proof(text).reaches if one.source == "trunk/a"}
    assert set(found) == {
        ("nine", USUAL),
        ("nine", "international"),
        ("nine", "premium"),
        ("fixed", USUAL),
        ("part", USUAL),
        ("part", "international"),
        ("part", "premium"),
    }
    example = found["nine", "international"]
    assert example.example is not None
    assert example.sent == "0" + example.example[1:]
    assert example.sent.startswith("00")


def test_a_trunk_is_bridged_where_the_plan_names_it() -> None:
    text = """
        routes:
          - {name: bridge, when: {from: %s, number: "."}, do: [{dial: trunk/%s}]}
    """
    assert refused(text % ("trunk/a", "b")) == []
    (fault,) = refused(text % ("trunk", "b"))
    assert "the route `bridge` lets trunk/a, known by its address alone, make" in fault
    assert "`when: {from: trunk/a}`" in fault
    assert ", for example " in fault
    # Nobody means that a carrier's call goes out over that carrier to another country.
    (fault,) = refused(text % ("trunk/a", "a"))
    assert "make international numbers over trunk/a" in fault
    assert refused(text.replace('number: "."', 'number: "22X"') % ("trunk/a", "a")) == []


def test_the_plan_may_say_so_in_words_and_house_trunks_are_free() -> None:
    text = """
        routes:
          - name: all
            paid: {from: trunk/a, because: "the branch office has no line of its own"}
            when: {from: trunk, number: "."}
            do: [{dial: trunk/b}]
    """
    assert {one.source for one in proof(text).reaches if not one.said} == {"trunk/b"}
    assert refused(text.replace("from: trunk/a", "from: trunk")) == []
    assert refused(text, unpaid=("b",)) == []


def test_a_goto_into_a_route_for_others_is_no_word() -> None:
    text = """
        routes:
          - {name: night, when: {from: trunk/a, number: "."}, do: [{goto: out}]}
          - {name: out, when: {from: extension, number: "0."}, do: [{dial: trunk/b}]}
    """
    (fault,) = refused(text)
    assert "the route `night` lets trunk/a" in fault


@pytest.mark.parametrize(
    ("paid", "says"),
    [
        ("{from: trunk/a}", "`paid` needs `from:`, whose calls may cost money, and `because:`, why they may"),
        ("{from: any, because: x}", "`any` cannot stand here; write trunk or trunk/NAME"),
        ("{from: extension, because: x}", "`extension` cannot stand here; write trunk or trunk/NAME"),
        ("yes", "mapping"),
    ],
)
def test_faulty_words(paid: str, says: str) -> None:
    text = f"""
        routes:
          - {{name: all, paid: {paid}, when: {{from: trunk/a}}, do: [{{dial: trunk/b}}]}}
    """
    assert says in faults(text)[0]


def test_a_hundred_routes_are_no_trouble() -> None:
    routes = "\n".join(
        f"          - {{name: r{number}, when: {{from: trunk/a, number: '00{number}.'}}, do: [{{dial: trunk/b}}]}}"
        for number in range(100, 200)
    )
    text = f"        routes:\n{routes}\n"
    assert len(proof(text).reaches) > 100


def test_a_number_too_long_for_any_route() -> None:
    text = """
        routes:
          - {name: all, when: {from: trunk/a, number: "."}, do: [{dial: trunk/b}]}
    """
    built = plan(text)
    assert built.decide(Query("trunk/a", "1" * 64, NOON)).route == "all"
    decision = built.decide(Query("trunk/a", "1" * 65, NOON))
    assert (decision.route, decision.refusal) == (None, "no-route")
    assert decision.considered[0].why == (
        "a number of more than 64 characters, or with control characters, is taken by no route"
    )
    assert built.decide(Query("trunk/a", "1\n2", NOON)).route is None


# Against brute force

NUMBER = st.text("0129+*", min_size=1, max_size=7)
SOURCES = ("extension", "extension/101", "trunk", "trunk/a", "any")
NUMBERS = (".", "0.", "00.", "X.", "1XX", "+.", "/0[01]+/", "/(0|9)[0-9]*/", '["00.", "."]', '["1.", "/[09]{2}.*/"]')
SETS = ("", "{strip: 1}", "{strip: 2, prefix: '+'}", "{prefix: '00'}", "'+49{number}'", "'{dialled}'", "'0900'")


@st.composite
def plans(draw: st.DrawFn) -> str:
    lines = [f"numbering: {{country: '{draw(st.sampled_from(('49', '1', '44')))}'}}" if draw(st.booleans()) else ""]
    lines.append("routes:")
    for place in range(draw(st.integers(1, 4))):
        number, change = draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(SETS))
        number = number if number.startswith("[") else f"'{number}'"
        do = [f"{{set: {{number: {change}}}}}"] if change else []
        do.append(
            draw(st.sampled_from(("{dial: trunk/a}", "{dial: trunk/b}", "{dial: extension/101}", "{reject: busy}")))
        )
        flags = "".join(f"{key}: true, " for key in ("international", "premium") if draw(st.booleans()))
        at = ", at: 'Mon'" if draw(st.integers(0, 4)) == 0 else ""
        source = draw(st.sampled_from(SOURCES))
        lines.append(
            f"  - {{name: r{place}, {flags}when: {{from: {source}, number: {number}{at}}}, do: [{', '.join(do)}]}}"
        )
    return "\n".join(lines)


def priced(built: Dialplan, route: Route, query: Query) -> Iterator[tuple[str, str]]:
    """Yield where a call goes and what that costs, worked out step by step for this number."""
    kind, _, name = query.source.partition("/")
    pattern = route.number.find(query.number) if route.number else None
    values = {"number": query.number, "dialled": query.number, "caller": "", "caller_name": "", "source": name}
    context = Context(query, kind, values, len(pattern.prefix) if pattern else 0, built.numbering)
    for action in route.actions:
        if isinstance(action, Dial):
            for target in action.targets:
                if target.kind == "trunk":
                    yield f"trunk/{target.name.text}", _price(built, context, target)
        elif isinstance(action, SetNumber):
            action.perform(context, [])
        else:
            assert not isinstance(action, GoTo)


def _price(built: Dialplan, context: Context, target: DialTarget) -> str:
    return built.numbering.restriction(target.fill(context).number, target.fixed(context))


# Shrinking a plan takes minutes, and plans are short as it is.
@settings(max_examples=30, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(text=plans(), numbers=st.lists(NUMBER, min_size=10, max_size=30))
def test_no_decision_contradicts_the_proof(text: str, numbers: list[str]) -> None:
    built = plan(text)
    proven = prove(built, TRUNKS, EXTENSIONS)
    routes = {route.name: route for route in built.routes}
    names = {one.source for one in proven.reaches} | set(proven.sources)
    for source in ("trunk/a", "trunk/b", "extension/101", "extension/102", "nobody"):
        shown = source if source in names else source.partition("/")[0]
        for number in numbers:
            query = Query(source, number, NOON)
            decision = built.decide(query)
            if decision.route is None:
                continue
            for target, restriction in priced(built, routes[decision.route], query):
                claims = [
                    one
                    for one in proven.reaches
                    if (one.source, one.target, one.restriction, one.route)
                    == (shown, target, restriction, decision.route)
                ]
                assert claims, f"{source} reaches {target} with {number}, {restriction or 'usual'}, unproven"
                assert proven.languages.contains(claims[0].numbers, number)
    for one in proven.reaches:
        route = routes[one.route]
        if one.example is None:
            # What costs nothing more may be calls for help alone, which another route takes: `Dialplan.decide`.
            assert not one.restriction or any(each.conditions for each in built.routes), f"{one} has no example"
            continue
        query = Query(one.source if "/" in one.source else f"{one.source}/109", one.example, NOON)
        decision = built.decide(query)
        assert decision.route == one.route
        assert (one.target, one.restriction) in priced(built, route, query)
        assert one.sent == decision.number
