"""Signatures of who calls: made with our key, checked against a trust store (RFC 8224 §6, RFC 8225 §8, RFC 8226).

What is signed is bytes here, and what comes of a check is a value; who asks knows what the bytes say.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL.crypto import X509, X509Store, X509StoreContext, X509StoreContextError

from pbx.errors import EnvironmentFault

__all__ = ["CredentialError", "SignatureError", "Signer", "TrustStore"]

_COORDINATE = 32
"""Octets of each of the two numbers of an ES256 signature (RFC 7518 §3.4)."""
_TN_AUTHORIZATION_LIST = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26")
_MOST_CERTIFICATES = 8
_MOST_REMEMBERED = 64
_REMEMBERED = timedelta(minutes=5)


class CredentialError(Exception):
    """A certificate or signature that does not hold; the text says why."""


class SignatureError(CredentialError):
    """A signature that is not of what is said to be signed."""


class Signer:
    """Signs with one key, whose certificate everybody can fetch at `certificate_url`."""

    def __init__(self, key: Path, certificate_url: str) -> None:
        """Read the key. Raises EnvironmentFault, naming the file, if that is none of P-256."""
        try:
            loaded = load_pem_private_key(key.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise EnvironmentFault(f"the signing key {key} cannot be read: {error}") from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or not isinstance(loaded.curve, ec.SECP256R1):
            raise EnvironmentFault(f"the signing key {key} must be of the curve P-256, for ES256")
        self._key = loaded
        self.certificate_url = certificate_url

    def sign(self, data: bytes) -> bytes:
        """Return the ES256 signature of `data`, 64 octets."""
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")


class TrustStore:
    """The roots that certificates of signers must lead to."""

    def __init__(self, roots: Path) -> None:
        """Read PEM certificates. Raises EnvironmentFault if there is none that can be read."""
        try:
            self._roots = x509.load_pem_x509_certificates(roots.read_bytes())
        except (OSError, ValueError) as error:
            raise EnvironmentFault(f"the roots {roots} cannot be read: {error}") from error
        self._led: OrderedDict[bytes, tuple[x509.Certificate, datetime, datetime]] = OrderedDict()
        """The first certificates of chains that led to a root, and from when to when that need not be tried again."""

    def check(self, chain: bytes, signed: bytes, signature: bytes, originator: str, now: datetime) -> str:
        """Check `signature` of `signed` by the first certificate of a PEM `chain`; return whom that names.

        The chain must lead to a root and hold at `now`; a certificate that is limited to some numbers must allow
        `originator`. Raises CredentialError that says why it does not hold.
        """
        leaf = self._leaf_of(chain, now)
        try:
            key = leaf.public_key()
        except (ValueError, UnsupportedAlgorithm):
            raise CredentialError("the certificate's key is of no known kind") from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise CredentialError("the certificate's key is not of the curve P-256")
        if len(signature) != 2 * _COORDINATE:
            raise SignatureError("the signature is of another length than ES256 makes")
        encoded = encode_dss_signature(
            int.from_bytes(signature[:_COORDINATE], "big"), int.from_bytes(signature[_COORDINATE:], "big")
        )
        try:
            key.verify(encoded, signed, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise SignatureError("the signature is not of what the call says") from None
        if not _covers(leaf, originator):
            raise CredentialError(f"the certificate does not allow the number {originator}")
        return leaf.subject.rfc4514_string()

    def _leaf_of(self, chain: bytes, now: datetime) -> x509.Certificate:
        """Return the first certificate of a chain that leads to a root. That takes most of the time of a check, and the
        calls of one carrier come with one chain, so it is remembered for some minutes."""
        known = self._led.get(chain)
        if known is not None and known[1] <= now < known[2]:
            self._led.move_to_end(chain)
            return known[0]
        certificates = _read_chain(chain)
        self._verify_chain(certificates, now)
        until = min([now + _REMEMBERED, *(one.not_valid_after_utc for one in certificates)])
        self._led[chain] = certificates[0], now, until
        if len(self._led) > _MOST_REMEMBERED:
            self._led.popitem(last=False)
        return certificates[0]

    def _verify_chain(self, certificates: list[x509.Certificate], now: datetime) -> None:
        store = X509Store()
        for root in self._roots:
            store.add_cert(X509.from_cryptography(root))
        store.set_time(now.astimezone(UTC))
        leaf, between = X509.from_cryptography(certificates[0]), certificates[1:]
        try:
            X509StoreContext(store, leaf, [X509.from_cryptography(each) for each in between]).verify_certificate()
        except X509StoreContextError as error:
            raise CredentialError(f"the certificate leads to no root: {error}") from None


def _read_chain(chain: bytes) -> list[x509.Certificate]:
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except (ValueError, x509.InvalidVersion):
        raise CredentialError("what its URL gives is no certificate") from None
    if len(certificates) > _MOST_CERTIFICATES:
        raise CredentialError("its chain of certificates is too long")
    return certificates


def _covers(certificate: x509.Certificate, number: str) -> bool:
    """Return whether a certificate's TN Authorization List (RFC 8226 §9) allows a number.

    One without a list, or whose list names service providers alone, is not limited to numbers.
    """
    try:
        extension = certificate.extensions.get_extension_for_oid(_TN_AUTHORIZATION_LIST).value
    except x509.ExtensionNotFound:
        return True
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        # Whatever limits it is among them, and cannot be known.
        raise CredentialError("the certificate's extensions cannot be read") from None
    data = extension.value if isinstance(extension, x509.UnrecognizedExtension) else b""
    try:
        ((_, entries),) = _elements(data)
        ranges = [(tag, value) for tag, value in _elements(entries) if tag in (0xA1, 0xA2)]
        return not ranges or any(_allows(tag, value, number) for tag, value in ranges)
    except (ValueError, IndexError):
        raise CredentialError("the certificate's list of numbers cannot be read") from None


def _allows(tag: int, value: bytes, number: str) -> bool:
    inner = list(_elements(value))
    if tag == 0xA2:  # one number
        return inner[0][1].decode("ascii") == number
    # A range: its first number, and how many there are. Both may stand inside a sequence of their own.
    if len(inner) == 1:
        inner = list(_elements(inner[0][1]))
    start, count = inner[0][1].decode("ascii"), int.from_bytes(inner[1][1], "big")
    if not number.isdigit() or len(number) != len(start):
        return False
    return int(start) <= int(number) < int(start) + count


def _elements(data: bytes) -> Iterable[tuple[int, bytes]]:
    """Take DER apart: tags and contents, of one level. ValueError if it is cut short."""
    found, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise ValueError("cut short")
        found.append((tag, data[at : at + length]))
        at += length
    return found
