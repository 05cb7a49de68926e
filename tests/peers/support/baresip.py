"""baresip without a window: driven over its control port, hears into a file.

What it speaks is a tone from a file. What it hears goes to ``rec/dump-*-dec.wav``; version 1.0.0 writes there only
until the first hold of a call, so what it hears after that is seen by its own display (`rates`).
"""

from __future__ import annotations

import json
import re
import socket
import threading
from pathlib import Path
from typing import Any

from tests.peers.support import ports
from tests.peers.support.child import Child, program
from tests.peers.support.hearing import tone_file
from tests.peers.support.waiting import until

__all__ = ["Baresip", "bracketed"]

_PACKAGE = "baresip-core"
_MODULES = Path("/usr/lib/baresip/modules")

_CONFIG = """\
poll_method epoll
sip_listen {host}:{sip}
sip_trans_def udp
audio_source aufile,{tone}
audio_player aubridge,null{sip}
audio_alert aubridge,alert{sip}
ausrc_srate {rate}
auplay_srate {rate}
ausrc_channels 1
auplay_channels 1
audio_txmode poll
audio_level no
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
audio_buffer 20-160
rtp_ports {media}-{last}
rtp_timeout 60
call_max_calls 8
net_interface {interface}
module_path {modules}
module g711.so
module g722.so
module opus.so
module aubridge.so
module aufile.so
module srtp.so
module sndfile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
snd_path {folder}/rec
"""


