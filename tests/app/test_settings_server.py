"""What configuration says of storage, HTTP and the log, seen from outside."""

from __future__ import annotations

import datetime
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from pbx.app.operation import Operation
from pbx.net.certificates import ensure_certificate
from tests.support.loopback import World
from tests.support.pbx import LOOPBACK, Connect, Pbx, Phone, Serve, free_ports

NOW = datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.UTC)
PLAN = """
routes:
  - {name: both, when: {from: trunk/line, number: "7X"}, do: [{dial: trunk/line, record: true}]}
"""


def calling(serve: Serve, phone: Connect, text: str, environ: dict[str, str] | None = None) -> tuple[Pbx, Phone]:
    (port,) = free_ports()
    trunk = f'trunks: {{line: {{address: "sip:{LOOPBACK}:{port}", identify: "{LOOPBACK}:{port}"}}}}\n'
    pbx = serve(text + trunk, PLAN, environ)
    return pbx, phone(pbx, port=port)


def talk(line: Phone, number: str = "70") -> Any:
    """Have the carrier call itself through the server; return what the caller hears last."""
    sent = line.dial(number)
    heard = line.request("INVITE")
    line.pick_up(heard)
    answer = line.final(sent)
    line.acknowledge(sent, answer)
    return sent, answer


# Storage


@pytest.mark.parametrize(
    ("text", "database", "recordings"),
    [
        ("", "var/tandem.db", "var/recordings"),
        ("storage: {directory: data}\n", "data/tandem.db", "data/recordings"),
        ("storage: {directory: data, recordings: calls}\n", "data/tandem.db", "calls"),
        ("storage: {directory: data, database: env:WHERE}\n", "other.db", "data/recordings"),
    ],
)
def test_where_things_are_written(
    serve: Serve, phone: Connect, world: World, tmp_path: Path, text: str, database: str, recordings: str
) -> None:
    environ = {"WHERE": f"sqlite:///{tmp_path}/pbx0/other.db"}
    pbx, line = calling(serve, phone, text, environ)
    sent, answer = talk(line)
    assert line.hang_up(sent, answer).status == 200
    line.answer(line.request("BYE"), 200)
    world.until(lambda: not len(pbx.server.registry))
    assert list((pbx.folder / recordings).rglob("*.wav"))
    world.until(lambda: (pbx.folder / database).exists())
    assert {path.relative_to(pbx.folder) for path in pbx.folder.rglob("*.db")} == {Path(database)}


def test_how_long_records_are_kept(serve: Serve, phone: Connect) -> None:
    pbx, _ = calling(serve, phone, "storage: {keep_records: 400d}\n")
    retention = pbx.server.store.retention
    assert retention.keep == 400 * 86_400
    assert not pbx.reload("storage: {keep_records: 12h}\n")
    assert retention.keep == 400 * 86_400
    assert pbx.reload("")
    assert retention.keep is None


@pytest.mark.parametrize(
    ("policy", "ends"), [("", False), ("recording_failure: continue", False), ("recording_failure: end", True)]
)
def test_a_call_that_cannot_be_recorded(serve: Serve, phone: Connect, world: World, policy: str, ends: bool) -> None:
    pbx, line = calling(serve, phone, f"storage: {{recordings: calls, {policy}}}\n")
    folder = pbx.folder / "calls"
    folder.mkdir(exist_ok=True)
    for year in (0, 1):  # a file where the folder of the year should be
        (folder / str(datetime.datetime.now().year + year)).touch()  # noqa: DTZ005
    sent, answer = talk(line)
    assert answer.status == 200
    assert sent
    if ends:
        line.request("BYE")
    else:
        assert line.silent(0.4)


# HTTP


def ask(world: World, url: str, token: str = "", verify: Any = True) -> int:
    async def go() -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(verify=verify, headers=headers) as client:
            return (await client.get(url)).status_code

    return world.loop.run_until_complete(go())


def test_the_api_listens_where_and_for_whom_it_is_told(serve: Serve, world: World) -> None:
    text = "http: {listen: 127.0.0.2:0, token: %s}\n"
    pbx = serve(text % "sesame-open")
    operation = Operation(pbx.server, world.loop, {})
    operation.start()
    assert operation.web is not None
    host, port = operation.web.address
    assert host == "127.0.0.2"
    url = f"http://{host}:{port}/api/v1/status"
    assert (ask(world, url), ask(world, url, "wrong"), ask(world, url, "sesame-open")) == (401, 401, 200)
    assert pbx.reload(text % "another-word")
    assert (ask(world, url, "sesame-open"), ask(world, url, "another-word")) == (401, 200)
    assert pbx.reload("http: {listen: 127.0.0.2:0}\n")
    assert ask(world, url, "another-word") == 401
    assert ask(world, url, (pbx.folder / "var" / "api-token").read_text().strip()) == 200
    operation.stop()


