"""What settings may have wrong that no single value shows: things that contradict each other, and doors left open."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from pbx.config.kinds import Identity
from pbx.config.numbers_section import Numbers
from pbx.config.registration_section import Match
from pbx.config.schema import Settings

__all__ = ["Finding", "Findings", "Loc", "check_settings"]

_PORTS_PER_CALL = 4
_SHORTEST_PASSWORD = 8
_LEAST_SESSION = 90.0
_LEAST_REPORTS = 0.1

Loc = tuple[int | str, ...]


class Finding(NamedTuple):
    """Something wrong: the place of the key in the settings, and what to say of it."""

    loc: Loc
    text: str


@dataclass(frozen=True, slots=True)
class Findings:
    """`faults` refuse the configuration; `warnings` are told and no more."""

    faults: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


def check_settings(settings: Settings, path: Path) -> Findings:
    """Check settings that are right value by value; `path` is the file that they were read from."""
    faults = [
        *_listeners(settings),
        *_certificates(settings),
        *_timers(settings),
        *_trunks(settings),
        *_extensions(settings),
        *_budgets(settings),
        *_signatures(settings),
    ]
    warnings = [*_weak_secrets(settings, path), *_open_http(settings), *_sizes(settings), *_readable_keys(settings)]
    return Findings(tuple(faults), tuple(warnings))


def _listeners(settings: Settings) -> Iterator[Finding]:
    taken: dict[tuple[str, str, int], str] = {}
    for place, listener in enumerate(settings.sip.listen):
        uri = listener.uri
        key = ("udp" if uri.transport == "udp" else "tcp", uri.address, uri.port)
        if uri.port and key in taken:
            text = f"sip.listen: {uri} and {taken[key]} are the same port; remove one, or change its port"
            yield Finding(("sip", "listen", place), text)
        taken[key] = str(uri)
        if listener.external_address and (":" in listener.external_address) != (":" in uri.address):
            text = f"{uri} cannot be reached at {listener.external_address}, an address of the other kind of IP"
            yield Finding(("sip", "listen", place, "external_address"), text)
        if uri.transport == "udp" and settings.media.ports.first <= uri.port <= settings.media.ports.last:
            text = f"sip.listen: {uri} lies within the ports of audio ({settings.media.ports}); move one of them"
            yield Finding(("sip", "listen", place), text)
    listen = settings.http.listen
    if listen is not None and listen.port:
        for address in {listen.address, "0.0.0.0", "::"}:
            if ("tcp", address, listen.port) in taken:
                text = f"http.listen: {listen} is taken by {taken['tcp', address, listen.port]}; choose another port"
                yield Finding(("http", "listen"), text)


def _certificates(settings: Settings) -> Iterator[Finding]:
    pairs: list[tuple[Loc, Path | None, Path | None]] = [
        (("sip",), settings.sip.certificate, settings.sip.key),
        (("http",), settings.http.certificate, settings.http.key),
    ]
    pairs += [
        (("sip", "listen", place), listener.certificate, listener.key)
        for place, listener in enumerate(settings.sip.listen)
    ]
    for loc, certificate, key in pairs:
        if (certificate is None) != (key is None):
            present, absent = ("key", "certificate") if certificate is None else ("certificate", "key")
            yield Finding((*loc, present), f"`{present}` is given without `{absent}`; give both, or neither")
    named: list[tuple[Loc, Path | None]] = [
        (("sip", "authorities"), settings.sip.authorities),
        (("sip", "client_authorities"), settings.sip.client_authorities),
    ]
    for loc, certificate, key in pairs:
        named += [((*loc, "certificate"), certificate), ((*loc, "key"), key)]
    for loc, file in named:
        if file is not None and not file.is_file():
            yield Finding(loc, f"there is no file {file}; correct the path, which begins at the folder of this file")


def _timers(settings: Settings) -> Iterator[Finding]:
    sip, registrar = settings.sip, settings.registrar
    if not 0 < sip.t1 <= sip.t2:
        yield Finding(("sip", "t1"), "sip.t1 must be longer than nothing, and not longer than sip.t2")
    timer = sip.session_timer
    if timer.min_expires < _LEAST_SESSION:
        # RFC 4028 §5: the Min-SE header field MUST NOT be less than 90 seconds.
        yield Finding(("sip", "session_timer", "min_expires"), "RFC 4028 allows nothing below 90s; write 90s or more")
    if timer.expires < timer.min_expires:
        text = "sip.session_timer.expires must not be shorter than min_expires"
        yield Finding(("sip", "session_timer", "expires"), text)
    if settings.media.rtcp.interval < _LEAST_REPORTS:
        yield Finding(("media", "rtcp", "interval"), "media.rtcp.interval must be 100ms or more; 5s is usual")
    if not 0 < registrar.min_expires <= registrar.default_expires <= registrar.max_expires:
        text = "registrar: min_expires must not be longer than default_expires, nor that longer than max_expires"
        yield Finding(("registrar", "min_expires"), text)


_ENCRYPTING = ("prefer", "require")


def _readable_keys(settings: Settings) -> Iterator[Finding]:
    """SDES sends keys in the signalling (RFC 4568 §8): whoever reads that can hear the call."""
    media = settings.media.srtp
    if not any(listener.uri.transport == "tls" for listener in settings.sip.listen):
        text = "the keys of encrypted audio go through signalling that anybody on the way reads; listen on tls:// too"
        if media in _ENCRYPTING:
            yield Finding(("media", "srtp"), text)
        for number, extension in settings.extensions.items():
            if extension.srtp in _ENCRYPTING:
                yield Finding(("extensions", number, "srtp"), text)
    for name, trunk in settings.trunks.items():
        hop = (trunk.outbound_proxy or trunk.address).lower()
        if (trunk.srtp or media) in _ENCRYPTING and not hop.startswith("sips:") and "transport=tls" not in hop:
            text = (
                f"the keys of encrypted audio go to the trunk `{name}` through signalling that anybody on the way can"
                " read; reach it over TLS, with `;transport=tls`"
            )
            yield Finding(("trunks", name, "srtp" if trunk.srtp else "address"), text)


def _trunks(settings: Settings) -> Iterator[Finding]:
    seen: dict[tuple[Identity, Match], str] = {}
    for name, trunk in settings.trunks.items():
        for identity in trunk.identified_by:
            key = identity, trunk.match
            if key in seen:
                loc = ("trunks", name, "identify" if trunk.identify is not None else "address")
                text = (
                    f"calls from {identity} are those of the trunk `{seen[key]}` already; tell them apart by port, or "
                    "by `match`"
                )
                yield Finding(loc, text)
            seen.setdefault(key, name)
        if trunk.match.certificate and settings.sip.client_authorities is None:
            text = "`certificate` needs `sip.client_authorities`, whose certificates clients must show; add it"
            yield Finding(("trunks", name, "match", "certificate"), text)
        if trunk.registration is not None and trunk.username is None and trunk.registration.aor is None:
            yield Finding(
                ("trunks", name, "registration"), "`registration` needs a `username` and `password`, or an `aor`"
            )
        if (trunk.username is None) != (trunk.password is None):
            present, absent = ("password", "username") if trunk.username is None else ("username", "password")
            yield Finding(("trunks", name, present), f"`{present}` is given without `{absent}`; give both, or neither")
        if trunk.caller != "pass" and not trunk.caller_number:
            yield Finding(("trunks", name, "caller"), f"`caller: {trunk.caller}` needs a `caller_number`; add it")
        if trunk.caller == "listed" and not trunk.caller_numbers:
            yield Finding(("trunks", name, "caller"), "`caller: listed` needs `caller_numbers`; add them")
        yield from _numbers(name, trunk.numbers)


def _numbers(name: str, numbers: Numbers) -> Iterator[Finding]:
    for key in ("inbound", "outbound"):
        form, loc = getattr(numbers, key), ("trunks", name, "numbers", key)
        if form in ("national", "local") and numbers.country is None:
            yield Finding(loc, f"`{key}: {form}` needs a `country`, such as 49; add it")
        elif form == "local" and not numbers.area:
            yield Finding(loc, f"`{key}: local` needs an `area`, such as 30; add it")


def _extensions(settings: Settings) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for number, extension in settings.extensions.items():
        owner = owners.setdefault(extension.username or number, number)
        if owner != number:
            place = ("extensions", number, "username") if extension.username else ("extensions", number)
            text = f"the phones of {number} and of {owner} have the same user name; give one of them another `username`"
            yield Finding(place, text)


def _budgets(settings: Settings) -> Iterator[Finding]:
    known = {f"extension/{number}" for number in settings.extensions} | {f"trunk/{name}" for name in settings.trunks}
    for name, budget in settings.security.budgets.items():
        loc: Loc = ("security", "budgets", name)
        if bool(budget.callers) == bool(budget.over):
            yield Finding(
                loc, f"the budget `{name}` needs `callers`, or else `over`: whose calls, or over which trunks"
            )
        if budget.calls is None and budget.minutes is None:
            yield Finding(loc, f"the budget `{name}` limits nothing; give it `calls`, `minutes` or both")
        for key, words, kinds in (
            ("callers", budget.callers, ("extension", "trunk")),
            ("over", budget.over, ("trunk",)),
        ):
            for word in words:
                if word not in kinds and not (word in known and word.partition("/")[0] in kinds):
                    shown = " or ".join(kinds)
                    text = f"the budget `{name}`: there is no `{word}`; write {shown}, or one by name, as trunk/NAME"
                    yield Finding((*loc, key), text)
        for word in budget.destinations:
            if word not in ("any", "international", "premium") and not re.fullmatch(r"[0-9+*#]+", word, re.ASCII):
                text = f"the budget `{name}`: `{word}` is no destination; write any, international, premium or digits"
                yield Finding((*loc, "destinations"), text)


def _signatures(settings: Settings) -> Iterator[Finding]:
    sign, verify = settings.stir.sign, settings.stir.verify
    files: list[tuple[Loc, Path | None]] = []
    if sign is not None:
        files.append((("stir", "sign", "key"), sign.key))
    if verify is not None:
        files += [(("stir", "verify", "roots"), verify.roots), (("stir", "verify", "authorities"), verify.authorities)]
        files += [(("stir", "verify", "certificates", url), copy) for url, copy in verify.certificates.items()]
    for loc, file in files:
        if file is not None and not file.is_file():
            yield Finding(loc, f"there is no file {file}; correct the path, which begins at the folder of this file")
    for name, trunk in settings.trunks.items():
        if trunk.stir.sign and sign is None:
            text = "`sign` needs the key and certificate of `stir.sign`; add them"
            yield Finding(("trunks", name, "stir", "sign"), text)
        if trunk.stir.verify != "off" and verify is None:
            text = "`verify` needs the authorities of `stir.verify`; add them"
            yield Finding(("trunks", name, "stir", "verify"), text)
        if trunk.stir.verstat and not trunk.trust_identity:
            text = "`verstat` is for a trunk of those who trust each other; add `trust_identity: true` or remove it"
            yield Finding(("trunks", name, "stir", "verstat"), text)


def _weak_secrets(settings: Settings, path: Path) -> Iterator[Finding]:
    literal: list[Loc] = []
    for number, extension in settings.extensions.items():
        loc = ("extensions", number, "password")
        secret = extension.password
        text = secret.reveal()
        if text in (number, extension.username, extension.name):
            yield Finding(loc, f"the password of {number} is what everybody tries first; choose a random one")
        elif len(text) < _SHORTEST_PASSWORD:
            yield Finding(
                loc,
                f"the password of {number} is shorter than {_SHORTEST_PASSWORD} characters; choose a longer one",
            )
        if secret.origin == "literal":
            literal.append(loc)
    for name, trunk in settings.trunks.items():
        if trunk.password is not None and trunk.password.origin == "literal":
            literal.append(("trunks", name, "password"))
    if settings.http.token is not None and settings.http.token.origin == "literal":
        literal.append(("http", "token"))
    if literal and path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o007:
        yield Finding(
            literal[0],
            f"this file holds secrets and is open to everybody; run chmod 640 {path}, or write env:NAME or file:PATH",
        )


def _open_http(settings: Settings) -> Iterator[Finding]:
    http = settings.http
    if http.listen is not None and not ip_address(http.listen.address).is_loopback and http.certificate is None:
        text = f"http.listen: {http.listen} is reached from other machines without TLS; give `certificate` and `key`"
        yield Finding(("http", "listen"), text)


def _sizes(settings: Settings) -> Iterator[Finding]:
    ports, calls = settings.media.ports, settings.limits.calls
    room = (ports.last - ports.first + 1) // _PORTS_PER_CALL
    if calls is not None and calls > room:
        yield Finding(("limits", "calls"), f"media.ports ({ports}) has room for {room} calls only; widen it")
