"""The capture ring, the ladder and the capture file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pbx.net.ladder import ladder
from pbx.net.pcap import pcap
from pbx.net.trace import Captured, Trace, call_id_of, redacted
from pbx.sip.stack import Flow

EPOCH = 1_795_176_000.0
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/SAVP 8 0 111 101\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32\r\n"
    b"a=sendonly\r\n"
)
DIGEST = (
    b'Authorization: Digest username="101", realm="pbx", nonce="n0", uri="sip:b@x",\r\n'
    b' response="0123456789abcdef0123456789abcdef", cnonce="c0", nc=00000001, qop=auth\r\n'
)
PHONE = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.10", 5062))
CARRIER = Flow("tls", ("2001:db8::1", 40_000), ("2001:db8::20", 5061), 3)
OTHER = Flow("tcp", ("192.0.2.1", 5070), ("192.0.2.30", 34_567), 4)


def message(start: str, call_id: str, cseq: str, body: bytes = b"", extra: bytes = b"", name: str = "Call-ID") -> bytes:
    head = (
        f"{start}\r\nVia: SIP/2.0/UDP 192.0.2.10:5062;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\n"
        f"{name}: {call_id}\r\nCSeq: {cseq}\r\n"
    ).encode()
    kind = b"Content-Type: application/sdp\r\n" if body else b""
    return head + extra + kind + b"Content-Length: %d\r\n\r\n" % len(body) + body


def a_call() -> list[Captured]:
    invite = "INVITE sip:b@x SIP/2.0"
    return [
        Captured(0.0, False, PHONE, message(invite, "one", "1 INVITE", SDP, DIGEST)),
        Captured(0.0012, True, PHONE, message("SIP/2.0 100 Trying", "one", "1 INVITE")),
        Captured(0.01, True, CARRIER, message(invite, "two", "1 INVITE", SDP)),
        Captured(0.02, True, OTHER, message(invite, "three", "1 INVITE", SDP.replace(b"SAVP", b"AVP"))),
        Captured(0.1, False, CARRIER, message("SIP/2.0 180 Ringing", "two", "1 INVITE")),
        Captured(2.0, False, OTHER, message("SIP/2.0 200 OK", "three", "1 INVITE", SDP.replace(b"4000", b"0"))),
        Captured(2.01, True, OTHER, message("ACK sip:b@x SIP/2.0", "three", "1 ACK")),
        Captured(2.02, True, CARRIER, message("CANCEL sip:b@x SIP/2.0", "two", "1 CANCEL")),
        Captured(5.0, False, PHONE, message("BYE sip:b@x SIP/2.0", "one", "2 BYE")),
        Captured(5.01, True, PHONE, message("SIP/2.0 200 OK", "one", "2 BYE")),
        Captured(50_000.0, True, PHONE, message("SIP/2.0 603 Declined and with a very long reason", "one", "2 INVITE")),
    ]


# The ring


def test_messages_are_found_by_call_id_in_the_order_of_time() -> None:
    trace = Trace()
    for number, name in enumerate(("Call-ID", "call-id", "i", "CALL-ID ")):
        trace.capture(
            message("INVITE sip:b@x SIP/2.0", f"call-{number % 2}", "1 INVITE", name=name), PHONE, number, True
        )
    assert [found.when for found in trace.messages(["call-0"])] == [0, 2]
    assert [found.when for found in trace.messages(["call-1", "call-0", "call-1"])] == [0, 1, 2, 3]
    assert trace.messages(["nobody"]) == []
    assert trace.call_ids() == ["call-0", "call-1"]


def test_a_call_that_says_too_much_keeps_its_beginning_and_its_end() -> None:
    trace = Trace(messages=21)
    for number in range(200):
        trace.capture(message("INFO sip:b@x SIP/2.0", "call", f"{number} INFO", b"x" * 200), PHONE, number, True)
    whens = [found.when for found in trace.messages(["call"])]
    assert whens == [*range(11), *range(190, 200)]
    assert trace.dropped(["call"]) == 200 - 21


def test_a_large_message_counts_as_several() -> None:
    trace = Trace(messages=8)
    for number in range(100):
        trace.capture(message("INFO sip:b@x SIP/2.0", "call", f"{number} INFO", b"x" * 5000), PHONE, number, True)
    assert [found.when for found in trace.messages(["call"])] == [0, 99]


def test_registrations_do_not_push_calls_out() -> None:
    trace = Trace(calls=4)
    trace.capture(message("INVITE sip:b@x SIP/2.0", "call", "1 INVITE"), PHONE, 0, False)
    for number in range(1000):
        trace.capture(message("REGISTER sip:x SIP/2.0", f"reg-{number}", "1 REGISTER"), PHONE, number, False)
    trace.capture(message("BYE sip:b@x SIP/2.0", "call", "2 BYE"), PHONE, 2000, False)
    assert len(trace.messages(["call"])) == 2
    assert trace.messages(["reg-0"]) == []
    assert len(trace.messages(["reg-998", "reg-999"])) == 2


def test_the_call_that_was_quiet_for_longest_goes_first() -> None:
    trace = Trace(calls=2)
    for number, call in enumerate(("first", "second", "third", "fourth", "first", "fifth")):
        trace.capture(message("INVITE sip:b@x SIP/2.0", call, "1 INVITE"), PHONE, number, False)
    assert trace.call_ids() == ["third", "fourth", "first", "fifth"]
    assert len(trace.messages(["first"])) == 2
    trace.limit(1, 64)
    assert trace.call_ids() == ["first", "fifth"]


def test_nothing_is_kept_if_nothing_is_to_be_kept() -> None:
    trace, heard = Trace(calls=0), []
    trace.subscribe(heard.append)
    trace.capture(message("INVITE sip:b@x SIP/2.0", "call", "1 INVITE"), PHONE, 0, False)
    assert trace.messages(["call"]) == []
    assert len(heard) == 1
    trace.limit(1, 8)
    trace.capture(message("BYE sip:b@x SIP/2.0", "call", "2 BYE"), PHONE, 1, False)
    assert len(trace.messages(["call"])) == 1


def test_a_subscriber_hears_of_every_message_until_it_stops() -> None:
    trace, heard = Trace(), []
    stop = trace.subscribe(heard.append)
    data = message("INVITE sip:b@x SIP/2.0", "call", "1 INVITE")
    trace.capture(data, PHONE, 1.5, True)
    stop()
    trace.capture(data, PHONE, 2.5, True)
    assert heard == [Captured(1.5, True, PHONE, data)]


def test_any_bytes_can_be_captured() -> None:
    trace = Trace()
    for data in (b"", b"garbage", b"\nCall-ID: no end", b"\xff\n\ni: \xff\r\n"):
        trace.capture(data, PHONE, 0, False)
        assert isinstance(call_id_of(data), bytes)
    assert len(trace.messages([""])) == 2
    text = ladder([Captured(0, False, PHONE, b"\x1b[31m\xff\x00"), Captured(0, False, PHONE, b"SIP/2.0")], bodies=True)
    assert "\x1b" not in text
    assert pcap([Captured(0, False, PHONE, b"\xff" * 70_000)])


# Secrets


def test_secrets_are_crossed_out_at_their_length() -> None:
    data = message("INVITE sip:b@x SIP/2.0", "call", "1 INVITE", SDP, DIGEST)
    clean = redacted(data)
    assert len(clean) == len(data)
    for secret in (b"0123456789abcdef", b"d0RmdmcmVCspeEc3", b'"c0"'):
        assert secret in data
        assert secret not in clean
    for public in (b'nonce="n0"', b'username="101"', b"|2^20|1:32", b"qop=auth"):
        assert public in clean


@pytest.mark.parametrize(
    "line",
    [
        b"Proxy-Authorization: Digest response=SECRET,nonce=n",
        b'proxy-authorization:Digest nonce=n , RESPONSE = "SECRET"',
        b"Authorization: Basic SECRET",
        b"Authorization: Bearer SECRET",
        b'Authentication-Info: rspauth="SECRET", nextnonce="n"',
        b'Authorization: Digest nonce="n",\r\n\tresponse="SECRET"',
    ],
)
def test_secrets_are_crossed_out_however_they_are_written(line: bytes) -> None:
    clean = redacted(message("REGISTER sip:x SIP/2.0", "call", "1 REGISTER", extra=line + b"\r\n"))
    assert b"SECRET" not in clean
    assert b"xxxxxx" in clean


@pytest.mark.parametrize(
    ("kind", "body", "clean"),
    [
        (b"application/dtmf-relay", b"Signal=7\r\nDuration=160\r\n", b"Signal=x\r\nDuration=160\r\n"),
        (b"application/dtmf-relay", b" signal = 11\nDuration=160\n", b" signal = xx\nDuration=160\n"),
        (b"application/dtmf", b"7", b"x"),
        (b"text/plain", b"7", b"7"),
    ],
)
def test_keys_pressed_are_crossed_out(kind: bytes, body: bytes, clean: bytes) -> None:
    """They may be somebody's PIN."""
    extra = b"Content-Type: " + kind + b"\r\n"
    assert redacted(message("INFO sip:x SIP/2.0", "call", "2 INFO", body, extra)).endswith(b"\r\n\r\n" + clean)


