"""What a REGISTER asks for, and what becomes of the bindings: RFC 3261 §10.3 steps 6 to 8, as functions of values.

All changes of a request are worked out first and carried out together, so that a request that fails has changed
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pbx.errors import ParseError, ProtocolError
from pbx.registrar.binding import DEFAULT_Q, Binding, leads_to
from pbx.sip.ext.path import path_of, path_values
from pbx.sip.grammar import NO_PARAMS, Params, unquote
from pbx.sip.headers import NameAddress
from pbx.sip.message import Request
from pbx.sip.stack import Flow
from pbx.sip.uri import Uri

__all__ = [
    "IntervalTooBriefError",
    "Limits",
    "PathError",
    "Plan",
    "Registration",
    "WantedContact",
    "plan_changes",
    "plan_removal_of_all",
    "read_contacts",
    "read_outbound",
    "leads_back",
    "read_path",
]

_ONE_HOUR = 3600
_Q = re.compile(r"([01]?)(?:\.([0-9]*))?")
_OWN_PARAMETERS = frozenset({"q", "expires"})


class IntervalTooBriefError(ProtocolError):
    """A phone wants to refresh more often than it may (423, RFC 3261 §10.3 step 7)."""

    def __init__(self) -> None:
        super().__init__("Interval Too Brief", 423)


class PathError(ProtocolError):
    """The Path of a REGISTER names a host that nobody has reason to believe in."""

    def __init__(self) -> None:
        super().__init__("Path Names Another Host", 403)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a registration holds. Seconds."""

    shortest: int = 60
    longest: int = 3600
    default: int = 3600


