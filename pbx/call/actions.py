"""What a call does at each entry of its table (`pbx.call.table`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pbx.call import commands
from pbx.call.events import (
    HungUp,
    OfferAnswered,
    OfferDeclined,
    Offered,
    ReferProgress,
    ReferRequested,
    Rejected,
)
from pbx.call.items import HangUpWanted, Item, Wish
from pbx.call.table import Action
from pbx.cause import cause_named
from pbx.errors import NegotiationError
from pbx.media import events as media

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = ["ACTIONS"]


def _start(call: Call, item: Item) -> None:
    call.route.start(call)


def _step(call: Call, item: Item) -> None:
    if isinstance(item, media.RecordingEnded):
        call.files.note(item)  # the step's own, or one that a transfer has ended
    if call.transfer is not None and call.transfer.take(item):
        return
    if call.route.running is not None:
        call.route.running.take(item)
    if isinstance(item, (HungUp, Rejected)):
        call.legs.strike(item)  # one that a step before has left behind


def _perform(call: Call, item: Item) -> None:
    assert isinstance(item, Wish)
    item.perform()


def _relay(call: Call, item: Item) -> None:
    if call.supervisors is None or not call.supervisors.take(item):
        call.bridge.take(item)


def _answer_offer(call: Call, item: Item) -> None:
    assert isinstance(item, Offered)
    try:
        if item.sdp is None:
            sdp = call.session.local_offer(call.caller)
        else:
            call.session.set_remote(call.caller, item.sdp, offer=True)
            sdp = call.session.local_answer(call.caller)
    except NegotiationError as error:
        call.session.rollback(call.caller)
        call.command(commands.DeclineOffer(call.caller, error.status))
        return
    call.command(commands.AcceptOffer(call.caller, sdp))


def _take_answer(call: Call, item: Item) -> None:
    assert isinstance(item, OfferAnswered)
    if item.leg == call.caller:
        awaited = call.session.awaits_answer(call.caller)
        try:
            call.session.take_answer(call.caller, item.sdp)
        except NegotiationError as error:
            # An answer cannot be refused (RFC 3264 §6). One that only says again what was agreed changes nothing.
            if awaited:
                call.end(cause_named("media-unacceptable", error.reason))
                return
    if call.route.running is not None:
        call.route.running.take(item)


def _take_refusal(call: Call, item: Item) -> None:
    assert isinstance(item, OfferDeclined)
    if item.leg == call.caller:
        call.session.rollback(call.caller)  # it goes on with what was agreed before
    if call.route.running is not None:
        call.route.running.take(item)


def _decline(call: Call, item: Item) -> None:
    assert isinstance(item, Offered)
    call.command(commands.DeclineOffer(item.leg, 491))


def _transfer(call: Call, item: Item) -> None:
    assert isinstance(item, ReferRequested)
    if call.services.transfers is None or item.leg not in (call.caller, call.bridge.callee):
        _decline_refer(call, item)
    else:
        call.services.transfers.requested(call, item)


def _decline_refer(call: Call, item: Item) -> None:
    assert isinstance(item, ReferRequested)
    call.command(commands.DeclineRefer(item.leg))


def _refer_progressed(call: Call, item: Item) -> None:
    assert isinstance(item, ReferProgress)
    call.bridge.refer_progressed(item)


def _end(call: Call, item: Item) -> None:
    if isinstance(item, (HungUp, Rejected)):
        call.legs.strike(item)
        call.end(item.cause)
    elif isinstance(item, HangUpWanted):
        call.end(item.cause)
    elif isinstance(item, media.Closed):
        if call.supervisors is None or not call.supervisors.take(item):
            call.end(cause_named("media-failed", item.reason))
    else:
        raise TypeError(f"{type(item).__name__} does not end a call")


def _leg_gone(call: Call, item: Item) -> None:
    assert isinstance(item, (HungUp, Rejected))
    talking = call.connected and item.leg == call.bridge.callee
    call.legs.strike(item)
    if call.supervisors is not None:
        call.supervisors.gone(item.leg)
    if talking:
        call.end(item.cause)


def _left(call: Call, item: Item) -> None:
    assert isinstance(item, (HungUp, Rejected))
    call.legs.strike(item)
    call.ending.finish_if_done(call)


def _finish(call: Call, item: Item) -> None:
    call.ending.take(call, item)


def _note(call: Call, item: Item) -> None:
    if isinstance(item, (media.RecordingEnded, media.RecordingFailed)):
        call.files.note(item)


def _recording_lost(call: Call, item: Item) -> None:
    assert isinstance(item, (media.RecordingFailed, media.RecordingBehind))
    if isinstance(item, media.RecordingBehind):
        call.files.behind(item)
        reason = "the disk is too slow for it"
    else:
        call.recording.take(call, item)
        reason = item.reason
    if call.recording_ends_call and not call.emergency:
        call.end(cause_named("recording-impossible", reason))
    elif call.route.running is not None:
        call.route.running.take(item)


def _tape(call: Call, item: Item) -> None:
    if isinstance(item, media.PlayEnded):
        call.music.take(item)
    call.recording.take(call, item)


def _await(call: Call, item: Item) -> None:
    call.ending.await_media(call)


def _silence(call: Call, item: Item) -> None:
    assert isinstance(item, media.NoMedia)
    legs = (call.caller, call.bridge.callee) if call.connected else (call.caller,)
    streams = [call.session.stream_of(leg) for leg in legs]
    if call.silence.reigns(item, streams, call.services.now()) and call.services.settings.end_without_media:
        call.end(cause_named("no-media", f"nothing arrived for {item.milliseconds / 1000:.0f} s"))


def _ask_audio(call: Call, item: Item) -> None:
    call.verdicts.due(call)


def _judge(call: Call, item: Item) -> None:
    call.verdicts.take(call)


ACTIONS: dict[Action, Callable[[Call, Item], None]] = {
    Action.START: _start,
    Action.STEP: _step,
    Action.BRIDGE: _relay,
    Action.ANSWER_OURSELVES: _answer_offer,
    Action.TAKE_ANSWER: _take_answer,
    Action.TAKE_REFUSAL: _take_refusal,
    Action.DECLINE: _decline,
    Action.TRANSFER: _transfer,
    Action.DECLINE_REFER: _decline_refer,
    Action.REFER_PASSED: _refer_progressed,
    Action.END: _end,
    Action.LEG_GONE: _leg_gone,
    Action.LEFT: _left,
    Action.FINISH: _finish,
    Action.NOTE: _note,
    Action.RECORDING_LOST: _recording_lost,
    Action.SILENCE: _silence,
    Action.TAPE: _tape,
    Action.AWAIT: _await,
    Action.PERFORM: _perform,
    Action.ASK_AUDIO: _ask_audio,
    Action.JUDGE: _judge,
}
