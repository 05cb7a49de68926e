"""What lies between the hosts of a test: datagrams and streams in memory, as bad as wanted, repeatable by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from pbx.net.transport import Address
from tests.support.clock import SteppedClock

__all__ = ["Datagram", "Faults", "Nat", "Pipe", "UdpSocket", "Wire"]


@dataclass(frozen=True)
class Faults:
    """How bad the wire is. Probabilities from 0 to 1, times in seconds."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    """How likely a datagram is held back, by up to `held_back`, so that later ones overtake it."""
    held_back: float = 0.1
    delay: tuple[float, float] = (0.0, 0.0)
    """The shortest and the longest delay; streams have it too, but stay in order."""
    fragmentation: bool = False
    """Streams arrive in pieces cut at random."""


@dataclass(frozen=True)
class Datagram:
    """One datagram on the wire, addresses as they are there (behind any NAT)."""

    sent: float
    source: Address
    destination: Address
    data: bytes
    fate: str
    """``carried``, ``lost``, ``unreachable`` or ``filtered``."""


class Wire:
    """What lies between all hosts of a test."""

    def __init__(self, clock: SteppedClock, seed: int = 0, faults: Faults | None = None) -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.faults = faults or Faults()
        self.log: list[Datagram] = []
        """Every datagram that was sent, in order."""
        self.sockets: dict[Address, UdpSocket] = {}
        self.nats: dict[str, Nat] = {}
        self.listening: dict[Address, Callable[[Pipe], object]] = {}
        self.pipes: set[Pipe] = set()
        self.dark: set[str] = set()
        """Hosts that nothing reaches and that nothing comes from: unplugged, without any notice."""
        self._filters: list[Callable[[Datagram], bool]] = []
        self._ports = count(40000)

    # -- faults on demand

    def drop_if(self, condition: Callable[[Datagram], bool]) -> Callable[[], None]:
        """Lose every datagram for which `condition` is true, until the returned function is called."""
        self._filters.append(condition)
        return lambda: self._filters.remove(condition)

    def drop_next(self, number: int = 1, holding: bytes = b"", to: Address | None = None) -> None:
        """Lose the next `number` datagrams that hold these bytes and go to that address."""
        left = number

        def condition(datagram: Datagram) -> bool:
            nonlocal left
            if not left or holding not in datagram.data or (to is not None and datagram.destination != to):
                return False
            left -= 1
            return True

        self._filters.append(condition)

    # -- datagrams

    def udp(self, address: Address, receive: Callable[[bytes, Address], None], nat: Nat | None = None) -> UdpSocket:
        """Open a socket; port 0 chooses one. Behind a NAT the address means something there only."""
        host, port = address
        bound = (host, port or next(self._ports))
        socket = UdpSocket(self, bound, receive, nat)
        table = self.sockets if nat is None else nat.inside
        assert bound not in table, f"{bound} is taken"
        table[bound] = socket
        return socket

    def carry(self, source: Address, destination: Address, data: bytes, sender: UdpSocket) -> None:
        """Take a datagram that has left any NAT of its sender."""
        datagram = Datagram(self.clock.seconds(), source, destination, data, "carried")
        if source[0] in self.dark or destination[0] in self.dark:
            self._note(datagram, "lost")
            return
        if any(condition(datagram) for condition in self._filters):
            self._note(datagram, "filtered")
            return
        if self.random.random() < self.faults.loss:
            self._note(datagram, "lost")
            return
        known = destination in self.sockets or destination[0] in self.nats
        if not known and any(host == destination[0] for host, _ in (*self.sockets, *self.listening)):
            # The host is there and the port is closed: it says so.
            self._note(datagram, "unreachable")
            self.clock.callLater(self.delay(), sender.refused, destination)
            return
        self._note(datagram, "carried")
        copies = 2 if self.random.random() < self.faults.duplication else 1
        for _ in range(copies):
            delay = self.delay()
            if self.random.random() < self.faults.reordering:
                delay += self.random.uniform(0, self.faults.held_back)
            self.clock.callLater(delay, self._deliver, source, destination, data)

    def delay(self) -> float:
        """Return how long the next datagram takes."""
        shortest, longest = self.faults.delay
        return shortest if shortest == longest else self.random.uniform(shortest, longest)

    def _note(self, datagram: Datagram, fate: str) -> None:
        self.log.append(
            Datagram(datagram.sent, datagram.source, datagram.destination, datagram.data, fate),
        )

    def _deliver(self, source: Address, destination: Address, data: bytes) -> None:
        socket = self.sockets.get(destination)
        if socket is None:
            nat = self.nats.get(destination[0])
            socket = nat.admit(source, destination) if nat is not None else None
        if socket is not None:
            socket.receive(data, source)

    # -- streams

    def connect(
        self,
        source: str,
        destination: Address,
        done: Callable[[Pipe | None, str], None],
        nat: Nat | None = None,
    ) -> None:
        """Open a stream from a host; `done` gets our end, or None and the reason, never before this returns."""
        inner = (source, next(self._ports))
        outer = inner if nat is None else nat.map(inner, destination)

        def arrive() -> None:
            accept = self.listening.get(destination)
            if accept is None or destination[0] in self.dark or source in self.dark:
                done(None, "connection refused" if accept is None else "timed out")
                return
            near, far = Pipe(self, inner, destination), Pipe(self, destination, outer)
            near.other, far.other = far, near
            self.pipes |= {near, far}
            accept(far)
            done(near, "")

        # A host that is not there answers nothing; the caller's own patience is for the caller to test.
        patience = 30.0 if destination[0] in self.dark or source in self.dark else self.delay() + self.delay()
        self.clock.callLater(patience, arrive)

    def idle(self) -> bool:
        """Return whether nothing is on its way and no stream is open."""
        return not self.clock.calls and not self.pipes


class UdpSocket:
    """One UDP socket on the wire."""

    def __init__(
        self, wire: Wire, address: Address, receive: Callable[[bytes, Address], None], nat: Nat | None = None
    ) -> None:
        self.wire = wire
        self.address = address
        self.receive = receive
        self.nat = nat
        self.refused: Callable[[Address], None] = lambda destination: None
        """Called with the destination of a datagram that was refused (ICMP port unreachable)."""

    def send(self, data: bytes, destination: Address) -> None:
        source = self.address if self.nat is None else self.nat.map(self.address, destination)
        self.wire.carry(source, destination, data, self)

    def close(self) -> None:
        table = self.wire.sockets if self.nat is None else self.nat.inside
        table.pop(self.address, None)


class Nat:
    """A router that hides hosts behind one address.

    Datagrams come in only from where one went out to (address and port restricted). `symmetric` gives each destination
    a port of its own; `lifetime` is how many seconds a mapping lives after the last datagram out; `rebind` forgets all
    mappings, as a router does that restarts: the next datagram out comes from another port.
    """

    def __init__(self, wire: Wire, public: str, symmetric: bool = False, lifetime: float = float("inf")) -> None:
        self.wire = wire
        self.public = public
        self.symmetric = symmetric
        self.lifetime = lifetime
        self.inside: dict[Address, UdpSocket] = {}
        self._outward: dict[tuple[Address, Address | None], _Mapping] = {}
        self._inward: dict[int, _Mapping] = {}
        self._ports = count(20000)
        wire.nats[public] = self

    def map(self, source: Address, destination: Address) -> Address:
        """Return the address that a datagram from `source` to `destination` has outside."""
        key = (source, destination if self.symmetric else None)
        now = self.wire.clock.seconds()
        mapping = self._outward.get(key)
        if mapping is None or now - mapping.used > self.lifetime:
            if mapping is not None:
                self._inward.pop(mapping.port, None)
            mapping = self._outward[key] = _Mapping(source, next(self._ports))
            self._inward[mapping.port] = mapping
        mapping.used = now
        mapping.remotes.add(destination)
        return (self.public, mapping.port)

    def admit(self, source: Address, destination: Address) -> UdpSocket | None:
        """Return the socket inside that a datagram to an outside address is for, None if it is shut out."""
        mapping = self._inward.get(destination[1])
        if mapping is None or source not in mapping.remotes:
            return None
        if self.wire.clock.seconds() - mapping.used > self.lifetime:
            return None
        return self.inside.get(mapping.source)

    def rebind(self) -> None:
        """Forget every mapping."""
        self._outward.clear()
        self._inward.clear()


@dataclass
class _Mapping:
    source: Address
    port: int
    used: float = 0.0
    remotes: set[Address] = field(default_factory=set)


class Pipe:
    """One end of a stream: what is written at one comes out at the other, whole and in order, perhaps in pieces."""

    def __init__(self, wire: Wire, local: Address, remote: Address) -> None:
        self.wire = wire
        self.local = local
        self.remote = remote
        self.other: Pipe | None = None
        self.receive: Callable[[bytes], None] = lambda data: None
        self.closed: Callable[[str], None] = lambda detail: None
        self.open = True
        self._last = 0.0

    def write(self, data: bytes) -> None:
        if not self.open or self.other is None or {self.local[0], self.remote[0]} & self.wire.dark:
            return
        for piece in self._pieces(data):
            self._later(self.other._arrive, piece)

    def close(self, detail: str = "closed by the peer") -> None:
        """Close this end; the other hears of it after what was written before."""
        if not self.open:
            return
        self.open = False
        self.wire.pipes.discard(self)
        if self.other is not None and not {self.local[0], self.remote[0]} & self.wire.dark:
            self._later(self.other._end, detail)

    def break_off(self) -> None:
        """Break the connection at both ends at once (a reset)."""
        for end in (self, self.other):
            if end is not None:
                end._end("connection reset")

    def _pieces(self, data: bytes) -> list[bytes]:
        if not self.wire.faults.fragmentation or len(data) < 2:
            return [data]
        cuts = sorted(self.wire.random.sample(range(1, len(data)), min(3, len(data) - 1)))
        return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def _later(self, call: Callable[..., None], argument: object) -> None:
        now = self.wire.clock.seconds()
        self._last = max(self._last, now + self.wire.delay())
        self.wire.clock.callLater(self._last - now, call, argument)

    def _arrive(self, data: bytes) -> None:
        if self.open:
            self.receive(data)

    def _end(self, detail: str) -> None:
        if self.open:
            self.open = False
            self.wire.pipes.discard(self)
            self.closed(detail)
