from __future__ import annotations

import json

from pbx.dialplan.explain import decision_data, decision_lines
from tests.support.plans import decide

PLAN = """
    routes:
      - name: all
        when: {from: trunk}
        do:
          - set: {number: {prefix: "+49"}, caller: {number: "7", name: Us}, headers: {X-A: b}}
          - answer
          - wait: 1500ms
          - play: [a, b]
            repeat: 0
            early: true
          - echo:
            limit: 1m
          - record: memo
            limit: 20s
          - dial: [trunk/a, extension/1]
            timeout: 20s
            record: true
            max_duration: 1h
            on: {busy: [{voicemail: "1"}], any: []}
          - dial: [extension/1, extension/2]
            strategy: all
          - queue: sales
          - reject: busy
            status: 480
      - {name: hidden, when: {from: extension}, do: [{set: {caller: {anonymous: true}}}, {dial: extension/2}, hangup]}
"""


def test_lines() -> None:
    assert decision_lines(decide(PLAN, "30", "trunk/x")) == (
        (0, "answer"),
        (0, "wait 1s500ms"),
        (0, "play a, b, over and over, without answering"),
        (0, "echo for at most 1m"),
        (0, "record the caller as memo for at most 20s"),
        (
            0,
            "dial trunk/a as +4930, then extension/1 for 20s each, showing Us 7, recorded, at most 1h, with X-A: b",
        ),
        (1, "if busy:"),
        (2, "voicemail of 1"),
        (1, "if any: end the call"),
        (0, "dial extension/1 and extension/2, all at once, for 1m, showing Us 7, with X-A: b"),
        (0, "queue sales"),
        (0, "reject the caller: busy (status 480)"),
    )
    assert decision_lines(decide(PLAN, "1")) == (
        (0, "dial extension/2 for 1m, showing nobody"),
        (0, "hang up: completed"),
    )
    assert decision_lines(decide(PLAN, "1", "nobody")) == ((0, "reject the caller: no-route"),)


def test_data_is_fit_for_json() -> None:
    data = json.loads(json.dumps(decision_data(decide(PLAN, "30", "trunk/x"))))
    assert data["route"] == "all"
    assert data["number"] == "+4930"
    assert data["call"] == {"from": "trunk/x", "number": "30", "at": "2026-11-20T12:00:00+00:00", "caller": ""}
    assert data["considered"] == [{"route": "all", "matched": True, "why": "from trunk/x", "position": "plan.yaml:3:5"}]
    dial = next(step for step in data["steps"] if step["step"] == "dial")
    assert dial["targets"][0] == {"kind": "trunk", "name": "a", "number": "+4930"}
    assert dial["on"]["busy"] == [{"step": "voicemail", "mailbox": "1"}]
    assert dial["record"]["failure"] == ""


def test_why() -> None:
    text = r"""
        zone: Europe/Berlin
        routes:
          - {name: a, when: {from: [extension/1, trunk/b]}, do: [echo]}
          - {name: b, when: {number: ["1", "2", "/3+/"]}, do: [echo]}
          - {name: c, when: {caller: ["1.", anonymous]}, do: [echo]}
          - {name: d, when: {header: {X-A: "1"}}, do: [echo]}
          - {name: e, when: {header: {X-B: "/1/"}}, do: [echo]}
          - {name: f, when: {at: "Mon 08:00-09:00"}, do: [echo]}
          - {name: g, when: {from: extension, number: "."}, do: [{dial: trunk/a}]}
          - {name: h, when: {number: "0.", caller: "5", header: {x-b: "2"}, at: "12:00-14:00"}, do: [echo]}
          - {name: i, do: [echo]}
    """
    decision = decide(text, "0044", "extension/9", caller="5", headers=(("X-B", "2"),))
    assert [(each.route, each.matched, each.why) for each in decision.considered] == [
        ("a", False, "it is for calls from extension/1 or trunk/b, not from extension/9"),
        ("b", False, "0044 does not match 1, 2 or /3+/"),
        ("c", False, "the caller 5 does not match 1. or anonymous"),
        ("d", False, "header X-A is absent, not 1"),
        ("e", False, "header X-B is 2, not /1/"),
        ("f", False, "Fri 2026-11-20 13:00 is not within Mon 08:00-09:00"),
        ("g", False, "0044, to be sent, is international and the route does not say `international: true`"),
        (
            "h",
            True,
            "from extension/9, 0044 matches 0., the caller 5 matches 5, header x-b is 2, "
            "Fri 2026-11-20 13:00 is within 12:00-14:00",
        ),
    ]
