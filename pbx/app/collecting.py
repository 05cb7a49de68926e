"""When Python's cyclic garbage collector runs: often over what is new, seldom over everything, and then when it is
quiet."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Protocol

from pbx.sip.stack import Timer

__all__ = ["Collecting", "PythonCollector", "settle_collector"]

_COLLECT_AFTER = 20_000
"""Objects more than after the last collection: the collector then walks over what is new."""
_NEVER = 1_000_000_000
_YOUNG_EVERY = 3.0
"""Seconds. In a steady load as many objects go as come, so that their number says nothing, while what is new and stays
for RFC 3261's half a minute adds up: of thirty seconds at 200 calls a second the collector walked 0.4 s."""
_LOOKS = 20
"""So many times that young objects were collected, there is a look whether all are to be: once a minute."""
_WORTH_IT = 1_000_000
"""Blocks of memory more than after the last time, some 80 MiB, that make it worth to look at all objects when it is
quiet."""
_NO_LONGER = 40_000_000
"""The same whether it is quiet or not."""


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
    """The collector, and how much there is for it."""

    def allocated(self) -> int:
        """Return how many blocks of memory are in use."""

    def collect_young(self) -> None:
        """Look at what is new."""

    def collect_all(self) -> None:
        """Look at everything."""


class PythonCollector:
    """Python's own."""

    def allocated(self) -> int:
        """Return how many blocks of memory are in use."""
        return sys.getallocatedblocks()

    def collect_young(self) -> None:
        """Look at what is new."""
        gc.collect(0)

    def collect_all(self) -> None:
        """Look at everything."""
        gc.collect()


class Collecting:
    """Has young objects collected every few seconds, and all of them when much has come to stay and `quiet()` says
    so."""

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], Timer],
        quiet: Callable[[], bool],
        collector: Collector | None = None,
    ) -> None:
        self._later = later
        self._quiet = quiet
        self._collector = collector or PythonCollector()
        self._timer: Timer | None = None
        self._looks = 0
        self._before = 0

    def start(self) -> None:
        """Begin."""
        self._before = self._collector.allocated()
        self._timer = self._later(_YOUNG_EVERY, self._due)

    def stop(self) -> None:
        """Collect no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = self._later(_YOUNG_EVERY, self._due)
        self._looks += 1
        if self._looks < _LOOKS:
            self._collector.collect_young()
            return
        self._looks = 0
        grown = self._collector.allocated() - self._before
        if grown >= _NO_LONGER or (grown >= _WORTH_IT and self._quiet()):
            self._collector.collect_all()
            self._before = self._collector.allocated()
        else:
            self._collector.collect_young()
