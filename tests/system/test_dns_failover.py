"""A trunk that is a name: its calls go where a DNS server says, and on from there if they are not taken (RFC 3263)."""

from __future__ import annotations

import datetime
import json
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pbx.net.certificates import ensure_certificate
from tests.peers.support.child import Child
from tests.peers.support.server import ROOT
from tests.system.support.carrier import Carrier, Customer
from tests.system.support.namespaces import Lab, Machine
from tests.system.support.placed import PlacedServer, PlacedSite, serving_at

pytestmark = pytest.mark.peers

SERVER, CUSTOMER, NAMES = "203.0.113.10", "203.0.113.40", "203.0.113.53"
SERVER6, NETWORK6 = "2001:db8:1::10", "2001:db8:1::"
BUSY, OVERLOADED = 486, 503
DEAD_FOR, T1 = 3.0, 0.05
GIVES_UP = 64 * T1
AT_ONCE = 0.8

SECURE = ("secured", "safe", "impostor")
TRUNKS = ("priority", "weight", "refused", "overloaded", "retry", "silent", "hopeless", "addresses", "stream")
TRUNKS += ("six", "fleeting", *SECURE)
"""Each is a trunk, ``sip:NAME.example.com``, but for `safe`, which is a ``sips:`` one. Each has hosts of its own, as
what is dead is remembered by address."""


def host(trunk: str, letter: str) -> str:
    """Return the address of a trunk's host `a`, `b` or `c`."""
    number = 100 + 3 * TRUNKS.index(trunk) + "abc".index(letter)
    return f"{NETWORK6}{number:x}" if trunk == "six" else f"203.0.113.{number}"


def domain(trunk: str) -> str:
    return f"{trunk}.example.com"


def services(trunk: str, *entries: tuple[int, int, str], prefix: str = "_sip._udp", port: int = 5060) -> dict[str, Any]:
    """Return SRV records (priority, weight, host)."""
    records = [["SRV", first, weight, port, f"{letter}.{domain(trunk)}"] for first, weight, letter in entries]
    return {f"{prefix}.{domain(trunk)}": records}


def zone() -> dict[str, Any]:
    """Return all that the DNS server knows."""
    known: dict[str, Any] = {
        f"{letter}.{domain(trunk)}": [["AAAA" if trunk == "six" else "A", host(trunk, letter)]]
        for trunk in TRUNKS
        for letter in "abc"
    }
    known |= services("priority", (20, 0, "b"), (10, 0, "a"), (30, 0, "c"))
    known |= services("weight", (10, 30, "a"), (10, 10, "b"), (20, 0, "c"))
    for trunk in ("refused", "overloaded", "retry", "silent", "hopeless"):
        known |= services(trunk, (10, 0, "a"), (20, 0, "b"))
    known[domain("addresses")] = [["A", host("addresses", "a")], ["A", host("addresses", "b")]]
    known[domain("stream")] = [["NAPTR", 10, 0, "SIP+D2T", f"_sip._tcp.{domain('stream')}"]]
    known |= services("stream", (10, 0, "a"), prefix="_sip._tcp")
    known |= services("six", (10, 0, "a"))
    known |= services("fleeting", (10, 0, "a"))
    known[domain("secured")] = [
        ["NAPTR", 20, 0, "SIP+D2U", f"_sip._udp.{domain('secured')}"],
        ["NAPTR", 10, 0, "SIPS+D2T", f"_sips._tcp.{domain('secured')}"],
        ["NAPTR", 15, 0, "SIP+D2T", f"_sip._tcp.{domain('secured')}"],
    ]
    known |= services("secured", (10, 0, "a"), prefix="_sips._tcp", port=5061)
    known |= services("secured", (10, 0, "b"), prefix="_sip._tcp")
    known |= services("secured", (10, 0, "c"))
    known |= services("safe", (10, 0, "a"), prefix="_sips._tcp", port=5061)
    known |= services("safe", (10, 0, "b"))
    known |= services("impostor", (10, 0, "a"), (20, 0, "b"), prefix="_sips._tcp", port=5061)
    return {"ttl": 60, "brief": [name for name in known if "fleeting" in name], "records": known}


