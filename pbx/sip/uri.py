"""URIs: sip, sips and tel taken apart (RFC 3261 §19.1, RFC 3966); any other scheme kept as it is, so that 416 can be
answered."""

from __future__ import annotations

import re
from dataclasses import field, replace
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from types import MappingProxyType
from typing import Final, TypedDict, Unpack
from urllib.parse import unquote_to_bytes

from pbx.errors import ParseError
from pbx.sip.grammar import NO_PARAMS, Params, format_params
from pbx.values import dataclass

__all__ = ["Uri", "escape_user", "parse_host_port"]

_CACHED_URIS: Final = 1024
_CACHED_LENGTH: Final = 160
"""Longer texts are parsed each time, so that the cache holds at most about a megabyte whatever peers send."""

_CACHED_HOSTS: Final = 1024
"""Each Via of a peer names the same host."""
_LONGEST_CACHED_HOST: Final = 64

_LONGEST_IPV6: Final = 46
"""Eight groups, the last two as an IPv4 address, and RFC 5118's third colon."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]*+")

# user = 1*( unreserved / escaped / user-unreserved ), password = *( unreserved / escaped / "&" / "=" / "+" / "$" / ","
# )
_USERINFO = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/:]++|%[0-9A-Fa-f]{2})*+")
# Phones send "#" (star codes), other delimiters and raw UTF-8 without escaping them; taken, and escaped when written.
_LENIENT_USERINFO = re.compile(r'(?:[^\x00-\x20\x7f"<>@%\\]++|%[0-9A-Fa-f]{2})*+')
_MUST_ESCAPE = re.compile(r"[^A-Za-z0-9\-_.!~*'()&=+$,;?/]")
_MUST_ESCAPE_PASSWORD = re.compile(r"[^A-Za-z0-9\-_.!~*'()&=+$,]")
# In the key of an address-of-record only these stay unescaped, so that it is printable ASCII and its ";" or "?" mean
# nothing.
_MUST_ESCAPE_KEY = re.compile(r"[^A-Za-z0-9\-_.!~*'()&=+$/]")

# hostname; "_" is none of RFC 3261's characters but stands in the names that Docker and Windows give their hosts.
_HOSTNAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9\-_]|\.(?=[A-Za-z0-9_]))*+\.?")
_PARAMETERS = re.compile(r'[^\x00-\x20\x7f?<>"@]*+')
_HEADERS = re.compile(r'[^\x00-\x20\x7f<>"]*+')
_OPAQUE = re.compile(r'[^\x00-\x20\x7f<>"]++')
_TEL_NUMBER = re.compile(r"\+?[0-9A-Fa-f*#\-.()]++")
_TEL_SEPARATORS = str.maketrans("", "", "-.()")

_NEVER_IGNORED: Final = ("user", "ttl", "method", "maddr", "transport")
"""URI parameters that make two URIs different when only one has them (RFC 3261 §19.1.4 and its examples)."""


def _escape(match: re.Match[str]) -> str:
    return "".join([f"%{octet:02X}" for octet in match[0].encode("utf-8", "replace")])


def escape_user(user: str) -> str:
    """Return `user` with the characters escaped that RFC 3261 §25.1 does not allow in a URI's user part."""
    return _MUST_ESCAPE.sub(_escape, user)


def _unescape(text: str) -> str:
    """Resolve escapes once. Octets that are no UTF-8 are read as Latin-1: every text has a meaning and none raises
    later."""
    if "%" not in text:
        return text
    octets = unquote_to_bytes(text)
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def parse_host_port(text: str) -> tuple[str, int | None]:
    """Parse ``host``, ``host:port`` or ``[ipv6]:port`` into the host, lower-case and without brackets, and the port.

    Raises ParseError. A third colon in an IPv6 address is tolerated (RFC 5118 §4.10: a fault of RFC 3261's own
    grammar).
    """
    return _cached_host_port(text) if len(text) <= _LONGEST_CACHED_HOST else _parse_host_port(text)


