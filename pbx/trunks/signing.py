"""Signing the calls that are sent to trunks: SHAKEN's PASSporT in an Identity header (RFC 8224, RFC 8225, RFC 8588)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from uuid import UUID

from pbx.security.stir import Signer
from pbx.sip.ext.passport import Identity, Passport, telephone_number

__all__ = ["Signing"]

_VERSION = 4
"""Of random UUIDs: to who does not know the secret, these are (RFC 9562 §5.4)."""


class Signing:
    """Makes the headers of signed calls. `secret` makes the ids of where calls begin, which tell nobody else more than
    that two calls began at one place; `wall` is aware."""

    def __init__(self, secret: bytes, wall: Callable[[], datetime], signer: Signer | None = None) -> None:
        self._secret = secret
        self._wall = wall
        self.signer = signer
        """None: nothing is signed. Replaced at a reload."""
        self.signed = 0
        """Calls signed since the start."""

    def origination(self, source: str) -> str:
        """Return the id of a source, a UUID that outlives restarts (RFC 8588 §5)."""
        digest = hmac.digest(self._secret, b"origid " + source.encode(), "sha256")
        return str(UUID(bytes=digest[:16], version=_VERSION))

    def headers(self, originator: str, destination: str, attestation: str, source: str) -> tuple[tuple[str, str], ...]:
        """Return Date and Identity of a call between two numbers, as they stand in its headers."""
        if self.signer is None:
            return ()
        now = self._wall().astimezone(UTC)
        passport = Passport(
            telephone_number(originator),
            (telephone_number(destination),),
            int(now.timestamp()),
            self.signer.certificate_url,
            attestation,
            self.origination(source),
        )
        self.signed += 1
        # RFC 8224 §4.1 step 3: an authentication service MUST add a Date header field if there is none.
        return (
            ("Date", format_datetime(now, usegmt=True)),
            ("Identity", Identity.written(passport, self.signer.sign(passport.signed_part()))),
        )
