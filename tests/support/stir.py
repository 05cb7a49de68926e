"""Certificates for signed calls: a root, an authority below it, and leaves with lists of numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

__all__ = ["NOW", "Authority", "numbers", "provider"]

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
_LIST = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26")


def _der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    length = bytes((len(body),)) if len(body) < 128 else bytes((0x81, len(body)))
    return bytes((tag,)) + length + body


def provider(code: str) -> bytes:
    """A list that names a service provider."""
    return _der(0x30, _der(0xA0, _der(0x16, code.encode())))


def numbers(*singles: str, start: str = "", count: int = 0) -> bytes:
    """A list of single numbers, and a range."""
    entries = [_der(0xA2, _der(0x16, number.encode())) for number in singles]
    if start:
        size = count.to_bytes(4, "big").lstrip(b"\0")
        entries.append(_der(0xA1, _der(0x30, _der(0x16, start.encode()), _der(0x02, size))))
    return _der(0x30, *entries)


class Authority:
    """A certificate authority; the first one is a root."""

    def __init__(self, name: str, above: Authority | None = None, now: datetime = NOW) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.above, self.now = above, now
        begins = now - timedelta(days=100)
        self.certificate = _issue(name, self.key, above, authority=True, begins=begins)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def write(self, path: Path) -> Path:
        path.write_bytes(self.pem)
        return path

    def leaf(
        self,
        folder: Path,
        allowed: bytes = b"",
        begins: datetime | None = None,
        curve: ec.EllipticCurve | None = None,
    ) -> tuple[Path, bytes]:
        """Return the file of a new key and the chain of its certificate, PEM."""
        key = ec.generate_private_key(curve or ec.SECP256R1())
        begins = begins or self.now - timedelta(days=1)
        made = _issue("signer", key, self, authority=False, allowed=allowed, begins=begins)
        path = folder / f"key-{made.serial_number}.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        chain = made.public_bytes(Encoding.PEM)
        authority: Authority | None = self
        while authority is not None and authority.above is not None:
            chain += authority.pem
            authority = authority.above
        return path, chain


def _issue(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    above: Authority | None,
    *,
    authority: bool,
    begins: datetime,
    allowed: bytes = b"",
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above.certificate.subject if above is not None else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=400))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if allowed:
        builder = builder.add_extension(x509.UnrecognizedExtension(_LIST, allowed), critical=False)
    return builder.sign(above.key if above is not None else key, hashes.SHA256())
