from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from pbx.security.edge import EdgeGuard, EdgeLimits, NetworkRule
from pbx.security.failures import FailureLimits
from pbx.security.scanners import Scanners
from pbx.security.sources import contains, source_of
from pbx.sip.stack import Flow

LIMITS = EdgeLimits(
    rate=10.0,
    burst=20.0,
    hosts=FailureLimits(free=2, ban_after=8, forgive_every=5.0),
    users=FailureLimits(free=1, ban_after=4),
)
PHONE, STRANGER = ("192.0.2.1", 5060), ("192.0.2.1", 40000)


def guard() -> EdgeGuard[tuple[str, int]]:
    return EdgeGuard(lambda way: way == PHONE, LIMITS)


def test_a_stranger_is_limited_and_the_phone_beside_it_is_not() -> None:
    edge = guard()
    passed = [sum(edge.admits(way, "192.0.2.1", 0.0) for _ in range(100)) for way in (STRANGER, PHONE)]
    assert passed == [20, 100]
    assert (edge.dropped_rate, edge.dropped_banned) == (80, 0)


def test_one_user_s_failures_ban_that_user_and_many_users_ban_the_host() -> None:
    edge = guard()
    for _ in range(5):
        penalty = edge.failed("192.0.2.1", "101", 0.0)
    assert penalty.banned
    assert edge.user_banned(STRANGER, "192.0.2.1", "101", 1.0)
    assert not edge.user_banned(STRANGER, "192.0.2.1", "102", 1.0)
    assert not edge.user_banned(STRANGER, "192.0.2.9", "101", 1.0)
    assert not edge.user_banned(PHONE, "192.0.2.1", "101", 1.0)
    assert edge.admits(STRANGER, "192.0.2.1", 1.0)
    for number in range(6):
        edge.failed("192.0.2.1", f"guess-{number}", 1.0)
    assert not edge.admits(STRANGER, "192.0.2.1", 2.0)
    assert edge.admits(PHONE, "192.0.2.1", 2.0)
    assert edge.dropped_banned == 1
    assert edge.admits(STRANGER, "192.0.2.1", 302.0)


def test_success_forgives_the_user_but_not_the_host() -> None:
    edge = guard()
    for number in range(9):
        edge.failed("192.0.2.1", f"guess-{number}", 0.0)
        edge.succeeded("192.0.2.1", "mine")
    assert not edge.admits(STRANGER, "192.0.2.1", 0.0)


def test_garbage_bans_its_sender() -> None:
    edge = guard()
    for _ in range(9):
        edge.offended(("192.0.2.7", 1), "192.0.2.7", 0.0)
    assert not edge.admits(("192.0.2.7", 1), "192.0.2.7", 0.0)


def test_a_rate_of_nothing_is_no_limit() -> None:
    edge: EdgeGuard[tuple[str, int]] = EdgeGuard(lambda way: False, EdgeLimits(rate=0.0))
    assert all(edge.admits(STRANGER, "192.0.2.1", 0.0) for _ in range(5000))


SCAN = b"OPTIONS sip:100@h SIP/2.0\r\nUser-Agent: friendly-scanner\r\n\r\n"


def banning(**changes: object) -> EdgeGuard[tuple[str, int]]:
    return EdgeGuard(lambda way: way == PHONE, replace(LIMITS, **changes))  # type: ignore[arg-type]


def test_a_scanner_is_dropped_and_banned_and_a_phone_that_calls_itself_so_is_not() -> None:
    edge = banning(scanners=Scanners())
    assert edge.admits(PHONE, "192.0.2.1", 0.0, SCAN)
    assert not edge.admits(STRANGER, "192.0.2.1", 0.0, SCAN)
    assert not edge.admits(STRANGER, "192.0.2.1", 1.0, b"OPTIONS sip:h SIP/2.0\r\n\r\n")
    assert edge.dropped == {"banned": 1, "rate": 0, "scanner": 1, "blocked": 0}
    assert [ban.reason for ban in edge.bans] == ["scanner: friendly-scanner"]


def test_who_tries_name_after_name_is_banned_and_an_office_is_not() -> None:
    edge = banning(names=5, numbers=3)
    for number in range(60):
        edge.tried(STRANGER, "192.0.2.50", str(number), number * 0.5)
        edge.succeeded("192.0.2.50", str(number), str(number))
    assert edge.admits(STRANGER, "192.0.2.50", 40.0)
    for number in range(60):
        edge.tried(STRANGER, "192.0.2.51", str(number), number * 0.5)
    assert not edge.admits(STRANGER, "192.0.2.51", 31.0)
    for number in range(60):
        edge.tried(STRANGER, "192.0.2.52", "101", number * 0.5, f"00{number}972")
    assert not edge.admits(STRANGER, "192.0.2.52", 31.0)
    for number in range(60):
        edge.tried(PHONE, "192.0.2.1", str(number), number * 0.5)
    assert edge.admits(STRANGER, "192.0.2.1", 31.0)


