"""SRTP in the engine, against an SRTP of its own that the RFCs' vectors hold."""

from __future__ import annotations

import json
import re
import struct
import time
from pathlib import Path

import pytest

from pbx.errors import UsageError
from pbx.media.commands import Close, Connect, Play, Record, SendDigits, SetKeys, StopRecording
from pbx.media.events import Digit, PlayEnded, RecordingEnded
from pbx.media.srtp import srtp_fault, srtp_suites
from pbx.rtp.rtcp import SenderReport, SourceDescription, parse_compound, to_bytes
from pbx.sdp.sdes import SUITES, MasterKey
from tests.support.desk import EVENT, ULAW, Desk, Phone
from tests.support.sound import read_wav, tone, tone_share, ulaw_decode, ulaw_encode, write_wav
from tests.support.srtp import SIZES, TAGS, SecuredPhone, Srtp, aes_cm, derive
from tests.support.vectors import vectors

PAYLOAD = bytes(range(160))
CM = "AES_CM_128_HMAC_SHA1_80"
GCM = "AEAD_AES_256_GCM"


def master(suite: str, seed: int) -> MasterKey:
    return MasterKey(suite, bytes((seed * 7 + n * 13) & 255 for n in range(SUITES[suite])))


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def secure(
    desk: Desk, stream: str, suite: str = CM, seed: int = 1, *, mki: bytes = b"", **remote: object
) -> SecuredPhone:
    """Return a phone whose stream is encrypted; its keys are those of `seed` and the next."""
    theirs, ours = master(suite, seed), master(suite, seed + 1)
    phone = desk.phone(stream, settle=False, **remote)  # type: ignore[arg-type]
    desk.submit(SetKeys(stream, True, MasterKey(suite, theirs.key, mki), ours))
    desk.counts(stream)
    return SecuredPhone(phone, Srtp(suite, theirs.key, mki), Srtp(suite, ours.key))


def rekey(
    desk: Desk, phone: SecuredPhone, stream: str, suite: str, seed: int, *, after_peer: bool = False
) -> SecuredPhone:
    """Give a stream new keys; return the phone as it is once it has taken them."""
    theirs, ours = master(suite, seed), master(suite, seed + 1)
    desk.submit(SetKeys(stream, True, theirs, ours, after_peer))
    desk.counts(stream)
    return SecuredPhone(phone.phone, Srtp(suite, theirs.key), Srtp(suite, ours.key))


class TestVectors:
    """The phone's SRTP is right by what the RFCs say."""

    def test_rfc_3711(self) -> None:
        found = json.loads((vectors("srtp") / "rfc3711_appendixB.json").read_text())
        keystream, derived = found["B2"], found["B3"]
        for block, expected in keystream["keystream_blocks"].items():
            iv = int(keystream["offset"], 16) + int(block, 16)
            assert aes_cm(bytes.fromhex(keystream["session_key"]), iv, 16).hex() == expected
        key, salt = bytes.fromhex(derived["master_key"]), bytes.fromhex(derived["master_salt"])
        assert derive(key, salt, 0, 16).hex() == derived["cipher_key"]
        assert derive(key, salt, 1, 94).hex() == derived["auth_key"]
        assert derive(key, salt, 2, 14).hex() == derived["cipher_salt"]

    @pytest.mark.parametrize(
        ("test", "suite", "key"),
        [
            ("srtp_validate", CM, "e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6"),
            (
                "srtp_validate_gcm",
                "AEAD_AES_128_GCM",
                "000102030405060708090a0b0c0d0e0fa0a1a2a3a4a5a6a7a8a9aaab",
            ),
            (
                "srtp_validate_aes_256",
                "AES_256_CM_HMAC_SHA1_80",
                "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b63b04803de51ee7c96423ab5b78d2",
            ),
        ],
    )
    def test_libsrtp(self, test: str, suite: str, key: str) -> None:
        found = json.loads((vectors("srtp") / "libsrtp_vectors.json").read_text())[f"test/srtp_driver.c::{test}"]
        srtp = Srtp(suite, bytes.fromhex(key))
        sealed, plain = (
            bytes.fromhex(found["srtp_ciphertext"]),
            bytes.fromhex(found.get("srtp_plaintext_ref") or found["rtp_plaintext_ref"]),
        )
        assert srtp.protect(plain) == sealed
        assert Srtp(suite, bytes.fromhex(key)).unprotect(sealed) == plain
        if "srtcp_ciphertext" in found:
            plain = bytes.fromhex(found["rtcp_plaintext_ref"])
            assert srtp.protect_rtcp(plain) == bytes.fromhex(found["srtcp_ciphertext"])

    @pytest.mark.parametrize(("suite", "place"), [("AEAD_AES_128_GCM", 0), ("AEAD_AES_256_GCM", 1)])
    def test_rfc_7714(self, suite: str, place: int) -> None:
        text = (vectors("srtp") / "rfc7714" / "rtp-vectors.txt").read_text()

        def packet(name: str) -> bytes:
            return bytes.fromhex(re.findall(rf"{name} packet:\n\n?((?: +[0-9a-f ]+\n)+)", text)[place])

        srtp = Srtp(suite, bytes(SUITES[suite]))
        srtp.rtp.key, srtp.rtp.salt = bytes(range(SIZES[suite][0])), b"Quid pro quo"
        assert srtp.protect(packet("Encrypting the following")) == packet("Encrypted and tagged")

    def test_rfc_7714_rtcp(self) -> None:
        text = (vectors("srtp") / "rfc7714" / "rtcp-vectors.txt").read_text()

        def packet(name: str) -> bytes:
            return bytes.fromhex(re.findall(rf"{name} packet:\n\n?((?: +[0-9a-f ]+\n)+)", text)[0])

        srtp = Srtp("AEAD_AES_128_GCM", bytes(28))
        srtp.rtcp.key, srtp.rtcp.salt, srtp.rtcp_index = bytes(range(16)), b"Quid pro quo", 0x5D3
        assert srtp.protect_rtcp(packet("Encrypting the following")) == packet("Encrypted and tagged")


