from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from pbx.call.commands import Party
from pbx.call.summary import Attempt, LegSummary, RecordingSummary, Summary
from pbx.cause import cause_named
from pbx.media.events import StreamStatistics
from pbx.ops.health import Check, Condition, Health, Phase
from pbx.ops.metrics import Metrics
from pbx.security.budgets import BudgetState
from pbx.store.call_records import CallRecord, LegRecord, RecordingRecord
from pbx.store.store import Store
from pbx.web.api import make_api
from pbx.web.ports import BanState, ConferenceState, MemberState, Ports, Registration, TrunkState
from pbx.web.security import Guard

TOKEN = "the-api-token"
START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def summary(call: str) -> Summary:
    made = Summary(
        call, "extension/101", Party("101", "Alice <b>"), "102", datetime.now(UTC) - timedelta(seconds=30), 10.0
    )
    made.state = "talking"
    made.route = "extensions"
    made.destination = "extension/102"
    made.number = "102"
    made.answered_at = made.started_at + timedelta(seconds=5)
    made.legs = {
        f"{call}-0": LegSummary(f"{call}-0", "extension/101", f"sip-{call}-a", "udp:127.0.0.1:5062", "PCMA/8000"),
        f"{call}-1": LegSummary(
            f"{call}-1",
            "extension/102",
            f"sip-{call}-b",
            counts=StreamStatistics(received_packets=100, lost=1, jitter=1.5, dropped_unauthentic=2),
            encryption="AEAD_AES_256_GCM",
            cause=cause_named("busy"),
        ),
    }
    made.attempts = [Attempt("extension/102", "answered")]
    made.recordings = [RecordingSummary("r1", "2026/05/04/x.wav", datetime.now(UTC))]
    return made


@dataclass
class FakeCalls:
    running: dict[str, Summary] = field(default_factory=dict)
    hung_up: list[str] = field(default_factory=list)
    recorded: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.running)

    def get(self, call_id: str) -> Summary | None:
        return self.running.get(call_id)

    def all(self) -> list[Summary]:
        return list(self.running.values())

    def record(self, call_id: str, action: str) -> str:
        if call_id not in self.running:
            raise LookupError(call_id)
        self.recorded.append((call_id, action))
        return "it is not being recorded" if action == "stop" else ""

    def hang_up(self, call_id: str) -> bool:
        self.hung_up.append(call_id)
        return self.running.pop(call_id, None) is not None


class FakeTrace:
    def ladder(self, call_ids: Iterable[str], bodies: bool) -> str:
        return "".join(f"{call_id} {bodies}\n" for call_id in call_ids if "kept" not in call_id)

    def pcap(self, call_ids: Iterable[str]) -> bytes:
        return b"\xd4\xc3\xb2\xa1" + ",".join(call_ids).encode() if list(call_ids) else b""


class FakeBans:
    def __init__(self) -> None:
        self.held: dict[str, BanState] = {}

    def all(self) -> list[BanState]:
        return list(self.held.values())

    def ban(self, address: str, reason: str, seconds: float | None) -> BanState:
        self.held[address] = BanState(address, reason, 1000.0, 1000.0 + (seconds or 300.0), 1)
        return self.held[address]

    def lift(self, address: str) -> bool:
        return self.held.pop(address, None) is not None


class FakeBudgets:
    def __init__(self) -> None:
        self.spent = [BudgetState("abroad", "extension/101", 3, 5, 90.0, None, START, False)]

    def all(self) -> list[BudgetState]:
        return self.spent

    def reset(self, budget: str, subject: str) -> bool:
        before = len(self.spent)
        self.spent = [one for one in self.spent if one.budget != budget or subject not in ("", one.subject)]
        return len(self.spent) < before


class FakeConferences:
    """One conference with one member."""

    def __init__(self) -> None:
        self.wanted: list[tuple[object, ...]] = []

    def all(self) -> list[ConferenceState]:
        member = MemberState("c1", "extension/101", "101", "Alice", 7.0, True, False, False, True)
        return [ConferenceState("sales", 7.5, True, [member])]

    def _note(self, *wanted: object) -> bool:
        self.wanted.append(wanted)
        return wanted[1] == "sales" and (len(wanted) < 3 or wanted[2] in ("c1", True, False))

    def mute(self, name: str, member: str, muted: bool) -> bool:
        return self._note("mute", name, member, muted)

    def kick(self, name: str, member: str) -> bool:
        return self._note("kick", name, member)

    def end(self, name: str) -> bool:
        return self._note("end", name)

    def record(self, name: str, on: bool) -> bool:
        return self._note("record", name, on)


