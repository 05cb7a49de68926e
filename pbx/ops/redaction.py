"""Keeps secrets out of the log: by the name of a value, by its form, and by what the configuration says is secret."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

__all__ = ["HIDDEN", "Redactor"]

HIDDEN = "[hidden]"

_SHORTEST = 6
"""A shorter secret is hidden by name and form only: everywhere else it would black out numbers and words."""

_NAMES = re.compile(
    r"pass(?:word|wd|phrase)?$|secret|token|credential|authori[sz]ation|cookie|api_?key|private_?key|ha1"
)
# Digest's username and nonce are no secrets; its response allows guessing offline.
_FORMS = re.compile(
    r"""
      (?P<header>(?:proxy-)?authorization:\s*\w+\s+)[^\r\n]+
    | (?P<bearer>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}
    | (?P<response>\bresponse=")[0-9a-fA-F]{16,}
    | (?P<url>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)
    | (?P<inline>\binline:)[^\s|;'"]+
    | (?P<user>\bsips?:[^\s:@<>]+:)[^\s@<>]+(?=@)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PREFIXES = ("header", "bearer", "response", "url", "inline", "user")


class Redactor:
    """Replaces secrets in what is about to be written."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these from now on, wherever they stand."""
        self._secrets.update(secret for secret in secrets if len(secret) >= _SHORTEST)
        if self._secrets:
            longest_first = sorted(self._secrets, key=len, reverse=True)
            self._known = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """Return `text` without the secrets in it."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        # Every form has one of these in it, and most fields of a line are a word.
        return _FORMS.sub(_hide, text) if ":" in text or " " in text or "=" in text else text

    def fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a log line without the secrets in them."""
        return {name: HIDDEN if _is_secret(name) else self._value(value) for name, value in fields.items()}

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, dict):
            return self.fields({str(name): item for name, item in value.items()})
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._value(item) for item in value]
        if isinstance(value, bytes):
            return self.text(value.decode("utf-8", "backslashreplace"))
        return self.text(str(value))


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return _NAMES.search(name.lower()) is not None


def _hide(match: re.Match[str]) -> str:
    return next(match[name] for name in _PREFIXES if match[name] is not None) + HIDDEN
