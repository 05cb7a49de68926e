"""Lets the phones made of a socket (`tests.support.pbx.Phone`) wait for a server that runs in another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from tests.peers.support.waiting import until
from tests.support.pbx import Phone

if TYPE_CHECKING:
    from tests.support.loopback import World

__all__ = ["socket_phone"]


class _Idle:
    """Stands where a test's own reactor would: there is nothing to run while it waits."""

    def until(self, true: Callable[[], object], longest: float = 5.0) -> None:
        until(true, "message", longest, every=0.002)

    def run(self, seconds: float) -> None:
        time.sleep(seconds)


def socket_phone(port: int, user: str = "", password: str = "", host: str = "127.0.0.1", tcp: bool = False) -> Phone:
    """Return a phone that sends what a test makes up, from an address of its own."""
    return Phone(cast("World", _Idle()), ("127.0.0.1", port), user, password, host=host, tcp=tcp)
