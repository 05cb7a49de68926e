"""What a leg tells. Every event names its leg; an event after HungUp or Rejected never comes."""

from __future__ import annotations

from pbx.call.commands import Party, Redirection
from pbx.cause import EndCause
from pbx.sdp.model import SessionDescription
from pbx.trunks.verification import UNVERIFIED, Verification
from pbx.values import dataclass

__all__ = [
    "Answered",
    "Delivered",
    "Event",
    "HungUp",
    "Incoming",
    "Informed",
    "OfferAnswered",
    "OfferDeclined",
    "OfferWithdrawn",
    "Offered",
    "Progressing",
    "ReferProgress",
    "ReferRequested",
    "Rejected",
    "Ringing",
]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call comes in, from a source that has proven who it is."""

    leg: str
    source: str
    """``extension/101`` or ``trunk/customer``: from configuration, never from the From header."""
    caller: Party
    called: str
    """The user part of the Request-URI, unescaped."""
    offer: SessionDescription | None
    max_forwards: int | None = None
    """As it came; None if it came without."""
    headers: tuple[tuple[str, str], ...] = ()
    """All headers that a route may match or let through, names in canonical form."""
    sip_call_id: str = ""
    redirections: tuple[Redirection, ...] = ()
    """Who has sent the call on before, the last one first; of a source that is believed."""
    verification: Verification = UNVERIFIED
    """What a signature says of who calls."""


@dataclass(frozen=True, slots=True)
class Ringing:
    """The far end rings (180) and sends no audio of its own."""

    leg: str


@dataclass(frozen=True, slots=True)
class Progressing:
    """The far end sends early media. Comes again, with another description, when a forking proxy downstream reaches
    several phones."""

    leg: str
    sdp: SessionDescription
    ringing: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """The far end answered; `is_offer` if `sdp` is an offer that AcceptOffer must answer (our INVITE had none)."""

    leg: str
    sdp: SessionDescription
    is_offer: bool = False
    passed: tuple[EndCause, ...] = ()
    """Why hosts of the far end that were tried before did not take the call."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An outbound leg failed before it was answered; the leg is gone."""

    leg: str
    cause: EndCause
    status: int = 0
    """The peer's final response; 0 if there was none."""
    redirected_to: tuple[str, ...] = ()
    """Contacts of a 3xx, best first."""
    retry_after: int = 0
    passed: tuple[EndCause, ...] = ()
    """Why hosts of the far end that were tried before `cause` came did not take the call."""


@dataclass(frozen=True, slots=True)
class HungUp:
    """The leg is gone: by BYE, CANCEL, timeout, failure or our own HangUp."""

    leg: str
    cause: EndCause


@dataclass(frozen=True, slots=True)
class Offered:
    """The peer offers a changed session, or with None asks for an offer of ours. Must be answered by AcceptOffer or
    DeclineOffer."""

    leg: str
    sdp: SessionDescription | None


@dataclass(frozen=True, slots=True)
class OfferWithdrawn:
    """The peer took back the offer of an Offered event (CANCEL of a re-INVITE), or it waited too long for its answer
    and was refused. The session goes on as it was; an AcceptOffer that comes now is dropped."""

    leg: str


@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """The peer accepted our Offer; `is_offer` if it is the offer that we had asked for."""

    leg: str
    sdp: SessionDescription
    is_offer: bool = False


@dataclass(frozen=True, slots=True)
class OfferDeclined:
    """The peer refused our Offer; the session goes on as it was."""

    leg: str
    status: int


@dataclass(frozen=True, slots=True)
class Informed:
    """The peer sent a body inside the dialog by INFO or MESSAGE; it has been answered 200 by the leg."""

    leg: str
    method: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of an Inform."""

    leg: str
    token: int
    status: int


@dataclass(frozen=True, slots=True)
class ReferRequested:
    """The peer asks for a transfer (REFER). Must be answered by AcceptRefer or DeclineRefer."""

    leg: str
    uri: str
    """To whom, without the headers that it came with."""
    number: str
    """The number or name that it stands for, unescaped."""
    replaces: tuple[str, str, str] | None = None
    """The dialog that the transfer shall take over: Call-ID, our tag, the tag of its peer (RFC 3891)."""


@dataclass(frozen=True, slots=True)
class ReferProgress:
    """How what our Refer asked for stands, as a SIP status; one of 200 and above is the last."""

    leg: str
    status: int


Event = (
    Incoming
    | Ringing
    | Progressing
    | Answered
    | Rejected
    | HungUp
    | Offered
    | OfferAnswered
    | OfferDeclined
    | OfferWithdrawn
    | Informed
    | Delivered
    | ReferRequested
    | ReferProgress
)
