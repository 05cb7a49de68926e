"""Signatures of who calls, as configuration has them: keys and certificates, and what is done with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime

from pbx.app.certificate_fetch import CertificateFetcher
from pbx.call.commands import Voucher
from pbx.config.schema import Settings
from pbx.errors import EnvironmentFault
from pbx.security.stir import Signer, TrustStore
from pbx.sip.message import Request
from pbx.sip.stack import Timer
from pbx.trunks.signing import Signing
from pbx.trunks.verification import UNVERIFIED, Verification, Verifier, marked
from pbx.values import dataclass

__all__ = ["Credentials", "Signatures", "load_credentials"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What ``stir:`` names, read, and what the trunks say of it."""

    signer: Signer | None = None
    trust: TrustStore | None = None
    certificates: Mapping[str, bytes] = field(default_factory=dict, hash=False)
    """Local copies, by URL."""
    fetcher: CertificateFetcher | None = None
    timeout: float = 2.0
    policies: Mapping[str, str] = field(default_factory=dict, hash=False)
    """``mark`` or ``require``, by ``trunk/NAME``; of those alone whose calls are checked."""
    believed: frozenset[str] = frozenset()
    """Trunks whose P-Asserted-Identity says who calls."""


def load_credentials(
    settings: Settings, now: Callable[[], float], call_soon: Callable[[Callable[[], None]], object]
) -> Credentials:
    """Read the files that ``stir:`` names. Raises EnvironmentFault for one that cannot be used."""
    sign, verify = settings.stir.sign, settings.stir.verify
    signer = Signer(sign.key, sign.certificate_url) if sign is not None else None
    if verify is None:
        return Credentials(signer)
    try:
        copies = {url: file.read_bytes() for url, file in verify.certificates.items()}
        fetcher = (
            CertificateFetcher(
                now, call_soon, timeout=verify.timeout, allowed=verify.fetch_from, authorities=verify.authorities
            )
            if verify.fetch == "https"
            else None
        )
    except OSError as error:
        raise EnvironmentFault(f"a certificate of stir.verify cannot be read: {error}") from error
    return Credentials(
        signer,
        TrustStore(verify.roots),
        copies,
        fetcher,
        verify.timeout,
        {f"trunk/{name}": trunk.stir.verify for name, trunk in settings.trunks.items() if trunk.stir.verify != "off"},
        frozenset(f"trunk/{name}" for name, trunk in settings.trunks.items() if trunk.trust_identity),
    )


class Signatures:
    """Signs what goes out and checks what comes in. `secret` makes the ids of where calls begin."""

    def __init__(
        self,
        secret: bytes,
        wall: Callable[[], datetime],
        later: Callable[[float, Callable[[], None]], Timer],
        credentials: Credentials,
    ) -> None:
        self.signing = Signing(secret, wall)
        self._wall, self._later = wall, later
        self._credentials = Credentials()
        self._verifier: Verifier | None = None
        self.outcomes = {"passed": 0, "failed": 0, "none": 0}
        """Calls of which a signature was looked for, by what was found."""
        self.replace(credentials)

    def replace(self, credentials: Credentials) -> None:
        """Use these from now on."""
        self.stop()
        self._credentials = credentials
        self.signing.signer = credentials.signer
        self._verifier = (
            Verifier(
                self._wall,
                self._later,
                credentials.trust,
                credentials.fetcher,
                credentials.certificates,
                credentials.timeout,
            )
            if credentials.trust is not None
            else None
        )

    def stop(self) -> None:
        """Fetch nothing any more; calls that wait for a certificate are told at their timeout."""
        if self._credentials.fetcher is not None:
            self._credentials.fetcher.stop()

    def sign(self, originator: str, destination: str, voucher: Voucher) -> tuple[tuple[str, str], ...]:
        """Return the headers that sign a call; see `pbx.call.leg.LegContext`."""
        return self.signing.headers(originator, destination, voucher.attestation, voucher.source)

    def verify(self, source: str, request: Request, done: Callable[[Verification], None]) -> None:
        """Tell `done` once what is known of who calls; see `pbx.call.reception.Reception`."""
        policy = self._credentials.policies.get(source)
        if policy is None or self._verifier is None:
            done(UNVERIFIED)
            return

        def told(found: Verification) -> None:
            self.outcomes[found.outcome] += 1
            done(found if policy == "require" else marked(found))

        self._verifier.verify(request, source in self._credentials.believed, told)
