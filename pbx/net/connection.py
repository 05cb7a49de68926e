"""One TCP or TLS connection: framing, keep-alive, and the deadlines and bounds that no peer gets around."""

from __future__ import annotations

import socket
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Protocol, cast

from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.internet.protocol import Protocol as TwistedProtocol
from zope.interface import implementer  # type: ignore[import-untyped]

from pbx.net.udp import mark
from pbx.sip.framing import PING, PONG, StreamFramer
from pbx.sip.parser import MessageError
from pbx.sip.stack import Flow

if TYPE_CHECKING:
    from OpenSSL.SSL import Connection as TlsState
    from twisted.python.failure import Failure

    from pbx.net.counters import Counters
    from pbx.net.stream_limits import StreamLimits
    from pbx.net.transport import Address, SocketOptions

__all__ = ["State", "StreamConnection", "Target"]


Target = tuple["Address", str]
"""Whom a connection is opened to: the address, and the SIP domain that the certificate must be for (may be empty)."""


class State(Enum):
    """Where a connection stands."""

    HANDSHAKE = "handshake"
    SILENT = "silent"
    """Accepted, and no message was completed yet."""
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Owner(Protocol):
    """Who keeps the connections: `pbx.net.tcp.StreamTransport`."""

    limits: StreamLimits
    options: SocketOptions
    counters: Counters
    kind: str

    def seconds(self) -> float:
        """Return the time."""

    def number(self) -> int:
        """Return a number for a connection."""

    def look_again(self, connection: StreamConnection, when: float) -> None:
        """Call `connection.check` no later than `when`."""

    def verify(self, connection: StreamConnection, tls: TlsState) -> str:
        """Return why the peer's certificate is refused, or an empty text."""

    def noted(self, tls: TlsState) -> str:
        """Return what was noted of a handshake that failed, or an empty text."""

    def established(self, connection: StreamConnection) -> None:
        """Take that the connection can be used."""

    def spoke(self, connection: StreamConnection) -> None:
        """Take that its first message is complete."""

    def received(self, connection: StreamConnection, data: bytes) -> None:
        """Take a whole message."""

    def unframeable(self, connection: StreamConnection, error: MessageError) -> None:
        """Take that the stream cannot be read any further; an answer may still be sent."""

    def lost(self, connection: StreamConnection, detail: str) -> None:
        """Take that it is gone. Comes once."""


class _Wire(Protocol):
    """What is used of a Twisted transport, plain or TLS."""

    def write(self, data: bytes) -> None: ...
    def loseConnection(self) -> None: ...  # noqa: N802
    def abortConnection(self) -> None: ...  # noqa: N802
    def registerProducer(self, producer: object, streaming: bool) -> None: ...  # noqa: N802
    def unregisterProducer(self) -> None: ...  # noqa: N802
    def getHost(self) -> _Endpoint: ...  # noqa: N802
    def getPeer(self) -> _Endpoint: ...  # noqa: N802
    def getHandle(self) -> object: ...  # noqa: N802


class _Endpoint(Protocol):
    host: str
    port: int


