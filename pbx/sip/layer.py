"""The transaction layer, sans-IO (RFC 3261 §17 and §18, RFC 6026, RFC 4320).

It is told the time and the bytes, and returns effects. It never calls anybody, so whoever carries the effects out may
call it again at any point. `now` is a float of seconds on a clock that never goes back.
"""

from __future__ import annotations

from hashlib import blake2s
from typing import TYPE_CHECKING, Final

from pbx.errors import UsageError
from pbx.ids import Ids
from pbx.sip.client import ClientTransaction, InviteClientTransaction
from pbx.sip.effects import AckArrived, Dropped, Effect, Send, StrayResponse
from pbx.sip.machine import Context, LayerSettings, step
from pbx.sip.matching import client_key, merge_key, modern, reply_address, reply_flow, server_key, set_via
from pbx.sip.message import Request, Response, make_response, stamp_received
from pbx.sip.parser import MessageError, parse_message, validate
from pbx.sip.refused import Refused
from pbx.sip.server import CancelServerMachine, InviteServerMachine, ServerMachine, ServerTransaction
from pbx.sip.transaction import Input, State

if TYPE_CHECKING:
    from pbx.sip.stack import Flow

__all__ = ["LayerSettings", "TransactionLayer", "reply_address"]

_OVERLOAD_RETRY: Final = "5"
"""Seconds after which a client may come back that found too many transactions."""


