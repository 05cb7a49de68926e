"""How a server starts, refuses to start, reloads and stops."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbx.config.schema import Limits
from tests.peers.support.idle import socket_phone
from tests.peers.support.server import Server, Site, pbx, serving
from tests.peers.support.waiting import until
from tests.support.pbx import Phone, sdp

EXTENSIONS = {number: {"password": f"secret-of-{number}"} for number in ("101", "102")}
PLAN = {"routes": [{"name": "all", "when": {"from": "extension"}, "do": [{"dial": "extension/{number}"}]}]}
FAULTY = """\
sip: {listen: ["upd://127.0.0.1:5060"], t1: soon}
media: {ports: 20000-19999}
trunks:
  carrier: {adress: "sip:192.0.2.1"}
dialplan: dialplan.yaml
"""
FAULTY_PLAN = """\
routes:
  - name: one
    when: {from: trunk/nobody, number: "2XXX"}
    do: [{dial: trunk/carier}, {dail: trunk/carrier}]
"""


def refused(site: Site, *arguments: str) -> tuple[int, str]:
    """Run a command that is to fail; return its exit status and what it says on standard error."""
    child = pbx(site.folder, *arguments)
    try:
        status = child.wait(20)
    finally:
        child.end()
    return status, (site.folder / "stderr").read_text()


# -- starting


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_faulty_configuration_is_refused_with_all_its_faults(tmp_path: Path, command: str) -> None:
    site = Site(tmp_path)
    path = site.write(FAULTY, FAULTY_PLAN)
    status, said = refused(site, command, "-c", str(path))
    assert status == 2
    plan = path.with_name("dialplan.yaml")
    for place, word in (
        (f"{path}:1:16", "upd"),
        (f"{path}:1:", "t1"),
        (f"{path}:2:", "ports"),
        (f"{path}:4:", "adress"),
        (f"{plan}:3:", "nobody"),
        (f"{plan}:4:", "carier"),
        (f"{plan}:4:", "dail"),
    ):
        assert any(line.startswith(place) and word in line for line in said.splitlines()), f"{word}: {said}"
    assert "Traceback" not in said


def test_a_plan_whose_tests_fail_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path)
    plan = {**PLAN, "tests": [{"call": {"from": "extension/101", "number": "102"}, "expect": {"route": "another"}}]}
    path = site.write(site.settings(extensions=EXTENSIONS), plan)
    status, said = refused(site, "serve", "-c", str(path))
    assert status == 2
    assert "another" in said


@pytest.mark.parametrize("kind", ["udp", "tcp", "http"])
def test_a_taken_port_is_said_plainly(tmp_path: Path, kind: str) -> None:
    site = Site(tmp_path)
    path = site.write(site.settings(extensions=EXTENSIONS), PLAN)
    number = site.http if kind == "http" else site.sip
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as taker:
        taker.bind(("127.0.0.1", number))
        if kind != "udp":
            taker.listen()
        status, said = refused(site, "serve", "-c", str(path))
    assert status == 1
    complaint = said.splitlines()[-1]
    assert str(number) in complaint
    assert "in use" in complaint
    assert "Traceback" not in said


def test_a_folder_that_cannot_be_written_is_said_plainly(tmp_path: Path) -> None:
    """A file in its place: that stops even who may write everywhere."""
    site = Site(tmp_path)
    (tmp_path / "var").write_text("")
    path = site.write(site.settings(extensions=EXTENSIONS), PLAN)
    status, said = refused(site, "serve", "-c", str(path))
    assert status == 1
    assert str(tmp_path / "var") in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_missing_sound_is_said_at_start(tmp_path: Path) -> None:
    site = Site(tmp_path)
    plan = {"routes": [{"name": "all", "when": {"from": "extension"}, "do": [{"play": "no-such-sound"}]}]}
    with serving(site, site.settings(extensions=EXTENSIONS), plan) as server:
        assert any("no-such-sound" in line["warning"] for line in server.events("configuration"))


# -- running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    site = Site(tmp_path)
    with serving(site, site.settings(extensions=EXTENSIONS), PLAN) as running:
        yield running


@pytest.fixture
def phones(server: Server) -> Iterator[tuple[Phone, Phone]]:
    """Two phones made of a socket, registered."""
    made = [socket_phone(server.site.sip, number, f"secret-of-{number}") for number in ("101", "102")]
    for one in made:
        assert one.register().status == 200
    yield made[0], made[1]
    for one in made:
        one.close()


class Talk:
    """A call between the two."""

    def __init__(self, alice: Phone, bob: Phone) -> None:
        self.alice, self.bob = alice, bob
        self.invite = alice.dial("102")
        self.seen = bob.request("INVITE")
        bob.pick_up(self.seen, sdp())
        self.answer = alice.final(self.invite)
        assert self.answer.status == 200
        alice.acknowledge(self.invite, self.answer)

    def end(self) -> None:
        """Hang up, which both sides agree to."""
        assert self.alice.hang_up(self.invite, self.answer).status == 200
        self.bob.answer(self.bob.request("BYE"), 200)


def test_a_faulty_plan_is_refused_and_the_running_one_stays(server: Server, phones: tuple[Phone, Phone]) -> None:
    server.expected_errors.add("reload-refused")
    talk = Talk(*phones)
    plan = server.site.folder / "dialplan.yaml"
    plan.write_text(FAULTY_PLAN)
    server.signal(signal.SIGHUP)
    faults = until(lambda: server.events("reload-refused"), "refusal")
    assert any("carier" in line["fault"] for line in faults)
    talk.end()
    Talk(*phones).end()


def test_a_reload_holds_for_calls_that_begin_after_it(server: Server, phones: tuple[Phone, Phone]) -> None:
    alice, bob = phones
    talk = Talk(alice, bob)
    server.site.write(
        server.site.settings(extensions={**EXTENSIONS, "103": {"password": "secret-of-103"}}),
        {"routes": [{"name": "none", "when": {"from": "extension"}, "do": [{"reject": "busy"}]}]},
    )
    server.signal(signal.SIGHUP)
    until(lambda: server.events("reloaded"), "reload")
    assert bob.silent(0.2), "the running call heard of it"
    refused_call = alice.dial("102")
    answer = alice.final(refused_call)
    assert answer.status == 486
    alice.acknowledge(refused_call, answer)
    carol = socket_phone(server.site.sip, "103", "secret-of-103")
    assert carol.register().status == 200
    carol.close()
    talk.end()


def test_sigterm_waits_for_the_running_calls(server: Server, phones: tuple[Phone, Phone]) -> None:
    """New calls get 503 meanwhile; when the last one is over the server ends."""
    alice, bob = phones
    talk = Talk(alice, bob)
    server.signal(signal.SIGTERM)
    until(lambda: server.events("draining"), "drain")
    late = alice.dial("102")
    answer = alice.final(late)
    assert answer.status == 503
    assert answer.headers.get("Retry-After")
    alice.acknowledge(late, answer)
    assert server.child.running
    talk.end()
    assert server.child.wait(2.5) == 0


def test_sigterm_ends_calls_that_do_not_end(server: Server, phones: tuple[Phone, Phone]) -> None:
    """After `drain_timeout` both sides get BYE with the reason, and the record says so."""
    talk = Talk(*phones)
    server.signal(signal.SIGTERM)
    for one in (talk.alice, talk.bob):
        bye = one.request("BYE", 8)
        assert "shutting down" in (bye.headers.get("Reason") or "")
        one.answer(bye, 200)
    assert server.child.wait(5) == 0
    server.start()
    record = server.record()
    assert (record["cause"]["slug"], record["answered"] is not None) == ("shutting-down", True)


def test_sigterm_waits_longer_for_a_call_for_help_and_the_second_one_ends_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    settings = site.settings(extensions=EXTENSIONS, limits={"drain_timeout": "0s"})
    with serving(site, settings, {**PLAN, "numbering": {"services": {"sos": "102"}}}) as server:
        alice, bob = [socket_phone(server.site.sip, number, f"secret-of-{number}") for number in ("101", "102")]
        assert bob.register().status == 200
        invite = alice.start("INVITE", "urn:service:sos", sdp())
        bob.pick_up(bob.request("INVITE"), sdp())
        alice.acknowledge(invite, alice.final(invite))
        server.signal(signal.SIGTERM)
        (told,) = until(lambda: server.events("drain-waits-for-help"), "drain")
        assert told["calls"][0].endswith("from extension/101 to urn:service:sos")
        assert 890 <= told["seconds"] <= 900
        assert server.child.running
        server.signal(signal.SIGTERM)
        assert server.child.wait(5) == 0
        assert [one["calls"] for one in server.events("stopping-at-once")] == [1]
        alice.close()
        bob.close()


def test_the_unit_waits_for_longer_than_a_drain_lasts() -> None:
    """Calls for help last longer, for which the server asks for more time: `Operation._alive`."""
    unit = Path(__file__).resolve().parents[2] / "systemd" / "pbx.service"
    lines = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line and line[0] != "#")
    assert lines["Type"] == "notify"
    assert float(lines["TimeoutStopSec"]) > Limits().drain_timeout


def test_registrations_survive_a_restart(server: Server, phones: tuple[Phone, Phone]) -> None:
    """A phone need not notice: it is called without having registered again."""
    server.stop()
    server.start()
    Talk(*phones).end()
