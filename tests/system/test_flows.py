"""Ways to phones that end: connections whose peer vanishes or that a router forgets, and a server that is killed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.support.waiting import until
from tests.system.support.namespaces import Lab, Machine
from tests.system.support.nat import Mapping, Router
from tests.system.support.placed import RECORDED, OwnPhone, PlacedPhone, PlacedServer, PlacedSite, serving_at
from tests.system.support.talk import assert_only_tone, call, talking

pytestmark = pytest.mark.peers

SERVER, HOME, PLAIN = "203.0.113.10", "203.0.113.20", "203.0.113.40"
PRIVATE, GATEWAY = "192.168.1.2", "192.168.1.1"
KEEP_ALIVE, FORGETS = 2, 8
NOTICED = KEEP_ALIVE + 10 + 5
"""Seconds until a phone that answers keep-alives is missed."""
GIVES_UP = 64 * 0.1
AT_ONCE = 1.0
TONES = {"101": 440, "102": 1000}


@dataclass
class Place:
    """A phone at home behind a router, one on the Internet, and the server."""

    lab: Lab
    router: Router
    home: Machine
    plain: Machine
    server: PlacedServer
    folder: Path

    def phones(self) -> tuple[PlacedPhone, PlacedPhone]:
        """Make a phone at home and one on the Internet, which speak UDP."""
        made = [
            PlacedPhone(
                self.folder / number,
                machine,
                number,
                hertz=TONES[number],
                host=host,
                server=SERVER,
            )
            for number, machine, host in (("101", self.home, PRIVATE), ("102", self.plain, PLAIN))
        ]
        return made[0], made[1]

    def talk(self, one: PlacedPhone, other: PlacedPhone) -> None:
        """Have each call the other, at once, and hear it."""
        for caller, callee in ((one, other), (other, one)):
            start = time.monotonic()
            with call(self.server, caller, callee):
                assert time.monotonic() - start < AT_ONCE
                caller.hear_more(0.5)
                callee.hear_more(0.5)
                callee.hang_up()
                caller.wait_ended()
            assert_only_tone(caller, TONES[callee.number])
            assert_only_tone(callee, TONES[caller.number])


@pytest.fixture
def place(lab: Lab, tmp_path: Path) -> Iterator[Place]:
    server, home, plain = (lab.machine(name) for name in ("server", "home", "plain"))
    lab.connect(server, "internet", f"{SERVER}/24")
    lab.connect(plain, "internet", f"{PLAIN}/24")
    router = Router.between(
        lab, "router", ("lan", f"{GATEWAY}/24"), ("internet", f"{HOME}/24"), Mapping.CONE, udp_timeout=FORGETS
    )
    lab.connect(home, "lan", f"{PRIVATE}/24", gateway=GATEWAY)
    site = PlacedSite(tmp_path / "server")
    settings = site.office(
        [f"{kind}://{SERVER}:5060" for kind in ("udp", "tcp")],
        *("101", "102"),
        sip={"keep_alive": f"{KEEP_ALIVE}s", "t1": "100ms"},
    )
    with serving_at(server, site, settings, RECORDED) as running:
        yield Place(lab, router, home, plain, running, tmp_path)


@pytest.fixture
def own(place: Place) -> Iterator[OwnPhone]:
    """A phone at home with a connection: it answers keep-alives, and comes back as soon as it can."""
    phone = OwnPhone(place.folder / "101", place.home, "101", hertz=TONES["101"], server=SERVER, transport="tcp")
    try:
        place.server.registered("101")
        yield phone
    finally:
        phone.quit()


@pytest.fixture
def caller(place: Place) -> Iterator[PlacedPhone]:
    phone = place.phones()[1]
    try:
        yield phone.start()
    finally:
        phone.quit()


def refused(place: Place, caller: PlacedPhone, number: str) -> float:
    """Call a phone that cannot be reached; return how many seconds it takes to learn that."""
    caller.fresh()
    start = time.monotonic()
    caller.dial(number)
    assert re.match("408|480", caller.wait_ended()["param"])
    return time.monotonic() - start


def test_vanished_phone(place: Place, own: OwnPhone, caller: PlacedPhone) -> None:
    """Its connection stays half open, until a call or keep-alive that nobody answers tells; it comes back by itself."""
    server = place.server
    before = server.source("101")
    time.sleep(KEEP_ALIVE + 1)  # it has answered a keep-alive
    place.lab.cut(place.home)
    assert refused(place, caller, "101") < GIVES_UP + AT_ONCE
    until(lambda: not server.source("101"), "end of its registration", NOTICED)
    assert refused(place, caller, "101") < AT_ONCE
    place.lab.mend(place.home)
    server.moved("101", before)
    with call(server, caller, own):
        caller.hear_more(0.5)
        caller.hang_up()
        own.wait_ended()
    assert_only_tone(caller, TONES["101"])


def test_connection_is_lost_in_a_call(place: Place, own: OwnPhone, caller: PlacedPhone) -> None:
    """The phone connects anew; what the other one does then reaches it by the new connection."""
    server = place.server
    before = server.source("101")
    with call(server, caller, own):
        talking(caller)
        place.router.translate(Mapping.SYMMETRIC)
        place.router.forget()
        server.moved("101", before)
        caller.hold()
        caller.resume()
        time.sleep(4)  # the rates are those of now
        talking(caller)
        caller.hang_up()
        own.wait_ended()


def test_killed_server(place: Place) -> None:
    """Over UDP phones need not notice, even behind a NAT: who calls them reaches them."""
    server = place.server
    one, other = place.phones()
    try:
        one.start()
        other.start()
        server.registered("101", "102")
        sources = [server.source(number) for number in TONES]
        time.sleep(1)  # what was promised: no more than the last second is lost
        server.kill()
        server.start()
        place.talk(other, one)
        assert [server.source(number) for number in TONES] == sources
    finally:
        one.quit()
        other.quit()


def test_killed_server_had_connections(place: Place, own: OwnPhone, caller: PlacedPhone) -> None:
    """The phone finds out and comes back by itself; nobody else is registered in its place meanwhile."""
    server = place.server
    before = server.source("101")
    time.sleep(1)
    server.kill()
    server.start()
    assert refused(place, caller, "101") < AT_ONCE
    server.moved("101", before)
    with call(server, caller, own):
        caller.hear_more(0.5)
        caller.hang_up()
        own.wait_ended()
    assert_only_tone(caller, TONES["101"])
