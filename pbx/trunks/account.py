"""What an outbound registration is told, and what it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from pbx.sip.digest import Credential
from pbx.sip.stack import Flow
from pbx.sip.uri import Uri
from pbx.trunks.outer_address import Address
from pbx.trunks.registration_table import State

__all__ = ["Account", "Credentials", "Owner", "RegistrationSettings", "Status", "Trouble"]


class Trouble(Enum):
    """Why there is no binding, or no new one."""

    NONE = ""
    NO_CREDENTIALS = "no-credentials"
    """The registrar asks who we are in a realm or by an algorithm that we have nothing for."""
    CREDENTIALS = "credentials"
    """It does not accept our user name and password."""
    REFUSED = "refused"
    SERVER = "server"
    """It cannot now."""
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    """No address, or no connection."""


@dataclass(frozen=True, slots=True)
class Account:
    """What is registered, and where. Two accounts that are equal need not be told apart at a reload."""

    name: str
    """Whom the owner knows it by; names the credentials too."""
    aor: Uri
    """The address-of-record: To and From."""
    registrar: Uri
    """The Request-URI: a domain without a user part (RFC 3261 §10.2)."""
    route: tuple[str, ...] = ()
    """The outbound proxy, as a Route value."""
    next_hop: Uri | None = None
    """Resolved in place of the route or the registrar."""
    contact_user: str = ""
    """The user part of our Contact: whom the registrar's calls are for."""
    expires: int = 3600
    """Seconds asked for."""
    instance: str = ""
    """A URN that outlives restarts, ``urn:uuid:…``: asks for outbound (RFC 5626). Empty does not."""


@dataclass(frozen=True, slots=True)
class RegistrationSettings:
    """What all registrations share. Times are seconds."""

    product: str = ""
    """The User-Agent header; empty sends none."""
    first_retry: float = 10.0
    """The longest wait after the first failure; it doubles with each further one (RFC 5626 §4.5)."""
    longest_retry: float = 300.0
    refused_retry: float = 600.0
    """The longest wait after a refusal: wrong credentials do not become right, and who insists gets banned."""
    longest_retry_after: float = 3600.0
    """No Retry-After is believed longer."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a registration stands. Made anew at each change."""

    account: str
    state: State = State.IDLE
    contact: Uri | None = None
    """What is registered while it is bound."""
    interval: int = 0
    """Seconds that the registrar granted last."""
    until: float = 0.0
    """When the binding ends, on the stack's clock."""
    flow: Flow | None = None
    """The way to the registrar, as last heard on: keep-alives go there, and calls come from there."""
    outer: Address | None = None
    """Where the registrar saw the binding's registration come from, over UDP and if it says so."""
    flow_timer: int = 0
    """How often the registrar wants a keep-alive, in seconds (RFC 5626 §5.4); 0: it does not say."""
    service_route: tuple[str, ...] = ()
    """The Route of our other requests (RFC 3608)."""
    trouble: Trouble = Trouble.NONE
    status: int = 0
    """The response that told the trouble; 0 if there was none."""
    detail: str = ""
    """What it said, or what the network said."""
    failures: int = 0
    """In a row."""
    retry_at: float = 0.0
    """When it is tried again, on the stack's clock; 0 if it is not."""


class Owner(Protocol):
    """Who wants to know."""

    def registration_changed(self, status: Status) -> None:
        """Take that a registration stands elsewhere than before. It may well be given its next command."""


Credentials = Callable[[str, str], Credential | None]
"""Account name and realm to what answers a challenge; None if there is nothing."""
