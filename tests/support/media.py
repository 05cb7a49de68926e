"""A call's media among fakes: the engine that opens whatever is asked, and peers that are described in a few lines."""

from __future__ import annotations

from pbx.ids import Ids
from pbx.media.commands import Command, Open, SetRemote
from pbx.media.events import Opened
from pbx.media.policy import MediaSettings
from pbx.media.session import MediaSession
from pbx.sdp.model import SessionDescription
from pbx.sdp.parser import parse
from pbx.sdp.writer import to_bytes

SESSION_ID = 0x11111111
"""What every o= line of ours says in these tests."""

PORTS = {"a": 20000, "b": 20100, "c": 20200}
"""The RTP port of each leg's stream; RTCP is one above."""


def ids() -> Ids:
    """Return a source of identifiers that are all alike."""
    return Ids(lambda octets: b"\x11" * octets)


def session(settings: MediaSettings | None = None, legs: str = "ab") -> MediaSession:
    """Return the media of a call whose `legs` are open, with no commands left."""
    made = MediaSession("call", settings or MediaSettings(address="203.0.113.5"), ids())
    for leg in legs:
        made.open(leg)
    open_streams(made)
    return made


def open_streams(made: MediaSession, address: str = "") -> list[Command]:
    """Do what an engine does with the Open commands that wait; return the other commands."""
    rest: list[Command] = []
    for command in made.take_commands():
        if isinstance(command, Open):
            port = PORTS[made.leg_of(command.stream) or ""]
            made.on_event(Opened(command.stream, address or command.address, port, port + 1))
        else:
            rest.append(command)
    return rest


def sdp(*lines: str, address: str = "192.0.2.1", port: int = 4000, formats: str = "0") -> SessionDescription:
    """Return a phone's description: one audio section with `lines` in it."""
    family = "IP6" if ":" in address else "IP4"
    return parse(
        "\r\n".join(
            (
                "v=0",
                f"o=phone 1 1 IN {family} {address}",
                "s=phone",
                f"c=IN {family} {address}",
                "t=0 0",
                f"m=audio {port} RTP/AVP {formats}",
                *lines,
            )
        )
    )


def text(description: SessionDescription) -> list[str]:
    """Return the lines of a description as it would be sent."""
    return to_bytes(description).decode().splitlines()


def audio(description: SessionDescription) -> list[str]:
    """Return the lines from the first m=audio on."""
    lines = text(description)
    return lines[next(place for place, line in enumerate(lines) if line.startswith("m=audio")) :]


def direction(description: SessionDescription) -> str:
    """Return the direction of the first audio section that is in use."""
    media = next(media for media in description.media if media.kind == "audio" and media.port)
    return description.direction_of(media).value


def remotes(made: MediaSession) -> dict[str, SetRemote]:
    """Return the last SetRemote that waits for each leg, and forget all commands."""
    found: dict[str, SetRemote] = {}
    for command in made.take_commands():
        if isinstance(command, SetRemote):
            found[made.leg_of(command.stream) or ""] = command
    return found


def talk(made: MediaSession, offer: SessionDescription | None = None, answer: SessionDescription | None = None) -> None:
    """Let leg a call leg b, who answers; no commands are left."""
    made.set_remote("a", offer or sdp(), offer=True)
    made.offer_to("b", "a")
    made.set_remote("b", answer or sdp(address="192.0.2.2"), offer=False)
    made.answer_to("a", "b")
    made.connect("a", "b")
    made.take_commands()
