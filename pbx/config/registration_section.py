"""``registration:`` and ``match:`` of a trunk: how we get to be known to it, and it to us.

The docstrings are the source of ``docs/configuration.md``.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from pbx.config.kinds import Kind, Seconds, Section, SipUriText, as_list

__all__ = ["Match", "OptionalRegister", "Patterns", "Register"]


class Register(Section):
    """Whether we register with the trunk, so that its calls find us. `registration: true` does, with the user name and
    password of the trunk."""

    registrar: SipUriText | None = None
    """Whom the registration goes to, such as `sip:registrar.example.com`; the host of `address` if left out."""
    aor: SipUriText | None = None
    """The address that is registered, such as `sip:4930123@example.com`; the trunk's `username` at the registrar's host
    if left out."""
    expires: Seconds = 3600.0
    """How long a registration is asked to hold. It is renewed in time, and at once when our address changes."""
    contact: str | None = None
    """The user part of our Contact, for carriers that want to see a certain one. Left out, it is one that nobody can
    guess, by which the trunk's calls are known wherever they come from."""


def _register(value: object) -> object:
    if isinstance(value, str) and value.lower() in ("true", "yes", "on"):
        return {}
    if value is None or (isinstance(value, str) and value.lower() in ("false", "no", "off")):
        return None
    return value


OptionalRegister = Annotated[Register | None, BeforeValidator(_register), Kind("true or a mapping", "true")]

_PATTERN = re.compile(r"[^\s*]*\*?")


def _pattern(text: str) -> str:
    if not text or not _PATTERN.fullmatch(text):
        raise ValueError(f"`{text}` is no user part; write it out, or its beginning with a `*` at the end: 493012*")
    return text


Patterns = Annotated[
    tuple[Annotated[str, AfterValidator(_pattern)], ...],
    BeforeValidator(as_list),
    Kind("list of beginnings", '["493012*"]'),
]
Hosts = Annotated[tuple[str, ...], BeforeValidator(as_list), Kind("list of hosts", "[sip.example.com]")]


class Match(Section):
    """How its calls are told besides by where they come from. Nothing that a caller may write lets in a call by itself:
    `user` and `domain` only say which of several trunks with the same address or certificate a call belongs to."""

    certificate: Hosts = ()
    """Names of its TLS certificate, which are enough wherever it calls from; needs `sip.client_authorities`."""
    user: Patterns = ()
    """Only calls to these user parts of the Request-URI, whole or, with `*` at the end, as beginnings."""
    domain: Hosts = ()
    """Only calls whose From or Request-URI has one of these hosts."""
