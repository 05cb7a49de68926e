"""`pbx call` as a user runs it, against the server: over every transport, with what is heard measured."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pbx.cli.main import application
from pbx.errors import ConfigurationError
from pbx.phone.sounds import Sound, likeness, melody, read_wav, tone, write_wav
from tests.peers.support.child import Child
from tests.peers.support.hearing import heard, length
from tests.peers.support.server import Server, Site, pbx, serving
from tests.peers.support.waiting import until

pytest.importorskip("pbx.native._engine", reason="the native engine is not built", exc_type=ImportError)

PLAN = {
    "routes": [
        {"name": "echo", "when": {"from": "extension", "number": "600"}, "do": [{"answer": None}, {"echo": None}]},
        {
            "name": "phones",
            "when": {"from": "extension", "number": "1XX"},
            "do": [{"dial": "extension/{number}", "record": True, "timeout": "10s"}],
        },
    ],
}
SECRETS = {"101": "secret-of-101", "102": "secret-of-102"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = Site(tmp_path_factory.mktemp("server"))
    listen = [f"udp://127.0.0.1:{site.sip}", f"tcp://127.0.0.1:{site.sip}", f"tls://127.0.0.1:{site.tls}"]
    extensions = {number: {"name": f"Phone {number}", "password": secret} for number, secret in SECRETS.items()}
    with serving(site, site.settings(sip={"listen": listen}, extensions=extensions), PLAN) as running:
        yield running


class Run:
    """One run of `pbx call`."""

    def __init__(self, folder: Path, child: Child) -> None:
        self.folder = folder
        self.child = child

    def ends(self, seconds: float = 15.0) -> tuple[int, list[dict[str, Any]]]:
        """Wait for its end; return its status and what it told."""
        status = self.child.wait(seconds)
        assert "Traceback" not in self.errors(), self.errors()
        return status, [json.loads(line) for line in self.child.output.splitlines()]

    def expect(self, event: str) -> None:
        self.child.expect(f'"event": "{event}"')

    def errors(self) -> str:
        return (self.folder / "stderr").read_text()


class Phones:
    """Starts phones at the server; none outlives the test."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.runs: list[Run] = []

    def run(self, *arguments: str, user: str = "101", as_json: bool = True, **environment: str) -> Run:
        folder = self.folder / str(len(self.runs))
        folder.mkdir()
        set_before = {
            "SIP_SERVER": f"127.0.0.1:{self.server.site.sip}",
            "SIP_USER": user,
            "SIP_PASSWORD": SECRETS[user],
            "SIP_OUTBOUND_PROXY": "",
        }
        options = ["--json"] if as_json else []
        run = Run(folder, pbx(folder, "call", *options, *arguments, environment={**set_before, **environment}))
        self.runs.append(run)
        return run

    def close(self) -> None:
        for run in self.runs:
            run.child.end()


@pytest.fixture
def phones(server: Server, tmp_path: Path) -> Iterator[Phones]:
    made = Phones(server, tmp_path)
    yield made
    made.close()


def last(told: list[dict[str, Any]], event: str) -> dict[str, Any]:
    found = [one for one in told if one["event"] == event]
    assert found, f"no {event} in {told}"
    return found[-1]


def names(told: list[dict[str, Any]]) -> list[str]:
    return [one["event"] for one in told]


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_what_is_played_comes_back(server: Server, phones: Phones, tmp_path: Path, transport: str) -> None:
    played, back = tmp_path / "played.wav", tmp_path / "back.wav"
    original = melody((262, 330, 392, 523), 0.4)
    write_wav(played, Sound(8000, original))
    back.write_bytes(b"what was there before")
    port = server.site.tls if transport == "tls" else server.site.sip
    run = phones.run(
        *("600", "--server", f"127.0.0.1:{port}", "--transport", transport, "--codec", "pcma"),
        *("--play", str(played), "--record", str(back), "--duration", "2.2", *["--srtp"] * (transport == "tls")),
        SSL_CERT_FILE=str(server.site.storage / "tls-certificate.pem"),
    )
    status, told = run.ends()
    assert status == 0, told
    assert names(told) == [
        *("registering", "registered", "calling", "answered", "play-ended", "hung-up", "recording-ended", "quality"),
        *("unregistered", "exit"),
    ]
    assert last(told, "registered")["contact"].endswith("" if transport == "udp" else f";transport={transport}")
    assert last(told, "unregistered")["confirmed"] is True
    assert last(told, "quality")["received"] > 90
    assert last(told, "quality")["lost"] == 0
    assert likeness(original, read_wav(back).channels[0], 8000)[0] > 0.95
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_two_phones_hear_each_other(server: Server, phones: Phones, tmp_path: Path) -> None:
    tones = {"101": 440, "102": 1000}
    for user, hertz in tones.items():
        write_wav(tmp_path / f"{user}.wav", Sound(8000, tone(hertz, 10)))
    options = {
        user: ("--play", str(tmp_path / f"{user}.wav"), "--record", str(tmp_path / f"heard-{user}.wav"))
        for user in tones
    }
    known = {record["id"] for record in server.records()}
    called = phones.run("--wait", "--answer-after", "0.3", "--codec", "pcmu", *options["102"], user="102")
    called.expect("waiting")
    caller = phones.run("102", "--duration", "2.5", "--from", "Alice", "--codec", "pcmu", *options["101"])
    for run in (caller, called):
        status, told = run.ends()
        assert status == 0, told
    assert last(told, "called")["name"] == "Phone 101", "who calls is what the server says"
    assert last(told, "hung-up")["who"] == "peer"
    # A call of an earlier test may be the last one that has ended in the records.
    records = until(
        lambda: [one for one in server.records() if one["ended"] and one["called"] == "102" and one["id"] not in known],
        "the record of the call",
    )
    recording, _ = server.recording(records[0])
    # Nothing but the other's tone, all the time.
    assert heard(tmp_path / "heard-101.wav") == [1000]
    assert heard(tmp_path / "heard-102.wav") == [440]
    assert (heard(recording, 0), heard(recording, 1)) == ([440], [1000])
    assert length(recording) > 2.0


