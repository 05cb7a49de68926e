"""What configuration says of signalling, seen from the phones and carriers of a running server."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbx.net.certificates import ensure_certificate
from pbx.sip.digest.client import Challenge
from pbx.sip.message import Request, Response
from tests.support.loopback import World
from tests.support.pbx import LOOPBACK, Connect, Pbx, Phone, Serve, free_ports, sdp

PHONES = """
extensions:
  "101": {password: wonderland}
  "102": {password: looking-glass}
"""
PLAN = """
routes:
  - {name: carrier, when: {from: extension, number: "7X"}, do: [{dial: trunk/carrier}]}
  - {name: either, when: {from: extension, number: "8X"}, do: [{dial: [trunk/other, trunk/carrier]}]}
  - {name: echo, when: {number: "600"}, do: [echo]}
"""


def sip(text: str = "", listen: str = f'["udp://{LOOPBACK}:0"]') -> str:
    return f"sip: {{listen: {listen}{', ' if text else ''}{text}}}\n"


def trunks(carrier: int, other: int | str = 9, options: str = "") -> str:
    other = other if isinstance(other, str) else f"sip:{LOOPBACK}:{other}"
    return (
        f'trunks:\n  carrier: {{address: "sip:{LOOPBACK}:{carrier}", identify: "{LOOPBACK}:{carrier}"{options}}}\n'
        f'  other: {{address: "{other}", identify: []{options}}}\n'
    )


def bridge(serve: Serve, phone: Connect, text: str = "", more: str = "", listen: str = f'["udp://{LOOPBACK}:0"]'):
    """Return a server with a phone and a carrier."""
    (port,) = free_ports()
    pbx = serve(sip(text, listen) + PHONES + trunks(port) + more, PLAN)
    return pbx, phone(pbx, "101", "wonderland"), phone(pbx, port=port)


# Who we are


def test_what_we_call_ourselves(serve: Serve, phone: Connect) -> None:
    for text, expected in (("", "Tandem"), ("user_agent: Exchange/1", "Exchange/1"), ("user_agent: ''", None)):
        _, alice, line = bridge(serve, phone, text)
        alice.dial("70")
        invite = line.request("INVITE")
        assert invite.headers.get("User-Agent") == expected
        assert line.answer(invite, 486)
        assert alice.wait(lambda one: isinstance(one, Response) and one.status == 486).headers.get("Server") == expected
        assert alice.ask("OPTIONS").headers.get("Server") == expected


def test_our_domain_and_its_aliases(serve: Serve, phone: Connect) -> None:
    pbx = serve(sip("domain: PBX.example, aliases: [Old.example, sip.old.example]") + PHONES)
    alice, bob = phone(pbx, "101", "wonderland"), phone(pbx, "102", "looking-glass")
    for host in ("pbx.example", "old.example", "sip.old.example", LOOPBACK):
        to = ("To", f"<sip:102@{host}>")
        assert bob.ask("REGISTER", f"sip:{host}", headers=[to, ("Expires", "600")]).status == 200
    assert bob.ask("REGISTER", "sip:other.example", headers=[("To", "<sip:102@other.example>")]).status == 404
    alice.dial("102")
    assert bob.request("INVITE").from_.uri.host == "pbx.example"
    assert len(list(pbx.server.location)) == 1


def test_without_a_domain_any_is_ours(serve: Serve, phone: Connect) -> None:
    pbx = serve(PHONES)
    bob = phone(pbx, "102", "looking-glass")
    assert bob.ask("REGISTER", "sip:other.example", headers=[("To", "<sip:102@other.example>")]).status == 200


@pytest.mark.parametrize(
    ("text", "listen", "told"),
    [
        ("external_address: 203.0.113.7", "", LOOPBACK),
        ("external_address: 203.0.113.7, local_networks: [10.0.0.0/8]", "", "203.0.113.7"),
        ("external_address: 203.0.113.7, local_networks: []", ", external_address: 203.0.113.8", "203.0.113.8"),
        ("external_address: 203.0.113.7", ", local_networks: []", "203.0.113.7"),
        ("external_address: 203.0.113.7, local_networks: []", ", local_networks: 127.0.0.0/8", LOOPBACK),
    ],
)
def test_the_address_that_peers_are_told(serve: Serve, phone: Connect, text: str, listen: str, told: str) -> None:
    _, alice, line = bridge(serve, phone, text, listen=f'[{{uri: "udp://{LOOPBACK}:0"{listen}}}]')
    alice.dial("70")
    invite = line.request("INVITE")
    assert (invite.top_via.host, invite.contacts[0].uri.host) == (told, told)


def test_an_external_address_is_for_listeners_of_its_family(serve: Serve) -> None:
    listen = '["udp://[::1]:0", "udp://127.0.0.1:0", {uri: "tcp://[::1]:0", external_address: "2001:db8::9"}]'
    network = serve(sip("external_address: 203.0.113.7", listen)).server.network
    told = {(listener.host, listener.transport): listener.external for listener, _ in network.listening}
    assert told == {
        ("::1", "udp"): None,
        ("127.0.0.1", "udp"): ("203.0.113.7", 0),
        ("::1", "tcp"): ("2001:db8::9", 0),
    }


def test_hops_of_calls_that_begin_here_and_of_others(serve: Serve, phone: Connect) -> None:
    _, alice, line = bridge(serve, phone, "max_forwards: 17")
    for header, expected in (("30", 29), ("", 17)):
        sent = alice.compose("INVITE", f"sip:70@{LOOPBACK}", sdp())
        challenged = _said(alice, sent)
        again = alice.compose("INVITE", f"sip:70@{LOOPBACK}", sdp(), [alice.proof(sent, challenged)])
        again.headers.set("Max-Forwards", header) if header else again.headers.remove("Max-Forwards")
        alice.say(again)
        assert line.request("INVITE").max_forwards == expected


def _said(one: Phone, sent: Request) -> Response:
    one.say(sent)
    final = one.final(sent)
    one.acknowledge(sent, final)
    return final


# Sockets


def test_packets_are_marked_and_buffers_sized(serve: Serve, phone: Connect, world: World) -> None:
    listen = f'["udp://{LOOPBACK}:0", "tcp://{LOOPBACK}:0"]'
    (port,) = free_ports()
    plain = socket.create_server((LOOPBACK, 0))
    other = f"sip:{LOOPBACK}:{plain.getsockname()[1]};transport=tcp"
    pbx = serve(sip("dscp: 34, receive_buffer: 64KiB", listen) + PHONES + trunks(port, other), PLAN)
    alice = phone(pbx, "101", "wonderland")
    alice.socket.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    alice.say(alice.compose("OPTIONS", f"sip:{LOOPBACK}"))
    marks: list[int] = []

    def come() -> bool:
        try:
            _, ancillary, _, _ = alice.socket.recvmsg(65535, 64)
        except BlockingIOError:
            return False
        marks.append(ancillary[0][2][0])
        return True

    world.until(come)
    assert marks == [34 << 2]
    assert pbx.server.network._udp[0]._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 65536
    phone(pbx, transport="tcp").ask("OPTIONS")
    alice.dial("80")
    world.until(lambda: len(pbx.server.network._streams["tcp"]._everyone) == 2)
    plain.close()
    for connection in pbx.server.network._streams["tcp"]._everyone:
        sock = connection.transport.getHandle()
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 34 << 2


def test_connections_have_limits(serve: Serve, phone: Connect, world: World) -> None:
    listen = f'["udp://{LOOPBACK}:0", "tcp://{LOOPBACK}:0"]'
    pbx = serve(sip("tcp: {max_connections: 3, max_connections_per_address: 2, max_message: 4KiB}", listen))
    first, second = (phone(pbx, transport="tcp") for _ in range(2))
    assert first.ask("OPTIONS").status == second.ask("OPTIONS").status == 200
    third = phone(pbx, transport="tcp")
    _closes(world, third)
    elsewhere = phone(pbx, transport="tcp", host="127.0.0.2")
    assert elsewhere.ask("OPTIONS").status == 200
    _closes(world, phone(pbx, transport="tcp", host="127.0.0.3"))
    large = first.compose("OPTIONS", f"sip:{LOOPBACK}", b"x" * 3000, [("X-Long", "y" * 1500)])
    first.say(large)
    assert first.final(large).status == 513
    _closes(world, first)
    second.say(second.compose("OPTIONS", f"sip:{LOOPBACK}", b"x" * 3000))
    assert second.wait(lambda one: isinstance(one, Response)).status == 200


def _closes(world: World, one: Phone, longest: float = 5.0) -> float:
    began = time.monotonic()

    def closed() -> bool:
        one.listen()
        return one.closed

    world.until(closed, longest)
    return time.monotonic() - began


def test_idle_connections_are_closed(serve: Serve, phone: Connect, world: World) -> None:
    listen = f'["udp://{LOOPBACK}:0", "tcp://{LOOPBACK}:0"]'
    pbx = serve(sip("tcp: {idle_timeout: 1s, handshake_timeout: 20s}", listen))
    one = phone(pbx, transport="tcp")
    assert one.ask("OPTIONS").status == 200
    assert 0.5 < _closes(world, one) < 4


def test_connections_that_say_nothing_are_closed(serve: Serve, phone: Connect, world: World, tmp_path: Path) -> None:
    listen = f'["tcp://{LOOPBACK}:0", "tls://{LOOPBACK}:0"]'
    pbx = serve(sip("tcp: {handshake_timeout: 1s}", listen))
    assert 0.5 < _closes(world, phone(pbx, transport="tcp")) < 4
    tls = Phone(world, pbx.address("tls"), tcp=True)
    assert 0.5 < _closes(world, tls) < 4
    tls.close()


def test_a_connection_of_ours_that_takes_too_long_is_given_up(serve: Serve, phone: Connect) -> None:
    with socket.create_server((LOOPBACK, 0), backlog=0) as full, crowd(full, 3):
        (port,) = free_ports()
        other = f"sip:{LOOPBACK}:{full.getsockname()[1]};transport=tcp"
        pbx = serve(sip("tcp: {connect_timeout: 300ms}") + PHONES + trunks(port, other), PLAN)
        alice, line = phone(pbx, "101", "wonderland"), phone(pbx, port=port)
        began = time.monotonic()
        alice.dial("80")
        line.request("INVITE", 3.0)
        assert 0.25 < time.monotonic() - began < 2.5


@contextlib.contextmanager
def crowd(full: socket.socket, number: int) -> Iterator[None]:
    """Fill the queue of a listening socket that nobody takes from, so that the next SYN gets no answer."""
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        time.sleep(0.05)
        yield


# TLS


NOW = datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.UTC)


def certificate(folder: Path, host: str) -> tuple[Path, Path]:
    return ensure_certificate(folder / host, host, [LOOPBACK], NOW)


def names_shown(pbx: Pbx, world: World, place: int) -> str:
    """Return the certificate that a TLS listener shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sock = socket.create_connection(pbx.address("tls", place))
    sock.setblocking(False)
    tls = context.wrap_socket(sock, do_handshake_on_connect=False)

    def shaken() -> bool:
        try:
            tls.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        return True

    world.until(shaken)
    shown = tls.getpeercert(binary_form=True)
    tls.close()
    assert shown is not None
    return ssl.DER_cert_to_PEM_cert(shown)


