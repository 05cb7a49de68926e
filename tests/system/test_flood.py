"""Floods of garbage and of REGISTERs: the call that is up loses no packet, and known peers go on calling."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peers.support import ports
from tests.peers.support.baresip import Baresip
from tests.peers.support.flood import Flood, garbage, registers
from tests.peers.support.hearing import SILENCE, channels, length, spells
from tests.peers.support.server import Server, Site, serving
from tests.peers.support.sipp import Sipp

pytestmark = [pytest.mark.peers, pytest.mark.alone]

RATE = int(os.environ.get("TANDEM_FLOOD_RATE", "3000"))
"""Datagrams a second. On two processors that six programs share it is the senders that set the limit."""
CALLS = 12
CUSTOMER, CARRIER = ports.port(), ports.port()
PLAN = {
    "routes": [
        {
            "name": "phones",
            "when": {"from": "extension", "number": "1XX"},
            "do": [{"dial": "extension/{number}", "record": True}],
        },
        {"name": "rest", "when": {"from": "trunk/customer", "number": "."}, "do": [{"dial": "trunk/carrier"}]},
    ]
}


def many(network: int) -> list[str]:
    """Return so many addresses that none of them sends too much for a stranger."""
    return [f"127.0.{network}.{number}" for number in range(1, 101)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = Site(tmp_path_factory.mktemp("server"))
    trunks = {
        name: {"address": f"sip:127.0.0.1:{number}", "identify": [f"127.0.0.1:{number}"]}
        for name, number in (("customer", CUSTOMER), ("carrier", CARRIER))
    }
    extensions = {number: {"password": f"secret-of-{number}"} for number in ("101", "102")}
    with serving(site, site.settings(trunks=trunks, extensions=extensions), PLAN) as running:
        yield running


@pytest.fixture
def phones(server: Server, tmp_path: Path) -> Iterator[tuple[Baresip, Baresip]]:
    one = Baresip(tmp_path / "one", "101", "secret-of-101", server.site.sip, hertz=440)
    other = Baresip(tmp_path / "other", "102", "secret-of-102", server.site.sip, hertz=1000)
    try:
        one.start()
        other.start()
        server.registered("101", "102")
        one.fresh()
        other.fresh()
        yield one, other
    finally:
        one.quit()
        other.quit()


@pytest.mark.parametrize(
    ("hosts", "make", "counter"),
    [
        (["127.0.60.1"], garbage, 'tandem_sip_dropped_total{reason="banned"}'),
        (many(61), garbage, 'tandem_sip_dropped_total{reason="malformed"}'),
        (["127.0.60.2"], registers, 'tandem_sip_dropped_total{reason="rate"}'),
        (many(62), registers, 'tandem_authentications_total{outcome="challenged"}'),
    ],
    ids=["garbage of one", "garbage of many", "registers of one", "registers of many"],
)
def test_calls_do_not_notice(
    server: Server,
    phones: tuple[Baresip, Baresip],
    tmp_path: Path,
    hosts: list[str],
    make: Callable[[int, str, int], bytes],
    counter: str,
) -> None:
    one, other = phones
    before, calls = server.metrics().get(counter, 0), len(server.records())
    one.dial("102")
    one.wait_established()
    other.wait_established()
    one.hear_more(0.5)
    with Flood(server.site.sip, hosts, RATE, make) as flood:
        callee = Sipp(tmp_path, "uas", CARRIER, calls=CALLS, rate=20).start()
        caller = Sipp(tmp_path, "uac", CUSTOMER, server.site.sip, calls=CALLS, rate=5, HOLD=100).start()
        try:
            caller.wait()
            callee.wait()
        finally:
            caller.end()
            callee.end()
        # A call between the phones can still be ended, and begun.
        one.hang_up()
        one.wait_ended()
        other.wait_ended()
        heard = other.heard_file, one.heard_file
        one.fresh()
        other.fresh()
        other.dial("101")
        one.wait_established()
        other.hear_more(0.3)
        other.hang_up()
        one.wait_ended()
    assert flood.sent > RATE
    assert server.metrics()[counter] - before > RATE / 4, server.log_tail(3)
    server.record(calls + CALLS + 2)
    record = next(one for one in server.records() if one["duration"] > 2 and one["source"] == "extension/101")
    # All that a phone sent went on to the other, all the time. How much that is of 50 a second is the phone's affair:
    # on a busy machine it leaves turns out.
    for leg, other_leg in zip(record["legs"], reversed(record["legs"]), strict=True):
        assert leg["lost"] == 0
        assert leg["received_packets"] > 30 * record["duration"]
        assert other_leg["sent_packets"] >= leg["received_packets"] - 5
    path, sidecar = server.recording(record)
    assert sidecar["gaps"] <= 40, "silence was recorded where packets were missing"
    for hertz, file in zip((440, 1000), heard, strict=True):
        rate, sides = channels(file)
        assert [spell.hertz for spell in spells(sides[0], rate) if spell.hertz != SILENCE] == [hertz]
        assert length(file) == pytest.approx(length(path), abs=0.3)
