"""What both sides of digest authentication compute (RFC 7616 §3.4) and read (RFC 3261 §25.1)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pbx.errors import ParseError
from pbx.sip.grammar import unquote

__all__ = ["ALGORITHMS", "Credential", "algorithm_named", "digest_response", "hash_a1", "parse_auth"]


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha512_256(data: bytes) -> str:
    return hashlib.new("sha512_256", data).hexdigest()


ALGORITHMS: Final[Mapping[str, Callable[[bytes], str]]] = {
    "SHA-512-256": _sha512_256,
    "SHA-256": _sha256,
    "MD5": _md5,
}
"""The hash algorithms of RFC 8760, strongest first: name to lower-case hexadecimal hash."""

_SESSION: Final = "-SESS"
_MOST_PARAMETERS: Final = 40
_PARAMETER = re.compile(
    r"""[ \t]*+([A-Za-z0-9\-.!%*_+`'~]++)[ \t]*+=[ \t]*+("(?:[^"\\]++|\\.)*+"|[^\x00-\x20\x7f",]++)[ \t]*+(?:,|\Z)""",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Credential:
    """What one user proves itself by: a password, or per algorithm the stored hash of ``username:realm:password``."""

    username: str
    password: str | None = field(default=None, repr=False)
    ha1: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Algorithm name to H(username:realm:password) in lower-case hexadecimal; it counts before the password."""


def algorithm_named(name: str) -> tuple[str, bool]:
    """Return an algorithm's name as `ALGORITHMS` has it, and whether it is a session variant; ("", False) if it is
    unknown."""
    name = name.upper()
    session = name.endswith(_SESSION)
    if session:
        name = name[: -len(_SESSION)]
    return (name, session) if name in ALGORITHMS else ("", False)


def hash_a1(algorithm: str, username: str, realm: str, password: str) -> str:
    """Return H(A1) as it may be stored instead of a password; `algorithm` is a key of `ALGORITHMS`."""
    return ALGORITHMS[algorithm](f"{username}:{realm}:{password}".encode("utf-8", "replace"))


def digest_response(
    algorithm: str,
    ha1: str,
    nonce: str,
    method: str,
    uri: str,
    *,
    qop: str = "",
    nc: str = "",
    cnonce: str = "",
    body: bytes = b"",
    session: bool = False,
) -> str:
    """Return the response value (RFC 7616 §3.4.1). Without `qop` it is RFC 2069's, which RFC 2617 still allows."""
    hashed = ALGORITHMS[algorithm]
    if session:
        ha1 = hashed(f"{ha1}:{nonce}:{cnonce}".encode("utf-8", "replace"))
    a2 = f"{method}:{uri}:{hashed(body)}" if qop == "auth-int" else f"{method}:{uri}"
    ha2 = hashed(a2.encode("utf-8", "replace"))
    middle = f"{nonce}:{nc}:{cnonce}:{qop}" if qop else nonce
    return hashed(f"{ha1}:{middle}:{ha2}".encode("utf-8", "replace"))


def parse_auth(value: str) -> tuple[str, dict[str, str]]:
    """Parse a challenge or credentials into the scheme, lower-case, and its parameters, lower-case names to unquoted
    values.

    A scheme other than Digest comes back without parameters, since its grammar is its own. Raises ParseError.
    """
    scheme, _, rest = value.strip(" \t").partition(" ")
    scheme = scheme.lower()
    params: dict[str, str] = {}
    if scheme != "digest":
        return scheme, params
    position, end = 0, len(rest)
    while position < end:
        match = _PARAMETER.match(rest, position)
        if match is None:
            raise ParseError("Malformed Digest parameters")
        name = match[1].lower()
        if name in params or len(params) == _MOST_PARAMETERS:
            raise ParseError("Malformed Digest parameters")
        params[name] = unquote(match[2])
        position = match.end()
    return scheme, params
