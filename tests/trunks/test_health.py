"""Trunks that are asked by OPTIONS, on a stepped clock and a stack whose peer the test plays."""

from __future__ import annotations

import pytest

from pbx.sip.message import make_response
from pbx.sip.stack import Destination
from pbx.sip.uri import Uri
from pbx.trunks.health import Health, Probe, TrunkHealth, TrunkStatus
from tests.support.fake_stack import FakeClient, FakeStack
from tests.support.sip import counted_ids

CARRIER = Destination(Uri.parse("sip:carrier.example"), ("<sip:proxy.example;lr>",))
PROBE = Probe("carrier", CARRIER, 30.0, 5.0)


class Desk:
    def __init__(self, *probes: Probe, product: str = "Tandem") -> None:
        self.stack = FakeStack()
        self.clock = self.stack.clock
        self.told: list[TrunkStatus] = []
        self.health = TrunkHealth(self.stack, counted_ids(), product, self.told.append)
        self.health.replace(probes)

    @property
    def asked(self) -> list[FakeClient]:
        return self.stack.all("OPTIONS")

    def reply(self, status: int, client: FakeClient | None = None) -> None:
        client = client or self.asked[-1]
        client.respond(make_response(client.request, status, to_tag="theirs" if status > 100 else None))

    def is_now(self, trunk: str = "carrier") -> Health | None:
        status = self.health.of(trunk)
        return None if status is None else status.health


@pytest.fixture
def desk() -> Desk:
    return Desk(PROBE)


def test_the_question(desk: Desk) -> None:
    (client,) = desk.asked
    request = client.request
    assert client.destination == CARRIER
    assert str(request.uri) == str(request.to.uri) == "sip:carrier.example"
    assert (request.from_.uri.host, request.user_agent) == ("192.0.2.1", "Tandem")
    assert request.headers.get("Accept") == "application/sdp"
    assert "User-Agent" not in Desk(PROBE, product="").asked[0].request.headers


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 405, 483, 486, 500, 603])
def test_who_replies_is_up(desk: Desk, status: int) -> None:
    assert desk.is_now() is Health.UNKNOWN
    desk.clock.advance(0.25)
    desk.reply(100)
    assert desk.is_now() is Health.UNKNOWN
    desk.reply(status)
    assert desk.told == [desk.health.of("carrier")]
    (told,) = desk.told
    assert (told.trunk, told.health, told.since, told.round_trip) == ("carrier", Health.UP, 0.25, 0.25)
    assert told.detail.startswith(str(status))
    assert not desk.health.is_down("carrier")


@pytest.mark.parametrize("status", [408, 502, 503, 504])
def test_who_says_that_nobody_is_there_is_down(desk: Desk, status: int) -> None:
    desk.reply(status)
    assert desk.is_now() is Health.DOWN
    assert desk.health.is_down("carrier")


def test_who_does_not_reply_in_time_is_down_until_the_next_reply(desk: Desk) -> None:
    desk.clock.advance(4.99)
    assert desk.told == []
    desk.clock.advance(0.01)
    assert [(told.health, told.detail) for told in desk.told] == [(Health.DOWN, "no reply within 5 s")]
    desk.reply(200)  # too late
    assert desk.is_now() is Health.DOWN
    desk.clock.advance(24.99)
    assert len(desk.asked) == 1
    desk.clock.advance(0.01)
    assert len(desk.asked) == 2
    assert desk.asked[0].request.call_id != desk.asked[1].request.call_id
    desk.reply(200, desk.asked[0])
    assert desk.is_now() is Health.DOWN
    desk.reply(200)
    assert [told.health for told in desk.told] == [Health.DOWN, Health.UP]
    assert desk.told[1].since == 30.0


def test_a_failure_is_told_at_once(desk: Desk) -> None:
    desk.asked[0].fail("resolve")
    (told,) = desk.told
    assert (told.health, told.detail) == (Health.DOWN, "test resolve")
    desk.clock.advance(30)
    assert len(desk.asked) == 2


def test_it_is_asked_in_its_interval_and_only_changes_are_told(desk: Desk) -> None:
    for _ in range(5):
        desk.clock.advance(0.5)
        desk.reply(200)
        desk.clock.advance(29.5)
    assert len(desk.asked) == 6
    assert len(desk.told) == 1


def test_a_reply_that_takes_longer_than_the_interval() -> None:
    desk = Desk(Probe("carrier", CARRIER, 1.0, 5.0))
    desk.clock.advance(3)
    desk.reply(200)
    desk.clock.advance(0.09)
    assert len(desk.asked) == 1
    desk.clock.advance(0.02)
    assert len(desk.asked) == 2


def test_a_reload_leaves_alone_what_is_as_it_was(desk: Desk) -> None:
    desk.reply(200)
    other = Probe("other", Destination(Uri.parse("sip:192.0.2.9")), 10.0, 2.0)
    desk.health.replace([PROBE, other])
    assert len(desk.asked) == 2
    assert (desk.is_now(), desk.is_now("other")) == (Health.UP, Health.UNKNOWN)
    assert [status.trunk for status in desk.health] == ["carrier", "other"]
    desk.health.replace([Probe("carrier", CARRIER, 60.0, 5.0), other])
    assert len(desk.asked) == 3
    assert desk.is_now() is Health.UNKNOWN
    desk.health.replace([other])
    assert desk.is_now() is None
    assert not desk.health.is_down("carrier")
    desk.reply(503, desk.asked[2])
    assert [told.health for told in desk.told] == [Health.UP]


def test_nothing_is_left_after_the_end(desk: Desk) -> None:
    desk.health.stop()
    desk.reply(200)
    assert list(desk.health) == []
    assert desk.told == []
    assert not desk.clock.calls


def test_a_trunk_goes_down_and_comes_up_after_so_many_outcomes_in_a_row() -> None:
    desk = Desk(Probe("carrier", CARRIER, 30.0, 5.0, down_after=3, up_after=2))
    answers = [200, 503, 503, 200, 503, 503, 503, 503, 200, 503, 200, 200]
    stands = []
    for status in answers:
        desk.reply(status)
        stands.append(desk.is_now())
        desk.clock.advance(30.0)
    up, down = Health.UP, Health.DOWN
    assert stands == [up, up, up, up, up, up, down, down, down, down, down, up]
    assert [told.health for told in desk.told] == [up, down, up]
