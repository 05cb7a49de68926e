"""The gate before the parser: drops what a banned or too busy stranger sends, at the cost of a look-up.

Whoever is known (a phone whose registration holds, a trunk) passes always, so that a flood from its neighbour, or from
behind the same NAT, does not cut its calls off.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from pbx.security.bans import Ban, BanLimits, BanList
from pbx.security.failures import FailureCounter, FailureLimits, Penalty
from pbx.security.rates import RateLimiter
from pbx.security.scanners import Scanners, Tries
from pbx.security.sources import Network, contains, source_of

__all__ = ["EdgeGuard", "EdgeLimits", "NetworkRule"]

_HOSTS = FailureLimits(free=20, ban_after=100, forgive_every=5.0)
_USERS = FailureLimits()
_ACCOUNTS = FailureLimits(free=50, ban_after=10**9, forgive_every=5.0)
_MOST_PROFILES = 50_000
_LONGEST_NAME = 64


class Way(Hashable, Protocol):
    """What a message came by, as far as it matters here (`pbx.sip.stack.Flow`)."""

    @property
    def transport(self) -> str:
        """``udp``, ``tcp`` …"""

    @property
    def local(self) -> tuple[str, int]:
        """Our end."""


WayT = TypeVar("WayT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class NetworkRule:
    """What holds for strangers from a network in place of what holds for all; None for that."""

    network: Network
    rate: float | None = None
    burst: float | None = None
    ban: bool = True
    """False: nobody there is ever banned, nor taken for a scanner."""


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """What a stranger at one address may do. Rates are messages a second; a rate of 0 is no limit."""

    rate: float = 100.0
    burst: float = 1000.0
    hosts: FailureLimits = _HOSTS
    """Failures of all users at one address: many phones may stand behind it."""
    users: FailureLimits = _USERS
    """Failures of one user name at one address."""
    accounts: FailureLimits = _ACCOUNTS
    """Failures of one user name wherever they come from: guesses from a thousand addresses are answered late. No ban
    follows, or anybody could shut a user out."""
    bans: BanLimits = field(default_factory=BanLimits)
    names: int = 0
    """Names that an address may try without proving one to be its own; 0: any number."""
    numbers: int = 0
    """Numbers that it may call without proving who it is; 0: any number."""
    scanners: Scanners | None = None
    """Which tools are recognised; None: none."""
    networks: tuple[NetworkRule, ...] = ()
    """Exceptions; the narrowest network that an address is in counts."""
    blocked: tuple[Network, ...] = ()
    """Whose messages are dropped, known or not."""
    listeners: Mapping[tuple[str, int], tuple[Network, ...]] = field(default_factory=dict)
    """The only networks that may reach a listener, by transport and port; one that is not there is open to all."""


_DEFAULTS = EdgeLimits()


@dataclass(slots=True)
class _Profile:
    """What is known of one host's address, worked out once."""

    source: str
    blocked: bool
    may_be_banned: bool
    rates: RateLimiter[str] | None
    refused_by: dict[tuple[str, int], bool]


def _nobody() -> float:
    return 0.0


