from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.sip.uri import Uri
from pbx.trunks.table import Narrowing, Source, Trunk, TrunkTable
from tests.support.stack import compose


def trunk(name: str, *sources: str, **options: object) -> Trunk:
    parsed = []
    for source in sources:
        network, _, port = source.partition("@")
        parsed.append(Source(ip_network(network), int(port) if port else None))
    return Trunk(name, Uri.parse(f"sip:{name}.example.com;transport=tcp"), tuple(parsed), **options)  # type: ignore[arg-type]


TABLE = TrunkTable(
    [
        trunk("carrier", "198.51.100.0/24", "2001:db8::/32"),
        trunk("office", "198.51.100.7/32"),
        trunk("customer", "198.51.100.7/32@5180", "127.0.0.1/32@5180"),
    ]
)


@pytest.mark.parametrize(
    ("host", "port", "names"),
    [
        ("198.51.100.1", 5060, "carrier"),
        ("198.51.100.7", 5060, "office carrier"),
        ("198.51.100.7", 5180, "customer office carrier"),
        ("127.0.0.1", 5180, "customer"),
        ("127.0.0.1", 5181, ""),
        ("2001:db8::1", 1, "carrier"),
        ("::ffff:198.51.100.1", 1, "carrier"),
        ("fe80::1%eth0", 1, ""),
        ("203.0.113.1", 5060, ""),
    ],
)
def test_a_source_is_known_by_the_closest_match(host: str, port: int, names: str) -> None:
    for _ in range(2):
        assert TABLE.at(host, port) == tuple(names.split())


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(24, 32), st.sampled_from((None, 1, 2))), max_size=12),
    st.lists(st.tuples(st.integers(0, 40), st.integers(64, 128), st.sampled_from((None, 1, 2))), max_size=4),
    st.integers(0, 50),
    st.integers(1, 3),
)
def test_sources_are_found_as_by_looking_at_each(
    fours: list[tuple[int, int, int | None]], sixes: list[tuple[int, int, int | None]], last: int, port: int
) -> None:
    written = [(f"192.0.2.{number}/{length}", at) for number, length, at in fours]
    written += [(f"2001:db8::{number:x}/{length}", at) for number, length, at in sixes]
    sources = [Source(ip_network(network, strict=False), at) for network, at in written]
    trunks = [Trunk(f"t{place}", Uri.parse("sip:a"), (source,)) for place, source in enumerate(sources)]
    table = TrunkTable(trunks)
    for host in (f"192.0.2.{last}", f"2001:db8::{last:x}", f"::ffff:192.0.2.{last}"):
        bare = ip_address(host.removeprefix("::ffff:"))
        wanted = sorted(
            (one.port is None, -one.network.prefixlen, place)
            for place, one in enumerate(sources)
            if one.port in (None, port) and bare in one.network
        )
        assert table.at(host, port) == tuple(f"t{place}" for _, _, place in wanted)


@pytest.mark.parametrize(
    ("uri", "sender", "name"),
    [
        ("sip:4930123@10.0.0.1", "x", "head"),
        ("sip:49305@10.0.0.1", "x", "branch"),
        ("sip:493055@10.0.0.1", "x", "rest"),
        ("sip:49305@10.0.0.1", "one.example", "hosted"),
        ("sip:0@ONE.example", "x", "hosted"),
    ],
)
def test_of_trunks_with_one_address_user_part_and_domain_decide(uri: str, sender: str, name: str) -> None:
    table = TrunkTable(
        [
            trunk("rest", "192.0.2.1/32"),
            trunk("hosted", "192.0.2.1/32", narrowing=Narrowing(domains=("one.example",))),
            trunk("head", "192.0.2.1/32", narrowing=Narrowing(("493012*",))),
            trunk("branch", "192.0.2.1/32", narrowing=Narrowing(("49305",))),
        ]
    )
    request = compose("INVITE", uri, headers=())
    request.headers.set("From", f"<sip:1@{sender}>;tag=1")
    assert table.choose(table.at("192.0.2.1", 5060), request) == name
    assert table.choose(table.at("192.0.2.2", 5060), request) is None


def test_a_trunk_is_known_by_its_certificate_and_by_what_we_registered() -> None:
    table = TrunkTable(
        [trunk("a", certificates=frozenset(["sip.example.com"])), trunk("b", contact_user="f00d")],
    )
    assert table.certified(("SIP.example.com", "192.0.2.1")) == ("a",)
    assert table.certified(()) == ()
    assert (table.registered_as("f00d"), table.registered_as("")) == ("b", None)


def test_a_number_goes_to_the_trunk_s_address_through_its_proxy() -> None:
    proxy = Uri.parse("sip:proxy.example.com;lr")
    table = TrunkTable([trunk("a"), trunk("b", outbound_proxy=proxy)])
    assert str(table.destination("a", "+49 30").uri) == "sip:+49%2030@a.example.com;transport=tcp"
    assert table.destination("a", "1").route == ()
    assert table.destination("b", "1").route == ("<sip:proxy.example.com;lr>",)
    with pytest.raises(KeyError):
        table.destination("c", "1")


def test_a_reload_changes_addresses_and_keeps_counts() -> None:
    table = TrunkTable([trunk("a", "192.0.2.1/32", max_calls=1)])
    assert table.at("192.0.2.1", 5060) == ("a",)
    table.came_in("a")
    table.went_out("a", answered=True)
    table.replace([trunk("b", "192.0.2.1/32")])
    assert table.at("192.0.2.1", 5060) == ("b",)
    assert table.get("a") is None
    assert [one.name for one in table] == ["b"]
    table.went_out("a", answered=False)
    counts = table.counts["a"]
    assert (counts.inbound, counts.outbound, counts.failed) == (1, 2, 1)
