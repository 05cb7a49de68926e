"""Music for whoever is put on hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.media import events as media

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = ["Music"]


class Music:
    """Plays to a leg while the other one holds it.

    Only extensions hold with our music: what a trunk sends while it holds (its own, most likely) is passed on.
    """

    __slots__ = ("_plays",)

    def __init__(self) -> None:
        self._plays: dict[str, str] = {}

    def heard_by(self, leg: str) -> bool:
        """Return whether a leg hears music now."""
        return leg in self._plays

    def is_played_for(self, call: Call, holder: str) -> bool:
        """Return whether there is music for whoever `holder` puts on hold."""
        target = call.summary.legs[holder].target
        return target.startswith("extension/") and bool(call.services.music())

    def review(self, call: Call, *legs: str) -> None:
        """Begin or end the music of two connected legs, by what they have agreed to."""
        session = call.session
        for leg, other in (legs, legs[::-1]):
            held = session.holds(other) and session.hears(leg) and not session.holds(leg)
            if held and leg not in self._plays and self.is_played_for(call, other):
                self._plays[leg] = session.play(leg, *call.services.music(), shared=True)
            elif not held and leg in self._plays:
                session.stop_playing(leg, self._plays.pop(leg))

    def stop(self, call: Call) -> None:
        """End all of it: who hears it is connected anew."""
        for leg, play in self._plays.items():
            if call.session.ready(leg):
                call.session.stop_playing(leg, play)
        self._plays.clear()

    def take(self, item: media.PlayEnded) -> None:
        """Take the end of a play: music ends by itself only if nothing of it can be played."""
        for leg, play in list(self._plays.items()):
            if play == item.play:
                del self._plays[leg]
