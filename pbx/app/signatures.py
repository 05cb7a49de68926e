"""Signatures of who calls, as configuration has them: keys and certificates, and what is done with them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pbx.call.commands import Voucher
from pbx.config.schema import Settings
from pbx.security.stir import Signer
from pbx.trunks.signing import Signing
from pbx.values import dataclass

__all__ = ["Credentials", "Signatures", "load_credentials"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What ``stir:`` names, read."""

    signer: Signer | None = None


def load_credentials(settings: Settings) -> Credentials:
    """Read the files that ``stir:`` names. Raises EnvironmentFault for one that cannot be used."""
    sign = settings.stir.sign
    return Credentials(Signer(sign.key, sign.certificate_url) if sign is not None else None)


class Signatures:
    """Signs what goes out. `secret` makes the ids of where calls begin."""

    def __init__(self, secret: bytes, wall: Callable[[], datetime], credentials: Credentials) -> None:
        self.signing = Signing(secret, wall)
        self.replace(credentials)

    def replace(self, credentials: Credentials) -> None:
        """Use these from now on."""
        self.signing.signer = credentials.signer

    def sign(self, originator: str, destination: str, voucher: Voucher) -> tuple[tuple[str, str], ...]:
        """Return the headers that sign a call; see `pbx.call.leg.LegContext`."""
        return self.signing.headers(originator, destination, voucher.attestation, voucher.source)
