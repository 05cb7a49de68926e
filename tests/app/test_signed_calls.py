"""Calls that are signed on their way out, with real keys, as the trunk that gets them sees it (RFC 8224, RFC 8588)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from uuid import UUID

import pytest

from pbx.security.stir import TrustStore
from pbx.sip.ext.passport import Identity, Passport
from pbx.sip.message import Request
from tests.support.pbx import LOOPBACK, Connect, Pbx, Phone, Serve, free_ports, sdp
from tests.support.stir import Authority

URL = "https://certificates.example.com/shaken.pem"
PLAN = """
routes:
  - {name: other, when: {from: extension, number: "8XX."}, do: [{set: {caller: "+493055"}}, {dial: trunk/carrier}]}
  - name: hidden
    when: {from: extension, number: "7XX."}
    do: [{set: {caller: {anonymous: true}}}, {dial: trunk/carrier}]
  - name: told
    when: {from: extension, number: "6XX."}
    do: [{set: {caller: {anonymous: true}}}, {dial: trunk/trusted}]
  - {name: plain, when: {from: extension, number: "5XX."}, do: [{dial: trunk/plain}]}
  - {name: through, when: {from: trunk/plain, number: "9XX."}, do: [{dial: trunk/carrier}]}
  - name: out
    when: {from: extension, number: "0XX."}
    do: [{set: {number: {strip: 1, prefix: "+49"}}}, {dial: trunk/carrier}]
"""


class Town:
    """A server that signs, its phones, and a carrier with three trunks at one socket each."""

    def __init__(self, serve: Serve, phone: Connect, folder: Path) -> None:
        self.root = Authority("root", now=datetime.now(UTC))
        self.key, self.chain = self.root.leaf(folder)
        self.trust = TrustStore(self.root.write(folder / "roots.pem"))
        carrier, trusted, plain = free_ports(3)
        self.text = f"""
stir: {{sign: {{key: {self.key}, certificate_url: "{URL}"}}}}
trunks:
  carrier:
    address: "sip:{LOOPBACK}:{carrier}"
    identify: "{LOOPBACK}:{carrier}"
    caller_number: "+493010"
    stir: {{sign: true}}
  trusted:
    address: "sip:{LOOPBACK}:{trusted}"
    identify: "{LOOPBACK}:{trusted}"
    trust_identity: true
    stir: {{sign: true}}
  plain: {{address: "sip:{LOOPBACK}:{plain}", identify: "{LOOPBACK}:{plain}"}}
extensions:
  "101": {{name: Alice, password: wonderland, caller_number: "+4930101"}}
  "102": {{password: wonderland}}
"""
        self.pbx: Pbx = serve(self.text, PLAN)
        self.carrier: Phone = phone(self.pbx, port=carrier)
        self.trusted: Phone = phone(self.pbx, port=trusted)
        self.plain: Phone = phone(self.pbx, port=plain)
        self.alice: Phone = phone(self.pbx, "101", "wonderland")

    def call(self, number: str, at: Phone | None = None, caller: Phone | None = None, shown: str = "") -> Request:
        """Call a number, and return the INVITE that the carrier gets and refuses."""
        caller, at = caller or self.alice, at or self.carrier
        headers = [("From", f"<sip:{shown}@{LOOPBACK}>;tag=there")] if shown else []
        sent = caller.start("INVITE", f"sip:{number}@{LOOPBACK}", sdp(), headers)
        invite = at.request("INVITE")
        at.answer(invite, 486)
        caller.acknowledge(sent, caller.final(sent))
        return invite

    def claims(self, invite: Request) -> Passport:
        """Return what an INVITE says, signed; checked as a carrier would."""
        values = invite.headers.raw("Identity")
        assert len(values) == 1
        identity = Identity.parse(values[0])
        passport = identity.passport
        assert passport is not None
        now = datetime.now(UTC)
        assert identity.info == passport.certificate == URL
        assert self.trust.check(self.chain, identity.signed, identity.signature, passport.originator, now)
        assert abs(now.timestamp() - passport.issued) < 60
        assert int(parsedate_to_datetime(invite.headers.get("Date") or "").timestamp()) == passport.issued
        return passport


@pytest.fixture
def town(serve: Serve, phone: Connect, tmp_path: Path) -> Town:
    return Town(serve, phone, tmp_path)


def test_an_extension_with_its_own_number_is_vouched_for_in_full(town: Town) -> None:
    invite = town.call("030222")
    claims = town.claims(invite)
    assert invite.uri.user == "+4930222"
    assert (claims.attestation, claims.originator, claims.destinations) == ("A", "4930101", ("4930222",))
    again = town.claims(town.call("030333"))
    assert UUID(claims.origination) == UUID(again.origination)
    assert again.destinations == ("4930333",)


def test_one_with_another_number_in_part_and_who_came_over_a_trunk_only_as_that(town: Town) -> None:
    other = town.claims(town.call("8555"))
    through = town.claims(town.call("9555", caller=town.plain, shown="+4930777"))
    assert (other.attestation, other.originator, other.destinations) == ("B", "493055", ("8555",))
    assert (through.attestation, through.originator) == ("C", "4930777")
    assert "Identity" not in town.call("9555", caller=town.plain, shown="somebody").headers
    assert other.origination != through.origination


def test_a_number_that_is_not_shown_is_signed_only_to_who_is_told_it(town: Town) -> None:
    assert "Identity" not in town.call("7555").headers
    assert town.claims(town.call("6555", town.trusted)).originator == "4930101"


def test_a_trunk_that_is_not_to_get_it_does_not(town: Town) -> None:
    assert "Identity" not in town.call("5555", town.plain).headers


def test_a_reload_changes_key_and_certificate(town: Town, tmp_path: Path) -> None:
    key, town.chain = town.root.leaf(tmp_path)
    assert town.pbx.reload(town.text.replace(str(town.key), str(key)), PLAN)
    assert town.claims(town.call("030222")).attestation == "A"
    unusable = tmp_path / "unusable.pem"
    unusable.write_text("no key")
    assert not town.pbx.reload(town.text.replace(str(town.key), str(unusable)), PLAN)
    assert town.claims(town.call("030222")).attestation == "A"
