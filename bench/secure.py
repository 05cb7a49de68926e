"""What encryption costs: a call whose caller speaks SRTP (SDES, AES_CM_128) to a callee who does under another key, or
does not, through the whole server and through rtpengine in userspace. A packet counts as arrived when it authenticates
under the key that the server has said; one that does not ends the run."""

from __future__ import annotations

from pathlib import Path

from bench.goals import BELOW, MEMORY
from bench.load import Generator, cpu_row, delay_row, lost_row, memory_row
from bench.rtpengine import PROGRAM, rtpengine
from bench.servers import whole
from bench.table import Heading, Line

__all__ = ["rows"]

_SIDES = {"SRTP to SRTP": (True, True), "SRTP to RTP": (True, False)}


def rows(folder: Path, calls: int, seconds: float) -> list[Line]:
    """Measure and return the lines of the table."""
    generator = Generator(folder, calls, seconds)
    direct = generator.measure("nothing between, plain", generator.nobody())
    lines: list[Line] = [
        Heading(f"An encrypted call, G.711, {calls:,} at once; % of a core", "rtpengine" if PROGRAM else "")
    ]
    for name, secure in _SIDES.items():
        tag = name.replace(" ", "-").lower()
        ours = generator.measure(f"Tandem, {name}", whole(folder / tag, generator.media, secure=secure))
        peer = None
        if PROGRAM is not None:
            between = rtpengine(folder / f"peer-{tag}", generator.media, secure=secure)
            peer = generator.measure(f"rtpengine, {name}", between)
        theirs = peer.p50 - direct.p50 if peer else None
        lines += [
            cpu_row(f"{name}, whole server", ours, peer, BELOW),
            memory_row(f"{name}, memory", ours, peer, MEMORY),
            delay_row(f"{name}, packet delay added, p50", ours.p50 - direct.p50, theirs, BELOW),
            lost_row(f"{name}, packets lost", ours, peer),
        ]
    return lines
