"""The section ``stir:``, and what a trunk says of it. The docstrings are the source of ``docs/configuration.md``."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pbx.config.kinds import FilePath, Kind, Named, Networks, Positive, Section

__all__ = ["CertificateUrl", "Stir", "StirSign", "StirVerify", "TrunkStir"]

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


class StirVerify(Section):
    """How the signatures are checked of calls from trunks with `stir: {verify: mark}` or `require` (RFC 8224 §6.2)."""

    roots: FilePath
    """The authorities (PEM certificates) that a signer's certificate must lead to."""
    certificates: Annotated[
        Named[CertificateUrl, FilePath],
        Kind("mapping of HTTPS URLs to paths", '{"https://example.com/a.pem": a.pem}'),
    ] = Field(default_factory=dict, validate_default=True)
    """Local copies of signers' certificates (PEM, with the chain), which are not fetched."""
    fetch: Literal["https", "none"] = "https"
    """Whether others are fetched, from where the signature says. Never over anything but HTTPS, never after a
    redirection, never more than 64 KiB."""
    fetch_from: Networks = ()
    """Networks that certificates may be fetched from although their addresses are not public."""
    authorities: FilePath | None = None
    """The authorities (PEM) that vouch for the hosts of certificates; those of the system if left out."""
    timeout: Positive = 2.0
    """How long a call waits for a certificate."""
    verstat: bool = False
    """Whether the phones of extensions are told what was found: `;verstat=TN-Validation-Passed` and its like behind the
    caller's number (3GPP TS 24.229), which some show as a mark. An extension's own `verstat` comes first."""


class Stir(Section):
    """Signatures of who calls; see [stir.md](stir.md). Left out, nothing is signed and nothing checked."""

    sign: StirSign | None = None
    verify: StirVerify | None = None


class TrunkStir(Section):
    """Signatures on the calls of a trunk. The key and the roots are those of `stir`."""

    sign: bool = False
    """Whether the calls that are sent to it are signed."""
    verify: Literal["off", "mark", "require"] = "off"
    """What becomes of signatures on its calls: `mark` checks them and lets the dialplan decide (`when: {verification:
    …}`), `require` refuses calls whose signature is missing or does not hold, but for emergency calls."""
    verstat: bool = False
    """Whether it is told what was found of the signatures of calls that other trunks send on to it, by `verstat` behind
    the caller's number (3GPP TS 24.229). Takes `trust_identity`. What comes in by that name is never passed on."""
