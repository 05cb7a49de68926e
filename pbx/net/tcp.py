"""SIP over connections, TCP or TLS: listeners, connections of our own, and the limits on both."""

from __future__ import annotations

import itertools
import socket
from typing import TYPE_CHECKING, Protocol

from pbx.errors import EnvironmentFault
from pbx.net.connection import StreamConnection
from pbx.net.factories import accepting, opening
from pbx.net.stream_limits import StreamLimits
from pbx.net.tls import fault_noted
from pbx.net.transport import SocketOptions
from pbx.net.udp import bind, mark
from pbx.net.wheel import Wheel
from pbx.security.sources import source_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from OpenSSL.SSL import Connection as TlsState

    from pbx.net.clock import Clock
    from pbx.net.connection import Target
    from pbx.net.counters import Counters
    from pbx.net.tls import Tls
    from pbx.net.transport import Address, Connecting, Listener, Sink
    from pbx.sip.parser import MessageError
    from pbx.sip.stack import Flow

__all__ = ["StreamTransport"]

_BACKLOG = 1024
_TICK = 1.0

_numbers = itertools.count(1)
"""Connections of this process, TCP and TLS together, so that a flow's number is never met twice."""


class ListeningPort(Protocol):
    """What Twisted gives for a listening socket."""

    def stopListening(self) -> object:  # noqa: N802
        """Close it."""


class StreamReactor(Protocol):
    """The part of Twisted's reactor that makes connections."""

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: object) -> ListeningPort:  # noqa: N802, N803
        """Accept connections from a listening socket."""

    def connectTCP(  # noqa: N802
        self,
        host: str,
        port: int,
        factory: object,
        timeout: float,
        bindAddress: Address | None,  # noqa: N803
    ) -> object:
        """Open a connection."""


