"""SIPp on both sides of the server where these differ: T.38, REFER, 3xx, late offer, UDP and TCP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers.support import ports
from tests.peers.support.server import Server, Site, serving
from tests.peers.support.sipp import Make, Sipp, run

pytestmark = pytest.mark.peers

CUSTOMER, CARRIER, SECOND, PASSING = (ports.port() for _ in range(4))

HANGS_UP = "<?part bye?>"
IS_HUNG_UP_ON = '<recv request="BYE"/><?part ok?>'

PLAN = {
    "routes": [
        {"name": "second", "when": {"from": "trunk/customer", "number": "6XXX"}, "do": [{"dial": "trunk/second"}]},
        {"name": "passing", "when": {"from": "trunk/passing", "number": "."}, "do": [{"dial": "trunk/carrier"}]},
        {"name": "rest", "when": {"from": "trunk/customer", "number": "."}, "do": [{"dial": "trunk/carrier"}]},
    ]
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = Site(tmp_path_factory.mktemp("server"))
    trunks: dict[str, dict[str, Any]] = {
        name: {"address": f"sip:127.0.0.1:{number}", "identify": [f"127.0.0.1:{number}"]}
        for name, number in (("customer", CUSTOMER), ("carrier", CARRIER), ("second", SECOND), ("passing", PASSING))
    }
    trunks["customer"]["transfers"] = "handle"
    trunks["passing"]["transfers"] = "pass"
    trunks["carrier"]["redirects"] = "follow"
    trunks["second"]["profile"] = {"early_offer": True}
    listen = [f"udp://127.0.0.1:{site.sip}", f"tcp://127.0.0.1:{site.sip}"]
    with serving(site, site.settings(trunks=trunks, sip={"listen": listen}), PLAN) as running:
        yield running


def test_t38_goes_over_and_back_to_its_end(server: Server, sipp: Make) -> None:
    callee = sipp("uas-t38", CARRIER, REPLY="<?part fax-agree?>")
    record = run(server, lambda: sipp("uac-t38", CUSTOMER, server.site.sip, EXPECTED="<?part fax-agreed?>"), callee)
    assert record["cause"]["slug"] == "answered-caller-hung-up"
    assert "of-the-caller" not in callee.messages()


def test_t38_that_is_refused_leaves_the_audio(server: Server, sipp: Make) -> None:
    callee = sipp("uas-t38", CARRIER, REPLY="<?part fax-refuse?>")
    record = run(server, lambda: sipp("uac-t38", CUSTOMER, server.site.sip, EXPECTED="<?part fax-refused?>"), callee)
    assert record["cause"]["slug"] == "answered-caller-hung-up"


def test_a_transfer_that_a_trunk_asks_for(server: Server, sipp: Make) -> None:
    led, target = sipp("uas-led-elsewhere", CARRIER), sipp("uas-leaves", SECOND)
    words = {"TO": "6000", "LAST": "200 OK", "AFTER": IS_HUNG_UP_ON}
    record = run(server, lambda: sipp("uac-refers", CUSTOMER, server.site.sip, **words), led, target)
    assert [one["outcome"] for one in record["attempts"]] == ["answered", "transferred", "answered"]
    assert record["destination"] == "trunk/second"


def test_a_transfer_that_fails_gives_the_party_back(server: Server, sipp: Make) -> None:
    stays, target = sipp("uas", CARRIER), sipp("uas-refuses", SECOND, STATUS="486")
    words = {"TO": "6000", "LAST": "486 Busy Here", "AFTER": HANGS_UP}
    record = run(server, lambda: sipp("uac-refers", CUSTOMER, server.site.sip, **words), stays, target)
    assert record["cause"]["slug"] == "answered-caller-hung-up"


@pytest.mark.parametrize(
    ("reply", "last"), [("refer-done", "200 OK"), ("refer-refused", "405 Method Not Allowed")], ids=["takes", "refuses"]
)
def test_a_transfer_that_is_passed_on(server: Server, sipp: Make, reply: str, last: str) -> None:
    """The other side carries it out, or knows no REFER at all: who asked hears which."""
    led = sipp("uas-sent-elsewhere", CARRIER, TO="6000", REPLY=f"<?part {reply}?>")
    words = {"TO": "6000", "LAST": last, "AFTER": HANGS_UP}
    record = run(server, lambda: sipp("uac-refers", PASSING, server.site.sip, **words), led)
    assert record["cause"]["slug"] == "answered-caller-hung-up"


def test_reliable_provisional_responses_to_one_side_alone(server: Server, sipp: Make) -> None:
    """The caller wants them, the callee's know nothing of it: its 183 is made reliable here."""
    callee = sipp("uas-early", CARRIER)
    record = run(server, lambda: sipp("uac-prack", CUSTOMER, server.site.sip), callee)
    assert record["cause"]["slug"] == "answered-caller-hung-up"
    assert "PRACK sip:" not in callee.messages()


def test_a_session_timer_of_the_callee_alone(server: Server, sipp: Make) -> None:
    """It refreshes by UPDATE, of which the caller, who knows no timer, hears nothing."""
    callee = sipp("uas-timer", CARRIER)
    caller: list[Sipp] = []

    def call() -> Sipp:
        caller.append(sipp("uac", CUSTOMER, server.site.sip, HOLD=500))
        return caller[0]

    record = run(server, call, callee)
    assert record["cause"]["slug"] == "answered-caller-hung-up"
    for unknown in ("Session-Expires", "UPDATE sip:"):
        assert unknown in callee.messages()
        assert unknown not in caller[0].messages()


def test_a_redirection_is_followed_to_another_trunk(server: Server, sipp: Make) -> None:
    first, then = sipp("uas-redirects", CARRIER, TO=f"6111@127.0.0.1:{SECOND}"), sipp("uas", SECOND)
    record = run(server, lambda: sipp("uac", CUSTOMER, server.site.sip), first, then)
    assert [one["outcome"] for one in record["attempts"]] == ["redirected", "answered"]
    assert record["destination"] == "trunk/second"


def test_a_redirection_elsewhere_is_not_followed(server: Server, sipp: Make) -> None:
    first = sipp("uas-redirects", CARRIER, TO="6111@192.0.2.1")
    record = run(server, lambda: sipp("uac-refused", CUSTOMER, server.site.sip, STATUS="480"), first)
    assert [one["outcome"] for one in record["attempts"]] == ["callee-refused"]


def test_a_late_offer_becomes_an_early_one(server: Server, sipp: Make) -> None:
    callee = sipp("uas", SECOND)
    run(server, lambda: sipp("uac-late", CUSTOMER, server.site.sip, NUMBER="6000"), callee)
    invite = callee.messages().partition("INVITE sip:")[2].partition("UDP message sent")[0]
    assert "m=audio" in invite


def test_tcp_on_one_side_and_udp_on_the_other(server: Server, sipp: Make) -> None:
    callee = sipp("uas-reinvited", CARRIER)
    record = run(server, lambda: sipp("uac-reinvites", CUSTOMER, server.site.sip, transport="t1"), callee)
    assert record["legs"][0]["remote"].startswith("tcp:")
    assert record["legs"][1]["remote"].startswith("udp:")
