"""The media engine as seen from Python: commands in, events out.

`Engine` binds the native engine (`pbx/native/include/engine.h`) to the vocabulary of `pbx.media.commands` and
`pbx.media.events`. It names things by text, the native engine by numbers; nothing else happens here.

    engine = Engine(20000, 29999)
    engine.submit(Open("leg-1", "call-1", "192.0.2.1"))
    select.select([engine.fileno()], [], [])     # a reactor does this
    for event in engine.drain(): ...
    last = engine.close()

A command for a stream that is not open is answered by Closed with a reason (a Play by PlayEnded, a Record by
RecordingFailed); each Open gets exactly one Closed in the end. Commands of one group are carried out in order.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from pbx.errors import EnvironmentFault, UsageError
from pbx.media import commands as c
from pbx.media import events as e
from pbx.media.groups import Group, Mixes, subject_of
from pbx.media.srtp import native_key, srtp_functions
from pbx.native._engine import ffi, lib

if TYPE_CHECKING:
    from pbx.native._engine import _CData

__all__ = ["Engine", "EngineCounters", "codec_names", "processes_sound"]

_NO_STREAM = "no such stream"
_ROOM = 64
"""Events moved out in one call of the native engine."""
_FORMATS = {"wav": lib.ENGINE_WAV, "flac": lib.ENGINE_FLAC, "opus": lib.ENGINE_OGG_OPUS}
_REFUSALS = {
    lib.ENGINE_REFUSED_NOT: e.Refusal.NOT,
    lib.ENGINE_REFUSED_PORT: e.Refusal.PORT,
    lib.ENGINE_REFUSED_HOST: e.Refusal.HOST,
    lib.ENGINE_REFUSED_POLICY: e.Refusal.POLICY,
}
_LONGEST_SEEK = 86_400_000
"""Milliseconds."""


@dataclass(frozen=True, slots=True)
class EngineCounters:
    """Counts of the whole engine, for metrics."""

    streams: int
    ports_free: int
    ports_draining: int
    commands_refused: int
    """Commands that named what does not exist, or asked for what this build does not have."""
    events_dropped: int
    """Events lost because nobody drained."""
    recording_packets_dropped: int
    """Packets missing in recordings because the disk was too slow."""
    recordings: int
    plays: int
    mixes: int
    sounds_failed: int = 0
    """Sounds that could not be prepared for playing, or not to their end."""


@dataclass(slots=True)
class _Named:
    """What a name stands for in the native engine."""

    number: int
    group: Group
    """That it belongs to; of a mix's plays and recordings, the mix's home."""
    name: str
    owner: str
    """The group of a stream, the stream or mix of a play, the path of a recording."""


def codec_names() -> tuple[str, ...]:
    """Return the names of the codecs that this build decodes and encodes; others are relayed only."""
    return tuple(ffi.string(lib.engine_codec_names()).decode().split())


def processes_sound() -> bool:
    """Return whether this build can process what peers say (`pbx.media.commands.Process`)."""
    return bool(lib.engine_processes())


def _parameter(codec: c.Codec, name: str) -> int:
    """Return a number that a=fmtp says; 0 where it says none, or one that no codec could mean."""
    for part in codec.parameters.split(";"):
        key, _, value = part.partition("=")
        value = value.strip()
        if key.strip().lower() == name and value.isascii() and value.isdigit() and len(value) < 8:
            return int(value)
    return 0


def _text(value: object) -> str:
    return ffi.string(value).decode(errors="replace")


def _statistics(counts: _CData) -> e.StreamStatistics:
    return e.StreamStatistics(
        received_packets=counts.received_packets,
        received_octets=counts.received_octets,
        sent_packets=counts.sent_packets,
        sent_octets=counts.sent_octets,
        lost=counts.lost,
        jitter=counts.jitter,
        round_trip=counts.round_trip,
        remote_lost=counts.remote_lost,
        remote_jitter=counts.remote_jitter,
        rtcp_received=counts.rtcp_received,
        rtcp_sent=counts.rtcp_sent,
        stun_received=counts.stun_received,
        dropped_stranger=counts.dropped_stranger,
        dropped_source=counts.dropped_source,
        dropped_invalid=counts.dropped_invalid,
        dropped_payload=counts.dropped_payload,
        dropped_late=counts.dropped_late,
        dropped_unconnected=counts.dropped_unconnected,
        transcoded_packets=counts.transcoded_packets,
        concealed=counts.concealed,
        dropped_overdue=counts.dropped_overdue,
        buffer_delay=counts.buffer_delay,
        dropped_unauthentic=counts.dropped_unauthentic,
        dropped_replayed=counts.dropped_replayed,
        processed=counts.processed,
        voiced=counts.voiced,
        send_errors=counts.send_errors,
        extended_received=counts.extended_received,
        remote_rating=counts.remote_rating,
        remote_score=counts.remote_score,
        refused=counts.refused,
        refused_rtcp=counts.refused_rtcp,
        refusal=_REFUSALS[counts.refusal],
        inspected=counts.inspected,
        silent=counts.silent,
        clipped=counts.clipped,
        payload_type=counts.payload_type,
        level=counts.level,
        source=_text(counts.source),
        stranger=_text(counts.stranger),
    )


class Engine:
    """One native engine with its threads. All methods are for one thread, and none blocks except `close`.

    `first_port` to `last_port` is the range of RTP and RTCP ports, both inclusive; `drain` the milliseconds that a
    closed pair is not used again; `workers` the number of packet threads (0: one for each core); `writers` that of
    recording threads (0: one for every four cores); `traffic_class` the IP TOS octet of media; `report_interval` the
    milliseconds between two RTCP reports of a stream, on average; `cache` the MiB kept of prepared sounds; `backlog`
    the MiB of recorded packets that may wait for a slow disk.

    Raises EnvironmentFault when the machine cannot run it.
    """

    def __init__(
        self,
        first_port: int,
        last_port: int,
        *,
        drain: int = 5000,
        workers: int = 0,
        writers: int = 0,
        traffic_class: int = 0xB8,
        report_interval: int = 5000,
        cache: int = 64,
        backlog: int = 64,
    ) -> None:
        options = ffi.new("struct engine_options *")
        options.first_port, options.last_port = first_port, last_port
        options.drain, options.workers, options.writers = drain, workers, writers
        options.traffic_class, options.report_interval = traffic_class, report_interval
        options.cache_mebibytes, options.backlog_mebibytes = cache, backlog
        functions = srtp_functions()
        options.srtp = ffi.NULL if functions is None else functions
        fault = ffi.new("char[]", 160)
        self._engine = lib.engine_create(options, fault, 160)
        if self._engine == ffi.NULL:
            raise EnvironmentFault(
                f"The media engine cannot start with ports {first_port}-{last_port}: {_text(fault)}."
            )
        self._numbers = count(1)
        self._groups: dict[str, Group] = {}
        self._moving: dict[int, Group] = {}
        self._mixes = Mixes()
        self._refused = 0
        self._streams: dict[str, _Named] = {}
        self._plays: dict[str, _Named] = {}
        self._recordings: dict[str, _Named] = {}
        self._names: dict[int, _Named] = {}
        self._own: list[e.Event] = []
        self._buffer = ffi.new("struct engine_event[]", _ROOM)
        self._closed = False
        self._submit: dict[type, Callable[..., int]] = {
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

    def fileno(self) -> int:
        """Return a descriptor that is readable while events wait."""
        return lib.engine_fileno(self._engine)

    def submit(self, command: c.Command) -> None:
        """Give a command. Raises UsageError for one that breaks the contract: a name used twice, a false address."""
        if self._closed:
            raise UsageError(f"{command} was submitted to a media engine that is closed")
        if self._hold(command):
            return
        result = self._submit[type(command)](command)
        if result == 0:
            return
        if result == -errno.ENOMEM:
            raise MemoryError
        raise UsageError(f"{command} breaks the media engine's contract")

    def drain(self) -> list[e.Event]:
        """Return the events that wait, oldest first."""
        if self._closed:
            return []
        return self._drain()

    def counters(self) -> EngineCounters:
        """Return the counts of the whole engine."""
        counters = ffi.new("struct engine_counters *")
        lib.engine_read_counters(self._engine, counters)
        return EngineCounters(
            streams=counters.streams,
            ports_free=counters.ports_free,
            ports_draining=counters.ports_draining,
            commands_refused=counters.commands_refused + self._refused,
            events_dropped=counters.events_dropped,
            recording_packets_dropped=counters.recording_packets_dropped,
            recordings=counters.recordings,
            plays=counters.plays,
            mixes=counters.mixes,
            sounds_failed=counters.sounds_failed,
        )

    def close(self) -> list[e.Event]:
        """Close all streams, finish all recordings, end all threads; return the last events. May block on the disk."""
        if self._closed:
            return []
        lib.engine_stop(self._engine)
        last = self._drain()
        self._closed = True
        lib.engine_free(self._engine)
        self._engine = ffi.NULL
        return last

    # What is answered without the native engine.

    def _answer(self, event: e.Event) -> int:
        self._own.append(event)
        os.eventfd_write(self.fileno(), 1)
        return 0

    def _no_such_stream(self, name: str) -> int:
        return self._answer(e.Closed(name, e.StreamStatistics(), _NO_STREAM))

    def _new(self, kind: dict[str, _Named], name: str, group: Group, owner: str) -> _Named:
        if name in kind:
            raise UsageError(f"the media engine was given the name {name!r} twice")
        named = _Named(next(self._numbers), group, name, owner)
        kind[name] = self._names[named.number] = named
        return named

    def _forget(self, kind: dict[str, _Named], number: int) -> _Named | None:
        named = self._names.pop(number, None)
        if named is not None:
            del kind[named.name]
        return named

    # Commands.

    def _open(self, command: c.Open) -> int:
        if command.group not in self._groups:
            self._groups[command.group] = Group(command.group, lib.engine_new_group(self._engine))
        group = self._groups[command.group]
        named = self._new(self._streams, command.stream, group, command.group)
        group.members.add(command.stream)
        result = lib.engine_open(self._engine, group.number, named.number, command.address.encode())
        if result != 0:
            self._forget_stream(named.number)
        return result

    def _forget_stream(self, number: int) -> _Named | None:
        named = self._forget(self._streams, number)
        if named is not None:
            self._mixes.leave(named.name)
            named.group.members.discard(named.name)
            if not named.group.members:
                del self._groups[named.owner]
        return named

    def _set_remote(self, command: c.SetRemote) -> int:
        stream = self._streams.get(command.stream)
        if stream is None:
            return self._no_such_stream(command.stream)
        kept: list[_CData] = []  # what the struct points to must live until the call returns

        def string(text: str) -> _CData:
            kept.append(ffi.new("char[]", text.encode()))
            return kept[-1]

        codecs = ffi.new("struct engine_codec[]", max(1, len(command.codecs)))
        for index, codec in enumerate(command.codecs):
            entry = codecs[index]
            entry.payload_type, entry.name = codec.payload_type, string(codec.name)
            entry.rate, entry.channels = codec.rate, codec.channels
            if codec.parameters:
                entry.repair = _parameter(codec, "useinbandfec") == 1
                entry.discontinuous = _parameter(codec, "usedtx") == 1
                entry.bit_rate = _parameter(codec, "maxaveragebitrate")
        remote = ffi.new("struct engine_remote *")
        remote.address, remote.port = string(command.address), command.port
        remote.rtcp_address, remote.rtcp_port = string(command.rtcp_address), command.rtcp_port
        remote.rtcp_mux, remote.latch = command.rtcp_mux, command.latch
        remote.opaque = command.opaque
        remote.send, remote.receive = command.send, command.receive
        remote.packet_time, remote.no_media_timeout = command.packet_time, command.no_media_timeout
        remote.codec_count, remote.codecs = len(command.codecs), codecs
        return lib.engine_set_remote(self._engine, stream.group.number, stream.number, remote)

    def _set_keys(self, command: c.SetKeys) -> int:
        kept: list[_CData] = []
        receive, send = native_key(command.receive, kept), native_key(command.send, kept)
        return self._on(command.stream, lib.engine_set_keys, command.secured, receive, send, command.after_peer)

    def _connect(self, command: c.Connect) -> int:
        left, right = self._streams.get(command.left), self._streams.get(command.right)
        if left is None or right is None:
            return self._no_such_stream(command.left if left is None else command.right)
        if left.group is not right.group:
            raise UsageError(f"{command} connects streams of two groups")
        self._mixes.leave(command.left)
        self._mixes.leave(command.right)
        return lib.engine_connect(self._engine, left.group.number, left.number, right.number)

    def _on(self, name: str, carry_out: Callable[..., int], *arguments: object) -> int:
        """Give a command that is of one stream alone."""
        stream = self._streams.get(name)
        if stream is None:
            return self._no_such_stream(name)
        return carry_out(self._engine, stream.group.number, stream.number, *arguments)

    def _disconnect(self, command: c.Disconnect) -> int:
        return self._on(command.stream, lib.engine_disconnect)

    def _hold(self, command: c.Command) -> bool:
        """Keep a command of a group that is being moved for when it has arrived."""
        if not self._moving:
            return False
        if isinstance(command, c.Open):
            group = self._groups.get(command.group)
        else:
            name = subject_of(command)
            named = self._streams.get(name) or self._recordings.get(name)
            group = None if named is None else named.group
        if group is None or group.held is None:
            return False
        group.held.append(command)
        return True

    def _role(self, command: c.Join | c.SetRole) -> tuple[_CData, _CData]:
        """Return a role, and what it points to, which must live until the call returns."""
        role = ffi.new("struct engine_role *")
        hearers = [self._streams[name].number for name in command.hearers if name in self._streams]
        # Names that are gone must not leave an empty list, which would mean everybody.
        role.mute, role.deaf = command.mute or bool(command.hearers and not hearers), command.deaf
        numbers = ffi.new("uint64_t[]", hearers or [0])
        role.hearer_count, role.hearers = len(hearers), numbers
        return role, numbers

    def _join(self, command: c.Join) -> int:
        stream = self._streams.get(command.stream)
        if stream is None:
            return self._no_such_stream(command.stream)
        engine, group = self._engine, stream.group
        mix = self._mixes.get(command.mix)
        if mix is None:
            mix = self._mixes.begin(command.mix, next(self._numbers), group)
        elif lib.engine_thread(engine, group.number) != lib.engine_thread(engine, mix.home.number):
            # All streams of the group go along, and so leave what mixes they are in.
            for name in group.members:
                self._mixes.leave(name)
            group.held = [command]
            self._moving[group.number] = group
            return lib.engine_move(engine, group.number, mix.home.number)
        self._mixes.enter(mix, command.stream)
        role, _hearers = self._role(command)
        return lib.engine_join(engine, group.number, stream.number, mix.number, command.rate, role)

    def _moved(self, native: _CData) -> e.Event | None:
        group = self._moving.pop(native.stream)
        group.number = native.object
        held, group.held = group.held or [], None
        for command in held:
            try:
                self.submit(command)
            except UsageError:  # whoever gave it cannot be told any more
                self._refused += 1
        return None

    def _set_role(self, command: c.SetRole) -> int:
        role, _hearers = self._role(command)
        return self._on(command.stream, lib.engine_set_role, role)

    def _leave(self, command: c.Leave) -> int:
        self._mixes.leave(command.stream)
        return self._on(command.stream, lib.engine_leave)

    def _mute(self, command: c.Mute) -> int:
        return self._on(command.stream, lib.engine_mute, command.receive, command.send)

    def _send_digits(self, command: c.SendDigits) -> int:
        return self._on(command.stream, lib.engine_send_digits, command.digits.encode(), command.duration)

    def _hear_digits(self, command: c.HearDigits) -> int:
        return self._on(command.stream, lib.engine_hear_digits, command.on)

    def _take_digit(self, command: c.TakeDigit) -> int:
        return self._on(command.stream, lib.engine_take_digit, command.digit.encode())

    def _process(self, command: c.Process) -> int:
        wish, asked = ffi.new("struct engine_processing *"), command.processing
        wish.level, wish.noise, wish.echo = asked.level, asked.noise, asked.echo
        result = self._on(command.stream, lib.engine_process, wish)
        if result != -errno.ENOTSUP:
            return result
        self._refused += 1
        return 0

    def _query(self, command: c.Query) -> int:
        return self._on(command.stream, lib.engine_query)

    def _close(self, command: c.Close) -> int:
        return self._on(command.stream, lib.engine_close)

    def _play(self, command: c.Play) -> int:
        stream = self._streams.get(command.stream) or self._mix(command.stream)
        if stream is None:
            return self._answer(e.PlayEnded(command.stream, command.play, _NO_STREAM))
        play = self._new(self._plays, command.play, stream.group, command.stream)
        names = [ffi.new("char[]", os.fsencode(sound)) for sound in command.sounds]
        digits = ffi.new("char[]", command.stopped_by.encode())
        sounds = ffi.new("struct engine_sounds *")
        listed = ffi.new("char *[]", names)
        sounds.count, sounds.sounds = len(names), listed
        sounds.loop, sounds.shared, sounds.start = command.loop, command.shared, command.start
        sounds.volume, sounds.stopped_by = command.volume, digits
        result = lib.engine_play(self._engine, stream.group.number, stream.number, play.number, sounds)
        if result != 0:
            self._forget(self._plays, play.number)
        return result

    def _on_play(self, name: str, carry_out: Callable[..., int], *arguments: object) -> int:
        """Give a command to a play; one that is over needs none."""
        play = self._plays.get(name)
        if play is None:
            return 0
        stream = self._streams.get(play.owner) or self._mix(play.owner)
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
        left = self._streams.get(command.left) or self._mix(command.left)
        right = self._streams.get(command.right) if command.right else None
        if left is None or (command.right and right is None):
            return self._answer(e.RecordingFailed(command.recording, command.path, _NO_STREAM))
        if right is not None and left.group is not right.group:
            raise UsageError(f"{command} records streams of two groups")
        recording = self._new(self._recordings, command.recording, left.group, command.path)
        tape = ffi.new("struct engine_tape *")
        tape.format, tape.mixed, tape.maximum = _FORMATS[command.format], command.mixed, command.maximum
        other = 0 if right is None else right.number
        path = os.fsencode(command.path)
        return lib.engine_record(self._engine, left.group.number, recording.number, left.number, other, path, tape)

    def _pause_recording(self, command: c.PauseRecording) -> int:
        recording = self._recordings.get(command.recording)
        if recording is None:
            return 0
        return lib.engine_pause_recording(self._engine, recording.group.number, recording.number, command.paused)

    def _stop_recording(self, command: c.StopRecording) -> int:
        recording = self._recordings.get(command.recording)
        if recording is None:
            return 0
        return lib.engine_stop_recording(self._engine, recording.group.number, recording.number)

    # Events.

    def _drain(self) -> list[e.Event]:
        events, self._own = self._own, []
        while True:
            number = lib.engine_drain(self._engine, self._buffer, _ROOM)
            for index in range(number):
                native = self._buffer[index]
                event = self._event[native.kind](native)
                if event is not None:
                    events.append(event)
            if number < _ROOM:
                return events

    def _stream(self, native: _CData) -> str:
        named = self._names.get(native.stream)
        return "" if named is None else named.name

    def _opened(self, native: _CData) -> e.Event | None:
        return e.Opened(self._stream(native), _text(native.address), native.port, native.rtcp_port)

    def _latched(self, native: _CData) -> e.Event | None:
        return e.Latched(self._stream(native), _text(native.address), native.port)

    def _digit(self, native: _CData) -> e.Event | None:
        return e.Digit(self._stream(native), native.digit.decode(), native.milliseconds, bool(native.relayed))

    def _play_ended(self, native: _CData) -> e.Event | None:
        play = self._forget(self._plays, native.object)
        if play is None:
            return None
        digit = native.digit.decode().strip("\0")
        return e.PlayEnded(play.owner, play.name, _text(native.text), native.milliseconds, digit)

    def _recording_ended(self, native: _CData) -> e.Event | None:
        recording = self._forget(self._recordings, native.object)
        if recording is None:
            return None
        note = _text(native.text)
        return e.RecordingEnded(
            recording.name,
            str(Path(recording.owner).with_suffix(".wav")) if note else recording.owner,
            native.milliseconds,
            native.octets,
            _text(native.sha256),
            native.gaps,
            note,
        )

    def _recording_behind(self, native: _CData) -> e.Event | None:
        named = self._names.get(native.object)
        return None if named is None else e.RecordingBehind(named.name)

    def _recording_finishing(self, native: _CData) -> e.Event | None:
        named = self._names.get(native.object)
        return None if named is None else e.RecordingFinishing(named.name)

    def _recording_failed(self, native: _CData) -> e.Event | None:
        recording = self._forget(self._recordings, native.object)
        if recording is None:
            return None
        return e.RecordingFailed(recording.name, recording.owner, _text(native.text))

    def _no_media(self, native: _CData) -> e.Event | None:
        return e.NoMedia(self._stream(native), native.milliseconds)

    def _mix(self, name: str) -> _Named | None:
        """Return a mix as what can be played to and recorded."""
        mix = self._mixes.get(name)
        return None if mix is None else _Named(mix.number, mix.home, mix.name, "")

    def _active_speaker(self, native: _CData) -> e.Event | None:
        mix = self._mixes.numbered(native.object)
        if mix is None:
            return None  # its last member has left meanwhile
        return e.ActiveSpeaker(mix.name, self._stream(native) if native.stream else "", native.level)

    def _statistics(self, native: _CData) -> e.Event | None:
        return e.Statistics(self._stream(native), _statistics(native.counts))

    def _stream_closed(self, native: _CData) -> e.Event | None:
        named = self._forget_stream(native.stream)
        if named is None:
            return None  # a command was under way to a stream whose Closed has been told
        return e.Closed(named.name, _statistics(native.counts), _text(native.text))