def test_a_token_is_made_where_none_is_given(serve: Serve, world: World) -> None:
    pbx = serve("http: {listen: 127.0.0.1:0}\n")
    operation = Operation(pbx.server, world.loop, {})
    operation.start()
    assert operation.web is not None
    token = (pbx.folder / "var" / "api-token").read_text().strip()
    assert ask(world, f"http://{LOOPBACK}:{operation.web.address[1]}/api/v1/status", token) == 200
    operation.stop()


@pytest.mark.parametrize("text", ["http: null\n", "http: {listen: null}\n"])
def test_http_can_be_turned_off(serve: Serve, world: World, text: str) -> None:
    operation = Operation(serve(text).server, world.loop, {})
    assert operation.web is None
    operation.stop()


def test_https(serve: Serve, world: World, tmp_path: Path) -> None:
    certificate, key = ensure_certificate(tmp_path / "web", "localhost", [LOOPBACK], NOW)
    text = f"http: {{listen: 127.0.0.1:0, token: sesame-open, certificate: {certificate}, key: {key}}}\n"
    operation = Operation(serve(text).server, world.loop, {})
    operation.start()
    assert operation.web is not None
    trusting = ssl.create_default_context(cafile=str(certificate))
    url = f"https://{LOOPBACK}:{operation.web.address[1]}/api/v1/status"
    assert ask(world, url, "sesame-open", trusting) == 200
    operation.stop()


# The log, of a process


class Process:
    """`pbx serve`."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.path = folder / "pbx.yaml"
        self.write(text)
        command = [sys.executable, "-c", "from pbx.cli.main import main; main()", "serve", "-c", str(self.path)]
        with (folder / "stderr").open("w") as errors:
            self.child = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=dict(os.environ)
            )
        assert self.child.stdout is not None
        assert self.child.stdout.readline() == "ready\n", (folder / "stderr").read_text()

    def write(self, text: str) -> None:
        self.path.write_text(f'sip: {{listen: ["udp://{LOOPBACK}:0"]}}\nhttp: null\n{text}')

    def reload(self, text: str) -> None:
        self.write(text)
        self.child.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        self.child.send_signal(signal.SIGTERM)
        status = self.child.wait(20)
        assert self.child.stdout is not None
        self.child.stdout.close()
        return status


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def until(done: Any, longest: float = 10.0) -> None:
    end = time.monotonic() + longest
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_the_log_and_a_reload_of_a_process(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "pbx.json"
    text = (
        "log: {format: json, level: %s, file: logs/pbx.json}\nextensions: {'101': {password: %s}}\nmedia: {ports: %s}\n"
    )
    process = Process(tmp_path, text % ("warning", "wonderland", "41000-41019"))
    try:
        assert {line["level"] for line in lines_of(log)} <= {"warning"}
        process.reload(text % ("info", "looking-glass", "42000-42019"))
        until(lambda: any(line["event"] == "restart-needed" for line in lines_of(log)))
        (said,) = [line for line in lines_of(log) if line["event"] == "restart-needed"]
        assert (said["keys"], said["level"]) == ("media.ports", "warning")
        log.rename(tmp_path / "logs" / "old.json")
        process.reload(text % ("info", "looking-glass", "41000-41019") + "nonsense: 1\n")
        until(lambda: any(line["event"] == "reload-refused" for line in lines_of(log)))
        assert "no key `nonsense`" in lines_of(log)[-1]["fault"]
        process.reload(text % ("info", "looking-glass", "41000-41019"))
        until(lambda: any(line["event"] == "reloaded" for line in lines_of(log)))
        assert lines_of(log)[-1]["level"] == "info"
    finally:
        assert process.stop() == 0
    assert (tmp_path / "stderr").read_text() == ""


def test_the_log_goes_to_standard_error_for_people(tmp_path: Path) -> None:
    process = Process(tmp_path, "")
    assert process.stop() == 0
    said = (tmp_path / "stderr").read_text()
    assert "listening" in said
    assert not said.startswith("{")
