"""Every real transport behind one door: which socket a peer is reached from, and what it is told of us."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from pbx.errors import EnvironmentFault
from pbx.net.addresses import AddressBook
from pbx.net.keepalive import KeepAlives
from pbx.net.readers import Readers
from pbx.net.tcp import StreamReactor, StreamTransport
from pbx.net.transport import SocketOptions, family_of, is_wildcard
from pbx.net.udp import UdpTransport
from pbx.sip.framing import PING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from pbx.net.clock import Clock
    from pbx.net.counters import Counters
    from pbx.net.stream_limits import StreamLimits
    from pbx.net.tls import Tls
    from pbx.net.transport import Address, Connecting, Listener, Sink
    from pbx.sip.stack import Flow

__all__ = ["RealNetwork"]

_DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


class NetworkReactor(Readers, StreamReactor, Protocol):
    """What is used of Twisted's reactor."""


class RealNetwork:
    """UDP, TCP and TLS over sockets. Implements `pbx.net.transport.Network`.

    All listeners are bound at once, so that a taken port is known before anything else starts; EnvironmentFault says
    which one and what to do. TLS without `tls` is not offered. Connections can be opened without a listener of their
    transport.
    """

    def __init__(
        self,
        reactor: NetworkReactor,
        clock: Clock,
        listeners: Iterable[Listener],
        counters: Counters,
        *,
        tls: Tls | None = None,
        limits: StreamLimits | None = None,
        book: AddressBook | None = None,
        options: SocketOptions | None = None,
        refuses: Callable[[str], bool] = lambda _: False,
        readers: Readers | None = None,
    ) -> None:
        """Accept no connection from a host that `refuses` says; have UDP sockets watched by `readers`, else by the
        reactor."""
        self._readers = reactor if readers is None else readers
        self._counters = counters
        self._refuses = refuses
        self._book = book or AddressBook(clock.seconds)
        self._options = options or SocketOptions()
        self._udp: list[UdpTransport] = []
        self._udp_listening: list[tuple[Listener, Address]] = []
        self._udp_families: dict[int, list[UdpTransport]] = {}
        self._udp_at: dict[Address, UdpTransport] = {}
        """By our address in the flows that go by it, remembered when first asked for: every message asks."""
        self._keep_alives = KeepAlives(clock, self._ping)
        self._new_stream = partial(StreamTransport, reactor, clock, counters, limits, options=self._options)
        self._streams: dict[str, StreamTransport] = {}
        self._tls: Tls | None = None
        self._sink: Sink | None = None
        self._add_stream("tcp", None)
        if tls is not None:
            self.use_tls(tls)
        self._bound: list[tuple[Listener, socket.socket]] = []
        try:
            for listener in listeners:
                self._bind(listener)
        except EnvironmentFault:
            self.stop()
            raise

    def _add_stream(self, transport: str, tls: Tls | None) -> None:
        stream = self._new_stream(tls=tls)
        stream.flow_gone = self._keep_alives.forget
        stream.refuses = self._refuses
        stream.sink = self._sink
        self._streams[transport] = stream

    def use_tls(self, tls: Tls) -> None:
        """Offer TLS, if it is not offered yet: connections of our own need no listener."""
        if self._tls is None:
            self._tls = tls
            self._add_stream("tls", tls)

    def _bind(self, listener: Listener) -> None:
        if listener.transport == "udp":
            udp = UdpTransport(listener, self._book, self._counters, self._options)
            self._udp.append(udp)
            self._udp_listening.append((listener, udp.local))
            self._udp_families.setdefault(family_of(udp.local[0]), []).append(udp)
            return
        stream = self._streams.get(listener.transport)
        if stream is None:
            raise EnvironmentFault(f"{listener.transport}: this transport is not set up; TLS needs a certificate")
        self._bound.append((listener, stream.bind(listener)))

    # Life

    def start(self, sink: Sink) -> None:
        """Begin to hand what arrives to `sink`."""
        self._sink = sink
        for udp in self._udp:
            udp.start(self._readers, sink)
        for stream in self._streams.values():
            stream.sink = sink
        for listener, sock in self._bound:
            self._streams[listener.transport].accept(listener, sock)
        self._bound.clear()

    def stop(self) -> None:
        """Close everything, without further word to the sink."""
        self._sink = None
        self._keep_alives.stop()
        for udp in self._udp:
            udp.stop()
        self._udp.clear()
        self._udp_listening.clear()
        self._udp_families.clear()
        self._udp_at.clear()
        for _, sock in self._bound:
            sock.close()
        self._bound.clear()
        for stream in self._streams.values():
            stream.stop()

    @property
    def tls(self) -> Tls | None:
        """The TLS side of connections; None where TLS is not offered."""
        return self._tls

    @property
    def listening(self) -> tuple[tuple[Listener, Address], ...]:
        """The listeners, and the addresses that they are bound to with the real ports."""
        found = list(self._udp_listening)
        for stream in self._streams.values():
            found += stream.listening
        return tuple(found)

    def backlog(self) -> float:
        """Return how full the fullest UDP receive buffer is, 0 to 1."""
        return max((udp.backlog() for udp in self._udp), default=0.0)

    def waited(self) -> float:
        """Return the least that datagrams have waited to be read at the UDP socket where it was longest, in seconds,
        since this was last asked for."""
        return max((udp.waited() for udp in self._udp), default=0.0)

    def kernel_drops(self) -> int:
        """Return how many datagrams the kernel has dropped because they were not read in time."""
        return sum(udp.kernel_drops() for udp in self._udp)

    # Flows

    def offers(self, transport: str, host: str) -> bool:
        """Return whether a flow over `transport` to the numeric `host` may be tried from here."""
        if transport == "udp":
            return self._udp_towards(host) is not None
        return transport in self._streams

    def listens(self, transport: str, host: str) -> bool:
        """Return whether a peer at the numeric `host` can reach us over `transport` of its own accord."""
        family = family_of(host)
        if transport == "udp":
            return family in self._udp_families
        return any(family_of(bound[0]) == family for _, bound in self._listeners(transport))

    def connect(self, transport: str, remote: Address, name: str, waiting: Connecting) -> None:
        """Find or open a flow to `remote`; `waiting` is told, perhaps before this returns."""
        if transport == "udp":
            udp = self._udp_towards(remote[0])
            if udp is None:
                waiting.not_connected(f"no UDP listener for IPv{family_of(remote[0])}")
            else:
                waiting.connected(udp.flow_to(remote))
            return
        stream = self._streams.get(transport)
        if stream is None:
            waiting.not_connected(f"{transport} is not offered here")
        else:
            stream.connect(remote, name if transport == "tls" else "", self._origin(transport, remote[0]), waiting)

    def send(self, flow: Flow, data: bytes) -> str:
        """Send `data` over `flow`; return an empty text, or why it cannot be sent."""
        if flow.transport == "udp":
            udp = self._udp_of(flow)
            if udp is not None:
                return udp.send(flow, data)
            self._counters["flow_gone"] += 1
            return "its listener is gone"
        stream = self._streams.get(flow.transport)
        if stream is None:
            self._counters["flow_gone"] += 1
            return f"{flow.transport} is not offered here"
        return stream.send(flow, data)

    def alive(self, flow: Flow) -> bool:
        """Return whether the flow can still be sent over."""
        if flow.transport == "udp":
            return self._udp_of(flow) is not None
        stream = self._streams.get(flow.transport)
        connection = stream.find(flow) if stream is not None else None
        return connection is not None and connection.usable

    def close(self, flow: Flow, detail: str) -> None:
        """Close a connection in good order; harmless for UDP and for one that is gone."""
        stream = self._streams.get(flow.transport)
        connection = stream.find(flow) if stream is not None else None
        if connection is not None:
            connection.close(detail)

    def alias(self, flow: Flow, port: int) -> None:
        """Let requests for the peer of an accepted TLS flow take that flow, as it asked for (RFC 5923)."""
        stream = self._streams.get(flow.transport)
        if stream is not None:
            stream.alias(flow, port)

    def peer_names(self, flow: Flow) -> tuple[str, ...]:
        """Return the names that the peer's verified certificate is for; empty if it showed none."""
        stream = self._streams.get(flow.transport)
        connection = stream.find(flow) if stream is not None else None
        return () if connection is None else connection.peer_names

    # What peers are told of us

    def sent_by(self, flow: Flow) -> Address:
        """Return the address by which the peer of `flow` reaches us."""
        listener, bound = self._listener(flow.transport, flow.local[0])
        if listener is None:
            return flow.local
        host = flow.local[0] if is_wildcard(bound[0]) else bound[0]
        return self._book.advertised(listener, (host, bound[1]), flow.remote[0])

    def sent_by_towards(self, transport: str, host: str) -> Address:
        """Return the address by which a peer at the numeric `host` would reach us over `transport`."""
        # If no way leads there, what is said hardly matters, but it must be an address.
        source = self._book.source_towards(host) or ("::1" if family_of(host) == 6 else "127.0.0.1")
        listener, bound = self._listener(transport, source)
        if listener is None:
            return source, _DEFAULT_PORTS.get(transport, 5060)
        local = source if is_wildcard(bound[0]) else bound[0]
        return self._book.advertised(listener, (local, bound[1]), host)

    def local_towards(self, transport: str, host: str) -> str:
        """Return our own address that requests over `transport` to the numeric `host` go out from; empty if no way
        leads there."""
        return self._local(transport, self._book.source_towards(host))

    def refreshed_towards(self, transport: str, host: str) -> str:
        """Return what `local_towards` would, asking the kernel in any case: the network may have changed."""
        return self._local(transport, self._book.refreshed_towards(host))

    def _local(self, transport: str, source: str) -> str:
        _, bound = self._listener(transport, source)
        return source if not source or not bound[0] or is_wildcard(bound[0]) else bound[0]

    # Keep-alives

    def keep_alive(self, flow: Flow, interval: float) -> Callable[[], None]:
        """Send a keep-alive over `flow` every `interval` seconds; the return value ends that."""
        if not self.alive(flow):
            return lambda: None
        stop = self._keep_alives.start(flow, interval)
        stream = self._streams.get(flow.transport)
        connection = stream.find(flow) if stream is not None else None
        if connection is None:
            return stop
        connection.keep()
        kept = [connection]

        def let_go() -> None:
            stop()
            if kept:
                kept.pop().let_go()

        return let_go

    def _ping(self, flow: Flow) -> None:
        self._counters["keep_alives_sent"] += 1
        stream = self._streams.get(flow.transport)
        if stream is None:
            self.send(flow, PING)
            return
        connection = stream.find(flow)
        if connection is not None:
            connection.ping()

    # Choosing

    def _udp_of(self, flow: Flow) -> UdpTransport | None:
        found = self._udp_at.get(flow.local)
        if found is None:
            host, port = flow.local
            for udp in self._udp:
                if udp.local[1] == port and udp.serves(host):
                    found = self._udp_at[flow.local] = udp
                    break
        return found

    def _udp_towards(self, host: str) -> UdpTransport | None:
        """Return the listener to reach `host` from: the one bound to the kernel's choice, else to all, else any."""
        fitting = self._udp_families.get(family_of(host), ())
        if len(fitting) < 2:
            return fitting[0] if fitting else None
        source = self._book.source_towards(host)
        ranked = sorted(fitting, key=lambda udp: (udp.local[0] != source, not is_wildcard(udp.local[0])))
        return ranked[0]

    def _listeners(self, transport: str) -> Iterable[tuple[Listener, Address]]:
        if transport == "udp":
            return self._udp_listening
        stream = self._streams.get(transport)
        return () if stream is None else stream.listening

    def _listener(self, transport: str, local: str) -> tuple[Listener | None, Address]:
        """Return the listener of `transport` that a peer would reach at our address `local`, or the next best."""
        family = 0
        best: tuple[Listener | None, Address] = None, ("", 0)
        for listener, bound in self._listeners(transport):
            if bound[0] == local:
                return listener, bound
            family = family or family_of(local)
            if family_of(bound[0]) == family and (best[0] is None or is_wildcard(bound[0])):
                best = listener, bound
        return best

    def _origin(self, transport: str, host: str) -> str:
        """Return the address to connect from: that of a listener bound to one, so that peers know us by it."""
        source = self._book.source_towards(host)
        listener, bound = self._listener(transport, source)
        return "" if listener is None or is_wildcard(bound[0]) else bound[0]
