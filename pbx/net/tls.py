"""TLS for SIP: contexts that follow their files, and the check of who a peer is (RFC 5922)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from zope.interface import implementer  # type: ignore[import-untyped]

from pbx.errors import EnvironmentFault
from pbx.net.certificates import is_for, names_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from OpenSSL.crypto import X509

    from pbx.net.connection import Target

__all__ = ["CIPHERS", "Tls", "TlsSettings", "TlsState", "Verification", "fault_noted"]

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:!aNULL:!eNULL:!PSK:!SRP:!MD5:!3DES"
"""For TLS 1.2: forward secrecy only, authenticated encryption first, CBC last for phones that know nothing else."""

_VERIFY_FAULTS = {
    2: "its issuer is unknown",
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is signed by itself",
    19: "the authority at the end of its chain is not trusted",
    20: "its issuer is unknown",
    21: "its issuer is unknown",
    23: "it was revoked",
    26: "it is for another purpose",
}
"""X509_V_ERR_… of OpenSSL in plain words."""


@dataclass(frozen=True, slots=True)
class Verification:
    """How a server that we connect to must prove who it is, and what we show it.

    `authorities` is a PEM file, empty for the system's; `name` stands in for the domain that the certificate must be
    for. `certificate` and `key` are PEM files of what is shown if the server asks; empty for our own.
    """

    verify: bool = True
    authorities: str = ""
    name: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The files and rules of TLS.

    Clients are asked for a certificate only if `client_authorities` (a PEM file) is there, and are refused without one
    only with `require_client`. `destinations` maps a domain or numeric host to how it is verified; `default` is for all
    others. Who has no `certificate` can connect, and accept nothing: a phone.
    """

    certificate: Path | None
    key: Path | None
    client_authorities: str = ""
    require_client: bool = False
    default: Verification = Verification()
    destinations: Mapping[str, Verification] | None = None
    ciphers: str = CIPHERS


_Pair = tuple["Path | None", "Path | None"]
"""The files of a certificate and its key; None for those of the settings."""


@dataclass(frozen=True, slots=True)
class TlsState:
    """Settings with their files read, so that all change at once."""

    settings: TlsSettings
    stamp: tuple[object, ...]
    servers: dict[_Pair, SSL.Context]
    clients: dict[Verification, SSL.Context] = field(default_factory=dict)


class Tls:
    """Makes the TLS side of connections. Raises EnvironmentFault if the files cannot be used."""

    def __init__(self, settings: TlsSettings) -> None:
        self._state = _read(settings, () if settings.certificate is None else ((None, None),))

    def present(self, certificate: Path | None, key: Path | None) -> None:
        """Read what a listener shows; None stands for what the settings name. Raises EnvironmentFault."""
        pair = certificate, key
        if pair not in self._state.servers:
            self._state = _read(self._state.settings, (*self._state.servers, pair))

    def prepare(self, settings: TlsSettings | None = None) -> TlsState | None:
        """Read the files of other settings, or again those of the present ones; None if nothing has changed.

        May run in another thread than that of the connections. Raises EnvironmentFault; nothing has changed then.
        """
        state = self._state
        settings = settings or state.settings
        if settings == state.settings and _files(settings, state.servers) == state.stamp:
            return None
        return _read(settings, state.servers)

    def take(self, state: TlsState) -> None:
        """Put in force what `prepare` gave: for new connections, those that are open stay as they are."""
        self._state = state

    def reload(self) -> bool:
        """Read the files again if any has changed; return whether it had. Raises as `prepare` does."""
        state = self.prepare()
        if state is not None:
            self.take(state)
        return state is not None

    def accepting(self, certificate: Path | None = None, key: Path | None = None) -> object:
        """Return what makes the TLS side of accepted connections, with a certificate that `present` was told of."""
        return _Accepting(self, (certificate, key))

    def connecting(self, target: Target) -> object:
        """Return what makes the TLS side of a connection to `target`. Raises EnvironmentFault."""
        host = target[1] or target[0][0]
        rule, clients = self.rule(host), self._state.clients
        context = clients.get(rule)
        if context is None:
            context = clients[rule] = _client_context(self._state.settings, rule)
        return _Connecting(context, rule.name or host)

    def rule(self, host: str) -> Verification:
        """Return how the domain or numeric `host` is verified."""
        settings = self._state.settings
        return (settings.destinations or {}).get(host.lower(), settings.default)

    def verify(self, tls: SSL.Connection, target: Target | None) -> tuple[tuple[str, ...], str]:
        """Return the names that the peer has proven, and why it is refused (an empty text if it is not).

        `target` is whom we connected to, None for a peer that connected to us. The chain has been checked in the
        handshake; this is about the names.
        """
        checked = tls.get_context().get_verify_mode() & SSL.VERIFY_PEER
        certificate = tls.get_peer_certificate(as_cryptography=True)
        if certificate is None or not checked:
            return (), ""
        names = names_of(certificate)
        if target is None:
            return names, ""
        host = target[1] or target[0][0]
        wanted = self.rule(host).name or host
        if is_for(names, wanted):
            return names, ""
        return names, f"its certificate is for {', '.join(names) or 'nobody'}, not for {wanted}"

    def server_context(self, pair: _Pair) -> SSL.Context:
        """Return the context of connections that a listener accepts."""
        return self._state.servers[pair]


