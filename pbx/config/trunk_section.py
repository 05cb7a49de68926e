"""One entry of ``trunks:``. The docstrings are the source of ``docs/configuration.md``."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Literal

from pydantic import Field

from pbx.config.kinds import (
    CodecNames,
    Identities,
    Identity,
    Positive,
    Seconds,
    SecretText,
    Section,
    SipUriText,
)
from pbx.config.limit_kinds import NextOnWords, Rate
from pbx.config.numbers_section import CallerNumbers, Numbers
from pbx.config.processing_section import Processing
from pbx.config.profile_section import HeaderRules, Profile
from pbx.config.registration_section import Match, OptionalRegister
from pbx.config.stir_section import TrunkStir

__all__ = ["Health", "Trunk"]


class Health(Section):
    """Whether a trunk is watched by OPTIONS. One that is down is passed over in a list of targets, unless it is the
    last one."""

    interval: Seconds | None = None
    """How often it is asked; `null` never."""
    timeout: Positive = 5.0
    """How long it may take to reply; longer counts as a miss."""
    down_after: int = Field(default=1, ge=1, le=100)
    """So many misses in a row, and it is down."""
    up_after: int = Field(default=1, ge=1, le=100)
    """So many replies in a row, and it is up again."""


class Trunk(Section):
    """A carrier, another exchange, or whatever else calls come from and go to without registering."""

    address: SipUriText
    """Where calls to it go. A name is resolved by NAPTR, SRV and addresses (RFC 3263)."""
    identify: Identities | None = None
    """Where its calls come from. Left out, the address above, if that is numeric; an empty list for no calls."""
    match: Match = Match()
    registration: OptionalRegister = None
    """Whether, and how, we register with it."""
    domain: str | None = None
    """The host of our own address as it is told it (From); that of `registration` if we register, else our own
    address."""
    outbound_proxy: SipUriText | None = None
    """A proxy that its requests go through, as a full URI, such as `sip:proxy.example.com;transport=tcp;lr`."""
    username: str | None = None
    """The user name that answers its challenges."""
    password: SecretText | None = None
    """The password that answers its challenges."""
    realm: str | None = None
    """The only realm whose challenges are answered; any if left out."""
    caller: Literal["pass", "own", "listed"] = "pass"
    """Whom it is shown as the caller: `pass` shows the caller's own number, `own` always `caller_number`, `listed` the
    caller's own if it is one of `caller_numbers`, and else `caller_number`, whatever a route sets."""
    caller_number: str | None = None
    """The number shown with `own` and `listed`, and with `pass` for a caller who has none."""
    caller_numbers: CallerNumbers = ()
    """The numbers that may be shown with `listed`, as they are known here; with `*` at the end, beginnings."""
    numbers: Numbers = Numbers()
    trust_identity: bool = False
    """Whether who calls is believed when it says so (P-Asserted-Identity, Remote-Party-ID, Privacy, Diversion,
    History-Info), and it is told who an anonymous caller is."""
    profile: Profile = Profile()
    headers: HeaderRules = HeaderRules()
    stir: TrunkStir = TrunkStir()
    transfers: Literal["handle", "pass", "refuse"] = "refuse"
    """What becomes of a transfer that it asks for (REFER): `handle` routes it by the dialplan, with what the trunk may
    dial; `pass` asks the other party to do it; `refuse` declines. One that joins two calls of the trunk is carried
    out unless it is refused."""
    redirects: Literal["follow", "pass"] = "pass"
    """What becomes of a call that it redirects (3xx): `follow` sends it to the number given, if that is at the host of
    a trunk; `pass` takes it for a failure, for the dialplan to go on from. Five of one call are followed."""
    latch: bool | None = None
    """Whether its audio may come from another address than it says; that of `media` if left out."""
    codecs: CodecNames | None = None
    """The codecs let through to and from it, best first; those of `media` if left out."""
    dtmf: Literal["auto", "rfc4733", "info", "inband"] = "auto"
    """How keys (DTMF) come and go: as telephone-events (RFC 4733), by INFO, or as tones in the voice, which takes a
    decoder for each such call. `auto` is telephone-events where they are agreed, else INFO where the peer allows it,
    else tones. The other side gets them its own way."""
    processing: Processing = Processing()
    srtp: Literal["off", "accept", "prefer", "require"] | None = None
    """Encryption of its audio; that of `media` if left out."""
    try_timeout: Positive | None = None
    """How long each of its hosts may say nothing at all of a call before the next host or target is tried. Left out,
    4 s where there is a next one, and SIP's own 32 s for the last."""
    next_on: NextOnWords | None = None
    """Which of its failures go on to the next target of a list: `[5xx, 408, timeout, network]`, `all`, `none`. Left
    out, all but busy, declined, and numbers that do not exist. A `next_on` in the dialplan comes first."""
    verify: bool = True
    """Whether its TLS certificate is checked."""
    max_calls: int | None = Field(default=None, ge=0)
    """Calls to and from it at once; more are refused. `null` for no limit."""
    max_calls_per_second: Rate | None = None
    """Calls to and from it that may begin in a second; `null` for no limit. Emergency calls are stopped by no limit."""
    health: Health = Health()
    paid: bool = True
    """Whether calls to it cost money. `false` for another exchange of the house: who reaches it is then nothing that
    `pbx check` has to prove."""

    @property
    def identified_by(self) -> tuple[Identity, ...]:
        """Where its calls come from: `identify`, or what follows from `address`."""
        if self.identify is not None:
            return self.identify
        host = re.fullmatch(r"sips?:(?:[^@]*@)?(\[[^\]]+\]|[^:;]+).*", self.address)
        try:
            return (Identity(ip_network(ip_address(host[1].strip("[]"))), None),) if host else ()
        except ValueError:
            return ()
