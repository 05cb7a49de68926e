"""The legs of one call's media and the engine's streams that carry them: opened, closed, moved, counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pbx.errors import UsageError
from pbx.ids import Ids
from pbx.media.commands import (
    Close,
    Command,
    HearDigits,
    Open,
    Process,
    Query,
)
from pbx.media.events import (
    Closed,
    Event,
    Opened,
    RecordingEnded,
    RecordingFailed,
    Statistics,
    StreamStatistics,
)
from pbx.media.judging import Judging
from pbx.media.keys import DtmfMode
from pbx.media.leg import MediaLeg
from pbx.media.policy import MediaSettings, is_numeric
from pbx.media.processing import Processing
from pbx.media.stream import AUDIO, Stream
from pbx.sdp.offer_answer import LocalMedia
from pbx.sdp.relayed import RelayedMedia

__all__ = ["Moving", "SessionStreams"]


class Moving(NamedTuple):
    """A leg on its way from one call to another."""

    media: MediaLeg
    stream: Stream


class SessionStreams:
    """The streams of one call. Legs are named by the ids that `pbx.call` gives them."""

    __slots__ = (
        "_by_id",
        "_call",
        "_commands",
        "_connected",
        "_counter",
        "_ids",
        "_judging",
        "_last_connected",
        "_legs",
        "_mixed",
        "_others",
        "_recordings",
        "_settings",
        "_streams",
    )

    def __init__(self, call: str, settings: MediaSettings, ids: Ids) -> None:
        self._call = call
        self._settings = settings
        self._ids = ids
        self._counter = 0
        self._commands: list[Command] = []
        self._legs: dict[str, MediaLeg] = {}
        self._streams: dict[str, Stream] = {}
        """The stream of each leg's audio."""
        self._others: dict[str, dict[int, Stream]] = {}
        """Those of each leg's sections that are relayed unread, by slot."""
        self._by_id: dict[str, Stream] = {}
        self._connected: dict[str, str] = {}
        self._recordings: list[str] = []
        self._mixed: list[str] = []
        self._judging = Judging()
        self._last_connected: dict[str, str] = {}
        """As it was when the call came to its end."""

    # -- the engine

    def take_commands(self) -> list[Command]:
        """Return what the engine is to do, in order, and forget it."""
        commands, self._commands = self._commands, []
        return commands

    def on_event(self, event: Event) -> None:
        """Take what the engine tells of this call."""
        if isinstance(event, (RecordingEnded, RecordingFailed)):
            self._forget_recording(event.recording)
        elif isinstance(event, (Opened, Closed, Statistics)):
            stream = self._by_id.get(event.stream)
            if stream is None:
                raise UsageError(f"call {self._call} has no stream {event.stream}")
            if isinstance(event, Opened):
                self._opened(self._legs[stream.leg], stream, event)
            elif isinstance(event, Statistics):
                stream.counts = event.counts
                self._judging.take(event.stream, event.counts)
            elif not stream.closed:
                # Once more comes for each command that crossed the first one, and has no counts.
                stream.closed, stream.counts = True, event.counts
                self._judging.lose(stream.id)
                self._unlink(stream.id)
                if stream.slot != AUDIO and stream.leg in self._legs:
                    self._legs[stream.leg].others[stream.slot].local = None

    def _forget_recording(self, recording: str) -> None:
        if recording in self._recordings:
            self._recordings.remove(recording)

    def _opened(self, leg: MediaLeg, stream: Stream, event: Opened) -> None:
        settings = self._settings
        address = settings.advertised(event.address, stream.peer, stream.local_hint)
        local = LocalMedia("audio", "RTP/AVP", address, event.rtp_port, event.rtcp_port, rtcp_mux=False)
        if stream.slot == AUDIO:
            leg.audio.local = local
        else:
            leg.others[stream.slot].local = local

    # -- legs

    def open(
        self,
        leg: str,
        *,
        latch: bool = True,
        peer: str = "",
        local: str = "",
        codecs: tuple[str, ...] = (),
        dtmf: DtmfMode = DtmfMode.AUTO,
        processing: Processing | None = None,
        like: str | None = None,
    ) -> None:
        """Ask for a leg's streams. Once their Opened events were given to `on_event`, the leg is `ready`.

        Beside the audio there is one for each section that the leg has offered, or that the leg `like` has.

        `latch`: believe the first source of media over the address said (phones yes, trunks no). `peer` is the numeric
        address that the leg's signalling comes from, `local` our own towards it; each may be left out while unknown.
        `codecs` names the voice codecs that may pass to and from it, best first; empty for those of the settings.
        `dtmf` is how keys come and go.
        `processing` is what is done to what it says; None for that of the settings.
        """
        media = self._ensure(leg)
        stream = self._streams[leg]
        if stream.requested:
            raise UsageError(f"leg {leg} is open already")
        local = local.partition("%")[0]
        stream.requested, stream.latch, stream.peer, stream.local_hint = True, latch, peer, local
        stream.codecs, stream.dtmf, stream.processing = codecs, dtmf, processing
        view, _, _ = media.source()
        bound = self._settings.bind_address(view.address if view and is_numeric(view.address) else peer, local)
        self._commands.append(Open(stream.id, self._call, bound))
        if dtmf is DtmfMode.INBAND:
            self._commands.append(HearDigits(stream.id, True))
        asked = self._settings.processing if processing is None else processing
        if asked:
            self._commands.append(Process(stream.id, asked))
        self._open_others(leg, media.other_views())
        if like is not None:
            self._open_others(leg, self._leg(like).other_views())

    def release(self, leg: str) -> Moving:
        """Give a leg's negotiation away, to the session of another call; its streams stay here until they are
        closed."""
        media, stream = self._legs.pop(leg), self._streams[leg]
        media.roll_back()
        return Moving(media, stream)

    def adopt(self, moving: Moving, like: str) -> None:
        """Take in a leg that another session has released: it gets streams of this call's, and is to be offered them
        once it is `ready`."""
        media, before = moving.media, moving.stream
        media.audio.local = None
        for section in media.others.values():
            section.local = None
        self._legs[media.name] = media
        stream = self._streams[media.name] = Stream(self._name(), media.name)
        self._by_id[stream.id] = stream
        self.open(
            media.name,
            latch=before.latch,
            peer=before.peer,
            local=before.local_hint,
            codecs=before.codecs,
            dtmf=before.dtmf,
            processing=before.processing,
            like=like,
        )

    def open_missing(self, leg: str, other: str) -> bool:
        """Ask for the streams of what `leg` has in its pending offer beside the audio, on both legs.

        Return whether all are there already; else the two legs will be `ready`.
        """
        views = self._leg(leg).other_views()
        if views:
            self._open_others(leg, views)
            self._open_others(other, views)
        return self.ready(leg) and self.ready(other)

    def _open_others(self, leg: str, views: Mapping[int, RelayedMedia]) -> None:
        if not views:
            return
        media, audio, others = self._leg(leg), self._streams[leg], self._others.setdefault(leg, {})
        for slot, view in views.items():
            media.other(slot, view.kind)
            known = others.get(slot)
            if known is not None and not known.closed:
                continue
            stream = others[slot] = Stream(self._name(), leg, slot)
            self._by_id[stream.id] = stream
            stream.requested = True
            stream.latch, stream.peer, stream.local_hint = audio.latch, audio.peer, audio.local_hint
            bound = self._settings.bind_address(audio.peer, audio.local_hint)
            self._commands.append(Open(stream.id, self._call, bound))

    def close(self, leg: str) -> None:
        """End a leg's streams; harmless if there are none or that was done."""
        for stream in self._streams_of(leg):
            if not stream.requested:
                continue
            self._unlink(stream.id)
            if not stream.closed and not stream.closing:
                stream.closing = True
                self._commands.append(Close(stream.id))

    def close_all(self) -> set[str]:
        """End every leg's streams; return the streams whose Closed is still to come."""
        self._last_connected = dict(self._connected)
        for leg in self._streams:
            self.close(leg)
        return {stream.id for stream in self._by_id.values() if stream.requested and not stream.closed}

    def ready(self, leg: str) -> bool:
        """Return whether a leg has its ports; of a section that is relayed unread, whether it has them or will not get
        any."""
        media, stream = self._legs.get(leg), self._streams.get(leg)
        if media is None or media.audio.local is None or stream is None or stream.closed:
            return False
        others = self._others.get(leg)
        return not others or all(other.closed or media.others[slot].local for slot, other in others.items())

    def leg_of(self, stream: str) -> str | None:
        """Return the leg that a stream belongs to."""
        found = self._by_id.get(stream)
        return found.leg if found is not None else None

    def is_audio(self, stream: str) -> bool:
        """Return whether a stream is that of a leg's audio."""
        found = self._by_id.get(stream)
        return found is not None and found.slot == AUDIO

    def stream_of(self, leg: str) -> str:
        """Return the stream of a leg's audio."""
        return self._streams[self._leg(leg).name].id

    def _streams_of(self, leg: str) -> list[Stream]:
        audio = self._streams.get(leg)
        return [] if audio is None else [audio, *self._others.get(leg, {}).values()]

    def has_stream(self, leg: str) -> bool:
        """Return whether a leg is of this call and has its audio stream."""
        stream = self._streams.get(leg) if leg in self._legs else None
        return stream is not None and stream.requested and not (stream.closed or stream.closing)

    def counts(self, leg: str) -> StreamStatistics | None:
        """Return a leg's counts as last told, the final ones once its stream is closed; None without a stream."""
        stream = self._streams.get(leg)
        return stream.counts if stream is not None and stream.requested else None

    def query(self, leg: str) -> None:
        """Ask for a leg's counts; a Statistics event follows."""
        self._commands.append(Query(self.stream_of(leg)))

    # -- parts

    def _ensure(self, name: str) -> MediaLeg:
        leg = self._legs.get(name)
        if leg is None:
            leg = self._legs[name] = MediaLeg(name, self._ids.number(32), self._ids.octets, self._settings.relayed)
            leg.audio.protection = self._settings.protection()
            stream = self._streams[name] = Stream(self._name(), name)
            self._by_id[stream.id] = stream
        return leg

    def _leg(self, name: str) -> MediaLeg:
        leg = self._legs.get(name)
        if leg is None:
            raise UsageError(f"call {self._call} has no leg {name}")
        return leg

    def _name(self) -> str:
        self._counter += 1
        return f"{self._call}/{self._counter}"

    def _unlink(self, stream: str) -> None:
        other = self._connected.pop(stream, None)
        if other is not None:
            self._connected.pop(other, None)
            if self._both_tones(stream, other):
                ends = (self._by_id[stream], self._by_id[other])
                self._commands += [
                    HearDigits(one.id, True, one.clamp) for one in ends if not (one.closed or one.closing)
                ]

    def _both_tones(self, one: str, other: str) -> bool:
        streams = [self._by_id[one], self._by_id[other]]
        return one != other and all(stream.slot == AUDIO and stream.dtmf is DtmfMode.INBAND for stream in streams)
