"""Our own address as the outside sees it, learned from a STUN server (RFC 8489) and asked for again and again."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from ipaddress import ip_address

import structlog

from pbx.config.stun_section import StunServer
from pbx.errors import ParseError
from pbx.rtp.stun import BINDING, Attribute, MessageClass, StunMessage, decode_address
from pbx.sip.stack import Timer

__all__ = ["PublicAddress", "StunError", "ask"]

_log = structlog.get_logger("pbx")
_WAITS = (0.5, 1.0, 2.0)
"""Seconds before a request is sent again: the first three of RFC 8489 §6.2.1."""


class StunError(Exception):
    """Why no address was learned."""


def ask(server: StunServer, transaction: bytes, waits: tuple[float, ...] = _WAITS) -> str:
    """Return the IPv4 address that a server sees us at; `transaction` is 12 random octets. Blocks for the sum of
    `waits` at most, besides looking up the name. Raises StunError."""
    request = StunMessage(MessageClass.REQUEST, BINDING, transaction).to_bytes()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            # Connected, so that nobody but the server is heard.
            line.connect(socket.getaddrinfo(server.host, server.port, socket.AF_INET, socket.SOCK_DGRAM)[0][4])
            for wait in waits:
                line.send(request)
                found = _listen(line, transaction, wait)
                if found:
                    return found
    except (OSError, UnicodeError) as error:
        raise StunError(f"{server.host} cannot be asked: {error}") from error
    raise StunError(f"{server.host} does not answer")


def _listen(line: socket.socket, transaction: bytes, wait: float) -> str:
    """Return what the answer to our request says; empty if none comes in time. What is no answer is passed over."""
    end = time.monotonic() + wait
    while (left := end - time.monotonic()) > 0:
        line.settimeout(left)
        try:
            message = StunMessage.parse(line.recv(2048))
        except TimeoutError:
            break
        except ParseError:
            continue
        if message.transaction != transaction or message.method != BINDING:
            continue
        value = message.value(Attribute.XOR_MAPPED_ADDRESS)
        if message.message_class is not MessageClass.SUCCESS or value is None:
            raise StunError("the server refuses to say")
        try:
            host, _ = decode_address(value, transaction)
        except ParseError as error:
            raise StunError("the server says nothing that can be read") from error
        address = ip_address(host)
        if address.version != 4 or address.is_unspecified or address.is_multicast:
            raise StunError(f"the server says {host}, which cannot be ours")
        return host
    return ""


class PublicAddress:
    """Asks in a thread; `told` hears on the loop of an address that is another one than before."""

    def __init__(
        self,
        server: StunServer,
        interval: float,
        later: Callable[[float, Callable[[], None]], Timer],
        call_soon: Callable[[Callable[[], None]], object],
        told: Callable[[str], None],
        *,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Use the stack's `later`, and a `call_soon` for other threads."""
        self._server, self._interval = server, interval
        self._later, self._call_soon, self._told, self._random = later, call_soon, told, random
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stun")
        self._timer: Timer | None = None
        self._stopped = False
        self.address = ""
        """The last one learned; empty while there is none."""
        self.failure = ""
        """Why the last question was not answered; empty if it was."""

    def start(self) -> None:
        """Ask now, and from then on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._thread.submit(ask, self._server, self._random(12)).add_done_callback(self._answered)

    def _answered(self, future: Future[str]) -> None:
        if not self._stopped:
            self._call_soon(lambda: self._take(future))

    def _take(self, future: Future[str]) -> None:
        if self._stopped:
            return
        self._timer = self._later(self._interval, self.start)
        try:
            address = future.result()
        except StunError as error:
            if str(error) != self.failure:
                _log.warning("public-address-unknown", reason=str(error), kept=self.address)
            self.failure = str(error)
            return
        self.failure = ""
        if address != self.address:
            _log.info("public-address", address=address, before=self.address)
            self.address = address
            self._told(address)

    def stop(self) -> None:
        """End; nobody is told any more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)
