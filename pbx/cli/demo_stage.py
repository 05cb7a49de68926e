"""What `pbx demo` runs: a throw-away PBX and two phones, each a process of its own, on loopback."""

from __future__ import annotations

import json
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pbx.errors import EnvironmentFault

if TYPE_CHECKING:
    from pbx.config.schema import Settings

__all__ = ["Outcome", "Phone", "Stage", "make_sounds"]

_SPEECH: Final = ("hello-world", "queue-thankyou", "vm-goodbye")
_PAUSE: Final = 0.25
_MELODY: Final = (261.63, 293.66, 329.63, 392.0, 523.25, 392.0, 329.63, 293.66)
_SECOND_MELODY: Final = (440.0, 493.88, 554.37, 587.33, 659.25, 587.33, 554.37, 493.88)
_NOTE: Final = 0.35
_RATE: Final = 8000
_ALICE, _BOB = "101", "102"

_PLAN: Final = """\
routes:
  - name: recorded
    when: {from: extension, number: "1XX"}
    do:
      - dial: "extension/{number}"
        record: true
        timeout: 15s
"""


# Sounds


def make_sounds(folder: Path, sounds: Sequence[Path]) -> tuple[Path, Path, bool]:
    """Write what the two phones play, equally long, into `folder`; return both paths and whether the first speaks.

    It does if the sounds of Debian's asterisk-core-sounds-en-wav are in one of the folders `sounds`.
    """
    from pbx.phone.sounds import Sound, melody, write_wav

    speech = _speech(sounds)
    first = speech or melody(_SECOND_MELODY * 2, _NOTE, _RATE)
    count = len(first) / (_NOTE * _RATE)
    notes = [_MELODY[place % len(_MELODY)] for place in range(max(1, round(count)))]
    paths = folder / "alice.wav", folder / "bob.wav"
    for path, samples in zip(paths, (first, melody(notes, _NOTE, _RATE)), strict=True):
        write_wav(path, Sound(_RATE, samples))
    return *paths, bool(speech)


def _speech(folders: Sequence[Path]) -> array[int]:
    from pbx.phone.sounds import read_wav

    spoken = array("h")
    for name in _SPEECH:
        path = next((folder / f"{name}.wav" for folder in folders if (folder / f"{name}.wav").is_file()), None)
        if path is None:
            return array("h")
        try:
            sound = read_wav(path)
        except (OSError, ValueError):
            return array("h")
        if sound.rate != _RATE:
            return array("h")
        spoken.extend(sound.channels[0])
        spoken.extend(array("h", bytes(2 * round(_PAUSE * _RATE))))
    return spoken


# Processes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a phone told, and how it ended."""

    told: list[dict[str, Any]]
    status: int

    def of(self, event: str) -> dict[str, Any]:
        """Return the last it told of that kind; empty if it told none."""
        return next((one for one in reversed(self.told) if one["event"] == event), {})


