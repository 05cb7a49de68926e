"""A phone's whole life among fakes: registering, calling, being called, and the end of each."""

from __future__ import annotations

import pytest

from pbx.media import commands as c
from pbx.media import events as e
from pbx.phone import notices as n
from pbx.phone.plan import Plan
from pbx.phone.table import TABLE, Action, Input, State
from pbx.sip.headers import Headers
from pbx.sip.message import Request
from tests.support.fake_stack import FLOW, FakeServer
from tests.support.phone import ANSWER, PhoneDesk, sdp_body

CALL = Plan(target="600")
WAIT = Plan(wait=True)


# -- registering


def test_registers_and_leaves() -> None:
    desk = PhoneDesk()
    desk.phone.start()
    assert desk.one(n.Registering) == n.Registering("101@pbx.example.com", "udp pbx.example.com")
    request = desk.open("REGISTER").request
    assert request.contacts[0].params["expires"] == "300"
    desk.answer("REGISTER", 200, Expires="120")
    assert desk.one(n.Registered) == n.Registered("101", 120, "sip:101@192.0.2.1:5060")
    assert desk.beneath.kept_alive == [(FLOW, 25.0)]
    desk.stack.clock.advance(0)
    desk.leave()
    assert desk.one(n.Unregistered).confirmed
    assert desk.codes == [0]
    desk.nothing_left()


def test_stays_registered_for_a_while() -> None:
    desk = PhoneDesk(Plan(duration=100))
    desk.phone.start()
    desk.answer("REGISTER", 200, Expires="60", Flow_Timer="20")
    assert desk.beneath.kept_alive == [(FLOW, 18.0)]
    desk.names()
    desk.stack.clock.advance(35)
    desk.answer("REGISTER", 200, Expires="60")
    assert desk.names() == []
    desk.stack.clock.advance(35)
    desk.answer("REGISTER", 503, Retry_After="5")
    trouble = desk.one(n.RegistrationTrouble)
    assert trouble.retry >= 5
    assert "503" in trouble.text
    desk.stack.clock.advance(trouble.retry)
    desk.answer("REGISTER", 200, Expires="60")
    assert desk.names() == ["Registered"]
    desk.stack.clock.advance_to(100)
    desk.leave()
    assert desk.codes == [0]
    desk.nothing_left()


@pytest.mark.parametrize(
    ("status", "password", "words"),
    [
        (403, "secret", "does not accept this user name and password (403 Forbidden)"),
        (404, "secret", "refuses the registration (404 Not Found)"),
        (500, "secret", "cannot take the registration now (500"),
        (401, "", "asks for a password; give --password or set SIP_PASSWORD"),
    ],
)
def test_a_registration_that_fails_ends_the_phone(status: int, password: str, words: str) -> None:
    desk = PhoneDesk(CALL, password)
    desk.phone.start()
    headers = {"WWW_Authenticate": 'Digest realm="r", nonce="n", algorithm=SHA-256'} if status == 401 else {}
    desk.answer("REGISTER", status, **headers)
    assert words in desk.one(n.RegistrationTrouble).text
    desk.leave()
    assert desk.codes == [1]
    assert desk.stack.all("INVITE") == []
    desk.nothing_left()


def test_proof_of_another_kind_is_asked_for() -> None:
    desk = PhoneDesk()
    desk.phone.start()
    desk.answer("REGISTER", 401, WWW_Authenticate='Digest realm="r", nonce="n", algorithm=WHIRLPOOL')
    assert "of another kind" in desk.one(n.RegistrationTrouble).text


@pytest.mark.parametrize(
    ("kind", "words"), [("timeout", "does not answer"), ("transport", "the server cannot be reached: test transport")]
)
def test_a_server_that_is_not_there(kind: str, words: str) -> None:
    desk = PhoneDesk(CALL)
    desk.phone.start()
    desk.open("REGISTER").fail(kind)
    assert words in desk.one(n.RegistrationTrouble).text
    desk.leave()
    assert desk.codes == [1]
    desk.nothing_left()


