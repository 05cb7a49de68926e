"""What the legs of one call hear and say: whom they are connected to, mixes, plays, recordings, keys."""

from __future__ import annotations

from pbx.media.commands import (
    Clamp,
    Connect,
    Disconnect,
    HearDigits,
    Join,
    Leave,
    Mute,
    PausePlaying,
    PauseRecording,
    Play,
    Record,
    SeekPlaying,
    SendDigits,
    SetRole,
    SetVolume,
    StopPlaying,
    StopRecording,
    TakeDigit,
)
from pbx.media.keys import DtmfMode, is_event
from pbx.media.session_streams import SessionStreams

__all__ = ["SessionSound"]


class SessionSound(SessionStreams):
    """The streams of one call, with what goes through them."""

    __slots__ = ()

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

    def echo(self, leg: str) -> None:
        """Send a leg's media back to it."""
        self.connect(leg, leg)

    def disconnect(self, leg: str) -> None:
        """End the relaying to and from a leg, or its echo."""
        for stream in self._streams_of(self._leg(leg).name):
            if stream.id in self._connected:
                self._unlink(stream.id)
                self._commands.append(Disconnect(stream.id))

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
        if stream not in self._mixed:
            self._mixed.append(stream)
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
            self._mixed.remove(stream)
            self._commands.append(Leave(stream))

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
        self._recordings.append(recording)
        other = self.stream_of(right) if right is not None else ""
        self._commands.append(Record(recording, self.stream_of(left), other, path, maximum, sound_format, mixed))
        return recording

    def pause_recording(self, recording: str, paused: bool) -> None:
        """Write silence into a recording, or sound again."""
        self._commands.append(PauseRecording(recording, paused))

    def stop_recording(self, recording: str) -> None:
        """End a recording; its RecordingEnded follows."""
        self._forget_recording(recording)
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

    def clamp_keys(self, leg: str, clamp: Clamp) -> None:
        """Keep the keys that a leg presses as tones out of what goes to whom it is connected to, or no more. Nothing is
        done for a leg whose keys come otherwise."""
        stream = self._streams[leg]
        if stream.dtmf is not DtmfMode.INBAND or stream.clamp == clamp or not self.has_stream(leg):
            return
        stream.clamp = clamp
        other = self._connected.get(stream.id)
        if other is None or not self._both_tones(stream.id, other):
            self._commands.append(HearDigits(stream.id, True, clamp))

    def mute(self, leg: str, *, receive: bool, send: bool) -> None:
        """Drop what a leg's peer sends, or what would be sent to it, until said otherwise."""
        stream = self._streams[self._leg(leg).name]
        stream.muted_receive, stream.muted_send = receive, send
        self._commands.append(Mute(stream.id, receive, send))
