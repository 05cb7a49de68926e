from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pbx.dialplan.decision import Query
from pbx.dialplan.explain import decision_lines
from pbx.dialplan.steps import (
    RECORDED,
    AnswerStep,
    CallerOverride,
    ConferenceStep,
    DialStep,
    EchoStep,
    FeatureStep,
    HangUpStep,
    PlayStep,
    Recording,
    RecordStep,
    RejectStep,
    Target,
    VoicemailStep,
    WaitStep,
)
from tests.support.plans import NOON, decide, plan


def first_dial(text: str, number: str, source: str = "extension/101", **more: object) -> DialStep:
    step = decide(text, number, source, **more).steps[0]  # type: ignore[arg-type]
    assert isinstance(step, DialStep)
    return step


def test_the_first_route_that_matches_takes_the_call() -> None:
    text = """
        routes:
          - {name: a, when: {from: trunk/x, number: "2XXX"}, do: [{dial: extension/101}]}
          - {name: b, when: {from: trunk, number: ["1", "2."]}, do: [{dial: extension/102}]}
          - {name: c, do: [{reject: busy}]}
    """
    assert decide(text, "2000", "trunk/x").route == "a"
    assert decide(text, "2000", "trunk/y").route == "b"
    assert decide(text, "3", "trunk/y").route == "c"
    assert decide(text, "2000", "extension/1").route == "c"
    assert decide(text, "", "nobody").route == "c"


def test_no_route() -> None:
    decision = decide("routes: [{name: a, when: {number: '1'}, do: [echo]}]", "2")
    assert (decision.route, decision.number, decision.steps, decision.refusal) == (None, "2", (), "no-route")


def test_set_number_in_its_order() -> None:
    text = """
        routes:
          - name: a
            when: {from: trunk, number: "0Z."}
            do:
              - set: {number: {strip: 1, prefix: "+49"}}
              - dial: [trunk/a, extension/7]
    """
    step = first_dial(text, "0301", "trunk/x")
    assert step.number == "+49301"
    assert step.targets == (Target("trunk", "a", "+49301"), Target("extension", "7", "7"))
    assert decide(text, "0301", "trunk/x").number == "+49301"


def test_groups_and_placeholders() -> None:
    text = r"""
        routes:
          - name: a
            when: {from: trunk, number: "/9(?P<area>\\d\\d)(\\d+)/"}
            do:
              - set: {number: "{2}{area}", caller: {number: "{caller}0", name: "{source}"}}
              - set: {headers: {X-Was: "{dialled} {number} {caller} {caller_name}"}}
              - dial: trunk/a
    """
    step = first_dial(text, "9123", "trunk/x", caller="5")
    assert step.number == "312"
    assert step.caller == CallerOverride("50", "x")
    assert step.headers == (("X-Was", "9123 312 50 x"),)


def test_a_later_set_lays_over_an_earlier_one() -> None:
    text = """
        routes:
          - name: a
            when: {from: trunk}
            do:
              - set: {caller: {number: "1", name: A}, headers: {X-A: "1", X-B: "1"}}
              - set: {caller: {anonymous: true}, headers: {x-a: "2"}}
              - dial: trunk/a
    """
    step = first_dial(text, "1", "trunk/x")
    assert step.caller == CallerOverride("1", "A", True)
    assert step.headers == (("X-B", "1"), ("x-a", "2"))


def test_handlers_have_what_was_set_before_and_keep_what_they_set() -> None:
    text = """
        routes:
          - name: a
            when: {from: trunk}
            do:
              - set: {number: {prefix: "9"}}
              - dial: trunk/a
                on:
                  busy:
                    - set: {number: {prefix: "8"}}
                    - dial: trunk/b
                  unanswered: [{voicemail: "{number}"}]
                  any: []
              - dial: trunk/c
    """
    decision = decide(text, "1", "trunk/x")
    first, second = decision.steps
    assert isinstance(first, DialStep)
    assert isinstance(second, DialStep)
    (handler,) = first.on["busy"]
    assert isinstance(handler, DialStep)
    assert handler.number == "891"
    assert first.on["unanswered"] == (VoicemailStep("91"),)
    assert first.on["any"] == ()
    assert second.number == "91"


