"""Conferences: calls that hear each other, by the name of a room.

A conference is there while it has members. What one who comes may do stands in the step of the dialplan that it came
by; what is the same for all (the room, its recording, who moderates) is kept here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from pbx.call.call import Call
from pbx.call.items import HangUpWanted, Wish
from pbx.call.rooms import Room, Rooms
from pbx.cause import EndCause, cause_named
from pbx.dialplan.steps import ConferenceStep

__all__ = ["Conference", "Conferences", "Member"]

COMES, GOES = "confbridge-join", "confbridge-leave"
"""Sounds that all hear."""


@dataclass(slots=True, eq=False)
class Member:
    """A call in a conference."""

    call: Call
    step: ConferenceStep
    moderator: bool
    since: float
    """Monotonic seconds."""
    muted: bool = False
    held_mute: bool = False
    """Muted by an operator: the member cannot change it itself."""

    @property
    def id(self) -> str:
        """The call's id, by which operators name the member."""
        return self.call.id


@dataclass(slots=True, eq=False)
class Conference:
    """One room and who is in it."""

    name: str
    room: Room
    since: float
    members: dict[str, Member] = field(default_factory=dict)
    """By the id of their call, in the order in which they came."""
    speaker: str = ""
    """The member who has the floor; empty while nobody talks."""

    @property
    def moderated(self) -> bool:
        """True while a moderator is there."""
        return any(member.moderator for member in self.members.values())

    def silent(self, member: Member) -> bool:
        """Return whether a member still waits for a moderator."""
        return member.step.wait_for_moderator and not self.moderated

    def heard(self, stream: str, _level: int) -> None:
        """Take it who has the floor."""
        self.speaker = stream.rpartition("/")[0]


class Conferences:
    """All conferences of a server, by name."""

    def __init__(self, rooms: Rooms, now: Callable[[], float]) -> None:
        self._rooms = rooms
        self._now = now
        self._conferences: dict[str, Conference] = {}

    def all(self) -> list[Conference]:
        """Return every conference, the longest one first."""
        return list(self._conferences.values())

    def get(self, name: str) -> Conference | None:
        """Return the conference of this name, if somebody is in it."""
        return self._conferences.get(name)

    def full(self, step: ConferenceStep) -> bool:
        """Return whether there is no place for one more, as far as `step` goes."""
        found = self._conferences.get(step.name)
        return bool(step.max_members) and found is not None and len(found.members) >= step.max_members

    # -- coming and going

    def enter(self, call: Call, step: ConferenceStep, moderator: bool) -> Member:
        """Take a call in."""
        conference = self._conferences.get(step.name)
        if conference is None:
            conference = Conference(step.name, self._rooms.open(step.name), self._now())
            conference.room.on_speaker = conference.heard
            self._conferences[step.name] = conference
        was_moderated = conference.moderated
        member = Member(call, step, moderator, self._now(), muted=step.mute and not moderator)
        conference.members[call.id] = member
        call.ending.listen(lambda: self.leave(member))
        silent = conference.silent(member)
        call.session.join(call.caller, conference.room.mix, mute=silent or member.muted, deaf=silent)
        if moderator and not was_moderated:
            self._tell_all(conference)
        # What follows is the room's own, and the engine must know the first member before.
        call.post(Wish(lambda: self._arrived(conference, member)))
        return member

    def _arrived(self, conference: Conference, member: Member) -> None:
        if member.id not in conference.members:
            return
        if member.step.record:
            conference.room.record()
        if member.step.announce and len(conference.members) > 1:
            conference.room.play(COMES)

    def leave(self, member: Member) -> None:
        """Take it that a call is gone; harmless if it was taken so already."""
        conference = self._conferences.get(member.step.name)
        if conference is None or conference.members.get(member.id) is not member:
            return
        del conference.members[member.id]
        if conference.speaker == member.id:
            conference.speaker = ""
        if not conference.members:
            del self._conferences[conference.name]
            self._rooms.close(conference.room)
            return
        if member.step.announce:
            conference.room.play(GOES)
        if member.moderator and not conference.moderated:
            self._moderators_gone(conference)

    def _moderators_gone(self, conference: Conference) -> None:
        for other in list(conference.members.values()):
            if other.step.end_with_moderator:
                other.call.post(HangUpWanted(cause_named("completed", "the moderator left the conference")))
        self._tell_all(conference)

    # -- roles

    def toggle_mute(self, member: Member) -> bool:
        """Mute a member at its own wish, or let it be heard again; return whether it is muted now."""
        if not member.held_mute:
            member.muted = not member.muted
            self._set_role(member)
        return member.muted

    def mute(self, name: str, member_id: str, muted: bool) -> bool:
        """Mute a member, or let it be heard again; False if it is not there."""
        member = self._member(name, member_id)
        if member is None:
            return False
        member.muted = member.held_mute = muted
        member.call.post(Wish(lambda: self._set_role(member)))
        return True

    def kick(self, name: str, member_id: str, cause: EndCause | None = None) -> bool:
        """End a member's call; False if it is not there."""
        member = self._member(name, member_id)
        if member is None:
            return False
        member.call.post(HangUpWanted(cause or cause_named("operator")))
        return True

    def end(self, name: str) -> bool:
        """End the calls of all members; False if there is no such conference."""
        conference = self._conferences.get(name)
        if conference is None:
            return False
        for member_id in list(conference.members):
            self.kick(name, member_id)
        return True

    def record(self, name: str, on: bool) -> bool:
        """Begin to record a conference, or stop; False if there is none of this name."""
        conference = self._conferences.get(name)
        if conference is None:
            return False
        if on:
            conference.room.record()
        else:
            conference.room.stop_recording()
        return True

    def _member(self, name: str, member_id: str) -> Member | None:
        conference = self._conferences.get(name)
        return conference.members.get(member_id) if conference is not None else None

    def _tell_all(self, conference: Conference) -> None:
        for member in conference.members.values():
            member.call.post(Wish(partial(self._set_role, member)))

    def _set_role(self, member: Member) -> None:
        conference = self._conferences.get(member.step.name)
        if conference is None or conference.members.get(member.id) is not member:
            return
        silent = conference.silent(member)
        member.call.session.set_role(member.call.caller, mute=silent or member.muted, deaf=silent)