class Site:
    """An application over small parts, and a way to ask it."""

    def __init__(self, directory: Path) -> None:
        self.store = Store.open(directory)
        self.calls = FakeCalls({"c1": summary("c1"), "c2": summary("c2")})
        self.health = Health()
        self.health.phase = Phase.RUNNING
        self.health.watch("store", lambda: Check(Condition.OK))
        self.metrics = Metrics()
        self.originated: list[tuple[str, str]] = []
        self.recordings = directory / "recordings"
        self.recordings.mkdir()
        self.token = TOKEN
        self.bans = FakeBans()
        self.budgets = FakeBudgets()
        self.conferences = FakeConferences()
        self.supervised: list[tuple[str, str, str, str]] = []
        self.ports = Ports(
            version="1.2.3",
            execution="compiled",
            started=START,
            calls=self.calls,
            records=self.store.records,
            trace=FakeTrace(),
            circumstances=lambda source, number, at, caller, name: {"decision.txt": f"{source} {number} {caller}"},
            recordings=self.recordings,
            registrations=lambda: [
                Registration(
                    f"sip:{number}@pbx",
                    f"sip:{number}@192.0.2.1",
                    "udp:192.0.2.1:5060",
                    99.5,
                    1.0,
                    "phone",
                    (),
                    False,
                    True,
                )
                for number in ("101", "102")
            ],
            registered=lambda: 2,
            trunks=lambda: [
                TrunkState("carrier", "sip:192.0.2.9", 1, 2, 3, 4, None, "down", 200.0, None, "no reply within 5 s")
            ],
            originate=self.originate,
            conferences=self.conferences,
            supervise=self.supervise,
            bans=self.bans,
            budgets=self.budgets,
            report=self.health.report,
            store=self.store.status,
            metrics=self.metrics.exposition,
            reactor_lag=lambda: 0.25,
        )

    def supervise(self, call: str, supervisor: str, mode: str, whisper_to: str) -> None:
        if call == "c9":
            raise LookupError("there is no running call of this id")
        self.supervised.append((call, supervisor, mode, whisper_to))

    def originate(self, source: str, number: str) -> str:
        if source == "extension/999":
            raise LookupError("extension/999 has no phone registered")
        self.originated.append((source, number))
        return "new-call"

    @cached_property
    def usual(self) -> FastAPI:
        """What answers where a test says nothing else: made once, since that takes longer than most requests."""
        return self.application()

    def application(self, open_metrics: bool = True, https: bool = False) -> FastAPI:
        return make_api(self.ports, Guard(lambda: self.token, open_metrics), https)

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = TOKEN,
        application: FastAPI | None = None,
        base: str = "http://127.0.0.1:8080",
        **options: Any,
    ) -> httpx.Response:
        headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {token}".encode("latin-1")} if token else {})

        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(application or self.usual)
            async with httpx.AsyncClient(transport=transport, base_url=base) as client:
                return await client.request(method, path, headers=headers, **options)

        return asyncio.run(go())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def record(self, call: str, seconds: int = 0, path: str = "", **changes: Any) -> CallRecord:
        """Put a record into the database."""
        started = START + timedelta(seconds=seconds)
        made = CallRecord(
            call,
            started,
            "extension/101",
            "101",
            "102",
            answered=started,
            legs=(LegRecord("extension/101", f"sip-{call}", round_trip=20.0), LegRecord("extension/102", "", mos=4.2)),
            recordings=(RecordingRecord("c1/3", path, "complete", 1000, "ab"),) if path else (),
        )
        made = replace(made.ended_by(cause_named("answered-caller-hung-up"), started + timedelta(seconds=9)), **changes)
        self.store.records.put(made)
        self.store.writer.write_now()
        return made


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.store.stop()
