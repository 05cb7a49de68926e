"""Does a leg's audio flow, and if not, why? The audio verdict, one for each direction.

A pure function of two readings of a stream's counts, of what was negotiated, and of how the stream that feeds it does.
The two tables below are the decision: their rows are asked from the top, and the first that holds is the finding. What
each finding is called in plain words, and what can be done about it, stands in `pbx.media.verdict_text`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

from pbx.media.events import StreamStatistics
from pbx.values import Enum, dataclass

__all__ = ["FAULTS", "RECEIVING", "SENDING", "Facts", "Finding", "Window", "receiving", "sending", "worst"]


class Finding(Enum):
    """What a direction's audio does. The worst come first; those behind `CLIPPED` are in order."""

    UNAUTHENTIC = "unauthentic"
    """SRTP arrives that the negotiated key does not open."""
    WRONG_PAYLOAD = "wrong-payload"
    """RTP arrives of a payload type that was not negotiated."""
    OTHER_ADDRESS = "other-address"
    """RTP arrives from another address than the peer said, and is not believed."""
    LATCHED_WRONG = "latched-wrong"
    """The source that was believed has fallen silent, and another one is not believed."""
    NOT_RTP = "not-rtp"
    """What arrives is no RTP."""
    RTCP_ONLY = "rtcp-only"
    """Reports arrive, but no audio."""
    STUN_ONLY = "stun-only"
    """ICE's checks arrive, but no audio."""
    NOTHING = "nothing"
    """Nothing arrives, nor ever did."""
    STOPPED = "stopped"
    """Nothing arrives any more."""
    REFUSED = "refused"
    """Audio is sent, and ICMP says that it does not arrive."""
    UNSENDABLE = "unsendable"
    """Our own system does not send it."""
    NOWHERE = "nowhere"
    """The peer has not said where to."""
    LOST = "lost"
    """The peer reports that next to nothing of what is sent arrives."""
    NOT_CARRIED = "not-carried"
    """What the other side sends cannot be passed on."""
    SECOND_SOURCE = "second-source"
    """Two sources send to one port; one of them is not heard."""
    SILENT = "silent"
    """Packets arrive, of digital silence."""
    CLIPPED = "clipped"
    """Audio flows, cut off at full scale."""
    FLOWING = "flowing"
    HELD = "held"
    """On hold or muted: nothing should flow."""
    QUIET = "quiet"
    """The peer has said that it is silent (comfort noise)."""
    NOTHING_TO_SEND = "nothing-to-send"
    """The other side's audio does not arrive here; its own verdict says why."""
    IDLE = "idle"
    """Nobody is to be heard."""


FAULTS = frozenset(list(Finding)[: list(Finding).index(Finding.CLIPPED) + 1])
"""The findings that somebody should do something about."""


_ORDER = {finding: number for number, finding in enumerate(Finding)}


def worst(findings: Iterable[Finding]) -> Finding | None:
    """Return the finding that a call is filed under; None without any."""
    return min(findings, key=_ORDER.__getitem__, default=None)


@dataclass(frozen=True, slots=True)
class Facts:
    """What signalling knows of a stream. Addresses are ``host:port``, empty while unknown."""

    peer: str = "the peer"
    """Who it is: ``extension/101``."""
    said: str = ""
    """Where the peer wants its audio; what it sends should come from there."""
    signalling: str = ""
    """The host that its signalling comes from."""
    told: str = ""
    """The address of ours that it was told to send to."""
    latch: bool = True
    receive: bool = True
    """The peer may send: it is not on hold, and has not put us on hold without music."""
    send: bool = True
    """The peer wants to hear."""
    muted_receive: bool = False
    muted_send: bool = False
    suite: str = ""
    """The SRTP suite; empty for plain RTP."""
    codecs: tuple[tuple[int, str], ...] = ()
    """Payload types that were agreed on, with their names."""


@dataclass(frozen=True)
class Window:
    """What happened to a stream between two readings of its counts, `seconds` apart."""

    before: StreamStatistics
    after: StreamStatistics
    seconds: float
    facts: Facts

    def grew(self, *names: str) -> int:
        """Return by how much counts have grown, together."""
        return sum([getattr(self.after, name) - getattr(self.before, name) for name in names])

    @cached_property
    def received(self) -> int:
        """RTP packets of the source that is heard."""
        return self.grew("received_packets")

    @cached_property
    def sent(self) -> int:
        """RTP packets sent."""
        return self.grew("sent_packets")

    @property
    def codec(self) -> str:
        """The name of the codec that came last, in lower case; empty if it was not agreed on."""
        heard = self.after.payload_type
        return next((name.lower() for number, name in self.facts.codecs if number == heard), "")


