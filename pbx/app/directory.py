"""Where everybody is and who they are: configuration and the location service, as calls, registrar and reception ask
for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pbx.app.lines import Lines
from pbx.app.shown import allowed, is_listed, shown_to, verstat, voucher
from pbx.app.translate import leg_settings, probes, processing_of, trunk_lines
from pbx.call.called import called_in
from pbx.call.commands import Party, Voucher
from pbx.call.header_rules import HeaderRules
from pbx.call.leg import LegSettings
from pbx.call.occupancy import Occupancy
from pbx.call.ports import Candidate
from pbx.config.schema import Extension, Settings, Trunk
from pbx.dialplan.steps import Target
from pbx.errors import ParseError
from pbx.failover import EXTENSION, TRUNK, NextOn
from pbx.loading import trunk_numbers
from pbx.media.keys import DtmfMode
from pbx.media.processing import Processing
from pbx.net.whereabouts import Whereabouts
from pbx.registrar.location import Location
from pbx.sdp.sdes import Srtp
from pbx.security.sources import contains
from pbx.sip.digest import Credential
from pbx.sip.ext.identity import number_in
from pbx.sip.headers import NameAddress
from pbx.sip.message import Request
from pbx.sip.stack import Destination, Flow
from pbx.sip.uri import Uri
from pbx.trunks.health import TrunkHealth
from pbx.trunks.table import TrunkTable

__all__ = ["Directory"]

_LONGEST_REST = 600
_ON_THE_INTERNET = "192.0.2.1"
"""An address of nobody (RFC 5737)."""
_DTMF_MODES: dict[str, DtmfMode] = {mode.value: mode for mode in DtmfMode}


class Directory:
    """Answers from the configuration in force; `replace` puts another one in force (a reload).

    Implements `pbx.call.ports.Directory` and `pbx.call.admission.Sources`.
    """

    def __init__(
        self,
        settings: Settings,
        location: Location,
        aor_of: Callable[[str], str],
        health: TrunkHealth,
        local_towards: Callable[[str, str], str],
        lines: Lines,
        certificate_names: Callable[[Flow], tuple[str, ...]],
        whereabouts: Whereabouts,
        now: Callable[[], float],
    ) -> None:
        """Ask `aor_of` where an extension's bindings are, `local_towards` (a transport, a numeric host) from which of
        our addresses somebody is reached, `certificate_names` whom the verified certificate at the other end names,
        `whereabouts` where a trunk's name leads."""
        self._location = location
        self._aor_of = aor_of
        self._local_towards = local_towards
        self._certificate_names = certificate_names
        self._whereabouts = whereabouts
        self._now = now
        self._resting: dict[str, float] = {}
        """Until when trunks want no calls."""
        self.health = health
        self.lines = lines
        self.occupancy = Occupancy(self._limit)
        self.trunks = TrunkTable()
        self.replace(settings)

    def replace(self, settings: Settings) -> None:
        """Answer from `settings` from now on; trunks are watched once `watch` was called."""
        self._settings = settings
        self._numbers = {one.username or number: number for number, one in settings.extensions.items()}
        phone = leg_settings(settings)
        self._processing: dict[str, Processing] = {}
        """What was asked for once, of sources that there are: working it out takes longer than reading a message."""
        self._leg_settings = {f"trunk/{name}": leg_settings(settings, one) for name, one in settings.trunks.items()}
        self._phone_settings = phone
        self._trunk_ways = {
            name: (
                Uri.parse(one.outbound_proxy or one.address),
                HeaderRules(frozenset(name.lower() for name in one.headers.remove), tuple(one.headers.set.items())),
            )
            for name, one in settings.trunks.items()
        }
        """The next hop of each trunk, and what becomes of headers on their way there."""
        self.numbers = trunk_numbers(settings)
        self.trunks.replace(trunk_lines(settings, self.lines.contact_user))

    def watch(self) -> None:
        """Have the trunks asked whether they are there that are to be."""
        self.health.product = self._settings.sip.user_agent
        self.health.replace(probes(self._settings))
        self.lines.replace(self._settings)
        self._whereabouts.watch(
            Uri.parse(trunk.outbound_proxy or trunk.address) for trunk in self._settings.trunks.values()
        )

    # -- who somebody is

    def _extension(self, number: str) -> Extension | None:
        return self._settings.extensions.get(number)

    def _trunk(self, source: str) -> Trunk | None:
        kind, _, name = source.partition("/")
        return self._settings.trunks.get(name) if kind == "trunk" else None

    def _settings_of(self, source: str) -> Extension | Trunk | None:
        """Return what is configured for an extension or a trunk."""
        kind, _, name = source.partition("/")
        return self._settings.trunks.get(name) if kind == "trunk" else self._extension(name)

    def credential(self, username: str) -> Credential | None:
        """Return what an extension's phones prove themselves by."""
        number = self._numbers.get(username)
        if number is None:
            return None
        return Credential(username, password=self._settings.extensions[number].password.reveal())

    def permits(self, username: str, host: str) -> bool:
        """Return whether the phones of a user may be at an address."""
        number = self._numbers.get(username)
        allowed = self._settings.extensions[number].allow_from if number is not None else None
        return allowed is None or contains(allowed, host)

    def trunk_credential(self, source: str, realm: str) -> Credential | None:
        """Return what answers a trunk's challenges of a realm; None if it has none for it."""
        trunk = self._trunk(source)
        if trunk is None or not trunk.username or trunk.password is None or trunk.realm not in (None, realm):
            return None
        return Credential(trunk.username, password=trunk.password.reveal())

    def number_of(self, username: str) -> str:
        """Return the extension whose phones use this user name; LookupError if there is none."""
        return self._numbers[username]

    def allowance(self, username: str, name: str) -> int:
        """Return how many contacts who proved to be `username` may register for the user part `name`; 0 if it is not
        its own."""
        number = self._numbers.get(username)
        if number is None or name not in (username, number):
            return 0
        limit = self._settings.extensions[number].max_contacts
        return self._settings.registrar.max_contacts if limit is None else limit

    def extension_party(self, extension: str) -> Party | None:
        """Return who an extension is."""
        found = self._extension(extension)
        return None if found is None else Party(extension, found.name)

    def knows(self, flow: Flow) -> bool:
        """Return whether a trunk or a registered phone sends by this flow."""
        return bool(
            self.trunks.at(*flow.remote)
            or self._location.has_flow(flow)
            or self.lines.over(flow)
            or self._certified(flow)
        )

    def _certified(self, flow: Flow) -> tuple[str, ...]:
        return self.trunks.certified(self._certificate_names(flow)) if flow.secure else ()

    def trunk_of(self, flow: Flow, request: Request) -> str | None:
        """Return the trunk that a call comes from, None if it is none's: by what we registered and nobody else knows,
        by where it comes from, by its certificate, or by the way that we registered over."""
        user = request.uri.user or ""
        known = self.trunks.registered_as(user)
        if known is not None:
            return known
        names = (*self.trunks.at(*flow.remote), *self._certified(flow))
        over = self.lines.over(flow)
        # Of several accounts at one registrar it is the one whose Contact is called.
        named = [name for name in over if user and self.contact_user(name) == user]
        return self.trunks.choose(names, request) or self.trunks.choose(named or over, request)

    def called_by_trunk(self, trunk: str, request: Request) -> str:
        """Return whom a trunk calls: what the Request-URI says, or if that is our own Contact, whom it was for before
        it was sent there."""
        heard = self.numbers.of(f"trunk/{trunk}").heard
        called = called_in(request.uri)
        if not called or called != self.contact_user(trunk):
            return heard(called)
        # RFC 7315 §4.2: the P-Called-Party-ID holds the URI that the registrar replaced by the Contact.
        party = request.headers.get("P-Called-Party-ID")
        try:
            address = NameAddress.parse(party) if party else request.to
        except ParseError:
            address = request.to
        return heard(number_in(address.uri)) or called

    def contact_user(self, trunk: str) -> str:
        """Return the user part of our Contact as a trunk knows it by registration; empty if there is none."""
        found = self._settings.trunks.get(trunk)
        if found is None or found.registration is None:
            return ""
        return found.registration.contact or self.lines.contact_user(trunk)

    def leg_settings(self, source: str) -> LegSettings:
        """Return how legs to a source or target behave."""
        return self._leg_settings.get(source, self._phone_settings)

    def latches(self, source: str) -> bool:
        """Return whether a source's audio may come from elsewhere than it says."""
        trunk = self._trunk(source)
        if trunk is None or trunk.latch is None:
            return self._settings.media.latch
        return trunk.latch

    def codecs(self, source: str) -> tuple[str, ...]:
        """Return the codecs that may pass to and from a source; empty for those of all."""
        one = self._settings_of(source)
        return (one.codecs if one is not None else None) or ()

    def processing(self, source: str) -> Processing | None:
        """Return what is done to what a source says; None as for all."""
        found = self._processing.get(source)
        if found is None:
            one = self._settings_of(source)
            if one is not None:
                found = processing_of(one.processing.over(self._settings.media.processing))
                self._processing[source] = found
        return found

    def transfers(self, source: str) -> str:
        """Return what becomes of the transfers that a source asks for: ``handle``, ``pass`` or ``refuse``."""
        trunk = self._trunk(source)
        return "handle" if trunk is None else trunk.transfers

    def may_replace(self, source: str, target: str, *, early: bool) -> bool:
        """Return whether `source` may take the place of `target` in a call: of itself, unless it is a trunk that may
        not transfer; and an extension of another one that it may pick up, while that rings."""
        if source == target:
            return self.transfers(source) != "refuse"
        kind, _, name = source.partition("/")
        other, _, number = target.partition("/")
        extension = self._extension(name) if kind == other == "extension" else None
        return early and extension is not None and is_listed(number, extension.pickup)

    def dtmf(self, source: str) -> DtmfMode:
        """Return how keys come from a source and go to it."""
        one = self._settings_of(source)
        return _DTMF_MODES[one.dtmf] if one is not None else DtmfMode.AUTO

    def srtp(self, source: str) -> Srtp | None:
        """Return whether the audio of a source is encrypted; None as for all."""
        one = self._settings_of(source)
        return Srtp(one.srtp) if one is not None and one.srtp is not None else None

    def redirected(self, target: str, contacts: tuple[str, ...]) -> tuple[Target, ...]:
        """Return where a call may go that a target redirects."""
        kind, _, name = target.partition("/")
        trunk, extension = self._trunk(target), self._extension(name) if kind == "extension" else None
        if "follow" not in (getattr(trunk, "redirects", ""), getattr(extension, "redirects", "")):
            return ()
        found = []
        for text in contacts:
            try:
                uri = Uri.parse(text)
            except ParseError:
                continue
            number = called_in(uri)
            if not number:
                continue
            if extension is not None:
                found.append(Target("number", number, number))
            else:
                found += [Target("trunk", one, number) for one in self._at_host(name, uri)]
        return tuple(found)

    def _at_host(self, name: str, uri: Uri) -> list[str]:
        """Return the trunk at the host that a URI names, best with its port too, and `name` itself before others; a tel
        URI is for the same trunk."""
        if uri.scheme == "tel":
            return [name]
        trunks = self._settings.trunks
        addresses = {one: Uri.parse(trunk.address) for one, trunk in trunks.items()}
        there = [one for one in (name, *(o for o in trunks if o != name)) if addresses[one].host == uri.host]
        return sorted(there, key=lambda one: addresses[one].port != uri.port)[:1]

    def shown_to(self, target: str, source: str, caller: Party) -> Party:
        """Return whom `target` is shown as the caller."""
        return shown_to(self._settings, target, source, caller)

    def allowed(self, target: str, party: Party) -> Party:
        """Return a caller as a target may be shown it, whatever a route has set."""
        return allowed(self._settings, self.numbers, target, party)

    def voucher(self, target: str, source: str, caller: Party) -> Voucher | None:
        """Return how far we vouch for a caller as `target` is shown it; None if calls to it are not signed."""
        return voucher(self._settings, self.numbers, target, source, caller)

    def verstat(self, target: str, outcome: str, caller: Party, shown: Party) -> str:
        """Return what `target` is told of the signature of a caller whom it is shown; empty for nothing."""
        return verstat(self._settings, self.numbers, target, outcome, caller, shown)

    # -- where somebody is

    def candidates(self, target: Target) -> tuple[Candidate, ...]:
        """Return the ways to reach a target, best first."""
        if target.kind == "extension":
            return self._phones(target)
        if target.kind == "trunk":
            return self._line(target)
        uri = Uri.parse(target.name)
        peer, local = self._way(uri)
        return (Candidate(str(target), Destination(uri), Party(target.number), peer=peer, local=local),)

    def _phones(self, target: Target) -> tuple[Candidate, ...]:
        extension = self._extension(target.name)
        if extension is None:
            return ()
        called, source = Party(target.name, extension.name), f"extension/{target.name}"
        return tuple(
            [
                Candidate(
                    source,
                    binding.destination(),
                    called,
                    latch=self._settings.media.latch,
                    peer=binding.flow.remote[0],
                    local=binding.flow.local[0],
                    codecs=self.codecs(source),
                    dtmf=self.dtmf(source),
                    processing=self.processing(source),
                    srtp=self.srtp(source),
                )
                for binding in self._location.reachable(self._aor_of(target.name))
            ]
        )

    def _line(self, target: Target) -> tuple[Candidate, ...]:
        trunk = self._settings.trunks.get(target.name)
        if trunk is None:
            return ()
        source = f"trunk/{target.name}"
        number = self.numbers.of(source).sent(target.number)
        destination = self._registered_way(target.name, self.trunks.destination(target.name, number))
        hop, header_rules = self._trunk_ways[target.name]
        peer, local = self._way(hop)
        return (
            Candidate(
                source,
                destination,
                Party(number),
                credentials=source if trunk.username else "",
                latch=self.latches(source),
                peer=peer,
                local=local,
                codecs=self.codecs(source),
                dtmf=self.dtmf(source),
                processing=self.processing(source),
                srtp=self.srtp(source),
                early_offer=trunk.profile.early_offer,
                header_rules=header_rules,
            ),
        )

    def _way(self, hop: Uri) -> tuple[str, str]:
        """Return the numeric address of a next hop, empty while that is unknown, and our own towards it."""
        # Where a name leads that DNS has not told yet: most likely to the Internet.
        host = self._whereabouts.host(hop)
        transport = "tls" if hop.scheme == "sips" else (hop.params.get("transport") or "udp").lower()
        return host, self._local_towards(transport, host or _ON_THE_INTERNET)

    def _registered_way(self, name: str, destination: Destination) -> Destination:
        """Return how a trunk is reached that we are registered with."""
        status = self.lines.of(name)
        if status is None or not status.state.bound:
            return destination
        # RFC 3608 §6.1: the UA may use the service route as a preloaded route set for outgoing initial requests.
        route = status.service_route or destination.route
        flow = status.flow
        trunk, registration = self._settings.trunks[name], self._settings.trunks[name].registration
        elsewhere = trunk.outbound_proxy is None and registration is not None and registration.registrar is not None
        if flow is None or not flow.reliable or elsewhere:
            return replace(destination, route=route)
        # The connection that is kept open is there, and its far end knows us by it.
        return replace(destination, route=route, flow=flow, fallback=True)

    def is_down(self, target: Target) -> bool:
        """Return whether a target is known not to take calls now: a trunk that does not answer OPTIONS, or that we
        cannot register with."""
        return target.kind == "trunk" and bool(self.why_down(target.name))

    def why_down(self, trunk: str) -> str:
        """Return why a trunk takes no calls now; empty if it does, as far as is known."""
        if self.health.is_down(trunk):
            return "it does not answer"
        if self.lines.is_down(trunk):
            return "we are not registered with it"
        left = self._resting.get(f"trunk/{trunk}", 0.0) - self._now()
        return f"it wants no calls for {left:.0f} s" if left > 0 else ""

    def next_on(self, target: str) -> NextOn:
        """Return which failures of a target go on to the next one."""
        trunk = self._trunk(target)
        if trunk is not None and trunk.next_on is not None:
            return trunk.next_on
        return TRUNK if trunk is not None else EXTENSION

    def patience(self, target: str) -> float | None:
        """Return how long each host of a trunk may say nothing of a call, if that is configured."""
        trunk = self._trunk(target)
        return trunk.try_timeout if trunk is not None else None

    def overloaded(self, target: str, seconds: int) -> None:
        """Take that a target wants no calls for some seconds; at most ten minutes of that are believed."""
        if self._trunk(target) is not None:
            self._resting[target] = self._now() + min(seconds, _LONGEST_REST)

    def rate(self, name: str) -> float | None:
        """Return how many calls a source or target may begin in a second; None for any number."""
        one = self._settings_of(name)
        return one.max_calls_per_second if one is not None else None

    def _limit(self, target: str) -> int | None:
        one = self._settings_of(target)
        return one.max_calls if one is not None else None
