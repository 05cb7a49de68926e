"""Failover in the middle of a call, inside one trunk: its name has two hosts in DNS (SRV), the first one fails, and
SIPp answers at the second. The record says which were tried, and why the call went on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers.support import ports
from tests.peers.support.child import Child
from tests.peers.support.server import ROOT, Server, Site, serving
from tests.peers.support.sipp import Make, run
from tests.peers.support.streams import hanging_up

pytestmark = pytest.mark.peers

CUSTOMER, NAMES = ports.port(), ports.port()
TRUNKS = ("overloaded", "gone", "mute", "closes", "hopeless")
FIRST, SECOND = ({name: ports.port() for name in TRUNKS} for _ in range(2))
"""What is dead is remembered by address and port, so each trunk has its own."""
PATIENCE = 0.3


def zone() -> dict[str, Any]:
    """Return what the DNS server knows: of each trunk a first and a second host, by SRV."""
    records: dict[str, Any] = {"host.example.com": [["A", "127.0.0.1"]]}
    for name in TRUNKS:
        way = "_sip._tcp" if name == "closes" else "_sip._udp"
        records[f"{way}.{name}.example.com"] = [
            ["SRV", priority, 0, places[name], "host.example.com"] for priority, places in ((10, FIRST), (20, SECOND))
        ]
    return {"ttl": 60, "brief": [], "records": records}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run the DNS server."""
    folder: Path = tmp_path_factory.mktemp("names")
    (folder / "zone.json").write_text(json.dumps(zone()))
    command = [sys.executable, "-m", "tests.system.support.name_server", "127.0.0.1", str(NAMES), "zone.json"]
    child = Child(command, folder, {"PYTHONPATH": str(ROOT)})
    try:
        child.expect("ready", 20)
        yield
    finally:
        child.end()


@pytest.fixture(scope="module")
def server(names: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = Site(tmp_path_factory.mktemp("server"))
    trunks: dict[str, dict[str, Any]] = {
        "customer": {"address": f"sip:127.0.0.1:{CUSTOMER}", "identify": [f"127.0.0.1:{CUSTOMER}"]}
    }
    for name in TRUNKS:
        way = ";transport=tcp" if name == "closes" else ""
        trunks[name] = {"address": f"sip:{name}.example.com{way}", "identify": [], "try_timeout": f"{PATIENCE}s"}
    routes = [
        {"name": name, "when": {"from": "trunk/customer", "number": f"{number}XXX"}, "do": [{"dial": f"trunk/{name}"}]}
        for number, name in enumerate(TRUNKS, 2)
    ]
    sip = {"t1": "50ms", "resolver": {"servers": [f"127.0.0.1:{NAMES}"], "timeout": "5s", "dead_for": "30s"}}
    with serving(site, site.settings(trunks=trunks, sip=sip), {"routes": routes}) as running:
        yield running


def tried(record: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["target"].removeprefix("trunk/"), one["outcome"], one["detail"]) for one in record["attempts"]]


def number(trunk: str) -> str:
    return f"{2 + TRUNKS.index(trunk)}000"


def test_the_first_host_is_overloaded(server: Server, sipp: Make) -> None:
    first, second = sipp("uas-refuses", FIRST["overloaded"], STATUS=503), sipp("uas", SECOND["overloaded"])
    dialled = {"NUMBER": number("overloaded")}
    record = run(server, lambda: sipp("uac", CUSTOMER, server.site.sip, **dialled), first, second)
    where = f"udp 127.0.0.1:{FIRST['overloaded']}"
    assert tried(record) == [
        ("overloaded", "callee-overloaded", f"{where}: 503 Because"),
        ("overloaded", "answered", ""),
    ]
    # It is one call over the trunk, however many hosts that takes.
    counted = server.trunk("overloaded")
    assert (counted["outbound"], counted["failed"]) == (1, 0)
    # The next call knows, and does not ask the first one.
    again = sipp("uas", SECOND["overloaded"])
    record = run(server, lambda: sipp("uac", CUSTOMER, server.site.sip, **dialled), again)
    assert tried(record) == [("overloaded", "answered", "")]


def test_nobody_is_at_the_first_host(server: Server, sipp: Make) -> None:
    second = sipp("uas", SECOND["gone"])
    record = run(server, lambda: sipp("uac", CUSTOMER, server.site.sip, NUMBER=number("gone")), second)
    where = f"udp 127.0.0.1:{FIRST['gone']}"
    assert [one[:2] for one in tried(record)] == [("gone", "unreachable"), ("gone", "answered")]
    assert tried(record)[0][2].startswith(where)


def test_the_first_host_says_nothing(server: Server, sipp: Make) -> None:
    first, second = sipp("uas-mute", FIRST["mute"], HOLD=1000), sipp("uas", SECOND["mute"])
    record = run(server, lambda: sipp("uac", CUSTOMER, server.site.sip, NUMBER=number("mute")), first, second)
    where = f"udp 127.0.0.1:{FIRST['mute']}"
    assert tried(record) == [
        ("mute", "callee-timeout", f"{where}: no response within {PATIENCE} s"),
        ("mute", "answered", ""),
    ]


def test_the_first_host_closes_the_connection_in_mid_dial(server: Server, sipp: Make) -> None:
    second = sipp("uas", SECOND["closes"], transport="t1")
    with hanging_up(FIRST["closes"]):
        record = run(server, lambda: sipp("uac", CUSTOMER, server.site.sip, NUMBER=number("closes")), second)
    assert [one[:2] for one in tried(record)] == [("closes", "unreachable"), ("closes", "answered")]
    assert tried(record)[0][2].startswith(f"tcp 127.0.0.1:{FIRST['closes']}: ")
    assert record["legs"][-1]["remote"] == f"tcp:127.0.0.1:{SECOND['closes']}"


def test_no_host_takes_the_call(server: Server, sipp: Make) -> None:
    """Each is in the record with its own reason; the caller hears the last one."""
    first = sipp("uas-refuses", FIRST["hopeless"], STATUS=503)
    dialled = {"NUMBER": number("hopeless"), "STATUS": 503}
    record = run(server, lambda: sipp("uac-refused", CUSTOMER, server.site.sip, **dialled), first)
    assert [one[1] for one in tried(record)] == ["callee-overloaded", "unreachable"]
    assert (record["cause"]["slug"], record["cause"]["sip_status"]) == ("unreachable", 503)
