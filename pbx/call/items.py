"""What can be in a call's inbox, and which input of the call's table each is."""

from __future__ import annotations

from collections.abc import Callable

from pbx.call.events import (
    Answered,
    Delivered,
    HungUp,
    Informed,
    OfferAnswered,
    OfferDeclined,
    Offered,
    OfferWithdrawn,
    Progressing,
    ReferProgress,
    ReferRequested,
    Rejected,
    Ringing,
)
from pbx.call.events import Event as LegEvent
from pbx.call.table import Input
from pbx.call.verdicts import VERDICT_TIMER
from pbx.cause import EndCause
from pbx.media import events as media
from pbx.values import dataclass

__all__ = ["HangUpWanted", "Item", "RecordingWanted", "Start", "TimerDue", "Wish", "classify"]


@dataclass(frozen=True, slots=True)
class TimerDue:
    """A timer of the call ran out."""

    name: str


@dataclass(frozen=True, slots=True)
class Start:
    """The first thing in the inbox of a call with a route."""


@dataclass(frozen=True, slots=True)
class RecordingWanted:
    """An operator wants the recording to `start`, `pause`, `resume` or `stop`."""

    action: str


@dataclass(frozen=True, slots=True)
class HangUpWanted:
    """An operator, a drain or a fault wants the call to end."""

    cause: EndCause


@dataclass(frozen=True, slots=True)
class Wish:
    """Something that an operator, or another call, wants done to this one: performed in its turn, or never if the call
    has ended by then."""

    perform: Callable[[], None]


Item = LegEvent | media.Event | TimerDue | HangUpWanted | RecordingWanted | Start | Wish

_LEG_INPUTS: dict[type, tuple[Input, Input]] = {
    # event: (of the caller, of a callee)
    Ringing: (Input.DELIVERED, Input.CALLEE_RINGING),
    Progressing: (Input.DELIVERED, Input.CALLEE_PROGRESSING),
    Answered: (Input.CALLER_ANSWERED, Input.CALLEE_ANSWERED),
    Rejected: (Input.CALLER_GONE, Input.CALLEE_GONE),
    HungUp: (Input.CALLER_GONE, Input.CALLEE_GONE),
    Offered: (Input.CALLER_OFFERED, Input.CALLEE_OFFERED),
    OfferAnswered: (Input.OFFER_ANSWERED, Input.OFFER_ANSWERED),
    OfferDeclined: (Input.OFFER_DECLINED, Input.OFFER_DECLINED),
    OfferWithdrawn: (Input.OFFER_WITHDRAWN, Input.OFFER_WITHDRAWN),
    Informed: (Input.INFORMED, Input.INFORMED),
    Delivered: (Input.DELIVERED, Input.DELIVERED),
    ReferRequested: (Input.REFER_REQUESTED, Input.REFER_REQUESTED),
    ReferProgress: (Input.REFER_PROGRESS, Input.REFER_PROGRESS),
}

_MEDIA_INPUTS: dict[type, Input] = {
    media.Opened: Input.STREAM_READY,
    media.Digit: Input.DIGIT,
    media.PlayEnded: Input.PLAY_ENDED,
    media.RecordingEnded: Input.RECORDING_ENDED,
    media.RecordingFailed: Input.RECORDING_FAILED,
    media.RecordingBehind: Input.RECORDING_BEHIND,
    media.RecordingFinishing: Input.RECORDING_FINISHING,
    media.NoMedia: Input.NO_MEDIA,
    media.Statistics: Input.STATISTICS,
}

_CONTROL_INPUTS: dict[type, Input] = {
    TimerDue: Input.TIMER,
    HangUpWanted: Input.HANG_UP,
    RecordingWanted: Input.RECORDING_WANTED,
    Start: Input.START,
    Wish: Input.WISH,
}


def classify(item: Item, caller: str) -> Input | None:
    """Return which input an item is, for a call whose caller's leg is `caller`; None for one of no concern."""
    kind = type(item)
    pair = _LEG_INPUTS.get(kind)
    if pair is not None:
        return pair[item.leg != caller]  # type: ignore[union-attr]
    if isinstance(item, media.Closed):
        return Input.STREAM_FAILED if item.reason else Input.STREAM_CLOSED
    if isinstance(item, TimerDue) and item.name == VERDICT_TIMER:
        return Input.VERDICT_DUE
    return _MEDIA_INPUTS.get(kind) or _CONTROL_INPUTS.get(kind)
