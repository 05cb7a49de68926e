"""Who looks for servers to break into: known by what its tools write, and by trying name after name."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable

__all__ = ["FROM_TRICKS", "SCANNERS", "Scanners", "Tries"]

SCANNERS = (
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sipcli",
    "sip-scan",
    "sipscan",
    "sipptk",
    "pplsip",
    "sundayddr",
    "iwar",
    "vaxsipuseragent",
    "vaxasip",
    "smap",
    "svmap",
    "siparmyknife",
    "nmap",
)
"""Beginnings of what tools of attackers call themselves in User-Agent, in lower case."""

FROM_TRICKS = (
    r"\A\"?sipvicious",
    r"'\s*+(?:or|and)\s*+['\"]?+\w*+['\"]?+\s*+=",
    r"'\s*+union\s++(?:all\s++)?+select",
    r"'\s*+--",
    r"(?:%27|%22)(?:%20|\+)*+(?:or|and)(?:%20|\+|%27|%22)",
    r"<script",
    r"\$\{jndi:",
)
"""What From and To hold where somebody tries what a server's database or log makes of it (regular expressions, looked
for in the value). Whatever it holds, looking takes time linear in its length: it is done before anything is known of
who sends it."""

_LOOKED_AT = 4096
"""Octets of a message that are looked at; a tool writes its name near the beginning."""

_LOOKED_FOR = re.compile(rb"\n(?=[UFT])(User-Agent|From|To|f|t)[ \t]*+:[ \t]*+([^\r\n]*+)", re.IGNORECASE)


class Scanners:
    """Recognises tools by their messages, before anything is parsed."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        """Know `more` beginnings of User-Agent besides `SCANNERS`."""
        agents = "|".join([re.escape(agent.lower()) for agent in (*SCANNERS, *more)])
        self._agent = re.compile(agents.encode(), re.IGNORECASE)
        self._trick = re.compile("|".join(FROM_TRICKS).encode(), re.IGNORECASE)

    def name(self, data: bytes) -> str:
        """Return what a message gives away: the tool's name, ``from-trick``; empty for an honest one."""
        for found in _LOOKED_FOR.finditer(data, 0, _LOOKED_AT):
            header, value = found[1].lower(), found[2]
            if header == b"user-agent":
                agent = self._agent.match(value)
                if agent is not None:
                    return agent[0].decode("ascii", "replace").lower()
            elif self._trick.search(value) is not None:
                return "from-trick"
        return ""


class Tries:
    """Counts the different words (names, numbers) that each source tries without proving that it may.

    A phone is challenged first and proves itself right after, so a word counts once it is `grace` seconds old, or at
    once where ten times as many as allowed are waiting. Pure; bounded by `most_sources` sources and those words.
    """

    def __init__(self, limit: int, grace: float = 4.0, forget: float = 600.0, most_sources: int = 5_000) -> None:
        """Allow `limit` words each; 0 allows all. A word is forgotten after `forget` seconds."""
        self._limit = limit
        self._grace = grace
        self._forget = forget
        self._most_sources = most_sources
        self._words: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._words)

    def tried(self, source: str, word: str, now: float) -> bool:
        """Take a try; return whether the source has tried too many by now."""
        if not self._limit:
            return False
        words = self._words.get(source)
        if words is None:
            if len(self._words) >= self._most_sources:
                self._words.popitem(last=False)
            words = self._words[source] = OrderedDict()
        else:
            self._words.move_to_end(source)
        while words and now - next(iter(words.values())) > self._forget:
            words.popitem(last=False)
        words.setdefault(word[:64], now)
        if len(words) <= self._limit:
            return False
        if len(words) > 10 * self._limit:
            return True
        # They are in the order in which they were first tried.
        old = 0
        for since in words.values():
            if now - since < self._grace:
                break
            old += 1
        return old > self._limit

    def proved(self, source: str, word: str) -> None:
        """Forget a word that the source has shown to be its own."""
        words = self._words.get(source)
        if words is not None:
            words.pop(word[:64], None)
            if not words:
                del self._words[source]

    def forget(self, source: str) -> None:
        """Forget a source."""
        self._words.pop(source, None)
