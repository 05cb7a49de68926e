"""Reloading: the files are read by a thread, what they say is put in force by the reactor, one reload at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from pbx.app.signatures import Credentials
from pbx.app.sounds import Sounds
from pbx.errors import ConfigurationError, EnvironmentFault
from pbx.loading import Configured
from pbx.net.tls import Tls, TlsState

__all__ = ["Loaded", "Reloader"]

_log = structlog.get_logger("pbx")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a reload brings: read, checked, and not in force yet."""

    configured: Configured
    held: tuple[str, ...]
    """Keys whose change waits for a restart."""
    sounds: Sounds
    credentials: Credentials
    """Of signed calls."""
    tls: Tls | TlsState | None = None
    """Certificates and rules, where they are others than before."""


class Reloader:
    """Runs reloads, one after the other. `load` is called in a thread of its own and raises ConfigurationError or
    EnvironmentFault for what is wrong; `apply` is called on the loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, load: Callable[[], Loaded], apply: Callable[[Loaded], None]
    ) -> None:
        self._loop = loop
        self._load = load
        self._apply = apply
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reload")
        self._stopped = False
        self._running: list[Callable[[bool], None]] = []
        self._waiting: list[Callable[[bool], None]] = []

    def request(self, done: Callable[[bool], None]) -> None:
        """Reload; `done` is told whether that was taken.

        While one runs, the next one waits, since files may have changed after they were read; all that wait share it.
        """
        self._waiting.append(done)
        if not self._running:
            self._begin()

    @property
    def busy(self) -> bool:
        """True while a reload runs or waits."""
        return bool(self._running or self._waiting)

    def stop(self) -> None:
        """End. What a thread still reads comes to nothing, and nobody is told."""
        self._stopped = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        self._running, self._waiting = self._waiting, []
        self._thread.submit(self._load).add_done_callback(self._loaded)

    def _loaded(self, future: Future[Loaded]) -> None:
        # Still the thread's; with a loop that is closed nobody waits any more.
        if not self._stopped and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._finish, future)

    def _finish(self, future: Future[Loaded]) -> None:
        if self._stopped:
            return
        taken = self._take(future)
        told, self._running = self._running, []
        for done in told:
            done(taken)
        if self._waiting and not self._running:
            self._begin()

    def _take(self, future: Future[Loaded]) -> bool:
        try:
            loaded = future.result()
            self._apply(loaded)
        except (ConfigurationError, EnvironmentFault) as error:
            for fault in error.faults if isinstance(error, ConfigurationError) else (str(error),):
                _log.error("reload-refused", fault=fault)
            return False
        except Exception as error:  # noqa: BLE001 - a fault of ours; what runs goes on as it is
            _log.error("fault", where="a reload", exc_info=error)
            return False
        for warning in loaded.configured.warnings:
            _log.warning("configuration", warning=str(warning))
        if loaded.held:
            _log.warning("restart-needed", keys=", ".join(loaded.held))
        _log.info("reloaded", routes=len(loaded.configured.dialplan.routes))
        return True
