"""The gate before the parser: drops what a banned or too busy stranger sends, at the cost of a look-up.

Whoever is known (a phone whose registration holds, a trunk) passes always, so that a flood from its neighbour, or from
behind the same NAT, does not cut its calls off.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pbx.security.failures import FailureCounter, FailureLimits, Penalty
from pbx.security.rates import RateLimiter

__all__ = ["EdgeGuard", "EdgeLimits"]

WayT = TypeVar("WayT", bound=Hashable)

_HOSTS = FailureLimits(free=20, ban_after=100, forgive_every=5.0)
_USERS = FailureLimits()


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """What a stranger at one address may do. Rates are messages a second; a rate of 0 is no limit."""

    rate: float = 100.0
    burst: float = 1000.0
    hosts: FailureLimits = _HOSTS
    """Failures of all users at one address: many phones may stand behind it."""
    users: FailureLimits = _USERS
    """Failures of one user name at one address."""


_DEFAULTS = EdgeLimits()


class EdgeGuard(Generic[WayT]):
    """What is known of strangers' behaviour. `known(way)` says whether a way (a flow) is one of ours.

    Failures are told by whoever finds them: a wrong password, a message that is none.
    """

    def __init__(self, known: Callable[[WayT], bool], limits: EdgeLimits = _DEFAULTS) -> None:
        self._known = known
        self._rates: RateLimiter[str] | None = RateLimiter(limits.rate, limits.burst) if limits.rate else None
        self._hosts: FailureCounter[str] = FailureCounter(limits.hosts)
        self._users: FailureCounter[tuple[str, str]] = FailureCounter(limits.users)
        self.dropped_banned = 0
        self.dropped_rate = 0

    def admits(self, way: WayT, host: str, now: float) -> bool:
        """Return whether a message that came from `host` over `way` is to be read at all; counts it if not."""
        if self._known(way):
            return True
        if self._hosts.banned(host, now):
            self.dropped_banned += 1
            return False
        if self._rates is not None and not self._rates.allows(host, now):
            self.dropped_rate += 1
            return False
        return True

    def user_banned(self, way: WayT, host: str, user: str, now: float) -> bool:
        """Return whether this user name at this address has failed too often, and it is not one of ours that says
        it."""
        return self._users.banned((host, user), now) and not self._known(way)

    def failed(self, host: str, user: str, now: float) -> Penalty:
        """Count a failure to prove to be `user`, and return what it costs."""
        of_host = self._hosts.failed(host, now)
        of_user = self._users.failed((host, user), now)
        return Penalty(max(of_host.delay, of_user.delay), of_host.banned or of_user.banned)

    def offended(self, host: str, now: float) -> None:
        """Count bytes that are no message."""
        self._hosts.failed(host, now)

    def succeeded(self, host: str, user: str) -> None:
        """Forget a user's failures, now that it has proven itself. Those of its neighbours count on."""
        self._users.succeeded((host, user))
