"""The audio verdict of a call: asked for some time after the answer and ever again, written down when it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.media.events import Verdict

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = ["VERDICT_TIMER", "Verdicts"]

VERDICT_TIMER = "verdict"
"""The name of the timer."""
_SHORTEST = 1.0
"""Seconds that a call must have lasted for its audio to be judged when it ends before the first verdict."""


class Verdicts:
    """When one call's audio is judged. Holds nothing but what is due: the findings are in the summary's legs."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun = False

    def begin(self, call: Call) -> None:
        """Take that the call was answered."""
        after = call.services.settings.verdict_after
        if after > 0 and not self._begun:
            self._begun = True
            call.set_timer(VERDICT_TIMER, after)

    def due(self, call: Call) -> None:
        """Ask the engine how the audio does; the answers come as Statistics."""
        call.session.ask_counts(self._who(call))
        call.set_timer(VERDICT_TIMER, call.services.settings.verdict_after)

    def take(self, call: Call) -> None:
        """Judge, if all have come that were asked for."""
        for verdict in call.session.judge(self._who(call), call.services.settings.verdict_after):
            self._note(call, verdict)

    def finish(self, call: Call) -> None:
        """Judge what a call that is over had no time for, by all its packets."""
        summary = call.summary
        lasted = summary.duration
        if not self._begun or lasted < _SHORTEST:
            return
        who = {leg.leg: leg.target for leg in summary.legs.values() if leg.answered}
        for verdict in call.session.judge_whole(who, lasted):
            self._note(call, verdict)

    def _who(self, call: Call) -> dict[str, str]:
        legs = call.summary.legs.values()
        return {leg.leg: leg.target for leg in legs if leg.answered and not leg.ended}

    def _note(self, call: Call, verdict: Verdict) -> None:
        name = call.session.leg_of(verdict.stream)
        leg = call.summary.legs.get(name) if name is not None else None
        if leg is None:
            return
        if verdict.arriving:
            leg.receiving = verdict
        else:
            leg.sending = verdict
        call.services.observer.audio_judged(call.summary, leg, verdict)
