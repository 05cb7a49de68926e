"""The kinds of value that a configuration holds, each with how it is written and what is wrong when it is not."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from pbx.codecs import parse_codec
from pbx.config.secret import Secret, resolve_secret
from pbx.units import parse_duration, parse_size, suggestion

__all__ = [
    "Address",
    "CodecNames",
    "Context",
    "Days",
    "Duration",
    "FilePath",
    "FilePaths",
    "HostPort",
    "HostPortText",
    "Identity",
    "Identities",
    "Kind",
    "ListenUri",
    "ListenUriText",
    "Named",
    "Network",
    "Networks",
    "PortRange",
    "PortRangeText",
    "Positive",
    "Seconds",
    "SecretText",
    "Section",
    "SipUriText",
    "Size",
    "Words",
    "as_list",
    "parse_address",
    "parse_host_port",
]

T = TypeVar("T")
Key = TypeVar("Key", bound=str)
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Kind:
    """What the reference calls a kind of value, and an example of it."""

    name: str
    example: str


@dataclass(frozen=True, slots=True)
class Context:
    """What values are read against."""

    folder: Path
    """Of the configuration file: relative paths begin here."""
    environ: Mapping[str, str]


class Section(BaseModel):
    """A mapping of known keys. An empty one (``media:`` with nothing below) has its defaults."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True, protected_namespaces=()
    )

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, data: object) -> object:
        return {} if data is None else data


class ListenUri(NamedTuple):
    """Where a listener listens. `address` is numeric; port 0 lets the operating system choose."""

    transport: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport}://{_bracketed(self.address)}:{self.port}"


class HostPort(NamedTuple):
    """A numeric address and a port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{_bracketed(self.address)}:{self.port}"


class PortRange(NamedTuple):
    """The ports from `first` to `last`, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


class Identity(NamedTuple):
    """Where a trunk's requests come from: a network, and one port or (None) any."""

    network: Network
    port: int | None

    def __str__(self) -> str:
        single = self.network.num_addresses == 1
        host = str(self.network.network_address if single else self.network)
        if self.port is None:
            return host
        return f"[{host}]:{self.port}" if self.network.version == 6 else f"{host}:{self.port}"


_DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}
_SIP_URI = re.compile(
    r"(?P<scheme>sips?):(?:[^@\s]+@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>\d{1,5}))?"
    r"(?P<parameters>(?:;[^\s;?=]+(?:=[^\s;?]*)?)*)"
)


def as_list(value: object) -> object:
    """Let a single value stand for a list of one."""
    return value if isinstance(value, list | tuple | None) else [value]


def parse_listen_uri(text: object) -> ListenUri:
    """Read ``udp://0.0.0.0:5060``; the port may be left out."""
    if isinstance(text, ListenUri):
        return text
    transport, found, rest = str(text).partition("://")
    if not found or transport not in _DEFAULT_PORTS:
        near = suggestion(transport, _DEFAULT_PORTS) if found else ""
        raise ValueError(f"`{text}` is not where to listen; write udp://, tcp:// or tls:// and ADDRESS:PORT{near}")
    address, port = _host_and_port(rest, _DEFAULT_PORTS[transport])
    return ListenUri(transport, address, port)


def parse_host_port(text: object) -> HostPort:
    """Read ``127.0.0.1:8080`` or ``[::1]:8080``."""
    return text if isinstance(text, HostPort) else HostPort(*_host_and_port(str(text), None))


def parse_port_range(text: object) -> PortRange:
    """Read ``20000-29999``."""
    if isinstance(text, PortRange):
        return text
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", str(text), re.ASCII)
    if match is None:
        raise ValueError(f"`{text}` is no range of ports; write it like 20000-29999")
    first, last = int(match[1]), int(match[2])
    if not 1024 <= first < last <= 65535 or last - first < 3:
        raise ValueError(f"`{text}` must run from 1024 or more up to 65535 or less, and hold at least four ports")
    return PortRange(first, last)


