"""The engine's commands (`pbx.media.commands`) carried out by the native engine."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pbx.errors import UsageError
from pbx.media import commands as c
from pbx.media import events as e
from pbx.media.engine_names import Names
from pbx.media.groups import Group, subject_of
from pbx.media.srtp import native_key
from pbx.native._engine import ffi, lib

if TYPE_CHECKING:
    from pbx.native._engine import _CData

__all__ = ["Commander"]

_NO_STREAM = "no such stream"
_CLAMPS: dict[c.Clamp, int] = {
    "never": lib.ENGINE_CLAMP_NEVER,
    "events": lib.ENGINE_CLAMP_EVENTS,
    "always": lib.ENGINE_CLAMP_ALWAYS,
}
_FORMATS = {"wav": lib.ENGINE_WAV, "flac": lib.ENGINE_FLAC, "opus": lib.ENGINE_OGG_OPUS}
_LONGEST_SEEK = 86_400_000
"""Milliseconds."""


def _parameter(codec: c.Codec, name: str) -> int:
    """Return a number that a=fmtp says; 0 where it says none, or one that no codec could mean."""
    for part in codec.parameters.split(";"):
        key, _, value = part.partition("=")
        value = value.strip()
        if key.strip().lower() == name and value.isascii() and value.isdigit() and len(value) < 8:
            return int(value)
    return 0


class Commander:
    """Gives commands to a native engine. `answer` is told what needs none: the events about streams that are gone."""

    def __init__(self, engine: _CData, names: Names, answer: Callable[[e.Event], None]) -> None:
        self._engine = engine
        self._names = names
        self._tell = answer
        self._moving: dict[int, Group] = {}
        self._pointed_at: list[_CData] = []
        """What the structs of the command under way point to, which must live until it has been given. No local
        variable can see to that: a compiled function lets go of one after its last use."""
        self.refused = 0
        """Commands that could not be carried out, and whose giver could not be told."""
        self._carry_out: dict[type, Callable[..., int]] = {
            c.Open: self._open,
            c.SetRemote: self._set_remote,
            c.SetKeys: self._set_keys,
            c.Connect: self._connect,
            c.Disconnect: self._disconnect,
            c.Play: self._play,
            c.PausePlaying: self._pause_playing,
            c.SeekPlaying: self._seek_playing,
            c.SetVolume: self._set_volume,
            c.StopPlaying: self._stop_playing,
            c.Record: self._record,
            c.PauseRecording: self._pause_recording,
            c.StopRecording: self._stop_recording,
            c.SendDigits: self._send_digits,
            c.HearDigits: self._hear_digits,
            c.TakeDigit: self._take_digit,
            c.Mute: self._mute,
            c.Join: self._join,
            c.SetRole: self._set_role,
            c.Leave: self._leave,
            c.Process: self._process,
            c.Query: self._query,
            c.Close: self._close,
        }

    def submit(self, command: c.Command) -> None:
        """Give a command. Raises UsageError for one that breaks the contract: a name used twice, a false address."""
        if self._hold(command):
            return
        try:
            result = self._carry_out[type(command)](command)
        finally:
            self._pointed_at.clear()
        if result == 0:
            return
        if result == -errno.ENOMEM:
            raise MemoryError
        raise UsageError(f"{command} breaks the media engine's contract")

    # Groups on their way to another thread.

    def _hold(self, command: c.Command) -> bool:
        """Keep a command of a group that is being moved for when it has arrived."""
        if not self._moving:
            return False
        if isinstance(command, c.Open):
            group = self._names.groups.get(command.group)
        else:
            name = subject_of(command)
            named = self._names.streams.get(name) or self._names.recordings.get(name)
            group = None if named is None else named.group
        if group is None or group.held is None:
            return False
        group.held.append(command)
        return True

    def move(self, group: Group, target: int, *waiting: c.Command) -> int:
        """Begin to move a group to the thread of another one, where `waiting` will be the first commands given."""
        group.held = [*waiting]
        self._moving[group.number] = group
        return lib.engine_move(self._engine, group.number, target)

    def moved(self, before: int, after: int) -> None:
        """Take that a group has arrived where it has another number, and give what has waited for that."""
        group = self._moving.pop(before)
        group.number = after
        held, group.held = group.held or [], None
        for command in held:
            try:
                self.submit(command)
            except UsageError:  # whoever gave it cannot be told any more
                self.refused += 1

    # What is answered without the native engine.

    def _answer(self, event: e.Event) -> int:
        self._tell(event)
        return 0

    def _no_such_stream(self, name: str) -> int:
        return self._answer(e.Closed(name, e.StreamStatistics(), _NO_STREAM))

    def _new(self, kind: str, value: object = None) -> _CData:
        """Return a C value that lives until the command under way has been given."""
        made = ffi.new(kind, value)
        self._pointed_at.append(made)
        return made

    # One each.

    def _open(self, command: c.Open) -> int:
        if command.group not in self._names.groups:
            self._names.groups[command.group] = Group(command.group, lib.engine_new_group(self._engine))
        group = self._names.groups[command.group]
        named = self._names.add(self._names.streams, command.stream, group, command.group)
        group.members.append(command.stream)
        result = lib.engine_open(self._engine, group.number, named.number, command.address.encode())
        if result != 0:
            self._names.forget_stream(named.number)
        return result

    def _set_remote(self, command: c.SetRemote) -> int:
        stream = self._names.streams.get(command.stream)
        if stream is None:
            return self._no_such_stream(command.stream)
        codecs = self._new("struct engine_codec[]", max(1, len(command.codecs)))
        for index, codec in enumerate(command.codecs):
            entry = codecs[index]
            entry.payload_type, entry.name = codec.payload_type, self._new("char[]", codec.name.encode())
            entry.rate, entry.channels = codec.rate, codec.channels
            if codec.parameters:
                entry.repair = _parameter(codec, "useinbandfec") == 1
                entry.discontinuous = _parameter(codec, "usedtx") == 1
                entry.bit_rate = _parameter(codec, "maxaveragebitrate")
        remote = self._new("struct engine_remote *")
        remote.address, remote.port = self._new("char[]", command.address.encode()), command.port
        remote.rtcp_address = self._new("char[]", command.rtcp_address.encode())
        remote.rtcp_port = command.rtcp_port
        remote.rtcp_mux, remote.latch = command.rtcp_mux, command.latch
        remote.opaque = command.opaque
        remote.send, remote.receive = command.send, command.receive
        remote.packet_time, remote.no_media_timeout = command.packet_time, command.no_media_timeout
        remote.codec_count, remote.codecs = len(command.codecs), codecs
        return lib.engine_set_remote(self._engine, stream.group.number, stream.number, remote)

    def _set_keys(self, command: c.SetKeys) -> int:
        kept = self._pointed_at
        receive, send = native_key(command.receive, kept), native_key(command.send, kept)
        return self._on(command.stream, lib.engine_set_keys, command.secured, receive, send, command.after_peer)

    def _connect(self, command: c.Connect) -> int:
        left, right = self._names.streams.get(command.left), self._names.streams.get(command.right)
        if left is None or right is None:
            return self._no_such_stream(command.left if left is None else command.right)
        if left.group is not right.group:
            raise UsageError(f"{command} connects streams of two groups")
        self._names.mixes.leave(command.left)
        self._names.mixes.leave(command.right)
        return lib.engine_connect(self._engine, left.group.number, left.number, right.number)

    def _on(self, name: str, carry_out: Callable[..., int], *arguments: object) -> int:
        """Give a command that is of one stream alone."""
        stream = self._names.streams.get(name)
        if stream is None:
            return self._no_such_stream(name)
        return carry_out(self._engine, stream.group.number, stream.number, *arguments)

    def _disconnect(self, command: c.Disconnect) -> int:
        return self._on(command.stream, lib.engine_disconnect)

    def _role(self, command: c.Join | c.SetRole) -> _CData:
        role = self._new("struct engine_role *")
        hearers = [self._names.streams[name].number for name in command.hearers if name in self._names.streams]
        # Names that are gone must not leave an empty list, which would mean everybody.
        role.mute, role.deaf = command.mute or bool(command.hearers and not hearers), command.deaf
        role.hearer_count, role.hearers = len(hearers), self._new("uint64_t[]", hearers or [0])
        return role

    def _join(self, command: c.Join) -> int:
        stream = self._names.streams.get(command.stream)
        if stream is None:
            return self._no_such_stream(command.stream)
        engine, group = self._engine, stream.group
        mix = self._names.mixes.get(command.mix)
        if mix is None:
            mix = self._names.mixes.begin(command.mix, self._names.number(), group)
        elif lib.engine_thread(engine, group.number) != lib.engine_thread(engine, mix.home.number):
            # All streams of the group go along, and so leave what mixes they are in.
            for name in group.members:
                self._names.mixes.leave(name)
            return self.move(group, mix.home.number, command)
        self._names.mixes.enter(mix, command.stream)
        return lib.engine_join(engine, group.number, stream.number, mix.number, command.rate, self._role(command))

    def _set_role(self, command: c.SetRole) -> int:
        return self._on(command.stream, lib.engine_set_role, self._role(command))

    def _leave(self, command: c.Leave) -> int:
        self._names.mixes.leave(command.stream)
        return self._on(command.stream, lib.engine_leave)

    def _mute(self, command: c.Mute) -> int:
        return self._on(command.stream, lib.engine_mute, command.receive, command.send)

    def _send_digits(self, command: c.SendDigits) -> int:
        return self._on(command.stream, lib.engine_send_digits, command.digits.encode(), command.duration)

    def _hear_digits(self, command: c.HearDigits) -> int:
        return self._on(command.stream, lib.engine_hear_digits, command.on, _CLAMPS[command.clamp])

    def _take_digit(self, command: c.TakeDigit) -> int:
        return self._on(command.stream, lib.engine_take_digit, command.digit.encode())

    def _process(self, command: c.Process) -> int:
        wish, asked = self._new("struct engine_processing *"), command.processing
        wish.level, wish.noise, wish.echo = asked.level, asked.noise, asked.echo
        result = self._on(command.stream, lib.engine_process, wish)
        if result != -errno.ENOTSUP:
            return result
        self.refused += 1
        return 0

    def _query(self, command: c.Query) -> int:
        return self._on(command.stream, lib.engine_query)

    def _close(self, command: c.Close) -> int:
        return self._on(command.stream, lib.engine_close)

    def _play(self, command: c.Play) -> int:
        stream = self._names.sounding(command.stream)
        if stream is None:
            return self._answer(e.PlayEnded(command.stream, command.play, _NO_STREAM))
        play = self._names.add(self._names.plays, command.play, stream.group, command.stream)
        names = [self._new("char[]", os.fsencode(sound)) for sound in command.sounds]
        sounds = self._new("struct engine_sounds *")
        sounds.count, sounds.sounds = len(names), self._new("char *[]", names)
        sounds.loop, sounds.shared, sounds.start = command.loop, command.shared, command.start
        sounds.volume, sounds.stopped_by = command.volume, self._new("char[]", command.stopped_by.encode())
        result = lib.engine_play(self._engine, stream.group.number, stream.number, play.number, sounds)
        if result != 0:
            self._names.forget(self._names.plays, play.number)
        return result

    def _on_play(self, name: str, carry_out: Callable[..., int], *arguments: object) -> int:
        """Give a command to a play; one that is over needs none."""
        play = self._names.plays.get(name)
        if play is None:
            return 0
        stream = self._names.sounding(play.owner)
        if stream is None:
            return 0
        return carry_out(self._engine, stream.group.number, stream.number, play.number, *arguments)

    def _pause_playing(self, command: c.PausePlaying) -> int:
        return self._on_play(command.play, lib.engine_pause_playing, command.paused)

    def _seek_playing(self, command: c.SeekPlaying) -> int:
        by = max(-_LONGEST_SEEK, min(_LONGEST_SEEK, command.milliseconds))
        return self._on_play(command.play, lib.engine_seek_playing, by)

    def _set_volume(self, command: c.SetVolume) -> int:
        return self._on_play(command.play, lib.engine_set_volume, command.decibels)

    def _stop_playing(self, command: c.StopPlaying) -> int:
        return self._on_play(command.play, lib.engine_stop_playing)

    def _record(self, command: c.Record) -> int:
        left = self._names.sounding(command.left)
        right = self._names.streams.get(command.right) if command.right else None
        if left is None or (command.right and right is None):
            return self._answer(e.RecordingFailed(command.recording, command.path, _NO_STREAM))
        if right is not None and left.group is not right.group:
            raise UsageError(f"{command} records streams of two groups")
        recording = self._names.add(self._names.recordings, command.recording, left.group, command.path)
        tape = self._new("struct engine_tape *")
        tape.format, tape.mixed, tape.maximum = _FORMATS[command.format], command.mixed, command.maximum
        other = 0 if right is None else right.number
        path = os.fsencode(command.path)
        return lib.engine_record(self._engine, left.group.number, recording.number, left.number, other, path, tape)

    def _pause_recording(self, command: c.PauseRecording) -> int:
        recording = self._names.recordings.get(command.recording)
        if recording is None:
            return 0
        return lib.engine_pause_recording(self._engine, recording.group.number, recording.number, command.paused)

    def _stop_recording(self, command: c.StopRecording) -> int:
        recording = self._names.recordings.get(command.recording)
        if recording is None:
            return 0
        return lib.engine_stop_recording(self._engine, recording.group.number, recording.number)
