"""What was measured with what, on what: the lines above the table."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from bench.rtpengine import PROGRAM as RTPENGINE
from bench.tandem import PROGRAM, ROOT

__all__ = ["describe"]


def describe(sippy: Path | None) -> str:
    """Return the machine, the versions and the time, a line each."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    peers = [
        f"SIPp {_first(['sipp', '-v'], r'v([0-9.]+)')}",
        f"sippy {_sippy(sippy)}" if sippy else "no sippy",
        f"rtpengine {_first(['rtpengine', '--version'], r'([0-9][0-9.]+)')}" if RTPENGINE else "no rtpengine",
    ]
    ours = [f"{name} {version(name)}" for name in ("Twisted", "uvloop")]
    return "\n".join(
        [
            f"- {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB; Linux {platform.release()}",
            # It says whether it is compiled, and by which Python it runs.
            f"- {_output([PROGRAM, '--version']).strip()}, {', '.join(ours)}; at {_commit()}",
            f"- beside {', '.join(peers)}",
            f"- {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}; load before the run {load}",
        ]
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.machine()


def _commit() -> str:
    commit = _output(["git", "rev-parse", "--short", "HEAD"]).strip()
    if not commit.isalnum():
        return "no commit"
    changed = _output(["git", "status", "--porcelain", "--untracked-files=no", "--", "pbx"]).strip()
    return f"commit {commit}{' with changes' if changed else ''}"


def _sippy(program: Path) -> str:
    script = "from importlib.metadata import version; print(version('sippy'))"
    return _output([str(program.parent / "python"), "-c", script]).strip()


def _first(command: Sequence[str], pattern: str) -> str:
    found = re.search(pattern, _output(command))
    return found[1] if found else "of unknown version"


def _output(command: Sequence[str]) -> str:
    try:
        found = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False
        )
    except OSError:
        return ""
    return found.stdout.decode(errors="replace")
