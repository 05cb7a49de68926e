"""The side that is challenged (RFC 3261 §22.2-22.3, RFC 7616 §3.4, RFC 8760 §2.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote as percent_encoded

from pbx.errors import ParseError
from pbx.sip.digest.core import ALGORITHMS, Credential, algorithm_named, digest_response, hash_a1, parse_auth
from pbx.sip.grammar import quote
from pbx.sip.message import Request, Response

__all__ = ["Challenge", "DigestClient", "answer_challenge"]

_STRENGTH: Final = {name: -rank for rank, name in enumerate(ALGORITHMS)}
_MOST_CHALLENGES: Final = 20
_MOST_REALMS: Final = 8

Lookup = Callable[[str], Credential | None]
"""Realm to the credential for it, None if there is none."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge that can be answered. `algorithm` is one of `ALGORITHMS`, `spelled` what the server called it."""

    realm: str
    nonce: str
    algorithm: str
    session: bool
    spelled: str
    qop: str
    opaque: str | None
    stale: bool
    userhash: bool

    @staticmethod
    def parse(value: str) -> Challenge | None:
        """Read one value of WWW-Authenticate or Proxy-Authenticate; None if it cannot be answered by us."""
        try:
            scheme, params = parse_auth(value)
        except ParseError:
            return None
        if scheme != "digest" or "realm" not in params or "nonce" not in params:
            return None
        algorithm, session = algorithm_named(params.get("algorithm", "MD5"))
        offered = [word.strip(" \t").lower() for word in params["qop"].split(",")] if params.get("qop") else []
        qop = next((known for known in ("auth", "auth-int") if known in offered), "")
        if not algorithm or (offered and not qop):
            return None
        return Challenge(
            params["realm"],
            params["nonce"],
            algorithm,
            session,
            params.get("algorithm", ""),
            qop,
            params.get("opaque"),
            params.get("stale", "").lower() == "true",
            params.get("userhash", "").lower() == "true",
        )

    def answer(self, credential: Credential, method: str, uri: str, body: bytes, cnonce: str, count: int) -> str | None:
        """Return the value for Authorization, None if the credential holds nothing for this algorithm."""
        ha1 = credential.ha1.get(self.algorithm)
        if ha1 is None:
            if credential.password is None:
                return None
            ha1 = hash_a1(self.algorithm, credential.username, self.realm, credential.password)
        nc = f"{count:08x}" if self.qop else ""
        response = digest_response(
            self.algorithm,
            ha1.lower(),
            self.nonce,
            method,
            uri,
            qop=self.qop,
            nc=nc,
            cnonce=cnonce,
            body=body,
            session=self.session,
        )
        parts = [
            self._username(credential.username),
            f"realm={quote(self.realm)}",
            f"nonce={quote(self.nonce)}",
            f"uri={quote(uri)}",
            f'response="{response}"',
        ]
        if self.spelled:
            parts.append(f"algorithm={self.spelled}")
        if self.qop or self.session:
            parts.append(f"cnonce={quote(cnonce)}")
        if self.qop:
            parts.append(f"qop={self.qop}, nc={nc}")
        if self.opaque is not None:
            parts.append(f"opaque={quote(self.opaque)}")
        if self.userhash:
            parts.append("userhash=true")
        return "Digest " + ", ".join(parts)

    def _username(self, username: str) -> str:
        if self.userhash:
            # RFC 7616 §3.4.4: username = H( unq(username) ":" unq(realm) )
            hashed = ALGORITHMS[self.algorithm](f"{username}:{self.realm}".encode("utf-8", "replace"))
            return f'username="{hashed}"'
        if username.isascii():
            return f"username={quote(username)}"
        return f"username*=UTF-8''{percent_encoded(username, safe='')}"