# -- what arrives from the peer


def _nothing_wanted(window: Window) -> bool:
    return not window.facts.receive or window.facts.muted_receive


def _wrong_payload(window: Window) -> bool:
    dropped = window.grew("dropped_payload")
    # Keys of a peer that does not know that the other side has none are dropped too, and are few.
    return dropped > 0 and dropped >= 0.9 * window.received and not window.codec


def _is_silent(window: Window) -> bool:
    inspected = window.grew("inspected")
    return window.received > 0 and inspected > 0 and window.grew("silent") == inspected


def _is_clipped(window: Window) -> bool:
    inspected = window.grew("inspected")
    return window.received > 0 and inspected > 0 and window.grew("clipped") * 5 >= inspected


def _second_source(window: Window) -> bool:
    beside = window.grew("dropped_source")
    return beside > 0 and beside * 4 >= window.received


RECEIVING: tuple[tuple[Finding, Callable[[Window], bool]], ...] = (
    (Finding.HELD, _nothing_wanted),
    (Finding.WRONG_PAYLOAD, _wrong_payload),
    (Finding.SECOND_SOURCE, _second_source),
    (Finding.SILENT, _is_silent),
    (Finding.CLIPPED, _is_clipped),
    (Finding.FLOWING, lambda window: window.received > 0),
    (Finding.UNAUTHENTIC, lambda window: window.grew("dropped_unauthentic") > 0),
    (
        Finding.LATCHED_WRONG,
        lambda window: window.grew("dropped_stranger") > 0 and bool(window.after.stranger and window.after.source),
    ),
    (Finding.OTHER_ADDRESS, lambda window: window.grew("dropped_stranger") > 0 and bool(window.after.stranger)),
    (Finding.NOT_RTP, lambda window: window.grew("dropped_invalid") > 0),
    (Finding.QUIET, lambda window: window.codec == "cn"),
    (Finding.RTCP_ONLY, lambda window: window.grew("rtcp_received") > 0),
    (Finding.STUN_ONLY, lambda window: window.grew("stun_received") > 0),
    (Finding.STOPPED, lambda window: window.after.received_packets > 0),
    (Finding.NOTHING, lambda window: True),
)


# -- what is sent to the peer

_REFUSALS_A_SECOND = 0.4
"""Hosts send one ICMP error a second. A single one, while a phone opens its port, means nothing."""
_ENOUGH = 20
"""Packets, before what a peer reports of them is believed."""


def _nothing_told(window: Window) -> bool:
    return not window.facts.send or window.facts.muted_send


def _is_refused(window: Window) -> bool:
    return window.grew("refused") >= max(1.0, _REFUSALS_A_SECOND * window.seconds)


def _is_lost(window: Window) -> bool:
    # A receiver that hears nothing at all has nothing to report (RFC 3550 §6.4.2), so this is rare, and sure.
    return window.sent >= _ENOUGH and window.grew("remote_lost") >= 0.9 * window.sent


_Feed = Finding | None

_SOUNDING = frozenset((Finding.FLOWING, Finding.SILENT, Finding.CLIPPED, Finding.SECOND_SOURCE))
_PAUSING = frozenset((None, Finding.HELD, Finding.QUIET))

SENDING: tuple[tuple[Finding, Callable[[Window, _Feed], bool]], ...] = (
    (Finding.HELD, lambda window, feed: _nothing_told(window)),
    (Finding.REFUSED, lambda window, feed: _is_refused(window)),
    (
        Finding.UNSENDABLE,
        lambda window, feed: window.grew("send_errors") > 0 and window.grew("send_errors") >= window.sent,
    ),
    (Finding.LOST, lambda window, feed: _is_lost(window)),
    (Finding.FLOWING, lambda window, feed: window.sent > 0),
    (Finding.IDLE, lambda window, feed: feed in _PAUSING),
    (Finding.NOWHERE, lambda window, feed: not window.facts.said and not window.after.source),
    (Finding.NOT_CARRIED, lambda window, feed: feed in _SOUNDING),
    (Finding.NOTHING_TO_SEND, lambda window, feed: True),
)


def receiving(window: Window) -> Finding:
    """Return how the audio from a peer does."""
    return next(finding for finding, holds in RECEIVING if holds(window))


def sending(window: Window, feed: Finding | None) -> Finding:
    """Return how the audio to a peer does. `feed` is how that from the other side arrives; None: nobody is there."""
    return next(finding for finding, holds in SENDING if holds(window, feed))
