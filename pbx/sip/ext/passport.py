"""Identity and its PASSporT: who calls whom, signed (RFC 8224, RFC 8225; SHAKEN's claims, RFC 8588).

What is signed is written and read here; the signature itself is the matter of `pbx.security.stir`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, Final, NamedTuple

from pbx.errors import ParseError
from pbx.sip.grammar import parse_params, unquote
from pbx.values import dataclass

__all__ = ["ATTESTATIONS", "Identity", "Passport", "telephone_number"]

ATTESTATIONS: Final = {
    "A": "full: the signer knows the caller, and that the number is the caller's",
    "B": "partial: the signer knows the caller, and not whether the number is the caller's",
    "C": "gateway: the signer knows only where the call came in",
}
"""RFC 8588 §4."""

_LONGEST = 8192
_LATEST = 1 << 53
"""Seconds since the epoch. JSON has numbers of any size, and a clock has not."""
_NOT_DIALLED = re.compile(r"[^0-9*#]")
_INFO = re.compile(r";[ \t]*info[ \t]*=[ \t]*<([^<>\s]+)>", re.IGNORECASE)
_PART = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


def telephone_number(text: str) -> str:
    """Return a number as it is signed: no ``+``, no visual separators (RFC 8224 §8.3)."""
    return _NOT_DIALLED.sub("", text)


@dataclass(frozen=True, slots=True)
class Passport:
    """The claims. Numbers are as `telephone_number` writes them; `issued` is in seconds since the epoch."""

    originator: str
    destinations: tuple[str, ...]
    issued: int
    certificate: str
    """The URL of the signer's certificate (x5u)."""
    attestation: str = ""
    """One of `ATTESTATIONS` in a SHAKEN PASSporT, else empty."""
    origination: str = ""
    """SHAKEN's origid: an opaque id of where the call began."""
    algorithm: str = "ES256"

    @property
    def shaken(self) -> bool:
        """True if it is one of SHAKEN's."""
        return bool(self.attestation)

    def signed_part(self) -> bytes:
        """Return the two parts that the signature is over: ``header.payload``, canonical as RFC 8225 §9 says."""
        header: dict[str, Any] = {"alg": self.algorithm, "typ": "passport", "x5u": self.certificate}
        payload: dict[str, Any] = {
            "dest": {"tn": list(self.destinations)},
            "iat": self.issued,
            "orig": {"tn": self.originator},
        }
        if self.attestation:
            header["ppt"] = "shaken"
            payload["attest"], payload["origid"] = self.attestation, self.origination
        return f"{_encoded(_canonical(header))}.{_encoded(_canonical(payload))}".encode()


class Identity(NamedTuple):
    """One Identity header field value, as it came."""

    signed: bytes
    """``header.payload``, which the signature is over; empty in the compact form."""
    signature: bytes
    passport: Passport | None
    """None in the compact form, whose claims are those of the request."""
    info: str
    """The URL of the certificate."""
    algorithm: str
    extension: str
    """The PASSporT type, such as ``shaken``; empty for the base one."""

    @staticmethod
    def parse(value: str) -> Identity:
        """Parse one Identity value. Raises ParseError."""
        if len(value) > _LONGEST:
            raise ParseError("Identity too long")
        token, semicolon, rest = value.partition(";")
        parts = token.strip(" \t").split(".")
        if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts) or not parts[2]:
            raise ParseError("Malformed Identity")
        # RFC 8224 §4: ident-info = "info" EQUAL ident-info-uri, which stands in angle brackets like no other parameter.
        places = list(_INFO.finditer(semicolon + rest))
        if len(places) != 1:
            raise ParseError("Identity without info")
        info = places[0][1]
        params = parse_params(_INFO.sub("", semicolon + rest))
        algorithm = (unquote(params.get("alg") or "") or "ES256").upper()
        extension = unquote(params.get("ppt") or "").lower()
        signature = _decoded(parts[2])
        # RFC 8224 §4.1: in the compact form the header and the payload are left out, and the two periods remain.
        if not parts[0] and not parts[1]:
            return Identity(b"", signature, None, info, algorithm, extension)
        passport = _passport(_object(parts[0]), _object(parts[1]), extension)
        if passport.certificate != info or passport.algorithm != algorithm:
            raise ParseError("Identity and its PASSporT differ")
        return Identity(f"{parts[0]}.{parts[1]}".encode(), signature, passport, info, algorithm, extension)

    @staticmethod
    def written(passport: Passport, signature: bytes) -> str:
        """Return the header field value of a signed PASSporT."""
        extension = ";ppt=shaken" if passport.shaken else ""
        token = f"{passport.signed_part().decode()}.{_encoded(signature)}"
        return f"{token};info=<{passport.certificate}>;alg={passport.algorithm}{extension}"


def _passport(header: dict[str, Any], payload: dict[str, Any], extension: str) -> Passport:
    if str(header.get("typ", "")).lower() != "passport" or str(header.get("ppt", "")).lower() != extension:
        raise ParseError("Identity of another type than its PASSporT")
    originator, destination, issued = payload.get("orig"), payload.get("dest"), payload.get("iat")
    numbers = destination.get("tn", []) if isinstance(destination, dict) else None
    tn = originator.get("tn", "") if isinstance(originator, dict) else None
    numbers = [numbers] if isinstance(numbers, str) else numbers
    if (
        not isinstance(tn, str)
        or not isinstance(numbers, list)
        or not all(isinstance(number, str) for number in numbers)
        or not isinstance(issued, int)
        or isinstance(issued, bool)
        or not 0 <= issued <= _LATEST
    ):
        raise ParseError("PASSporT without who calls whom, and when")
    attestation = payload.get("attest", "")
    if extension == "shaken" and not (isinstance(attestation, str) and attestation in ATTESTATIONS):
        raise ParseError("PASSporT of SHAKEN without attestation")
    return Passport(
        tn,
        tuple(numbers),
        issued,
        str(header.get("x5u", "")),
        attestation if extension == "shaken" else "",
        str(payload.get("origid", "")),
        str(header.get("alg", "")),
    )


def _canonical(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _object(part: str) -> dict[str, Any]:
    try:
        found = json.loads(_decoded(part))
    except (ValueError, RecursionError):
        raise ParseError("PASSporT that is no JSON") from None
    if not isinstance(found, dict):
        raise ParseError("PASSporT that is no JSON object")
    return found


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        raise ParseError("Malformed Identity") from None
