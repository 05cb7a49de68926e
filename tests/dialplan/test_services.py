"""Services that are called by name (RFC 5031): read strictly, and become the number that one dials for them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.dialplan.decision import Query
from pbx.dialplan.services import is_for_help, more_general, service_in
from tests.support.plans import decide, faults, plan

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("urn:service:sos", "sos"),
        ("URN:Service:SOS.Police", "sos.police"),
        ("urn:service:sos.ecall.automatic", "sos.ecall.automatic"),
        ("urn:service:sos.animal-control", "sos.animal-control"),
        ("urn:service:sos.country-specific.ch.117", "sos.country-specific.ch.117"),
        ("urn:service:test.sos", "test.sos"),
        ("urn:service:sos?+x", "sos"),
        ("urn:service:sos.fire?=a=b", "sos.fire"),
        ("urn:service:" + "a" * 27, "a" * 27),
        # None of them is one.
        ("urn:service:" + "a" * 28, ""),
        ("urn:service:sos." + "a" * 112, "sos." + "a" * 112),
        ("urn:service:sos." + "a" * 113, ""),
        ("urn:service:", ""),
        ("urn:service:sos.", ""),
        ("urn:service:sos..police", ""),
        ("urn:service:-sos", ""),
        ("urn:service:sos-", ""),
        ("urn:service:s%6fs", ""),
        ("urn:service:sos;user=phone", ""),
        ("urn:service:sos?", ""),
        ("urn:service:sos\n", ""),
        ("urn:service:\u017fos", ""),
        ("urn:isbn:0451450523", ""),
        ("sip:sos@pbx.example", ""),
        ("112", ""),
        ("", ""),
    ],
)
def test_a_service_urn_is_read_as_its_grammar_says(text: str, service: str) -> None:
    assert service_in(text) == service


@given(st.text(st.sampled_from("aZ0-.?+=%;: \r\n\u017fé"), max_size=140), st.booleans())
def test_whatever_stands_there_is_a_service_or_none(text: str, urn: bool) -> None:
    written = f"urn:service:{text}" if urn else text
    service = service_in(written)
    assert set(service) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    if service:
        assert service_in(f"URN:SERVICE:{service.upper()}") == service
        assert all(service_in(f"urn:service:{one}") == one for one in more_general(service))
    decision = plan("routes: [{name: a, do: [echo]}]").decide(Query("extension/101", written, NOON))
    assert decision.emergency or not is_for_help(service)


def test_labels_are_taken_off_from_the_right() -> None:
    assert more_general("sos.a.b") == ("sos.a.b", "sos.a", "sos")
    assert [is_for_help(one) for one in ("sos", "sos.fire", "sosx", "test.sos", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]


ROUTES = """
    routes:
      - {name: help, when: {from: extension, number: [HELP]}, do: [{dial: trunk/rescue}]}
      - {name: phones, when: {from: extension, number: ["1XX", "7XX"]}, do: [{dial: "extension/{number}"}]}
      - {name: recorded, when: {from: extension, number: "600"}, do: [{play: sorry}]}
      - {name: line, when: {from: extension, number: "0."}, do: [{set: {number: {strip: 1}}}, {dial: trunk/cheap}]}
      - {name: passed, when: {from: trunk, number: "."}, do: [{dial: trunk/rescue}]}
