"""The structured header values: addresses, Via and CSeq (RFC 3261 §20)."""

from __future__ import annotations

import re
from dataclasses import field
from functools import lru_cache
from typing import Final

from pbx.errors import ParseError
from pbx.sip.grammar import (
    NO_PARAMS,
    Params,
    format_params,
    is_token,
    parse_number,
    parse_params,
    quote,
    quoted_end,
    unquote,
)
from pbx.sip.uri import Uri, parse_host_port
from pbx.values import dataclass

__all__ = ["CSeq", "NameAddress", "Via"]

_LARGEST_32_BIT: Final = 2**32 - 1
_SPACES = re.compile(r"[ \t]++")

_CACHED_VALUES: Final = 512
"""Addresses, and as many CSeqs: From, To and Contact stand in each of a call's dozen messages as they did in the first,
and most calls count from 1. Each call has four of its own, half a KiB each: enough for those that are being set up."""
_CACHED_LENGTH: Final = 160
"""Longer texts are parsed each time, so that a cache holds at most about a megabyte whatever peers send."""

# sent-protocol = protocol-name SLASH protocol-version SLASH transport; SLASH = SWS "/" SWS
_SENT_PROTOCOL = re.compile(r"([^\s/]++)[ \t]*+/[ \t]*+([^\s/]++)[ \t]*+/[ \t]*+([^\s/;]++)[ \t]++")


@dataclass(frozen=True, slots=True)
class NameAddress:
    """The value of From, To, Contact, Route and their like: a display name (unquoted, may be empty), a URI and
    parameters.

    Parameter values stand as written, a quoted one with its quotes (see `grammar.unquote`).
    """

    display: str
    uri: Uri
    params: Params = field(default_factory=lambda: NO_PARAMS)

    @staticmethod
    def parse(text: str) -> NameAddress:
        """Parse one name-addr or addr-spec with parameters. Raises ParseError.

        A display name without quotes is taken with characters that are no token's (carriers send ``Smith, John
        <sip:…>``); `str` quotes it, so it goes no further (RFC 4475 §3.1.2.15).
        """
        return _cached_address(text) if len(text) <= _CACHED_LENGTH else _parse_address(text)

    @property
    def tag(self) -> str | None:
        """The tag parameter (RFC 3261 §19.3), None if there is none."""
        return self.params.get("tag")

    def with_tag(self, tag: str) -> NameAddress:
        """Return this address with its tag set."""
        return self.with_params(tag=tag)

    def with_params(self, **params: str | None) -> NameAddress:
        """Return this address with parameters set; None stands for a parameter without value."""
        return NameAddress(self.display, self.uri, {**self.params, **params})

    def __str__(self) -> str:
        if self.display:
            return f"{quote(self.display)} <{self.uri}>{format_params(self.params)}"
        return f"<{self.uri}>{format_params(self.params)}"


def _parse_address(text: str) -> NameAddress:
    display = ""
    if text[:1] == '"':
        end = quoted_end(text)
        display = unquote(text[:end])
        bracket = end
        while text[bracket : bracket + 1] in (" ", "\t"):
            bracket += 1
        if text[bracket : bracket + 1] != "<":
            raise ParseError("A display name without an address")
    else:
        bracket = text.find("<")
        if bracket < 0:
            return _parse_addr_spec(text)
        if bracket:
            display = text[:bracket].strip(" \t")
            if '"' in display or ">" in display:
                raise ParseError("Malformed display name")
    close = text.find(">", bracket)
    if close < 0:
        raise ParseError("An angle bracket is not closed")
    rest = text[close + 1 :].lstrip(" \t")
    return NameAddress(display, Uri.parse(text[bracket + 1 : close]), parse_params(rest))


_cached_address = lru_cache(maxsize=_CACHED_VALUES)(_parse_address)


def _parse_addr_spec(text: str) -> NameAddress:
    """Parse an address without angle brackets: parameters then belong to the header.

    RFC 3261 §20.10: the "name-addr" form MUST be used if the "addr-spec" contains a comma, semicolon, or question mark.
    """
    uri, semicolon, params = text.partition(";")
    uri = uri.rstrip(" \t")
    if "?" in uri or "," in uri:
        raise ParseError("This address needs angle brackets")
    return NameAddress("", Uri.parse(uri), parse_params(semicolon + params))


