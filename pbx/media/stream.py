"""One RTP session of a leg, as the engine has it: its id, its state, and what the engine is told of its peer."""

from __future__ import annotations

from pbx.errors import UsageError
from pbx.media.commands import Clamp, Codec, SetKeys, SetRemote
from pbx.media.events import StreamStatistics
from pbx.media.keys import DtmfMode
from pbx.media.policy import MAXIMUM_FORMATS, MediaSettings, is_numeric
from pbx.media.processing import Processing
from pbx.media.relayed import RelayedSection
from pbx.media.section import AudioSection
from pbx.media.verdict import Facts
from pbx.sdp.codecs import PayloadFormat
from pbx.sdp.offer_answer import RemoteMedia, family_of
from pbx.sdp.relayed import RelayedMedia
from pbx.sdp.sdes import MasterKey

__all__ = ["AUDIO", "Stream", "packet_time_of"]

AUDIO = -1
"""The slot of a leg's audio."""


class Stream:
    """One for each section of a leg that is in use: the audio, and those that are relayed unread."""

    __slots__ = (
        "_keys",
        "clamp",
        "closed",
        "closing",
        "codecs",
        "counts",
        "dtmf",
        "id",
        "latch",
        "leg",
        "local_hint",
        "muted_receive",
        "muted_send",
        "peer",
        "processing",
        "remote",
        "requested",
        "slot",
    )

    def __init__(self, name: str, leg: str, slot: int = AUDIO) -> None:
        self.id = name
        self.leg = leg
        self.slot = slot
        """`AUDIO`, or the number of a relayed section."""
        self.requested = False
        """Open was asked for."""
        self.closing = False
        """Close was asked for."""
        self.closed = False
        """The engine said Closed."""
        self.latch = True
        self.codecs: tuple[str, ...] = ()
        """The voice codecs that may pass; empty for those of the settings."""
        self.dtmf = DtmfMode.AUTO
        self.clamp: Clamp = "never"
        """Whether keys that are heard are kept out of what it is connected to."""
        self.processing: Processing | None = None
        """What is done to what the leg says; None for that of the settings."""
        self.peer = ""
        """Where the leg's signalling comes from; empty while unknown."""
        self.local_hint = ""
        """Our own address on the way there; empty while unknown."""
        self.remote: SetRemote | None = None
        """What the engine was told last."""
        self.counts = StreamStatistics()
        self.muted_receive = self.muted_send = False
        # What the engine was told last: the peer's key and ours.
        self._keys: tuple[MasterKey, MasterKey] | None = None

    def keys_of(self, audio: AudioSection) -> SetKeys | None:
        """Return what the engine must know of the keys that a leg has agreed to, if it does not know it yet."""
        keys = audio.keys
        agreed = (keys.receive, keys.send) if keys is not None else None
        if agreed == self._keys:
            return None
        self._keys = agreed
        if keys is None:
            return SetKeys(self.id, secured=False)
        return SetKeys(self.id, True, keys.receive, keys.send, keys.after_peer)

    def remote_of(self, audio: AudioSection, settings: MediaSettings) -> SetRemote:
        """Return what the engine must know of what a leg has agreed to."""
        view = audio.remote
        if view is None:
            raise UsageError(f"the leg of stream {self.id} has agreed to nothing")
        address, port, latch = self._destination(view.address, view.port, settings)
        rtcp_address, rtcp_port = _reports_to(view, address, port, audio.rtcp_mux)
        return SetRemote(
            self.id,
            address,
            port,
            rtcp_address,
            rtcp_port,
            audio.rtcp_mux,
            _engine_codecs(audio.to_peer),
            audio.send,
            audio.receive,
            latch,
            packet_time_of(audio, settings),
            settings.no_media_timeout,
        )

    def facts_of(self, audio: AudioSection, peer: str) -> Facts | None:
        """Return what the verdict on the audio must know; None before anything was agreed. `peer` is who it is."""
        remote, local = self.remote, audio.local
        if remote is None:
            return None
        return Facts(
            peer=peer,
            said=host_port(remote.address, remote.port) if remote.port else "",
            signalling=self.peer,
            told=host_port(local.address, local.port) if local is not None else "",
            latch=remote.latch,
            receive=remote.receive,
            send=remote.send,
            muted_receive=self.muted_receive,
            muted_send=self.muted_send,
            suite=audio.keys.receive.suite if audio.keys is not None else "",
            codecs=tuple([(codec.payload_type, codec.name) for codec in remote.codecs]),
        )

    def relayed_remote_of(self, section: RelayedSection, settings: MediaSettings) -> SetRemote:
        """Return what the engine must know of a section that is relayed unread; one that is not in use sends
        nothing."""
        view = section.remote
        if view is None:
            return SetRemote(self.id, "0.0.0.0", 0, "0.0.0.0", 0, False, (), False, False, False, opaque=True)
        address, port, latch = self._destination(view.address, view.port, settings)
        rtcp_address, rtcp_port = _reports_to(view, address, port, section.rtcp_mux)
        if not view.is_rtp:
            rtcp_port = 0
        return SetRemote(
            self.id,
            address,
            port,
            rtcp_address,
            rtcp_port,
            section.rtcp_mux,
            (),
            section.send,
            section.receive,
            latch,
            opaque=True,
        )

    def _destination(self, address: str, port: int, settings: MediaSettings) -> tuple[str, int, bool]:
        """Return where to send to, and whether to latch."""
        if address in ("0.0.0.0", "::"):
            return address, 0, settings.latches(self.latch, "", "")
        if is_numeric(address):
            return address, port, settings.latches(self.latch, address, self.peer)
        # A host name (RFC 8866 §5.7 allows one). Nothing is resolved here: its media most likely comes from where its
        # signalling does, and the latch finds out.
        if self.peer:
            return self.peer, port, True
        return "0.0.0.0", 0, True


def _reports_to(view: RemoteMedia | RelayedMedia, address: str, port: int, mux: bool) -> tuple[str, int]:
    """Return where RTCP to a peer goes, whose media goes to `address` and `port`."""
    if mux:
        return address, port
    said = view.rtcp_address
    reachable = is_numeric(said) and family_of(said) == family_of(address)
    return said if reachable else address, view.rtcp_port if port else 0


def host_port(address: str, port: int) -> str:
    """Return an address as the engine writes it."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def packet_time_of(audio: AudioSection, settings: MediaSettings) -> int:
    """Return the milliseconds of sound in a packet to a leg: as its peer asks, else as settings say."""
    view = audio.remote
    wanted = (view.packet_time if view else None) or settings.packet_time
    return min(wanted, view.maximum_packet_time) if view and view.maximum_packet_time else wanted


def _engine_codecs(codecs: tuple[PayloadFormat, ...]) -> tuple[Codec, ...]:
    """Return codecs as the engine takes them: voices first, since it plays with the first."""
    voices = [codec for codec in codecs if not codec.is_companion]
    companions = [codec for codec in codecs if codec.is_companion]
    return tuple(
        [
            Codec(codec.payload_type, codec.name, codec.rate, codec.channels, codec.parameters)
            for codec in (voices + companions)[:MAXIMUM_FORMATS]
        ]
    )