def test_every_step() -> None:
    text = """
        routes:
          - name: a
            do:
              - answer
              - wait: 1s
              - play: [hello-world, "digits/{number}", "{recording}"]
                early: true
                repeat: 0
              - echo:
                limit: 5s
              - record: "memo-{caller}"
                limit: 20s
                beep: no
                finish: "*0"
              - record:
              - voicemail: "{number}"
              - queue: sales
              - play: beep
              - reject: busy
          - {name: b, do: [{hangup: no-answer}]}
          - {name: c, do: [hangup]}
          - {name: d, do: [{reject: 486}]}
          - {name: e, do: [{reject: forbidden, status: 480}]}
    """
    made = plan(text)
    decision = made.decide(Query("extension/1", "1", NOON, caller="../x"))
    assert decision.steps == (
        AnswerStep(),
        WaitStep(1.0),
        PlayStep(("hello-world", "digits/1", RECORDED), early=True, repeat=0),
        EchoStep(5.0),
        RecordStep("memo-%2E%2E%2Fx", 20.0, beep=False, finish="*0"),
        RecordStep(),
        VoicemailStep("1"),
        FeatureStep("queue", "sales"),
        PlayStep(("beep",)),
        RejectStep("busy"),
    )
    outcomes = [made.attempt(route, Query("x", "1", NOON), "x", "") for route in made.routes[1:]]
    assert [outcome.steps for outcome in outcomes if outcome is not None and not isinstance(outcome, Exception)] == [
        (HangUpStep("no-answer", "no-answer"),),
        (HangUpStep(),),
        (RejectStep("busy", 486),),
        (RejectStep("forbidden", 480),),
    ]


def test_every_option_of_dial() -> None:
    text = """
        allow_hosts: [Example.com]
        routes:
          - name: a
            when: {from: trunk}
            do:
              - dial: ["sip:{number}@example.com:5070;transport=tcp", "extension/{number}"]
                timeout: 5s
                strategy: all
                record: {failure: end}
                max_duration: 1h
                ringback: hello
                pass_headers: [X-Account, subject]
    """
    headers = (("X-Account", "7"), ("Subject", "hi"), ("X-Private", "no"))
    step = first_dial(text, "a b@c", "trunk/x", headers=headers)
    assert step == DialStep(
        (
            Target("uri", "sip:a%20b%40c@example.com:5070;transport=tcp", "a%20b%40c"),
            Target("extension", "a b@c", "a b@c"),
        ),
        "a b@c",
        5.0,
        "all",
        Recording("end"),
        3600.0,
        None,
        (("X-Account", "7"), ("Subject", "hi")),
        "hello",
    )
    assert (
        first_dial("routes: [{name: a, when: {from: trunk}, do: [{dial: trunk/a, record: no}]}]", "1", "trunk/x").record
        is None
    )
    assert first_dial(
        "routes: [{name: a, when: {from: trunk}, do: [{dial: trunk/a, record: yes}]}]", "1", "trunk/x"
    ).record


def test_goto_goes_on_with_the_other_routes_steps() -> None:
    text = r"""
        routes:
          - {name: a, when: {number: "/1(.)/"}, do: [{set: {number: "5"}}, {goto: b}]}
          - {name: b, when: {number: "/2(.)/"}, do: [{play: "x-{number}-{1}"}, {goto: c}]}
          - {name: c, when: {number: "3"}, do: [echo]}
    """
    assert decide(text, "17").steps == (PlayStep(("x-5-7",)), EchoStep())
    assert decide(text, "17").route == "a"


def test_a_conference_and_its_rules() -> None:
    text = """
        routes:
          - name: rooms
            when: {number: "8XX"}
            do:
              - conference: "room-{number}"
                pin: "0123"
                moderator_pin: 99
                mute: true
                announce: false
                max_members: 20
                record: true
                wait_for_moderator: true
                end_with_moderator: true
          - {name: bare, when: {number: "9"}, do: [{conference: lobby, moderator: true}]}
    """
    (step,) = decide(text, "801").steps
    assert step == ConferenceStep(
        "room-801", "0123", "99", False, True, False, 20, True, wait_for_moderator=True, end_with_moderator=True
    )
    assert decide(text, "9").steps == (ConferenceStep("lobby", moderator=True),)
    (line,) = decision_lines(decide(text, "801"))
    assert line == (
        0,
        "conference room-801, asking for a PIN, muted at first, with at most 20 members, recorded, "
        "silent until a moderator comes, until the last moderator goes",
    )


@pytest.mark.parametrize(
    ("caller", "headers", "route"),
    [
        ("0171", (), "mobile"),
        ("", (), "hidden"),
        ("030", (("x-account", "GOLD"),), "gold"),
        ("030", (("X-Account", "gold"), ("X-Tier", "a7")), "tier"),
        ("030", (("X-Tier", "b7"),), "rest"),
    ],
)
def test_caller_and_headers(caller: str, headers: tuple[tuple[str, str], ...], route: str) -> None:
    text = r"""
        routes:
          - {name: mobile, when: {caller: "01."}, do: [echo]}
          - {name: hidden, when: {caller: [anonymous, "999"]}, do: [echo]}
          - {name: tier, when: {header: {X-Account: gold, X-Tier: "/a\\d/"}}, do: [echo]}
          - {name: gold, when: {header: {X-Account: gold}}, do: [echo]}
          - {name: rest, do: [echo]}
    """
    assert decide(text, "1", caller=caller, headers=headers).route == route


