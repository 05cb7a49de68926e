"""Signed calls that come in, through whole servers: what the dialplan, the caller and the record are told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pbx.call.registry import Limits
from pbx.errors import ConfigurationError
from pbx.security.stir import Signer
from pbx.sip.ext.identity import asserted_identities
from pbx.sip.ext.passport import Identity
from pbx.sip.message import Request, Response
from pbx.store.call_records import CallFilter, CallRecord
from pbx.trunks.signing import Signing
from tests.support.loopback import World
from tests.support.pbx import LOOPBACK, Connect, Pbx, Phone, Serve, free_ports, sdp
from tests.support.stir import Authority

URL = "https://certificates.example.com/shaken.pem"
PLAN = """
numbering: {country: "49"}
routes:
  - {name: another, when: {from: trunk/marked, number: "99X"}, do: [{set: {caller: "4930999"}}, {dial: trunk/onward}]}
  - {name: desk, when: {from: trunk, number: "8XX"}, do: [{dial: extension/101, pass_headers: [History-Info]}]}
  - {name: on, when: {from: trunk/marked, number: "9XX."}, do: [{dial: trunk/onward}]}
  - {name: passed, when: {from: trunk, verification: passed}, do: [{reject: busy}]}
  - {name: failed, when: {from: trunk, verification: failed}, do: [{reject: declined}]}
  - {name: others, when: {from: trunk}, do: [{reject: unavailable}]}
tests:
  - {call: {from: trunk/marked, number: "1", verification: passed}, expect: {route: passed}}
  - {call: {from: trunk/marked, number: "1", verification: failed}, expect: {route: failed}}
  - {call: {from: trunk/marked, number: "1"}, expect: {route: others}}
"""
PASSED, FAILED, NONE = 486, 603, 480


class Town:
    """A server that verifies, and the trunks that call it."""

    def __init__(self, serve: Serve, phone: Connect, folder: Path, verify: str = "", **stirs: str) -> None:
        """`stirs` say more of trunks, and of the extension as `desk`."""
        self.root = Authority("root", now=datetime.now(UTC))
        self.key, chain = self.root.leaf(folder)
        (folder / "copy.pem").write_bytes(chain)
        roots = self.root.write(folder / "roots.pem")
        self.ports = dict(zip(("marked", "required", "unchecked", "onward"), free_ports(4), strict=True))
        said = {
            "marked": "stir: {verify: mark}",
            "required": "stir: {verify: require}",
            "onward": "stir: {sign: true}",
            **stirs,
        }
        trunks = "\n".join(
            f'  {name}: {{address: "sip:{LOOPBACK}:{port}", identify: "{LOOPBACK}:{port}", {said.get(name, "")}}}'
            for name, port in self.ports.items()
        )
        verify = verify or f'fetch: none, certificates: {{"{URL}": {folder / "copy.pem"}}}'
        self.text = f"""
stir:
  sign: {{key: {self.key}, certificate_url: "{URL}"}}
  verify: {{roots: {roots}, {verify}}}
trunks:
{trunks}
extensions:
  "101": {{password: wonderland, {said.get("desk", "")}}}
