"""The settings: what a configuration file may hold, with types and defaults.

Everything here is immutable. The docstrings below the fields are the source of ``docs/configuration.md``, which a
test keeps in step (`python -m pbx.config.reference`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pbx.config.kinds import (
    CodecNames,
    Days,
    Duration,
    FilePath,
    HostPort,
    HostPortText,
    Identity,
    ListenUri,
    Named,
    Networks,
    PortRange,
    Positive,
    Seconds,
    SecretText,
    Section,
)
from pbx.config.limit_kinds import Rate
from pbx.config.media_section import Media, Rtcp
from pbx.config.processing_section import Processing
from pbx.config.recording_section import Recording
from pbx.config.registration_section import Patterns
from pbx.config.secret import Secret
from pbx.config.security_section import AddressFailures, Budget, NetworkRule, Security, UserFailures
from pbx.config.sip_section import Digest, Listener, Resolver, SessionTimer, Sip, Tcp, Trace
from pbx.config.stir_section import Stir, StirSign, StirVerify, TrunkStir
from pbx.config.trunk_section import Health, Trunk

__all__ = [
    "AddressFailures",
    "Budget",
    "Digest",
    "Extension",
    "Health",
    "HostPort",
    "Http",
    "Identity",
    "Limits",
    "ListenUri",
    "Listener",
    "Log",
    "Media",
    "NetworkRule",
    "PortRange",
    "Recording",
    "Registrar",
    "Resolver",
    "Rtcp",
    "Secret",
    "Security",
    "SessionTimer",
    "Settings",
    "Sip",
    "Stir",
    "StirSign",
    "StirVerify",
    "Storage",
    "Tcp",
    "Trace",
    "Trunk",
    "TrunkStir",
    "UserFailures",
]


class Storage(Section):
    """What is written to disk, and where."""

    directory: FilePath = Field(default="var", validate_default=True)
    """The folder of the database, the recordings and the spool. Made if it is not there."""
    database: SecretText | None = None
    """A SQLAlchemy URL in place of the SQLite file in that folder, such as `env:DATABASE_URL`."""
    recordings: FilePath | None = None
    """The folder of recordings; `recordings` in that folder if left out."""
    keep_records: Days | None = None
    """How long call records are kept, such as `400d`; then they are deleted, a few at a time. `null` keeps them for
    ever: some 2 KiB each. Files of recordings are not touched."""
    recording_failure: Literal["continue", "end"] = "continue"
    """What happens to a call that should be recorded and cannot be: it goes on, or ends."""

    @property
    def database_url(self) -> Secret:
        """The SQLAlchemy URL in use."""
        return self.database or Secret(f"sqlite:///{self.directory / 'tandem.db'}")

    @property
    def recordings_directory(self) -> Path:
        """The folder of recordings in use."""
        return self.recordings or self.directory / "recordings"


class Http(Section):
    """Metrics, health and the API. `http: null` turns it all off."""

    listen: HostPortText | None = HostPort("127.0.0.1", 8080)
    """Where to listen; `null` turns it off."""
    token: SecretText | None = None
    """What the API asks for as `Authorization: Bearer TOKEN`. Left out, a token is made at the first start and kept in
    the file `api-token` of the storage folder."""
    certificate: FilePath | None = None
    """The certificate (PEM, with its chain) for HTTPS; plain HTTP if left out."""
    key: FilePath | None = None
    """The key of that certificate (PEM)."""
    allow_from: Networks | None = None
    """Networks that may use it; any that gets here if left out."""


class Extension(Section):
    """A phone, or several that ring together, and who uses them. The key is the number by which it is dialled."""

    name: str = ""
    """Shown to those who are called."""
    password: SecretText
    """What its phones prove that they know."""
    username: str | None = None
    """The user name of its phones, where it is not the number."""
    caller_number: str | None = None
    """The number that trunks are shown; the extension's own if left out."""
    max_contacts: int | None = Field(default=None, ge=1, le=100)
    """Phones that may be registered at once; that of `registrar` if left out."""
    max_calls: int | None = Field(default=None, ge=0)
    """Calls that it may have at once; `null` for no limit."""
    max_calls_per_second: Rate | None = None
    """Calls that it may begin in a second; `null` for no limit."""
    codecs: CodecNames | None = None
    """The codecs let through to and from it, best first; those of `media` if left out."""
    dtmf: Literal["auto", "rfc4733", "info", "inband"] = "auto"
    """How keys (DTMF) come and go: as telephone-events (RFC 4733), by INFO, or as tones in the voice, which takes a
    decoder for each such call. `auto` is telephone-events where they are agreed, else INFO where the peer allows it,
    else tones. The other side gets them its own way."""
    redirects: Literal["follow", "pass"] = "pass"
    """What becomes of a call that its phone redirects (3xx, a forward key): `follow` sends it where the extension may
    dial, `pass` takes it for a failure."""
    pickup: Patterns = ()
    """Extensions whose calls its phones may pick up while they ring, by an INVITE with Replaces: `["102", "2*"]`. Its
    own calls they may move from one to another always."""
    allow_from: Networks | None = None
    """Networks that its phones may be in; any if left out. From elsewhere the right password counts as a wrong one."""
    processing: Processing = Processing()
    srtp: Literal["off", "accept", "prefer", "require"] | None = None
    """Encryption of its audio; that of `media` if left out."""
    verstat: bool | None = None
    """Whether its phones are told what was found of a call's signature; that of `stir.verify` if left out."""
    mailbox: str | None = None
    """Its mailbox; the one of its own number if left out."""


