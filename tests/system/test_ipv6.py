"""Phones over IPv6, and calls between the two Internets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.system.support.namespaces import Lab, Machine
from tests.system.support.placed import RECORDED, OwnPhone, PlacedPhone, PlacedServer, PlacedSite, serving_at
from tests.system.support.talk import assert_only_tone, call, recorded, talking

pytestmark = pytest.mark.peers

SERVER4, SERVER6 = "203.0.113.10", "2001:db8:1::10"
OLD, NEW, NEWER = "203.0.113.40", "2001:db8:1::40", "2001:db8:1::41"
TONES = {"101": 440, "102": 1000, "103": 1000}


class Place(NamedTuple):
    server: Machine
    phones: dict[str, Machine]


@pytest.fixture(scope="module")
def place(namespaces: None) -> Iterator[Place]:
    with Lab() as lab:
        server = lab.machine("server")
        lab.connect(server, "internet", f"{SERVER4}/24", f"{SERVER6}/64")
        phones = {}
        for host, prefix in ((OLD, 24), (NEW, 64), (NEWER, 64)):
            phones[host] = lab.machine("phone")
            lab.connect(phones[host], "internet", f"{host}/{prefix}")
        yield Place(server, phones)


@pytest.fixture(scope="module", params=["each address", "all addresses"])
def server(
    place: Place, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlacedServer]:
    site = PlacedSite(tmp_path_factory.mktemp("server"))
    hosts = ("0.0.0.0", "[::]") if request.param == "all addresses" else (SERVER4, f"[{SERVER6}]")
    listen = [f"{kind}://{host}:{5061 if kind == 'tls' else 5060}" for kind in ("udp", "tcp", "tls") for host in hosts]
    with serving_at(place.server, site, site.office(listen, *TONES), RECORDED) as running:
        yield running


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(("caller", "callee"), [(NEW, OLD), (OLD, NEW), (NEW, NEWER)])
def test_call(place: Place, server: PlacedServer, tmp_path: Path, transport: str, caller: str, callee: str) -> None:
    phones = [
        PlacedPhone(
            tmp_path / number,
            place.phones[host],
            number,
            hertz=TONES[number],
            host=host,
            server=SERVER6 if ":" in host else SERVER4,
            transport=transport,
        )
        for number, host in (("101", caller), ("102", callee))
    ]
    one, other = phones
    before = len(server.records())
    try:
        for phone in phones:
            phone.start()
        server.registered("101", "102")
        with call(server, one, other):
            one.hear_more(1)
            other.hear_more(1)
            assert_only_tone(one, 1000)
            assert_only_tone(other, 440)
            one.hold()
            one.resume()
            talking(one, other)
            one.hang_up()
            other.wait_ended()
    finally:
        for phone in phones:
            phone.quit()
    record = server.record(before + 1)
    for leg, host in zip(record["legs"], (caller, callee), strict=True):
        assert host in leg["remote"]
    left, right = recorded(server, record)
    assert set(left) == {440}
    assert set(right) == {1000}


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("host", [SERVER6, "::1"])
def test_our_own_phone(place: Place, server: PlacedServer, tmp_path: Path, transport: str, host: str) -> None:
    """It registers by IPv6, perhaps from the same machine; a phone that has IPv4 alone calls it."""
    if host == "::1" and not server.listens_everywhere:
        pytest.skip("the server does not listen there")
    own = OwnPhone(
        tmp_path / "103",
        place.server if host == "::1" else place.phones[NEW],
        "103",
        hertz=TONES["103"],
        server=host,
        transport=transport,
    )
    other = PlacedPhone(tmp_path / "101", place.phones[OLD], "101", hertz=TONES["101"], host=OLD, server=SERVER4)
    before = len(server.records())
    try:
        other.start()
        server.registered("101", "103")
        with call(server, other, own):
            other.hear_more(1)
            other.hang_up()
            own.wait_ended()
    finally:
        other.quit()
        own.quit()
    assert_only_tone(other, TONES["103"])
    assert_only_tone(own, TONES["101"])
    assert recorded(server, server.record(before + 1)) == ([TONES["101"]], [TONES["103"]])