"""
        self.pbx: Pbx = serve(self.text, PLAN)
        self.signing = Signing(b"secret", lambda: datetime.now(UTC), Signer(self.key, URL))
        self.trunks: dict[str, Phone] = {name: phone(self.pbx, port=port) for name, port in self.ports.items()}

    def send(self, trunk: str, caller: str = "", called: str = "200") -> Request:
        """Call from 4930101 to `called`, with a signature of a call from `caller`, if that is given."""
        headers = [("From", f"<sip:+4930101@{LOOPBACK}>;tag=there")]
        if caller:
            headers += self.signing.headers(caller, called, "B", "trunk/there")
        return self.trunks[trunk].start("INVITE", f"sip:{called}@{LOOPBACK}", sdp(), headers)

    def call(self, trunk: str, caller: str = "", called: str = "200") -> Response:
        """Send a call, and return how it was refused."""
        sent = self.send(trunk, caller, called)
        refused = self.trunks[trunk].final(sent)
        self.trunks[trunk].acknowledge(sent, refused)
        return refused

    def reaches(self, target: Phone, called: str, caller: str = "+4930101", by: str = "marked") -> Request:
        """Send a call that gets to a phone or a trunk, which refuses it; return the INVITE that this gets."""
        sent = self.send(by, caller, called)
        invite = target.request("INVITE")
        target.answer(invite, 486)
        self.trunks[by].acknowledge(sent, self.trunks[by].final(sent))
        return invite

    def record(self) -> CallRecord:
        """Return the record of the last call that is over."""

        def records() -> list[CallRecord]:
            return [one for one in self.pbx.server.store.records.search().records if one.ended]

        self.pbx.world.until(records)
        return records()[0]


@pytest.fixture
def town(serve: Serve, phone: Connect, tmp_path: Path) -> Town:
    return Town(serve, phone, tmp_path)


def test_the_dialplan_and_the_record_know_who_calls(town: Town) -> None:
    assert town.call("marked", "+4930101").status == PASSED
    record = town.record()
    assert (record.verification, record.attestation) == ("passed", "B")
    assert record.verification_detail == "signed by CN=signer"
    search = town.pbx.server.store.records.search
    assert search(CallFilter(verification="passed")).records == (record,)
    assert search(CallFilter(verification="failed")).records == ()
    assert town.call("marked", "+4930999").status == FAILED
    assert town.call("marked").status == NONE
    assert town.call("unchecked", "+4930999").status == NONE
    assert town.pbx.server.signatures.outcomes == {"passed": 1, "failed": 1, "none": 1}


def test_a_trunk_whose_calls_must_be_signed(town: Town) -> None:
    assert town.call("required", "+4930101").status == PASSED
    forged = town.call("required", "+4930999")
    assert (forged.status, forged.reason) == (438, "Invalid Identity Header")
    record = town.record()
    assert (record.cause, record.sip_status, record.verification) == ("caller-unverified", 438, "failed")
    assert record.cause_detail == "signed is a call from 4930999, and not from 4930101"
    assert town.call("required").status == 428
    assert town.call("required", called="112").status == NONE  # a call for help


def test_a_signature_is_passed_on_with_the_call_that_it_signs(town: Town) -> None:
    signed = dict(town.signing.headers("+4930101", "9200", "B", "trunk/there"))["Identity"]
    headers = [("From", f"<sip:+4930101@{LOOPBACK}>;tag=there"), ("Identity", signed)]
    for given, passed_on in ((headers, True), (headers[:1], False)):
        sent = town.trunks["marked"].start("INVITE", f"sip:9200@{LOOPBACK}", sdp(), given)
        invite = town.trunks["onward"].request("INVITE")
        (value,) = invite.headers.raw("Identity")
        assert (value == signed) is passed_on
        passport = Identity.parse(value).passport
        assert passport is not None
        assert passport.attestation == ("B" if passed_on else "C")
        town.trunks["onward"].answer(invite, 486)
        town.trunks["marked"].acknowledge(sent, town.trunks["marked"].final(sent))


def test_a_call_waits_for_its_certificate_and_can_be_cancelled(
    serve: Serve, phone: Connect, tmp_path: Path, world: World
) -> None:
    town = Town(serve, phone, tmp_path, "fetch: https")
    asked: list[Callable[[bytes | str], None]] = []
    verifier = town.pbx.server.signatures._verifier
    assert verifier is not None
    verifier._fetch = lambda url, done: asked.append(done)
    caller = town.trunks["marked"]
    sent = town.send("marked", "+4930101")
    world.until(lambda: asked)
    assert not town.pbx.server.registry.all()
    asked.pop()((tmp_path / "copy.pem").read_bytes())
    refused = caller.final(sent)
    assert refused.status == PASSED
    caller.acknowledge(sent, refused)
    world.until(lambda: not town.pbx.server.registry.all())
    sent = town.send("marked", "+4930101")
    world.until(lambda: asked)
    cancel = Request("CANCEL", str(sent.uri), sent.headers.copy())
    for name in ("Content-Type", "Contact", "Identity", "Date"):
        cancel.headers.remove(name)
    cancel.headers.set("CSeq", f"{sent.cseq.number} CANCEL")
    caller.say(cancel)
    given_up = caller.final(sent)
    assert given_up.status == 487
    caller.acknowledge(sent, given_up)
    asked.pop()((tmp_path / "copy.pem").read_bytes())
    assert not town.pbx.server.registry.all()
    sent = town.send("marked", "+4930101")
    world.until(lambda: asked)
    town.pbx.server.registry.limits = Limits(calls=0)  # somebody else has the last place
    asked.pop()((tmp_path / "copy.pem").read_bytes())
    full = caller.final(sent)
    assert full.status == 503
    assert "Retry-After" in full.headers
    caller.acknowledge(sent, full)
    assert verifier.waiting == 0


def test_one_server_signs_and_another_verifies(serve: Serve, phone: Connect, tmp_path: Path) -> None:
    town = Town(serve, phone, tmp_path)
    port = town.pbx.address()[1]
    (own,) = free_ports()
    signer: Pbx = serve(
        f"""
