"""No secret of a busy run is found in what it leaves or tells: log, traces, records, metrics, database, API answers."""

from __future__ import annotations

import re
from pathlib import Path

from pbx.sip.message import Request
from tests.peers.support import ports
from tests.peers.support.idle import socket_phone
from tests.peers.support.server import TOKEN, Site, serving
from tests.support.pbx import Phone, sdp

SECRETS = {"101": "wonderland-of-alice", "102": "looking-glass-of-bob"}
OF_TRUNK = "the-carrier-s-own-secret"
WRONG = "a-guess-that-is-wrong"


def test_no_secret_is_told(tmp_path: Path) -> None:
    site, port = Site(tmp_path), ports.port()
    settings = site.settings(
        extensions={number: {"password": secret} for number, secret in SECRETS.items()},
        trunks={
            "carrier": {
                "address": f"sip:127.0.0.1:{port}",
                "identify": [f"127.0.0.1:{port}"],
                "username": "office",
                "password": OF_TRUNK,
            }
        },
        log={"level": "debug"},
    )
    plan = {
        "routes": [
            {"name": "phones", "when": {"from": "extension", "number": "1XX"}, "do": [{"dial": "extension/{number}"}]},
            {"name": "out", "when": {"from": "extension", "number": "0."}, "do": [{"dial": "trunk/carrier"}]},
        ]
    }
    with serving(site, settings, plan) as server:
        phones = [socket_phone(site.sip, number, secret) for number, secret in SECRETS.items()]
        guesser = socket_phone(site.sip, "101", WRONG, "127.0.71.1")
        carrier = Phone(phones[0].world, ("127.0.0.1", site.sip), port=port)
        alice, bob = phones
        assert alice.register().status == bob.register().status == 200
        assert guesser.register().status == 401
        proofs = [_call(alice, bob, "102"), *_challenged(alice, carrier)]
        server.record(2)
        told = [
            (site.folder / "stderr").read_text(),
            *[server.trace(record["id"]) for record in server.records()],
            *[str(server.api(path)) for path in ("/call-records", "/registrations", "/trunks", "/status", "/metrics")],
            *[
                path.read_bytes().decode("latin-1")
                for path in site.storage.rglob("*")
                if path.is_file() and path.name != "api-token"
            ],
        ]
        assert any("Proxy-Authorization" in text or "Authorization" in text for text in told), "nothing was traced"
        for phone in (*phones, guesser, carrier):
            phone.close()
    told.append((site.folder / "stderr").read_text())
    assert sum(map(len, told)) > 10_000
    for secret in (*SECRETS.values(), OF_TRUNK, WRONG, TOKEN, *proofs):
        assert [text[max(0, text.find(secret) - 80) :][:120] for text in told if secret in text] == []


def _response(request: Request) -> str:
    """Return the digest response that a request carries: whoever has it and the nonce may try passwords at home."""
    text = request.headers.get("Authorization") or request.headers.get("Proxy-Authorization") or ""
    found = re.search(r'response="([0-9a-f]+)"', text)
    assert found is not None
    return found[1]


def _call(caller: Phone, callee: Phone, number: str) -> str:
    sent = caller.dial(number)
    heard = callee.request("INVITE")
    callee.pick_up(heard, sdp())
    answer = caller.final(sent)
    caller.acknowledge(sent, answer)
    assert caller.hang_up(sent, answer).status == 200
    callee.answer(callee.request("BYE"), 200)
    return _response(sent)


def _challenged(caller: Phone, carrier: Phone) -> list[str]:
    """Make a call that the carrier challenges, and refuses then."""
    sent = caller.dial("030123")
    first = carrier.request("INVITE")
    challenge = 'Digest realm="carrier", nonce="abcdef", algorithm=SHA-256, qop="auth"'
    carrier.answer(first, 401, headers=[("WWW-Authenticate", challenge)])
    second = carrier.request("INVITE")
    carrier.answer(second, 486)
    refused = caller.final(sent)
    assert refused.status == 486
    caller.acknowledge(sent, refused)
    return [_response(sent), _response(second)]
