"""The server as a child process: its files, its HTTP side, its log, and what must be left of it at the end: nothing."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.peers.support import ports
from tests.peers.support.child import Child
from tests.peers.support.waiting import until

__all__ = ["ROOT", "TOKEN", "Server", "Site", "pbx", "serving"]

ROOT = Path(__file__).parents[3]
TOKEN = "a-token-that-only-this-test-knows"
_COMMAND = [sys.executable, "-c", "from pbx.cli.main import main; main()"]
_PATH = {"PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"}

Config = Mapping[str, Any]


def pbx(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Child:
    """Run the command `pbx`; its standard error is in `folder`/stderr."""
    return Child([*_COMMAND, *arguments], folder, {**_PATH, **(environment or {})}, merge=False)


@dataclass(frozen=True)
class Site:
    """Where one server lives: its folder and its ports."""

    folder: Path
    sip: int = field(default_factory=ports.port)
    tls: int = field(default_factory=ports.port)
    http: int = field(default_factory=ports.port)
    media: int = field(default_factory=lambda: ports.block(200))
    media_ports: int = 200

    @property
    def media_range(self) -> str:
        return f"{self.media}-{self.media + self.media_ports - 1}"

    @property
    def storage(self) -> Path:
        return self.folder / "var"

    @property
    def recordings(self) -> Path:
        return self.storage / "recordings"

    def settings(self, **sections: Any) -> dict[str, Any]:
        """Return a configuration for this place; a section given is laid over the one that is here."""
        base: dict[str, Any] = {
            "sip": {
                "listen": [f"{kind}://127.0.0.1:{self.sip}" for kind in ("udp", "tcp")],
                # Nobody outside is asked for names.
                "resolver": {"servers": ["127.0.0.1"], "timeout": "1s"},
            },
            # Who is held hears nothing, so that what phones hear is what phones say.
            "media": {"address": "127.0.0.1", "ports": self.media_range, "music_on_hold": None},
            "storage": {"directory": "var"},
            "http": {"listen": f"127.0.0.1:{self.http}", "token": TOKEN},
            "log": {"format": "json"},
            "limits": {"drain_timeout": "3s"},
            "dialplan": "dialplan.yaml",
        }
        return _laid_over(base, sections)

    def write(self, settings: Config | str, plan: Config | str) -> Path:
        """Write both files (JSON is YAML) and return the configuration's path."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "pbx.yaml"
        for place, content in ((path, settings), (self.folder / "dialplan.yaml", plan)):
            place.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
            place.chmod(0o640)
        return path


def _laid_over(base: Config, sections: Config) -> dict[str, Any]:
    """Return `base` with `sections` in it; mappings are merged, everything else is replaced."""
    merged = dict(base)
    for name, section in sections.items():
        both = isinstance(base.get(name), dict) and isinstance(section, dict)
        merged[name] = _laid_over(base[name], section) if both else section
    return merged