def test_every_suite_is_there() -> None:
    assert srtp_fault() == ""
    assert srtp_suites() == set(SUITES)


@pytest.mark.parametrize("suite", SUITES)
def test_encrypted_to_plain_and_back(desk: Desk, suite: str) -> None:
    phone = secure(desk, "a", suite)
    plain = desk.phone("b", ssrc=0x2000)
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    for _ in range(5):
        phone.send(PAYLOAD)
        plain.send(PAYLOAD[::-1])
    assert [heard.payload for heard in plain.hear_all()] == [PAYLOAD] * 5
    heard = phone.phone.hear_all()
    assert {packet.size for packet in heard} == {12 + 160 + TAGS[suite]}
    assert [phone.opened(packet) for packet in heard] == [PAYLOAD[::-1]] * 5
    counts = desk.counts("a")
    assert (counts.received_packets, counts.received_octets) == (5, 5 * 172)
    assert (counts.sent_packets, counts.sent_octets) == (5, 5 * 172)
    assert (counts.lost, counts.dropped_unauthentic, counts.dropped_replayed) == (0, 0, 0)


def test_between_two_suites(desk: Desk) -> None:
    one, other = secure(desk, "a", CM, 1), secure(desk, "b", GCM, 50, ssrc=0x2000)
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    for _ in range(5):
        one.send(PAYLOAD)
        other.send(PAYLOAD[::-1])
    assert other.hear_all() == [PAYLOAD] * 5
    assert one.hear_all() == [PAYLOAD[::-1]] * 5


@pytest.mark.parametrize("suite", [CM, GCM])
def test_what_does_not_authenticate_is_counted_and_goes_nowhere(desk: Desk, suite: str) -> None:
    phone, plain = secure(desk, "a", suite), desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    good = phone.send(PAYLOAD)
    assert plain.hear().payload == PAYLOAD
    stranger = SecuredPhone(phone.phone, Srtp(suite, master(suite, 90).key), phone.theirs)
    stranger.send(PAYLOAD)
    phone.phone.send(PAYLOAD)  # plain RTP
    phone.phone.send_raw(good[:-1] + bytes((good[-1] ^ 1,)))
    phone.phone.send_raw(good[:20] + bytes((good[20] ^ 1,)) + good[21:])
    for length in (12, 13, 20, 28):
        phone.phone.send_raw(good[:length])
    phone.phone.send_raw(b"\x9f\x00" + good[2:12])  # contributing sources that are not there
    phone.phone.send_raw(b"\x90\x00" + good[2:12] + b"\0\0\xff\xff" + bytes(16))  # an extension beyond the end
    assert plain.hear_all() == []
    counts = desk.counts("a")
    assert counts.received_packets == 1
    # What has a number that came before is a replay to libsrtp, authentic or not.
    assert counts.dropped_unauthentic + counts.dropped_replayed == 10
    assert counts.dropped_unauthentic >= 6
    phone.phone.rtcp.sendto(
        to_bytes([SenderReport(0x1000, 1 << 40, 1, 1, 1)]), (phone.phone.to[0], phone.phone.to[1] + 1)
    )
    assert desk.counts("a").dropped_unauthentic == counts.dropped_unauthentic + 1
    phone.send(PAYLOAD)
    assert plain.hear().payload == PAYLOAD


