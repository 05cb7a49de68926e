"""The audio verdict as a table: each finding from the counts that show it, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbx.media.events import Refusal, StreamStatistics
from pbx.media.verdict import FAULTS, RECEIVING, SENDING, Facts, Finding, Window, receiving, sending, worst
from pbx.media.verdict_text import REMEDIES, TEXTS, remedy_of, text_of

FACTS = Facts(
    peer="extension/101",
    said="203.0.113.9:4000",
    signalling="203.0.113.9",
    told="198.51.100.1:20000",
    latch=False,
    codecs=((0, "PCMU"), (101, "telephone-event"), (13, "CN")),
)
NONE = StreamStatistics()
SOME = StreamStatistics(
    received_packets=100, sent_packets=100, payload_type=0, source="203.0.113.9:4000", inspected=6, rtcp_received=1
)


def window(facts: Facts = FACTS, before: StreamStatistics = SOME, seconds: float = 5.0, **grown: object) -> Window:
    """What happened in a window: counts grow by what is given, other fields are as given."""
    values = {
        name: getattr(before, name) + value if isinstance(value, int) and name != "payload_type" else value
        for name, value in grown.items()
    }
    return Window(before, replace(before, **values), seconds, facts)


def fresh(facts: Facts = FACTS, **grown: object) -> Window:
    return window(facts, NONE, **grown)


STRANGER = {"dropped_stranger": 250, "stranger": "10.0.0.5:4000"}

RECEIVED = [
    (Finding.FLOWING, window(received_packets=250, inspected=15)),
    (Finding.FLOWING, window(received_packets=1)),
    (Finding.FLOWING, window(received_packets=250, inspected=15, silent=14)),
    (Finding.FLOWING, window(received_packets=250, inspected=15, clipped=2)),
    (Finding.FLOWING, window(received_packets=250, dropped_payload=20, payload_type=101)),
    (Finding.FLOWING, window(received_packets=250, dropped_unauthentic=3)),
    (Finding.FLOWING, window(received_packets=250, **STRANGER)),
    (Finding.FLOWING, window(received_packets=250, dropped_source=10)),
    # What cannot be passed on is the other direction's matter.
    (Finding.FLOWING, window(received_packets=250, dropped_payload=250, payload_type=0)),
    (Finding.HELD, window(replace(FACTS, receive=False))),
    (Finding.HELD, window(replace(FACTS, muted_receive=True), received_packets=250)),
    (Finding.WRONG_PAYLOAD, window(received_packets=250, dropped_payload=250, payload_type=8)),
    (Finding.WRONG_PAYLOAD, window(dropped_payload=40, payload_type=96)),
    (Finding.SILENT, window(received_packets=250, inspected=15, silent=15)),
    (Finding.SILENT, window(received_packets=25, inspected=1, silent=1)),
    (Finding.CLIPPED, window(received_packets=250, inspected=15, clipped=3)),
    (Finding.SECOND_SOURCE, window(received_packets=250, dropped_source=250)),
    (Finding.UNAUTHENTIC, fresh(replace(FACTS, suite="AES_CM_128_HMAC_SHA1_80"), dropped_unauthentic=250)),
    (Finding.OTHER_ADDRESS, fresh(**STRANGER)),
    (Finding.OTHER_ADDRESS, fresh(rtcp_received=1, **STRANGER)),
    (Finding.LATCHED_WRONG, window(**STRANGER)),
    (Finding.NOT_RTP, fresh(dropped_invalid=250)),
    (Finding.QUIET, window(payload_type=13)),
    (Finding.RTCP_ONLY, fresh(rtcp_received=2)),
    (Finding.STUN_ONLY, fresh(stun_received=9)),
    (Finding.STOPPED, window()),
    (Finding.NOTHING, fresh()),
    # RTCP of a stranger has no address of RTP to name.
    (Finding.NOTHING, fresh(dropped_stranger=2)),
]


@pytest.mark.parametrize(("finding", "seen"), RECEIVED, ids=[one[0].value for one in RECEIVED])
def test_what_arrives(finding: Finding, seen: Window) -> None:
    assert receiving(seen) is finding


SENT = [
    (Finding.FLOWING, window(sent_packets=250), Finding.FLOWING),
    (Finding.FLOWING, window(sent_packets=250), None),
    (Finding.FLOWING, window(sent_packets=250, refused=1), Finding.FLOWING),
    (Finding.FLOWING, window(sent_packets=250, remote_lost=100), Finding.FLOWING),
    (Finding.FLOWING, window(sent_packets=250, send_errors=3), Finding.FLOWING),
    (Finding.FLOWING, window(sent_packets=5, remote_lost=5), Finding.FLOWING),
    (Finding.HELD, window(replace(FACTS, send=False)), Finding.FLOWING),
    (Finding.HELD, window(replace(FACTS, muted_send=True)), Finding.FLOWING),
    (Finding.REFUSED, window(sent_packets=250, refused=5), Finding.FLOWING),
    (Finding.REFUSED, window(sent_packets=25, refused=1, seconds=0.5), Finding.FLOWING),
    (Finding.UNSENDABLE, window(send_errors=250), Finding.FLOWING),
    (Finding.LOST, window(sent_packets=250, remote_lost=249), Finding.FLOWING),
    (Finding.IDLE, window(), None),
    (Finding.IDLE, window(), Finding.HELD),
    (Finding.IDLE, window(), Finding.QUIET),
    (Finding.NOWHERE, fresh(replace(FACTS, said="")), Finding.FLOWING),
    (Finding.NOT_CARRIED, window(), Finding.FLOWING),
    (Finding.NOTHING_TO_SEND, window(), Finding.NOTHING),
    (Finding.NOTHING_TO_SEND, window(), Finding.WRONG_PAYLOAD),
]


@pytest.mark.parametrize(("finding", "seen", "feed"), SENT, ids=[one[0].value for one in SENT])
def test_what_is_sent(finding: Finding, seen: Window, feed: Finding | None) -> None:
    assert sending(seen, feed) is finding


def test_every_row_of_the_tables_is_tried_and_has_words() -> None:
    for arriving, table, tried in ((True, RECEIVING, RECEIVED), (False, SENDING, SENT)):
        rows = {row[0] for row in table}
        assert rows == {case[0] for case in tried}
        assert rows == set(TEXTS[arriving])
        assert set(REMEDIES[arriving]) <= rows & FAULTS


def test_every_finding_says_who_is_meant() -> None:
    for arriving, cases in ((True, RECEIVED), (False, SENT)):
        for case in cases:
            text = text_of(case[0], case[1], arriving=arriving)
            assert text.endswith(".")
            assert "extension/101" in text or case[0] is Finding.SECOND_SOURCE


def test_the_sentence_of_a_phone_behind_nat_names_both_addresses_and_the_setting() -> None:
    seen = fresh(**STRANGER)
    text = text_of(Finding.OTHER_ADDRESS, seen, arriving=True)
    assert text == "extension/101 sends from 10.0.0.5:4000 but said 203.0.113.9:4000, and is not believed."
    assert "latch: true" in remedy_of(Finding.OTHER_ADDRESS, seen, arriving=True)
    latching = fresh(replace(FACTS, latch=True), **STRANGER)
    assert "latch: true" not in remedy_of(Finding.OTHER_ADDRESS, latching, arriving=True)


def test_who_was_told_a_private_address_cannot_send_to_it() -> None:
    seen = fresh(replace(FACTS, told="192.168.1.2:20000"))
    assert "media.external_address" in remedy_of(Finding.NOTHING, seen, arriving=True)
    assert "firewall" in remedy_of(Finding.NOTHING, fresh(), arriving=True)
    local = fresh(replace(FACTS, told="192.168.1.2:20000", signalling="192.168.1.9"))
    assert "firewall" in remedy_of(Finding.NOTHING, local, arriving=True)


@pytest.mark.parametrize(
    ("refusal", "words"),
    [(Refusal.PORT, "nobody listens"), (Refusal.HOST, "no way to it"), (Refusal.POLICY, "firewall")],
)
def test_what_icmp_said_is_said(refusal: Refusal, words: str) -> None:
    seen = window(sent_packets=250, refused=5, refusal=refusal)
    assert words in text_of(Finding.REFUSED, seen, arriving=False)
    assert remedy_of(Finding.REFUSED, seen, arriving=False)


def test_a_wrong_payload_type_is_named_beside_those_agreed_on() -> None:
    text = text_of(Finding.WRONG_PAYLOAD, window(dropped_payload=40, payload_type=96), arriving=True)
    assert text == ("extension/101 sends payload type 96 where 0 (PCMU), 101 (telephone-event), 13 (CN) was agreed on.")


def test_the_worst_stands_for_the_call() -> None:
    assert worst([Finding.FLOWING, Finding.NOTHING_TO_SEND, Finding.NOTHING, Finding.SILENT]) is Finding.NOTHING
    assert worst([Finding.FLOWING, Finding.HELD]) is Finding.FLOWING
    assert worst([]) is None
