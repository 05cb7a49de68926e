"""The lexical parts of SIP that several headers share (RFC 3261 §25.1): tokens, quoted strings, numbers, parameters,
lists.

Every function here takes time linear in its input, whatever the input: patterns use possessive quantifiers, and a scan
that fails raises instead of starting again one character later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from pbx.errors import ParseError

__all__ = [
    "NO_PARAMS",
    "TOKEN",
    "Params",
    "format_params",
    "is_token",
    "parse_number",
    "parse_params",
    "quote",
    "quoted_end",
    "split_first",
    "split_list",
    "unquote",
]

Params = Mapping[str, str | None]
"""Parameters: lower-case name to value as written (a quoted value keeps its quotes; see `unquote`), None if there is no
value."""

NO_PARAMS: Params = MappingProxyType({})

# token = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" )
_TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]++"
TOKEN = re.compile(_TOKEN)

# quoted-string = SWS DQUOTE *(qdtext / quoted-pair ) DQUOTE
_QUOTED = r'"(?:[^"\\]++|\\.)*+"'
_QUOTED_STRING = re.compile(_QUOTED, re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_MUST_QUOTE = re.compile(r'["\\]')
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")

# gen-value = token / host / quoted-string. Unquoted values are taken with any visible character that delimits nothing,
# since addresses (IPv6 without brackets, RFC 5118 §4.5), numbers with a fraction and base64 all occur.
_VALUE = r'[^\x00-\x20\x7f";,<>\\]++'
_PLAIN_PARAMS = re.compile(rf"(?:;{_TOKEN}(?:={_VALUE})?+)*+")
_PARAM = re.compile(rf";[ \t]*+({_TOKEN})[ \t]*+(?:=[ \t]*+({_QUOTED}|{_VALUE})[ \t]*+)?", re.DOTALL)

# What stands between two commas of a list: a comma in a quoted string or between angle brackets separates nothing.
_ELEMENT = re.compile(rf'(?:[^",<]++|{_QUOTED}|<[^>]*+>)*+', re.DOTALL)


def is_token(text: str) -> bool:
    """Return whether `text` is a token of RFC 3261 §25.1."""
    return TOKEN.fullmatch(text) is not None


def parse_number(text: str, largest: int, what: str) -> int:
    """Return the decimal number that `text` is; ParseError naming `what` if it is none or over `largest`.

    Leading zeros are legal (RFC 4475 §3.1.1.1). The length is checked first: int() of a long text is slow.
    """
    digits = text
    if not (digits.isascii() and digits.isdigit()):
        raise ParseError(f"{what} is not a number")
    if len(digits) > 10:
        digits = digits.lstrip("0") or "0"
        if len(digits) > 20:
            raise ParseError(f"{what} is too large")
    number = int(digits)
    if number > largest:
        raise ParseError(f"{what} is too large")
    return number


def quote(text: str) -> str:
    """Return `text` as a quoted-string. Control characters, which a header cannot carry safely, become spaces."""
    if _UNSAFE.search(text):
        text = _UNSAFE.sub(" ", text)
    if _MUST_QUOTE.search(text):
        text = _MUST_QUOTE.sub(r"\\\g<0>", text)
    return f'"{text}"'


def unquote(text: str) -> str:
    """Return what a quoted-string says, with its escapes resolved; any other text as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    return _QUOTED_PAIR.sub(r"\1", inner) if "\\" in inner else inner


def quoted_end(text: str, start: int = 0) -> int:
    """Return the position after the quoted-string that begins at `start`; ParseError if it does not end."""
    match = _QUOTED_STRING.match(text, start)
    if match is None:
        raise ParseError("A quoted string is not closed")
    return match.end()


def parse_params(text: str) -> dict[str, str | None]:
    """Parse ``;name=value;name``, which may be empty. Raises ParseError, also for a name given twice (RFC 3261
    §7.3.1)."""
    params: dict[str, str | None] = {}
    if not text:
        return params
    if _PLAIN_PARAMS.fullmatch(text):
        parts = text.split(";")
        for part in parts[1:]:
            name, equals, value = part.partition("=")
            params[name.lower()] = value if equals else None
        if len(params) != len(parts) - 1:
            raise ParseError("A parameter is given twice")
        return params
    position, end, count = 0, len(text), 0
    while position < end:
        match = _PARAM.match(text, position)
        if match is None:
            raise ParseError("Malformed parameters")
        params[match[1].lower()] = match[2]
        count += 1
        position = match.end()
    if len(params) != count:
        raise ParseError("A parameter is given twice")
    return params


def format_params(params: Params) -> str:
    """Return ``;name=value;name`` for parameters as `parse_params` gives them."""
    return "".join([f";{name}" if value is None else f";{name}={value}" for name, value in params.items()])


def split_list(text: str) -> list[str]:
    """Split a header's value at its commas, except those in quoted strings and between angle brackets.

    Elements are stripped; an empty element (``a,,b``) stays, an empty text has none. Raises ParseError for a quote or
    bracket that is not closed.
    """
    if "," not in text:
        text = text.strip(" \t")
        return [text] if text else []
    if '"' not in text and "<" not in text:
        return [part.strip(" \t") for part in text.split(",")]
    parts = []
    position = 0
    while True:
        end = _ELEMENT.match(text, position).end()  # type: ignore[union-attr]  # it matches the empty text too
        parts.append(text[position:end].strip(" \t"))
        if end == len(text):
            return parts
        if text[end] != ",":
            raise ParseError("A quoted string or an angle bracket is not closed")
        position = end + 1


def split_first(text: str) -> tuple[str, str]:
    """Return the first element of a list, as `split_list` would, and the text of the others, without looking at them.

    Where no end of the first can be found it is the whole text, for its own parser to refuse.
    """
    if "," not in text:
        return text.strip(" \t"), ""
    end = _ELEMENT.match(text).end()  # type: ignore[union-attr]  # it matches the empty text too
    if text[end : end + 1] != ",":
        end = len(text)
    return text[:end].strip(" \t"), text[end + 1 :].strip(" \t")