def test_a_server_that_keeps_silent_is_not_waited_for_long() -> None:
    desk = PhoneDesk(CALL)
    desk.phone.start()
    desk.stack.clock.advance(10)
    assert "does not answer" in desk.one(n.RegistrationTrouble).text
    desk.stack.clock.advance(4.1)
    assert desk.codes == [1]
    desk.nothing_left()


def test_a_connection_that_is_lost_is_made_anew() -> None:
    desk = PhoneDesk(WAIT)
    desk.register()
    desk.phone.on_flow_closed(FLOW)
    assert len(desk.stack.all("REGISTER")) == 2
    desk.answer("REGISTER", 200, Expires="300")


# -- calling


def test_a_call() -> None:
    desk = PhoneDesk(Plan(target="600", duration=5.0))
    desk.register()
    assert desk.one(n.Calling).uri == "sip:600@pbx.example.com"
    assert desk.beneath.asked == ["sip:pbx.example.com;transport=udp"]
    opened = desk.last(c.Open)
    assert opened.address == "192.0.2.1"
    desk.open_ports()
    invite = desk.open("INVITE").request
    assert invite.from_.uri.user == "101"
    assert b"m=audio 20000 RTP/AVP 0 101" in invite.body
    desk.answer("INVITE", 180)
    desk.answer("INVITE", 180)
    assert desk.names() == ["Ringing"]
    desk.answer("INVITE", 200, ANSWER)
    assert desk.one(n.Answered) == n.Answered("PCMU", "198.51.100.7:4000")
    assert len(desk.stack.acks) == 1
    assert desk.last(c.SetRemote).address == "198.51.100.7"
    # Nothing to say: silence, again and again.
    assert (desk.last(c.Play).sounds[0], desk.last(c.Play).loop) == ("silence-1.0", True)
    desk.stack.clock.advance(5)
    assert desk.open("BYE")
    ended = desk.one(n.HungUp)
    assert (ended.who, ended.answered, ended.seconds) == (n.Who.US, True, 5.0)
    desk.close_ports(
        received_packets=250, sent_packets=250, lost=2, jitter=1.5, payload_type=0, rtcp_received=2, remote_lost=1
    )
    quality = desk.one(n.Quality)
    assert (quality.codec, quality.sent, quality.received, quality.lost) == ("PCMU", 250, 250, 2)
    assert quality.mos is not None
    assert quality.remote_lost == 1
    assert desk.codes == []
    desk.leave()
    assert desk.codes == [0]
    desk.nothing_left()


def test_early_media_is_heard_and_answered_with_silence() -> None:
    desk = PhoneDesk(Plan(target="600", record="/r.wav", play="/p.wav"))
    desk.register()
    desk.open_ports()
    desk.names()
    desk.answer("INVITE", 183, ANSWER)
    assert desk.one(n.EarlyMedia) == n.EarlyMedia("PCMU", "198.51.100.7:4000")
    assert desk.last(c.Play).sounds[0] == "silence-1.0"
    assert desk.last(c.Record).path == "/r.wav.scratch"
    assert desk.last(c.Record).right == ""
    desk.answer("INVITE", 200, ANSWER)
    assert desk.names() == ["Answered"]
    assert desk.last(c.Play).sounds[0] == "/p.wav"
    assert len(desk.commands(c.Record)) == 1


def test_a_password_is_asked_for_when_calling() -> None:
    desk = PhoneDesk(CALL)
    desk.register()
    desk.open_ports()
    desk.answer("INVITE", 407, Proxy_Authenticate='Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth"')
    assert "algorithm=SHA-256" in (desk.open("INVITE").request.headers.get("Proxy-Authorization") or "")
    desk.answer("INVITE", 407, Proxy_Authenticate='Digest realm="r", nonce="n2", algorithm=SHA-256, qop="auth"')
    ended = desk.one(n.HungUp)
    assert "user name and password" in ended.text
    assert (ended.who, ended.status) == (n.Who.PEER, 407)