def test_nothing_plain_leaves_or_enters_without_keys(desk: Desk) -> None:
    """A DTLS handshake that is not over; then its keys are there."""
    phone, plain = desk.phone("a"), desk.phone("b")
    desk.submit(Connect("a", "b"), SetKeys("a", True))
    desk.counts("a")
    phone.send(PAYLOAD)
    plain.send(PAYLOAD)
    assert phone.hear_all() == plain.hear_all() == []
    assert desk.counts("a").dropped_unconnected == 2
    ours, theirs = master(GCM, 4), master(GCM, 5)
    desk.submit(SetKeys("a", True, ours, theirs))
    desk.counts("a")
    secured = SecuredPhone(phone, Srtp(GCM, ours.key), Srtp(GCM, theirs.key))
    secured.send(PAYLOAD)
    plain.send(PAYLOAD)
    assert plain.hear().payload == secured.hear() == PAYLOAD
    desk.submit(SetKeys("a", False))
    desk.counts("a")
    phone.send(PAYLOAD)
    assert plain.hear().payload == PAYLOAD


def test_replays_are_dropped(desk: Desk) -> None:
    phone, plain = secure(desk, "a"), desk.phone("b")
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    sent = [phone.send(PAYLOAD) for _ in range(200)]
    assert len(plain.hear_all()) == 200
    phone.phone.send_raw(sent[199])
    phone.phone.send_raw(sent[0])  # behind the window
    assert plain.hear_all() == []
    assert desk.counts("a").dropped_replayed == 2


def test_a_number_is_never_used_for_two_packets(desk: Desk) -> None:
    """Two plaintexts under one keystream give both away."""
    phone, plain = secure(desk, "a"), desk.phone("b", ssrc=0x2000)
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    plain.send(PAYLOAD)
    plain.sequence -= 1
    plain.send(PAYLOAD[::-1])
    plain.send(PAYLOAD)
    assert phone.hear_all() == [PAYLOAD, PAYLOAD]
    assert desk.counts("a").dropped_late == 1


def near_wrap(phone: SecuredPhone, plain: Phone, short_of: int) -> None:
    """Bring the numbers of what goes to a phone to that many before their wrap."""
    plain.send(PAYLOAD)
    left = 65_536 - short_of - phone.phone.hear().sequence
    while left > 0:
        step = min(left, 900)
        plain.skip(step - 1, step=0)
        plain.send(PAYLOAD)
        phone.hear()
        left -= step


def test_sequence_numbers_wrap_on_both_sides(desk: Desk) -> None:
    phone, plain = secure(desk, "a", CM), desk.phone("b", ssrc=0x2000)
    desk.submit(Connect("a", "b"))
    phone.phone.sequence = 65_500
    desk.counts("a")
    near_wrap(phone, plain, 40)
    for _ in range(80):
        phone.send(PAYLOAD)
        plain.send(PAYLOAD)
    assert len(plain.hear_all()) == 80
    assert phone.hear_all() == [PAYLOAD] * 80
    assert {roc for roc, _ in phone.theirs.roc.values()} == {1}
    counts = desk.counts("a")
    assert (counts.lost, counts.dropped_unauthentic) == (0, 0)