"""


def becomes(
    service: str, numbering: str, routed: str = '"112", "110", "911"', source: str = "extension/101"
) -> tuple[str | None, str]:
    """Return the route that a service takes and the number that is dialled, of a call that is one for help."""
    text = f"    numbering: {{{numbering}}}\n" + ROUTES.replace("HELP", routed)
    decision = decide(text, f"urn:service:{service}", source)
    assert decision.emergency is is_for_help(service)
    assert decision.dialled == f"urn:service:{service}"
    return decision.route, decision.number


GERMANY = 'country: "49"'


@pytest.mark.parametrize(
    ("service", "numbering", "expected"),
    [
        ("sos", GERMANY, "112"),
        ("sos.police", GERMANY, "110"),
        ("sos.police.traffic", GERMANY, "110"),
        ("sos.fire", GERMANY, "112"),
        ("sos.mountain", GERMANY, "112"),
        ("sos.police", GERMANY + ', emergency: ["112"]', "112"),
        ("sos", GERMANY + ', emergency: ["110", "112"]', "112"),
        ("sos", 'country: "1"', "911"),
        ("sos.police", 'country: "1"', "911"),
        ("sos", "", "112"),
        ("sos", 'emergency: ["911", "112"]', "112"),
        # What the plan says comes first, of a service before those that it is part of.
        ("sos.police", GERMANY + ", services: {sos: '112'}", "112"),
        ("sos.police", GERMANY + ", services: {sos: '112', sos.police: '911'}", "911"),
        # A number of a route that takes off an outside line calls what is behind it.
        ("sos", GERMANY + ", services: {sos: '0112'}", "112"),
        # One that gets nobody anywhere keeps no call for help.
        ("sos", GERMANY + ", services: {sos: '600'}", "112"),
        ("sos", GERMANY + ", services: {sos: '999'}", "112"),
    ],
)
def test_what_a_service_becomes(service: str, numbering: str, expected: str) -> None:
    assert becomes(service, numbering) == ("help", expected)


def test_a_country_s_services_each_have_their_number() -> None:
    for country, numbers in {
        "43": ("133", "122", "144"),
        "33": ("17", "18", "15"),
        "81": ("110", "119", "119"),
    }.items():
        routed = ", ".join(f'"{number}"' for number in dict.fromkeys(numbers))
        for service, number in zip(("police", "fire", "ambulance"), numbers, strict=True):
            assert becomes(f"sos.{service}", f'country: "{country}"', routed) == ("help", number)


@pytest.mark.parametrize(
    ("service", "numbering", "routed", "expected"),
    [
        # Without a country: the number that has a route.
        ("sos", "", '"911"', ("help", "911")),
        ("sos", "", '"112"', ("help", "112")),
        # The police's number has none.
        ("sos.police", GERMANY, '"112"', ("help", "112")),
        # A desk of one's own is no number for help, and the call is one all the same.
        ("sos", "services: {sos: '700'}", '"112"', ("phones", "700")),
        ("sos", GERMANY, '"9"', ("phones", "112")),
        ("sos", "emergency: []", '"9"', (None, "urn:service:sos")),
    ],
)
def test_a_service_gets_out_where_one_of_its_numbers_does(
    service: str, numbering: str, routed: str, expected: tuple[str | None, str]
) -> None:
    if numbering == "emergency: []":
        decision = decide(
            f"    numbering: {{{numbering}}}\n" + ROUTES.replace("HELP", routed), f"urn:service:{service}"
        )
        assert (decision.route, decision.number, decision.refusal) == (*expected, "no-route")
    else:
        assert becomes(service, numbering, routed) == expected


def test_a_trunk_calls_a_service_where_the_plan_lets_it() -> None:
    assert becomes("sos", 'country: "1"', source="trunk/customer") == ("passed", "911")
    text = ROUTES.replace("HELP", '"112"').replace("from: trunk,", "from: trunk/customer,")
    assert decide(text, "urn:service:sos", "trunk/other").refusal == "no-route"


@pytest.mark.parametrize("service", ["counseling", "test.sos", "sosx"])
def test_another_service_is_called_where_the_plan_says_what_it_is(service: str) -> None:
    assert becomes(service, GERMANY) == (None, f"urn:service:{service}")
    assert becomes(service, GERMANY + f", services: {{{service}: '700'}}") == ("phones", "700")


def test_a_route_s_limits_and_prices_do_not_stop_a_service() -> None:
    text = """
    numbering: {country: "49", services: {sos: "00900"}}
    routes:
      - {name: few, max_calls: 0, when: {from: extension, number: "112"}, do: [{dial: trunk/a}]}
      - {name: abroad, when: {from: extension, number: "00."}, do: [{dial: trunk/a}]}
    """
    decision = decide(text, "urn:service:sos")
    assert (decision.route, decision.emergency) == ("few", True), "00900 is refused, and so gets nobody anywhere"


def test_services_are_read_with_every_fault() -> None:
    text = """
    numbering:
      services: {Police: "110", sos.: "1", sos: "11 2", sos.fire: "112"}
    routes: [{name: a, do: [echo]}]
    """
    assert faults(text) == [
        "3:14: `services`: `Police` is no service; write what follows `urn:service:`, such as sos.police",
        "3:29: `services`: `sos.` is no service; write what follows `urn:service:`, such as sos.police",
        "3:45: `services`: `11 2` is no number that could be dialled",
    ]


def test_the_plan_s_own_tests_may_call_one() -> None:
    from pbx.dialplan.selftest import run_tests

    text = ROUTES.replace("HELP", '"112"') + (
        "    tests:\n"
        '      - {call: {from: extension/101, number: "urn:service:sos.fire"}, expect: {route: help, number: "112"}}\n'
        '      - {call: {from: extension/101, number: "urn:service:sos"}, expect: {route: phones}}\n'
    )
    failed = run_tests(plan(text))
    assert len(failed) == 1
    assert "phones" in str(failed[0])
