"""Every reason for which audio does not flow, provoked for real: the call record and the API name it."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.peers.support.waiting import until
from tests.support.sound import tone, ulaw_encode
from tests.support.srtp import Srtp
from tests.system.support.caller import Caller, rtcp_report, rtp
from tests.system.support.namespaces import Lab, Machine
from tests.system.support.nat import Mapping, Router
from tests.system.support.placed import PlacedServer, PlacedSite, serving_at

pytestmark = pytest.mark.peers

SERVER, NEAR, HOME, NOWHERE = "203.0.113.10", "203.0.113.20", "203.0.113.30", "203.0.113.99"
INSIDE, GATEWAY = "192.168.1.2", "192.168.1.1"
HIDDEN, OFFICE = "10.0.0.10", "203.0.113.40"
AFTER = 0.5
"""Seconds, of media.verdict_after."""
SUITE = "AES_CM_128_HMAC_SHA1_80"
ECHO, TONE = "600", "601"
PLAN = {
    "routes": [
        {"name": "echo", "when": {"from": "trunk", "number": ECHO}, "do": ["echo"]},
        {
            "name": "tone",
            "when": {"from": "trunk", "number": TONE},
            "do": [{"play": "tone:dial", "repeat": 0}],
        },
    ]
}
TRUNKS = {
    name: {"address": f"sip:{host}", "identify": [host], "latch": False}
    for name, host in (("near", NEAR), ("home", HOME))
}
VOICE = ulaw_encode(tone(400, 1, amplitude=9_000))
LOUD = (b"\x80" * 20 + b"\x00" * 20) * 4


def voice(number: int) -> bytes:
    begin = number * 160 % len(VOICE)
    return VOICE[begin : begin + 160]


@dataclass
class Place:
    """A server on the Internet, a caller beside it, and one in a home behind a router."""

    server: PlacedServer
    near: Caller
    home: Caller
    near_machine: Machine
    calls: int = 0

    def verdict(
        self, caller: Caller, number: str, send: Callable[[tuple[str, int], int], object], **call: Any
    ) -> dict[str, Any]:
        """Call and send until the running call's verdict is there; return the record's leg, which must say the same."""
        to = caller.call(number, **call)
        caller.send_for(3 * AFTER, lambda packet: send(to, packet))
        live = self.server.calls()[0]["legs"][0]
        caller.hang_up()
        self.calls += 1
        record = self.server.record(self.calls)
        leg = record["legs"][0]
        for direction in ("receiving", "sending"):
            assert live[direction] == leg[direction]
        assert record["audio"] in (leg["receiving"]["finding"], leg["sending"]["finding"])
        return leg


@pytest.fixture(scope="module")
def place(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Lab() as lab:
        machine, near = lab.machine("server"), lab.machine("near")
        lab.connect(machine, "internet", f"{SERVER}/24")
        lab.connect(near, "internet", f"{NEAR}/24")
        near.set(net__ipv4__icmp_ratelimit=0)  # one ICMP error a second is too few for rounds as short as these
        Router.between(lab, "router", ("inside", f"{GATEWAY}/24"), ("internet", f"{HOME}/24"), Mapping.CONE)
        home = lab.machine("home")
        lab.connect(home, "inside", f"{INSIDE}/24", gateway=GATEWAY)
        site = PlacedSite(tmp_path_factory.mktemp("verdict") / "server")
        settings = site.settings(
            sip={"listen": [f"udp://{SERVER}:5060"]},
            media={"address": SERVER, "verdict_after": f"{AFTER}s"},
            trunks=TRUNKS,
        )
        with serving_at(machine, site, settings, PLAN) as server:
            callers = Caller(near, NEAR, SERVER), Caller(home, INSIDE, SERVER)
            try:
                yield Place(server, *callers, near)
            finally:
                for caller in callers:
                    caller.close()


def test_flowing(place: Place) -> None:
    near = place.near
    leg = place.verdict(near, ECHO, lambda to, packet: near.audio.sendto(rtp(packet, voice(packet)), to))
    assert leg["receiving"] == {"finding": "flowing", "text": "Audio flows from trunk/near.", "remedy": ""}
    assert leg["sending"]["finding"] == "flowing"
    assert leg["mos"] > 4
    assert leg["silent"] == leg["clipped"] == 0


def test_nat_breaks_audio_both_ways(place: Place) -> None:
    """The caller says its address inside, which leads nowhere, and is not believed when it sends from the router's."""
    home = place.home
    leg = place.verdict(home, TONE, lambda to, packet: home.audio.sendto(rtp(packet, voice(packet)), to))
    assert leg["receiving"]["finding"] == "other-address"
    assert f"sends from {HOME}:" in leg["receiving"]["text"]
    assert f"said {INSIDE}:4000" in leg["receiving"]["text"]
    assert "latch: true" in leg["receiving"]["remedy"]
    assert leg["sending"]["finding"] == "unsendable"


