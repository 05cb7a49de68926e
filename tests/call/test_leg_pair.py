"""Two legs that talk to each other through the real transaction layer and driver, over good and bad networks."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pbx.call import commands, events
from pbx.call.leg import Leg, LegSettings
from pbx.call.leg.table import State
from pbx.cause import cause_named
from tests.support.clock import SteppedClock
from tests.support.leg_host import LegHost
from tests.support.legs import sdp
from tests.support.wire import Faults, Wire

CALLER, CALLEE = "192.0.2.10", "192.0.2.20"
DONE = cause_named("completed")


class Pair:
    """A caller and a callee."""

    def __init__(
        self,
        faults: Faults | None = None,
        seed: int = 0,
        caller: LegSettings | None = None,
        callee: LegSettings | None = None,
        transport: str = "udp",
    ) -> None:
        self.clock = SteppedClock()
        self.wire = Wire(self.clock, seed, faults)
        self.caller = LegHost(self.wire, CALLER, caller, transport)
        self.callee = LegHost(self.wire, CALLEE, callee, transport)
        self.transport = transport

    def dial(self, late: bool = False) -> Leg:
        to = f"sip:200@{CALLEE};transport={self.transport}"
        return self.caller.dial("out", to, offer=None if late else sdp(5000))

    @property
    def rung(self) -> Leg:
        """The callee's leg."""
        return next(iter(self.callee.legs.values()))

    def until(self, condition, longest: float = 40.0) -> None:
        end = self.clock.seconds() + longest
        while not condition():
            assert self.clock.seconds() < end, "it did not happen"
            self.clock.advance(0.05)

    def connect(self, late: bool = False) -> tuple[Leg, Leg]:
        outbound = self.dial(late)
        self.until(lambda: self.callee.legs)
        inbound = self.rung
        inbound.handle(commands.Answer(inbound.id, sdp(6000)))
        self.until(lambda: "Answered" in self.caller.events_of("out"))
        if late:
            outbound.handle(commands.AcceptOffer("out", sdp(5000)))
        self.until(lambda: inbound.state is State.CONFIRMED)
        return outbound, inbound

    def end(self) -> None:
        """Let everything come to its end."""
        for host in (self.caller, self.callee):
            for leg in host.legs.values():
                leg.handle(commands.HangUp(leg.id, DONE))
        self.clock.run_out(600)
        self.caller.check_rest()
        self.callee.check_rest()


def kinds(pair: Pair, outbound: Leg, inbound: Leg) -> tuple[list[str], list[str]]:
    return pair.caller.events_of(outbound.id), pair.callee.events_of(inbound.id)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_successful_session(transport):
    # RFC 3665 §3.1
    pair = Pair(transport=transport)
    outbound = pair.dial()
    pair.clock.advance(1)
    inbound = pair.rung
    assert inbound.offer == sdp(5000)
    inbound.handle(commands.Ring(inbound.id))
    pair.clock.advance(1)
    inbound.handle(commands.Answer(inbound.id, sdp(6000)))
    pair.clock.advance(1)
    assert pair.caller.told["out"] == [events.Ringing("out"), events.Answered("out", sdp(6000))]
    assert inbound.state is State.CONFIRMED
    outbound.handle(commands.HangUp("out", DONE))
    pair.clock.advance(1)
    assert pair.callee.told[inbound.id][-1].cause.slug == "answered-caller-hung-up"
    assert outbound.finished
    assert inbound.finished
    pair.end()


def test_late_offer():
    pair = Pair()
    outbound, inbound = pair.connect(late=True)
    assert kinds(pair, outbound, inbound) == (["Answered"], ["OfferAnswered"])
    pair.end()


def test_reliable_early_media():
    pair = Pair()
    outbound = pair.dial()
    pair.clock.advance(1)
    inbound = pair.rung
    inbound.handle(commands.Progress(inbound.id, sdp(6000)))
    inbound.handle(commands.Answer(inbound.id, sdp(6000)))
    pair.clock.advance(1)
    assert kinds(pair, outbound, inbound) == (["Progressing", "Answered"], [])
    methods = [request.method for _, request in pair.callee.requests]
    assert methods == ["INVITE", "PRACK"]
    pair.end()