def strongest(values: Sequence[str], lookup: Lookup) -> list[tuple[Challenge, Credential]]:
    """Return for each realm the challenge with the strongest algorithm that can be answered."""
    chosen: dict[str, tuple[Challenge, Credential]] = {}
    for value in values[:_MOST_CHALLENGES]:
        challenge = Challenge.parse(value)
        if challenge is None:
            continue
        credential = lookup(challenge.realm)
        if credential is None or (credential.password is None and challenge.algorithm not in credential.ha1):
            continue
        best = chosen.get(challenge.realm)
        if best is None or _STRENGTH[challenge.algorithm] > _STRENGTH[best[0].algorithm]:
            chosen[challenge.realm] = (challenge, credential)
    return list(chosen.values())


def answer_challenge(
    challenges: Sequence[str],
    credentials: Lookup,
    method: str,
    uri: str,
    body: bytes,
    cnonce: str,
    *,
    proxy: bool = False,
    count: int = 1,
) -> list[tuple[str, str]]:
    """Answer the challenges of one response: a header name and value for each realm that can be answered, perhaps none.

    `challenges` are the values of WWW-Authenticate, or with `proxy` of Proxy-Authenticate; `uri` is the Request-URI as
    it will be written; `cnonce` is random; `count` says how often this nonce has been used, this time included.
    `DigestClient` keeps count and works on whole messages.
    """
    name = "Proxy-Authorization" if proxy else "Authorization"
    answers = []
    for challenge, credential in strongest(challenges, credentials):
        value = challenge.answer(credential, method, uri, body, cnonce, count)
        if value is not None:
            answers.append((name, value))
    return answers


@dataclass(slots=True)
class _Known:
    """A challenge that was answered, to be used again for later requests."""

    challenge: Challenge
    credential: Credential
    proxy: bool
    count: int = 0


class DigestClient:
    """The credentials that one user of ours sends to one peer, and the nonces that it was given.

    `credentials` maps a realm to the credential for it. Keep one for each registration, trunk or dialog: later requests
    then carry credentials at once (RFC 3261 §22.2) with the next nonce count, and save a round trip.
    """

    def __init__(self, credentials: Lookup) -> None:
        self._credentials = credentials
        self._known: dict[tuple[bool, str], _Known] = {}

    def answer(self, request: Request, response: Response, cnonce: str) -> bool:
        """Put into `request` the credentials that a 401 or 407 to it asks for; False if that would be of no use.

        That is so if no challenge can be answered, or if the same credentials were just refused and not for a stale
        nonce. The caller gives the request a new CSeq and a new branch, and limits how often it tries (a peer may call
        every nonce stale).
        """
        answered = False
        for header, proxy in (("WWW-Authenticate", False), ("Proxy-Authenticate", True)):
            for challenge, credential in strongest(response.headers.all(header), self._credentials):
                if not challenge.stale and self._refused(request, challenge.realm, proxy):
                    return False
                if len(self._known) >= _MOST_REALMS:
                    self._known.clear()
                self._known[proxy, challenge.realm] = _Known(challenge, credential, proxy)
                answered = True
        if answered:
            self.authorize(request, cnonce)
        return answered

    def authorize(self, request: Request, cnonce: str) -> None:
        """Put credentials for the challenges known so far into `request`, replacing those in it; nothing if there are
        none."""
        request.headers.remove("Authorization")
        request.headers.remove("Proxy-Authorization")
        for known in self._known.values():
            known.count += 1
            value = known.challenge.answer(
                known.credential, request.method, str(request.uri), request.body, cnonce, known.count
            )
            if value is not None:
                request.headers.add("Proxy-Authorization" if known.proxy else "Authorization", value)

    def _refused(self, request: Request, realm: str, proxy: bool) -> bool:
        """Return whether `request` carried an answer to a challenge of that realm given for it alone.

        A nonce used again may have expired at a server that does not say stale, and deserves a new try.
        """
        known = self._known.get((proxy, realm))
        for value in request.headers.all("Proxy-Authorization" if proxy else "Authorization"):
            try:
                _, params = parse_auth(value)
            except ParseError:
                continue
            if params.get("realm") != realm:
                continue
            if "nc" in params:
                return params["nc"].lstrip("0") == "1"
            return known is None or (known.challenge.nonce == params.get("nonce") and known.count == 1)
        return False
