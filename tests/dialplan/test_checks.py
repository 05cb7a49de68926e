from __future__ import annotations

import pytest

from pbx.dialplan.checks import Known, check_plan
from tests.support.plans import plan

KNOWN = Known(("101", "102"), ("telco-a", "telco-b"), ("voicemail",))


def findings(text: str) -> tuple[list[str], list[str]]:
    found = check_plan(plan(text), KNOWN)
    return (
        [str(fault).removeprefix("plan.yaml:") for fault in found.faults],
        [str(warning).removeprefix("plan.yaml:") for warning in found.warnings],
    )


def test_nothing_to_say() -> None:
    text = """
        routes:
          - {name: a, when: {from: extension/101, number: "1XX"}, do: [{dial: extension/102}, {voicemail: "{number}"}]}
          - {name: b, when: {from: extension, number: "1XX"}, do: [{dial: "extension/{number}"}]}
          - {name: c, when: {from: trunk/telco-a}, do: [{dial: trunk/telco-b}]}
    """
    assert findings(text) == ([], [])


def test_names_that_nobody_knows() -> None:
    text = """
        routes:
          - {name: a, when: {from: [extension/111, trunk/x]}, do: [{dial: [extension/9, trunk/telco-aa]}]}
          - {name: b, when: {from: trunk/telco-a}, do: [{dial: extension/101, on: {any: [{dial: trunk/x}]}}]}
    """
    assert findings(text)[0] == [
        "3:29: there is no extension `111` in the configuration; did you mean `101`?",
        "3:44: there is no trunk `x` in the configuration; add it to `trunks` or correct the name",
        "3:68: there is no extension `9` in the configuration; add it to `extensions` or correct the name",
        "3:81: there is no trunk `telco-aa` in the configuration; did you mean `telco-a`?",
        "4:89: there is no trunk `x` in the configuration; add it to `trunks` or correct the name",
    ]


@pytest.mark.parametrize(
    "do",
    [
        "[{dial: trunk/telco-a}]",
        "[{dial: extension/101, on: {any: [{dial: trunk/telco-a}]}}]",
        "[{goto: out}]",
        '[{dial: "sip:x@gw.example"}]',
    ],
)
def test_no_door_stays_open(do: str) -> None:
    text = f"""
        allow_hosts: [gw.example]
        routes:
          - {{name: open, when: {{number: "1"}}, do: {do}}}
          - {{name: out, when: {{from: extension, number: "2."}}, do: [{{dial: trunk/telco-a}}]}}
    """
    (fault,) = findings(text)[0]
    assert "the route `open` lets anyone dial out" in fault


def test_features_that_are_not_there() -> None:
    text = "routes: [{name: a, do: [{voicemail: '1'}, {queue: sales}]}]"
    assert findings(text)[1] == [
        "1:44: this server has no `queue` yet; callers who get here are rejected as `not-available`"
    ]


@pytest.mark.parametrize(
    ("earlier", "later", "warned"),
    [
        ('{from: extension, number: "."}', '{from: extension/101, number: "1XX"}', True),
        ("{}", '{from: trunk, number: "1"}', True),
        ('{from: [extension, trunk], number: ["1XX", "2."]}', '{from: trunk/telco-a, number: ["112", "2XX"]}', True),
        ('{from: extension, number: "1XX"}', '{from: extension, number: "1."}', False),
        ('{from: extension/101, number: "."}', '{from: extension, number: "1"}', False),
        ('{from: extension, number: "."}', "{from: extension}", False),
        ('{from: trunk, number: "."}', '{from: extension, number: "1"}', False),
        ('{from: trunk, number: ".", at: "Mon"}', '{from: trunk, number: "1"}', False),
        ('{from: trunk, number: ".", at: "Mon"}', '{from: trunk, number: "1", at: "Mon"}', True),
        ('{from: trunk, caller: "1."}', '{from: trunk, number: "1"}', False),
    ],
)
def test_routes_that_are_never_reached(earlier: str, later: str, warned: bool) -> None:
    text = f"""
        routes:
          - {{name: a, when: {earlier}, do: [echo]}}
          - {{name: b, when: {later}, do: [echo]}}
    """
    warnings = findings(text)[1]
    expected = (
        "4:6: the route `b` is never reached: `a`, at line 3, takes all its calls; put it before that one, or remove it"
    )
    assert warnings == ([expected] if warned else [])


