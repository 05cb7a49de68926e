"""Starting servers under measurement and reading what they use, from /proc."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Usage", "free_udp_port", "running", "usage", "wait_for"]

_TICK = os.sysconf("SC_CLK_TCK")


class Usage:
    """CPU seconds and resident KiB of a process (all its threads, not its children) at one moment."""

    def __init__(self, pid: int) -> None:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        self.cpu = (int(fields[11]) + int(fields[12])) / _TICK
        status = Path(f"/proc/{pid}/status").read_text()
        self.resident = int(status.partition("VmRSS:")[2].split()[0])
        self.descriptors = len(os.listdir(f"/proc/{pid}/fd"))


def usage(pid: int) -> Usage:
    """Return what a process has used so far."""
    return Usage(pid)


def free_udp_port() -> int:
    """Return a UDP port that is free on loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(condition, seconds: float, what: str) -> None:  # type: ignore[no-untyped-def]
    """Wait until `condition()` is true; TimeoutError naming `what` otherwise."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)


@contextmanager
def running(command: Sequence[str], log: Path, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in the background, its output in `log`; ended by SIGTERM, or SIGKILL after ten seconds."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=cwd)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
