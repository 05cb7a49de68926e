"""What each switch of a profile changes in the messages to a carrier; and who calls, in every way of saying it."""

from __future__ import annotations

import pytest

from pbx.call import commands, events
from pbx.call.commands import Party, Redirection
from pbx.call.leg import LegSettings
from pbx.call.leg.identities import redirections_of
from pbx.call.leg.profile import Profile
from pbx.sip.headers import Headers
from pbx.sip.message import Request
from pbx.sip.stack import Destination
from pbx.sip.uri import Uri
from tests.support.legs import Bench, body, sdp

ALICE = Party("+4930101", "Alice")
HIDDEN = Party("+4930101", "Alice", anonymous=True)
CARRIER = Destination(Uri.parse("sip:+4989200@carrier.example"))
DIVERTED = (Redirection(Party("+4930103", "Carol"), "user-busy"), Redirection(Party("+4930102", "", True), "lunch"))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def invite(bench: Bench, profile: Profile, caller: Party = ALICE, **dial: object) -> dict[str, str]:
    settings = LegSettings(domain="pbx.example", profile=profile)
    words = {"destination": CARRIER, "called": Party("+4989200"), "caller": caller, "settings": settings} | dial
    request = bench.outbound(**words).client.request
    found = {name: value.partition(";tag=")[0] for name, value in request.headers}
    return found | {"uri": str(request.uri)}


def who(message: dict[str, str]) -> dict[str, str]:
    names = ("From", "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Privacy", "Diversion")
    return {name: message[name] for name in (*names, "History-Info") if name in message}


@pytest.mark.parametrize(
    ("profile", "caller", "expected"),
    [
        (Profile(), ALICE, {"From": '"Alice" <sip:+4930101@pbx.example>'}),
        (
            Profile(identity="p-asserted-identity"),
            ALICE,
            {
                "From": '"Alice" <sip:+4930101@pbx.example>',
                "P-Asserted-Identity": '"Alice" <sip:+4930101@pbx.example>',
            },
        ),
        (
            Profile(identity="p-preferred-identity", account="pbx-7"),
            ALICE,
            {
                "From": '"Alice" <sip:pbx-7@pbx.example>',
                "P-Preferred-Identity": '"Alice" <sip:+4930101@pbx.example>',
            },
        ),
        (
            Profile(identity="remote-party-id", plus="strip", user_phone=True),
            ALICE,
            {
                "From": '"Alice" <sip:4930101@pbx.example;user=phone>',
                "Remote-Party-ID": '"Alice" <sip:4930101@pbx.example;user=phone>;party=calling;privacy=off;screen=yes',
            },
        ),
        # Who withholds its number is told to nobody who is not trusted.
        (
            Profile(identity="p-asserted-identity", account="pbx-7"),
            HIDDEN,
            {"From": '"Anonymous" <sip:anonymous@anonymous.invalid>', "Privacy": "id"},
        ),
        (
            Profile(identity="p-asserted-identity", trusted=True),
            HIDDEN,
            {
                "From": '"Anonymous" <sip:anonymous@anonymous.invalid>',
                "Privacy": "id",
                "P-Asserted-Identity": '"Alice" <sip:+4930101@pbx.example>',
            },
        ),
        (
            Profile(identity="remote-party-id", trusted=True),
            HIDDEN,
            {
                "From": '"Anonymous" <sip:anonymous@anonymous.invalid>',
                "Privacy": "id",
                "Remote-Party-ID": '"Alice" <sip:+4930101@pbx.example>;party=calling;privacy=full;screen=yes',
            },
        ),
    ],
)
def test_who_calls(bench: Bench, profile: Profile, caller: Party, expected: dict[str, str]) -> None:
    assert who(invite(bench, profile, caller)) == expected


