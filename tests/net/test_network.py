"""What stands between sockets and the driver: the wheel, keep-alives, our own addresses, the choice of a listener."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pbx.net.addresses import AddressBook, LocalNetworks, may_send_to
from pbx.net.clock import Clock, TwistedClock
from pbx.net.counters import COUNTERS, Counters
from pbx.net.keepalive import KeepAlives
from pbx.net.network import RealNetwork
from pbx.net.transport import Listener, family_of, show
from pbx.net.wheel import Wheel
from pbx.sip.stack import Flow
from tests.support.loopback import Heard, Waiting, World
from tests.support.network import SteppedClock

# The wheel


class Wheels:
    def __init__(self) -> None:
        self.stepped = SteppedClock()
        self.clock: Clock = self.stepped
        self.seen: list[tuple[str, float]] = []
        self.again: dict[str, float] = {}
        self.wheel: Wheel[str] = Wheel(self.clock, 1.0, self.due)

    def due(self, item: str, now: float) -> float | None:
        self.seen.append((item, now))
        return self.again.get(item)


@pytest.fixture
def wheels() -> Wheels:
    return Wheels()


def test_items_are_looked_at_when_due_and_at_most_a_tick_late(wheels: Wheels) -> None:
    for item, when in (("a", 3.2), ("b", 0.1), ("c", 3.0), ("d", 0.0)):
        wheels.wheel.put(item, when)
    wheels.stepped.run_out()
    assert sorted(item for item, _ in wheels.seen) == ["a", "b", "c", "d"]
    moments = dict(wheels.seen)
    assert moments["c"] == 3.0
    assert 3.2 <= moments["a"] <= 4.2
    assert moments["b"] <= 1.1
    assert len(wheels.wheel) == 0
    assert wheels.stepped.calls == []


def test_an_item_comes_back_as_long_as_it_says_so(wheels: Wheels) -> None:
    wheels.again["a"] = 5.0
    wheels.wheel.put("a", 1.0)
    wheels.stepped.advance(4)
    assert wheels.seen == [("a", 1.0)]
    wheels.again.clear()
    wheels.stepped.advance(2)
    assert wheels.seen == [("a", 1.0), ("a", 5.0)]
    assert wheels.stepped.calls == []


def test_a_time_in_the_past_is_the_next_tick_and_no_loop(wheels: Wheels) -> None:
    wheels.again["a"] = 0.0
    wheels.wheel.put("a", 0.0)
    wheels.stepped.advance(5.5)
    assert 4 <= len(wheels.seen) <= 6


def test_sooner_moves_forward_only(wheels: Wheels) -> None:
    wheels.wheel.put("a", 10.0)
    wheels.wheel.sooner("a", 20.0)
    wheels.wheel.sooner("a", 5.0)
    wheels.wheel.sooner("b", 7.0)
    wheels.stepped.run_out()
    assert wheels.seen == [("a", 5.0), ("b", 7.0)]


def test_what_is_removed_is_not_looked_at_even_by_its_neighbour() -> None:
    stepped = SteppedClock()
    seen: list[str] = []

    def due(item: str, now: float) -> None:
        seen.append(item)
        wheel.remove("b" if item == "a" else "a")

    wheel: Wheel[str] = Wheel(stepped, 1.0, due)
    wheel.put("a", 2.0)
    wheel.put("b", 2.0)
    wheel.put("c", 1.0)
    wheel.remove("c")
    wheel.remove("unknown")
    stepped.run_out()
    assert seen == ["a"]
    assert len(wheel) == 0


def test_one_that_raises_costs_no_other_its_turn() -> None:
    stepped = SteppedClock()
    seen: list[str] = []

    def due(item: str, now: float) -> None:
        if item == "broken":
            raise ZeroDivisionError
        seen.append(item)
        if item == "a":
            wheel.put("early", now - 10)

    wheel: Wheel[str] = Wheel(stepped, 1.0, due)
    for item in ("a", "broken", "b"):
        wheel.put(item, 2.0)
    wheel.put("c", 3.0)
    with pytest.raises(ZeroDivisionError):
        stepped.advance(2)
    stepped.run_out()
    assert sorted(seen) == ["a", "b", "c", "early"]


# Keep-alives


def flows(number: int) -> list[Flow]:
    return [Flow("udp", ("192.0.2.1", 5060), (f"10.0.{each // 256}.{each % 256}", 5060)) for each in range(number)]


def test_ten_thousand_flows_are_pinged_evenly() -> None:
    clock = SteppedClock()
    sent: list[tuple[float, Flow]] = []
    keeper = KeepAlives(clock, lambda flow: sent.append((clock.seconds(), flow)))
    for flow in flows(10_000):
        keeper.start(flow, 25.0)
    assert len(clock.calls) == 1
    clock.advance(26)
    sent.clear()
    clock.advance(25)
    assert len({flow for _, flow in sent}) == 10_000
    assert len(sent) <= 10_500
    by_tick: dict[float, int] = {}
    for when, _ in sent:
        by_tick[when] = by_tick.get(when, 0) + 1
    assert max(by_tick.values()) < 250
    keeper.stop()
    assert clock.calls == []


def test_the_shortest_interval_counts_and_the_last_one_to_let_go_ends_it() -> None:
    clock = SteppedClock()
    sent: list[float] = []
    keeper = KeepAlives(clock, lambda flow: sent.append(clock.seconds()))
    flow = flows(1)[0]
    slow = keeper.start(flow, 30.0)
    fast = keeper.start(flow, 10.0)
    clock.advance(100)
    assert 9 <= len(sent) <= 11
    fast()
    fast()
    sent.clear()
    clock.advance(100)
    assert 3 <= len(sent) <= 4
    slow()
    assert (len(keeper), clock.calls) == (0, [])


# Our own addresses


def test_the_kernel_says_from_where_a_peer_is_reached() -> None:
    clock = SteppedClock()
    book = AddressBook(clock.seconds)
    assert book.source_towards("127.0.0.1") == "127.0.0.1"
    assert book.source_towards("::1") == "::1"
    book._sources["192.0.2.9"] = ("10.9.9.9", 60.0)
    assert book.source_towards("192.0.2.9") == "10.9.9.9"
    clock.advance(61)
    assert book.source_towards("192.0.2.9") != "10.9.9.9"
    for number in range(5000):
        book._sources[str(number)] = ("", 0.0)
    book.source_towards("127.0.0.2")
    assert len(book._sources) == 1


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("198.51.100.1", ("203.0.113.5", 15060)),
        ("192.168.7.7", ("192.168.1.1", 5060)),
        ("10.0.0.1", ("203.0.113.5", 15060)),
    ],
)
def test_who_is_inside_sees_the_inner_address(peer: str, expected: tuple[str, int]) -> None:
    book = AddressBook(lambda: 0.0, ("192.168.0.0/16",))
    listener = Listener("udp", "192.168.1.1", 5060, ("203.0.113.5", 15060))
    assert book.advertised(listener, ("192.168.1.1", 5060), peer) == expected
    without_port = Listener("udp", "192.168.1.1", 5060, ("203.0.113.5", 0))
    assert book.advertised(without_port, ("192.168.1.1", 5060), "198.51.100.1") == ("203.0.113.5", 5060)
    assert book.advertised(Listener("udp", "192.168.1.1", 5060), ("192.168.1.1", 5060), peer)[0] == "192.168.1.1"


def test_a_listener_may_have_local_networks_of_its_own() -> None:
    book = AddressBook(lambda: 0.0, ("192.168.0.0/16",))
    inside = LocalNetworks(["10.0.0.0/8", "fc00::/7"])
    listener = Listener("udp", "192.168.1.1", 5060, ("203.0.113.5", 0), inside)
    own = ("192.168.1.1", 5060)
    for _ in range(2):  # the second answer is remembered
        assert book.advertised(listener, own, "10.1.2.3") == own
        assert book.advertised(listener, own, "192.168.7.7") == ("203.0.113.5", 5060)
    assert "fd00::1%eth0" in inside
    for number in range(5000):
        assert f"10.0.{number >> 8}.{number & 255}" in inside


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("192.0.2.1", True),
        ("2001:db8::1", True),
        ("fe80::1%eth0", True),
        ("255.255.255.255", False),
        ("239.1.2.3", False),
        ("ff02::1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_where_messages_may_go(host: str, good: bool) -> None:
    assert may_send_to(host) is good


# The choice of a listener


@pytest.fixture
def networks(world: World, counters: Counters, heard: Heard) -> Iterator[list[RealNetwork]]:
    networks: list[RealNetwork] = []
    yield networks
    for network in networks:
        network.stop()


def make(networks: list[RealNetwork], world: World, counters: Counters, heard: Heard, *hosts: str) -> RealNetwork:
    listeners = [Listener(kind, host, 0) for host in hosts for kind in ("udp", "tcp")]
    network = RealNetwork(world.reactor, world.clock, listeners, counters)
    networks.append(network)
    network.start(heard)
    return network


def test_a_request_leaves_by_the_listener_that_fits(
    networks: list[RealNetwork], world: World, counters: Counters, heard: Heard
) -> None:
    network = make(networks, world, counters, heard, "127.0.0.2", "127.0.0.1", "::1")
    bound = {(listener.transport, listener.host): local for listener, local in network.listening}
    for remote in ("127.0.0.1", "::1"):
        waiting = Waiting()
        network.connect("udp", (remote, 9), "", waiting)
        assert waiting.flow is not None
        assert waiting.flow.local == bound["udp", remote]
        assert network.sent_by(waiting.flow) == bound["udp", remote]
        assert network.sent_by_towards("tcp", remote) == bound["tcp", remote]
        assert network.listens("tcp", remote)
        assert network.offers("udp", remote)


def test_a_family_without_a_listener_is_not_offered(
    networks: list[RealNetwork], world: World, counters: Counters, heard: Heard
) -> None:
    network = make(networks, world, counters, heard, "127.0.0.1")
    waiting = Waiting()
    network.connect("udp", ("::1", 9), "", waiting)
    assert waiting.detail == "no UDP listener for IPv6"
    assert not network.offers("udp", "::1")
    assert not network.listens("tcp", "::1")
    assert not network.offers("tls", "127.0.0.1")
    stale = Flow("udp", ("127.0.0.1", 1), ("127.0.0.1", 9))
    assert network.send(stale, b"x") == "its listener is gone"
    assert not network.alive(stale)
    network.keep_alive(stale, 1.0)()


def test_a_wildcard_listener_tells_each_peer_the_address_that_it_sees(
    networks: list[RealNetwork], world: World, counters: Counters, heard: Heard
) -> None:
    network = make(networks, world, counters, heard, "0.0.0.0", "::")
    ports = {(listener.transport, listener.host): local[1] for listener, local in network.listening}
    assert network.sent_by_towards("udp", "127.0.0.1") == ("127.0.0.1", ports["udp", "0.0.0.0"])
    assert network.sent_by_towards("tcp", "::1") == ("::1", ports["tcp", "::"])
    flow = Flow("udp", ("127.0.0.7", ports["udp", "0.0.0.0"]), ("127.0.0.1", 9))
    assert network.alive(flow)
    assert network.sent_by(flow) == ("127.0.0.7", ports["udp", "0.0.0.0"])


def test_udp_flows_are_kept_alive(networks: list[RealNetwork], world: World, counters: Counters, heard: Heard) -> None:
    network = make(networks, world, counters, heard, "127.0.0.1")
    other = make(networks, world, counters, heard, "127.0.0.1")
    here, there = (each.listening[0][1] for each in (network, other))
    stop = network.keep_alive(Flow("udp", here, there), 1.0)
    world.until(lambda: counters["udp_keep_alives"] >= 1)
    stop()
    assert counters["keep_alives_sent"] >= 1


# Small things


def test_a_twisted_clock_serves_too() -> None:
    stepped = SteppedClock()
    clock = TwistedClock(stepped)
    ran: list[int] = []
    first, second = clock.later(1, lambda: ran.append(1)), clock.later(1, lambda: ran.append(2))
    second.cancel()
    stepped.advance(1)
    first.cancel()
    assert ran == [1]
    assert clock.seconds() == 1


def test_addresses_are_shown_as_in_a_uri() -> None:
    assert show(("192.0.2.1", 5060)) == "192.0.2.1:5060"
    assert show(("2001:db8::1", 5060)) == "[2001:db8::1]:5060"
    assert (family_of("192.0.2.1"), family_of("::1")) == (4, 6)


def test_every_counter_starts_at_zero() -> None:
    assert Counters() == dict.fromkeys(COUNTERS, 0)
