"""Keep-alives for thousands of flows: pin-holes of NATs stay open, and dead connections are found (RFC 5626 §3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.net.wheel import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from pbx.net.clock import Clock
    from pbx.sip.stack import Flow

__all__ = ["KeepAlives"]

_TICK = 0.25
_SHORTEST = 1.0
_GOLDEN = 0.618033988749895
"""Multiples of it, modulo one, spread any number of phases evenly."""


class KeepAlives:
    """Calls `ping(flow)` at the intervals asked for, spread evenly over time.

    A flow that several ask for gets the shortest of their intervals.
    """

    def __init__(self, clock: Clock, ping: Callable[[Flow], None]) -> None:
        self._clock = clock
        self._ping = ping
        self._wanted: dict[Flow, dict[int, float]] = {}
        self._started = 0
        self._wheel: Wheel[Flow] = Wheel(clock, _TICK, self._due)

    def __len__(self) -> int:
        return len(self._wanted)

    def start(self, flow: Flow, interval: float) -> Callable[[], None]:
        """Ping `flow` every `interval` seconds (one at least) until the return value is called, or the flow is gone."""
        self._started += 1
        number = self._started
        interval = max(interval, _SHORTEST)
        wanted = self._wanted.get(flow)
        if wanted is None:
            self._wanted[flow] = {number: interval}
        else:
            wanted[number] = interval
        phase = number * _GOLDEN % 1.0
        self._wheel.sooner(flow, self._clock.seconds() + interval * phase)

        def stop() -> None:
            wanted = self._wanted.get(flow)
            if wanted is not None and wanted.pop(number, None) is not None and not wanted:
                self.forget(flow)

        return stop

    def forget(self, flow: Flow) -> None:
        """Take that a flow is gone."""
        if self._wanted.pop(flow, None) is not None:
            self._wheel.remove(flow)

    def stop(self) -> None:
        """Forget all flows."""
        self._wanted.clear()
        self._wheel.stop()

    def _due(self, flow: Flow, now: float) -> float | None:
        wanted = self._wanted.get(flow)
        if wanted is None:
            return None
        self._ping(flow)
        return now + min(wanted.values())
