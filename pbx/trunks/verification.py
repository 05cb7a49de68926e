"""Verifying who calls: what an Identity header proves of an INVITE (RFC 8224 §6.2). Sans-IO.

Certificates come by a port. A signature that holds is worth as much as the roots that it is checked against, and says
nothing of the call but the two numbers and the moment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

from pbx.errors import ParseError
from pbx.security.stir import CredentialError, SignatureError, TrustStore
from pbx.sip.ext.identity import asserted_identities, number_in
from pbx.sip.ext.passport import Identity, Passport, telephone_number
from pbx.sip.message import Request
from pbx.values import dataclass

__all__ = ["FRESH", "UNVERIFIED", "Fetch", "Verification", "Verifier", "marked"]

FRESH = 60
"""Seconds that a signature is taken after, or before, the moment that it names (RFC 8224 §6.2.1 lets each choose)."""
_MOST_IDENTITIES = 4
_MOST_WAITING = 256
_NUMBER = re.compile(r"\+?[0-9*#().-]+", re.ASCII)
_FAILED, _NONE, _PASSED = "failed", "none", "passed"

Fetch = Callable[[str, Callable[[bytes | str], None]], None]
"""Gets the certificates at a URL: the PEM of a chain, or in words why there is none. May call back at once, or
never."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What is known of who calls. `outcome` is ``passed``, ``failed`` (a signature that does not hold) or ``none``
    (there is none, or nothing to check it by)."""

    outcome: str = _NONE
    detail: str = ""
    """Why, in words."""
    attestation: str = ""
    """``A``, ``B`` or ``C`` of a signature that holds and says so."""
    status: int = 0
    """The response of RFC 8224 §6.2.2 to a call that must be signed; 0 where nothing is wrong."""
    identity: str = ""
    """The Identity header that holds, as it came, fit to be passed on; empty for the compact form."""
    originator: str = ""
    destinations: tuple[str, ...] = ()


UNVERIFIED: Final = Verification()


class Timer(Protocol):
    """Something that is due."""

    def cancel(self) -> object:
        """Forget it."""


def _failed(status: int, detail: str) -> Verification:
    return Verification(_FAILED, detail, status=status)


def _unknown(status: int, detail: str) -> Verification:
    return Verification(_NONE, detail, status=status)


class Verifier:
    """Checks the signatures of INVITEs. `wall` is aware, `later` runs something after seconds."""

    def __init__(
        self,
        wall: Callable[[], datetime],
        later: Callable[[float, Callable[[], None]], Timer],
        trust: TrustStore,
        fetch: Fetch | None,
        certificates: Mapping[str, bytes],
        timeout: float,
    ) -> None:
        """Look for certificates among the local copies by URL first, then ask `fetch` and wait up to `timeout` s."""
        self._wall = wall
        self._later = later
        self._trust = trust
        self._fetch = fetch
        self._certificates = certificates
        self._timeout = timeout
        self.waiting = 0
        """Calls that wait for a certificate now."""

    def verify(self, request: Request, believed: bool, done: Callable[[Verification], None]) -> None:
        """Tell `done` once what an INVITE proves, at once, or when the certificate is there; `believed` if its
        P-Asserted-Identity says who calls. Raises ParseError for a request whose To or From cannot be read."""
        claims, first = self._claims(request, believed)
        if not claims:
            done(first)
        elif self._certificates.get(claims[0].info) is None and self.waiting >= _MOST_WAITING:
            done(_unknown(436, "too many calls wait for certificates"))
        else:
            _Check(self, claims, first, done).go_on()

    def _claims(self, request: Request, believed: bool) -> tuple[list[_Claim], Verification]:
        """Return the signatures to be checked, and what holds if none of them does."""
        values = request.headers.raw("Identity")
        if not values:
            return [], _unknown(428, "the call is not signed")
        outcome = _unknown(428, "the call is signed in no way that is known here")
        numbers = _numbers_called(request)
        originator = telephone_number(_number_calling(request, believed))
        claims = []
        for value in values[:_MOST_IDENTITIES]:
            try:
                identity = Identity.parse(value)
            except ParseError as error:
                outcome = _worse(outcome, _failed(438, f"its Identity cannot be read: {error.reason}"))
                continue
            # RFC 8224 §6.2: a verification service ignores what it does not support of algorithms and of types.
            if identity.algorithm != "ES256" or identity.extension not in ("", "shaken"):
                continue
            claim = self._read(request, value, identity, originator, numbers)
            if isinstance(claim, _Claim):
                claims.append(claim)
            else:
                outcome = _worse(outcome, claim)
        return claims, outcome

    def _read(
        self, request: Request, value: str, identity: Identity, originator: str, called: frozenset[str]
    ) -> _Claim | Verification:
        passport = identity.passport
        if passport is None:
            # RFC 8225 §7: the compact form leaves out what can be read in the request; SHAKEN's claims cannot.
            issued = _date(request)
            if identity.extension or issued is None:
                return _failed(438, "its Identity is in the compact form, and not all that it signs stands in the call")
            # RFC 8224 §8.4: the destination is that of To.
            number = telephone_number(number_in(request.to.uri))
            passport = Passport(originator, (number,), issued, identity.info)
            identity = identity._replace(signed=passport.signed_part())
            value = ""
        if not originator or passport.originator != originator:
            return _failed(438, f"signed is a call from {passport.originator}, and not from {originator or 'nobody'}")
        if not called.intersection(passport.destinations):
            return _failed(438, f"signed is a call to {', '.join(passport.destinations[:3])}, and not this one")
        age = self._wall().timestamp() - passport.issued
        if abs(age) > FRESH:
            when = f"{age:.0f} s ago" if age > 0 else f"{-age:.0f} s from now"
            return _failed(403, f"it was signed {when}")
        if not identity.info.lower().startswith("https://"):
            return _unknown(436, f"its certificate is at no HTTPS address: {identity.info[:100]}")
        return _Claim(value, identity, passport, identity.info)

    # -- what a check asks for

    def chain(self, url: str, done: Callable[[bytes | str], None]) -> None:
        """Get a chain of certificates: a local copy at once, else what is fetched."""
        known = self._certificates.get(url)
        if known is not None:
            done(known)
        elif self._fetch is None:
            done(f"no certificate of {url[:200]} is at hand")
        else:
            self._fetch(url, done)

    def judge(self, claim: _Claim, chain: bytes) -> Verification:
        """Return what a signature is worth."""
        identity, passport = claim.identity, claim.passport
        try:
            signer = self._trust.check(chain, identity.signed, identity.signature, passport.originator, self._wall())
        except CredentialError as error:
            # RFC 8224 §6.2.2: 438 if the signature does not correspond to the message, 437 if we cannot trust its
            # signer.
            return _failed(438 if isinstance(error, SignatureError) else 437, str(error))
        return Verification(
            _PASSED,
            f"signed by {signer}",
            passport.attestation,
            0,
            claim.value,
            passport.originator,
            passport.destinations,
        )

    def after_timeout(self, due: Callable[[], None]) -> Timer:
        """Have it told when a check has waited long enough."""
        return self._later(self._timeout, due)


@dataclass(frozen=True, slots=True)
class _Claim:
    value: str
    identity: Identity
    passport: Passport
    info: str


class _Check:
    """The check of one call, over its signatures until one holds."""

    def __init__(
        self, verifier: Verifier, claims: list[_Claim], outcome: Verification, done: Callable[[Verification], None]
    ) -> None:
        self._verifier = verifier
        self._claims = claims
        self._outcome = outcome
        self._done: Callable[[Verification], None] | None = done
        self._timer: Timer | None = None

    def go_on(self) -> None:
        """Check the next signature."""
        claim = self._claims.pop(0)
        self._verifier.chain(claim.info, lambda chain: self._take(claim, chain))
        if self._done is not None and self._timer is None:
            self._verifier.waiting += 1
            self._timer = self._verifier.after_timeout(self._timed_out)

    def _take(self, claim: _Claim, chain: bytes | str) -> None:
        if self._done is None:
            return  # too late
        if isinstance(chain, bytes):
            found = self._verifier.judge(claim, chain)
        else:
            found = _unknown(436, f"the certificate cannot be had: {chain}")
        self._outcome = found if found.outcome == _PASSED else _worse(self._outcome, found)
        if found.outcome != _PASSED and self._claims:
            self.go_on()
        else:
            self._finish()

    def _timed_out(self) -> None:
        self._outcome = _worse(self._outcome, _unknown(436, "the certificate did not come in time"))
        self._finish()

    def _finish(self) -> None:
        done, self._done = self._done, None
        if self._timer is not None:
            self._timer.cancel()
            self._verifier.waiting -= 1
        if done is not None:
            done(self._outcome)


def _worse(one: Verification, other: Verification) -> Verification:
    """Return which of two outcomes without success says more: a signature that does not hold, then one that could not
    be checked."""
    if one.outcome == _FAILED or (other.outcome == _NONE and one.status != 428):
        return one
    return other


def _number_calling(request: Request, believed: bool) -> str:
    """Return who calls, as those who are called are told: by P-Asserted-Identity if that is believed, else by From.

    RFC 8224 §8.1: if From is anonymous, the signature is of P-Asserted-Identity; nobody is shown that number then.
    """
    asserted = [number_in(one.uri) for one in asserted_identities(request)]
    shown = number_in(request.from_.uri)
    if asserted and (believed or not _NUMBER.fullmatch(shown)):
        return asserted[0]
    return shown if _NUMBER.fullmatch(shown) else ""


def _numbers_called(request: Request) -> frozenset[str]:
    """Return whom the call is for: by To, which retargeting leaves alone, or by the Request-URI."""
    numbers = (telephone_number(number_in(request.to.uri)), telephone_number(number_in(request.uri)))
    return frozenset(number for number in numbers if number)


def _date(request: Request) -> int | None:
    try:
        return int(parsedate_to_datetime(request.headers.get("Date") or "").timestamp())
    except (ValueError, OverflowError):
        return None


def marked(verification: Verification) -> Verification:
    """Return a verification that refuses no call."""
    return replace(verification, status=0)
