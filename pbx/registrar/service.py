"""The registrar: answers REGISTER (RFC 3261 §10.3, RFC 3327, RFC 5626)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from ipaddress import ip_address

import structlog

from pbx.errors import ProtocolError
from pbx.ids import Ids
from pbx.registrar.binding import Binding
from pbx.registrar.location import BindingChange, Change, Location
from pbx.registrar.rules import (
    IntervalTooBriefError,
    Limits,
    PathError,
    Plan,
    Registration,
    leads_back,
    plan_changes,
    plan_removal_of_all,
    read_contacts,
    read_outbound,
    read_path,
)
from pbx.sip.message import Request, Response, make_response
from pbx.sip.stack import ServerTransaction, Stack, Timer
from pbx.sip.uri import Uri

__all__ = ["RegistrarService", "RegistrarSettings"]

_log = structlog.get_logger("pbx.registrar")

_EXTENSIONS = frozenset({"path", "outbound"})
"""The option tags that a REGISTER may require of us."""

_DEFAULT_LIMITS = Limits()
_LONGEST_PATH = 200
"""Characters of a Path that are logged."""


def _is_none(host: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class RegistrarSettings:
    """What the registrar is responsible for. Times are seconds."""

    domain: str
    """The host of every canonical address-of-record."""
    aliases: frozenset[str] = field(default_factory=frozenset)
    """Other names of this server, in lower case. A numeric address is always taken for this server."""
    any_domain: bool = False
    """Take every name for this server, because no domain was configured."""
    limits: Limits = _DEFAULT_LIMITS
    is_edge_proxy: Callable[[str], bool] = _is_none
    """Whether a proxy is at a numeric address whose Path is believed, whatever hosts it names."""
    flow_timer: int = 120
    """RFC 5626 §4.4.1: how long a phone that keeps a flow may leave it silent."""
    sweep: float = 5.0
    """How often expired bindings are removed."""


Authenticate = Callable[[ServerTransaction, Request], "str | None"]
Allowance = Callable[[str, str], int]


class RegistrarService:
    """Takes REGISTER requests. `start` begins the sweep for expired bindings, `stop` ends it.

    `authenticate` is `Authenticator.authenticate`; `allowance(user, name)` says how many contacts the authenticated
    user may have registered for the address-of-record whose user part is `name`, 0 if that is not its own; `wall` gives
    seconds since the epoch, for Date; `canonical(user, name)` is the user part that bindings are kept under, where one
    address-of-record has several names.
    """

    def __init__(
        self,
        stack: Stack,
        location: Location,
        authenticate: Authenticate,
        allowance: Allowance,
        settings: RegistrarSettings,
        ids: Ids,
        wall: Callable[[], float],
        canonical: Callable[[str, str], str] = lambda user, name: name,
    ) -> None:
        self._stack = stack
        self._location = location
        self._authenticate = authenticate
        self._allowance = allowance
        self._ids = ids
        self._wall = wall
        self._canonical = canonical
        self._sweeping: Timer | None = None
        self._date = (0, "")
        self.settings = settings
        self.responses: dict[int, int] = {}
        """Final responses given, by status; those of authentication are counted there."""
        self.changes = dict.fromkeys(Change, 0)
        """What happened to bindings."""
        location.subscribe(self._changed)

    # Lifecycle

    def start(self) -> None:
        """Begin to remove what expires."""
        self._sweeping = self._stack.later(self.settings.sweep, self._sweep)

    def stop(self) -> None:
        """End that."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self._location.stop()

    def _sweep(self) -> None:
        self._location.sweep()
        self._sweeping = self._stack.later(self.settings.sweep, self._sweep)

    def _changed(self, event: BindingChange) -> None:
        self.changes[event.change] += 1
        if event.change is not Change.REFRESHED:
            binding = event.binding
            _log.info(
                "binding",
                change=event.change.value,
                aor=binding.aor,
                contact=str(binding.contact),
                source=f"{binding.flow.transport}:{binding.flow.remote[0]}:{binding.flow.remote[1]}",
            )

    # Answering

    def aor_of(self, name: str) -> str:
        """Return the canonical address-of-record of a user part (an extension's number)."""
        return Uri(user=name, host=self.settings.domain).aor()

    def on_register(self, transaction: ServerTransaction, request: Request) -> None:
        """Take a REGISTER: answer it now, or have its authentication answer it."""
        try:
            admitted = self._admit(transaction, request)
            if admitted is None:
                return
            response = self._register(transaction, request, *admitted)
        except ProtocolError as error:
            response = make_response(request, error.status, error.reason, to_tag=self._ids.tag())
            if isinstance(error, IntervalTooBriefError):
                response.headers.add("Min-Expires", str(self.settings.limits.shortest))
        self._answer(transaction, response)

    def _answer(self, transaction: ServerTransaction, response: Response) -> None:
        self.responses[response.status] = self.responses.get(response.status, 0) + 1
        self._stack.send_response(transaction, response)

    def _admit(self, transaction: ServerTransaction, request: Request) -> tuple[str, int] | None:
        """Do steps 1 to 4 of RFC 3261 §10.3; return the address-of-record and how many contacts it may have, None if
        the request has been answered."""
        # Step 1. We are no proxy, so a request for another domain goes nowhere.
        if not request.uri.is_sip:
            raise ProtocolError("Unsupported URI Scheme", 416)
        if not self._is_ours(request.uri.host):
            raise ProtocolError("Not Found", 404)
        # Step 2.
        unsupported = [tag for tag in request.require if tag.lower() not in _EXTENSIONS]
        if unsupported:
            response = make_response(request, 420, to_tag=self._ids.tag())
            response.headers.add("Unsupported", ", ".join(unsupported))
            self._answer(transaction, response)
            return None
        # RFC 3261 §10.2: To contains the address of record, [which] MUST be a SIP URI or SIPS URI.
        to = request.to.uri
        if not to.is_sip or to.user is None:
            raise ProtocolError("To Is No Address-Of-Record")
        # Steps 3 and 4. A name that does not exist is refused as one of somebody else is.
        user = self._authenticate(transaction, request)
        if user is None:
            return None
        allowed = self._allowance(user, to.user)
        if not allowed:
            raise ProtocolError("Forbidden", 403)
        return self.aor_of(self._canonical(user, to.user)), allowed

    def _is_ours(self, host: str) -> bool:
        settings = self.settings
        return settings.any_domain or host == settings.domain or host in settings.aliases or _is_numeric(host)

    def _register(self, transaction: ServerTransaction, request: Request, aor: str, allowed: int) -> Response:
        """Do steps 5 to 8 of RFC 3261 §10.3."""
        # Step 5: if the address-of-record is not valid for the domain in the Request-URI, the registrar MUST send a
        # 404.
        if not self._is_ours(request.to.uri.host):
            raise ProtocolError("Not Found", 404)
        known = self._location.bindings(aor)
        flows = False
        # Step 6. Without a Contact the bindings are only asked for.
        if "Contact" in request.headers:
            wildcard = request.wildcard_contact
            wanted = () if wildcard else read_contacts(request, self.settings.limits)
            flows = read_outbound(request, wanted)
            registration = Registration(
                aor,
                request.call_id,
                request.cseq.number,
                transaction.flow,
                self._stack.now(),
                self._path(request, transaction.flow.remote[0]),
                flows,
                request.user_agent or "",
            )
            if wildcard:
                # If [*] is there with additional Contact fields or an expiration time other than zero: 400.
                if request.expires != 0:
                    raise ProtocolError("A Contact Of * Needs Expires 0")
                plan = plan_removal_of_all(known, registration)
            else:
                plan = plan_changes(known, wanted, registration, allowed)
            # Step 7: either everything is done, or, by an exception above, nothing.
            self._carry_out(plan)
        return self._done(request, aor, flows)

    def believes(self, binding: Binding) -> bool:
        """Return whether a binding that was made earlier, perhaps under other rules, would be taken with its Path."""
        source = binding.flow.remote[0]
        return not binding.path or self.settings.is_edge_proxy(source) or leads_back(binding.path, source)

    def _path(self, request: Request, source: str) -> tuple[str, ...]:
        try:
            return read_path(request, source, believed=self.settings.is_edge_proxy(source))
        except PathError:
            _log.warning(
                "path-refused",
                source=source,
                path=", ".join(request.headers.all("Path"))[:_LONGEST_PATH],
                hint=f"if {source} is a proxy of yours, name it in registrar.edge_proxies",
            )
            raise

    def _carry_out(self, plan: Plan) -> None:
        for binding in plan.remove:
            self._location.remove(binding)
        for binding in plan.put:
            self._location.put(binding)

    def _done(self, request: Request, aor: str, flows: bool) -> Response:
        """Do step 8: 200 with every binding there is now."""
        now = self._stack.now()
        response = make_response(request, 200, to_tag=self._ids.tag())
        headers = response.headers
        for binding in self._location.bindings(aor):
            headers.add("Contact", binding.contact_value(now))
        if "path" in request.supported:
            # RFC 3327 §5.3: the Path is returned to a phone that knows of it.
            for value in request.headers.all("Path"):
                headers.add("Path", value)
        headers.add("Supported", "path, outbound")
        if flows:
            # RFC 5626 §6: Require tells the phone that its flow was registered.
            headers.add("Require", "outbound")
            if len(request.vias) == 1:
                headers.add("Flow-Timer", str(self.settings.flow_timer))
        headers.add("Date", self._now_text())
        return response

    def _now_text(self) -> str:
        second = int(self._wall())
        if second != self._date[0]:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]


def _is_numeric(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
