"""linphonec, driven over its standard input: speaks a file, hears into a file, also after a hold."""

from __future__ import annotations

from pathlib import Path

from tests.peers.support import ports
from tests.peers.support.child import Child, program
from tests.peers.support.hearing import tone_file
from tests.peers.support.waiting import until

__all__ = ["Linphone"]

_PACKAGE = "linphone-cli"

_CONFIG = """\
[sip]
sip_port={udp}
sip_tcp_port={tcp}
sip_tls_port={tls}
guess_hostname=0
contact="{name}" <sip:{number}@127.0.0.1>
inc_timeout=30
use_ipv6=0
register_only_when_network_is_up=0
auto_net_state_mon=0
bind_address=127.0.0.1
default_proxy=0
media_encryption={encryption}
verify_server_certs=0
verify_server_cn=0

[rtp]
audio_rtp_port={media}

[sound]
echocancellation=0

[proxy_0]
reg_proxy=<sip:127.0.0.1:{port};transport={transport}>
reg_route=<sip:127.0.0.1:{port};transport={transport};lr>
reg_identity="{name}" <sip:{number}@127.0.0.1:{port}>
reg_expires=120
reg_sendregister=1
publish=0
dial_escape_plus=0

[auth_info_0]
username={number}
userid={number}
passwd={password}
realm={realm}
algorithm=SHA-256
"""


class Linphone:
    """One phone. It speaks a tone of `hertz`."""

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
        realm: str = "tandem",
        name: str = "",
        encryption: str = "",
    ) -> None:
        self._program = program("linphonec", _PACKAGE)
        (folder / "home" / ".local" / "share" / "linphone").mkdir(parents=True)
        self.folder = folder
        self.number = number
        self.port = port
        self.transport = transport
        self._answers = answers
        self.sip = ports.port()
        tone_file(folder / "speaks.wav", hertz)
        (folder / "config").write_text(
            _CONFIG.format(
                udp=self.sip if transport == "udp" else 0,
                tcp=self.sip if transport == "tcp" else 0,
                tls=self.sip if transport == "tls" else 0,
                name=name or number,
                number=number,
                password=password,
                port=port,
                transport=transport,
                media=ports.block(2),
                realm=realm,
                encryption=encryption or "none",
            )
        )
        self._child: Child | None = None
        self._seen = 0
        self._call = 0

    # -- life

    def start(self) -> Linphone:
        """Start it, and give it files for a sound card."""
        command = [self._program, "-c", str(self.folder / "config"), "-d", "0"]
        self._child = Child(
            command + (["-a"] if self._answers else []), self.folder, {"HOME": str(self.folder / "home")}
        )
        self._child.expect(r"linphonec>", 20)
        self._child.say("soundcard use files")
        self._child.expect(r"Using wav files", 20)
        self._child.say(f"play {self.folder / 'speaks.wav'}")
        self.fresh()
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
                self._child.say("quit")
                self._child.wait(5)
        except (AssertionError, OSError):
            pass  # a phone that does not end is not what is tested here
        finally:
            self.crash()

    def crash(self) -> None:
        """End at once, without a word to anybody."""
        if self._child is not None:
            self._child.kill()

    # -- what it does

    def dial(self, number: str) -> None:
        """Call a number at the server."""
        self.child.say(f"call sip:{number}@127.0.0.1:{self.port};transport={self.transport}")

    def accept(self) -> None:
        self.child.say("answer")

    def hang_up(self) -> None:
        self.child.say("terminate")

    def hold(self) -> None:
        """Put its call on hold, and wait until the other side has agreed. It goes on sending its file, as music."""
        self._renegotiate("pause", r"is now paused")

    def resume(self) -> None:
        """Take its call off hold, and wait until the other side has agreed."""
        self._renegotiate("resume", r"Media streams established")

    def _renegotiate(self, command: str, done: str) -> None:
        before = len(self.child.output)
        self.child.say(command)
        self.child.expect(done, 15, before)

    # -- what happens to it

    def fresh(self) -> None:
        """Forget what happened until now: what is waited for and heard from here on belongs to the next call."""
        self._seen = len(self.child.output)
        self._call += 1
        self.child.say(f"record {self.heard_file}")

    def expect(self, pattern: str, seconds: float = 15.0) -> str:
        """Wait until it has said something like `pattern` since `fresh`; return that."""
        return self.child.expect(pattern, seconds, self._seen)[0]

    def wait_incoming(self) -> str:
        """Wait until it rings; the text says who calls."""
        return self.expect(r"Receiving new incoming call from .*")

    def wait_established(self) -> str:
        """Wait until its audio runs."""
        return self.expect(r"Media streams established .*")

    def wait_ended(self) -> str:
        """Wait until its call is over; the text says why."""
        return self.expect(r"Call \d+ with .* (ended|error).*")

    @property
    def heard_file(self) -> Path:
        """What it has heard in this call; it goes on in the same file after a hold."""
        return self.folder / f"heard-{self._call}.wav"

    def seconds_heard(self) -> float:
        """How much it has heard in this call."""
        return max(0, self.heard_file.stat().st_size - 44) / 16_000 if self.heard_file.exists() else 0.0

    def hear_more(self, seconds: float) -> None:
        """Wait until it has heard so much more."""
        wanted = self.seconds_heard() + seconds
        until(lambda: self.seconds_heard() >= wanted, lambda: f"{wanted:.1f} s heard: {self.seconds_heard():.1f}", 20)
