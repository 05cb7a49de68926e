"""Supervision among fakes: the relay becomes a mix and a relay again, whatever happens to the supervisor."""

from __future__ import annotations

import pytest

from pbx.call import events
from pbx.call.commands import AcceptOffer, Dial, HangUp
from pbx.call.supervision import Mode
from pbx.cause import cause_named
from pbx.dialplan.steps import DialStep, Target
from pbx.media import commands as engine
from pbx.media import events as media
from tests.support.call_rig import FakeLeg, Rig, phone_sdp, targets

BOSS = Target("extension", "100", "100")


@pytest.fixture
def rig() -> Rig:
    made = Rig(plan=(DialStep(targets("extension/102"), "102"),), phones={"extension/102": 1, "extension/100": 1})
    made.incoming()
    made.answer(made.leg(1))
    return made


def supervise(rig: Rig, mode: Mode = Mode.LISTEN, whisper_to: str = "") -> FakeLeg:
    rig.registry.supervise("c0", BOSS, mode, whisper_to)
    rig.settle()
    return rig.legs[list(rig.legs)[-1]]


def since_connect(rig: Rig) -> list[engine.Command]:
    """What the engine was asked after the first Connect."""
    first = next(number for number, one in enumerate(rig.engine) if isinstance(one, engine.Connect))
    kinds = (engine.Join, engine.Leave, engine.Connect, engine.SetRole)
    return [one for one in rig.engine[first + 1 :] if isinstance(one, kinds)]


def end(rig: Rig) -> None:
    caller = rig.legs["c0-0"]
    rig.tell(caller, events.HungUp(caller.id, cause_named("answered-caller-hung-up")))
    rig.assert_nothing_left()


def test_a_listener_comes_and_goes(rig: Rig) -> None:
    boss = supervise(rig)
    assert boss.last(Dial).caller.name == "Alice"
    assert not since_connect(rig)
    rig.answer(boss)
    caller, callee, listener = since_connect(rig)
    assert [join.stream for join in (caller, callee, listener)] == ["c0/1", "c0/2", since_connect(rig)[2].stream]
    assert [join.mute for join in (caller, callee, listener)] == [False, False, True]
    rig.tell(boss, events.HungUp(boss.id, cause_named("answered-callee-hung-up")))
    assert since_connect(rig)[3:] == [engine.Leave("c0/1"), engine.Leave("c0/2"), engine.Connect("c0/1", "c0/2")]
    assert len(rig.registry) == 1
    end(rig)
    assert rig.ended[0].destination == "extension/102"
    assert [leg.target for leg in rig.ended[0].legs.values()] == ["extension/101", "extension/102", "extension/100"]


def test_a_whisper_is_for_the_extension_then_for_the_one_named(rig: Rig) -> None:
    rig.answer(supervise(rig, Mode.WHISPER))
    assert since_connect(rig)[2].hearers == ("c0/2",)
    rig.registry.supervise("c0", BOSS, Mode.WHISPER, "caller")
    assert since_connect(rig)[3].hearers == ("c0/1",)
    rig.registry.supervise("c0", BOSS, Mode.BARGE)
    assert since_connect(rig)[4] == engine.SetRole(since_connect(rig)[2].stream)
    end(rig)


def test_a_mode_may_change_while_it_rings(rig: Rig) -> None:
    boss = supervise(rig)
    rig.registry.supervise("c0", BOSS, Mode.BARGE)
    rig.answer(boss)
    assert not since_connect(rig)[2].mute
    end(rig)


def test_the_call_ends_while_it_is_supervised(rig: Rig) -> None:
    boss = supervise(rig)
    rig.answer(boss)
    end(rig)
    assert boss.last(HangUp)


def test_a_supervisor_who_is_busy_changes_nothing(rig: Rig) -> None:
    boss = supervise(rig)
    rig.tell(boss, events.Rejected(boss.id, cause_named("busy"), 486))
    assert not since_connect(rig)
    assert not rig.legs["c0-0"].gone
    end(rig)


