"""Two Tandems, each behind a router of its own, that register with each other. The router of headquarters maps an
address on the Internet to it, which it learns by STUN; that of the office leads one TCP port to it. Their phones talk,
and hear each other."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.peers.support.waiting import until
from tests.support.stun import StunHost
from tests.system.support.namespaces import Lab, Machine
from tests.system.support.nat import Mapping, Router
from tests.system.support.placed import PlacedPhone, PlacedServer, PlacedSite, secret_of, serving_at
from tests.system.support.talk import assert_only_tone, recorded

pytestmark = pytest.mark.peers

OFFICE, OFFICE_ROUTER, OFFICE_PHONE = "192.168.1.10", "192.168.1.1", "192.168.1.50"
OFFICE_OUTSIDE = "203.0.113.20"
HEADQUARTERS, GATEWAY, DESK = "10.0.0.10", "10.0.0.1", "10.0.0.50"
PUBLIC, ELSEWHERE = "203.0.113.10", "203.0.113.66"
KEEP_ALIVE, FORGETS, EAGER = 1, 4, 4
"""Seconds: between keep-alives, that the router remembers, that the eager one registers for."""
LOW, HIGH = 440, 1000
IDLE, STUN = 4999, 3478

ACCOUNTS = {"steady": "300", "stream": "301", "eager": "302"}
"""The office's trunks, and the extensions of headquarters as which they register: one for an hour by UDP, one by TCP,
and one that registers anew every few seconds."""
BACK, BACK_ACCOUNT = "back", "150"
"""The trunk of headquarters, and the extension of the office as which it registers, through the router's TCP port."""
PREFIXES = {"steady": "", "stream": "3", "eager": "4", BACK: "5"}
"""What is dialled before a number, on either side, to go over a trunk."""


