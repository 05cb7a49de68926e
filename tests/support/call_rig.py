"""A call among small fakes: legs that write down their commands, an engine that opens every port, a clock that is
stepped."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pbx.call import commands, events
from pbx.call.commands import Party
from pbx.call.occupancy import Occupancy
from pbx.call.ports import CallSettings, Candidate, Services
from pbx.call.rates import CallRates
from pbx.call.registry import CallRegistry, Limits
from pbx.call.summary import LegSummary, RecordingSummary, Summary
from pbx.dialplan.decision import Decision, Query
from pbx.dialplan.steps import Step, Target
from pbx.failover import EXTENSION, TRUNK, NextOn
from pbx.ids import Ids
from pbx.media import commands as media_commands
from pbx.media import events as media
from pbx.media.keys import DtmfMode
from pbx.media.policy import MediaSettings
from pbx.media.session import MediaSession
from pbx.sdp.model import SessionDescription
from pbx.sdp.parser import parse
from pbx.sip.stack import Destination, Flow
from pbx.sip.uri import Uri
from tests.support.clock import SteppedClock

__all__ = ["FLOW", "FakeLeg", "Rig", "phone_sdp", "targets"]

FLOW = Flow("udp", ("127.0.0.1", 5060), ("192.0.2.10", 5060))


def phone_sdp(
    port: int = 4000, codecs: str = "0 8 101", direction: str = "sendrecv", version: int = 1
) -> SessionDescription:
    return parse(
        f"v=0\r\no=phone 1 {version} IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {codecs}\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n".encode()
    )


class FakeLeg:
    """Writes down what it is told. Ends at once when told to, as real legs do."""

    def __init__(self, leg: str, emit: Callable[[events.Event], None], inbound: bool) -> None:
        self.id = leg
        self.emit = emit
        self.inbound = inbound
        self.heard: list[commands.Command] = []
        self.gone = False
        self.sip_call_id = f"call-id-of-{leg}"
        self.remote = "udp:192.0.2.10:5060"
        self.takes_info = False

    def handle(self, command: commands.Command) -> None:
        assert not self.gone, f"{command} after the leg was gone"
        self.heard.append(command)
        if isinstance(command, (commands.HangUp, commands.Reject)):
            self.gone = True
            self.emit(events.HungUp(self.id, command.cause))

    def tell(self, event: events.Event) -> None:
        assert not self.gone
        if isinstance(event, (events.HungUp, events.Rejected)):
            self.gone = True
        self.emit(event)

    def kinds(self) -> list[str]:
        return [type(command).__name__ for command in self.heard]

    def last(self, kind: type) -> commands.Command:
        found = [command for command in self.heard if isinstance(command, kind)]
        assert found, f"{self.id} never got a {kind.__name__}, only {self.kinds()}"
        return found[-1]


@dataclass
class Rig:
    """One registry with its fakes. `plan` is what every call is routed by; `phones` says who is reachable."""

    plan: tuple[Step, ...] = ()
    dtmf_modes: dict[str, DtmfMode] = field(default_factory=dict)
    phones: dict[str, int] = field(default_factory=dict)
    """How many contacts each target has."""
    settings: CallSettings = field(default_factory=CallSettings)
    engine_is_slow: bool = False
    limits: Limits = field(default_factory=Limits)
    most_calls: dict[str, int] = field(default_factory=dict)
    codecs_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The codecs of sources and targets."""
    transcode: bool = False
    """Whether the engine turns one codec into another where the two sides have none in common."""
    down: set[str] = field(default_factory=set)
    music: tuple[str, ...] = ()
    redirects: dict[str, tuple[Target, ...]] = field(default_factory=dict)
    """Where a call may go that a target redirects."""
    early_offers: set[str] = field(default_factory=set)
    """Targets that want an offer in every INVITE."""
    most_a_second: dict[str, float] = field(default_factory=dict)
    chances: list[float] = field(default_factory=list)
    patiences: dict[str, float] = field(default_factory=dict)
    nexts: dict[str, NextOn] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = SteppedClock()
        self.clock.rightNow = 1000.0
        self.legs: dict[str, FakeLeg] = {}
        self.engine: list[media_commands.Command] = []
        self.open_streams: set[str] = set()
        self.owed: list[media.Event] = []
        self.ended: list[Summary] = []
        self.answered: list[Summary] = []
        self.recorded: list[str] = []
        self.judged: list[media.Verdict] = []
        self.counts: dict[str, media.StreamStatistics] = {}
        """What the engine answers to a Query, by stream."""
        self.faults: list[BaseException] = []
        self.refusal = ""
        self.resting: dict[str, int] = {}
        self._ports = itertools.count(20000, 2)
        ids = Ids(_counting_entropy())
        self.services = Services(
            now=self.clock.seconds,
            wall=lambda: datetime(2026, 11, 20, 12, tzinfo=UTC),
            later=self.clock.later,
            token=lambda: f"call{len(self.legs)}",
            chance=lambda: self.chances.pop(0),
            decide=self._decide,
            asks_codecs=lambda: True,
            directory=self,
            submit=self._submit,
            open_leg=self._open_leg,
            recording_path=lambda name, at: f"/recordings/{name}.wav",
            sounds=lambda name: (f"/sounds/{name}",),
            music=lambda: self.music,
            occupancy=Occupancy(self.most_calls.get),
            rates=CallRates(self.most_a_second.get, self.clock.seconds),
            observer=self,
            settings=self.settings,
        )
        media_settings = MediaSettings(address="127.0.0.1", transcode=self.transcode)
        self.registry = CallRegistry(self.services, lambda call: MediaSession(call, media_settings, ids), self.limits)

    # -- what a call needs

    def _decide(self, query: Query) -> Decision:
        if self.refusal:
            return Decision(query, None, query.number, (), query.number, self.refusal)
        return Decision(query, "the route", query.number, self.plan, query.number)

    def candidates(self, target: Target) -> tuple[Candidate, ...]:
        one = Candidate(
            str(target),
            Destination(Uri.parse(f"sip:{target.number}@192.0.2.20")),
            Party(target.number),
            codecs=self.codecs(str(target)),
            dtmf=self.dtmf(str(target)),
            early_offer=str(target) in self.early_offers,
        )
        return (one,) * self.phones.get(str(target), 0)

    def shown_to(self, target: str, source: str, caller: Party) -> Party:
        return caller

    def allowed(self, target: str, party: Party) -> Party:
        return party

    def verstat(self, target: str, outcome: str, caller: Party, shown: Party) -> str:
        return ""

    def voucher(self, target: str, source: str, caller: Party) -> None:
        return None

    def latches(self, source: str) -> bool:
        return True

    def dtmf(self, source: str) -> DtmfMode:
        return self.dtmf_modes.get(source, DtmfMode.AUTO)

    def processing(self, source: str) -> None:
        return None

    def srtp(self, source: str) -> None:
        return None

    def codecs(self, source: str) -> tuple[str, ...]:
        return self.codecs_of.get(source, ())

    def redirected(self, target: str, contacts: tuple[str, ...]) -> tuple[Target, ...]:
        return self.redirects.get(target, ())

    def is_down(self, target: Target) -> bool:
        return str(target) in self.down

    def next_on(self, target: str) -> NextOn:
        return self.nexts.get(target, TRUNK if target.startswith("trunk/") else EXTENSION)

    def patience(self, target: str) -> float | None:
        return self.patiences.get(target)

    def overloaded(self, target: str, seconds: int) -> None:
        self.resting[target] = seconds

    def _open_leg(self, leg: str, candidate: Candidate, emit: Callable[[events.Event], None]) -> FakeLeg:
        self.legs[leg] = FakeLeg(leg, emit, inbound=False)
        return self.legs[leg]

    def call_started(self, summary: Summary) -> None:
        assert summary.call

    def call_answered(self, summary: Summary) -> None:
        self.answered.append(summary)

    def recording_changed(self, summary: Summary, recording: RecordingSummary) -> None:
        self.recorded.append(recording.status)

    def audio_judged(self, summary: Summary, leg: LegSummary, verdict: media.Verdict) -> None:
        self.judged.append(verdict)

    def call_ended(self, summary: Summary) -> None:
        self.ended.append(summary)

    def fault(self, call: str, error: BaseException) -> None:
        self.faults.append(error)

    # -- the engine

    def _submit(self, command: media_commands.Command) -> None:
        self.engine.append(command)
        if isinstance(command, media_commands.Open):
            self.open_streams.add(command.stream)
            port = next(self._ports)
            self.owed.append(media.Opened(command.stream, "127.0.0.1", port, port + 1))
        elif isinstance(command, media_commands.Close):
            self.open_streams.discard(command.stream)
            self.owed.append(media.Closed(command.stream, media.StreamStatistics(received_packets=7)))
        elif isinstance(command, media_commands.Query):
            self.owed.append(
                media.Statistics(command.stream, self.counts.get(command.stream, media.StreamStatistics()))
            )
        elif isinstance(command, media_commands.StopRecording):
            path = next(
                one.path
                for one in self.engine
                if isinstance(one, media_commands.Record) and one.recording == command.recording
            )
            self.owed.append(media.RecordingEnded(command.recording, path, 1000, 32044, "ab" * 32))
        elif isinstance(command, media_commands.StopPlaying):
            self.owed.append(media.PlayEnded(command.stream, command.play))

    def settle(self) -> None:
        """Let the engine tell what it owes."""
        while self.owed and not self.engine_is_slow:
            events_now, self.owed = self.owed, []
            self.registry.on_media(events_now)

    def asked(self, kind: type) -> list[media_commands.Command]:
        return [command for command in self.engine if isinstance(command, kind)]

    # -- the test's words

    def incoming(
        self,
        called: str = "102",
        offer: SessionDescription | None = None,
        late: bool = False,
        source: str = "extension/101",
        hops: int | None = 70,
    ) -> FakeLeg:
        call_id = f"c{len(self.legs)}"
        leg = FakeLeg(f"{call_id}-0", self.registry.deliver, inbound=True)
        self.legs[leg.id] = leg
        sdp = None if late else offer or phone_sdp()
        event = events.Incoming(leg.id, source, Party("101", "Alice"), called, sdp, hops, sip_call_id=leg.sip_call_id)
        self.registry.begin(event, leg, call_id, FLOW)
        self.settle()
        return leg

    def leg(self, number: int) -> FakeLeg:
        """The leg of the newest call with this number; 0 is the caller."""
        return next(leg for name, leg in reversed(self.legs.items()) if name.endswith(f"-{number}"))

    def tell(self, leg: FakeLeg, event: events.Event) -> None:
        leg.tell(event)
        self.settle()

    def answer(self, leg: FakeLeg, sdp: SessionDescription | None = None) -> None:
        self.tell(leg, events.Answered(leg.id, sdp or phone_sdp(6000, "0 101")))

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.settle()

    def assert_nothing_left(self) -> None:
        self.settle()
        assert not self.faults, self.faults
        assert len(self.registry) == 0
        assert not self.open_streams
        assert not self.clock.calls
        assert all(leg.gone or not leg.heard for leg in self.legs.values())


def _counting_entropy() -> Callable[[int], bytes]:
    numbers = itertools.count(1)
    return lambda octets: b"".join(next(numbers).to_bytes(4, "big") for _ in range(octets // 4 + 1))[:octets]


def targets(*names: str, number: str = "102") -> tuple[Target, ...]:
    return tuple(Target(*name.split("/"), number) for name in names)
