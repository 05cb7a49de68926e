"""What a transcoded call costs: 50 packets a second each way of recorded speech, the sides in different codecs, through
the media engine and through rtpengine in userspace. Both ends are bench/media/codec_load.c."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path

from bench.engine import CODECS
from bench.goals import BELOW, DECODED, WIDE
from bench.load import WARM_UP, Between, Generator, Measured, compiled, cpu_row, memory_row, share_of, write_calls
from bench.processes import LOOPBACK, free_range, say, usage
from bench.rtpengine import PROGRAM, rtpengine
from bench.servers import engine
from bench.table import Heading, Line
from pbx.media.commands import Codec, Open, Play, SetRemote
from pbx.media.engine import Engine

__all__ = ["rows"]

_PAIRS = (("PCMA", DECODED), ("G722", WIDE), ("opus", 0.0))
"""What PCMU is turned into and back, and how many times the bare loop it may take; 0: no goal."""
_SPEECHES = sorted(Path("/usr/share/asterisk/sounds").glob("en*/demo-instruct.wav"))
_FRAMES = 150


def _frames(folder: Path, codec: Codec) -> Path:
    """Write the packets of recorded speech in a codec, as the engine plays it."""
    path = folder / f"{codec.name}.frames"
    first, last = free_range(100)
    engine = Engine(first, last)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear, path.open("wb") as file:
        ear.bind((LOOPBACK, 0))
        ear.settimeout(5)
        port = ear.getsockname()[1]
        engine.submit(Open("s", "g", LOOPBACK))
        engine.submit(SetRemote("s", LOOPBACK, port, LOOPBACK, port, True, (codec,)))
        engine.submit(Play("s", "p", (str(_SPEECHES[0]),), loop=True))
        written = 0
        while written < _FRAMES:
            data = ear.recv(4096)
            if 192 <= data[1] <= 223:
                continue
            file.write(len(data[12:]).to_bytes(2, "big") + data[12:])
            written += 1
            select.select([engine.fileno()], [], [], 0)
            engine.drain()
    engine.close()
    return path


class _Load:
    """Both ends of calls in PCMU on one side and another codec on the other."""

    def __init__(self, folder: Path, calls: int, seconds: float) -> None:
        self.generator = Generator(folder, calls, seconds)
        self._program = compiled(folder, "codec_load")
        self._voices = {
            name: [str(codec.payload_type), str(codec.rate // 50), str(_frames(folder, codec))]
            for name, codec in CODECS.items()
        }

    def measure(self, name: str, other: str, between: AbstractContextManager[Between]) -> Measured:
        """Send through it, and return what it took. RuntimeError if the codec that comes is not the one that should."""
        media, seconds = self.generator.media, self.generator.seconds
        path = self.generator.folder / "calls"
        with between as what:
            write_calls(path, media, what.ports)
            command = [str(self._program), str(path), str(WARM_UP), str(seconds)]
            command += [*self._voices["PCMU"], *self._voices[other]]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                time.sleep(WARM_UP)
                before = usage(what.pid)
                time.sleep(seconds - 0.2)
                after = usage(what.pid)
                output, _ = process.communicate(timeout=30)
        found = json.loads(output)
        cpu = share_of(before.cpu, after.cpu, after.at - before.at, len(media))
        memory = (after.resident - what.empty) / len(media)
        say(f"  {name}, PCMU and {other}: {cpu:.4f} % of a core, {memory:.0f} KiB, {found}")
        if found["wrong"] > found["sent"] // 1000 or found["received"] < 0.2 * found["sent"]:
            raise RuntimeError(f"{name} did not turn PCMU into {other}: {found}")
        return Measured(cpu, memory, found["sent"], found["sent"] - found["received"], 0, 0, 0)


def rows(folder: Path, calls: int, seconds: float) -> list[Line]:
    """Measure and return the lines of the table."""
    if not _SPEECHES:
        raise RuntimeError(
            "the prompts of asterisk-core-sounds-en-wav are missing; `make setup` installs them where it may"
        )
    load = _Load(folder, calls, seconds)
    media = load.generator.media
    loop = load.generator.measure("bare loop", load.generator.loop())
    beside: list[Line] = [Heading(f"A transcoded call, {calls:,} at once, media engine; % of a core", "bare C loop")]
    peers: list[Line] = [Heading("The same beside rtpengine in userspace", "rtpengine")]
    for other, goal in _PAIRS:
        what = f"PCMU and {other}, both ways"
        ours = load.measure("Tandem's engine", other, engine(folder / other, media, codecs=("PCMU", other)))
        beside.append(cpu_row(what, ours, loop, goal))
        peer = None
        if PROGRAM is not None:
            codecs = (CODECS["PCMU"], CODECS[other])
            peer = load.measure("rtpengine", other, rtpengine(folder / f"peer-{other}", media, codecs=codecs))
            peers.append(cpu_row(what, ours, peer, BELOW))
        peers.append(memory_row(f"{what}: memory", ours, peer))
    return [*beside, *peers]