def test_each_listener_shows_its_certificate(serve: Serve, world: World, tmp_path: Path) -> None:
    (one, one_key), (two, two_key) = (certificate(tmp_path, host) for host in ("one.example", "two.example"))
    listen = f'["tls://{LOOPBACK}:0", {{uri: "tls://{LOOPBACK}:0", certificate: {two}, key: {two_key}}}]'
    pbx = serve(sip(f"certificate: {one}, key: {one_key}", listen))
    assert names_shown(pbx, world, 0) == one.read_text()
    assert names_shown(pbx, world, 1) == two.read_text()
    assert not (pbx.folder / "var" / "tls-certificate.pem").exists()


def test_a_listener_without_a_certificate_has_one_made(serve: Serve, world: World, tmp_path: Path) -> None:
    two, two_key = certificate(tmp_path, "two.example")
    listen = f'["tls://{LOOPBACK}:0", {{uri: "tls://{LOOPBACK}:0", certificate: {two}, key: {two_key}}}]'
    pbx = serve(sip("domain: own.example", listen))
    assert names_shown(pbx, world, 0) == (pbx.folder / "var" / "tls-certificate.pem").read_text()
    assert names_shown(pbx, world, 1) == two.read_text()


@pytest.mark.parametrize(
    ("trusted", "options", "reached"),
    [(False, "", False), (False, ", verify: false", True), (True, "", True)],
)
def test_a_trunk_must_prove_who_it_is(
    serve: Serve, phone: Connect, world: World, tmp_path: Path, trusted: bool, options: str, reached: bool
) -> None:
    one, key = certificate(tmp_path, "carrier.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(one, key)
    with socket.create_server((LOOPBACK, 0)) as server:
        server.setblocking(False)
        address = f"sip:{LOOPBACK}:{server.getsockname()[1]};transport=tls"
        authorities = f"authorities: {one}" if trusted else ""
        pbx = serve(
            sip(authorities) + PHONES + trunks(9, address, options).replace("carrier:", "spare:", 1),
            """
routes: [{name: other, when: {from: extension, number: "8X"}, do: [{dial: trunk/other}]}]
""",
        )
        alice = phone(pbx, "101", "wonderland")
        invite = alice.dial("80")
        got = _take_tls(world, server, context, alice)
        assert got.startswith(b"INVITE ") is reached
        if not reached:
            assert alice.final(invite).status == 503


def _take_tls(world: World, server: socket.socket, context: ssl.SSLContext, alice: Phone) -> bytes:
    """Accept one TLS connection and return what it says, empty if it is closed."""
    made: list[ssl.SSLSocket] = []
    got: list[bytes] = []

    def step() -> bool:
        try:
            if not made:
                sock, _ = server.accept()
                sock.setblocking(False)
                made.append(context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False))
            made[0].do_handshake()
            got.append(made[0].recv(65536))
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            got.append(b"")
        return True

    world.until(step)
    for one in made:
        one.close()
    return got[0]