class TransactionLayer:
    """All transactions of one server."""

    __slots__ = ("_context", "_ids", "_refused", "_salt")

    def __init__(self, ids: Ids, settings: LayerSettings | None = None) -> None:
        self._context = Context(settings or LayerSettings())
        self._ids = ids
        self._refused = Refused()
        self._salt = ids.token(16).encode()

    # -- from below

    def receive(self, data: bytes | Request | Response, flow: Flow, now: float) -> list[Effect]:
        """Take one datagram, one message as `framing` cuts them, or one already parsed. Bad bytes raise nothing."""
        context = self._begin(now)
        context.flow = flow
        try:
            message = parse_message(data) if isinstance(data, bytes) else data
            validate(message)
        except MessageError as error:
            return self.malformed(error, flow, now)
        if isinstance(message, Response):
            context.counters["responses_received"] += 1
            self._response(message, flow)
        else:
            context.counters["requests_received"] += 1
            self._request(message, flow)
        return context.effects

    def malformed(self, error: MessageError, flow: Flow, now: float) -> list[Effect]:
        """Take what is known of a message that cannot be read; answer it if it is a request that can be answered."""
        context = self._begin(now)
        request = error.request
        if request is None:
            context.counters["malformed_dropped"] += 1
            context.effects.append(Dropped("malformed_dropped"))
            return context.effects
        context.counters["malformed_answered"] += 1
        reply = reply_flow(request.top_via, flow, context.settings.force_rport)
        stamp_received(request, *flow.remote)
        # RFC 3261 §21.4.1: the Reason-Phrase SHOULD identify the syntax problem in more detail.
        self._answer(request, reply, error.status, error.reason if error.status == 400 else None)
        return context.effects

    def timers_due(self, now: float) -> list[Effect]:
        """Run every timer that is due at `now`, each in its turn."""
        context = self._begin(now)
        timers = context.timers
        while (due := timers.pop_due(now)) is not None:
            machine, given = due
            step(context, machine, given)
        return context.effects

    def next_timer(self) -> float | None:
        """Return when `timers_due` wants to be called next; None if no timer runs."""
        return self._context.timers.next_due()

    def soonest_started(self) -> float:
        """Return when the first of the timers falls due that were started since this was last asked, infinity without
        any: whoever waits for an earlier one need not ask `next_timer`, which takes longer."""
        return self._context.timers.soonest_started()

    def transport_failed(
        self, transaction: ClientTransaction | ServerTransaction, now: float, detail: str = ""
    ) -> list[Effect]:
        """Take that what the transaction last sent could not be sent (RFC 3261 §17.1.4, RFC 6026)."""
        context = self._begin(now)
        context.detail = detail
        if isinstance(transaction, ClientTransaction):
            if transaction.state is not State.TERMINATED:
                step(context, transaction, Input.TRANSPORT_ERROR)
        elif transaction.machine.state is not State.TERMINATED:
            context.transaction = transaction
            step(context, transaction.machine, Input.TRANSPORT_ERROR)
        return context.effects

    def flow_failed(self, flow: Flow, now: float, detail: str = "") -> list[Effect]:
        """Take that a connection is gone, or that the remote address of a UDP flow cannot be reached (RFC 3261 §18.4).

        Requests of ours that still wait for a final response over it fail. Requests received over it stay: their
        responses may go another way.
        """
        context = self._begin(now)
        context.detail = detail
        for transaction in list(context.pending.get(flow.connection or flow.remote, {}).values()):
            step(context, transaction, Input.TRANSPORT_ERROR)
        return context.effects

    # -- from above

    def request(
        self, request: Request, flow: Flow, sent_by: str, user: object, now: float
    ) -> tuple[ClientTransaction, list[Effect]]:
        """Start a client transaction: `request` goes out over `flow` with a new Via in the place of any that it has.

        `sent_by` is ``host:port`` by which the peer reaches us. `user` comes back in every effect of the transaction.
        The request belongs to the layer until its final response; ACK and CANCEL are not sent this way.
        """
        method = request.method
        if method in ("ACK", "CANCEL"):
            raise UsageError(f"{method} is no transaction of its own")
        context = self._begin(now)
        branch = self._ids.branch()
        set_via(request, flow, sent_by, branch)
        kind = InviteClientTransaction if method == "INVITE" else ClientTransaction
        transaction = kind(client_key(branch, method), flow, request, user)
        transaction.enter(context)
        step(context, transaction, Input.BEGIN, request)
        return transaction, context.effects

    def ack(self, request: Request, flow: Flow, sent_by: str) -> list[Effect]:
        """Send the ACK of a 2xx: outside any transaction, with a branch of its own (RFC 3261 §13.2.2.4, §17.1.1.3)."""
        set_via(request, flow, sent_by, self._ids.branch())
        return [Send(flow, request.to_bytes(), None)]

    def cancel(self, transaction: ClientTransaction, headers: tuple[tuple[str, str], ...], now: float) -> list[Effect]:
        """Cancel an INVITE: at once if it has had a provisional response, else as soon as one comes (RFC 3261 §9.1).

        `headers` go into the CANCEL (Reason). Harmless once there is a final response, which may cross the CANCEL: a
        2xx then still comes, and must be acknowledged and ended by BYE. Without a final response in 64*T1 after the
        CANCEL, or before any provisional response, ClientFailed ``cancelled`` comes.
        """
        context = self._begin(now)
        if not isinstance(transaction, InviteClientTransaction):
            raise UsageError("only an INVITE can be cancelled")
        if not transaction.finished:
            transaction.cancel_headers = headers
            step(context, transaction, Input.CANCEL)
        return context.effects

    def respond(self, transaction: ServerTransaction, response: Response, now: float) -> list[Effect]:
        """Answer a request. A 2xx to INVITE may be given again until its ACK arrives (RFC 3261 §13.3.1.4)."""
        context = self._begin(now)
        machine, status = transaction.machine, response.status
        if machine.state is State.TERMINATED:
            context.counters["answers_late"] += 1
            context.effects.append(Dropped("answers_late"))
            return context.effects
        given = _said(machine, status)
        if given is None or given is Input.SAY_NOTHING:
            context.counters["answers_suppressed"] += 1
            context.effects.append(Dropped("answers_suppressed"))
        if given is None:
            return context.effects
        if not transaction.final_sent:
            transaction.last = None if given is Input.SAY_SUCCESS else response
        if status >= 200:
            transaction.final_sent = True
        context.transaction = transaction
        step(context, machine, given, response)
        context.transaction = None
        return context.effects

    # -- for tests and metrics

    @property
    def counters(self) -> dict[str, int]:
        """What happened so far, by the names of `machine.COUNTERS`; to be read only."""
        return self._context.counters

    @property
    def clients(self) -> int:
        """How many client transactions exist, finished ones among them."""
        return len(self._context.clients)

    @property
    def servers(self) -> int:
        """How many server transactions exist, finished ones among them."""
        return len(self._context.servers)

    def leftovers(self) -> list[str]:
        """Name what is still in the tables; empty once every transaction has come to its end."""
        context = self._context
        names = [f"client {machine.key} {machine.state}" for machine in context.clients.values()]
        names += [f"server {machine.key} {machine.state}" for machine in context.servers.values()]
        names += [f"merged {key}" for key in context.merged]
        names += [f"pending {key}" for key in context.pending]
        names += [f"timer {timer.name} due {timer.due}" for timer in context.timers.pending()]
        return names

    # -- requests that arrive

    def _begin(self, now: float) -> Context:
        context = self._context
        context.now = now
        context.effects = []
        context.flow = None
        context.detail = ""
        return context

    def _request(self, request: Request, flow: Flow) -> None:
        context = self._context
        method = request.method
        via = request.top_via
        key = server_key(request, via, "INVITE" if method == "ACK" else method)
        machine = context.servers.get(key)
        if method == "ACK":
            self._ack(request, flow, machine, key)
            return
        reply = reply_flow(via, flow, context.settings.force_rport)
        if machine is not None:
            self._repeated(request, reply, machine)
            return
        invite_key = server_key(request, via, "INVITE") if method == "CANCEL" else ""
        stamp_received(request, *flow.remote)
        if method == "CANCEL":
            self._cancel(request, CancelServerMachine(key, reply), context.servers.get(invite_key))
            return
        merging = merge_key(request)
        if merging is not None:
            if merging in context.merged:
                # RFC 3261 §8.2.2.2: the UAS core SHOULD generate a 482 (Loop Detected) response.
                context.counters["requests_merged"] += 1
                self._answer(request, reply, 482)
                return
            if self._is_refused(request, flow, key):
                self._answer(request, reply, 503, headers=(("Retry-After", _OVERLOAD_RETRY),))
                return
        machine = InviteServerMachine(key, reply, merging) if method == "INVITE" else ServerMachine(key, reply, merging)
        machine.transaction = ServerTransaction(request, flow, machine)
        machine.enter(context)
        step(context, machine, Input.BEGIN, request)

    def _is_refused(self, request: Request, flow: Flow, key: str) -> bool:
        """Return whether a request outside dialogs is refused for now, which an INVITE stays once it was."""
        context = self._context
        settings, refused, is_invite = context.settings, self._refused, request.method == "INVITE"
        if is_invite and refused and key in refused:
            context.counters["refusals_repeated"] += 1
            return True
        takes = settings.takes
        full = len(context.servers) >= settings.most_servers and not self._exempt(flow)
        if not full and (not is_invite or takes is None or takes(flow, request)):
            return False
        context.counters["requests_overload"] += 1
        if is_invite:
            refused.add(key, context.now)
        return True

    def _exempt(self, flow: Flow) -> bool:
        exempt = self._context.settings.exempt
        return exempt is not None and exempt(flow)

    def _repeated(self, request: Request, reply: Flow, machine: ServerMachine) -> None:
        context = self._context
        context.counters["requests_repeated"] += 1
        if reply.transport == machine.flow.transport:
            # A NAT may have given the client another port, or the client may have connected anew.
            machine.flow = reply
        step(context, machine, Input.REQUEST, request)
        if not context.effects:
            context.effects.append(Dropped("requests_repeated"))

    def _ack(self, request: Request, flow: Flow, machine: ServerMachine | None, key: str) -> None:
        context = self._context
        if machine is None and self._refused and key in self._refused:
            context.counters["refusals_acknowledged"] += 1
            context.effects.append(Dropped("refusals_acknowledged"))
        elif machine is None:
            stamp_received(request, *flow.remote)
            context.effects.append(AckArrived(request, flow))
        elif not modern(request.top_via) and machine.to_tag() not in (None, request.to.tag):
            # RFC 3261 §17.2.3: without the cookie, the To tag of the ACK must be that of the response sent, too.
            context.counters["acks_unexpected"] += 1
            context.effects.append(Dropped("acks_unexpected"))
        else:
            step(context, machine, Input.ACK, request)

    def _cancel(self, request: Request, machine: CancelServerMachine, invite: ServerMachine | None) -> None:
        """Answer a CANCEL (RFC 3261 §9.2) and tell of it if it can still cancel something."""
        context = self._context
        machine.enter(context)
        step(context, machine, Input.BEGIN)
        if invite is None:
            context.counters["cancels_unmatched"] += 1
            step(context, machine, Input.SAY_FINAL, make_response(request, 481, to_tag=self._stateless_tag(request)))
            return
        # The To tag of the response to the CANCEL and the To tag in the response to the original request SHOULD be the
        # same.
        tag = invite.to_tag() or self._stateless_tag(request)
        step(context, machine, Input.SAY_FINAL, make_response(request, 200, to_tag=tag))
        step(context, invite, Input.CANCEL_REQUEST, request)

    def _answer(
        self,
        request: Request,
        reply: Flow,
        status: int,
        reason: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Answer without a transaction (RFC 3261 §8.2.7)."""
        response = make_response(request, status, reason, to_tag=self._stateless_tag(request))
        for name, value in headers:
            response.headers.add(name, value)
        self._context.effects.append(Send(reply, response.to_bytes(), None))

    def _stateless_tag(self, request: Request) -> str:
        """Return a To tag that cannot be guessed and is the same for every repetition (RFC 3261 §8.2.7)."""
        headers = request.headers
        text = "\n".join((headers.get("Via") or "", headers.get("Call-ID") or "", headers.get("From") or ""))
        return blake2s(text.encode("utf-8", "replace"), key=self._salt, digest_size=8).hexdigest()

    # -- responses that arrive

    def _response(self, response: Response, flow: Flow) -> None:
        context = self._context
        headers = response.headers
        if "Via" in headers.repeated() or "," in (headers.get("Via") or ""):
            # RFC 3261 §8.1.3.3: if more than one Via header field value is present in a response, the UAC SHOULD
            # discard the message.
            context.counters["responses_misrouted"] += 1
            context.effects.append(Dropped("responses_misrouted"))
            return
        method = response.cseq.method
        machine = context.clients.get(client_key(response.top_via.branch or "", method))
        if machine is None:
            context.counters["responses_stray"] += 1
            context.effects.append(StrayResponse(response, flow))
            return
        status = response.status
        if status < 200:
            given = Input.PROVISIONAL
        elif method != "INVITE":
            given = Input.FINAL
        else:
            given = Input.SUCCESS if status < 300 else Input.FAILURE
        step(context, machine, given, response)


def _said(machine: ServerMachine, status: int) -> Input | None:
    """Return what it means to a machine that the transaction user gives a response; None if it must not be sent."""
    if isinstance(machine, InviteServerMachine):
        if status < 200:
            return Input.SAY_PROVISIONAL
        return Input.SAY_SUCCESS if status < 300 else Input.SAY_FAILURE
    if status >= 200:
        # RFC 4320 §4.2: a 408 is never sent to a non-INVITE request: it would come too late to be of use.
        return Input.SAY_FINAL if status != 408 else Input.SAY_NOTHING
    # RFC 4320 §4.1: no provisional response other than 100 to a non-INVITE request, and over UDP no 100 before the
    # moment at which the layer sends it by itself.
    return Input.SAY_PROVISIONAL if status == 100 and machine.flow.reliable else None
