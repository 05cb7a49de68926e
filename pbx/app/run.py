"""The process: which reactor runs, what signals do, and what is said at start and at the end."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import structlog
import uvloop
from twisted.internet import asyncioreactor

from pbx.app.collecting import settle_collector
from pbx.config.schema import Settings
from pbx.config.secret import secrets_in
from pbx.errors import ConfigurationError, EnvironmentFault
from pbx.loading import Configured, load_configured
from pbx.ops.logs import LogPipe, set_level, start_logging
from pbx.ops.program import PROGRAM

if TYPE_CHECKING:
    from pbx.app.operation import Operation
    from pbx.app.reload import Loaded, Reloader
    from pbx.app.server import Server
    from pbx.net.network import NetworkReactor

__all__ = ["CONFIGURATION_FAULT", "ENVIRONMENT_FAULT", "Ready", "run"]

CONFIGURATION_FAULT = 2
ENVIRONMENT_FAULT = 1

_SWITCH_AFTER = 0.0005
"""Seconds that another thread may keep the interpreter while the reactor waits for it (Python's own: 0.005). The
reactor lets go of it at each system call, and would wait so long each time that records are being written."""

Ready = Callable[["Server"], None]
"""Called once all listeners are up."""

_log = structlog.get_logger("pbx")


def run(path: Path, environ: Mapping[str, str], on_ready: Ready) -> int:
    """Serve until told to stop; return the exit status."""
    try:
        configured = load_configured(path, environ)
    except ConfigurationError as error:
        for fault in error.faults:
            _complain(fault)
        return CONFIGURATION_FAULT
    settings = configured.settings
    try:
        pipe = LogPipe(settings.log.format, settings.log.file, _secrets(settings))
    except OSError as error:
        _complain(f"pbx: log.file {settings.log.file} cannot be written: {error.strerror}")
        return ENVIRONMENT_FAULT
    stop_logging = start_logging(settings.log.level, pipe)
    _log.info("starting", **PROGRAM)
    _raise_descriptor_limit()
    for warning in configured.warnings:
        _log.warning("configuration", warning=str(warning))
    sys.setswitchinterval(_SWITCH_AFTER)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)  # type: ignore[no-untyped-call]
    try:
        return _Process(path, configured, loop, environ, on_ready, pipe).run()
    finally:
        stop_logging()


def _raise_descriptor_limit() -> None:
    """Take as many descriptors as the system grants: each call holds four for its audio, each TCP phone one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _secrets(settings: Settings) -> list[str]:
    """Return every secret of a configuration, so that the log can cross it out should it ever come that way."""
    return [secret.reveal() for secret in secrets_in(settings)]


class _Process:
    """One server and the loop that it lives in."""

    def __init__(
        self,
        path: Path,
        configured: Configured,
        loop: asyncio.AbstractEventLoop,
        environ: Mapping[str, str],
        on_ready: Ready,
        pipe: LogPipe,
    ) -> None:
        self._path = path
        self._configured = configured
        self._loop = loop
        self._environ = environ
        self._on_ready = on_ready
        self._pipe = pipe
        self._server: Server | None = None
        self._operation: Operation | None = None
        self._reloader: Reloader | None = None
        self._stopping = False
        self._status = 0

    def run(self) -> int:
        """Run the reactor until the server has stopped."""
        # From the loop, not from Twisted's start: uvloop hears of no signal before it runs, so one that came between
        # would wait for the next.
        self._loop.call_soon(self._start)
        _reactor().run(installSignalHandlers=False)
        return self._status

    def _start(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._wants_stop)
        self._loop.add_signal_handler(signal.SIGHUP, self._wants_reload)
        try:
            self._begin()
        except EnvironmentFault as error:
            _complain(f"pbx: {error}")
            self._finish(ENVIRONMENT_FAULT)
        except BaseException:
            self._finish(ENVIRONMENT_FAULT)
            raise

    def _begin(self) -> None:
        # Imported late, when the reactor is chosen: Twisted installs its default one at the first import that wants
        # one.

        from pbx.app.operation import Operation
        from pbx.app.reload import Reloader
        from pbx.app.server import Server

        network_reactor = cast("NetworkReactor", _reactor())
        self._server = Server(self._path, self._configured, network_reactor, self._loop, self._environ)
        self._operation = Operation(self._server, self._loop, self._environ)
        self._reloader = Reloader(self._loop, self._load, self._server.apply)
        self._server.start()
        self._operation.start()
        settle_collector()
        self._on_ready(self._server)

    def _wants_stop(self) -> None:
        server, operation = self._server, self._operation
        if server is None or operation is None or self._stopping:
            # Told twice: now.
            if server is not None and len(server.registry):
                _log.warning("stopping-at-once", calls=len(server.registry))
            self._finish(self._status)
            return
        self._stopping = True
        operation.draining()
        server.drain(lambda: self._finish(0))

    def _wants_reload(self) -> None:
        operation, reloader = self._operation, self._reloader
        if operation is None or reloader is None or self._stopping:
            return
        self._pipe.reopen()
        operation.reloading()
        reloader.request(self._reloaded)

    def _load(self) -> Loaded:
        """Runs in the reloader's thread."""
        assert self._server is not None
        # The collector would stop every thread to walk over what is being read, again and again.
        gc.disable()
        try:
            loaded = self._server.load()
            # Before anything of it is in force, and so can be logged.
            self._pipe.learn_secrets(_secrets(loaded.configured.settings))
        finally:
            gc.freeze()
            gc.enable()
        return loaded

    def _reloaded(self, taken: bool) -> None:
        server, operation, reloader = self._server, self._operation, self._reloader
        if server is None or operation is None or reloader is None:
            return
        if taken:
            set_level(server.settings.log.level, self._pipe)
        if not reloader.busy and not self._stopping:
            operation.reloaded()

    def _finish(self, status: int) -> None:
        self._status = status
        reloader, self._reloader = self._reloader, None
        if reloader is not None:
            reloader.stop()
        operation, self._operation = self._operation, None
        if operation is not None:
            operation.stop()
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        reactor = _reactor()
        if reactor.running:
            reactor.stop()


class _Reactor(Protocol):
    """What is used of Twisted's reactor here; its own types say less."""

    running: bool

    def run(self, *, installSignalHandlers: bool) -> None: ...  # noqa: N803
    def stop(self) -> None: ...


def _reactor() -> _Reactor:
    from twisted.internet import reactor

    return cast("_Reactor", reactor)


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")
