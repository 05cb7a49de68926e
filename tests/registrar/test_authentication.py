from __future__ import annotations

from typing import Any

from pbx.registrar.offers import AlgorithmOffers
from pbx.sip.stack import Flow

CONTACT = "<sip:bob@192.0.2.1>"


def attempt(rig: Any, phone: Any) -> Any:
    """Answer a challenge with the phone's password; return the answer, None if it is held back."""
    challenge = rig.send(phone.request(CONTACT), phone.flow)
    again = phone.request(CONTACT)
    phone.client.answer(again, challenge, "c")
    return rig.send(again, phone.flow)


def test_failures_are_answered_later_and_later_and_then_banned(rig: Any) -> None:
    waits = []
    for _ in range(9):
        response = attempt(rig, rig.phone(secret="wrong"))
        waited = 0.0
        while response is None:
            rig.stack.advance(0.5)
            waited += 0.5
            response = rig.last.responses[0] if rig.last.responses else None
        assert response.status == 401
        waits.append(waited)
    assert waits[:7] == [0, 0, 0, 0.5, 1.0, 2.0, 4.0]
    assert all(6.0 <= wait <= 8.0 for wait in waits[7:])
    for _ in range(30):
        response = attempt(rig, rig.phone(secret="wrong"))
        if response is not None and response.status == 403:
            break
    # Even the right password does not open while the ban holds; from elsewhere it does.
    assert attempt(rig, rig.phone()).status == 403
    elsewhere = Flow("udp", ("192.0.2.201", 5060), ("192.0.2.77", 5060))
    assert attempt(rig, rig.phone(flow=elsewhere)).status == 200
    rig.stack.advance(400)
    assert attempt(rig, rig.phone(call_id="later")).status == 200


def test_a_phone_that_is_registered_is_not_cut_off_by_a_guesser_beside_it(rig: Any) -> None:
    phone = rig.phone(flow=Flow("udp", ("192.0.2.201", 5060), ("203.0.113.1", 5060)))
    assert phone.register(CONTACT).status == 200
    guesser = Flow("udp", ("192.0.2.201", 5060), ("203.0.113.1", 9999))
    for _ in range(60):
        attempt(rig, rig.phone(secret="wrong", flow=guesser))
    assert attempt(rig, rig.phone(flow=guesser, call_id="x")).status == 403
    assert phone.register(CONTACT).status == 200


def test_answers_held_back_are_bounded(rig: Any, monkeypatch: Any) -> None:
    from pbx.registrar import authentication

    monkeypatch.setattr(authentication, "_MOST_DELAYED", 5)
    held = 0
    for number in range(19):
        flow = Flow("udp", ("192.0.2.201", 5060), ("203.0.113.1", 1000 + number))
        held += attempt(rig, rig.phone(secret="wrong", flow=flow)) is None
    assert held == 5
    rig.stack.advance(20)
    assert rig.authenticator._delayed == 0


def test_nobody_fails_in_the_name_of_another_address(rig: Any) -> None:
    """A datagram may say any source; but only who is there hears our challenge, whose nonce holds for that address."""
    office = Flow("udp", ("192.0.2.201", 5060), ("203.0.113.1", 5060))
    attacker = rig.phone(secret="wrong", flow=Flow("udp", ("192.0.2.201", 5060), ("198.51.100.66", 5060)))
    for number in range(150):
        challenge = rig.send(attacker.request(CONTACT), attacker.flow)
        forged = attacker.request(CONTACT)
        attacker.client.answer(forged, challenge, "c")
        if number % 2:  # nor by an algorithm that was never offered
            value = forged.headers.raw("Authorization")[0]
            forged.headers.set("Authorization", value.replace("algorithm=SHA-256", "algorithm=MD5-sess"))
        assert rig.send(forged, office).status == 401
        rig.stack.advance(5)
    assert rig.authenticator.counts["wrong"] == 0
    assert rig.authenticator.counts["stale"] == 150
    assert rig.phone(flow=office, call_id="office").register(CONTACT).status == 200


def test_an_unknown_scheme_is_challenged(rig: Any) -> None:
    request = rig.phone().request(CONTACT, headers="Authorization: NoOneKnowsThisScheme opaque-data=here")
    assert rig.send(request, rig.phone().flow).status == 401


def test_malformed_credentials_are_a_bad_request(rig: Any) -> None:
    request = rig.phone().request(CONTACT, headers='Authorization: Digest realm="biloxi.com", username="bob"')
    assert rig.send(request, rig.phone().flow).status == 400


