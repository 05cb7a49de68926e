"""The section ``security:``. The docstrings are the source of ``docs/configuration.md``."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pbx.config.kinds import Duration, Kind, Named, Networks, Positive, Section, Words, as_list

__all__ = ["AddressFailures", "Budget", "NetworkRule", "Security", "UserFailures"]


def _budget_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text, re.ASCII):
        raise ValueError(f"`{text}` cannot be the name of a budget; use letters, digits and _ . -")
    return text


BudgetName = Annotated[str, AfterValidator(_budget_name)]
Rate = Annotated[float, Field(ge=0, le=1e6), Kind("number", "100")]


class AddressFailures(Section):
    """Failures of all users at one address, behind which there may be many phones, and what is no SIP message."""

    free: int = Field(default=20, ge=0)
    """Failures without consequence: somebody mistypes. Each one after that waits longer for its answer."""
    ban_after: int = Field(default=100, ge=1)
    """Failures that end in a ban."""
    forgive_every: Positive = 5.0
    """One failure is forgotten each time this has passed."""
    longest_delay: Duration = 8.0
    """The longest that an answer is held back."""


class UserFailures(Section):
    """Failures of one user name at one address."""

    free: int = Field(default=3, ge=0)
    """Failures without consequence: somebody mistypes. Each one after that waits longer for its answer."""
    ban_after: int = Field(default=20, ge=1)
    """Failures that end in a ban."""
    forgive_every: Positive = 60.0
    """One failure is forgotten each time this has passed."""
    longest_delay: Duration = 8.0
    """The longest that an answer is held back."""


class NetworkRule(Section):
    """What holds for strangers from some networks in place of what holds for all."""

    networks: Networks
    """Which ones; the narrowest that an address is in counts."""
    rate: Rate | None = None
    """Messages a second; 0 for any number; the `rate` of `security` if left out."""
    burst: Rate | None = None
    """Messages at once; the `burst` of `security` if left out."""
    ban: bool = True
    """`false`: nobody there is ever banned by the server itself, nor taken for a scanner."""


class Budget(Section):
    """What calls of one kind may cost. It is spent by each caller, or over each trunk, alone."""

    callers: Annotated[Words, Kind("list of sources", "[extension, trunk/customer]")] = ()
    """Whose calls spend it: `extension` or `trunk` for each one of them, or names such as `extension/101`."""
    over: Annotated[Words, Kind("list of trunks", "[trunk/carrier]")] = ()
    """In place of `callers`: calls over these trunks spend it, whoever makes them; `trunk` for each one."""
    destinations: Annotated[Words, Kind("list of destinations", '[international, "+4490"]')] = ("any",)
    """Calls where: `any`, `international`, `premium` (see the dialplan's `numbering`), or beginnings of numbers as the
    trunk gets them."""
    per: Literal["hour", "day"] = "day"
    """When it begins anew: at each full hour, or at midnight, on the clock of the machine."""
    calls: int | None = Field(default=None, ge=0)
    """Calls that may be made in that time; further ones are refused. `null` for no limit."""
    minutes: Annotated[float | None, Field(ge=0, le=1e7), Kind("number", "60")] = None
    """Minutes that may be talked in that time; then running calls end, and further ones are refused. `null` for no
    limit."""


class Security(Section):
    """What keeps strangers out. Trunks and phones whose registration holds are known, and none of the limits here
    concerns them; all but `block` and the `allow_from` of a listener."""

    rate: Rate = 100.0
    """Messages a second that a stranger's address (of IPv6 its /64) may send; more are dropped unread. 0 for any
    number."""
    burst: Rate = 1000.0
    """Messages that it may send at once."""
    address: AddressFailures = AddressFailures()
    user: UserFailures = UserFailures()
    names: int = Field(default=30, ge=0)
    """User names that an address may try without proving that one is its own, before it is banned; 0 for any number."""
    numbers: int = Field(default=20, ge=0)
    """Numbers that an address may call without proving who it is, before it is banned; 0 for any number."""
    scanners: Literal["drop", "ignore"] = "drop"
    """`drop`: the tools of attackers are recognised by what they call themselves and by what they write into From, get
    no answer, and their address is banned. `ignore`: they are not looked for."""
    scanner_agents: Words = ()
    """Further beginnings of User-Agent that only attackers have."""
    ban: Positive = 300.0
    """How long the first ban of an address lasts; each one after it lasts twice as long."""
    longest_ban: Positive = 86_400.0
    """The longest that a ban lasts. So long after its end it still makes the next one longer."""
    firewall: Literal["off", "nftables"] = "off"
    """`nftables`: who is banned is dropped by the kernel, too, at our SIP ports, in the table `firewall_table`; needs
    `nft` and CAP_NET_ADMIN. An address with a trunk or a registered phone is left to the server, which tells who is
    who."""
    firewall_table: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,30}$")] = "tandem"
    """The table of nftables (family `inet`), which is made at start and removed at the end."""
    block: Networks = ()
    """Networks whose messages and connections are dropped, whoever it is."""
    budgets: Named[BudgetName, Budget] = Field(default_factory=dict, validate_default=True)
    """What calls may cost, by a name of your own. Emergency numbers spend no budget, and no budget stops them."""
    networks: Annotated[
        tuple[NetworkRule, ...], BeforeValidator(as_list), Kind("list of networks with other limits", "[]")
    ] = ()
    """Exceptions for some networks."""
