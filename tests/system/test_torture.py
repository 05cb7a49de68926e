"""The torture messages of RFC 4475 and RFC 5118 over real sockets: each gets what the RFC says, and the server goes on.

Each is sent from a loopback address of its own, because the answer goes to the address that it came from and the port
that its Via names (RFC 3261 §18.2.2). Once strangers send them, and once a trunk whose calls are routed and answered.
"""

from __future__ import annotations

import errno
import json
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pbx.errors import ParseError
from pbx.sip.message import Request, Response
from pbx.sip.parser import parse_message
from tests.peers.support.server import Server, Site, serving
from tests.peers.support.waiting import until

FOLDER = Path(__file__).parents[1] / "vectors" / "torture"
CASES: list[dict[str, Any]] = json.loads((FOLDER / "manifest.json").read_text())

STRANGERS, TRUNKS = "127.0.77", "127.0.78"
QUIET = 1.0
"""How long a message that wants no answer is watched. Seconds."""

CLOSES = ("ncl", "mcl01")
"""What cannot be framed on a stream: RFC 4475 §3.1.2.3 and §3.3.9 want the connection closed."""
WAITS = ("clerr", "baddn", "test")
"""What on a stream is not complete: the server waits for the rest (RFC 4475 §3.1.2.2)."""
TWO = "dblreq"
"""What on a stream is two messages (RFC 4475 §3.1.1.8 speaks of datagrams); the second one is answered too."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    site = Site(tmp_path)
    settings = site.settings(
        # A transaction is forgotten after 64 T1.
        sip={"t1": "10ms"},
        trunks={"peer": {"address": "sip:127.0.0.1:9", "identify": [f"{TRUNKS}.0/24"]}},
    )
    plan = {
        "routes": [
            {"name": "all", "when": {"from": "trunk"}, "do": [{"answer": None}, {"echo": None, "limit": "1s"}]},
        ]
    }
    with serving(site, settings, plan) as running:
        yield running


@dataclass
class Sent:
    """One message on its way, and all that came back."""

    case: dict[str, Any]
    data: bytes
    sockets: list[socket.socket]
    answers: list[bytes] = field(default_factory=list)
    closed: bool = False

    @property
    def statuses(self) -> list[int]:
        return [int(line.split()[1]) for line in self.answers if line.startswith(b"SIP/2.0 ")]

    def fileno(self) -> int:
        return self.sockets[0].fileno()


def bound(host: str, number: int) -> socket.socket:
    """Return a socket at a port, once a server that another test has started there on every address is gone."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def free() -> bool:
        try:
            made.bind((host, number))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True

    try:
        until(free, f"{host}:{number}", 60)
    except BaseException:
        made.close()
        raise
    return made


def send_udp(case: dict[str, Any], host: str, port: int) -> Sent:
    via = case["via"] or {}
    sockets = [bound(host, number) for number in {5060, via.get("port") or 5060}]
    data = (FOLDER / case["file"]).read_bytes()
    sockets[0].sendto(data, ("127.0.0.1", port))
    return Sent(case, data, sockets)


def send_tcp(case: dict[str, Any], host: str, port: int) -> Sent:
    data = (FOLDER / case["file"]).read_bytes()
    made = socket.create_connection(("127.0.0.1", port), 5, (host, 0))
    made.sendall(data)
    return Sent(case, data, [made])


def collect(sent: list[Sent], seconds: float) -> None:
    """Read what comes for so long."""
    owners = {made: one for one in sent for made in one.sockets}
    end = time.monotonic() + seconds
    while owners and (left := end - time.monotonic()) > 0:
        for made in select.select(list(owners), [], [], left)[0]:
            try:
                data = made.recv(65535)
            except ConnectionError:
                data = b""
            one = owners[made]
            if data:
                one.answers += data.replace(b"\r\n\r\nSIP/2.0", b"\r\n\r\n\0SIP/2.0").split(b"\0")
            elif made.type == socket.SOCK_STREAM:
                one.closed = True
                del owners[made]


def wants_answer(case: dict[str, Any], transport: str) -> bool:
    if transport == "tcp" and case["name"] in CLOSES + WAITS:
        return False
    return not case["silence_ok"]


