"""A phone as a process: the reactor that it runs in, and what signals do."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

import uvloop
from twisted.internet import asyncioreactor

from pbx.phone.phone import FAILED, INTERRUPTED, Phone

if TYPE_CHECKING:
    from pbx.net.network import NetworkReactor
    from pbx.net.trace import Captured
    from pbx.phone.line import Line
    from pbx.phone.notices import Notice
    from pbx.phone.plan import Plan

__all__ = ["Settings", "run"]

_TERMINATED: Final = 143
"""128 and the number of SIGTERM, as shells have it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a phone reaches the network."""

    local_port: int = 0
    verify: bool = True
    """Whether TLS certificates are."""
    codecs: tuple[str, ...] = ()
    """Those that may be used, best first; all if it is empty."""
    srtp: bool = False
    """Whether audio must be encrypted."""


class _Reactor(Protocol):
    """What is used of Twisted's reactor here; its own types say less."""

    def callWhenRunning(self, call: Callable[[], object]) -> object:  # noqa: N802
        """Call `call` as soon as the reactor runs."""

    def run(self, installSignalHandlers: bool) -> None:  # noqa: N803
        """Run until told to stop."""

    def stop(self) -> None:
        """End `run`."""


def run(
    line: Line,
    plan: Plan,
    settings: Settings,
    tell: Callable[[Notice], None],
    fault: Callable[[str, Exception], None],
    trace: Callable[[Captured], None] | None = None,
) -> int:
    """Run a phone until it is done; return its exit status. Once a process: a reactor runs once.

    `tell` hears of everything, `fault` of bugs of ours, `trace` of every SIP message. Raises EnvironmentFault.
    """
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)  # type: ignore[no-untyped-call]
    # Only now: Twisted installs another one at the first import that wants one.
    from twisted.internet import reactor as installed

    from pbx.phone.machine import Machine

    reactor = cast("_Reactor", installed)
    codes: list[int] = []

    def done(code: int) -> None:
        codes.append(code)
        # Not in the middle of what has led here.
        loop.call_soon(reactor.stop)

    machine = Machine(
        cast("NetworkReactor", installed),
        loop,
        fault,
        transport=line.transport,
        local_port=settings.local_port,
        verify=settings.verify,
        codecs=settings.codecs,
        srtp=settings.srtp,
        domain=line.server.host if line.server is not None else "",
    )
    try:
        phone = Phone(line, plan, machine, tell, done)
        if trace is not None:
            machine.trace.subscribe(trace)
        machine.start(phone)
        loop.add_signal_handler(signal.SIGINT, phone.interrupt, INTERRUPTED)
        loop.add_signal_handler(signal.SIGTERM, phone.interrupt, _TERMINATED)
        reactor.callWhenRunning(phone.start)
        reactor.run(installSignalHandlers=False)
    finally:
        machine.stop()
    return codes[0] if codes else FAILED
