"""Real phones behind one interface, started when first asked for and kept while they behave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.peers.support.baresip import Baresip
from tests.peers.support.linphone import Linphone
from tests.peers.support.server import Server

__all__ = ["Fleet", "Line", "Phone"]


class Phone(Protocol):
    """What `Baresip` and `Linphone` have in common."""

    number: str

    def start(self) -> Phone: ...
    def quit(self) -> None: ...
    def crash(self) -> None: ...
    def fresh(self) -> None: ...
    def dial(self, number: str) -> None: ...
    def hang_up(self) -> None: ...
    def hold(self) -> None: ...
    def resume(self) -> None: ...
    def wait_established(self) -> object: ...
    def wait_ended(self) -> object: ...
    def hear_more(self, seconds: float) -> None: ...
    @property
    def heard_file(self) -> Path: ...


@dataclass(frozen=True)
class Line:
    """A phone as a test asks for it: ``Line("baresip", "tls", "103", 440)``."""

    kind: str
    transport: str
    number: str
    hertz: int
    encryption: str = ""
    """As the phone's own settings have it; empty for plain RTP."""
    codecs: str = "PCMU"
    """As baresip's account has it; linphone speaks PCMU."""

    @property
    def password(self) -> str:
        return f"secret-of-{self.number}"

    def __str__(self) -> str:
        return "-".join(filter(None, (self.kind, self.transport, self.encryption, *self._codecs)))

    @property
    def _codecs(self) -> list[str]:
        return [] if self.codecs == "PCMU" else [self.codecs.partition("/")[0]]


class Fleet:
    """The phones of one server."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._running: dict[Line, Phone] = {}
        self._started = 0

    def close(self) -> None:
        """Let every phone unregister and end."""
        while self._running:
            self._running.popitem()[1].quit()

    def crash(self, line: Line) -> None:
        """End a phone as a power failure would."""
        self._running.pop(line).crash()

    @contextmanager
    def phones(self, *lines: Line) -> Iterator[list[Phone]]:
        """Give registered phones with nothing in their ears; they are thrown away if the test fails."""
        try:
            found = [self._running.get(line) or self._start(line) for line in lines]
            self._server.registered(*(line.number for line in lines))
            for phone in found:
                phone.fresh()
            yield found
        except BaseException:
            for line in lines:
                if line in self._running:
                    self._running.pop(line).quit()
            raise

    def _start(self, line: Line) -> Phone:
        self._started += 1
        site = self._server.site
        make: Any = Baresip if line.kind == "baresip" else Linphone
        more = {"codecs": line.codecs} if line.kind == "baresip" else {}
        phone: Phone = make(
            self._folder / f"{self._started}-{line}",
            line.number,
            line.password,
            site.tls if line.transport == "tls" else site.sip,
            hertz=line.hertz,
            transport=line.transport,
            encryption=line.encryption,
            **more,
        )
        self._running[line] = phone
        phone.start()
        return phone
