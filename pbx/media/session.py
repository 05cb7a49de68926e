"""The media of one call: its legs, what each is told of the other, and the commands that make the engine do it.

Synchronous and sans-IO: methods queue engine commands for `take_commands`, and `on_event` takes what the engine tells.
Only this module and those beside it know how the descriptions of two legs hang together; `pbx.call` says what it wants.
The streams are those of `session_streams`, what goes through them is in `session_sound`; here is what is agreed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from pbx.errors import NegotiationError, UsageError
from pbx.media.commands import Query, SetRemote
from pbx.media.events import Verdict
from pbx.media.judging import Subject
from pbx.media.keys import DtmfMode, is_event, with_events, without_events
from pbx.media.leg import MediaLeg, State
from pbx.media.policy import RtcpMux
from pbx.media.quality import Quality, quality_of
from pbx.media.session_sound import SessionSound
from pbx.media.session_streams import Moving
from pbx.media.stream import Stream, packet_time_of
from pbx.media.transcoding import merged, numbered, one_voice, stand_ins, transcoded_answer
from pbx.sdp.codecs import PayloadFormat, same_codec
from pbx.sdp.model import Direction, SessionDescription
from pbx.sdp.relayed import RelayedMedia
from pbx.sdp.sdes import Srtp

__all__ = ["MediaSession", "Moving", "call_of"]

_NO_OTHERS: Mapping[int, RelayedMedia] = MappingProxyType({})


def call_of(name: str) -> str:
    """Return the call that a stream, play or recording of a `MediaSession` belongs to."""
    return name.rpartition("/")[0]


class MediaSession(SessionSound):
    """The media of one call: its streams, what goes through them, and what is agreed with each leg's peer."""

    __slots__ = ()

    def protect(self, leg: str, policy: Srtp | None) -> None:
        """Say whether a leg's audio may or must be encrypted, before its first offer; None for the settings' policy."""
        self._ensure(leg).audio.protection = self._settings.protection(policy)

    def encryption(self, leg: str) -> str:
        """Return the suite that a leg's audio goes under; empty for plain RTP."""
        media = self._legs.get(leg)
        return media.audio.keys.send.suite if media is not None and media.audio.keys is not None else ""

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
        names, possible = self._streams[leg].codecs, self._decodable_of(source, codecs)
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
        possible = self._decodable_of(source, codecs)
        chosen = transcoded_answer(self._settings, offered, possible, self._streams[leg].codecs)
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

    def _decodable_of(self, source: str, codecs: tuple[PayloadFormat, ...]) -> tuple[PayloadFormat, ...]:
        """Return what of `codecs` the engine can turn into another when it comes from `source`."""
        return self._settings.permitted(codecs, True, self._streams[source].codecs)

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

    def decodable(self, leg: str) -> bool:
        """Return whether the engine can decode what a leg has agreed to, and so mix it."""
        voice = self._voice(leg)
        return voice is not None and bool(self._settings.permitted((voice,), decodable_only=True, names=()))

    def holds(self, leg: str) -> bool:
        """Return whether a leg wants to hear nothing: it has put the other side on hold."""
        return not self._leg(leg).audio.wish.receives

    def hears(self, leg: str) -> bool:
        """Return whether media may go to a leg."""
        return self._leg(leg).audio.send

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
