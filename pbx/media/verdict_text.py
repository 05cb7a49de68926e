"""The audio verdict in plain words: a sentence for each finding, and the remedy where there is one."""

from __future__ import annotations

from collections.abc import Callable

from pbx.media.events import Refusal
from pbx.media.policy import is_numeric, is_private
from pbx.media.verdict import Finding, Window

__all__ = ["REMEDIES", "TEXTS", "remedy_of", "text_of"]

_Text = Callable[[Window], str]


def _said(window: Window) -> str:
    return window.facts.said or "an address that is not known"


def _told(window: Window) -> str:
    return window.facts.told or "our address"


def _payload(window: Window) -> str:
    agreed = ", ".join(f"{number} ({name})" for number, name in window.facts.codecs)
    return f"payload type {window.after.payload_type} where {agreed or 'none'} was agreed on"


_REFUSED = {
    Refusal.PORT: "nobody listens there",
    Refusal.HOST: "there is no way to it",
    Refusal.POLICY: "a firewall forbids it",
    Refusal.NOT: "it does not arrive",
}

_FROM: dict[Finding, _Text] = {
    Finding.UNAUTHENTIC: lambda w: (
        f"SRTP arrives from {w.facts.peer}, but the key that was agreed on ({w.facts.suite}) does not open it."
    ),
    Finding.WRONG_PAYLOAD: lambda w: f"{w.facts.peer} sends {_payload(w)}.",
    Finding.OTHER_ADDRESS: lambda w: (
        f"{w.facts.peer} sends from {w.after.stranger} but said {_said(w)}, and is not believed."
    ),
    Finding.LATCHED_WRONG: lambda w: (
        f"{w.after.source} was taken for {w.facts.peer} and sends nothing any more; "
        f"audio comes from {w.after.stranger} now and is not believed."
    ),
    Finding.NOT_RTP: lambda w: f"What arrives from {w.facts.peer} is not RTP.",
    Finding.RTCP_ONLY: lambda w: f"{w.facts.peer} sends reports (RTCP) but no audio.",
    Finding.STUN_ONLY: lambda w: f"{w.facts.peer} sends ICE checks but no audio.",
    Finding.NOTHING: lambda w: f"Nothing arrives from {w.facts.peer} at {_told(w)}.",
    Finding.STOPPED: lambda w: f"Nothing arrives from {w.facts.peer} any more; it did from {w.after.source}.",
    Finding.SECOND_SOURCE: lambda w: (
        f"Two sources send from {w.after.source or _said(w)} at once; only one of them is heard."
    ),
    Finding.SILENT: lambda w: f"Packets arrive from {w.facts.peer}, but they hold digital silence.",
    Finding.CLIPPED: lambda w: f"Audio flows from {w.facts.peer}, but it is cut off at full scale.",
    Finding.FLOWING: lambda w: f"Audio flows from {w.facts.peer}.",
    Finding.HELD: lambda w: f"Nothing need come from {w.facts.peer}: the call is on hold or muted.",
    Finding.QUIET: lambda w: f"{w.facts.peer} is silent and says so (comfort noise).",
}

_TO: dict[Finding, _Text] = {
    Finding.REFUSED: lambda w: (
        f"Audio is sent to {w.after.source or _said(w)} for {w.facts.peer}, and refused by ICMP: "
        f"{_REFUSED[w.after.refusal]}."
    ),
    Finding.UNSENDABLE: lambda w: f"The system does not send audio to {_said(w)} for {w.facts.peer}.",
    Finding.NOWHERE: lambda w: f"{w.facts.peer} has not said where its audio should go.",
    Finding.LOST: lambda w: f"{w.facts.peer} reports that next to nothing of the audio sent to it arrives.",
    Finding.NOT_CARRIED: lambda w: f"What the other side sends cannot be passed on to {w.facts.peer}.",
    Finding.FLOWING: lambda w: f"Audio is sent to {w.facts.peer}.",
    Finding.HELD: lambda w: f"Nothing should be sent to {w.facts.peer}: the call is on hold or muted.",
    Finding.NOTHING_TO_SEND: lambda w: (
        f"Nothing is sent to {w.facts.peer}, because no audio comes from the other side."
    ),
    Finding.IDLE: lambda w: f"Nothing is to be sent to {w.facts.peer}.",
}

