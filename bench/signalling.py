"""CPU per signalling-only call: SIPp → server → SIPp over UDP loopback, for Tandem and for sippy's b2bua_simple in the
same run."""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.processes import running, usage, wait_for

__all__ = ["Result", "measure_sippy", "measure_tandem"]

_ROOT = Path(__file__).resolve().parent.parent
_SERVER, _CALLER, _CALLEE = 5060, 5180, 5170


@dataclass(frozen=True)
class Result:
    """One measured server."""

    name: str
    rate: int
    calls: int
    failed: int
    cpu_per_call: float
    """Milliseconds."""
    resident: int
    """KiB at the end."""
    setup: float
    """SIPp's mean response time of the INVITE in milliseconds."""


def _sipp(arguments: list[str], directory: Path, seconds: float) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["sipp", *arguments],
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=seconds,
        check=False,
    )


def _load(directory: Path, rate: int, calls: int, number: str) -> tuple[int, int, float]:
    """Make calls; return how many succeeded, how many failed, and the mean response time in milliseconds."""
    stats = directory / "uac.csv"
    stats.unlink(missing_ok=True)
    arguments = ["-sn", "uac", f"127.0.0.1:{_SERVER}", "-s", number, "-i", "127.0.0.1", "-p", str(_CALLER)]
    arguments += ["-mp", "6100", "-r", str(rate), "-m", str(calls), "-d", "500", "-l", str(rate * 20), "-nostdin"]
    arguments += ["-recv_timeout", "10000", "-trace_stat", "-stf", str(stats), "-fd", "1"]
    _sipp(arguments, directory, calls / rate + 60)
    with stats.open() as file:
        last = list(csv.DictReader(file, delimiter=";"))[-1]
    clock = last.get("ResponseTime1(C)", "00:00:00:000")
    hours, minutes, seconds, micro = [*clock.split(":"), "0", "0", "0", "0"][:4]
    response = (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * 1000 + int(micro) / 1000
    return int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"]), response


def _measure(name: str, command: list[str], directory: Path, rate: int, seconds: int, ready: str) -> Result:
    log = directory / "server.log"
    uas = ["sipp", "-sn", "uas", "-i", "127.0.0.1", "-p", str(_CALLEE), "-mp", "6200", "-nostdin"]
    with running(uas, directory / "uas.log", cwd=directory), running(command, log, cwd=_ROOT) as server:
        if ready:
            wait_for(lambda: ready in log.read_text(errors="replace"), 20, f"{name} to be ready")
        else:
            time.sleep(2)
        _load(directory, rate, rate * 3, "3000")  # warm-up
        before = usage(server.pid)
        done, failed, response = _load(directory, rate, rate * seconds, "3000")
        after = usage(server.pid)
    cpu = (after.cpu - before.cpu) / max(done + failed, 1) * 1000
    return Result(name, rate, done, failed, cpu, after.resident, response)


def measure_tandem(rate: int, seconds: int) -> Result:
    """Measure Tandem with the two-trunk configuration of the examples."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        for name in ("config/bridge.yaml", "dialplans/bridge-dialplan.yaml"):
            text = (_ROOT / name).read_text().replace("../dialplans/", "")
            text = text.replace("directory: var", f"directory: {directory}/var")
            (directory / Path(name).name).write_text(text)
        command = [str(Path(sys.executable).parent / "pbx"), "serve", "-c", str(directory / "bridge.yaml")]
        return _measure("Tandem", command, directory, rate, seconds, "ready")


def measure_sippy(program: str, rate: int, seconds: int) -> Result:
    """Measure sippy's b2bua_simple; `program` is its path."""
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "-f", "-l", "127.0.0.1", "-p", str(_SERVER), "-n", f"127.0.0.1:{_CALLEE}"]
        command += ["-L", f"{folder}/sippy.log"]
        return _measure("sippy b2bua_simple", command, Path(folder), rate, seconds, "")


def main() -> None:
    """Print both figures and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=50, help="calls a second")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--sippy", help="path of b2bua_simple; without it only Tandem is measured")
    options = parser.parse_args()
    results = [measure_tandem(options.rate, options.seconds)]
    if options.sippy:
        results.append(measure_sippy(options.sippy, options.rate, options.seconds))
    for result in results:
        print(
            f"{result.name:22} {result.rate:4}/s  {result.calls:6} calls  {result.failed:4} failed  "
            f"{result.cpu_per_call:6.2f} ms CPU a call  {result.resident / 1024:6.1f} MiB  {result.setup:6.2f} ms"
        )
    if len(results) == 2:
        print(f"Tandem / sippy: {results[0].cpu_per_call / results[1].cpu_per_call:.2f}")


if __name__ == "__main__":
    main()
