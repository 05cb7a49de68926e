"""The object graph: every room built once and wired together, and what the rooms ask of each other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from time import time
from typing import Final

import structlog

from pbx.app import translate
from pbx.app.budgeting import Budgeting, budgets_of
from pbx.app.directory import Directory
from pbx.app.firewall import Firewall
from pbx.app.lines import Lines, ensure_contact_key
from pbx.app.new_calls import NewCalls
from pbx.app.observer import CallObserver
from pbx.app.public_address import PublicAddress
from pbx.app.shedding import LoadShedding
from pbx.app.sidecars import SidecarWriter
from pbx.app.signatures import Credentials, Signatures, load_credentials
from pbx.app.sounds import Sounds, music_in
from pbx.app.trunk_calls import party_of_trunk_call, redirections_of_trunk_call
from pbx.app.wall_clock import WallClock
from pbx.call.admission import Admission
from pbx.call.commands import Party, Redirection
from pbx.call.events import Event as LegEvent
from pbx.call.leg import LegContext, OutboundLeg
from pbx.call.ports import Candidate, Services
from pbx.call.rates import CallRates
from pbx.call.reception import Reception
from pbx.call.registry import CallRegistry
from pbx.config.schema import Settings
from pbx.features.conference import Conferences
from pbx.features.conference_step import ConferenceRunner
from pbx.features.transfer import Transfers
from pbx.ids import Ids
from pbx.loading import Configured
from pbx.media.engine import Engine
from pbx.media.language import load_language
from pbx.media.recordings import recording_path, recover
from pbx.media.session import MediaSession
from pbx.net.addresses import AddressBook
from pbx.net.clock import LoopClock
from pbx.net.counters import Counters
from pbx.net.dns import make_resolver
from pbx.net.driver import Driver
from pbx.net.hep_exporter import HepExporter
from pbx.net.network import NetworkReactor, RealNetwork
from pbx.net.readers import LoopReaders
from pbx.net.tls import Tls
from pbx.net.trace import Trace
from pbx.net.whereabouts import Whereabouts
from pbx.registrar.authentication import Authenticator
from pbx.registrar.location import BindingChange, Location
from pbx.registrar.service import RegistrarService
from pbx.security.bans import BanList
from pbx.security.edge import EdgeGuard
from pbx.security.overload import OverloadControl
from pbx.security.sources import show_source, source_of
from pbx.sip.digest import DigestServer
from pbx.sip.layer import TransactionLayer
from pbx.sip.message import Request
from pbx.sip.stack import Flow, ServerTransaction
from pbx.sip.targets import DeadTargets
from pbx.store.store import Store
from pbx.trunks.health import Health, TrunkHealth, TrunkStatus

__all__ = ["Building"]

_SPARE_PORTS: Final = 8
"""Pairs of media ports bound ahead: what four calls take that come at once."""

_log = structlog.get_logger("pbx")


class Building:
    """The rooms of one PBX. Making it opens ports, database and engine; EnvironmentFault says what is in the way."""

    def __init__(
        self,
        path: Path,
        configured: Configured,
        reactor: NetworkReactor,
        loop: asyncio.AbstractEventLoop,
        environ: Mapping[str, str],
    ) -> None:
        settings = configured.settings
        self.path = path
        self.settings = settings
        self.dialplan = configured.dialplan
        self._environ = environ
        self._loop = loop
        self._undo: list[Callable[[], object]] = []
        self.ids = Ids()
        self.clock = LoopClock(loop)
        self.wall = WallClock()
        self.counters = Counters()
        self._left = False
        self.public_address: PublicAddress | None = None
        self.firewall: Firewall | None = None
        try:
            self._build(reactor)
        except BaseException:
            self._unwind()
            raise

    # -- the object graph

    def _build(self, reactor: NetworkReactor) -> None:
        settings, clock = self.settings, self.clock
        self.store = Store.open(
            settings.storage.directory,
            settings.storage.database.reveal() if settings.storage.database else "",
            wall=self.wall,
        )
        self._undo.append(self.store.stop)
        self.store.retention.keep = settings.storage.keep_records
        self.recovered = recover(settings.storage.recordings_directory)
        self.engine = self._open_engine()
        self._undo.append(self.engine.close)
        trace = settings.sip.trace
        self.trace = Trace(time() - clock.seconds(), trace.calls, trace.messages)
        self._build_sip(reactor)
        self._media_settings = translate.media_settings(settings, self.network.local_towards)
        self._build_calls()

    def _open_engine(self) -> Engine:
        media = self.settings.media
        return Engine(
            media.ports.first,
            media.ports.last,
            spares=_SPARE_PORTS,
            workers=media.threads or 0,
            traffic_class=media.dscp << 2,
            report_interval=round(media.rtcp.interval * 1000),
            cache=max(1, media.sound_memory >> 20),
        )

    def _build_sip(self, reactor: NetworkReactor) -> None:
        settings, clock = self.settings, self.clock
        book = self.book = AddressBook(clock.seconds, tuple(str(network) for network in settings.sip.local_networks))
        tls = translate.tls(settings)
        network = RealNetwork(
            reactor,
            clock,
            translate.listeners(settings),
            self.counters,
            tls=Tls(tls) if tls is not None else None,
            limits=translate.stream_limits(settings),
            book=book,
            options=translate.socket_options(settings),
            refuses=lambda host: self.guard.refuses(host),
            readers=LoopReaders(self._loop),
        )
        self.network = network
        self._undo.append(network.stop)
        self.layer = TransactionLayer(
            self.ids, replace(translate.layer_settings(settings), exempt=self._known, takes=self._takes)
        )
        limits = translate.edge_limits(settings)
        self.bans = BanList(limits.bans, time, self.store.bans)
        self.guard: EdgeGuard[Flow] = EdgeGuard(self._known, limits, self.bans)
        names = settings.sip.resolver
        self.driver = Driver(
            clock,
            self.layer,
            make_resolver(reactor, clock, network, self.ids, servers=names.servers, timeout=names.timeout),
            network,
            self.ids,
            self._report,
            counters=self.counters,
            dead=DeadTargets(names.dead_for),
            trace=self.trace,
            gate=self.guard,
        )
        self._undo.append(self.driver.stop)
        self.shedding = LoadShedding(
            OverloadControl(), self.driver.now, self.driver.later, network.backlog, network.waited
        )
        self.shedding.wanted = settings.limits.overload == "refuse"
        interval = settings.sip.keep_alive
        self.location = Location(
            self.store.bindings,
            self.driver.now,
            time,
            (lambda flow: self.driver.keep_alive(flow, interval)) if interval else None,
            source_of,
        )
        self.driver.on_flow_closed(self.location.flow_closed)
        digest = DigestServer(
            self.ids,
            settings.sip.digest.realm or settings.sip.domain or "tandem",
            os.urandom(32),
            lifetime=settings.sip.digest.nonce_lifetime,
            algorithms=settings.sip.digest.algorithms,
        )
        self.authenticator = Authenticator(
            self.driver,
            digest,
            lambda name: self.directory.credential(name),
            self.guard,
            self.ids,
            permits=lambda name, host: self.directory.permits(name, host),
        )
        self.registrar = RegistrarService(
            self.driver,
            self.location,
            self.authenticator.authenticate,
            lambda user, name: self.directory.allowance(user, name),
            translate.registrar_settings(settings),
            self.ids,
            time,
            canonical=lambda user, name: self.directory.number_of(user),
        )
        health = TrunkHealth(
            self.driver,
            self.ids,
            settings.sip.user_agent,
            self._health_changed,
            lambda flow, outer: self.lines.seen(flow, outer),
        )
        self._undo.append(health.stop)
        secret = ensure_contact_key(settings.storage.directory)
        self.signatures = Signatures(
            secret, lambda: datetime.now().astimezone(), self.driver.later, self._load_credentials(settings)
        )
        self._undo.append(self.signatures.stop)
        self.lines = Lines(
            self.driver,
            self.ids,
            network,
            self.driver.keep_alive,
            lambda source, realm: self.directory.trunk_credential(source, realm),
            secret,
        )
        self._undo.append(self.lines.stop)
        self.driver.on_flow_closed(self.lines.flow_closed)
        self.driver.on_unreachable(self.lines.unreachable)
        whereabouts = Whereabouts(self.driver.resolver, clock)
        self._undo.append(whereabouts.stop)
        self.directory = Directory(
            settings,
            self.location,
            self.registrar.aor_of,
            health,
            network.local_towards,
            self.lines,
            self.driver.peer_names,
            whereabouts,
            self.driver.now,
        )

    def _build_calls(self) -> None:
        settings = self.settings
        self.leg_counters: dict[str, int] = {}
        self.context = LegContext(
            self.driver,
            self.ids,
            settings=translate.leg_settings(settings),
            credentials=self.directory.trunk_credential,
            count=self._count,
            sign=self.signatures.sign,
        )
        self.sidecars = SidecarWriter()
        self._undo.append(self.sidecars.stop)
        self.observer = CallObserver(self.store.records.put, self.sidecars, self.driver.later)
        self._undo.append(self.observer.flush)
        self.sounds = self._load_sounds(settings)
        self.budgeting = Budgeting(
            budgets_of(settings),
            now=self.driver.now,
            wall=self.wall,
            later=self.driver.later,
            hang_up=lambda leg, cause: self.registry.hang_up_leg(leg, cause),
            classify=lambda number: self.dialplan.numbering.restriction(number, 0),
            exempt=self._is_emergency,
            keeper=self.store.budgets,
            observer=self.observer,
        )
        services = Services(
            now=self.driver.now,
            wall=self.wall,
            later=self.driver.later,
            token=lambda: self.ids.token(6),
            chance=lambda: self.ids.number(24) / (1 << 24),
            decide=lambda query: self.dialplan.decide(query),
            asks_codecs=lambda: self.dialplan.asks_codecs,
            directory=self.directory,
            submit=self.engine.submit,
            open_leg=self._open_leg,
            recording_path=self._recording_path,
            sounds=lambda name: self.sounds.find(name),
            music=lambda: self.sounds.music(),
            occupancy=self.directory.occupancy,
            rates=CallRates(self.directory.rate, self.driver.now),
            observer=self.observer,
            settings=translate.call_settings(settings),
            transfers=Transfers(
                self.directory.transfers,
                lambda query: self.dialplan.decide(query),
                lambda: datetime.now().astimezone(),
                self._leg_with_dialog,
                lambda leg: self.registry.find(leg),
            ),
            permit=self.budgeting.permit,
            charge=self.budgeting.charge,
            gone=self.budgeting.gone,
        )
        self.location.subscribe(self._binding_changed)
        self.hep = self._export_messages()
        self.registry = CallRegistry(services, self._open_session, translate.call_limits(settings))
        self._undo.append(self.registry.write_refusals)
        self.conferences = Conferences(self.registry.rooms, self.driver.now)
        services.features["conference"] = lambda call, step: ConferenceRunner(call, step, self.conferences)
        self.admission = Admission(self.directory, self._authenticate, self._trunk_party, self._trunk_redirections)
        self.new_calls = NewCalls(
            self.shedding,
            self.directory,
            self.location,
            self._is_emergency,
            self._trunk_party,
            self.registry.refuse,
            lambda *call: self.registry.is_emergency(self.registry.query(*call)),
        )
        self.reception = Reception(
            self.context, self.admission, self.registry, self.registrar.on_register, self.signatures.verify
        )

    def _export_messages(self) -> HepExporter | None:
        settings = translate.hep(self.settings)
        if settings is None:
            return None
        exporter = HepExporter(
            settings,
            self.trace.epoch,
            self.clock,
            lambda: self.registry.sip_call_ids(),
        )
        exporter.start()
        self.observer.on_ended.append(lambda summary: exporter.remember(summary.call, summary.sip_call_ids))
        self._undo += [exporter.stop, self.trace.subscribe(exporter.take)]
        return exporter

    # -- what the rooms ask for

    def _known(self, flow: Flow) -> bool:
        return self.directory.knows(flow)

    def _leg_with_dialog(self, dialog: tuple[str, str, str]) -> str | None:
        owner = self.context.dialogs.lookup(*dialog)
        return None if owner is None else owner.id

    def _takes(self, flow: Flow, request: Request) -> bool:
        return self.new_calls.takes(flow, request)

    def _shared(self, source: str) -> bool:
        """Return whether a trunk or a registered phone is at a source."""
        return self.location.is_source(source) or self.directory.trunks.overlaps(ip_network(show_source(source)))

    def _health_changed(self, status: TrunkStatus) -> None:
        _tell_health(status)
        self.lines.health_changed(status.trunk, up=status.health is Health.UP)

    def _binding_changed(self, event: BindingChange) -> None:
        binding = event.binding
        if event.left is not None:
            self.context.dialogs.moved(binding.contact, event.left, binding.flow)

    def _count(self, name: str) -> None:
        self.leg_counters[name] = self.leg_counters.get(name, 0) + 1

    def _open_session(self, call: str) -> MediaSession:
        return MediaSession(call, self._media_settings, self.ids)

    def _open_leg(self, leg: str, candidate: Candidate, emit: Callable[[LegEvent], None]) -> OutboundLeg:
        return OutboundLeg(leg, self.context, emit, self.directory.leg_settings(candidate.target))

    def _recording_path(self, name: str, at: datetime) -> str:
        return str(recording_path(self.settings.storage.recordings_directory, name, at))

    def _authenticate(self, transaction: ServerTransaction, request: Request) -> str | None:
        username = self.authenticator.authenticate(transaction, request)
        return None if username is None else self.directory.number_of(username)

    def _trunk_party(self, trunk: str, request: Request) -> Party:
        party = party_of_trunk_call(request, self.settings.trunks[trunk].trust_identity)
        number = self.directory.numbers.of(f"trunk/{trunk}").caller_heard(party.number)
        return Party(number, party.name, party.anonymous)

    def _trunk_redirections(self, trunk: str, request: Request) -> tuple[Redirection, ...]:
        return redirections_of_trunk_call(request, self.settings.trunks[trunk].trust_identity)

    def _is_emergency(self, number: str) -> bool:
        return self.dialplan.numbering.is_emergency(number)

    def _report(self, where: str, error: Exception) -> None:
        _log.error("fault", where=where, exc_info=error)

    def _load_credentials(self, settings: Settings) -> Credentials:
        return load_credentials(settings, self.clock.seconds, self._loop.call_soon_threadsafe)

    def _load_sounds(self, settings: Settings) -> Sounds:
        media = settings.media
        language, music = load_language(media.language), music_in(media.music_on_hold)
        return Sounds(media.sounds, media.tones, language, music, lambda: datetime.now().astimezone())

    # -- the end

    def _unwind(self) -> None:
        while self._undo:
            self._undo.pop()()


def _tell_health(status: TrunkStatus) -> None:
    if status.health is Health.UP:
        _log.info("trunk-up", trunk=status.trunk, detail=status.detail)
    else:
        _log.warning("trunk-down", trunk=status.trunk, detail=status.detail)
