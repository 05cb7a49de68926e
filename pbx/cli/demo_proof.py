"""What `pbx demo` proves: each claim with what was measured."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from array import array

    from pbx.cli.demo_stage import Outcome

__all__ = ["Claim", "check_phones", "check_quality", "check_record", "check_recording", "check_sound"]

_LIKE: Final = 0.9
"""Correlation of samples that counts as the same sound; through Opus it is some 0.98."""
_UNLIKE: Final = 0.3
_LEAST_MOS: Final = 4.0
_MOST_LOSS: Final = 1.0
"""Percent."""
_RATE: Final = 8000
"""What the phones' sounds have."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that has to be true, and what was seen."""

    text: str
    true: bool
    seen: str


def check_phones(name: str, outcome: Outcome) -> list[Claim]:
    """A phone registered, was answered, ended well and left."""
    registered, gone = outcome.of("registered"), outcome.of("unregistered")
    ended = outcome.of("hung-up")
    return [
        Claim(
            f"{name} registered, and left again",
            bool(registered and gone.get("confirmed")),
            str(registered.get("contact", "not registered")),
        ),
        Claim(
            f"{name}'s call was answered and ended well",
            outcome.status == 0,
            f"exit status {outcome.status}, {ended.get('text', 'no end')}",
        ),
    ]


def check_record(record: Mapping[str, Any]) -> list[Claim]:
    """The record says what happened."""
    cause = (record.get("cause") or {}).get("slug", "none")
    recordings = record.get("recordings") or []
    return [
        Claim(
            "The record says who called whom",
            (record.get("source"), record.get("destination"), cause)
            == ("extension/101", "extension/102", "answered-caller-hung-up"),
            f"{record.get('source')} to {record.get('destination')}: {cause}",
        ),
        Claim(
            "It names one complete recording",
            len(recordings) == 1 and recordings[0]["status"] == "complete",
            ", ".join(one["status"] for one in recordings) or "none",
        ),
    ]


def check_quality(legs: list[Mapping[str, Any]]) -> list[Claim]:
    """Both legs sounded well."""
    claims = []
    for leg in legs:
        received, lost = leg["received_packets"] or 0, leg["lost"] or 0
        loss = 100 * lost / (received + lost) if received else 100.0
        mos = leg["mos"] or 0.0
        claims.append(
            Claim(
                f"{leg['target']} sounded well",
                received > 0 and loss <= _MOST_LOSS and mos >= _LEAST_MOS,
                f"{received} packets, {loss:.1f} % lost, MOS {mos:.1f}",
            )
        )
    return claims


def check_recording(path: Path, record: Mapping[str, Any], played: Mapping[str, Path]) -> list[Claim]:
    """Each channel of the recording holds what its side sent, and not what the other sent; the file is the one that
    the record names."""
    from pbx.phone.sounds import read_wav

    try:
        sound = read_wav(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        return [Claim("The recording can be read", False, str(error))]
    noted = [one["sha256"] for one in record.get("recordings") or []]
    claims = [
        Claim("The recording is the record's", noted == [digest], f"sha256 {digest[:16]}…"),
        Claim("It has two channels", len(sound.channels) == 2, f"{len(sound.channels)} at {sound.rate} Hz"),
    ]
    if len(sound.channels) == 2:
        for side, (name, other), samples in zip(
            ("left", "right"), (tuple(played), tuple(played)[::-1]), sound.channels, strict=True
        ):
            claims += _alike(f"Its {side} channel holds", samples, sound.rate, name, other, played)
    return claims


def check_sound(listener: str, path: Path, speaker: str, played: Mapping[str, Path]) -> list[Claim]:
    """A phone heard what the other sent."""
    from pbx.phone.sounds import read_wav

    try:
        sound = read_wav(path)
    except (OSError, ValueError) as error:
        return [Claim(f"{listener} heard {speaker}", False, str(error))]
    return _alike(f"{listener} heard", sound.channels[0], sound.rate, speaker, listener, played)


def _alike(what: str, samples: array[int], rate: int, name: str, other: str, played: Mapping[str, Path]) -> list[Claim]:
    from pbx.phone.sounds import at_rate, likeness, read_wav

    heard = at_rate(samples, rate, _RATE)
    mine, theirs = (likeness(read_wav(played[one]).channels[0], heard, _RATE)[0] for one in (name, other))
    return [
        Claim(
            f"{what} {name} and not {other}",
            mine >= _LIKE and abs(theirs) <= _UNLIKE,
            f"correlation {mine:.3f} with what {name} sent, {theirs:.3f} with {other}",
        )
    ]
