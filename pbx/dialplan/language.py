"""Sets of numbers as regular languages, with every operation of sets and a witness for each that is not empty.

Worked with by derivatives (Brzozowski 1964): the derivative of a set by a character is what may follow that character.
Complement and intersection cost nothing, and no automaton is built beyond what a search meets. Characters are those of
`ALPHABET`: printable ASCII, and one that stands for all others that can be printed. No route takes a number with one
that cannot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from pbx.dialplan.pattern import Pattern
from pbx.dialplan.regex import Tree, regex_tree

__all__ = ["ALPHABET", "Languages", "TooLarge"]

_OTHER = "é"
ALPHABET = frozenset([*(chr(code) for code in range(0x20, 0x7F)), _OTHER])
_DIALLED = ALPHABET - {" "}
"""What a final ``.`` of a pattern stands for, one after the other."""
_PATTERN_CLASSES = {
    "X": frozenset("0123456789"),
    "Z": frozenset("123456789"),
    "N": frozenset("23456789"),
}
_PREFERRED = "2345678901+*#ab"
"""Which character a witness shows where several would do."""
_ORDER = {char: place for place, char in enumerate([*_PREFERRED, *sorted(ALPHABET - set(_PREFERRED))])}
_MOST_STATES = 20_000


class TooLarge(Exception):
    """A search went on for too long to say whether a set is empty."""


class Languages:
    """Makes sets and answers for them. A set is a number that means something to the object that made it only."""

    def __init__(self) -> None:
        self._nodes: list[tuple[str, tuple[object, ...]]] = []
        self._ids: dict[tuple[str, tuple[object, ...]], int] = {}
        self._nullable: list[bool] = []
        self._derivatives: dict[tuple[int, str], int] = {}
        self._classes: set[frozenset[str]] = set()
        self._representatives: tuple[str, ...] | None = None
        self.nothing = self._node("chars", (frozenset(),), nullable=False)
        self.empty = self._node("empty", (), nullable=True)
        """The set of the empty number alone."""
        self.everything = self._node("not", (self.nothing,), nullable=True)
        self.any = self.chars(ALPHABET)

    # -- making sets

    def chars(self, chars: Iterable[str]) -> int:
        """Return the set of these characters."""
        found = frozenset(chars)
        if found not in self._classes:
            self._classes.add(found)
            self._representatives = None
        return self._node("chars", (found,), nullable=False)

    def word(self, text: str) -> int:
        """Return the set of one text."""
        return self.sequence(*[self.chars(known(char)) for char in text])

    def sequence(self, *parts: int) -> int:
        """Return what is a member of each part, one after the other."""
        result = self.empty
        for part in reversed(parts):
            result = self._cat(part, result)
        return result

    def _cat(self, one: int, other: int) -> int:
        if self.nothing in (one, other):
            return self.nothing
        if one == self.empty:
            return other
        if other == self.empty:
            return one
        kind, parts = self._nodes[one]
        if kind == "cat":
            first, rest = parts
            assert isinstance(first, int)
            assert isinstance(rest, int)
            return self._cat(first, self._cat(rest, other))
        return self._node("cat", (one, other), nullable=self._nullable[one] and self._nullable[other])

    def union(self, *parts: int) -> int:
        """Return what is in one of them at least."""
        found = self._flat("or", parts)
        found.discard(self.nothing)
        if self.everything in found or any(self._complement(part) in found for part in found):
            return self.everything
        classes = [part for part in found if self._nodes[part][0] == "chars"]
        if len(classes) > 1:
            found.difference_update(classes)
            found.add(self.chars(frozenset().union(*[self._chars_of(part) for part in classes])))
        if len(found) < 2:
            return found.pop() if found else self.nothing
        return self._node("or", tuple(sorted(found)), nullable=any(self._nullable[part] for part in found))

    def both(self, *parts: int) -> int:
        """Return what is in all of them."""
        found = self._flat("and", parts)
        found.discard(self.everything)
        if self.nothing in found or any(self._complement(part) in found for part in found):
            return self.nothing
        if len(found) < 2:
            return found.pop() if found else self.everything
        return self._node("and", tuple(sorted(found)), nullable=all(self._nullable[part] for part in found))

    def without(self, one: int, *others: int) -> int:
        """Return what is in `one` and in none of the others."""
        result = self._complement(self.union(*others)) if others else self.everything
        return result if one == self.everything else self.both(one, result)

    def many(self, part: int) -> int:
        """Return any number of members of `part`, none among them, one after the other."""
        if part in (self.nothing, self.empty):
            return self.empty
        return self._node("many", (part,), nullable=True)

    def times(self, part: int, least: int, most: int) -> int:
        """Return from `least` to `most` members of `part`, one after the other."""
        optional = self.empty
        for _ in range(most - least):
            optional = self.union(self.empty, self._cat(part, optional))
        return self.sequence(*[part] * least, optional)

    def pattern(self, pattern: Pattern) -> tuple[int, int]:
        """Return the numbers that a pattern certainly matches, and those that it may match; most often the same."""
        if not pattern.is_regex:
            body = pattern.text.removesuffix(".")
            parts = [self.chars(_PATTERN_CLASSES.get(char, frozenset(char))) for char in body]
            if body != pattern.text:
                dialled = self.chars(_DIALLED)
                parts += [dialled, self.many(dialled)]
            exact = self.sequence(*parts)
            return exact, exact
        tree = _without_outer_anchors(regex_tree(pattern.text[1:-1]))
        may = self._tree(tree)
        return (self.nothing if _is_rough(tree) else may), may

    def _tree(self, tree: Tree) -> int:
        match tree[0]:
            case "chars":
                chars, negated = tree[1], tree[2]
                return self.chars(ALPHABET - chars if negated else frozenset().union(*[known(char) for char in chars]))
            case "cat":
                return self.sequence(*[self._tree(part) for part in tree[1]])
            case "or":
                return self.union(*[self._tree(part) for part in tree[1]])
            case "repeat":
                part, least, most = self._tree(tree[1]), tree[2], tree[3]
                if most is None:
                    return self.sequence(*[part] * least, self.many(part))
                return self.times(part, least, most)
            case _:
                return self.empty  # an anchor; see `_is_rough`

    # -- asking

    def after(self, part: int, text: str) -> int:
        """Return what may follow `text` in members of `part`."""
        for char in text:
            stands_for = known(char)
            part = self._derive(part, min(stands_for)) if stands_for else self.nothing
        return part

    def contains(self, part: int, number: str) -> bool:
        """Return whether a number is a member."""
        return self._nullable[self.after(part, number)]

    def witness(self, part: int) -> str | None:
        """Return a shortest member, None if there is none. Raises TooLarge."""
        if self._nullable[part]:
            return ""
        seen, queue = {part}, deque([(part, "")])
        while queue:
            state, text = queue.popleft()
            for char in self._alphabet():
                following = self._derive(state, char)
                if following == self.nothing or following in seen:
                    continue
                if self._nullable[following]:
                    return text + char
                if len(seen) >= _MOST_STATES:
                    raise TooLarge
                seen.add(following)
                queue.append((following, text + char))
        return None

    # -- inside

    def _node(self, kind: str, parts: tuple[object, ...], *, nullable: bool) -> int:
        key = (kind, parts)
        found = self._ids.get(key)
        if found is None:
            found = self._ids[key] = len(self._nodes)
            self._nodes.append(key)
            self._nullable.append(nullable)
        return found

    def _complement(self, part: int) -> int:
        kind, parts = self._nodes[part]
        if kind == "not":
            inner = parts[0]
            assert isinstance(inner, int)
            return inner
        return self._node("not", (part,), nullable=not self._nullable[part])

    def _flat(self, kind: str, parts: Iterable[int]) -> set[int]:
        found: set[int] = set()
        for part in parts:
            inner_kind, inner = self._nodes[part]
            if inner_kind == kind:
                found.update(one for one in inner if isinstance(one, int))
            else:
                found.add(part)
        return found

    def _chars_of(self, part: int) -> frozenset[str]:
        chars = self._nodes[part][1][0]
        assert isinstance(chars, frozenset)
        return chars

    def _derive(self, part: int, char: str) -> int:
        key = (part, char)
        found = self._derivatives.get(key)
        if found is None:
            found = self._derivatives[key] = self._derivative(part, char)
        return found

    def _derivative(self, part: int, char: str) -> int:
        kind, parts = self._nodes[part]
        if kind == "chars":
            return self.empty if char in self._chars_of(part) else self.nothing
        if kind == "empty":
            return self.nothing
        inner = [one for one in parts if isinstance(one, int)]
        if kind == "cat":
            first, rest = inner
            follows = self._cat(self._derive(first, char), rest)
            return self.union(follows, self._derive(rest, char)) if self._nullable[first] else follows
        if kind == "many":
            return self._cat(self._derive(inner[0], char), part)
        if kind == "not":
            return self._complement(self._derive(inner[0], char))
        derived = [self._derive(one, char) for one in inner]
        return self.union(*derived) if kind == "or" else self.both(*derived)

    def _alphabet(self) -> tuple[str, ...]:
        """Return one character of each kind that the sets made so far tell apart."""
        if self._representatives is None:
            kinds: dict[tuple[bool, ...], str] = {}
            classes = list(self._classes)
            for char in sorted(ALPHABET, key=_ORDER.__getitem__):
                kinds.setdefault(tuple(char in one for one in classes), char)
            self._representatives = tuple(kinds.values())
        return self._representatives


def known(char: str) -> frozenset[str]:
    """Return the character of `ALPHABET` that is, or stands for, `char`; none for one that cannot be printed."""
    if char in ALPHABET:
        return frozenset(char)
    return frozenset(_OTHER) if char.isprintable() else frozenset()


def _without_outer_anchors(tree: Tree) -> Tree:
    """Return an expression without a ^ at its beginning and a $ at its end: it matches whole numbers anyway."""
    if tree[0] != "cat":
        return tree
    parts = tree[1]
    if parts and parts[0] == ("anchor", "^"):
        parts = parts[1:]
    if parts and parts[-1] == ("anchor", "$"):
        parts = parts[:-1]
    return ("cat", parts)


def _is_rough(tree: Tree) -> bool:
    """Return whether the set made of an expression may hold more than the expression matches."""
    match tree[0]:
        case "anchor":
            return True
        case "chars":
            return any(known(char) == frozenset(_OTHER) for char in tree[1])
        case "cat" | "or":
            return any(_is_rough(part) for part in tree[1])
        case _:
            return _is_rough(tree[1])
