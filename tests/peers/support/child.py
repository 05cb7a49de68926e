"""A program that a test runs beside itself: what it prints is kept, and it never outlives the test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.peers.support.waiting import until

__all__ = ["Child", "program"]


def program(name: str, package: str) -> str:
    """Return the path of a program; skips the test, naming the Debian package, if it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; apt-get install {package}")
    return found


class Child:
    """One running program. Its output, standard error too, is collected by a thread."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        merge: bool = True,
    ) -> None:
        """Start it in `folder`. With `merge` standard error counts as output, else it goes to `folder`/stderr."""
        self.name = Path(command[0]).name
        with open(folder / "stderr", "wb") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merge else errors,
            )
        self._output = bytearray()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        while data := os.read(descriptor, 65536):
            self._output += data

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return self._output.decode(errors="replace")

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def expect(self, pattern: str, seconds: float = 10.0, after: int = 0) -> re.Match[str]:
        """Wait until it has printed something like `pattern` beyond the position `after`."""
        expression = re.compile(pattern)

        def look() -> re.Match[str] | None:
            found = expression.search(self.output, after)
            assert found or self.running, f"{self.name} ended with {self.process.returncode}: {self.tail()}"
            return found

        found = until(look, lambda: f"{pattern!r} from {self.name}: {self.tail()}", seconds)
        assert found is not None
        return found

    def tail(self, characters: int = 3000) -> str:
        """The last that it printed, for a failure's text."""
        return self.output[-characters:]

    def wait(self, seconds: float) -> int:
        """Wait until it ends by itself and return its exit status."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds:g} s: {self.tail()}") from None
        self._close()
        return status

    def end(self, seconds: float = 3.0) -> None:
        """End it, politely and then not."""
        if self.running:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._close()

    def kill(self) -> None:
        """End it as a power failure would."""
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        self._thread.join(5)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # what it was told last was not read; it need not be
