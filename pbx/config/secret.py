"""Secrets: a value that nothing prints.

In the file a secret is ``env:NAME``, ``file:PATH`` (relative to the configuration) or the value itself. It is read
once, when the configuration is loaded; no fault, log line or `repr` ever holds it.
"""

from __future__ import annotations

import hmac
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

__all__ = ["Secret", "resolve_secret", "secrets_in"]

_LARGEST = 64 * 1024


class Secret:
    """A secret text. Equal secrets compare equal, in constant time; `reveal` gives the text to those who need it."""

    __slots__ = ("_text", "origin")

    def __init__(self, text: str, origin: str = "literal") -> None:
        self._text = text
        self.origin = origin
        """``literal``, ``env`` or ``file``."""

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not written anywhere")


def secrets_in(value: object) -> Iterator[Secret]:
    """Give every secret within settings, whatever section it stands in."""
    inside: Iterable[object] = ()
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, BaseModel):
        inside = vars(value).values()
    elif isinstance(value, Mapping):
        inside = value.values()
    elif isinstance(value, tuple | list):
        inside = value
    for one in inside:
        if not isinstance(one, str | int | float | None):
            yield from secrets_in(one)


def resolve_secret(text: str, folder: Path, environ: Mapping[str, str]) -> Secret:
    """Return the secret that `text` writes; ValueError says what keeps it from being read, never what it is."""
    kind, colon, rest = text.partition(":")
    if colon and kind == "env":
        return _from_environment(rest, environ)
    if colon and kind == "file":
        return _from_file(folder / rest, rest)
    if not text:
        raise ValueError("the secret is empty; write env:NAME or file:PATH")
    return Secret(text)


def _from_environment(name: str, environ: Mapping[str, str]) -> Secret:
    if not name:
        raise ValueError("`env:` names no variable; write env:NAME")
    value = environ.get(name, "")
    if not value:
        state = "is empty" if name in environ else "is not set"
        raise ValueError(f"the environment variable {name} {state}; set it before starting")
    return Secret(value, "env")


def _from_file(path: Path, written: str) -> Secret:
    if not written:
        raise ValueError("`file:` names no file; write file:PATH")
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o007:
                raise ValueError(f"the secret file {path} is open to everybody (mode {mode:04o}); run chmod 600 {path}")
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise ValueError(f"the secret file {path} does not exist; create it with the secret as its only line") from None
    except OSError as error:
        raise ValueError(f"the secret file {path} cannot be read: {error.strerror}") from None
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"the secret file {path} is not UTF-8 text") from None
    if len(data) > _LARGEST or "\n" in text:
        raise ValueError(f"the secret file {path} has more than one line; put the secret alone into it")
    if not text:
        raise ValueError(f"the secret file {path} is empty; put the secret into it")
    return Secret(text, "file")
