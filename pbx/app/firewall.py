"""Bans in the kernel: a set of nftables with timeouts, filled by ``nft`` on a thread of its own."""

from __future__ import annotations

import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import structlog

from pbx.security.sources import show_source

__all__ = ["Firewall"]

_log = structlog.get_logger("pbx.security")
_TIMEOUT = 10.0
_MOST_WAITING = 10_000
_BATCH = 500
_HOPELESS = 5
"""Changes at the beginning of a batch that all fail: the rest would, too."""


class Firewall:
    """One table of nftables, made at start and removed at the end. Only our own ports are closed to who is banned.

    `shared(source)` says whether a trunk or a registered phone is at a source: such a ban is left to the server, which
    tells known ones from strangers, as a firewall cannot.
    """

    def __init__(self, table: str, ports: Iterable[int], shared: Callable[[str], bool]) -> None:
        self._table = table
        self._ports = sorted(set(ports))
        self._shared = shared
        self._waiting: deque[str] = deque(maxlen=_MOST_WAITING)
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nft")
        self.failed = 0
        """Changes that nft did not make."""
        self.dropped = 0
        """Changes that nobody made, since too many waited."""

    def start(self) -> None:
        """Make the table."""
        table, ports = self._table, ", ".join(str(port) for port in self._ports)
        rule = f"add rule inet {table} input meta l4proto {{ tcp, udp }} th dport {{ {ports} }}"
        self._put(
            f"add table inet {table}",
            # Whatever an earlier run left.
            f"delete table inet {table}",
            f"add table inet {table}",
            f"add set inet {table} banned4 {{ type ipv4_addr; flags timeout; }}",
            f"add set inet {table} banned6 {{ type ipv6_addr; flags interval, timeout; }}",
            f"add chain inet {table} input {{ type filter hook input priority -10; policy accept; }}",
            f"{rule} ip saddr @banned4 counter drop",
            f"{rule} ip6 saddr @banned6 counter drop",
        )

    def stop(self) -> None:
        """Remove the table."""
        self._put(f"delete table inet {self._table}")
        self._thread.shutdown(wait=True)

    def told(self, source: str, seconds: float | None) -> None:
        """Take that a source is banned for so long, or let go (`pbx.security.bans.BanList.told`)."""
        if seconds is not None and self._shared(source):
            return
        shown = show_source(source)
        where = f"inet {self._table} banned{6 if ':' in shown else 4}"
        # Removing what is not there is a fault, and adding what is there leaves its time as it was.
        commands = [f"add element {where} {{ {shown} timeout 1m }}", f"delete element {where} {{ {shown} }}"]
        if seconds is not None:
            commands.append(f"add element {where} {{ {shown} timeout {max(1, round(seconds))}s }}")
        self._put(*commands)

    def _put(self, *commands: str) -> None:
        with self._lock:
            self.dropped += len(self._waiting) == _MOST_WAITING
            self._waiting.append("\n".join(commands))
        self._thread.submit(self._run)

    def _run(self) -> None:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
        if not batch:
            return
        fault = _nft(batch)
        if not fault:
            return
        failed = 1
        if len(batch) > 1:
            # nft takes all of a batch or nothing: one change that it does not like keeps no other from being made.
            failed, fault = _one_by_one(batch)
        self.failed += failed
        if failed:
            _log.error(
                "nftables-failed",
                detail=fault,
                changes=failed,
                of=len(batch),
                remedy="install nftables, and grant CAP_NET_ADMIN to the server; bans hold in the server itself",
            )


def _nft(changes: Iterable[str]) -> str:
    """Have nft make changes, all or none; return what is wrong, empty if nothing is."""
    try:
        done = subprocess.run(
            ["nft", "-f", "-"], input="\n".join(changes) + "\n", capture_output=True, text=True, timeout=_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (done.stderr.strip().partition("\n")[0] or f"nft ended with {done.returncode}") if done.returncode else ""


def _one_by_one(changes: list[str]) -> tuple[int, str]:
    """Make each change by itself; return how many were not made, and what was wrong with the first of them."""
    failed, first = 0, ""
    for tried, change in enumerate(changes, 1):
        fault = _nft([change])
        if fault:
            failed, first = failed + 1, first or fault
        if failed == tried == _HOPELESS:
            # It is not the changes: nft is not there, or may not. It need not be started hundreds of times to say so.
            return len(changes), first
    return failed, first
