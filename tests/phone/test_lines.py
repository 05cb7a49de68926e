"""What people read and programs parse of a phone's notices."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from pbx.phone import notices as n
from pbx.phone.lines import data_of, line_of, notice_of, printable

SAMPLES: list[tuple[n.Notice, str]] = [
    (n.Registering("101@h", "udp h"), "registering  101@h by udp h"),
    (n.Registered("101", 300, "sip:101@192.0.2.1"), "registered   for 300 s as sip:101@192.0.2.1"),
    (n.RegistrationTrouble("no such user", 404), "failed       no such user"),
    (n.RegistrationTrouble("no answer", 0, 5.2), "unregistered no answer; again in 5 s"),
    (n.Unregistered(True), "unregistered"),
    (n.Unregistered(False), "unregistered the server did not confirm it"),
    (n.Waiting("sip:101@192.0.2.1"), "waiting      for a call, at sip:101@192.0.2.1"),
    (n.Calling("sip:600@h"), "calling      sip:600@h"),
    (n.Called("102", "Bob", "101"), "called       by Bob <102>"),
    (n.Called("102", "", "101"), "called       by <102>"),
    (n.Ringing(), "ringing"),
    (n.Ringing(here=True), "ringing      here"),
    (n.EarlyMedia("PCMU", "192.0.2.1:4000"), "early media  PCMU, audio with 192.0.2.1:4000"),
    (n.Answered("PCMU", "192.0.2.1:4000"), "answered     PCMU, audio with 192.0.2.1:4000"),
    (n.Answered("PCMU", "192.0.2.1:4000", here=True), "answered     here, PCMU, audio with 192.0.2.1:4000"),
    (n.MediaChanged("PCMA", "192.0.2.1:4002"), "changed      PCMA, audio with 192.0.2.1:4002"),
    (n.Held(True), "on hold      the peer sends only, such as music"),
    (n.Held(False), "on hold      the peer neither sends nor hears"),
    (n.Resumed(), "resumed"),
    (n.Moved("192.0.2.9:1"), "moved        audio comes from 192.0.2.9:1 and goes there now"),
    (n.Silent(10.0), "silent       no audio has come for 10 s"),
    (n.KeyHeard("5", 160, "rtp"), "key heard    5 for 160 ms"),
    (n.KeyHeard("5", 160, "info"), "key heard    5 for 160 ms by INFO"),
    (n.KeysSent("12", "rtp"), "keys sent    12"),
    (n.KeysSent("12", "info"), "keys sent    12 by INFO: the peer takes no telephone-events"),
    (n.KeysSent("", "info", "the peer answers 415"), "keys lost    the peer answers 415"),
    (n.TextHeard("hello"), "text         hello"),
    (n.PlayEnded("a.wav", 1.5), "played       a.wav, 1.5 s"),
    (n.PlayEnded("a.wav", 0.0, "24 bits"), "failed       a.wav cannot be played: 24 bits"),
    (n.RecordingEnded("b.wav", 2.0), "recorded     b.wav, 2.0 s"),
    (n.RecordingEnded("b.wav", 0.0, "disk full"), "failed       b.wav cannot be recorded: disk full"),
    (
        n.HungUp(n.Who.PEER, "answered-callee-hung-up", "The callee hung up.", "Q.850 16 The callee hung up", True, 3),
        "hung up      by the peer after 3.0 s",
    ),
    (
        n.HungUp(n.Who.NETWORK, "session-expired", "It was not refreshed.", "", True, 90),
        "hung up      by the network after 90.0 s: It was not refreshed.",
    ),
    (n.HungUp(n.Who.US, "cancelled", "The caller gave up before an answer."), "hung up      by us before an answer"),
    (
        n.HungUp(n.Who.PEER, "busy", "The callee is busy.", "486 Busy Here", status=486),
        "failed       The callee is busy. (486 Busy Here)",
    ),
    (
        n.Quality("PCMU", 10, 9, 1, 10.0, 1.5, 2.0, 4.1, 0, 0.5, 4.4),
        "quality      sent 10 packets, received 9, lost 1 (10.0 %), jitter 1.5 ms, round trip 2.0 ms, MOS 4.1, "
        "the peer's MOS 4.4 (0 lost)",
    ),
    (
        n.Quality("PCMU", 10, 0, 0, None, None, None, None, None, None, None),
        "quality      sent 10 packets, received 0, lost 0",
    ),
    (n.Fault("no ports"), "failed       no ports"),
]


def test_every_notice_has_a_sample() -> None:
    assert {type(notice) for notice, _ in SAMPLES} == set(get_args(n.Notice))


@pytest.mark.parametrize(("notice", "line"), SAMPLES, ids=lambda one: type(one).__name__)
def test_lines_and_objects(notice: n.Notice, line: str) -> None:
    assert " ".join(line_of(notice)).rstrip() == line
    data = json.loads(json.dumps(data_of(notice)))
    assert notice_of({"time": "now", **data}) == notice


def test_what_is_no_notice() -> None:
    assert notice_of({"event": "exit", "code": 0}) is None
    assert notice_of({}) is None


def test_a_peer_does_not_write_to_the_terminal() -> None:
    _, text = line_of(n.Called("102", "\x1b[2J\x07", "101"))
    assert "\x1b" not in text
    assert printable("a\nb") == "a\N{REPLACEMENT CHARACTER}b"
