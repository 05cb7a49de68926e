"""Digest authentication: the RFCs' own examples, then both sides against each other and against all that may go
wrong."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.errors import ParseError, UsageError
from pbx.ids import Ids
from pbx.sip.digest import (
    ALGORITHMS,
    Credential,
    DigestClient,
    DigestServer,
    Outcome,
    Verdict,
    answer_challenge,
    digest_response,
    hash_a1,
    parse_auth,
)
from pbx.sip.headers import Headers
from pbx.sip.message import Request, make_response
from pbx.sip.uri import Uri

URI = Uri.parse("sip:102@pbx.example.com")
ALICE = Credential("101", password="secret")
BY_HASH = Credential("102", ha1={name: hash_a1(name, "102", "pbx", "other") for name in ALGORITHMS})


def vectors() -> list[dict[str, Any]]:
    folder = Path(os.environ.get("TANDEM_VECTORS") or Path(__file__).parents[2].parent / "shared" / "vectors")
    file = folder / "digest" / "digest_vectors.json"
    return json.loads(file.read_text()) if file.exists() else []


# -- the RFCs' examples


def rfc_7616_example(algorithm: str) -> str:
    return digest_response(
        algorithm,
        hash_a1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life"),
        "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "GET",
        "/dir/index.html",
        qop="auth",
        nc="00000001",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )


def test_rfc_7616_section_3_9_1() -> None:
    assert rfc_7616_example("MD5") == "8ca523f5e9506fed4657c9700eebdbec"
    assert rfc_7616_example("SHA-256") == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"


def test_rfc_7616_section_3_9_2_with_userhash() -> None:
    """As corrected by erratum 4897."""
    challenge = (
        'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, '
        'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", '
        'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true'
    )
    [(name, value)] = answer_challenge(
        [challenge],
        lambda realm: Credential("Jäsøn Doe", "Secret, or not?"),
        "GET",
        "/doe.json",
        b"",
        "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    )
    _, params = parse_auth(value)
    assert name == "Authorization"
    assert params["username"] == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    assert params["response"] == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    assert (params["userhash"], params["nc"], params["qop"]) == ("true", "00000001", "auth")
    assert params["opaque"] == "HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS"


def test_rfc_2617_section_3_5() -> None:
    ha1 = hash_a1("MD5", "Mufasa", "testrealm@host.com", "Circle Of Life")
    assert ha1 == "939e7578ed9e3c518a452acee763bce9"
    nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
    assert (
        digest_response("MD5", ha1, nonce, "GET", "/dir/index.html", qop="auth", nc="00000001", cnonce="0a4f113b")
        == "6629fae49393a05397450978507c4ef1"
    )
    # and by RFC 2069's formula, without qop (computed with openssl)
    assert digest_response("MD5", ha1, nonce, "GET", "/dir/index.html") == "670fd8c2df070c60b045671b8b24ff02"


@pytest.mark.skipif(not vectors(), reason="TANDEM_VECTORS holds no digest vectors")
def test_vectors() -> None:
    for vector in vectors():
        algorithm = vector["algorithm"]
        ha1 = hash_a1(algorithm, vector["username"], vector["realm"], vector["password"])
        answer = digest_response(
            algorithm,
            ha1,
            vector["nonce"],
            vector["method"],
            vector["uri"],
            qop=vector.get("qop", ""),
            nc=vector.get("nc", ""),
            cnonce=vector.get("cnonce", ""),
        )
        assert answer == vector["response"], vector["source"]


# -- reading


def test_parse_auth() -> None:
    assert parse_auth('DIGEST  Realm="a\\"b, c" ,nonce=x,qop="auth,auth-int" , stale = TRUE') == (
        "digest",
        {"realm": 'a"b, c', "nonce": "x", "qop": "auth,auth-int", "stale": "TRUE"},
    )
    assert parse_auth("NoOneKnowsThisScheme opaque-data=here") == ("nooneknowsthisscheme", {})
    assert parse_auth("") == ("", {})


@pytest.mark.parametrize(
    "value",
    ["Digest realm", 'Digest realm="x', "Digest a=b c=d", "Digest a=1, a=2", "Digest =x", "Digest ,", "Digest a=,"],
)
def test_parse_auth_refuses(value: str) -> None:
    with pytest.raises(ParseError):
        parse_auth(value)


# -- both sides


class Pair:
    """A server, a client, and a clock that stands where it is put."""

    def __init__(self, credential: Credential = ALICE, **options: Any) -> None:
        self.ids = Ids(random.Random(1).randbytes)
        self.server = DigestServer(self.ids, "pbx", b"s" * 32, **options)
        self.client = DigestClient(lambda realm: credential if realm == "pbx" else None)
        self.now = 1000.0
        self.looked_up: list[str] = []

    def lookup(self, username: str) -> Credential | None:
        self.looked_up.append(username)
        return {"101": ALICE, "102": BY_HASH}.get(username)

    def check(self, request: Request) -> Verdict:
        values = request.headers.all("Authorization")
        return self.server.check(values, request.method, request.uri, request.body, self.now, self.lookup)

    def challenge(self, request: Request, stale: bool = False) -> bool:
        response = make_response(request, 401)
        for value in self.server.challenges(self.now, stale):
            response.headers.add("WWW-Authenticate", value)
        return self.client.answer(request, response, self.ids.token())


def a_request(method: str = "INVITE", body: bytes = b"") -> Request:
    return Request(method, URI, Headers(), body)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
@pytest.mark.parametrize("credential", [ALICE, BY_HASH])
def test_each_algorithm(algorithm: str, qop: str, credential: Credential) -> None:
    pair = Pair(credential, algorithms=[algorithm], qop=[qop])
    request = a_request(body=b"v=0\r\n")
    assert pair.check(request) == Verdict(Outcome.ABSENT)
    assert pair.challenge(request)
    assert f"algorithm={algorithm}" in request.headers.all("Authorization")[0]
    verdict = pair.check(request)
    assert verdict.ok
    assert verdict.username == credential.username
    if qop == "auth-int":
        other = a_request(body=b"v=1\r\n")
        assert pair.challenge(other)
        other.body = b"v=2\r\n"
        assert pair.check(other).outcome is Outcome.WRONG


def test_the_strongest_algorithm_is_taken() -> None:
    pair = Pair(algorithms=["SHA-256", "MD5"])
    assert ["SHA-256" in value for value in pair.server.challenges(0.0)] == [True, False]
    request = a_request()
    assert pair.challenge(request)
    assert "SHA-256" in request.headers.all("Authorization")[0]
    only_md5 = Pair(Credential("101", ha1={"MD5": hash_a1("MD5", "101", "pbx", "secret")}))
    request = a_request()
    assert only_md5.challenge(request)
    assert "algorithm=MD5" in request.headers.all("Authorization")[0]
    assert only_md5.check(request).ok


def test_a_replayed_header_is_refused() -> None:
    pair = Pair()
    request = a_request()
    assert pair.challenge(request)
    assert pair.check(request).ok
    again = pair.check(request)
    assert again.outcome is Outcome.STALE
    assert "used before" in again.detail
    # Not for another method or another number either.
    assert pair.server.check(request.headers.all("Authorization"), "BYE", URI, b"", pair.now, pair.lookup).outcome is (
        Outcome.WRONG
    )
    elsewhere = URI.with_(user="0900123456")
    moved = pair.server.check(request.headers.all("Authorization"), "INVITE", elsewhere, b"", pair.now, pair.lookup)
    assert moved.outcome is Outcome.MALFORMED


def test_a_nonce_is_used_again_with_a_higher_count() -> None:
    pair = Pair()
    first = a_request()
    assert pair.challenge(first)
    assert pair.check(first).ok
    for count in range(2, 6):
        request = a_request("OPTIONS")
        pair.client.authorize(request, pair.ids.token())
        assert f"nc={count:08x}" in request.headers.all("Authorization")[0]
        assert pair.check(request).ok


def test_requests_may_arrive_in_any_order_but_once() -> None:
    pair = Pair()
    requests = []
    first = a_request()
    assert pair.challenge(first)
    requests.append(first)
    for _ in range(99):
        request = a_request()
        pair.client.authorize(request, pair.ids.token())
        requests.append(request)
    order = [5, 3, 4, 60, 0, 59, 2, 61]
    assert all(pair.check(requests[number]).ok for number in order)
    assert all(pair.check(requests[number]).outcome is Outcome.STALE for number in order)
    assert pair.check(requests[99]).ok
    assert pair.check(requests[90]).ok
    assert pair.check(requests[30]).outcome is Outcome.STALE  # too far behind to be known


def test_nonces_expire() -> None:
    pair = Pair(lifetime=300.0)
    request = a_request()
    assert pair.challenge(request)
    pair.now += 299.0
    assert pair.check(request).ok
    pair.now += 2.0
    request = a_request()
    pair.client.authorize(request, pair.ids.token())
    verdict = pair.check(request)
    assert verdict.outcome is Outcome.STALE
    assert pair.challenge(request, stale=True)
    assert pair.check(request).ok


def test_a_peer_that_does_not_say_stale_gets_a_new_try() -> None:
    pair = Pair(lifetime=300.0)
    request = a_request()
    assert pair.challenge(request)
    assert pair.check(request).ok
    pair.now += 1000.0
    request = a_request()
    pair.client.authorize(request, pair.ids.token())
    assert pair.challenge(request, stale=False)
    assert pair.check(request).ok


def test_a_wrong_password_is_not_tried_again() -> None:
    pair = Pair(Credential("101", "wrong"))
    request = a_request()
    assert pair.challenge(request)
    assert pair.check(request).outcome is Outcome.WRONG
    assert not pair.challenge(request)


def test_foreign_and_forged_nonces() -> None:
    pair, other = Pair(), Pair()
    other.server = DigestServer(other.ids, "pbx", b"t" * 32)
    request = a_request()
    assert other.challenge(request)
    assert pair.check(request).outcome is Outcome.STALE
    assert pair.looked_up == []  # it isn't worth looking anybody up
    request = a_request()
    assert pair.challenge(request)
    value = request.headers.all("Authorization")[0]
    nonce = parse_auth(value)[1]["nonce"]
    for forged in (
        "f" * len(nonce),
        nonce[:-1] + ("0" if nonce[-1] != "0" else "1"),
        nonce[:11] + "f" + nonce[12:],
        "x",
    ):
        request.headers.set("Authorization", value.replace(nonce, forged))
        assert pair.check(request).outcome is Outcome.STALE
    # One from the future was made by another clock.
    pair.now -= 1.0
    request.headers.set("Authorization", value)
    assert pair.check(request).outcome is Outcome.STALE


def test_unknown_user_and_wrong_password_look_the_same() -> None:
    verdicts = []
    for credential in (Credential("101", "wrong"), Credential("999", "secret")):
        pair = Pair(credential)
        request = a_request()
        assert pair.challenge(request)
        verdicts.append(pair.check(request))
        assert pair.looked_up == [credential.username]
    assert verdicts[0].outcome is verdicts[1].outcome is Outcome.WRONG
    assert verdicts[0].detail == verdicts[1].detail


def test_nobody_can_be_the_user_that_does_not_exist() -> None:
    for credential in (Credential(""), Credential("999", ""), Credential("999", "secret")):
        pair = Pair(credential)
        request = a_request()
        if pair.challenge(request):
            assert not pair.check(request).ok


def test_a_user_without_this_algorithms_hash_is_refused() -> None:
    pair = Pair(Credential("103", ""))
    request = a_request()
    assert pair.challenge(request)
    known = Credential("103", ha1={"MD5": "0" * 32})
    verdict = pair.server.check(
        request.headers.all("Authorization"), "INVITE", URI, b"", pair.now, lambda username: known
    )
    assert verdict.outcome is Outcome.WRONG


def test_without_qop_a_nonce_serves_once() -> None:
    pair = Pair(algorithms=["MD5"])
    nonce = parse_auth(pair.server.challenges(pair.now)[0])[1]["nonce"]
    [(_, value)] = answer_challenge(
        [f'Digest realm="pbx", nonce="{nonce}"'], lambda realm: ALICE, "INVITE", str(URI), b"", ""
    )
    request = a_request()
    request.headers.add("Authorization", value)
    assert "qop" not in value
    assert "algorithm" not in value
    assert pair.check(request).ok
    assert pair.check(request).outcome is Outcome.STALE


def test_memory_is_bounded_and_forgets_no_count() -> None:
    pair = Pair(capacity=10)
    requests = []
    for _ in range(200):
        request = a_request()
        assert pair.challenge(request)
        assert pair.check(request).ok
        requests.append(request)
        pair.now += 0.001
        assert len(pair.server._seen) + len(pair.server._seen_before) <= 20
    assert all(pair.check(request).outcome is Outcome.STALE for request in requests)


def test_failures_fill_no_memory() -> None:
    pair = Pair(Credential("101", "wrong"))
    for _ in range(50):
        pair.client = DigestClient(lambda realm: Credential("101", "wrong"))
        request = a_request()
        assert pair.challenge(request)
        assert not pair.check(request).ok
    assert not pair.server._seen


def test_rotation_after_a_lifetime_keeps_counts() -> None:
    pair = Pair(lifetime=100.0)
    early = a_request()
    assert pair.challenge(early)
    assert pair.check(early).ok
    for _ in range(30):
        pair.now += 10.0
        request = a_request()
        assert pair.challenge(request)
        assert pair.check(request).ok
        assert pair.check(request).outcome is Outcome.STALE
        assert pair.check(early).outcome is Outcome.STALE


@pytest.mark.parametrize(
    ("old", "new", "outcome"),
    [
        ('username="101"', "", Outcome.MALFORMED),
        ('username="101"', 'username=""', Outcome.MALFORMED),
        ('username="101"', "username*=UTF-8''1%30%31", Outcome.OK),
        ('username="101"', "username*=latin1''101", Outcome.MALFORMED),
        ('username="101"', 'username="101", userhash=true', Outcome.OK),
        ('realm="pbx"', 'realm="other"', Outcome.ABSENT),
        ("Digest ", "Bearer ", Outcome.ABSENT),
        ("Digest ", "digest ", Outcome.OK),
        ("qop=auth", 'qop="auth"', Outcome.OK),
        ("qop=auth", "qop=auth-int", Outcome.MALFORMED),
        ("qop=auth", "qop=", Outcome.MALFORMED),
        ("nc=00000001", "nc=", Outcome.MALFORMED),
        ("nc=00000001", "nc=0x1", Outcome.MALFORMED),
        ("nc=00000001", "nc=00000000", Outcome.WRONG),
        ("nc=00000001", "nc=" + "f" * 17, Outcome.MALFORMED),
        ("nc=00000001", "nc=٣", Outcome.MALFORMED),
        ("algorithm=SHA-256", "algorithm=MD5", Outcome.WRONG),
        ("algorithm=SHA-256", "algorithm=SHA-256-sess", Outcome.WRONG),
        ("algorithm=SHA-256", "algorithm=ROT13", Outcome.WRONG),
        ("algorithm=SHA-256", "algorithm=sha-256", Outcome.OK),
        ('uri="sip:102@pbx.example.com"', 'uri="sip:103@pbx.example.com"', Outcome.MALFORMED),
        ('uri="sip:102@pbx.example.com"', 'uri="nonsense"', Outcome.MALFORMED),
        ('uri="sip:102@pbx.example.com"', "", Outcome.MALFORMED),
        ('response="', 'response="ü', Outcome.WRONG),
        ('response="', 'response="\\"', Outcome.WRONG),
    ],
)
def test_altered_credentials(old: str, new: str, outcome: Outcome) -> None:
    pair = Pair()
    request = a_request()
    assert pair.challenge(request)
    value = request.headers.all("Authorization")[0]
    assert old in value
    altered = value.replace(old, new).replace(", ,", ",").replace("Digest , ", "Digest ")
    request.headers.set("Authorization", altered)
    assert pair.check(request).outcome is outcome


def test_several_credentials_in_one_request() -> None:
    pair = Pair()
    request = a_request()
    assert pair.challenge(request)
    good = request.headers.all("Authorization")[0]
    request.headers.remove("Authorization")
    for value in ("Digest nonsense", 'Digest realm="elsewhere", nonce="x"', good.replace('nonce="0', 'nonce="1'), good):
        request.headers.add("Authorization", value)
    assert pair.check(request).ok


def test_only_so_many_credentials_are_looked_at() -> None:
    pair = Pair()
    request = a_request()
    assert pair.challenge(request)
    good = request.headers.all("Authorization")[0]
    bad = good.replace('response="', 'response="0')
    values = [bad] * 10 + [good]
    assert not pair.server.check(values, "INVITE", URI, b"", pair.now, pair.lookup).ok
    assert len(pair.looked_up) == 4


def test_wrong_settings_are_refused() -> None:
    for options in ({"algorithms": ["ROT13"]}, {"qop": ["none"]}):
        with pytest.raises(UsageError):
            DigestServer(Ids(), "pbx", b"s" * 32, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        DigestServer(Ids(), "pbx", b"short")


def test_no_secret_shows() -> None:
    assert "secret" not in repr(ALICE)
    assert BY_HASH.ha1["MD5"] not in repr(BY_HASH)


# -- the client alone


def test_several_realms_and_proxies() -> None:
    client = DigestClient(lambda realm: {"a": ALICE, "b": BY_HASH, "p": ALICE}.get(realm))
    request = a_request()
    response = make_response(request, 407)
    for name, realm in (("WWW-Authenticate", "a"), ("Proxy-Authenticate", "p"), ("WWW-Authenticate", "unknown")):
        response.headers.add(name, f'Digest realm="{realm}", nonce="n", qop="auth-int,auth", algorithm=MD5')
    assert client.answer(request, response, "c")
    assert [parse_auth(value)[1]["realm"] for value in request.headers.all("Authorization")] == ["a"]
    assert [parse_auth(value)[1]["realm"] for value in request.headers.all("Proxy-Authorization")] == ["p"]
    # A second proxy asks when the first is content: what was known is sent along.
    response = make_response(request, 407)
    response.headers.add("Proxy-Authenticate", 'Digest realm="b", nonce="m", algorithm=SHA-256')
    assert client.answer(request, response, "c")
    assert [parse_auth(value)[1]["realm"] for value in request.headers.all("Proxy-Authorization")] == ["p", "b"]
    assert not client.answer(request, make_response(request, 407), "c")


@pytest.mark.parametrize(
    "challenge",
    [
        'Digest realm="a", nonce="n", algorithm=ROT13',
        'Digest realm="a", nonce="n", qop="auth-conf"',
        'Digest realm="a"',
        'Digest nonce="n"',
        "Digest nonsense",
        "Basic realm=a",
        "",
    ],
)
def test_challenges_that_cannot_be_answered(challenge: str) -> None:
    assert answer_challenge([challenge], lambda realm: ALICE, "INVITE", "sip:a", b"", "c") == []


def test_session_algorithms_are_answered() -> None:
    [(name, value)] = answer_challenge(
        ['Digest realm="a", nonce="n", algorithm=MD5-sess, qop="auth"'],
        lambda realm: ALICE,
        "INVITE",
        "sip:a",
        b"",
        "c",
        proxy=True,
        count=2,
    )
    params = parse_auth(value)[1]
    ha1 = ALGORITHMS["MD5"](f"{hash_a1('MD5', '101', 'a', 'secret')}:n:c".encode())
    assert name == "Proxy-Authorization"
    assert params["algorithm"] == "MD5-sess"
    assert params["response"] == digest_response(
        "MD5", ha1, "n", "INVITE", "sip:a", qop="auth", nc="00000002", cnonce="c"
    )


def test_a_name_that_is_not_ascii() -> None:
    credential = Credential("jörg", "pw")
    pair = Pair(credential)
    request = a_request()
    assert pair.challenge(request)
    assert "username*=UTF-8''j%C3%B6rg" in request.headers.all("Authorization")[0]
    verdict = pair.server.check(
        request.headers.all("Authorization"), "INVITE", URI, b"", pair.now, {"jörg": credential}.get
    )
    assert verdict == Verdict(Outcome.OK, "jörg")


@given(st.text(max_size=100) | st.from_regex(r'Digest ([a-z*]{1,9}="?[^"]{0,9}"?, ){0,9}[a-z]=.', fullmatch=True))
def test_any_value_is_judged(value: str) -> None:
    pair = Pair()
    assert not pair.server.check([value], "INVITE", URI, b"", pair.now, pair.lookup).ok
    answer_challenge([value], lambda realm: ALICE, "INVITE", "sip:a", b"", "c")


@given(
    st.dictionaries(
        st.sampled_from("username realm nonce uri response qop nc cnonce algorithm username*".split()),  # noqa: SIM905
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"\\'), max_size=12)
        | st.sampled_from(["pbx", "auth", "MD5", "00000001", "sip:102@x", "101", "UTF-8''%FF"]),
    )
)
def test_any_credentials_are_judged(params: dict[str, str]) -> None:
    pair = Pair()
    nonce = parse_auth(pair.server.challenges(pair.now)[0])[1]["nonce"]
    value = "Digest " + ", ".join(f'{name}="{text}"' for name, text in ({"nonce": nonce} | params).items())
    assert not pair.server.check([value], "INVITE", URI, b"", pair.now, pair.lookup).ok