def test_a_supervisor_without_ports_changes_nothing(rig: Rig) -> None:
    rig.engine_is_slow = True
    boss = supervise(rig)
    rig.owed = [media.Closed(event.stream, media.StreamStatistics(), "no ports") for event in rig.owed]
    rig.engine_is_slow = False
    rig.settle()
    assert boss.gone
    assert not rig.legs["c0-0"].gone
    rig.open_streams -= {event.stream for event in rig.asked(engine.Open)[2:]}
    end(rig)


def test_what_cannot_be_understood_drops_the_supervisor_alone(rig: Rig) -> None:
    boss = supervise(rig)
    rig.answer(boss, phone_sdp(codecs="77"))
    assert boss.last(HangUp).cause.slug == "media-unacceptable"
    assert not since_connect(rig)
    end(rig)


def test_hold_of_the_supervisor_is_its_own_business(rig: Rig) -> None:
    boss = supervise(rig)
    rig.answer(boss)
    rig.tell(boss, events.Offered(boss.id, phone_sdp(6000, "0 101", "sendonly", 2)))
    assert boss.last(AcceptOffer)
    rig.tell(boss, events.Offered(boss.id, None))
    rig.tell(boss, events.OfferAnswered(boss.id, phone_sdp(6000, "0 101", "sendrecv", 3)))
    assert len(since_connect(rig)) == 3
    end(rig)


def test_hold_of_the_call_does_not_end_the_mix(rig: Rig) -> None:
    rig.answer(supervise(rig))
    caller, callee = rig.legs["c0-0"], rig.legs["c0-1"]
    rig.tell(caller, events.Offered(caller.id, phone_sdp(direction="sendonly", version=2)))
    rig.tell(callee, events.OfferAnswered(callee.id, phone_sdp(6000, "0 101", "recvonly", 2)))
    assert caller.last(AcceptOffer)
    assert len(since_connect(rig)) == 3
    end(rig)


def test_two_supervisors(rig: Rig) -> None:
    first = supervise(rig)
    rig.answer(first)
    rig.phones["extension/109"] = 1
    rig.registry.supervise("c0", Target("extension", "109", "109"), Mode.BARGE)
    rig.settle()
    second = rig.legs[list(rig.legs)[-1]]
    rig.answer(second)
    rig.tell(first, events.HungUp(first.id, cause_named("answered-callee-hung-up")))
    assert not [one for one in since_connect(rig) if isinstance(one, engine.Connect)]
    rig.tell(second, events.HungUp(second.id, cause_named("answered-callee-hung-up")))
    assert [one for one in since_connect(rig) if isinstance(one, engine.Connect)]
    end(rig)


def test_what_cannot_be_supervised() -> None:
    rig = Rig(plan=(DialStep(targets("extension/102"), "102"),), phones={"extension/102": 1, "extension/100": 1})
    with pytest.raises(LookupError, match="no running call"):
        rig.registry.supervise("c0", BOSS, Mode.LISTEN)
    rig.incoming(offer=phone_sdp(codecs="3 101"))
    with pytest.raises(LookupError, match="nobody talks"):
        rig.registry.supervise("c0", BOSS, Mode.LISTEN)
    rig.answer(rig.leg(1), phone_sdp(6000, "3 101"))
    with pytest.raises(LookupError, match="cannot decode GSM"):
        rig.registry.supervise("c0", BOSS, Mode.LISTEN)
    end(rig)
    rig = Rig(plan=(DialStep(targets("extension/102"), "102"),), phones={"extension/102": 1})
    rig.incoming()
    rig.answer(rig.leg(1))
    with pytest.raises(LookupError, match="extension/100 has no phone registered"):
        rig.registry.supervise("c0", BOSS, Mode.LISTEN)
    end(rig)
