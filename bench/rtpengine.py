"""rtpengine (Debian's rtpengine-daemon) in userspace, and calls through it by its ng protocol: bencoded dictionaries
over UDP, each with a cookie before it."""

from __future__ import annotations

import itertools
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.description import PCMU, Keyed, audio_of, description
from bench.load import Between
from bench.processes import LOOPBACK, free_ports, free_range, lines_of, running, usage, wait_for
from pbx.media.commands import Codec

__all__ = ["PROGRAM", "rtpengine"]

PROGRAM = shutil.which("rtpengine")
_cookies = itertools.count(1)
_Value = str | Mapping[str, "_Value"] | Sequence["_Value"]


@contextmanager
def rtpengine(
    folder: Path,
    media: Sequence[tuple[int, int]],
    *,
    record: bool = False,
    codecs: Sequence[Codec] = (PCMU, PCMU),
    secure: Sequence[bool] = (False, False),
) -> Iterator[Between]:
    """Run it with a call for each pair of ports where caller and callee hear. `codecs` are those of caller and callee,
    `secure` whether they encrypt."""
    folder.mkdir()
    (control,), (first, last) = free_ports(1), free_range(len(media) * 4 + 400)
    log = folder / "rtpengine.log"
    command = [str(PROGRAM), "--config-file=none", "--foreground", "--log-stderr", "--log-level=4", "--table=-1"]
    command += [f"--interface={LOOPBACK}", f"--listen-ng={LOOPBACK}:{control}"]
    command += [f"--port-min={first}", f"--port-max={last}", f"--pidfile={folder / 'rtpengine.pid'}"]
    if record:
        (folder / "pcap").mkdir()
        command += [f"--recording-dir={folder / 'pcap'}", "--recording-method=pcap", "--recording-format=eth"]
    with running(command, log, cwd=folder) as process, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((LOOPBACK, control))
        wait_for(lambda: _answers(sock), 20, "rtpengine's start", process)
        try:
            empty = usage(process.pid).resident
            calls = [_call(sock, number, ports, record, codecs, secure) for number, ports in enumerate(media)]
        except (OSError, RuntimeError) as error:
            raise RuntimeError(f"rtpengine: {error}\n{lines_of(log)}") from error
        keys = [(a.key, b.key) for a, b in calls] if any(secure) else []
        yield Between(process.pid, [(a.port, b.port) for a, b in calls], empty, keys)


def _answers(sock: socket.socket) -> bool:
    try:
        return b"pong" in _ask(sock, {"command": "ping"}, 0.2)
    except OSError:
        return False


def _call(
    sock: socket.socket,
    number: int,
    ports: tuple[int, int],
    record: bool,
    codecs: Sequence[Codec],
    secure: Sequence[bool],
) -> tuple[Keyed, Keyed]:
    usual: dict[str, _Value] = {"call-id": f"bench{number}", "from-tag": "a", "ICE": "remove"}
    if record:
        usual["record call"] = "yes"
    (caller, callee), (from_keyed, to_keyed) = codecs, secure
    offer: dict[str, _Value] = {**usual, "command": "offer", "sdp": description(0, ports[0], caller, int(from_keyed))}
    if caller != callee:
        offer["codec"] = {"transcode": [f"{callee.name}/{callee.rate}/{callee.channels}"]}
    if any(secure):
        offer["transport protocol"] = "RTP/SAVP" if to_keyed else "RTP/AVP"
    towards_callee = audio_of(1, _ask(sock, offer))
    answered = description(1, ports[1], callee, towards_callee.tag if to_keyed else 0)
    towards_caller = audio_of(0, _ask(sock, {**usual, "command": "answer", "to-tag": "b", "sdp": answered}))
    for wanted, given in zip(secure, (towards_caller, towards_callee), strict=True):
        if wanted != bool(given.key):
            raise RuntimeError("keys were agreed on where none were asked for, or the other way round")
    return towards_caller, towards_callee


def _ask(sock: socket.socket, request: Mapping[str, _Value], timeout: float = 2.0) -> bytes:
    cookie = b"bench%d " % next(_cookies)
    sock.settimeout(timeout)
    sock.send(cookie + _bencode(request))
    while not (answer := sock.recv(65535)).startswith(cookie):
        pass  # the answer to an earlier one that was given up
    return answer.removeprefix(cookie)


def _bencode(value: _Value) -> bytes:
    if isinstance(value, str):
        return b"%d:%s" % (len(value.encode()), value.encode())
    if isinstance(value, Mapping):
        return b"d" + b"".join(_bencode(key) + _bencode(value[key]) for key in sorted(value)) + b"e"
    return b"l" + b"".join(_bencode(item) for item in value) + b"e"