@pytest.mark.parametrize(
    ("status", "cause"), [(486, "busy"), (404, "number-unknown"), (603, "declined"), (503, "callee-overloaded")]
)
def test_a_call_that_is_refused(status: int, cause: str) -> None:
    desk = PhoneDesk(CALL)
    desk.register()
    desk.open_ports()
    desk.answer("INVITE", status)
    ended = desk.one(n.HungUp)
    assert (ended.cause, ended.answered, ended.who, ended.status) == (cause, False, n.Who.PEER, status)
    desk.close_ports()
    desk.leave()
    assert desk.codes == [1]
    desk.nothing_left()


def test_a_redirection_is_told() -> None:
    desk = PhoneDesk(CALL)
    desk.register()
    desk.open_ports()
    desk.answer("INVITE", 302, Contact="<sip:601@example.com>")
    assert desk.one(n.HungUp).detail.endswith("to sip:601@example.com")


def test_a_call_that_nobody_answers_for_is_the_networks_fault() -> None:
    desk = PhoneDesk(CALL)
    desk.register()
    desk.open_ports()
    desk.open("INVITE").fail("timeout")
    ended = desk.one(n.HungUp)
    assert (ended.who, ended.cause) == (n.Who.NETWORK, "callee-timeout")


def test_a_call_whose_peer_vanishes_did_not_end_well() -> None:
    desk = PhoneDesk(Plan(target="600", duration=3600))
    desk.call()
    info = desk.request("INFO", b"x", "text/plain")
    assert info.last.status == 200
    assert desk.one(n.TextHeard).text == "x"
    desk.phone.interrupt()
    desk.stack.all("BYE")[0].fail()
    desk.close_ports()
    desk.leave()
    assert desk.codes == [130]
    desk.nothing_left()


def test_hang_up_after_counts_from_the_beginning() -> None:
    desk = PhoneDesk(Plan(target="600", hang_up_after=2.0))
    desk.register()
    desk.open_ports()
    desk.answer("INVITE", 180)
    desk.stack.clock.advance(2)
    assert desk.open("INVITE").cancelled is not None
    assert desk.one(n.HungUp).who is n.Who.US
    desk.answer("INVITE", 487)
    desk.close_ports()
    desk.leave()
    assert desk.codes == [1]
    desk.nothing_left()


def test_without_an_address_nothing_is_called() -> None:
    desk = PhoneDesk(CALL)
    desk.beneath.targets = ()
    desk.register()
    assert desk.one(n.Fault).text == "sip:600@pbx.example.com cannot be called: pbx.example.com has no address"
    desk.leave()
    assert desk.codes == [1]
    other = PhoneDesk(CALL)
    other.beneath.source = ""
    other.register()
    assert "no network leads to 198.51.100.7" in other.one(n.Fault).text
    other.leave()
    assert other.codes == [1]
    other.nothing_left()


def test_without_registration() -> None:
    desk = PhoneDesk(Plan(target="sip:bob@198.51.100.7", register=False))
    desk.phone.start()
    assert desk.stack.all("REGISTER") == []
    desk.open_ports()
    assert str(desk.open("INVITE").request.uri) == "sip:bob@198.51.100.7"


def test_ports_that_cannot_be_had() -> None:
    desk = PhoneDesk(CALL)
    desk.register()
    desk.tell(e.Closed(desk.last(c.Open).stream, e.StreamStatistics(), "every port is in use"))
    assert "every port is in use" in desk.one(n.Fault).text
    desk.leave()
    assert desk.codes == [1]
    assert desk.stack.all("INVITE") == []
    desk.nothing_left()


def test_an_answer_that_cannot_be_used_ends_the_call() -> None:
    desk = PhoneDesk(CALL)
    desk.call(sdp_body(formats="18"))
    assert desk.one(n.HungUp).cause == "media-refused"
    desk.close_ports()
    desk.leave()
    assert desk.codes == [1]
    desk.nothing_left()


