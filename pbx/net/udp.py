"""One UDP listener: a socket read in a tight loop.

Not Twisted's UDP port: at the same cost (`docs/decisions.md` has the figures) this one tells on which of our
addresses a datagram arrived, answers from that one, and hears of ICMP errors.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from contextlib import suppress
from fcntl import ioctl
from termios import FIONREAD
from typing import TYPE_CHECKING

from pbx.errors import EnvironmentFault
from pbx.net import icmp
from pbx.net.stun import binding_response, is_stun
from pbx.net.transport import SocketOptions, family_of, is_wildcard, show
from pbx.sip.stack import Flow

if TYPE_CHECKING:
    from collections.abc import Callable

    from pbx.net.addresses import AddressBook
    from pbx.net.counters import Counters
    from pbx.net.readers import Readers
    from pbx.net.transport import Address, Listener, Sink

__all__ = ["UdpTransport", "bind", "mark"]

_SEND_BUFFER = 4 * 1024 * 1024
_DATAGRAM = 65535
_READS_A_WAKE_UP = 32
"""At 70 microseconds a message it takes two milliseconds until timers and other sockets have their turn."""
_FLOWS_REMEMBERED = 16384
_ANCILLARY = 64
_NOTHING = bytes(4)

# asm-generic/socket.h, linux/in.h; Python 3.11's socket module does not name them.
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE, _SO_MEMINFO = 32, 33, 55
_MEMINFO = struct.Struct("=9I")
_MEMINFO_DROPS = 8
_IP_PKTINFO, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT = 8, 10, 0
_IN_PKTINFO = struct.Struct("=I4s4s")
_IN6_PKTINFO = struct.Struct("=16sI")
_SIOCGSTAMP = 0x8906
"""asm-generic/sockios.h: when the datagram that was read last had arrived, by the wall clock (socket(7))."""
_ARRIVED = struct.Struct("@ll")
_DEFAULT_OPTIONS = SocketOptions()


def bind(listener: Listener, kind: socket.SocketKind) -> socket.socket:
    """Return a non-blocking socket bound to a listener's address. Raises EnvironmentFault that says what to do."""
    family = socket.AF_INET6 if family_of(listener.host) == 6 else socket.AF_INET
    name = f"{listener.transport}://{show((listener.host, listener.port))}"
    try:
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise EnvironmentFault(f"{name} cannot be listened on: {error.strerror}") from None
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((listener.host, listener.port))
    except OSError as error:
        sock.close()
        remedy = {
            errno.EADDRINUSE: "another program uses this port; stop it or choose another port",
            errno.EACCES: "ports below 1024 need the capability CAP_NET_BIND_SERVICE; grant it or choose another port",
            errno.EADDRNOTAVAIL: "this machine has no such address; name one of its own, or 0.0.0.0 or [::] for all",
        }.get(error.errno or 0, "check the address")
        raise EnvironmentFault(f"{name} cannot be listened on: {error.strerror}: {remedy}") from None
    return sock


