"""The names that /etc/hosts knows, and localhost (RFC 6761 §6.3): addresses for which DNS is never asked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

__all__ = ["Hosts", "is_numeric"]

_LOCALHOST = ("127.0.0.1", "::1")
_CACHED = 4096
"""Every request asks whether its target is an address, and mostly the same few; `ipaddress` takes 5 µs to tell."""


@lru_cache(maxsize=_CACHED)
def is_numeric(host: str) -> bool:
    """Return whether `host` is an IPv4 or IPv6 address (without brackets, perhaps with a zone)."""
    if ":" in host:
        return True
    # No top-level domain consists of digits, so a name that ends in one is an address or nonsense.
    return host[-1:].isdigit() and _parses(host)


def _parses(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Hosts:
    """A hosts file. It is read again when it has changed, looked at no more often than every `interval` seconds."""

    __slots__ = ("_checked", "_interval", "_names", "_path", "_stamp")

    def __init__(self, path: Path | None = Path("/etc/hosts"), interval: float = 10.0) -> None:
        self._path = path
        self._interval = interval
        self._checked = float("-inf")
        self._stamp: tuple[int, int] | None = None
        self._names: Mapping[str, tuple[str, ...]] = {}

    def find(self, name: str, now: float) -> tuple[str, ...]:
        """Return the addresses of `name` (in lower case, without a final dot); none if the file does not know it."""
        if now - self._checked >= self._interval:
            self._checked = now
            self._refresh()
        known = self._names.get(name)
        if known:
            return known
        return _LOCALHOST if name == "localhost" or name.endswith(".localhost") else ()

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            # Without the file there are no such names: what the system's own resolver does.
            self._names, self._stamp = {}, None
            return
        self._stamp = stamp
        self._names = parse_hosts(text)


def parse_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """Read a hosts file: name in lower case to its addresses, in the file's order. Skips what it cannot read."""
    names: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *aliases = line.partition("#")[0].split() or [""]
        if not aliases or not _parses(address.partition("%")[0]):
            continue
        for alias in aliases:
            key = alias.lower().rstrip(".")
            if address not in names.get(key, ()):
                names[key] = (*names.get(key, ()), address)
    return names