class Registrar(Section):
    """How long phones stay registered (RFC 3261 §10)."""

    default_expires: Duration = 3600.0
    """For phones that do not say."""
    min_expires: Duration = 60.0
    """Less is refused with 423; the phone then asks for this."""
    max_expires: Duration = 7200.0
    """More is shortened to this."""
    max_contacts: int = Field(default=10, ge=1, le=100)
    """Phones that may be registered to one extension at once."""
    edge_proxies: Networks = ()
    """Networks of proxies that phones register through and whose Path (RFC 3327) is believed: calls go by the hosts
    that it names. From elsewhere its first host has to be the address that the registration comes from."""


class Limits(Section):
    """What keeps the server and the bill within bounds."""

    calls: int | None = Field(default=None, ge=0)
    """Calls at once; more are refused with 503. `null` for no limit."""
    calls_per_second: Rate | None = None
    """Calls that may begin in a second; more are refused with 503. `null` for no limit."""
    retry_after: Seconds = 5.0
    """What a caller is told who is refused for a limit: when to try again (Retry-After)."""
    max_duration: Positive | None = 14_400.0
    """The longest that a call may last; `null` for no limit."""
    overload: Literal["refuse", "ignore"] = "refuse"
    """`refuse`: a server that cannot keep up takes new calls at the rate that it can carry, none of strangers, and
    refuses the rest with 503 at once, so that calls that are up do not suffer. Emergency calls are always taken."""
    drain_timeout: Duration = 60.0
    """At SIGTERM, how long running calls may go on before they are hung up."""
    drain_timeout_emergency: Duration = 900.0
    """The same for emergency calls, which are also taken until then; never less than `drain_timeout`. The log says
    which calls it waits for; a second SIGTERM ends them at once."""


class Log(Section):
    """What is told, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """What is worth telling."""
    format: Literal["console", "json"] = "console"
    """`console` for people, `json` for programs: one object a line."""
    file: FilePath | None = None
    """Where to; standard error if left out."""


_EXTENSION = re.compile(r"[A-Za-z0-9*#+_.-]{1,64}", re.ASCII)
_TRUNK = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


def _extension_number(text: str) -> str:
    if not _EXTENSION.fullmatch(text):
        raise ValueError(f"`{text}` cannot be an extension; use digits, letters and * # + _ . -")
    return text


def _trunk_name(text: str) -> str:
    if not _TRUNK.fullmatch(text):
        raise ValueError(f"`{text}` cannot be the name of a trunk; use letters, digits and _ . -")
    return text


ExtensionNumber = Annotated[str, AfterValidator(_extension_number)]
TrunkName = Annotated[str, AfterValidator(_trunk_name)]


class Settings(Section):
    """A whole configuration."""

    sip: Sip = Sip()
    media: Media = Media()
    storage: Storage = Field(default_factory=dict, validate_default=True)
    recording: Recording = Recording()
    http: Annotated[Http, BeforeValidator(lambda value: {"listen": None} if value is None else value)] = Http()
    trunks: Named[TrunkName, Trunk] = Field(default_factory=dict, validate_default=True)
    """By name, as in `trunk/NAME`."""
    extensions: Named[ExtensionNumber, Extension] = Field(default_factory=dict, validate_default=True)
    """By number, as in `extension/NUMBER`."""
    stir: Stir = Field(default_factory=dict, validate_default=True)
    registrar: Registrar = Registrar()
    security: Security = Field(default_factory=dict, validate_default=True)
    limits: Limits = Limits()
    log: Log = Log()
    dialplan: FilePath | None = None
    """The file with the routes. Left out, extensions reach each other, and nothing else."""
