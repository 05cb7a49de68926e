"""The trunks that we register with: kept registered from start to drain, at once when the network changes, and known by
what was registered."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import structlog

from pbx.app import translate
from pbx.config.schema import Settings
from pbx.errors import EnvironmentFault
from pbx.ids import Ids
from pbx.security.rates import RateLimiter
from pbx.sip.digest import Credential
from pbx.sip.stack import Flow, Stack, Timer
from pbx.trunks.account import RegistrationSettings, Status, Trouble
from pbx.trunks.outer_address import Address
from pbx.trunks.registration_table import State
from pbx.trunks.registrations import Registrations

__all__ = ["Lines", "ensure_contact_key"]

_log = structlog.get_logger("pbx")

_LOOK_EVERY: Final = 5.0
"""Seconds between two looks whether our own address towards a registrar is another one."""
_CHASE: Final = 1 / 30
_CHASES_AT_ONCE: Final = 3
"""Renewals a second of a registration whose trunk sees us elsewhere, and how many may come at once: a router that maps
each request anew would have us renew without end."""
_KEY_FILE: Final = "contact-key"
_KEY_OCTETS: Final = 32
_USER_OCTETS: Final = 12


class Network(Protocol):
    """What is needed of `pbx.net.network.RealNetwork`."""

    def refreshed_towards(self, transport: str, host: str) -> str:
        """Return our own address towards a numeric host as it is now, empty if there is no way."""

    def close(self, flow: Flow, detail: str) -> None:
        """Close a connection; harmless for UDP."""


def ensure_contact_key(directory: Path) -> bytes:
    """Return the key that the user parts of our Contacts are made with, making one at the first start.

    It outlives restarts, so that a registrar that still has the Contact of before reaches us by it. Raises
    EnvironmentFault.
    """
    path = directory / _KEY_FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = path.read_bytes()
            if len(key) == _KEY_OCTETS:
                return key
            raise EnvironmentFault(f"{path} is broken; remove it, and a new key is made") from None
        key = os.urandom(_KEY_OCTETS)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
    except OSError as error:
        raise EnvironmentFault(f"the key {path} cannot be read or made: {error.strerror}") from error
    return key


class Lines:
    """Implements `pbx.trunks.account.Owner`. `credentials` answers challenges by ``trunk/NAME`` and realm."""

    def __init__(
        self,
        stack: Stack,
        ids: Ids,
        network: Network,
        keep_alive: Callable[[Flow, float], Callable[[], None]],
        credentials: Callable[[str, str], Credential | None],
        key: bytes,
    ) -> None:
        self._stack = stack
        self._network = network
        self._keep_alive = keep_alive
        self._key = key
        self._interval = 0.0
        self._kept: dict[str, tuple[Flow, Callable[[], None]]] = {}
        self._flows: dict[tuple[str, tuple[str, int]], tuple[str, ...]] = {}
        self._addresses: dict[str, tuple[str, str, str]] = {}
        """By trunk: transport and host of its registrar, and our own address towards it."""
        self._look: Timer | None = None
        self._told: dict[str, tuple[State, Trouble]] = {}
        self._chases: RateLimiter[str] = RateLimiter(_CHASE, _CHASES_AT_ONCE)
        self.registrations = Registrations(stack, ids, lambda name, realm: credentials(f"trunk/{name}", realm), self)

    def contact_user(self, trunk: str) -> str:
        """Return the user part of our Contact for a trunk: always the same, and nobody can guess it."""
        return hmac.new(self._key, trunk.encode(), hashlib.sha256).hexdigest()[: 2 * _USER_OCTETS]

    # -- life

    def replace(self, settings: Settings) -> None:
        """Keep the trunks registered that `settings` say, and no others."""
        self._interval = settings.sip.keep_alive or 0.0
        self.registrations.settings = RegistrationSettings(settings.sip.user_agent)
        self.registrations.replace(translate.accounts(settings, self.contact_user))
        if len(self.registrations) and self._look is None:
            self._look = self._stack.later(_LOOK_EVERY, self._look_around)

    def leave(self, done: Callable[[], None]) -> None:
        """Remove every registration; call `done` once all registrars have answered, or will not."""
        self._stop_looking()
        self.registrations.stop(done)

    def stop(self) -> None:
        """End at once; what is registered stays so until it expires."""
        self._stop_looking()
        self.registrations.abandon()
        for _, stop in self._kept.values():
            stop()
        self._kept.clear()

    # -- what happens on the network

    def flow_closed(self, flow: Flow) -> None:
        """Take that a connection is gone."""
        self.registrations.flow_closed(flow)

    def unreachable(self, remote: tuple[str, int]) -> None:
        """Take that what is sent to an address does not get there: what was registered there is registered anew, at
        whatever DNS says now."""
        for name in self._flows.get(("udp", remote), ()):
            status = self.registrations.get(name)
            if status is not None and status.state is State.REGISTERED:
                self.registrations.renew(name)

    def health_changed(self, trunk: str, *, up: bool) -> None:
        """Take that a trunk answers OPTIONS no more, or again.

        What has become silent may have been a router between us, which knows nothing of our registration any more, or
        the registrar, which has forgotten it: so it is renewed. One that could not be renewed is as soon as somebody is
        there again; not one that was refused.
        """
        status = self.registrations.get(trunk)
        if status is None:
            return
        lost = status.trouble in (Trouble.TIMEOUT, Trouble.UNREACHABLE, Trouble.SERVER)
        if status.state is State.REGISTERED if not up else lost and status.state in (State.OVERDUE, State.WAITING):
            self.registrations.renew(trunk)

    def seen(self, flow: Flow, outer: Address) -> None:
        """Take where a peer sees us come from by a way: what was registered over it from elsewhere is renewed.

        A router that was started anew, or has forgotten the way for want of traffic, has mapped us anew: calls would go
        to where we were.
        """
        now = self._stack.now()
        for name in self._flows.get((flow.transport, flow.remote), ()):
            status = self.registrations.get(name)
            if status is None or status.state is not State.REGISTERED or status.outer in (None, outer):
                continue
            if status.flow != flow or not self._chases.allows(name, now):
                continue
            _log.info("outer-address-changed", trunk=name, address="{}:{}".format(*outer))
            self.registrations.renew(name)

    def _look_around(self) -> None:
        self._look = self._stack.later(_LOOK_EVERY, self._look_around) if len(self.registrations) else None
        known, self._addresses = self._addresses, {}
        for status in self.registrations:
            name, flow = status.account, status.flow
            before = known.get(name)
            # A registrar that we have lost is looked for by the way of before: the network may come back.
            transport, host = (
                (flow.transport, flow.remote[0]) if flow is not None else before[:2] if before else ("", "")
            )
            if not host:
                continue
            address = self._network.refreshed_towards(transport, host)
            self._addresses[name] = transport, host, address or (before[2] if before else "")
            if before is None or not address or before[2] in ("", address):
                continue
            _log.info("address-changed", trunk=name, address=address)
            self.registrations.address_changed(name)
            if flow is not None:
                self._network.close(flow, "our own address has changed")

    def _stop_looking(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    # -- Owner

    def registration_changed(self, status: Status) -> None:
        """Keep the way to the registrar open, and tell of what is good or bad news."""
        name = status.account
        bound = status.state.bound
        self._keep(name, status.flow if bound else None, status.flow_timer)
        if status.state is State.REGISTERED and status.flow is not None and status.outer is not None:
            # Others that are registered over the same way hear of it.
            self.seen(status.flow, status.outer)
        told = State.REGISTERED if bound and not status.failures else State.WAITING if status.failures else status.state
        news = told, status.trouble
        if news == self._told.get(name):
            return
        self._told[name] = news
        if status.state is State.REGISTERED:
            _log.info("trunk-registered", trunk=name, seconds=status.interval)
        elif status.failures and status.trouble is not Trouble.NONE:
            _log.warning(
                "trunk-unregistered" if not bound else "trunk-not-renewed",
                trunk=name,
                trouble=status.trouble.value,
                status=status.status,
                detail=status.detail,
                again_in=round(status.retry_at - self._stack.now(), 1),
            )
        elif status.state is State.ENDED:
            del self._told[name]
            _log.info("trunk-left", trunk=name)

    def _keep(self, name: str, flow: Flow | None, flow_timer: int) -> None:
        kept = self._kept.get(name)
        if kept is not None and kept[0] == flow:
            return
        if kept is not None:
            del self._kept[name]
            kept[1]()
        # RFC 5626 §4.4.1: between 80 and 100 % of what the registrar asks for.
        interval = flow_timer * 0.9 or self._interval
        if flow is not None:
            self._kept[name] = flow, self._keep_alive(flow, interval) if interval else _nothing
        flows: dict[tuple[str, tuple[str, int]], tuple[str, ...]] = {}
        for each, (way, _) in self._kept.items():
            key = way.transport, way.remote
            flows[key] = (*flows.get(key, ()), each)
        self._flows = flows

    # -- how things stand

    def over(self, flow: Flow) -> tuple[str, ...]:
        """Return the names of the trunks that we are registered with over the way that a request came by."""
        return self._flows.get((flow.transport, flow.remote), ())

    def of(self, trunk: str) -> Status | None:
        """Return how the registration with a trunk stands; None if there is none."""
        return self.registrations.get(trunk)

    def is_down(self, trunk: str) -> bool:
        """Return whether we should be registered with a trunk, and cannot be."""
        status = self.registrations.get(trunk)
        return status is not None and not status.state.bound and status.failures > 0


def _nothing() -> None:
    """Stop nothing."""
