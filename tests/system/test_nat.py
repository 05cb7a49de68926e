"""Two phones with the same private address, each behind a router of its own, and the server on the Internet."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.support.waiting import until
from tests.system.support.namespaces import Lab, Machine
from tests.system.support.nat import Mapping, Router
from tests.system.support.placed import RECORDED, PlacedPhone, PlacedServer, PlacedSite, serving_at
from tests.system.support.rtp import Stranger
from tests.system.support.talk import assert_only_tone, call, media_ports, recorded, talking

pytestmark = pytest.mark.peers

SERVER, CONE, SYMMETRIC, ELSEWHERE = "203.0.113.10", "203.0.113.20", "203.0.113.30", "203.0.113.66"
PRIVATE, GATEWAY = "192.168.1.2", "192.168.1.1"
KEEP_ALIVE, FORGETS, EAGER = 3, 8, 5
LOW, HIGH, FOREIGN = 440, 1000, 1700
IDLE = 4999


@dataclass
class Homes:
    """The server, two homes, and a machine elsewhere on the Internet."""

    lab: Lab
    server: PlacedServer
    routers: tuple[Router, Router]
    machines: tuple[Machine, Machine]
    elsewhere: Machine
    folder: Path

    def phone(self, home: int, number: str, transport: str, interval: int) -> PlacedPhone:
        """Make a phone in a home: 0 is behind the cone, 1 behind the symmetric router."""
        return PlacedPhone(
            self.folder / f"{number}-{time.monotonic_ns()}",
            self.machines[home],
            number,
            hertz=(LOW, HIGH)[home],
            transport=transport,
            host=PRIVATE,
            server=SERVER,
            interval=interval,
        )


@pytest.fixture(scope="module")
def homes(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homes]:
    folder = tmp_path_factory.mktemp("homes")
    with Lab() as lab:
        server, elsewhere = lab.machine("server"), lab.machine("elsewhere")
        lab.connect(server, "internet", f"{SERVER}/24")
        lab.connect(elsewhere, "internet", f"{ELSEWHERE}/24")
        routers, machines = [], []
        for name, outside, mapping in (("cone", CONE, Mapping.CONE), ("symmetric", SYMMETRIC, Mapping.SYMMETRIC)):
            inside = f"home-{name}"
            routers.append(
                Router.between(lab, name, (inside, f"{GATEWAY}/24"), ("internet", f"{outside}/24"), mapping, FORGETS)
            )
            machines.append(lab.machine(f"{name}-phone"))
            lab.connect(machines[-1], inside, f"{PRIVATE}/24", gateway=GATEWAY)
        site = PlacedSite(folder / "server")
        listen = [f"{kind}://{SERVER}:5060" for kind in ("udp", "tcp")]
        settings = site.office(
            listen,
            "101",
            "102",
            "103",
            "104",
            sip={"keep_alive": f"{KEEP_ALIVE}s"},
            registrar={"min_expires": f"{EAGER}s"},
        )
        with serving_at(server, site, settings, RECORDED) as running:
            yield Homes(lab, running, (routers[0], routers[1]), (machines[0], machines[1]), elsewhere, folder)


def tone_of(phone: PlacedPhone) -> int:
    return {"101": LOW, "102": HIGH}[phone.number]


def outside_of(phone: PlacedPhone) -> str:
    return {"101": CONE, "102": SYMMETRIC}[phone.number]


@pytest.fixture(params=["udp", "tcp"])
def phones(homes: Homes, request: pytest.FixtureRequest) -> Iterator[tuple[PlacedPhone, PlacedPhone]]:
    yield from pair(homes, request.param)


@pytest.fixture
def udp_phones(homes: Homes) -> Iterator[tuple[PlacedPhone, PlacedPhone]]:
    yield from pair(homes, "udp")


@pytest.fixture
def eager_phones(homes: Homes) -> Iterator[tuple[PlacedPhone, PlacedPhone]]:
    """They register anew every few seconds."""
    yield from pair(homes, "udp", EAGER)


def pair(homes: Homes, transport: str, interval: int = 60) -> Iterator[tuple[PlacedPhone, PlacedPhone]]:
    """Give a registered phone in each home."""
    for router, mapping in zip(homes.routers, (Mapping.CONE, Mapping.SYMMETRIC), strict=True):
        router.translate(mapping)
    made = [homes.phone(home, number, transport, interval) for home, number in enumerate(("101", "102"))]
    try:
        for one in made:
            one.start()
        homes.server.registered("101", "102")
        yield made[0], made[1]
    finally:
        for one in made:
            one.quit()


@pytest.mark.parametrize("caller_is_behind", ["cone", "symmetric"])
def test_call(homes: Homes, phones: tuple[PlacedPhone, PlacedPhone], caller_is_behind: str) -> None:
    """Each hears the other though neither says an address that leads to it."""
    caller, callee = phones if caller_is_behind == "cone" else phones[::-1]
    server = homes.server
    before = len(server.records())
    with call(server, caller, callee):
        caller.hear_more(1.5)
        callee.hear_more(1.5)
        caller.hang_up()
        callee.wait_ended()
    assert_only_tone(caller, tone_of(callee))
    assert_only_tone(callee, tone_of(caller))
    record = server.record(before + 1)
    for leg, phone in zip(record["legs"], (caller, callee), strict=True):
        assert leg["remote"].startswith(f"{phone.transport}:{outside_of(phone)}:")
    assert recorded(server, record) == ([tone_of(caller)], [tone_of(callee)])


def test_hold_and_resume(homes: Homes, phones: tuple[PlacedPhone, PlacedPhone]) -> None:
    caller, callee = phones
    server = homes.server
    before = len(server.records())
    with call(server, caller, callee):
        talking(caller, callee)
        callee.hold()
        until(lambda: callee.rates() == (0, 0), lambda: f"silence on hold: {callee.rates()}")
        callee.resume()
        talking(caller, callee)
        callee.hang_up()
        caller.wait_ended()
    left, right = recorded(server, server.record(before + 1))
    assert set(left) == {tone_of(caller)}
    assert right == [tone_of(callee)] * 2, "silence while the callee held"


def test_pinhole_stays_open(homes: Homes, udp_phones: tuple[PlacedPhone, PlacedPhone]) -> None:
    """The server's keep-alives are all that goes over it; a mapping that has none is forgotten."""
    one, other = udp_phones
    sources = [homes.server.source(phone.number) for phone in udp_phones]
    with homes.machines[0].inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as idle:
        idle.sendto(b"", (ELSEWHERE, IDLE))
    router = homes.routers[0]
    assert f"dport={IDLE} " in router.mappings()
    until(lambda: f"dport={IDLE} " not in router.mappings(), lambda: f"end of one: {router.mappings()}", FORGETS + 4)
    time.sleep(1)
    start = time.monotonic()
    for caller, callee in ((one, other), (other, one)):
        with call(homes.server, caller, callee):
            caller.hear_more(0.5)
            callee.hear_more(0.5)
            callee.hang_up()
            caller.wait_ended()
    assert time.monotonic() - start < FORGETS, "they came at once"
    assert [homes.server.source(phone.number) for phone in udp_phones] == sources


