"""Tandem under measurement: the shipped two-trunk configuration on free ports of loopback, in a throw-away folder."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from bench.processes import LOOPBACK, Usage, free_ports, free_range, lines_of, running, usage, wait_for

__all__ = ["PROGRAM", "ROOT", "Tandem", "tandem"]

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = str(Path(sys.executable).parent / "pbx")
_START = 60.0


@dataclass(frozen=True)
class Tandem:
    """A server that runs."""

    pid: int
    port: int
    """Where it listens, UDP."""
    caller: int
    """The port that calls come from: the trunk `customer`."""
    callee: int
    """The port that calls go to: the trunk `carrier`."""
    http: int

    def usage(self) -> Usage:
        """Return what it has used so far."""
        return usage(self.pid)

    def metrics(self) -> dict[str, float]:
        """Return its metrics, by name with labels."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.http}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


@contextmanager
def tandem(
    folder: Path,
    calls: int = 0,
    extensions: int = 0,
    secure: tuple[bool, bool] = (False, False),
    *,
    plan: Path = ROOT / "dialplans" / "bridge-dialplan.yaml",
    callers: Sequence[int] = (),
    callees: Mapping[str, int] = MappingProxyType({}),
    more: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[Tandem]:
    """Run the server with media ports for `calls` at once, and with so many extensions: number and password are both
    10000, 10001 and so on. `secure` says which of the two trunks must encrypt its sound. Calls may also come from the
    ports `callers`, and go to trunks at `callees`, by name. `more` is laid over the configuration."""
    port, caller, callee, http = free_ports(4)
    first, last = free_range(max(6000, calls * 4 + 400))
    settings = yaml.safe_load((ROOT / "config" / "bridge.yaml").read_text())
    settings["sip"] = {"listen": [f"udp://{LOOPBACK}:{port}"]}
    settings["media"] = {"address": LOOPBACK, "ports": f"{first}-{last}"}
    settings["storage"] = {"directory": str(folder / "var")}
    settings["http"] = {"listen": f"{LOOPBACK}:{http}"}
    for name, where in (("customer", caller), ("carrier", callee)):
        trunk = {"address": f"sip:{LOOPBACK}:{where}", "identify": [f"{LOOPBACK}:{where}"], "srtp": "off"}
        settings["trunks"][name] = trunk
    for name, encrypts in zip(("customer", "carrier"), secure, strict=True):
        if encrypts:
            settings["trunks"][name]["srtp"] = "require"
    settings["trunks"]["customer"]["identify"] += [f"{LOOPBACK}:{one}" for one in callers]
    for name, where in callees.items():
        settings["trunks"][name] = {"address": f"sip:{LOOPBACK}:{where}", "identify": [], "srtp": "off"}
    settings["dialplan"] = str(plan)
    settings["limits"] = {"drain_timeout": "1s"}
    if extensions:
        settings["extensions"] = {str(10_000 + n): {"password": str(10_000 + n)} for n in range(extensions)}
    _lay_over(settings, more)
    path, log = folder / "bridge.yaml", folder / "tandem.log"
    path.write_text(yaml.safe_dump(settings))
    path.chmod(0o600)
    command = [PROGRAM, "serve", "-c", str(path)]
    with running(command, log, cwd=folder) as process:
        try:
            wait_for(lambda: "ready" in log.read_text(errors="replace"), _START, "Tandem's start", process)
        except (RuntimeError, TimeoutError) as error:
            raise RuntimeError(f"{error}\n{lines_of(log)}") from error
        yield Tandem(process.pid, port, caller, callee, http)


def _lay_over(settings: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(settings.get(key), dict):
            _lay_over(settings[key], value)
        else:
            settings[key] = value
