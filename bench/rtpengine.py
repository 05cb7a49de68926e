"""rtpengine (Debian's rtpengine-daemon) in userspace, and calls through it by its ng protocol: bencoded dictionaries
over UDP, each with a cookie before it."""

from __future__ import annotations

import itertools
import re
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.processes import LOOPBACK, free_ports, free_range, lines_of, running, wait_for
from pbx.media.commands import Codec

__all__ = ["PROGRAM", "rtpengine"]

PROGRAM = shutil.which("rtpengine")
_AUDIO = re.compile(rb"m=audio (\d+) ")
_PCMU = Codec(0, "PCMU", 8000)
_cookies = itertools.count(1)
_Value = str | Mapping[str, "_Value"] | Sequence["_Value"]


@contextmanager
def rtpengine(
    folder: Path, media: Sequence[tuple[int, int]], *, record: bool = False, codecs: Sequence[Codec] = (_PCMU, _PCMU)
) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Run it with a call for each pair of ports where caller and callee hear; yield its process id, and for each call
    the ports that caller and callee send to. `codecs` are those of caller and callee."""
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
            calls = [_call(sock, number, ports, record, codecs) for number, ports in enumerate(media)]
        except (OSError, RuntimeError) as error:
            raise RuntimeError(f"rtpengine: {error}\n{lines_of(log)}") from error
        yield process.pid, calls


def _answers(sock: socket.socket) -> bool:
    try:
        return b"pong" in _ask(sock, {"command": "ping"}, 0.2)
    except OSError:
        return False


def _call(
    sock: socket.socket, number: int, ports: tuple[int, int], record: bool, codecs: Sequence[Codec]
) -> tuple[int, int]:
    usual: dict[str, _Value] = {"call-id": f"bench{number}", "from-tag": "a", "ICE": "remove"}
    if record:
        usual["record call"] = "yes"
    caller, callee = codecs
    if caller != callee:
        usual["codec"] = {"transcode": [f"{callee.name}/{callee.rate}/{callee.channels}"]}
    offer: dict[str, _Value] = {**usual, "command": "offer", "sdp": _description(ports[0], caller)}
    towards_callee = _port(_ask(sock, offer))
    usual.pop("codec", None)
    answer: dict[str, _Value] = {**usual, "command": "answer", "to-tag": "b", "sdp": _description(ports[1], callee)}
    return _port(_ask(sock, answer)), towards_callee


def _port(answer: bytes) -> int:
    found = _AUDIO.search(answer)
    if found is None:
        raise RuntimeError(f"answered {answer.decode(errors='replace')}")
    return int(found[1])


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


def _description(port: int, codec: Codec) -> str:
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    return (
        f"v=0\r\no=bench 1 1 IN IP4 {LOOPBACK}\r\ns=-\r\nc=IN IP4 {LOOPBACK}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {codec.payload_type}\r\n"
        f"a=rtpmap:{codec.payload_type} {codec.name}/{codec.rate}{channels}\r\n"
    )
