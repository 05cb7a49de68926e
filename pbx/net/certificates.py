"""The certificate that is made at first start when the configuration names none, and what a certificate is for."""

from __future__ import annotations

import datetime
import ipaddress
import os
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pbx.errors import EnvironmentFault, ParseError
from pbx.sip.uri import Uri

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["ensure_certificate", "is_for", "names_of"]

_VALID = datetime.timedelta(days=3650)
_SKEW = datetime.timedelta(days=1)
"""Phones without a battery clock may be a little behind."""


def ensure_certificate(
    directory: Path, domain: str, addresses: Iterable[str], now: datetime.datetime
) -> tuple[Path, Path]:
    """Return the paths of the own certificate and key in `directory`, made now if neither is there.

    EC P-256, signed by itself, valid for ten years for `domain` and the numeric `addresses`; the key file can be read
    by its owner only. What is there stays, since phones may have been told to trust it: delete both files to have new
    ones. Raises EnvironmentFault.
    """
    certificate_path, key_path = directory / "tls-certificate.pem", directory / "tls-key.pem"
    there = certificate_path.exists(), key_path.exists()
    if all(there):
        return certificate_path, key_path
    if any(there):
        lone, missing = (certificate_path, key_path) if there[0] else (key_path, certificate_path)
        raise EnvironmentFault(
            f"{lone} is there but {missing} is not: restore it, or delete the other to have both made"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key, domain, tuple(addresses), now)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write(key_path, private, 0o600)
        _write(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    except OSError as error:
        raise EnvironmentFault(f"no certificate can be written to {directory}: {error.strerror}") from None
    return certificate_path, key_path


def _self_signed(
    key: ec.EllipticCurvePrivateKey, domain: str, addresses: tuple[str, ...], now: datetime.datetime
) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, (domain or (addresses[0] if addresses else "tandem"))[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tandem, made at first start"),
        ]
    )
    alternatives: list[x509.GeneralName] = []
    for host in dict.fromkeys((domain, *addresses)):
        bare = host.partition("%")[0].strip("[]")
        if not bare:
            continue
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(bare)))
        except ValueError:
            alternatives.append(x509.DNSName(bare))
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(key, hashes.SHA256())


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write a file that is whole or not there at all, and never readable by others for a moment."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the SIP domains and the addresses that a certificate is for, in lower case (RFC 5922 §7.1).

    The common name is not looked at: RFC 9525 §2 has no use for it any more.
    """
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    domains = []
    for text in extension.value.get_values_for_type(x509.UniformResourceIdentifier):
        try:
            uri = Uri.parse(text)
        except ParseError:
            continue
        # RFC 5922 §7.1: if the URI has a userinfo part, it identifies a user and not a domain.
        if uri.scheme == "sip" and uri.user is None:
            domains.append(uri.host)
    if not domains:
        # RFC 5922 §7.1: an implementation MUST accept a DNS identifier as a SIP domain identity if and only if no other
        # identity is found that matches the "sip" URI type.
        domains = [name.lower().rstrip(".") for name in extension.value.get_values_for_type(x509.DNSName)]
    numeric = [str(address) for address in extension.value.get_values_for_type(x509.IPAddress)]
    return tuple(dict.fromkeys((*domains, *numeric)))


def is_for(names: Iterable[str], host: str) -> bool:
    """Return whether one of a certificate's `names` is `host`, a domain or a numeric address.

    RFC 5922 §7.2 forbids wildcards, but large carriers have such certificates (``*.pstn.example.com``): one whole label
    at the left is taken, as RFC 9525 §6.3 does.
    """
    try:
        wanted = str(ipaddress.ip_address(host.partition("%")[0].strip("[]")))
    except ValueError:
        wanted = host.lower().rstrip(".")
        _, dot, parent = wanted.partition(".")
        wild = f"*.{parent}" if dot and "." in parent else ""
    else:
        wild = ""
    return any(name == wanted or (wild and name == wild) for name in names)
