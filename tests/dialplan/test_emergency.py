"""Calls for help: recognised whatever stands before the number, taken by the route that is there for them, and refused
by nobody."""

from __future__ import annotations

import pytest

from pbx.dialplan.billing import Billing
from pbx.dialplan.language import Languages
from pbx.dialplan.numbering import Numbering
from pbx.dialplan.proof import prove
from pbx.dialplan.steps import DialStep, Target
from tests.support.plans import decide, plan

PLAN = """
    numbering: {country: "49"}
    routes:
      - name: help
        when: {from: extension, number: ["110", "112"]}
        do: [{set: {caller: {number: "+4930110", anonymous: false}}}, {dial: trunk/rescue}]
      - name: hidden
        when: {from: extension, number: '/\\*31#(?P<rest>.+)/'}
        do: [{set: {number: "{rest}", caller: {anonymous: true}}}, {dial: trunk/cheap}]
      - name: outside line
        max_calls: 1
        when: {from: extension, number: "0."}
        do: [{set: {number: {strip: 1}, caller: {number: "+4930999"}}}, {dial: trunk/cheap}]
      - {name: others, when: {from: extension, number: "2."}, do: [{dial: "extension/{number}"}]}
"""


@pytest.mark.parametrize(
    ("country", "number", "helps"),
    [
        ("49", "112", "112"),
        ("49", "110", "110"),
        ("49", "911", "911"),
        ("49", "113", ""),
        ("49", "1120", ""),
        ("49", "0112", ""),
        # Behind service codes, as many as there are.
        ("49", "*31#112", "112"),
        ("49", "#31#110", "110"),
        ("49", "*31#*31#112", "112"),
        ("49", "*31##30#112", "112"),
        ("49", "*31*112", "112"),
        ("49", "** 31 # 1-1 2", "112"),
        ("49", "1-1-2", "112"),
        ("49", "112;phone-context=+49", "112"),
        ("49", "*31#112;phone-context=+49", "112"),
        # A star alone hides no number: these are a server's own codes.
        ("49", "*112", ""),
        ("49", "**112", ""),
        ("49", "#112", ""),
        ("49", "*31#0112", ""),
        ("49", "*21*112#", ""),
        # Codes that nothing ends are North American.
        ("1", "*67911", "911"),
        ("1", "*67*82911", "911"),
        ("1", "*267911", "911"),
        ("1", "*6911", ""),
        ("", "*67112", "112"),
        ("49", "*67112", ""),
        ("44", "999", "999"),
        ("61", "000", "000"),
        ("49", "", ""),
        ("49", "*31#", ""),
        # Written as a number of the world, whole and by the country's own.
        ("49", "+49112", "112"),
        ("49", "+49 1-12", "112"),
        ("49", "0049110", "110"),
        ("49", "*31#+49112", "112"),
        ("49", "+112", "112"),
        ("49", "+911", "911"),
        ("44", "+44999", "999"),
        ("1", "+1911", "911"),
        ("1", "0111911", "911"),
        ("352", "+352112", "112"),
        ("49", "+49911", ""),
        ("49", "+490112", ""),
        ("49", "+4930112", ""),
        ("49", "+491120", ""),
        ("49", "+43112", ""),
        ("49", "49112", ""),
        ("49", "00112", ""),
        ("49", "+49115", ""),
        ("33", "+3318", "18"),
        ("33", "+33145678901", ""),
        ("", "+49112", ""),
        ("", "+112", "112"),
        # A star that is dialled as 11.
        ("1", "1167911", "911"),
        ("1", "1-167-911", "911"),
        ("1", "11272911", "911"),
        ("1", "1182112", "112"),
        ("1", "11472911", ""),
        ("1", "117911", ""),
        ("1", "11679110", ""),
        ("1", "2167911", ""),
        ("1", "*671167911", ""),
        ("49", "1167112", ""),
        ("", "1167911", ""),
    ],
)
def test_the_emergency_number_that_is_called_in_the_end(country: str, number: str, helps: str) -> None:
    numbering = Numbering(country)
    assert numbering.emergency_number(number) == helps
    assert numbering.is_emergency(number) is bool(helps)


@pytest.mark.parametrize(
    ("numbering", "number"),
    [
        (Numbering(""), "000"),
        (Numbering("", emergency=("000",)), "000"),
        (Numbering("61"), "*31#000"),
        (Numbering("49", extra_premium=("11",)), "112"),
        (Numbering("49", extra_premium=("11", "*31#11")), "*31#1 12"),
        (Numbering("49", extra_international=("1",), emergency=("19222",)), "19222"),
        (Numbering("1", extra_premium=("911",)), "*67911"),
    ],
)
def test_an_emergency_number_costs_nothing_that_a_route_would_have_to_allow(numbering: Numbering, number: str) -> None:
    expected = "international" if (numbering.country, numbering.emergency) == ("", None) else ""
    assert numbering.restriction(number, 0) == expected, "000 calls for help only where it does"


