"""SIPp with the scenarios of `tests/peers/scenarios`.

In them ``@NAME@`` stands for what a test fills in, and ``<?part NAME KEY=value?>`` for the file of that
name in `parts`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.peers.support import ports
from tests.peers.support.child import Child, program
from tests.peers.support.server import Server
from tests.peers.support.waiting import until

__all__ = ["Make", "Sipp", "run", "scenario_text"]

_PACKAGE = "sip-tester"
SCENARIOS = Path(__file__).parents[1] / "scenarios"
_DEFAULTS = {
    "HOLD": "200",
    "EXTRA": "",
    "NUMBER": "1000",
    "REASON": "Because",
    "RETRANS": "",
    "MEDIA": "[media_port]",
    "VERIFY": "",
    "JUDGED": "",
    "AGAIN": "",
}


def scenario_text(name: str, words: Mapping[str, str]) -> str:
    """Return a scenario with everything filled in; KeyError names a word that nobody gave."""

    def fill(text: str) -> str:
        # An empty line would end the headers.
        text = re.sub(r"(?m)^@([A-Z_]+)@\n", lambda found: words[found[1]] and f"{words[found[1]]}\n", text)
        return re.sub(r"@([A-Z_]+)@", lambda found: words[found[1]], text)

    def part(found: re.Match[str]) -> str:
        own = dict(pair.replace("\\n", "\n").split("=", 1) for pair in shlex.split(found[2]))
        return scenario_text(f"parts/{found[1]}", {**words, **own})

    text = fill((SCENARIOS / f"{name}.xml").read_text())
    return re.sub(r"<\?part ([a-z-]+)(.*?)\?>", part, text)


class Sipp:
    """One SIPp: a caller that makes `calls` calls to `remote` and ends, or a callee that takes them.

    `start` a callee first; `wait` returns when all calls are over, and fails with SIPp's own words if one was not as
    the scenario says.
    """

    def __init__(
        self,
        folder: Path,
        scenario: str,
        port: int,
        remote: int = 0,
        *,
        calls: int = 1,
        rate: int = 1,
        arguments: tuple[str, ...] = (),
        transport: str = "u1",
        **words: str | int,
    ) -> None:
        self._program = program("sipp", _PACKAGE)
        self.name = f"{scenario}-{port}"
        self.folder = folder / f"{self.name}-{ports.port()}"
        self.folder.mkdir(parents=True)
        text = scenario_text(scenario, {**_DEFAULTS, **{name: str(value) for name, value in words.items()}})
        (self.folder / "scenario.xml").write_text(text)
        self.port = port
        self.media = ports.block(4)
        self._command = [
            self._program,
            *([f"127.0.0.1:{remote}"] if remote else []),
            *("-sf", "scenario.xml", "-i", "127.0.0.1", "-p", str(port), "-t", transport),
            *("-mi", "127.0.0.1", "-mp", str(self.media), "-m", str(calls), "-r", str(rate), "-l", "10000"),
            *(
                "-nostdin",
                "-nd",
                "-trace_err",
                "-error_file",
                "errors.log",
                "-trace_msg",
                "-message_file",
                "messages.log",
            ),
            *arguments,
        ]
        if rate > 10:
            self._command = [word for word in self._command if not word.startswith(("-trace_msg", "-message_file"))]
            self._command.remove("messages.log")
        self._child: Child | None = None

    def start(self) -> Sipp:
        """Start it; a callee listens when this returns."""
        self._child = Child(self._command, self.folder)
        until(lambda: ports.taken(self.port) or not self.child.running, lambda: f"start of SIPp: {self.child.tail()}")
        # A caller may be done already.
        assert self.child.running or self.child.process.returncode == 0, f"SIPp: {self.child.tail()}\n{self.story()}"
        return self

    @property
    def child(self) -> Child:
        assert self._child is not None, "SIPp was not started"
        return self._child

    def wait(self, seconds: float = 20.0) -> None:
        """Wait until all its calls are over, as the scenario says."""
        try:
            status = self.child.wait(seconds)
        except AssertionError as error:
            self.end()
            raise AssertionError(f"{error}\n{self.story()}") from None
        assert status == 0, f"SIPp {self.name} ended with {status}\n{self.story()}"

    def end(self) -> None:
        """End it, whatever it does."""
        if self._child is not None:
            self._child.kill()

    def story(self) -> str:
        """What it noted: errors, and the messages of the last call."""
        found = [self.folder / "errors.log", self.folder / "messages.log"]
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-6000:]}" for path in found if path.exists()
        )

    def messages(self) -> str:
        """Every message that it sent and got."""
        path = self.folder / "messages.log"
        return path.read_text(errors="replace") if path.exists() else ""


Make = Callable[..., Sipp]
"""Makes a SIPp and starts it: the fixture `sipp`."""


def run(server: Server, caller: Callable[[], Sipp], *callees: Sipp) -> dict[str, Any]:
    """Let a call go its way; return its record when all are content."""
    before = len(server.records())
    one = caller()
    try:
        for each in (one, *callees):
            each.wait()
    except AssertionError as error:
        stories = "\n=== another\n".join(each.story() for each in (one, *callees))
        raise AssertionError(f"{error}\n{stories}\n{server.log_tail(8)}") from None
    return server.record(before + 1)
