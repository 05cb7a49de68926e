"""The real things beneath a phone: sockets, the SIP stack, the media engine, passing files."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Final

import pbx
from pbx.call.leg import LegContext, LegSettings
from pbx.errors import EnvironmentFault
from pbx.ids import Ids
from pbx.media.engine import Engine
from pbx.media.policy import MediaSettings
from pbx.media.srtp import srtp_suites
from pbx.net.addresses import AddressBook
from pbx.net.clock import LoopClock
from pbx.net.counters import Counters
from pbx.net.dns import TwistedDns
from pbx.net.driver import Driver
from pbx.net.network import NetworkReactor, RealNetwork
from pbx.net.resolver import Resolver, ResolverSettings
from pbx.net.tls import Tls, TlsSettings, Verification
from pbx.net.trace import Trace
from pbx.net.transport import Listener
from pbx.phone.sounds import write_silence
from pbx.sdp.sdes import Srtp
from pbx.sip.layer import TransactionLayer

if TYPE_CHECKING:
    from pbx.media.commands import Command
    from pbx.phone.phone import Phone
    from pbx.sip.stack import Flow
    from pbx.sip.targets import Target
    from pbx.sip.uri import Uri

__all__ = ["Machine"]

_FIRST_PORT: Final = 10_000
_LAST_PORT: Final = 19_999
"""Ports of audio: below those that the kernel gives away, and beside those of a server with its defaults."""
_NO_MEDIA_MILLISECONDS: Final = 10_000
_NOWHERE: Final = {4: "192.0.2.1", 6: "2001:db8::1"}
"""Addresses of nobody (RFC 5737, RFC 3849): whether a family leads anywhere."""


class Machine:
    """Implements `pbx.phone.ports.Beneath` for one phone, from its making until `stop`.

    `transport` is what the phone uses, `local_port` where it listens (0: any). Over TCP and TLS it listens only if a
    port is given, and is reached over its own connection. `report(where, error)` hears of bugs of ours. Raises
    EnvironmentFault.
    """

    def __init__(
        self,
        reactor: NetworkReactor,
        loop: asyncio.AbstractEventLoop,
        report: Callable[[str, Exception], None],
        *,
        transport: str = "udp",
        local_port: int = 0,
        verify: bool = True,
        codecs: tuple[str, ...] = (),
        srtp: bool = False,
        domain: str = "",
    ) -> None:
        self._loop = loop
        self._report = report
        self._undo: list[Callable[[], object]] = []
        self.ids = Ids()
        clock = LoopClock(loop)
        self._book = AddressBook(clock.seconds)
        self.trace = Trace(epoch=time() - clock.seconds())
        try:
            network = self._open_network(reactor, clock, _listeners(transport, local_port), verify)
            self.driver = Driver(
                clock,
                TransactionLayer(self.ids),
                self._resolver(reactor, clock, network),
                network,
                self.ids,
                report,
                trace=self.trace,
            )
            self.engine = self._open_engine()
            self._folder = Path(tempfile.mkdtemp(prefix="pbx-phone-"))
            self._undo.append(lambda: shutil.rmtree(self._folder, ignore_errors=True))
        except BaseException:
            self.stop()
            raise
        self.media = MediaSettings(
            codecs=codecs,
            no_media_timeout=_NO_MEDIA_MILLISECONDS,
            srtp=Srtp.REQUIRE if srtp else Srtp.ACCEPT,
            suites=srtp_suites(),
        )
        # A connection is what the server knows us by; over UDP the Contact says where it wants to be reached.
        keep = transport != "udp"
        product = f"Tandem-phone/{pbx.__version__}"
        self.context = LegContext(
            self.driver, self.ids, settings=LegSettings(product=product, domain=domain, keep_flow=keep)
        )

    def _open_network(
        self, reactor: NetworkReactor, clock: LoopClock, listeners: Iterable[Listener], verify: bool
    ) -> RealNetwork:
        tls = Tls(TlsSettings(None, None, default=Verification(verify=verify)))
        network = RealNetwork(reactor, clock, listeners, Counters(), tls=tls, book=self._book)
        self._undo.append(network.stop)
        return network

    def _resolver(self, reactor: NetworkReactor, clock: LoopClock, network: RealNetwork) -> Resolver:
        families = tuple(family for family, nowhere in _NOWHERE.items() if self._book.source_towards(nowhere)) or (4, 6)
        settings = ResolverSettings(
            transports=tuple(
                transport
                for transport in ("udp", "tcp", "tls")
                if any(network.offers(transport, nowhere) for nowhere in _NOWHERE.values())
            ),
            families=families,
        )
        return Resolver(TwistedDns(reactor), clock, settings, draw=lambda most: self.ids.number(32) % (most + 1))

    def _open_engine(self) -> Engine:
        engine = Engine(_FIRST_PORT, _LAST_PORT, workers=1, writers=1, cache=16, backlog=16)
        self._undo.append(engine.close)
        return engine

    # -- life

    def start(self, phone: Phone) -> None:
        """Give the phone what arrives."""
        self.driver.on_flow_closed(phone.on_flow_closed)
        self.driver.start(phone.door)
        self._loop.add_reader(self.engine.fileno(), self._deliver, phone)
        self._undo.append(lambda: self._loop.remove_reader(self.engine.fileno()))

    def _deliver(self, phone: Phone) -> None:
        try:
            phone.on_media(self.engine.drain())
        except Exception as error:  # noqa: BLE001 - a fault of ours is said, and the user may still hang up
            self._report("what the media engine told", error)

    def stop(self) -> None:
        """Close everything; harmless when it is closed."""
        while self._undo:
            self._undo.pop()()

    # -- Beneath

    def submit(self, command: Command) -> None:
        """Give the media engine a command."""
        self.engine.submit(command)

    def resolve(self, uri: Uri, done: Callable[[Sequence[Target], str], None]) -> None:
        """Find out where `uri` leads."""
        self.driver.resolver.resolve(uri, "", done)

    def source_towards(self, host: str) -> str:
        """Return our address towards the numeric `host`."""
        return self._book.source_towards(host)

    def keep_alive(self, flow: Flow, interval: float) -> Callable[[], None]:
        """Send keep-alives over `flow`."""
        return self.driver.keep_alive(flow, interval)

    def silence(self, seconds: float) -> str:
        """Return the path of a silent sound file, made when it is first asked for."""
        path = self._folder / f"silence-{seconds}.wav"
        if not path.exists():
            try:
                write_silence(path, seconds)
            except OSError as error:
                raise EnvironmentFault(f"{path} cannot be written: {error.strerror}") from None
        return str(path)

    def scratch(self, path: str) -> str:
        """Return where to write what shall be `path` in the end: beside it, so that it can be renamed."""
        wanted = Path(path)
        scratch = wanted.with_name(f".{wanted.name}.{self.ids.token(4)}")
        with suppress(FileNotFoundError):
            scratch.unlink()
        return str(scratch)

    def keep(self, scratch: str, path: str) -> str:
        """Give what was written its name."""
        try:
            os.replace(scratch, path)
        except OSError as error:
            return f"{path} cannot be written: {error.strerror}; the recording is {scratch}"
        return ""


def _listeners(transport: str, port: int) -> list[Listener]:
    if transport == "udp":
        found = [Listener("udp", "0.0.0.0", port)]
        if _has_ipv6():
            found.append(Listener("udp", "::", port))
        return found
    return [Listener("tcp", "0.0.0.0", port)] if transport == "tcp" and port else []


def _has_ipv6() -> bool:
    """Whether the kernel knows IPv6: it then lists at least ``::1``."""
    try:
        return bool(Path("/proc/net/if_inet6").read_bytes())
    except OSError:
        return False
