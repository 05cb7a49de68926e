"""Which key is a press that was heard before, another way: a phone may send it by telephone-events and by INFO."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["KeyFilter", "Way"]


class Way(Enum):
    """How a key comes or goes."""

    MEDIA = "media"
    """By telephone-events (RFC 4733), or as tones in the voice."""
    INFO = "info"


@dataclass(slots=True)
class _Heard:
    leg: str
    way: Way
    digit: str
    began: float
    ended: float


class KeyFilter:
    """Pairs what comes two ways. Times are seconds on one clock; `window` is how far two signs of one press may lie
    apart.

    A press has one sign each way, so a sign that has been paired says nothing of the next: ``11`` dialled fast, both
    ways, is two keys.
    """

    __slots__ = ("_heard", "_window")

    def __init__(self, window: float = 0.1) -> None:
        self._window = window
        self._heard: list[_Heard] = []

    def is_repeat(self, leg: str, way: Way, digit: str, began: float, ended: float) -> bool:
        """Take a key that was pressed from `began` to `ended`; return whether it was told before, the other way."""
        self._heard = [one for one in self._heard if one.leg != leg or one.ended + self._window >= began]
        for one in self._heard:
            near = one.began - self._window <= ended and began <= one.ended + self._window
            if near and one.leg == leg and one.digit == digit and one.way is not way:
                self._heard.remove(one)
                return True
        self._heard.append(_Heard(leg, way, digit, began, ended))
        return False
