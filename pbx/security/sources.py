"""What counts as one source of traffic, and which networks are treated otherwise than the rest."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

__all__ = ["Network", "contains", "show_source", "source_of"]

Network = IPv4Network | IPv6Network


def source_of(host: str) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 that an IPv6 address is in.

    Whoever has one IPv6 address has a whole /64 of them (RFC 6177), so anything counted by address would count nothing.
    """
    if ":" not in host:
        return host
    address = IPv6Address(host.partition("%")[0])
    # What a socket of both families says of an IPv4 address (RFC 4291 §2.5.5.2).
    return str(address.ipv4_mapped) if address.ipv4_mapped is not None else address.packed[:8].hex()


def show_source(source: str) -> str:
    """Return a source as people and firewalls write it: ``192.0.2.1`` or ``2001:db8::/64``."""
    if len(source) != 16 or "." in source:
        return source
    return f"{IPv6Address(bytes.fromhex(source) + bytes(8))}/64"


def contains(networks: Iterable[Network], host: str) -> bool:
    """Return whether a numeric `host` is in one of the networks; what is no address is in none."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