def test_keys_go_through(phones: Phones) -> None:
    called = phones.run("--wait", user="102")
    called.expect("waiting")
    assert phones.run("102", "--dtmf", "1,#", "--duration", "3").ends()[0] == 0
    told = called.ends()[1]
    assert [one["key"] for one in told if one["event"] == "key-heard"] == ["1", "#"]


def test_ctrl_c_hangs_up_and_leaves(server: Server, phones: Phones) -> None:
    waiting = phones.run("--wait", "--answer-after", "30", user="102")
    waiting.expect("waiting")
    ringing = phones.run("102")
    ringing.expect("ringing")
    ringing.child.process.send_signal(signal.SIGINT)
    status, told = ringing.ends()
    assert status == 130
    assert last(told, "hung-up")["who"] == "us"
    assert last(told, "unregistered")["confirmed"] is True
    status, told = waiting.ends()
    assert status == 1
    assert last(told, "hung-up")["cause"] == "cancelled"
    talking = phones.run("600")
    talking.expect("answered")
    talking.child.process.send_signal(signal.SIGTERM)
    status, told = talking.ends()
    assert status == 143
    assert last(told, "hung-up")["answered"] is True
    assert server.api("/registrations")["registrations"] == []


def test_the_lines_that_people_read(phones: Phones) -> None:
    run = phones.run("600", "--duration", "0.2", "--trace", as_json=False)
    assert run.child.wait(10) == 0
    text = run.child.output
    for word in ("registering", "registered", "calling", "answered", "hung up", "quality", "unregistered"):
        assert f"  {word}" in text
    assert "REGISTER sip:" in text
    assert "INVITE sip:600@" in text
    # Digest responses are crossed out.
    assert 'response="xxxxxxxx' in text
    assert "secret-of-101" not in text


def test_failures_are_said_plainly(phones: Phones, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF but no sound")
    cases = {
        ("600", "--password", "wrong"): "does not accept this user name and password",
        ("999",): "No such number.",
        ("600", "--server", "127.0.0.1:1", "--transport", "tcp"): "cannot be reached",
        ("600", "--server", f"127.0.0.1:{phones.server.site.tls}", "--transport", "tls"): "--insecure takes it",
        ("600", "--play", str(tmp_path / "broken.wav")): "cannot be played",
    }
    runs = [phones.run(*arguments, as_json=False) for arguments in cases]
    for run, words in zip(runs, cases.values(), strict=True):
        assert run.child.wait(40) == 1, run.child.output
        assert words in run.child.output
        assert run.errors() == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("600", "--wait"), "not both"),
        (("600", "--play", "/nowhere.wav"), "--play /nowhere.wav: No such file"),
        (("600", "--record", "/nowhere/x.wav"), "there is no folder /nowhere"),
        (("600", "--record", "/proc"), "--record /proc: cannot be written"),
        (("600", "--dtmf", "x"), "--dtmf x"),
        (("600", "--codec", "speex"), "--codec speex"),
        (("600", "--transport", "carrier-pigeon"), "--transport carrier-pigeon"),
        (("600", "--server", "a b"), "--server a b"),
        (("600", "--user", ""), "--no-register"),
        (("--server", ""), "nothing to do"),
        (("600", "--server", ""), "at which server"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], words: str) -> None:
    """Faults of usage are found before anything is opened; `pbx` ends with 2 for them."""
    runner = CliRunner(env={"SIP_SERVER": "h", "SIP_USER": "101", "SIP_PASSWORD": None, "SIP_OUTBOUND_PROXY": None})
    result = runner.invoke(application(), ["call", *arguments])
    assert isinstance(result.exception, ConfigurationError), result.output
    assert words in str(result.exception)
    assert result.output == ""


def test_through_an_outbound_proxy_as_the_environment_names_it(server: Server, phones: Phones) -> None:
    """The domain leads nowhere: everything takes the pre-loaded route, over TCP."""
    run = phones.run(
        *("600", "--duration", "0.3"),
        SIP_SERVER="pbx.invalid",
        SIP_OUTBOUND_PROXY=f"sip:127.0.0.1:{server.site.sip};transport=tcp;lr",
    )
    status, told = run.ends()
    assert status == 0, told
    assert last(told, "calling")["uri"] == "sip:600@pbx.invalid"
    assert last(told, "registered")["contact"].endswith(";transport=tcp")


def test_a_port_in_use_is_said_plainly(phones: Phones) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 0))
        port = taken.getsockname()[1]
        run = phones.run("600", "--local-port", str(port))
        assert run.child.wait(10) == 1
    assert f":{port} cannot be listened on" in run.errors()


def test_two_phones_without_a_server(phones: Phones) -> None:
    called = phones.run("--wait", "--no-register", "--local-port", "0", "--echo", SIP_SERVER="", SIP_USER="")
    called.expect("waiting")
    contact = json.loads(called.child.output.splitlines()[-1])["contact"]
    port = contact.rpartition(":")[2]
    caller = phones.run(f"sip:anyone@127.0.0.1:{port}", "--duration", "0.5", SIP_SERVER="", SIP_USER="")
    status, told = caller.ends()
    assert status == 0, told
    assert last(told, "quality")["received"] > 0
    assert called.ends()[0] == 0
