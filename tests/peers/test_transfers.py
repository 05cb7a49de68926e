"""Real phones transfer calls through the server, blind and attended; what is heard after it is measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from tests.peers.support.baresip import Baresip
from tests.peers.support.hearing import SILENCE, heard
from tests.peers.support.linphone import Linphone
from tests.peers.support.phones import Fleet, Line, Phone
from tests.peers.support.server import Server, Site, serving
from tests.peers.support.waiting import until

pytestmark = pytest.mark.peers

TRANSFERRED = Line("linphone", "udp", "112", 1000)
"""linphone's file of what it hears goes on after a change of its partner."""
BLIND = Line("baresip", "tcp", "101", 440)
ATTENDED = Line("linphone", "tcp", "111", 440)
TARGET = Line("baresip", "udp", "104", 1000)
LINES = (TRANSFERRED, BLIND, ATTENDED, TARGET)

PLAN = {
    "routes": [
        {
            "name": "extensions",
            "when": {"from": "extension", "number": "1XX"},
            "do": [{"dial": "extension/{number}"}],
        }
    ],
}

TALK = 0.7
"""Seconds that two talk before a transfer, and after it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = Site(tmp_path_factory.mktemp("server"))
    listen = [f"udp://127.0.0.1:{site.sip}", f"tcp://127.0.0.1:{site.sip}", f"tls://127.0.0.1:{site.tls}"]
    extensions = {line.number: {"name": f"Phone {line.number}", "password": line.password} for line in LINES}
    with serving(site, site.settings(sip={"listen": listen}, extensions=extensions), PLAN) as running:
        yield running


@pytest.fixture(scope="module")
def fleet(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(server, tmp_path_factory.mktemp("phones"))
    yield made
    made.close()


def talk(one: Phone, other: Phone, number: str) -> None:
    for phone in (one, other):
        phone.fresh()
    one.dial(number)
    one.wait_established()
    other.wait_established()
    one.hear_more(TALK)


def sounds(phone: Phone) -> list[int]:
    """The tones that a phone has heard, one after the other."""
    return [tone for tone in heard(phone.heard_file) if tone != SILENCE]


def test_blind(server: Server, fleet: Fleet) -> None:
    with fleet.phones(TRANSFERRED, BLIND, TARGET) as (stays, leaves, target):
        before = len(server.records())
        target.fresh()
        talk(stays, leaves, BLIND.number)
        cast(Baresip, leaves).command("transfer", f"sip:{TARGET.number}@127.0.0.1:{server.site.sip}")
        target.wait_established()
        leaves.wait_ended()
        target.hear_more(TALK)
        stays.hear_more(TALK)
        target.hang_up()
        stays.wait_ended()
        record = server.record(before + 1)
        assert [one["outcome"] for one in record["attempts"]] == ["answered", "transferred", "answered"]
        assert record["destination"] == f"extension/{TARGET.number}"
        assert sounds(stays) == [BLIND.hertz, TARGET.hertz]
        assert sounds(target) == [TRANSFERRED.hertz]


def test_attended(server: Server, fleet: Fleet) -> None:
    with fleet.phones(TRANSFERRED, ATTENDED, TARGET) as (stays, leaves, target):
        before = len(server.records())
        talk(stays, leaves, ATTENDED.number)
        linphone = cast(Linphone, leaves)
        linphone.hold()
        target.fresh()
        linphone.dial(TARGET.number)
        target.wait_established()
        target.hear_more(TALK)
        linphone.child.say("transfer 1 --to-call 2")
        leaves.wait_ended()
        stays.hear_more(2 * TALK)
        target.hear_more(2 * TALK)
        target.hang_up()
        stays.wait_ended()

        def ended() -> list[dict[str, Any]]:
            records = server.records()[: len(server.records()) - before]
            return records if len(records) == 2 and all(record["cause"] for record in records) else []

        causes = {record["called"]: record["cause"]["slug"] for record in until(ended, "the end of both calls")}
        assert causes[TARGET.number] == "transferred"
        assert sounds(stays)[-1] == TARGET.hertz
        # Who consulted it, then who was transferred to it: another tone each.
        assert sounds(target) == [ATTENDED.hertz, TRANSFERRED.hertz]