def test_a_call_that_is_transferred_goes_on_behind_a_wrap(desk: Desk) -> None:
    """It gets another stream, with the keys that it has; its peer does not count anew."""
    before, plain = secure(desk, "a"), desk.phone("b", ssrc=0x2000)
    desk.submit(Connect("a", "b"))
    before.phone.sequence = 65_500
    desk.counts("a")
    sent = [before.send(PAYLOAD) for _ in range(80)]
    assert len(plain.hear_all()) == 80
    desk.close("a")
    after, other = secure(desk, "c", group="other"), desk.phone("d", ssrc=0x3000, group="other")
    desk.submit(Connect("c", "d"))
    desk.counts("c")
    after.phone.ssrc, after.phone.sequence = before.phone.ssrc, before.phone.sequence
    moved = SecuredPhone(after.phone, before.ours, after.theirs)
    for _ in range(10):
        moved.send(PAYLOAD)
    moved.phone.send_raw(sent[-1])
    assert len(other.hear_all()) == 10
    counts = desk.counts("c")
    assert (counts.dropped_unauthentic, counts.dropped_replayed) == (0, 1)
    other.send(PAYLOAD)
    assert moved.hear() == PAYLOAD


def test_a_source_that_changes_goes_on(desk: Desk) -> None:
    """More SSRCs than are remembered; each counts its packets from the start."""
    phone, other = secure(desk, "a"), secure(desk, "b", GCM, 50)
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    sequences: list[int] = []
    for ssrc in range(0x3000, 0x3000 + 20):
        phone.phone.ssrc, phone.phone.sequence = ssrc, ssrc * 7
        phone.phone.timestamp = ssrc * 999
        for _ in range(3):
            phone.send(PAYLOAD)
        heard = other.phone.hear_all(0.05)
        assert [other.opened(packet) for packet in heard] == [PAYLOAD] * len(heard)
        assert len(heard) == 3
        sequences += [packet.sequence for packet in heard]
        assert len({packet.ssrc for packet in heard}) == 1
    assert sequences == list(range(sequences[0], sequences[0] + 60))  # one clean source


def test_our_own_ssrc_changes_when_the_peer_has_the_same(desk: Desk) -> None:
    phone, plain = secure(desk, "a"), desk.phone("b", ssrc=0x2000)
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    plain.send(PAYLOAD)
    first = phone.phone.hear()
    phone.phone.ssrc = first.ssrc
    phone.send(PAYLOAD)
    desk.counts("a")
    plain.send(PAYLOAD)
    second = phone.phone.hear()
    assert second.ssrc != first.ssrc
    assert phone.opened(first) == phone.opened(second) == PAYLOAD


