"""A DNS server, by twisted.names: the zone is a JSON file, and each question is printed.

Run as a program: HOST PORT ZONE. ``records`` of the zone maps names to lists of ``["A", "192.0.2.1"]``,
``["SRV", 10, 0, 5060, "one.example.com"]`` or ``["NAPTR", 10, 0, "SIP+D2U", "_sip._udp.example.com"]``; ``ttl`` is in
seconds, and 1 for the names in ``brief``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.names import authority, dns, server

_ORIGIN = "example.com"


def record(ttl: int, kind: str, *fields: Any) -> Any:
    """Return a record of the zone."""
    if kind == "NAPTR":
        order, preference, service, replacement = fields
        return dns.Record_NAPTR(order, preference, b"s", service.encode(), b"", replacement.encode(), ttl=ttl)
    if kind == "SRV":
        return dns.Record_SRV(*fields, ttl=ttl)
    return {"A": dns.Record_A, "AAAA": dns.Record_AAAA}[kind](*fields, ttl=ttl)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Zone(authority.FileAuthority):
    """What the file holds."""

    def loadFile(self, filename: str) -> None:  # noqa: N802 - twisted's interface
        """Read the file."""
        zone = json.loads(Path(filename).read_text())
        ttl, brief = zone["ttl"], zone["brief"]
        soa = dns.Record_SOA(f"ns.{_ORIGIN}", f"me.{_ORIGIN}", minimum=ttl, ttl=ttl)
        self.soa = (_ORIGIN.encode(), soa)
        self.records = {
            name.encode(): [record(1 if name in brief else ttl, *each) for each in records]
            for name, records in zone["records"].items()
        }
        self.records.setdefault(_ORIGIN.encode(), []).append(soa)


class Telling(server.DNSServerFactory):
    """Prints what it is asked."""

    def handleQuery(self, message: Any, protocol: Any, address: Any) -> Any:  # noqa: N802 - twisted's interface
        """Answer a question."""
        for query in message.queries:
            say(f"{dns.QUERY_TYPES.get(query.type, query.type)} {query.name.name.decode()}")
        return super().handleQuery(message, protocol, address)


def main() -> None:
    """Serve until killed."""
    host, port, zone = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    factory = Telling(authorities=[Zone(zone)])
    loop: Any = reactor
    loop.listenUDP(port, dns.DNSDatagramProtocol(factory), interface=host)
    loop.listenTCP(port, factory, interface=host)
    say("ready")
    loop.run()


if __name__ == "__main__":
    main()
