"""When Python's cyclic garbage collector runs: often over what is new, seldom over everything, and then when it is
quiet."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Protocol

from pbx.sip.stack import Timer

__all__ = ["Collecting", "settle_collector"]

_COLLECT_AFTER = 20_000
"""Objects more than after the last collection: the collector then walks over these, which takes some 15 ms."""
_NEVER = 1_000_000_000
_LOOK_EVERY = 60.0
"""Seconds."""
_WORTH_IT = 50
"""Collections of new objects after which all are looked at once it is quiet: a million objects have come to stay."""
_NO_LONGER = 1000
"""The same whether it is quiet or not: that many would be some gigabytes."""


def settle_collector() -> None:
    """Keep Python's cyclic collector from walking over the server again and again.

    What is built by now lives until the end. Of what comes later only new objects are looked at from here on: calls
    leave no cycles, and a walk over what thousands of them hold would stop the server for a second. `Collecting` sees
    to the rest.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, _NEVER, _NEVER)


class Collector(Protocol):
    """The collector, as Python's module `gc` has it."""

    def get_count(self) -> tuple[int, int, int]:
        """Return the objects since the last collection, then how often the young and the middle generation were
        collected since the one above was."""

    def collect(self) -> int:
        """Collect everything."""


class Collecting:
    """Looks once a minute whether all objects should be looked at, and has that done when `quiet()` says so."""

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], Timer],
        quiet: Callable[[], bool],
        collector: Collector = gc,
    ) -> None:
        self._later = later
        self._quiet = quiet
        self._collector = collector
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin to look."""
        self._timer = self._later(_LOOK_EVERY, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = self._later(_LOOK_EVERY, self._look)
        grown = self._collector.get_count()[1]
        if grown >= _NO_LONGER or (grown >= _WORTH_IT and self._quiet()):
            self._collector.collect()