def test_wrong_address_said(place: Place) -> None:
    near = place.near
    leg = place.verdict(near, ECHO, lambda to, packet: near.audio.sendto(rtp(packet, voice(packet)), to), says=NOWHERE)
    assert leg["receiving"]["finding"] == "other-address"
    assert f"{NEAR}:4000 but said {NOWHERE}:4000" in leg["receiving"]["text"]


def test_nothing_arrives(place: Place) -> None:
    leg = place.verdict(place.near, TONE, lambda to, packet: None)
    assert (leg["receiving"]["finding"], leg["sending"]["finding"]) == ("nothing", "flowing")
    assert f"at {SERVER}:" in leg["receiving"]["text"]


def test_port_unreachable(place: Place) -> None:
    """Nobody listens at the port that was said: the caller's system answers by ICMP."""
    leg = place.verdict(place.near, TONE, lambda to, packet: None, port=4444)
    assert leg["sending"]["finding"] == "refused"
    assert f"{NEAR}:4444" in leg["sending"]["text"]
    assert "nobody listens there" in leg["sending"]["text"]


def test_a_firewall_refuses(place: Place) -> None:
    rule = "udp dport 4000 reject with icmp type admin-prohibited"
    wall = f"table ip wall {{ chain entry {{ type filter hook input priority 0; {rule}; }}; }}"
    place.near_machine.run("nft", "-f", "-", text=wall)
    try:
        leg = place.verdict(place.near, TONE, lambda to, packet: None)
    finally:
        place.near_machine.run("nft", "flush", "ruleset")
    assert leg["sending"]["finding"] == "refused"
    assert "a firewall forbids it" in leg["sending"]["text"]
    assert "firewall" in leg["sending"]["remedy"]


def test_srtp_with_a_wrong_key(place: Place) -> None:
    near = place.near
    said, used = os.urandom(30), Srtp(SUITE, os.urandom(30))
    line = f"a=crypto:1 {SUITE} inline:{base64.b64encode(said).decode()}"
    leg = place.verdict(
        near,
        ECHO,
        lambda to, packet: near.audio.sendto(used.protect(rtp(packet, voice(packet))), to),
        lines=(line,),
    )
    assert leg["receiving"]["finding"] == "unauthentic"
    assert SUITE in leg["receiving"]["text"]
    assert leg["encryption"] == SUITE
    assert leg["dropped_unauthentic"] > 20


def test_wrong_payload_type(place: Place) -> None:
    near = place.near
    leg = place.verdict(near, ECHO, lambda to, packet: near.audio.sendto(rtp(packet, voice(packet), 8), to))
    assert leg["receiving"]["finding"] == "wrong-payload"
    assert "payload type 8 where 0 (PCMU)" in leg["receiving"]["text"]


def test_digital_silence(place: Place) -> None:
    near = place.near
    leg = place.verdict(near, ECHO, lambda to, packet: near.audio.sendto(rtp(packet, b"\xff" * 160), to))
    assert (leg["receiving"]["finding"], leg["sending"]["finding"]) == ("silent", "flowing")
    assert leg["silent"] == 100