def parse_address(text: str) -> str:
    """Read a numeric address, in its shortest form."""
    try:
        return str(ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise ValueError(f"`{text}` is not a numeric address; write it like 192.0.2.10 or 2001:db8::10") from None


def parse_network(text: object) -> Network:
    """Read ``10.0.0.0/8`` or a single address."""
    if isinstance(text, IPv4Network | IPv6Network):
        return text
    try:
        return ip_network(str(text), strict=False)
    except ValueError:
        raise ValueError(f"`{text}` is not a network; write it like 10.0.0.0/8 or 2001:db8::/32") from None


def parse_identity(text: object) -> Identity:
    """Read ``192.0.2.1``, ``192.0.2.0/24``, ``192.0.2.1:5060`` or ``[2001:db8::1]:5060``."""
    if isinstance(text, Identity):
        return text
    written = str(text)
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})", written, re.ASCII)
    try:
        if match is None:
            return Identity(ip_network(written.removeprefix("[").removesuffix("]"), strict=False), None)
        port = int(match[3])
        if 0 < port <= 65535:
            return Identity(ip_network(match[1] or match[2], strict=False), port)
    except ValueError:
        pass
    raise ValueError(
        f"`{written}` is no address or network; write 192.0.2.1, 192.0.2.1:5060, 192.0.2.0/24 or 2001:db8::/32"
    )


def parse_sip_uri(text: str) -> str:
    """Check a full SIP URI, as far as a configuration can: scheme, host, port, transport."""
    match = _SIP_URI.fullmatch(text)
    if re.match(r"sips?:[^@]*:[^@]*@", text):
        raise ValueError("a password does not belong into a URI; give `username` and `password`")
    if match is None:
        near = "" if ":" in text and text.split(":")[0] in ("sip", "sips") else f"; did you mean `sip:{text}`?"
        raise ValueError(f"`{text}` is not a SIP URI; write it like sip:host:5060 or sip:host;transport=tcp{near}")
    if match["port"] and not 0 < int(match["port"]) <= 65535:
        raise ValueError(f"`{text}` names the port {match['port']}, which does not exist")
    transport = re.search(r";transport=([^;]*)", match["parameters"], re.IGNORECASE)
    if transport and transport[1].lower() not in _DEFAULT_PORTS:
        raise ValueError(f"`{text}` names the transport {transport[1]}; known are udp, tcp and tls")
    return text


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _host_and_port(text: str, default: int | None) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::(\d{1,5}))?", text, re.ASCII)
    wanted = "ADDRESS:PORT with a numeric address, such as 0.0.0.0:5060 or [::]:5060"
    if match is None or (match[3] is None and default is None):
        raise ValueError(f"`{text}` is not an address and port; write {wanted}")
    port = int(match[3]) if match[3] is not None else default or 0
    if port > 65535:
        raise ValueError(f"`{text}` names the port {port}, which does not exist; ports end at 65535")
    host = match[1] or match[2]
    try:
        return str(ip_address(host)), port
    except ValueError:
        hints = {"localhost": "127.0.0.1", "*": "0.0.0.0 and, in a second one, [::]"}
        hint = f"; for `{host}` write {hints[host]}" if host in hints else ""
        raise ValueError(f"`{host}` is not a numeric address; write {wanted}{hint}") from None


def _context(info: ValidationInfo) -> Context:
    if not isinstance(info.context, Context):
        raise TypeError("settings are validated with a Context")
    return info.context


def _single(value: object) -> object:
    if value is None:
        raise ValueError("no value is given; write one, or leave the key out")
    if isinstance(value, list | dict):
        raise ValueError("a single value is wanted, not a list or mapping")
    return value


def _read_secret(value: object, info: ValidationInfo) -> Secret:
    if isinstance(value, Secret):
        return value
    context = _context(info)
    return resolve_secret(str(value), context.folder, context.environ)


