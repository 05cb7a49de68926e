"""Reliable provisional responses: RSeq, RAck and 100rel (RFC 3262)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pbx.errors import ParseError
from pbx.sip.ext.options import RELIABLE
from pbx.sip.grammar import is_token, parse_number
from pbx.sip.message import Request, Response

__all__ = ["RAck", "is_reliable", "make_reliable", "rack_of", "rseq_of"]

_LARGEST: Final = 2**32 - 1
_SPACES = re.compile(r"[ \t]++")


class RAck(NamedTuple):
    """Which provisional response a PRACK acknowledges (RFC 3262 §7.2)."""

    rseq: int
    cseq: int
    method: str

    @staticmethod
    def parse(text: str) -> RAck:
        """Parse a RAck value. Raises ParseError."""
        parts = _SPACES.split(text)
        if len(parts) != 3 or not is_token(parts[2]):
            raise ParseError("Malformed RAck")
        return RAck(_rseq(parts[0]), parse_number(parts[1], _LARGEST, "The CSeq number of RAck"), parts[2])

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq} {self.method}"


def _rseq(text: str) -> int:
    number = parse_number(text, _LARGEST, "RSeq")
    # RFC 3262 §10: response-num = 1*DIGIT, but §3 has them start at 1 or above.
    if not number:
        raise ParseError("RSeq is zero")
    return number


def rseq_of(response: Response) -> int | None:
    """Return RSeq, None if it is missing. Raises ParseError."""
    return response.headers.maybe("RSeq", _rseq)


def rack_of(request: Request) -> RAck:
    """Return RAck, which a PRACK must have. Raises ParseError."""
    return request.headers.one("RAck", RAck.parse)


def is_reliable(response: Response) -> bool:
    """Return whether a provisional response must be acknowledged with PRACK (RFC 3262 §4). Raises ParseError."""
    if not 100 < response.status < 200 or "RSeq" not in response.headers:
        return False
    return any(tag.lower() == RELIABLE for tag in response.require) and rseq_of(response) is not None


def make_reliable(response: Response, rseq: int) -> None:
    """Mark a provisional response of ours as reliable (RFC 3262 §3)."""
    response.headers.add("Require", RELIABLE)
    response.headers.set("RSeq", str(rseq))