def mark(sock: socket.socket, dscp: int) -> None:
    """Have what a socket sends carry a code point (RFC 2474 §3: the upper six bits of the octet)."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)


class UdpTransport:
    """Receives and sends SIP over one bound UDP socket.

    `local` is the address it is bound to, with the real port. Raises EnvironmentFault if the address cannot be had.
    """

    def __init__(
        self,
        listener: Listener,
        book: AddressBook,
        counters: Counters,
        options: SocketOptions = _DEFAULT_OPTIONS,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`wall` is the clock that the kernel notes arrivals by."""
        self.listener = listener
        self._wall = wall
        self._book = book
        self._counters = counters
        self._socket = bind(listener, socket.SOCK_DGRAM)
        self._v6 = family_of(listener.host) == 6
        self._wildcard = is_wildcard(listener.host)
        self.local: Address = (listener.host, self._socket.getsockname()[1])
        self._prepare(options)
        # The event loop (libuv) stops watching a descriptor that reports an error, and with IP_RECVERR a UDP socket
        # does so at each ICMP message. It watches this epoll instance instead, which only ever reports something to
        # read.
        self._watch = select.epoll()
        self._watch.register(self._socket.fileno(), select.EPOLLIN)
        self._flows: dict[object, Flow] = {}
        self._ways: dict[Address, Flow] = {}
        """Flows to peers: those of a trunk are one object, which its calls and the trace share."""
        self._origins: dict[str, tuple[tuple[int, int, bytes], ...]] = {}
        self._sink: Sink | None = None
        self._reactor: Readers | None = None
        # What is read is copied out of here at its size. Read by itself, each datagram would be given 64 KiB that it
        # then shrinks in: one that a call keeps leaves a hole in the heap behind it that no other datagram fits into.
        self._buffer = memoryview(bytearray(_DATAGRAM))
        self._late = 0.0
        """The least that a datagram had waited, of those read since that was last asked for, or of those before."""
        self._asked = True

    def _prepare(self, options: SocketOptions) -> None:
        sock = self._socket
        for option, forced, octets in (
            (socket.SO_RCVBUF, _SO_RCVBUFFORCE, options.receive_buffer),
            (socket.SO_SNDBUF, _SO_SNDBUFFORCE, _SEND_BUFFER),
        ):
            sock.setsockopt(socket.SOL_SOCKET, option, octets)
            # The kernel reports twice what it was asked for (socket(7)).
            if sock.getsockopt(socket.SOL_SOCKET, option) < 2 * octets and not self._force(forced, octets):
                self._counters["udp_buffer_short"] += 1
        mark(sock, options.dscp)
        icmp.enable(sock)
        if self._v6:
            if self._wildcard:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            # Routers may fragment: else a large request is lost once for each narrower link on its way.
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)
            if self._wildcard:
                sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)

    def _force(self, option: int, octets: int) -> bool:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, option, octets)
        except PermissionError:
            return False
        return True

    def start(self, reactor: Readers, sink: Sink) -> None:
        """Begin to hand datagrams to `sink`."""
        self._sink = sink
        self._reactor = reactor
        # The kernel notes arrivals from the first time on that somebody asks, and has nothing to say then.
        with suppress(OSError):
            ioctl(self._socket, _SIOCGSTAMP, bytearray(_ARRIVED.size))
        reactor.addReader(self)

    def stop(self) -> None:
        """Close the socket."""
        if self._reactor is not None:
            self._reactor.removeReader(self)
            self._reactor = None
        self._watch.close()
        self._socket.close()

    def serves(self, host: str) -> bool:
        """Return whether this socket can send from our address `host`."""
        return host == self.local[0] or (self._wildcard and (":" in host) == self._v6)

    def flow_to(self, remote: Address) -> Flow:
        """Return the flow to `remote` from the address that the kernel would use."""
        local = self._source_towards(remote[0])
        flow = self._ways.get(remote)
        if flow is None or flow.local[0] != local:
            if len(self._ways) >= _FLOWS_REMEMBERED:
                self._ways.clear()
            flow = self._ways[remote] = Flow("udp", (local, self.local[1]), remote)
        return flow

    def _source_towards(self, host: str) -> str:
        if not self._wildcard:
            return self.local[0]
        return self._book.source_towards(host) or self.local[0]

    def backlog(self) -> float:
        """Return how full the receive buffer is, 0 to 1: what waits to be read."""
        try:
            information = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        except OSError:
            return 0.0
        if len(information) != _MEMINFO.size:
            return 0.0
        waiting, room, *_ = _MEMINFO.unpack(information)
        return float(waiting / room) if room else 0.0

    def waited(self) -> float:
        """Return the least that a datagram had waited of those read since this was last asked for, in seconds. It is 0
        once all were read that were there: a burst is none, and in a light load the kernel is not asked."""
        self._asked = True
        return self._late

    def _caught_up(self) -> None:
        self._late, self._asked = 0.0, False

    def _age(self) -> float:
        """Return how long the datagram read last had waited. A clock that was set makes it wrong until what is in the
        buffer has been read."""
        arrived = bytearray(_ARRIVED.size)
        try:
            ioctl(self._socket, _SIOCGSTAMP, arrived)
        except OSError:
            return 0.0
        seconds, microseconds = _ARRIVED.unpack(arrived)
        return max(0.0, self._wall() - float(seconds + microseconds / 1e6))

    def kernel_drops(self) -> int:
        """Return how many datagrams the kernel has dropped because the receive buffer was full."""
        try:
            information = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        except OSError:
            return 0
        return int(_MEMINFO.unpack(information)[_MEMINFO_DROPS]) if len(information) == _MEMINFO.size else 0

    # Sending

    def send(self, flow: Flow, data: bytes) -> str:
        """Send one datagram; return an empty text, or why the kernel refuses."""
        for _ in range(3):
            try:
                if self._wildcard:
                    self._socket.sendmsg((data,), self._origin(flow.local[0]), 0, flow.remote)
                else:
                    self._socket.sendto(data, flow.remote)
            except BlockingIOError:
                # Not queued: SIP retransmits what matters, and a queue would only send it late as well.
                self._counters["udp_send_full"] += 1
                return ""
            except OSError as error:
                # An ICMP error of an earlier datagram is reported at the next call; this datagram has not been sent.
                if self._drain_errors():
                    continue
                self._counters["udp_send_failed"] += 1
                return error.strerror or str(error)
            except (OverflowError, TypeError, ValueError) as error:
                self._counters["udp_send_failed"] += 1
                return str(error)
            self._counters["udp_sent"] += 1
            return ""
        self._counters["udp_send_failed"] += 1
        return "the kernel keeps reporting errors of earlier datagrams"

    def _origin(self, host: str) -> tuple[tuple[int, int, bytes], ...]:
        """Return the ancillary data that makes the kernel send from our address `host`."""
        origin = self._origins.get(host)
        if origin is None:
            bare, _, _ = host.partition("%")
            if is_wildcard(bare):
                origin = ()
            elif self._v6:
                packed = _IN6_PKTINFO.pack(socket.inet_pton(socket.AF_INET6, bare), 0)
                origin = ((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packed),)
            else:
                packed = _IN_PKTINFO.pack(0, socket.inet_aton(bare), bytes(4))
                origin = ((socket.IPPROTO_IP, _IP_PKTINFO, packed),)
            self._origins[host] = origin
        return origin

    # Receiving: the methods that Twisted's reactor calls

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return -1 if self._watch.closed else self._watch.fileno()

    def logPrefix(self) -> str:  # noqa: N802 - Twisted's interface
        """Return the name that Twisted logs this reader under."""
        return "sip-udp"

    def connectionLost(self, reason: object) -> None:  # noqa: N802 - Twisted's interface
        """Take that the reactor ends."""
        self.stop()

    def doRead(self) -> None:  # noqa: N802 - Twisted's interface
        """Read up to 32 datagrams; the reactor comes back at once if there are more."""
        sink, read, flows, counters = self._sink, self._socket.recvmsg_into, self._flows, self._counters
        if sink is None:
            return
        buffer, buffers = self._buffer, (self._buffer,)
        waiting = bytearray(_NOTHING)
        for reads in range(_READS_A_WAKE_UP):
            try:
                octets, ancillary, _, source = read(buffers, _ANCILLARY)
            except BlockingIOError:
                # Woken for nothing to read: an error whose number a call has already taken may still be in the queue.
                if reads == 0:
                    self._drain_errors()
                self._caught_up()
                return
            except OSError as error:
                if not self._drain_errors():
                    counters["udp_read_failed"] += 1
                    if error.errno == errno.EBADF:
                        return
                continue
            counters["udp_received"] += 1
            data = bytes(buffer[:octets])
            key = (source, ancillary[0][2]) if ancillary else source
            flow = flows.get(key) or self._remember(key, source, ancillary)
            # Every SIP message begins with a character of a token (RFC 3261 §25.1: a method may begin with "!");
            # keep-alives and STUN do not.
            if len(data) > 4 and data[0] > 0x20:
                sink.received(data, flow)
            else:
                self._take_oddity(data, flow)
            if self._reactor is None:
                return
            # Asking costs a third of a read that finds nothing. A datagram of no octets looks like none: then the
            # reactor comes back.
            ioctl(self._socket, FIONREAD, waiting)
            if waiting == _NOTHING:
                self._caught_up()
                return
        if self._asked or self._late:
            age = self._age()
            self._late = age if self._asked else min(age, self._late)
            self._asked = False

    def _remember(self, key: object, source: tuple[str, int], ancillary: list[tuple[int, int, bytes]]) -> Flow:
        host = source[0]
        if self._v6 and len(source) == 4 and source[3]:
            host = f"{host}%{_interface(source[3])}"
        local = self.local[0]
        if ancillary:
            packed = ancillary[0][2]
            local = socket.inet_ntop(socket.AF_INET6, packed[:16]) if self._v6 else socket.inet_ntoa(packed[4:8])
        if len(self._flows) >= _FLOWS_REMEMBERED:
            self._flows.clear()
        flow = Flow("udp", (local, self.local[1]), (host, source[1]))
        self._flows[key] = flow
        return flow

    def _take_oddity(self, data: bytes, flow: Flow) -> None:
        if not data.strip(b"\r\n\0 \t") or data == b"jaK\0":
            self._counters["udp_keep_alives"] += 1
        elif is_stun(data):
            answer = binding_response(data, flow.remote)
            if answer is not None:
                self._counters["udp_stun"] += 1
                self.send(flow, answer)
            else:
                self._counters["udp_oddities"] += 1
        elif data[0] in b"\r\n \t" and self._sink is not None:
            # RFC 3261 §7.5 lets a receiver skip line breaks before the start line.
            self._sink.received(data.lstrip(), flow)
        else:
            self._counters["udp_oddities"] += 1

    def _drain_errors(self) -> bool:
        """Empty the error queue and tell the sink; return whether anything was there."""
        errors = icmp.read_errors(self._socket)
        told: set[Address] = set()
        for error in errors:
            if not error.fatal:
                self._counters["udp_icmp_ignored"] += 1
                continue
            self._counters["udp_icmp"] += 1
            if self._sink is not None and error.remote not in told:
                told.add(error.remote)
                self._sink.unreachable(error.remote, error.detail)
        return bool(errors)


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return os.fspath(str(index))
