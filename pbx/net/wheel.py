"""Coarse deadlines for many things behind one timer: idle connections, keep-alives."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from pbx.net.clock import Clock
    from pbx.sip.stack import Timer

__all__ = ["Wheel"]

Item = TypeVar("Item")


class Wheel(Generic[Item]):
    """Looks at each item when it is due, at most `tick` seconds late.

    `due(item, now)` is called then and returns when to look at it again, or None to let go of it. Activity of an item
    needs no word to the wheel: `due` finds out and names a later time. Items are told apart by hash. A timer is armed
    only while there is an item.
    """

    __slots__ = ("_armed", "_buckets", "_clock", "_due", "_indices", "_tick", "_timer", "_where")

    def __init__(self, clock: Clock, tick: float, due: Callable[[Item, float], float | None]) -> None:
        self._clock = clock
        self._tick = tick
        self._due = due
        self._buckets: dict[int, dict[Item, None]] = {}
        self._indices: list[int] = []
        self._where: dict[Item, int] = {}
        self._timer: Timer | None = None
        self._armed = 0

    def __len__(self) -> int:
        return len(self._where)

    def put(self, item: Item, when: float) -> None:
        """Look at `item` at `when`, instead of when was said before."""
        self._take_out(item)
        index = math.ceil(when / self._tick - 1e-6)
        bucket = self._buckets.get(index)
        if bucket is None:
            bucket = self._buckets[index] = {}
            heapq.heappush(self._indices, index)
        bucket[item] = None
        self._where[item] = index
        if self._timer is None or index < self._armed:
            self._arm()

    def sooner(self, item: Item, when: float) -> None:
        """Look at `item` at `when` unless that happens earlier anyway."""
        index = self._where.get(item)
        if index is None or when <= (index - 1) * self._tick:
            self.put(item, when)

    def remove(self, item: Item) -> None:
        """Let go of `item`; harmless if it is not there."""
        self._take_out(item)
        if not self._where:
            self.stop()

    def stop(self) -> None:
        """Let go of everything."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._buckets.clear()
        self._indices.clear()
        self._where.clear()

    def _take_out(self, item: Item) -> None:
        index = self._where.pop(item, None)
        if index is not None:
            # An emptied bucket stays until its time; its index is in the heap.
            self._buckets[index].pop(item, None)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = self._indices[0]
        delay = max(self._armed * self._tick - self._clock.seconds(), 0.001)
        self._timer = self._clock.later(delay, self._turn)

    def _turn(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        try:
            self._look(now, math.floor(now / self._tick + 1e-6))
        finally:
            # Also if looking at one raised: the others still have their turn.
            if not self._where:
                self.stop()
            elif self._timer is None:
                self._arm()

    def _look(self, now: float, last: int) -> None:
        while self._indices and self._indices[0] <= last:
            index = heapq.heappop(self._indices)
            bucket = self._buckets[index]
            try:
                # One by one: looking at one may remove another, or put it elsewhere.
                while bucket:
                    item = next(iter(bucket))
                    del bucket[item], self._where[item]
                    again = self._due(item, now)
                    if again is not None:
                        self.put(item, max(again, now + self._tick))
            finally:
                if bucket:
                    heapq.heappush(self._indices, index)
                else:
                    self._buckets.pop(index, None)
