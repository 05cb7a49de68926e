"""What reading and writing one phone's session description costs: `python bench/sdp.py`."""

from __future__ import annotations

import timeit

from pbx.ids import Ids
from pbx.media.events import Opened
from pbx.media.policy import MediaSettings
from pbx.media.session import MediaSession
from pbx.sdp.parser import parse
from pbx.sdp.writer import to_bytes

OFFER = b"""v=0
o=alice 2890844526 2890844526 IN IP4 192.168.178.31
s=A conversation
c=IN IP4 192.168.178.31
t=0 0
m=audio 41234 RTP/AVP 9 8 0 18 101
a=rtpmap:9 G722/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=maxptime:150
a=rtcp:41235 IN IP4 192.168.178.31
a=sendrecv
""".replace(b"\n", b"\r\n")

ANSWER = b"""v=0
o=bob 1 1 IN IP4 192.168.178.32
s=-
c=IN IP4 192.168.178.32
t=0 0
m=audio 5000 RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
""".replace(b"\n", b"\r\n")

IDS, SETTINGS = Ids(), MediaSettings()


def whole_call() -> None:
    """Read and write the four descriptions of a call, with every engine command that goes with them."""
    session = MediaSession("call", SETTINGS, IDS)
    session.set_remote("a", parse(OFFER))
    for number, leg in enumerate("ab"):
        session.open(leg)
        session.on_event(Opened(session.stream_of(leg), "127.0.0.1", 20000 + 2 * number, 20001 + 2 * number))
    to_bytes(session.offer_to("b", "a"))
    session.set_remote("b", parse(ANSWER))
    to_bytes(session.answer_to("a", "b"))
    session.connect("a", "b")
    session.close_all()
    session.take_commands()


def microseconds(name: str, statement: object, number: int = 3000) -> None:
    best = min(timeit.repeat(statement, number=number, repeat=5))  # type: ignore[call-overload]
    print(f"{name:<44}{best / number * 1e6:8.1f} µs")


if __name__ == "__main__":
    description = parse(OFFER)
    microseconds(f"parse {len(OFFER)} octets", lambda: parse(OFFER))
    microseconds("write them", lambda: to_bytes(description))
    microseconds("all media control of one call", whole_call)
