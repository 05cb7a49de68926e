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

import os
from dataclasses import dataclass
from functools import cache

from pbx.errors import EnvironmentFault, UsageError
from pbx.media import commands as c
from pbx.media import events as e
from pbx.media.engine_commands import Commander
from pbx.media.engine_events import Reader, text
from pbx.media.engine_names import Names
from pbx.media.srtp import srtp_functions
from pbx.native._engine import ffi, lib

__all__ = ["Engine", "EngineCounters", "codec_names", "processes_sound"]

_ROOM = 64
"""Events moved out in one call of the native engine."""


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
    ports_ready: int = 0
    """Pairs that are bound for streams to come."""
    sounds_failed: int = 0
    """Sounds that could not be prepared for playing, or not to their end."""


def codec_names() -> tuple[str, ...]:
    """Return the names of the codecs that this build decodes and encodes; others are relayed only."""
    return tuple(ffi.string(lib.engine_codec_names()).decode().split())


@cache
def processes_sound() -> bool:
    """Return whether this build can process what peers say (`pbx.media.commands.Process`)."""
    return bool(lib.engine_processes())


class Engine:
    """One native engine with its threads. All methods are for one thread, and none blocks except `close`.

    `first_port` to `last_port` is the range of RTP and RTCP ports, both inclusive; `drain` the milliseconds that a
    closed pair is not used again; `spares` the number of pairs kept bound ahead at each address in use; `workers` the
    number of packet threads (0: one for each core); `writers` that of recording threads (0: one for every four cores);
    `traffic_class` the IP TOS octet of media; `report_interval` the milliseconds between two RTCP reports of a stream,
    on average; `cache` the MiB kept of prepared sounds; `backlog` the MiB of recorded packets that may wait for a slow
    disk.

    Raises EnvironmentFault when the machine cannot run it.
    """

    def __init__(
        self,
        first_port: int,
        last_port: int,
        *,
        drain: int = 5000,
        spares: int = 0,
        workers: int = 0,
        writers: int = 0,
        traffic_class: int = 0xB8,
        report_interval: int = 5000,
        cache: int = 64,
        backlog: int = 64,
    ) -> None:
        options = ffi.new("struct engine_options *")
        options.first_port, options.last_port = first_port, last_port
        options.drain, options.spares = drain, spares
        options.workers, options.writers = workers, writers
        options.traffic_class, options.report_interval = traffic_class, report_interval
        options.cache_mebibytes, options.backlog_mebibytes = cache, backlog
        functions = srtp_functions()
        options.srtp = ffi.NULL if functions is None else functions
        fault = ffi.new("char[]", 160)
        self._engine = lib.engine_create(options, fault, 160)
        if self._engine == ffi.NULL:
            raise EnvironmentFault(f"The media engine cannot start with ports {first_port}-{last_port}: {text(fault)}.")
        self._own: list[e.Event] = []
        names = Names()
        self._commander = Commander(self._engine, names, self._answer)
        self._reader = Reader(names, self._commander.moved)
        self._buffer = ffi.new("struct engine_event[]", _ROOM)
        self._closed = False

    def fileno(self) -> int:
        """Return a descriptor that is readable while events wait."""
        return lib.engine_fileno(self._engine)

    def submit(self, command: c.Command) -> None:
        """Give a command. Raises UsageError for one that breaks the contract: a name used twice, a false address."""
        if self._closed:
            raise UsageError(f"{command} was submitted to a media engine that is closed")
        self._commander.submit(command)

    def _answer(self, event: e.Event) -> None:
        self._own.append(event)
        os.eventfd_write(self.fileno(), 1)

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
            ports_ready=counters.ports_ready,
            commands_refused=counters.commands_refused + self._commander.refused,
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

    def _drain(self) -> list[e.Event]:
        events, self._own = self._own, []
        while True:
            number = lib.engine_drain(self._engine, self._buffer, _ROOM)
            for index in range(number):
                event = self._reader.read(self._buffer[index])
                if event is not None:
                    events.append(event)
            if number < _ROOM:
                return events
