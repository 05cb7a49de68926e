"""The trunks: who sends from which address, and how each is reached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address

from pbx.sip.message import Request
from pbx.sip.stack import Destination
from pbx.sip.uri import Uri
from pbx.values import dataclass

__all__ = ["Narrowing", "Source", "Trunk", "TrunkCounts", "TrunkTable"]

_MOST_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """Where a trunk's requests come from: every address of a network, from one port or from any (None)."""

    network: IPv4Network | IPv6Network
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Which of the calls from an address or certificate are a trunk's; empty for all of them."""

    users: tuple[str, ...] = ()
    """User parts of the Request-URI; with ``*`` at the end, beginnings."""
    domains: tuple[str, ...] = ()
    """Hosts of From or Request-URI, in lower case."""

    def holds(self, request: Request) -> bool:
        """Return whether a call is the trunk's. Raises ParseError for a From that cannot be read."""
        if self.users:
            user = request.uri.user or ""
            if not any(user.startswith(one[:-1]) if one.endswith("*") else user == one for one in self.users):
                return False
        if not self.domains:
            return True
        return request.uri.host.lower() in self.domains or request.from_.uri.host.lower() in self.domains


@dataclass(frozen=True, slots=True)
class Trunk:
    """One trunk, as configured."""

    name: str
    address: Uri
    """Where requests to it go; the number is put in as its user part."""
    sources: tuple[Source, ...] = ()
    outbound_proxy: Uri | None = None
    """Where they go first, as the only Route."""
    max_calls: int | None = None
    certificates: frozenset[str] = frozenset()
    """Names of its TLS certificate, in lower case."""
    narrowing: Narrowing = Narrowing()
    contact_user: str = ""
    """The user part that we registered with it, if it cannot be guessed: whoever calls it, the call is the trunk's."""


@dataclass(slots=True)
class TrunkCounts:
    """Calls over a trunk since the start, when they are over."""

    inbound: int = 0
    outbound: int = 0
    failed: int = 0
    """Those of `outbound` that it did not answer, for whatever reason."""


class TrunkTable:
    """All trunks, by name and by address. Counts outlive a reload."""

    def __init__(self, trunks: Iterable[Trunk] = ()) -> None:
        self._trunks: dict[str, Trunk] = {}
        self._sources: list[tuple[Source, str]] = []
        self._networks: dict[tuple[int, int], dict[int, list[tuple[int, int | None, str]]]] = {}
        """By version and length of the prefix, and by the prefix: place among all sources, port and trunk. Every
        datagram of a stranger is looked up here, so that must not take longer the more trunks there are."""
        self._remembered: dict[tuple[str, int], tuple[str, ...]] = {}
        self._by_certificate: tuple[Trunk, ...] = ()
        self._by_contact: dict[str, str] = {}
        self.counts: dict[str, TrunkCounts] = {}
        self.replace(trunks)

    def replace(self, trunks: Iterable[Trunk]) -> None:
        """Take these trunks in place of those before; calls that are running do not notice."""
        self._trunks = {trunk.name: trunk for trunk in trunks}
        # A source with a port comes before one without, a smaller network before a larger one, and of two that are the
        # same a trunk that wants more of its calls.
        everything = Narrowing()
        ranked = sorted(self._trunks.values(), key=lambda trunk: trunk.narrowing == everything)
        self._sources = sorted(
            ((source, trunk.name) for trunk in ranked for source in trunk.sources),
            key=lambda item: (item[0].port is None, -item[0].network.prefixlen),
        )
        self._networks = {}
        for place, (source, name) in enumerate(self._sources):
            network = source.network
            kind = network.version, network.prefixlen
            prefix = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            self._networks.setdefault(kind, {}).setdefault(prefix, []).append((place, source.port, name))
        self._by_certificate = tuple([trunk for trunk in ranked if trunk.certificates])
        self._by_contact = {trunk.contact_user: trunk.name for trunk in ranked if trunk.contact_user}
        self._remembered.clear()
        for name in self._trunks:
            self.counts.setdefault(name, TrunkCounts())

    def __iter__(self) -> Iterator[Trunk]:
        """Give every trunk."""
        return iter(self._trunks.values())

    def get(self, name: str) -> Trunk | None:
        """Return the trunk of that name, None if there is none."""
        return self._trunks.get(name)

    def at(self, host: str, port: int) -> tuple[str, ...]:
        """Return the names of the trunks that send from a numeric address, the closest match first."""
        found = self._remembered.get((host, port))
        if found is not None:
            return found
        address = ip_address(host.partition("%")[0])
        mapped = address.ipv4_mapped if address.version == 6 else None
        if mapped is not None:
            address = mapped
        bits, version, longest = int(address), address.version, address.max_prefixlen
        matching = [
            entry
            for (each, length), prefixes in self._networks.items()
            if each == version
            for entry in prefixes.get(bits >> (longest - length), ())
            if entry[1] is None or entry[1] == port
        ]
        names = tuple(dict.fromkeys([name for _, _, name in sorted(matching)])) if matching else ()
        # Only trunks are remembered: strangers could fill any table.
        if names:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[host, port] = names
        return names

    def overlaps(self, network: IPv4Network | IPv6Network) -> bool:
        """Return whether a trunk may send from an address of a network."""
        return any(
            source.network.version == network.version and network.overlaps(source.network)
            for source, _ in self._sources
        )

    def certified(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the names of the trunks whose certificate has one of these names."""
        shown = {name.lower() for name in names}
        return tuple([trunk.name for trunk in self._by_certificate if not shown.isdisjoint(trunk.certificates)])

    def registered_as(self, user: str) -> str | None:
        """Return the name of the trunk that knows us by a secret user part, None if none does."""
        return self._by_contact.get(user)

    def choose(self, names: Iterable[str], request: Request) -> str | None:
        """Return the first of some trunks that a call can be of; None if it is of none. Raises ParseError."""
        for name in names:
            trunk = self._trunks.get(name)
            if trunk is not None and trunk.narrowing.holds(request):
                return name
        return None

    def destination(self, name: str, number: str) -> Destination:
        """Return where a call to `number` over a trunk goes. KeyError if there is no such trunk."""
        trunk = self._trunks[name]
        route = () if trunk.outbound_proxy is None else (f"<{trunk.outbound_proxy}>",)
        return Destination(trunk.address.with_(user=number), route)

    def came_in(self, name: str) -> None:
        """Count a call from a trunk; one that a reload has taken away counts too."""
        self.counts.setdefault(name, TrunkCounts()).inbound += 1

    def went_out(self, name: str, *, answered: bool) -> None:
        """Count a call that was tried over a trunk."""
        counts = self.counts.setdefault(name, TrunkCounts())
        counts.outbound += 1
        counts.failed += not answered
