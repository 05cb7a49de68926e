"""Rooms: media that calls come into and go from, and that outlives each of them.

A room is a mix of the engine. A call joins with its own leg, by its own session, and only the engine ever has the media
of several calls together: calls know a room by the name of its mix, and nothing of each other. What concerns nobody's
leg (a sound that all hear, a recording of all) is the room's own, and so are the engine's events about it; the registry
gives them here, because the names of a room's things begin with the room's id as those of a call do with the call's.
"""

from __future__ import annotations

from collections.abc import Callable

from pbx.call.commands import Party
from pbx.call.ports import Services
from pbx.call.recording_log import RecordingLog
from pbx.call.summary import RecordingSummary, Summary
from pbx.call.table import State
from pbx.cause import cause_named
from pbx.dialplan.template import for_path
from pbx.media import events as media
from pbx.media.commands import Play, Record, StopRecording

__all__ = ["Room", "Rooms"]


class Room:
    """One room. `summary` is the record that its recordings belong to; it is written only if there are some."""

    __slots__ = ("_count", "_files", "_services", "id", "mix", "on_speaker", "summary")

    def __init__(self, services: Services, identity: str, name: str) -> None:
        self._services = services
        self._count = 0
        self.id = identity
        self.mix = f"{identity}/mix"
        self.on_speaker: Callable[[str, int], None] | None = None
        """Hears of each stream that has the floor (empty: nobody talks) and its level in dBov."""
        self.summary = Summary(identity, f"conference/{name}", Party(""), name, services.wall(), services.now())
        self._files = RecordingLog(self.summary, services.observer.recording_changed)

    def play(self, sound: str) -> None:
        """Let everybody in the room hear a sound."""
        self._services.submit(Play(self.mix, self._name(), self._services.sounds(sound)))

    def record(self) -> None:
        """Record what all hear, unless that is done already; to be called when somebody has joined."""
        if self._files.running:
            return
        now, recording = self._services.wall(), self._name()
        sound_format = self._services.settings.recording.format or "wav"
        name = f"{for_path(self.summary.called)}-{recording.replace('/', '-')}"
        path = self._services.recording_path(name, now)
        path = f"{path.removesuffix('.wav')}.{sound_format}"
        self._services.submit(Record(recording, self.mix, "", path, format=sound_format))
        self._files.began(RecordingSummary(recording, path, now, self.summary.source, ""))

    def stop_recording(self) -> None:
        """End what is being recorded."""
        for recording in self._files.running:
            self._services.submit(StopRecording(recording))

    @property
    def recording(self) -> bool:
        """True while the room is being recorded."""
        return bool(self._files.running)

    def close(self) -> None:
        """Take it that nobody is there any more."""
        self.stop_recording()
        self.summary.state = State.ENDED.value
        self.summary.cause = cause_named("completed")
        self.summary.ended, self.summary.ended_at = self._services.now(), self._services.wall()

    def take(self, event: media.Event) -> None:
        """Take what the engine tells of the room."""
        if isinstance(event, media.ActiveSpeaker):
            if self.on_speaker is not None:
                self.on_speaker(event.stream, event.level)
        elif isinstance(event, (media.RecordingEnded, media.RecordingFailed)):
            self._files.note(event)

    def _name(self) -> str:
        self._count += 1
        return f"{self.id}/{self._count}"


class Rooms:
    """Every room there is, by id. One that is closed stays until its recordings are whole."""

    __slots__ = ("_rooms", "_services")

    def __init__(self, services: Services) -> None:
        self._services = services
        self._rooms: dict[str, Room] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    def open(self, name: str) -> Room:
        """Make a room; `name` is what people know it by."""
        room = Room(self._services, self._services.token(), name)
        self._rooms[room.id] = room
        return room

    def close(self, room: Room) -> None:
        """Take it that nobody is in a room any more."""
        room.close()
        self._forget_if_done(room)

    def take(self, owner: str, event: media.Event) -> bool:
        """Take what the engine tells of a room; False if there is none of this id."""
        room = self._rooms.get(owner)
        if room is None:
            return False
        room.take(event)
        self._forget_if_done(room)
        return True

    def _forget_if_done(self, room: Room) -> None:
        if room.summary.state == State.ENDED.value and not room.recording:
            self._rooms.pop(room.id, None)