@implementer(IPushProducer, IHandshakeListener)
class StreamConnection(TwistedProtocol):
    """Carries messages over one connection.

    `target` says whom it was opened to; None if it was accepted. `flow` is there from the moment that it is
    established, `peer_names` if the peer's certificate was verified.
    """

    def __init__(self, owner: Owner, *, secure: bool, target: Target | None = None) -> None:
        self._owner = owner
        self._framer = StreamFramer(owner.limits.headers, owner.limits.body, owner.limits.message_octets)
        self.secure = secure
        self.target = target
        self.peer_names: tuple[str, ...] = ()
        self.state = State.HANDSHAKE
        self.flow: Flow | None = None
        self.keepers = 0
        """How many want this connection kept open."""
        self._detail = ""
        self._since = owner.seconds()
        self._heard = self._since
        self._said = self._since
        self._message_since: float | None = None
        self._stalled_since: float | None = None
        self._pong_due: float | None = None
        self._answers_pings = False
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0

    # What Twisted calls

    def connectionMade(self) -> None:  # noqa: N802
        """Take that TCP is up; TLS still has its handshake before it."""
        self._tune()
        if self.secure:
            self._owner.look_again(self, self._since + self._owner.limits.handshake)
        else:
            self._ready()

    def handshakeCompleted(self) -> None:  # noqa: N802
        """Take that TLS is up."""
        if self.state is not State.HANDSHAKE:
            return
        fault = self._owner.verify(self, cast("TlsState", self._wire.getHandle()))
        if fault:
            self.abort(fault)
            return
        self._ready()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Cut what arrives into messages."""
        if self.state not in (State.SILENT, State.OPEN):
            return
        self._heard = self._owner.seconds()
        framer = self._framer
        if self._pong_due is not None:
            # Whatever arrives shows that the peer lives; only a lone CRLF shows that it answers pings.
            self._pong_due = None
            if data == PONG and not framer.pending:
                self._answers_pings = True
                return
        try:
            items = framer.feed(data)
        except MessageError as error:
            self._fail(error)
            return
        for item in items:
            if item == PING:
                self._owner.counters["stream_pings"] += 1
                self.send(PONG)
            else:
                self._take(item)
            if self.state is not State.OPEN and self.state is not State.SILENT:
                return
        if framer.error is not None:
            self._fail(framer.error)
        elif framer.pending > len(PONG):
            if self._message_since is None or items:
                self._message_since = self._heard
                self._owner.look_again(self, self._heard + self._owner.limits.message)
        else:
            self._message_since = None

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: N802
        """Take that the connection is gone."""
        if self.state is State.CLOSED:
            return
        noted = self._owner.noted(cast("TlsState", self._wire.getHandle())) if self._in_handshake else ""
        self.state = State.CLOSED
        self._waiting.clear()
        self._owner.lost(self, self._detail or noted or _why(reason))

    def pauseProducing(self) -> None:  # noqa: N802
        """Take that the peer reads more slowly than we write."""
        if self._stalled_since is None:
            self._stalled_since = self._owner.seconds()
            self._owner.look_again(self, self._stalled_since + self._owner.limits.write_stall)

    def resumeProducing(self) -> None:  # noqa: N802
        """Take that more can be written."""
        self._stalled_since = None
        while self._waiting and self._stalled_since is None:
            data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self._wire.write(data)

    def stopProducing(self) -> None:  # noqa: N802
        """Take that nothing can be written any more; `connectionLost` follows."""

    # What the owner calls

    @property
    def usable(self) -> bool:
        """True while messages can be sent."""
        return self.state is State.OPEN or self.state is State.SILENT

    @property
    def remote(self) -> Address:
        """The peer's address."""
        peer = self._wire.getPeer()
        return peer.host, peer.port

    def send(self, data: bytes) -> str:
        """Send `data`; return an empty text, or why it cannot be sent."""
        if not self.usable:
            return "the connection is closed"
        if self._stalled_since is None:
            self._wire.write(data)
        else:
            self._waiting_bytes += len(data)
            if self._waiting_bytes > self._owner.limits.write_bytes:
                self._end("stream_slow_peer", "the peer does not read")
                return self._detail
            self._waiting.append(data)
        self._said = self._owner.seconds()
        return ""

    def ping(self) -> str:
        """Send a keep-alive (RFC 5626 §3.5.1); return an empty text, or why it cannot be sent."""
        fault = self.send(PING)
        if not fault and self._pong_due is None:
            self._pong_due = self._said + self._owner.limits.pong
            if self._answers_pings:
                self._owner.look_again(self, self._pong_due)
        return fault

    def check(self, now: float) -> float | None:
        """End the connection if one of its deadlines has passed; return when to look again, None for never."""
        if self.state is State.CLOSED:
            return None
        for deadline, counter, detail in self._deadlines():
            if now >= deadline:
                self._end(counter, detail)
                break
        return min((deadline for deadline, _, _ in self._deadlines()), default=None)

    def keep(self) -> None:
        """Count one more who wants this connection open even if nothing comes or goes."""
        self.keepers += 1

    def let_go(self) -> None:
        """Count one less."""
        self.keepers -= 1
        if not self.keepers and self.usable:
            self._owner.look_again(self, self._owner.seconds() + self._owner.limits.idle)

    def close(self, detail: str) -> None:
        """Close in good order; what was sent still goes out."""
        if not self.usable:
            return
        self._detail = detail
        self.state = State.CLOSING
        self._since = self._owner.seconds()
        self._wire.unregisterProducer()
        while self._waiting:
            self._wire.write(self._waiting.popleft())
        self._wire.loseConnection()
        self._owner.look_again(self, self._since + self._owner.limits.farewell)

    def abort(self, detail: str) -> None:
        """Reset the connection."""
        if self.state is State.CLOSED:
            return
        self._detail = self._detail or detail
        if self.usable:
            self._wire.unregisterProducer()
        self.state = State.CLOSED
        self._waiting.clear()
        self._wire.abortConnection()
        self._owner.lost(self, self._detail)

    # Inside

    @property
    def _in_handshake(self) -> bool:
        return self.secure and self.state is State.HANDSHAKE

    @property
    def _wire(self) -> _Wire:
        return cast("_Wire", self.transport)

    def _tune(self) -> None:
        sock = getattr(self._wire, "transport", self._wire).getHandle()
        if not isinstance(sock, socket.socket):
            return
        mark(sock, self._owner.options.dscp)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A peer that vanished is noticed within two minutes of silence, or 30 seconds after something was sent to it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)

    def _ready(self) -> None:
        host, peer = self._wire.getHost(), self._wire.getPeer()
        self.flow = Flow(
            self._owner.kind, (host.host, host.port), (peer.host, peer.port), connection=self._owner.number()
        )
        self.state = State.SILENT if self.target is None else State.OPEN
        self._since = self._heard = self._said = self._owner.seconds()
        self._wire.registerProducer(self, True)
        self._owner.look_again(self, min(deadline for deadline, _, _ in self._deadlines()))
        self._owner.established(self)

    def _take(self, item: bytes) -> None:
        self._message_since = None
        if self.state is State.SILENT:
            self.state = State.OPEN
            self._owner.spoke(self)
        self._owner.received(self, item)

    def _fail(self, error: MessageError) -> None:
        self._owner.counters["stream_framing"] += 1
        self._owner.unframeable(self, error)
        self.close(f"bytes that cannot be read: {error.reason}")

    def _deadlines(self) -> list[tuple[float, str, str]]:
        limits = self._owner.limits
        if self.state is State.HANDSHAKE:
            return [(self._since + limits.handshake, "stream_half_open", "the TLS handshake was not completed")]
        if self.state is State.CLOSING:
            return [(self._since + limits.farewell, "", self._detail)]
        deadlines = []
        if self.state is State.SILENT:
            deadlines.append((self._since + limits.first_message, "stream_half_open", "no message was completed"))
        if self._message_since is not None:
            deadlines.append((self._message_since + limits.message, "stream_stalled_message", "a message never ended"))
        if self._stalled_since is not None:
            deadlines.append((self._stalled_since + limits.write_stall, "stream_slow_peer", "the peer does not read"))
        if self._pong_due is not None and self._answers_pings:
            deadlines.append((self._pong_due, "stream_no_pong", "a keep-alive was not answered"))
        if not self.keepers:
            deadlines.append((max(self._heard, self._said) + limits.idle, "stream_idle", "nothing came or went"))
        return deadlines

    def _end(self, counter: str, detail: str) -> None:
        if counter:
            self._owner.counters[counter] += 1
        if counter == "stream_idle":
            self.close(detail)
        else:
            self.abort(detail)


def _why(reason: Failure | None) -> str:
    if reason is None:
        return "the connection was closed"
    value = reason.value
    if value is not None and type(value).__module__.startswith("OpenSSL"):
        return f"TLS: {_tls_reason(value)}"
    return str(value) or "the connection was closed"


def _tls_reason(error: BaseException) -> str:
    """Return what OpenSSL's list of (library, function, reason) says."""
    if error.args and isinstance(error.args[0], list):
        return ", ".join(str(entry[-1]) for entry in error.args[0]) or "closed during the handshake"
    return str(error) or "closed during the handshake"
