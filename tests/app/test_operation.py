"""The operators' side over small stand-ins for the rooms: everything that is published is read, and answered over
HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pbx.app.operation import Operation
from pbx.call.commands import Party
from pbx.call.occupancy import Occupancy
from pbx.call.summary import Attempt, LegSummary, RecordingSummary, Summary
from pbx.cause import cause_named
from pbx.config.kinds import HostPort
from pbx.config.secret import Secret
from pbx.features.conference import Conferences
from pbx.net.counters import Counters
from pbx.net.trace import Trace
from pbx.ops.health import Phase
from pbx.ops.program import EXECUTION, PROGRAM
from pbx.registrar.binding import Binding
from pbx.registrar.location import Change, Location
from pbx.security.bans import BanLimits, BanList
from pbx.sip.stack import Flow
from pbx.sip.uri import Uri
from pbx.store.store import Store
from pbx.trunks.account import Status
from pbx.trunks.health import Health, TrunkStatus
from pbx.trunks.registration_table import State
from pbx.trunks.table import Source, Trunk, TrunkTable
from tests.support.call_rig import Rig

FLOW = Flow("udp", ("192.0.2.201", 5060), ("203.0.113.9", 31337))


class Registry:
    def __init__(self) -> None:
        self.running: dict[str, Summary] = {}
        self.originated: list[tuple[Any, ...]] = []
        self.refused = {"rate": 9}

    def __len__(self) -> int:
        return len(self.running)

    def get(self, call_id: str) -> Summary | None:
        return self.running.get(call_id)

    def all(self) -> list[Summary]:
        return list(self.running.values())

    def hang_up(self, call_id: str) -> bool:
        return self.running.pop(call_id, None) is not None

    def originate(self, *arguments: Any) -> str:
        self.originated.append(arguments)
        return "c9"


class Watched:
    """The health of trunks."""

    def __init__(self) -> None:
        self.status = TrunkStatus("carrier", Health.UP, 900.0, 0.25, "200 OK")

    def of(self, trunk: str) -> TrunkStatus | None:
        return self.status if trunk == "carrier" else None

    def __iter__(self) -> Iterator[TrunkStatus]:
        return iter([self.status, TrunkStatus("new")])


class Timer:
    def cancel(self) -> None:
        pass


REGISTERED = Status("carrier", State.REGISTERED, until=1060.0)


def make_server(directory: Path, store: Store, http: Any) -> Any:
    location = Location(store.bindings, lambda: 1000.0, lambda: 1e9)
    location.put(
        Binding(
            "sip:101@pbx", "s", Uri.parse("sip:101@10.0.0.7"), 500, 1000.0, 1060.0, "c", 1, FLOW, user_agent="phone"
        )
    )
    trunks = TrunkTable([Trunk("carrier", Uri.parse("sip:192.0.2.9"), (Source(ip_network("192.0.2.9")),), max_calls=5)])
    occupancy = Occupancy(lambda target: None)
    occupancy.enter("trunk/carrier", "c1")
    trace = Trace()
    return SimpleNamespace(
        settings=SimpleNamespace(
            security=SimpleNamespace(firewall="nftables"),
            http=http,
            storage=SimpleNamespace(directory=directory, recordings_directory=directory / "recordings"),
        ),
        driver=SimpleNamespace(now=lambda: 1000.0, later=lambda delay, call: Timer()),
        observer=SimpleNamespace(on_ended=[], faults=0, verdicts={("sending", "flowing"): 3.0}),
        registry=Registry(),
        store=store,
        location=location,
        registrar=SimpleNamespace(responses={200: 7}, changes=dict.fromkeys(Change, 3)),
        authenticator=SimpleNamespace(counts={"wrong": 4}),
        trace=trace,
        counters=Counters(),
        layer=SimpleNamespace(counters={"malformed_dropped": 2}, clients=3, servers=4),
        context=SimpleNamespace(dialogs=["leg"]),
        leg_counters={"late-answer": 1},
        lines=SimpleNamespace(registrations=[REGISTERED]),
        admission=SimpleNamespace(strangers=8),
        signatures=SimpleNamespace(outcomes={"passed": 9}),
        guard=SimpleNamespace(
            dropped={"banned": 5, "rate": 6}, connections_refused=0, bans=BanList(BanLimits(), lambda: 0.0)
        ),
        shedding=SimpleNamespace(control=SimpleNamespace(rate=None, refused=3)),
        budgeting=SimpleNamespace(budgets=SimpleNamespace(refused={"abroad": 2}), all=list),
        directory=SimpleNamespace(
            lines=SimpleNamespace(of=lambda trunk: REGISTERED),
            rate=lambda name: 5.0,
            why_down=lambda trunk: "it wants no calls for 30 s",
            trunks=trunks,
            occupancy=occupancy,
            health=Watched(),
            extension_party=lambda name: Party("101", "Alice") if name == "101" else None,
        ),
        engine=SimpleNamespace(
            counters=lambda: SimpleNamespace(
                streams=2,
                ports_free=10,
                ports_draining=1,
                ports_ready=2,
                commands_refused=0,
                events_dropped=0,
                recording_packets_dropped=0,
                sounds_failed=0,
            )
        ),
        network=SimpleNamespace(listening=(1, 2)),
        conferences=Conferences(Rig().registry.rooms, lambda: 1000.0),
        sidecars=SimpleNamespace(failures=2),
        firewall=SimpleNamespace(failed=1, dropped=4),
        hep=SimpleNamespace(counts=lambda: {"sent": 8, "failed": 0, "dropped": 1}),
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path)
    yield made
    made.stop()


def http(token: str | None = "secret-token", listen: str = "127.0.0.1") -> Any:
    return SimpleNamespace(
        listen=HostPort(listen, 0), token=Secret(token) if token else None, certificate=None, key=None, allow_from=None
    )


def ended(call: str) -> Summary:
    summary = Summary(call, "trunk/carrier", Party("1"), "101", datetime.now(UTC), 10.0)
    summary.rang, summary.answered, summary.ended = 10.5, 12.0, 72.0
    summary.cause = cause_named("answered-caller-hung-up")
    summary.attempts = [Attempt("trunk/carrier", "busy"), Attempt("trunk/carrier", "answered")]
    summary.recordings = [RecordingSummary("r", "x.wav", datetime.now(UTC), status="complete")]
    return summary


def test_everything_is_published_and_answered(tmp_path: Path, store: Store) -> None:
    server = make_server(tmp_path, store, http())

    async def go() -> None:
        loop = asyncio.get_running_loop()
        operation = Operation(server, loop, {})
        assert operation.web is not None
        base = f"http://127.0.0.1:{operation.web.address[1]}"
        assert operation.health.phase is Phase.STARTING
        operation.start()
        server.trace.capture(b"INVITE sip:101@x SIP/2.0\r\nCall-ID: one\r\n\r\n", FLOW, 1.0, False)
        running = Summary("c1", "extension/101", Party("101"), "102", datetime.now(UTC), 1.0)
        running.legs["c1-0"] = LegSummary("c1-0", "extension/101", "one")
        server.registry.running["c1"] = running
        for tell in server.observer.on_ended:
            tell(ended("c0"))
        headers = {"Authorization": "Bearer secret-token"}
        async with httpx.AsyncClient(base_url=base, headers=headers) as client:
            text = (await client.get("/metrics")).text
            check_metrics(text)
            (one,) = (await client.get("/api/v1/registrations")).json()["registrations"]
            assert (one["expires"], one["q"], one["behind_nat"]) == (60.0, 0.5, True)
            (trunk,) = (await client.get("/api/v1/trunks")).json()["trunks"]
            assert (trunk["active"], trunk["inbound"], trunk["outbound"], trunk["failed"]) == (1, 1, 2, 1)
            assert (trunk["health"], trunk["health_for"], trunk["round_trip"]) == ("up", 100.0, 0.25)
            assert "INVITE" in (await client.get("/api/v1/calls/c1/trace")).text
            assert (await client.get("/api/v1/calls/c1/trace.pcap")).content[:4] == b"\xd4\xc3\xb2\xa1"
            made = await client.post("/api/v1/calls", json={"source": "extension/101", "number": "0301"})
            assert made.json() == {"id": "c9"}
            refused = await client.post("/api/v1/calls", json={"source": "extension/999", "number": "0301"})
            assert refused.status_code == 409
            status = (await client.get("/api/v1/status")).json()
            assert status["execution"] == EXECUTION
            assert status["checks"] == {"listeners": "ok: 2 up", "store": "ok", "media": "ok"}
            assert (await client.get("/readyz")).status_code == 200
            operation.draining()
            assert (await client.get("/readyz")).status_code == 503
            assert (await client.get("/healthz")).status_code == 200
            server.settings.http = http("changed-token")
            assert (await client.get("/api/v1/status")).status_code == 401
        operation.stop()
        await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(go(), 30))


def check_metrics(text: str) -> None:
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    expected = {
        ("tandem_build_info", *sorted(PROGRAM.values())): 1,
        ("tandem_calls_active",): 1,
        ("tandem_calls_total", "answered-caller-hung-up"): 1,
        ("tandem_call_duration_seconds_sum",): 60.0,
        ("tandem_call_setup_seconds_sum",): 2.0,
        ("tandem_recordings_total", "complete"): 1,
        ("tandem_bindings",): 1,
        ("tandem_sip_messages_total", "INVITE", "in"): 1,
        ("tandem_sip_dropped_total", "banned"): 5,
        ("tandem_sip_dropped_total", "malformed"): 2,
        ("tandem_sip_transactions", "server"): 4,
        ("tandem_sip_dialogs",): 1,
        ("tandem_trunk_calls_active", "carrier"): 1,
        ("tandem_trunk_registered", "carrier"): 1,
        ("tandem_calls_unmatched_total",): 8,
        ("tandem_calls_refused_total", "rate"): 9,
        ("tandem_trunk_calls_total", "carrier", "outbound-failed"): 1,
        ("tandem_trunk_up", "carrier"): 1,
        ("tandem_trunk_up", "new"): None,
        ("tandem_trunk_round_trip_seconds", "carrier"): 0.25,
        ("tandem_media_ports", "free"): 10,
        ("tandem_media_ports", "ready"): 2,
        ("tandem_authentications_total", "wrong"): 4,
    }
    assert {name: found.get(name) for name in expected} == expected


def test_a_token_is_made_where_none_is_configured(tmp_path: Path, store: Store) -> None:
    server = make_server(tmp_path, store, http(None))
    loop = asyncio.new_event_loop()
    operation = Operation(server, loop, {})
    assert operation._token() == (tmp_path / "api-token").read_text().strip()
    operation.stop()
    loop.close()


def test_without_http_there_is_no_web_and_systemd_is_told(tmp_path: Path, store: Store) -> None:
    nothing = SimpleNamespace(listen=None, token=None, certificate=None, key=None)
    server = make_server(tmp_path, store, nothing)
    loop = asyncio.new_event_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(2)
        operation = Operation(server, loop, {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert operation.web is None
        assert not (tmp_path / "api-token").exists()
        operation.start()
        operation.reloading()
        operation.reloaded()
        operation._alive()
        operation.draining()
        server.registry.running["c1"] = SimpleNamespace()
        for _ in range(2):
            operation._alive()
        heard = [systemd.recv(1000).decode() for _ in range(8)]
        operation.stop()
    more = "EXTEND_TIMEOUT_USEC=30000000"
    assert [one.splitlines()[0] for one in heard[:3]] == ["READY=1", "RELOADING=1", "READY=1"]
    assert heard[3].splitlines() == ["STOPPING=1", "STATUS=draining 0 calls"]
    assert heard[4:] == [more, more, "STATUS=draining 1 calls", more]
    loop.close()