class EdgeGuard(Generic[WayT]):
    """What is known of strangers' behaviour. `known(way)` says whether a way (a flow) is one of ours.

    Failures are told by whoever finds them: a wrong password, a message that is none. What a datagram alone says of its
    source bans that source for the shortest time, however often: anybody may write any source into it.
    """

    def __init__(
        self, known: Callable[[WayT], bool], limits: EdgeLimits = _DEFAULTS, bans: BanList | None = None
    ) -> None:
        """Without `bans`, a list that lasts as long as this object does, on the clock of whoever tells failures."""
        self._known = known
        self._now = 0.0
        self.bans = bans if bans is not None else BanList(limits.bans, lambda: self._now)
        self._own_clock = bans is None
        self.dropped = {"banned": 0, "rate": 0, "scanner": 0, "blocked": 0}
        """Messages dropped before they were parsed, by reason."""
        self.connections_refused = 0
        self.reconfigure(limits)

    def reconfigure(self, limits: EdgeLimits) -> None:
        """Let these limits hold from now on. What was counted is forgotten, who is banned stays so."""
        self._limits = limits
        self.bans.limits = limits.bans
        self._rates = _limiter(limits.rate, limits.burst)
        self._rules = [
            (
                rule,
                _limiter(
                    limits.rate if rule.rate is None else rule.rate, limits.burst if rule.burst is None else rule.burst
                ),
            )
            for rule in sorted(limits.networks, key=lambda rule: -rule.network.prefixlen)
        ]
        self._scanners = limits.scanners
        self._hosts: FailureCounter[str] = FailureCounter(limits.hosts)
        self._users: FailureCounter[tuple[str, str]] = FailureCounter(limits.users)
        self._accounts: FailureCounter[str] = FailureCounter(limits.accounts)
        self._names, self._numbers = Tries(limits.names), Tries(limits.numbers)
        self._profiles: dict[str, _Profile] = {}

    @property
    def dropped_banned(self) -> int:
        """Messages of banned sources that were dropped."""
        return self.dropped["banned"]

    @property
    def dropped_rate(self) -> int:
        """Messages dropped because their source sent too many."""
        return self.dropped["rate"]

    # -- what is read at all

    def admits(self, way: WayT, host: str, now: float, data: bytes = b"") -> bool:
        """Return whether a message that came from `host` over `way` is to be read at all; counts it if not."""
        limits = self._limits
        if limits.blocked or limits.listeners:
            profile = self._profile(host)
            if profile.blocked or (limits.listeners and self._shut(way, host, profile)):
                self.dropped["blocked"] += 1
                return False
        if self._known(way):
            return True
        if self._own_clock:
            self._now = now
        profile = self._profile(host)
        source = profile.source
        if self.bans.banned(source):
            self.dropped["banned"] += 1
            return False
        if profile.rates is not None and not profile.rates.allows(source, now):
            self.dropped["rate"] += 1
            return False
        if self._scanners is not None and data and profile.may_be_banned:
            name = self._scanners.name(data)
            if name:
                self.dropped["scanner"] += 1
                self._ban(profile, f"scanner: {name}", _is_proven(way))
                return False
        return True

    def refuses(self, host: str) -> bool:
        """Return whether a connection from `host` is not even to be accepted."""
        profile = self._profile(host)
        if profile.blocked or self.bans.banned(profile.source):
            self.connections_refused += 1
            return True
        return False

    # -- what is told of strangers

    def user_banned(self, way: WayT, host: str, user: str, now: float) -> bool:
        """Return whether this user name at this address has failed too often, and it is not one of ours that says
        it."""
        return self._users.banned((self._profile(host).source, _cut(user)), now) and not self._known(way)

    def failed(self, host: str, user: str, now: float) -> Penalty:
        """Count a failure to prove to be `user`, and return what it costs."""
        profile = self._profile(host)
        of_host = self._count(profile, "passwords", now)
        of_user = self._users.failed((profile.source, _cut(user)), now)
        of_account = self._accounts.failed(_cut(user), now)
        return Penalty(max(of_host.delay, of_user.delay, of_account.delay), of_host.banned or of_user.banned)

    def persisted(self, host: str, now: float) -> None:
        """Count an attempt of a user who is banned at this address: whoever goes on so is banned altogether."""
        self._count(self._profile(host), "passwords", now)

    def offended(self, way: WayT, host: str, now: float) -> None:
        """Count bytes that are no message."""
        self._count(self._profile(host), "garbage", now, _is_proven(way))

    def tried(self, way: WayT, host: str, name: str, now: float, number: str = "") -> None:
        """Take that a stranger asked in the `name` of somebody, or for a `number`, and has proven nothing yet."""
        if self._known(way):
            return
        profile = self._profile(host)
        if self._own_clock:
            self._now = now
        if not profile.may_be_banned or self.bans.banned(profile.source):
            return
        if name and self._names.tried(profile.source, name, now):
            self._ban(profile, "names: tried too many", _is_proven(way))
        elif number and self._numbers.tried(profile.source, number, now):
            self._ban(profile, "numbers: called too many without proving who it is", _is_proven(way))

    def succeeded(self, host: str, user: str, name: str = "", number: str = "") -> None:
        """Forget a user's failures, now that it has proven itself. Those of its neighbours count on."""
        source = self._profile(host).source
        self._users.succeeded((source, _cut(user)))
        for word in {user, name}:
            self._names.proved(source, word)
        self._numbers.proved(source, number)

    # -- operators

    def ban(self, host: str, reason: str, seconds: float | None = None) -> Ban:
        """Ban an address because somebody says so."""
        return self.bans.ban(source_of(host), reason, seconds)

    def lift(self, host: str) -> bool:
        """Let an address go and forget its failures; False if it was not banned."""
        source = source_of(host)
        self._hosts.succeeded(source)
        self._names.forget(source)
        self._numbers.forget(source)
        return self.bans.lift(source)

    # -- inside

    def _count(self, profile: _Profile, kind: str, now: float, proven: bool = True) -> Penalty:
        if self._own_clock:
            self._now = now
        penalty = self._hosts.failed(profile.source, now)
        if not penalty.banned:
            return penalty
        if not profile.may_be_banned:
            return Penalty(self._limits.hosts.longest_delay)
        if not self.bans.banned(profile.source):
            # A ban forgives nothing: the next failure after it bans again, for longer.
            self._ban(profile, f"{kind}: too many failures", proven)
        return penalty

    def _ban(self, profile: _Profile, reason: str, proven: bool) -> None:
        """Ban a source. Only what it has `proven` to come from makes its next ban longer."""
        self._names.forget(profile.source)
        self._numbers.forget(profile.source)
        if proven:
            self.bans.ban(profile.source, reason)
        else:
            self.bans.ban(profile.source, reason, self._limits.bans.first, counts=False)

    def _profile(self, host: str) -> _Profile:
        profile = self._profiles.get(host)
        if profile is not None:
            return profile
        if len(self._profiles) >= _MOST_PROFILES:
            self._profiles.clear()
        rates, may_be_banned = self._rates, True
        for rule, limiter in self._rules:
            if contains((rule.network,), host):
                rates, may_be_banned = limiter, rule.ban
                break
        blocked = contains(self._limits.blocked, host)
        profile = self._profiles[host] = _Profile(source_of(host), blocked, may_be_banned, rates, {})
        return profile

    def _shut(self, way: WayT, host: str, profile: _Profile) -> bool:
        flow: Way = way  # type: ignore[assignment] # listeners are configured only where ways are flows
        key = (flow.transport, flow.local[1])
        refused = profile.refused_by.get(key)
        if refused is None:
            allowed = self._limits.listeners.get(key)
            refused = profile.refused_by[key] = allowed is not None and not contains(allowed, host)
        return refused


def _is_proven(way: object) -> bool:
    """Return whether whoever sends by a way is at its far end: a datagram may say any source (RFC 6056 §1), while a
    connection needs answers."""
    return getattr(way, "transport", "udp") != "udp"


def _cut(user: str) -> str:
    """Return as much of a user name as is remembered: tens of thousands may be, and each may be 64 KiB."""
    return user[:_LONGEST_NAME]


def _limiter(rate: float, burst: float) -> RateLimiter[str] | None:
    return RateLimiter(rate, burst) if rate else None
