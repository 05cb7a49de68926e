"""The Contact that a peer is given: where it reaches us (RFC 3261 §8.1.1.8, §12.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pbx.net.addresses import may_send_to
from pbx.net.routing import next_hop_of
from pbx.sip.headers import NameAddress
from pbx.sip.uri import Uri

if TYPE_CHECKING:
    from pbx.net.transport import Address, Network
    from pbx.sip.stack import Destination, Flow

__all__ = ["contact_uri"]

_ON_THE_INTERNET: Final = ("192.0.2.1", "2001:db8::1")
"""Addresses of nobody (RFC 5737, RFC 3849): what a peer would be told whose own address is not known yet."""
_TRANSPORTS: Final = ("udp", "tcp", "tls")


def contact_uri(network: Network, flow: Flow | None, destination: Destination | None, user: str) -> Uri:
    """Return the URI by which the peer at the other end of `flow`, or at `destination`, reaches us.

    For a destination whose address has to be looked up first it is what a peer on the Internet would be told. Over a
    transport that is not listened on, it is the address of UDP. Raises ParseError for a Route that cannot be read.
    """
    if flow is None and destination is not None:
        flow = destination.flow
    secure = destination is not None and _is_secure(destination)
    if flow is None:
        transport, host = _expected_way(network, destination, secure=secure)
        return _uri(transport, network.sent_by_towards(transport, host), user, secure=secure)
    host = flow.remote[0]
    if network.listens(flow.transport, host) or not network.listens("udp", host):
        return _uri(flow.transport, network.sent_by(flow), user, secure=secure)
    return _uri("udp", network.sent_by_towards("udp", host), user, secure=secure)


def _is_secure(destination: Destination) -> bool:
    """RFC 3261 §8.1.1.8: if the Request-URI or top Route header field value contains a SIPS URI, the Contact header
    field MUST contain a SIPS URI as well."""
    if destination.uri.scheme == "sips":
        return True
    return bool(destination.route) and NameAddress.parse(destination.route[0]).uri.scheme == "sips"


def _expected_way(network: Network, destination: Destination | None, *, secure: bool) -> tuple[str, str]:
    """Return the transport and the numeric host that a destination will probably come to."""
    wanted, host = "tls" if secure else "udp", ""
    if destination is not None:
        next_hop = next_hop_of(destination)
        wanted = "tls" if secure else (next_hop.params.get("transport") or "udp").lower()
        host = next_hop.params.get("maddr") or next_hop.host
    hosts = (host,) if may_send_to(host) else _ON_THE_INTERNET
    for transport in dict.fromkeys((wanted, *_TRANSPORTS)):
        for each in hosts:
            if network.listens(transport, each):
                return transport, each
    return wanted, hosts[0]


def _uri(transport: str, address: Address, user: str, *, secure: bool) -> Uri:
    host, port = address
    params: dict[str, str | None] = {}
    # RFC 5630 §3.1.4: with SIPS the transport parameter names what is beneath TLS, and TCP goes without saying.
    if transport != "udp" and not secure:
        params["transport"] = transport
    return Uri("sips" if secure else "sip", user or None, None, host.partition("%")[0], port, params)
