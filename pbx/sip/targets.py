"""Targets of a request and falling over from one to the next (RFC 3263 §4.3), without a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["DeadTargets", "Failover", "Target"]


class Target(NamedTuple):
    """Where a request can be sent.

    `transport` is ``udp``, ``tcp``, ``tls``, ``ws`` or ``wss``, `host` a numeric address. `name` is the domain that a
    certificate must be for (RFC 5922 §4): empty without TLS, and if the URI had a number for a host.
    """

    transport: str
    host: str
    port: int
    name: str = ""

    @property
    def reliable(self) -> bool:
        """True if the transport retransmits by itself."""
        return self.transport != "udp"


class DeadTargets:
    """Remembers which targets failed, for a while, so that not every call has to find out again.

    Shared by everything that sends. `duration` is how long a target counts as dead, in seconds, unless a Retry-After
    says otherwise (at most `longest`); no more than `limit` targets are remembered, the ones that come back first being
    forgotten first.
    """

    __slots__ = ("_duration", "_limit", "_longest", "_until")

    def __init__(self, duration: float = 60.0, longest: float = 600.0, limit: int = 10_000) -> None:
        self._duration = duration
        self._longest = longest
        self._limit = limit
        self._until: dict[tuple[str, str, int], float] = {}

    def mark(self, target: Target, now: float, duration: float | None = None) -> None:
        """Remember that `target` failed at `now`, for `duration` seconds or the usual time."""
        self._until[target[:3]] = now + min(self._duration if duration is None else duration, self._longest)
        if len(self._until) > self._limit:
            self._forget_expired(now)

    def revive(self, target: Target) -> None:
        """Forget that a target failed: it has answered."""
        if self._until:
            self._until.pop(target[:3], None)

    def dead(self, target: Target, now: float) -> bool:
        """Return whether `target` is still to be avoided."""
        if not self._until:
            return False
        until = self._until.get(target[:3])
        if until is None:
            return False
        if until > now:
            return True
        del self._until[target[:3]]
        return False

    def ordered(self, targets: Sequence[Target], now: float) -> tuple[Target, ...]:
        """Return `targets` with the dead ones last: if all are dead, they are tried all the same."""
        if not self._until:
            return tuple(targets)
        return tuple(sorted(targets, key=lambda target: self.dead(target, now)))

    def __len__(self) -> int:
        """Return how many targets are remembered, expired ones among them."""
        return len(self._until)

    def _forget_expired(self, now: float) -> None:
        alive = sorted((item for item in self._until.items() if item[1] > now), key=lambda item: item[1])
        self._until = dict(alive[-self._limit :])


class Failover:
    """One request on its way through its targets.

    RFC 3263 §4.3: for SIP requests a failure is a 503 response, a timeout of the transaction without any response, or
    an error of the transport; the request is then tried at the next target as a new transaction with a new branch. Once
    a response that counts (any other than 100, 503) has been passed up, or the request was cancelled, there is no next
    target.
    """

    __slots__ = ("_dead", "_heard", "_rest", "_settled", "current")

    def __init__(self, targets: Sequence[Target], dead: DeadTargets, now: float) -> None:
        self._dead = dead
        self._rest = list(reversed(dead.ordered(targets, now)))
        self._settled = False
        self._heard = False
        self.current: Target | None = self._rest.pop() if self._rest else None

    @property
    def settled(self) -> bool:
        """True if whatever comes now is the transaction user's."""
        return self._settled

    def settle(self) -> None:
        """Stop: the request was cancelled, or its owner is gone."""
        self._settled = True

    def response(self, status: int, now: float, retry_after: float | None = None) -> Target | None:
        """Take a response's status; return the next target to try, or None if the response is to be passed up.

        `retry_after` is what the Retry-After header of a 503 says, in seconds (RFC 3261 §21.5.4).
        """
        self._heard = True
        current = self.current
        if status == 100 or current is None:
            return None
        if status != 503:
            if not self._settled:
                self._settled = True
                self._dead.revive(current)
            return None
        if self._settled:
            return None
        self._dead.mark(current, now, retry_after)
        return self._next(now)

    def failure(self, kind: str, now: float) -> Target | None:
        """Take a `TransactionFailure`'s kind; return the next target, or None if the failure is to be passed up."""
        current = self.current
        if self._settled or current is None or kind not in ("timeout", "transport"):
            return None
        if kind == "timeout" and self._heard:
            # It is alive, and has the request: another target might carry it out twice.
            return None
        self._dead.mark(current, now)
        return self._next(now)

    def silence(self, now: float) -> Target | None:
        """Take that the target has said nothing for longer than somebody wants to wait; return the next one, or None if
        there is none, or it has spoken: then all stays as it is."""
        if self._settled or self._heard or self.current is None or not self._rest:
            return None
        self._dead.mark(self.current, now)
        return self._next(now)

    def _next(self, now: float) -> Target | None:
        self._heard = False
        if not self._rest:
            self._settled = True
            return None
        # Another request may have found out about the rest in the meantime.
        self._rest.sort(key=lambda target: not self._dead.dead(target, now))
        self.current = self._rest.pop()
        return self.current
