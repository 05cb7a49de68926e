"""How many calls are relayed and recorded in stereo at once, beside the generator on the same machine, with no packet
lost and every recording whole; and how many the generator itself can carry against the bare loop.

    python -m bench.capacity [MOST [SECONDS]]

The number of calls is stepped up against the bare loop until the generator falls behind or loses packets. From the
greatest that it carried it is stepped down until Tandem carries it too.
"""

from __future__ import annotations

import array
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

from bench.load import Generator, Measured
from bench.processes import say
from bench.servers import whole
from bench.table import Heading, Line, Row

__all__ = ["held", "rows", "whole_recordings"]

_STEPS = (100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 900, 1000)
_WARM_UP = 1.0
_BEHIND = 200.0
"""Milliseconds that the generator may be late with sending."""
_LATE = 100_000.0
"""Microseconds: whoever lets one in a hundred packets wait for longer has more calls than it can carry."""
_FILLED = 144
"""Samples of a packet behind the stamp: of `FILLING` in media/rtp_load.c."""
_FILLING = 716
"""What that octet is, decoded."""


def held(measured: Measured) -> str:
    """Return why so many calls were too many; empty if they were not."""
    if measured.behind > _BEHIND:
        return f"the generator was {measured.behind:.0f} ms behind"
    if measured.lost:
        return f"{measured.lost:,} of {measured.sent:,} packets were lost"
    return f"one in a hundred packets took over {measured.p99 / 1000:.0f} ms" if measured.p99 > _LATE else ""


def whole_recordings(folder: Path, calls: int, packets: int) -> str:
    """Return what is wrong with the recordings of so many calls, in which each side sent so many packets; empty if all
    are there, have every packet of both sides in them, and `pbx verify-recording` finds no fault."""
    paths = sorted(folder.rglob("*.wav"))
    if len(paths) != calls:
        return f"{len(paths)} recordings of {calls} calls"
    for path in paths:
        with wave.open(str(path)) as file:
            if file.getnchannels() != 2:
                return f"{path.name} is not in stereo"
            samples = array.array("h", file.readframes(file.getnframes()))
        for side in (0, 1):
            found = samples[side::2].count(_FILLING)
            if found < packets * _FILLED:
                return f"{path.name} has {found // _FILLED} packets of side {side}, of {packets}"
    program = Path(sys.executable).parent / "pbx"
    check = subprocess.run([str(program), "verify-recording", str(folder)], capture_output=True, text=True, check=False)
    return "" if check.returncode == 0 else f"pbx verify-recording: {check.stdout[-300:]}{check.stderr[-300:]}"


def _loop(folder: Path, calls: int, seconds: float) -> tuple[Measured, str]:
    generator = Generator(folder, calls, seconds, _WARM_UP)
    measured = generator.measure(f"bare loop, {calls} calls", generator.loop())
    return measured, held(measured)


def _recorded(folder: Path, calls: int, seconds: float) -> tuple[Measured, str]:
    generator = Generator(folder, calls, seconds, _WARM_UP)
    server = folder / "server"
    measured = generator.measure(f"Tandem, {calls} calls recorded", whole(server, generator.media, record=True))
    fault = held(measured)
    return measured, fault or whole_recordings(server / "var" / "recordings", calls, generator.each_sends)


_Try = Callable[[Path, int, float], tuple[Measured, str]]


def _attempt(one: _Try, folder: Path, name: str, calls: int, seconds: float) -> tuple[Measured, str]:
    place = folder / f"{name}-{calls}"
    place.mkdir()
    try:
        measured, fault = one(place, calls, seconds)
    finally:
        _remove(place)
    if fault:
        say(f"  {name}, {calls} calls: {fault}")
    return measured, fault


def _remove(folder: Path) -> None:
    """Give the room of recordings back at once: a thousand calls are a gigabyte."""
    for path in folder.rglob("*.wav"):
        path.unlink()


def rows(folder: Path, most: int, seconds: float) -> list[Line]:
    """Search, and return the lines of the table. RuntimeError if not even the least number is carried."""
    steps = [step for step in _STEPS if step <= most] or [most]
    carried, why = 0, ""
    for calls in steps:
        _, why = _attempt(_loop, folder, "loop", calls, seconds)
        if why:
            break
        carried = calls
    if carried == 0:
        raise RuntimeError(f"the generator carries no {steps[0]} calls against the bare loop: {why}")
    found, fault = None, ""
    for calls in reversed([step for step in steps if step <= carried]):
        measured, reason = _attempt(_recorded, folder, "Tandem", calls, seconds)
        if not reason:
            found = (calls, measured)
            break
        fault = reason
    if found is None:
        raise RuntimeError(f"Tandem does not carry {steps[0]} recorded calls: {fault}")
    calls, measured = found
    goal = f"{most:,}, or what is beside"
    return [
        Heading("Calls recorded in stereo at once, the generator on the same cores", "bare C loop"),
        Row("no packet lost, every recording whole", f"{calls:,}", f"{carried:,}", "", goal, calls >= carried),
        *([Row(f"(with more: {fault or why})", "")] if fault or why else []),
        Row("CPU of the server", f"{measured.cpu * calls:.0f} % of a core"),
        Row(f"packets lost, of {measured.sent:,}", str(measured.lost), "", "", "0", measured.lost == 0),
    ]


if __name__ == "__main__":
    import tempfile

    from bench.table import render

    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as name:
        numbers = [float(word) for word in sys.argv[1:]]
        print(render(rows(Path(name), int(numbers[0]) if numbers else 1000, numbers[1] if numbers[1:] else 5.0)))
