"""Guesses at one extension's password from hundreds of addresses, each of which guesses once."""

from __future__ import annotations

import re
import select
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from pbx.sip.message import Request, Response
from tests.peers.support.idle import socket_phone
from tests.peers.support.server import Server, Site, serving
from tests.peers.support.waiting import until
from tests.support.pbx import Phone, sdp

pytestmark = pytest.mark.peers

SECRETS: Final = {"101": "1234-secret", "102": "5678-secret"}
PLAN: Final = {
    "routes": [
        {"name": "phones", "when": {"from": "extension", "number": "1XX"}, "do": [{"dial": "extension/{number}"}]}
    ]
}
HANDS: Final = 4
"""How many guess at a time. Each begins anew from another address as soon as it has its answer."""
ENOUGH: Final = 300
"""Answers to those who guess at a user each, six times what a user may be guessed at before answers come late."""
AGAIN: Final = 0.5
"""Seconds after which a request is sent again (RFC 3261 §17.1.2.2)."""
_OWN: Final = ("via", "from", "call-id", "cseq")
"""Headers of a response that repeat the request's."""


class Guessers:
    """Guess passwords until the end, each guess from another address: those of 127.1.`place` and the next ones."""

    def __init__(self, port: int, place: int, users: Iterator[str]) -> None:
        self.answers = 0
        """To guesses; challenges do not count."""
        self.said: set[tuple[str, ...]] = set()
        """Everything in them by which one could be told from another."""
        self._port = port
        self._users = users
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(place + hand,), daemon=True) for hand in range(HANDS)]

    def __enter__(self) -> Guessers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self, place: int) -> None:
        for host in range(1, 255):
            with self._lock:
                user = next(self._users)
            phone = socket_phone(self._port, user, "a guess", f"127.1.{place}.{host}")
            try:
                answer = self._guess(phone)
            finally:
                phone.close()
            if answer is None:
                return
            with self._lock:
                self.answers += 1
                self.said.add(shape(answer))

    def _guess(self, phone: Phone) -> Response | None:
        """Return what is answered to a wrong password; None if the end comes first."""
        asked = phone.compose("REGISTER", "sip:127.0.0.1", headers=[("To", f"<sip:{phone.user}@127.0.0.1>")])
        challenged = self._answer(phone, asked)
        if challenged is None:
            return None
        headers = [("To", asked.headers.get("To") or ""), phone.proof(asked, challenged)]
        return self._answer(phone, phone.compose("REGISTER", "sip:127.0.0.1", headers=headers, call_id=asked.call_id))

    def _answer(self, phone: Phone, request: Request) -> Response | None:
        while not self._end.is_set():
            phone.say(request)
            select.select([phone.socket], [], [], AGAIN)
            phone.listen()
            for message in phone.inbox:
                if isinstance(message, Response) and message.cseq == request.cseq:
                    return message
        return None


def shape(response: Response) -> tuple[str, ...]:
    """Return all of a response that is not made anew each time."""
    lines = [f"{name}: {value}" for name, value in response.headers if name.lower() not in _OWN]
    return (response.start_line(), *(re.sub(r'nonce="[^"]*"|tag=\S+|sip:\d+@', "", line) for line in lines))


def talks(owner: Phone, friend: Phone) -> None:
    """Have one call the other, and hang up."""
    invite = owner.dial("102")
    asked = friend.request("INVITE")
    friend.answer(asked, 200, sdp())
    answer = owner.final(invite)
    assert answer.status == 200
    owner.acknowledge(invite, answer)
    friend.request("ACK")
    assert owner.hang_up(invite, answer).status == 200
    friend.answer(friend.request("BYE"), 200)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    site = Site(tmp_path / "server")
    settings = site.settings(extensions={number: {"password": secret} for number, secret in SECRETS.items()})
    with serving(site, settings, PLAN) as running:
        yield running


def repeated(user: str) -> Iterator[str]:
    while True:
        yield user


def test_an_extension_guessed_at_from_everywhere_answers_late_and_stays_its_owners(server: Server) -> None:
    """No address does anything that it would be banned for. Answers to guesses at one user come late nonetheless, to
    addresses too that were never heard of before; an unknown user is slowed as much and answered in the same words.
    Its owner registers and calls meanwhile."""
    port = server.site.sip
    owner = socket_phone(port, "101", SECRETS["101"], "127.1.201.1")
    friend = socket_phone(port, "102", SECRETS["102"], "127.1.202.1")
    others = (str(number) for number in range(1000, 9999))
    try:
        assert friend.register().status == 200
        with (
            Guessers(port, 0, repeated("101")) as known,
            Guessers(port, 50, repeated("199")) as unknown,
            Guessers(port, 100, others) as each,
        ):
            until(lambda: min(known.answers, unknown.answers) > 50, "answers to guesses", 60)
            assert owner.register().status == 200
            talks(owner, friend)
            until(lambda: each.answers >= ENOUGH, "answers to guesses at one user each", 60)
            answers = [one.answers for one in (known, unknown, each)]
        assert answers[0] < answers[2] / 2, answers
        assert answers[1] < answers[2] / 2, answers
        assert known.said == unknown.said == each.said
        assert len(known.said) == 1
        assert owner.register(0).status == 200
        assert not server.api("/bans")["bans"]
    finally:
        owner.close()
        friend.close()
