"""`pbx demo`: the play itself, and a proof that is only as good as what it refuses."""

from __future__ import annotations

import os
import time
from array import array
from pathlib import Path
from typing import Any

import pytest

from pbx.cli import demo_proof as proof
from pbx.cli.demo_stage import Outcome, make_sounds
from pbx.phone.sounds import Sound, read_wav, write_wav
from tests.peers.support.server import pbx

pytest.importorskip("pbx.native._engine", reason="the native engine is not built", exc_type=ImportError)


def test_the_whole_play(tmp_path: Path) -> None:
    folder = tmp_path / "stage"
    child = pbx(tmp_path, "demo", "--keep", str(folder))
    try:
        status = child.wait(60)
    finally:
        child.end()
    text = child.output
    assert status == 0, text + (tmp_path / "stderr").read_text()
    assert "✗" not in text
    for words in (
        "PBX on 127.0.0.1:",
        "INVITE",
        "401 Unauthorized",
        "extension/101, shown as Alice <101>",
        "The caller hung up.",
        "2 channels at",
        "Its left channel holds Alice and not Bob",
        "Its right channel holds Bob and not Alice",
        "claims hold",
        f"Everything is in {folder}.",
    ):
        assert words in text
    (recording,) = folder.rglob("recordings/**/*.wav")
    assert len(read_wav(recording).channels) == 2
    assert (folder / "server.log").exists()


def test_a_folder_that_is_used_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    child = pbx(tmp_path, "demo", "--keep", str(tmp_path))
    assert child.wait(10) == 1
    assert "is not empty" in (tmp_path / "stderr").read_text()
    assert (tmp_path / "precious").read_text() == "mine"


# -- sounds


def test_alice_speaks_if_she_can(tmp_path: Path) -> None:
    spoken = tmp_path / "spoken"
    spoken.mkdir()
    for name in ("hello-world", "queue-thankyou", "vm-goodbye"):
        write_wav(spoken / f"{name}.wav", Sound(8000, array("h", [1, 2, 3] * 4000)))
    alice, bob, speaks = make_sounds(tmp_path, [tmp_path / "nowhere", spoken])
    assert speaks
    first, second = read_wav(alice), read_wav(bob)
    assert first.rate == second.rate == 8000
    assert abs(first.seconds - second.seconds) < 0.4


@pytest.mark.parametrize("broken", ["", "no WAV", "of another rate"])
def test_alice_plays_if_she_cannot_speak(tmp_path: Path, broken: str) -> None:
    if broken == "no WAV":
        (tmp_path / "hello-world.wav").write_bytes(b"hello")
    elif broken:
        write_wav(tmp_path / "hello-world.wav", Sound(16000, array("h", [1] * 100)))
    alice, bob, speaks = make_sounds(tmp_path, [tmp_path])
    assert not speaks
    assert read_wav(alice).seconds == pytest.approx(read_wav(bob).seconds, abs=0.4)
    assert read_wav(alice).seconds > 2


# -- the proof


@pytest.fixture
def played(tmp_path: Path) -> dict[str, Path]:
    alice, bob, _ = make_sounds(tmp_path, [])
    return {"Alice": alice, "Bob": bob}


def true(claims: list[proof.Claim]) -> list[bool]:
    return [claim.true for claim in claims]


def recorded(path: Path, left: array[int], right: array[int]) -> dict[str, Any]:
    import hashlib

    write_wav(path, Sound(8000, left, right))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"recordings": [{"sha256": digest, "status": "complete"}]}


def test_a_good_recording(tmp_path: Path, played: dict[str, Path]) -> None:
    alice, bob = (read_wav(path).channels[0] for path in played.values())
    path = tmp_path / "r.wav"
    assert true(proof.check_recording(path, recorded(path, alice, bob), played)) == [True] * 4


def test_recordings_that_prove_nothing(tmp_path: Path, played: dict[str, Path]) -> None:
    alice, bob = (read_wav(path).channels[0] for path in played.values())
    length = min(len(alice), len(bob))
    alice, bob = alice[:length], bob[:length]
    silence = array("h", bytes(2 * length))
    mixed = array("h", [(one + other) // 2 for one, other in zip(alice, bob, strict=True)])
    path = tmp_path / "r.wav"
    assert true(proof.check_recording(path, recorded(path, bob, alice), played)) == [True, True, False, False]
    assert true(proof.check_recording(path, recorded(path, alice, silence), played)) == [True, True, True, False]
    assert true(proof.check_recording(path, recorded(path, mixed, mixed), played)) == [True, True, False, False]
    assert true(proof.check_recording(path, {"recordings": [{"sha256": "0"}]}, played))[0] is False
    write_wav(path, Sound(8000, alice))
    assert true(proof.check_recording(path, {}, played)) == [False, False]
    assert true(proof.check_recording(tmp_path / "none.wav", {}, played)) == [False]


def test_what_a_phone_heard(tmp_path: Path, played: dict[str, Path]) -> None:
    assert true(proof.check_sound("Bob", played["Alice"], "Alice", played)) == [True]
    assert true(proof.check_sound("Bob", played["Bob"], "Alice", played)) == [False]
    assert true(proof.check_sound("Bob", tmp_path / "none.wav", "Alice", played)) == [False]


def test_what_a_phone_told() -> None:
    good = [
        {"event": "registered", "contact": "sip:101@h"},
        {"event": "hung-up", "text": "The caller hung up."},
        {"event": "unregistered", "confirmed": True},
    ]
    assert true(proof.check_phones("Alice", Outcome(good, 0))) == [True, True]
    assert true(proof.check_phones("Alice", Outcome(good[:2], 1))) == [False, False]
    assert true(proof.check_phones("Alice", Outcome([], 1))) == [False, False]


def test_what_the_record_says() -> None:
    good = {
        "source": "extension/101",
        "destination": "extension/102",
        "cause": {"slug": "answered-caller-hung-up"},
        "recordings": [{"status": "complete"}],
    }
    assert true(proof.check_record(good)) == [True, True]
    assert true(proof.check_record({**good, "cause": None, "recordings": []})) == [False, False]
    assert true(proof.check_record({**good, "source": "trunk/x", "recordings": [{"status": "failed"}]})) == [False] * 2


def test_the_quality_of_legs() -> None:
    leg = {"target": "extension/101", "received_packets": 500, "lost": 1, "mos": 4.3}
    assert true(proof.check_quality([leg])) == [True]
    for worse in ({"lost": 50}, {"mos": 3.0}, {"mos": None}, {"received_packets": 0}, {"received_packets": None}):
        assert true(proof.check_quality([{**leg, **worse}])) == [False]


def test_nothing_of_the_users_own_settings_reaches_the_play() -> None:
    """SIP_OUTBOUND_PROXY of the user would lead the phones away from the stage."""
    from pbx.cli import demo_stage

    os.environ["SIP_OUTBOUND_PROXY"] = "sip:elsewhere.invalid;lr"
    try:
        process = demo_stage._run(["call", "--help"], {"SIP_SERVER": "here"})
        # The child shows its own environment only once it has become the new program.
        environment, deadline = b"", time.monotonic() + 15
        while b"SIP_SERVER" not in environment and process.poll() is None and time.monotonic() < deadline:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        process.communicate(timeout=20)
    finally:
        del os.environ["SIP_OUTBOUND_PROXY"]
    assert b"elsewhere.invalid" not in environment
    assert b"SIP_SERVER=here" in environment