def test_who_redirected_it(bench: Bench) -> None:
    plain = invite(bench, Profile(diversion="diversion"), redirections=DIVERTED[:1])
    assert plain["Diversion"] == '"Carol" <sip:+4930103@pbx.example>;reason=user-busy;counter=1;privacy=off'
    hidden = invite(bench, Profile(diversion="diversion"), redirections=DIVERTED[1:])
    assert "anonymous@anonymous.invalid>;reason=unknown;counter=1;privacy=full" in hidden["Diversion"]
    assert "+4930102" not in hidden["Diversion"]
    trusted = invite(bench, Profile(diversion="diversion", trusted=True), redirections=DIVERTED[1:])
    assert trusted["Diversion"] == "<sip:+4930102@pbx.example>;reason=unknown;counter=1;privacy=full"
    history = invite(bench, Profile(diversion="history-info", trusted=True), redirections=DIVERTED)
    assert history["History-Info"] == (
        "<sip:+4930102@pbx.example?Privacy=history>;index=1, "
        '"Carol" <sip:+4930103@pbx.example;cause=404>;index=1.1, '
        "<sip:+4989200@pbx.example;cause=486>;index=1.1.1"
    )
    assert "Diversion" not in invite(bench, Profile(), redirections=DIVERTED)
    # What a route passes on does not stand beside what is made from what was read.
    doubled = invite(
        bench, Profile(diversion="diversion"), redirections=DIVERTED[:1], headers=(("Diversion", "<sip:1@a>"),)
    )
    assert doubled["Diversion"].startswith('"Carol"')


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((("Diversion", "<sip:102@a>;reason=no-answer"),), [("102", "no-answer", False)]),
        (
            (("History-Info", "<sip:102@a>;index=1, <sip:103@a;cause=302>;index=1.1"),),
            [("102", "unconditional", False)],
        ),
        ((("Diversion", "<nonsense"),), []),
        ((), []),
    ],
)
def test_redirections_are_read(headers: tuple[tuple[str, str], ...], expected: list[tuple[str, str, bool]]) -> None:
    found = redirections_of(Request("INVITE", "sip:100@example.com", Headers(headers), b""))
    assert [(one.party.number, one.reason, one.party.anonymous) for one in found] == expected


def test_how_numbers_are_written(bench: Bench) -> None:
    message = invite(bench, Profile(plus="strip", user_phone=True))
    assert message["uri"] == "sip:4989200@carrier.example;user=phone"
    assert message["To"] == "<sip:4989200@pbx.example;user=phone>"
    message = invite(
        bench,
        Profile(plus="add"),
        Party("4930101"),
        destination=Destination(Uri.parse("sip:4989200@carrier.example")),
        called=Party("4989200"),
    )
    assert (message["uri"], message["From"]) == ("sip:+4989200@carrier.example", "<sip:+4930101@pbx.example>")
    # A name is no number.
    message = invite(bench, Profile(user_phone=True, plus="add"), Party("alice"))
    assert message["From"] == "<sip:alice@pbx.example>"


def test_the_user_part_of_our_contact(bench: Bench) -> None:
    profile = Profile(contact_user="pbx-7")
    assert invite(bench, profile)["Contact"] == "<sip:pbx-7@192.0.2.1:5060>"
    peer = bench.inbound(settings=LegSettings(profile=profile))
    peer.do(commands.Ring("in"))
    assert peer.server.last.headers.get("Contact") == "<sip:pbx-7@192.0.2.1:5060>"


def test_a_peer_that_takes_no_180(bench: Bench) -> None:
    peer = bench.inbound(settings=LegSettings(profile=Profile(ringing=183)))
    peer.do(commands.Ring("in"))
    assert peer.server.statuses == [183]
    peer.do(commands.Progress("in", sdp(5000), ringing=True))
    assert peer.server.statuses == [183, 183]


def test_early_media_that_is_not_wanted(bench: Bench) -> None:
    peer = bench.outbound(settings=LegSettings(profile=Profile(early_media=False)))
    peer.respond(183, body(4000))
    bench.told(events.Ringing)
    peer.respond(200, body(4000))
    assert bench.told(events.Answered).sdp == sdp(4000)


def test_without_prack_and_session_timers(bench: Bench) -> None:
    settings = LegSettings(reliable_provisionals=False, session_timers=False, session_expires=0)
    message = invite(bench, Profile(), settings=settings)
    assert "Supported" not in message
    assert "Session-Expires" not in message
