"""Twisted's factories for connections: what is asked of `StreamTransport` when one comes up or cannot be had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from twisted.internet.protocol import ClientFactory, Factory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

if TYPE_CHECKING:
    from twisted.internet.interfaces import (
        IAddress,
        IConnector,
        IOpenSSLClientConnectionCreator,
        IOpenSSLServerConnectionCreator,
        IProtocolFactory,
        IReactorTime,
    )
    from twisted.python.failure import Failure

    from pbx.net.connection import StreamConnection, Target
    from pbx.net.tls import Tls
    from pbx.net.transport import Listener

__all__ = ["accepting", "opening"]


class Transport(Protocol):
    """Who decides about connections: `pbx.net.tcp.StreamTransport`."""

    def admit(self, host: str) -> StreamConnection | None:
        """Return what is to carry a connection from `host`, None if it is refused."""

    def opened(self, target: Target) -> StreamConnection | None:
        """Return what is to carry a connection of our own, None if nobody wants it any more."""

    def not_opened(self, target: Target, detail: str) -> None:
        """Take that a connection could not be opened."""


def accepting(transport: Transport, tls: Tls | None, reactor: object, listener: Listener) -> object:
    """Return the factory of a listener; with `tls` its connections are wrapped, under its certificate."""
    factory = _Acceptor(transport)
    if tls is None:
        return factory
    creator = cast("IOpenSSLServerConnectionCreator", tls.accepting(listener.certificate, listener.key))
    return _TlsFactory(creator, False, cast("IProtocolFactory", factory), cast("IReactorTime", reactor))


def opening(transport: Transport, tls: Tls | None, reactor: object, target: Target) -> object:
    """Return the factory of one connection to `target`; with `tls` it is wrapped. Raises EnvironmentFault."""
    factory = _Opener(transport, target)
    if tls is None:
        return factory
    creator = cast("IOpenSSLClientConnectionCreator", tls.connecting(target))
    return _TlsFactory(creator, True, cast("IProtocolFactory", factory), cast("IReactorTime", reactor))


class _Acceptor(Factory):
    noisy = False

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def buildProtocol(self, addr: IAddress | None) -> StreamConnection | None:  # noqa: N802
        return self._transport.admit(str(getattr(addr, "host", "")))


class _Opener(ClientFactory):
    noisy = False

    def __init__(self, transport: Transport, target: Target) -> None:
        self._transport = transport
        self._target = target

    def buildProtocol(self, addr: IAddress | None) -> StreamConnection | None:  # noqa: N802
        return self._transport.opened(self._target)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:  # noqa: N802
        self._transport.not_opened(self._target, str(reason.value))


class _TlsFactory(TLSMemoryBIOFactory):
    """Wraps connections in TLS, unless the wrapped factory refuses them.

    A SIP message is one write, so what Twisted's buffering protocol gathers would only wait for the next turn.
    """

    protocol = TLSMemoryBIOProtocol

    def buildProtocol(self, addr: IAddress | None) -> TLSMemoryBIOProtocol | None:  # type: ignore[override]  # noqa: N802
        inner = self.wrappedFactory.buildProtocol(cast("IAddress", addr))
        return None if inner is None else self.protocol(self, inner)  # type: ignore[no-untyped-call]