# Timers


def times_of(one: Phone, method: str, number: int, longest: float = 5.0) -> list[float]:
    """Return when a request and its repetitions came, from the first on."""
    found = []
    for _ in range(number):
        one.request(method, longest)
        found.append(time.monotonic())
    return [moment - found[0] for moment in found]


def test_requests_are_repeated_by_t1_and_t2(serve: Serve, phone: Connect) -> None:
    _, alice, line = bridge(serve, phone, "t1: 60ms, t2: 120ms")
    line.hears_repeats = True
    invite = alice.dial("70")
    gaps = [later - sooner for sooner, later in itertools.pairwise(times_of(line, "INVITE", 4))]
    # Each may be read late on a busy machine: all together they take 0.42 s, and 3.5 s by the T1 of RFC 3261.
    assert 0.3 < sum(gaps) < 3.4
    # 64 * T1 without any response: the transaction has failed (RFC 3261 §17.1.1.2, timer B).
    assert alice.final(invite, 6.0).status == 408


def test_a_transaction_lingers_for_t4(serve: Serve, phone: Connect, world: World) -> None:
    for t4, gone in (("200ms", True), ("30s", False)):
        pbx, _, line = bridge(serve, phone, f"t4: {t4}")
        sent = line.dial("9999")
        line.acknowledge(sent, line.final(sent))
        world.run(0.6)
        # RFC 3261 §17.2.1: the Confirmed state absorbs further ACKs until timer I, which is T4, fires.
        assert (pbx.server.layer.servers == 0) is gone