def test_cancel():
    # RFC 3665 §3.8
    pair = Pair()
    outbound = pair.dial()
    pair.clock.advance(1)
    inbound = pair.rung
    inbound.handle(commands.Ring(inbound.id))
    pair.clock.advance(1)
    outbound.handle(commands.HangUp("out", cause_named("answered-elsewhere")))
    pair.clock.advance(1)
    assert pair.callee.told[inbound.id][-1].cause.slug == "answered-elsewhere"
    pair.end()


def test_busy():
    # RFC 3665 §3.9
    pair = Pair()
    outbound = pair.dial()
    pair.clock.advance(1)
    pair.rung.handle(commands.Reject(pair.rung.id, cause_named("busy")))
    pair.clock.advance(1)
    assert pair.caller.told["out"][-1].cause.slug == "busy"
    assert outbound.finished
    pair.end()


def test_nobody_there():
    # RFC 3665 §3.7
    pair = Pair()
    pair.wire.dark.add(CALLEE)
    outbound = pair.dial()
    pair.clock.advance(33)
    assert pair.caller.told["out"][-1].cause.slug == "callee-timeout"
    assert outbound.finished
    pair.end()


def test_both_offer_at_once():
    """Glare, and both come through: the owner of the Call-ID waits longer (RFC 3261 §14.1)."""
    pair = Pair(Faults(delay=(0.02, 0.03)))
    outbound, inbound = pair.connect()
    outbound.handle(commands.Offer("out", sdp(5002, 2)))
    inbound.handle(commands.Offer(inbound.id, sdp(6002, 2)))
    accepted = 0
    for _ in range(400):
        pair.clock.advance(0.05)
        for host, leg, port in ((pair.caller, outbound, 5002), (pair.callee, inbound, 6002)):
            if host.told[leg.id] and isinstance(host.told[leg.id][-1], events.Offered):
                host.told[leg.id].clear()
                leg.handle(commands.AcceptOffer(leg.id, sdp(port, 3)))
                accepted += 1
    assert accepted == 2
    assert outbound.usage.negotiation.local == inbound.usage.negotiation.remote
    assert outbound.usage.negotiation.remote == inbound.usage.negotiation.local
    pair.end()


def test_session_is_refreshed_for_an_hour():
    pair = Pair(caller=LegSettings(session_expires=90), callee=LegSettings(session_expires=90))
    outbound, inbound = pair.connect()
    pair.clock.advance(3600)
    assert (outbound.state, inbound.state) == (State.CONFIRMED, State.CONFIRMED)
    assert kinds(pair, outbound, inbound) == (["Answered"], [])
    pair.wire.dark.add(CALLER)
    pair.clock.advance(120)
    assert pair.callee.told[inbound.id][-1].cause.slug in ("caller-gone", "session-expired")
    assert pair.caller.told["out"][-1].cause.slug in ("callee-gone", "session-expired")
    pair.end()


@pytest.mark.parametrize("seed", range(25))
def test_calls_come_through_a_bad_network(seed):
    faults = Faults(loss=0.25, duplication=0.2, reordering=0.3, held_back=0.4, delay=(0.01, 0.2))
    pair = Pair(faults, seed)
    outbound, inbound = pair.connect(late=seed % 5 == 0)
    assert outbound.usage.negotiation.local == inbound.usage.negotiation.remote
    pair.wire.faults = Faults()
    pair.end()


