"""What is asked of a leg.

A leg is one SIP dialog (or the attempt at one) between Tandem and a phone, trunk or browser. Its id is chosen by
whoever creates it and never used twice. A command that no longer fits (an Answer after the caller has cancelled) is
dropped and counted by the leg, never raised: the two sides of a call race by nature.
"""

from __future__ import annotations

from pbx.cause import EndCause
from pbx.sdp.model import SessionDescription
from pbx.sip.stack import Destination
from pbx.values import dataclass

__all__ = [
    "AcceptOffer",
    "AcceptRefer",
    "Answer",
    "Command",
    "DeclineOffer",
    "DeclineRefer",
    "Dial",
    "HangUp",
    "Inform",
    "Offer",
    "Party",
    "Progress",
    "Redirection",
    "Refer",
    "Reject",
    "ReportRefer",
    "Ring",
    "Voucher",
]


@dataclass(frozen=True, slots=True)
class Party:
    """Who somebody is, as configuration says: `number` is what can be dialled, `name` what is shown."""

    number: str
    name: str = ""
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Redirection:
    """One who sent a call on to somebody else, and why: a reason of RFC 5806, such as ``user-busy``."""

    party: Party
    reason: str = "unknown"


@dataclass(frozen=True, slots=True)
class Voucher:
    """How far we vouch for who calls, to a peer whose calls are signed (RFC 8588)."""

    attestation: str
    """``A``, ``B`` or ``C``; see `pbx.sip.ext.passport.ATTESTATIONS`."""
    source: str
    """Where the call began: ``extension/101``, ``trunk/customer``."""
    received: str = ""
    """An Identity header that the call came with and that holds, passed on if the numbers are still those signed."""
    originator: str = ""
    """Who calls, as `received` says."""
    destinations: tuple[str, ...] = ()
    """Whom, as `received` says."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Open an outbound leg. Answered by Ringing, Progressing, Answered or Rejected.

    `offer` None sends an INVITE without a session description, whose 200 then brings the offer (a late offer).
    `credentials` names whose password answers a challenge; empty for none.
    """

    leg: str
    destination: Destination
    caller: Party
    called: Party
    offer: SessionDescription | None
    max_forwards: int = 70
    credentials: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers that the other leg's policy lets through."""
    redirections: tuple[Redirection, ...] = ()
    """Who has sent the call on before, the last one first; told to peers that want to know."""
    voucher: Voucher | None = None
    """None: the call is not signed."""
    verstat: str = ""
    """What the peer is told that we found of the caller's signature (3GPP TS 24.229 §7.2A.20); empty for nothing."""
    gives_up_silent: bool = False
    """End the leg when nobody has said anything within `destination.patience`; else SIP's own timeout does."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Tell the caller that a phone rings (180)."""

    leg: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Give the caller early media (183 with a session description)."""

    leg: str
    sdp: SessionDescription
    ringing: bool = False
    """180 rather than 183: the peer rings and sends audio."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer an inbound leg. `sdp` is the answer, or the offer if the INVITE had none (OfferAnswered then follows)."""

    leg: str
    sdp: SessionDescription


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse an inbound leg that has not been answered."""

    leg: str
    cause: EndCause
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HangUp:
    """End a leg in whatever state it is: BYE, CANCEL, or a final response. HungUp or Rejected follows."""

    leg: str
    cause: EndCause


@dataclass(frozen=True, slots=True)
class Offer:
    """Offer a changed session in mid-call (re-INVITE or UPDATE); None asks the peer for its offer.

    Answered by OfferAnswered or OfferDeclined; the leg deals with glare (491) itself.
    """

    leg: str
    sdp: SessionDescription | None


@dataclass(frozen=True, slots=True)
class AcceptOffer:
    """Answer the peer's offer: of an Offered event, or of an Answered or OfferAnswered one that carried an offer.

    After an Offered event without a description, `sdp` is our offer, and OfferAnswered brings the peer's answer.
    """

    leg: str
    sdp: SessionDescription


@dataclass(frozen=True, slots=True)
class DeclineOffer:
    """Refuse the peer's offer of an Offered event; the session goes on as it was (RFC 3261 §14.2)."""

    leg: str
    status: int = 488


@dataclass(frozen=True, slots=True)
class Inform:
    """Send a body inside the dialog: by INFO, or by MESSAGE."""

    leg: str
    method: str
    content_type: str
    body: bytes
    token: int = 0
    """Echoed in the Delivered event."""


@dataclass(frozen=True, slots=True)
class Refer:
    """Ask the peer to call somebody else (REFER); answered by ReferProgress, whose last one has a final status."""

    leg: str
    uri: str
    """Whom, as Refer-To says it."""


@dataclass(frozen=True, slots=True)
class AcceptRefer:
    """Agree to what a ReferRequested event asks (202); ReportRefer says later how it went."""

    leg: str


@dataclass(frozen=True, slots=True)
class DeclineRefer:
    """Refuse what a ReferRequested event asks."""

    leg: str
    status: int = 603


@dataclass(frozen=True, slots=True)
class ReportRefer:
    """Tell who asked for it how a transfer stands, as a SIP status; one of 200 and above is the last (RFC 3515
    §2.4.5)."""

    leg: str
    status: int
    then: EndCause | None = None
    """End the leg for this cause once its peer has heard it, unless it leaves by itself."""


Command = (
    Dial
    | Ring
    | Progress
    | Answer
    | Reject
    | HangUp
    | Offer
    | AcceptOffer
    | DeclineOffer
    | Inform
    | Refer
    | AcceptRefer
    | DeclineRefer
    | ReportRefer
)
