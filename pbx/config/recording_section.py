"""The section ``recording:``. The docstrings are the source of ``docs/configuration.md``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pbx.config.kinds import Positive, Section

__all__ = ["Recording"]


class Recording(Section):
    """How calls are recorded where the dialplan says that they are, but not how. Where to stands in `storage`."""

    format: Literal["wav", "flac", "opus"] = "wav"
    """`flac` loses nothing in half the room, `opus` (Ogg) takes a tenth. Each is a WAV until its call is over."""
    channels: Literal["stereo", "mixed"] = "stereo"
    """`stereo` keeps who says what apart, caller left; `mixed` has both in one channel."""
    announce: str | None = None
    """A sound that both hear before the recording begins."""
    beep: Positive | None = None
    """How often both hear a short tone while it runs, such as `15s`; `null` never."""
    pause_digit: str | None = Field(default=None, pattern=r"^[0-9*#]$")
    """The key by which either side pauses and resumes it."""
    on_failure: Literal["continue", "end"] | None = None
    """What happens to a call that should be recorded and cannot be; as `storage.recording_failure` if left out."""