def test_a_key_of_the_first_rfc_of_descriptions_is_crossed_out() -> None:
    data = message("INVITE sip:x SIP/2.0", "call", "1 INVITE", b"v=0\r\nk=base64:U0VDUkVU\r\n")
    assert redacted(data).endswith(b"k=base64:xxxxxxxx\r\n")


# The ladder


def test_the_ladder_is_drawn() -> None:
    golden = Path(__file__).parent / "ladder.txt"
    assert ladder(a_call(), EPOCH) == golden.read_text()


def test_the_ladder_can_show_the_messages_without_their_secrets() -> None:
    text = ladder(a_call()[:1], EPOCH, bodies=True)
    assert "--- 12:00:00.000000 udp 192.0.2.10:5062 -> 192.0.2.1:5060\nINVITE sip:b@x SIP/2.0\nVia:" in text
    assert "0123456789abcdef" not in text
    assert ladder([]) == "no messages\n"


# The capture file


def tshark(path: Path, *arguments: str) -> list[str]:
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is not installed")
    checks = [part for name in ("ip", "udp", "tcp") for part in ("-o", f"{name}.check_checksum:TRUE")]
    found = subprocess.run(
        [program, "-n", "-r", str(path), *checks, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return found.stdout.splitlines()


def test_wireshark_reads_every_message_as_sip(tmp_path: Path) -> None:
    path = tmp_path / "call.pcap"
    path.write_bytes(pcap(a_call(), EPOCH))
    fields = ("frame.time_epoch", "sip.Call-ID", "sip.Request-Line", "sip.Status-Line", "sdp.media", "_ws.malformed")
    rows = [
        line.split("\t") for line in tshark(path, "-T", "fields", *(part for name in fields for part in ("-e", name)))
    ]
    assert [row[1] for row in rows] == [
        "one",
        "one",
        "two",
        "three",
        "two",
        "three",
        "three",
        "two",
        "one",
        "one",
        "one",
    ]
    assert [float(row[0]) for row in rows] == [pytest.approx(EPOCH + sent.when, abs=1e-5) for sent in a_call()]
    assert all(row[2] or row[3] for row in rows)
    assert [bool(row[4]) for row in rows] == [b"m=audio" in sent.data for sent in a_call()]
    assert not any(row[5] for row in rows if len(row) > 5)


def test_the_made_up_headers_are_right(tmp_path: Path) -> None:
    path = tmp_path / "call.pcap"
    path.write_bytes(pcap(a_call(), EPOCH))
    sums = " or ".join(f"{name}.checksum.status==0" for name in ("ip", "udp", "tcp"))
    wrong = f"{sums} or tcp.analysis.flags or _ws.malformed"
    assert tshark(path, "-Y", wrong) == []
    assert len(tshark(path, "-Y", "ipv6 and tcp.port==5060")) == 3
    assert len(tshark(path, "-Y", "ip.src==192.0.2.10 and udp.srcport==5062 and ip.dst==192.0.2.1")) == 2


def test_unusual_ports_and_long_messages_are_read_too(tmp_path: Path) -> None:
    here = Flow("udp", ("127.0.0.1", 15_180), ("127.0.0.1", 15_170))
    there = Flow("tcp", ("::1", 15_180), ("::1", 15_170), 9)
    long = message("MESSAGE sip:b@x SIP/2.0", "long", "1 MESSAGE", extra=b"X-Long: " + b"x" * 130_000 + b"\r\n")
    path = tmp_path / "call.pcap"
    path.write_bytes(
        pcap(
            [
                Captured(0, True, here, message("OPTIONS sip:b@x SIP/2.0", "short", "1 OPTIONS")),
                Captured(1, True, there, long),
                Captured(2, False, there, message("SIP/2.0 200 OK", "long", "1 MESSAGE")),
            ]
        )
    )
    rows = tshark(path, "-Y", "sip", "-T", "fields", "-e", "sip.Call-ID")
    assert rows == ["short", "long", "long"]


def test_every_key_of_a_line_is_crossed_out() -> None:
    body = b"v=0\r\na=crypto:1 S inline:aaaa|2^20|1:4;INLINE:bbbb|2^20|2:4\r\na=crypto:2 T FEC_KEY=Inline:cccc\r\n"
    crossed = redacted(message("INVITE sip:b@x SIP/2.0", "one", "1 INVITE", body))
    for key in (b"aaaa", b"bbbb", b"cccc"):
        assert key not in crossed
    assert b"xxxx|2^20|2:4" in crossed
