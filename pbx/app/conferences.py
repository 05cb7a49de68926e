"""Conferences and supervision as the web asks for them."""

from __future__ import annotations

from collections.abc import Callable

from pbx.call.registry import CallRegistry
from pbx.call.supervision import Mode
from pbx.dialplan.steps import Target
from pbx.features.conference import Conference, Conferences, Member
from pbx.web.ports import ConferenceState, MemberState

__all__ = ["ConferenceDesk", "supervise"]


class ConferenceDesk:
    """Implements `pbx.web.ports.ConferenceDesk`."""

    def __init__(self, conferences: Conferences, now: Callable[[], float]) -> None:
        self._conferences = conferences
        self._now = now
        self.mute = conferences.mute
        self.kick = conferences.kick
        self.end = conferences.end
        self.record = conferences.record

    def all(self) -> list[ConferenceState]:
        """Return every conference, the longest one first."""
        now = self._now()
        return [
            ConferenceState(
                conference.name,
                now - conference.since,
                conference.room.recording,
                [self._member(conference, member, now) for member in conference.members.values()],
            )
            for conference in self._conferences.all()
        ]

    def _member(self, conference: Conference, member: Member, now: float) -> MemberState:
        summary = member.call.summary
        caller = summary.caller
        return MemberState(
            member.id,
            summary.source,
            "" if caller.anonymous else caller.number,
            "" if caller.anonymous else caller.name,
            now - member.since,
            member.moderator,
            member.muted,
            conference.silent(member),
            conference.speaker == member.id,
        )


def supervise(registry: CallRegistry, call: str, supervisor: str, mode: str, whisper_to: str) -> None:
    """Let an extension (``extension/100``) supervise a call. LookupError, in words, if that cannot be."""
    _, _, name = supervisor.partition("/")
    registry.supervise(call, Target("extension", name, name), Mode(mode), whisper_to)