class Server:
    """One run of the server at a site. `start`, then `stop`, `kill` or, if the test has failed, `abandon`."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.expected_errors: set[str] = set()
        """Events that this test provokes and that may stand in the log as errors."""
        self._child: Child | None = None
        self._descriptors = 0
        self._ports = 0.0

    # -- life

    def start(self) -> Server:
        """Start it and wait until it says that it is ready."""
        self._child = pbx(self.site.folder, "serve", "-c", str(self.site.folder / "pbx.yaml"))
        try:
            self._child.expect(r"(?m)^ready$", 30)
        except AssertionError as error:
            self._child.end()
            raise AssertionError(f"{error}\n{self.log_tail()}") from None
        # What it opens at the first question is not counted as left over.
        self.records()
        self.is_idle()
        self._ports = self._all_ports()
        return self

    def is_idle(self) -> None:
        """Take what is open now for what is open as long as nobody calls."""
        self._descriptors = len(self.descriptors())

    @property
    def child(self) -> Child:
        assert self._child is not None, "the server was not started"
        return self._child

    def stop(self, seconds: float = 10.0) -> None:
        """End it with SIGTERM, after it has shown that nothing is left of the calls that it had."""
        try:
            # A test may have ended it.
            if self.child.running:
                self.assert_idle()
                self.child.process.send_signal(signal.SIGTERM)
            status = self.child.wait(seconds)
        except BaseException:
            self.abandon()
            raise
        assert status == 0, f"exit status {status} at SIGTERM\n{self.log_tail()}"
        self.assert_clean_log()

    def kill(self) -> None:
        """End it as a power failure would."""
        self.child.kill()

    def abandon(self) -> None:
        """End it, whatever it leaves."""
        if self._child is not None:
            self._child.end(5)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.child.process.send_signal(number)

    # -- the HTTP side

    def api(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Ask the API; return what it answers, parsed if it is JSON. urllib.error.HTTPError if it refuses."""
        data, kind = self._ask(path, method, body)
        return json.loads(data) if kind == "application/json" else data.decode()

    def download(self, path: str) -> bytes:
        """Return a file that the API gives."""
        return self._ask(path)[0]

    def _ask(self, path: str, method: str = "GET", body: Any = None) -> tuple[bytes, str]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.site.http}{path if path.startswith('/metrics') else '/api/v1' + path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "Connection": "close"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.read(), response.headers.get_content_type()

    def calls(self) -> list[dict[str, Any]]:
        """The running calls."""
        found: list[dict[str, Any]] = self.api("/calls")["calls"]
        return found

    def records(self, limit: int = 100) -> list[dict[str, Any]]:
        """The call records that are in the database, newest first."""
        found: list[dict[str, Any]] = self.api(f"/call-records?limit={limit}")["records"]
        return found

    def record(self, count: int = 1) -> dict[str, Any]:
        """Wait until `count` calls are over and written; return the record of the last one."""

        def look() -> list[dict[str, Any]]:
            ended = [record for record in self.records() if record["ended"]]
            return ended if len(ended) >= count else []

        return until(look, lambda: f"{count} ended records: {self.records()}")[0]

    def recording(self, record: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
        """Return the one recording of a call, and what the JSON beside it says."""
        found = sorted(self.site.recordings.rglob(f"*-{record['id']}.wav"))
        assert len(found) == 1, f"recordings of {record}: {found}"
        return found[0], json.loads(found[0].with_suffix(".json").read_text())

    def trunk(self, name: str) -> dict[str, Any]:
        """How a trunk stands."""
        return next(one for one in self.api("/trunks")["trunks"] if one["name"] == name)

    def trunk_registered(self, name: str) -> None:
        """Wait until we are registered with a trunk."""
        until(lambda: self.trunk(name)["registration"] == "registered", lambda: f"registration: {self.trunk(name)}")

    def registered(self, *numbers: str) -> None:
        """Wait until all these extensions are registered."""

        def look() -> bool:
            found = {
                one["aor"].partition(":")[2].partition("@")[0] for one in self.api("/registrations")["registrations"]
            }
            return found.issuperset(numbers)

        until(look, lambda: f"registration of {numbers}: {self.log_tail()}", 20)

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics, by its name with its labels."""
        found = {}
        for line in self.api("/metrics").splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name] = float(value)
        return found

    def trace(self, call: str) -> str:
        """The SIP messages of a call, in full."""
        try:
            return str(self.api(f"/calls/{call}/trace?bodies=true"))
        except urllib.error.HTTPError as error:
            return f"no trace: {error}"

    # -- what is left

    def descriptors(self) -> list[str]:
        """What its open file descriptors are, those of the database left out: it keeps a few connections to it."""
        folder = Path(f"/proc/{self.child.pid}/fd")
        found = []
        for entry in folder.iterdir():
            try:
                found.append(os.readlink(entry))
            except FileNotFoundError:
                continue  # closed meanwhile
        return sorted(name for name in found if "tandem.db" not in name)

    def _all_ports(self) -> float:
        metrics = self.metrics()
        return sum(metrics[f'tandem_media_ports{{state="{state}"}}'] for state in ("free", "ready", "draining"))

    def _most_descriptors(self) -> float:
        """How many there may be without calls: as many as at the start, and media ports that are ready for calls."""
        return self._descriptors + 2 * self.metrics()['tandem_media_ports{state="ready"}']

    def assert_idle(self, seconds: float = 15.0) -> None:
        """Wait until no call, stream, port or descriptor is left, and fail if one stays."""
        until(lambda: not self.calls(), lambda: f"end of {self.calls()}", seconds)
        until(lambda: self.metrics()["tandem_media_streams"] == 0, "end of all streams", seconds)
        until(lambda: self._all_ports() == self._ports, lambda: f"return of ports: {self._all_ports()}", seconds)
        until(
            lambda: len(self.descriptors()) <= self._most_descriptors(),
            lambda: f"return to {self._most_descriptors()} descriptors: {self.descriptors()}",
            seconds,
        )
        metrics = self.metrics()
        assert metrics["tandem_faults_total"] == 0, self.log_tail()
        assert metrics['tandem_net_events_total{event="user_errors"}'] == 0, self.log_tail()

    # -- the log

    def log(self) -> list[dict[str, Any]]:
        """The lines of the log of this run. A line that is none of ours (a crash, a stray print) is an event `raw`."""
        found = []
        for line in (self.site.folder / "stderr").read_text(errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"event": "raw", "level": "critical", "text": line})
        return found

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of the log about one kind of event."""
        return [line for line in self.log() if line["event"] == name]

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of the log, for a failure's text."""
        text = (self.site.folder / "stderr").read_text(errors="replace")
        return "\n".join(line.replace("\\n", "\n") for line in text.splitlines()[-lines:])

    def assert_clean_log(self) -> None:
        """Fail if anything in the log speaks of a bug."""
        bad = [line for line in self.log() if _is_bad(line, self.expected_errors)]
        assert not bad, "\n".join(json.dumps(line).replace("\\n", "\n") for line in bad[:5])


def _is_bad(line: Mapping[str, Any], expected: Collection[str]) -> bool:
    if "exception" in line or line.get("event") == "fault" or "Traceback" in str(line):
        return True
    return line.get("level") in ("error", "critical") and line["event"] not in expected


@contextmanager
def serving(site: Site, settings: Config | str, plan: Config | str) -> Iterator[Server]:
    """Run a server; at the end it has to be idle, to stop well and to have logged nothing bad."""
    site.write(settings, plan)
    server = Server(site).start()
    try:
        yield server
    except BaseException:
        server.abandon()
        raise
    server.stop()
