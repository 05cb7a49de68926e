"""Diversion (RFC 5806), History-Info (RFC 7044), and each turned into the other (RFC 7544)."""

from __future__ import annotations

import pytest

from pbx.errors import ParseError
from pbx.sip.ext.diversion import REASONS, Diversion, diversions_of
from pbx.sip.ext.history_info import HistoryEntry, diversions_in, history_of, history_with
from pbx.sip.headers import Headers, NameAddress
from pbx.sip.message import Request


def request(*headers: tuple[str, str]) -> Request:
    return Request("INVITE", "sip:100@example.com", Headers(headers), b"")


def test_diversion_in_two_headers_and_one() -> None:
    # RFC 5806 §5: the most recent redirection stands first.
    found = diversions_of(
        request(
            ("Diversion", '"Bob, \\"B\\"" <sip:+4930102@a.example;user=phone>;reason=user-busy;counter=2;privacy=full'),
            ("Diversion", "<tel:+4930101>;reason=unconditional, <sip:100@b.example>;reason=lunch;counter=x"),
        )
    )
    assert [(str(one.address.uri), one.reason, one.counter, one.private) for one in found] == [
        ("sip:+4930102@a.example;user=phone", "user-busy", 2, True),
        ("tel:+4930101", "unconditional", 1, False),
        ("sip:100@b.example", "unknown", 1, False),
    ]
    assert found[0].address.display == 'Bob, "B"'
    assert str(found[0]) == (
        '"Bob, \\"B\\"" <sip:+4930102@a.example;user=phone>;reason=user-busy;counter=2;privacy=full'
    )
    assert Diversion.parse(str(found[0])) == found[0]


def test_history_info() -> None:
    # RFC 7044 §10.1.1, shortened.
    found = history_of(
        request(
            (
                "History-Info",
                "<sip:bob@example.com?Privacy=history&Reason=SIP%3Bcause%3D302>;index=1, "
                '"Office" <sip:office@example.com;cause=302>;index=1.1;mp=1',
            )
        )
    )
    assert [(str(one.address.uri), one.place, one.cause, one.private) for one in found] == [
        ("sip:bob@example.com", "1", 0, True),
        ("sip:office@example.com", "1.1", 302, False),
    ]
    (diversion,) = diversions_in(found)
    assert str(diversion) == "<sip:bob@example.com>;reason=unconditional;counter=1;privacy=full"


@pytest.mark.parametrize("text", ["", "<sip:a@b>", "<sip:a@b>;index=x", "<sip:a@b>;index=1..2", "nonsense:<;index=1"])
def test_malformed_history(text: str) -> None:
    with pytest.raises(ParseError):
        HistoryEntry.parse(text)


def test_one_into_the_other_and_back() -> None:
    target = NameAddress.parse("<sip:103@example.com>")
    diversions = (
        Diversion(NameAddress.parse("<sip:102@example.com>"), "no-answer"),
        Diversion(NameAddress.parse("<sip:101@example.com>"), "user-busy", 1, True),
    )
    history = history_with(diversions, target)
    assert [str(entry) for entry in history] == [
        "<sip:101@example.com?Privacy=history>;index=1",
        "<sip:102@example.com;cause=486>;index=1.1",
        "<sip:103@example.com;cause=408>;index=1.1.1",
    ]
    assert diversions_in(history_of(request(("History-Info", ", ".join(map(str, history)))))) == diversions
    assert diversions_in(history_with((), target)) == ()


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_a_cause(reason: str) -> None:
    (back,) = diversions_in(
        history_with((Diversion(NameAddress.parse("<sip:1@a>"), reason),), NameAddress.parse("<sip:2@a>"))
    )
    assert back.reason in (reason, "unknown", "unavailable")
