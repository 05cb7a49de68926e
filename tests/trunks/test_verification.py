"""What an Identity header proves of an INVITE: keys and certificates are real, the clock and the web are not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from pbx.security.stir import Signer, TrustStore
from pbx.sip.ext.passport import Identity, Passport
from pbx.sip.headers import Headers
from pbx.sip.message import Request
from pbx.trunks.signing import Signing
from pbx.trunks.verification import Verification, Verifier, marked
from tests.support.clock import SteppedClock
from tests.support.stir import NOW, Authority, numbers

URL = "https://certificates.example.com/shaken.pem"
FROM, TO = "+4930101", "+4930222"


class Web:
    """A verifier, a signer that it trusts, and the web between them."""

    def __init__(self, folder: Path, allowed: bytes = b"") -> None:
        self.root = Authority("root")
        self.key, self.chain = self.root.leaf(folder, allowed)
        self.folder = folder
        self.clock = SteppedClock()
        self.now: datetime = NOW
        self.asked: list[tuple[str, Callable[[bytes | str], None]]] = []
        self.found: list[Verification] = []
        self.trust = TrustStore(self.root.write(folder / "roots.pem"))
        self.verifier = self.made({URL: self.chain})
        self.signing = Signing(b"secret", lambda: self.now, Signer(self.key, URL))

    def made(self, copies: dict[str, bytes], *, fetches: bool = True) -> Verifier:
        fetch = (lambda url, done: self.asked.append((url, done))) if fetches else None
        return Verifier(lambda: self.now, self.clock.later, self.trust, fetch, copies, 2.0)

    def signed(self, caller: str = FROM, called: str = TO) -> str:
        return dict(self.signing.headers(caller, called, "A", "extension/101"))["Identity"]

    def verify(self, *identities: str, believed: bool = False, **parts: str) -> Verification | None:
        """Verify an INVITE; None while it waits."""
        caller, called = parts.get("caller", f"<sip:{FROM}@a.example>"), parts.get("to", f"<sip:{TO}@b.example>")
        headers = Headers([("From", f"{caller};tag=1"), ("To", called)])
        for name in ("Date", "P-Asserted-Identity"):
            if name in parts:
                headers.add(name, parts[name])
        for value in identities:
            headers.add("Identity", value)
        request = Request("INVITE", parts.get("uri", f"sip:{TO}@b.example"), headers)
        before = len(self.found)
        self.verifier.verify(request, believed, self.found.append)
        return self.found[-1] if len(self.found) > before else None


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path)


def check(found: Verification | None, outcome: str, status: int, words: str) -> None:
    assert found is not None
    assert (found.outcome, found.status) == (outcome, status), found
    assert words in found.detail
    assert marked(found).status == 0


def test_a_signature_that_holds(web: Web) -> None:
    value = web.signed()
    found = web.verify(value)
    check(found, "passed", 0, "signed by CN=signer")
    assert found is not None
    assert (found.attestation, found.identity, found.originator) == ("A", value, "4930101")
    assert not web.asked
    assert not web.clock.calls


def test_no_signature(web: Web) -> None:
    check(web.verify(), "none", 428, "not signed")
    unknown = web.signed().replace("alg=ES256", "alg=RS512")
    assert web.verify(unknown) is not None
    other = web.signed().replace("ppt=shaken", "ppt=div")
    check(web.verify(other), "failed", 438, "cannot be read")  # its PASSporT says shaken


def test_what_is_not_known_here_is_passed_over(web: Web) -> None:
    key, _ = web.root.leaf(web.folder)
    strange = Passport("4930101", ("4930222",), int(NOW.timestamp()), URL, algorithm="ES384")
    value = Identity.written(strange, Signer(key, URL).sign(strange.signed_part()))
    check(web.verify(value), "none", 428, "in no way that is known")
    check(web.verify(value, web.signed()), "passed", 0, "signed by")


@pytest.mark.parametrize(
    ("parts", "status", "words"),
    [
        ({"caller": "<sip:+4930999@a.example>"}, 438, "signed is a call from 4930101, and not from 4930999"),
        ({"caller": "<sip:anonymous@anonymous.invalid>"}, 438, "and not from nobody"),
        ({"to": "<sip:+4930333@b.example>", "uri": "sip:+4930333@b.example"}, 438, "and not this one"),
    ],
)
def test_a_signature_of_another_call(web: Web, parts: dict[str, str], status: int, words: str) -> None:
    check(web.verify(web.signed(), **parts), "failed", status, words)


def test_who_calls_is_whom_the_callee_is_told(web: Web) -> None:
    asserted = {"P-Asserted-Identity": "<sip:+4930101@a.example>"}
    other = {"caller": "<sip:+4930999@a.example>", **asserted}
    check(web.verify(web.signed(), **other), "failed", 438, "not from 4930999")
    check(web.verify(web.signed(), believed=True, **other), "passed", 0, "")
    hidden = {"caller": "<sip:anonymous@anonymous.invalid>", **asserted}
    check(web.verify(web.signed(), **hidden), "passed", 0, "")
    retargeted = {"uri": "sip:100@b.example"}
    check(web.verify(web.signed(), **retargeted), "passed", 0, "")
    check(web.verify(web.signed(called="100"), **retargeted), "passed", 0, "")


def test_parameters_of_a_number_are_no_part_of_it(web: Web) -> None:
    numbered = {
        "caller": "<sip:+4930101;verstat=TN-Validation-Passed@a.example;user=phone>",
        "to": "<sip:+4930222;npdi;rn=+4930999@b.example>",
        "uri": "sip:+4930222;npdi@b.example",
    }
    check(web.verify(web.signed(), **numbered), "passed", 0, "")


@pytest.mark.parametrize(("seconds", "fresh"), [(-61, False), (-60, True), (60, True), (61, False)])
def test_a_signature_is_good_for_a_minute(web: Web, seconds: int, fresh: bool) -> None:
    value = web.signed()
    web.now = NOW + timedelta(seconds=seconds)
    if fresh:
        check(web.verify(value), "passed", 0, "")
    else:
        check(web.verify(value), "failed", 403, "61 s")


def test_certificates_and_signatures_that_do_not_hold(web: Web, tmp_path: Path) -> None:
    value = web.signed()
    token, _, rest = value.partition(";")
    broken = f"{token[:-4]}{'AAAA' if not token.endswith('AAAA') else 'BBBB'};{rest}"
    check(web.verify(broken), "failed", 438, "signature is not of what the call says")
    check(web.verify("nonsense"), "failed", 438, "cannot be read")
    stranger = Authority("other root")
    key, chain = stranger.leaf(tmp_path)
    web.verifier = web.made({URL: chain})
    web.signing.signer = Signer(key, URL)
    check(web.verify(web.signed()), "failed", 437, "leads to no root")
    limited = Web(tmp_path, numbers("4930555"))
    check(limited.verify(limited.signed()), "failed", 437, "does not allow the number 4930101")


def test_the_compact_form(web: Web) -> None:
    base = Passport("4930101", ("4930222",), int(NOW.timestamp()), URL)
    token, _, rest = Identity.written(base, Signer(web.key, URL).sign(base.signed_part())).partition(";")
    compact = f"..{token.split('.')[2]};{rest}"
    found = web.verify(compact, Date=format_datetime(NOW, usegmt=True))
    check(found, "passed", 0, "")
    assert found is not None
    assert (found.identity, found.attestation) == ("", "")
    later = format_datetime(NOW + timedelta(seconds=1), usegmt=True)
    check(web.verify(compact, Date=later), "failed", 438, "not of what the call says")
    check(web.verify(compact), "failed", 438, "compact form")
    check(web.verify(compact, Date="soon"), "failed", 438, "compact form")
    check(web.verify(f"{compact};ppt=shaken", Date=format_datetime(NOW, usegmt=True)), "failed", 438, "compact form")


def test_a_certificate_that_has_to_be_fetched(web: Web) -> None:
    web.verifier = web.made({})
    assert web.verify(web.signed()) is None
    assert web.verifier.waiting == 1
    url, done = web.asked.pop()
    assert url == URL
    done(web.chain)
    check(web.found[-1], "passed", 0, "")
    done(web.chain)  # told twice, heard once
    assert len(web.found) == 1
    assert web.verify(web.signed()) is None
    web.asked.pop()[1]("its host answers 404")
    check(web.found[-1], "none", 436, "cannot be had: its host answers 404")
    assert web.verifier.waiting == 0
    assert not web.clock.calls


def test_one_that_does_not_come(web: Web) -> None:
    web.verifier = web.made({})
    assert web.verify(web.signed()) is None
    web.clock.advance(1.9)
    assert not web.found
    web.clock.advance(0.2)
    check(web.found[-1], "none", 436, "did not come in time")
    web.asked.pop()[1](web.chain)
    assert len(web.found) == 1
    assert web.verifier.waiting == 0


def test_without_fetching(web: Web) -> None:
    web.verifier = web.made({}, fetches=False)
    check(web.verify(web.signed()), "none", 436, "no certificate of")
    web.signing.signer = Signer(web.key, "http://certificates.example.com/a.pem")
    web.verifier = web.made({})
    check(web.verify(web.signed()), "none", 436, "at no HTTPS address")
    assert not web.asked


def test_no_more_calls_wait_than_can_be_borne(web: Web) -> None:
    web.verifier = web.made({})
    for _ in range(256):
        assert web.verify(web.signed()) is None
    check(web.verify(web.signed()), "none", 436, "too many calls wait")
    web.clock.advance(2.1)
    assert web.verifier.waiting == 0
    assert len(web.found) == 257
