"""RFC 8224, RFC 8225, RFC 8588: Identity and PASSporT as text."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.errors import ParseError
from pbx.sip.ext.passport import Identity, Passport, telephone_number

URL = "https://cert.example.org/passport.cer"
SHAKEN = Passport("12155551212", ("12155551213",), 1443208345, URL, "A", "123e4567-e89b-12d3-a456-426655440000")


def test_the_example_of_rfc_8225() -> None:
    """§9.1: the JSON of header and payload, without white space and with their keys in order."""
    # The RFC's payload has a `uri` in dest; ours are numbers, so only the shape and the order are the RFC's.
    header, payload = Passport("12155551212", ("12155551213",), 1443208345, URL).signed_part().split(b".")
    assert base64.urlsafe_b64decode(header + b"==") == (
        b'{"alg":"ES256","typ":"passport","x5u":"https://cert.example.org/passport.cer"}'
    )
    assert header.startswith(b"eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1Ijoi")
    assert json.loads(base64.urlsafe_b64decode(payload + b"==")) == {
        "dest": {"tn": ["12155551213"]},
        "iat": 1443208345,
        "orig": {"tn": "12155551212"},
    }


@pytest.mark.parametrize("passport", [SHAKEN, Passport("1", ("2", "3"), 5, URL)])
def test_written_and_read(passport: Passport) -> None:
    text = Identity.written(passport, b"\x01" * 64)
    found = Identity.parse(text)
    assert found.passport == passport
    assert found.signed == passport.signed_part()
    assert found.signature == b"\x01" * 64
    assert (found.info, found.algorithm, found.extension) == (URL, "ES256", "shaken" if passport.shaken else "")


def test_quoted_parameters_and_the_compact_form() -> None:
    """RFC 8224 §4: alg and ppt may be quoted; in the compact form only the signature is there."""
    found = Identity.parse(f'..{"A" * 86};info=<{URL}>;alg="ES256";ppt="shaken"')
    assert found.passport is None
    assert (found.signed, len(found.signature), found.extension) == (b"", 64, "shaken")


def _value(header: object, payload: object, params: str = f";info=<{URL}>;alg=ES256;ppt=shaken") -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, payload)]
    return f"{parts[0]}.{parts[1]}.AAAA{params}"


HEADER = {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": URL}
PAYLOAD = {"attest": "A", "dest": {"tn": ["2"]}, "iat": 1, "orig": {"tn": "1"}, "origid": "x"}


def test_what_is_faulty_is_refused() -> None:
    assert Identity.parse(_value(HEADER, PAYLOAD)).passport is not None
    for value in (
        "",
        "a.b",
        "a.b.c.d",
        "a.b.;info=<x>",
        "a!.b.c;info=<x>",
        "..AAAA",
        "..A;info=<x>",
        "AAAA.AAAA.AAAA;info=<x>",
        "W10.W10.AAAA;info=<x>",
        "A" * 9000,
        _value(HEADER, PAYLOAD, ";info=<https://elsewhere/>;alg=ES256;ppt=shaken"),
        _value(HEADER, PAYLOAD, f";info=<{URL}>;alg=RS256;ppt=shaken"),
        _value(HEADER, PAYLOAD, f";info=<{URL}>;alg=ES256"),
        _value(HEADER | {"typ": "jwt"}, PAYLOAD),
        _value(HEADER, PAYLOAD | {"attest": "Z"}),
        _value(HEADER, PAYLOAD | {"iat": "1"}),
        _value(HEADER, PAYLOAD | {"iat": True}),
        _value(HEADER, PAYLOAD | {"iat": 10**400}),
        _value(HEADER, PAYLOAD | {"iat": -1}),
        _value(HEADER, PAYLOAD | {"attest": ["A"]}),
        _value(HEADER, PAYLOAD | {"attest": {}}),
        _value(HEADER, PAYLOAD | {"dest": ["2"]}),
        _value(HEADER, PAYLOAD | {"dest": {"tn": [2]}}),
        _value(HEADER, PAYLOAD | {"orig": {"tn": 1}}),
        _value(HEADER, [1]),
    ):
        with pytest.raises(ParseError):
            Identity.parse(value)


@given(st.text(max_size=200))
def test_any_text_is_an_identity_or_a_parse_error(text: str) -> None:
    with contextlib.suppress(ParseError):
        assert Identity.parse(text).signature


def test_numbers_are_signed_without_what_people_write_between_digits() -> None:
    assert telephone_number("+49 (30) 123-45.67") == "49301234567"
    assert telephone_number("*21#") == "*21#"
