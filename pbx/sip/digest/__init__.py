"""Digest authentication, both sides (RFC 3261 §22, RFC 7616, RFC 8760; RFC 2617 for old peers)."""

from pbx.sip.digest.client import DigestClient, answer_challenge
from pbx.sip.digest.core import ALGORITHMS, Credential, digest_response, hash_a1, parse_auth
from pbx.sip.digest.server import DigestServer, Outcome, Verdict

__all__ = [
    "ALGORITHMS",
    "Credential",
    "DigestClient",
    "DigestServer",
    "Outcome",
    "Verdict",
    "answer_challenge",
    "digest_response",
    "hash_a1",
    "parse_auth",
]
