"""The adaptor to twisted.names: what records become, and one run against a real server on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet.defer import TimeoutError  # noqa: A004 - twisted.names raises its own
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSServerError
from twisted.python.failure import Failure

from pbx.errors import EnvironmentFault
from pbx.net.dns import answer_of, failure_of, make_resolver
from pbx.net.records import Answer, DnsFailure, Naptr, Srv
from pbx.net.transport import Listener
from tests.support.network import MemoryNetwork, SteppedClock, Wire
from tests.support.sip import counted_ids

_START = dns.Record_SOA("ns.example.com", "me.example.com", minimum=120)
SOA = dns.RRHeader("example.com", dns.SOA, ttl=900, payload=_START)


def header(payload: object, ttl: int = 60) -> dns.RRHeader:
    return dns.RRHeader("x.example.com", payload.TYPE, ttl=ttl, payload=payload)  # type: ignore[attr-defined]


def test_addresses_and_the_chain_of_aliases_before_them():
    alias = header(dns.Record_CNAME("y.example.com"), 30)
    found = answer_of("A", [alias, header(dns.Record_A("192.0.2.1"), 90), header(dns.Record_A("192.0.2.2"), 90)], [])
    assert found == Answer(("192.0.2.1", "192.0.2.2"), 30.0)
    assert answer_of("AAAA", [header(dns.Record_AAAA("2001:db8::1"))], []) == Answer(("2001:db8::1",), 60.0)


def test_service_records_lose_their_final_dot():
    records = [dns.Record_SRV(1, 2, 5060, b"a.example.com."), dns.Record_SRV(0, 0, 0, b".")]
    found = answer_of("SRV", [header(record) for record in records], [])
    assert found.records == (Srv(1, 2, 5060, "a.example.com"), Srv(0, 0, 0, ""))


def test_pointers_are_in_upper_case():
    record = dns.Record_NAPTR(50, 60, b"s", b"sip+d2u", b"", b"_sip._udp.example.com.")
    assert answer_of("NAPTR", [header(record)], []).records == (Naptr(50, 60, "S", "SIP+D2U", "_sip._udp.example.com"),)


def test_nothing_is_believed_for_as_long_as_the_zone_says():
    assert answer_of("A", [], [SOA]) == Answer((), 120.0)
    assert answer_of("A", [header(dns.Record_CNAME("y.example.com"))], []) == Answer((), 60.0)


def test_no_such_name_is_an_answer_and_the_rest_are_failures():
    message = dns.Message(rCode=dns.ENAME)
    message.authority = [SOA]
    assert failure_of("x", Failure(DNSNameError(message))) == Answer((), 120.0)
    assert isinstance(failure_of("x", Failure(DNSServerError(message))), DnsFailure)
    late = failure_of("x", Failure(TimeoutError()))
    assert isinstance(late, DnsFailure)
    assert "in time" in late.detail


@pytest.mark.parametrize(
    ("hosts", "families"), [(["192.0.2.1"], (4,)), (["2001:db8::1"], (6,)), (["192.0.2.1", "2001:db8::1"], (4, 6))]
)
def test_the_resolver_of_a_server_knows_what_it_can_send_by(hosts: list[str], families: tuple[int, ...]):
    clock = SteppedClock()
    network = MemoryNetwork(Wire(clock), [Listener("udp", host, 5060) for host in hosts])
    resolver = make_resolver(clock, clock, network, counted_ids(), servers=["192.0.2.53", "[2001:db8::53]:5353"])
    assert resolver.settings.families == families
    assert resolver.settings.transports == ("udp",)
    assert all(0 <= resolver.draw(7) <= 7 for _ in range(100))
    with pytest.raises(EnvironmentFault, match="no address"):
        make_resolver(clock, clock, network, counted_ids(), servers=["dns.example.com"])


def test_against_a_real_server_on_loopback():
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("real_dns.py"))],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert lines.get("good") == "16 ('udp', '192.0.2.0', 5060) ", done.stderr
    assert lines["missing"] == "0  missing.example.com has no address"
    assert lines["unutterable"].startswith("0  ")
    assert lines["second"] == "1 ('udp', '192.0.2.3', 5080) "
    assert lines["dead"] == "0  DNS did not answer in time for example.com"
