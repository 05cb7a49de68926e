"""Who may call, as whom, and what of one side the other one sees: phones that lie, over real sockets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from pbx.sip.message import Response
from tests.peers.support.idle import socket_phone
from tests.peers.support.server import Server, Site, serving
from tests.support.pbx import Phone, sdp

PASSWORDS = {"101": "wonderland-1", "102": "wonderland-2", "103": "wonderland-3"}
PLAN = {
    "routes": [
        {"name": "all", "when": {"from": "extension", "number": "1XX"}, "do": [{"dial": "extension/{number}"}]},
    ]
}
NAMES = {"101": "Alice", "102": "Bob", "103": "Carol"}

Connect = Callable[..., Phone]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = Site(tmp_path_factory.mktemp("server"))
    extensions = {number: {"name": NAMES[number], "password": secret} for number, secret in PASSWORDS.items()}
    with serving(site, site.settings(extensions=extensions), PLAN) as running:
        yield running


@pytest.fixture
def phone(server: Server) -> Iterator[Connect]:
    """Make phones made of a socket, and close them in the end."""
    made: list[Phone] = []

    def connect(user: str = "", password: str | None = None, host: str = "127.0.0.1") -> Phone:
        made.append(socket_phone(server.site.sip, user, PASSWORDS[user] if password is None else password, host))
        return made[-1]

    yield connect
    for one in made:
        one.close()


def shape(response: Response) -> str:
    """Return a response without what is different in every one: who asked, nonces and tags."""
    text = response.to_bytes().decode()
    text = re.sub(r"(?m)^(Via|From|To|Call-ID|CSeq):.*\r\n", lambda found: f"{found[1]}\r\n", text)
    return re.sub(r'nonce="[^"]*"', "nonce", text)


@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_an_unknown_extension_looks_like_a_wrong_password(phone: Connect, method: str) -> None:
    called, body = ("102@", sdp()) if method == "INVITE" else ("", b"")
    answers = []
    for place, user in enumerate(("101", "199")):
        one = phone(user, "wrong-password", f"127.0.5{place}.{len(method)}")
        # Three are free of charge; from then on each waits for its answer.
        for _ in range(3):
            to = [("To", f"<sip:{user}@127.0.0.1>")] if method == "REGISTER" else []
            sent = one.start(method, f"sip:{called}127.0.0.1", body, to)
            answer = one.final(sent)
            if method == "INVITE":
                one.acknowledge(sent, answer)
        answers.append(answer)
    assert answers[0].status == 401
    assert shape(answers[0]) == shape(answers[1])


def test_a_captured_authorization_is_refused(phone: Connect) -> None:
    """Somebody on the way repeats what a phone sent, from elsewhere, to register himself."""
    alice = phone("101")
    first = alice.compose("REGISTER", "sip:127.0.0.1", headers=[("To", "<sip:101@127.0.0.1>")])
    alice.say(first)
    challenge = alice.final(first)
    proof = alice.proof(first, challenge)
    genuine = alice.compose(
        "REGISTER", "sip:127.0.0.1", headers=[("To", "<sip:101@127.0.0.1>"), proof], call_id=first.call_id
    )
    alice.say(genuine)
    assert alice.final(genuine).status == 200
    for host in ("127.0.0.1", "127.0.52.1"):
        thief = phone("101", "", host)
        stolen = thief.compose("REGISTER", "sip:127.0.0.1", headers=[("To", "<sip:101@127.0.0.1>"), proof])
        thief.say(stolen)
        assert thief.final(stolen).status == 401
    alice.register(expires=0)


def test_the_from_header_changes_nothing(server: Server, phone: Connect) -> None:
    """Who calls is who proved it, whatever From, P-Asserted-Identity and Remote-Party-ID say."""
    mallory, bob = phone("103"), phone("102")
    assert bob.register().status == 200
    lies = [
        ("From", '"The Boss" <sip:101@127.0.0.1>;tag=lie'),
        ("P-Asserted-Identity", '"The Boss" <sip:101@127.0.0.1>'),
        ("P-Preferred-Identity", '"The Boss" <sip:101@127.0.0.1>'),
        ("Remote-Party-ID", '"The Boss" <sip:101@127.0.0.1>;party=calling'),
    ]
    before = len(server.records())
    invite = mallory.dial("102", headers=lies)
    seen = bob.request("INVITE")
    assert (seen.from_.uri.user, seen.from_.display) == ("103", "Carol")
    assert b"Boss" not in seen.to_bytes()
    assert b"sip:101@" not in seen.to_bytes()
    bob.answer(seen, 486)
    answer = mallory.final(invite)
    assert answer.status == 486
    mallory.acknowledge(invite, answer)
    record = server.record(before + 1)
    assert (record["source"], record["caller"]["number"]) == ("extension/103", "103")
    bob.register(expires=0)


def test_an_extension_registers_only_itself(phone: Connect) -> None:
    carol = phone("103")
    assert carol.ask("REGISTER", "sip:127.0.0.1", headers=[("To", "<sip:101@127.0.0.1>")]).status == 403


def test_nothing_of_the_caller_is_seen_by_the_callee_or_back(phone: Connect) -> None:
    """No address, Via, Call-ID, User-Agent or private header, in any message of a whole call."""
    alice, bob = phone("101", host="127.0.53.1"), phone("102", host="127.0.54.1")
    assert bob.register().status == 200
    mine = [("User-Agent", "agent-of-alice"), ("X-Private", "for-the-first-hop"), ("Subject", "secret-of-alice")]
    invite = alice.dial("102", sdp(4000, address="127.0.53.1"), mine)
    seen = [bob.request("INVITE")]
    bob.answer(seen[0], 180, headers=[("Server", "agent-of-bob"), ("X-Private", "secret-of-bob")])
    seen.append(bob.pick_up(seen[0], sdp(4002, address="127.0.54.1"), [("Server", "agent-of-bob")]))
    back = [alice.provisional(invite, 180), alice.final(invite)]
    alice.acknowledge(invite, back[-1])
    back.append(alice.hang_up(invite, back[-1]))
    seen.append(bob.request("BYE"))
    bob.answer(seen[-1], 200)
    at_bob = b"".join(message.to_bytes() for message in seen).decode()
    # Towards Alice her own Via, Call-ID and tag come back, as they must.
    at_alice = b"".join(message.to_bytes() for message in back).decode()
    for private in (
        "127.0.53.1",
        invite.call_id,
        alice.tag,
        "agent-of-alice",
        "X-Private",
        "secret-of-alice",
        " 4000 ",
    ):
        assert private not in at_bob
    for private in ("127.0.54.1", seen[0].call_id, bob.tag, "agent-of-bob", "X-Private", "secret-of-bob", " 4002 "):
        assert private not in at_alice
    bob.register(expires=0)


def test_who_proves_nothing_calls_nobody(server: Server, phone: Connect) -> None:
    """Without the password there is neither a call nor a record of one, also for who says it is a registered phone."""
    bob = phone("102")
    assert bob.register().status == 200
    stranger = phone("101", "")
    sent = stranger.start("INVITE", f"sip:102@127.0.0.1:{server.site.sip}", sdp())
    answer = stranger.final(sent)
    assert answer.status == 401
    stranger.acknowledge(sent, answer)
    assert bob.silent(0.3)
    assert sent.call_id not in [leg["sip_call_id"] for record in server.records() for leg in record["legs"]]
    bob.register(expires=0)
