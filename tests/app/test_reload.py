"""Reloading: read in a thread, put in force on the loop, one at a time; what waits for a restart is said."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from pbx.app.reload import Loaded, Reloader
from pbx.app.signatures import Credentials
from pbx.errors import ConfigurationError, EnvironmentFault
from pbx.net.certificates import ensure_certificate
from tests.support.loopback import World
from tests.support.pbx import LOOPBACK, Connect, Serve, free_ports, sdp

NOW = datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.UTC)


def loaded(*held: str, warnings: tuple[str, ...] = ()) -> Any:
    configured = SimpleNamespace(warnings=warnings, dialplan=SimpleNamespace(routes=(1, 2)))
    return Loaded(configured, held, SimpleNamespace(), Credentials())  # type: ignore[arg-type]


class Desk:
    """A reloader whose loads the test holds up."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.gate = threading.Semaphore(0)
        self.threads: list[threading.Thread] = []
        self.result: Callable[[], Any] = loaded
        self.applied: list[Any] = []
        self.told: list[tuple[str, bool]] = []
        self.reloader = Reloader(world.loop, self.load, self.applied.append)

    def load(self) -> Any:
        self.threads.append(threading.current_thread())
        assert self.gate.acquire(timeout=5)
        return self.result()

    def request(self, name: str) -> None:
        self.reloader.request(lambda taken: self.told.append((name, taken)))


@pytest.fixture
def desk(world: World) -> Iterator[Desk]:
    made = Desk(world)
    yield made
    made.gate.release(10)
    made.reloader.stop()
    world.run(0.02)


def test_the_loop_runs_while_files_are_read(desk: Desk) -> None:
    ticks: list[int] = []
    desk.request("one")
    for _ in range(3):
        desk.world.loop.call_soon(ticks.append, 1)
        desk.world.run(0.01)
    assert len(ticks) == 3
    assert desk.told == []
    assert desk.reloader.busy
    desk.gate.release()
    desk.world.until(lambda: desk.told)
    assert desk.told == [("one", True)]
    assert len(desk.applied) == 1
    assert desk.threads[0] is not threading.current_thread()
    assert not desk.reloader.busy


def test_reloads_that_overlap_are_done_one_after_the_other(desk: Desk) -> None:
    desk.request("first")
    desk.world.until(lambda: desk.threads)
    desk.request("second")
    desk.request("third")
    desk.gate.release()
    desk.world.until(lambda: desk.told)
    assert desk.told == [("first", True)]
    assert desk.reloader.busy
    desk.gate.release()
    desk.world.until(lambda: len(desk.told) == 3)
    # Those that waited saw the files as they are since, and need no third reading.
    assert len(desk.threads) == len(desk.applied) == 2


def test_one_may_be_asked_for_by_who_is_told_of_another(desk: Desk) -> None:
    desk.reloader.request(lambda taken: desk.request("again"))
    desk.gate.release(2)
    desk.world.until(lambda: desk.told)
    assert desk.told == [("again", True)]


def raising(error: Exception) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (ConfigurationError(("a:1:2: this", "b:3:4: that")), ["a:1:2: this", "b:3:4: that"]),
        (EnvironmentFault("no such file"), ["no such file"]),
    ],
)
def test_what_is_wrong_is_said_and_nothing_changes(desk: Desk, error: Exception, logged: list[str]) -> None:
    desk.result = raising(error)
    desk.gate.release()
    with capture_logs() as lines:
        desk.request("one")
        desk.world.until(lambda: desk.told)
    assert desk.told == [("one", False)]
    assert desk.applied == []
    assert [line["fault"] for line in lines] == logged
    assert {line["event"] for line in lines} == {"reload-refused"}


def test_our_own_fault_is_said_and_the_next_reload_goes_on(desk: Desk) -> None:
    desk.result = raising(ZeroDivisionError())
    desk.gate.release(2)
    with capture_logs() as lines:
        desk.request("one")
        desk.world.until(lambda: desk.told)
    assert [(line["event"], line["log_level"]) for line in lines] == [("fault", "error")]
    desk.result = loaded
    desk.request("two")
    desk.world.until(lambda: len(desk.told) == 2)
    assert desk.told == [("one", False), ("two", True)]


def test_what_is_said_of_a_reload(desk: Desk) -> None:
    desk.result = lambda: loaded("sip.listen", "media.ports", warnings=("x:1:1: odd",))
    desk.gate.release()
    with capture_logs() as lines:
        desk.request("one")
        desk.world.until(lambda: desk.told)
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("configuration", "warning"),
        ("restart-needed", "warning"),
        ("reloaded", "info"),
    ]
    assert lines[1]["keys"] == "sip.listen, media.ports"
    assert lines[2]["routes"] == 2


def test_nobody_is_told_after_the_end(desk: Desk) -> None:
    desk.request("one")
    desk.world.until(lambda: desk.threads)
    desk.reloader.stop()
    desk.gate.release()
    desk.world.run(0.05)
    assert (desk.told, desk.applied) == ([], [])


# A server

