"""What a phone tells, as lines for people and as objects for programs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from enum import Enum
from typing import get_args

from pbx.phone import notices
from pbx.phone.notices import Notice, Who

__all__ = ["data_of", "line_of", "notice_of", "printable"]

_CAMEL = re.compile(r"(?<!^)(?=[A-Z])")
_WIDTH = 12
_ENDED_BY = {Who.US: "by us", Who.PEER: "by the peer", Who.NETWORK: "by the network"}

_USUAL = ("answered-caller-hung-up", "answered-callee-hung-up")
"""Who ended the call says it all."""


def _name(kind: type) -> str:
    return _CAMEL.sub("-", kind.__name__).lower()


def data_of(notice: Notice) -> dict[str, object]:
    """Return a notice as JSON: its name in ``event``, its fields beside it."""
    data: dict[str, object] = {"event": _name(type(notice))}
    for field in dataclasses.fields(notice):
        value = getattr(notice, field.name)
        data[field.name] = value.value if isinstance(value, Enum) else value
    return data


def line_of(notice: Notice) -> tuple[str, str]:
    """Return a notice as a word that catches the eye and what there is to say; the text may come from a peer."""
    word, text = _words(notice)
    return word.ljust(_WIDTH), printable(text)


def printable(text: str) -> str:
    """Replace what would act on the terminal: peers choose their names."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _words(notice: Notice) -> tuple[str, str]:
    match notice:
        case notices.Registering():
            return "registering", f"{notice.user} by {notice.server}"
        case notices.Registered():
            return "registered", f"for {notice.seconds} s as {notice.contact}"
        case notices.RegistrationTrouble():
            again = f"; again in {notice.retry:.0f} s" if notice.retry else ""
            return "unregistered" if again else "failed", notice.text + again
        case notices.Unregistered():
            return "unregistered", "" if notice.confirmed else "the server did not confirm it"
        case notices.Waiting():
            return "waiting", f"for a call, at {notice.contact}"
        case notices.Calling():
            return "calling", notice.uri
        case notices.Called():
            name = f"{notice.name} " if notice.name else ""
            return "called", f"by {name}<{notice.number}>"
        case notices.Ringing():
            return "ringing", "here" if notice.here else ""
        case notices.EarlyMedia():
            return "early media", f"{notice.codec}, audio with {notice.address}"
        case notices.Answered():
            return "answered", f"{'here, ' if notice.here else ''}{notice.codec}, audio with {notice.address}"
        case notices.Held():
            return (
                "on hold",
                "the peer sends only, such as music" if notice.music else "the peer neither sends nor hears",
            )
        case notices.Resumed():
            return "resumed", ""
        case notices.TextHeard():
            return "text", notice.text
        case _:
            return _sound_words(notice)


def _sound_words(notice: Notice) -> tuple[str, str]:
    match notice:
        case notices.MediaChanged():
            return "changed", f"{notice.codec}, audio with {notice.address}"
        case notices.Moved():
            return "moved", f"audio comes from {notice.address} and goes there now"
        case notices.Silent():
            return "silent", f"no audio has come for {notice.seconds:.0f} s"
        case notices.KeyHeard():
            by = " by INFO" if notice.way == "info" else ""
            return "key heard", f"{notice.key} for {notice.milliseconds} ms{by}"
        case notices.KeysSent(failure=""):
            by = " by INFO: the peer takes no telephone-events" if notice.way == "info" else ""
            return "keys sent", notice.keys + by
        case notices.KeysSent():
            return "keys lost", notice.failure
        case notices.PlayEnded():
            return _file("played", notice.path, notice.seconds, notice.failure)
        case notices.RecordingEnded():
            return _file("recorded", notice.path, notice.seconds, notice.failure)
        case notices.HungUp():
            return _hung_up(notice)
        case notices.Quality():
            return "quality", _quality(notice)
        case notices.Fault():
            return "failed", notice.text
        case _:
            return type(notice).__name__, ""


def _file(done: str, path: str, seconds: float, failure: str) -> tuple[str, str]:
    return ("failed", f"{path} cannot be {done}: {failure}") if failure else (done, f"{path}, {seconds:.1f} s")


def _hung_up(notice: notices.HungUp) -> tuple[str, str]:
    # Our own server says the cause in words too.
    new = notice.detail and notice.text.rstrip(".") not in notice.detail
    why = f"{notice.text} ({notice.detail})" if new else notice.text
    if notice.answered:
        after = f"{_ENDED_BY[notice.who]} after {notice.seconds:.1f} s"
        return "hung up", f"{after}: {why}" if new or notice.cause not in _USUAL else after
    if notice.who is Who.US:
        return "hung up", "by us before an answer"
    return "failed", why


def _quality(notice: notices.Quality) -> str:
    parts = [f"sent {notice.sent} packets, received {notice.received}, lost {notice.lost}"]
    if notice.loss is not None and notice.lost:
        parts[0] += f" ({notice.loss:.1f} %)"
    if notice.jitter is not None:
        parts.append(f"jitter {notice.jitter:.1f} ms")
    if notice.round_trip is not None:
        parts.append(f"round trip {notice.round_trip:.1f} ms")
    if notice.mos is not None:
        parts.append(f"MOS {notice.mos:.1f}")
    if notice.remote_mos is not None:
        parts.append(f"the peer's MOS {notice.remote_mos:.1f} ({notice.remote_lost} lost)")
    return ", ".join(parts)


def notice_of(data: Mapping[str, object]) -> Notice | None:
    """Return the notice that `data_of` gave as JSON; None for what is none."""
    kind = _KINDS.get(str(data.get("event")))
    if kind is None:
        return None
    fields = {field.name: data[field.name] for field in dataclasses.fields(kind)}
    if kind is notices.HungUp:
        fields["who"] = Who(fields["who"])
    made: Notice = kind(**fields)
    return made


_KINDS: dict[str, type] = {_name(kind): kind for kind in get_args(Notice)}
