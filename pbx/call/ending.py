"""The end of a call: decided once, then waited for until each leg, stream and recording has said its last word."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pbx.call import commands
from pbx.call.items import Item, TimerDue
from pbx.call.table import State
from pbx.cause import EndCause, cause_named
from pbx.media import events as media

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = ["Ending"]

_GRACE = "media-grace"
_PASSING = ("too-many-calls", "no-ports")
"""Reasons to refuse a call that pass by themselves."""


class Ending:
    """How one call ends."""

    __slots__ = ("_listeners", "_on_ended", "_waiting")

    def __init__(self, on_ended: Callable[[Call], None]) -> None:
        self._on_ended = on_ended
        self._listeners: list[Callable[[], None]] = []
        self._waiting: list[str] = []
        """The streams and recordings whose end the engine has not told yet."""

    def listen(self, tell: Callable[[], None]) -> None:
        """Have it told when the end is decided, while legs and streams are still there."""
        self._listeners.append(tell)

    def decide(self, call: Call, cause: EndCause) -> None:
        """Close legs, streams and recordings, unless that is done; the call is over when they are."""
        if call.state in (State.ENDING, State.ENDED):
            return
        call.state = State.ENDING
        listeners, self._listeners = self._listeners, []
        for tell in listeners:
            tell()
        _write_down(call, cause)
        call.let_go()
        for recording in call.files.running:
            call.files.pause(recording, False, call.services.wall())
            call.session.stop_recording(recording)
            self._waiting.append(recording)
        self._waiting.extend(call.session.close_all())
        refused = call.caller if call.answer_is_due else ""
        call.answer_is_due = False
        headers = _refusal_headers(call, cause)
        call.legs.dismiss_all(
            lambda leg: commands.Reject(leg, cause, headers) if leg == refused else commands.HangUp(leg, cause)
        )
        if self._waiting:
            self.await_media(call)
        self.finish_if_done(call)

    def await_media(self, call: Call) -> None:
        """Give the engine its time, from now on, for what it has still to finish."""
        call.set_timer(_GRACE, call.services.settings.media_grace)

    def take(self, call: Call, item: Item) -> None:
        """Take what happens while the call ends."""
        if isinstance(item, TimerDue):
            if item.name != _GRACE:
                return
            # The engine owes its last word and does not give it: the record is written without it.
            call.files.give_up("the media engine did not finish the file in time")
            self._waiting.clear()
        elif isinstance(item, media.Closed):
            self._strike(item.stream)
        elif isinstance(item, (media.RecordingEnded, media.RecordingFailed)):
            call.files.note(item)
            self._strike(item.recording)
        self.finish_if_done(call)

    def _strike(self, name: str) -> None:
        if name in self._waiting:
            self._waiting.remove(name)

    def collapse(self, call: Call) -> None:
        """End the call after a fault of our own, whatever state it is in: once in good order, at the second fault by
        force."""
        cause = cause_named("internal-error")
        by_force = call.state is State.ENDING
        try:
            self.decide(call, cause)
        except Exception as error:  # noqa: BLE001  # the last resort: nothing of this call may reach another
            call.services.observer.fault(call.id, error)
            by_force = True
        if by_force:
            call.legs.forget_all(cause)
            self._waiting.clear()
            self.finish_if_done(call)

    def finish_if_done(self, call: Call) -> None:
        """End an ending call whose legs, streams and recordings have all gone."""
        if call.state is State.ENDING and not call.legs and not self._waiting:
            call.state = State.ENDED
            call.summary.state = State.ENDED.value
            call.write_up()
            call.services.observer.call_ended(call.summary)
            self._on_ended(call)


def _write_down(call: Call, cause: EndCause) -> None:
    summary, services = call.summary, call.services
    summary.state = State.ENDING.value
    summary.cause = cause
    summary.ended = services.now()
    summary.ended_at = services.wall()


def _refusal_headers(call: Call, cause: EndCause) -> tuple[tuple[str, str], ...]:
    # RFC 3261 §21.5.4: the server MAY indicate when the client should retry the request.
    if cause.slug not in _PASSING:
        return ()
    return (("Retry-After", f"{max(1, round(call.services.settings.retry_after))}"),)
