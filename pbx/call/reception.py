"""The front door: every request that arrives is answered here, or handed to whom it belongs.

Inside a dialog it goes to the leg. Outside, RFC 3261 §8.2 says in which order it is looked at: the method, the
Request-URI, what it requires; then who sends it (`pbx.call.admission`), and only then what it wants.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pbx.call.admission import Admission, Caller
from pbx.call.called import reason_against
from pbx.call.events import Incoming
from pbx.call.leg import InboundLeg, Leg, LegContext
from pbx.call.leg.headers import ACCEPT, ALLOW, capabilities, option_tags
from pbx.call.registry import CallRegistry
from pbx.call.takeover import Replaced, to_replace
from pbx.cause import cause_named
from pbx.errors import ParseError, ProtocolError
from pbx.sip.ext.replaces import Replaces, replaces_of
from pbx.sip.message import Request, Response, make_response
from pbx.sip.stack import Flow, ServerTransaction, TransactionFailure
from pbx.trunks.verification import UNVERIFIED, Verification
from pbx.values import dataclass

__all__ = ["KNOWN_METHODS", "Reception", "Verify"]

KNOWN_METHODS: Final = frozenset(
    (
        *("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER", "PRACK"),
        *("UPDATE", "INFO", "MESSAGE", "REFER", "SUBSCRIBE", "NOTIFY", "PUBLISH"),
    )
)
"""Methods that we recognise; any other gets 501 (RFC 3261 §21.5.2), one of these that we do not take 405 (§21.4.6)."""

_OUTSIDE_DIALOGS: Final = frozenset(("INVITE", "OPTIONS", "REGISTER"))


Verify = Callable[[str, Request, Callable[[Verification], None]], None]
"""Tells what a source's INVITE proves of who calls; at once, or later."""


def _unverified(source: str, request: Request, done: Callable[[Verification], None]) -> None:
    """Know nothing of anybody."""
    done(UNVERIFIED)


@dataclass(slots=True)
class _Held:
    """An INVITE that waits until it is known who calls."""

    returned: bool = False
    """It has begun to wait."""
    gone: bool = False
    """It was cancelled."""


