"""DNS by twisted.names, behind `pbx.net.records.Dns`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from socket import AF_INET6, inet_ntop
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import TimeoutError  # noqa: A004 - its own, not the built-in one
from twisted.names import client, dns
from twisted.names.error import DNSNameError

from pbx.errors import EnvironmentFault, ParseError
from pbx.net.hosts import is_numeric
from pbx.net.records import Answer, DnsFailure, Naptr, Record, Srv
from pbx.net.resolver import Resolver, ResolverSettings
from pbx.sip.uri import parse_host_port

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from pbx.ids import Ids
    from pbx.net.clock import Clock
    from pbx.net.transport import Network

__all__ = ["TwistedDns", "answer_of", "failure_of", "make_resolver"]

_KINDS: Final = {"A": dns.A, "AAAA": dns.AAAA, "SRV": dns.SRV, "NAPTR": dns.NAPTR}
_UNSAID_TTL: Final = 60.0
"""Seconds for which an answer without records is believed if its zone does not say (RFC 2308 §5 has it in the SOA)."""
_TIMEOUTS: Final = (0.6, 1.4)
"""Seconds until a server is asked again, and until it is given up; together what `ResolverSettings.question` allows."""


_Resolver: Any = client.Resolver
"""twisted.names has no types here."""


class TwistedDns:
    """Asks the servers of resolv.conf, or `servers` ((address, port) each). Does not cache: `Lookups` does."""

    def __init__(
        self, reactor: object, servers: Sequence[tuple[str, int]] = (), resolv: str = "/etc/resolv.conf"
    ) -> None:
        # Given both, twisted.names would ask the servers of the file as well.
        source = {"servers": list(servers)} if servers else {"resolv": resolv}
        self._resolver: Any = _Resolver(timeout=_TIMEOUTS, reactor=reactor, **source)

    def lookup(self, name: str, kind: str, done: Callable[[Answer | DnsFailure], None]) -> None:
        """Ask for the records of `kind`; `done` is called once. A name that DNS cannot carry fails at once."""
        try:
            query = dns.Query(name, _KINDS[kind], dns.IN)
            deferred = self._resolver.query(query, timeout=_TIMEOUTS)
        except (UnicodeError, ValueError) as error:
            done(DnsFailure(f"{name} is no name that DNS can hold: {error}"))
            return
        deferred.addCallbacks(
            lambda sections: done(answer_of(kind, sections[0], sections[1])),
            lambda failure: done(failure_of(name, failure)),
        )


def answer_of(kind: str, answers: Sequence[dns.RRHeader], authority: Sequence[dns.RRHeader]) -> Answer:
    """Return what the sections of a DNS message say, records of other kinds (CNAME, RRSIG) left out."""
    wanted = [header for header in answers if header.type == _KINDS[kind]]
    if not wanted:
        return Answer((), _negative_ttl(authority))
    # A chain of aliases is as short-lived as its shortest-lived link.
    ttl = min(float(header.ttl) for header in answers if header.type in (_KINDS[kind], dns.CNAME))
    return Answer(tuple(_record(kind, header.payload) for header in wanted), ttl)


def failure_of(name: str, failure: Failure) -> Answer | DnsFailure:
    """Return what an error of twisted.names means for the name that was asked for."""
    error = failure.value
    if isinstance(error, DNSNameError):
        # RFC 2308 §2.1: that there is no such name is an answer, and may be remembered.
        message = error.args[0] if error.args else None
        return Answer((), _negative_ttl(message.authority if isinstance(message, dns.Message) else ()))
    if isinstance(error, TimeoutError):
        return DnsFailure(f"DNS did not answer in time for {name}")
    return DnsFailure(f"DNS failed for {name}: {type(error).__name__}")


def _negative_ttl(authority: Sequence[dns.RRHeader]) -> float:
    """RFC 2308 §5: the TTL of a negative answer is the smaller of the SOA's own TTL and its minimum field."""
    for header in authority:
        if isinstance(header.payload, dns.Record_SOA):
            return float(min(header.ttl, header.payload.minimum))
    return _UNSAID_TTL


def _record(kind: str, payload: Any) -> Record:
    if kind in ("A", "AAAA"):
        return str(payload.dottedQuad() if kind == "A" else inet_ntop(AF_INET6, payload.address))
    if kind == "SRV":
        return Srv(payload.priority, payload.weight, payload.port, _text(payload.target))
    return Naptr(
        payload.order,
        payload.preference,
        payload.flags.string.decode("ascii", "replace").upper(),
        payload.service.string.decode("ascii", "replace").upper(),
        _text(payload.replacement),
    )


def _text(name: dns.Name) -> str:
    return name.name.decode("ascii", "replace").rstrip(".")


def make_resolver(
    reactor: object, clock: Clock, network: Network, ids: Ids, *, servers: Sequence[str] = (), timeout: float = 6.0
) -> Resolver:
    """Return the resolver of a server: for the transports and address families that `network` can send by.

    `servers` are the DNS servers to ask (``192.0.2.53``, ``192.0.2.53:5353``, ``[2001:db8::53]:53``), those of
    resolv.conf if there are none; `timeout` bounds one resolution, in seconds. IPv4 comes before IPv6, since the
    addresses for media mostly are IPv4. Raises EnvironmentFault for a server that is no address.
    """
    transports = ("udp", "tcp", "tls")
    families = tuple(
        family
        for family, example in ((4, "192.0.2.1"), (6, "2001:db8::1"))
        if any(network.listens(transport, example) for transport in transports)
    )
    settings = ResolverSettings(
        transports=tuple(
            transport
            for transport in transports
            if any(network.offers(transport, example) for example in ("192.0.2.1", "2001:db8::1"))
        ),
        families=families or (4,),
        timeout=timeout,
        question=timeout / 3,
    )
    asker = TwistedDns(reactor, [_server(text) for text in servers])
    return Resolver(asker, clock, settings, draw=lambda most: ids.number(32) % (most + 1))


def _server(text: str) -> tuple[str, int]:
    try:
        host, port = parse_host_port(f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text)
    except ParseError:
        host, port = "", None
    if not host or not is_numeric(host):
        raise EnvironmentFault(f"The DNS server {text!r} is no address; give a number such as 192.0.2.53")
    return host, port or dns.PORT