def _read_path(value: object, info: ValidationInfo) -> Path:
    if isinstance(value, Path):
        return value
    if not value or "\0" in str(value):
        raise ValueError("a path is wanted; relative ones begin at the folder of this file")
    return Path(os.path.normpath(_context(info).folder / Path(str(value)).expanduser()))


def _read_duration(value: object) -> float:
    return float(value) if isinstance(value, int | float) else parse_duration(str(value))


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("it must be longer than nothing; write it like 5s")
    return value


def _a_second(value: float) -> float:
    if value < 1:
        raise ValueError("it must be 1s or more")
    return value


def _a_day(value: float) -> float:
    if value < 86_400:
        raise ValueError("it must be 1d or more")
    return value


def _read_size(value: object) -> int:
    return value if isinstance(value, int) else parse_size(str(value))


def _frozen(value: Mapping[Key, T]) -> Mapping[Key, T]:
    return MappingProxyType(dict(value))


def _empty_if_none(value: object) -> object:
    return {} if value is None else value


SINGLE = BeforeValidator(_single)
"""Runs first of all: what is read from text needs a text."""

Duration = Annotated[float, BeforeValidator(_read_duration), SINGLE, Kind("duration", "20s")]
Positive = Annotated[Duration, AfterValidator(_positive)]
"""A duration longer than nothing."""
Seconds = Annotated[Duration, AfterValidator(_a_second)]
"""A duration of a second at least."""
Days = Annotated[Duration, AfterValidator(_a_day)]
"""A duration of a day at least."""
Size = Annotated[int, BeforeValidator(_read_size), SINGLE, Kind("size", "4MiB")]
Address = Annotated[str, AfterValidator(parse_address), Kind("address", "192.0.2.10")]
ListenUriText = Annotated[
    ListenUri, BeforeValidator(parse_listen_uri), SINGLE, Kind("listen URI", "udp://0.0.0.0:5060")
]
HostPortText = Annotated[HostPort, BeforeValidator(parse_host_port), SINGLE, Kind("address and port", "127.0.0.1:8080")]
PortRangeText = Annotated[PortRange, BeforeValidator(parse_port_range), SINGLE, Kind("range of ports", "20000-29999")]
NetworkText = Annotated[Network, BeforeValidator(parse_network), SINGLE, Kind("network", "10.0.0.0/8")]
Networks = Annotated[tuple[NetworkText, ...], BeforeValidator(as_list), Kind("list of networks", "[10.0.0.0/8]")]
IdentityText = Annotated[Identity, BeforeValidator(parse_identity), SINGLE, Kind("address or network", "192.0.2.0/24")]
Identities = Annotated[
    tuple[IdentityText, ...], BeforeValidator(as_list), Kind("list of addresses", '["192.0.2.1:5060", "192.0.2.0/24"]')
]
SipUriText = Annotated[str, AfterValidator(parse_sip_uri), Kind("SIP URI", "sip:sip.example.com;transport=tcp")]
CodecName = Annotated[str, AfterValidator(parse_codec), Kind("codec", "PCMA")]
CodecNames = Annotated[
    tuple[CodecName, ...], BeforeValidator(as_list), Field(min_length=1), Kind("list of codecs", "[opus, G722, PCMA]")
]
Words = Annotated[tuple[str, ...], BeforeValidator(as_list), Kind("list of texts", "[a, b]")]
SecretText = Annotated[
    Secret, BeforeValidator(_read_secret), SINGLE, Kind("secret", "env:NAME, file:PATH or the text itself")
]
FilePath = Annotated[Path, BeforeValidator(_read_path), SINGLE, Kind("path", "var")]
FilePaths = Annotated[tuple[FilePath, ...], BeforeValidator(as_list), Kind("list of paths", "[sounds]")]
Named = Annotated[Mapping[Key, T], BeforeValidator(_empty_if_none), AfterValidator(_frozen)]