TEXTS: dict[bool, dict[Finding, _Text]] = {True: _FROM, False: _TO}
"""By whether it is the direction from the peer."""


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _nothing(window: Window) -> str:
    """Who told whom a private address is the likely reason, else a firewall."""
    facts = window.facts
    told = _host(facts.told)
    outside = is_numeric(facts.signalling) and not is_private(facts.signalling)
    if outside and is_numeric(told) and is_private(told):
        return (
            f"It was told to send to {told}, which it cannot reach from outside: set media.external_address to our "
            "public address, and forward the ports of media.ports."
        )
    return (
        f"Check that UDP to {_told(window)} is let through on its way (firewall, port forwarding of media.ports), and "
        "that no SIP ALG rewrites the address."
    )


_LATCH = "latch: true (of the trunk, or media.latch for phones)"

_FROM_REMEDIES: dict[Finding, _Text] = {
    Finding.UNAUTHENTIC: lambda w: (
        "Its key is not the one in its description: look for what changes descriptions or keys between it and us, "
        "update its firmware, or set srtp: off for it."
    ),
    Finding.WRONG_PAYLOAD: lambda w: (
        "Give both sides a codec in common (codecs), or make the peer send what it has agreed to."
    ),
    Finding.OTHER_ADDRESS: lambda w: (
        "It said an address before a NAT, most likely, and its audio does not hold to one codec and source: see what "
        "it sends with a capture."
        if w.facts.latch
        else f"If that is the peer behind a NAT, set {_LATCH}, or let it say its public address."
    ),
    Finding.LATCHED_WRONG: lambda w: (
        "Have the peer say its address again (a re-INVITE, hold and resume), or let it say its public address so that "
        "nobody else can be taken for it."
    ),
    Finding.NOT_RTP: lambda w: "It may send SRTP or another protocol on that port: see what it sends with a capture.",
    Finding.RTCP_ONLY: lambda w: (
        "A firewall may let one port through and not the other, or its microphone is off: check the ports of "
        "media.ports, both even and odd ones."
    ),
    Finding.STUN_ONLY: lambda w: "It waits for ICE, which was not agreed on: turn ICE off in it.",
    Finding.NOTHING: _nothing,
    Finding.STOPPED: lambda w: "Its network has gone, or a NAT has closed: ask it to send all the time (no VAD).",
    Finding.SECOND_SOURCE: lambda w: "A proxy or recorder mixes two streams into one port: see it with a capture.",
    Finding.SILENT: lambda w: "Its microphone is muted, or not allowed to the program.",
    Finding.CLIPPED: lambda w: "Turn its microphone or its gain down.",
}

_TO_REMEDIES: dict[Finding, _Text] = {
    Finding.REFUSED: lambda w: (
        "Its firewall, or one between, must let UDP from our media.ports in."
        if w.after.refusal is Refusal.POLICY
        else f"{_said(w)} is not where it listens: behind a NAT set {_LATCH}; else its program has closed the port."
    ),
    Finding.UNSENDABLE: lambda w: "Look at the routes and the firewall of this machine.",
    Finding.LOST: lambda w: "Packets get lost behind us: look at the network between us and the peer.",
    Finding.NOT_CARRIED: lambda w: (
        "The two sides have no codec in common that can be turned into each other: see codecs and media.transcode."
    ),
}

REMEDIES: dict[bool, dict[Finding, _Text]] = {True: _FROM_REMEDIES, False: _TO_REMEDIES}
"""As `TEXTS`; what is in order has none, nor has what is the other side's matter."""


def text_of(finding: Finding, window: Window, *, arriving: bool) -> str:
    """Return the sentence of a finding, of the audio from the peer (`arriving`) or of that to it."""
    return TEXTS[arriving][finding](window)


def remedy_of(finding: Finding, window: Window, *, arriving: bool) -> str:
    """Return what can be done about it; empty where nothing need be done."""
    remedy = REMEDIES[arriving].get(finding)
    return "" if remedy is None else remedy(window)