class Reception:
    """The server's `RequestHandler`."""

    def __init__(
        self,
        context: LegContext,
        admission: Admission,
        registry: CallRegistry,
        register: Callable[[ServerTransaction, Request], None],
        verify: Verify = _unverified,
    ) -> None:
        """`verify` is asked what is known of a caller before the call begins, and may take its time."""
        self._context = context
        self._stack = context.stack
        self._admission = admission
        self._registry = registry
        self._register = register
        self._verify = verify

    # -- RequestHandler

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Take a new request other than ACK and CANCEL."""
        try:
            if request.to.tag is not None:
                self._inside_dialog(transaction, request)
            else:
                self._outside_dialog(transaction, request)
        except ParseError as error:
            self._refuse(transaction, error.status, error.reason)

    def on_ack(self, request: Request, flow: Flow) -> None:
        """Give the ACK of a 2xx to its leg; one without a dialog is dropped (RFC 3261 §12.2.2 leaves no way to
        answer)."""
        owner = self._context.dialogs.find(request)
        if owner is None:
            self._context.count("ack-without-dialog")
        else:
            owner.on_ack(request, flow)

    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        """Tell a leg that its INVITE was cancelled."""
        owner = transaction.user
        if isinstance(owner, Leg):
            owner.on_cancel(transaction, cancel)
            return
        if isinstance(owner, _Held):
            owner.gone = True
        self._refuse(transaction, 487)

    def on_server_failure(self, transaction: ServerTransaction, failure: TransactionFailure) -> None:
        """Tell a leg that its response could not be delivered; for a request without a leg nobody waits."""
        owner = transaction.user
        if isinstance(owner, Leg):
            owner.on_server_failure(transaction, failure)
        else:
            if isinstance(owner, _Held):
                owner.gone = True
            self._context.count("response-undeliverable")

    # -- where it belongs

    def _inside_dialog(self, transaction: ServerTransaction, request: Request) -> None:
        owner = self._context.dialogs.find(request)
        if owner is not None:
            transaction.user = owner
            owner.on_request(transaction, request)
        elif request.method not in KNOWN_METHODS:
            self._refuse(transaction, 501)
        else:
            # RFC 3261 §12.2.2: if the UAS does not wish to recreate the dialog state, it MUST respond with a 481.
            self._refuse(transaction, 481)

    def _outside_dialog(self, transaction: ServerTransaction, request: Request) -> None:
        method = request.method
        # RFC 3261 §8.2.1: if the UAS recognizes but does not support the method, it MUST generate a 405 with an Allow
        # header.
        if method not in _OUTSIDE_DIALOGS:
            known = method in KNOWN_METHODS
            in_dialog_only = method in ("BYE", "PRACK", "UPDATE", "INFO")
            self._refuse(transaction, (481 if in_dialog_only else 405) if known else 501)
            return
        status = reason_against(method, request.uri)
        if status:
            self._refuse(transaction, status)
            return
        if method == "REGISTER":
            self._register(transaction, request)
        elif method == "OPTIONS":
            self._options(transaction, request)
        else:
            self._invite(transaction, request)

    # -- what it wants

    def _options(self, transaction: ServerTransaction, request: Request) -> None:
        """RFC 3261 §11.2: Allow, Accept, Supported. The same for every user part, so that nobody learns which
        extensions exist."""
        # RFC 3261 §8.2.2.3: an option tag that is not understood MUST be answered by a 420 with Unsupported.
        known = option_tags(self._context.settings)
        unsupported = [tag for tag in (*request.require, *request.proxy_require) if tag not in known]
        status = 420 if unsupported else 503 if self._registry.draining else 200
        response = make_response(request, status, to_tag=self._context.ids.tag())
        if unsupported:
            response.headers.set("Unsupported", ", ".join(unsupported))
        else:
            self._describe(response)
        self._stack.send_response(transaction, response)

    def _invite(self, transaction: ServerTransaction, request: Request) -> None:
        # RFC 7332 §4: a B2BUA decrements Max-Forwards like a proxy, and RFC 3261 §16.3 refuses a request that came with
        # 0.
        max_forwards = request.max_forwards
        if max_forwards == 0:
            self._refuse(transaction, 483)
            return
        if self._context.dialogs.sent(request.call_id, request.from_.tag or ""):
            # RFC 3261 §8.2.2.2 and §16.3: an INVITE of ours that comes back: whoever sent it here would send it again.
            self._context.count("invite-looped")
            self._refuse(transaction, 482)
            return
        caller = self._admission.admit(transaction, request)
        if caller is None:
            return
        if self._turned_away(transaction, request, caller):
            return
        held = _Held()
        transaction.user = held
        self._verify(caller.source, request, lambda found: self._verified(held, transaction, request, caller, found))
        held.returned = True

    def _is_emergency(self, request: Request, caller: Caller) -> bool:
        registry = self._registry
        return registry.is_emergency(registry.query(caller.source, caller.party, caller.called, tuple(request.headers)))

    def _turned_away(
        self, transaction: ServerTransaction, request: Request, caller: Caller, *, waited: bool = False
    ) -> bool:
        """Refuse a call that is not taken now, and return whether that was so."""
        registry = self._registry
        refusal = registry.refusal(caller.source, lambda: self._is_emergency(request, caller), waited=waited)
        if refusal is None:
            return False
        response = make_response(request, refusal.sip_status, to_tag=self._context.ids.tag())
        response.headers.set("Retry-After", str(registry.retry_after))
        self._stack.send_response(transaction, response)
        registry.refuse(caller.source, caller.party, caller.called, refusal)
        return True

    def _verified(
        self, held: _Held, transaction: ServerTransaction, request: Request, caller: Caller, found: Verification
    ) -> None:
        """Go on with a call of which is known what can be known of its caller."""
        if held.gone:
            return
        # While it waited, others may have taken the last place.
        if held.returned and self._turned_away(transaction, request, caller, waited=True):
            return
        if found.status and not self._is_emergency(request, caller):
            cause = cause_named("caller-unverified", found.detail)
            # RFC 8224 §6.2.2: "Stale Date" is what 403 says of a signature that is too old.
            self._refuse(transaction, found.status, "Stale Date" if found.status == 403 else None)
            cause = replace(cause, sip_status=found.status)
            self._registry.refuse(caller.source, caller.party, caller.called, cause, found)
            return
        try:
            self._begin(transaction, request, caller, found)
        except ProtocolError as error:
            self._refuse(transaction, error.status, error.reason)

    def _begin(
        self, transaction: ServerTransaction, request: Request, caller: Caller, verification: Verification
    ) -> None:
        wanted = replaces_of(request)
        replaced = self._to_replace(wanted, caller.source) if wanted is not None else None
        call_id = self._registry.new_id()
        leg_id = f"{call_id}-0"
        leg = InboundLeg(leg_id, self._context, self._registry.deliver, self._admission.leg_settings(caller.source))
        transaction.user = leg
        if not leg.start(transaction, request):
            return
        incoming = Incoming(
            leg_id,
            caller.source,
            caller.party,
            caller.called,
            leg.offer,
            request.max_forwards,
            tuple(request.headers),
            request.call_id,
            caller.redirections,
            verification,
        )
        if replaced is not None:
            self._registry.replace(incoming, leg, call_id, transaction.flow, replaced)
        else:
            self._registry.begin(incoming, leg, call_id, transaction.flow)

    def _to_replace(self, wanted: Replaces, source: str) -> Replaced:
        return to_replace(wanted, source, self._context.dialogs, self._registry.find, self._admission.may_replace)

    def _refuse(self, transaction: ServerTransaction, status: int, reason: str | None = None) -> None:
        response = make_response(transaction.request, status, reason, to_tag=self._context.ids.tag())
        if status in (405, 501):
            response.headers.set("Allow", ALLOW)
        self._stack.send_response(transaction, response)

    def _describe(self, response: Response) -> None:
        response.headers.extend((*capabilities(self._context.settings), ("Accept", ACCEPT)))
        if self._context.settings.product:
            response.headers.set("Server", self._context.settings.product)
