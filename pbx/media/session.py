"""The media of one call: its legs, what each is told of the other, and the commands that make the engine do it.

Synchronous and sans-IO: methods queue engine commands for `take_commands`, and `on_event` takes what the engine tells.
Only this module and those beside it know how the descriptions of two legs hang together; `pbx.call` says what it wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pbx.errors import NegotiationError, UsageError
from pbx.ids import Ids
from pbx.media.commands import (
    Close,
    Command,
    Connect,
    Disconnect,
    HearDigits,
    Join,
    Leave,
    Mute,
    Open,
    PausePlaying,
    PauseRecording,
    Play,
    Process,
    Query,
    Record,
    SeekPlaying,
    SendDigits,
    SetRemote,
    SetRole,
    SetVolume,
    StopPlaying,
    StopRecording,
    TakeDigit,
)
from pbx.media.events import (
    Closed,
    Event,
    Opened,
    RecordingEnded,
    RecordingFailed,
    Statistics,
    StreamStatistics,
    Verdict,
)
from pbx.media.judging import Judging, Subject
from pbx.media.keys import DtmfMode, is_event, with_events, without_events
from pbx.media.leg import MediaLeg, State
from pbx.media.policy import MediaSettings, RtcpMux, is_numeric
from pbx.media.processing import Processing
from pbx.media.quality import Quality, quality_of
from pbx.media.stream import AUDIO, Stream, packet_time_of
from pbx.media.transcoding import merged, numbered, one_voice, stand_ins, transcoded_answer
from pbx.sdp.codecs import PayloadFormat, same_codec
from pbx.sdp.model import Direction, SessionDescription
from pbx.sdp.offer_answer import LocalMedia
from pbx.sdp.relayed import RelayedMedia
from pbx.sdp.sdes import Srtp

__all__ = ["MediaSession", "Moving", "call_of"]

_NO_OTHERS: Mapping[int, RelayedMedia] = MappingProxyType({})


def call_of(name: str) -> str:
    """Return the call that a stream, play or recording of a `MediaSession` belongs to."""
    return name.rpartition("/")[0]


class Moving(NamedTuple):
    """A leg on its way from one call to another."""

    media: MediaLeg
    stream: Stream


class MediaSession:
    """The media of one call. Legs are named by the ids that `pbx.call` gives them."""

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
        self._recordings: set[str] = set()
        self._mixed: set[str] = set()
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
            self._recordings.discard(event.recording)
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

    def protect(self, leg: str, policy: Srtp | None) -> None:
        """Say whether a leg's audio may or must be encrypted, before its first offer; None for the settings' policy."""
        self._ensure(leg).audio.protection = self._settings.protection(policy)

    def encryption(self, leg: str) -> str:
        """Return the suite that a leg's audio goes under; empty for plain RTP."""
        media = self._legs.get(leg)
        return media.audio.keys.send.suite if media is not None and media.audio.keys is not None else ""

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

    # -- what peers say

    def set_remote(self, leg: str, sdp: SessionDescription, *, offer: bool | None = None) -> None:
        """Take a leg's description: an answer completes the exchange, an offer waits for ours or for `rollback`.

        `offer` says which it is. Left out, it is an answer if one is awaited, or if the last exchange on this leg was
        our offer and the peer's answer (a 200 after a 183); so whoever passes on an offer in mid-call must say so. The
        first offer may come before `open`. Raises NegotiationError for what cannot be met; nothing has changed then.
        """
        media = self._ensure(leg)
        if offer is None:
            offer = media.state is not State.LOCAL_OFFER and not media.answered_ours
        if offer:
            media.receive_offer(sdp)
        else:
            repeated = media.state is State.STABLE
            media.receive_answer(sdp)
            self._tell_remote(media, repeated)

    def take_answer(self, leg: str, sdp: SessionDescription) -> None:
        """Take a leg's answer to our pending offer, or else to the session as it stands.

        That, its signalling has offered again: as a refresh, or since our answer changed after the peer had it.

        Raises NegotiationError if it is no answer.
        """
        media = self._leg(leg)
        repeated = media.state is State.STABLE
        if repeated:
            media.follow(sdp)
        else:
            media.receive_answer(sdp)
        self._tell_remote(media, repeated)

    def awaits_answer(self, leg: str) -> bool:
        """Return whether an offer of ours to a leg is open."""
        return self._leg(leg).state is State.LOCAL_OFFER

    def concerns_other(self, leg: str, sdp: SessionDescription) -> bool:
        """Return whether an offer of a leg asks for what the other side must agree to: another direction or codec.

        A new address, or a session refresh, does not: `repeat_answer` then serves. Raises NegotiationError for an offer
        that cannot be met.
        """
        return self._leg(leg).changes(sdp)

    # -- what we say

    def offer_to(
        self, leg: str, source: str, *, decodable_only: bool = False, music: bool = False
    ) -> SessionDescription:
        """Return an offer to `leg` of what `source` offers, or has agreed to if it offers nothing now.

        Behind that comes what the engine could turn it into.

        With `music`, a leg that `source` holds without sending anything is offered to be sent something all the same.
        With `decodable_only`, and while the call is recorded, only codecs that the engine can decode: no change in
        mid-call may make a recording silent. Raises NegotiationError if none is left.
        """
        media, other = self._leg(leg), self._leg(source)
        view, codecs, direction = other.source()
        if not other.has_spoken:
            raise UsageError(f"leg {source} has said nothing yet")
        if music and direction is Direction.INACTIVE:
            direction = Direction.SENDONLY
        mux = self._settings.rtcp_mux is RtcpMux.OFFER
        others = other.other_views()
        if view is None or not other.has_audio:
            # What stands where the audio was: a fax machine that goes over to T.38 (RFC 3264 §8.3.3).
            in_place = next((slot for slot, one in others.items() if one.index == other.audio.index), -1)
            return media.make_offer(None, direction, mux, others=others, in_place=in_place)
        permitted = self._permitted(leg, source, codecs, decodable_only)
        names, possible = (
            self._streams[leg].codecs,
            self._settings.permitted(codecs, True, self._streams[source].codecs),
        )
        permitted = merged(permitted, stand_ins(self._settings, possible, permitted, media.audio.agreed, names))
        permitted = self._with_keys(leg, source, permitted)
        return media.make_offer(permitted, direction, mux, view.packet_time, view.maximum_packet_time, others)

    def answer_to(self, leg: str, source: str) -> SessionDescription:
        """Return the answer to a leg's offer, from what `source` has agreed to; to be made again when that changes.

        It names the codecs that both can do, and if there are none one that the engine can turn into the other's.
        Raises NegotiationError if there is none of these either.
        """
        media, other = self._leg(leg), self._leg(source)
        view, codecs, direction = other.source()
        if not other.has_spoken:
            raise UsageError(f"leg {source} has said nothing yet")
        others = other.other_views()
        if view is None or not other.has_audio or media.audio.offer is None:
            return self._answer(media, None, direction, None, others)
        common = self._permitted(leg, source, codecs)
        offered = media.audio.offer.codecs
        if any(not codec.is_companion and same_codec(codec, offered) for codec in common):
            return self._answer(media, self._with_keys(leg, source, common), direction, view.packet_time, others)
        names, possible = (
            self._streams[leg].codecs,
            self._settings.permitted(codecs, True, self._streams[source].codecs),
        )
        chosen = transcoded_answer(self._settings, offered, possible, names)
        packet_time = media.audio.offer.packet_time or self._settings.packet_time
        return self._answer(media, self._with_keys(leg, source, chosen or common), direction, packet_time, others)

    def local_answer(self, leg: str, direction: Direction = Direction.SENDRECV) -> SessionDescription:
        """Return our own answer to a leg's offer, for sound that the engine makes or takes.

        It names one voice codec, the first of the peer's that the engine has, so that the peer does not change it under
        a recording. Raises NegotiationError if there is none.
        """
        media = self._leg(leg)
        view = media.audio.offer
        if view is None and media.other_views():
            raise NegotiationError("no audio")
        names = self._streams[leg].codecs
        chosen = one_voice(self._settings.permitted(view.codecs, decodable_only=True, names=names)) if view else ()
        return self._answer(media, self._without_keys(leg, chosen), direction, self._settings.packet_time)

    def local_offer(self, leg: str, direction: Direction = Direction.SENDRECV) -> SessionDescription:
        """Return an offer of our own, for a leg that nobody else is connected to yet."""
        media, settings = self._leg(leg), self._settings
        own = self._without_keys(leg, settings.own_codecs(self._streams[leg].codecs))
        codecs = [numbered(codec, media.audio.remember_number(codec)) for codec in own]
        return media.make_offer(codecs, direction, settings.rtcp_mux is RtcpMux.OFFER, settings.packet_time)

    def repeat_answer(self, leg: str) -> SessionDescription:
        """Return an answer to a leg's offer that leaves what is agreed as it is; the other side need not know."""
        media = self._leg(leg)
        answer = media.repeat_answer(self._settings.rtcp_mux is not RtcpMux.NEVER)
        self._tell_remote(media)
        return answer

    def rollback(self, leg: str) -> None:
        """Forget a leg's pending offer, ours or the peer's, if there is one. The session stays as it was."""
        self._leg(leg).roll_back()

    def _with_keys(self, leg: str, source: str, codecs: tuple[PayloadFormat, ...]) -> tuple[PayloadFormat, ...]:
        """Return `codecs` with the telephone-events that a leg may have.

        Where both modes are automatic, what both ends can do comes first: a leg is told of events if the other has any,
        and else the two find their own way, as they would without us. Whoever is configured decides for itself.
        """
        mode, other = self._streams[leg].dtmf, self._streams[source].dtmf
        if not mode.has_events:
            return without_events(codecs)
        wanted = mode is DtmfMode.RFC4733 or not other.has_events or any(is_event(codec) for codec in codecs)
        return with_events(codecs) if wanted else codecs

    def _without_keys(self, leg: str, codecs: tuple[PayloadFormat, ...]) -> tuple[PayloadFormat, ...]:
        return codecs if self._streams[leg].dtmf.has_events else without_events(codecs)

    def _permitted(
        self, leg: str, source: str, codecs: tuple[PayloadFormat, ...], decodable_only: bool = False
    ) -> tuple[PayloadFormat, ...]:
        """Return what of `codecs`, which `source` can do, may pass to it and to `leg`, in the order of `leg`'s list."""
        settings, decodable = self._settings, decodable_only or bool(self._recordings or self._mixed)
        passed = settings.permitted(codecs, decodable, self._streams[source].codecs)
        names = self._streams[leg].codecs
        return settings.permitted(passed, decodable, names) if names != self._streams[source].codecs else passed

    def _answer(
        self,
        media: MediaLeg,
        codecs: tuple[PayloadFormat, ...] | None,
        direction: Direction,
        packet_time: int | None,
        others: Mapping[int, RelayedMedia] = _NO_OTHERS,
    ) -> SessionDescription:
        repeated = media.state is State.STABLE
        mux = self._settings.rtcp_mux is not RtcpMux.NEVER
        answer = media.make_answer(codecs, direction, mux, packet_time, others)
        self._tell_remote(media, repeated)
        return answer

    # -- connections, plays, recordings

    def connect(self, left: str, right: str) -> None:
        """Relay between two legs: the audio, and every section that both have; what is connected stays so."""
        self._connect(self.stream_of(left), self.stream_of(right))
        for slot, stream in self._others.get(left, {}).items():
            counterpart = self._others.get(right, {}).get(slot)
            if left != right and counterpart is not None and not stream.closed and not counterpart.closed:
                self._connect(stream.id, counterpart.id)

    def _connect(self, one: str, other: str) -> None:
        if self._connected.get(one) == other or one in self._mixed:  # those who are in a mix hear each other there
            return
        self._unlink(one)
        self._unlink(other)
        self._connected[one], self._connected[other] = other, one
        self._commands.append(Connect(one, other))
        if self._both_tones(one, other):
            # What the one presses the other one hears: no need to decode it.
            self._commands += [HearDigits(one, False), HearDigits(other, False)]

    def _both_tones(self, one: str, other: str) -> bool:
        streams = [self._by_id[one], self._by_id[other]]
        return one != other and all(stream.slot == AUDIO and stream.dtmf is DtmfMode.INBAND for stream in streams)

    def echo(self, leg: str) -> None:
        """Send a leg's media back to it."""
        self.connect(leg, leg)

    def disconnect(self, leg: str) -> None:
        """End the relaying to and from a leg, or its echo."""
        for stream in self._streams_of(self._leg(leg).name):
            if stream.id in self._connected:
                self._unlink(stream.id)
                self._commands.append(Disconnect(stream.id))

    def _unlink(self, stream: str) -> None:
        other = self._connected.pop(stream, None)
        if other is not None:
            self._connected.pop(other, None)
            if self._both_tones(stream, other):
                ends = (self._by_id[stream], self._by_id[other])
                self._commands += [HearDigits(one.id, True) for one in ends if not (one.closed or one.closing)]

    def join(
        self,
        leg: str,
        mix: str,
        *,
        rate: int = 16000,
        mute: bool = False,
        deaf: bool = False,
        hearers: tuple[str, ...] = (),
    ) -> None:
        """Take a leg into a mix, out of its connection; see `pbx.media.commands.Join`. `hearers` are legs of this call.

        From now on only codecs that the engine can decode are agreed to.
        """
        stream = self.stream_of(leg)
        self._unlink(stream)
        self._mixed.add(stream)
        streams = tuple([self.stream_of(hearer) for hearer in hearers])
        self._commands.append(Join(stream, mix, rate, mute, deaf, streams))

    def set_role(self, leg: str, *, mute: bool = False, deaf: bool = False, hearers: tuple[str, ...] = ()) -> None:
        """Say whom a leg hears in its mix and which legs of this call alone hear it; all if `hearers` is empty."""
        streams = tuple([self.stream_of(hearer) for hearer in hearers])
        self._commands.append(SetRole(self.stream_of(leg), mute, deaf, streams))

    def leave(self, leg: str) -> None:
        """Take a leg out of its mix; harmless if it is in none."""
        stream = self.stream_of(leg)
        if stream in self._mixed:
            self._mixed.discard(stream)
            self._commands.append(Leave(stream))

    def decodable(self, leg: str) -> bool:
        """Return whether the engine can decode what a leg has agreed to, and so mix it."""
        voice = self._voice(leg)
        return voice is not None and bool(self._settings.permitted((voice,), decodable_only=True, names=()))

    def play(
        self,
        leg: str,
        *sounds: str,
        loop: bool = False,
        start: int = 0,
        volume: int = 0,
        stopped_by: str = "",
        shared: bool = False,
    ) -> str:
        """Play sounds to a leg in place of what is relayed to it; return the id that PlayEnded will name.

        See `pbx.media.commands.Play` for what the options mean.
        """
        play = self._name()
        self._commands.append(Play(self.stream_of(leg), play, sounds, loop, start, volume, stopped_by, shared))
        return play

    def pause_playing(self, leg: str, play: str, paused: bool) -> None:
        """Let a leg hear nothing of a play for a while, or go on."""
        self._commands.append(PausePlaying(self.stream_of(leg), play, paused))

    def seek_playing(self, leg: str, play: str, milliseconds: int) -> None:
        """Go so far on in a play, or back."""
        self._commands.append(SeekPlaying(self.stream_of(leg), play, milliseconds))

    def set_volume(self, leg: str, play: str, decibels: int) -> None:
        """Make a play louder or softer."""
        self._commands.append(SetVolume(self.stream_of(leg), play, decibels))

    def stop_playing(self, leg: str, play: str) -> None:
        """Stop a play; its PlayEnded follows."""
        self._commands.append(StopPlaying(self.stream_of(leg), play))

    def record(
        self,
        left: str,
        right: str | None,
        path: str,
        maximum: int = 0,
        *,
        sound_format: str = "wav",
        mixed: bool = False,
    ) -> str:
        """Record what two legs say into one file, or what one says; return the recording's id.

        `maximum` is in milliseconds, 0 for no end; for the rest see `pbx.media.commands.Record`. RecordingEnded or
        RecordingFailed will name the id.
        """
        recording = self._name()
        self._recordings.add(recording)
        other = self.stream_of(right) if right is not None else ""
        self._commands.append(Record(recording, self.stream_of(left), other, path, maximum, sound_format, mixed))
        return recording

    def holds(self, leg: str) -> bool:
        """Return whether a leg wants to hear nothing: it has put the other side on hold."""
        return not self._leg(leg).audio.wish.receives

    def hears(self, leg: str) -> bool:
        """Return whether media may go to a leg."""
        return self._leg(leg).audio.send

    def pause_recording(self, recording: str, paused: bool) -> None:
        """Write silence into a recording, or sound again."""
        self._commands.append(PauseRecording(recording, paused))

    def stop_recording(self, recording: str) -> None:
        """End a recording; its RecordingEnded follows."""
        self._recordings.discard(recording)
        self._commands.append(StopRecording(recording))

    def send_digits(self, leg: str, digits: str, duration: int = 160) -> None:
        """Send keys to a leg, as telephone-events if it has these or else tones; `duration` of each in milliseconds."""
        self._commands.append(SendDigits(self.stream_of(leg), digits, duration))

    def take_digit(self, leg: str, digit: str) -> None:
        """Let a key that came by INFO end what a key of the leg ends, such as a play."""
        self._commands.append(TakeDigit(self.stream_of(leg), digit))

    def dtmf_of(self, leg: str) -> DtmfMode:
        """Return how keys come from a leg and go to it, as configured."""
        return self._streams[leg].dtmf

    def has_events(self, leg: str) -> bool:
        """Return whether telephone-events are agreed with a leg."""
        return any(is_event(codec) for codec in self._leg(leg).audio.agreed)

    def carries_tones(self, leg: str) -> bool:
        """Return whether the keys of a leg are tones in its voice, which whoever it is connected to hears anyhow."""
        return self._streams[leg].dtmf is DtmfMode.INBAND

    def has_stream(self, leg: str) -> bool:
        """Return whether a leg is of this call and has its audio stream."""
        stream = self._streams.get(leg) if leg in self._legs else None
        return stream is not None and stream.requested and not (stream.closed or stream.closing)

    def mute(self, leg: str, *, receive: bool, send: bool) -> None:
        """Drop what a leg's peer sends, or what would be sent to it, until said otherwise."""
        stream = self._streams[self._leg(leg).name]
        stream.muted_receive, stream.muted_send = receive, send
        self._commands.append(Mute(stream.id, receive, send))

    def query(self, leg: str) -> None:
        """Ask for a leg's counts; a Statistics event follows."""
        self._commands.append(Query(self.stream_of(leg)))

    # -- the audio verdict

    def ask_counts(self, legs: Iterable[str]) -> None:
        """Ask for the counts of these legs' audio, for a verdict once they have come."""
        streams = [self._streams[leg] for leg in legs if leg in self._legs]
        wanted = [stream.id for stream in streams if stream.requested and not stream.closing and not stream.closed]
        self._judging.ask(wanted)
        self._commands.extend([Query(stream) for stream in wanted])

    def judge(self, peers: Mapping[str, str], seconds: float) -> list[Verdict]:
        """Return what has changed in how the audio does, once all counts asked for have come; before that nothing.

        `peers` says who each leg is that may be judged; `seconds` have passed since the counts before.
        """
        if not self._judging.complete:
            return []
        return self._judging.judge(lambda stream: self._subject(self._by_id[stream], peers, self._connected), seconds)

    def judge_whole(self, peers: Mapping[str, str], seconds: float) -> list[Verdict]:
        """Return verdicts on the legs that were closed before any was given, by all that they counted."""
        closed = [stream for leg in peers if (stream := self._streams.get(leg)) is not None and stream.closed]
        subjects = {
            one.id: subject
            for one in closed
            if (subject := self._subject(one, peers, self._last_connected)) is not None
        }
        return self._judging.judge_whole(subjects, {one.id: one.counts for one in closed}, seconds)

    def _subject(self, stream: Stream, peers: Mapping[str, str], connected: Mapping[str, str]) -> Subject | None:
        media, peer = self._legs.get(stream.leg), peers.get(stream.leg)
        if media is None or peer is None:
            return None
        facts = stream.facts_of(media.audio, peer)
        return None if facts is None else Subject(stream.id, facts, connected.get(stream.id, ""))

    # -- what is known of a leg

    def counts(self, leg: str) -> StreamStatistics | None:
        """Return a leg's counts as last told, the final ones once its stream is closed; None without a stream."""
        stream = self._streams.get(leg)
        return stream.counts if stream is not None and stream.requested else None

    def codec_name(self, leg: str) -> str:
        """Return the voice codec of a leg: the one last received, else the first agreed; empty if none was."""
        codec = self._voice(leg)
        return codec.name if codec else ""

    def packet_time(self, leg: str) -> int:
        """Return the milliseconds of sound in a packet that we send to a leg."""
        media = self._legs.get(leg)
        return packet_time_of(media.audio, self._settings) if media else self._settings.packet_time

    def quality(self, leg: str) -> Quality | None:
        """Return how a leg sounds, both ways, by its counts as last told; None for a leg without a stream or codec."""
        counts, codec = self.counts(leg), self._voice(leg)
        if counts is None or codec is None:
            return None
        return quality_of(counts, codec.name, self.packet_time(leg))

    def _voice(self, leg: str) -> PayloadFormat | None:
        media = self._legs.get(leg)
        if media is None:
            return None
        voices = [codec for codec in media.audio.to_peer if not codec.is_companion]
        heard = self._streams[leg].counts.payload_type
        return next((codec for codec in voices if codec.payload_type == heard), voices[0] if voices else None)

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

    def _tell_remote(self, media: MediaLeg, repeated: bool = False) -> None:
        """Queue SetRemote for what has been agreed.

        `repeated`: an answer was said again within one exchange. If nothing changed by it, the engine is told nothing,
        since that would open the latch to strangers once more.
        """
        settings = self._settings
        audio = self._streams[media.name]
        if media.audio.remote is not None:
            keys = audio.keys_of(media.audio)
            if keys is not None:
                self._commands.append(keys)
            self._tell(audio, audio.remote_of(media.audio, settings), repeated)
        for slot, stream in self._others.get(media.name, {}).items():
            section = media.others[slot]
            if not stream.closed and not stream.closing and (section.remote is not None or stream.remote is not None):
                self._tell(stream, stream.relayed_remote_of(section, settings), repeated or section.remote is None)

    def _tell(self, stream: Stream, remote: SetRemote, repeated: bool) -> None:
        if repeated and remote == stream.remote:
            return
        stream.remote = remote
        self._commands.append(remote)
