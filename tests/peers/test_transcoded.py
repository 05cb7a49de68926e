"""Real phones without a codec in common hear each other through the server, and the recording has both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.support.hearing import SILENCE, channels, heard, length, spells
from tests.peers.support.phones import Fleet, Line
from tests.peers.support.server import Server, Site, serving
from tests.peers.test_phones import PLAN

pytestmark = pytest.mark.peers

PCMU = Line("baresip", "udp", "141", 440)
G722 = Line("baresip", "udp", "142", 1000, codecs="G722")
OPUS = Line("baresip", "udp", "143", 1000, codecs="opus/48000/2")
PCMA = Line("baresip", "udp", "144", 1000, codecs="PCMA")
LINES = (PCMU, G722, OPUS, PCMA)
TALK = 1.2
"""Seconds."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = Site(tmp_path_factory.mktemp("server"))
    listen = [f"udp://127.0.0.1:{site.sip}"]
    extensions = {line.number: {"password": line.password, "codecs": line.codecs.partition("/")[0]} for line in LINES}
    with serving(site, site.settings(sip={"listen": listen}, extensions=extensions), PLAN) as running:
        yield running


@pytest.fixture(scope="module")
def fleet(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(server, tmp_path_factory.mktemp("phones"))
    yield made
    made.close()


@pytest.mark.parametrize(("caller", "callee"), [(PCMU, G722), (OPUS, PCMU), (PCMU, PCMA)], ids=str)
def test_talk_both_ways(server: Server, fleet: Fleet, caller: Line, callee: Line) -> None:
    with fleet.phones(caller, callee) as (one, other):
        before = len(server.records())
        one.dial(callee.number)
        one.wait_established()
        other.wait_established()
        one.hear_more(TALK)
        other.hear_more(TALK)
        one.hang_up()
        one.wait_ended()
        other.wait_ended()
        record = server.record(before + 1)
        for phone, line in ((one, callee), (other, caller)):
            tones = heard(phone.heard_file)
            assert tones[0] == line.hertz
            assert set(tones) <= {line.hertz, SILENCE}
            assert length(phone.heard_file) > TALK * 0.8
        assert [leg["codec"] for leg in record["legs"]] == [line.codecs.partition("/")[0] for line in (caller, callee)]
        path, _ = server.recording(record)
        rate, sides = channels(path)
        for line, samples in zip((caller, callee), sides, strict=True):
            sound = [spell.hertz for spell in spells(samples, rate) if spell.seconds > 0.3]
            assert line.hertz in sound
            assert set(sound) <= {line.hertz, SILENCE}
