"""One leg of a call, running or remembered, as the API shows it."""

from __future__ import annotations

from pbx.call.summary import LegSummary
from pbx.media.events import Verdict
from pbx.media.quality import Quality
from pbx.store.call_records import LegRecord
from pbx.web.views import View

__all__ = ["AudioVerdict", "Leg"]


class AudioVerdict(View):
    """How the audio of one direction does, or did when last judged."""

    finding: str
    """``flowing``, ``nothing`` …: see the audio verdict in the documentation."""
    text: str
    remedy: str = ""
    """What can be done; empty where nothing need be."""

    @classmethod
    def of(cls, finding: str, text: str, remedy: str) -> AudioVerdict | None:
        """Return the view of a verdict; None if there is none."""
        return cls(finding=finding, text=text, remedy=remedy) if finding else None


class Leg(View):
    """One leg. Jitter, round trip and concealment are milliseconds, shares percent; null stands for not known (yet)."""

    target: str
    sip_call_id: str
    remote: str = ""
    codec: str = ""
    encryption: str | None = None
    """The SRTP suite of its audio; empty for plain RTP."""
    dropped_unauthentic: int | None = None
    dropped_replayed: int | None = None
    received_packets: int | None = None
    sent_packets: int | None = None
    lost: int | None = None
    jitter: float | None = None
    round_trip: float | None = None
    mos: float | None = None
    """Of what arrived from it (ITU-T G.107); `remote_mos` is of what arrived there, as its reports say."""
    r_factor: float | None = None
    loss: float | None = None
    remote_loss: float | None = None
    remote_jitter: float | None = None
    remote_mos: float | None = None
    concealed: int | None = None
    """Sound made up in place of lost packets, where it is decoded."""
    silent: float | None = None
    """The share of what arrived that was digital silence."""
    clipped: float | None = None
    """The share of what arrived that was cut off at full scale."""
    receiving: AudioVerdict | None = None
    """The audio from it; null while nobody has judged."""
    sending: AudioVerdict | None = None
    """The audio to it."""
    cause: str = ""

    @classmethod
    def of(cls, leg: LegSummary) -> Leg:
        """Return the view of a leg of a running call."""
        counts, quality = leg.counts, leg.quality or _UNKNOWN
        view = cls(
            target=leg.target,
            sip_call_id=leg.sip_call_id,
            remote=leg.remote,
            codec=leg.codec,
            encryption=leg.encryption,
            receiving=_verdict(leg.receiving),
            sending=_verdict(leg.sending),
            cause=leg.cause.slug if leg.cause else "",
        )
        if counts is None:
            return view
        return view.model_copy(
            update={
                "dropped_unauthentic": counts.dropped_unauthentic,
                "dropped_replayed": counts.dropped_replayed,
                "received_packets": counts.received_packets,
                "sent_packets": counts.sent_packets,
                "lost": counts.lost,
                "jitter": counts.jitter,
                "round_trip": _known(counts.round_trip),
                "mos": quality.mos,
                "r_factor": quality.r_factor,
                "loss": quality.loss,
                "remote_loss": quality.remote_loss,
                "remote_jitter": quality.remote_jitter,
                "remote_mos": quality.remote_mos,
                "concealed": counts.concealed,
                "silent": _share(counts.silent, counts.inspected),
                "clipped": _share(counts.clipped, counts.inspected),
            }
        )

    @classmethod
    def of_record(cls, leg: LegRecord) -> Leg:
        """Return the view of a leg as it is remembered."""
        return cls(
            target=leg.target,
            sip_call_id=leg.sip_call_id,
            remote=leg.remote,
            codec=leg.codec,
            encryption=leg.encryption,
            dropped_unauthentic=leg.dropped_unauthentic,
            dropped_replayed=leg.dropped_replayed,
            received_packets=leg.received_packets,
            sent_packets=leg.sent_packets,
            lost=leg.lost,
            jitter=leg.jitter,
            round_trip=_known(leg.round_trip),
            mos=_known(leg.mos),
            r_factor=_known(leg.r_factor),
            loss=_known(leg.loss),
            remote_loss=_known(leg.remote_loss),
            remote_jitter=_known(leg.remote_jitter),
            remote_mos=_known(leg.remote_mos),
            concealed=leg.concealed,
            silent=_known(leg.silent),
            clipped=_known(leg.clipped),
            receiving=AudioVerdict.of(leg.receiving, leg.receiving_text, leg.receiving_remedy),
            sending=AudioVerdict.of(leg.sending, leg.sending_text, leg.sending_remedy),
            cause=leg.cause,
        )


_UNKNOWN = Quality()


def _verdict(verdict: Verdict | None) -> AudioVerdict | None:
    return None if verdict is None else AudioVerdict.of(verdict.finding, verdict.text, verdict.remedy)


def _share(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None


def _known(value: float) -> float | None:
    return None if value < 0 else value
