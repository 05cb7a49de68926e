"""Whatever is sent, reading it takes time in proportion to its size: eight times the octets, never sixty-four times the
time.

The bound of 24 lies far from both, and the quickest of several runs counts, so that a busy machine does no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import process_time

import pytest

from pbx.errors import ParseError
from pbx.sip.digest import parse_auth
from pbx.sip.framing import StreamFramer
from pbx.sip.grammar import parse_params, split_list
from pbx.sip.headers import NameAddress, Via
from pbx.sip.message import make_response
from pbx.sip.parser import MessageError, parse_message, validate
from pbx.sip.uri import Uri

SMALL = 8_000
FACTOR = 8
BOUND = 24


def quickest(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(5):
        start = process_time()
        for _ in range(3):
            with suppress(ParseError):
                work()
        best = min(best, (process_time() - start) / 3)
    return best


HEAD = b"INVITE sip:a@b SIP/2.0\r\nFrom: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n"
VIA = b"Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
REST = VIA + HEAD.partition(b"\r\n")[2] + b"\r\n"


def whole(data: bytes) -> None:
    try:
        message = parse_message(data)
        validate(message)
        message.to_bytes()
    except MessageError as error:
        if error.request is not None:
            make_response(error.request, error.status, to_tag="t").to_bytes()


def fill(pattern: bytes, size: int) -> bytes:
    return pattern * (size // len(pattern))


MESSAGES: dict[str, Callable[[int], bytes]] = {
    "commas in Via": lambda n: HEAD + b"Via: " + fill(b",", n) + b"\r\n\r\n",
    "commas in Contact": lambda n: HEAD + VIA + b"Contact: " + fill(b",", n) + b"\r\n\r\n",
    "quoted commas in Contact": lambda n: HEAD + VIA + b"Contact: " + fill(b'",",', n) + b"\r\n\r\n",
    "many Contacts": lambda n: HEAD + VIA + b"Contact: " + fill(b"<sip:a@b>;q=1,", n) + b"<sip:a>\r\n\r\n",
    "escaped quotes": lambda n: HEAD + VIA + b'Contact: "' + fill(b'\\"', n) + b"\r\n\r\n",
    "open quotes": lambda n: HEAD + VIA + b"Contact: " + fill(b'"\\', n) + b"\r\n\r\n",
    "open brackets": lambda n: HEAD + VIA + b"Route: " + fill(b"<", n) + b"\r\n\r\n",
    "closed brackets": lambda n: HEAD + VIA + b"Route: " + fill(b"<>", n) + b"\r\n\r\n",
    "semicolons": lambda n: HEAD + b"Via: SIP/2.0/UDP h" + fill(b";", n) + b"\r\n\r\n",
    "parameters": lambda n: HEAD + b"Via: SIP/2.0/UDP h" + fill(b";a", n) + b"\r\n\r\n",
    "blanks": lambda n: HEAD + b"Via: SIP" + fill(b" ", n) + b"/" + fill(b" ", n) + b"x\r\n\r\n",
    "blanks in a name": lambda n: HEAD + VIA + b"X" + fill(b" ", n) + b"x: y\r\n\r\n",
    "folds": lambda n: HEAD + VIA + b"X: y" + fill(b"\r\n ", n) + b"\r\n\r\n",
    "half folds": lambda n: HEAD + VIA + b"X: y" + fill(b"\r\n \t", n) + b"z\r\n\r\n",
    "short headers": lambda n: HEAD + VIA + fill(b"a:\r\n", n) + b"\r\n",
    "lines that are none": lambda n: HEAD + VIA + fill(b"a\r\n", n) + b"\r\n",
    "line breaks": lambda n: fill(b"\r\n", n) + HEAD + b"\r\n",
    "carriage returns": lambda n: HEAD + VIA + b"X: " + fill(b"\r", n) + b"\r\n\r\n",
    "no end": lambda n: fill(b"INVITE ", n),
    "a long number": lambda n: HEAD + VIA + b"Content-Length: " + fill(b"9", n) + b"\r\n\r\n",
    "many zeros": lambda n: HEAD + VIA + b"Content-Length: " + fill(b"0", n) + b"\r\n\r\n",
    "escapes": lambda n: b"INVITE sip:" + fill(b"%41", n) + b"@b SIP/2.0\r\n" + REST,
    "colons": lambda n: b"INVITE sip:a@" + fill(b":", n) + b" SIP/2.0\r\n" + REST,
    "Latin-1": lambda n: HEAD + VIA + b"Subject: " + fill(b"\xff", n) + b"\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name: str) -> None:
    build = MESSAGES[name]
    small, large = build(SMALL), build(SMALL * FACTOR)
    assert quickest(lambda: whole(large)) < BOUND * max(quickest(lambda: whole(small)), 2e-5)


VALUES: dict[str, tuple[Callable[[str], object], Callable[[int], str]]] = {
    "address: quotes": (NameAddress.parse, lambda n: '"\\' * (n // 2)),
    "address: blanks": (NameAddress.parse, lambda n: "a" + " " * n + "b"),
    "address: brackets": (NameAddress.parse, lambda n: "<" * n),
    "via: slashes": (Via.parse, lambda n: "SIP/" * (n // 4)),
    "via: blanks": (Via.parse, lambda n: "SIP / 2.0 /" + " " * n),
    "params: blanks": (parse_params, lambda n: "; a" + " " * n + "="),
    "params: quotes": (parse_params, lambda n: ';a="' + '\\"' * (n // 2)),
    "list: nested": (split_list, lambda n: '<"' * (n // 2) + ","),
    "uri: percent": (Uri.parse, lambda n: "sip:" + "%" * n + "@b"),
    "uri: dots": (Uri.parse, lambda n: "sip:" + "a." * (n // 2) + "."),
    "uri: brackets": (Uri.parse, lambda n: "sip:[" + "::" * (n // 2) + "]"),
    "auth: commas": (parse_auth, lambda n: "Digest a=1" + ", " * (n // 2)),
    "auth: quotes": (parse_auth, lambda n: 'Digest a="' + '\\"' * (n // 2)),
    "auth: parameters": (parse_auth, lambda n: "Digest " + ",".join(f"a{i}=1" for i in range(n // 6))),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    parse, build = VALUES[name]
    small, large = build(SMALL), build(SMALL * FACTOR)
    assert quickest(lambda: parse(large)) < BOUND * max(quickest(lambda: parse(small)), 2e-5)


@pytest.mark.parametrize(
    "build",
    [
        lambda n: HEAD + VIA + b"X: " + b"y" * n + b"\r\n\r\n",
        lambda n: b"\r\n" * (n // 2) + b"x",
        lambda n: b"\r\n\r" * (n // 3),
        lambda n: (HEAD + VIA + b"\r\n") * (n // 200),
        lambda n: HEAD + VIA + b"Content-Length: %d\r\n\r\n" % n + b"\r\n" * (n // 2),
    ],
)
def test_a_stream_octet_by_octet(build: Callable[[int], bytes]) -> None:
    def feed(data: bytes) -> None:
        framer = StreamFramer(max_headers=1 << 20, max_body=1 << 20)
        for octet in data:
            framer.feed(bytes([octet]))

    small, large = build(SMALL), build(SMALL * FACTOR)
    assert quickest(lambda: feed(large)) < BOUND * quickest(lambda: feed(small))
