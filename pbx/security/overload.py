"""When the server cannot keep up: new calls are taken at the rate that it can carry, the rest is refused at once.

A server that takes every call when it cannot carry them carries none: retransmissions multiply what it has to read.
Refusing costs a thirtieth of taking, so the calls that are up, and those that were taken, do not notice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["OverloadControl", "OverloadLimits"]


@dataclass(frozen=True, slots=True)
class OverloadLimits:
    """What overload is, and how it is met."""

    late: float = 0.2
    """Seconds that whatever arrives waits until it is read. A call is set up by three messages, one after the other,
    and what has waited for half a second is sent again (RFC 3261's T1)."""
    target: float = 0.1
    """Seconds that it is to wait while calls are limited: so much is always there to do that nothing of what the server
    can carry is lost."""
    backlog: float = 0.25
    """The part of a socket's receive buffer that may wait to be read: a flood fills it sooner than it is late."""
    least: float = 5.0
    """Calls a second that are taken whatever comes."""
    patience: int = 3
    """Samples in a row that show an overload before it is one: a pause is none."""
    release: float = 3.0
    """Seconds in which nothing was late and nobody was refused after which the limit is dropped."""


_DEFAULTS = OverloadLimits()

# The rate is what a proportional and integrating controller of the waiting time makes of it, per sample (ten a second):
# for how long it is away from its target, and for how fast it moves. Both together settle within some two seconds and
# hardly swing, whatever the server can carry, since what is changed is the rate's logarithm.
_PULL = 0.5
_BRAKE = 3.5
_FURTHEST_DOWN, _FURTHEST_UP, _IDLE_UP = 0.6, 1.08, 1.03
_BEGIN = 0.8
"""The part of what was taken lately that is taken when an overload begins: what waits has to go, too."""
_ROOM = 1.5
"""The limit does not rise beyond so many times what is taken: it would be of no use when more comes."""
_BURST = 0.1
"""Seconds of calls that may come at once."""


class OverloadControl:
    """Decides about each new call. `sample` is called several times a second, on the clock of the caller.

    While there is a limit, strangers' calls are refused first; known sources share the rate.
    """

    def __init__(self, limits: OverloadLimits = _DEFAULTS) -> None:
        self.limits = limits
        self.refused = 0
        self.rate: float | None = None
        """Calls a second that are taken now; None: all."""
        self._tokens = 0.0
        self._sampled = 0.0
        self._taken = 0
        self._usual = 0.0
        """Calls a second that were taken lately."""
        self._refused_before = 0
        self._calm_since = 0.0
        self._bad = 0
        self._waited = 0.0
        self._at_first = 0.0
        """How late it was at the first of the bad samples in a row."""

    @property
    def active(self) -> bool:
        """Whether calls are limited now."""
        return self.rate is not None

    def sample(self, late: float, backlog: float, now: float) -> None:
        """Take how long what arrives waits (seconds) and how full the fullest receive buffer is (0 to 1)."""
        limits, elapsed = self.limits, now - self._sampled
        if elapsed <= 0:
            return
        self._sampled = now
        taken, self._taken = self._taken / elapsed, 0
        self._usual += min(1.0, elapsed) * (taken - self._usual)
        full = backlog > limits.backlog
        if late <= limits.late and not full:
            self._bad = 0
        else:
            self._bad += 1
            if self._bad == 1:
                self._at_first = late
        if self.rate is not None:
            self._adjust(self.rate, late, full, now)
        elif self._bad >= limits.patience and (full or late >= self._at_first):
            # Not while it catches up by itself: then it was a pause.
            self.rate = max(limits.least, _BEGIN * self._usual)
            self._calm_since = now
            self._refused_before = self.refused
            self._tokens = 0.0
        self._waited = late
        if self.rate is not None:
            self._tokens = min(max(1.0, self.rate * _BURST), self._tokens + self.rate * elapsed)

    def _adjust(self, rate: float, late: float, full: bool, now: float) -> None:
        limits = self.limits
        turned_away = self.refused != self._refused_before
        self._refused_before = self.refused
        factor = 1 + _PULL * (limits.target - min(late, 3 * limits.late)) - _BRAKE * (late - self._waited)
        if full:
            factor = _FURTHEST_DOWN
        elif late < limits.target / 2:
            factor = max(factor, _IDLE_UP)
        if factor < 1 or turned_away or rate < _ROOM * self._usual:
            self.rate = max(limits.least, rate * min(_FURTHEST_UP, max(_FURTHEST_DOWN, factor)))
        if turned_away or full or late > limits.target:
            self._calm_since = now
        elif now - self._calm_since >= limits.release:
            self.rate = None

    def takes(self, known: bool, exempt: Callable[[], bool], *, proven: bool = False) -> bool:
        """Return whether a new call is taken; `known` says whether it comes from a trunk or a registered phone.

        `exempt` is asked before one is refused: a call for help is not. `proven`: it carries a password's proof, so
        that its challenge was taken a moment ago; it has a second's worth of credit, since half a call is no use.
        """
        if self.rate is not None:
            least = 1.0 - self.rate if proven else 1.0
            if known and self._tokens >= least:
                self._tokens -= 1.0
            elif not exempt():
                self.refused += 1
                return False
        self._taken += 1
        return True