sip: {{listen: ["udp://{LOOPBACK}:{own}"]}}
stir: {{sign: {{key: {town.key}, certificate_url: "{URL}"}}}}
trunks: {{far: {{address: "sip:{LOOPBACK}:{port}", identify: [], stir: {{sign: true}}}}}}
extensions: {{"101": {{password: wonderland, caller_number: "+4930101"}}}}
""",
        'routes: [{name: out, when: {from: extension, number: "2XX"}, do: [{dial: trunk/far}]}]',
    )
    text = town.text.replace(f"{LOOPBACK}:{town.ports['required']}", f"{LOOPBACK}:{own}")
    assert town.pbx.reload(text, PLAN)
    alice: Phone = phone(signer, "101", "wonderland")
    sent = alice.dial("200")
    refused = alice.final(sent, 10.0)
    alice.acknowledge(sent, refused)
    assert refused.status == PASSED
    record = town.record()
    assert (record.source, record.caller, record.verification) == ("trunk/required", "+4930101", "passed")
    assert record.attestation == "A"


TOLD = "stir: {sign: true, verstat: true}, trust_identity: true"


@pytest.mark.parametrize(
    ("signed", "said"),
    [("+4930101", "TN-Validation-Passed"), ("+4930999", "TN-Validation-Failed"), ("", "No-TN-Validation")],
)
def test_who_is_trusted_is_told_what_was_found(
    serve: Serve, phone: Connect, tmp_path: Path, signed: str, said: str
) -> None:
    """3GPP TS 24.229 §7.2A.20: as a parameter of the user part of a SIP URI with user=phone."""
    town = Town(serve, phone, tmp_path, onward=TOLD)
    invite = town.reaches(town.trunks["onward"], "9200", signed)
    for address in (invite.from_, *asserted_identities(invite)):
        assert str(address.uri) == f"sip:+4930101;verstat={said}@{LOOPBACK};user=phone"
    # The signature is of the number alone.
    passport = Identity.parse(invite.headers.raw("Identity")[0]).passport
    assert passport is not None
    assert passport.originator == "4930101"
    assert "verstat" not in str(invite.uri) + str(invite.to)


def test_who_is_not_told_hears_nothing_of_it(serve: Serve, phone: Connect, tmp_path: Path) -> None:
    town = Town(serve, phone, tmp_path, onward="trust_identity: true")
    bob = phone(town.pbx, "101", "wonderland")
    assert bob.register().status == 200
    assert "verstat" not in town.reaches(town.trunks["onward"], "9200").to_bytes().decode()
    assert "verstat" not in town.reaches(bob, "800").to_bytes().decode()


def test_it_is_said_of_the_number_that_was_checked_alone(serve: Serve, phone: Connect, tmp_path: Path) -> None:
    """A route shows another caller; and a trunk's calls that nobody checks are not said to be unsigned."""
    town = Town(serve, phone, tmp_path, onward=TOLD, desk="verstat: true")
    bob = phone(town.pbx, "101", "wonderland")
    assert bob.register().status == 200
    another = town.reaches(town.trunks["onward"], "990")
    assert another.from_.uri.user == "4930999"
    assert "verstat" not in another.to_bytes().decode()
    assert "verstat" not in town.reaches(bob, "800", by="unchecked").to_bytes().decode()


@pytest.mark.parametrize(
    ("everybody", "one", "told"),
    [("false", "", False), ("true", "", True), ("true", "verstat: false", False), ("false", "verstat: true", True)],
)
def test_phones_are_told_as_configured(
    serve: Serve, phone: Connect, tmp_path: Path, everybody: str, one: str, told: bool
) -> None:
    town = Town(serve, phone, tmp_path, f"fetch: none, verstat: {everybody}", desk=one)
    bob = phone(town.pbx, "101", "wonderland")
    assert bob.register().status == 200
    user = "+4930101;verstat=No-TN-Validation" if told else "+4930101"
    assert town.reaches(bob, "800").from_.uri.user == user


def test_what_comes_in_by_that_name_goes_nowhere(serve: Serve, phone: Connect, tmp_path: Path) -> None:
    """Not in the number that calls, nor in the one that is called, nor in that of who has sent the call on."""
    town = Town(serve, phone, tmp_path, onward=TOLD, unchecked="trust_identity: true, profile: {diversion: diversion}")
    bob = phone(town.pbx, "101", "wonderland")
    assert bob.register().status == 200
    forged = "verstat=TN-Validation-Passed"
    headers = [
        ("From", f"<sip:+4930101;{forged}@{LOOPBACK};user=phone>;tag=there"),
        ("To", f"<sip:800;{forged}@{LOOPBACK};user=phone>"),
        ("P-Asserted-Identity", f"<sip:+4930101;{forged}@{LOOPBACK};user=phone>"),
        ("Diversion", f"<sip:+4930102;{forged}@{LOOPBACK};user=phone>"),
        ("History-Info", f"<sip:+4930103;{forged}@{LOOPBACK};user=phone>;index=1"),
    ]
    caller = town.trunks["unchecked"]
    sent = caller.start("INVITE", f"sip:800;{forged}@{LOOPBACK};user=phone", sdp(), headers)
    invite = bob.request("INVITE")
    assert invite.from_.uri.user == "+4930101"
    assert invite.headers.get("History-Info") == f"<sip:+4930103@{LOOPBACK};user=phone>;index=1"
    assert "verstat" not in invite.to_bytes().decode()
    bob.answer(invite, 486)
    caller.acknowledge(sent, caller.final(sent))


def test_a_trunk_that_is_not_trusted_cannot_be_told(serve: Serve, phone: Connect, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="add `trust_identity: true`"):
        Town(serve, phone, tmp_path, onward="stir: {sign: true, verstat: true}")
