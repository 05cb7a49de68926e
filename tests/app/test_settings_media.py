"""What configuration says of media, seen from the phones and carriers of a running server."""

from __future__ import annotations

import socket
import struct
import wave
from pathlib import Path

import pytest

from pbx.media.engine import processes_sound
from pbx.sdp import parser
from pbx.sdp.model import SessionDescription
from pbx.sip.message import Request, Response
from tests.support.loopback import World
from tests.support.pbx import LOOPBACK, Connect, Pbx, Phone, Serve, free_ports, sdp

ROUTES = """
routes:
  - {name: echo, when: {number: "600"}, do: [echo]}
  - {name: sound, when: {number: "601"}, do: [{play: tick, repeat: 0}]}
  - {name: phones, when: {number: "1XX"}, do: [{dial: "extension/{number}"}]}
"""
PLAN = ROUTES + '  - {name: carrier, when: {from: extension, number: "7X"}, do: [{dial: trunk/carrier}]}\n'
PHONES = """
extensions:
  "101": {password: wonderland}
  "102": {password: looking-glass}
"""


def carrier(port: int, options: str = "") -> str:
    return f'trunks:\n  carrier: {{address: "sip:{LOOPBACK}:{port}", identify: ["{LOOPBACK}:{port}"]{options}}}\n'


def said(message: Request | Response) -> SessionDescription:
    return parser.parse(message.body)


def address(message: Request | Response) -> str:
    description = said(message)
    connection = description.media[0].connection or description.connection
    assert connection is not None
    return connection.address


def formats(message: Request | Response) -> tuple[str, ...]:
    return said(message).media[0].formats


def callers(serve: Serve, phone: Connect, media: str = "", trunk: str = "", more: str = "") -> tuple[Pbx, Phone]:
    """Return a server and the carrier that may call it."""
    (port,) = free_ports()
    section = f"media: {{{media}}}\n" if media else ""
    pbx = serve(section + carrier(port, trunk) + more, PLAN)
    return pbx, phone(pbx, port=port)


def called(one: Phone, number: str, offer: bytes | None = None) -> Response:
    """Call a number and return its 200."""
    invite = one.dial(number, offer)
    answer = one.final(invite)
    assert answer.status == 200, answer.start_line()
    one.acknowledge(invite, answer)
    return answer


class Audio:
    """A pair of RTP and RTCP sockets."""

    def __init__(self, world: World) -> None:
        self.world = world
        while True:
            self.rtp, self.rtcp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
            self.rtp.bind((LOOPBACK, 0))
            self.port = self.rtp.getsockname()[1]
            try:
                self.rtcp.bind((LOOPBACK, self.port + 1))
                break
            except (OSError, OverflowError):
                self.close()
        self.rtp.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        for one in (self.rtp, self.rtcp):
            one.setblocking(False)
        self.sequence = 0
        self.heard: list[tuple[bytes, int]] = []
        self.reports = 0

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()

    def send(self, answer: Response) -> None:
        """Send one packet of PCMU to where an answer wants it."""
        self.sequence += 1
        packet = struct.pack("!BBHII", 0x80, 0, self.sequence, self.sequence * 160, 7) + bytes(160)
        self.rtp.sendto(packet, (address(answer), said(answer).media[0].port))

    def talk(self, answer: Response, packets: int = 10) -> None:
        """Send packets in real time and take what comes back."""
        for _ in range(packets):
            self.send(answer)
            self.world.run(0.02)
            self.listen()

    def listen(self) -> None:
        """Take what has come."""
        while True:
            try:
                data, ancillary, _, _ = self.rtp.recvmsg(2000, 64)
            except BlockingIOError:
                break
            self.heard.append((data, ancillary[0][2][0]))
        while True:
            try:
                self.reports += bool(self.rtcp.recv(2000))
            except BlockingIOError:
                break


@pytest.fixture
def audio(world: World):
    made: list[Audio] = []

    def make() -> Audio:
        made.append(Audio(world))
        return made[-1]

    yield make
    for one in made:
        one.close()


# Addresses and ports


@pytest.mark.parametrize("listen", [[LOOPBACK, "127.0.0.2"], ["0.0.0.0"]])
def test_audio_goes_where_the_signalling_of_each_leg_goes(serve: Serve, phone: Connect, listen: list[str]) -> None:
    uris = ", ".join(f'"udp://{host}:0"' for host in listen)
    pbx = serve(f"sip: {{listen: [{uris}]}}\n{PHONES}", ROUTES)
    alice, bob = phone(pbx, "101", "wonderland"), phone(pbx, "102", "looking-glass", host="127.0.0.2")
    port = pbx.address("udp", len(listen) - 1)[1]
    alice.server, bob.server = (LOOPBACK, pbx.address()[1]), ("127.0.0.2", port)
    assert bob.register().status == 200
    invite = alice.dial("102")
    heard = bob.request("INVITE")
    assert address(heard) == "127.0.0.2"
    bob.pick_up(heard)
    assert address(alice.final(invite)) == LOOPBACK