@dataclass(frozen=True, slots=True)
class Via:
    """One Via value (RFC 3261 §20.42). `transport` is upper-case, `host` lower-case, an IPv6 one without brackets."""

    transport: str
    host: str
    port: int | None = None
    params: Params = field(default_factory=lambda: NO_PARAMS)
    version: str = "2.0"

    @staticmethod
    def parse(text: str) -> Via:
        """Parse one Via value. Raises ParseError. Another version than 2.0 is taken, so that 505 can be sent back."""
        if text.startswith("SIP/2.0/"):
            transport, space, rest = text[8:].partition(" ")
            version = "2.0"
            if not (space and transport.isalnum() and transport.isascii()):
                return Via._parse_spaced(text)
        else:
            return Via._parse_spaced(text)
        return Via._finish(transport.upper(), rest, version)

    @staticmethod
    def _parse_spaced(text: str) -> Via:
        match = _SENT_PROTOCOL.match(text)
        if match is None or match[1].upper() != "SIP" or not (is_token(match[2]) and is_token(match[3])):
            raise ParseError("Malformed Via")
        return Via._finish(match[3].upper(), text[match.end() :], match[2])

    @staticmethod
    def _finish(transport: str, rest: str, version: str) -> Via:
        sent_by, semicolon, params = rest.partition(";")
        if " " in sent_by or "\t" in sent_by:
            # sent-by = host [ COLON port ]; COLON = SWS ":" SWS
            sent_by = ":".join([part.strip(" \t") for part in sent_by.split(":")])
        host, port = parse_host_port(sent_by)
        return Via(transport, host, port, parse_params(semicolon + params), version)

    @property
    def branch(self) -> str | None:
        """The branch parameter, None in a message of RFC 2543."""
        return self.params.get("branch")

    @property
    def received(self) -> str | None:
        """The address that the request came from, without brackets (RFC 5118 §4.5), None if it was not noted."""
        received = self.params.get("received")
        return received.strip("[]") if received else None

    @property
    def rport(self) -> int | None:
        """The port that the request came from (RFC 3581), None if it was not noted; `wants_rport` tells whether it was
        asked for."""
        rport = self.params.get("rport")
        return int(rport) if rport and rport.isascii() and rport.isdigit() and len(rport) <= 5 else None

    @property
    def wants_rport(self) -> bool:
        """True if the client asked for responses to the port that it sent from (RFC 3581 §3)."""
        return "rport" in self.params

    @property
    def sent_by(self) -> str:
        """``host:port`` as written, brackets around an IPv6 address (RFC 3261 §17.2.3 matches by it)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def with_params(self, **params: str | None) -> Via:
        """Return this Via with parameters set; None stands for a parameter without value."""
        return Via(self.transport, self.host, self.port, {**self.params, **params}, self.version)

    def __str__(self) -> str:
        return f"SIP/{self.version}/{self.transport} {self.sent_by}{format_params(self.params)}"


@dataclass(frozen=True, slots=True)
class CSeq:
    """A CSeq value (RFC 3261 §20.16)."""

    number: int
    method: str

    @staticmethod
    def parse(text: str) -> CSeq:
        """Parse a CSeq; ParseError if it is malformed or its number takes more than 32 bits (RFC 4475 §3.1.2.4)."""
        return _cached_cseq(text) if len(text) <= _CACHED_LENGTH else _parse_cseq(text)

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def _parse_cseq(text: str) -> CSeq:
    number, space, method = text.partition(" ")
    if not (space and method.isalpha() and method.isascii()):
        parts = _SPACES.split(text)
        if len(parts) != 2 or not is_token(parts[1]):
            raise ParseError("Malformed CSeq")
        number, method = parts
    return CSeq(parse_number(number, _LARGEST_32_BIT, "The CSeq number"), method)


_cached_cseq = lru_cache(maxsize=_CACHED_VALUES)(_parse_cseq)
