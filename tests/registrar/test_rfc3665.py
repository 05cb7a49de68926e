"""RFC 3665 §2: the five registration call flows, with our own challenges in place of the RFC's."""

from __future__ import annotations

from typing import Any

from pbx.sip.message import Request, Response
from pbx.sip.stack import Flow

TLS = Flow("tls", ("192.0.2.202", 5061), ("192.0.2.201", 40312), 7)

F1 = """REGISTER sips:ss2.biloxi.example.com SIP/2.0
Via: SIP/2.0/TLS client.biloxi.example.com:5061;branch=z9hG4bKnashds7
Max-Forwards: 70
From: Bob <sips:bob@biloxi.example.com>;tag=a73kszlfl
To: Bob <sips:bob@biloxi.example.com>
Call-ID: 1j9FpLxk3uxtm8tn@biloxi.example.com
CSeq: 1 REGISTER
Contact: <sips:bob@client.biloxi.example.com>
Content-Length: 0

"""


def flow_with_challenge(rig: Any, phone: Any, *contacts: str, **options: Any) -> tuple[Response, Response]:
    first = rig.send(phone.request(*contacts, **options), TLS)
    again = phone.request(*contacts, **options)
    assert first.status == 401
    assert phone.client.answer(again, first, "MTIzNDU2")
    return first, rig.send(again, TLS)


def bob(rig: Any, **options: Any) -> Any:
    return rig.phone(
        "bob",
        call_id="1j9FpLxk3uxtm8tn@biloxi.example.com",
        flow=TLS,
        to="sips:bob@biloxi.example.com",
        target="sips:ss2.biloxi.example.com",
        **options,
    )


def new_rig(make_rig: Any) -> Any:
    return make_rig(any_domain=True)


def test_2_1_successful_new_registration(make_rig: Any) -> None:
    rig = new_rig(make_rig)
    challenge = rig.send(F1, TLS)
    assert challenge.status == 401
    assert challenge.headers.get("Via") == "SIP/2.0/TLS client.biloxi.example.com:5061;branch=z9hG4bKnashds7"
    assert challenge.to.tag
    assert 'realm="biloxi.com"' in challenge.headers.raw("WWW-Authenticate")[0]
    assert "SHA-256" in challenge.headers.raw("WWW-Authenticate")[0]
    _, ok = flow_with_challenge(rig, bob(rig), "<sips:bob@client.biloxi.example.com>")
    assert ok.status == 200
    assert ok.headers.raw("Contact") == ["<sips:bob@client.biloxi.example.com>;expires=3600"]
    assert ok.headers.get("Date") == "Mon, 02 Feb 2026 02:56:40 GMT"


def test_2_2_update_of_contact_list(make_rig: Any) -> None:
    rig = new_rig(make_rig)
    phone = bob(rig)
    phone.register("<sips:bob@client.biloxi.example.com>")
    ok = phone.register("mailto:bob@biloxi.example.com")
    assert ok.headers.raw("Contact") == [
        "<sips:bob@client.biloxi.example.com>;expires=3600",
        "<mailto:bob@biloxi.example.com>;expires=3600",
    ]
    # A mail address is registered, and never called.
    assert [str(one.contact) for one in rig.location.reachable("sip:bob@biloxi.com")] == [
        "sips:bob@client.biloxi.example.com"
    ]


def test_2_3_request_for_current_contact_list(make_rig: Any) -> None:
    rig = new_rig(make_rig)
    phone = bob(rig)
    phone.register("<sips:bob@client.biloxi.example.com>")
    before = rig.keeper.writes
    rig.stack.advance(1000)
    ok = phone.register()
    assert ok.status == 200
    assert ok.headers.raw("Contact") == ["<sips:bob@client.biloxi.example.com>;expires=2600"]
    assert rig.keeper.writes == before


def test_2_4_cancellation_of_registration(make_rig: Any) -> None:
    rig = new_rig(make_rig)
    phone = bob(rig)
    phone.register("<sips:bob@client.biloxi.example.com>")
    phone.register("mailto:bob@biloxi.example.com")
    ok = phone.register("*", expires=0)
    assert ok.status == 200
    assert ok.headers.raw("Contact") == []
    assert len(rig.location) == 0
    assert rig.keeper.kept == {}


def test_2_5_unsuccessful_registration(make_rig: Any) -> None:
    rig = new_rig(make_rig)
    phone = bob(rig, secret="wrong")
    first, refused = flow_with_challenge(rig, phone, "<sips:bob@client.biloxi.example.com>")
    assert refused.status == 401
    assert refused.headers.raw("WWW-Authenticate")
    assert refused.headers.raw("WWW-Authenticate") != first.headers.raw("WWW-Authenticate")
    assert len(rig.location) == 0


def test_a_new_challenge_says_stale_when_only_the_nonce_was_at_fault(make_rig: Any) -> None:
    rig = new_rig(make_rig)
    phone = bob(rig)
    phone.register("<sips:bob@client.biloxi.example.com>")
    rig.stack.advance(4000)
    request: Request = phone.request("<sips:bob@client.biloxi.example.com>")
    phone.client.authorize(request, "cnonce")
    response = rig.send(request, TLS)
    assert response.status == 401
    assert all("stale=true" in value for value in response.headers.raw("WWW-Authenticate"))
    assert phone.register("<sips:bob@client.biloxi.example.com>").status == 200
