"""What is done to the sound that a peer sends, where it was asked for."""

from __future__ import annotations

from pbx.values import dataclass

__all__ = ["Processing"]


@dataclass(frozen=True, slots=True)
class Processing:
    """Each 0 where nothing is asked for."""

    level: int = 0
    """dBov that speech is brought to, -40 to -6."""
    noise: int = 0
    """dB that steady noise is suppressed by, 1 to 60."""
    echo: int = 0
    """Milliseconds, 20 to 500, after which the echo of what the peer hears is gone: its way there and back, and all
    buffers on it."""

    def __bool__(self) -> bool:
        """Return whether anything is asked for."""
        return bool(self.level or self.noise or self.echo)
