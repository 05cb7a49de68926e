"""What a phone shall do in a call."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Times are seconds; None: no such limit. Paths are of files that were found fit before."""

    target: str = ""
    """Whom to call; empty: nobody."""
    wait: bool = False
    """Wait for a call and answer it. With neither, the phone registers and that is all."""
    register: bool = True
    expires: int = 300
    """The registration asked for, in seconds: short, since a phone on the command line may well be killed."""
    echo: bool = False
    """Send back what is heard."""
    play: str = ""
    """A sound file to play once the call is up."""
    record: str = ""
    """Where what is heard is recorded, as a mono WAV."""
    keys: str = ""
    """Keys to press once the call is up; ``,`` waits a second."""
    answer_after: float = 0.0
    """How long to ring before the answer."""
    duration: float | None = None
    """How long to talk, from the answer on; without a call, how long to stay registered."""
    hang_up_after: float | None = None
    """How long a call may take in all, whether it is answered or not."""
    patience: float = 10.0
    """How long the server may take to answer the registration."""
    farewell: float = 4.0
    """How long the end of everything may take: BYE, the removal of the registration."""
