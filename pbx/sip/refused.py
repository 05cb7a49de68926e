"""INVITEs that were refused without a transaction: what comes of them again is recognised for as long as it may."""

from __future__ import annotations

from typing import Final

__all__ = ["Refused"]

_REMEMBERED: Final = 32.0
"""Seconds that a client sends an INVITE again (RFC 3261 §17.1.1.2, 64*T1)."""
_MOST: Final = 20_000
"""Keys in each half, some 150 octets each: in a flood they are remembered for less long."""


class Refused:
    """Keys of refused INVITEs, for 32 to 64 seconds.

    Two halves take turns: where one is full or old enough, the older one is forgotten as a whole. A server that refuses
    without remembering might take the repetition of what it has refused, and ring for a caller who has hung up.
    """

    __slots__ = ("_before", "_most", "_now", "_since")

    def __init__(self, most: int = _MOST) -> None:
        """`most` keys fit into each half."""
        self._most = most
        self._now: set[str] = set()
        self._before: set[str] = set()
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._now) + len(self._before)

    def __contains__(self, key: str) -> bool:
        return key in self._now or key in self._before

    def add(self, key: str, now: float) -> None:
        """Remember one, at a time in seconds."""
        self.forget(now)
        if len(self._now) >= self._most:
            self._turn(now)
        self._now.add(key)

    def forget(self, now: float) -> None:
        """Let go of what is old."""
        if now - self._since >= _REMEMBERED:
            if now - self._since >= 2 * _REMEMBERED:
                self._now = set()
            self._turn(now)

    def _turn(self, now: float) -> None:
        self._before, self._now, self._since = self._now, set(), now