# -- in a call


def test_held_and_resumed() -> None:
    desk = PhoneDesk(CALL)
    desk.call()
    desk.names()
    held = desk.request("INVITE", sdp_body(direction="sendonly", version=2))
    assert held.last.status == 200
    assert b"a=recvonly" in held.last.body
    assert desk.one(n.Held).music
    assert not desk.last(c.SetRemote).send
    desk.request("ACK")
    again = desk.request("UPDATE", sdp_body(version=3, port=4010))
    assert b"a=sendrecv" in again.last.body or b"a=recvonly" not in again.last.body
    assert desk.names() == ["Resumed", "MediaChanged"]
    assert desk.last(c.SetRemote).send
    desk.request("UPDATE", sdp_body(direction="inactive", version=4, port=4010))
    assert not desk.one(n.Held).music
    desk.request("UPDATE", sdp_body(address="0.0.0.0", version=5, port=4010))
    assert desk.names() == []


def test_offers_that_cannot_be_met_change_nothing() -> None:
    desk = PhoneDesk(CALL)
    desk.call()
    desk.names()
    for body in (sdp_body(formats="18", version=2), sdp_body(port=0, version=3)):
        refused = desk.request("UPDATE", body)
        assert refused.last.status == 488
    assert desk.names() == []
    assert desk.request("UPDATE", sdp_body(version=4, port=4020)).last.status == 200


def test_an_offer_that_is_asked_for() -> None:
    desk = PhoneDesk(CALL)
    desk.call()
    desk.names()
    asked = desk.request("INVITE")
    assert asked.last.status == 200
    assert b"m=audio 20000" in asked.last.body


def test_play_then_silence() -> None:
    desk = PhoneDesk(Plan(target="600", play="/p.wav"))
    desk.call()
    play = desk.last(c.Play)
    assert (play.sounds[0], play.loop) == ("/p.wav", False)
    desk.tell(e.PlayEnded(play.stream, play.play, "", 1500))
    assert desk.one(n.PlayEnded) == n.PlayEnded("/p.wav", 1.5)
    assert desk.last(c.Play).sounds[0] == "silence-1.0"


def test_a_sound_that_cannot_be_played_fails_the_call() -> None:
    desk = PhoneDesk(Plan(target="600", play="/p.wav"))
    desk.call()
    play = desk.last(c.Play)
    desk.tell(e.PlayEnded(play.stream, play.play, "a WAV file of 24 bits"))
    assert desk.one(n.PlayEnded).failure == "a WAV file of 24 bits"
    assert desk.one(n.HungUp).who is n.Who.US
    desk.close_ports()
    desk.leave()
    assert desk.codes == [1]
    desk.nothing_left()


def test_an_echo_begins_with_a_little_silence() -> None:
    desk = PhoneDesk(Plan(target="600", echo=True))
    desk.call()
    echo, play = desk.last(c.Connect), desk.last(c.Play)
    assert echo.left == echo.right
    assert (play.sounds[0], play.loop) == ("silence-0.2", False)
    plays = len(desk.commands(c.Play))
    desk.tell(e.PlayEnded(play.stream, play.play, "", 200))
    assert len(desk.commands(c.Play)) == plays
    assert "PlayEnded" not in desk.names()


def test_a_recording_is_awaited() -> None:
    desk = PhoneDesk(Plan(target="600", record="/r.wav", duration=1.0))
    desk.call()
    recording = desk.last(c.Record)
    desk.stack.clock.advance(1)
    desk.close_ports()
    desk.leave()
    assert desk.codes == []
    desk.tell(e.RecordingEnded(recording.recording, "/r.wav.scratch", 1000, 16000, "0" * 64))
    assert desk.one(n.RecordingEnded) == n.RecordingEnded("/r.wav", 1.0)
    desk.leave()
    assert desk.codes == [0]
    desk.nothing_left()


