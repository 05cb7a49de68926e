"""The trunks: who sends from which address, and how each is reached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address

from pbx.sip.stack import Destination
from pbx.sip.uri import Uri
from pbx.values import dataclass

__all__ = ["Source", "Trunk", "TrunkCounts", "TrunkTable"]

_MOST_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """Where a trunk's requests come from: every address of a network, from one port or from any (None)."""

    network: IPv4Network | IPv6Network
    port: int | None = None


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
        self._remembered: dict[tuple[str, int], str] = {}
        self.counts: dict[str, TrunkCounts] = {}
        self.replace(trunks)

    def replace(self, trunks: Iterable[Trunk]) -> None:
        """Take these trunks in place of those before; calls that are running do not notice."""
        self._trunks = {trunk.name: trunk for trunk in trunks}
        # A source with a port comes before one without, a smaller network before a larger one.
        self._sources = sorted(
            ((source, trunk.name) for trunk in self._trunks.values() for source in trunk.sources),
            key=lambda item: (item[0].port is None, -item[0].network.prefixlen),
        )
        self._remembered.clear()
        for name in self._trunks:
            self.counts.setdefault(name, TrunkCounts())

    def __iter__(self) -> Iterator[Trunk]:
        """Give every trunk."""
        return iter(self._trunks.values())

    def get(self, name: str) -> Trunk | None:
        """Return the trunk of that name, None if there is none."""
        return self._trunks.get(name)

    def at(self, host: str, port: int) -> str | None:
        """Return the name of the trunk that sends from a numeric address, None if none does."""
        found = self._remembered.get((host, port))
        if found is not None:
            return found
        address = ip_address(host.partition("%")[0])
        mapped = address.ipv4_mapped if address.version == 6 else None
        if mapped is not None:
            address = mapped
        for source, name in self._sources:
            if (source.port is None or source.port == port) and address in source.network:
                # Only trunks are remembered: strangers could fill any table.
                if len(self._remembered) >= _MOST_REMEMBERED:
                    self._remembered.clear()
                self._remembered[host, port] = name
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
