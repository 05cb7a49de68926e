"""The section ``processing:``. The docstrings are the source of ``docs/configuration.md``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

from pbx.config.kinds import Kind, Section

__all__ = ["Processing"]


class _Number:
    """How `true`, `false` or a number between two bounds is read."""

    def __init__(self, usual: int, least: int, most: int, unit: str) -> None:
        self._usual, self._least, self._most, self._unit = usual, least, most, unit

    def __call__(self, value: object) -> object:
        """Return the number, 0 for `false`. Raises ValueError that says what would do."""
        if isinstance(value, str):  # as a file has it
            value = {"true": True, "false": False}.get(value.lower(), value)
            value = int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,4}", value, re.ASCII) else value
        if value is None or isinstance(value, bool):
            return value if value is None else self._usual if value else 0
        if not isinstance(value, int) or (value and not self._least <= value <= self._most):
            raise ValueError(f"true, false, or {self._unit} from {self._least} to {self._most} is wanted")
        return value


_Level = Annotated[int | None, BeforeValidator(_Number(-20, -40, -6, "dBov")), Kind("boolean or dBov", "true")]
_Noise = Annotated[int | None, BeforeValidator(_Number(15, 1, 60, "dB")), Kind("boolean or dB", "true")]
_Echo = Annotated[int | None, BeforeValidator(_Number(200, 20, 500, "ms")), Kind("boolean or ms", "true")]


class Processing(Section):
    """What is done to the sound that a side sends. Whoever has any of it is decoded, wherever the codec can be. All is
    off where nothing is said; what a trunk or an extension leaves out is as `media` has it."""

    level: _Level = None
    """Brings speech to a level, in dBov; `true` is -20."""
    noise: _Noise = None
    """Suppresses steady noise by so many dB; `true` is 15."""
    echo: _Echo = None
    """Cancels the echo of what the side hears, where it comes back within so many milliseconds, all buffers on the way
    included; `true` is 200."""

    def over(self, other: Processing) -> Processing:
        """Return what holds where `other` does and this says something else of parts of it."""
        return Processing(
            level=other.level if self.level is None else self.level,
            noise=other.noise if self.noise is None else self.noise,
            echo=other.echo if self.echo is None else self.echo,
        )
