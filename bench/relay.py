"""What a relayed call costs: G.711, 50 packets a second each way, through the whole server (calls set up by SIP), its
engine alone, the least that C can do (bench/media/bare_loop.c) and rtpengine in userspace; and the same recorded."""

from __future__ import annotations

from pathlib import Path

from bench.goals import BELOW, MEMORY, RECORDED, RECORDED_BESIDE, RELAYED
from bench.load import Generator, cpu_row, delay_row, lost_row, memory_row
from bench.rtpengine import PROGRAM, rtpengine
from bench.servers import engine, whole
from bench.table import Heading, Line

__all__ = ["rows"]


def rows(folder: Path, calls: int, seconds: float) -> list[Line]:
    """Measure and return the lines of the table."""
    generator = Generator(folder, calls, seconds)
    media, measure = generator.media, generator.measure
    direct = measure("nothing between", generator.nobody())
    loop = measure("bare loop", generator.loop())
    ours = measure("Tandem", whole(folder / "whole", media))
    alone = measure("its engine alone", engine(folder / "engine", media))
    recorded = measure("Tandem, recording", whole(folder / "whole-recorded", media, record=True))
    tapes = measure("its engine alone, recording", engine(folder / "engine-recorded", media, record=True))
    peer = pcap = None
    if PROGRAM is not None:
        peer = measure("rtpengine", rtpengine(folder / "peer", media))
        pcap = measure("rtpengine, recording", rtpengine(folder / "peer-recorded", media, record=True))
    lines: list[Line] = [
        Heading(f"A relayed call, G.711, 50 packets/s each way, {calls:,} at once; % of a core", "bare C loop"),
        cpu_row("whole server, calls set up by SIP", ours, loop, RELAYED),
        cpu_row("media engine alone", alone, loop, RELAYED),
        cpu_row("whole server, recording in stereo", recorded, loop, RECORDED),
        cpu_row("media engine alone, recording in stereo", tapes, loop, RECORDED),
        cpu_row("whole server, recording; beside: without", recorded, ours, RECORDED_BESIDE),
        delay_row("packet delay added, p50", ours.p50 - direct.p50, loop.p50 - direct.p50),
        delay_row("packet delay added, p99", ours.p99 - direct.p99, loop.p99 - direct.p99),
        delay_row("packet delay added while recording, p50", recorded.p50 - direct.p50, loop.p50 - direct.p50),
        lost_row("packets lost", ours, loop),
        lost_row("packets lost while recording", recorded, loop),
        Heading("The same beside rtpengine in userspace" if peer else "Its memory", "rtpengine" if peer else ""),
        memory_row("memory, whole server", ours, peer, MEMORY),
        memory_row("memory, whole server, recording (rtpengine: into pcap)", recorded, pcap, MEMORY),
    ]
    if peer is not None:
        lines += [
            cpu_row("whole server, calls set up by SIP", ours, peer, BELOW),
            cpu_row("whole server, recording in stereo (rtpengine: into pcap)", recorded, pcap, BELOW),
            delay_row("packet delay added, p50", ours.p50 - direct.p50, peer.p50 - direct.p50, BELOW),
            delay_row("packet delay added, p99", ours.p99 - direct.p99, peer.p99 - direct.p99),
            lost_row("packets lost", ours, peer),
        ]
    return lines
