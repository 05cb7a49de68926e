"""The side that challenges (RFC 3261 §22.1-22.3, RFC 7616 §3.3-3.4, RFC 8760 §2)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2s, sha256
from typing import Final
from urllib.parse import unquote as percent_decoded

from pbx.errors import ParseError, UsageError
from pbx.ids import Ids
from pbx.sip.digest.core import ALGORITHMS, Credential, algorithm_named, digest_response, hash_a1, parse_auth
from pbx.sip.grammar import quote
from pbx.sip.uri import Uri
from pbx.values import Enum

__all__ = ["DigestServer", "Outcome", "Verdict"]

_MOST_CREDENTIALS: Final = 4
"""How many credentials for our realm are looked at in one request."""
_WINDOW: Final = 64
"""How far behind the highest nonce count another may come in: requests sent at once arrive in any order."""
_MAC_OCTETS: Final = 16
_STAMP_DIGITS: Final = 12
_SALT_OCTETS: Final = 8
_NONCE_LENGTH: Final = _STAMP_DIGITS + 2 * _SALT_OCTETS + 2 * _MAC_OCTETS

_NONCE = re.compile(rf"[0-9a-f]{{{_NONCE_LENGTH}}}")
# RFC 7616 §3.4: nc-value = 8LHEX. A Nokia phone sends nine digits, and others leave out the zeros.
_COUNT = re.compile(r"[0-9A-Fa-f]{1,16}")
_USERNAME_EXTENDED = re.compile(r"UTF-8'[^']*'(.*)", re.IGNORECASE | re.DOTALL)


class Outcome(Enum):
    """What became of an attempt to authenticate."""

    OK = "ok"
    ABSENT = "absent"
    """No credentials for our realm: challenge."""
    STALE = "stale"
    """The nonce is not ours, has expired, or was used with this count before: challenge with stale."""
    WRONG = "wrong"
    """No such user, or not its password: challenge, and count it as a failure."""
    MALFORMED = "malformed"
    """Credentials that break the rules: 400."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a check. `username` is proven if the outcome is OK, else merely claimed; `detail` says why not, for
    the log."""

    outcome: Outcome
    username: str = ""
    detail: str = ""

    @property
    def ok(self) -> bool:
        """True if the user has proven who it is."""
        return self.outcome is Outcome.OK


class DigestServer:
    """Challenges requests of one realm and checks the answers.

    Nonces are issued without keeping anything: they hold their time of issue under a MAC made with `secret`. Only one
    that was used with the right password is remembered, with the counts seen, until it expires after `lifetime`
    seconds. At most 2 x `capacity` of them are kept; when more would be needed, the oldest become stale early, so that
    a count is never taken twice.

    `algorithms` are offered in that order (RFC 8760 §2.3: most preferred first).
    """

    def __init__(
        self,
        ids: Ids,
        realm: str,
        secret: bytes,
        *,
        lifetime: float = 300.0,
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
        qop: Sequence[str] = ("auth",),
        capacity: int = 50_000,
    ) -> None:
        if len(secret) < _MAC_OCTETS or not set(algorithms) <= set(ALGORITHMS) or not set(qop) <= {"auth", "auth-int"}:
            raise UsageError("a digest server needs a secret of 16 octets, and algorithms and qop that exist")
        self.realm = realm
        self.lifetime = lifetime
        self.algorithms = tuple(algorithms)
        self._ids = ids
        self._key = sha256(secret + realm.encode()).digest()
        self._qop = tuple(qop)
        self._capacity = capacity
        self._seen: dict[str, tuple[int, int]] = {}
        """Nonce to the highest count taken and a bit for each of the counts below it."""
        self._seen_before: dict[str, tuple[int, int]] = {}
        self._opened = 0.0
        """When `_seen` was begun. A nonce issued before `_floor` may have been forgotten, and so is stale."""
        self._floor = 0.0
        # An unknown user is checked against this, which nobody can know, so that it costs what a known one does.
        self._nobody = Credential("", password=ids.token(16))

    # -- challenging

    def challenges(
        self, now: float, stale: bool = False, algorithms: Sequence[str] | None = None, client: str = ""
    ) -> list[str]:
        """Return the values for WWW-Authenticate or Proxy-Authenticate, one an algorithm, each for a header line of its
        own.

        `algorithms` are those of this server to offer, for a client that cannot cope with all; None for all. The nonce
        holds for `client` alone, such as its address: whoever sends in somebody else's name has none.
        """
        nonce = self._issue(now, client)
        qop = ",".join(self._qop)
        flag = ", stale=true" if stale else ""
        realm = quote(self.realm)
        return [
            f'Digest realm={realm}, nonce="{nonce}", algorithm={algorithm}, qop="{qop}"{flag}'
            for algorithm in (self.algorithms if algorithms is None else algorithms)
        ]

    def _issue(self, now: float, client: str) -> str:
        text = f"{int(now * 1000):0{_STAMP_DIGITS}x}{self._ids.token(_SALT_OCTETS)}"
        return text + self._mac(text, client)

    def _mac(self, text: str, client: str) -> str:
        # Keyed BLAKE2 (RFC 7693 §2.9) costs a fiftieth of HMAC by OpenSSL 3, which was a quarter of a REGISTER.
        return blake2s(f"{text}{client}".encode(), key=self._key, digest_size=_MAC_OCTETS).hexdigest()

    def _issued(self, nonce: str, client: str) -> float | None:
        """Return when we issued a nonce to a client, None if we did not."""
        if _NONCE.fullmatch(nonce) is None:
            return None
        text, mac = nonce[: -2 * _MAC_OCTETS], nonce[-2 * _MAC_OCTETS :]
        if not hmac.compare_digest(mac, self._mac(text, client)):
            return None
        return int(text[:_STAMP_DIGITS], 16) / 1000

    # -- checking

    def check(
        self,
        values: Sequence[str],
        method: str,
        uri: Uri,
        body: bytes,
        now: float,
        lookup: Callable[[str], Credential | None],
        client: str = "",
    ) -> Verdict:
        """Judge the values of Authorization (or Proxy-Authorization) of a request with that method, Request-URI and
        body, that `client` sent (see `challenges`).

        `lookup` returns a user's credential or None; it is called once for each set of credentials whose nonce is good,
        whether the user exists or not. Never raises for what a peer sent.
        """
        verdict: Verdict | None = None
        looked = 0
        for value in values:
            try:
                scheme, params = parse_auth(value)
            except ParseError as error:
                verdict = verdict or Verdict(Outcome.MALFORMED, detail=error.reason)
                continue
            if scheme != "digest" or params.get("realm") != self.realm:
                continue
            looked += 1
            if looked > _MOST_CREDENTIALS:
                break
            judged = self._judge(params, method, uri, body, now, lookup, client)
            if judged.ok:
                return judged
            verdict = verdict or judged
        return verdict or Verdict(Outcome.ABSENT)

    def _judge(
        self,
        params: dict[str, str],
        method: str,
        uri: Uri,
        body: bytes,
        now: float,
        lookup: Callable[[str], Credential | None],
        client: str,
    ) -> Verdict:
        username = _username(params)
        fault = self._fault(params, username, uri)
        if fault:
            return Verdict(Outcome.MALFORMED, username, fault)
        # First of all: who has no nonce of ours may be anybody, and nothing is held against whom it says it is.
        nonce = params["nonce"]
        issued = self._issued(nonce, client)
        if issued is None:
            return Verdict(Outcome.STALE, username, "a nonce that is not ours")
        if not issued <= now < issued + self.lifetime or issued < self._floor:
            return Verdict(Outcome.STALE, username, "an expired nonce")
        algorithm, session = algorithm_named(params.get("algorithm", "MD5"))
        if algorithm not in self.algorithms or session:
            return Verdict(Outcome.WRONG, username, "an algorithm that was not offered")
        qop = params.get("qop", "").lower()
        credential = lookup(username)
        expected = digest_response(
            algorithm,
            self._ha1(credential or self._nobody, algorithm),
            nonce,
            method,
            params["uri"],
            qop=qop,
            nc=params.get("nc", ""),
            cnonce=params.get("cnonce", ""),
            body=body,
        )
        right = hmac.compare_digest(expected.encode(), params["response"].lower().encode("utf-8", "replace"))
        if credential is None or not right:
            return Verdict(Outcome.WRONG, username, "unknown user or wrong password")
        # Without qop there is no count, so such a nonce serves once.
        count = int(params["nc"], 16) if qop else _WINDOW + 1
        if not self._take(nonce, issued, count, now):
            return Verdict(Outcome.STALE, username, "a nonce count that was used before")
        return Verdict(Outcome.OK, username)

    def _ha1(self, credential: Credential, algorithm: str) -> str:
        # Computed even where a stored hash is used instead: a check costs the same whoever the user is.
        computed = hash_a1(algorithm, credential.username, self.realm, credential.password or "")
        stored = credential.ha1.get(algorithm)
        if stored is not None:
            return stored.lower()
        # Without a password nor this algorithm's hash nothing may match, so nobody's secret stands in.
        return computed if credential.password is not None else self._nobody.password or ""

    def _fault(self, params: dict[str, str], username: str, uri: Uri) -> str:
        """Return what is wrong with the form of credentials, an empty text if nothing is."""
        if not username or not all(params.get(name) for name in ("nonce", "uri", "response")):
            return "username, nonce, uri or response is missing"
        qop = params.get("qop")
        if qop is not None:
            if qop.lower() not in self._qop:
                return "a qop that was not offered"
            if not params.get("cnonce") or _COUNT.fullmatch(params.get("nc", "")) is None:
                return "cnonce or nc is missing or malformed"
        # RFC 7616 §3.4.6: the server MUST check that the resource designated by "uri" is the one of the request. All
        # hosts are this server, and elements on the way may rewrite them, so the user part decides.
        try:
            if Uri.parse(params["uri"]).user != uri.user:
                return "uri names another resource than the request"
        except ParseError:
            return "uri is malformed"
        return ""

    # -- counting

    def _take(self, nonce: str, issued: float, count: int, now: float) -> bool:
        """Take a nonce count; False if it was taken before or lies too far back."""
        if now - self._opened >= self.lifetime or len(self._seen) >= self._capacity:
            # What `_seen_before` knew is forgotten: its nonces were all issued before `_seen` was begun.
            self._floor = self._opened
            self._seen_before, self._seen, self._opened = self._seen, {}, now
            if issued < self._floor:
                return False
        highest, mask = self._seen.get(nonce) or self._seen_before.get(nonce) or (0, 0)
        if count > highest:
            shift = count - highest
            mask = ((mask << shift) | 1) & ((1 << _WINDOW) - 1) if shift < _WINDOW else 1
            self._seen[nonce] = (count, mask)
            return True
        bit = 1 << (highest - count)
        if highest - count >= _WINDOW or mask & bit or not count:
            return False
        self._seen[nonce] = (highest, mask | bit)
        return True


def _username(params: dict[str, str]) -> str:
    extended = params.get("username*")
    if extended is not None:
        # RFC 7616 §3.4: username* in the notation of RFC 5987, for names that are not ASCII.
        match = _USERNAME_EXTENDED.fullmatch(extended)
        return percent_decoded(match[1]) if match else ""
    return params.get("username", "")
