"""Two layers over a bad network, driven at random: each request ends exactly once, and nothing is left behind."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from pbx.sip.layer import TransactionLayer
from pbx.sip.message import Request
from pbx.sip.server import ServerTransaction
from pbx.sip.stack import Flow
from tests.support.network import Faults, Nat, SteppedClock, Wire
from tests.support.peer import Outcome, Peer
from tests.support.sip import counted_ids, request

ADDRESSES = (("192.0.2.1", 5060), ("192.0.2.2", 5060))
PROBABILITY = st.sampled_from([0.0, 0.1, 0.5, 0.9])


class TwoLayers(RuleBasedStateMachine):
    """Both ends send requests, answer what they were asked (or don't), and cancel."""

    @initialize(
        transport=st.sampled_from(["udp", "udp", "tcp"]),
        seed=st.integers(0, 2**32),
        loss=PROBABILITY,
        duplication=PROBABILITY,
        reordering=PROBABILITY,
        slow=st.sampled_from([0.0, 0.02, 0.3, 2.0]),
        nat=st.booleans(),
    )
    def build(
        self, transport: str, seed: int, loss: float, duplication: float, reordering: float, slow: float, nat: bool
    ) -> None:
        self.clock = SteppedClock()
        faults = Faults(loss, duplication, reordering, delay=(0.0, slow), fragmentation=True)
        self.wire = Wire(self.clock, seed, faults)
        self.transport = transport
        # Behind a NAT the first one can only call out.
        self.nat = Nat(self.wire, "198.51.100.7") if nat and transport == "udp" else None
        self.peers = [
            Peer(self.wire, ADDRESSES[0], (transport,), self.nat),
            Peer(self.wire, ADDRESSES[1], (transport,)),
        ]
        self.waiting: list[tuple[Peer, ServerTransaction]] = []
        self.outcomes: list[tuple[Peer, Outcome]] = []
        self.calls = 0
        for peer in self.peers:
            peer.answer = self.holder(peer)

    def holder(self, peer: Peer):  # type: ignore[no-untyped-def]
        def hold(transaction: ServerTransaction, message: Request) -> None:
            assert not transaction.final_sent
            self.waiting.append((peer, transaction))

        return hold

    @rule(sender=st.integers(0, 1), method=st.sampled_from(["INVITE", "INVITE", "OPTIONS", "MESSAGE", "BYE"]))
    def send(self, sender: int, method: str) -> None:
        if self.nat is not None:
            sender = 0
        self.calls += 1
        message = request(method, call_id=f"call-{self.calls}", body=b"x" * (self.calls % 3))
        outcome = self.peers[sender].send(message, ADDRESSES[1 - sender], self.transport)
        self.outcomes.append((self.peers[sender], outcome))

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 100), status=st.sampled_from([100, 180, 183, 200, 200, 302, 408, 486, 503, 603]))
    def answer(self, which: int, status: int) -> None:
        peer, transaction = self.waiting[which % len(self.waiting)]
        peer.say(transaction, status)

    @precondition(lambda self: self.outcomes)
    @rule(which=st.integers(0, 100))
    def cancel(self, which: int) -> None:
        peer, outcome = self.outcomes[which % len(self.outcomes)]
        if outcome.request.method == "INVITE" and outcome.transaction is not None:
            peer.cancel(outcome)

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0, 4.0, 33.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.nat is not None)
    @rule()
    def rebind(self) -> None:
        assert self.nat is not None
        self.nat.rebind()

    @rule()
    def break_connections(self) -> None:
        for peer in self.peers:
            peer.network.break_streams()

    @rule(host=st.integers(0, 1))
    def unplug_and_plug(self, host: int) -> None:
        self.wire.dark ^= {ADDRESSES[host][0]}

    def teardown(self) -> None:
        if not hasattr(self, "clock"):
            return
        self.clock.advance(40)
        for peer, transaction in self.waiting:
            if not transaction.final_sent:
                peer.say(transaction, 480)
        self.clock.run_out()
        for _, outcome in self.outcomes:
            assert len(outcome.failures) <= 1
            if outcome.failures:
                assert outcome.finals == [], outcome
            elif outcome.request.method == "INVITE" and outcome.finals[0] < 300:
                assert set(outcome.finals) == {200}
            else:
                assert len(outcome.finals) == 1, outcome
        for peer in self.peers:
            assert peer.layer.leftovers() == []
            assert peer.layer.next_timer() is None


TwoLayers.TestCase.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_two_layers = TwoLayers.TestCase


UDP = Flow("udp", ADDRESSES[0], ADDRESSES[1])
MESSAGES = [
    request("INVITE").to_bytes(),
    request("ACK", to_tag="x").to_bytes(),
    request("CANCEL").to_bytes(),
    b"SIP/2.0 200 OK\r\n" + request("INVITE").to_bytes().split(b"\r\n", 1)[1],
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400), st.binary(max_size=6)), min_size=1, max_size=5))
def test_whatever_arrives_raises_nothing_and_is_accounted_for(changes: list[tuple[int, int, bytes]]):
    layer = TransactionLayer(counted_ids())
    for kind, place, octets in changes:
        message = MESSAGES[kind]
        place %= len(message)
        data = message[:place] + octets + message[place + len(octets) :]
        effects = layer.receive(data, UDP, 0.0)
        assert effects, "neither told, answered nor counted"
    for data in (b"", bytes(range(256)), MESSAGES[0][:40]):
        assert layer.receive(data, UDP, 0.0)
