"""Number patterns: ``2XXX``, ``0Z.``, or a regular expression between slashes.

``X`` is a digit 0-9, ``Z`` 1-9, ``N`` 2-9; ``.`` at the end stands for one or more characters of any kind; everything
else is itself. A pattern matches the whole number. Patterns are compiled once, when the plan is loaded.
"""

from __future__ import annotations

import re

from pbx.dialplan.regex import LONGEST, check_regex, literal_prefix
from pbx.values import dataclass

__all__ = ["Pattern", "compile_pattern", "covers"]

_DIGITS = {"X": frozenset("0123456789"), "Z": frozenset("123456789"), "N": frozenset("23456789")}
_CLASSES = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]"}
_LITERALS = frozenset("0123456789+*#-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMOPQRSTUVWY")
_REST = r"[^\x00-\x20\x7f]+"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One compiled pattern."""

    text: str
    """As written."""
    regex: re.Pattern[str]
    is_regex: bool
    prefix: str
    """What every number that matches begins with."""
    groups: tuple[str, ...]
    """The names under which parts of the number can be used: ``1``, ``2`` … and those of named groups."""

    def match(self, number: str) -> re.Match[str] | None:
        """Return the match of the whole number, or None."""
        if not number.startswith(self.prefix) or (self.is_regex and len(number) > LONGEST):
            return None  # the prefix first: most patterns of a plan fail there, at a third of the cost
        return self.regex.fullmatch(number)

    def parts(self, number: str) -> dict[str, str]:
        """Return what the groups took of a number that matches; nothing for a group that took no part."""
        match = self.match(number)
        if match is None:
            return {}
        parts = {str(place): text or "" for place, text in enumerate(match.groups(), 1)}
        parts.update((key, text or "") for key, text in match.groupdict().items())
        return parts

    def may_begin_with(self, char: str) -> bool:
        """Return False if no number that begins with `char` can match; `char` empty stands for an empty number."""
        if self.prefix:
            return char == self.prefix[0]
        if self.is_regex:
            return True
        first = self.text[0]
        return bool(char) and (first == "." or char in _DIGITS[first])

    def __str__(self) -> str:
        return self.text


def compile_pattern(text: str) -> Pattern:
    """Return the pattern that `text` writes; ValueError says what is wrong with it."""
    if len(text) >= 2 and text.startswith("/") and text.endswith("/"):
        body = text[1:-1]
        if not body:
            raise ValueError("the regular expression `//` is empty; write the pattern between the slashes")
        try:
            regex = check_regex(body)
        except ValueError as error:
            raise ValueError(f"the regular expression `{text}` is refused: {error}") from None
        names = tuple(str(group) for group in range(1, regex.groups + 1)) + tuple(regex.groupindex)
        return Pattern(text, regex, True, literal_prefix(body), names)
    return _compile_simple(text)


def _compile_simple(text: str) -> Pattern:
    if not text:
        raise ValueError('a pattern is empty; write "." for any number')
    body, rest = (text[:-1], True) if text.endswith(".") else (text, False)
    prefix, expression, literal = "", "", True
    for char in body:
        if char in _CLASSES:
            expression += _CLASSES[char]
            literal = False
        elif char in _LITERALS:
            expression += re.escape(char)
            prefix += char if literal else ""
        else:
            raise ValueError(_advice(text, char))
    return Pattern(text, re.compile(expression + (_REST if rest else ""), re.ASCII), False, prefix, ())


def _advice(text: str, char: str) -> str:
    if char == ".":
        return f'`{text}`: "." stands for the rest of the number and can only come last; use a /regular expression/'
    if char == "/":
        return f"`{text}`: a regular expression stands between two slashes, /like this/"
    if char in "[]()|?!{}\\^$":
        return f"`{text}`: `{char}` has no meaning here; write a /regular expression/, such as /[1-5][0-9]+/"
    return f"`{text}`: the character `{char}` cannot be dialled; X is 0-9, Z 1-9, N 2-9, and a final . the rest"


def covers(broad: Pattern, narrow: Pattern) -> bool:
    """Return True if it is certain that every number that `narrow` matches is matched by `broad` too."""
    if broad.text == narrow.text:
        return True
    if broad.is_regex:
        return not narrow.is_regex and narrow.prefix == narrow.text and broad.match(narrow.text) is not None
    if narrow.is_regex:
        return broad.text == "." and narrow.match("") is None
    broad_body, narrow_body = broad.text.removesuffix("."), narrow.text.removesuffix(".")
    if not _is_open(broad):
        return not _is_open(narrow) and len(broad_body) == len(narrow_body) and _each(broad_body, narrow_body)
    if len(narrow_body) + _is_open(narrow) <= len(broad_body):
        return False
    return _each(broad_body, narrow_body)


def _is_open(pattern: Pattern) -> bool:
    return pattern.text.endswith(".")


def _each(broad: str, narrow: str) -> bool:
    return len(narrow) >= len(broad) and all(
        _DIGITS.get(theirs, frozenset(theirs)) <= _DIGITS.get(ours, frozenset(ours))
        for ours, theirs in zip(broad, narrow, strict=False)
    )
