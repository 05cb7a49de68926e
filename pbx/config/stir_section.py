"""The section ``stir:``, and what a trunk says of it. The docstrings are the source of ``docs/configuration.md``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from pbx.config.kinds import FilePath, Kind, Section

__all__ = ["CertificateUrl", "Stir", "StirSign", "TrunkStir"]

_URL = re.compile(r"https://[A-Za-z0-9.\[\]:-]+(?:/[!-;=?-~]*)?", re.ASCII)
_LONGEST_URL = 1024


def _certificate_url(text: str) -> str:
    if len(text) > _LONGEST_URL or not _URL.fullmatch(text):
        raise ValueError(f"`{text}` is no URL of a certificate; write it like https://example.com/certificate.pem")
    return text


CertificateUrl = Annotated[
    str, AfterValidator(_certificate_url), Kind("HTTPS URL", "https://certificates.example.com/shaken.pem")
]


class StirSign(Section):
    """How calls to trunks with `stir: {sign: true}` are signed (STIR/SHAKEN; RFC 8224, RFC 8588)."""

    key: FilePath
    """The private key (PEM, curve P-256) of the certificate that an authority has issued to us."""
    certificate_url: CertificateUrl
    """Where everybody can fetch that certificate, with the chain that leads to the authority's root."""


class Stir(Section):
    """Signatures of who calls; see [stir.md](stir.md). Left out, nothing is signed."""

    sign: StirSign | None = None


class TrunkStir(Section):
    """Signatures on the calls of a trunk. The key and the roots are those of `stir`."""

    sign: bool = False
    """Whether the calls that are sent to it are signed."""
