"""What a trunk wants otherwise than usual, and the headers of its calls. The docstrings are the source of
``docs/configuration.md``."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pbx.config.kinds import Kind, Named, Section, Words

__all__ = ["HeaderRules", "Profile"]

# RFC 3261 §25.1: token
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+", re.ASCII)
# fmt: off
_OURS = frozenset((
    "via", "from", "to", "call-id", "cseq", "contact", "route", "record-route", "max-forwards", "path", "service-route",
    "content-length", "content-type", "content-encoding", "content-disposition", "authorization", "proxy-authorization",
    "www-authenticate", "proxy-authenticate", "require", "proxy-require", "supported", "allow", "expires",
    "min-expires", "session-expires", "min-se", "rack", "rseq", "replaces", "refer-to", "referred-by", "user-agent",
    "server", "accept", "p-asserted-identity", "p-preferred-identity", "remote-party-id", "privacy", "identity",
    "v", "f", "t", "i", "m", "l", "c", "e", "k", "x", "r", "b", "y",
))
# fmt: on
_USER = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/]{1,64}", re.ASCII)
_VALUES = ("number", "called", "caller", "caller_name", "source")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def parse_header_name(text: str) -> str:
    """Return the name if a trunk's calls may have a header called so."""
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"`{text}` cannot be the name of a header; use letters, digits and -")
    if text.lower() in _OURS:
        raise ValueError(f"the header {text} is written by the server alone; choose another, such as X-{text.title()}")
    return text


def parse_header_value(text: str) -> str:
    """Return a value with placeholders that are known, and nothing that could begin another header."""
    if _CONTROL.search(text):
        raise ValueError("a header's value is one line; remove line breaks and control characters")
    for name in _PLACEHOLDER.findall(text):
        if name not in _VALUES and not (name.startswith("header.") and _TOKEN.fullmatch(name[7:])):
            known = ", ".join(f"{{{value}}}" for value in (*_VALUES, "header.NAME"))
            raise ValueError(f"there is no value {{{name}}} here; known are {known}")
    if "{" in _PLACEHOLDER.sub("", text) or "}" in _PLACEHOLDER.sub("", text):
        raise ValueError("a brace stands alone; placeholders are written {number}")
    return text


def parse_user_part(text: str) -> str:
    """Return what may stand before the @ of a SIP URI as it is."""
    if not _USER.fullmatch(text):
        raise ValueError(f"`{text}` cannot be the user part of a SIP URI; use letters, digits and - _ . +")
    return text


UserPart = Annotated[str, AfterValidator(parse_user_part), Kind("user part", "account-7")]
HeaderName = Annotated[str, AfterValidator(parse_header_name), Kind("name of a header", "X-Account")]
HeaderValue = Annotated[str, AfterValidator(parse_header_value), Kind("text", "{caller}")]


class HeaderRules(Section):
    """Headers of the calls that are sent to a trunk. They come after what the route says."""

    remove: Words = ()
    """Headers that it does not get, whatever the route sets or lets through."""
    set: Named[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Headers that it gets, in place of others of that name. Placeholders are `{number}`, as it is called, `{called}`,
    as was dialled, `{caller}`, `{caller_name}`, `{source}`, and `{header.NAME}` for what the call had by that name
    before."""


class Profile(Section):
    """What a carrier wants otherwise than the standards say. Each switch stands for itself."""

    identity: Literal["none", "p-asserted-identity", "p-preferred-identity", "remote-party-id"] | None = None
    """How it is told who calls, beside From. Left out, by `p-asserted-identity` if `trust_identity` is set, else not
    at all."""
    diversion: Literal["none", "diversion", "history-info"] = "none"
    """How it is told who redirected a call. Both are read from a trunk whose identities are trusted, and converted."""
    user_phone: bool = False
    """Whether URIs with telephone numbers say `user=phone`."""
    plus: Literal["keep", "strip", "add"] = "keep"
    """What becomes of a + before numbers sent to it: `strip` removes it, `add` puts it before those of digits alone."""
    from_user: Literal["caller", "account"] = "caller"
    """The user part of From: the caller's number, or always `username`; the caller is then told by `identity`."""
    contact_user: UserPart | None = None
    """The user part of our Contact in its calls; none if left out."""
    prack: bool = True
    """Whether reliable provisional responses are offered (100rel)."""
    session_timers: bool = True
    """Whether session timers are known at all."""
    ringing: Literal[180, 183] = 180
    """What tells it that a phone rings; 183 for a peer that stays silent after 180."""
    early_offer: bool = False
    """Whether it gets an offer in every INVITE, made of its own codecs where the caller makes none (a late offer)."""
    early_media: bool = True
    """Whether what it sends before the answer is heard; else the caller hears ringing."""
