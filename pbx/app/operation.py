"""What operators and machines see of the server: metrics, health, the HTTP API, systemd.

Everything here reads the rooms when it is asked; none of them knows of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pbx
from pbx.app.banning import Banning
from pbx.app.circumstances import configuration_text, explanation
from pbx.app.collecting import Collecting
from pbx.app.conferences import ConferenceDesk, supervise
from pbx.app.metering import watch
from pbx.call.commands import Party
from pbx.call.summary import PASSED_OVER, Summary
from pbx.dialplan.steps import Target
from pbx.net.ladder import ladder
from pbx.net.pcap import pcap
from pbx.net.trace import Trace
from pbx.ops.health import Check, Condition, Health, Phase
from pbx.ops.heartbeat import Heartbeat
from pbx.ops.metrics import Metrics
from pbx.ops.program import EXECUTION
from pbx.ops.systemd import Notifier
from pbx.security.sources import contains
from pbx.store.store import Store
from pbx.store.writer import WriterState
from pbx.trunks.account import Status as RegistrationStatus
from pbx.trunks.account import Trouble
from pbx.web.api import make_api
from pbx.web.ports import Ports, Registration, TrunkState
from pbx.web.security import Guard, ensure_token, is_loopback
from pbx.web.server import WebServer

if TYPE_CHECKING:
    from pbx.app.server import Server

__all__ = ["Operation"]

_MORE = 30.0
"""Seconds that systemd gives a server that stops from its last sign of life, if its own patience is over by then."""
_FEW_CALLS = 50
"""With fewer it is quiet: a tenth of a second during which no message is read disturbs nobody."""
_STORE_CONDITIONS = {
    WriterState.OK: Condition.OK,
    # Calls go on and nothing is lost, so it is no reason to send them elsewhere.
    WriterState.SPOOLING: Condition.DEGRADED,
    WriterState.FAILING: Condition.FAILED,
}


class Operation:
    """Built after the rooms, closed before them. EnvironmentFault if the HTTP address or token cannot be had."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, environ: Mapping[str, str]) -> None:
        self._server = server
        self._loop = loop
        self._started = datetime.now(UTC)
        self.metrics = Metrics()
        self.health = Health()
        self.notifier = Notifier(environ)
        self.heartbeat = Heartbeat(
            server.driver.now, server.driver.later, self.metrics.lag, self._alive, self.notifier.watchdog
        )
        self._collecting = Collecting(server.driver.later, lambda: len(server.registry) < _FEW_CALLS)
        self._made_token = ""
        self._said = ""
        self.web: WebServer | None = None
        watch(server, self.metrics)
        self._check()
        server.observer.on_ended.append(self._call_ended)
        http = server.settings.http
        if http.listen is not None:
            if http.token is None:
                self._made_token = ensure_token(server.settings.storage.directory)
            guard = Guard(self._token, is_loopback(http.listen.address))
            application = make_api(self._ports(), guard, http.certificate is not None, self._allows)
            self.web = WebServer(application, http.listen.address, http.listen.port, http.certificate, http.key)

    # -- life

    def start(self) -> None:
        """Begin to serve and to beat; call it when every listener is up."""
        self.heartbeat.start()
        self._collecting.start()
        if self.web is not None:
            self.web.start(self._loop)
        self.health.phase = Phase.RUNNING
        self.notifier.ready(f"{len(self._server.network.listening)} listeners")

    def reloading(self) -> None:
        """A reload begins."""
        self.notifier.reloading(self._loop.time())

    def reloaded(self) -> None:
        """A reload is over, whether it was taken or refused."""
        self.notifier.ready()

    def draining(self) -> None:
        """No new call is taken from here on; the API stays up, and says so."""
        self.health.phase = Phase.DRAINING
        self._said = f"draining {len(self._server.registry)} calls"
        self.notifier.stopping(self._said)
        self.notifier.extend_timeout(_MORE)

    def _alive(self) -> None:
        """Tell systemd that the reactor turns; at a drain also that its calls are waited for still, whatever its
        `TimeoutStopSec` (sd_notify(3): EXTEND_TIMEOUT_USEC)."""
        self.notifier.alive()
        if self.health.phase is Phase.DRAINING:
            self.notifier.extend_timeout(_MORE)
            text = f"draining {len(self._server.registry)} calls"
            if text != self._said:
                self._said = text
                self.notifier.status(text)

    def stop(self) -> None:
        """End at once; the loop may stop right after."""
        self.health.phase = Phase.STOPPED
        self.heartbeat.stop()
        self._collecting.stop()
        if self.web is not None:
            self.web.abandon()
        self.notifier.close()

    # -- metrics

    def _call_ended(self, summary: Summary) -> None:
        cause = summary.cause.slug if summary.cause is not None else "internal-error"
        began = summary.started
        self.metrics.call_ended(
            cause,
            summary.answered - began if summary.answered else None,
            summary.duration if summary.answered else None,
            summary.rang - began if summary.rang else None,
        )
        for leg in summary.legs.values():
            if leg.answered and leg.quality is not None:
                self.metrics.leg_ended(leg.quality)
        for recording in summary.recordings:
            self.metrics.recording_ended(recording.status)
        trunks = self._server.directory.trunks
        kind, _, name = summary.source.partition("/")
        if kind == "trunk":
            trunks.came_in(name)
        for attempt in summary.attempts:
            kind, _, name = attempt.target.partition("/")
            if kind == "trunk" and attempt.outcome != PASSED_OVER and not attempt.is_host:
                trunks.went_out(name, answered=attempt.outcome == "answered")

    # -- health

    def _check(self) -> None:
        server = self._server
        self.health.watch("listeners", lambda: _listeners(len(server.network.listening)))
        self.health.watch("store", lambda: _store(server.store))
        self.health.watch("media", self._media)

    def _media(self) -> Check:
        counters = self._server.engine.counters()
        return (
            Check(Condition.OK)
            if counters.ports_free or counters.ports_ready
            else Check(Condition.FAILED, "no media port is free")
        )

    # -- the HTTP API

    def _allows(self, host: str) -> bool:
        allowed = self._server.settings.http.allow_from
        return allowed is None or contains(allowed, host)

    def _token(self) -> str:
        settings = self._server.settings
        if settings.http.token is not None:
            return settings.http.token.reveal()
        if not self._made_token:  # a reload has taken the configured one away
            self._made_token = ensure_token(settings.storage.directory)
        return self._made_token

    def _ports(self) -> Ports:
        server = self._server
        return Ports(
            version=pbx.__version__,
            execution=EXECUTION,
            started=self._started,
            calls=server.registry,
            records=server.store.records,
            trace=_TraceReader(server.trace),
            circumstances=self._circumstances,
            recordings=server.settings.storage.recordings_directory,
            registrations=self._registrations,
            registered=lambda: len(server.location),
            trunks=self._trunks,
            originate=self._originate,
            conferences=ConferenceDesk(server.conferences, server.driver.now),
            supervise=lambda *wanted: supervise(server.registry, *wanted),
            bans=Banning(server.guard),
            budgets=server.budgeting,
            report=self.health.report,
            store=server.store.status,
            metrics=self.metrics.exposition,
            reactor_lag=lambda: self.heartbeat.worst,
        )

    def _circumstances(self, source: str, number: str, at: datetime, caller: str, caller_name: str) -> dict[str, str]:
        server = self._server
        return {
            "decision.txt": explanation(server.dialplan, source, number, at, caller, caller_name),
            "configuration.yaml": configuration_text(server.settings),
        }

    def _registrations(self) -> Iterator[Registration]:
        now = self._server.driver.now()
        return (
            Registration(
                aor=binding.aor,
                contact=str(binding.contact),
                source=f"{binding.flow.transport}:{binding.flow.remote[0]}:{binding.flow.remote[1]}",
                expires=binding.expires - now,
                q=binding.q / 1000,
                user_agent=binding.user_agent,
                path=binding.path,
                behind_nat=binding.behind_nat,
                reachable=binding.reachable,
            )
            for binding in list(self._server.location)
        )

    def _trunks(self) -> list[TrunkState]:
        directory = self._server.directory
        now = self._server.driver.now()
        found = []
        for trunk in directory.trunks:
            counts, state = directory.trunks.counts[trunk.name], directory.health.of(trunk.name)
            registration = directory.lines.of(trunk.name)
            found.append(
                TrunkState(
                    name=trunk.name,
                    address=str(trunk.address),
                    active=directory.occupancy.of(f"trunk/{trunk.name}"),
                    inbound=counts.inbound,
                    outbound=counts.outbound,
                    failed=counts.failed,
                    max_calls=trunk.max_calls,
                    health=state.health.value if state else "unwatched",
                    health_for=now - state.since if state else None,
                    round_trip=state.round_trip or None if state else None,
                    detail=state.detail if state else "",
                    registration=registration.state.value if registration else "none",
                    registration_ends=registration.until - now if registration and registration.state.bound else None,
                    registration_detail=_trouble(registration) if registration else "",
                    max_calls_per_second=directory.rate(f"trunk/{trunk.name}"),
                    why_not=directory.why_down(trunk.name),
                )
            )
        return found

    def _originate(self, source: str, number: str) -> str:
        _, _, name = source.partition("/")
        party: Party | None = self._server.directory.extension_party(name)
        if party is None:
            raise LookupError(f"there is no extension {name}")
        return self._server.registry.originate(source, Target("extension", name, name), number, party)


def _trouble(status: RegistrationStatus) -> str:
    """Return why there is no registration, or no new one."""
    if status.trouble is Trouble.NONE:
        return ""
    said = f"{status.status} {status.detail}".strip() if status.status else status.detail
    return f"{status.trouble.value}: {said}" if said else status.trouble.value


class _TraceReader:
    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def ladder(self, call_ids: Iterable[str], bodies: bool) -> str:
        """Return the messages as a text; empty if none is kept."""
        messages = self._trace.messages(call_ids)
        return ladder(messages, self._trace.epoch, bodies=bodies) if messages else ""

    def pcap(self, call_ids: Iterable[str]) -> bytes:
        """Return the messages as a capture file; empty if none is kept."""
        messages = self._trace.messages(call_ids)
        return pcap(messages, self._trace.epoch) if messages else b""


def _listeners(count: int) -> Check:
    return Check(Condition.OK, f"{count} up") if count else Check(Condition.FAILED, "nothing is listened on")


def _store(store: Store) -> Check:
    status = store.status()
    return Check(_STORE_CONDITIONS[status.state], status.error)
