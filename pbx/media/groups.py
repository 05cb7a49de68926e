"""What the engine's binding knows of groups and mixes: which packet thread carries them, and who belongs to them.

Streams of one call form a group. A mix has members of several, which one packet thread must carry: a group that joins
the mix of another thread is moved there first. Until it has arrived, what it is told to do waits here, in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pbx.media import commands as c

__all__ = ["Group", "Mix", "Mixes", "subject_of"]


@dataclass(slots=True)
class Group:
    """Streams that may be connected to each other."""

    name: str
    number: int
    """As the native engine has it; another one after a move."""
    members: list[str] = field(default_factory=list)
    """Its streams: two, mostly."""
    held: list[c.Command] | None = None
    """The commands that wait while the group is being moved."""


@dataclass(slots=True)
class Mix:
    """A mix that has members."""

    name: str
    number: int
    home: Group
    """On the packet thread that carries the mix; the group of its first member as it was then."""
    members: set[str] = field(default_factory=set)


class Mixes:
    """The mixes there are. A stream is in one at most."""

    __slots__ = ("_by_name", "_by_number", "_of_stream")

    def __init__(self) -> None:
        self._by_name: dict[str, Mix] = {}
        self._by_number: dict[int, Mix] = {}
        self._of_stream: dict[str, Mix] = {}

    def get(self, name: str) -> Mix | None:
        """Return a mix by its name."""
        return self._by_name.get(name)

    def numbered(self, number: int) -> Mix | None:
        """Return a mix by its number."""
        return self._by_number.get(number)

    def of(self, stream: str) -> Mix | None:
        """Return the mix that a stream is in."""
        return self._of_stream.get(stream)

    def begin(self, name: str, number: int, group: Group) -> Mix:
        """Make a mix that begins on the packet thread of a group."""
        mix = Mix(name, number, Group(name, group.number))
        self._by_name[name] = self._by_number[number] = mix
        return mix

    def enter(self, mix: Mix, stream: str) -> None:
        """Make a stream a member."""
        self.leave(stream, but=mix)
        mix.members.add(stream)
        self._of_stream[stream] = mix

    def leave(self, stream: str, but: Mix | None = None) -> None:
        """Strike a stream off its mix, unless that is `but`; a mix ends with its last member."""
        mix = self._of_stream.get(stream)
        if mix is None or mix is but:
            return
        del self._of_stream[stream]
        mix.members.discard(stream)
        if not mix.members:
            del self._by_name[mix.name]
            del self._by_number[mix.number]


def subject_of(command: c.Command) -> str:
    """Return the stream, or the recording, that says which group a command is for. An Open names its group itself."""
    if isinstance(command, (c.Connect, c.Record)):
        return command.left
    if isinstance(command, (c.PauseRecording, c.StopRecording)):
        return command.recording
    return command.stream
