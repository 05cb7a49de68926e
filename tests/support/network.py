"""A network in memory, as bad as a test wants it, and a clock that steps.

`SteppedClock` goes to each due call in turn. `Wire` carries datagrams and streams between addresses, with loss, delay,
duplication and reordering from a seeded random source, so that a run can be repeated exactly; `Nat` stands between a
host and the wire. `MemoryNetwork` is one host's transports: it has the interface of `pbx.net.transport.Network`, so the
real driver runs on it.

clock = SteppedClock() wire = Wire(clock, seed=7, faults=Faults(loss=0.1, delay=(0.01, 0.05))) server =
MemoryNetwork(wire, [Listener("udp", "192.0.2.1", 5060)]) phone = MemoryNetwork(wire, [Listener("udp", "10.0.0.2",
5060)], nat=Nat(wire, "198.51.100.7"))
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count

from pbx.errors import ParseError
from pbx.net.transport import Address, Connecting, Listener, Sink, is_wildcard
from pbx.sip.framing import PING, PONG, StreamFramer
from pbx.sip.stack import Flow
from tests.support.clock import SteppedClock
from tests.support.wire import Datagram, Faults, Nat, Pipe, UdpSocket, Wire

__all__ = ["Datagram", "Faults", "MemoryNetwork", "Nat", "Pipe", "SteppedClock", "UdpSocket", "Wire"]


class MemoryNetwork:
    """The transports of one host on the wire (`pbx.net.transport.Network`). TLS is a stream like TCP here."""

    def __init__(
        self,
        wire: Wire,
        listeners: list[Listener],
        nat: Nat | None = None,
    ) -> None:
        self.wire = wire
        self.nat = nat
        self.listeners = [
            Listener(each.transport, each.host, each.port or next(wire._ports), each.external) for each in listeners
        ]
        assert not any(is_wildcard(each.host) for each in self.listeners), "name the address: there is no kernel to ask"
        self.sink: Sink | None = None
        self._udp: dict[Address, UdpSocket] = {}
        self._streams: dict[int, tuple[Flow, Pipe, str]] = {}
        self._opened: dict[tuple[str, Address, str], Flow] = {}
        self._connections = count(1)

    # -- pbx.net.transport.Network

    def start(self, sink: Sink) -> None:
        self.sink = sink
        for listener in self.listeners:
            address = (listener.host, listener.port)
            if listener.transport == "udp":
                self._udp[address] = self._open_udp(address)
            elif self.nat is None:
                assert address not in self.wire.listening, f"{address} is taken"
                self.wire.listening[address] = partial(self._adopt, listener.transport, "")

    def stop(self) -> None:
        self.sink = None
        for socket in self._udp.values():
            socket.close()
        for listener in self.listeners:
            self.wire.listening.pop((listener.host, listener.port), None)
        for _, pipe, _ in list(self._streams.values()):
            pipe.close()
        self._udp.clear()
        self._streams.clear()
        self._opened.clear()

    def offers(self, transport: str, host: str) -> bool:
        return self._listener(transport, host) is not None

    def listens(self, transport: str, host: str) -> bool:
        return self.nat is None and self.offers(transport, host)

    def connect(self, transport: str, remote: Address, name: str, waiting: Connecting) -> None:
        listener = self._listener(transport, remote[0])
        if listener is None:
            waiting.not_connected(f"no {transport} listener for {remote[0]}")
            return
        if transport == "udp":
            waiting.connected(Flow("udp", (listener.host, listener.port), remote))
            return
        known = self._opened.get((transport, remote, name))
        if known is not None:
            waiting.connected(known)
            return

        def done(pipe: Pipe | None, reason: str) -> None:
            if self.sink is None:
                return
            if pipe is None:
                waiting.not_connected(reason)
                return
            flow = self._adopt(transport, name, pipe)
            self._opened[transport, remote, name] = flow
            waiting.connected(flow)

        self.wire.connect(listener.host, remote, done, self.nat)

    def send(self, flow: Flow, data: bytes) -> str:
        if flow.transport == "udp":
            socket = self._udp.get(flow.local)
            if socket is None:
                return "no such listener"
            socket.send(data, flow.remote)
            return ""
        held = self._streams.get(flow.connection)
        if held is None:
            return "connection closed"
        held[1].write(data)
        return ""

    def alive(self, flow: Flow) -> bool:
        return flow.local in self._udp if flow.transport == "udp" else flow.connection in self._streams

    def sent_by(self, flow: Flow) -> Address:
        if flow.transport == "udp":
            listener = next(each for each in self.listeners if (each.host, each.port) == flow.local)
        else:
            found = self._listener(flow.transport, flow.remote[0])
            assert found is not None
            listener = found
        return listener.external or (listener.host, listener.port)

    def sent_by_towards(self, transport: str, host: str) -> Address:
        listener = self._listener(transport, host)
        assert listener is not None, f"no {transport} listener"
        return listener.external or (listener.host, listener.port)

    def keep_alive(self, flow: Flow, interval: float) -> Callable[[], None]:
        stopped = False

        def beat() -> None:
            if not stopped and self.sink is not None and self.alive(flow):
                self.send(flow, PING)
                self.wire.clock.callLater(interval, beat)

        def stop() -> None:
            nonlocal stopped
            stopped = True

        self.wire.clock.callLater(interval, beat)
        return stop

    def close(self, flow: Flow, detail: str) -> None:
        held = self._streams.get(flow.connection)
        if held is not None:
            held[1].close(detail)

    def alias(self, flow: Flow, port: int) -> None:
        """No certificates here, so nobody can prove an alias (RFC 5923)."""

    def peer_names(self, flow: Flow) -> tuple[str, ...]:
        held = self._streams.get(flow.connection)
        return (held[2],) if held is not None and flow.transport == "tls" and held[2] else ()

    # -- for tests

    def open_streams(self) -> int:
        """Return how many connections are open."""
        return len(self._streams)

    def break_streams(self) -> None:
        """Break every connection, as a crash of something in between does."""
        for _, pipe, _ in list(self._streams.values()):
            pipe.break_off()

    # -- inside

    def _listener(self, transport: str, host: str) -> Listener | None:
        for listener in self.listeners:
            if listener.transport == transport and (":" in listener.host) == (":" in host):
                return listener
        return None

    def _open_udp(self, address: Address) -> UdpSocket:
        def receive(data: bytes, source: Address) -> None:
            if self.sink is not None and data.strip(b"\r\n\0 "):
                self.sink.received(data, Flow("udp", address, source))

        def refused(destination: Address) -> None:
            if self.sink is not None:
                self.sink.unreachable(destination, "port unreachable")

        socket = self.wire.udp(address, receive, self.nat)
        socket.refused = refused
        return socket

    def _adopt(self, transport: str, name: str, pipe: Pipe) -> Flow:
        flow = Flow(transport, pipe.local, pipe.remote, next(self._connections))
        framer = StreamFramer()
        self._streams[flow.connection] = (flow, pipe, name)

        def receive(data: bytes) -> None:
            try:
                messages = framer.feed(data)
            except ParseError:
                pipe.close("unreadable")
                closed("unreadable")
                return
            for message in messages:
                if message == PING:
                    pipe.write(PONG)
                elif self.sink is not None:
                    self.sink.received(message, flow)

        def closed(detail: str) -> None:
            if self._streams.pop(flow.connection, None) is None:
                return
            self._opened = {key: known for key, known in self._opened.items() if known != flow}
            if self.sink is not None:
                self.sink.closed(flow, detail)

        pipe.receive = receive
        pipe.closed = closed
        return flow
