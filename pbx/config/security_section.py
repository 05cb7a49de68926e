"""The section ``security:``. The docstrings are the source of ``docs/configuration.md``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pbx.config.kinds import Duration, Kind, Networks, Positive, Section, Words, as_list

__all__ = ["AddressFailures", "NetworkRule", "Security", "UserFailures"]

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
    block: Networks = ()
    """Networks whose messages and connections are dropped, whoever it is."""
    networks: Annotated[
        tuple[NetworkRule, ...], BeforeValidator(as_list), Kind("list of networks with other limits", "[]")
    ] = ()
    """Exceptions for some networks."""