def rebind(homes: Homes, home: int) -> None:
    """Have a router forget its mappings and choose others from now on."""
    homes.routers[home].translate(Mapping.SYMMETRIC)
    homes.routers[home].forget()


@pytest.mark.parametrize("home", [0, 1], ids=["cone", "symmetric"])
def test_registration_follows_the_port(homes: Homes, eager_phones: tuple[PlacedPhone, PlacedPhone], home: int) -> None:
    phone, other = eager_phones[home], eager_phones[1 - home]
    before = homes.server.source(phone.number)
    rebind(homes, home)
    assert homes.server.moved(phone.number, before).startswith(f"udp:{outside_of(phone)}:")
    with call(homes.server, other, phone):
        phone.hear_more(0.5)
        other.hear_more(0.5)
        other.hang_up()
        phone.wait_ended()


@pytest.mark.parametrize("home", [0, 1], ids=["cone", "symmetric"])
def test_port_changes_in_a_call(homes: Homes, eager_phones: tuple[PlacedPhone, PlacedPhone], home: int) -> None:
    """Audio goes on by itself; once the phone has registered from its new port, requests of the server go there."""
    phone, other = eager_phones[home], eager_phones[1 - home]
    server = homes.server
    before = len(server.records())
    source = server.source(phone.number)
    with call(server, phone, other):
        talking(phone, other)
        rebind(homes, home)
        server.moved(phone.number, source)
        time.sleep(4)  # a lull in the rates is seen
        talking(phone, other)
        other.hold()
        until(lambda: phone.rates()[1] == 0, lambda: f"silence on hold: {phone.rates()}")
        other.resume()
        talking(phone, other)
        other.hang_up()
        phone.wait_ended()
    record = server.record(before + 1)
    assert record["cause"]["slug"] == "answered-callee-hung-up"


@pytest.mark.parametrize("home", [0, 1], ids=["cone", "symmetric"])
def test_reinvite_from_a_new_port(homes: Homes, udp_phones: tuple[PlacedPhone, PlacedPhone], home: int) -> None:
    """The phone's own request shows where it is now, and opens the latch for its audio."""
    phone, other = udp_phones[home], udp_phones[1 - home]
    with call(homes.server, other, phone):
        talking(phone, other)
        rebind(homes, home)
        phone.hold()
        phone.resume()
        time.sleep(4)
        talking(phone, other)
        other.hang_up()
        phone.wait_ended()


def test_stranger_is_not_heard(homes: Homes, udp_phones: tuple[PlacedPhone, PlacedPhone]) -> None:
    """Neither one on the Internet nor one in the same home, who has the same address outside, is heard or sent to."""
    one, other = udp_phones
    server = homes.server
    before = len(server.records())
    strangers = [Stranger(homes.elsewhere, ELSEWHERE), Stranger(homes.machines[0], PRIVATE)]
    try:
        with call(server, one, other) as number:
            one.hear_more(1)
            other.hear_more(1)
            ports = media_ports(server, number)
            assert len(ports) == 2
            for stranger in strangers:
                stranger.speak(SERVER, ports, 1.5, FOREIGN)
            one.hear_more(1)
            other.hear_more(1)
            one.hang_up()
            other.wait_ended()
        assert [stranger.heard for stranger in strangers] == [0, 0]
    finally:
        for stranger in strangers:
            stranger.close()
    assert_only_tone(one, HIGH)
    assert_only_tone(other, LOW)
    assert recorded(server, server.record(before + 1)) == ([LOW], [HIGH])