def _parse_host_port(text: str) -> tuple[str, int | None]:
    if text[:1] == "[":
        host, bracket, rest = text[1:].partition("]")
        if len(host) > _LONGEST_IPV6 or "%" in host:
            raise ParseError("Malformed IPv6 address")
        host = host.lower().replace(":::", "::")
        try:
            IPv6Address(host)
        except AddressValueError:
            raise ParseError("Malformed IPv6 address") from None
        if not bracket or (rest and rest[0] != ":"):
            raise ParseError("Malformed IPv6 reference")
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = text.partition(":")
        if _HOSTNAME.fullmatch(host) is None:
            raise ParseError("Malformed host")
        host = host.lower()
    if not colon:
        return host, None
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise ParseError("Malformed port")
    return host, int(port)


_cached_host_port = lru_cache(maxsize=_CACHED_HOSTS)(_parse_host_port)


def _parse_uri_params(text: str) -> dict[str, str | None]:
    if _PARAMETERS.fullmatch(text) is None:
        raise ParseError("Malformed URI parameters")
    params: dict[str, str | None] = {}
    parts = text.split(";")
    for part in parts:
        name, equals, value = part.partition("=")
        if not name:
            raise ParseError("Malformed URI parameters")
        name, given = name.lower(), value if equals else None
        # RFC 3261 §19.1.1: any given parameter-name MUST NOT appear more than once. baresip 1.0 adds ";lr" to a proxy
        # that has one already; saying the same twice leaves no doubt what is meant.
        if name in params and params[name] != given:
            raise ParseError("A URI parameter is given twice")
        params[name] = given
    return params


class UriParts(TypedDict, total=False):
    """What `Uri.with_` can change."""

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: int | None
    params: Params
    headers: str


@dataclass(frozen=True, slots=True, eq=False)
class Uri:
    """A URI, immutable and hashable.

    `scheme` is lower-case. For sip and sips: `user` and `password` have their escapes resolved (so a user may hold any
    character, even a line break; `str` escapes them again), `host` is lower-case and an IPv6 address has no brackets,
    `params` maps lower-case names to values as written, `headers` is the text after "?". For tel: `user` is the number
    as written. `opaque` is what follows the colon of a tel URI or of one whose scheme is not known here.

    `str` gives a parsed URI back as it was written, because phones compare their Contact with the Request-URI octet by
    octet. Equality compares the parts exactly; `equivalent` is RFC 3261's comparison.
    """

    scheme: str = "sip"
    user: str | None = None
    password: str | None = None
    host: str = ""
    port: int | None = None
    params: Params = field(default_factory=lambda: NO_PARAMS)
    headers: str = ""
    opaque: str = ""
    _text: str = field(default="", repr=False)

    @staticmethod
    def parse(text: str) -> Uri:
        """Parse a URI without angle brackets around it. Raises ParseError."""
        return _cached_uri(text) if len(text) <= _CACHED_LENGTH else _parse_uri(text)

    @property
    def is_sip(self) -> bool:
        """True for sip and sips."""
        return self.scheme == "sip" or self.scheme == "sips"

    def with_(self, **parts: Unpack[UriParts]) -> Uri:
        """Return this URI with parts changed; a user, password or port of None removes it."""
        return replace(self, _text="", **parts)

    def __str__(self) -> str:
        text = self._text
        if not text:
            text = self._written()
            object.__setattr__(self, "_text", text)
        return text

    def _written(self) -> str:
        if not self.is_sip:
            return f"{self.scheme}:{self.opaque or self.user or ''}"
        parts = [self.scheme, ":"]
        if self.user is not None:
            parts.append(_MUST_ESCAPE.sub(_escape, self.user))
            if self.password is not None:
                parts.append(":" + _MUST_ESCAPE_PASSWORD.sub(_escape, self.password))
            parts.append("@")
        parts.append(f"[{self.host}]" if ":" in self.host else self.host)
        if self.port is not None:
            parts.append(f":{self.port}")
        parts.append(format_params(self.params))
        if self.headers:
            parts.append("?" + self.headers)
        return "".join(parts)

    def _parts(self) -> tuple[object, ...]:
        return self.scheme, self.user, self.password, self.host, self.port, self.params, self.headers, self.opaque

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Uri):
            return NotImplemented
        return self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash((self.scheme, self.user, self.host, self.port, self.opaque))

    def header_fields(self) -> list[tuple[str, str]]:
        """Return what stands after "?", each a name in lower case and a value, unescaped (RFC 3261 §19.1.1)."""
        if not self.headers:
            return []
        parts = [part.partition("=") for part in self.headers.split("&")]
        return [(_unescape(name).lower(), _unescape(value)) for name, _, value in parts]

    def aor(self) -> str:
        """Return the canonical key of an address-of-record, ``sip:user@host`` (RFC 3261 §10.3 step 5), in printable
        ASCII.

        Parameters, password, port and headers are dropped, escapes resolved once (only what could not be told apart
        stays escaped), sips counts as sip. A tel URI gives ``tel:`` and the number without visual separators.
        """
        if self.is_sip:
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"sip:{host}" if self.user is None else f"sip:{_MUST_ESCAPE_KEY.sub(_escape, self.user)}@{host}"
        if self.scheme == "tel" and self.user is not None:
            return "tel:" + self.user.translate(_TEL_SEPARATORS).lower()
        return f"{self.scheme}:{_MUST_ESCAPE_KEY.sub(_escape, self.opaque)}"

    def equivalent(self, other: Uri) -> bool:
        """Return whether two URIs are the same by RFC 3261 §19.1.4 (tel: RFC 3966 §5). Not transitive, so it is not
        `==`."""
        if self.scheme != other.scheme:
            return False
        if self.scheme == "tel":
            return self.aor() == other.aor() and _folded(self.params) == _folded(other.params)
        if not self.is_sip:
            return self.opaque == other.opaque
        if (self.user, self.password, self.port) != (other.user, other.password, other.port):
            return False
        if self.host != other.host and not _same_address(self.host, other.host):
            return False
        mine, theirs = _folded(self.params), _folded(other.params)
        if any(theirs[name] != value for name, value in mine.items() if name in theirs):
            return False
        if any((name in mine) != (name in theirs) for name in _NEVER_IGNORED):
            return False
        return self.headers == other.headers or sorted(self.header_fields()) == sorted(other.header_fields())


