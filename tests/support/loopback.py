"""A reactor for tests over real loopback sockets: Twisted's asyncio reactor on uvloop, run only while a test waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import uvloop
from twisted.internet.asyncioreactor import AsyncioSelectorReactor

from pbx.net.clock import LoopClock
from pbx.net.transport import Address
from pbx.sip.parser import MessageError
from pbx.sip.stack import Flow

__all__ = ["Heard", "Waiting", "World"]

_LONGEST = 30.0
"""Seconds: no test waits for that long but on a machine that has much else to do."""


class World:
    """The loop, the reactor on it and its clock."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self.reactor = AsyncioSelectorReactor(self.loop)
        self.clock = LoopClock(self.loop)

    def until(self, true: Callable[[], object], longest: float = _LONGEST) -> None:
        """Run the loop until `true` returns something true; fail if it takes longer than `longest` seconds."""
        end = time.monotonic() + longest
        while not true():
            assert time.monotonic() < end, "it did not happen in time"
            self.run(0.002)

    def run(self, seconds: float) -> None:
        """Run the loop for a while."""
        self.loop.call_later(seconds, self.loop.stop)
        self.loop.run_forever()


class Heard:
    """A `Sink` that notes everything."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, Flow]] = []
        self.gone: list[tuple[Flow, str]] = []
        self.refused: list[tuple[Address, str]] = []
        self.broken: list[tuple[MessageError, Flow]] = []

    def received(self, data: bytes, flow: Flow) -> None:
        self.messages.append((data, flow))

    def unframeable(self, error: MessageError, flow: Flow) -> None:
        self.broken.append((error, flow))

    def unreachable(self, remote: Address, detail: str) -> None:
        self.refused.append((remote, detail))

    def closed(self, flow: Flow, detail: str) -> None:
        self.gone.append((flow, detail))


class Waiting:
    """A `Connecting` that notes what became of it."""

    def __init__(self) -> None:
        self.flow: Flow | None = None
        self.detail = ""

    @property
    def done(self) -> bool:
        return self.flow is not None or bool(self.detail)

    def connected(self, flow: Flow) -> None:
        self.flow = flow

    def not_connected(self, detail: str) -> None:
        self.detail = detail
