"""Offer in, what goes to the other side; answer in, what comes back: golden pairs like rtpengine's tests."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pbx.media.policy import MediaSettings, RtcpMux
from pbx.sdp.parser import parse
from tests.support.media import SESSION_ID, session, text


@dataclass(frozen=True)
class Pair:
    """Without `head` a description begins as every one of a phone or of ours does."""

    name: str
    offer: str
    to_callee: str
    answer: str
    to_caller: str
    settings: MediaSettings | None = None
    decodable_only: bool = False


OURS = f"v=0\no=- {SESSION_ID} 1 IN IP4 203.0.113.5\ns=-\nc=IN IP4 203.0.113.5\nt=0 0\n"
CALLER = "v=0\no=alice 53655765 2353687637 IN IP4 192.168.7.31\ns=Alice's phone\nc=IN IP4 192.168.7.31\nt=0 0\n"
CALLEE = "v=0\no=bob 8000 8000 IN IP4 10.20.30.40\ns=Bob's phone\nc=IN IP4 10.20.30.40\nt=0 0\n"

PAIRS = [
    Pair(
        "a desk phone, everything passes",
        CALLER
        + """m=audio 41234 RTP/AVP 9 8 0 18 101
a=rtpmap:9 G722/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=sendrecv
""",
        OURS
        + """m=audio 20100 RTP/AVP 9 8 0 18 101
a=rtpmap:9 G722/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=rtcp-xr:rcvr-rtt=all voip-metrics
a=ptime:20
a=sendrecv
""",
        CALLEE
        + """m=audio 5062 RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:30
""",
        OURS
        + """m=audio 20000 RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:30
a=sendrecv
""",
    ),
    Pair(
        "recorded: only what can be decoded",
        CALLER
        + """m=audio 41234 RTP/AVP 18 96 8 97 101
a=rtpmap:96 iLBC/8000
a=rtpmap:97 opus/48000/2
a=fmtp:97 useinbandfec=1
a=rtpmap:101 telephone-event/8000
""",
        OURS
        + """m=audio 20100 RTP/AVP 8 97 101
a=rtpmap:8 PCMA/8000
a=rtpmap:97 opus/48000/2
a=fmtp:97 useinbandfec=1
a=rtpmap:101 telephone-event/8000
a=rtcp-xr:rcvr-rtt=all voip-metrics
a=sendrecv
""",
        CALLEE
        + """m=audio 5062 RTP/AVP 97 101
a=rtpmap:97 opus/48000
a=rtpmap:101 telephone-event/8000
""",
        OURS
        + """m=audio 20000 RTP/AVP 97 101
a=rtpmap:97 opus/48000/2
a=rtpmap:101 telephone-event/8000
a=sendrecv
""",
        decodable_only=True,
    ),
    Pair(
        "a softphone with ICE, rtcp-mux and SDES on plain RTP; the callee knows none of it",
        "v=0\no=- 3710604898417546434 2 IN IP4 192.168.7.31\ns=-\nt=0 0\na=ice-lite\na=tool:secretphone 1.0\n"
        "a=group:BUNDLE 0\na=msid-semantic: WMS stream\n"
        """m=audio 41234 RTP/AVPF 96 0
c=IN IP4 192.168.7.31
b=AS:80
a=rtcp:41299 IN IP4 192.168.7.32
a=rtcp-mux
a=ice-ufrag:F7gI
a=ice-pwd:x9cml/YzichV2+XlhiMu8g
a=candidate:0 1 UDP 2113667327 192.168.7.31 41234 typ host
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz
a=mid:0
a=msid:stream track
a=ssrc:3570614608 cname:4TOk42mSjXCkVIa6
a=rtcp-fb:96 nack
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=rtpmap:96 opus/48000/2
a=fmtp:96 minptime=10;useinbandfec=1
a=rtpmap:0 PCMU/8000
a=maxptime:120
a=label:main
a=x-vendor:192.168.7.31
""",
        OURS
        + """m=audio 20100 RTP/AVP 96 0
