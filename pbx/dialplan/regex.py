"""Which regular expressions a dialplan may hold: those that cannot be made to run for long.

Python's `re` backtracks, so an expression such as ``(\\d+)+x`` takes exponential time on a number made for it. What is
accepted here is a subset in which the number of ways to match is bounded: literals, classes, groups, alternatives and
quantifiers, where a quantifier with several counts stands over something of one fixed length only, and where all
choices multiplied stay under `MAXIMUM_WAYS` for a number of `LONGEST` characters. Look-around, back-references and
flags are refused.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import Any

__all__ = ["LONGEST", "MAXIMUM_WAYS", "Tree", "check_regex", "literal_prefix", "regex_tree"]

LONGEST = 64
"""No number longer than this is ever tried against a regular expression."""
MAXIMUM_WAYS = 50_000

_ESCAPED_CLASSES = "dDwWsS"
_ESCAPED = {
    "d": frozenset(string.digits),
    "w": frozenset(string.ascii_letters + string.digits + "_"),
    "s": frozenset(string.whitespace),
}
_QUANTIFIER = re.compile(r"([*+?])|\{(\d{1,3})(?:(,)(\d{0,3}))?\}", re.ASCII)
_GROUP_NAME = re.compile(r"\?P<([A-Za-z_][A-Za-z0-9_]*)>", re.ASCII)


Tree = tuple[Any, ...]
"""An accepted expression: ``("chars", set, negated)``, ``("cat", parts)``, ``("or", parts)``,
``("repeat", part, least, most or None)`` or ``("anchor", "^" or "$")``."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Part of an expression: how many ways it can match, its length if that is fixed, its text if that is fixed, and
    the part itself."""

    ways: int
    length: int | None
    literal: str | None = None
    tree: Tree = ("cat", ())


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.prefix = ""

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, expected: str) -> bool:
        if self.text.startswith(expected, self.at):
            self.at += len(expected)
            return True
        return False

    def alternatives(self, depth: int) -> _Piece:
        if depth > 8:
            raise ValueError("groups are nested more than eight deep")
        pieces = [self.sequence(depth)]
        while self.take("|"):
            pieces.append(self.sequence(depth))
        if len(pieces) == 1:
            return pieces[0]
        lengths = {piece.length for piece in pieces}
        tree = ("or", tuple(piece.tree for piece in pieces))
        length = lengths.pop() if len(lengths) == 1 else None
        return _Piece(_bounded(sum(piece.ways for piece in pieces)), length, tree=tree)

    def sequence(self, depth: int) -> _Piece:
        ways, length, literal = 1, 0, ""
        variable = open_ended = False
        trees = []
        while (char := self.peek()) and char not in "|)":
            piece = self.quantified(self.atom(depth))
            trees.append(piece.tree)
            ways = _bounded(ways * piece.ways)
            variable = variable or piece.length is None
            length += piece.length or 0
            open_ended = open_ended or piece.literal is None
            literal += piece.literal if not open_ended and piece.literal is not None else ""
        if depth == 0:
            self.prefix = literal
        return _Piece(ways, None if variable else length, None if open_ended else literal, ("cat", tuple(trees)))

    def quantified(self, piece: _Piece) -> _Piece:
        match = _QUANTIFIER.match(self.text, self.at)
        if match is None:
            if self.peek() == "{":
                raise ValueError("`{` must be written `\\{`, or as a quantifier like {3} or {2,5}")
            return piece
        self.at = match.end()
        least, most = _counts(match)
        if most is not None and most < least:
            raise ValueError(f"`{match[0]}` counts backwards")
        self.take("?")  # lazy: the same ways in another order
        if self.peek() in ("*", "+") or _QUANTIFIER.match(self.text, self.at):
            raise ValueError(f"`{match[0]}` is followed by another quantifier; put a group around the first")
        tree = ("repeat", piece.tree, least, most)
        if least == most:
            length = None if piece.length is None else piece.length * least
            return _Piece(_power(piece.ways, least), length, tree=tree)
        if piece.length is None or piece.ways > 1:
            raise ValueError(
                f"`{match[0]}` repeats something that can itself match in several ways, which can take for ever; "
                "repeat a single character or class, such as [0-9]+"
            )
        if piece.length == 0:
            raise ValueError(f"`{match[0]}` repeats nothing")
        return _Piece(_bounded((LONGEST if most is None else min(most, LONGEST)) - least + 1), None, tree=tree)

    def atom(self, depth: int) -> _Piece:
        char = self.text[self.at]
        self.at += 1
        if char == "(":
            return self.group(depth)
        if char == "[":
            return self.char_class()
        if char == "\\":
            return self.escape()
        if char == ".":
            return _Piece(1, 1, tree=("chars", frozenset("\n"), True))
        if char in "^$":
            return _Piece(1, 0, "", ("anchor", char))
        if char in "*+?{":
            raise ValueError(f"`{char}` has nothing to repeat; write `\\{char}` for the character itself")
        if char in "]}":
            raise ValueError(f"`{char}` closes nothing; write `\\{char}` for the character itself")
        return _literal(char)

    def group(self, depth: int) -> _Piece:
        name = _GROUP_NAME.match(self.text, self.at)
        if name:
            self.at = name.end()
        elif self.peek() == "?" and not self.take("?:"):
            raise ValueError("of the groups that begin with (? only (?: … ) and (?P<name> … ) are allowed")
        piece = self.alternatives(depth + 1)
        if not self.take(")"):
            raise ValueError("`(` is never closed")
        return piece

    def escape(self) -> _Piece:
        char = self.peek()
        if not char:
            raise ValueError("it ends in a lone backslash")
        self.at += 1
        if char in _ESCAPED_CLASSES:
            return _Piece(1, 1, tree=("chars", _ESCAPED[char.lower()], char.isupper()))
        if char.isalnum():
            raise ValueError(f"`\\{char}` is not allowed; of the letters only \\d, \\w, \\s and their opposites are")
        return _literal(char)

    def char_class(self) -> _Piece:
        negated = self.take("^")
        start = self.at
        members: list[Tree] = []
        low = ""
        """The character that a range may begin with; with a ``-`` behind it, the one that it does begin with."""
        while (char := self.peek()) and (char != "]" or self.at == start):
            self.at += 1
            if char == "-" and len(low) == 1 and self.peek() != "]":
                self._no_double(char)
                low += char
                continue
            if char == "[":
                raise ValueError("`[` within a class must be written `\\[`")
            self._no_double(char)
            piece = self.escape() if char == "\\" else _literal(char)
            if len(low) == 2 and piece.literal:
                members.append(("chars", frozenset(map(chr, range(ord(low[0]), ord(piece.literal) + 1))), False))
                low = ""
            else:
                members.append(piece.tree)
                low = piece.literal or ""
        if not self.take("]"):
            raise ValueError("`[` is never closed")
        return _Piece(1, 1, tree=_class_tree(members, negated))

    def _no_double(self, char: str) -> None:
        if self.text[self.at - 1 : self.at + 1] in ("--", "&&", "~~", "||"):
            raise ValueError(f"`{char}{char}` within a class must be written `\\{char}`")


def _literal(char: str) -> _Piece:
    return _Piece(1, 1, char, ("chars", frozenset(char), False))


def _class_tree(members: list[Tree], negated: bool) -> Tree:
    """Return the class of these members as one set: what is in it, or what is not."""
    inside = frozenset[str]().union(*[chars for _, chars, outside in members if not outside])
    outsides = [chars for _, chars, outside in members if outside]
    if not outsides:
        return ("chars", inside, negated)
    return ("chars", frozenset.intersection(*outsides) - inside, not negated)


def _counts(match: re.Match[str]) -> tuple[int, int | None]:
    if match[1]:
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[match[1]]
    least = int(match[2])
    if not match[3]:
        return least, least
    return least, int(match[4]) if match[4] else None


def _bounded(ways: int) -> int:
    if ways > MAXIMUM_WAYS:
        raise ValueError(
            f"it can match a number in more than {MAXIMUM_WAYS} ways, which can take too long; "
            "use fewer open-ended quantifiers, such as {3,8} in place of +"
        )
    return ways


def _power(ways: int, count: int) -> int:
    return 1 if ways == 1 else _bounded(ways ** min(count, 20))


def _parse(text: str) -> Tree:
    parser = _Parser(text)
    piece = parser.alternatives(0)
    if parser.at < len(text):
        raise ValueError("`)` closes nothing; write `\\)` for the character itself")
    return piece.tree


def check_regex(text: str) -> re.Pattern[str]:
    """Compile `text`; ValueError says in words why it is refused."""
    _parse(text)
    try:
        return re.compile(text, re.ASCII)
    except (re.error, OverflowError) as error:
        raise ValueError(f"{error}") from None


def regex_tree(text: str) -> Tree:
    """Return an accepted expression taken apart."""
    return _parse(text)


def literal_prefix(text: str) -> str:
    """Return what every match of an accepted expression begins with, as far as that is plain to see."""
    parser = _Parser(text)
    parser.alternatives(0)
    return "" if "|" in text else parser.prefix
