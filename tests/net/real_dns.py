"""Run by test_dns.py in a process of its own: the resolver against a real DNS server on loopback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from twisted.internet import reactor
from twisted.internet.protocol import DatagramProtocol
from twisted.names import authority, dns, server

from pbx.net.clock import TwistedClock
from pbx.net.dns import TwistedDns
from pbx.net.hosts import Hosts
from pbx.net.resolver import Resolver, ResolverSettings
from pbx.sip.targets import Target
from pbx.sip.uri import Uri


class Zone(authority.FileAuthority):
    def __init__(self) -> None:
        super().__init__("")

    def loadFile(self, filename: str) -> None:  # noqa: N802 - twisted's interface
        soa = dns.Record_SOA("ns.example.com", "me.example.com", minimum=60)
        self.soa = (b"example.com", soa)
        services = [dns.Record_SRV(n, 0, 5060 + n, b"host-number-%d.example.com" % n, ttl=60) for n in range(16)]
        self.records = {
            b"example.com": [soa, dns.Record_NAPTR(1, 1, b"s", b"SIP+D2U", b"", b"_sip._udp.example.com", ttl=60)],
            b"_sip._udp.example.com": services,
        }
        for n in range(16):
            self.records[b"host-number-%d.example.com" % n] = [dns.Record_A(f"192.0.2.{n}", ttl=60)]


def main() -> None:
    factory = server.DNSServerFactory(authorities=[Zone()])
    answering = reactor.listenUDP(0, dns.DNSDatagramProtocol(factory), interface="127.0.0.1").getHost().port
    reactor.listenTCP(answering, factory, interface="127.0.0.1")
    silent = reactor.listenUDP(0, DatagramProtocol(), interface="127.0.0.1").getHost().port
    settings = ResolverSettings(question=0.9, timeout=3.0)

    def resolver(*ports: int) -> Resolver:
        asker = TwistedDns(reactor, [("127.0.0.1", port) for port in ports])
        return Resolver(asker, TwistedClock(reactor), settings, hosts=Hosts(None))

    good, second, dead = resolver(answering), resolver(silent, answering), resolver(silent)
    left: list[str] = []

    def show(label: str) -> Callable[[Sequence[Target], str], None]:
        left.append(label)

        def told(targets: Sequence[Target], why: str) -> None:
            sys.stdout.write(f"{label} {len(targets)} {targets[0][:3] if targets else ''} {why}\n")
            left.remove(label)
            if not left:
                reactor.stop()

        return told

    questions = (
        ("good", good, "sip:example.com"),
        ("missing", good, "sip:missing.example.com"),
        ("unutterable", good, "sip:" + "a" * 70 + ".example.com:5060"),
        ("second", second, "sip:host-number-3.example.com:5080"),
        ("dead", dead, "sip:example.com:5060"),
    )
    told = [(asker, uri, show(label)) for label, asker, uri in questions]
    for asker, uri, callback in told:
        asker.resolve(Uri.parse(uri), "", callback)
    reactor.callLater(10, reactor.stop)
    reactor.run()


if __name__ == "__main__":
    main()