def test_networks_have_limits_of_their_own() -> None:
    edge = banning(
        scanners=Scanners(),
        networks=(
            NetworkRule(ip_network("10.0.0.0/8"), rate=0.0),
            NetworkRule(ip_network("10.1.0.0/16"), rate=1.0, burst=2.0, ban=False),
        ),
    )
    passed = [sum(edge.admits(STRANGER, host, 0.0) for _ in range(50)) for host in ("10.0.0.1", "10.1.0.1", "9.9.9.9")]
    assert passed == [50, 2, 20]
    edge = banning(scanners=Scanners(), networks=(NetworkRule(ip_network("10.1.0.0/16"), ban=False),))
    assert edge.admits(STRANGER, "10.1.0.1", 9.0, SCAN)
    for _ in range(50):
        penalty = edge.failed("10.1.0.1", "101", 10.0)
    assert penalty.delay == 8.0
    assert edge.admits(STRANGER, "10.1.0.1", 40.0)


def test_the_addresses_of_one_ipv6_network_are_one_stranger() -> None:
    edge = guard()
    passed = sum(edge.admits(STRANGER, f"2001:db8::{number:x}", 0.0) for number in range(1, 100))
    assert passed == 20


def test_what_is_blocked_is_blocked_for_known_ones_too() -> None:
    flow = Flow("udp", ("192.0.2.200", 5060), ("192.0.2.1", 5060))
    other = Flow("udp", ("192.0.2.200", 5070), ("192.0.2.1", 5060))
    edge: EdgeGuard[Flow] = EdgeGuard(
        lambda way: True,
        EdgeLimits(blocked=(ip_network("198.51.100.0/24"),), listeners={("udp", 5070): (ip_network("10.0.0.0/8"),)}),
    )
    assert edge.admits(flow, "192.0.2.1", 0.0)
    assert not edge.admits(other, "192.0.2.1", 0.0)
    assert edge.admits(other, "10.0.0.9", 0.0)
    assert not edge.admits(flow, "198.51.100.7", 0.0)
    assert edge.dropped["blocked"] == 2
    assert edge.refuses("198.51.100.7")
    assert not edge.refuses("192.0.2.1")


def test_an_operator_bans_and_lifts() -> None:
    edge = guard()
    edge.ban("2001:db8::1", "operator", 60.0)
    assert not edge.admits(STRANGER, "2001:db8::77", 1.0)
    assert edge.refuses("2001:db8::2")
    assert edge.lift("2001:db8::3")
    assert not edge.lift("2001:db8::3")
    assert edge.admits(STRANGER, "2001:db8::77", 2.0)


def test_new_limits_leave_bans_as_they_are() -> None:
    edge = guard()
    edge.ban("192.0.2.9", "operator", 60.0)
    edge.reconfigure(replace(LIMITS, rate=1.0, burst=1.0))
    assert not edge.admits(STRANGER, "192.0.2.9", 1.0)
    assert [edge.admits(STRANGER, "192.0.2.8", 1.0) for _ in range(2)] == [True, False]


def test_guesses_from_many_addresses_are_slowed_down_and_the_user_is_not_shut_out() -> None:
    edge = guard()
    waits = [edge.failed(f"198.51.{number // 250}.{number % 250}", "101", 0.0).delay for number in range(500)]
    assert waits[:50] == [0.0] * 50
    assert sum(waits[50:]) > 440 * 8 - 30
    assert not edge.user_banned(STRANGER, "203.0.113.9", "101", 1.0)
    assert edge.failed("203.0.113.9", "102", 1.0).delay == 0.0


def test_who_goes_on_guessing_for_a_banned_user_is_banned_altogether() -> None:
    edge = guard()
    for _ in range(5):
        edge.failed("192.0.2.1", "101", 0.0)
    assert edge.admits(STRANGER, "192.0.2.1", 0.0)
    for _ in range(4):
        edge.persisted("192.0.2.1", 0.0)
    assert not edge.admits(STRANGER, "192.0.2.1", 0.0)


def test_an_address_of_ipv4_is_the_same_over_a_socket_for_both_families() -> None:
    """RFC 4291 §2.5.5.2: such a socket says ::ffff:192.0.2.1."""
    assert source_of("::ffff:192.0.2.1") == source_of("192.0.2.1") != source_of("::ffff:192.0.2.2")
    assert contains((ip_network("192.0.2.0/24"),), "::ffff:192.0.2.1")
    assert not contains((ip_network("192.0.2.0/24"),), "::ffff:192.0.3.1")


def ban_lengths(transport: str) -> list[float]:
    """Return how long a source is banned that is caught again each time that a ban is over."""
    edge: EdgeGuard[Flow] = EdgeGuard(lambda way: False, replace(LIMITS, scanners=Scanners()))
    way, now, found = Flow(transport, ("192.0.2.200", 5060), ("192.0.2.1", 40000)), 1000.0, []
    for _ in range(4):
        assert not edge.admits(way, "192.0.2.1", now, SCAN)
        (ban,) = edge.bans
        found.append(ban.until - now)
        now = ban.until + 1
    return found


def test_what_a_datagram_says_of_its_source_makes_no_ban_longer() -> None:
    """Anybody may write an office's address into a datagram; a connection has to be answered."""
    assert ban_lengths("udp") == [300.0, 300.0, 300.0, 300.0]
    assert ban_lengths("tls") == [300.0, 600.0, 1200.0, 2400.0]
