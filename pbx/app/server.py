"""The server: its start, reload, drain and stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from pbx.app import translate
from pbx.app.budgeting import budgets_of
from pbx.app.building import Building
from pbx.app.firewall import Firewall
from pbx.app.public_address import PublicAddress
from pbx.app.reload import Loaded
from pbx.call.summary import Summary
from pbx.config.restart import hold_back
from pbx.loading import load_configured
from pbx.net.tls import Tls, TlsState

__all__ = ["Server"]

_log = structlog.get_logger("pbx")

_FAREWELL = 3.0
"""How long the end waits for answers to the last BYEs. Seconds."""


class Server(Building):
    """One running PBX."""

    def start(self) -> None:
        """Begin to serve."""
        self.store.start()
        restored = self.location.restore(self.store.bindings.load(), self.registrar.believes)
        if self.settings.security.firewall == "nftables":
            ports = [bound[1] for _, bound in self.network.listening]
            self.firewall = Firewall(self.settings.security.firewall_table, ports, self._shared)
            self.firewall.start()
            self._undo.append(self.firewall.stop)
            self.bans.told.append(self.firewall.told)
        banned = self.bans.restore(self.store.bans.load())
        self._loop.add_reader(self.engine.fileno(), self._engine_ready)
        self._undo.append(lambda: self._loop.remove_reader(self.engine.fileno()))
        self.driver.start(self.reception)
        self.budgeting.budgets.restore(self.store.budgets.load())
        self.shedding.start()
        self._undo.append(self.shedding.stop)
        self.budgeting.start()
        self._undo.append(self.budgeting.stop)
        self.registrar.start()
        self._undo.append(self.registrar.stop)
        self.directory.watch()
        self._learn_address()
        for listener, bound in self.network.listening:
            _log.info("listening", transport=listener.transport, address=bound[0], port=bound[1])
        if self.counters["udp_buffer_short"]:
            _log.warning(
                "udp-buffer-short",
                wanted=self.settings.sip.receive_buffer,
                remedy="bursts may be lost; raise net.core.rmem_max and net.core.wmem_max, or grant CAP_NET_ADMIN",
            )
        if translate.lacks_processing(self.settings):
            _log.warning(
                "processing-missing",
                remedy="sound stays as it is; install libspeexdsp-dev and build the engine again: pbx/native/build.py",
            )
        if restored or banned or self.store.interrupted or self.recovered:
            _log.info(
                "restored",
                bindings=restored,
                bans=banned,
                calls_interrupted=len(self.store.interrupted),
                recordings_recovered=len(self.recovered),
            )

    def _learn_address(self) -> None:
        stun = self.settings.sip.stun
        if stun is not None:
            self.public_address = PublicAddress(
                stun.server, stun.interval, self.driver.later, self._loop.call_soon_threadsafe, self._address_learned
            )
            self._undo.append(self.public_address.stop)
            self.public_address.start()

    def _address_learned(self, address: str) -> None:
        self.book.learned = address
        self._media_settings = translate.media_settings(self.settings, self.network.local_towards, address)
        for status in self.lines.registrations:
            self.lines.registrations.renew(status.account)

    def _engine_ready(self) -> None:
        self.registry.on_media(self.engine.drain())

    def load(self) -> Loaded:
        """Read the files again; to be given to `apply`. May run in another thread.

        Raises ConfigurationError and EnvironmentFault for what is wrong with them.
        """
        configured = load_configured(self.path, self._environ)
        settings, held = hold_back(self.settings, configured.settings)
        rules, tls = translate.tls(settings), self.network.tls
        change: Tls | TlsState | None = None
        if rules is not None:
            change = Tls(rules) if tls is None else tls.prepare(rules)
        sounds, credentials = self._load_sounds(settings), self._load_credentials(settings)
        return Loaded(replace(configured, settings=settings), held, sounds, credentials, change)

    def apply(self, loaded: Loaded) -> None:
        """Put what was loaded in force; running calls do not notice."""
        settings = loaded.configured.settings
        if (settings.security, settings.sip.listen) != (self.settings.security, self.settings.sip.listen):
            self.guard.reconfigure(translate.edge_limits(settings))
        self.settings, self.dialplan = settings, loaded.configured.dialplan
        if isinstance(loaded.tls, Tls):
            self.network.use_tls(loaded.tls)
        elif loaded.tls is not None and self.network.tls is not None:
            self.network.tls.take(loaded.tls)
        self.signatures.replace(loaded.credentials)
        self.store.retention.keep = settings.storage.keep_records
        self.trace.limit(settings.sip.trace.calls, settings.sip.trace.messages)
        self.shedding.wanted = settings.limits.overload == "refuse"
        self.budgeting.budgets.reconfigure(budgets_of(settings))
        self.directory.replace(settings)
        self.directory.watch()
        self.context.settings = translate.leg_settings(settings)
        self._media_settings = translate.media_settings(settings, self.network.local_towards, self.book.learned)
        self.registrar.settings = translate.registrar_settings(settings)
        self.registry.reconfigure(translate.call_settings(settings), translate.call_limits(settings))
        self.sounds = loaded.sounds

    def drain(self, done: Callable[[], None]) -> None:
        """Take no new calls but for help, let the running ones finish up to `limits.drain_timeout`, and those for help
        up to `limits.drain_timeout_emergency`, then end them; call `done` when none is left."""
        limits = self.settings.limits
        seconds = limits.drain_timeout
        _log.info("draining", calls=len(self.registry), seconds=seconds)
        # At once: no registrar is to send us calls that would be refused.
        self._left = False
        self.lines.leave(self._have_left)
        self.registry.drain(
            seconds,
            lambda: self._begin_farewell(done),
            for_help=limits.drain_timeout_emergency,
            waits=_tell_of_help,
        )

    def _have_left(self) -> None:
        self._left = True

    def _begin_farewell(self, done: Callable[[], None]) -> None:
        self._say_farewell(done, self.driver.now() + _FAREWELL)

    def _say_farewell(self, done: Callable[[], None], latest: float) -> None:
        """Call `done` when the last BYE was answered and the last registration removed, or at `latest`: who is gone
        answers nothing."""
        if len(self.registry):
            # Somebody has called for help meanwhile.
            self.registry.when_drained(lambda: self._begin_farewell(done))
        elif (self._left and not len(self.context.dialogs)) or self.driver.now() >= latest:
            done()
        else:
            self.driver.later(0.05, lambda: self._say_farewell(done, latest))

    def stop(self) -> None:
        """Close everything. What was promised to the store is written first."""
        self._unwind()


def _tell_of_help(calls: tuple[Summary, ...], seconds: float) -> None:
    """Write into the log which calls for help the end waits for, or that it waits no longer."""
    told = [f"{call.call} from {call.source} to {call.called}" for call in calls]
    if seconds:
        remedy = "they are calls for help; the next SIGTERM ends them at once"
        _log.warning("drain-waits-for-help", calls=told, seconds=round(seconds), remedy=remedy)
    else:
        _log.error("drain-ends-help", calls=told, remedy="limits.drain_timeout_emergency is over; give it longer")
