"""What the native engine tells, as events (`pbx.media.events`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Any

from pbx.media import events as e
from pbx.media.engine_names import Names
from pbx.native._engine import ffi, lib

if TYPE_CHECKING:
    from pbx.native._engine import _CData

__all__ = ["Reader", "text"]

_REFUSALS = {
    lib.ENGINE_REFUSED_NOT: e.Refusal.NOT,
    lib.ENGINE_REFUSED_PORT: e.Refusal.PORT,
    lib.ENGINE_REFUSED_HOST: e.Refusal.HOST,
    lib.ENGINE_REFUSED_POLICY: e.Refusal.POLICY,
}


def text(value: object) -> str:
    """Return a string of the native engine's."""
    return ffi.string(value).decode(errors="replace")


_CODES = {"uint64_t": "Q", "int64_t": "q", "double": "d", "int": "i"}


def _layout() -> tuple[Struct, tuple[str, ...]]:
    """Return how the native counts are read at once, and their names in that order: each by itself costs ten times as
    much, and there are forty."""
    form, names, end = "=", [], 0
    for name, field in ffi.typeof("struct engine_counts").fields:
        kind = field.type
        form += f"{field.offset - end}x{_CODES.get(kind.cname) or f'{ffi.sizeof(kind)}s'}"
        end = field.offset + ffi.sizeof(kind)
        names.append(name)
    return Struct(form), tuple(names)


_COUNTS, _NAMES = _layout()
_REFUSAL, _SOURCE = _NAMES.index("refusal"), _NAMES.index("source")


def _statistics(counts: _CData) -> e.StreamStatistics:
    values: list[Any] = list(_COUNTS.unpack_from(ffi.buffer(ffi.addressof(counts))))
    values[_REFUSAL] = _REFUSALS[values[_REFUSAL]]
    for index in range(_SOURCE, len(values)):
        values[index] = values[index].partition(b"\0")[0].decode(errors="replace")
    return e.StreamStatistics(*values)


class Reader:
    """Reads events of a native engine. `moved` is told of a group that has another number: the old one, the new one."""

    def __init__(self, names: Names, moved: Callable[[int, int], None]) -> None:
        self._names = names
        self._on_moved = moved
        self._event: dict[int, Callable[[_CData], e.Event | None]] = {
            lib.ENGINE_OPENED: self._opened,
            lib.ENGINE_LATCHED: self._latched,
            lib.ENGINE_DIGIT: self._digit,
            lib.ENGINE_PLAY_ENDED: self._play_ended,
            lib.ENGINE_RECORDING_ENDED: self._recording_ended,
            lib.ENGINE_RECORDING_FAILED: self._recording_failed,
            lib.ENGINE_RECORDING_BEHIND: self._recording_behind,
            lib.ENGINE_RECORDING_FINISHING: self._recording_finishing,
            lib.ENGINE_NO_MEDIA: self._no_media,
            lib.ENGINE_ACTIVE_SPEAKER: self._active_speaker,
            lib.ENGINE_MOVED: self._moved,
            lib.ENGINE_STATISTICS: self._statistics,
            lib.ENGINE_CLOSED: self._stream_closed,
        }

    def read(self, native: _CData) -> e.Event | None:
        """Return what a native event tells, and forget what has ended by it; None for what is nobody's any more."""
        return self._event[native.kind](native)

    def _stream(self, native: _CData) -> str:
        named = self._names.numbered(native.stream)
        return "" if named is None else named.name

    def _moved(self, native: _CData) -> e.Event | None:
        self._on_moved(native.stream, native.object)
        return None

    def _opened(self, native: _CData) -> e.Event | None:
        return e.Opened(self._stream(native), text(native.address), native.port, native.rtcp_port)

    def _latched(self, native: _CData) -> e.Event | None:
        return e.Latched(self._stream(native), text(native.address), native.port)

    def _digit(self, native: _CData) -> e.Event | None:
        return e.Digit(self._stream(native), native.digit.decode(), native.milliseconds, bool(native.relayed))

    def _play_ended(self, native: _CData) -> e.Event | None:
        play = self._names.forget(self._names.plays, native.object)
        if play is None:
            return None
        digit = native.digit.decode().strip("\0")
        return e.PlayEnded(play.owner, play.name, text(native.text), native.milliseconds, digit)

    def _recording_ended(self, native: _CData) -> e.Event | None:
        recording = self._names.forget(self._names.recordings, native.object)
        if recording is None:
            return None
        note = text(native.text)
        return e.RecordingEnded(
            recording.name,
            str(Path(recording.owner).with_suffix(".wav")) if note else recording.owner,
            native.milliseconds,
            native.octets,
            text(native.sha256),
            native.gaps,
            note,
        )

    def _recording_behind(self, native: _CData) -> e.Event | None:
        named = self._names.numbered(native.object)
        return None if named is None else e.RecordingBehind(named.name)

    def _recording_finishing(self, native: _CData) -> e.Event | None:
        named = self._names.numbered(native.object)
        return None if named is None else e.RecordingFinishing(named.name)

    def _recording_failed(self, native: _CData) -> e.Event | None:
        recording = self._names.forget(self._names.recordings, native.object)
        if recording is None:
            return None
        return e.RecordingFailed(recording.name, recording.owner, text(native.text))

    def _no_media(self, native: _CData) -> e.Event | None:
        return e.NoMedia(self._stream(native), native.milliseconds)

    def _active_speaker(self, native: _CData) -> e.Event | None:
        mix = self._names.mixes.numbered(native.object)
        if mix is None:
            return None  # its last member has left meanwhile
        return e.ActiveSpeaker(mix.name, self._stream(native) if native.stream else "", native.level)

    def _statistics(self, native: _CData) -> e.Event | None:
        return e.Statistics(self._stream(native), _statistics(native.counts))

    def _stream_closed(self, native: _CData) -> e.Event | None:
        named = self._names.forget_stream(native.stream)
        if named is None:
            return None  # a command was under way to a stream whose Closed has been told
        return e.Closed(named.name, _statistics(native.counts), text(native.text))
