"""uvicorn in a loop that is somebody else's: it takes no signals, and starts and stops when told."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from pbx.errors import EnvironmentFault

__all__ = ["WebServer"]

_MOST_CONNECTIONS = 500
_GRACE = 3


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process that we are a guest of."""
        yield


class WebServer:
    """Serves an ASGI application on one address. `start` and `stop` belong to the thread of the loop."""

    def __init__(
        self,
        application: ASGIApp,
        host: str,
        port: int,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        """Take the address at once, so that one that is taken is known before anything starts. Raises EnvironmentFault.

        `host` is numeric or a name, IPv6 without brackets; `port` 0 lets the kernel choose.
        """
        self._socket = _listen(host, port)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        """Where it listens."""
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=20,
            timeout_graceful_shutdown=_GRACE,
            limit_concurrency=_MOST_CONNECTIONS,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            self._socket.close()
            raise EnvironmentFault(
                f"http.certificate {certificate} and its key cannot be used: {error.strerror or error}"
            ) from error
        self._server = _Uvicorn(config)
        self._task: asyncio.Task[None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to serve in `loop`."""
        self._task = loop.create_task(self._server.serve(sockets=[self._socket]))

    async def stop(self) -> None:
        """Take no new connections, finish what is being answered, and end."""
        task, self._task = self._task, None
        self._server.should_exit = True
        if task is not None:
            await task
        self._socket.close()

    def abandon(self) -> None:
        """End at once: for a loop that is about to stop."""
        task, self._task = self._task, None
        self._server.should_exit = self._server.force_exit = True
        if task is not None:
            task.cancel()
        for connection in list(self._server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        self._socket.close()


def _listen(host: str, port: int) -> socket.socket:
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listening.bind(address)
            listening.listen(128)
            listening.setblocking(False)
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        raise EnvironmentFault(
            f"http.listen {shown} cannot be used: {error.strerror or error}; "
            "choose another address, or end what holds it"
        ) from error
    return listening
