"""What a phone needs beneath it: `machine.py` gives the real things, tests small ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from pbx.call.leg import LegContext
from pbx.media.commands import Command
from pbx.media.policy import MediaSettings
from pbx.sip.stack import Flow
from pbx.sip.targets import Target
from pbx.sip.uri import Uri

__all__ = ["Beneath"]


class Beneath(Protocol):
    """A SIP stack, a media engine, and a folder for passing files."""

    context: LegContext
    """What legs share; the stack is in it."""
    media: MediaSettings
    """What holds for the media of every call; its address is that of the call's signalling."""

    def submit(self, command: Command) -> None:
        """Give the media engine a command."""

    def resolve(self, uri: Uri, done: Callable[[Sequence[Target], str], None]) -> None:
        """Find out where `uri` leads (RFC 3263): the targets in order, or none and the reason."""

    def source_towards(self, host: str) -> str:
        """Return our address towards the numeric `host`, empty if no way leads there."""

    def keep_alive(self, flow: Flow, interval: float) -> Callable[[], None]:
        """Send a keep-alive over `flow` every `interval` seconds, until the return value is called."""

    def silence(self, seconds: float) -> str:
        """Return the path of a sound file that is silent for so long. Raises EnvironmentFault."""

    def scratch(self, path: str) -> str:
        """Return where to write what shall be `path` in the end; nothing is there."""

    def keep(self, scratch: str, path: str) -> str:
        """Give what was written its name, over whatever had it; return an empty text, or what is wrong."""
