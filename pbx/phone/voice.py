"""The sound of a phone's call: its one leg of media, what is played, echoed, recorded and heard on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pbx.errors import EnvironmentFault
from pbx.media import events
from pbx.media.session import MediaSession
from pbx.phone import notices
from pbx.sdp.codecs import TELEPHONE_EVENT
from pbx.sdp.model import Direction
from pbx.sdp.offer_answer import find_audio, read_media

if TYPE_CHECKING:
    from pbx.phone.plan import Plan
    from pbx.phone.ports import Beneath
    from pbx.sdp.model import SessionDescription

__all__ = ["Agreed", "Voice"]

_LEG: Final = "line"
_OPENING: Final = 0.2
"""Seconds of silence that an echo begins with: a NAT lets nothing in before something has gone out."""
_ROUND: Final = 1.0
"""Seconds of the silence that is played again and again."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What the peer said last of its media."""

    address: str
    """``host:port``"""
    direction: Direction
    """As the peer sees it."""
    takes_keys: bool
    """Whether it takes telephone-events."""

    @staticmethod
    def of(sdp: SessionDescription) -> Agreed:
        """Read a description. Raises NegotiationError."""
        view = read_media(sdp, find_audio(sdp)[0])
        takes_keys = any(codec.name.lower() == TELEPHONE_EVENT for codec in view.codecs)
        return Agreed(_show(view.address, view.port), view.direction, takes_keys)

    @property
    def reachable(self) -> bool:
        """False for the address of nobody, which old phones hold by (RFC 3264 §8.4)."""
        return not self.address.startswith(("0.0.0.0:", "[::]:"))


