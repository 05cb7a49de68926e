"""What the driver and the transports know of each other, and what both know of a listener."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pbx.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pbx.net.addresses import LocalNetworks
    from pbx.sip.parser import MessageError
    from pbx.sip.stack import Flow

__all__ = [
    "Address",
    "Connecting",
    "Listener",
    "Network",
    "Sink",
    "SocketOptions",
    "family_of",
    "is_wildcard",
    "show",
]

Address = tuple[str, int]
"""A numeric host (IPv6 without brackets, link-local with ``%interface``) and a port."""


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """What is asked of the kernel for every SIP socket."""

    receive_buffer: int = 4 * 1024 * 1024
    """Octets of a UDP socket: some 3,000 INVITEs, two seconds of 1,500 requests a second while the process is held
    up."""
    dscp: int = 0
    """The code point (RFC 2474) of what is sent."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One address that is listened on.

    `host` is numeric; ``0.0.0.0`` and ``::`` listen on every address of their family. Port 0 lets the kernel choose.
    `external` is what peers outside the local networks are told instead (Via sent-by and Contact); port 0 there
    keeps the own one. `local_networks` None stands for those of the address book. `certificate` and `key` are the PEM
    files of a ``tls`` listener, None for those of `pbx.net.tls.TlsSettings`.
    """

    transport: str
    host: str
    port: int
    external: Address | None = None
    local_networks: LocalNetworks | None = None
    certificate: Path | None = None
    key: Path | None = None


class Sink(Protocol):
    """Who hears what happens on the network: the driver."""

    def received(self, data: bytes, flow: Flow) -> None:
        """Take one whole message (or what claims to be one)."""

    def unframeable(self, error: MessageError, flow: Flow) -> None:
        """Take that the stream of `flow` cannot be read any further; it is closed as soon as this returns."""

    def unreachable(self, remote: Address, detail: str) -> None:
        """Take that datagrams to `remote` do not get there (RFC 3261 §18.4)."""

    def closed(self, flow: Flow, detail: str) -> None:
        """Take that a connection is gone. Comes once a flow."""


class Connecting(Protocol):
    """Who waits for a flow to a peer."""

    def connected(self, flow: Flow) -> None:
        """Take the flow; it may be used at once."""

    def not_connected(self, detail: str) -> None:
        """Take that there will be none, and why."""


class Network(Protocol):
    """Every transport there is, behind one door. `pbx.net.network` has the real one, tests an in-memory one."""

    def start(self, sink: Sink) -> None:
        """Begin to hand what arrives to `sink`."""

    def stop(self) -> None:
        """Close everything, without further word to the sink."""

    def offers(self, transport: str, host: str) -> bool:
        """Return whether a flow over `transport` to the numeric `host` may be tried from here."""

    def listens(self, transport: str, host: str) -> bool:
        """Return whether a peer at the numeric `host` can reach us over `transport` of its own accord."""

    def connect(self, transport: str, remote: Address, name: str, waiting: Connecting) -> None:
        """Find or open a flow to `remote`; `waiting` is told, perhaps before this returns.

        `name` is the SIP domain that the peer's certificate must be for (RFC 5922 §7). Only connections that were
        opened from here for the same remote and name are used again, never one that a peer made: that a peer
        connected says nothing of what it may receive.
        """

    def send(self, flow: Flow, data: bytes) -> str:
        """Send `data` over `flow`; return an empty text, or why it cannot be sent."""

    def alive(self, flow: Flow) -> bool:
        """Return whether the flow can still be sent over; a UDP flow always can while its listener is there."""

    def sent_by(self, flow: Flow) -> Address:
        """Return the address by which the peer of `flow` reaches us: for Via and Contact."""

    def sent_by_towards(self, transport: str, host: str) -> Address:
        """Return the address by which a peer at the numeric `host` would reach us over `transport`."""

    def keep_alive(self, flow: Flow, interval: float) -> Callable[[], None]:
        """Send a keep-alive over `flow` every `interval` seconds; the return value ends that."""

    def close(self, flow: Flow, detail: str) -> None:
        """Close a connection in good order; harmless for UDP and for one that is gone."""

    def alias(self, flow: Flow, port: int) -> None:
        """Let requests for the peer of an accepted TLS flow take that flow, as it asked for (RFC 5923)."""

    def peer_names(self, flow: Flow) -> tuple[str, ...]:
        """Return the SIP domains and addresses that the peer's verified certificate is for; empty if it showed none."""


def family_of(host: str) -> int:
    """Return 4 or 6 for a numeric host."""
    return 6 if ":" in host else 4


def is_wildcard(host: str) -> bool:
    """Return whether a listener on `host` listens on every address of its family."""
    return host in ("0.0.0.0", "::")


def show(address: Address) -> str:
    """Return ``192.0.2.1:5060`` or ``[2001:db8::1]:5060``."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
