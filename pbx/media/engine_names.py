"""What the engine's binding calls things by: callers name them by text, the native engine by numbers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from pbx.errors import UsageError
from pbx.media.groups import Group, Mixes

__all__ = ["Named", "Names"]


@dataclass(slots=True)
class Named:
    """What a name stands for in the native engine."""

    number: int
    group: Group
    """That it belongs to; of a mix's plays and recordings, the mix's home."""
    name: str
    owner: str
    """The group of a stream, the stream or mix of a play, the path of a recording."""


class Names:
    """All that has a name now."""

    __slots__ = ("_by_number", "_numbers", "groups", "mixes", "plays", "recordings", "streams")

    def __init__(self) -> None:
        self._numbers = count(1)
        self._by_number: dict[int, Named] = {}
        self.streams: dict[str, Named] = {}
        self.plays: dict[str, Named] = {}
        self.recordings: dict[str, Named] = {}
        self.groups: dict[str, Group] = {}
        self.mixes = Mixes()

    def number(self) -> int:
        """Return a number that was never used."""
        return next(self._numbers)

    def add(self, kind: dict[str, Named], name: str, group: Group, owner: str) -> Named:
        """Give a stream, play or recording its number. Raises UsageError for a name that is in use."""
        if name in kind:
            raise UsageError(f"the media engine was given the name {name!r} twice")
        named = Named(self.number(), group, name, owner)
        kind[name] = self._by_number[named.number] = named
        return named

    def numbered(self, number: int) -> Named | None:
        """Return what has a number."""
        return self._by_number.get(number)

    def forget(self, kind: dict[str, Named], number: int) -> Named | None:
        """Strike off and return what has a number."""
        named = self._by_number.pop(number, None)
        if named is not None:
            del kind[named.name]
        return named

    def forget_stream(self, number: int) -> Named | None:
        """Strike off and return a stream, which leaves its mix; its group ends with its last stream."""
        named = self.forget(self.streams, number)
        if named is not None:
            self.mixes.leave(named.name)
            named.group.members.remove(named.name)
            if not named.group.members:
                del self.groups[named.owner]
        return named

    def sounding(self, name: str) -> Named | None:
        """Return what can be played to and recorded: a stream or a mix."""
        stream = self.streams.get(name)
        if stream is not None:
            return stream
        mix = self.mixes.get(name)
        return None if mix is None else Named(mix.number, mix.home, mix.name, "")