@pytest.mark.parametrize(
    "numbering",
    [
        Numbering("", emergency=("000", "112")),
        Numbering("49", extra_premium=("11", "*31#11")),
        Numbering("1", extra_premium=("911", "9")),
        Numbering("49", extra_international=("1",), emergency=("112", "1*1")),
        Numbering("49"),
        Numbering("1"),
    ],
)
def test_the_proof_knows_the_same(numbering: Numbering) -> None:
    languages = Languages()
    billing = Billing(languages, numbering)
    numbers = ["112", "000", "911", "1*1", "1-12", "*31#112", "*31#1*1", "*112", "*67911", "*67 911", "*267911"]
    numbers += ["112;phone-context=+49", "1120", "110", "0112", "*31#110", "*31#112#", "**31*112", "*31 #0-00", "911;x"]
    numbers += ["+49112", "+49-110", "0049112", "+49911", "+112", "+911", "*31#+49112", "+1911", "1167911", "11-67 911"]
    numbers += ["11267911", "11467911", "1167112", "*31#1167911", "0111911", "+491120", "1112", "011+1911"]
    for fixed in ("", "1", "*31#"):
        for restriction in ("", "international", "premium"):
            found = billing.restricted(restriction, fixed)
            for number in numbers:
                if number.startswith(fixed):
                    assert languages.contains(found, number) is (
                        numbering.restriction(number, len(fixed)) == restriction
                    ), (number, fixed, restriction)


@pytest.mark.parametrize("number", ["112", "*31#112", "0112", "#31#112", "*31#*31#112", "*31#0112"])
def test_whatever_is_dialled_the_emergency_route_takes_it(number: str) -> None:
    decision = decide(PLAN, number)
    assert (decision.route, decision.number, decision.emergency) == ("help", "112", True)
    (step,) = decision.steps
    assert isinstance(step, DialStep)
    assert step.targets == (Target("trunk", "rescue", "112"),)
    assert step.caller is not None
    assert (step.caller.number, step.caller.anonymous) == ("+4930110", False)
    assert decision.limits is None
    assert decision.dialled == number


@pytest.mark.parametrize("number", ["+49112", "0049112", "+112", "*31#+49112"])
def test_so_it_does_where_the_number_is_written_for_the_world(number: str) -> None:
    abroad = "      - {name: abroad, international: true, when: {number: ['+.', '00.']}, do: [{dial: trunk/cheap}]}\n"
    for text in (
        PLAN,
        PLAN.replace(
            "      - name: help", abroad.replace("{number", "{from: extension, number") + "      - name: help"
        ),
    ):
        decision = decide(text, number)
        assert (decision.route, decision.number, decision.emergency) == ("help", "112", True)
        assert decision.dialled == number


def test_where_no_route_is_for_help_it_goes_out_as_it_was_written() -> None:
    text = """
    numbering: {country: "49"}
    routes:
      - {name: phones, when: {from: extension, number: "1XX"}, do: [{dial: "extension/{number}"}]}
      - {name: world, when: {from: extension, number: "+49."}, do: [{dial: trunk/a}]}
    """
    decision = decide(text, "+49112")
    assert (decision.route, decision.number, decision.emergency) == ("world", "+49112", True)
    assert not decide(text, "+4930112").emergency


def test_a_number_that_gets_out_as_it_is_keeps_its_country_off() -> None:
    """0112 goes out as 112; a route that would send 112 as +49112 is no better."""
    text = """
    numbering: {country: "49"}
    routes:
      - {name: local, when: {from: extension, number: "Z."}, do: [{set: {number: {prefix: "+49"}}}, {dial: trunk/a}]}
      - {name: outside, when: {from: extension, number: "0."}, do: [{set: {number: {strip: 1}}}, {dial: trunk/a}]}
    """
    assert (decide(text, "0112").route, decide(text, "0112").number) == ("outside", "112")


def test_somebody_in_the_house_may_be_tried_first() -> None:
    """A desk at the gate that is to answer, and the control centre if it does not: also by the name of a service."""
    gate = "[{dial: extension/7, on: {any: [{set: {number: '112'}}, {dial: trunk/rescue}]}}]"
    text = PLAN.replace('"49"', '"49", services: {sos: "700"}')
    text += f'      - {{name: gate, when: {{from: extension, number: "700"}}, do: {gate}}}\n'
    for number in ("700", "urn:service:sos"):
        assert (decide(text, number).route, decide(text, number).emergency) == ("gate", True)


def test_a_phone_whose_number_looks_like_one_is_called() -> None:
    """In the house 1167911 may be an extension, and so may +49112 be: the plan says so."""
    text = """
    numbering: {country: "1"}
    routes:
      - {name: help, when: {from: extension, number: "911"}, do: [{dial: trunk/rescue}]}
      - {name: phones, when: {from: extension, number: ["11XXXXX", "+1911"]}, do: [{dial: "extension/{number}"}]}
      - {name: out, when: {from: extension, number: "X."}, do: [{dial: trunk/a}]}
    """
    for number in ("1167911", "+1911"):
        assert (decide(text, number).route, decide(text, number).emergency) == ("phones", False)
    assert decide(text.replace("11XXXXX", "8XX"), "1167911").route == "help"


