"""Which of our addresses a peer sees: the one that the kernel sends from, or the external one of the configuration."""

from __future__ import annotations

import socket
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from pbx.net.transport import family_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ipaddress import IPv4Network, IPv6Network

    from pbx.net.transport import Address, Listener

__all__ = ["DEFAULT_LOCAL_NETWORKS", "AddressBook", "LocalNetworks", "may_send_to"]

DEFAULT_LOCAL_NETWORKS = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
"""Who is inside unless the operator says otherwise: private, shared, link-local and loopback addresses."""

_CACHED = 4096
_CACHE_SECONDS = 60.0
_DISCARD_PORT = 9


class LocalNetworks:
    """Networks whose hosts reach us as we are, with no router in between that translates addresses.

    Asked of every peer, so the answers for up to 4,096 hosts are remembered.
    """

    def __init__(self, networks: Iterable[str | IPv4Network | IPv6Network]) -> None:
        self._networks = tuple(ip_network(network, strict=False) for network in networks)
        self._known: dict[str, bool] = {}

    def __contains__(self, host: str) -> bool:
        """Return whether the numeric `host` is in one of them."""
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            address = ip_address(host.partition("%")[0])
            known = any(address in network for network in self._networks)
            self._known[host] = known
        return known


class AddressBook:
    """Answers for a peer's address: from which address the kernel reaches it, and which one it should be told.

    The kernel's answer is remembered for a minute for up to 4,096 peers; asking it costs five system calls.
    """

    def __init__(self, seconds: Callable[[], float], local_networks: tuple[str, ...] = DEFAULT_LOCAL_NETWORKS) -> None:
        self._seconds = seconds
        self._networks = LocalNetworks(local_networks)
        self._sources: dict[str, tuple[str, float]] = {}
        self.learned = ""
        """The IPv4 address by which the outside reaches us, as somebody there has told; empty while nobody has."""

    def source_towards(self, host: str) -> str:
        """Return the local address that the kernel would use towards the numeric `host`, empty if there is no way.

        A connected datagram socket that sends nothing tells it.
        """
        now = self._seconds()
        known = self._sources.get(host)
        if known is not None and known[1] > now:
            return known[0]
        if len(self._sources) >= _CACHED:
            self._sources.clear()
        source = _probe(host)
        self._sources[host] = (source, now + _CACHE_SECONDS)
        return source

    def refreshed_towards(self, host: str) -> str:
        """Return the local address that the kernel uses towards `host` now. If it has changed, all are asked for
        anew."""
        source = _probe(host)
        known = self._sources.get(host)
        if known is not None and known[0] != source:
            self._sources.clear()
        return source

    def advertised(self, listener: Listener, local: Address, peer: str) -> Address:
        """Return what the peer at the numeric host `peer` is told of a listener that it reaches at `local`."""
        external = listener.external
        if external is None and self.learned and ":" not in local[0]:
            external = self.learned, 0
        if external is None:
            return local
        inside = self._networks if listener.local_networks is None else listener.local_networks
        if peer in inside:
            return local
        return external[0], external[1] or local[1]


def _probe(host: str) -> str:
    family = socket.AF_INET6 if family_of(host) == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, _DISCARD_PORT))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


@lru_cache(maxsize=_CACHED)
def may_send_to(host: str) -> bool:
    """Return whether `host` is the numeric address of one machine: no name, broadcast, multicast or wildcard."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return not (address.is_multicast or address.is_unspecified or host == "255.255.255.255")
