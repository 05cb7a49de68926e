"""The server in an office or a data centre whose router maps public addresses to it: those outside are told the
public ones, those inside its own, and both are heard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.system.support.namespaces import Lab, Machine
from tests.system.support.nat import Mapping, Router
from tests.system.support.placed import RECORDED, PlacedPhone, PlacedServer, PlacedSite, serving_at
from tests.system.support.talk import assert_only_tone, call, recorded

pytestmark = pytest.mark.peers

SIP, MEDIA = "10.0.0.10", "10.0.0.11"
PUBLIC_SIP, PUBLIC_MEDIA = "203.0.113.10", "203.0.113.11"
OFFICE_PHONE, GATEWAY = "10.0.0.50", "10.0.0.1"
HOME_PHONE, HOME = "192.168.1.2", "203.0.113.20"
TONES = {"101": 440, "102": 1000}


class Layout(NamedTuple):
    """What is configured, and the addresses of audio that follow from it."""

    name: str
    listen: str
    sections: dict[str, Any]
    media: str
    public_media: str


LAYOUTS = [
    Layout("one address", "0.0.0.0", {"sip": {"external_address": PUBLIC_SIP}}, SIP, PUBLIC_SIP),
    Layout(
        "audio apart",
        SIP,
        {"sip": {"external_address": PUBLIC_SIP}, "media": {"address": MEDIA, "external_address": PUBLIC_MEDIA}},
        MEDIA,
        PUBLIC_MEDIA,
    ),
]


class Place(NamedTuple):
    server: Machine
    office: Machine
    home: Machine


@pytest.fixture(scope="module")
def place(namespaces: None) -> Iterator[Place]:
    with Lab() as lab:
        gateway = Router.one_to_one(
            lab,
            "gateway",
            ("office", f"{GATEWAY}/24"),
            ("internet", {f"{PUBLIC_SIP}/24": SIP, f"{PUBLIC_MEDIA}/24": MEDIA}),
        )
        assert gateway
        server, office, home = (lab.machine(name) for name in ("server", "office", "home"))
        lab.connect(server, "office", f"{SIP}/24", f"{MEDIA}/24", gateway=GATEWAY)
        lab.connect(office, "office", f"{OFFICE_PHONE}/24", gateway=GATEWAY)
        Router.between(lab, "home-router", ("home", "192.168.1.1/24"), ("internet", f"{HOME}/24"), Mapping.CONE)
        lab.connect(home, "home", f"{HOME_PHONE}/24", gateway="192.168.1.1")
        yield Place(server, office, home)


@pytest.fixture(params=LAYOUTS, ids=[layout.name for layout in LAYOUTS])
def layout(request: pytest.FixtureRequest) -> Layout:
    found: Layout = request.param
    return found


@pytest.fixture
def server(place: Place, layout: Layout, tmp_path: Path) -> Iterator[PlacedServer]:
    site = PlacedSite(tmp_path / "server")
    listen = [f"{kind}://{layout.listen}:5060" for kind in ("udp", "tcp")]
    with serving_at(place.server, site, site.office(listen, *TONES, **layout.sections), RECORDED) as running:
        yield running


def told(trace: str, host: str) -> set[str]:
    """Return every address of ours in what was sent to `host`: in Via, Contact and the description."""
    found: set[str] = set()
    for message in trace.split("\n--- "):
        head, _, text = message.partition("\n")
        if f"-> {host}:" in head:
            # The rest of a response is the peer's own.
            lines = [line for line in text.splitlines() if re.match(r"(Contact:|c=|o=|m=)", line)]
            if not text.startswith("SIP/2.0"):
                lines += [line for line in text.splitlines() if line.startswith(("Via:", "From:"))]
            found.update(re.findall(r"\d+\.\d+\.\d+\.\d+", " ".join(lines)))
    return found


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_everybody_is_told_the_address_that_leads_here(
    place: Place, layout: Layout, server: PlacedServer, tmp_path: Path, transport: str
) -> None:
    outside = PlacedPhone(
        tmp_path / "outside",
        place.home,
        "101",
        hertz=TONES["101"],
        host=HOME_PHONE,
        server=PUBLIC_SIP,
        transport=transport,
    )
    inside = PlacedPhone(tmp_path / "inside", place.office, "102", hertz=TONES["102"], host=OFFICE_PHONE, server=SIP)
    try:
        outside.start()
        inside.start()
        server.registered("101", "102")
        for count, (caller, callee) in enumerate(((outside, inside), (inside, outside)), 1):
            with call(server, caller, callee):
                caller.hear_more(1)
                callee.hear_more(1)
                callee.hang_up()
                caller.wait_ended()
            assert_only_tone(caller, TONES[callee.number])
            assert_only_tone(callee, TONES[caller.number])
            record = server.record(count)
            assert recorded(server, record) == ([TONES[caller.number]], [TONES[callee.number]])
            trace = server.trace(record["id"])
            assert told(trace, HOME) == {PUBLIC_SIP, layout.public_media}
            assert told(trace, OFFICE_PHONE) == {SIP, layout.media}
    finally:
        outside.quit()
        inside.quit()