def _read(settings: TlsSettings, pairs: Iterable[_Pair]) -> TlsState:
    """Read every file that settings and listeners name, so that a faulty one is told before it is needed."""
    pairs = tuple(pairs)
    stamp = _files(settings, pairs)
    clients = {
        rule: _client_context(settings, rule) for rule in _rules(settings) if rule.authorities or rule.certificate
    }
    return TlsState(settings, stamp, {pair: _server_context(settings, pair) for pair in pairs}, clients)


def _rules(settings: TlsSettings) -> tuple[Verification, ...]:
    return settings.default, *(settings.destinations or {}).values()


def _files(settings: TlsSettings, pairs: Iterable[_Pair]) -> tuple[object, ...]:
    paths = [str(settings.certificate or ""), str(settings.key or ""), settings.client_authorities]
    paths += [str(path) for pair in pairs for path in pair if path is not None]
    paths += [path for rule in _rules(settings) for path in (rule.authorities, rule.certificate, rule.key)]
    return tuple(_stamp(path) for path in paths if path)


def _server_context(settings: TlsSettings, pair: _Pair) -> SSL.Context:
    certificate, key = pair if pair[0] is not None else (settings.certificate, settings.key)
    if certificate is None:
        raise EnvironmentFault("TLS cannot be listened on without a certificate")
    context = _context(settings, str(certificate), str(key or certificate))
    if settings.client_authorities:
        mode = SSL.VERIFY_PEER
        if settings.require_client:
            mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        _trust(context, settings.client_authorities)
        context.set_verify(mode, _note_fault)
        # OpenSSL wants a name for the sessions of clients that show a certificate.
        context.set_session_id(b"tandem")
    return context


def _client_context(settings: TlsSettings, rule: Verification) -> SSL.Context:
    own = not rule.certificate
    context = _context(
        settings,
        str(settings.certificate or "") if own else rule.certificate,
        str(settings.key or "") if own else rule.key or rule.certificate,
    )
    if rule.verify:
        _trust(context, rule.authorities)
        context.set_verify(SSL.VERIFY_PEER, _note_fault)
    return context


def _context(settings: TlsSettings, certificate: str, key: str) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    try:
        context.set_cipher_list(settings.ciphers.encode())
    except SSL.Error:
        raise EnvironmentFault(f"OpenSSL knows none of the ciphers {settings.ciphers}") from None
    if certificate:
        _show(context, certificate, key)
    return context


def _show(context: SSL.Context, certificate: str, key: str) -> None:
    """Show this certificate to peers."""
    for path in (certificate, key):
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise EnvironmentFault(f"{path} cannot be read: {error.strerror}") from None
    try:
        context.use_certificate_chain_file(certificate)
    except SSL.Error:
        raise EnvironmentFault(f"{certificate} holds no certificate in PEM form") from None
    try:
        context.use_privatekey_file(key)
        context.check_privatekey()
    except SSL.Error:
        raise EnvironmentFault(f"{key} holds no private key in PEM form that belongs to {certificate}") from None


def _stamp(path: str) -> object:
    try:
        found = os.stat(path)
    except OSError:
        return path, None
    return path, found.st_mtime_ns, found.st_size, found.st_ino


def _trust(context: SSL.Context, authorities: str) -> None:
    if not authorities:
        context.set_default_verify_paths()
        return
    try:
        context.load_verify_locations(authorities)
    except SSL.Error:
        raise EnvironmentFault(f"{authorities} holds no certificates of authorities in PEM form") from None


def _note_fault(tls: SSL.Connection, certificate: X509, number: int, depth: int, good: int) -> bool:
    """Let OpenSSL's verdict stand, and note the reason for whoever asks why the handshake failed."""
    if not good:
        tls.set_app_data(f"its certificate is refused: {_VERIFY_FAULTS.get(number, f'OpenSSL error {number}')}")
    return bool(good)


def fault_noted(tls: SSL.Connection) -> str:
    """Return why a certificate was refused in the handshake, an empty text if that was not the reason."""
    return str(tls.get_app_data() or "")


@implementer(IOpenSSLServerConnectionCreator)
class _Accepting:
    def __init__(self, tls: Tls, pair: _Pair) -> None:
        self._tls = tls
        self._pair = pair

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:  # noqa: N802, N803
        return SSL.Connection(self._tls.server_context(self._pair), None)


@implementer(IOpenSSLClientConnectionCreator)
class _Connecting:
    def __init__(self, context: SSL.Context, host: str) -> None:
        self._context = context
        self._host = host

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:  # noqa: N802, N803
        connection = SSL.Connection(self._context, None)
        try:
            ip_address(self._host.partition("%")[0])
        except ValueError:
            # RFC 6066 §3: literal IPv4 and IPv6 addresses are not permitted in "HostName".
            connection.set_tlsext_host_name(self._host.encode("idna" if not self._host.isascii() else "ascii"))
        return connection