@dataclass(frozen=True, slots=True)
class WantedContact:
    """One contact of a REGISTER. `expires` 0 removes it; `q` in thousandths."""

    contact: Uri
    expires: int
    q: int = DEFAULT_Q
    parameters: Params = field(default_factory=lambda: NO_PARAMS)
    instance_id: str = ""
    reg_id: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: all of it, or nothing."""

    put: tuple[Binding, ...] = ()
    remove: tuple[Binding, ...] = ()


def read_contacts(request: Request, limits: Limits) -> tuple[WantedContact, ...]:
    """Return what a REGISTER wants of its contacts. Raises ProtocolError with the status to answer."""
    expires = request.expires
    return tuple([_read_contact(value, expires, limits) for value in request.contacts])


def _read_contact(value: NameAddress, header: int | None, limits: Limits) -> WantedContact:
    params = value.params
    said = params.get("expires")
    if "expires" in params:
        # RFC 3261 §10.2.1.1: malformed values SHOULD be treated as equivalent to 3600.
        wanted = int(said) if said and len(said) <= 10 and said.isascii() and said.isdigit() else _ONE_HOUR
    else:
        wanted = limits.default if header is None else header
    # RFC 3261 §10.3 step 7: if and only if the requested expiration interval is greater than zero AND smaller than one
    # hour AND less than a registrar-configured minimum, the registrar MAY reject the registration with a response of
    # 423.
    if 0 < wanted < limits.shortest and wanted < _ONE_HOUR:
        raise IntervalTooBriefError
    return WantedContact(
        value.uri,
        min(wanted, limits.longest),
        _read_q(params["q"]) if "q" in params else DEFAULT_Q,
        {name: text for name, text in params.items() if name not in _OWN_PARAMETERS} if params else NO_PARAMS,
        unquote(params.get("+sip.instance") or ""),
        _read_reg_id(params.get("reg-id")),
    )


def _read_q(text: str | None) -> int:
    """RFC 3261 §25.1: qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ). What phones send beyond it is
    rounded."""
    found = _Q.fullmatch(text or "")
    whole, fraction = (found[1], found[2] or "") if found is not None else ("", "")
    if not whole and not fraction:
        raise ProtocolError("Malformed q of a Contact")
    return min(1000, 1000 * int(whole or "0") + int((fraction + "000")[:3]))


def _read_reg_id(text: str | None) -> int:
    """RFC 5626 §9: reg-id is 1 to 2**31 - 1; 0 stands for none."""
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) < 1 << 31):
        raise ProtocolError("Malformed reg-id of a Contact")
    return int(text)


def read_path(request: Request, source: str, *, believed: bool) -> tuple[str, ...]:
    """Return Path, the route of every request to the contacts of a REGISTER that came from `source` (RFC 3327 §5.3).

    It is taken as it is from a proxy that is `believed`, else if its first hop is where it came from. Raises ParseError
    if it is malformed, PathError if it would have us send somewhere else.
    """
    values = path_values(request)
    if values and not believed and not leads_to(path_of(request)[0].uri, source):
        raise PathError
    return values


def leads_back(path: tuple[str, ...], source: str) -> bool:
    """Return whether the first hop of a stored Path is where the REGISTER came from."""
    try:
        return leads_to(NameAddress.parse(path[0]).uri, source)
    except ParseError:
        return False


def read_outbound(request: Request, wanted: Iterable[WantedContact]) -> bool:
    """Return whether the request registers a flow (RFC 5626 §6). Raises ProtocolError 400 or 439."""
    wanted = tuple(wanted)
    flows = [contact for contact in wanted if contact.reg_id and contact.instance_id]
    if not flows or "outbound" not in request.supported:
        return False
    # A reg-id names one flow, and only one flow can be registered by one request.
    if sum(contact.expires > 0 for contact in wanted) > 1:
        raise ProtocolError("A flow is registered with other contacts")
    if len(request.vias) > 1:
        # The phone's first hop was somebody else, who must keep the flow. RFC 5626 §6: if the first URI within the Path
        # header field does not have an "ob" URI parameter, [...] the registrar MUST respond with a 439.
        path = request.headers.each("Path", NameAddress.parse)
        if not path or "ob" not in path[0].uri.params:
            raise ProtocolError("First Hop Lacks Outbound Support", 439)
    return True


@dataclass(frozen=True, slots=True)
class Registration:
    """What all contacts of one REGISTER share."""

    aor: str
    call_id: str
    cseq: int
    flow: Flow
    now: float
    path: tuple[str, ...] = ()
    outbound: bool = False
    user_agent: str = ""


def plan_removal_of_all(bindings: Iterable[Binding], registration: Registration) -> Plan:
    """Plan for ``Contact: *`` (RFC 3261 §10.3 step 6). Raises ProtocolError if one of them is newer than the
    request."""
    bindings = tuple(bindings)
    for binding in bindings:
        _check_order(binding, registration)
    return Plan(remove=bindings)


def plan_changes(
    bindings: Iterable[Binding], wanted: Iterable[WantedContact], registration: Registration, most: int
) -> Plan:
    """Plan what a REGISTER with contacts does (RFC 3261 §10.3 step 7). Raises ProtocolError if it must change nothing.

    `most` is how many bindings there may be in the end.
    """
    before = {binding.slot: binding for binding in bindings}
    after = before.copy()
    for contact in wanted:
        old = _same(after.values(), contact, registration)
        if old is not None and old is before.get(old.slot):
            _check_order(old, registration)
        if contact.expires:
            new = _binding(contact, old, registration)
            after[new.slot] = new
        elif old is not None and (old is before.get(old.slot) or old.contact.equivalent(contact.contact)):
            # Otherwise a phone that comes by a new flow names its old contact to be forgotten, with the reg-id that the
            # new one has (pjsua does): what this very request registers stays.
            del after[old.slot]
    put = [binding for slot, binding in after.items() if binding is not before.get(slot)]
    for binding in before.values():
        if after.get(binding.slot) is binding and any(_supersedes(new, binding) for new in put):
            del after[binding.slot]
    if len(after) > most and put:
        # A contact that can't be reached any more must not keep a phone out.
        for binding in before.values():
            if after.get(binding.slot) is binding and not binding.reachable:
                del after[binding.slot]
        if len(after) > most:
            raise ProtocolError("Too Many Contacts", 403)
    return Plan(tuple(put), tuple([binding for slot, binding in before.items() if slot not in after]))


def _same(known: Iterable[Binding], contact: WantedContact, registration: Registration) -> Binding | None:
    """Return the binding that a contact is about.

    RFC 5626 §6: with outbound, bindings are the same if instance-id and reg-id are. Else RFC 3261 §10.3 step 7 compares
    the contacts by §19.1.4.
    """
    if registration.outbound and contact.reg_id:
        for binding in known:
            if binding.outbound and binding.reg_id == contact.reg_id and _same_instance(binding, contact.instance_id):
                return binding
        return None
    uri = contact.contact
    for binding in known:
        if binding.contact == uri or binding.contact.equivalent(uri):
            return binding
    return None


def _same_instance(binding: Binding, instance_id: str) -> bool:
    # RFC 5626 §4.1: instance-ids are URNs; those of UUIDs compare without case (RFC 4122 §3).
    return binding.instance_id.lower() == instance_id.lower()


def _check_order(binding: Binding, registration: Registration) -> None:
    # RFC 3261 §10.3 step 7: if [the Call-ID] does agree, [the registrar] compares the CSeq value. If the value is
    # higher than that of the existing binding, it MUST update or remove the binding. If not, the update MUST be aborted
    # and the request fails.
    if binding.call_id == registration.call_id and registration.cseq <= binding.cseq:
        raise ProtocolError("CSeq Out Of Order", 500)


def _supersedes(new: Binding, binding: Binding) -> bool:
    """Return whether a phone that registers `new` has left `binding` behind.

    It has if it now keeps a flow for the same contact. And it has if the same instance comes with another Call-ID: a
    phone uses one between boots (RFC 3261 §10.2.4), so it has restarted, and what it registered before leads nowhere.
    """
    if new.outbound and not binding.outbound and new.contact.equivalent(binding.contact):
        return True
    if not new.instance_id or new.call_id == binding.call_id or not _same_instance(binding, new.instance_id):
        return False
    return not (new.outbound and binding.outbound)


def _binding(contact: WantedContact, old: Binding | None, registration: Registration) -> Binding:
    outbound = registration.outbound and contact.reg_id > 0
    if old is not None:
        slot = old.slot
    elif outbound:
        slot = f"{contact.instance_id.lower()};{contact.reg_id}"
    else:
        slot = str(contact.contact)
    return Binding(
        aor=registration.aor,
        slot=slot,
        contact=contact.contact,
        q=contact.q,
        registered=registration.now if old is None else old.registered,
        expires=registration.now + contact.expires,
        call_id=registration.call_id,
        cseq=registration.cseq,
        flow=registration.flow,
        parameters=contact.parameters,
        path=registration.path,
        instance_id=contact.instance_id,
        reg_id=contact.reg_id if outbound else 0,
        outbound=outbound,
        user_agent=registration.user_agent,
    )