def _folded(params: Params) -> dict[str, str | None]:
    return {name: None if value is None else _unescape(value).lower() for name, value in params.items()}


def _same_address(one: str, other: str) -> bool:
    return ":" in one and ":" in other and IPv6Address(one) == IPv6Address(other)


def _parse_sip(scheme: str, rest: str, text: str) -> Uri:
    user: str | None = None
    password: str | None = None
    userinfo, at, host_part = rest.partition("@")
    if at:
        if _USERINFO.fullmatch(userinfo) is None:
            if _LENIENT_USERINFO.fullmatch(userinfo) is None:
                raise ParseError("Malformed user part in a URI")
            text = ""
        user, colon, secret = userinfo.partition(":")
        if not user:
            raise ParseError("Empty user part in a URI")
        user = _unescape(user)
        if colon:
            password = _unescape(secret)
            if ":" in secret:
                text = ""
    else:
        host_part = rest
    host_part, question, headers = host_part.partition("?")
    if question and _HEADERS.fullmatch(headers) is None:
        raise ParseError("Malformed headers in a URI")
    host_port, semicolon, params_text = host_part.partition(";")
    params = MappingProxyType(_parse_uri_params(params_text)) if semicolon else NO_PARAMS
    host, port = parse_host_port(host_port)
    if ":::" in host_port:
        text = ""
    return Uri(scheme, user, password, host, port, params, headers, "", text)


def _parse_tel(rest: str, text: str) -> Uri:
    number, semicolon, params_text = rest.partition(";")
    if _TEL_NUMBER.fullmatch(number) is None:
        raise ParseError("Malformed telephone number")
    params = MappingProxyType(_parse_uri_params(params_text)) if semicolon else NO_PARAMS
    return Uri("tel", number, None, "", None, params, "", rest, text)


def _parse_uri(text: str) -> Uri:
    scheme, colon, rest = text.partition(":")
    if not colon or _SCHEME.fullmatch(scheme) is None:
        raise ParseError("A URI without a scheme")
    scheme = scheme.lower()
    if scheme == "sip" or scheme == "sips":
        return _parse_sip(scheme, rest, text)
    if scheme == "tel":
        return _parse_tel(rest, text)
    if _OPAQUE.fullmatch(rest) is None:
        raise ParseError("Malformed URI")
    return Uri(scheme, None, None, "", None, NO_PARAMS, "", rest, text)


_cached_uri = lru_cache(maxsize=_CACHED_URIS)(_parse_uri)
