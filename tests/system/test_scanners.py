"""sipvicious for real: it learns no extension and no password and is banned within seconds, while calls go on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.peers.support import ports
from tests.peers.support.flood import Flood
from tests.peers.support.server import Server, Site, serving
from tests.peers.support.sipp import Sipp
from tests.peers.support.waiting import until

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(shutil.which("svmap") is None, reason="sipvicious is not installed"),
]

CALLS = 8
CUSTOMER, CARRIER = ports.port(), ports.port()
SECRETS = {"101": "1234-secret", "150": "5678-secret"}
PLAN = {
    "routes": [
        {"name": "phones", "when": {"from": "extension", "number": "1XX"}, "do": [{"dial": "extension/{number}"}]},
        {"name": "rest", "when": {"from": "trunk/customer", "number": "."}, "do": [{"dial": "trunk/carrier"}]},
    ]
}


def settings(site: Site, scanners: str) -> dict[str, object]:
    """A server with `ignore` does not look for tools: what they do must be enough to know them."""
    return site.settings(
        # The tool knows nothing better than MD5.
        sip={"digest": {"algorithms": ["MD5"]}},
        trunks={
            name: {"address": f"sip:127.0.0.1:{number}", "identify": [f"127.0.0.1:{number}"]}
            for name, number in (("customer", CUSTOMER), ("carrier", CARRIER))
        },
        extensions={number: {"password": secret} for number, secret in SECRETS.items()},
        security={"scanners": scanners},
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    site = Site(tmp_path / "server")
    with serving(site, settings(site, "ignore"), PLAN) as running:
        yield running


@contextmanager
def calls(server: Server, folder: Path) -> Iterator[None]:
    """Have calls between the trunks go on meanwhile; all of them must be answered and hung up as they should."""
    callee = Sipp(folder, "uas", CARRIER, calls=CALLS, rate=20).start()
    caller = Sipp(folder, "uac", CUSTOMER, server.site.sip, calls=CALLS, rate=3, HOLD=100).start()
    try:
        yield
        caller.wait()
        callee.wait()
    finally:
        caller.end()
        callee.end()
    until(lambda: sum(bool(record["ended"]) for record in server.records()) >= CALLS, "the calls")
    assert {record["cause"]["slug"] for record in server.records()} == {"answered-caller-hung-up"}


def tool(folder: Path, name: str, server: Server, *arguments: str) -> str:
    """Run one of the tools for a few seconds; return all that it said. It sends from the address of the trunks."""
    try:
        done = subprocess.run(
            [name, "-p", str(server.site.sip), *arguments, "127.0.0.1"],
            cwd=folder,
            env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=7,
        )
    except subprocess.TimeoutExpired as late:
        return "".join(part.decode(errors="replace") for part in (late.stdout, late.stderr) if isinstance(part, bytes))
    return done.stdout + done.stderr


def registers(number: int, host: str, port: int) -> bytes:
    """Return the REGISTER of one extension after the other, as svwar sends them; it stops by itself at the first."""
    name = 100 + number % 900
    return (
        f"REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bK-{number};rport\r\n"
        f"Max-Forwards: 70\r\nTo: <sip:{name}@127.0.0.1>\r\nFrom: <sip:{name}@127.0.0.1>;tag={number}\r\n"
        f"User-Agent: a phone\r\nCall-ID: {number}@{host}\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def test_who_asks_for_extension_after_extension_is_banned_and_learns_none(server: Server, tmp_path: Path) -> None:
    with calls(server, tmp_path):
        said = tool(tmp_path, "svwar", server, "--force", "-e100-999")
        with Flood(server.site.sip, ["127.0.92.1"], 80, registers):
            until(lambda: server.api("/bans")["bans"], "a ban", 20)
    assert "found nothing" in said
    (ban,) = server.api("/bans")["bans"]
    assert (ban["address"], ban["reason"]) == ("127.0.92.1", "names: tried too many")
    assert server.metrics()['tandem_authentications_total{outcome="challenged"}'] < 10 * 80


def test_who_guesses_passwords_is_slowed_down_and_refused(server: Server, tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("\n".join([*(f"guess{number}" for number in range(60)), SECRETS["101"]]) + "\n")
    with calls(server, tmp_path):
        said = tool(tmp_path, "svcrack", server, "-u101", "-d", str(words))
    assert SECRETS["101"] not in said
    metrics = server.metrics()
    assert metrics['tandem_authentications_total{outcome="proven"}'] == 0
    assert 0 < metrics['tandem_authentications_total{outcome="wrong"}'] <= 25


def test_a_tool_that_gives_itself_away_gets_no_answer(tmp_path: Path) -> None:
    site = Site(tmp_path / "server")
    with serving(site, settings(site, "drop"), PLAN) as server:
        with calls(server, tmp_path):
            said = tool(tmp_path, "svmap", server)
        assert "found nothing" in said
        assert [one["reason"] for one in server.api("/bans")["bans"]] == ["scanner: from-trick"]
