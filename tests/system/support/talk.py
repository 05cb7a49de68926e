"""What two people hear of each other, and what is left of it on the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.peers.support.hearing import SILENCE, channels, heard, spells
from tests.peers.support.waiting import until
from tests.system.support.placed import OwnPhone, PlacedPhone, PlacedServer

__all__ = ["assert_only_tone", "call", "media_ports", "recorded", "talking"]

SPEAKING = 40_000
"""Bits a second of a phone that sends, or receives, without a pause."""


def media_ports(server: PlacedServer, call_id: str) -> list[int]:
    """Return the server's own audio ports in a call: the caller's leg, then the callee's."""
    ports: dict[str, None] = {}
    for message in server.trace(call_id).split("\n--- "):
        # "12:00:00.000000 udp FROM -> TO"
        ours = message.split(" -> ")[0].rpartition(" ")[2]
        if re.search(r"m=audio", message) and ours.endswith(":5060") and "o=- " in message:
            ports[re.findall(r"m=audio (\d+)", message)[0]] = None
    return [int(port) for port in ports]


@contextmanager
def call(server: PlacedServer, caller: PlacedPhone, callee: PlacedPhone | OwnPhone) -> Iterator[str]:
    """Have one phone call another, which answers; the call's id. Who is to hang up is the test's business."""
    caller.fresh()
    if isinstance(callee, PlacedPhone):
        callee.fresh()
    try:
        caller.dial(callee.number)
        caller.wait_established()
        if isinstance(callee, PlacedPhone):
            callee.wait_established()
        yield str(until(server.calls, "a call")[0]["id"])
    except AssertionError as error:
        raise AssertionError(f"{error}\n{server.log_tail(8)}") from None


def talking(*phones: PlacedPhone, seconds: float = 15.0) -> None:
    """Wait until each of them sends and receives."""
    until(
        lambda: all(min(phone.rates()) > SPEAKING for phone in phones),
        lambda: f"audio both ways: {[phone.rates() for phone in phones]}",
        seconds,
    )


def assert_only_tone(phone: PlacedPhone | OwnPhone, hertz: int) -> None:
    """Fail unless a phone has heard this tone and nothing else, without a gap."""
    assert heard(phone.heard_file) == [hertz], f"{phone.number}: {heard(phone.heard_file)}"


def recorded(server: PlacedServer, record: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Return the tones on the caller's and on the callee's side of a recording, in order, silence left out."""
    # The JSON beside it is written by itself, perhaps after the record.
    until(
        lambda: server.recording(record)[1]["status"] == "complete",
        lambda: f"complete recording: {server.recording(record)[1]}",
    )
    path, _ = server.recording(record)
    rate, sides = channels(path)
    left, right = ([s.hertz for s in spells(side, rate) if s.hertz != SILENCE] for side in sides)
    return left, right
