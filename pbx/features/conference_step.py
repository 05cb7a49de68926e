"""The way of one call into a conference: the PIN, the words of welcome, and the keys it presses while it is there."""

from __future__ import annotations

import hmac
from typing import Any

from pbx.call.call import Call
from pbx.call.serve import WithStream
from pbx.cause import cause_named
from pbx.dialplan.steps import ConferenceStep
from pbx.features.conference import Conferences, Member
from pbx.media import events as media

__all__ = ["ConferenceRunner"]

_TRIES = 3
_PATIENCE = 10.0
"""Seconds without a key until what was keyed in counts."""
_TIMER = "pin"
_MUTE_KEYS = "*6"


class ConferenceRunner(WithStream):
    """ConferenceStep."""

    __slots__ = ("_conferences", "_keys", "_last", "_member", "_prompt", "_step", "_tries")

    def __init__(self, call: Call, step: ConferenceStep, conferences: Conferences) -> None:
        super().__init__(call)
        self._step = step
        self._conferences = conferences
        self._keys = ""
        self._last = False
        """The prompt that plays is the last one; the call goes on when it is over."""
        self._member: Member | None = None
        self._prompt = ""
        self._tries = 0

    def begin(self) -> bool:
        """Answer, and ask for the PIN if there is one."""
        call = self._call
        if not call.answer_ourselves():
            return False
        if not call.session.decodable(call.caller):
            call.end(cause_named("media-unacceptable", "a codec that the server cannot decode"))
            return False
        if self._step.pin or self._step.moderator_pin:
            self._ask("conf-getpin")
        else:
            self._enter(self._step.moderator)
        return True

    def happened(self, item: Any) -> None:
        """Take keys, the end of prompts, and the end of patience."""
        if isinstance(item, media.Digit):
            self._key(item.digit)
        elif isinstance(item, media.PlayEnded) and item.play == self._prompt:
            self._prompt = ""
            if self._last:
                self._call.route.step_done(self._call)
        elif getattr(item, "name", "") == _TIMER and self._member is None and not self._last:
            self._judge()

    def _play(self, sound: str) -> None:
        call = self._call
        self._prompt = call.session.play(call.caller, *call.services.sounds(sound))

    # -- the PIN

    def _ask(self, sound: str) -> None:
        self._keys = ""
        self._play(sound)
        self._call.set_timer(_TIMER, _PATIENCE)

    def _key(self, digit: str) -> None:
        if self._last:
            return
        if self._member is not None:
            self._keys = (self._keys + digit)[-len(_MUTE_KEYS) :]
            if self._keys == _MUTE_KEYS:
                self._keys = ""
                self._play("conf-now-muted" if self._conferences.toggle_mute(self._member) else "conf-now-unmuted")
            return
        if self._prompt:  # whoever knows what is asked need not hear it to its end
            self._call.session.stop_playing(self._call.caller, self._prompt)
            self._prompt = ""
        if digit == "#":
            self._judge()
            return
        self._keys += digit
        self._call.set_timer(_TIMER, _PATIENCE)
        if len(self._keys) >= max(len(self._step.pin), len(self._step.moderator_pin)):
            self._judge()

    def _judge(self) -> None:
        step, keys = self._step, self._keys
        self._call.clear_timer(_TIMER)
        if step.moderator_pin and hmac.compare_digest(keys, step.moderator_pin):
            self._enter(True)
        elif hmac.compare_digest(keys, step.pin):  # without one of their own, members press # alone
            self._enter(step.moderator)
        else:
            self._tries += 1
            if self._tries < _TRIES:
                self._ask("conf-invalidpin")
            else:
                self._refuse("conf-invalidpin", "a wrong PIN, three times")

    # -- the room

    def _enter(self, moderator: bool) -> None:
        call, step, conferences = self._call, self._step, self._conferences
        self._keys = ""
        if conferences.full(step):
            self._refuse("conf-full", f"conference {step.name} is full")
            return
        alone = conferences.get(step.name) is None
        self._member = conferences.enter(call, step, moderator)
        if alone and step.announce:
            self._play("conf-onlyperson")

    def _refuse(self, sound: str, why: str) -> None:
        self._call.route.last_failure = cause_named("declined", why)
        self._last = True
        self._play(sound)