class TestNewKeys:
    """A re-INVITE brings new keys."""

    def test_the_same_keys_again_go_on(self, desk: Desk) -> None:
        phone, plain = secure(desk, "a"), desk.phone("b", ssrc=0x2000)
        desk.submit(Connect("a", "b"))
        desk.counts("a")
        first = phone.send(PAYLOAD)
        rekey(desk, phone, "a", CM, 1)
        phone.send(PAYLOAD)
        plain.send(PAYLOAD)
        assert len(plain.hear_all()) == 2
        assert phone.hear() == PAYLOAD
        phone.phone.send_raw(first)
        assert desk.counts("a").dropped_replayed == 1

    @pytest.mark.parametrize("suite", [CM, GCM])
    def test_there_is_no_gap(self, desk: Desk, suite: str) -> None:
        phone, plain = secure(desk, "a", suite), desk.phone("b", ssrc=0x2000)
        desk.submit(Connect("a", "b"))
        desk.counts("a")
        phone.send(PAYLOAD)
        changed = rekey(desk, phone, "a", suite, 30, after_peer=True)
        # The answer is on its way: the peer sends under its old key, and has none of ours but the old one.
        for _ in range(5):
            phone.send(PAYLOAD)
        plain.send(PAYLOAD)
        assert phone.hear() == PAYLOAD
        changed.send(PAYLOAD)
        phone.send(PAYLOAD)  # overtaken on the way
        phone.phone.sequence += 1
        desk.counts("a")
        plain.send(PAYLOAD)
        assert changed.hear() == PAYLOAD
        assert len(plain.hear_all()) == 8
        counts = desk.counts("a")
        assert (counts.dropped_unauthentic, counts.dropped_replayed) == (0, 0)

    def test_ours_does_not_wait_for_a_silent_peer(self, desk: Desk) -> None:
        phone, plain = secure(desk, "a"), desk.phone("b", ssrc=0x2000)
        desk.submit(Connect("a", "b"))
        desk.counts("a")
        plain.send(PAYLOAD)
        assert phone.hear() == PAYLOAD
        changed = rekey(desk, phone, "a", GCM, 30, after_peer=True)
        time.sleep(1.1)
        plain.send(PAYLOAD)
        assert changed.hear() == PAYLOAD

    def test_a_wrap_is_kept_away_from_when_ours_has_waited(self, desk: Desk) -> None:
        """As below, for a key of ours that comes into use later than it is told of."""
        phone, plain = secure(desk, "a"), desk.phone("b", ssrc=0x2000)
        desk.submit(Connect("a", "b"))
        desk.counts("a")
        near_wrap(phone, plain, 300)
        changed = rekey(desk, phone, "a", GCM, 30, after_peer=True)
        for _ in range(49):
            for _ in range(6):
                plain.send(b"x")
            assert [phone.hear() for _ in range(6)] == [b"x"] * 6
        changed.send(PAYLOAD)
        desk.counts("a")
        for _ in range(20):
            plain.send(b"y")
        heard = phone.phone.hear_all()
        assert {changed.opened(packet) for packet in heard[10:]} == {b"y"}

    def test_an_old_key_is_not_good_for_ever(self, desk: Desk) -> None:
        phone, plain = secure(desk, "a"), desk.phone("b", ssrc=0x2000)
        desk.submit(Connect("a", "b"))
        desk.counts("a")
        changed = rekey(desk, phone, "a", GCM, 30)
        changed.send(PAYLOAD)
        time.sleep(2.1)
        phone.send(PAYLOAD)
        phone.send(PAYLOAD)
        assert len(plain.hear_all()) == 1
        assert desk.counts("a").dropped_unauthentic == 2

    def test_back_to_the_key_of_before(self, desk: Desk) -> None:
        phone, plain = secure(desk, "a"), desk.phone("b", ssrc=0x2000)
        desk.submit(Connect("a", "b"))
        desk.counts("a")
        first = phone.send(PAYLOAD)
        plain.send(PAYLOAD)
        phone.hear()
        rekey(desk, phone, "a", GCM, 30)
        rekey(desk, phone, "a", CM, 1)
        phone.phone.send_raw(first)
        phone.send(PAYLOAD)
        plain.send(PAYLOAD)
        assert phone.hear() == PAYLOAD
        assert len(plain.hear_all()) == 2
        assert desk.counts("a").dropped_replayed == 1

    def test_a_wrap_is_kept_away_from(self, desk: Desk) -> None:
        """The peer misses the first packets under a new key, and hears those after a wrap that would have come then."""
        phone, plain = secure(desk, "a"), desk.phone("b", ssrc=0x2000)
        desk.submit(Connect("a", "b"))
        desk.counts("a")
        near_wrap(phone, plain, 6)
        changed = rekey(desk, phone, "a", GCM, 30)
        for _ in range(20):
            plain.send(b"y")
        heard = phone.phone.hear_all()
        assert len(heard) == 20
        assert {changed.opened(packet) for packet in heard[10:]} == {b"y"}


def test_a_key_with_an_identifier(desk: Desk) -> None:
    for number, suite in enumerate((CM, GCM, "AES_CM_128_HMAC_SHA1_32")):
        phone = secure(desk, f"a{number}", suite, mki=b"\0\x07", group=f"call{number}")
        plain = desk.phone(f"b{number}", group=f"call{number}")
        desk.submit(Connect(f"a{number}", f"b{number}"))
        desk.counts(f"a{number}")
        phone.send(PAYLOAD)
        assert plain.hear().payload == PAYLOAD
        report = phone.ours.protect_rtcp(to_bytes([SenderReport(0x1000, 1 << 40, 1, 1, 1)]))
        phone.phone.rtcp.sendto(report, (phone.phone.to[0], phone.phone.to[1] + 1))
        SecuredPhone(phone.phone, Srtp(suite, master(suite, 1).key, b"\0\x08"), phone.theirs).send(PAYLOAD)
        counts = desk.counts(f"a{number}")
        assert (counts.rtcp_received, counts.dropped_unauthentic) == (1, 1)
        plain.send(PAYLOAD)
        assert phone.hear() == PAYLOAD  # what we send has none