def test_a_2xx_is_repeated_by_t1_and_t2(serve: Serve, phone: Connect, world: World) -> None:
    _, alice, _ = bridge(serve, phone, "t1: 50ms, t2: 100ms")
    alice.hears_repeats = True
    invite = alice.dial("600")
    alice.final(invite)
    first = time.monotonic()
    for _ in range(7):
        alice.final(invite)
    # 0.65 s; 6.35 s if each interval were twice the one before, without T2, and more by the T1 of RFC 3261.
    assert 0.4 < time.monotonic() - first < 6


def test_phones_behind_nat_are_kept_reachable(serve: Serve, phone: Connect, world: World) -> None:
    phones = []
    for value in ("1s", "null"):
        pbx = serve(sip(f"keep_alive: {value}") + PHONES)
        phones.append(phone(pbx, "102", "looking-glass"))
        assert phones[-1].register(headers=[("Contact", "<sip:102@10.9.9.9:5060>")]).status == 200
        assert [binding.behind_nat for binding in pbx.server.location] == [True]
    world.run(2.4)
    kept, left = (_datagrams(one.socket) for one in phones)
    assert set(kept) == {b"\r\n\r\n"}
    assert 2 <= len(kept) <= 3
    assert left == []


def _datagrams(sock: socket.socket) -> list[bytes]:
    heard = []
    with contextlib.suppress(BlockingIOError):
        while True:
            heard.append(sock.recv(100))
    return heard


MODES = pytest.mark.parametrize(
    ("mode", "asks", "answers_none", "answers_asked", "refuses"),
    [("off", None, None, None, False), ("accept", None, None, "600", True), ("offer", "1200", "1200", "600", True)],
)


