"""What configuration says, in the words of each room."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pbx.call.leg import LegSettings
from pbx.call.ports import CallSettings
from pbx.config.schema import Settings, Trunk
from pbx.media.policy import LatchPolicy, MediaSettings, RtcpMux
from pbx.net.certificates import ensure_certificate
from pbx.net.connection import StreamLimits
from pbx.net.tls import Tls, TlsSettings, Verification
from pbx.net.transport import Listener, is_wildcard
from pbx.registrar.rules import Limits as RegistrarLimits
from pbx.registrar.service import RegistrarSettings
from pbx.sip.machine import LayerSettings
from pbx.sip.timers import TimerSettings
from pbx.sip.uri import Uri

__all__ = [
    "call_settings",
    "layer_settings",
    "leg_settings",
    "listeners",
    "media_settings",
    "registrar_settings",
    "stream_limits",
    "tls",
]


def layer_settings(settings: Settings) -> LayerSettings:
    """Return the timers of the transaction layer."""
    sip = settings.sip
    return LayerSettings(TimerSettings(t1=sip.t1, t2=sip.t2, t4=sip.t4))


def listeners(settings: Settings) -> list[Listener]:
    """Return what is listened on."""
    found = []
    for one in settings.sip.listen:
        external = one.external_address or settings.sip.external_address
        # A router that maps one address to us keeps the port, unless somebody says otherwise; 0 stands for that.
        found.append(Listener(one.uri.transport, one.uri.address, one.uri.port, (external, 0) if external else None))
    return found


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
    )


def tls(settings: Settings) -> Tls:
    """Return the TLS side of connections, with a certificate of our own making if none is given. EnvironmentFault."""
    sip = settings.sip
    listener = next((one for one in sip.listen if one.uri.transport == "tls" and one.certificate), None)
    certificate = listener.certificate if listener else sip.certificate
    key = listener.key if listener else sip.key
    if certificate is None:
        addresses = [one.uri.address for one in sip.listen if not is_wildcard(one.uri.address)]
        certificate, key = ensure_certificate(
            settings.storage.directory, sip.domain or "tandem", addresses, datetime.now(UTC)
        )
    authorities = str(sip.authorities or "")
    unverified = {
        host: Verification(verify=False, authorities=authorities)
        for trunk in settings.trunks.values()
        if not trunk.verify
        for host in _hosts(trunk)
    }
    return Tls(
        TlsSettings(
            Path(certificate),
            Path(key or certificate),
            default=Verification(authorities=authorities),
            destinations=unverified,
        )
    )


def _hosts(trunk: Trunk) -> set[str]:
    uris = [trunk.address] + ([trunk.outbound_proxy] if trunk.outbound_proxy else [])
    return {Uri.parse(uri).host for uri in uris}


def media_settings(settings: Settings) -> MediaSettings:
    """Return what holds for the media of every call."""
    media, sip = settings.media, settings.sip
    hosts = [one.uri.address for one in sip.listen]
    external = media.external_address or sip.external_address or ""
    networks = media.local_networks if media.local_networks is not None else sip.local_networks
    # Without an address of its own, audio goes through the one that signalling listens on.
    address = media.address or next((host for host in hosts if ":" not in host), "0.0.0.0")
    address6 = media.address if media.address and ":" in media.address else next((h for h in hosts if ":" in h), "")
    return MediaSettings(
        address=address,
        address6=address6,
        external_address="" if ":" in external else external,
        external_address6=external if ":" in external else "",
        local_networks=tuple(str(network) for network in networks),
        codecs=tuple(media.codecs or ()),
        no_media_timeout=round((media.no_media_timeout or 0) * 1000),
        rtcp_mux={"off": RtcpMux.NEVER, "accept": RtcpMux.ACCEPT, "offer": RtcpMux.OFFER}[media.rtcp.mux],
        latch=LatchPolicy.AUTOMATIC if media.latch else LatchPolicy.NEVER,
    )


def call_settings(settings: Settings) -> CallSettings:
    """Return what holds for every call."""
    return CallSettings(
        maximum_duration=settings.limits.max_duration or 0.0,
        end_without_media=settings.media.no_media_timeout is not None,
        recording_failure_ends_call=settings.storage.recording_failure == "end",
    )


def leg_settings(settings: Settings, trunk: Trunk | None = None) -> LegSettings:
    """Return how legs behave: to phones, or to `trunk`."""
    timer = settings.sip.session_timer
    return LegSettings(
        product=settings.sip.user_agent,
        domain=(settings.sip.domain or "") if trunk is None else "",
        keep_flow=trunk is None,
        session_expires=round(timer.expires) if timer.mode == "offer" else 0,
        min_se=round(timer.min_expires),
        asserted_identity=trunk is not None and trunk.trust_identity,
        t1=settings.sip.t1,
        t2=settings.sip.t2,
    )


def registrar_settings(settings: Settings) -> RegistrarSettings:
    """Return what the registrar is responsible for."""
    one = settings.registrar
    return RegistrarSettings(
        domain=settings.sip.domain or "tandem",
        aliases=frozenset(alias.lower() for alias in settings.sip.aliases),
        any_domain=settings.sip.domain is None,
        limits=RegistrarLimits(
            default=round(one.default_expires),
            shortest=round(one.min_expires),
            longest=round(one.max_expires),
        ),
    )
