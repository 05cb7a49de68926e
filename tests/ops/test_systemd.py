from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pbx.ops.heartbeat import Heartbeat
from pbx.ops.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@tandem-test-{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(name.replace("@", "\0") if name.startswith("@") else name)
        server.settimeout(2)
        yield name, server


def test_what_systemd_hears(listener: tuple[str, socket.socket]) -> None:
    name, server = listener
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "42"}, process=42)
    assert notifier.enabled
    assert notifier.watchdog == 3.0
    notifier.ready("3 listeners")
    notifier.reloading(12.5)
    notifier.alive()
    notifier.status("two\nlines")
    notifier.extend_timeout(60)
    notifier.stopping()
    heard = [server.recv(1000).decode() for _ in range(6)]
    assert heard == [
        "READY=1\nSTATUS=3 listeners",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "WATCHDOG=1",
        "STATUS=two lines",
        "EXTEND_TIMEOUT_USEC=60000000",
        "STOPPING=1",
    ]
    notifier.close()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "vsock:2:1234"},
        {"WATCHDOG_USEC": "nonsense"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
def test_without_systemd_nothing_happens(environment: dict[str, str]) -> None:
    notifier = Notifier(environment, process=42)
    notifier.ready()
    notifier.alive()
    notifier.close()
    assert not notifier.enabled
    assert notifier.watchdog == 0
    assert notifier.failures == 0


def test_a_socket_that_is_gone_is_counted(tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}, process=42)
    notifier.ready()
    assert notifier.failures == 1
    notifier.close()


class Clock:
    def __init__(self) -> None:
        self.time = 100.0
        self.waiting: tuple[float, Callable[[], None]] | None = None

    def now(self) -> float:
        return self.time

    def later(self, delay: float, call: Callable[[], None]) -> Clock:
        self.waiting = (self.time + delay, call)
        return self

    def cancel(self) -> None:
        self.waiting = None

    def run(self, late: float) -> float:
        assert self.waiting is not None
        due, call = self.waiting
        before, self.time = self.time, due + late
        call()
        return due - before


def test_the_heart_beats_twice_a_watchdog_and_measures_lateness() -> None:
    clock, lags, signs = Clock(), [], []
    heart = Heartbeat(clock.now, clock.later, lags.append, lambda: signs.append(clock.time), watchdog=1.0)
    heart.start()
    assert [clock.run(late) for late in (0.0, 0.25, 0.0)] == [0.5, 0.5, 0.5]
    assert lags == pytest.approx([0.0, 0.25, 0.0])
    assert heart.worst == pytest.approx(0.25)
    assert len(signs) == 3
    heart.stop()
    assert clock.waiting is None