def test_audio_towards_a_trunk_goes_where_the_signalling_goes(serve: Serve, phone: Connect) -> None:
    (port,) = free_ports()
    trunk = f'trunks:\n  carrier: {{address: "sip:127.0.0.5:{port}"}}\n'
    pbx = serve(f'sip: {{listen: ["udp://0.0.0.0:0"]}}\n{PHONES}{trunk}', PLAN)
    pbx.server.network._book._sources["127.0.0.5"] = ("127.0.0.4", 1e12)
    alice, line = phone(pbx, "101", "wonderland"), phone(pbx, host="127.0.0.5", port=port)
    alice.server = (LOOPBACK, pbx.address()[1])
    alice.dial("70")
    assert address(line.request("INVITE")) == "127.0.0.4"


def test_audio_may_have_an_address_of_its_own(serve: Serve, phone: Connect) -> None:
    pbx, line = callers(serve, phone, "address: 127.0.0.3")
    answer = called(line, "600")
    assert address(answer) == "127.0.0.3"
    first, last = pbx.server.settings.media.ports
    assert first <= said(answer).media[0].port <= last


def test_audio_ports_are_those_of_the_range(serve: Serve, phone: Connect) -> None:
    _, line = callers(serve, phone, "ports: 46000-46003")
    ports = {said(called(line, "600")).media[0].port for _ in range(2)}
    assert ports == {46000, 46002}
    refused = line.final(line.dial("600"))
    assert refused.status == 503


@pytest.mark.parametrize(
    ("sip", "media", "told"),
    [
        ("", "external_address: 203.0.113.9", LOOPBACK),
        ("", "external_address: 203.0.113.9, local_networks: []", "203.0.113.9"),
        ("external_address: 203.0.113.7", "", LOOPBACK),
        ("external_address: 203.0.113.7, local_networks: []", "", "203.0.113.7"),
        ("external_address: 203.0.113.7, local_networks: []", "local_networks: 127.0.0.0/8", LOOPBACK),
        ("external_address: 203.0.113.7, local_networks: []", "external_address: 203.0.113.9", "203.0.113.9"),
    ],
)
def test_peers_outside_are_told_the_external_address(
    serve: Serve, phone: Connect, sip: str, media: str, told: str
) -> None:
    _, line = callers(serve, phone, media, more=f'sip: {{listen: ["udp://{LOOPBACK}:0"], {sip}}}\n')
    assert address(called(line, "600")) == told


# Codecs


def test_codecs_of_all_legs(serve: Serve, phone: Connect) -> None:
    pbx, line = callers(serve, phone, "codecs: [PCMA, PCMU]", more=PHONES)
    bob = phone(pbx, "102", "looking-glass")
    bob.register()
    invite = line.dial("102", sdp(codecs="0 9 8 101"))
    heard = bob.request("INVITE")
    assert formats(heard) == ("8", "0", "101")
    bob.pick_up(heard, sdp(codecs="8 0 101"))
    assert formats(line.final(invite)) == ("8", "0", "101")


def test_codecs_of_a_trunk_and_of_an_extension(serve: Serve, phone: Connect) -> None:
    more = (
        'extensions:\n  "101": {password: wonderland, codecs: [G722, PCMA]}\n'
        '  "102": {password: looking-glass, codecs: PCMU}\n'
    )
    pbx, line = callers(serve, phone, "codecs: [PCMU, G722, PCMA], transcode: never", ", codecs: [PCMA, PCMU]", more)
    alice, bob = phone(pbx, "101", "wonderland"), phone(pbx, "102", "looking-glass")
    for one in (alice, bob):
        one.register()
    alice.dial("70", sdp(codecs="0 8 9 101"))
    assert formats(line.request("INVITE")) == ("8", "101")
    line.dial("101", sdp(codecs="0 8 9 101"))
    assert formats(alice.request("INVITE")) == ("8", "101")
    bob.dial("70", sdp(codecs="8 0"))
    assert formats(line.request("INVITE")) == ("0",)
    # What the lists of both have in common is nothing.
    assert alice.final(alice.dial("102", sdp(codecs="0 8 9"))).status == 488
    assert formats(called(alice, "600", sdp(codecs="0 8 9"))) == ("9",)