class StreamTransport:
    """Every connection of one kind, ``tcp`` or ``tls`` (then with `tls`).

    Connections of our own are found again by the peer's address and name; accepted ones only by their flow, or by the
    alias that a peer with a verified certificate asked for (RFC 5923).
    """

    def __init__(
        self,
        reactor: StreamReactor,
        clock: Clock,
        counters: Counters,
        limits: StreamLimits | None = None,
        tls: Tls | None = None,
        options: SocketOptions | None = None,
    ) -> None:
        self.kind = "tls" if tls is not None else "tcp"
        self.limits = limits or StreamLimits()
        self.options = options or SocketOptions()
        self.counters = counters
        self.seconds = clock.seconds
        self.sink: Sink | None = None
        self.flow_gone: Callable[[Flow], None] = lambda _: None
        self.refuses: Callable[[str], bool] = lambda _: False
        """Whether nothing is to be accepted from a host; asked before a TLS handshake."""
        self._reactor = reactor
        self._tls = tls
        self._ports: list[tuple[Listener, ListeningPort, Address]] = []
        self._connections: dict[int, StreamConnection] = {}
        self._everyone: set[StreamConnection] = set()
        self._half_open: dict[StreamConnection, str] = {}
        self._sources: dict[str, int] = {}
        self._half_open_sources: dict[str, int] = {}
        self._own: dict[Target, StreamConnection] = {}
        self._opening: dict[Target, list[Connecting]] = {}
        self._aliases: dict[Target, StreamConnection] = {}
        self._deadlines: Wheel[StreamConnection] = Wheel(clock, _TICK, lambda connection, now: connection.check(now))

    # Listening

    def bind(self, listener: Listener) -> socket.socket:
        """Return a listening socket for `accept`. Raises EnvironmentFault, also for a certificate that cannot be
        used."""
        if self._tls is not None:
            self._tls.present(listener.certificate, listener.key)
        sock = bind(listener, socket.SOCK_STREAM)
        mark(sock, self.options.dscp)
        try:
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            raise EnvironmentFault(f"{listener.transport}: cannot listen: {error.strerror}") from None
        return sock

    def accept(self, listener: Listener, sock: socket.socket) -> None:
        """Accept connections from a socket that `bind` gave."""
        factory = accepting(self, self._tls, self._reactor, listener)
        port = self._reactor.adoptStreamPort(sock.fileno(), sock.family, factory)
        local = sock.getsockname()
        self._ports.append((listener, port, (local[0], local[1])))
        sock.close()

    @property
    def listening(self) -> tuple[tuple[Listener, Address], ...]:
        """Return the listeners and the addresses that they are bound to."""
        return tuple((listener, local) for listener, _, local in self._ports)

    def stop(self) -> None:
        """Close the listeners and reset every connection, without word to the sink."""
        self.sink = None
        for _, port, _ in self._ports:
            port.stopListening()
        self._ports.clear()
        self._opening.clear()
        for connection in list(self._everyone):
            connection.abort("this server stops")
        self._deadlines.stop()

    # Flows

    def find(self, flow: Flow) -> StreamConnection | None:
        """Return the connection of a flow, None if it is gone.

        The whole flow is compared: one that was stored by an earlier process may have the number of another here.
        """
        connection = self._connections.get(flow.connection)
        return connection if connection is not None and connection.flow == flow else None

    def send(self, flow: Flow, data: bytes) -> str:
        """Send over a flow; return an empty text, or why it cannot be."""
        connection = self.find(flow)
        if connection is None:
            self.counters["flow_gone"] += 1
            return "the connection is gone"
        fault = connection.send(data)
        if not fault:
            self.counters["stream_sent"] += 1
        return fault

    def connect(self, remote: Address, name: str, source: str, waiting: Connecting) -> None:
        """Give `waiting` a connection to `remote` for `name`; one may have to be opened, from the address `source`."""
        key = (remote, name)
        connection = self._own.get(key) or self._aliases.get(key)
        if connection is not None and connection.usable and connection.flow is not None:
            waiting.connected(connection.flow)
            return
        queue = self._opening.get(key)
        if queue is not None:
            queue.append(waiting)
            return
        # Counted apart from accepted ones: strangers who fill those must not cut us off from our trunks.
        if len(self._own) + len(self._opening) >= self.limits.total:
            self.counters["stream_refused_total"] += 1
            waiting.not_connected("too many connections are open")
            return
        self._opening[key] = [waiting]
        try:
            factory = opening(self, self._tls, self._reactor, key)
        except EnvironmentFault as fault:
            self.not_opened(key, str(fault))
            return
        bound = (source, 0) if source else None
        self._reactor.connectTCP(remote[0], remote[1], factory, timeout=self.limits.connect, bindAddress=bound)

    def alias(self, flow: Flow, port: int) -> None:
        """Let requests for the peer of an accepted flow take that flow (RFC 5923 §5, §8.1).

        Only for the names of its verified certificate, at the address that it connected from, and the `port` of its
        Via: nobody can draw another's requests to itself that way.
        """
        connection = self.find(flow)
        if connection is not None and connection.target is None:
            for name in connection.peer_names:
                self._aliases[((flow.remote[0], port), name)] = connection

    # What connections tell (`connection.Owner`)

    def number(self) -> int:
        """Return a number for a connection."""
        return next(_numbers)

    def look_again(self, connection: StreamConnection, when: float) -> None:
        """Call `connection.check` no later than `when`."""
        self._deadlines.sooner(connection, when)

    def verify(self, connection: StreamConnection, tls: TlsState) -> str:
        """Return why the peer's certificate is refused, or an empty text."""
        assert self._tls is not None
        connection.peer_names, fault = self._tls.verify(tls, connection.target)
        return fault

    def noted(self, tls: TlsState) -> str:
        """Return what was noted of a handshake that failed, or an empty text."""
        return fault_noted(tls)

    def established(self, connection: StreamConnection) -> None:
        """Take that a connection can be used."""
        flow = connection.flow
        assert flow is not None
        self._connections[flow.connection] = connection
        key = connection.target
        if key is None:
            return
        self.counters["stream_opened"] += 1
        self._own[key] = connection
        for waiting in self._opening.pop(key, ()):
            waiting.connected(flow)

    def spoke(self, connection: StreamConnection) -> None:
        """Take that an accepted connection has completed its first message."""
        self._no_longer_half_open(connection)

    def received(self, connection: StreamConnection, data: bytes) -> None:
        """Take a whole message."""
        self.counters["stream_received"] += 1
        if self.sink is not None and connection.flow is not None:
            self.sink.received(data, connection.flow)

    def unframeable(self, connection: StreamConnection, error: MessageError) -> None:
        """Take that a stream cannot be read any further."""
        if self.sink is not None and connection.flow is not None:
            self.sink.unframeable(error, connection.flow)

    def lost(self, connection: StreamConnection, detail: str) -> None:
        """Take that a connection is gone."""
        self._deadlines.remove(connection)
        self._everyone.discard(connection)
        key = connection.target
        if key is None:
            self._no_longer_half_open(connection)
            _less(self._sources, source_of(connection.remote[0]))
        flow = connection.flow
        if flow is None:
            # It never came up: a failed handshake, or a refused certificate.
            if key is not None:
                self.not_opened(key, detail)
            else:
                self.counters["stream_tls_failed"] += 1
            return
        self.counters["stream_closed"] += 1
        self._connections.pop(flow.connection, None)
        if key is not None and self._own.get(key) is connection:
            del self._own[key]
        if connection.peer_names and self._aliases:
            self._aliases = {alias: other for alias, other in self._aliases.items() if other is not connection}
        self.flow_gone(flow)
        if self.sink is not None:
            self.sink.closed(flow, detail)

    # What factories tell

    def admit(self, host: str) -> StreamConnection | None:
        """Return what is to carry a connection from `host`, None if it is refused."""
        if self.refuses(host):
            self.counters["stream_refused_banned"] += 1
            return None
        limits, source = self.limits, source_of(host)
        if self.sink is None or len(self._everyone) - len(self._own) >= limits.total:
            self.counters["stream_refused_total"] += 1
            return None
        if (
            self._sources.get(source, 0) >= limits.per_source
            or self._half_open_sources.get(source, 0) >= limits.half_open_per_source
        ):
            self.counters["stream_refused_source"] += 1
            return None
        if len(self._half_open) >= limits.half_open:
            self.counters["stream_evicted_half_open"] += 1
            next(iter(self._half_open)).abort("too many others had said nothing yet")
        self.counters["stream_accepted"] += 1
        connection = StreamConnection(self, secure=self._tls is not None)
        self._sources[source] = self._sources.get(source, 0) + 1
        self._half_open_sources[source] = self._half_open_sources.get(source, 0) + 1
        self._half_open[connection] = source
        self._everyone.add(connection)
        return connection

    def opened(self, key: Target) -> StreamConnection | None:
        """Return what is to carry a connection that was opened from here, None if nobody wants it any more."""
        if key not in self._opening:
            return None
        connection = StreamConnection(self, secure=self._tls is not None, target=key)
        self._everyone.add(connection)
        return connection

    def not_opened(self, key: Target, detail: str) -> None:
        """Take that a connection could not be opened."""
        self.counters["stream_open_failed"] += 1
        for waiting in self._opening.pop(key, ()):
            waiting.not_connected(detail)

    def _no_longer_half_open(self, connection: StreamConnection) -> None:
        source = self._half_open.pop(connection, None)
        if source is not None:
            _less(self._half_open_sources, source)


def _less(counts: dict[str, int], source: str) -> None:
    left = counts.get(source, 0) - 1
    if left > 0:
        counts[source] = left
    else:
        counts.pop(source, None)
