"""Real phones, of two kinds and on three transports, call each other through the server: what each sends is measured
in what the other hears and in its own channel of the recording."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers.support.hearing import SILENCE, channels, heard, length, spells
from tests.peers.support.phones import Fleet, Line, Phone
from tests.peers.support.server import Server, Site, serving
from tests.peers.support.waiting import until

pytestmark = pytest.mark.peers

BARESIP_UDP = Line("baresip", "udp", "101", 440)
BARESIP_TCP = Line("baresip", "tcp", "102", 1000)
BARESIP_TLS = Line("baresip", "tls", "103", 440)
BARESIP_UDP_2 = Line("baresip", "udp", "104", 1000)
LINPHONE_UDP = Line("linphone", "udp", "111", 1000)
LINPHONE_TCP = Line("linphone", "tcp", "112", 440)
LINPHONE_TLS = Line("linphone", "tls", "113", 1000)
CRASHES_UDP = Line("baresip", "udp", "105", 440)
CRASHES_TCP = Line("baresip", "tcp", "106", 440)
LINES = (
    BARESIP_UDP,
    BARESIP_TCP,
    BARESIP_TLS,
    BARESIP_UDP_2,
    LINPHONE_UDP,
    LINPHONE_TCP,
    LINPHONE_TLS,
    CRASHES_UDP,
    CRASHES_TCP,
)

PAIRS = [
    (BARESIP_UDP, BARESIP_UDP_2),
    (BARESIP_TLS, BARESIP_TCP),
    (BARESIP_UDP, LINPHONE_UDP),
    (LINPHONE_TCP, BARESIP_TCP),
    (BARESIP_TLS, LINPHONE_TLS),
    (LINPHONE_TCP, BARESIP_UDP_2),
]

TALK = 0.7
"""How long two talk before one holds, and after it. Seconds."""
HOLD = 0.8
"""How long a call is on hold. Seconds."""

PLAN = {
    "routes": [
        {
            "name": "extensions",
            "when": {"from": "extension", "number": "1XX"},
            "do": [{"dial": "extension/{number}", "record": True}],
        }
    ],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = Site(tmp_path_factory.mktemp("server"))
    listen = [f"udp://127.0.0.1:{site.sip}", f"tcp://127.0.0.1:{site.sip}", f"tls://127.0.0.1:{site.tls}"]
    extensions = {line.number: {"name": f"Phone {line.number}", "password": line.password} for line in LINES}
    with serving(site, site.settings(sip={"listen": listen}, extensions=extensions), PLAN) as running:
        yield running


@pytest.fixture(scope="module")
def fleet(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(server, tmp_path_factory.mktemp("phones"))
    yield made
    made.close()


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda line: str(line))
def test_talk_both_ways(server: Server, fleet: Fleet, first: Line, second: Line) -> None:
    """Each calls the other and hears it; the first one holds and resumes; each hangs up once."""
    with fleet.phones(first, second) as (one, other):
        for caller, callee, leaves in ((first, second, other), (second, first, other)):
            one.fresh()
            other.fresh()
            before = len(server.records())
            talk(one, other, dials=one if caller is first else other, number=callee.number, leaves=leaves)
            record = server.record(before + 1)
            check_record(record, caller, callee, caller_left=leaves is (one if caller is first else other))
            check_heard(one, second.hertz, goes_on=first.kind == "linphone")
            check_heard(other, first.hertz, goes_on=second.kind == "linphone")
            check_recording(server, record, caller, callee, holder=first)


def talk(one: Phone, other: Phone, dials: Phone, number: str, leaves: Phone) -> None:
    """One call, in which `one` holds and resumes and `leaves` hangs up."""
    dials.dial(number)
    one.wait_established()
    other.wait_established()
    one.hear_more(TALK)
    other.hear_more(TALK)
    one.hold()
    time.sleep(HOLD)
    one.resume()
    time.sleep(TALK)
    leaves.hang_up()
    one.wait_ended()
    other.wait_ended()


def check_heard(phone: Phone, hertz: int, goes_on: bool) -> None:
    """A phone heard the tone of the other and nothing else. baresip's file ends at the first hold, linphone's goes on
    after it."""
    tones = heard(phone.heard_file)
    assert set(tones) <= {hertz, SILENCE}, tones
    assert tones[0] == hertz
    if goes_on:
        assert length(phone.heard_file) > TALK * 1.6


def check_record(record: dict[str, Any], caller: Line, callee: Line, caller_left: bool) -> None:
    assert record["source"] == f"extension/{caller.number}"
    assert record["caller"]["number"] == caller.number
    assert record["called"] == callee.number
    assert record["destination"] == f"extension/{callee.number}"
    assert record["cause"]["slug"] == f"answered-{'caller' if caller_left else 'callee'}-hung-up"
    assert record["duration"] == pytest.approx(2 * TALK + HOLD, abs=2)
    for leg, line in zip(record["legs"], (caller, callee), strict=True):
        assert leg["target"] == f"extension/{line.number}"
        assert leg["remote"].startswith(f"{line.transport}:127.0.0.1:")
        assert leg["codec"] == "PCMU"
        # 50 packets a second, all the time but that of the hold.
        assert leg["received_packets"] > 40 * (record["duration"] - HOLD - 0.8)
        assert leg["lost"] == 0
        assert leg["mos"] > 4.2
    one, other = record["legs"]
    assert abs(one["received_packets"] - other["sent_packets"]) <= 3
    assert abs(other["received_packets"] - one["sent_packets"]) <= 3


def check_recording(server: Server, record: dict[str, Any], caller: Line, callee: Line, holder: Line) -> None:
    """The caller is heard on the left, the callee on the right; whoever was held was silent while it lasted."""
    path, sidecar = server.recording(record)
    assert (sidecar["left"], sidecar["right"]) == (f"extension/{caller.number}", f"extension/{callee.number}")
    assert (sidecar["status"], sidecar["call"]) == ("complete", record["id"])
    assert sidecar["sha256"] == record["recordings"][0]["sha256"]
    assert length(path) == pytest.approx(record["duration"], abs=0.1)
    assert sidecar["duration"] / 1000 == pytest.approx(length(path), abs=0.01)
    rate, sides = channels(path)
    for line, samples in zip((caller, callee), sides, strict=True):
        sound = [spell for spell in spells(samples, rate) if spell.seconds > 0.3]
        if line is holder and line.kind == "linphone":
            # On hold it goes on sending what its file holds.
            assert {spell.hertz for spell in sound} <= {line.hertz, SILENCE}
            continue
        assert [spell.hertz for spell in sound if spell.start > 0.2] in (
            [line.hertz, SILENCE, line.hertz],
            [SILENCE, line.hertz],
        ), sound
        silence = [spell for spell in sound if spell.hertz == SILENCE and spell.start > 0.4]
        assert silence[0].seconds == pytest.approx(HOLD, abs=0.4), sound


def test_baresip_hears_again_after_hold(server: Server, fleet: Fleet) -> None:
    """What baresip's own display says of the packets that it gets: none on hold, and all again after it."""
    with fleet.phones(BARESIP_UDP, BARESIP_UDP_2) as (one, other):
        one.dial(BARESIP_UDP_2.number)
        one.wait_established()
        other.wait_established()
        until(lambda: min(one.rates()) > 40_000, lambda: f"audio both ways: {one.rates()}", 15)
        one.hold()
        until(lambda: one.rates() == (0, 0), lambda: f"silence: {one.rates()}", 15)
        one.resume()
        until(lambda: min(one.rates()) > 40_000, lambda: f"audio both ways again: {one.rates()}", 15)
        other.hang_up()
        one.wait_ended()


@pytest.mark.parametrize("line", [CRASHES_UDP, CRASHES_TCP], ids=str)
def test_a_phone_that_has_crashed(server: Server, fleet: Fleet, line: Line) -> None:
    """Its registration is still there; who calls it is told at once that nobody is."""
    with fleet.phones(BARESIP_UDP_2) as (caller,):
        with fleet.phones(line):
            fleet.crash(line)
        before = len(server.records())
        caller.dial(line.number)
        caller.wait_ended()
        record = server.record(before + 1)
        assert record["cause"]["slug"] in ("unreachable", "unavailable")
        assert record["answered"] is None