@pytest.mark.parametrize("suite", [CM, GCM, "AES_CM_128_HMAC_SHA1_32"])
def test_reports_are_encrypted_both_ways(desk: Desk, suite: str) -> None:
    phone, plain = secure(desk, "a", suite), desk.phone("b", ssrc=0x2000)
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    phone.send(PAYLOAD)
    plain.send(PAYLOAD)
    phone.hear()
    report = phone.ours.protect_rtcp(to_bytes([SenderReport(0x1000, 0x1122334455667788, 1, 1, 160)]))
    phone.phone.rtcp.sendto(report, (phone.phone.to[0], phone.phone.to[1] + 1))
    phone.phone.rtcp.sendto(report, (phone.phone.to[0], phone.phone.to[1] + 1))
    counts = desk.counts("a")
    assert (counts.rtcp_received, counts.dropped_replayed) == (1, 1)
    desk.submit(Close("a"))
    data = phone.phone.rtcp.recv(2048)
    sender, description, _ = parse_compound(phone.theirs.unprotect_rtcp(data))
    assert isinstance(sender, SenderReport)
    assert isinstance(description, SourceDescription)
    (block,) = sender.reports
    assert (block.ssrc, block.last_report) == (0x1000, 0x33445566)
    name = description.cname(sender.ssrc)
    assert name is not None
    assert name not in data


def test_multiplexed_reports(desk: Desk) -> None:
    phone = secure(desk, "a", GCM, rtcp_mux=True)
    desk.submit(Connect("a", "a"))
    desk.counts("a")
    phone.send(PAYLOAD)
    assert phone.hear() == PAYLOAD  # an echo
    phone.phone.send_raw(phone.ours.protect_rtcp(to_bytes([SenderReport(0x1000, 1 << 40, 1, 1, 1)])))
    assert desk.counts("a").rtcp_received == 1


def test_a_stranger_does_not_latch_without_the_key(desk: Desk) -> None:
    phone, plain = secure(desk, "a", latch=True), desk.phone("b", ssrc=0x2000)
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    stranger = desk.phone("c", group="other")
    for number in range(5):
        stranger.rtp.sendto(stranger.packet(PAYLOAD, sequence=number), phone.phone.to)
    plain.send(PAYLOAD)
    assert stranger.hear_all() == []
    assert phone.hear() == PAYLOAD
    assert desk.counts("a").dropped_unauthentic == 5


def test_recordings_plays_and_digits(desk: Desk, tmp_path: Path) -> None:
    phone = secure(desk, "a", GCM, codecs=(ULAW, EVENT))
    other = secure(desk, "b", CM, 50, codecs=(ULAW, EVENT), ssrc=0x2000)
    desk.submit(Connect("a", "b"), Record("tape", "a", "b", str(tmp_path / "call.wav")))
    desk.counts("a")
    high, low = ulaw_encode(tone(1000, 0.5)), ulaw_encode(tone(440, 0.5))
    for start in range(0, len(high), 160):
        phone.send(high[start : start + 160])
        other.send(low[start : start + 160])
        time.sleep(0.02)
    desk.submit(StopRecording("tape"))
    desk.wait(RecordingEnded, recording="tape")
    rate, (left, right) = read_wav(tmp_path / "call.wav")
    assert rate == 8000
    # Ciphertext would be noise, with next to nothing at any frequency; a busy machine may add a gap.
    assert tone_share(left, 1000) > 0.5 < tone_share(right, 440)
    assert tone_share(ulaw_decode(b"".join(other.hear_all())), 1000) > 0.95
    assert tone_share(ulaw_decode(b"".join(phone.hear_all())), 440) > 0.95

    event = struct.pack("!BBH", 5, 0x80 | 10, 1600)
    phone.send(event, 101, marker=True)
    assert desk.wait(Digit, stream="a").digit == "5"
    desk.submit(SendDigits("b", "7"))
    digits = []
    while not digits or not digits[-1][1] & 0x80:
        heard = other.phone.hear()
        if heard.payload_type == 101:
            digits.append(other.opened(heard))
    assert digits[-1][0] in (5, 7)

    desk.submit(Play("a", "sound", (str(write_wav(tmp_path / "sound.wav", [tone(700, 0.3)])),)))
    desk.wait(PlayEnded, play="sound")
    assert tone_share(ulaw_decode(b"".join(phone.hear_all())), 700) > 0.9


def test_keys_that_do_not_fit_are_refused(desk: Desk) -> None:
    desk.phone("a")
    with pytest.raises(UsageError) as caught:
        desk.submit(SetKeys("a", True, MasterKey(CM, b"secret" * 4), MasterKey(CM, b"secret" * 5)))
    assert "secret" not in str(caught.value)