class Phone:
    """One `pbx call`."""

    def __init__(self, name: str, process: subprocess.Popen[str], heard: Callable[[str, dict[str, Any]], None]) -> None:
        self.name = name
        self._process = process
        self._heard = heard
        self._told: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                data = json.loads(line)
            except ValueError:
                data = {"event": "raw", "text": line.rstrip()}
            self._told.append(data)
            self._heard(self.name, data)

    def finish(self, seconds: float) -> Outcome:
        """Wait until it ends. Raises EnvironmentFault if it does not in time."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise EnvironmentFault(f"{self.name}'s phone did not come to its end within {seconds:.0f} s") from None
        self._thread.join(2)
        return Outcome(self._told, status)

    def end(self) -> None:
        """End it, whatever it does."""
        _end(self._process)
        self._thread.join(2)


class Stage:
    """The PBX and the phones in one folder. `close` ends all that runs; `told` gives what phones tell, as it comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sip = _free_port()
        self.http = _free_port()
        self.told: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self.settings: Settings
        self._server: subprocess.Popen[str] | None = None
        self._phones: list[Phone] = []
        self._log = folder / "server.log"

    # -- the PBX

    def configure(self) -> None:
        """Write what `pbx init` writes, changed to run beside whatever else runs here."""
        import yaml

        from pbx.cli.init import initialise
        from pbx.loading import load_configured

        made = initialise(self.folder)
        configuration = yaml.safe_load(made.path.read_text("utf-8"))
        configuration["sip"]["listen"] = [f"{kind}://127.0.0.1:{self.sip}" for kind in ("udp", "tcp")]
        configuration["http"]["listen"] = f"127.0.0.1:{self.http}"
        configuration["media"] = {"address": "127.0.0.1"}
        configuration["dialplan"] = "demo-dialplan.yaml"
        path = self.folder / "demo.yaml"
        (self.folder / "demo-dialplan.yaml").write_text(_PLAN, "utf-8")
        path.write_text(yaml.safe_dump(configuration, sort_keys=False), "utf-8")
        self.settings = load_configured(path, os.environ).settings

    def serve(self, seconds: float) -> None:
        """Start the PBX and wait until it is ready. Raises EnvironmentFault with what it said."""
        with self._log.open("w") as log:
            self._server = _run(["serve", "-c", str(self.folder / "demo.yaml")], {}, log)
        ready = threading.Event()
        threading.Thread(target=_watch, args=(self._server, ready), daemon=True).start()
        end = time.monotonic() + seconds
        while not ready.wait(0.02):
            if self._server.poll() is not None or time.monotonic() > end:
                raise EnvironmentFault(f"the PBX did not start:\n{self.log()}")

    def log(self) -> str:
        """Return the last lines that the PBX has logged."""
        return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-15:])

    @property
    def pid(self) -> int:
        """The process of the PBX."""
        return self._server.pid if self._server is not None else 0

    def api(self, path: str) -> Any:
        """Ask the PBX's API; return JSON parsed, or a text. Raises EnvironmentFault."""
        import httpx

        token = self.settings.http.token
        headers = {"Authorization": f"Bearer {token.reveal()}"} if token is not None else {}
        try:
            response = httpx.get(
                f"http://127.0.0.1:{self.http}/api/v1{path}", headers=headers, timeout=5.0, trust_env=False
            )
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise EnvironmentFault(f"the PBX's API does not answer {path}: {error}") from None
        return response.json() if response.headers["content-type"].startswith("application/json") else response.text

    def stop_server(self, seconds: float) -> int:
        """End the PBX as an operator would; return its exit status."""
        assert self._server is not None
        self._server.send_signal(signal.SIGTERM)
        try:
            return self._server.wait(seconds)
        except subprocess.TimeoutExpired:
            raise EnvironmentFault(f"the PBX did not stop within {seconds:.0f} s:\n{self.log()}") from None

    # -- the phones

    def phone(self, name: str, extension: str, *arguments: str) -> Phone:
        """Start a phone of that extension."""
        password = self.settings.extensions[extension].password.reveal()
        environment = {"SIP_SERVER": f"127.0.0.1:{self.sip}", "SIP_USER": extension, "SIP_PASSWORD": password}
        process = _run(["call", "--json", *arguments], environment)
        phone = Phone(name, process, lambda who, data: self.told.put((who, data)))
        self._phones.append(phone)
        return phone

    def await_event(self, name: str, events: Sequence[str], seconds: float, show: Callable[..., None]) -> str:
        """Wait until a phone tells one of these, and return which; all that phones tell meanwhile is shown.

        Raises EnvironmentFault if it takes too long.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                who, data = self.told.get(timeout=left)
            except queue.Empty:
                break
            show(who, data)
            if who == name and data["event"] in events:
                return str(data["event"])
        raise EnvironmentFault(f"{name}'s phone told no {' or '.join(events)} within {seconds:.0f} s")

    # -- the end

    def close(self) -> None:
        """End all that runs."""
        for phone in self._phones:
            phone.end()
        if self._server is not None:
            _end(self._server)


def _watch(process: subprocess.Popen[str], ready: threading.Event) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "ready":
            ready.set()


def _run(arguments: list[str], environment: Mapping[str, str], errors: Any = None) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SIP_", "PBX_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "pbx", *arguments],
        env={**kept, **environment, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        # A Ctrl-C at the terminal is ours alone: the phones hang up when they are told to.
        start_new_session=True,
    )


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _free_port() -> int:
    """Return a port of loopback that is free for UDP and TCP, below the default range of audio."""
    for _ in range(100):
        port = 10_000 + secrets.randbelow(10_000)
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
    raise EnvironmentFault("no free port was found on 127.0.0.1")