PHONES = 'extensions:\n  "101": {password: wonderland}\n'
PLAN = "routes:\n  - {name: echo, when: {number: '600'}, do: [echo]}\n"


def test_a_call_goes_on_while_everything_around_it_changes(serve: Serve, phone: Connect) -> None:
    one, two = free_ports(2)
    line = f'trunks: {{line: {{address: "sip:{LOOPBACK}:{one}", identify: "{LOOPBACK}:{one}"}}}}\n'
    other = f'trunks: {{other: {{address: "sip:{LOOPBACK}:{two}", identify: "{LOOPBACK}:{two}"}}}}\n'
    pbx = serve(PHONES + line, PLAN)
    alice, carrier, newer = phone(pbx, "101", "wonderland"), phone(pbx, port=one), phone(pbx, port=two)
    sent = carrier.dial("600")
    answer = carrier.final(sent)
    carrier.acknowledge(sent, answer)
    assert newer.final(newer.dial("600")).status == 401
    more = 'extensions:\n  "101": {password: changed-it}\n  "102": {password: looking-glass}\n'
    plan = (
        "routes:\n  - {name: out, when: {from: extension, number: '7X'}, do: [{dial: trunk/other}]}\n"
        "  - {name: sorry, do: [{reject: busy}]}\n"
    )
    listen = f'sip: {{listen: ["udp://{LOOPBACK}:0"], user_agent: New/2}}\n'
    assert pbx.reload(more + other + listen + "limits: {calls: 2}\n", plan)
    assert newer.final(newer.dial("600")).status == 486
    assert carrier.final(carrier.dial("600")).status == 401  # it is no trunk any more
    assert alice.register().status == 401
    alice.password = "changed-it"
    assert alice.register().status == 200
    bob = phone(pbx, "102", "looking-glass")
    assert bob.register().status == 200
    bob.dial("70")
    assert newer.request("INVITE").user_agent == "New/2"
    assert alice.final(alice.dial("70")).status == 503  # the third
    assert carrier.hang_up(sent, answer).status == 200


def test_a_faulty_file_or_a_test_that_fails_changes_nothing(serve: Serve, phone: Connect) -> None:
    pbx = serve(PHONES, PLAN)
    alice = phone(pbx, "101", "wonderland")
    failing = "tests:\n  - {call: {from: extension/101, number: '1'}, expect: {route: echo}}\n"
    for text, plan in ((PHONES.replace("password", "pasword"), PLAN), (PHONES, PLAN + failing)):
        assert not pbx.reload(text, plan)
        assert alice.final(alice.dial("600")).status == 200


def test_keys_that_hold_from_the_next_call_on(serve: Serve, phone: Connect) -> None:
    (port,) = free_ports()
    trunk = f'trunks: {{line: {{address: "sip:{LOOPBACK}:{port}", identify: "{LOOPBACK}:{port}"%s}}}}\n'
    pbx = serve(trunk % "", PLAN)
    line = phone(pbx, port=port)
    assert b"m=audio" in line.final(line.dial("600", sdp(codecs="0 8"))).body
    base = f'sip: {{listen: ["udp://{LOOPBACK}:0"], trace: {{calls: 0}}, session_timer: {{mode: offer}}}}\n'
    media = "media: {external_address: 203.0.113.9, local_networks: [], codecs: PCMA}\n"
    first = pbx.server.settings.media.ports
    assert pbx.reload(base + media + trunk % ", codecs: [PCMU]")
    assert pbx.server.settings.media.ports == first  # that waits for a restart
    answer = line.final(line.dial("600", sdp(codecs="0 8")))
    assert answer.status == 404  # the built-in plan
    assert pbx.reload(base + media + trunk % ", codecs: [PCMU]", PLAN)
    sent = line.dial("600", sdp(codecs="0 8"))
    answer = line.final(sent)
    assert b"c=IN IP4 203.0.113.9" in answer.body
    assert b"RTP/AVP 0\r" in answer.body
    assert "Session-Expires" in answer.headers
    assert pbx.server.trace.messages([sent.call_id]) == []


def test_tls_to_trunks_can_come_later(serve: Serve, world: World, tmp_path: Path) -> None:
    pbx = serve(PHONES)
    assert pbx.server.network.tls is None
    secure = 'trunks: {t: {address: "sip:carrier.example;transport=tls"%s}}\n'
    assert pbx.reload(PHONES + secure % "")
    tls = pbx.server.network.tls
    assert tls is not None
    assert tls.rule("carrier.example").verify
    assert pbx.reload(PHONES + secure % ", verify: false")
    assert not tls.rule("carrier.example").verify
    certificate, _ = ensure_certificate(tmp_path / "ca", "x", [], NOW)
    listen = f'sip: {{listen: ["udp://{LOOPBACK}:0"], authorities: {certificate}}}\n'
    assert pbx.reload(PHONES + secure % "" + listen)
    assert tls.rule("carrier.example").authorities == str(certificate)
    assert pbx.reload(PHONES)
    assert pbx.server.network.tls is tls
