"""Signed calls that come in, through whole servers: what the dialplan, the caller and the record are told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pbx.call.registry import Limits
from pbx.security.stir import Signer
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

    def __init__(self, serve: Serve, phone: Connect, folder: Path, verify: str = "") -> None:
        self.root = Authority("root", now=datetime.now(UTC))
        self.key, chain = self.root.leaf(folder)
        (folder / "copy.pem").write_bytes(chain)
        roots = self.root.write(folder / "roots.pem")
        self.ports = dict(zip(("marked", "required", "unchecked", "onward"), free_ports(4), strict=True))
        stirs = {"marked": "verify: mark", "required": "verify: require", "onward": "sign: true"}
        trunks = "\n".join(
            f'  {name}: {{address: "sip:{LOOPBACK}:{port}", identify: "{LOOPBACK}:{port}", '
            f"stir: {{{stirs.get(name, '')}}}}}"
            for name, port in self.ports.items()
        )
        verify = verify or f'fetch: none, certificates: {{"{URL}": {folder / "copy.pem"}}}'
        self.text = f"""
stir:
  sign: {{key: {self.key}, certificate_url: "{URL}"}}
  verify: {{roots: {roots}, {verify}}}
trunks:
{trunks}
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