@pytest.mark.parametrize("kept", [True, False])
def test_a_recording_that_fails_fails_the_call(kept: bool) -> None:
    desk = PhoneDesk(Plan(target="600", record="/r.wav", duration=1.0))
    desk.call()
    recording = desk.last(c.Record)
    desk.stack.clock.advance(1)
    desk.close_ports()
    if kept:
        desk.beneath.failure = "/r.wav cannot be written"
        desk.tell(e.RecordingEnded(recording.recording, "/r.wav.scratch", 1000, 16000, "0" * 64))
    else:
        desk.tell(e.RecordingFailed(recording.recording, "/r.wav.scratch", "No space left on device"))
    assert desk.one(n.RecordingEnded).failure
    desk.leave()
    assert desk.codes == [1]
    desk.nothing_left()


def test_an_engine_that_does_not_come_to_an_end_is_not_waited_for() -> None:
    desk = PhoneDesk(Plan(target="600", duration=1.0))
    desk.call()
    desk.stack.clock.advance(1)
    desk.answer("BYE", 200)
    desk.stack.clock.advance(4)
    desk.leave()
    assert desk.codes == [0]
    desk.nothing_left()


def test_keys_are_pressed_with_pauses() -> None:
    desk = PhoneDesk(Plan(target="600", keys="12,3"))
    desk.call()
    desk.names()
    desk.stack.clock.advance(0.5)
    assert desk.last(c.SendDigits).digits == "12"
    assert desk.one(n.KeysSent) == n.KeysSent("12", "rtp")
    desk.stack.clock.advance(1.7)
    assert desk.last(c.SendDigits).digits == "3"


def test_keys_go_by_info_where_there_are_no_events() -> None:
    desk = PhoneDesk(Plan(target="600", keys="1#"))
    desk.call(sdp_body(formats="0"))
    desk.stack.clock.advance(1.0)
    assert desk.one(n.KeysSent) == n.KeysSent("1#", "info")
    assert desk.commands(c.SendDigits) == []
    bodies = [client.request.body for client in desk.stack.all("INFO")]
    assert bodies == [b"Signal=1\r\nDuration=160\r\n", b"Signal=#\r\nDuration=160\r\n"]
    desk.answer("INFO", 200)
    assert desk.names() == []
    desk.answer("INFO", 415)
    assert "415" in desk.one(n.KeysSent).failure


def test_keys_and_changes_that_are_heard() -> None:
    desk = PhoneDesk(CALL)
    desk.call()
    desk.names()
    stream = desk.last(c.Open).stream
    desk.tell(
        e.Digit(stream, "5", 120),
        e.Latched(stream, "198.51.100.7", 4000),
        e.Latched(stream, "203.0.113.9", 1024),
        e.NoMedia(stream, 10000),
        e.Statistics(stream, e.StreamStatistics()),
    )
    assert desk.one(n.KeyHeard) == n.KeyHeard("5", 120, "rtp")
    assert desk.one(n.Moved).address == "203.0.113.9:1024"
    assert desk.one(n.Silent).seconds == 10.0
    desk.request("INFO", b"Signal=9\r\nDuration=100\r\n", "application/dtmf-relay")
    assert desk.one(n.KeyHeard) == n.KeyHeard("9", 100, "info")
    desk.request("INFO", b"\x00", "application/octet-stream")
    assert desk.names() == []


def test_the_peer_hangs_up() -> None:
    desk = PhoneDesk(CALL)
    desk.call()
    desk.stack.clock.advance(3)
    assert desk.request("BYE").last.status == 200
    ended = desk.one(n.HungUp)
    assert (ended.who, ended.seconds) == (n.Who.PEER, 3.0)
    desk.close_ports()
    desk.leave()
    assert desk.codes == [0]
    desk.nothing_left()


# -- being called