class Baresip:
    """One phone. `number` is what it registers as, unless `registers` is false; it speaks a tone of `hertz`."""

    def __init__(
        self,
        folder: Path,
        number: str,
        password: str,
        port: int,
        *,
        hertz: int,
        transport: str = "udp",
        answers: bool = True,
        codecs: str = "PCMU",
        user: str = "",
        name: str = "",
        host: str = "127.0.0.1",
        server: str = "127.0.0.1",
        interval: int = 60,
        encryption: str = "",
    ) -> None:
        """Make one at the address `host`; `server` is where it registers, every `interval` seconds. IPv6 addresses
        without brackets. `encryption`: ``srtp`` offers keys beside plain RTP, ``srtp-mand`` RTP/SAVP."""
        self._program = program("baresip", _PACKAGE)
        (folder / "rec").mkdir(parents=True)
        self.folder = folder
        self.number = number
        self.port = port
        self.transport = transport
        self.server = bracketed(server)
        self._arguments = ["-6"] if ":" in host else []
        # TLS is listened on one above.
        self.sip = ports.block(2)
        self._control = ports.port()
        media = ports.block(40)
        rate = self._rate = 48_000 if "opus" in codecs else 16_000 if "G722" in codecs else 8000
        tone = tone_file(folder / "speaks.wav", hertz, rate=rate)
        (folder / "config").write_text(
            _CONFIG.format(
                host=bracketed(host),
                interface=host,
                sip=self.sip,
                tone=tone,
                rate=rate,
                media=media,
                last=media + 39,
                modules=_MODULES,
                control=self._control,
                folder=folder,
            )
        )
        # With `;transport=udp` this version finds no way to the server at all.
        way = "" if transport == "udp" else f";transport={transport}"
        mode = "auto" if answers else "manual"
        encrypted = f";mediaenc={encryption}" if encryption else ""
        (folder / "accounts").write_text(
            f'"{name or number}" <sip:{number}@{self.server}:{port}{way}>;auth_user={user or number};'
            f"auth_pass={password};regint={interval};audio_codecs={codecs};answermode={mode}{encrypted}\n"
        )
        (folder / "contacts").write_text("")
        self.events: list[dict[str, Any]] = []
        self._heard_before: set[Path] = set()
        self._socket: socket.socket | None = None
        self._reader: threading.Thread | None = None
        self._child: Child | None = None

    # -- life

    def start(self) -> Baresip:
        """Start it and wait until it takes commands."""
        self._child = Child([self._program, "-f", str(self.folder), *self._arguments], self.folder)
        self._child.expect(r"baresip is ready", 15)
        self._socket = socket.create_connection(("127.0.0.1", self._control), 5)
        self._reader = threading.Thread(target=self._read, args=(self._socket,), daemon=True)
        self._reader.start()
        return self

    @property
    def child(self) -> Child:
        assert self._child is not None, "the phone was not started"
        return self._child

    def quit(self) -> None:
        """Unregister, and end."""
        if self._child is None:
            return
        try:
            if self._child.running:
                self.command("quit")
                self._child.wait(5)
        except (AssertionError, OSError):
            pass  # a phone that does not end is not what is tested here
        finally:
            self.crash()

    def crash(self) -> None:
        """End at once, without a word to anybody."""
        if self._child is not None:
            self._child.kill()
        if self._socket is not None:
            self._socket.close()
        if self._reader is not None:
            self._reader.join(5)

    def _read(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        buffer = b""
        while True:
            try:
                data = connection.recv(65536)
            except OSError:
                return
            if not data:
                return
            buffer += data
            # Netstrings: the length, a colon, the text, a comma.
            while b":" in buffer:
                size, _, rest = buffer.partition(b":")
                if len(rest) <= int(size):
                    break
                self.events.append(json.loads(rest[: int(size)]))
                buffer = rest[int(size) + 1 :]

    # -- what it does

    def command(self, name: str, parameters: str = "") -> None:
        """Give it a command of its menu."""
        assert self._socket is not None, "the phone was not started"
        text = json.dumps({"command": name, "params": parameters, "token": "t"}).encode()
        self._socket.sendall(b"%d:%s," % (len(text), text))

    def dial(self, number: str) -> None:
        """Call a number at the server."""
        way = "" if self.transport == "udp" else f";transport={self.transport}"
        self.command("dial", f"sip:{number}@{self.server}:{self.port}{way}")

    def accept(self) -> None:
        self.command("accept")

    def hang_up(self) -> None:
        self.command("hangup")

    def hold(self) -> None:
        """Put its call on hold, and wait until the other side has agreed. It then neither sends nor hears."""
        self._renegotiate("hold")

    def resume(self) -> None:
        """Take its call off hold, and wait until the other side has agreed."""
        self._renegotiate("resume")

    def _renegotiate(self, command: str) -> None:
        before = len(self._seen("CALL_REMOTE_SDP"))
        self.command(command)
        until(lambda: len(self._seen("CALL_REMOTE_SDP")) > before, f"answer to {command}")

    def press(self, digit: str) -> None:
        """Press a key during a call."""
        self.command("sndcode", digit)

    # -- what happens to it

    def fresh(self) -> None:
        """Forget what happened until now: what is waited for and heard from here on belongs to the next call."""
        self.events.clear()
        self._heard_before = set((self.folder / "rec").glob("dump-*-dec.wav"))

    def expect(self, kind: str, seconds: float = 15.0) -> dict[str, Any]:
        """Wait for an event of a kind, such as CALL_ESTABLISHED, and return the first one since `fresh`."""

        def look() -> list[dict[str, Any]]:
            assert self.child.running, f"baresip {self.number} died: {self.child.tail()}"
            return self._seen(kind)

        return until(
            look, lambda: f"{kind} at baresip {self.number}: {self.events[-4:]} {self.child.tail(800)}", seconds
        )[0]

    def _seen(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in list(self.events) if event.get("type") == kind]

    def wait_incoming(self) -> dict[str, Any]:
        """Wait until it rings; the event says who calls, as the display does."""
        return self.expect("CALL_INCOMING")

    def wait_established(self) -> dict[str, Any]:
        """Wait until it is connected."""
        return self.expect("CALL_ESTABLISHED")

    def wait_ended(self) -> dict[str, Any]:
        """Wait until its call is over; the event's ``param`` says why."""
        return self.expect("CALL_CLOSED")

    @property
    def heard_file(self) -> Path:
        """What it has heard in this call."""
        found = sorted(set((self.folder / "rec").glob("dump-*-dec.wav")) - self._heard_before)
        return found[-1] if found else self.folder / "rec" / "nothing"

    def seconds_heard(self) -> float:
        """How much it has heard in this call, until the first hold."""
        path = self.heard_file
        return max(0, path.stat().st_size - 44) / (2 * self._rate) if path.exists() else 0.0

    def hear_more(self, seconds: float) -> None:
        """Wait until it has heard so much more."""
        wanted = self.seconds_heard() + seconds
        until(lambda: self.seconds_heard() >= wanted, lambda: f"{wanted:.1f} s heard: {self.seconds_heard():.1f}", 20)

    def rates(self) -> tuple[int, int]:
        """Bits a second that it now sends and receives, as its own display says."""
        found = re.findall(r"audio=(\d+)/(\d+) \(bit/s\)", self.child.tail(400))
        return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)


def bracketed(host: str) -> str:
    """Return a host as it stands in a URI."""
    return f"[{host}]" if ":" in host else host
