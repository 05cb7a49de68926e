"""Where writes wait that the database would not take: an append-only file of JSON lines.

A line is the whole state of one row, or its absence, and a later line of the same row replaces an earlier one. So the
file may be replayed twice without harm, and may be compacted to one line a row when it has grown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pbx.store.schema import TABLES, Key, Row, from_json, to_json
from pbx.values import dataclass

__all__ = ["Change", "Spool", "SpoolFullError"]

_COMPACT_FROM = 16 << 20


class SpoolFullError(OSError):
    """The spool has reached its limit."""


@dataclass(frozen=True, slots=True)
class Change:
    """The new state of one row: `row` None means that it is gone."""

    table: str
    key: Key
    row: Row | None

    def encode(self) -> bytes:
        """Return this change as one line."""
        row = None if self.row is None else to_json(self.table, self.row)
        return json.dumps((self.table, self.key, row), ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Change:
        """Undo `encode`. ValueError for a line that is none."""
        try:
            table, key, row = json.loads(line)
            if table not in TABLES or not isinstance(key, list):
                raise ValueError("not a line of the spool")
            return cls(table, tuple(key), None if row is None else from_json(table, row))
        except (KeyError, TypeError) as error:
            raise ValueError("not a line of the spool") from error


class Spool:
    """The file. Belongs to one thread at a time; every method may wait for the disk and raise OSError."""

    def __init__(self, path: Path, limit: int = 256 << 20, compact_from: int = _COMPACT_FROM) -> None:
        """Use the file at `path`, that may hold what an earlier run left; `limit` in octets."""
        self._path = path
        self._limit = limit
        self._compact_from = compact_from
        self._compact_at = compact_from
        self.octets = path.stat().st_size if path.exists() else 0
        self.damaged = 0
        """Lines found that could not be read: at most the last one, torn when the machine went down."""

    def __bool__(self) -> bool:
        """Say whether anything waits."""
        return self.octets > 0

    def append(self, changes: Iterable[Change]) -> None:
        """Add changes and see them on disk. SpoolFullError or another OSError: none of them counts as added."""
        lines = b"".join(change.encode() for change in changes)
        if self.octets + len(lines) > self._limit:
            raise SpoolFullError(f"{self._path} has reached its limit of {self._limit} octets")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # A line torn by a crash must not swallow the first one after it.
            if self.octets and not self._ends_whole():
                lines = b"\n" + lines
            view = memoryview(lines)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, self.octets)
            raise
        finally:
            os.close(descriptor)
        self.octets += len(lines)
        if self.octets > self._compact_at:
            self._compact()

    def _ends_whole(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def read(self) -> Iterator[Change]:
        """Give every change, oldest first; a damaged line is counted and passed over."""
        if not self.octets:
            return
        with self._path.open("rb") as file:
            for line in file:
                try:
                    yield Change.decode(line)
                except ValueError:
                    self.damaged += line != b"\n"

    def clear(self) -> None:
        """Forget everything: it has reached the database."""
        self._path.unlink(missing_ok=True)
        self.octets = 0
        self._compact_at = self._compact_from

    def _compact(self) -> None:
        latest = {(change.table, change.key): change for change in self.read()}
        temporary = self._path.with_suffix(".compacting")
        try:
            with open(temporary, "wb", opener=_private) as file:
                file.writelines(change.encode() for change in latest.values())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError:
            # What was appended is safe; only the shrinking has to wait.
            temporary.unlink(missing_ok=True)
        self.octets = self._path.stat().st_size
        self._compact_at = max(self._compact_from, 2 * self.octets)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