def test_waits_and_answers() -> None:
    desk = PhoneDesk(Plan(wait=True, answer_after=2.0, duration=1.0))
    desk.register()
    assert desk.one(n.Waiting).contact == "sip:101@192.0.2.1:5060"
    server = desk.invite()
    assert desk.one(n.Called) == n.Called("102", "Bob", "101")
    assert desk.one(n.Ringing).here
    assert server.last.status == 180
    desk.open_ports()
    desk.stack.clock.advance(1.9)
    assert server.last.status == 180
    desk.stack.clock.advance(0.1)
    assert server.last.status == 200
    assert desk.one(n.Answered) == n.Answered("PCMU", "198.51.100.7:4000", here=True)
    desk.request("ACK", invite=server)
    # One call at a time.
    assert desk.invite().last.status == 486
    desk.stack.clock.advance(1)
    assert desk.open("BYE")
    desk.close_ports()
    desk.leave()
    assert desk.codes == [0]
    desk.nothing_left()


def test_a_caller_without_an_offer_gets_ours() -> None:
    desk = PhoneDesk(WAIT)
    desk.register()
    server = desk.invite(b"")
    desk.stack.clock.advance(0)
    assert server.last.status == 180
    desk.open_ports()
    assert server.last.status == 200
    assert b"m=audio 20000" in server.last.body
    assert "Answered" not in desk.names()
    desk.request("ACK", ANSWER, invite=server)
    assert desk.one(n.Answered).here
    assert desk.last(c.SetRemote).port == 4000


def test_it_is_not_transferred() -> None:
    """Who asks for it is told so at once, and does not wait half a minute for an answer."""
    desk = PhoneDesk(CALL)
    desk.call()
    asked = desk.request("REFER", headers=[("Refer-To", "<sip:103@pbx.example.com>")])
    assert asked.last.status == 603
    desk.phone.interrupt()
    desk.close_ports()
    desk.leave()
    desk.nothing_left()


def test_a_caller_that_gives_up() -> None:
    desk = PhoneDesk(Plan(wait=True, answer_after=10))
    desk.register()
    server = desk.invite()
    desk.open_ports()
    desk.phone.door.on_cancel(server, server.request)
    assert server.last.status == 487
    ended = desk.one(n.HungUp)
    assert (ended.who, ended.cause) == (n.Who.PEER, "cancelled")
    desk.close_ports()
    desk.leave()
    assert desk.codes == [1]
    desk.nothing_left()


def test_a_caller_that_cannot_be_understood() -> None:
    desk = PhoneDesk(WAIT)
    desk.register()
    assert desk.invite(sdp_body(formats="18", port=0)).last.status == 488
    desk.leave()
    assert desk.codes == [1]
    desk.nothing_left()
    other = PhoneDesk(WAIT)
    other.register()
    server = other.invite(sdp_body(formats="18"))
    other.open_ports()
    other.stack.clock.advance(0)
    assert server.last.status == 488


def test_a_broken_call_does_not_end_the_wait() -> None:
    desk = PhoneDesk(WAIT)
    desk.register()
    headers = Headers(
        (
            ("Via", "SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKbroken"),
            ("From", "<sip:x@y>;tag=1"),
            ("To", "<sip:101@192.0.2.1>"),
            ("Call-ID", "broken"),
            ("CSeq", "1 INVITE"),
            ("Require", "time-travel"),
            ("Contact", "<sip:x@y>"),
        )
    )
    server = FakeServer(Request("INVITE", "sip:101@192.0.2.1", headers, b""), FLOW)
    desk.phone.door.on_request(server, server.request)
    assert server.last.status == 420
    assert desk.phone.state is State.IDLE
    assert desk.invite().last.status == 180


def test_who_does_not_wait_is_busy() -> None:
    desk = PhoneDesk(CALL)
    desk.register()
    assert desk.invite().last.status == 486


