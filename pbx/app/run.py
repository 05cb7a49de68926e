"""The process: which reactor runs, what signals do, and what is said at start and at the end."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import structlog
import uvloop
from twisted.internet import asyncioreactor

from pbx.errors import ConfigurationError, EnvironmentFault
from pbx.loading import Configured, load_configured

if TYPE_CHECKING:
    from pbx.app.server import Server
    from pbx.net.network import NetworkReactor

__all__ = ["CONFIGURATION_FAULT", "ENVIRONMENT_FAULT", "run"]

CONFIGURATION_FAULT = 2
ENVIRONMENT_FAULT = 1

_log = structlog.get_logger("pbx")


def run(path: Path, environ: Mapping[str, str], on_ready: Callable[[Server], None]) -> int:
    """Serve until told to stop; return the exit status. `on_ready` is called once all listeners are up."""
    try:
        configured = load_configured(path, environ)
    except ConfigurationError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)
        return CONFIGURATION_FAULT
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)
    process = _Process(path, configured, loop, environ, on_ready)
    return process.run()


class _Process:
    """One server and the loop that it lives in."""

    def __init__(
        self,
        path: Path,
        configured: Configured,
        loop: asyncio.AbstractEventLoop,
        environ: Mapping[str, str],
        on_ready: Callable[[Server], None],
    ) -> None:
        self._path = path
        self._configured = configured
        self._loop = loop
        self._environ = environ
        self._on_ready = on_ready
        self._server: Server | None = None
        self._stopping = False
        self._status = 0

    def run(self) -> int:
        """Run the reactor until the server has stopped."""
        from twisted.internet import reactor

        reactor.callWhenRunning(self._start)  # type: ignore[attr-defined]
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._wants_stop)
        self._loop.add_signal_handler(signal.SIGHUP, self._wants_reload)
        reactor.run(installSignalHandlers=False)  # type: ignore[attr-defined]
        return self._status

    def _start(self) -> None:
        # Imported late, when the reactor is chosen: Twisted installs its default one at the first import that wants
        # one.
        from twisted.internet import reactor

        from pbx.app.server import Server

        try:
            server = Server(self._path, self._configured, cast("NetworkReactor", reactor), self._loop, self._environ)
            server.start()
        except EnvironmentFault as error:
            print(f"pbx: {error}", file=sys.stderr)
            self._finish(ENVIRONMENT_FAULT)
            return
        self._server = server
        # What is built now lives until the end: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        self._on_ready(server)

    def _wants_stop(self) -> None:
        server = self._server
        if server is None or self._stopping:
            # Told twice: now.
            self._finish(self._status)
            return
        self._stopping = True
        server.drain(lambda: self._finish(0))

    def _wants_reload(self) -> None:
        if self._server is not None and not self._stopping:
            self._server.reload()

    def _finish(self, status: int) -> None:
        from twisted.internet import reactor

        self._status = status
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        if reactor.running:  # type: ignore[attr-defined]
            reactor.stop()  # type: ignore[attr-defined]
