"""How a call sounds, estimated from its counts: the E-model of ITU-T G.107 with the codec figures of G.113 Appendix I.

The scale is that of narrowband telephony, on which nothing scores above 4.41. Wideband codecs have no figures there;
they are counted as G.711 with concealment, which they are at least as good as.
"""

from __future__ import annotations

import math

from pbx.media.events import StreamStatistics
from pbx.values import dataclass

__all__ = ["Quality", "delay_impairment", "equipment_impairment", "mean_opinion_score", "quality_of", "r_factor"]


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of one leg both ways: what its peer sent, as it arrived here, and what its peer heard.

    None means unknown: nothing arrived, the peer sends no reports, or G.113 has no figures for the codec.
    """

    loss: float | None = None
    """Percent of the peer's packets that did not arrive."""
    jitter: float | None = None
    """Milliseconds."""
    round_trip: float | None = None
    """Milliseconds."""
    r_factor: float | None = None
    """0 to 93.2."""
    mos: float | None = None
    """1 to 4.41, listening and conversation quality as estimated (MOS-CQE)."""
    remote_loss: float | None = None
    """Percent of our packets that did not arrive at the peer, as it reports."""
    remote_jitter: float | None = None
    remote_r_factor: float | None = None
    remote_mos: float | None = None


_BEST = 93.2
"""G.107 (06/2015) §7.7: the rating with all parameters at their defaults, and no delay."""


@dataclass(frozen=True, slots=True)
class _Codec:
    impairment: float
    """Ie of G.113 Appendix I, table I.1."""
    robustness: float
    """Bpl of G.113 Appendix I, table I.3 (random loss); where that gives none, 10 as for GSM-EFR."""
    look_ahead: float = 0.0
    """Milliseconds."""


_CONCEALED = _Codec(0, 25.1)
_CODECS = {
    "pcmu": _CONCEALED,
    "pcma": _CONCEALED,
    "l16": _CONCEALED,
    "g722": _Codec(0, 25.1, 1.5),
    "opus": _Codec(0, 25.1, 6.5),
    "g729": _Codec(11, 19.0, 5),  # the figures of G.729A with VAD, which is what devices run under that name
    "g723": _Codec(15, 16.1, 7.5),  # G.723.1 at 6.3 kbit/s with VAD
    "g728": _Codec(7, 10),
    "g726-40": _Codec(2, 10),
    "g726-32": _Codec(7, 10),
    "g726-24": _Codec(25, 10),
    "g726-16": _Codec(50, 10),
    "gsm": _Codec(20, 10),
    "gsm-efr": _Codec(5, 10.0),
    "amr": _Codec(5, 10.0, 5),  # at 12.2 kbit/s, where it is GSM-EFR
}


def mean_opinion_score(rating: float) -> float:
    """Return the MOS of an R factor (G.107 Annex B, equation B-4)."""
    if rating <= 0:
        return 1.0
    if rating >= 100:
        return 4.5
    score = 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6
    return max(1.0, score)  # the cubic dips below 1 for ratings under 6.5


def equipment_impairment(codec: str, loss: float) -> float | None:
    """Return Ie,eff of a codec (encoding name) at `loss` percent of random packet loss; None for want of figures.

    G.107 §7.5, equation 7-29, with BurstR 1.
    """
    figures = _CODECS.get(codec.lower())
    if figures is None:
        return None
    return figures.impairment + (95 - figures.impairment) * loss / (loss + figures.robustness)


def delay_impairment(delay: float) -> float:
    """Return Id for `delay` milliseconds from mouth to ear, beyond what it is without delay (G.107 §7.4, defaults).

    The sum of talker echo (at the default TELR of 65 dB), listener echo and too long a delay as such.
    """
    # The terms dip below zero by some hundredths for a delay of about a millisecond.
    return max(0.0, _talker_echo(delay) + _listener_echo(2 * delay) - _listener_echo(0) + _too_long(delay))


def _too_long(delay: float) -> float:
    """Return Idd (equations 7-27 and 7-28)."""
    if delay <= 100:
        return 0.0
    ratio = math.log2(delay / 100)
    return 25 * (math.pow(1 + ratio**6, 1 / 6) - 3 * math.pow(1 + (ratio / 3) ** 6, 1 / 6) + 2)


_RO = 94.77
_TELR = 65
_WEPL = 110


def _talker_echo(delay: float) -> float:
    """Return Idte (equations 7-19 to 7-23)."""
    if delay < 1:
        return 0.0
    rating = _TELR - 40 * math.log10((1 + delay / 10) / (1 + delay / 150)) + 6 * math.exp(-0.3 * delay**2)
    gap = _RO - (80 + 2.5 * (rating - 14))
    return (gap / 2 + math.sqrt(gap**2 / 4 + 100) - 1) * (1 - math.exp(-delay))


def _listener_echo(round_trip: float) -> float:
    """Return Idle (equations 7-25 and 7-26)."""
    gap = _RO - 10.5 * (_WEPL + 7) * math.pow(round_trip + 1, -0.25)
    return gap / 2 + math.sqrt(gap**2 / 4 + 169)


def r_factor(codec: str, loss: float, delay: float) -> float | None:
    """Return the R factor for percent of loss and milliseconds of delay, 0 to 93.2; None as `equipment_impairment`."""
    impairment = equipment_impairment(codec, loss)
    if impairment is None:
        return None
    return max(0.0, _BEST - delay_impairment(delay) - impairment)


def quality_of(counts: StreamStatistics, codec: str, packet_time: int) -> Quality:
    """Return the quality of a leg by its counts. `packet_time` is milliseconds a packet.

    The delay is half the round trip to the peer, a packet, the codec's look-ahead, and a jitter buffer of a packet and
    twice the jitter. The other leg's way comes on top in a call, and is in that leg's own figures.
    """
    figures = _CODECS.get(codec.lower(), _CONCEALED)
    one_way = max(0.0, counts.round_trip) / 2 + 2 * packet_time + figures.look_ahead
    loss = jitter = rating = remote_loss = remote_jitter = remote_rating = None
    if counts.received_packets:
        lost = max(0, counts.lost)
        loss, jitter = 100 * lost / (counts.received_packets + lost), counts.jitter
        rating = r_factor(codec, loss, one_way + 2 * jitter)
    if counts.sent_packets and counts.rtcp_received:
        remote_loss = min(100.0, 100 * max(0, counts.remote_lost) / counts.sent_packets)
        remote_jitter = counts.remote_jitter
        remote_rating = r_factor(codec, remote_loss, one_way + 2 * remote_jitter)
    remote_score = mean_opinion_score(remote_rating) if remote_rating is not None else None
    # The peer knows its jitter buffer and what came of it; we only estimate (RFC 3611 §4.7.5).
    if counts.remote_rating >= 0:
        remote_rating = float(counts.remote_rating)
        remote_score = mean_opinion_score(remote_rating)
    if counts.remote_score >= 0:
        remote_score = counts.remote_score
    return Quality(
        loss,
        jitter,
        counts.round_trip if counts.round_trip >= 0 else None,
        rating,
        mean_opinion_score(rating) if rating is not None else None,
        remote_loss,
        remote_jitter,
        remote_rating,
        remote_score,
    )
