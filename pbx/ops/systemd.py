"""Telling systemd how we are (sd_notify(3)): one datagram to a socket that it names; without it, nothing happens."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

__all__ = ["Notifier"]


class Notifier:
    """Sends states to systemd. Never raises and never waits: a lost message is systemd's to notice."""

    def __init__(self, environment: Mapping[str, str] = os.environ, process: int | None = None) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        self.watchdog = _watchdog(environment, os.getpid() if process is None else process)
        """Seconds within which systemd wants a sign of life; 0 if it does not."""
        self.failures = 0

    @property
    def enabled(self) -> bool:
        """True if systemd listens."""
        return bool(self._address)

    def ready(self, status: str = "") -> None:
        """All listeners are up; or a reload is done."""
        self._send("READY=1", _status(status))

    def reloading(self, monotonic: float) -> None:
        """A reload begins; `monotonic` is CLOCK_MONOTONIC in seconds, which Type=notify-reload wants to be told."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(monotonic * 1_000_000)}")

    def stopping(self, status: str = "") -> None:
        """We are on our way out."""
        self._send("STOPPING=1", _status(status))

    def alive(self) -> None:
        """The reactor turns."""
        if self.watchdog:
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Show a line in ``systemctl status``."""
        self._send(_status(text))

    def extend_timeout(self, seconds: float) -> None:
        """Ask for more time to start or stop."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def close(self) -> None:
        """Let the socket go."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.setblocking(False)
            self._socket.sendto("\n".join(line for line in lines if line).encode(), self._address)
        except OSError:
            self.failures += 1


def _status(text: str) -> str:
    return "STATUS=" + text.replace("\n", " ") if text else ""


def _address(path: str) -> str:
    """Return the address of the socket; ``@`` stands for the NUL of an abstract one. Other kinds (vsock) are not
    taken."""
    if path.startswith("@"):
        return "\0" + path[1:]
    return path if path.startswith("/") else ""


def _watchdog(environment: Mapping[str, str], process: int) -> float:
    """sd_watchdog_enabled(3): the interval counts only for the process that WATCHDOG_PID names, if it names one."""
    try:
        if int(environment.get("WATCHDOG_PID", process)) != process:
            return 0.0
        return max(0, int(environment.get("WATCHDOG_USEC", "0"))) / 1_000_000
    except ValueError:
        return 0.0
