"""What configuration says, in the words of each room."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from pbx.call.leg import LegSettings
from pbx.call.leg.profile import DEFAULT, Profile
from pbx.call.ports import CallSettings
from pbx.call.registry import Limits
from pbx.config.processing_section import Processing as ProcessingSection
from pbx.config.schema import AddressFailures, Settings, Trunk, UserFailures
from pbx.dialplan.steps import Recording
from pbx.media.engine import codec_names, processes_sound
from pbx.media.policy import LatchPolicy, MediaSettings, RtcpMux
from pbx.media.processing import Processing
from pbx.media.srtp import srtp_suites
from pbx.net.addresses import LocalNetworks
from pbx.net.certificates import ensure_certificate
from pbx.net.hep_exporter import HepSettings
from pbx.net.stream_limits import StreamLimits
from pbx.net.tls import TlsSettings, Verification
from pbx.net.transport import Listener, SocketOptions, is_wildcard
from pbx.registrar.rules import Limits as RegistrarLimits
from pbx.registrar.service import RegistrarSettings
from pbx.sdp.relayed import IMAGE
from pbx.sdp.sdes import Srtp
from pbx.security.bans import BanLimits
from pbx.security.edge import EdgeLimits, NetworkRule
from pbx.security.failures import FailureLimits
from pbx.security.scanners import Scanners
from pbx.security.sources import contains
from pbx.sip.machine import LayerSettings
from pbx.sip.stack import Destination
from pbx.sip.timers import TimerSettings
from pbx.sip.uri import Uri
from pbx.trunks.account import Account
from pbx.trunks.health import Probe
from pbx.trunks.table import Narrowing, Source
from pbx.trunks.table import Trunk as Line

__all__ = [
    "accounts",
    "call_limits",
    "call_settings",
    "domain_towards",
    "edge_limits",
    "hep",
    "lacks_processing",
    "layer_settings",
    "leg_settings",
    "listeners",
    "media_settings",
    "probes",
    "processing_of",
    "registrar_settings",
    "socket_options",
    "stream_limits",
    "tls",
    "trunk_lines",
]


def edge_limits(settings: Settings) -> EdgeLimits:
    """Return what strangers may do."""
    security = settings.security
    return EdgeLimits(
        rate=security.rate,
        burst=max(security.burst, security.rate),
        hosts=_failure_limits(security.address),
        users=_failure_limits(security.user),
        bans=BanLimits(security.ban, max(security.ban, security.longest_ban), security.longest_ban),
        names=security.names,
        numbers=security.numbers,
        scanners=Scanners(security.scanner_agents) if security.scanners == "drop" else None,
        networks=tuple(
            NetworkRule(network, rule.rate, rule.burst, rule.ban)
            for rule in security.networks
            for network in rule.networks
        ),
        blocked=security.block,
        listeners={
            (one.uri.transport, one.uri.port): one.allow_from
            for one in settings.sip.listen
            if one.allow_from is not None
        },
    )


def _failure_limits(failures: AddressFailures | UserFailures) -> FailureLimits:
    return FailureLimits(
        free=failures.free,
        ban_after=failures.ban_after,
        forgive_every=failures.forgive_every,
        longest_delay=failures.longest_delay,
    )


def layer_settings(settings: Settings) -> LayerSettings:
    """Return the timers of the transaction layer."""
    sip = settings.sip
    return LayerSettings(TimerSettings(t1=sip.t1, t2=sip.t2, t4=sip.t4))


def hep(settings: Settings) -> HepSettings | None:
    """Return where messages are sent for collection; None: nowhere."""
    said = settings.sip.hep
    if said is None:
        return None
    return HepSettings(*said.collector, agent=said.agent, node=said.node, key=said.key.reveal() if said.key else "")


def listeners(settings: Settings) -> list[Listener]:
    """Return what is listened on."""
    found = []
    for one in settings.sip.listen:
        external = one.external_address or settings.sip.external_address or ""
        if (":" in external) != (":" in one.uri.address):
            external = ""
        inside = one.local_networks
        found.append(
            Listener(
                one.uri.transport,
                one.uri.address,
                one.uri.port,
                # A router that maps one address to us keeps the port, unless somebody says otherwise; 0 stands for
                # that.
                (external, 0) if external else None,
                LocalNetworks(inside) if inside is not None else None,
                one.certificate,
                one.key,
            )
        )
    return found


def socket_options(settings: Settings) -> SocketOptions:
    """Return what is asked of the kernel for SIP sockets."""
    return SocketOptions(settings.sip.receive_buffer, settings.sip.dscp)


def stream_limits(settings: Settings) -> StreamLimits:
    """Return the limits of TCP and TLS connections."""
    tcp = settings.sip.tcp
    return StreamLimits(
        total=tcp.max_connections,
        per_source=tcp.max_connections_per_address,
        connect=tcp.connect_timeout,
        handshake=tcp.handshake_timeout,
        first_message=tcp.handshake_timeout,
        idle=tcp.idle_timeout,
        headers=tcp.max_message,
        body=tcp.max_message,
        message_octets=tcp.max_message,
    )


def tls(settings: Settings) -> TlsSettings | None:
    """Return the files and rules of TLS, None where nothing wants TLS.

    A certificate is made for listeners that are given none. Raises EnvironmentFault if it cannot be written.
    """
    sip = settings.sip
    secure = [one for one in sip.listen if one.uri.transport == "tls"]
    if not secure and not any(_is_secure(uri) for trunk in settings.trunks.values() for uri in _uris(trunk)):
        return None
    certificate, key = sip.certificate, sip.key
    if certificate is None and any(one.certificate is None for one in secure):
        addresses = [one.uri.address for one in secure if not is_wildcard(one.uri.address)]
        certificate, key = ensure_certificate(
            settings.storage.directory, sip.domain or "tandem", addresses, datetime.now(UTC)
        )
    authorities = str(sip.authorities or "")
    unverified = {
        host: Verification(verify=False, authorities=authorities)
        for trunk in settings.trunks.values()
        if not trunk.verify
        for host in (uri.host.lower() for uri in _uris(trunk))
    }
    return TlsSettings(
        certificate,
        key,
        client_authorities=str(sip.client_authorities or ""),
        default=Verification(authorities=authorities),
        destinations=unverified,
    )


def _uris(trunk: Trunk) -> list[Uri]:
    registrar = trunk.registration.registrar if trunk.registration is not None else None
    return [Uri.parse(text) for text in (trunk.address, trunk.outbound_proxy, registrar) if text]


def _is_secure(uri: Uri) -> bool:
    return uri.scheme == "sips" or (uri.params.get("transport") or "").lower() == "tls"


def media_settings(settings: Settings, local_towards: Callable[[str, str], str], learned: str = "") -> MediaSettings:
    """Return what holds for the media of every call; see `pbx.net.network.RealNetwork.local_towards`. `learned` is the
    address by which the outside reaches us where configuration gives none."""
    media, sip = settings.media, settings.sip
    external = media.external_address or sip.external_address or learned
    networks = media.local_networks if media.local_networks is not None else sip.local_networks
    if media.address:
        address, address6 = media.address, media.address if ":" in media.address else ""
    else:
        # Where the other end of a leg's signalling is not known yet, it is most likely on the Internet.
        families = {":" in one.uri.address for one in sip.listen}
        address6 = local_towards("udp", "2001:db8::1") or "::1" if True in families else ""
        address = local_towards("udp", "192.0.2.1") or "127.0.0.1" if False in families else address6
    return MediaSettings(
        address=address,
        address6=address6,
        follow_signalling=media.address is None,
        external_address="" if ":" in external else external,
        external_address6=external if ":" in external else "",
        local_networks=tuple(str(network) for network in networks),
        codecs=tuple(media.codecs or ()),
        engine_codecs=tuple(name.lower() for name in codec_names()),
        transcode=media.transcode == "auto",
        no_media_timeout=round((media.no_media_timeout or 0) * 1000),
        rtcp_mux={"off": RtcpMux.NEVER, "accept": RtcpMux.ACCEPT, "offer": RtcpMux.OFFER}[media.rtcp.mux],
        latch=LatchPolicy.ASKED,
        relayed=frozenset(
            [
                kind
                for kind, policy in (("video", media.video), ("text", media.text), (IMAGE, media.fax))
                if policy == "relay"
            ]
        ),
        processing=processing_of(media.processing),
        srtp=Srtp(media.srtp),
        suites=srtp_suites(),
    )


def processing_of(section: ProcessingSection) -> Processing:
    """Return what is asked of the engine; nothing where its build cannot do it."""
    if not processes_sound():
        return Processing()
    return Processing(section.level or 0, section.noise or 0, section.echo or 0)


def lacks_processing(settings: Settings) -> bool:
    """Return whether processing of sound is asked for somewhere that the build of the engine cannot do."""
    sections = [settings.media.processing]
    sections += [extension.processing for extension in settings.extensions.values()]
    sections += [trunk.processing for trunk in settings.trunks.values()]
    return not processes_sound() and any(one.level or one.noise or one.echo for one in sections)


def probes(settings: Settings) -> list[Probe]:
    """Return which trunks are asked by OPTIONS."""
    return [
        Probe(
            name,
            Destination(Uri.parse(trunk.address), (f"<{trunk.outbound_proxy}>",) if trunk.outbound_proxy else ()),
            trunk.health.interval,
            trunk.health.timeout,
            trunk.health.down_after,
            trunk.health.up_after,
        )
        for name, trunk in settings.trunks.items()
        if trunk.health.interval is not None
    ]


def call_settings(settings: Settings) -> CallSettings:
    """Return what holds for every call."""
    recording = settings.recording
    return CallSettings(
        maximum_duration=settings.limits.max_duration or 0.0,
        end_without_media=settings.media.no_media_timeout is not None,
        recording=Recording(
            recording.on_failure or settings.storage.recording_failure,
            recording.format,
            recording.channels,
            recording.announce,
            recording.beep,
            recording.pause_digit,
        ),
        max_forwards=settings.sip.max_forwards,
        retry_after=settings.limits.retry_after,
        verdict_after=settings.media.verdict_after or 0.0,
    )


def call_limits(settings: Settings) -> Limits:
    """Return what the whole server carries."""
    return Limits(settings.limits.calls, settings.limits.calls_per_second)


def leg_settings(settings: Settings, trunk: Trunk | None = None) -> LegSettings:
    """Return how legs behave: to phones, or to `trunk`."""
    timer = settings.sip.session_timer
    timers = timer.mode != "off" and (trunk is None or trunk.profile.session_timers)
    return LegSettings(
        product=settings.sip.user_agent,
        domain=(settings.sip.domain or "") if trunk is None else domain_towards(trunk),
        keep_flow=trunk is None,
        reliable_provisionals=trunk is None or trunk.profile.prack,
        session_timers=timers,
        replaces=True,
        session_expires=round(timer.expires) if timers and timer.mode == "offer" else 0,
        min_se=round(timer.min_expires),
        profile=DEFAULT if trunk is None else profile_of(trunk),
        t1=settings.sip.t1,
        t2=settings.sip.t2,
    )


def accounts(settings: Settings, contact_user: Callable[[str], str]) -> list[Account]:
    """Return what is registered with trunks; `contact_user` gives a trunk the user part of its Contact."""
    found = []
    for name, trunk in settings.trunks.items():
        register = trunk.registration
        if register is None:
            continue
        address = Uri.parse(register.registrar or trunk.address)
        # RFC 3261 §10.2: the Request-URI names the domain of the location service; what else the address says (the
        # transport) is for finding it.
        registrar = Uri("sips" if address.scheme == "sips" else "sip", None, None, address.host, address.port)
        domain = Uri(registrar.scheme, trunk.username, None, address.host)
        route = (f"<{trunk.outbound_proxy}>",) if trunk.outbound_proxy else ()
        found.append(
            Account(
                name,
                Uri.parse(register.aor) if register.aor else domain,
                registrar,
                route,
                None if route else address.with_(user=None),
                register.contact or contact_user(name),
                round(register.expires),
            )
        )
    return found


def domain_towards(trunk: Trunk) -> str:
    """Return the host of our address as a trunk is told it; empty for our own address."""
    if trunk.domain or trunk.registration is None:
        return trunk.domain or ""
    register = trunk.registration
    return Uri.parse(register.aor or register.registrar or trunk.address).host


def profile_of(trunk: Trunk) -> Profile:
    """Return what a trunk wants otherwise than usual."""
    profile = trunk.profile
    identity = profile.identity or ("p-asserted-identity" if trunk.trust_identity else "none")
    return Profile(
        identity="" if identity == "none" else identity,
        trusted=trunk.trust_identity,
        diversion="" if profile.diversion == "none" else profile.diversion,
        user_phone=profile.user_phone,
        plus=profile.plus,
        account=(trunk.username or "") if profile.from_user == "account" else "",
        contact_user=profile.contact_user or "",
        ringing=profile.ringing,
        early_media=profile.early_media,
    )


def registrar_settings(settings: Settings) -> RegistrarSettings:
    """Return what the registrar is responsible for."""
    one = settings.registrar
    return RegistrarSettings(
        domain=(settings.sip.domain or "tandem").lower(),
        aliases=frozenset(alias.lower() for alias in settings.sip.aliases),
        any_domain=settings.sip.domain is None,
        limits=RegistrarLimits(
            default=round(one.default_expires),
            shortest=round(one.min_expires),
            longest=round(one.max_expires),
        ),
        is_edge_proxy=lambda host: contains(one.edge_proxies, host),
    )


def trunk_lines(settings: Settings, contact_user: Callable[[str], str]) -> list[Line]:
    """Return the trunks; `contact_user` says which Contact of ours one that we register with knows."""
    return [
        Line(
            name,
            Uri.parse(trunk.address),
            tuple([Source(identity.network, identity.port) for identity in trunk.identified_by]),
            Uri.parse(trunk.outbound_proxy) if trunk.outbound_proxy else None,
            trunk.max_calls,
            frozenset([host.lower() for host in trunk.match.certificate]),
            Narrowing(trunk.match.user, tuple([host.lower() for host in trunk.match.domain])),
            contact_user(name) if trunk.registration is not None and trunk.registration.contact is None else "",
        )
        for name, trunk in settings.trunks.items()
    ]
