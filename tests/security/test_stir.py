"""Signed calls: whose signature holds, and why one does not."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from pbx.errors import EnvironmentFault
from pbx.security.stir import CredentialError, Signer, TrustStore
from tests.support.stir import NOW, Authority, numbers, provider

URL = "https://certificates.example.com/shaken.pem"
SIGNED = b"header.payload"


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority("root")


@pytest.fixture(scope="module")
def issuing(root: Authority) -> Authority:
    return Authority("issuing", root)


@pytest.fixture
def trust(root: Authority, tmp_path: Path) -> TrustStore:
    return TrustStore(root.write(tmp_path / "roots.pem"))


def test_a_signature_that_holds_names_its_signer(issuing: Authority, trust: TrustStore, tmp_path: Path) -> None:
    for allowed in (b"", provider("1234"), numbers("4930111", "493012345"), numbers(start="493012300", count=100)):
        key, chain = issuing.leaf(tmp_path, allowed)
        signature = Signer(key, URL).sign(SIGNED)
        assert len(signature) == 64
        assert trust.check(chain, SIGNED, signature, "493012345", NOW) == "CN=signer"


@pytest.mark.parametrize(
    ("allowed", "number"),
    [
        (numbers("4930111"), "4930112"),
        (numbers(start="4930100", count=10), "4930110"),
        (numbers(start="4930100", count=10), "49301005"),
        (numbers(start="4930100", count=10), "493010x"),
    ],
)
def test_a_certificate_allows_only_its_numbers(
    issuing: Authority, trust: TrustStore, tmp_path: Path, allowed: bytes, number: str
) -> None:
    key, chain = issuing.leaf(tmp_path, allowed)
    with pytest.raises(CredentialError, match="does not allow the number"):
        trust.check(chain, SIGNED, Signer(key, URL).sign(SIGNED), number, NOW)


def test_a_list_of_numbers_that_cannot_be_read_allows_none(
    issuing: Authority, trust: TrustStore, tmp_path: Path
) -> None:
    for allowed in (b"\x30\x7f\xa2", b"\x30\x04\xa2\x02\x16\x05", b"\x04"):
        key, chain = issuing.leaf(tmp_path, allowed)
        with pytest.raises(CredentialError, match="cannot be read"):
            trust.check(chain, SIGNED, Signer(key, URL).sign(SIGNED), "1", NOW)


def test_a_chain_that_has_led_to_a_root_still_runs_out(issuing: Authority, trust: TrustStore, tmp_path: Path) -> None:
    key, chain = issuing.leaf(tmp_path, begins=NOW - timedelta(days=400) + timedelta(minutes=2))
    signature = Signer(key, URL).sign(SIGNED)
    for _ in range(2):
        assert trust.check(chain, SIGNED, signature, "1", NOW)
        with pytest.raises(CredentialError, match="not of what the call says"):
            trust.check(chain, b"other.payload", signature, "1", NOW)
    assert trust.check(chain, SIGNED, signature, "1", NOW + timedelta(seconds=110))
    for moment in (NOW + timedelta(seconds=130), NOW - timedelta(days=401)):
        with pytest.raises(CredentialError, match="leads to no root"):
            trust.check(chain, SIGNED, signature, "1", moment)


def _of_version(pem: bytes, version: int) -> bytes:
    """Return a certificate that claims to be of a version that there is not."""
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    made = base64.encodebytes(der.replace(b"\xa0\x03\x02\x01\x02", bytes((0xA0, 3, 2, 1, version)), 1))
    return b"-----BEGIN CERTIFICATE-----\n" + made + b"-----END CERTIFICATE-----\n"


def test_what_does_not_hold_says_why(issuing: Authority, trust: TrustStore, tmp_path: Path) -> None:
    key, chain = issuing.leaf(tmp_path)
    signature = Signer(key, URL).sign(SIGNED)
    stranger = Authority("root")  # of the same name, with another key
    other_key, other_chain = stranger.leaf(tmp_path)
    _, late = issuing.leaf(tmp_path, begins=NOW + timedelta(days=1))
    leaf_alone = chain[: chain.index(b"-----END CERTIFICATE-----") + 26]
    _, large = issuing.leaf(tmp_path, curve=ec.SECP384R1())
    for given, data, signed, moment, why in (
        (chain, b"other.payload", signature, NOW, "not of what the call says"),
        (chain, SIGNED, signature[:-1], NOW, "another length"),
        (chain, SIGNED, bytes(64), NOW, "not of what the call says"),
        (other_chain, SIGNED, Signer(other_key, URL).sign(SIGNED), NOW, "leads to no root"),
        (late, SIGNED, signature, NOW, "leads to no root.*not yet valid"),
        (chain, SIGNED, signature, NOW + timedelta(days=500), "leads to no root.*expired"),
        (leaf_alone, SIGNED, signature, NOW, "leads to no root"),
        (large, SIGNED, signature, NOW, "curve P-256"),
        (b"nonsense", SIGNED, signature, NOW, "no certificate"),
        (_of_version(leaf_alone, 7), SIGNED, signature, NOW, "no certificate"),
        (9 * leaf_alone, SIGNED, signature, NOW, "too long"),
    ):
        with pytest.raises(CredentialError, match=why):
            trust.check(given, data, signed, "1", moment)


def test_a_leaf_signs_no_certificates(root: Authority, trust: TrustStore, tmp_path: Path) -> None:
    """A signer that makes itself an authority is none."""
    key, chain = root.leaf(tmp_path)
    forged = Authority("signer")
    forged.key = load_pem_private_key(key.read_bytes(), None)  # type: ignore[assignment]
    made_key, made = forged.leaf(tmp_path)
    with pytest.raises(CredentialError, match="leads to no root"):
        trust.check(made + chain, SIGNED, Signer(made_key, URL).sign(SIGNED), "1", NOW)
    assert trust.check(chain, SIGNED, Signer(key, URL).sign(SIGNED), "1", NOW)


def test_files_that_cannot_be_used_are_named(tmp_path: Path, issuing: Authority) -> None:
    (tmp_path / "nonsense.pem").write_text("nonsense")
    large, _ = issuing.leaf(tmp_path, curve=ec.SECP384R1())
    for path, why in (
        (tmp_path / "none.pem", "cannot be read"),
        (tmp_path / "nonsense.pem", "cannot be read"),
        (large, "P-256"),
    ):
        with pytest.raises(EnvironmentFault, match=why) as caught:
            Signer(path, URL)
        assert str(path) in str(caught.value)
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        TrustStore(tmp_path / "none.pem")
