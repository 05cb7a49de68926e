"""Watching descriptors on the event loop beneath Twisted's asyncio reactor.

Twisted surrounds each call of a reader with a logging context: fifteen calls of functions for which a SIP datagram has
no use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["LoopReaders", "Reader", "Readers"]


class Reader(Protocol):
    """What watches itself by a descriptor (the part of Twisted's `IReadDescriptor` that matters here)."""

    def fileno(self) -> int:
        """Return the descriptor to watch."""

    def doRead(self) -> object:  # noqa: N802 - Twisted's interface
        """Read what is there."""


class Readers(Protocol):
    """Who watches descriptors: the part of Twisted's reactor that does (`IReactorFDSet`), or `LoopReaders`."""

    def addReader(self, reader: Reader) -> object:  # noqa: N802 - Twisted's interface
        """Watch `reader`."""

    def removeReader(self, reader: Reader) -> object:  # noqa: N802 - Twisted's interface
        """Watch it no more."""


class LoopReaders:
    """Watches on an event loop; an exception of a reader is the loop's to tell, and the reader stays."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop

    def addReader(self, reader: Reader) -> None:  # noqa: N802 - Twisted's interface
        """Watch `reader`."""
        self._loop.add_reader(reader.fileno(), reader.doRead)

    def removeReader(self, reader: Reader) -> None:  # noqa: N802 - Twisted's interface
        """Watch it no more."""
        self._loop.remove_reader(reader.fileno())
