"""A binding: one contact of an address-of-record, and how it is reached (RFC 3261 §10, RFC 3327, RFC 5626)."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

from pbx.sip.grammar import NO_PARAMS, Params, format_params
from pbx.sip.stack import Destination, Flow
from pbx.sip.uri import Uri
from pbx.store.schema import Row

__all__ = ["Binding", "DEFAULT_Q", "StoredBinding", "leads_to"]

DEFAULT_Q = 1000
"""Thousandths. RFC 3261 §10.2.1.2 leaves the preference of a contact without q open; first choice is what phones
expect."""

_DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact, as registered. Times are seconds on the clock that never goes back."""

    aor: str
    """The canonical address-of-record, ``sip:101@pbx.example.com``."""
    slot: str
    """Tells the bindings of one address-of-record apart, and stays when the contact changes."""
    contact: Uri
    q: int
    """Preference in thousandths, 0 to 1000."""
    registered: float
    expires: float
    call_id: str
    cseq: int
    flow: Flow
    """The way that the registration came."""
    parameters: Params = field(default_factory=lambda: NO_PARAMS)
    """Parameters of the Contact header other than q and expires; those of the URI are the URI's."""
    path: tuple[str, ...] = ()
    """RFC 3327: becomes the route of every request to this contact."""
    instance_id: str = ""
    reg_id: int = 0
    outbound: bool = False
    """The phone keeps this flow, and this flow only leads to it (RFC 5626)."""
    user_agent: str = ""
    flow_lost: bool = False
    """The connection is gone; nothing can be sent over `flow` any more."""

    @property
    def behind_nat(self) -> bool:
        """True if the contact says another host than the registration came from, so that only the flow leads there."""
        return not leads_to(self.contact, self.flow.remote[0])

    @property
    def flow_only(self) -> bool:
        """True if nothing but the flow leads to the phone."""
        return not self.path and (self.outbound or self.behind_nat)

    @property
    def reachable(self) -> bool:
        """True if a request can be sent to this contact."""
        return self.contact.is_sip and not (self.flow_lost and self.flow_only)

    def destination(self) -> Destination:
        """Return where a request to this contact goes."""
        if self.path:
            # RFC 3327 §5.3: the Path becomes the Route, whose first hop knows the way.
            return Destination(self.contact, self.path)
        if self.flow_only:
            return Destination(self.contact, flow=self.flow)
        if self.flow_lost or not (self.flow.reliable or self._contact_port() == self.flow.remote[1]):
            return Destination(self.contact)
        return Destination(self.contact, flow=self.flow, fallback=True)

    def _contact_port(self) -> int:
        return self.contact.port or _DEFAULT_PORTS.get(self.flow.transport, 5060)

    def contact_value(self, now: float) -> str:
        """Return this binding as a value of Contact in the response to REGISTER."""
        parts = [f"<{self.contact}>", format_params(self.parameters)]
        if self.q != DEFAULT_Q:
            parts.append(f";q={self.q / 1000:.3f}".rstrip("0"))
        parts.append(f";expires={max(0, round(self.expires - now))}")
        return "".join(parts)


def leads_to(uri: Uri, address: str) -> bool:
    """Return whether what is sent to a URI goes to a numeric address; a name, which may lead anywhere, does not."""
    # RFC 3263 §4: TARGET is the value of the maddr parameter of the URI, if present, otherwise the host value.
    host = (uri.params.get("maddr") or uri.host).strip("[]")
    if host == address:
        return True
    try:
        return ":" in host and ip_address(host) == ip_address(address.partition("%")[0])
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class StoredBinding:
    """A binding on its way to the store, where times are seconds since the epoch."""

    binding: Binding
    epoch: float
    """Seconds since the epoch when the clock that never goes back was at 0."""

    def row(self) -> Row:
        """Return the row of the table `bindings`; the store adds its node."""
        binding, flow = self.binding, self.binding.flow
        return {
            "aor": binding.aor,
            "slot": binding.slot,
            "contact": str(binding.contact),
            "parameters": dict(binding.parameters),
            "q": binding.q,
            "registered": binding.registered + self.epoch,
            "expires": binding.expires + self.epoch,
            "call_id": binding.call_id,
            "cseq": binding.cseq,
            "path": list(binding.path),
            "instance_id": binding.instance_id,
            "reg_id": binding.reg_id,
            "outbound": binding.outbound,
            "transport": flow.transport,
            "local_host": flow.local[0],
            "local_port": flow.local[1],
            "remote_host": flow.remote[0],
            "remote_port": flow.remote[1],
            "user_agent": binding.user_agent,
        }

    @staticmethod
    def restore(row: Row, epoch: float) -> Binding:
        """Return the binding that a row holds, as it is after a restart.

        A pair of UDP addresses is the same way as before; a connection is not. Raises ParseError for a contact that is
        none.
        """
        transport = row["transport"]
        return Binding(
            aor=row["aor"],
            slot=row["slot"],
            contact=Uri.parse(row["contact"]),
            q=row["q"],
            registered=row["registered"] - epoch,
            expires=row["expires"] - epoch,
            call_id=row["call_id"],
            cseq=row["cseq"],
            flow=Flow(transport, (row["local_host"], row["local_port"]), (row["remote_host"], row["remote_port"])),
            parameters=row["parameters"] or NO_PARAMS,
            path=tuple(row["path"]),
            instance_id=row["instance_id"],
            reg_id=row["reg_id"],
            outbound=row["outbound"],
            user_agent=row["user_agent"],
            flow_lost=transport != "udp",
        )
