"""Two phones with the same private address, each behind a router of its own, and the server on the Internet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.support.waiting import until
from tests.system.support.namespaces import Lab, Machine
from tests.system.support.nat import Mapping, Router
from tests.system.support.placed import PlacedPhone, PlacedServer, PlacedSite, serving_at
from tests.system.support.rtp import Stranger
from tests.system.support.talk import assert_only_tone, call, media_ports, recorded, talking

pytestmark = pytest.mark.peers

SERVER, CONE, SYMMETRIC, ELSEWHERE = "203.0.113.10", "203.0.113.20", "203.0.113.30", "203.0.113.66"
PRIVATE, GATEWAY = "192.168.1.2", "192.168.1.1"
KEEP_ALIVE, FORGETS = 3, 8
LOW, HIGH = 440, 1000

PLAN = {
    "routes": [
        {
            "name": "extensions",
            "when": {"from": "extension", "number": "1XX"},
            "do": [{"dial": "extension/{number}", "record": True}],
        }
    ]
}


@dataclass
class Homes:
    """The server, two homes, and a machine elsewhere on the Internet."""

    lab: Lab
    server: PlacedServer
    routers: tuple[Router, Router]
    machines: tuple[Machine, Machine]
    elsewhere: Machine
    folder: Path

    def phone(self, home: int, number: str, transport: str) -> PlacedPhone:
        """Make a phone in a home: 0 is behind the cone, 1 behind the symmetric router."""
        return PlacedPhone(
            self.folder / f"{number}-{time.monotonic_ns()}",
            self.machines[home],
            number,
            hertz=(LOW, HIGH)[home],
            transport=transport,
            host=PRIVATE,
            server=SERVER,
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
        settings = site.office(listen, "101", "102", "103", "104", sip={"keep_alive": f"{KEEP_ALIVE}s"})
        with serving_at(server, site, settings, PLAN) as running:
            yield Homes(lab, running, (routers[0], routers[1]), (machines[0], machines[1]), elsewhere, folder)


@pytest.fixture(params=["udp", "tcp"])
def phones(homes: Homes, request: pytest.FixtureRequest) -> Iterator[tuple[PlacedPhone, PlacedPhone]]:
    yield from pair(homes, request.param)


@pytest.fixture
def udp_phones(homes: Homes) -> Iterator[tuple[PlacedPhone, PlacedPhone]]:
    yield from pair(homes, "udp")


def pair(homes: Homes, transport: str) -> Iterator[tuple[PlacedPhone, PlacedPhone]]:
    """Give a registered phone in each home."""
    for router, mapping in zip(homes.routers, (Mapping.CONE, Mapping.SYMMETRIC), strict=True):
        router.translate(mapping.value)
    made = [homes.phone(home, number, transport) for home, number in enumerate(("101", "102"))]
    try:
        for one in made:
            one.start()
        homes.server.registered("101", "102")
        yield made[0], made[1]
    finally:
        for one in made:
            one.quit()


@pytest.mark.parametrize("caller_is_behind", ["cone", "symmetric"])
def test_call_with_hold_and_resume(
    homes: Homes, phones: tuple[PlacedPhone, PlacedPhone], caller_is_behind: str
) -> None:
    """Each hears the other though neither says an address that leads to it; so do both after a hold."""
    caller, callee = phones if caller_is_behind == "cone" else phones[::-1]
    tones = {phones[0]: LOW, phones[1]: HIGH}
    server = homes.server
    before = len(server.records())
    with call(server, caller, callee):
        caller.hear_more(1.5)
        callee.hear_more(1.5)
        assert_only_tone(caller, tones[callee])
        assert_only_tone(callee, tones[caller])
        talking(caller, callee)
        callee.hold()
        until(lambda: callee.rates() == (0, 0), lambda: f"silence on hold: {callee.rates()}")
        callee.resume()
        talking(caller, callee)
        caller.hang_up()
        callee.wait_ended()
    record = server.record(before + 1)
    outsides = {phones[0]: CONE, phones[1]: SYMMETRIC}
    for leg, phone in zip(record["legs"], (caller, callee), strict=True):
        assert leg["remote"].startswith(f"{phone.transport}:{outsides[phone]}:")
    left, right = recorded(server, record)
    assert left == [tones[caller]] * len(left)
    assert right == [tones[callee]] * len(right)
    assert left
    assert len(right) == 2, "silence while the callee held"