class Machine(RuleBasedStateMachine):
    """Anything may be commanded at any time on either side, over any network. All comes to one end, and nothing is
    left."""

    @initialize(
        seed=st.integers(0, 2**16),
        bad=st.sampled_from((0.0, 0.0, 0.1, 0.3)),
        late=st.booleans(),
        answered=st.booleans(),
        caller=st.sampled_from(
            (LegSettings(), LegSettings(session_expires=90), LegSettings(reliable_provisionals=False))
        ),
        callee=st.sampled_from((LegSettings(), LegSettings(session_expires=120), LegSettings(session_expires=0))),
    )
    def begin(self, seed, bad, late, answered, caller, callee):
        faults = Faults(loss=bad, duplication=bad, reordering=bad, held_back=1.0, delay=(0.001, 0.2))
        self.pair = Pair(faults, seed, caller, callee)
        self.version = 10
        if answered:
            self.pair.connect(late)
        else:
            self.pair.dial(late)
            self.pair.clock.advance(0.5)

    def legs(self):
        return [(host, leg) for host in (self.pair.caller, self.pair.callee) for leg in host.legs.values()]

    def session(self, leg):
        """Return a new session of that leg's side."""
        self.version += 1
        return sdp(5000 if leg.id == "out" else 6000, self.version)

    def command(self, side, make):
        legs = self.legs()
        _, leg = legs[side % len(legs)]
        leg.handle(make(leg))

    @rule(side=st.integers(0, 1))
    def ring(self, side):
        self.command(side, lambda leg: commands.Ring(leg.id))

    @rule(side=st.integers(0, 1), ringing=st.booleans())
    def progress(self, side, ringing):
        self.command(side, lambda leg: commands.Progress(leg.id, self.session(leg), ringing))

    @rule(side=st.integers(0, 1))
    def answer(self, side):
        self.command(side, lambda leg: commands.Answer(leg.id, self.session(leg)))

    @rule(side=st.integers(0, 1), nothing=st.booleans())
    def offer(self, side, nothing):
        self.command(side, lambda leg: commands.Offer(leg.id, None if nothing else self.session(leg)))

    @rule(side=st.integers(0, 1))
    def accept(self, side):
        self.command(side, lambda leg: commands.AcceptOffer(leg.id, self.session(leg)))

    @rule(side=st.integers(0, 1), status=st.sampled_from((488, 491)))
    def decline(self, side, status):
        self.command(side, lambda leg: commands.DeclineOffer(leg.id, status))

    @rule(side=st.integers(0, 1), method=st.sampled_from(("INFO", "MESSAGE")))
    def inform(self, side, method):
        self.command(side, lambda leg: commands.Inform(leg.id, method, "text/plain", b"x"))

    @rule(seconds=st.sampled_from((0.01, 0.1, 0.3, 1.0, 5.0, 20.0)))
    def wait(self, seconds):
        self.pair.clock.advance(seconds)

    @precondition(lambda self: self.version > 12)
    @rule(side=st.integers(0, 1))
    def hang_up(self, side):
        self.command(side, lambda leg: commands.HangUp(leg.id, DONE))

    @precondition(lambda self: self.version > 12)
    @rule(side=st.integers(0, 1))
    def reject(self, side):
        self.command(side, lambda leg: commands.Reject(leg.id, cause_named("busy")))

    @precondition(lambda self: self.version > 20)
    @rule(host=st.sampled_from((CALLER, CALLEE)))
    def unplug(self, host):
        self.pair.wire.dark.add(host)

    @invariant()
    def nothing_went_wrong(self):
        if hasattr(self, "pair"):
            assert self.pair.caller.faults == []
            assert self.pair.callee.faults == []

    def teardown(self):
        if not hasattr(self, "pair"):
            return
        pair = self.pair
        pair.wire.faults = Faults()
        self.settle()
        outbound, inbound = pair.caller.legs["out"], next(iter(pair.callee.legs.values()), None)
        if not pair.wire.dark and inbound is not None and outbound.state is inbound.state is State.CONFIRMED:
            one, other = outbound.usage.negotiation, inbound.usage.negotiation
            assert (one.local, one.remote) == (other.remote, other.local)
        pair.end()
        for host, leg in self.legs():
            ends = [event for event in host.told[leg.id] if isinstance(event, (events.HungUp, events.Rejected))]
            assert len(ends) == 1

    def settle(self):
        """Answer what is open, until nothing happens any more."""
        for _ in range(80):
            for _, leg in self.legs():
                if leg.usage_with_open_offer() is not None:
                    leg.handle(commands.AcceptOffer(leg.id, self.session(leg)))
            self.pair.clock.advance(1.0)


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=120, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
