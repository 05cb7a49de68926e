"""Ports, threads and descriptors: taken as needed, given back, none left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pbx.errors import EnvironmentFault, UsageError
from pbx.media.commands import Close, Connect, Open, Query
from pbx.media.engine import Engine, codec_names
from pbx.media.events import Closed, Opened
from pbx.media.recordings import recover
from tests.support.desk import Desk, wait_until
from tests.support.sound import level, read_wav

ROOT = Path(__file__).parents[2]


def opened(desk: Desk, count: int) -> list[Opened]:
    wait_until(lambda: (desk.drain(0.01), sum(isinstance(e, (Opened, Closed)) for e in desk.events) >= count)[1])
    return [event for event in desk.events if isinstance(event, Opened)]


def test_pairs_are_even_and_odd_and_random() -> None:
    with Desk(30001, 30200) as desk:
        for number in range(50):
            desk.submit(Open(f"s{number}", "g", "127.0.0.1"))
        events = opened(desk, 50)
        ports = [event.rtp_port for event in events]
        assert all(port % 2 == 0 and 30002 <= port <= 30198 for port in ports)
        assert all(event.rtcp_port == event.rtp_port + 1 for event in events)
        assert len(set(ports)) == 50
        assert ports != sorted(ports)


def test_no_port_is_left() -> None:
    holders = free_block(10)
    first = holders[0].getsockname()[1]
    for holder in holders:
        holder.close()
    with Desk(first, first + 9) as desk:
        for number in range(6):
            desk.submit(Open(f"s{number}", f"g{number}", "127.0.0.1"))
        assert len(opened(desk, 6)) == 5
        (refused,) = [event for event in desk.events if isinstance(event, Closed)]
        assert "in use" in refused.reason


def test_used_ports_rest() -> None:
    holders = free_block(2)
    first = holders[0].getsockname()[1]
    for holder in holders:
        holder.close()
    with Desk(first, first + 1, drain=1000) as desk:
        port = desk.open("a")
        desk.close("a")
        begun = time.monotonic()
        assert desk.engine.counters().ports_draining == 1
        number = 0
        while not [event for event in desk.events if isinstance(event, Opened) and event.stream != "a"]:
            number += 1
            desk.submit(Open(f"s{number}", "g", "127.0.0.1"))
            desk.drain(0.02)
            assert time.monotonic() - begun < 5
        assert time.monotonic() - begun >= 0.29
        assert port == first


def free_block(size: int) -> list[socket.socket]:
    """Return sockets that hold `size` ports in a row, the first one even."""
    for first in range(31000, 32000, 10):
        held: list[socket.socket] = []
        try:
            for port in range(first, first + size):
                held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                held[-1].bind(("127.0.0.1", port))
        except OSError:
            for holder in held:
                holder.close()
            continue
        return held
    raise OSError("no ten ports in a row are free")


def test_ports_of_other_programs_are_passed_over() -> None:
    holders = free_block(10)
    first = holders[0].getsockname()[1]
    held = {0, 3, 6}  # an even one and odd ones
    try:
        for offset, holder in enumerate(holders):
            if offset not in held:
                holder.close()
        with Desk(first, first + 9) as desk:
            assert {desk.open("a"), desk.open("b")} == {first + 4, first + 8}
            desk.submit(Open("c", "g", "127.0.0.1"))
            assert "in use" in desk.wait(Closed, stream="c").reason
    finally:
        for holder in holders:
            holder.close()


def test_an_address_that_is_not_ours() -> None:
    with Desk() as desk:
        desk.submit(Open("a", "g", "192.0.2.77"))
        assert desk.wait(Closed, stream="a").reason == "Cannot assign requested address"
        with pytest.raises(UsageError):
            desk.submit(Open("b", "g", "localhost"))
        desk.open("b")


def test_contracts() -> None:
    with Desk() as desk:
        desk.open("a")
        with pytest.raises(UsageError, match="twice"):
            desk.submit(Open("a", "g", "127.0.0.1"))
        desk.open("z", group="other")
        with pytest.raises(UsageError, match="two groups"):
            desk.submit(Connect("a", "z"))
    with pytest.raises(UsageError, match="closed"):
        desk.submit(Query("a"))
    assert desk.engine.drain() == desk.engine.close() == []
    with pytest.raises(EnvironmentFault, match="no pair"):
        Engine(30001, 30001)


def test_codecs_are_told() -> None:
    assert {"PCMU", "PCMA", "L16"} <= set(codec_names())


def closed(desk: Desk) -> int:
    return sum(isinstance(event, Closed) for event in desk.events)


def test_churn_leaves_nothing() -> None:
    """Two thousand streams come and go; nothing grows."""
    with Desk(30000, 30399, drain=1) as desk:
        descriptors = len(os.listdir("/proc/self/fd"))
        for turn in range(20):
            names = [f"{turn}-{number}" for number in range(100)]
            for number, name in enumerate(names):
                desk.submit(Open(name, f"g{number // 2}", "127.0.0.1"))
            for first, second in zip(names[::2], names[1::2], strict=True):
                desk.submit(Connect(first, second))
            desk.submit(*(Close(name) for name in names))
            wait_until(lambda: (desk.drain(0.01), closed(desk) >= 100 * (turn + 1))[1])  # noqa: B023
            time.sleep(0.005)
        assert len(os.listdir("/proc/self/fd")) <= descriptors
        assert (closed(desk), desk.engine.counters().streams) == (2000, 0)
        assert not [event for event in desk.events if isinstance(event, Closed) and event.reason]


def test_events_wake_the_reader() -> None:
    with Desk() as desk:
        assert os.fstat(desk.engine.fileno())
        desk.submit(Open("a", "g", "127.0.0.1"))
        wait_until(lambda: bool(desk.engine.drain()))
        desk.submit(Close("nobody"))
        assert [type(event) for event in desk.engine.drain()] == [Closed]
        desk.submit(Query("a"))


RECORDER = """
import sys, time
from pathlib import Path
from tests.support.desk import Desk
from pbx.media.commands import Connect, Record
folder = Path(sys.argv[1])
with Desk(30400, 30499) as desk:
    left = desk.phone("a"); right = desk.phone("b")
    desk.submit(Connect("a", "b"), Record("r", "a", "b", str(folder / "2026" / "r.wav")))
    desk.counts("a")
    print("recording", flush=True)
    for number in range(500):
        left.send(bytes([number % 120]) * 160); right.send(bytes([128 + number % 100]) * 160)
        time.sleep(0.02)
        print(number, flush=True)
"""


def test_kill_9_leaves_what_was_said(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "120":
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    part = tmp_path / "2026" / "r.wav.part"
    rate, (left, right) = read_wav(part)  # playable as it is
    assert len(left) / rate > 120 * 0.02 - 1
    assert level(left[-800:]) > 0
    assert level(right[-800:]) > 0
    (found,) = recover(tmp_path)
    assert found.path == tmp_path / "2026" / "r.wav"
    assert not part.exists()
    assert found.duration >= len(left) * 1000 // rate
    assert read_wav(found.path)[1][0][: len(left)] == left
