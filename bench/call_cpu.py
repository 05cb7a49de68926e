"""What one bridged call costs the server, in one process without sockets: INVITE, 180, 200, ACK, BYE on both sides.

    python -m bench.call_cpu [--calls 3000] [--idle 3] [--rooms] [--engine] [--store] [--memory 1000]

It is the server that `pbx serve` runs, with three of its doors replaced: the UDP socket is in memory, the engine
answers at once (or is the real one, `--engine`), and call records are dropped (or written, `--store`). The clock is
virtual, so finished transactions linger as they do at `--rate` calls a second. Each step of a call is timed by itself
and the median of each counts, which keeps other programs on the machine out of the figure; the mean is printed beside
it, since it has the garbage collector in it. A server sleeps between two messages, and wakes to cold caches and an
untrained branch predictor: `--idle` sleeps so many milliseconds before each step, which doubles or triples every
figure. `--rooms` samples where the time goes. The real thing is `bench/signalling.py`.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import os
import select
import signal
import sys
import tempfile
import time
import tracemalloc
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from types import FrameType
from typing import Any, ClassVar

from twisted.internet import asyncioreactor  # noqa: F401 - before anything chooses another reactor

import pbx.app.building as building_module
import pbx.net.network as network_module
from bench.processes import usage
from pbx.app.collecting import settle_collector
from pbx.app.operation import Operation
from pbx.app.server import Server
from pbx.loading import load_configured
from pbx.media import commands as media_commands
from pbx.media import events as media_events
from pbx.net.transport import Address, Listener, Sink
from pbx.net.udp import UdpTransport
from pbx.ops.logs import LogPipe, start_logging
from pbx.sip.stack import Flow

ROOT = Path(__file__).resolve().parent.parent
OURS, CALLER, CALLEE = ("127.0.0.1", 5060), ("127.0.0.1", 5180), ("127.0.0.1", 5170)
TALK = 0.5
"""Seconds from the answer to the BYE."""

SDP = (
    "v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 6100 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


# -- the doors


class VirtualClock:
    """The server's clock; goes on only when told to."""

    def __init__(self) -> None:
        self.time = 1000.0
        self._calls: list[tuple[float, int, _Timer]] = []
        self._count = 0

    def seconds(self) -> float:
        return self.time

    def later(self, delay: float, call: Callable[[], None]) -> _Timer:
        self._count += 1
        timer = _Timer(call)
        heapq.heappush(self._calls, (self.time + delay, self._count, timer))
        return timer

    def advance(self, seconds: float) -> None:
        end = self.time + seconds
        while self._calls and self._calls[0][0] <= end:
            self.time, _, timer = heapq.heappop(self._calls)
            if timer.call is not None:
                timer.call()
        self.time = end


class _Timer:
    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class MemorySocket(UdpTransport):
    """A UDP transport whose datagrams end in `sent`."""

    sent: ClassVar[list[bytes]] = []

    def __init__(self, listener: Listener, *_: object) -> None:
        self.listener, self.local, self._wildcard, self._ways = listener, OURS, False, {}

    def start(self, reactor: object, sink: Sink) -> None:
        self.sink = sink

    def stop(self) -> None: ...

    def waited(self) -> float:
        return 0.0

    def backlog(self) -> float:
        return 0.0

    def send(self, flow: Flow, data: bytes) -> str:
        self.sent.append(data)
        return ""


class InstantEngine:
    """Opens and closes whatever it is asked to."""

    def __init__(self, *_: object, **__: object) -> None:
        self.told: list[media_events.Event] = []
        self._port = 20000

    def fileno(self) -> int:
        return 0

    def submit(self, command: media_commands.Command) -> None:
        if isinstance(command, media_commands.Open):
            self._port = 20000 + (self._port - 19998) % 10000
            self.told.append(media_events.Opened(command.stream, command.address, self._port, self._port + 1))
        elif isinstance(command, media_commands.Close):
            self.told.append(media_events.Closed(command.stream, media_events.StreamStatistics()))

    def drain(self) -> list[media_events.Event]:
        told, self.told = self.told, []
        return told

    def close(self) -> list[media_events.Event]:
        return []


class _Loop:
    """All that the server asks of its event loop."""

    def __init__(self) -> None:
        self.readers: dict[int, Callable[[], None]] = {}

    def add_reader(self, descriptor: int, call: Callable[[], None]) -> None:
        self.readers[descriptor] = call

    def remove_reader(self, descriptor: int) -> None:
        self.readers.pop(descriptor, None)

    def call_soon_threadsafe(self, call: Callable[..., object], *arguments: object) -> None:
        raise RuntimeError("no thread has anything to say here")


