"""How names of trunks are resolved, against a name server on loopback that the test plays."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from tests.support.loopback import World
from tests.support.pbx import LOOPBACK, Connect, Serve, free_ports

DEAD_FOR = 3
"""Seconds."""
A = 1
TTL = 300


class NameServer:
    """Answers A questions from a table, others about its names with nothing, and is silent about other names."""

    def __init__(self, world: World, table: dict[str, list[str]]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOOPBACK, 0))
        self.socket.setblocking(False)
        self.table = table
        self.asked: list[str] = []
        world.loop.add_reader(self.socket.fileno(), self._answer)
        self._loop = world.loop

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def close(self) -> None:
        self._loop.remove_reader(self.socket.fileno())
        self.socket.close()

    def _answer(self) -> None:
        data, source = self.socket.recvfrom(2000)
        labels, place = [], 12
        while data[place]:
            labels.append(data[place + 1 : place + 1 + data[place]].decode())
            place += 1 + data[place]
        (kind,) = struct.unpack("!H", data[place + 1 : place + 3])
        name, question = ".".join(labels), data[12 : place + 5]
        self.asked.append(name)
        if not any(known.endswith(name) or name.endswith(known) for known in self.table):
            return
        found = self.table.get(name, []) if kind == A else []
        records = b"".join(
            b"\xc0\x0c" + struct.pack("!HHIH", A, 1, TTL, 4) + socket.inet_aton(address) for address in found
        )
        header = data[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0)
        self.socket.sendto(header + question + records, source)


@pytest.fixture
def names(world: World) -> Iterator[NameServer]:
    made = NameServer(world, {})
    yield made
    made.close()


def configured(names: NameServer, port: int, resolver: str = "", sip: str = "", second: int = 9) -> str:
    return (
        f'sip: {{listen: ["udp://{LOOPBACK}:0"], resolver: {{servers: "{LOOPBACK}:{names.port}"{resolver}}}{sip}}}\n'
        'extensions:\n  "101": {password: wonderland}\n'
        f'trunks:\n  named: {{address: "sip:carrier.example:{port}", identify: []}}\n'
        f'  spare: {{address: "sip:{LOOPBACK}:{second}", identify: []}}\n'
    )


PLAN = "routes: [{name: out, when: {from: extension}, do: [{dial: [trunk/named, trunk/spare]}]}]\n"


def test_the_servers_that_are_named_are_asked(serve: Serve, phone: Connect, names: NameServer) -> None:
    names.table["carrier.example"] = [LOOPBACK]
    (port,) = free_ports()
    pbx = serve(configured(names, port), PLAN)
    alice, line = phone(pbx, "101", "wonderland"), phone(pbx, port=port)
    alice.dial("70")
    assert line.request("INVITE").uri.host == "carrier.example"
    assert set(names.asked) == {"carrier.example"}


def test_a_name_server_that_says_nothing_is_given_up(serve: Serve, phone: Connect, names: NameServer) -> None:
    port, second = free_ports(2)
    pbx = serve(configured(names, port, ", timeout: 600ms", second=second), PLAN)
    alice, spare = phone(pbx, "101", "wonderland"), phone(pbx, port=second)
    began = time.monotonic()
    alice.dial("70")
    spare.request("INVITE")
    assert 0.1 < time.monotonic() - began < 2.5
    assert names.asked


def test_a_target_that_did_not_reply_is_passed_over_for_a_while(
    serve: Serve, phone: Connect, names: NameServer, world: World
) -> None:
    names.table["carrier.example"] = ["127.0.0.2", "127.0.0.3"]
    (port,) = free_ports()
    text = configured(names, port, f", dead_for: {DEAD_FOR}s").replace(
        "identify: []", "identify: [], try_timeout: 1s", 1
    )
    pbx = serve(text, PLAN)
    alice = phone(pbx, "101", "wonderland")
    lines = [phone(pbx, host=host, port=port) for host in ("127.0.0.2", "127.0.0.3")]

    def first_asked(number: str) -> list[int]:
        """Call; return which of the two was asked, in that order. The first one says nothing, the second is busy."""
        asked: list[int] = []
        sent = alice.dial(number)

        def heard() -> bool:
            for place, line in enumerate(lines):
                line.listen()
                requests, line.inbox = line.inbox, []
                for request in requests:
                    if request.start_line().startswith("INVITE"):
                        asked.extend([place] if place not in asked else [])
                        if place != dead:
                            line.answer(request, 486)
            alice.listen()
            return any(one.call_id == sent.call_id and getattr(one, "status", 0) >= 300 for one in alice.inbox)

        world.until(heard)
        final = alice.final(sent)
        alice.acknowledge(sent, final)
        assert final.status == 486
        return asked

    dead = -1
    (dead,) = first_asked("1")
    while True:
        began = time.monotonic()
        assert first_asked("2") == [dead, 1 - dead]
        asked = first_asked("3")
        if time.monotonic() - began < DEAD_FOR:
            break
        # Too busy a machine to get there in time: it is alive again, or was at some moment of this.
        world.run(DEAD_FOR)
    assert asked == [1 - dead]
    world.run(DEAD_FOR)
    assert first_asked("4") == [dead, 1 - dead]
