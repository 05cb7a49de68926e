"""When a number of recorded calls counts as carried: by what the generator says, and by what stands in the files."""

from __future__ import annotations

import array
import wave
from dataclasses import replace
from pathlib import Path

import pytest

from bench.capacity import held, whole_recordings
from bench.description import KEY, audio_of, description
from bench.load import Measured, write_calls

_GOOD = Measured(cpu=0.1, memory=50, sent=10_000, lost=0, p50=90, p99=2000, behind=12)
_PACKET = [5] * 16 + [716] * 144
"""As the generator's packets are decoded: a stamp, and the filling."""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, ""),
        ({"lost": 1}, "1 of 10,000 packets were lost"),
        ({"behind": 900}, "the generator was 900 ms behind"),
        ({"p99": 300_000}, "one in a hundred packets took over 300 ms"),
    ],
)
def test_what_is_too_much(change: dict[str, float], why: str) -> None:
    assert held(replace(_GOOD, **change)) == why


def record(path: Path, left: list[int], right: list[int]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(
            array.array("h", [sample for pair in zip(left, right, strict=True) for sample in pair]).tobytes()
        )


def test_a_packet_that_is_not_in_a_recording_is_found(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", _PACKET * 3, _PACKET * 2 + [0] * 160)
    assert whole_recordings(tmp_path, 1, 3) == "a.wav has 2 packets of side 1, of 3"
    assert whole_recordings(tmp_path, 2, 2) == "1 recordings of 2 calls"


def test_a_recording_without_its_proof_is_none(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", _PACKET * 3, _PACKET * 3)
    assert whole_recordings(tmp_path, 1, 3).startswith("pbx verify-recording: ")


def test_each_side_takes_the_key_of_its_own_suite() -> None:
    offer = (
        b"INVITE sip:a SIP/2.0\r\n\r\nv=0\r\nm=audio 4000 RTP/SAVP 0\r\n"
        b"a=crypto:1 AEAD_AES_256_GCM inline:AAAA\r\n"
        b"a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:BBBB|2^20\r\n"
        b"a=crypto:3 AES_CM_128_HMAC_SHA1_32 inline:CCCC\r\n"
    )
    callee, caller = audio_of(1, offer), audio_of(0, offer)
    assert (callee.port, callee.tag, callee.key) == (4000, 2, "BBBB")
    assert (caller.tag, caller.key) == (3, "CCCC")
    assert f"a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n" in description(1, 5000, tag=2)
    assert audio_of(0, description(0, 5000).encode()).key == ""
    with pytest.raises(RuntimeError, match="no audio in SIP/2"):
        audio_of(0, b"SIP/2.0 404 Not Found\r\n\r\n")


def test_keys_are_written_for_the_generator(tmp_path: Path) -> None:
    write_calls(tmp_path / "calls", [(1, 2)], [(3, 4)], [("AAEC", "")])
    assert (tmp_path / "calls").read_text() == "1 3 2 4 000102 -\n"