@MODES
def test_session_timers(
    serve: Serve,
    phone: Connect,
    mode: str,
    asks: str | None,
    answers_none: str | None,
    answers_asked: str | None,
    refuses: bool,
) -> None:
    text = f"session_timer: {{mode: {mode}, expires: 20m, min_expires: 5m}}"
    _, alice, line = bridge(serve, phone, text)
    alice.dial("70")
    invite = line.request("INVITE")
    assert invite.headers.get("Session-Expires") == asks
    assert ("timer" in invite.supported) is (mode != "off")
    timer = ("Supported", "timer")
    for headers, expected in (
        ([timer], answers_none),
        ([timer, ("Session-Expires", "600")], answers_asked),
    ):
        sent = alice.dial("600", headers=headers)
        answer = alice.final(sent)
        assert answer.status == 200
        granted = answer.headers.get("Session-Expires")
        assert (granted or "").partition(";")[0] == (expected or "")
        alice.acknowledge(sent, answer)
    short = alice.final(alice.dial("600", headers=[timer, ("Session-Expires", "120")]))
    assert (short.status, short.headers.get("Min-SE")) == ((422, "300") if refuses else (200, None))


# Digest


def challenges(response: Response) -> list[Challenge]:
    found = [Challenge.parse(value) for value in response.headers.raw("WWW-Authenticate")]
    return [one for one in found if one is not None]


@pytest.mark.parametrize(
    ("text", "realm"),
    [("", "tandem"), ("domain: pbx.example", "pbx.example"), ("domain: pbx.example, digest: {realm: Ours}", "Ours")],
)
def test_the_realm(serve: Serve, phone: Connect, text: str, realm: str) -> None:
    pbx = serve(sip(text) + PHONES)
    bob = phone(pbx, "102", "looking-glass")
    sent = bob.compose("REGISTER", f"sip:{LOOPBACK}", headers=[("To", f"<sip:102@{LOOPBACK}>")])
    assert {one.realm for one in challenges(_said_plain(bob, sent))} == {realm}


def _said_plain(one: Phone, sent: Request) -> Response:
    one.say(sent)
    return one.final(sent)


def test_algorithms_are_offered_best_first(serve: Serve, phone: Connect) -> None:
    for text, expected in (
        ("", ["SHA-256", "MD5"]),
        ("digest: {algorithms: [SHA-512-256, MD5]}", ["SHA-512-256", "MD5"]),
        ("digest: {algorithms: SHA-256}", ["SHA-256"]),
    ):
        pbx = serve(sip(text) + PHONES)
        bob = phone(pbx, "102", "looking-glass")
        sent = bob.compose("REGISTER", f"sip:{LOOPBACK}", headers=[("To", f"<sip:102@{LOOPBACK}>")])
        challenged = _said_plain(bob, sent)
        assert [one.algorithm for one in challenges(challenged)] == expected
        for algorithm in expected:
            proof = bob.proof(sent, challenged, algorithm)
            again = bob.compose("REGISTER", f"sip:{LOOPBACK}", headers=[("To", f"<sip:102@{LOOPBACK}>"), proof])
            assert _said_plain(bob, again).status == 200


def test_a_nonce_counts_for_its_lifetime(serve: Serve, phone: Connect, world: World) -> None:
    pbx = serve(sip("digest: {nonce_lifetime: 1s}") + PHONES)
    bob = phone(pbx, "102", "looking-glass")
    to = ("To", f"<sip:102@{LOOPBACK}>")
    sent = bob.compose("REGISTER", f"sip:{LOOPBACK}", headers=[to])
    challenged = _said_plain(bob, sent)
    again = bob.compose("REGISTER", f"sip:{LOOPBACK}", headers=[to, bob.proof(sent, challenged)])
    assert _said_plain(bob, again).status == 200
    world.run(1.2)
    late = bob.compose("REGISTER", f"sip:{LOOPBACK}", headers=[to, bob.proof(sent, challenged)])
    answer = _said_plain(bob, late)
    assert answer.status == 401
    assert all(one.stale for one in challenges(answer))


# The trace


def test_the_trace_keeps_what_it_is_told_to(serve: Serve, phone: Connect) -> None:
    for text, kept in (("", 3), ("trace: {calls: 1}", 2), ("trace: {calls: 0}", 0)):
        pbx, alice, _ = bridge(serve, phone, text)
        sent = [alice.dial("9999", headers=[("Supported", "timer")]) for _ in range(3)]
        for one in sent:
            alice.final(one)
        trace = pbx.server.trace
        assert sum(bool(trace.messages([one.call_id])) for one in sent) == kept
    pbx, alice, _ = bridge(serve, phone, "trace: {messages: 4}")
    call = "the-same@phone"
    for _ in range(6):
        alice.ask("OPTIONS", call_id=call)
    assert len(pbx.server.trace.messages([call])) == 4