class Bench:
    """A server and the two trunks that it stands between."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        for name in ("config/bridge.yaml", "dialplans/bridge-dialplan.yaml"):
            text = (ROOT / name).read_text().replace("../dialplans/", "").replace("../var", str(folder / "var"))
            text = text.replace("listen: 127.0.0.1:8080", "listen: null")
            (folder / Path(name).name).write_text(text)
        self.clock, self.loop = VirtualClock(), _Loop()
        replaced: list[tuple[Any, str, object]] = [
            (building_module, "LoopClock", lambda loop: self.clock),
            (network_module, "UdpTransport", MemorySocket),
        ]
        if not options.engine:
            replaced.append((building_module, "Engine", InstantEngine))
        for module, name, value in replaced:
            assert hasattr(module, name), name
            setattr(module, name, value)
        configured = load_configured(folder / "bridge.yaml", os.environ)
        self.server = Server(folder / "bridge.yaml", configured, _Nobody(), self.loop, os.environ)  # type: ignore[arg-type]
        if not options.store:
            self.server.observer._put = lambda record: None
        self.operation = Operation(self.server, self.loop, {})  # type: ignore[arg-type]
        self.server.start()
        self.operation.start()
        self._real_engine = options.engine
        self._idle = options.idle / 1000
        self._flows = {address: Flow("udp", OURS, address) for address in (CALLER, CALLEE)}
        self.spent: dict[str, list[float]] = defaultdict(list)
        self._number = 0

    # -- one step: a datagram in, and all that follows from it

    def receive(self, step: str, source: Address, text: str, expected: int) -> list[str]:
        """Give the server a datagram; return what it sends, which must be `expected` messages."""
        data, flow = text.encode(), self._flows[source]
        sent, sink = MemorySocket.sent, self.server.driver
        sent.clear()
        if self._idle:
            time.sleep(self._idle)
        start = time.perf_counter_ns()
        sink.received(data, flow)
        spent = time.perf_counter_ns() - start
        spent += self._turn(lambda: len(sent) >= expected)
        self.spent[step].append(spent / 1000)
        assert len(sent) == expected, (step, sent)
        return [message.decode() for message in sent]

    def _turn(self, enough: Callable[[], bool]) -> int:
        """Let the engine's events be read; return the nanoseconds of it."""
        spent = 0
        ((descriptor, call),) = self.loop.readers.items()
        while True:
            if self._real_engine:
                ready = select.select([descriptor], [], [], 0 if enough() else 1)[0]
            else:
                ready = self.server.engine.told  # type: ignore[attr-defined]
            if not ready:
                return spent
            start = time.perf_counter_ns()
            call()
            spent += time.perf_counter_ns() - start

    # -- a call

    def set_up(self) -> dict[str, str]:
        """Make a call up to its ACK; return what its BYE needs."""
        self._number = number = self._number + 1
        call = {
            "from": f"sipp <sip:sipp@127.0.0.1:5180>;tag={number}SIPpTag00{number}",
            "call_id": f"{number}-20311@127.0.0.1",
            "branch": f"z9hG4bK-20311-{number}",
        }
        (invite,) = self.receive("INVITE", CALLER, _request("INVITE", 1, call, "<sip:3000@127.0.0.1:5060>", SDP), 1)
        tag = f"20312SIPpTag01{number}"
        (ringing,) = self.receive("180", CALLEE, _response(invite, "180 Ringing", tag), 1)
        assert ringing.startswith("SIP/2.0 180"), ringing
        ack, answer = self.receive("200 to INVITE", CALLEE, _response(invite, "200 OK", tag, SDP), 2)
        assert ack.startswith("ACK "), ack
        call["to"] = _line(answer, "To")
        self.receive("ACK", CALLER, _request("ACK", 1, call | {"branch": call["branch"] + "-5"}, call["to"]), 0)
        return call

    def hang_up(self, call: dict[str, str]) -> None:
        """End a call by the caller's BYE."""
        sent = self.receive("BYE", CALLER, _request("BYE", 2, call | {"branch": call["branch"] + "-7"}, call["to"]), 2)
        bye = next(each for each in sent if each.startswith("BYE "))
        self.receive("200 to BYE", CALLEE, _response(bye, "200 OK"), 0)

    def run(self, calls: int, rate: float) -> None:
        """Make calls, as many at once as there are at `rate` calls a second."""
        talking: deque[dict[str, str]] = deque()
        for _ in range(calls):
            talking.append(self.set_up())
            if len(talking) > rate * TALK:
                self.hang_up(talking.popleft())
            start = time.perf_counter_ns()
            self.clock.advance(1 / rate)
            self.spent["timers"].append((time.perf_counter_ns() - start) / 1000)
        while talking:
            self.hang_up(talking.popleft())


