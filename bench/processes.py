"""Processes under measurement: starting and ending them, ports for them, and what they use, from the kernel."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

__all__ = [
    "LOOPBACK",
    "Usage",
    "free_ports",
    "free_range",
    "lines_of",
    "running",
    "say",
    "unwind_at_end",
    "usage",
    "wait_for",
]

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Usage:
    """What a process uses at one moment, all its threads together, without its children."""

    at: float
    """Seconds of the monotonic clock."""
    cpu: float
    """CPU seconds so far, to the nanosecond."""
    resident: int
    """KiB."""
    descriptors: int
    threads: int


def usage(pid: int) -> Usage:
    """Return what a process has used so far, and holds now. RuntimeError if it has ended."""
    # What clock_getcpuclockid(3) returns for a process; /proc/PID/stat counts only in ticks of 10 ms.
    cpu = time.clock_gettime((~pid << 3) | 2)
    at = time.monotonic()
    status = Path(f"/proc/{pid}/status").read_text()
    if "VmRSS:" not in status:
        raise RuntimeError(f"process {pid} has ended")
    return Usage(
        at,
        cpu,
        int(status.partition("VmRSS:")[2].split()[0]),
        len(os.listdir(f"/proc/{pid}/fd")),
        int(status.partition("Threads:")[2].split()[0]),
    )


def unwind_at_end() -> None:
    """Let SIGTERM unwind as an interrupt does, so that all that was started is ended too."""

    def ended(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, ended)


def say(text: str) -> None:
    """Tell how far it is; on standard error, so that the table can be piped."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def free_ports(count: int) -> list[int]:
    """Return ports that are free on loopback now, for UDP and TCP."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            tcp = held.enter_context(socket.socket())
            tcp.bind((LOOPBACK, 0))
            udp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            found.append(int(tcp.getsockname()[1]))
    return found


def free_range(size: int) -> tuple[int, int]:
    """Return the first and last of `size` UDP ports in a row, below those that the system hands out, of which all but
    a few are free now: who is given a range passes over what others hold."""
    for _ in range(100):
        first = random.randrange(10_000, 32_000 - size, 2)
        if sum(not _is_free(port) for port in range(first, first + size)) <= size // 100:
            return first, first + size - 1
    raise OSError(f"no {size} UDP ports in a row are free")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def wait_for(condition: Callable[[], bool], seconds: float, what: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until `condition()` is true; TimeoutError or RuntimeError naming `what` if it does not come to that."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise RuntimeError(f"{what}: the process ended with {process.returncode}")
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)


def lines_of(log: Path, most: int = 20) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-most:]) if log.exists() else ""


@contextmanager
def running(
    command: Sequence[str], log: Path, cwd: Path | None = None, stdin: Path = Path(os.devnull)
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process in the background, its input from `stdin`, its output in `log`; ended by SIGTERM, or SIGKILL after
    ten seconds."""
    with log.open("wb") as output, stdin.open("rb") as given:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=given, cwd=cwd)
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
