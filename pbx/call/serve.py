"""Steps that the server itself performs for the caller: answer, play, echo, record, wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pbx.call.recording_files import record
from pbx.cause import EndCause, cause_named
from pbx.dialplan.steps import RECORDED, EchoStep, PlayStep, RecordStep, WaitStep
from pbx.errors import NegotiationError
from pbx.media import events as media

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = [
    "AnswerRunner",
    "EchoRunner",
    "EndRunner",
    "PlayRunner",
    "RecordRunner",
    "WaitRunner",
    "WithStream",
    "not_available",
]

_TIMER = "step"
_MOST_SOUNDS = 256
"""That the engine takes in one play."""


def not_available(call: Call, what: str) -> EndCause:
    """Return the cause for a feature that this server does not have; a busy or absent callee stays the reason if it was
    one."""
    return call.route.last_failure or cause_named("not-available", what)


class EndRunner:
    """Ends the call."""

    __slots__ = ("_call", "_cause")

    def __init__(self, call: Call, cause: EndCause) -> None:
        self._call = call
        self._cause = cause

    def start(self) -> bool:
        """End the call."""
        self._call.end(self._cause)
        return False

    def take(self, item: Any) -> None:
        """Take nothing: the call is over."""


class WithStream:
    """A step that needs the caller's own stream, which may still be on its way when the step begins."""

    __slots__ = ("_begun", "_call")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._begun = False

    def start(self) -> bool:
        """Begin, now or when the caller's stream has its ports."""
        if not self._call.session.ready(self._call.caller):
            return True
        self._begun = True
        return self.begin()

    def take(self, item: Any) -> None:
        """Take what the caller's stream or a timer says."""
        call = self._call
        if not self._begun and isinstance(item, (media.Opened, media.Closed)):
            if isinstance(item, media.Closed):
                call.end(cause_named("no-ports", item.reason))
            elif call.session.ready(call.caller):
                self._begun = True
                if not self.begin():
                    call.route.step_done(call)
        elif self._begun:
            self.happened(item)

    def begin(self) -> bool:
        """Do the step's work; return False if it is done at once."""
        raise NotImplementedError(f"{type(self).__name__} has no work")

    def happened(self, item: Any) -> None:
        """Take an event after `begin`."""


class AnswerRunner(WithStream):
    """AnswerStep."""

    __slots__ = ()

    def begin(self) -> bool:
        """Answer; done at once."""
        self._call.answer_ourselves()
        return False


class EchoRunner(WithStream):
    """EchoStep."""

    __slots__ = ("_step",)

    def __init__(self, call: Call, step: EchoStep) -> None:
        super().__init__(call)
        self._step = step

    def begin(self) -> bool:
        """Answer and echo, until the caller hangs up or the limit is over."""
        call = self._call
        if not call.answer_ourselves():
            return False
        call.session.echo(call.caller)
        if self._step.limit is not None:
            call.set_timer(_TIMER, self._step.limit)
        return True

    def happened(self, item: Any) -> None:
        """End at the limit."""
        if getattr(item, "name", "") == _TIMER:
            self._call.session.disconnect(self._call.caller)
            self._call.route.step_done(self._call)


class PlayRunner(WithStream):
    """PlayStep."""

    __slots__ = ("_play", "_rounds", "_step")

    def __init__(self, call: Call, step: PlayStep) -> None:
        super().__init__(call)
        self._step = step
        self._rounds = 0
        self._play = ""

    def begin(self) -> bool:
        """Answer, or give early media, and play the list."""
        call = self._call
        if self._step.early and call.answer_is_due and not call.late_offer:
            try:
                call.progress(call.session.local_answer(call.caller))
            except NegotiationError as error:
                call.end(cause_named("media-unacceptable", error.reason))
                return False
        elif not call.answer_ourselves():
            return False
        if self._step.limit is not None:
            call.set_timer(_TIMER, self._step.limit)
        return self._round()

    def _round(self) -> bool:
        call, step = self._call, self._step
        self._rounds += 1
        sounds: list[str] = []
        for name in step.files:
            sounds += [call.recorded] if name == RECORDED else call.services.sounds(name)
        if not sounds:
            return False  # what should be said has no sound, such as a caller without a number
        self._play = call.session.play(
            call.caller,
            *sounds[:_MOST_SOUNDS],
            loop=step.repeat == 0,
            volume=step.volume,
            stopped_by=step.stopped_by,
        )
        return True

    def happened(self, item: Any) -> None:
        """Play the list again, or be done. A list of which something cannot be played is over, and that becomes the
        cause, should nothing else follow."""
        call, step = self._call, self._step
        if getattr(item, "name", "") == _TIMER:
            call.session.stop_playing(call.caller, self._play)
            self._rounds = max(1, step.repeat)
        elif isinstance(item, media.PlayEnded) and item.play == self._play:
            if item.failure:
                call.route.last_failure = cause_named("prompt-missing", item.failure)
            again = not item.failure and not item.digit and self._rounds < step.repeat
            if not (again and self._round()):
                call.clear_timer(_TIMER)
                call.route.step_done(call)


class RecordRunner(WithStream):
    """RecordStep."""

    __slots__ = ("_beep", "_recording", "_step")

    def __init__(self, call: Call, step: RecordStep) -> None:
        super().__init__(call)
        self._step = step
        self._beep = ""
        self._recording = ""

    def begin(self) -> bool:
        """Answer, beep, and record."""
        call = self._call
        if not call.answer_ourselves():
            return False
        if self._step.beep:
            self._beep = call.session.play(call.caller, *call.services.sounds("beep"))
        else:
            self._record()
        return True

    def _record(self) -> None:
        call = self._call
        default = call.services.settings.recording
        self._recording = record(call, call.caller, None, self._step.name, sound_format=default.format or "wav")
        call.set_timer(_TIMER, self._step.limit)

    def happened(self, item: Any) -> None:
        """Record after the beep, stop at the limit or a finishing key, and be done when the file is whole."""
        call = self._call
        if isinstance(item, media.PlayEnded) and item.play == self._beep and not self._recording:
            self._record()  # a missing beep is no reason not to record
        elif isinstance(item, media.Digit) and item.digit in self._step.finish and self._recording:
            call.clear_timer(_TIMER)
            call.session.stop_recording(self._recording)
        elif getattr(item, "name", "") == _TIMER:
            call.session.stop_recording(self._recording)
        elif isinstance(item, media.RecordingEnded) and item.recording == self._recording:
            call.recorded = item.path
            call.route.step_done(call)
        elif isinstance(item, media.RecordingFailed) and item.recording == self._recording:
            call.route.last_failure = cause_named("recording-impossible", item.reason)
            call.route.step_done(call)


class WaitRunner:
    """WaitStep."""

    __slots__ = ("_call", "_step")

    def __init__(self, call: Call, step: WaitStep) -> None:
        self._call = call
        self._step = step

    def start(self) -> bool:
        """Wait; 0 seconds are done at once."""
        if self._step.seconds <= 0:
            return False
        self._call.set_timer(_TIMER, self._step.seconds)
        return True

    def take(self, item: Any) -> None:
        """End when the time is over."""
        if getattr(item, "name", "") == _TIMER:
            self._call.route.step_done(self._call)