def test_what_explains_a_decision_is_the_call_that_was_decided() -> None:
    decision = decide(PLAN, "*31#112")
    assert [one.route for one in decision.considered if one.matched] == ["help"]


@pytest.mark.parametrize(
    ("number", "route"), [("*31#030123", "hidden"), ("030123", "outside line"), ("2112", "others")]
)
def test_other_calls_go_where_they_went(number: str, route: str) -> None:
    decision = decide(PLAN, number)
    assert (decision.route, decision.emergency, decision.dialled) == (route, False, number)


def test_a_codes_own_route_that_stays_in_the_house_keeps_its_calls() -> None:
    """`*81911` picks up the phone 1911, and `*8*112` the phone 112."""
    text = (
        PLAN.replace('"49"', '"1"')
        + '      - {name: pick up, when: {number: ["*81XXX", "*8*1XX"]}, do: [{pickup: x}]}\n'
    )
    for number in ("*81911", "*8*112"):
        assert (decide(text, number).route, decide(text, number).emergency) == ("pick up", False)


@pytest.mark.parametrize("steps", ["[{play: invalid}]", "[{reject: forbidden}]"])
def test_a_route_for_codes_that_reaches_nobody_does_not_keep_them(steps: str) -> None:
    text = PLAN.replace(
        "      - name: help", f"      - {{name: codes, when: {{number: '*.'}}, do: {steps}}}\n      - name: help"
    )
    assert decide(text, "*31#112").route == "help"
    assert decide(text, "*31#030123").route == "codes"


def test_who_gets_a_call_out_is_not_sent_into_the_house() -> None:
    """Without a route for 112, it is what `1XX` takes: the phone 112, which nobody has."""
    text = """
    numbering: {country: "49"}
    routes:
      - {name: phones, when: {from: extension, number: "1XX"}, do: [{dial: "extension/{number}"}]}
      - {name: area, when: {from: extension, number: "."}, do: [{dial: trunk/a}]}
      - name: outside
        when: {from: extension, number: "0."}
        do: [{set: {number: {strip: 1}}}, {dial: trunk/a}]
    """
    text = text.replace('number: "."', 'number: "X."') + ""
    outside = text.replace('      - {name: area, when: {from: extension, number: "X."}, do: [{dial: trunk/a}]}\n', "")
    decision = decide(outside, "0112")
    assert (decision.route, decision.number, decision.emergency) == ("outside", "112", True)
    assert decide(outside, "*31#112").route == "phones", "nobody else takes it"


def test_a_route_that_writes_the_area_code_before_it_is_none_for_help() -> None:
    text = """
    numbering: {country: "49"}
    routes:
      - {name: area, when: {from: extension, number: "Z."}, do: [{set: {number: {prefix: "+4930"}}}, {dial: trunk/a}]}
      - {name: outside, when: {from: extension, number: "0."}, do: [{set: {number: {strip: 1}}}, {dial: trunk/a}]}
    """
    assert decide(text, "0112").route == "outside"
    named = text.replace('"Z."', '["112", "Z."]').replace("+4930", "+4989")
    decision = decide(named, "0112")
    assert (decision.route, decision.number, decision.emergency) == ("area", "+4989112", True), "the control centre"


@pytest.mark.parametrize(
    "steps",
    [
        "[{dial: extension/1, on: {any: [{set: {number: '112'}}, {dial: trunk/a}]}}]",
        "[{dial: extension/1}, {set: {number: '112'}}, {dial: trunk/a}]",
        "[{dial: 'sip:112@rescue.example'}]",
    ],
)
def test_a_call_is_one_for_help_wherever_it_dials_that(steps: str) -> None:
    text = f"""
    allow_hosts: [rescue.example]
    routes:
      - {{name: alarm, when: {{from: extension, number: "9"}}, do: {steps}}}
    """
    decision = decide(text, "9")
    assert (decision.route, decision.emergency) == ("alarm", True)


def test_a_route_need_not_allow_what_costs_money_for_calls_for_help() -> None:
    """000 begins as an international number does, and is none where it calls for help."""
    text = """
    numbering: {emergency: ["000"]}
    routes:
      - {name: out, when: {from: extension, number: "."}, do: [{dial: trunk/a}]}
    """
    assert decide(text, "000").route == "out"
    assert decide(text, "0001").refusal == "forbidden"
    found = prove(plan(text), ["a"], ["1"])
    assert [(one.restriction, one.source) for one in found.reaches if one.source != "trunk/a"] == [("", "extension")]
    (reach,) = found.reaches
    assert found.languages.contains(reach.numbers, "000")
    assert not found.languages.contains(reach.numbers, "0001")


def test_a_number_that_no_route_takes_is_one_for_help_all_the_same() -> None:
    text = "routes: [{name: a, when: {number: '2.'}, do: [echo]}]"
    assert [(one.route, one.emergency) for one in (decide(text, "112"), decide(text, "*31#112"))] == [(None, True)] * 2
    assert not decide(text, "*31#113").emergency