class NameServer:
    """The DNS server, in a machine of its own."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._machine, self._folder = machine, folder
        folder.mkdir()
        (folder / "zone.json").write_text(json.dumps(zone()))
        self._child: Child | None = None
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.system.support.name_server", NAMES, "53", "zone.json"]
        with self._machine.inside():
            self._child = Child(command, self._folder, {"PYTHONPATH": str(ROOT)})
        self._child.expect("ready", 20)

    def stop(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    @property
    def asked(self) -> list[str]:
        """What it was asked since it was started: ``SRV _sip._udp.example.com``."""
        return self._child.output.splitlines()[1:] if self._child is not None else []


class Place:
    """The server, its customer and its carriers."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.server, customer, self.carriers = (lab.machine(name) for name in ("server", "customer", "carriers"))
        names = lab.machine("names")
        lab.connect(self.server, "internet", f"{SERVER}/24", f"{SERVER6}/64")
        lab.connect(customer, "internet", f"{CUSTOMER}/24")
        lab.connect(names, "internet", f"{NAMES}/24")
        hosts = [host(trunk, letter) for trunk in TRUNKS for letter in "abc"]
        lab.connect(self.carriers, "internet", *[f"{one}/{64 if ':' in one else 24}" for one in hosts])
        self.names = NameServer(names, folder / "names")
        self.customer = Customer(customer, CUSTOMER, SERVER)
        moment = datetime.datetime.now(datetime.UTC)
        self.certificates = {
            name: ensure_certificate(folder / name, domain(name), [], moment)
            for name in ("secured", "safe", "impostor")
        }
        self.folder = folder

    def close(self) -> None:
        self.customer.close()
        self.names.stop()

    def settings(self, site: PlacedSite) -> dict[str, Any]:
        """Return a server's configuration."""
        authorities = self.folder / "authorities.pem"
        authorities.write_text("".join(certificate.read_text() for certificate, _ in self.certificates.values()))
        trunks: dict[str, Any] = {"customer": {"address": f"sip:{CUSTOMER}"}}
        for name in TRUNKS:
            trunks[name] = {"address": f"{'sips' if name in ('safe', 'impostor') else 'sip'}:{domain(name)}"}
        sip = {
            "t1": f"{T1 * 1000:.0f}ms",
            "authorities": str(authorities),
            "resolver": {"servers": [NAMES], "timeout": "3s", "dead_for": f"{DEAD_FOR:.0f}s"},
        }
        listen = [f"{kind}://{one}:5060" for kind in ("udp", "tcp") for one in (SERVER, f"[{SERVER6}]")]
        return site.office(listen, sip=sip, trunks=trunks)

    def context(self, name: str) -> ssl.SSLContext:
        """Return the TLS side of who says that it is a trunk."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificates[name])
        return context


@pytest.fixture(scope="module")
def place(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Lab() as lab:
        found = Place(lab, tmp_path_factory.mktemp("place"))
        try:
            yield found
        finally:
            found.close()


@pytest.fixture(scope="module")
def server(place: Place) -> Iterator[PlacedServer]:
    site = PlacedSite(place.folder / "server")
    routes = [
        {"name": name, "when": {"from": "trunk/customer", "number": f"{name}"}, "do": [{"dial": f"trunk/{name}"}]}
        for name in TRUNKS
    ]
    for number, route in enumerate(routes, 10):
        route["when"] = {"from": "trunk/customer", "number": f"{number}X"}
    with serving_at(place.server, site, place.settings(site), {"routes": routes}) as running:
        yield running


Open = Callable[..., Carrier]
Dial = Callable[[str], tuple[int, float]]


@pytest.fixture
def carrier(place: Place, server: PlacedServer) -> Iterator[Open]:
    """Open a trunk's host; they are closed in the end."""
    made: list[Carrier] = []

    def make(trunk: str, letter: str, port: int = 5060, **options: Any) -> Carrier:
        made.append(Carrier(place.carriers, host(trunk, letter), port, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def dial(place: Place) -> Dial:
    """Call over a trunk; the final status, and the seconds that it took."""
    return lambda trunk: place.customer.call(f"{10 + TRUNKS.index(trunk)}1")


def came(*carriers: Carrier) -> list[int]:
    """Return how many calls came to each."""
    return [len(one.invites) for one in carriers]


def test_priority(place: Place, carrier: Open, dial: Dial) -> None:
    """RFC 2782: a client MUST attempt to contact the target host with the lowest-numbered priority it can reach."""
    a, b, c = (carrier("priority", letter) for letter in "abc")
    assert [dial("priority")[0] for _ in range(3)] == [BUSY] * 3
    assert came(a, b, c) == [3, 0, 0]
    # What it knows it does not ask again.
    asked = [line for line in place.names.asked if "priority" in line]
    assert sorted(asked) == sorted(set(asked))
    assert {"NAPTR priority.example.com", "SRV _sip._udp.priority.example.com"} <= set(asked)


def test_weight(carrier: Open, dial: Dial) -> None:
    """RFC 2782: of one priority, in proportion to the weights; five standard deviations are allowed for."""
    a, b, c = (carrier("weight", letter) for letter in "abc")
    for _ in range(120):
        assert dial("weight")[0] == BUSY
    assert sum(came(a, b)) == 120
    assert came(c) == [0]
    assert 66 <= came(a)[0] <= 113


def test_refused(carrier: Open, dial: Dial) -> None:
    """An ICMP error moves the call on at once; who refused is passed over for a while, then asked again."""
    b = carrier("refused", "b")
    status, took = dial("refused")
    assert (status, came(b)) == (BUSY, [1])
    assert took < AT_ONCE
    dead = time.monotonic()
    a = carrier("refused", "a")
    dial("refused")
    assert came(a, b) == [0, 2]
    time.sleep(max(0.0, dead + DEAD_FOR - time.monotonic()))
    dial("refused")
    assert came(a, b) == [1, 2]


def test_overloaded(carrier: Open, dial: Dial) -> None:
    """RFC 3263 §4.3: a 503 moves the call on, and the host is passed over."""
    a, b = carrier("overloaded", "a", status=OVERLOADED), carrier("overloaded", "b")
    assert dial("overloaded")[0] == BUSY
    assert dial("overloaded")[0] == BUSY
    assert came(a, b) == [1, 2]


def test_overloaded_says_when(carrier: Open, dial: Dial) -> None:
    """RFC 3261 §21.5.4: a client SHOULD honor the Retry-After header field of a 503."""
    a = carrier("retry", "a", status=OVERLOADED, headers=[("Retry-After", "1")])
    b = carrier("retry", "b")
    assert dial("retry")[0] == BUSY
    assert dial("retry")[0] == BUSY
    assert came(a, b) == [1, 2]
    time.sleep(1.0)
    dial("retry")
    assert came(a, b) == [2, 3]


def test_silent(carrier: Open, dial: Dial) -> None:
    """Who says nothing costs the first call 64*T1, and those after it nothing."""
    a, b = carrier("silent", "a", status=0), carrier("silent", "b")
    status, took = dial("silent")
    assert status == BUSY
    assert took > GIVES_UP - 0.1
    status, took = dial("silent")
    assert status == BUSY
    assert took < AT_ONCE
    assert came(a, b) == [1, 2]


def test_nobody_there(carrier: Open, dial: Dial) -> None:
    """If all are dead they are tried all the same."""
    status, took = dial("hopeless")
    assert status == OVERLOADED
    assert took < AT_ONCE
    b = carrier("hopeless", "b")
    assert dial("hopeless")[0] == BUSY
    assert came(b) == [1]


def test_addresses_alone(carrier: Open, dial: Dial) -> None:
    """Without NAPTR and SRV the addresses of the name, one after the other."""
    b = carrier("addresses", "b")
    assert dial("addresses")[0] == BUSY
    assert came(b) == [1]


def test_stream_by_naptr(carrier: Open, dial: Dial) -> None:
    datagrams, connections = carrier("stream", "a"), carrier("stream", "a", stream=True)
    assert dial("stream")[0] == BUSY
    assert came(datagrams, connections) == [0, 1]
    assert connections.invites[0].top_via.transport.lower() == "tcp"


def test_tls_by_naptr(place: Place, carrier: Open, dial: Dial) -> None:
    """The server's order counts, and of its transports TLS comes first here."""
    a = carrier("secured", "a", 5061, tls=place.context("secured"))
    b, c = carrier("secured", "b", stream=True), carrier("secured", "c")
    assert dial("secured")[0] == BUSY
    assert came(a, b, c) == [1, 0, 0]
    a.close()
    assert dial("secured")[0] == BUSY
    assert came(a, b, c) == [1, 1, 0]


def test_sips_goes_by_tls_alone(place: Place, carrier: Open, dial: Dial) -> None:
    a = carrier("safe", "a", 5061, tls=place.context("safe"))
    b = carrier("safe", "b")
    assert dial("safe")[0] == BUSY
    a.close()
    assert dial("safe")[0] == OVERLOADED
    assert came(a, b) == [1, 0]


def test_impostor(place: Place, carrier: Open, dial: Dial) -> None:
    """A host whose certificate is for somebody else gets no call; the next one does (RFC 5922 §4)."""
    a = carrier("impostor", "a", 5061, tls=place.context("safe"))
    b = carrier("impostor", "b", 5061, tls=place.context("impostor"))
    assert dial("impostor")[0] == BUSY
    assert came(a, b) == [0, 1]


def test_ipv6_alone(carrier: Open, dial: Dial) -> None:
    a = carrier("six", "a")
    assert dial("six")[0] == BUSY
    assert came(a) == [1]
    assert f"c=IN IP6 {SERVER6}" in a.invites[0].body.decode()


def test_dns_is_gone(place: Place, carrier: Open, dial: Dial) -> None:
    """RFC 8767: what was true a moment ago serves, if nobody says what is true now."""
    a = carrier("fleeting", "a")
    assert dial("fleeting")[0] == BUSY
    place.names.stop()
    try:
        time.sleep(1.1)
        assert dial("fleeting")[0] == BUSY
    finally:
        place.names.start()
    assert came(a) == [2]
