"""RFC 3263 (§4), RFC 2782's weights, RFC 7984's two families, over a DNS that a test writes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pbx.net.hosts import Hosts, is_numeric, parse_hosts
from pbx.net.records import Answer, DnsFailure, Naptr, Record, Srv, order_by_weight
from pbx.net.resolver import Resolver, ResolverSettings
from pbx.sip.targets import Target
from pbx.sip.uri import Uri
from tests.support.clock import SteppedClock

TTL = 60.0


class Zone:
    """A DNS that answers at once, or when told to, or never."""

    def __init__(self, records: dict[tuple[str, str], list[Record]] | None = None) -> None:
        self.records = records or {}
        self.broken: set[tuple[str, str]] = set()
        self.silent: set[str] = set()
        self.held: list[tuple[str, str, Callable[[Answer | DnsFailure], None]]] = []
        self.hold = False
        self.ttl = TTL
        self.asked: list[tuple[str, str]] = []

    def lookup(self, name: str, kind: str, done: Callable[[Answer | DnsFailure], None]) -> None:
        self.asked.append((name, kind))
        if self.hold or kind in self.silent:
            self.held.append((name, kind, done))
        else:
            self.tell(name, kind, done)

    def tell(self, name: str, kind: str, done: Callable[[Answer | DnsFailure], None]) -> None:
        if (name, kind) in self.broken:
            done(DnsFailure(f"broken: {name}"))
        else:
            done(Answer(tuple(self.records.get((name, kind), ())), self.ttl))

    def release(self) -> None:
        held, self.held = self.held, []
        for name, kind, done in held:
            self.tell(name, kind, done)


class Bench:
    def __init__(self, records: dict[tuple[str, str], list[Record]] | None = None, **settings: object) -> None:
        self.clock = SteppedClock()
        self.zone = Zone(records)
        self.resolver = Resolver(
            self.zone,
            self.clock,
            ResolverSettings(**settings),  # type: ignore[arg-type]
            hosts=Hosts(None),
            draw=lambda most: 0,
        )
        self.results: list[tuple[list[Target], str]] = []

    def ask(self, uri: str, hint: str = "") -> None:
        self.resolver.resolve(Uri.parse(uri), hint, lambda targets, why: self.results.append((list(targets), why)))

    def targets(self, uri: str, hint: str = "") -> list[tuple[str, str, int]]:
        self.ask(uri, hint)
        (targets, why) = self.results[-1]
        assert bool(targets) != bool(why)
        return [target[:3] for target in targets]

    def why(self, uri: str, hint: str = "") -> str:
        assert self.targets(uri, hint) == []
        return self.results[-1][1]


EXAMPLE: dict[tuple[str, str], list[Record]] = {
    # RFC 3263 §4.1's example.
    ("example.com", "NAPTR"): [
        Naptr(100, 50, "S", "SIP+D2U", "_sip._udp.example.com"),
        Naptr(50, 50, "S", "SIPS+D2T", "_sips._tcp.example.com"),
        Naptr(90, 50, "S", "SIP+D2T", "_sip._tcp.example.com"),
    ],
    ("_sip._tcp.example.com", "SRV"): [Srv(0, 1, 5060, "server1.example.com"), Srv(0, 2, 5070, "server2.example.com")],
    ("_sip._udp.example.com", "SRV"): [Srv(0, 1, 5060, "server1.example.com")],
    ("_sips._tcp.example.com", "SRV"): [Srv(0, 1, 5061, "server1.example.com")],
    ("server1.example.com", "A"): ["192.0.2.1"],
    ("server2.example.com", "A"): ["192.0.2.2"],
    ("example.com", "A"): ["192.0.2.80"],
}


# -- no DNS needed


@pytest.mark.parametrize(
    ("uri", "hint", "expected"),
    [
        ("sip:192.0.2.5", "", ("udp", "192.0.2.5", 5060)),
        ("sip:192.0.2.5:5080", "", ("udp", "192.0.2.5", 5080)),
        ("sip:192.0.2.5", "tcp", ("tcp", "192.0.2.5", 5060)),
        ("sip:192.0.2.5;transport=TCP", "udp", ("tcp", "192.0.2.5", 5060)),
        ("sip:192.0.2.5;transport=tls", "", ("tls", "192.0.2.5", 5061)),
        ("sips:192.0.2.5", "", ("tls", "192.0.2.5", 5061)),
        ("sips:192.0.2.5;transport=tcp", "", ("tls", "192.0.2.5", 5061)),
        ("sip:[2001:db8::5]:5070", "", ("udp", "2001:db8::5", 5070)),
        ("sip:example.com;maddr=192.0.2.7", "", ("udp", "192.0.2.7", 5060)),
    ],
)
def test_a_numeric_host_needs_no_dns(uri: str, hint: str, expected: tuple[str, str, int]):
    bench = Bench()
    assert bench.targets(uri, hint) == [expected]
    assert bench.zone.asked == []


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("sip:192.0.2.5;transport=sctp", "not supported"),
        ("sips:192.0.2.5;transport=udp", "sips"),
        ("tel:+4930123456", "no host"),
    ],
)
def test_what_cannot_be_reached_is_said_at_once(uri: str, why: str):
    assert why in Bench().why(uri)


def test_localhost_and_the_hosts_file_come_before_dns(tmp_path: Path):
    bench = Bench(EXAMPLE, families=(4, 6))
    path = tmp_path / "hosts"
    path.write_text("192.0.2.9 Example.com server1.example.com # ours\n2001:db8::9\texample.com\nnonsense line\n")
    bench.resolver.hosts = Hosts(path, interval=10.0)
    assert bench.targets("sip:localhost") == [("udp", "127.0.0.1", 5060), ("udp", "::1", 5060)]
    assert bench.targets("sips:pbx.localhost") == [("tls", "127.0.0.1", 5061), ("tls", "::1", 5061)]
    assert bench.targets("sip:EXAMPLE.com.") == [("udp", "192.0.2.9", 5060), ("udp", "2001:db8::9", 5060)]
    assert bench.zone.asked == []
    path.write_text("192.0.2.10 example.com\n")
    bench.clock.advance(10)
    assert bench.targets("sip:example.com;transport=tcp") == [("tcp", "192.0.2.10", 5060)]
    path.unlink()
    bench.clock.advance(10)
    assert bench.targets("sip:example.com;transport=udp") == [("udp", "192.0.2.1", 5060)]


def test_the_hosts_file_also_serves_the_targets_of_srv_records(tmp_path: Path):
    bench = Bench(EXAMPLE)
    (tmp_path / "hosts").write_text("192.0.2.9 server1.example.com\n")
    bench.resolver.hosts = Hosts(tmp_path / "hosts")
    assert bench.targets("sip:example.com;transport=udp") == [("udp", "192.0.2.9", 5060)]
    assert ("server1.example.com", "A") not in bench.zone.asked


@pytest.mark.parametrize(
    ("host", "numeric"),
    [("192.0.2.1", True), ("::1", True), ("fe80::1%eth0", True), ("example.com", False), ("1.2.3", False), ("", False)],
)
def test_numeric(host: str, numeric: bool):
    assert is_numeric(host) is numeric


def test_hosts_files():
    assert parse_hosts("127.0.0.1 localhost\n::1 localhost ip6-localhost\n#1.2.3.4 x\n1.2.3 bad\n\n127.0.0.1\n") == {
        "localhost": ("127.0.0.1", "::1"),
        "ip6-localhost": ("::1",),
    }


# -- RFC 3263 §4.1 and §4.2


def test_naptr_then_srv_then_addresses():
    bench = Bench(EXAMPLE)
    assert bench.targets("sip:user@example.com") == [
        ("tls", "192.0.2.1", 5061),
        ("tcp", "192.0.2.1", 5060),
        ("tcp", "192.0.2.2", 5070),
        ("udp", "192.0.2.1", 5060),
    ]


def test_only_what_we_can_send_by_counts():
    bench = Bench(EXAMPLE, transports=("udp",))
    assert bench.targets("sip:example.com") == [("udp", "192.0.2.1", 5060)]


def test_sips_takes_secure_transports_only():
    bench = Bench(EXAMPLE)
    assert bench.targets("sips:example.com") == [("tls", "192.0.2.1", 5061)]
    assert bench.results[-1][0][0].name == "example.com"
    bench = Bench({key: value for key, value in EXAMPLE.items() if key[1] != "NAPTR"})
    assert bench.targets("sips:example.com") == [("tls", "192.0.2.1", 5061)]
    assert ("_sip._udp.example.com", "SRV") not in bench.zone.asked


def test_a_port_means_addresses_only():
    bench = Bench(EXAMPLE)
    assert bench.targets("sip:example.com:5080") == [("udp", "192.0.2.80", 5080)]
    assert bench.targets("sip:example.com:5080;transport=tcp") == [("tcp", "192.0.2.80", 5080)]
    assert bench.targets("sips:example.com:5080") == [("tls", "192.0.2.80", 5080)]
    assert {kind for _, kind in bench.zone.asked} == {"A"}


def test_a_transport_means_its_service_only():
    bench = Bench(EXAMPLE)
    assert bench.targets("sip:example.com;transport=tcp") == [("tcp", "192.0.2.1", 5060), ("tcp", "192.0.2.2", 5070)]
    assert bench.targets("sip:example.com", "udp") == [("udp", "192.0.2.1", 5060)]
    assert not any(kind == "NAPTR" for _, kind in bench.zone.asked)


def test_without_naptr_every_service_is_asked_for():
    records = {key: value for key, value in EXAMPLE.items() if key[1] != "NAPTR"}
    bench = Bench(records)
    assert [target[0] for target in bench.targets("sip:example.com")] == ["udp", "tcp", "tcp", "tls"]


def test_without_naptr_and_srv_the_host_itself():
    bench = Bench({("example.com", "A"): ["192.0.2.80", "192.0.2.81"]})
    assert bench.targets("sip:example.com") == [("udp", "192.0.2.80", 5060), ("udp", "192.0.2.81", 5060)]
    assert bench.targets("sips:example.com") == [("tls", "192.0.2.80", 5061), ("tls", "192.0.2.81", 5061)]
    assert bench.targets("sip:example.com;transport=tcp") == [("tcp", "192.0.2.80", 5060), ("tcp", "192.0.2.81", 5060)]


def test_naptr_records_of_other_services_mean_nothing():
    records: dict[tuple[str, str], list[Record]] = {
        ("example.com", "NAPTR"): [
            Naptr(1, 1, "U", "E2U+SIP", ""),
            Naptr(1, 1, "S", "SIP+D2S", "_sip._sctp.example.com"),
            Naptr(1, 1, "A", "SIP+D2U", "server1.example.com"),
            Naptr(2, 2, "s", "sip+d2u", "_SIP._UDP.Example.com"),
        ],
        ("_sip._udp.example.com", "SRV"): [Srv(0, 0, 5062, "Server1.example.com")],
        ("server1.example.com", "A"): ["192.0.2.1"],
    }
    assert Bench(records).targets("sip:example.com") == [("udp", "192.0.2.1", 5062)]


def test_a_root_target_says_that_there_is_no_service():
    records: dict[tuple[str, str], list[Record]] = {("_sip._udp.example.com", "SRV"): [Srv(0, 0, 0, "")]}
    bench = Bench({**records, ("example.com", "A"): ["192.0.2.80"]})
    assert "offers no SIP" in bench.why("sip:example.com;transport=udp")
    assert ("example.com", "A") not in bench.zone.asked


def test_both_families_in_the_order_of_preference():
    records: dict[tuple[str, str], list[Record]] = {
        ("_sip._udp.example.com", "SRV"): [Srv(1, 0, 5060, "a.example.com"), Srv(2, 0, 5060, "b.example.com")],
        ("a.example.com", "A"): ["192.0.2.1"],
        ("a.example.com", "AAAA"): ["2001:db8::1"],
        ("b.example.com", "A"): ["192.0.2.2"],
    }
    bench = Bench(records, families=(6, 4))
    hosts = [host for _, host, _ in bench.targets("sip:example.com;transport=udp")]
    assert hosts == ["2001:db8::1", "192.0.2.1", "192.0.2.2"]
    bench = Bench(records, families=(4,))
    assert [host for _, host, _ in bench.targets("sip:example.com;transport=udp")] == ["192.0.2.1", "192.0.2.2"]
    assert not any(kind == "AAAA" for _, kind in bench.zone.asked)


def test_an_address_is_tried_once_and_their_number_is_bounded():
    many = {(f"h{n}.example.com", "A"): [f"192.0.2.{n}", "192.0.2.250"] for n in range(60)}
    records: dict[tuple[str, str], list[Record]] = {
        ("_sip._udp.example.com", "SRV"): [Srv(n, 0, 5060, f"h{n}.example.com") for n in range(60)],
        **many,  # type: ignore[dict-item]
    }
    bench = Bench(records)
    targets = bench.targets("sip:example.com;transport=udp")
    assert len(targets) == len(set(targets)) == 17
    assert len(bench.zone.asked) == 17


def test_only_tls_targets_have_a_name():
    bench = Bench(EXAMPLE)
    bench.ask("sip:example.com")
    assert {target.transport: target.name for target in bench.results[0][0]} == {
        "tls": "example.com",
        "tcp": "",
        "udp": "",
    }


# -- RFC 2782


def test_weights_decide_how_often_one_comes_first():
    source = random.Random(3)
    records = [Srv(0, 0, 1, "zero"), Srv(0, 10, 1, "ten"), Srv(0, 30, 1, "thirty"), Srv(0, 60, 1, "sixty")]
    first = Counter(order_by_weight(records, lambda most: source.randint(0, most))[0].target for _ in range(10_000))
    assert 900 <= first["ten"] <= 1100
    assert 2800 <= first["thirty"] <= 3200
    assert 5700 <= first["sixty"] <= 6300
    assert 0 < first["zero"] < 200


def test_a_lower_priority_number_always_comes_first():
    source = random.Random(3)
    records = [Srv(20, 100, 1, "c"), Srv(10, 0, 1, "a"), Srv(10, 5, 1, "b")]
    for _ in range(100):
        ordered = order_by_weight(records, lambda most: source.randint(0, most))
        assert {record.target for record in ordered[:2]} == {"a", "b"}
        assert ordered[2].target == "c"


@pytest.mark.parametrize("draw", [lambda most: 0, lambda most: most])
def test_every_record_comes_once(draw: Callable[[int], int]):
    records = [Srv(n % 3, n % 4, n, f"h{n}") for n in range(20)]
    assert sorted(order_by_weight(records, draw)) == sorted(records)
    assert order_by_weight([], draw) == []


# -- memory


def test_answers_are_remembered_for_their_ttl_and_then_asked_for_again():
    bench = Bench(EXAMPLE)
    first = bench.targets("sip:example.com")
    asked = len(bench.zone.asked)
    bench.clock.advance(TTL - 0.1)
    assert bench.targets("sip:example.com") == first
    assert len(bench.zone.asked) == asked
    bench.clock.advance(0.1)
    assert bench.targets("sip:example.com") == first
    assert len(bench.zone.asked) == 2 * asked
    assert bench.resolver.counters["dns_cached"] > 0


def test_that_there_is_nothing_is_remembered_too_but_not_for_longer_than_allowed():
    bench = Bench(longest_negative=30.0)
    bench.zone.ttl = 10_000.0
    bench.why("sip:nowhere.example.com:5060")
    bench.clock.advance(29)
    bench.why("sip:nowhere.example.com:5060")
    assert len(bench.zone.asked) == 1
    bench.clock.advance(1)
    assert "has no address" in bench.why("sip:nowhere.example.com:5060")
    assert len(bench.zone.asked) == 2


def test_an_answer_without_ttl_is_not_remembered():
    bench = Bench(EXAMPLE)
    bench.zone.ttl = 0.0
    bench.targets("sip:example.com:5060")
    bench.targets("sip:example.com:5060")
    assert len(bench.zone.asked) == 2


def test_the_memory_is_bounded():
    bench = Bench(cached=100)
    for number in range(1000):
        bench.ask(f"sip:h{number}.example.com:5060")
    assert len(bench.resolver.lookups) <= 100
    bench.ask("sip:h999.example.com:5060")
    assert len(bench.zone.asked) == 1000
    bench.resolver.lookups.forget()
    assert len(bench.resolver.lookups) == 0


def test_when_dns_fails_an_older_answer_stands_in():
    bench = Bench(EXAMPLE)
    bench.targets("sip:example.com:5060")
    bench.zone.broken.add(("example.com", "A"))
    bench.clock.advance(TTL + 3600)
    assert bench.targets("sip:example.com:5060") == [("udp", "192.0.2.80", 5060)]
    assert bench.resolver.counters["dns_stale"] == 1
    bench.targets("sip:example.com:5060")
    assert len(bench.zone.asked) == 2, "a failing DNS is left alone for a while"
    bench.clock.advance(86_400)
    assert "broken" in bench.why("sip:example.com:5060")


def test_when_dns_falls_silent_older_answers_come_in_time_and_then_at_once():
    bench = Bench(EXAMPLE)
    before = bench.targets("sip:example.com")
    bench.zone.hold = True
    bench.clock.advance(TTL)
    bench.ask("sip:example.com")
    bench.clock.advance(3.0)
    assert [target[:3] for target in bench.results[-1][0]] == before, "three questions, half the usual time for each"
    assert len(bench.results) == 2
    bench.clock.advance(60)
    assert bench.targets("sip:example.com") == before, "nobody waits for a DNS that failed last time"
    assert bench.resolver.lookups.outstanding, "but it is asked"
    # It is back, with other answers.
    bench.zone.records = {("example.com", "NAPTR"): [], ("example.com", "A"): ["192.0.2.99"]}
    bench.zone.hold = False
    bench.zone.release()
    assert bench.targets("sip:example.com") == [("udp", "192.0.2.99", 5060)]
    assert bench.clock.calls == []


def test_a_failure_is_remembered_shortly():
    bench = Bench(EXAMPLE)
    bench.zone.broken.add(("example.com", "A"))
    bench.why("sip:example.com:5060")
    bench.why("sip:example.com:5060")
    assert len(bench.zone.asked) == 1
    bench.zone.broken.clear()
    bench.clock.advance(5)
    assert bench.targets("sip:example.com:5060") == [("udp", "192.0.2.80", 5060)]


# -- time and load


def test_many_who_ask_the_same_at_once_share_one_question():
    bench = Bench(EXAMPLE)
    bench.zone.hold = True
    for _ in range(50):
        bench.ask("sip:example.com:5060")
    assert bench.results == []
    assert len(bench.zone.asked) == 1
    assert bench.resolver.lookups.outstanding == 1
    bench.zone.release()
    assert len(bench.results) == 50
    assert bench.clock.calls == []


def test_no_more_questions_at_once_than_allowed():
    bench = Bench(outstanding=10)
    bench.zone.hold = True
    for number in range(12):
        bench.ask(f"sip:h{number}.example.com:5060")
    assert [why for _, why in bench.results] == ["too many questions to DNS are under way"] * 2
    assert bench.resolver.counters["dns_refused"] == 2
    bench.zone.release()
    assert len(bench.results) == 12
    assert bench.clock.calls == []


def test_a_dns_that_does_not_answer_is_waited_for_two_seconds_a_question():
    bench = Bench(EXAMPLE)
    bench.zone.silent = {"NAPTR"}
    bench.ask("sip:example.com")
    bench.clock.advance(1.9)
    assert bench.results == []
    bench.clock.advance(0.1)
    assert [target.transport for target in bench.results[0][0]] == ["udp", "tcp", "tcp", "tls"]
    assert bench.clock.calls == []


def test_a_dead_dns_fails_the_resolution_in_time():
    bench = Bench(EXAMPLE, question=10.0)
    bench.zone.hold = True
    bench.ask("sip:example.com")
    bench.clock.advance(6)
    assert bench.results == [([], "DNS did not answer in time for example.com")]
    bench.zone.hold = False
    bench.zone.release()
    bench.clock.advance(100)
    assert len(bench.results) == 1, "told once"


def test_a_late_answer_is_remembered_for_the_next():
    bench = Bench(EXAMPLE)
    bench.zone.hold = True
    bench.ask("sip:example.com:5060")
    bench.clock.advance(3)
    assert bench.results == [([], "DNS did not answer in time for example.com")]
    bench.zone.release()
    assert bench.targets("sip:example.com:5060") == [("udp", "192.0.2.80", 5060)]


def test_one_family_that_is_never_answered_does_not_cost_the_other():
    bench = Bench(EXAMPLE, families=(6, 4))
    bench.zone.silent = {"AAAA"}
    bench.ask("sip:example.com:5060")
    bench.clock.advance(2)
    assert [target.host for target in bench.results[0][0]] == ["192.0.2.80"]


def test_what_is_known_when_time_is_over_is_used():
    bench = Bench(EXAMPLE, families=(6, 4), question=60.0)
    bench.zone.silent = {"AAAA"}
    bench.ask("sip:example.com:5060")
    bench.clock.advance(6)
    assert [target.host for target in bench.results[0][0]] == ["192.0.2.80"]


def test_a_broken_service_record_still_leaves_the_host():
    bench = Bench(EXAMPLE)
    bench.zone.broken.add(("_sip._udp.example.com", "SRV"))
    assert bench.targets("sip:example.com;transport=udp") == [("udp", "192.0.2.80", 5060)]
