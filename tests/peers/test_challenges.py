"""Who is asked for a password proves who it is: Tandem's trunks to SIPp, and SIPp's phone to Tandem."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import md5
from typing import Any

import pytest

from tests.peers.support import ports
from tests.peers.support.server import Server, Site, serving
from tests.peers.support.sipp import Make, Sipp, run

pytestmark = pytest.mark.peers

CUSTOMER, CARRIER, TELCO, REGISTRAR = (ports.port() for _ in range(4))
USER, PASSWORD = "tandem", "hush"
ACCOUNT = {"username": USER, "password": PASSWORD}
SECRET = "secret-of-101"


def ways(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Return a plan that sends what comes from one to the other."""
    routes = [{"name": source, "when": {"from": source}, "do": [{"dial": target}]} for source, target in pairs]
    return {"routes": routes}


VERIFIED = {
    "VERIFY": f'    <verifyauth assign_to="proven" username="{USER}" password="{PASSWORD}"/>',
    "JUDGED": '<nop test="proven" next="known"/><?part reply STATUS=403 REASON=Forbidden?><label id="known"/>',
}
"""SIPp's own judgement. It looks at Authorization alone, so that nothing can be proven to it after a 407."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = Site(tmp_path_factory.mktemp("server"))
    trunks: dict[str, dict[str, Any]] = {
        "customer": {"address": f"sip:127.0.0.1:{CUSTOMER}", "identify": [f"127.0.0.1:{CUSTOMER}"]},
        "carrier": {"address": f"sip:127.0.0.1:{CARRIER}", "identify": [f"127.0.0.1:{CARRIER}"], **ACCOUNT},
    }
    extensions = {"101": {"password": SECRET}}
    # SIPp knows no algorithm but MD5.
    sip = {"digest": {"algorithms": ["MD5"]}}
    plan = ways(("trunk/customer", "trunk/carrier"), ("extension", "trunk/carrier"))
    with serving(site, site.settings(trunks=trunks, extensions=extensions, sip=sip), plan) as running:
        yield running


def digest(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def assert_proven(callee: Sipp, header: str) -> None:
    """Reckon every proof that came, as RFC 7616 §3.4.1 has it."""
    found = re.findall(
        rf"(?s)\n(INVITE|BYE) (\S+) SIP/2.0\r?\n(?:(?!\n\r?\n).)*?\n{header}: Digest ([^\n]*)", callee.messages()
    )
    assert [method for method, _, _ in found] == ["INVITE", "BYE"]
    for count, (method, uri, text) in enumerate(found, 1):
        given = {name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|[^,\s]*)', text)}
        assert (given["username"], given["realm"], given["uri"], given["qop"]) == (USER, "carrier", uri, "auth")
        assert int(given["nc"], 16) == count
        whole = (digest(f"{USER}:carrier:{PASSWORD}"), given["nonce"], given["nc"], given["cnonce"], "auth")
        assert given["response"] == digest(":".join((*whole, digest(f"{method}:{uri}"))))


@pytest.mark.parametrize(
    ("status", "challenge", "proof", "words"),
    [
        (401, "WWW-Authenticate", "Authorization", VERIFIED),
        (407, "Proxy-Authenticate", "Proxy-Authorization", {}),
    ],
)
def test_a_carrier_is_told_who_calls(
    server: Server, sipp: Make, status: int, challenge: str, proof: str, words: dict[str, str]
) -> None:
    """The call goes on with what was proven, and its BYE proves it at once."""
    callee = sipp("uas-challenges", CARRIER, STATUS=status, CHALLENGE=challenge, PROOF=proof, **words)
    record = run(server, lambda: sipp("uac", CUSTOMER, server.site.sip), callee)
    assert record["cause"]["slug"] == "answered-caller-hung-up"
    assert [one["outcome"] for one in record["attempts"]] == ["answered"]
    assert_proven(callee, proof)


def test_a_stale_nonce_is_replaced(server: Server, sipp: Make) -> None:
    """RFC 7616 §3.3: stale says that the password was right, and only the nonce has to be a new one."""
    stale = '<recv request="INVITE"/><?part challenge NONCE=00000000000000000000000000000002 EXTRA=", stale=true"?>'
    words = {"STATUS": 401, "CHALLENGE": "WWW-Authenticate", "PROOF": "Authorization"}
    callee = sipp("uas-challenges", CARRIER, AGAIN=stale, **words, **VERIFIED)
    record = run(server, lambda: sipp("uac", CUSTOMER, server.site.sip), callee)
    assert record["cause"]["slug"] == "answered-caller-hung-up"


def test_a_carrier_that_takes_no_proof_is_not_asked_for_ever(server: Server, sipp: Make) -> None:
    """The caller is refused, and not told that we have no right password: it is not the caller's affair."""
    callee = sipp("uas-never-content", CARRIER, STATUS=401, CHALLENGE="WWW-Authenticate")
    record = run(server, lambda: sipp("uac-refused", CUSTOMER, server.site.sip, STATUS=403), callee)
    assert [one["outcome"] for one in record["attempts"]] == ["callee-refused"]


def test_a_phone_proves_who_it_is(server: Server, sipp: Make) -> None:
    callee = sipp("uas", CARRIER)
    proof = ("-au", "101", "-ap", SECRET, "-auth_uri", f"1000@127.0.0.1:{server.site.sip}")
    record = run(server, lambda: sipp("uac-proves", ports.port(), server.site.sip, arguments=proof), callee)
    assert record["source"] == "extension/101"
    assert record["cause"]["slug"] == "answered-caller-hung-up"


def test_calls_both_ways_over_a_trunk_that_we_register(tmp_path_factory: pytest.TempPathFactory, sipp: Make) -> None:
    """The registrar challenges REGISTER, the carrier INVITE; the carrier's own call finds its trunk by our Contact."""
    site = Site(tmp_path_factory.mktemp("registered"))
    trunks: dict[str, dict[str, Any]] = {
        "customer": {"address": f"sip:127.0.0.1:{CUSTOMER}", "identify": [f"127.0.0.1:{CUSTOMER}"]},
        "telco": {
            "address": f"sip:127.0.0.1:{TELCO}",
            "registration": {"registrar": f"sip:127.0.0.1:{REGISTRAR}"},
            **ACCOUNT,
        },
    }
    registrar = sipp("registrar", REGISTRAR)
    plan = ways(("trunk/customer", "trunk/telco"), ("trunk/telco", "trunk/customer"))
    with serving(site, site.settings(trunks=trunks), plan) as server:
        server.trunk_registered("telco")
        words = {"STATUS": 407, "CHALLENGE": "Proxy-Authenticate", "PROOF": "Proxy-Authorization"}
        callee = sipp("uas-challenges", TELCO, **words)
        record = run(server, lambda: sipp("uac", CUSTOMER, server.site.sip), callee)
        assert (record["destination"], record["cause"]["slug"]) == ("trunk/telco", "answered-caller-hung-up")
        assert_proven(callee, "Proxy-Authorization")
        contact = re.search(r"\nContact: <sip:(\w+)@", registrar.messages())
        assert contact is not None
        # From a port of which nobody was told.
        taken = sipp("uas", CUSTOMER)
        record = run(server, lambda: sipp("uac", ports.port(), site.sip, NUMBER=contact[1]), taken)
        assert (record["source"], record["destination"]) == ("trunk/telco", "trunk/customer")
        assert record["cause"]["slug"] == "answered-caller-hung-up"
    registrar.wait()
