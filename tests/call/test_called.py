"""Whom a Request-URI calls, and which of them are not for us."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.call.called import called_in, reason_against
from pbx.errors import ParseError
from pbx.sip.uri import Uri


@pytest.mark.parametrize(
    ("uri", "called", "status"),
    [
        ("sip:101@pbx.example", "101", 0),
        ("sips:+4930;verstat=x@pbx.example", "+4930", 0),
        ("sip:pbx.example", "", 0),
        ("tel:+49-30", "+4930", 0),
        ("urn:service:sos", "urn:service:sos", 0),
        ("URN:Service:SOS.Fire", "urn:service:sos.fire", 0),
        ("urn:service:sos?+a", "urn:service:sos", 0),
        ("urn:service:counseling", "urn:service:counseling", 0),
        ("urn:service:sos;a", "", 404),
        ("urn:SERVICE:", "", 404),
        ("urn:servic", "", 416),
        ("urn:isbn:0451450523", "", 416),
        ("service:sos", "", 416),
        ("mailto:sos@pbx.example", "", 416),
    ],
)
def test_what_a_uri_calls(uri: str, called: str, status: int) -> None:
    parsed = Uri.parse(uri)
    assert called_in(parsed) == called
    assert [reason_against(method, parsed) for method in ("INVITE", "OPTIONS")] == [status, status]
    assert reason_against("REGISTER", parsed) == (0 if uri.startswith(("sip", "tel")) else 416)


@given(st.sampled_from(["", "urn:", "urn:service:", "URN:service:sos", "sip:"]), st.text(max_size=40))
def test_any_uri_calls_something_or_is_refused(beginning: str, rest: str) -> None:
    with contextlib.suppress(ParseError):
        uri = Uri.parse(beginning + rest)
        status, called = reason_against("INVITE", uri), called_in(uri)
        assert status in (0, 404, 416)
        if uri.scheme == "urn":
            assert bool(called) is (status == 0)
            assert called == called.lower()