def _show(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Voice:
    """`way` is our own address and the peer's, both numeric; `opened` is called once the ports are there,
    `failed(text)` when the call cannot go on.

    Descriptions are made and taken as `pbx.media.session` has it; every method but `agree` and `hear` may raise its
    NegotiationError.
    """

    def __init__(
        self,
        call: str,
        beneath: Beneath,
        plan: Plan,
        way: tuple[str, str],
        tell: Callable[[notices.Notice], None],
        opened: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self._beneath = beneath
        self._plan = plan
        self._tell = tell
        self._opened = opened
        self._failed = failed
        self._way = way
        # Audio goes by the address that signalling goes by, not by whatever the kernel prefers.
        settings = replace(beneath.media, address=way[0], address6="")
        self._session = MediaSession(call, settings, beneath.context.ids)
        self._play = ""
        """The id of the user's sound while it plays."""
        self._recording = self._scratch = ""
        """The id of the recording while it runs, and where it is written until it is whole."""
        self._closing = False
        self.agreed: Agreed | None = None
        self.well = True
        """False once something that was asked for could not be had."""

    # -- offer and answer

    def open(self) -> None:
        """Ask for ports."""
        local, peer = self._way
        self._session.open(_LEG, peer=peer, local=local)
        self.flush()

    @property
    def ready(self) -> bool:
        """Whether the ports are there."""
        return self._session.ready(_LEG)

    def offer(self) -> SessionDescription:
        """Return an offer of ours."""
        return self._session.local_offer(_LEG)

    def take_offer(self, sdp: SessionDescription) -> None:
        """Take the peer's offer, which then waits for `answer` or `rollback`."""
        self._session.set_remote(_LEG, sdp, offer=True)

    def answer(self) -> SessionDescription:
        """Return our answer."""
        return self._session.local_answer(_LEG)

    def take_answer(self, sdp: SessionDescription) -> None:
        """Take the peer's answer."""
        self._session.set_remote(_LEG, sdp, offer=False)

    def rollback(self) -> None:
        """Forget an offer that came to nothing."""
        self._session.rollback(_LEG)

    @property
    def codec(self) -> str:
        """The codec in use."""
        return self._session.codec_name(_LEG)

    # -- sound

    def early(self) -> None:
        """Audio flows before the answer: listen, and send silence.

        Whoever has nothing to say sends silence: a phone that sends nothing gets nothing through a NAT, and peers end
        calls that are silent on the wire.
        """
        self._record()
        self._play_silence(_ROUND, loop=True)
        self.flush()

    def talk(self) -> None:
        """The call is up: play, echo, or send silence."""
        session, plan = self._session, self._plan
        self._record()
        if plan.echo:
            # Heard as soon as nothing is played.
            session.echo(_LEG)
        if plan.play:
            self._play = session.play(_LEG, plan.play)
        else:
            self._play_silence(_OPENING if plan.echo else _ROUND, loop=not plan.echo)
        self.flush()

    def press(self, keys: str) -> None:
        """Send keys as telephone-events."""
        self._session.send_digits(_LEG, keys)
        self.flush()

    def _record(self) -> None:
        if self._plan.record and not self._scratch:
            self._scratch = self._beneath.scratch(self._plan.record)
            self._recording = self._session.record(_LEG, None, self._scratch)

    def _play_silence(self, seconds: float, *, loop: bool) -> None:
        try:
            self._session.play(_LEG, self._beneath.silence(seconds), loop=loop)
        except EnvironmentFault as error:
            self.well = False
            self._tell(notices.Fault(str(error)))

    def flush(self) -> None:
        """Give the engine what it is to do."""
        for command in self._session.take_commands():
            self._beneath.submit(command)

    # -- the end

    def close(self) -> None:
        """End it all; `over` once the engine has said so."""
        self._closing = True
        self._session.close_all()
        self.flush()

    @property
    def over(self) -> bool:
        """Whether nothing is left: no stream, no recording that is not whole."""
        return self._closing and not self._session.close_all() and not self._recording

    def tell_quality(self) -> None:
        """Tell how it sounded, by the last counts."""
        counts, quality = self._session.counts(_LEG), self._session.quality(_LEG)
        if counts is None or quality is None:
            return
        self._tell(
            notices.Quality(
                self.codec,
                counts.sent_packets,
                counts.received_packets,
                max(0, counts.lost),
                quality.loss,
                quality.jitter,
                quality.round_trip,
                quality.mos,
                max(0, counts.remote_lost) if counts.rtcp_received else None,
                quality.remote_jitter,
                quality.remote_mos,
            )
        )

    # -- what the engine tells

    def hear(self, told: Iterable[events.Event]) -> None:
        """Take what the engine tells; all of it is of this call."""
        for event in told:
            self._session.on_event(event)
            match event:
                case events.Opened():
                    self._opened()
                case events.Closed() if event.reason and not self._closing:
                    self._failed(f"the media engine has ended the audio: {event.reason}")
                case events.Digit():
                    self._tell(notices.KeyHeard(event.digit, event.duration, "rtp"))
                case events.Latched():
                    self._latched(_show(event.address, event.port))
                case events.NoMedia():
                    self._tell(notices.Silent(event.milliseconds / 1000))
                case events.PlayEnded():
                    self._play_ended(event)
                case events.RecordingEnded():
                    failure = self._beneath.keep(self._scratch, self._plan.record)
                    self._recorded(event.duration / 1000, failure)
                case events.RecordingFailed():
                    self._recorded(0.0, event.reason)
                case _:
                    pass
            self.flush()

    def _latched(self, address: str) -> None:
        if self.agreed is not None and address != self.agreed.address:
            self._tell(notices.Moved(address))

    def _play_ended(self, event: events.PlayEnded) -> None:
        if event.play != self._play:
            if event.failure and not self._closing:
                self._failed(f"silence cannot be sent: {event.failure}")
            return
        self._play = ""
        if self._closing and not event.failure:
            return
        self._tell(notices.PlayEnded(self._plan.play, event.played / 1000, event.failure))
        if event.failure:
            self._failed("")
        elif not self._plan.echo:
            self._play_silence(_ROUND, loop=True)

    def _recorded(self, seconds: float, failure: str) -> None:
        self._recording = ""
        self.well = self.well and not failure
        self._tell(notices.RecordingEnded(self._plan.record, seconds, failure))