def test_a_captured_request_cannot_be_replayed(rig: Any) -> None:
    phone = rig.phone()
    phone.register(CONTACT)
    request = phone.request(CONTACT)
    phone.client.authorize(request, "c")
    assert rig.send(request, phone.flow).status == 200
    assert rig.send(request, phone.flow).status == 401


def algorithms(response: Any) -> list[str]:
    return [value.partition("algorithm=")[2].partition(",")[0] for value in response.headers.raw("WWW-Authenticate")]


def ask(rig: Any, phone: Any, agent: str = "") -> list[str]:
    request = phone.request(CONTACT)
    if agent:
        request.headers.set("User-Agent", agent)
    response = rig.send(request, phone.flow)
    assert response.status == 401
    return algorithms(response)


def test_the_stronger_algorithm_is_offered_first(rig: Any) -> None:
    assert ask(rig, rig.phone()) == ["SHA-256", "MD5"]


def test_a_phone_that_gives_up_at_more_than_md5_is_offered_that_alone(rig: Any) -> None:
    assert ask(rig, rig.phone(), "baresip v1.0.0 (x86_64/linux)") == ["MD5"]
    phone = rig.phone()
    assert ask(rig, phone) == ["SHA-256", "MD5"]
    rig.stack.advance(40)
    assert ask(rig, phone) == ["MD5"]
    rig.stack.advance(4000)
    assert ask(rig, phone) == ["MD5"]
    # Other phones of the same user, and other users of the same phone, are not concerned.
    assert ask(rig, phone, "another") == ["SHA-256", "MD5"]
    assert ask(rig, rig.phone("101")) == ["SHA-256", "MD5"]
    # It stays so when a nonce has expired.
    assert phone.register(CONTACT).status == 200
    rig.stack.advance(4000)
    request = phone.request(CONTACT)
    phone.client.authorize(request, "c")
    stale = rig.send(request, phone.flow)
    assert "stale=true" in stale.headers.raw("WWW-Authenticate")[0]
    assert algorithms(stale) == ["MD5"]


def test_a_phone_that_answers_but_starts_anew_each_time_is_offered_everything(rig: Any) -> None:
    for _ in range(3):
        phone = rig.phone(call_id=f"call-{rig.stack.time}")
        challenge = rig.send(phone.request(CONTACT), phone.flow)
        assert algorithms(challenge) == ["SHA-256", "MD5"]
        again = phone.request(CONTACT)
        assert phone.client.answer(again, challenge, "c")
        assert rig.send(again, phone.flow).status == 200
        rig.stack.advance(100)


def test_one_that_comes_back_after_long_is_no_sign(rig: Any) -> None:
    phone = rig.phone()
    ask(rig, phone)
    rig.stack.advance(301)
    assert ask(rig, phone) == ["SHA-256", "MD5"]


def test_a_server_that_offers_one_algorithm_offers_it_always() -> None:
    for only in (("SHA-256",), ("MD5",), ("SHA-512-256", "SHA-256")):
        offers = AlgorithmOffers(only)
        client = ("192.0.2.1", "bob", "baresip v1.0.0")
        assert [tuple(offers.to(client, 0.0)) for _ in range(3)] == [only] * 3
        assert tuple(offers.again(client)) == only


def test_what_is_remembered_of_strangers_names_is_short(rig: Any) -> None:
    """Ten thousand clients and fifty thousand names are remembered; each could be as long as a message."""
    long = "x" * 20_000
    stranger = rig.phone(long, secret="wrong")
    for _ in range(2):
        rig.send(stranger.request(CONTACT, headers=f"User-Agent: {long}"), stranger.flow)
    assert attempt(rig, stranger).status == 401
    remembered = [*rig.authenticator._offers._unanswered, *rig.authenticator._offers._simple]
    guard = rig.authenticator._guard
    users = [*guard._users._records, ("", *guard._accounts._records)]
    assert remembered
    assert len(users) == 2
    for key in (*remembered, *users):
        assert all(len(part) <= 64 for part in key)


def test_what_is_remembered_of_clients_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr("pbx.registrar.offers._MOST_REMEMBERED", 50)
    offers = AlgorithmOffers(("SHA-256", "MD5"))
    for number in range(1000):
        for _ in range(2):
            offers.to((f"host-{number}", "", ""), 0.0)
        offers.to((f"once-{number}", "", ""), 0.0)
    assert len(offers._simple) == 50
    assert len(offers._unanswered) == 50
