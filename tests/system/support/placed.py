"""The server and phones of `tests/peers`, in namespaces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.peers.support.baresip import Baresip, bracketed
from tests.peers.support.hearing import tone_file
from tests.peers.support.server import Server, Site, pbx
from tests.peers.support.waiting import until
from tests.system.support.namespaces import Machine

__all__ = ["RECORDED", "OwnPhone", "PlacedPhone", "PlacedServer", "PlacedSite", "secret_of", "serving_at"]

SIP, TLS, HTTP, MEDIA = 5060, 5061, 8080, 20_000

RECORDED = {
    "routes": [
        {
            "name": "extensions",
            "when": {"from": "extension", "number": "1XX"},
            "do": [{"dial": "extension/{number}", "record": True}],
        }
    ]
}
"""A plan in which extensions call each other, and every call is recorded."""


def secret_of(number: str) -> str:
    """Return the password of an extension."""
    return f"secret-of-{number}"


class PlacedSite(Site):
    """A server's files; it has a machine for itself, and with it the usual ports."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, sip=SIP, tls=TLS, http=HTTP, media=MEDIA, media_ports=10_000)

    def office(self, listen: list[str], *numbers: str, **sections: Any) -> dict[str, Any]:
        """Return a configuration that listens there and has these extensions."""
        extensions = {number: {"password": secret_of(number)} for number in numbers}
        sip = {"listen": listen, **sections.pop("sip", {})}
        media = {"address": None, **sections.pop("media", {})}
        return self.settings(sip=sip, media=media, extensions=extensions, **sections)


class PlacedServer(Server):
    """A server in a machine of its own; its HTTP side is on that machine's loopback."""

    def __init__(self, site: Site, machine: Machine) -> None:
        super().__init__(site)
        self.machine = machine

    def start(self) -> PlacedServer:
        with self.machine.inside():
            super().start()
        return self

    def api(self, path: str, method: str = "GET", body: Any = None) -> Any:
        with self.machine.inside():
            return super().api(path, method, body)

    @property
    def listens_everywhere(self) -> bool:
        """Whether it listens on every address of its machine."""
        return any("[::]" in uri for uri in json.loads((self.site.folder / "pbx.yaml").read_text())["sip"]["listen"])

    def source(self, number: str) -> str:
        """Return where an extension's phone is registered from, ``udp:host:port``; empty if it is not."""
        for one in self.api("/registrations")["registrations"]:
            if one["aor"].partition(":")[2].partition("@")[0] == number:
                return str(one["source"])
        return ""

    def moved(self, number: str, before: str) -> str:
        """Wait until an extension's phone is registered from elsewhere than `before`, and return where."""
        until(lambda: self.source(number) not in ("", before), lambda: f"move of {number} from {before}", 15)
        return self.source(number)


class PlacedPhone(Baresip):
    """A phone in a machine."""

    def __init__(self, folder: Path, machine: Machine, number: str, **options: Any) -> None:
        with machine.inside():
            super().__init__(folder, number, secret_of(number), SIP, **options)
        self.machine = machine

    def start(self) -> PlacedPhone:
        with self.machine.inside():
            super().start()
        return self


class OwnPhone:
    """``pbx call`` in a machine: waits for a call, answers it and plays a tone; what it hears is in `heard_file`."""

    def __init__(
        self, folder: Path, machine: Machine, number: str, *, hertz: int, server: str, transport: str = "udp"
    ) -> None:
        folder.mkdir()
        self.heard_file = folder / "heard.wav"
        speaks = tone_file(folder / "speaks.wav", hertz)
        with machine.inside():
            self.child = pbx(
                folder,
                *(
                    "call",
                    "--wait",
                    "--json",
                    "--user",
                    number,
                    "--play",
                    str(speaks),
                    "--record",
                    str(self.heard_file),
                ),
                *("--server", f"{bracketed(server)}:{TLS if transport == 'tls' else SIP}", "--transport", transport),
                *(["--insecure"] if transport == "tls" else []),
                environment={"SIP_PASSWORD": secret_of(number)},
            )
        self.number = number

    def wait_ended(self) -> None:
        """Wait until its call was ended by the other side; it then ends itself."""
        self.child.expect(r'"event": "hung-up", "who": "peer"')
        assert self.child.wait(10) == 0

    def quit(self) -> None:
        self.child.end()


@contextmanager
def serving_at(
    machine: Machine, site: PlacedSite, settings: Mapping[str, Any], plan: Mapping[str, Any] | None = None
) -> Iterator[PlacedServer]:
    """Run a server; at the end it has to be idle, to stop well and to have logged nothing bad."""
    if plan is None:
        settings = {name: section for name, section in settings.items() if name != "dialplan"}
    site.write(settings, plan or {})
    server = PlacedServer(site, machine).start()
    try:
        yield server
    except BaseException:
        server.abandon()
        raise
    server.stop()
