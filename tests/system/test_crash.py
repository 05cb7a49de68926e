"""kill -9 in the middle of recorded calls: what was promised is there after the next start."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.peers.support import ports
from tests.peers.support.baresip import Baresip
from tests.peers.support.hearing import SILENCE, channels, length, spells
from tests.peers.support.server import Server, Site
from tests.peers.support.sipp import Sipp
from tests.peers.support.waiting import until
from tests.support.sound import tone, ulaw_encode

pytestmark = pytest.mark.peers

CALLS = 10
TALK = 3.0
"""How long the calls last until the crash. Seconds."""
CUSTOMER, CARRIER = ports.port(), ports.port()
PLAN = {
    "routes": [
        {"name": "phones", "when": {"from": "trunk/customer", "number": "1XX"}, "do": [{"dial": "extension/{number}"}]},
        {
            "name": "recorded",
            "when": {"from": "trunk/customer", "number": "2XXX"},
            "do": [{"dial": "trunk/carrier", "record": True}],
        },
    ]
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "server")
    trunks = {
        name: {"address": f"sip:127.0.0.1:{number}", "identify": [f"127.0.0.1:{number}"]}
        for name, number in (("customer", CUSTOMER), ("carrier", CARRIER))
    }
    site.write(site.settings(trunks=trunks, extensions={"101": {"name": "Alice", "password": "secret-of-101"}}), PLAN)
    return site


@pytest.fixture
def server(site: Site) -> Iterator[Server]:
    server = Server(site)
    yield server
    server.abandon()


@pytest.fixture
def phone(site: Site, tmp_path: Path) -> Iterator[Baresip]:
    phone = Baresip(tmp_path / "phone", "101", "secret-of-101", site.sip, hertz=1000)
    yield phone
    phone.quit()


def speech(path: Path, hertz: int) -> Path:
    """Write a second of a tone as SIPp wants it, bare G.711."""
    path.write_bytes(ulaw_encode(tone(hertz, 1, amplitude=12_000)))
    return path


def test_kill_9_in_recorded_calls(server: Server, phone: Baresip, tmp_path: Path) -> None:
    server.start()
    phone.start()
    server.registered("101")
    callee = Sipp(
        tmp_path, "uas-speaks", CARRIER, calls=CALLS, rate=20, SPEAKS=speech(tmp_path / "b", 1000), HOLD=60_000
    )
    caller = Sipp(
        tmp_path,
        "uac-speaks",
        CUSTOMER,
        server.site.sip,
        calls=CALLS,
        rate=20,
        SPEAKS=speech(tmp_path / "a", 440),
        NUMBER=2000,
    )
    try:
        callee.start()
        caller.start()
        until(lambda: sum(call["state"] == "talking" for call in server.calls()) == CALLS, "ten calls")
        time.sleep(TALK)
        running = {call["id"]: call for call in server.calls()}
        server.kill()
        crashed = datetime.now(UTC)
    finally:
        caller.end()
        callee.end()
    assert len(running) == CALLS

    # The phone's registration is not renewed before it is called: it has no reason to, and nothing in the log says so.
    server.start()
    phone.fresh()
    guest = Sipp(tmp_path, "uac", CUSTOMER, server.site.sip, NUMBER=101, HOLD=500).start()
    phone.wait_established()
    guest.wait()
    phone.wait_ended()
    assert [line["bindings"] for line in server.events("restored")] == [1]
    assert not server.events("binding")

    records = {record["id"]: record for record in server.records()}
    for name, call in running.items():
        record = records[name]
        assert record["cause"]["slug"] == "server-crashed"
        ended = datetime.fromisoformat(record["ended"])
        assert abs((ended - crashed).total_seconds()) < 2.5
        assert record["duration"] == pytest.approx(call["talked"], abs=2.5)
        assert [one["status"] for one in record["recordings"]] == ["interrupted"]
        path, sidecar = server.recording(record)
        assert sidecar["status"] == "interrupted"
        seconds = (crashed - datetime.fromisoformat(record["answered"])).total_seconds()
        assert length(path) == pytest.approx(seconds, abs=1.0)
        assert sidecar["duration"] / 1000 == pytest.approx(length(path), abs=0.01)
        rate, sides = channels(path)
        for hertz, samples in zip((440, 1000), sides, strict=True):
            sound = [spell for spell in spells(samples, rate) if spell.hertz != SILENCE]
            assert [spell.hertz for spell in sound] == [hertz], sound
            assert sound[0].seconds > TALK - 1.0
    assert not list(server.site.recordings.rglob("*.part"))
    phone.quit()
    server.stop()