def test_what_is_transcoded(serve: Serve, phone: Connect) -> None:
    more = (
        'extensions:\n  "101": {password: wonderland, codecs: [G722, PCMA]}\n'
        '  "102": {password: looking-glass, codecs: PCMU}\n'
    )
    pbx, line = callers(serve, phone, "", ", codecs: [PCMA, PCMU]", more)
    alice, bob = phone(pbx, "101", "wonderland"), phone(pbx, "102", "looking-glass")
    for one in (alice, bob):
        one.register()
    alice.dial("70", sdp(codecs="0 8 9 101"))
    assert formats(line.request("INVITE")) == ("8", "0", "101")  # both can do PCMA; the line's list has PCMU too
    ringing = alice.dial("102", sdp(codecs="0 8 9"))
    invite = bob.request("INVITE")
    assert formats(invite) == ("0",)
    bob.answer(invite, 200, sdp(codecs="0"))
    assert formats(alice.final(ringing)) == ("9",)


# Packets


@pytest.mark.parametrize(
    ("media", "trunk", "heard"),
    [
        ("", "", True),
        ("latch: false", "", False),
        ("latch: false", ", latch: true", True),
        ("latch: true", ", latch: false", False),
    ],
)
def test_latching(serve: Serve, phone: Connect, audio, media: str, trunk: str, heard: bool) -> None:
    _, line = callers(serve, phone, media, trunk)
    says, sends = audio(), audio()
    sends.talk(called(line, "600", sdp(says.port)))
    assert bool(sends.heard) is heard


@pytest.mark.skipif(not processes_sound(), reason="the engine is built without speexdsp")
@pytest.mark.parametrize(
    ("media", "trunk", "processed"),
    [
        ("", "", False),
        ("processing: {level: true}", "", True),
        ("processing: {level: true}", ", processing: {level: false}", False),
        ("", ", processing: {level: -30}", True),
    ],
)
def test_sound_is_processed_where_it_is_asked_for(
    serve: Serve, phone: Connect, audio, media: str, trunk: str, processed: bool
) -> None:
    _, line = callers(serve, phone, media, trunk)
    one = audio()
    one.talk(called(line, "600", sdp(one.port)))
    assert one.heard
    assert ({data[12:] for data, _ in one.heard} == {bytes(160)}) is not processed


def test_packets_are_marked(serve: Serve, phone: Connect, audio) -> None:
    _, line = callers(serve, phone, "dscp: 34")
    one = audio()
    one.talk(called(line, "600", sdp(one.port)))
    assert {mark for _, mark in one.heard} == {34 << 2}


def test_a_sound_is_found_in_the_first_folder_that_has_it(serve: Serve, phone: Connect, audio, tmp_path: Path) -> None:
    for name, level in (("first", 0), ("second", 8000), ("third", -8000)):
        (tmp_path / name).mkdir()
        if level:
            with wave.open(str(tmp_path / name / "tick.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8000)
                file.writeframes(struct.pack("<h", level) * 8000)
    folders = ", ".join(str(tmp_path / name) for name in ("first", "second", "third"))
    _, line = callers(serve, phone, f"sounds: [{folders}]")
    one = audio()
    one.talk(called(line, "601", sdp(one.port, "0")))
    octets = {data[12:][80] for data, _ in one.heard[3:]}
    assert octets
    assert all(octet >= 0x80 for octet in octets)  # positive in µ-law


def test_a_call_in_which_nobody_sends_ends(serve: Serve, phone: Connect) -> None:
    pbx, line = callers(serve, phone, "no_media_timeout: 400ms")
    called(line, "600")
    line.request("BYE")
    assert pbx.server.settings.media.no_media_timeout == 0.4


def test_a_call_in_which_nobody_sends_may_go_on_for_ever(serve: Serve, phone: Connect) -> None:
    _, line = callers(serve, phone, "no_media_timeout: null")
    called(line, "600")
    assert line.silent(0.8)


@pytest.mark.parametrize(("mode", "offered", "answered"), [("off", 0, 0), ("accept", 0, 1), ("offer", 1, 1)])
def test_rtcp_on_the_port_of_rtp(serve: Serve, phone: Connect, mode: str, offered: int, answered: int) -> None:
    pbx, line = callers(serve, phone, f"rtcp: {{mux: {mode}}}", more=PHONES)
    alice = phone(pbx, "101", "wonderland")
    alice.dial("70")
    assert line.request("INVITE").body.count(b"a=rtcp-mux") == offered
    assert called(line, "600", sdp(extra="a=rtcp-mux\r\n")).body.count(b"a=rtcp-mux") == answered


def test_reports_are_sent_as_often_as_told(serve: Serve, phone: Connect, audio) -> None:
    counts = []
    for interval in ("200ms", "60s"):
        _, line = callers(serve, phone, f"rtcp: {{interval: {interval}}}")
        one = audio()
        one.talk(called(line, "600", sdp(one.port)), 60)
        counts.append(one.reports)
    assert 2 <= counts[0] <= 12
    assert counts[1] == 0


def test_threads_move_packets(serve: Serve, phone: Connect) -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    counts = []
    for number in (1, 5):
        before = threads()
        callers(serve, phone, f"threads: {number}")
        counts.append(threads() - before)
    assert counts[1] - counts[0] == 4