@dataclass
class Place:
    """Two servers, a phone of each, and the router of the office."""

    office: PlacedServer
    headquarters: PlacedServer
    inside: PlacedPhone
    desk: PlacedPhone
    router: Router
    machine: Machine
    """The office's."""

    def talk(self, caller: PlacedPhone, callee: PlacedPhone, trunk: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Have a phone call the other one, over a trunk; return the call's records of office and headquarters."""
        servers = (self.office, self.headquarters)
        before = [len(server.records()) for server in servers]
        caller.fresh()
        callee.fresh()
        try:
            caller.dial(PREFIXES[trunk] + callee.number)
            caller.wait_established()
            callee.wait_established()
            caller.hear_more(0.5)
            callee.hear_more(0.5)
            caller.hang_up()
            callee.wait_ended()
        except AssertionError as error:
            raise AssertionError("\n".join((str(error), *(server.log_tail(6) for server in servers)))) from None
        assert_only_tone(caller, tone_of(callee))
        assert_only_tone(callee, tone_of(caller))
        here, there = (server.record(count + 1) for server, count in zip(servers, before, strict=True))
        assert [one["cause"]["slug"] for one in (here, there)] == ["answered-caller-hung-up"] * 2
        return here, there


def tone_of(phone: PlacedPhone) -> int:
    return {"101": LOW, "201": HIGH}[phone.number]


def over_trunk(caller: str, trunk: str, number: str, **how: bool) -> dict[str, Any]:
    """Return what a route says that takes a trunk's prefix off a number and dials the rest over the trunk."""
    prefix = PREFIXES[trunk]
    return {
        "when": {"from": caller, "number": f"{prefix}{number}"},
        "do": [{"set": {"number": {"strip": len(prefix)}}}, {"dial": f"trunk/{trunk}", **how}],
    }


def headquarters(site: PlacedSite, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the configuration and plan of headquarters. It sends no keep-alives: the office has to."""
    routes = [
        {
            "name": trunk,
            "when": {"from": "extension/201", "number": f"{PREFIXES[trunk]}1XX"},
            "do": [{"dial": f"extension/{account}", "record": True}],
        }
        for trunk, account in ACCOUNTS.items()
    ]
    inwards = {
        "name": "in",
        "when": {"from": [f"extension/{account}" for account in ACCOUNTS.values()], "number": "2XX"},
        "do": [{"dial": "extension/{number}", "record": True}],
    }
    settings = site.office(
        [f"{kind}://{HEADQUARTERS}:5060" for kind in ("udp", "tcp")],
        "201",
        *ACCOUNTS.values(),
        sip={"stun": {"server": f"{ELSEWHERE}:{STUN}"}, "keep_alive": None},
        registrar={"min_expires": f"{EAGER}s"},
        **more,
    )
    return settings, {"routes": [*routes, inwards]}


def headquarters_with_office(site: PlacedSite) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the same, registered with the office too."""
    office = {
        "address": f"sip:{OFFICE_OUTSIDE};transport=tcp",
        "identify": [],
        "username": BACK_ACCOUNT,
        "password": secret_of(BACK_ACCOUNT),
        "registration": {},
    }
    settings, plan = headquarters(site, trunks={BACK: office})
    outwards = {"name": "out by back", **over_trunk("extension/201", BACK, "1XX", record=True)}
    inwards = {
        "name": "in by back",
        "when": {"from": f"trunk/{BACK}"},
        "do": [{"dial": "extension/201", "record": True}],
    }
    return settings, {"routes": [*plan["routes"], outwards, inwards]}


def office_with(site: PlacedSite, *names: str, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the configuration and plan of the office, with these trunks. It knows nothing of its router."""
    trunks = {
        trunk: {
            "address": f"sip:{PUBLIC}" + (";transport=tcp" if trunk == "stream" else ""),
            "identify": [],
            "username": account,
            "password": secret_of(account),
            "registration": {"expires": f"{EAGER}s" if trunk == "eager" else "1h"},
            **more,
        }
        for trunk, account in ACCOUNTS.items()
        if trunk in names
    }
    outwards = [{"name": trunk, **over_trunk("extension/101", trunk, "2XX")} for trunk in names]
    inwards = [
        {"name": f"in by {trunk}", "when": {"from": f"trunk/{trunk}"}, "do": [{"dial": "extension/101"}]}
        for trunk in names
    ]
    back = [
        {
            "name": "to headquarters",
            "when": {"from": "extension/101", "number": f"{PREFIXES[BACK]}2XX"},
            "do": [{"dial": f"extension/{BACK_ACCOUNT}"}],
        },
        {
            "name": "from headquarters",
            "when": {"from": f"extension/{BACK_ACCOUNT}", "number": "1XX"},
            "do": [{"dial": "extension/{number}"}],
        },
    ]
    settings = site.office(
        [f"{kind}://{OFFICE}:5060" for kind in ("udp", "tcp")],
        "101",
        BACK_ACCOUNT,
        sip={"keep_alive": f"{KEEP_ALIVE}s"},
        trunks=trunks,
    )
    return settings, {"routes": [*outwards, *inwards, *back]}


@pytest.fixture(scope="module")
def place(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("two")
    with Lab() as lab:
        center, desk, office, inside, elsewhere = (
            lab.machine(name) for name in ("headquarters", "desk", "office", "inside", "elsewhere")
        )
        Router.one_to_one(lab, "gateway", ("center", f"{GATEWAY}/24"), ("internet", {f"{PUBLIC}/24": HEADQUARTERS}))
        router = Router.between(
            lab,
            "office-router",
            ("office", f"{OFFICE_ROUTER}/24"),
            ("internet", f"{OFFICE_OUTSIDE}/24"),
            Mapping.CONE,
            FORGETS,
            {5060: OFFICE},
        )
        lab.connect(elsewhere, "internet", f"{ELSEWHERE}/24")
        lab.connect(center, "center", f"{HEADQUARTERS}/24", gateway=GATEWAY)
        lab.connect(desk, "center", f"{DESK}/24", gateway=GATEWAY)
        lab.connect(office, "office", f"{OFFICE}/24", gateway=OFFICE_ROUTER)
        lab.connect(inside, "office", f"{OFFICE_PHONE}/24", gateway=OFFICE_ROUTER)
        phones = (
            PlacedPhone(folder / "inside", inside, "101", hertz=LOW, host=OFFICE_PHONE, server=OFFICE),
            PlacedPhone(folder / "desk", desk, "201", hertz=HIGH, host=DESK, server=HEADQUARTERS),
        )
        site, office_site = PlacedSite(folder / "headquarters"), PlacedSite(folder / "office")
        with elsewhere.inside():
            stun = StunHost(ELSEWHERE, port=STUN)
        with (
            serving_at(center, site, *headquarters(site)) as central,
            serving_at(office, office_site, *office_with(office_site, *ACCOUNTS)) as branch,
        ):
            try:
                until(lambda: central.events("public-address"), central.log_tail)
                for phone in phones:
                    phone.start()
                central.registered("201", *ACCOUNTS.values())
                site.write(*headquarters_with_office(site))
                central.signal(signal.SIGHUP)
                branch.registered("101", BACK_ACCOUNT)
                # Each holds connections of the other's now.
                central.is_idle()
                branch.is_idle()
                yield Place(branch, central, *phones, router, office)
            finally:
                for phone in phones:
                    phone.quit()
                stun.stop()


@pytest.mark.parametrize("trunk", ["steady", "stream"])
def test_calls_both_ways(place: Place, trunk: str) -> None:
    """The office is reached through its router though it says an address that leads nowhere, and is challenged when it
    calls; headquarters is known by its address on the Internet, and to its own phones by the one inside."""
    way = "tcp" if trunk == "stream" else "udp"
    account = f"extension/{ACCOUNTS[trunk]}"
    _, there = place.talk(place.inside, place.desk, trunk)
    assert (there["source"], there["destination"]) == (account, "extension/201")
    assert there["legs"][0]["remote"].startswith(f"{way}:{OFFICE_OUTSIDE}:")
    assert recorded(place.headquarters, there) == ([LOW], [HIGH])
    trace = place.headquarters.trace(there["id"])
    assert f"Contact: <sip:{PUBLIC}:5060" in trace
    assert f"c=IN IP4 {PUBLIC}" in trace
    assert f"c=IN IP4 {HEADQUARTERS}" in trace
    here, there = place.talk(place.desk, place.inside, trunk)
    assert (here["source"], there["destination"]) == (f"trunk/{trunk}", account)
    assert there["legs"][1]["remote"].startswith(f"{way}:{OFFICE_OUTSIDE}:")
    assert recorded(place.headquarters, there) == ([HIGH], [LOW])


def test_each_is_registered_with_the_other(place: Place) -> None:
    """The office knows headquarters by the registration and by nothing else, and headquarters the office; so calls go
    both ways over what headquarters has registered, too."""
    place.headquarters.trunk_registered(BACK)
    for trunk in ACCOUNTS:
        place.office.trunk_registered(trunk)
    account = f"extension/{BACK_ACCOUNT}"
    assert place.office.source(BACK_ACCOUNT).startswith(f"tcp:{PUBLIC}:")
    here, there = place.talk(place.inside, place.desk, BACK)
    assert (here["destination"], there["source"]) == (account, f"trunk/{BACK}")
    assert recorded(place.headquarters, there) == ([LOW], [HIGH])
    here, there = place.talk(place.desk, place.inside, BACK)
    assert (here["source"], there["destination"]) == (account, f"trunk/{BACK}")
    assert there["legs"][1]["remote"].startswith(f"tcp:{OFFICE_OUTSIDE}:")
    assert recorded(place.headquarters, there) == ([HIGH], [LOW])


def test_the_router_keeps_what_is_kept_open(place: Place) -> None:
    """Nothing but the office's keep-alives goes through the router for longer than it has patience."""
    source = place.headquarters.source(ACCOUNTS["steady"])
    with place.machine.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as idle:
        idle.sendto(b"", (ELSEWHERE, IDLE))
    router = place.router
    assert f"dport={IDLE} " in router.mappings()
    until(lambda: f"dport={IDLE} " not in router.mappings(), lambda: f"end of one: {router.mappings()}", FORGETS + 4)
    place.talk(place.desk, place.inside, "steady")
    assert place.headquarters.source(ACCOUNTS["steady"]) == source


def test_the_registration_follows_a_router_that_was_started_anew(place: Place) -> None:
    """It knows nothing of before and chooses other ports. The next registration tells headquarters, and its answer the
    office, which renews what else it has registered by that way, if for an hour."""
    before = {trunk: place.headquarters.source(ACCOUNTS[trunk]) for trunk in ("eager", "steady")}
    place.router.translate(Mapping.SYMMETRIC)
    # Only of UDP: a connection of which it knows nothing more is another matter.
    place.router.run("conntrack", "-D", "-p", "udp")
    try:
        for trunk, source in before.items():
            moved = place.headquarters.moved(ACCOUNTS[trunk], source)
            assert moved.startswith(f"udp:{OFFICE_OUTSIDE}:")
        place.talk(place.desk, place.inside, "steady")
        place.talk(place.inside, place.desk, "eager")
    finally:
        place.router.translate(Mapping.CONE)


def test_a_trunk_that_is_watched_needs_no_renewal_for_that(place: Place) -> None:
    """The answer to an OPTIONS says that the router has mapped us elsewhere."""
    office, account = place.office, ACCOUNTS["steady"]
    office.site.write(*office_with(office.site, "steady", health={"interval": "1s"}))
    office.signal(signal.SIGHUP)
    until(lambda: [one["name"] for one in office.api("/trunks")["trunks"]] == ["steady"], office.log_tail)
    until(lambda: office.trunk("steady")["health"] == "up", office.log_tail)
    office.trunk_registered("steady")
    before = place.headquarters.source(account)
    place.router.translate(Mapping.SYMMETRIC)
    place.router.run("conntrack", "-D", "-p", "udp")
    try:
        assert place.headquarters.moved(account, before).startswith(f"udp:{OFFICE_OUTSIDE}:")
        place.talk(place.desk, place.inside, "steady")
    finally:
        place.router.translate(Mapping.CONE)
    assert [line["trunk"] for line in office.events("outer-address-changed")][-1] == "steady"
