from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from pbx.cli import admin, conference
from pbx.errors import EnvironmentFault
from pbx.ops.health import Phase
from pbx.web.server import WebServer

Run = Callable[..., Result]


@pytest.fixture
def address(site: Any) -> Iterator[tuple[str, int]]:
    """A server in a thread of its own: the commands wait for it."""
    loop = asyncio.new_event_loop()
    server = WebServer(site.application(), "127.0.0.1", 0)

    def serve() -> None:
        loop.call_soon(server.start, loop)
        loop.run_forever()

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.address
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def write_config(folder: Path, http: str) -> Path:
    path = folder / "pbx.yaml"
    path.write_text(f'sip: {{listen: ["udp://127.0.0.1:5060"]}}\nstorage: {{directory: {folder}}}\nhttp: {http}\n')
    return path


@pytest.fixture
def pbx(site: Any, address: tuple[str, int], tmp_path: Path) -> Run:
    config = write_config(tmp_path, f"{{listen: '127.0.0.1:{address[1]}', token: {site.token}}}")
    return runner(config)


def runner(config: Path) -> Run:
    application = typer.Typer()
    admin.register(application)
    conference.register(application)

    def run(*arguments: str, fails: bool = False) -> Result:
        result = CliRunner().invoke(application, [*arguments, "-c", str(config)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            assert fails, result.exception
            assert isinstance(result.exception, EnvironmentFault)
        return result

    return run


def test_status(pbx: Run, site: Any) -> None:
    shown = pbx("status").output
    for part in ("1.2.3, compiled", "ready", "registrations", "250 ms"):
        assert part in shown
    assert json.loads(pbx("status", "--json").output)["calls"] == 2
    quiet = pbx("status", "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")
    site.health.phase = Phase.DRAINING
    assert str(pbx("status", "--quiet", fails=True).exception) == "the server is draining"


def test_calls_are_listed_with_nothing_that_acts_on_the_terminal(pbx: Run, site: Any) -> None:
    site.calls.running["c1"].called = "\x1b[31m[bold]102"
    shown = pbx("calls").output
    assert "\ufffd[31m[bold]102" in shown
    assert "\x1b" not in shown
    assert "extension/101" in shown
    assert "talking" in shown
    assert len(json.loads(pbx("calls", "--json").output)["calls"]) == 2
    site.calls.running.clear()
    assert pbx("calls").output == "no calls\n"


def test_the_messages_of_a_call(pbx: Run, tmp_path: Path) -> None:
    assert pbx("calls", "--trace", "c1").output == "sip-c1-a False\nsip-c1-b False\n"
    assert "True" in pbx("calls", "--trace", "c1", "--bodies").output
    target = tmp_path / "c1.pcap"
    assert "wrote" in pbx("calls", "--trace", "c1", "--pcap", str(target)).output
    assert target.read_bytes().startswith(b"\xd4\xc3\xb2\xa1")
    assert "no call" in str(pbx("calls", "--trace", "none", fails=True).exception)
    assert pbx("calls", "--pcap", str(target)).exit_code == 2


def test_bundle(pbx: Run, tmp_path: Path) -> None:
    target = tmp_path / "c1.zip"
    assert f"wrote {target}" in pbx("bundle", "c1", str(target)).output.replace("\n", "")
    assert target.read_bytes().startswith(b"PK")
    assert "no call" in str(pbx("bundle", "none", fails=True).exception)
    assert "cannot be written" in str(pbx("bundle", "c1", str(tmp_path / "no" / "c1.zip"), fails=True).exception)


def test_records(pbx: Run, site: Any) -> None:
    assert pbx("records").output == "no call records\n"
    site.record("old", path="x.wav")
    shown = pbx("records", "--number", "101", "--since", "2026-05-04").output
    for part in ("old", "extension/101", "0:00:09", "answered-caller-hung-up", "complete"):
        assert part in shown
    assert pbx("records", "--cause", "busy").output == "no call records\n"
    assert json.loads(pbx("records", "--json", "--limit", "1").output)["records"][0]["id"] == "old"


def test_registrations_and_trunks(pbx: Run) -> None:
    assert "sip:102@192.0.2.1" in pbx("registrations").output
    assert "102" not in pbx("registrations", "101").output
    assert "0:01:40" in pbx("registrations").output
    assert "down for 0:03:20, no reply within 5 s" in " ".join(pbx("trunks").output.split())


def test_hangup_and_originate(pbx: Run, site: Any) -> None:
    assert pbx("hangup", "c1").output == "hung up c1\n"
    assert "no running call" in str(pbx("hangup", "c1", fails=True).exception)
    assert pbx("originate", "101", "0301234567").output == "new-call\n"
    assert site.originated == [("extension/101", "0301234567")]
    assert "no phone registered" in str(pbx("originate", "999", "1", fails=True).exception)
    assert "source:" in str(pbx("originate", "trunk/x", "1", fails=True).exception)


def test_record(pbx: Run, site: Any) -> None:
    assert pbx("record", "c1", "pause").output == "paused the recording of c1\n"
    assert "not being recorded" in str(pbx("record", "c1", "stop", fails=True).exception)
    assert site.calls.recorded == [("c1", "pause"), ("c1", "stop")]


def test_what_keeps_the_commands_from_working_is_said(site: Any, address: tuple[str, int], tmp_path: Path) -> None:
    def failure(http: str) -> str:
        return str(runner(write_config(tmp_path, http))("status", fails=True).exception)

    assert "http: null" in failure("null")
    assert "does not take this token" in failure(f"{{listen: '127.0.0.1:{address[1]}', token: wrong-token}}")
    assert "is `pbx serve` running" in failure("{listen: '127.0.0.1:1', token: x}")
    assert "first start" in failure(f"{{listen: '127.0.0.1:{address[1]}'}}")
    (tmp_path / "api-token").write_text(site.token + "\n")
    config = write_config(tmp_path, f"{{listen: '0.0.0.0:{address[1]}'}}")
    assert "ready" in runner(config)("status").output


def test_conferences_and_supervision(site: Any, pbx: Run) -> None:
    listed = pbx("conferences").output
    assert "sales (recorded)" in listed
    assert "moderator speaking" in listed
    assert json.loads(pbx("conferences", "--json").output)["conferences"][0]["name"] == "sales"
    pbx("mute", "sales", "c1")
    pbx("unmute", "sales", "c1")
    pbx("kick", "sales", "c1")
    assert [wanted[0] for wanted in site.conferences.wanted] == ["mute", "mute", "kick"]
    pbx("kick", "sales", "c2", fails=True)
    pbx("listen", "c1", "--as", "100")
    pbx("whisper", "c1", "--as", "extension/100", "--to", "callee")
    pbx("barge", "c1", "--as", "100")
    assert site.supervised == [
        ("c1", "extension/100", "listen", ""),
        ("c1", "extension/100", "whisper", "callee"),
        ("c1", "extension/100", "barge", ""),
    ]