def waves() -> list[list[tuple[int, dict[str, Any]]]]:
    """Return the cases, numbered, such that no two of a wave look like retransmissions of each other: some share
    branch, Via and method (RFC 3261 §17.2.3)."""
    found: list[list[tuple[int, dict[str, Any]]]] = []
    keys: list[set[tuple[str, str]]] = []
    for number, case in enumerate(CASES):
        key = (case["via"] or {}).get("raw", case["name"]), case["start_line"].split()[0]
        wave = next((place for place, seen in enumerate(keys) if key not in seen), len(keys))
        if wave == len(keys):
            keys.append(set())
            found.append([])
        keys[wave].add(key)
        found[wave].append((number, case))
    return found


@pytest.mark.parametrize("network", [STRANGERS, TRUNKS], ids=["stranger", "trunk"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_every_message_gets_what_the_rfc_says(server: Server, transport: str, network: str) -> None:
    faults = [fault for wave in waves() for fault in try_wave(server, transport, network, wave)]
    assert not faults, "\n".join(faults)
    assert_alive(server)


def try_wave(server: Server, transport: str, network: str, wave: list[tuple[int, dict[str, Any]]]) -> list[str]:
    """Send these messages all at once; return what was wrong with the answers."""
    send = send_udp if transport == "udp" else send_tcp
    sent = [send(case, f"{network}.{number + 1}", server.site.sip) for number, case in wave]
    waited_for = [one for one in sent if wants_answer(one.case, transport)]

    def all_answered() -> bool:
        collect(sent, 0.1)
        return all(one.answers or one.closed for one in waited_for)

    try:
        until(all_answered, lambda: f"answer to {[one.case['name'] for one in waited_for if not one.answers]}")
        collect(sent, QUIET)
    finally:
        for one in sent:
            for made in one.sockets:
                made.close()
    return [fault for one in sent for fault in judge(one, transport)]


def judge(one: Sent, transport: str) -> list[str]:
    """Return what was wrong with the answers to one message."""
    case = one.case
    if transport == "tcp" and case["name"] == TWO:
        del one.answers[1:]
    statuses = one.statuses
    name = f"{case['name']} (RFC {case['rfc']} §{case['section']})"
    found = []
    if case["silence_required"] and one.answers:
        found.append(f"{name}: answered {statuses} where silence is wanted")
    if transport == "tcp" and case["name"] in CLOSES and not one.closed:
        found.append(f"{name}: the connection stays open")
    if transport == "tcp" and case["name"] in WAITS:
        return found
    # An INVITE that is taken is told so first.
    final = [status for status in statuses if status >= 200]
    wrong = [status for status in final if status in case["bad_status"] or status not in case["ok_status"]]
    if wrong:
        found.append(f"{name}: answered {statuses}, should be of {case['ok_status']}")
    if len(set(final)) > 1:
        found.append(f"{name}: answered {statuses}")
    return found + (echoes(name, one) if one.answers else [])


def echoes(name: str, one: Sent) -> list[str]:
    """RFC 3261 §8.2.6.2: Via, From, Call-ID and CSeq are those of the request."""
    try:
        request, response = parse_message(one.data), parse_message(one.answers[0])
        assert isinstance(request, Request)
        assert isinstance(response, Response)
        found = []
        if len(response.vias) != len(request.vias) or response.vias[1:] != request.vias[1:]:
            found.append(f"{name}: the Vias are not those of the request")
        if response.top_via.branch != request.top_via.branch:
            found.append(f"{name}: another branch")
        if (response.call_id, response.cseq.number) != (request.call_id, request.cseq.number):
            found.append(f"{name}: another Call-ID or CSeq")
        return found
    except ParseError:
        return []  # what cannot be read cannot be compared


def assert_alive(server: Server) -> None:
    """A stranger's OPTIONS is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.79.1", 0))
        probe.settimeout(5)
        host, port = probe.getsockname()
        text = (
            f"OPTIONS sip:127.0.0.1:{server.site.sip} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bKalive{time.monotonic_ns()};rport\r\n"
            "Max-Forwards: 70\r\nFrom: <sip:probe@example.org>;tag=1\r\nTo: <sip:127.0.0.1>\r\n"
            f"Call-ID: alive{time.monotonic_ns()}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
        probe.sendto(text.encode(), ("127.0.0.1", server.site.sip))
        assert probe.recv(65535).startswith(b"SIP/2.0 200 ")
