"""From a URI to the addresses to try, in order (RFC 3263, with RFC 2782's weights and RFC 7984's two families).

The logic knows no network: DNS is asked through `pbx.net.records.Dns`. What needs no DNS (a numeric host, a name of the
hosts file, all that is still cached) is answered before `resolve` returns.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from pbx.net.hosts import Hosts, is_numeric
from pbx.net.lookups import Lookups
from pbx.net.records import Answer, DnsFailure, Naptr, Srv, order_by_weight
from pbx.sip.targets import Target

if TYPE_CHECKING:
    from pbx.net.clock import Clock
    from pbx.net.lookups import Outcome
    from pbx.net.records import Dns, Record
    from pbx.sip.stack import Timer
    from pbx.sip.uri import Uri

__all__ = ["Resolver", "ResolverSettings", "Told"]

Told = Callable[[Sequence[Target], str], None]
"""Takes the targets in order, or none and the reason."""

DEFAULT_PORTS: Final = {"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}

# RFC 3263 §4.1 and RFC 7118 §8: what a NAPTR record's service field says of the transport.
_SERVICES: Final = {
    "SIP+D2U": "udp",
    "SIP+D2T": "tcp",
    "SIPS+D2T": "tls",
    "SIP+D2W": "ws",
    "SIPS+D2W": "wss",
}
_SRV_PREFIXES: Final = {
    "udp": "_sip._udp.",
    "tcp": "_sip._tcp.",
    "tls": "_sips._tcp.",
    "ws": "_sip._ws.",
    "wss": "_sips._ws.",
}
_SECURE: Final = ("tls", "wss")
_SECURED: Final = {"tcp": "tls", "ws": "wss"}
_ADDRESS_RECORDS: Final = {4: "A", 6: "AAAA"}
_MOST_TARGETS: Final = 32
"""No request tries more addresses than this, whatever DNS says."""
_MOST_NAMES: Final = 16
"""No resolution asks for the addresses of more SRV targets than this."""


@dataclass(frozen=True, slots=True)
class ResolverSettings:
    """How targets are looked for. Times in seconds."""

    transports: tuple[str, ...] = ("udp", "tcp", "tls")
    """What this server can send by, in the order of its own preference, for names that say nothing of transports."""
    families: tuple[int, ...] = (4,)
    """4 and 6, the preferred one first (RFC 7984 §4.2: a dual-stack client asks for both)."""
    question: float = 2.0
    """How long DNS may take to answer one question."""
    timeout: float = 6.0
    """How long one resolution may take: three questions that nobody answers."""
    outstanding: int = 200
    """Questions to DNS at once; above it a resolution fails at once."""
    cached: int = 5000
    """Answers remembered at once."""
    longest: float = 3600.0
    """No answer is believed longer, whatever its TTL."""
    longest_negative: float = 300.0
    """The same for an answer without records."""
    failure: float = 5.0
    """How long a failing DNS is not asked again for the same name."""
    stale: float = 86_400.0
    """How long after its end an answer still serves if DNS fails (RFC 8767)."""


class Resolver:
    """Finds targets. `draw(n)` returns a random integer from 0 to n, both included."""

    def __init__(
        self,
        dns: Dns,
        clock: Clock,
        settings: ResolverSettings | None = None,
        *,
        hosts: Hosts | None = None,
        draw: Callable[[int], int] = lambda most: random.randint(0, most),
    ) -> None:
        self._clock = clock
        self.settings = settings or ResolverSettings()
        self.hosts = hosts if hosts is not None else Hosts()
        self.lookups = Lookups(dns, clock, self.settings)
        self.draw = draw

    @property
    def counters(self) -> dict[str, int]:
        """What happened so far, by the names of `lookups.COUNTERS`; to be read only."""
        return self.lookups.counters

    def now(self) -> float:
        """Return the time."""
        return self._clock.seconds()

    def resolve(self, uri: Uri, hint: str, callback: Told) -> None:
        """Give `callback` the targets of `uri` in order, or none and the reason, once; perhaps before this returns.

        `hint` is the transport to take if the URI names none; empty to choose by RFC 3263 §4.1.
        """
        transport = (uri.params.get("transport") or hint).lower()
        secure = uri.scheme == "sips"
        if secure:
            transport = _SECURED.get(transport, transport)
        if transport and transport not in self.settings.transports:
            callback((), f"transport {transport} is not supported here")
            return
        if secure and transport and transport not in _SECURE:
            callback((), f"a sips URI cannot go by {transport}")
            return
        # RFC 3263 §4: TARGET is the value of the maddr parameter of the URI, if present, otherwise, the host value.
        host = (uri.params.get("maddr") or uri.host).lower().strip("[]").rstrip(".")
        if not host:
            callback((), "the URI names no host")
            return
        default = transport or ("tls" if secure else "udp")
        if is_numeric(host):
            callback((Target(default, host, uri.port or DEFAULT_PORTS[default]),), "")
            return
        name = uri.host.lower().rstrip(".")
        search = _Search(self, host, "" if is_numeric(name) else name, callback)
        if uri.port is not None or self.hosts.find(host, self._clock.seconds()):
            search.addresses([(default, host, uri.port or DEFAULT_PORTS[default])])
        elif transport:
            search.services([(transport, _SRV_PREFIXES[transport] + host)], default)
        else:
            search.pointers(default)
        search.limit(self._clock)

    def usable(self, secure: bool) -> tuple[str, ...]:
        """Return the transports that may carry a request, in the order of our preference."""
        return tuple(kind for kind in self.settings.transports if kind in _SECURE or not secure)


class _Search:
    """One resolution: names of services, then services, then addresses; each step asks all its questions at once."""

    __slots__ = ("_callback", "_done", "_host", "_name", "_partial", "_resolver", "_timer")

    def __init__(self, resolver: Resolver, host: str, name: str, callback: Told) -> None:
        self._resolver = resolver
        self._host = host
        self._name = name
        self._callback = callback
        self._partial: Callable[[], list[Target]] | None = None
        self._timer: Timer | None = None
        self._done = False

    def limit(self, clock: Clock) -> None:
        """Bound the time that what is not known yet may take."""
        if not self._done:
            self._timer = clock.later(self._resolver.settings.timeout, self._too_late)

    # -- RFC 3263 §4.1: which transport

    def pointers(self, default: str) -> None:
        """Ask for NAPTR records; without usable ones ask for the service of each transport."""

        def found(outcomes: Sequence[Outcome | None]) -> None:
            usable = self._resolver.usable(default in _SECURE)
            names: list[tuple[str, str]] = []
            for record in sorted(record for record in _records(outcomes) if isinstance(record, Naptr)):
                transport = _SERVICES.get(record.service.upper(), "")
                # RFC 3263 §4.1: the client discards any records whose services fields are not applicable, then the
                # server's order and preference decide.
                if transport in usable and record.flags.upper() == "S" and record.replacement:
                    names.append((transport, record.replacement.lower()))
            if not names:
                names = [(transport, _SRV_PREFIXES[transport] + self._host) for transport in usable]
            self.services(names[:_MOST_NAMES], default)

        self._ask([(self._host, "NAPTR")], found)

    # -- RFC 3263 §4.2: which hosts and ports

    def services(self, names: list[tuple[str, str]], default: str) -> None:
        """Ask for SRV records; without any ask for the addresses of the host itself."""

        def found(outcomes: Sequence[Outcome | None]) -> None:
            hops: list[tuple[str, str, int]] = []
            refused = False
            for (transport, _), outcome in zip(names, outcomes, strict=True):
                records = [record for record in _records([outcome]) if isinstance(record, Srv)]
                for record in order_by_weight(records, self._resolver.draw):
                    # RFC 2782: a target of "." means that the service is decidedly not available at this domain.
                    if record.target:
                        hops.append((transport, record.target.lower(), record.port))
                    else:
                        refused = True
            if refused and not hops:
                self._finish((), f"{self._host} says that it offers no SIP")
                return
            self.addresses(hops[:_MOST_NAMES] or [(default, self._host, DEFAULT_PORTS[default])])

        self._ask([(name, "SRV") for _, name in names], found)

    def addresses(self, hops: list[tuple[str, str, int]]) -> None:
        """Ask for the addresses of each hop (transport, name, port), of all families that can be reached from here."""
        resolver = self._resolver
        families = resolver.settings.families
        now = resolver.now()
        known: dict[str, tuple[str, ...]] = {}
        questions: list[tuple[str, str]] = []
        for _, name, _ in hops:
            if name in known:
                continue
            known[name] = (name,) if is_numeric(name) else resolver.hosts.find(name, now)
            if not known[name]:
                questions += [(name, _ADDRESS_RECORDS[family]) for family in families]

        def targets(outcomes: Sequence[Outcome | None]) -> list[Target]:
            told = dict(zip(questions, outcomes, strict=True))
            ordered: dict[Target, None] = {}
            for transport, name, port in hops:
                hosts: Iterable[str]
                if known[name]:
                    hosts = [host for family in families for host in known[name] if (":" in host) == (family == 6)]
                else:
                    outcomes = [told[name, _ADDRESS_RECORDS[family]] for family in families]
                    hosts = [record for record in _records(outcomes) if isinstance(record, str)]
                for host in hosts:
                    ordered[Target(transport, host, port, self._name if transport in _SECURE else "")] = None
            return list(ordered)[:_MOST_TARGETS]

        def found(outcomes: Sequence[Outcome | None]) -> None:
            ordered = targets(outcomes)
            if ordered:
                self._finish(ordered, "")
                return
            failed = [outcome.detail for outcome in outcomes if isinstance(outcome, DnsFailure)]
            self._finish((), failed[0] if failed else f"{self._host} has no address")

        self._ask(questions, found, targets)

    # -- inside

    def _ask(
        self,
        questions: list[tuple[str, str]],
        then: Callable[[Sequence[Outcome | None]], None],
        so_far: Callable[[Sequence[Outcome | None]], list[Target]] | None = None,
    ) -> None:
        """Ask all questions and go on with `then` once all are answered. `so_far` makes the best of a part of them."""
        outcomes: list[Outcome | None] = [None] * len(questions)
        left = len(questions)
        if so_far is not None:
            self._partial = lambda: so_far(outcomes)
        if not left:
            then(outcomes)
            return

        def take(number: int, outcome: Outcome) -> None:
            nonlocal left
            outcomes[number] = outcome
            left -= 1
            if not left and not self._done:
                then(outcomes)

        for number, (name, kind) in enumerate(questions):
            self._resolver.lookups.find(name, kind, partial(take, number))

    def _too_late(self) -> None:
        if not self._done:
            targets = self._partial() if self._partial is not None else []
            self._finish(targets, "" if targets else f"DNS did not answer in time for {self._host}")

    def _finish(self, targets: Sequence[Target], detail: str) -> None:
        self._done = True
        if self._timer is not None:
            self._timer.cancel()
        self._callback(targets, detail)


def _records(outcomes: Iterable[Outcome | None]) -> Iterator[Record]:
    """Go through the records of all answers."""
    for outcome in outcomes:
        if isinstance(outcome, Answer):
            yield from outcome.records