@pytest.mark.parametrize(
    ("at", "route"),
    [
        (datetime(2026, 11, 20, 16, 59, tzinfo=UTC), "day"),  # 17:59 in Berlin
        (datetime(2026, 11, 20, 17, 0, tzinfo=UTC), "night"),
        (datetime(2026, 7, 20, 6, 0, tzinfo=UTC), "day"),  # 08:00 in Berlin's summer
        (datetime(2026, 12, 25, 10, 0, tzinfo=UTC), "night"),
    ],
)
def test_times_are_read_in_the_plans_zone(at: datetime, route: str) -> None:
    text = """
        zone: Europe/Berlin
        hours: {office: ["Mon-Fri 08:00-18:00"], holidays: ["12-24..12-26"]}
        routes:
          - {name: day, when: {at: [office, not holidays]}, do: [echo]}
          - {name: night, do: [echo]}
    """
    assert decide(text, "1", at=at).route == route


OPEN = """
    numbering: {country: "49"}
    routes:
      - {name: all, when: {number: ".", from: [extension, trunk]}, do: [{dial: trunk/a}]}
"""


@pytest.mark.parametrize(
    ("source", "number", "refusal"),
    [
        ("extension/1", "0301", ""),
        ("extension/1", "0044", "forbidden"),
        ("extension/1", "+44", "forbidden"),
        ("extension/1", "0900", "forbidden"),
        ("trunk/x", "0044", ""),
        ("trunk/x", "0900", ""),
        ("anonymous", "0301", "no-route"),
    ],
)
def test_what_costs_money_is_refused(source: str, number: str, refusal: str) -> None:
    assert decide(OPEN, number, source).refusal == refusal


def test_a_refused_number_goes_on_to_a_route_that_allows_it() -> None:
    text = (
        OPEN
        + """
      - {name: abroad, international: true, when: {from: extension/1, number: "00."}, do: [{dial: trunk/a}]}
      - {name: no, when: {from: extension/2}, do: [{reject: forbidden}]}
    """
    )
    assert decide(text, "0044", "extension/1").route == "abroad"
    assert decide(text, "0044", "extension/2").route == "no"
    assert decide(text, "00479", "extension/1").route == "abroad"
    assert decide(text, "00979", "extension/1").refusal == "forbidden"


@pytest.mark.parametrize(
    ("rewrite", "number", "taken"),
    [
        ('{strip: 1, prefix: "+49"}', "0301", True),
        ('{strip: 1, prefix: "+"}', "0301", False),
        ("{strip: 1}", "9004420", False),  # an outside-line prefix does not get around it
        ("{strip: 1}", "9030", True),
        ('"+{number}"', "4420", False),
        ('"+44{number}"', "20", True),
        ('{prefix: "{number}"}', "00", False),
    ],
)
def test_the_number_sent_counts_not_the_one_dialled(rewrite: str, number: str, taken: bool) -> None:
    text = f"""
        routes:
          - name: a
            when: {{from: extension, number: "."}}
            do: [{{set: {{number: {rewrite}}}}}, {{dial: trunk/a}}]
    """
    assert (decide(text, number).route == "a") is taken


def test_handlers_and_goto_and_uris_are_guarded_too() -> None:
    text = """
        allow_hosts: [gw.example]
        routes:
          - name: a
            when: {from: extension, number: "1."}
            do: [{dial: extension/1, on: {any: [{set: {number: "00{number}"}}, {dial: trunk/a}]}}]
          - {name: b, when: {from: extension, number: "2."}, do: [{set: {number: "00{number}"}}, {goto: d}]}
          - {name: c, when: {from: extension, number: "0."}, do: [{dial: "sip:{number}@gw.example"}]}
          - {name: d, when: {from: extension, number: "4"}, do: [{dial: trunk/a}]}
    """
    for number in ("144", "244", "0044"):
        assert decide(text, number).refusal == "forbidden"
    assert decide(text, "044").route == "c"


def test_nobody_unknown_dials_out() -> None:
    text = "routes: [{name: a, do: [{dial: trunk/a}]}]"
    assert decide(text, "1", "anonymous").refusal == "forbidden"
    assert decide(text, "1", "").refusal == "forbidden"
    assert decide("routes: [{name: a, do: [{dial: extension/1}]}]", "1", "").route == "a"


def test_headers_are_removed_and_rewritten() -> None:
    text = """
        routes:
          - name: all
            when: {number: "."}
            do:
              - set: {headers: {X-A: "1", X-Account: "tenant-{header.x-account} of {number}"}}
              - set: {headers: {X-A: null, X-Colour: null}}
              - dial: trunk/t
                pass_headers: [X-Account, X-Colour, X-Shape]
    """
    headers = (("X-Account", "7\r\nVia: x"), ("X-Colour", "red"), ("X-Shape", "round"))
    step = first_dial(text, "123", "trunk/x", headers=headers)
    assert step.headers == (("X-Account", "tenant-7%0D%0AVia: x of 123"), ("X-Shape", "round"))