def test_clipped(place: Place) -> None:
    near = place.near
    leg = place.verdict(near, ECHO, lambda to, packet: near.audio.sendto(rtp(packet, LOUD), to))
    assert (leg["receiving"]["finding"], leg["sending"]["finding"]) == ("clipped", "flowing")
    assert leg["clipped"] == 100


def test_rtcp_only(place: Place) -> None:
    near = place.near
    leg = place.verdict(near, TONE, lambda to, packet: near.reports.sendto(rtcp_report(), (to[0], to[1] + 1)))
    assert leg["receiving"]["finding"] == "rtcp-only"


def test_no_rtp(place: Place) -> None:
    near = place.near
    leg = place.verdict(near, TONE, lambda to, packet: near.audio.sendto(b"\x16\xfe\xff" + bytes(40), to))
    assert leg["receiving"]["finding"] == "not-rtp"


def test_two_sources(place: Place) -> None:
    near = place.near

    def both(to: tuple[str, int], packet: int) -> None:
        for ssrc in (1, 2):
            near.audio.sendto(rtp(packet, voice(packet), ssrc=ssrc), to)

    assert place.verdict(near, ECHO, both)["receiving"]["finding"] == "second-source"


def test_audio_that_stops_is_noticed_and_comes_back(place: Place) -> None:
    """The verdict changes in the call; each change is counted and logged."""
    near, server = place.near, place.server
    to = near.call(ECHO)

    def finding() -> str:
        verdict = server.calls()[0]["legs"][0]["receiving"]
        return verdict["finding"] if verdict else ""

    near.send_for(3 * AFTER, lambda packet: near.audio.sendto(rtp(packet, voice(packet)), to))
    assert finding() == "flowing"
    until(lambda: finding() == "stopped", lambda: f"end of audio, {finding()}", 5)
    near.send_for(3 * AFTER, lambda packet: near.audio.sendto(rtp(packet + 500, voice(packet)), to))
    assert finding() == "flowing"
    near.hang_up()
    place.calls += 1
    leg = server.record(place.calls)["legs"][0]
    assert leg["receiving"]["finding"] == "flowing"
    told = [(one["direction"], one["finding"]) for one in server.events("audio")]
    assert told[-4:].count(("receiving", "stopped")) == 1
    assert ("receiving", "flowing") in told[-3:]
    counted = server.metrics()
    assert counted['tandem_audio_verdicts_total{direction="receiving",finding="stopped"}'] >= 1


def test_the_server_tells_an_address_that_nobody_reaches(
    namespaces: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One way: behind its router it says its own address, so it is not heard from; what it sends arrives."""
    with Lab() as lab:
        machine, outside = lab.machine("hidden"), lab.machine("outside")
        Router.one_to_one(lab, "gateway", ("office", "10.0.0.1/24"), ("internet", {f"{OFFICE}/24": HIDDEN}))
        lab.connect(machine, "office", f"{HIDDEN}/24", gateway="10.0.0.1")
        lab.connect(outside, "internet", f"{NEAR}/24")
        site = PlacedSite(tmp_path_factory.mktemp("hidden") / "server")
        settings = site.settings(
            sip={"listen": [f"udp://{HIDDEN}:5060"]},
            media={"address": HIDDEN, "verdict_after": f"{AFTER}s"},
            trunks={"near": TRUNKS["near"]},
        )
        with serving_at(machine, site, settings, PLAN) as server:
            caller = Caller(outside, NEAR, OFFICE)
            try:
                place = Place(server, caller, caller, outside)
                leg = place.verdict(
                    caller, TONE, lambda to, packet: caller.audio.sendto(rtp(packet, voice(packet)), to)
                )
                assert caller.audio.recv(2048), "what the server sends arrives"
            finally:
                caller.close()
        assert (leg["receiving"]["finding"], leg["sending"]["finding"]) == ("nothing", "flowing")
        assert HIDDEN in leg["receiving"]["text"]
