"""The transaction timers: their lengths (RFC 3261 §17, table 4 in appendix A) and a queue that makes thousands of them
cheap."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from pbx.values import dataclass

if TYPE_CHECKING:
    from pbx.sip.transaction import Input

__all__ = ["Timer", "TimerQueue", "TimerSettings"]

Owner = TypeVar("Owner")

_NEVER: Final = float("inf")
_HUSKS: Final = 256
"""Cancelled timers that a queue may hold before it is worth the work to look for them."""


@dataclass(frozen=True, slots=True)
class TimerSettings:
    """Lengths in seconds. Timers B, D, F, H, J, L and M last 64*T1; I and K last T4."""

    t1: float = 0.5
    """The round trip's estimate (RFC 3261 §17.1.1.1)."""
    t2: float = 4.0
    """The longest interval between retransmissions of a non-INVITE request and of an INVITE response."""
    t4: float = 5.0
    """The longest that a message stays in the network."""
    trying: float = 0.2
    """RFC 3261 §17.2.1: a 100 follows unless the transaction user answers an INVITE within 200 ms."""
    ringing: float = 185.0
    """Timer C: an INVITE without news for that long is cancelled (RFC 3261 §16.6 asks for more than three minutes)."""

    @property
    def lifetime(self) -> float:
        """64*T1: how long a transaction tries, and how long it remembers."""
        return 64 * self.t1

    @property
    def slow(self) -> float:
        """How long a client's timer E takes to be reset to T2 (RFC 4320 §4.1): 3.5 s by default."""
        total, interval = 0.0, self.t1
        while interval < self.t2:
            total += interval
            interval *= 2
        return total


class Timer(Generic[Owner]):
    """One pending timer. Cancelling it takes constant time and lets go of its owner at once."""

    __slots__ = ("_queue", "due", "name", "order", "owner")

    def __init__(self, due: float, order: int, owner: Owner, name: Input, queue: _Queue[Owner]) -> None:
        self.due = due
        self.order = order
        self.owner: Owner | None = owner
        self.name = name
        self._queue = queue

    def cancel(self) -> None:
        """Forget it; harmless when it has run."""
        if self.owner is not None:
            self.owner = None
            self._queue.husks += 1


class _Queue(Generic[Owner]):
    """The timers of one delay, in the order in which they fall due. Cancelled ones stay as husks for a while."""

    __slots__ = ("husks", "timers")

    def __init__(self) -> None:
        self.timers: deque[Timer[Owner]] = deque()
        self.husks = 0

    def head(self) -> Timer[Owner] | None:
        """Return the first timer that was not cancelled."""
        timers = self.timers
        while timers:
            timer = timers[0]
            if timer.owner is not None:
                return timer
            timers.popleft()
            self.husks -= 1
        return None

    def tidy(self) -> None:
        """Throw the husks away once they are the greater part: a constant share of work for each timer."""
        if self.husks > _HUSKS and self.husks * 2 > len(self.timers):
            self.timers = deque([timer for timer in self.timers if timer.owner is not None])
            self.husks = 0


class TimerQueue(Generic[Owner]):
    """Pending timers, in the order in which they fall due.

    The transaction layer knows no more than a dozen different delays, and its clock never goes back: timers of one
    delay fall due in the order in which they were started. So each delay has a plain queue, starting appends to it, and
    the next timer is at the front of one of them. Nothing is sorted and nothing is searched.
    """

    __slots__ = ("_now", "_order", "_queues", "_soonest")

    def __init__(self) -> None:
        self._queues: dict[float, _Queue[Owner]] = {}
        self._now = float("-inf")
        self._order = 0
        self._soonest = _NEVER

    def start(self, delay: float, owner: Owner, name: Input, now: float) -> Timer[Owner]:
        """Start a timer, due `delay` seconds after `now`. A `now` before the latest one counts as that one."""
        if now < self._now:
            now = self._now
        else:
            self._now = now
        self._order = order = self._order + 1
        queue = self._queues.get(delay)
        if queue is None:
            queue = self._queues[delay] = _Queue()
        elif queue.husks > _HUSKS:
            queue.tidy()
        due = now + delay
        if due < self._soonest:
            self._soonest = due
        timer = Timer(due, order, owner, name, queue)
        queue.timers.append(timer)
        return timer

    def soonest_started(self) -> float:
        """Return when the first of the timers falls due that were started since this was last asked, infinity without
        any. It may have been cancelled."""
        due, self._soonest = self._soonest, _NEVER
        return due

    def next_due(self) -> float | None:
        """Return when the next timer falls due; None if there is none."""
        due = None
        for queue in self._queues.values():
            head = queue.head()
            if head is not None and (due is None or head.due < due):
                due = head.due
        return due

    def pop_due(self, now: float) -> tuple[Owner, Input] | None:
        """Take the earliest timer that is due at `now` and return its owner and name; None if there is none.

        Of timers due at the same moment the one started first comes first.
        """
        best: Timer[Owner] | None = None
        found: _Queue[Owner] | None = None
        for queue in self._queues.values():
            head = queue.head()
            if head is None or head.due > now:
                continue
            if best is None or (head.due, head.order) < (best.due, best.order):
                best, found = head, queue
        if best is None or found is None or best.owner is None:
            return None
        found.timers.popleft()
        owner, best.owner = best.owner, None
        return owner, best.name

    def pending(self) -> Iterator[Timer[Owner]]:
        """Go through the timers that were neither cancelled nor run."""
        for queue in self._queues.values():
            for timer in queue.timers:
                if timer.owner is not None:
                    yield timer

    def husks(self) -> int:
        """Return how many cancelled timers still take room."""
        return sum(queue.husks for queue in self._queues.values())

    def __len__(self) -> int:
        """Return how many timers are pending; takes time in proportion, for tests and metrics."""
        return sum(1 for _ in self.pending())
