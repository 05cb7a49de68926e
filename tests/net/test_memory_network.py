"""The in-memory network of the tests keeps what it promises."""

from __future__ import annotations

from pbx.net.transport import Address, Listener
from pbx.sip.stack import Flow
from tests.support.network import Faults, MemoryNetwork, Nat, SteppedClock, Wire

SERVER = ("192.0.2.1", 5060)
OPTIONS = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n"


class Recorder:
    def __init__(self, clock: SteppedClock) -> None:
        self.clock = clock
        self.messages: list[tuple[float, bytes, Flow]] = []
        self.refused: list[Address] = []
        self.gone: list[Flow] = []
        self.flows: list[Flow] = []
        self.reasons: list[str] = []

    def received(self, data: bytes, flow: Flow) -> None:
        self.messages.append((self.clock.seconds(), data, flow))

    def unreachable(self, remote: Address, detail: str) -> None:
        self.refused.append(remote)

    def closed(self, flow: Flow, detail: str) -> None:
        self.gone.append(flow)

    def connected(self, flow: Flow) -> None:
        self.flows.append(flow)

    def not_connected(self, detail: str) -> None:
        self.reasons.append(detail)


def host(wire: Wire, *listeners: Listener, nat: Nat | None = None) -> tuple[MemoryNetwork, Recorder]:
    network, recorder = MemoryNetwork(wire, list(listeners), nat=nat), Recorder(wire.clock)
    network.start(recorder)
    return network, recorder


def test_a_doubling_timer_steps_to_each_due_call():
    clock = SteppedClock()
    fired = []

    def fire(interval: float) -> None:
        fired.append(clock.seconds())
        clock.callLater(interval * 2, fire, interval * 2)

    clock.callLater(0.5, fire, 0.5)
    clock.advance(32)
    assert fired == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert clock.seconds() == 32


def test_a_later_call_can_be_cancelled_also_after_it_ran():
    clock = SteppedClock()
    fired = []
    timer = clock.later(1, lambda: fired.append("kept"))
    clock.later(1, lambda: fired.append("cancelled")).cancel()
    clock.advance(1)
    timer.cancel()
    assert fired == ["kept"]


def run_badly(seed: int) -> list[tuple[float, bytes, Flow]]:
    wire = Wire(SteppedClock(), seed, Faults(loss=0.2, duplication=0.2, reordering=0.3, delay=(0.01, 0.05)))
    _, heard = host(wire, Listener("udp", *SERVER))
    phone, _ = host(wire, Listener("udp", "192.0.2.2", 5060))
    for number in range(200):
        phone.send(Flow("udp", ("192.0.2.2", 5060), SERVER), b"%d" % number)
    wire.clock.advance(1)
    return heard.messages


def test_faults_happen_and_repeat_for_the_same_seed():
    first = run_badly(1)
    numbers = [int(data) for _, data, _ in first]
    assert len(set(numbers)) < 200
    assert len(numbers) > len(set(numbers))
    assert numbers != sorted(numbers)
    assert all(0.01 <= moment <= 0.15 for moment, _, _ in first)
    assert run_badly(1) == first
    assert run_badly(2) != first


def test_a_closed_port_refuses_and_a_missing_host_is_silent():
    wire = Wire(SteppedClock())
    host(wire, Listener("udp", *SERVER))
    phone, heard = host(wire, Listener("udp", "192.0.2.2", 5060))
    phone.send(Flow("udp", ("192.0.2.2", 5060), ("192.0.2.1", 9)), b"x")
    phone.send(Flow("udp", ("192.0.2.2", 5060), ("192.0.2.99", 9)), b"x")
    wire.clock.advance(1)
    assert heard.refused == [("192.0.2.1", 9)]
    assert [datagram.fate for datagram in wire.log] == ["unreachable", "carried"]


def test_drops_on_demand():
    wire = Wire(SteppedClock())
    _, heard = host(wire, Listener("udp", *SERVER))
    phone, _ = host(wire, Listener("udp", "192.0.2.2", 5060))
    wire.drop_next(2, holding=b"a")
    for data in (b"a1", b"b1", b"a2", b"a3"):
        phone.send(Flow("udp", ("192.0.2.2", 5060), SERVER), data)
    wire.clock.advance(0)
    assert [data for _, data, _ in heard.messages] == [b"b1", b"a3"]


def test_nat_maps_filters_and_rebinds():
    wire = Wire(SteppedClock())
    server, heard = host(wire, Listener("udp", *SERVER))
    stranger, _ = host(wire, Listener("udp", "192.0.2.66", 5060))
    nat = Nat(wire, "198.51.100.7", lifetime=60)
    phone, answers = host(wire, Listener("udp", "10.0.0.2", 5060), nat=nat)
    out = Flow("udp", ("10.0.0.2", 5060), SERVER)

    phone.send(out, b"one")
    wire.clock.advance(0)
    seen = heard.messages[0][2]
    assert seen.remote[0] == "198.51.100.7"
    assert seen.remote[1] != 5060
    server.send(seen, b"answer")
    stranger.send(Flow("udp", ("192.0.2.66", 5060), seen.remote), b"from a stranger")
    wire.clock.advance(0)
    assert [data for _, data, _ in answers.messages] == [b"answer"]

    nat.rebind()
    phone.send(out, b"two")
    server.send(seen, b"to the old port")
    wire.clock.advance(61)
    server.send(heard.messages[1][2], b"too late")
    wire.clock.advance(0)
    assert heard.messages[1][2].remote != seen.remote
    assert len(answers.messages) == 1


def test_streams_keep_order_in_pieces_and_answer_pings():
    wire = Wire(SteppedClock(), faults=Faults(delay=(0.01, 0.2), fragmentation=True))
    _, heard = host(wire, Listener("tcp", *SERVER))
    phone, told = host(wire, Listener("tcp", "192.0.2.2", 5060))
    phone.connect("tcp", SERVER, "", told)
    wire.clock.advance(1)
    phone.connect("tcp", SERVER, "", told)
    assert told.flows[0] == told.flows[1]
    for number in range(20):
        phone.send(told.flows[0], OPTIONS.replace(b"a@b", b"%d@b" % number))
        phone.send(told.flows[0], b"\r\n\r\n")
    wire.clock.advance(10)
    assert [data.split(b"@")[0] for _, data, _ in heard.messages] == [b"OPTIONS sip:%d" % n for n in range(20)]

    phone.break_streams()
    assert told.gone == [told.flows[0]]
    assert len(heard.gone) == 1
    assert phone.send(told.flows[0], OPTIONS) != ""
    assert wire.idle()


def test_a_stream_is_refused_where_nobody_listens():
    wire = Wire(SteppedClock())
    phone, told = host(wire, Listener("tcp", "192.0.2.2", 5060), Listener("tls", "192.0.2.2", 5061))
    phone.connect("tcp", SERVER, "", told)
    wire.clock.advance(0)
    assert told.reasons == ["connection refused"]
    assert not phone.offers("udp", SERVER[0])
    assert phone.offers("tls", SERVER[0])