@pytest.mark.parametrize(
    ("first", "second", "warned"),
    [
        ("", "international: true, ", False),
        ("international: true, ", "", True),
        ("", "", True),
        ("international: true, ", "premium: true, ", False),
    ],
)
def test_what_an_earlier_route_may_not_take_is_reached(first: str, second: str, warned: bool) -> None:
    text = f"""
        routes:
          - {{name: a, {first}when: {{from: extension, number: "."}}, do: [{{dial: trunk/telco-a}}]}}
          - {{name: b, {second}when: {{from: extension, number: "0."}}, do: [{{dial: trunk/telco-a}}]}}
    """
    assert bool(findings(text)[1]) is warned


def test_an_announcement_for_refused_numbers_is_reached() -> None:
    text = """
        routes:
          - {name: a, when: {from: extension, number: "."}, do: [{dial: trunk/telco-a}]}
          - {name: b, when: {from: extension, number: "00."}, do: [{play: sorry}]}
    """
    assert findings(text) == ([], [])


def test_a_route_that_may_not_dial_what_it_is_for() -> None:
    text = """
        numbering: {country: "49"}
        routes:
          - {name: abroad, when: {from: extension, number: ["00.", "+."]}, do: [{dial: trunk/telco-a}]}
          - {name: chat, when: {from: extension, number: "0900X."}, do: [{dial: trunk/telco-a}]}
          - {name: uk, when: {from: extension, number: "0044X."}, do: [{dial: trunk/telco-a}]}
          - {name: bridge, when: {from: trunk, number: "00."}, do: [{dial: trunk/telco-a}]}
    """
    warnings = findings(text)[1]
    refused = (
        "the route `{}` takes no call from an extension: {}, to be sent, is {} and the route does not say `{}: true`"
    )
    assert [warning.split(": ", 1)[1] for warning in warnings if "takes no call" in warning] == [
        refused.format("abroad", "005555555", "international", "international"),
        refused.format("chat", "090055555555", "a premium number", "premium"),
    ]


@pytest.mark.parametrize(
    ("numbering", "routes", "expected"),
    [
        ('country: "49"', ["{number: ['110', '112']}, do: [{dial: trunk/a}]"], ""),
        ('country: "49"', [], "the route `phones` takes it"),
        ('country: "49"', ["{number: '112'}, do: [{dial: trunk/a}]"], "the route `phones` takes it"),
        ('emergency: ["999"]', [], "no route takes it"),
        ('emergency: ["0999"]', [], ""),
        ("emergency: []", [], ""),
        ('premium: ["0180"]', [], "say in which country the plan is"),
        ('premium: ["0180"]', ["{number: '112'}, do: [{dial: trunk/a}]"], ""),
        ("services: {sos: '0112'}", [], ""),
    ],
)
def test_a_plan_by_which_one_dials_out_and_gets_no_help_is_warned_of(
    numbering: str, routes: list[str], expected: str
) -> None:
    text = "\n".join(
        (
            f"numbering: {{{numbering}}}\nroutes:",
            *(f"  - {{name: help, when: {one}}}" for one in routes),
            "  - {name: phones, when: {from: extension, number: 1XX}, do: [{dial: 'extension/{number}'}]}",
            "  - {name: out, when: {from: extension, number: '0.'}, do: [{dial: trunk/a}]}",
        )
    ).replace("when: {number", "when: {from: extension, number")
    warnings = [one for one in findings(text)[1] if "for help" in one]
    assert bool(warnings) is bool(expected), warnings
    assert all(expected in one for one in warnings)


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ("sos: '0112', counseling: '105'", []),
        ("sos: '999'", ["4:14: `urn:service:sos` becomes 999, which reaches nobody: no route takes it"]),
        (
            "test.sos: '600'",
            ["4:14: `urn:service:test.sos` becomes 600, which reaches nobody: the route `no` takes it"],
        ),
    ],
)
def test_a_service_that_becomes_what_reaches_nobody_is_warned_of(services: str, expected: list[str]) -> None:
    text = f"""
        numbering:
          country: "49"
          services: {{{services}}}
        routes:
          - {{name: no, when: {{number: 600}}, do: [{{reject: forbidden}}]}}
          - {{name: phones, when: {{from: extension, number: 1XX}}, do: [{{dial: 'extension/{{number}}'}}]}}
          - {{name: out, when: {{from: extension, number: '0.'}}, do: [{{dial: trunk/a}}]}}
    """
    warnings = [one for one in findings(text)[1] if "urn:service" in one]
    assert [one.partition(";")[0] for one in warnings] == expected


def test_where_nobody_dials_out_there_is_nothing_to_warn_of() -> None:
    text = """
    numbering: {country: "49"}
    routes:
      - {name: phones, when: {from: extension, number: 1XX}, do: [{dial: "extension/{number}"}]}
      - {name: bridge, when: {from: trunk/a}, do: [{dial: trunk/b}]}
    """
    assert findings(text)[1] == []