class _Nobody:
    """A reactor that is asked for nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def _line(message: str, name: str) -> str:
    return message.partition(f"\r\n{name}: ")[2].partition("\r\n")[0]


def _request(method: str, cseq: int, call: dict[str, str], to: str, body: str = "") -> str:
    lines = [
        f"{method} sip:3000@127.0.0.1:5060 SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:5180;branch={call['branch']}",
        f"From: {call['from']}",
        f"To: {to}",
        f"Call-ID: {call['call_id']}",
        f"CSeq: {cseq} {method}",
        "Contact: sip:sipp@127.0.0.1:5180",
        "Max-Forwards: 70",
        "Subject: Performance Test",
    ]
    return _with_body(lines, body)


def _response(request: str, status: str, tag: str = "", body: str = "") -> str:
    to = _line(request, "To")
    lines = [
        f"SIP/2.0 {status}",
        *[f"{name}: {_line(request, name)}" for name in ("Via", "From")],
        f"To: {to};tag={tag}" if tag else f"To: {to}",
        *[f"{name}: {_line(request, name)}" for name in ("Call-ID", "CSeq")],
        "Contact: <sip:127.0.0.1:5170;transport=UDP>",
    ]
    return _with_body(lines, body)


def _with_body(lines: list[str], body: str) -> str:
    if body:
        lines.append("Content-Type: application/sdp")
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines) + "\r\n\r\n" + body


# -- figures


class Sampler:
    """Counts by room and by function where the main thread is, each millisecond of CPU."""

    def __init__(self) -> None:
        self.rooms: Counter[str] = Counter()
        self.functions: Counter[str] = Counter()

    def __enter__(self) -> Sampler:
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        innermost = frame
        while frame is not None:
            _, found, path = frame.f_code.co_filename.rpartition("/pbx/")
            if found:
                break
            frame = frame.f_back
        if frame is None or innermost is None:
            self.rooms["(the bench itself)"] += 1
            return
        self.rooms[path.rpartition("/")[0] or path] += 1
        self.functions[f"{path}:{frame.f_code.co_qualname}"] += 1


def show_times(bench: Bench) -> None:
    """Print the cost of each step and of a call."""
    total = average = 0.0
    print(f"{'µs':>16}  {'median':>8} {'mean':>8}")
    for step, spent in bench.spent.items():
        kept = spent[len(spent) // 4 :]  # the first quarter warms up
        # One timer's turn serves many calls, so its mean counts.
        middle = mean(kept) if step == "timers" else median(kept)
        print(f"{step:>16}  {middle:8.1f} {mean(kept):8.1f}")
        total, average = total + middle, average + mean(kept)
    print(f"{'a call':>16}  {total:8.1f} {average:8.1f}")


def show_memory(bench: Bench, calls: int) -> None:
    """Print what a call in progress holds, and what is left of one that is over, by tracemalloc and by the kernel."""
    bench.run(200, 50)
    bench.clock.advance(60)
    gc.collect()
    resident = usage(os.getpid()).resident
    talking = [bench.set_up() for _ in range(calls)]
    in_progress = usage(os.getpid()).resident
    print(f"{'resident, a call in progress':>36} {(in_progress - resident) / calls:8.1f} KiB")
    for call in talking:
        bench.hang_up(call)
    bench.clock.advance(60)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    talking = [bench.set_up() for _ in range(calls)]
    gc.collect()
    during = tracemalloc.get_traced_memory()[0]
    for call in talking:
        bench.hang_up(call)
    talking.clear()
    bench.spent.clear()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    bench.clock.advance(60)
    gc.collect()
    gone = tracemalloc.get_traced_memory()[0]
    print(f"{'objects of a call in progress':>36} {(during - before) / calls / 1024:8.1f} KiB")
    print(f"{'of a call just over':>36} {(after - before) / calls / 1024:8.1f} KiB")
    print(f"{'a minute later (the capture ring)':>36} {(gone - before) / calls / 1024:8.1f} KiB")


def show_cycles(bench: Bench) -> None:
    """Print how much of a call only the garbage collector can free."""
    gc.collect()
    gc.disable()
    bench.run(100, 50)
    bench.clock.advance(60)
    found = gc.collect()
    gc.enable()
    print(f"{'objects in cycles, a call':>36} {found / 100:8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=50.0, help="calls a second, by the virtual clock")
    parser.add_argument("--idle", type=float, default=0.0, metavar="MS", help="sleep before each step")
    parser.add_argument("--rooms", action="store_true", help="sample where the time goes")
    parser.add_argument("--engine", action="store_true", help="the real media engine")
    parser.add_argument("--store", action="store_true", help="write call records into SQLite")
    parser.add_argument("--memory", type=int, metavar="CALLS", default=0, help="measure memory with so many calls")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        stop_logging = start_logging("info", LogPipe("console", stream=nowhere))
        bench = Bench(Path(folder), options)
        settle_collector()
        try:
            measure(bench, options)
        finally:
            bench.server.stop()
            stop_logging()


def measure(bench: Bench, options: argparse.Namespace) -> None:
    if options.memory:
        show_memory(bench, options.memory)
        show_cycles(bench)
        return
    if not options.rooms:
        own, all_threads = time.thread_time(), time.process_time()
        bench.run(options.calls, options.rate)
        own, all_threads = time.thread_time() - own, time.process_time() - all_threads
        show_times(bench)
        behind = (all_threads - own) / options.calls * 1e6
        print(f"{'other threads':>16}  {'':8} {behind:8.1f}")
        return
    with Sampler() as sampler:
        bench.run(options.calls, options.rate)
    samples = sum(sampler.rooms.values())
    for counter in (sampler.rooms, sampler.functions):
        print(f"\n{samples} samples")
        for name, count in counter.most_common(45):
            print(f"{count / samples * 100:6.1f} %  {name}")


if __name__ == "__main__":
    sys.exit(main())