a=rtpmap:96 opus/48000/2
a=fmtp:96 minptime=10;useinbandfec=1
a=rtpmap:0 PCMU/8000
a=rtcp-xr:rcvr-rtt=all voip-metrics
a=maxptime:120
a=sendrecv
""",
        CALLEE + "m=audio 5062 RTP/AVP 0\n",
        # A key of ours answers the caller's (RFC 8643); the callee hears of neither.
        OURS
        + """m=audio 20000 RTP/AVPF 0
a=rtpmap:0 PCMU/8000
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:ERERERERERERERERERERERERERERERERERERERER
a=rtcp-mux
a=sendrecv
""",
    ),
    Pair(
        "video and fax are refused, and the places of the m= lines kept",
        CALLER
        + """m=video 51372 RTP/AVP 31 32
a=rtpmap:31 H261/90000
m=audio 41234 RTP/AVP 0
m=image 54111 udptl t38
a=T38FaxVersion:0
m=audio 41236 RTP/AVP 8
""",
        OURS
        + """m=audio 20100 RTP/AVP 0
a=rtpmap:0 PCMU/8000
a=rtcp-xr:rcvr-rtt=all voip-metrics
a=sendrecv
""",
        CALLEE + "m=audio 5062 RTP/AVP 0\n",
        OURS
        + """m=video 0 RTP/AVP 31 32
m=audio 20000 RTP/AVP 0
a=rtpmap:0 PCMU/8000
a=sendrecv
m=image 0 udptl t38
m=audio 0 RTP/AVP 8
""",
    ),
    Pair(
        "a policy of codecs, and rtcp-mux offered",
        CALLER + "m=audio 41234 RTP/AVP 9 18 8 0 101\na=rtpmap:101 telephone-event/8000\n",
        OURS
        + """m=audio 20100 RTP/AVP 0 18 101
a=rtpmap:0 PCMU/8000
a=rtpmap:18 G729/8000
a=rtpmap:101 telephone-event/8000
a=rtcp-xr:rcvr-rtt=all voip-metrics
a=rtcp-mux
a=sendrecv
""",
        CALLEE + "m=audio 5062 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\na=rtcp-mux\n",
        OURS
        + """m=audio 20000 RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=sendrecv
""",
        MediaSettings(address="203.0.113.5", codecs=("PCMU", "G729"), rtcp_mux=RtcpMux.OFFER),
    ),
    Pair(
        "the callee numbers a codec in its own way, and leaves an a=rtpmap out",
        CALLER
        + """m=audio 41234 RTP/AVP 111 0 96
a=rtpmap:111 opus/48000/2
a=rtpmap:96 telephone-event/8000
a=fmtp:96 0-11
""",
        OURS
        + """m=audio 20100 RTP/AVP 111 0 96
a=rtpmap:111 opus/48000/2
a=rtpmap:0 PCMU/8000
a=rtpmap:96 telephone-event/8000
a=fmtp:96 0-11
a=rtcp-xr:rcvr-rtt=all voip-metrics
a=sendrecv
""",
        CALLEE + "m=audio 5062 RTP/AVP 107 96\na=rtpmap:107 opus/48000/2\na=fmtp:107 stereo=0\n",
        OURS
        + """m=audio 20000 RTP/AVP 111 96
a=rtpmap:111 opus/48000/2
a=fmtp:111 stereo=0
a=rtpmap:96 telephone-event/8000
a=sendrecv
""",
    ),
]


@pytest.mark.parametrize("pair", PAIRS, ids=[pair.name for pair in PAIRS])
def test_pair(pair: Pair) -> None:
    made = session(pair.settings)
    made.set_remote("a", parse(pair.offer), offer=True)
    assert text(made.offer_to("b", "a", decodable_only=pair.decodable_only)) == pair.to_callee.splitlines()
    made.set_remote("b", parse(pair.answer), offer=False)
    assert text(made.answer_to("a", "b")) == pair.to_caller.splitlines()
