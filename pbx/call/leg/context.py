"""What every leg needs from the rest of the server, and what it is told to do by policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING

from pbx.call.dialogs import DialogTable
from pbx.call.leg.profile import DEFAULT, Profile
from pbx.values import dataclass

if TYPE_CHECKING:
    from pbx.call.commands import Voucher
    from pbx.ids import Ids
    from pbx.sip.digest import Credential
    from pbx.sip.stack import Stack

__all__ = ["LegContext", "LegSettings", "ignore_count", "no_credentials"]


@dataclass(frozen=True, slots=True)
class LegSettings:
    """How legs to one kind of peer behave; made once a trunk or kind of phone and shared. Times are seconds."""

    product: str = ""
    """The User-Agent and Server header; empty sends none."""
    domain: str = ""
    """The host of our From, and of To in a dialled INVITE; empty: the host of our Contact, and that of the
    Request-URI."""
    keep_flow: bool = False
    """Send requests of an inbound leg's dialog over the flow that its peer last used, whatever its Contact says: for
    phones behind NAT.

    Dialogs of an outbound leg that was dialled over a flow always do.
    """
    reliable_provisionals: bool = True
    """Offer 100rel (RFC 3262)."""
    session_timers: bool = True
    """Know session timers (RFC 4028) at all."""
    session_expires: int = 1800
    """The session interval we ask for, and the longest we grant (RFC 4028); 0 turns our own asking off."""
    min_se: int = 90
    """The shortest session interval we grant; never below 90 (RFC 4028 §5)."""
    replaces: bool = False
    """Know Replaces (RFC 3891): what is to be replaced is looked for before there is a leg."""
    profile: Profile = DEFAULT
    """What the peer wants otherwise than usual."""
    offer_timeout: float = 16.0
    """How long a peer's UPDATE or PRACK waits for AcceptOffer before it is refused (504), so that its client
    transaction lives."""
    t1: float = 0.5
    t2: float = 4.0


def no_credentials(name: str, realm: str) -> Credential | None:
    """Know nobody's password."""
    return None


def no_signature(originator: str, destination: str, voucher: Voucher) -> tuple[tuple[str, str], ...]:
    """Sign nothing."""
    return ()


def ignore_count(name: str) -> None:
    """Count nothing."""


@dataclass(slots=True)
class LegContext:
    """What all legs of the process share. `count` counts by a stable name what was dropped or odd."""

    stack: Stack
    ids: Ids
    dialogs: DialogTable = field(default_factory=DialogTable)
    settings: LegSettings = field(default_factory=LegSettings)
    credentials: Callable[[str, str], Credential | None] = no_credentials
    """What answers a challenge: by the name that Dial gave, and the realm that challenges."""
    count: Callable[[str], None] = ignore_count
    sign: Callable[[str, str, Voucher], tuple[tuple[str, str], ...]] = no_signature
    """Returns the headers that sign a call from one number to another, both as they are sent (RFC 8224 §4.1)."""