@pytest.mark.parametrize(
    ("method", "status"),
    [("OPTIONS", 200), ("MESSAGE", 405), ("NOTIFY", 481), ("BYE", 481), ("REFER", 405), ("DANCE", 501)],
)
def test_other_requests_outside_a_call(method: str, status: int) -> None:
    desk = PhoneDesk(WAIT)
    desk.register()
    headers = Headers(
        (
            ("Via", "SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKother"),
            ("From", "<sip:x@y>;tag=1"),
            ("To", "<sip:101@192.0.2.1>"),
            ("Call-ID", "other"),
            ("CSeq", f"1 {method}"),
        )
    )
    server = FakeServer(Request(method, "sip:101@192.0.2.1", headers), FLOW)
    desk.phone.door.on_request(server, server.request)
    assert server.last.status == status
    assert ("Allow" in server.last.headers) == (status in (200, 405, 501))
    headers.set("To", "<sip:101@192.0.2.1>;tag=gone")
    server = FakeServer(Request(method, "sip:101@192.0.2.1", headers), FLOW)
    desk.phone.door.on_request(server, server.request)
    assert server.last.status == 481


# -- Ctrl-C


def test_interrupted_while_registering() -> None:
    desk = PhoneDesk(CALL)
    desk.phone.start()
    desk.phone.interrupt()
    # The first REGISTER is awaited, then what it has done is undone.
    desk.answer("REGISTER", 200, Expires="300")
    assert desk.open("REGISTER").request.contacts[0].params["expires"] == "0"
    desk.leave()
    assert desk.codes == [130]
    desk.nothing_left()


def test_interrupted_while_it_rings() -> None:
    desk = PhoneDesk(CALL)
    desk.register()
    desk.open_ports()
    desk.answer("INVITE", 180)
    desk.phone.interrupt()
    assert desk.open("INVITE").cancelled is not None
    desk.close_ports()
    desk.answer("REGISTER", 200)
    desk.stack.clock.advance(0.1)
    assert desk.codes == []
    desk.answer("INVITE", 487)
    desk.stack.clock.advance(0.1)
    assert desk.codes == [130]
    desk.nothing_left()


def test_interrupted_before_the_ports_are_there() -> None:
    desk = PhoneDesk(CALL)
    desk.register()
    desk.phone.interrupt()
    desk.open_ports()
    desk.close_ports()
    desk.leave()
    assert desk.codes == [130]
    assert desk.stack.all("INVITE") == []
    desk.nothing_left()


def test_interrupted_in_a_call_whose_server_is_gone() -> None:
    desk = PhoneDesk(CALL)
    desk.call()
    desk.phone.interrupt()
    desk.close_ports()
    desk.stack.clock.advance(4.1)
    assert desk.codes == [130]


def test_interrupted_twice() -> None:
    desk = PhoneDesk(CALL)
    desk.call()
    desk.phone.interrupt()
    desk.phone.interrupt()
    assert desk.codes == [130]


def test_interrupted_before_the_start_and_while_waiting() -> None:
    desk = PhoneDesk(CALL)
    desk.phone.interrupt()
    assert desk.codes == [130]
    other = PhoneDesk(WAIT)
    other.register()
    other.phone.interrupt(143)
    other.leave()
    assert other.codes == [143]
    other.nothing_left()


def test_interrupted_while_ringing_here() -> None:
    desk = PhoneDesk(Plan(wait=True, answer_after=10))
    desk.register()
    server = desk.invite()
    desk.open_ports()
    desk.phone.interrupt()
    assert server.last.status == 603
    desk.close_ports()
    desk.leave()
    assert desk.codes == [130]
    desk.nothing_left()


# -- the table


@pytest.mark.parametrize("given", Input)
@pytest.mark.parametrize("state", State)
def test_every_pair_of_the_table_is_defined(state: State, given: Input) -> None:
    action, target = TABLE[state][given]
    assert set(TABLE) == set(State)
    assert set(TABLE[state]) == set(Input)
    if target is None:
        assert action is Action.NOTHING
    if given is Input.INTERRUPT and state is not State.GONE:
        assert target in (State.HANGING_UP, State.LEAVING, State.GONE)
    if given is Input.LATE:
        assert target in (None, State.LEAVING, State.GONE)
    desk = PhoneDesk()
    assert callable(getattr(desk.phone, action.value))
