"""The recording of two who talk: announced, beeped, paused and resumed by key or by an operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call.items import Item, RecordingWanted, TimerDue
from pbx.call.recording_files import record, refuse
from pbx.dialplan.steps import Recording
from pbx.media import events as media

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = ["ACTIONS", "CallRecording"]

ACTIONS = ("start", "stop", "pause", "resume")
"""What an operator may want of it."""

_BEEP = "tone:1400/200"
"""As 47 CFR 64.501 and most others describe it."""
_TIMER = "recording-beep"


class CallRecording:
    """What becomes of the recording of a call while its two legs are connected."""

    __slots__ = ("_announcing", "_callee", "_interrupted", "_recording", "paused", "policy")

    def __init__(self, policy: Recording) -> None:
        self._callee = ""
        self.policy = policy
        self._announcing: list[str] = []
        """The plays of an announcement that are not over."""
        self._recording = ""
        """The id of the one that runs."""
        self.paused = False
        self._interrupted = False
        """It ran when one side was transferred, and goes on when the other is connected again."""

    def interrupt(self, call: Call) -> None:
        """End the recording because one side leaves the call; `resume` begins another with whom comes in its place."""
        if self._recording or self._announcing:
            self._interrupted = True
            self._announcing.clear()
            if self._recording:
                self._stop(call)

    def resume(self, call: Call, callee: str) -> None:
        """Record anew if `interrupt` ended it; whoever is new hears the announcement."""
        if self._interrupted:
            self._interrupted = False
            self.begin(call, callee, self.policy)

    def begin(self, call: Call, callee: str, policy: Recording) -> None:
        """Record from now on, after the announcement if there is one; nothing if that is so already."""
        if self._recording or self._announcing:
            return
        self._callee, self.policy = callee, policy.over(call.services.settings.recording)
        if not self.policy.announce:
            self._record(call)
            return
        sounds = call.services.sounds(self.policy.announce)
        self._announcing = [call.session.play(leg, *sounds) for leg in (call.caller, callee)]

    def refusal(self, call: Call, action: str) -> str:
        """Return why an operator's wish cannot be met now; empty if it can."""
        if not call.connected:
            return "nobody is connected in this call yet"
        running = bool(self._recording or self._announcing)
        if action == "start":
            return "it is being recorded already" if running else ""
        if not self._recording:
            return "it is not being recorded"
        if action == "pause" and self.paused:
            return "its recording is paused already"
        return "its recording is not paused" if action == "resume" and not self.paused else ""

    def take(self, call: Call, item: Item) -> None:
        """Take a key, the end of a play or of the recording, a timer, or what an operator wants."""
        if isinstance(item, media.Digit):
            if item.digit == self.policy.pause_digit and self._recording:
                self._pause(call, not self.paused)
        elif isinstance(item, media.PlayEnded):
            self._played(call, item)
        elif isinstance(item, TimerDue):
            if item.name == _TIMER and self._recording:
                self._beep(call)
        elif isinstance(item, RecordingWanted):
            self._wanted(call, item.action)
        elif isinstance(item, (media.RecordingEnded, media.RecordingFailed)):
            call.files.note(item)
            if item.recording == self._recording:
                self._recording = ""
                call.clear_timer(_TIMER)

    def _wanted(self, call: Call, action: str) -> None:
        if self.refusal(call, action):
            return  # it was asked for twice within a moment
        if action == "start":
            self.begin(call, call.bridge.callee, self.policy)
        elif action == "stop":
            self._stop(call)
        else:
            self._pause(call, action == "pause")

    def _record(self, call: Call) -> None:
        policy = self.policy
        mixed = policy.channels == "mixed"
        self._recording = record(call, call.caller, self._callee, sound_format=policy.format or "wav", mixed=mixed)
        self.paused = False
        if policy.beep:
            self._beep(call)

    def _stop(self, call: Call) -> None:
        if self.paused:
            call.files.pause(self._recording, False, call.services.wall())
        call.session.stop_recording(self._recording)
        call.clear_timer(_TIMER)
        self._recording = ""
        self.paused = False

    def _pause(self, call: Call, paused: bool) -> None:
        self.paused = paused
        call.session.pause_recording(self._recording, paused)
        call.files.pause(self._recording, paused, call.services.wall())
        if not paused and self.policy.beep:
            self._beep(call)

    def _beep(self, call: Call) -> None:
        if not self.paused:
            # Whoever hears music is on hold, and says nothing that could be recorded.
            legs = [leg for leg in (call.caller, self._callee) if not call.music.heard_by(leg)]
            for leg in legs:
                call.session.play(leg, _BEEP)
        call.set_timer(_TIMER, self.policy.beep or 0.0)

    def _played(self, call: Call, item: media.PlayEnded) -> None:
        if item.play not in self._announcing:
            return
        self._announcing.remove(item.play)
        if item.failure:
            # Recording people who were not told may be against the law: it counts as a recording that failed.
            self._announcing.clear()
            reason = f"the announcement {self.policy.announce} cannot be played: {item.failure}"
            refuse(call, self._callee, reason)
        elif not self._announcing:
            self._record(call)
