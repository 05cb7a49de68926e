"""When the server cannot keep up: new calls are taken at the rate that it can carry, the rest is refused at once.

A server that takes every call when it cannot carry them carries none: retransmissions multiply what it has to read.
Refusing costs a tenth of taking, so the calls that are up, and those that were taken, do not notice.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OverloadControl", "OverloadLimits"]


@dataclass(frozen=True, slots=True)
class OverloadLimits:
    """What overload is, and how it is met."""

    lag: float = 0.25
    """Seconds that timers may be late."""
    backlog: float = 0.25
    """The part of a socket's receive buffer that may wait to be read."""
    least: float = 5.0
    """Calls a second that are taken whatever comes."""
    cut: float = 0.7
    """The rate is multiplied with this at each sample of an overload …"""
    regain: float = 1.05
    """… and with this at each one without."""
    patience: int = 3
    """Samples in a row that show an overload before it is one: a pause is none."""
    release: float = 5.0
    """Seconds without overload after which the limit is dropped."""


_DEFAULTS = OverloadLimits()


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
        self._calm_since = 0.0
        self._bad = 0

    @property
    def active(self) -> bool:
        """Whether calls are limited now."""
        return self.rate is not None

    def sample(self, lag: float, backlog: float, now: float) -> None:
        """Take how late timers are (seconds) and how full the fullest receive buffer is (0 to 1)."""
        limits, elapsed = self.limits, now - self._sampled
        if elapsed <= 0:
            return
        self._sampled = now
        taken, self._taken = self._taken / elapsed, 0
        # Half of it is of the last second.
        weight = min(1.0, elapsed / 1.5)
        self._usual += weight * (taken - self._usual)
        self._bad = self._bad + 1 if lag > limits.lag or backlog > limits.backlog else 0
        if self._bad >= limits.patience:
            before = self.rate if self.rate is not None else max(self._usual, taken)
            self.rate = max(limits.least, before * limits.cut)
            self._calm_since = now
        elif self.rate is not None and not self._bad:
            self.rate *= limits.regain
            if now - self._calm_since >= limits.release and self._usual < self.rate:
                self.rate = None
        if self.rate is not None:
            self._tokens = min(max(1.0, self.rate * 0.2), self._tokens + self.rate * elapsed)

    def takes(self, known: bool, proven: bool = False) -> bool:
        """Return whether a new call is taken; `known` says whether it comes from a trunk or a registered phone.

        `proven`: it carries a password's proof, so that its challenge was taken a moment ago; it has a second's worth
        of credit, since half a call is no use.
        """
        least = 1.0 - (self.rate or 0.0) if proven else 1.0
        if self.rate is not None and (not known or self._tokens < least):
            self.refused += 1
            return False
        if self.rate is not None:
            self._tokens -= 1.0
        self._taken += 1
        return True
