"""The phone: it registers, calls or waits for a call, and leaves nothing behind. `table.py` has its states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from pbx.call.commands import Party
from pbx.call.leg import InboundLeg
from pbx.errors import ParseError
from pbx.net.routing import next_hop_of
from pbx.phone import notices
from pbx.phone.call import PhoneCall
from pbx.phone.door import Door
from pbx.phone.table import TABLE, Input, State
from pbx.sip.digest import Credential
from pbx.trunks.account import RegistrationSettings, Status, Trouble
from pbx.trunks.registration import Registration
from pbx.trunks.registration_table import State as Registered

if TYPE_CHECKING:
    from pbx.media.events import Event as MediaEvent
    from pbx.phone.line import Line
    from pbx.phone.plan import Plan
    from pbx.phone.ports import Beneath
    from pbx.sip.message import Request
    from pbx.sip.stack import Destination, Flow, ServerTransaction, Timer
    from pbx.sip.targets import Target

__all__ = ["DONE", "FAILED", "INTERRUPTED", "Phone"]

DONE: Final = 0
FAILED: Final = 1
INTERRUPTED: Final = 130

_KEEP_ALIVE: Final = 25.0
"""Seconds: NATs forget UDP after 30 and more (RFC 5626 §4.4.2)."""
_GLANCE: Final = 0.02
"""Seconds between two looks at whether SIP has finished; legs tell nobody of it."""


class Phone:
    """One phone with one plan, from `start` until `done(code)` is called.

    `code` is what a command line ends with: 0 if the call was answered and ended well, 1 if not, what `interrupt` was
    given if the user ended it. `tell` hears of everything.
    """

    def __init__(
        self,
        line: Line,
        plan: Plan,
        beneath: Beneath,
        tell: Callable[[notices.Notice], None],
        done: Callable[[int], None],
    ) -> None:
        self._line = line
        self._plan = plan
        self._beneath = beneath
        self._tell = tell
        self._done = done
        self._stack = beneath.context.stack
        self.state = State.NEW
        self.door = Door(beneath.context, self._invited)
        self.code = FAILED
        self._call: PhoneCall | None = None
        self._registration: Registration | None = None
        self._told_registered = False
        self._deadline: Timer | None = None
        self._glance: Timer | None = None
        self._keep_alive: tuple[Flow, Callable[[], None]] | None = None
        beneath.context.credentials = self._credential

    # -- from above

    def start(self) -> None:
        """Begin."""
        self._take(Input.START)

    def interrupt(self, code: int = INTERRUPTED) -> None:
        """End: hang up, remove the registration, and wait for the answers for a while; at once if told twice."""
        self.code = code
        self._take(Input.INTERRUPT)

    def on_media(self, told: Iterable[MediaEvent]) -> None:
        """Take what the engine tells."""
        if self._call is not None:
            self._call.on_media(told)

    def on_flow_closed(self, flow: Flow) -> None:
        """Take that a connection is gone."""
        if self._registration is not None:
            self._registration.flow_closed(flow)

    def _take(self, given: Input) -> None:
        action, target = TABLE[self.state][given]
        if target is not None:
            self.state = target
            getattr(self, action.value)()

    def _credential(self, name: str, realm: str) -> Credential | None:
        password = self._line.password
        return None if password is None else Credential(self._line.user, password)

    # -- actions

    def _nothing(self) -> None:
        """Do nothing."""

    def _register(self) -> None:
        line, plan = self._line, self._plan
        if not plan.register or line.server is None or not line.user:
            self._take(Input.READY)
            return
        settings = RegistrationSettings(self._beneath.context.settings.product)
        ids, account = self._beneath.context.ids, line.account(plan.expires)
        self._registration = Registration(account, self._stack, ids, self._credential, self, settings)
        self._tell(notices.Registering(f"{line.user}@{line.server.host}", line.way))
        self._expect(plan.patience)
        self._registration.start()

    def _proceed(self) -> None:
        self._expect(None)
        plan = self._plan
        if plan.target:
            self._dial()
        elif plan.wait:
            self._tell(notices.Waiting(self._contact()))
        else:
            self.code = DONE
            self._expect(plan.duration or 0.0, Input.ENOUGH)

    def _hang_up(self) -> None:
        self._expect(self._plan.farewell)
        if self._call is not None:
            self._call.hang_up()

    def _leave(self) -> None:
        """Let SIP finish what is open, and remove the registration."""
        self._expect(self._plan.farewell)
        if self._registration is not None:
            self._registration.stop()
        self._look()

    def _look(self) -> None:
        registration = self._registration
        gone = registration is None or registration.state is Registered.ENDED
        if gone and not len(self._beneath.context.dialogs):
            self._take(Input.AT_REST)
        else:
            self._glance = self._stack.later(_GLANCE, self._look)

    def _quit(self) -> None:
        self._expect(None)
        if self._glance is not None:
            self._glance.cancel()
        if self._registration is not None:
            self._registration.abandon()
        self._keep(None, 0.0)
        self._done(self.code)

    def _expect(self, seconds: float | None, given: Input = Input.LATE) -> None:
        """Take `given` in so many seconds, unless something else is expected by then."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self._stack.later(seconds, lambda: self._expired(given))

    def _expired(self, given: Input) -> None:
        self._deadline = None
        if self.state is State.REGISTERING:
            self._tell(notices.RegistrationTrouble(_no_answer(self._line)))
        self._take(given)

    # -- the registration

    def registration_changed(self, status: Status) -> None:
        """Take that the registration stands elsewhere."""
        flow = status.flow if status.state.bound else None
        self._keep(flow, status.flow_timer * 0.9 or _KEEP_ALIVE)
        if status.state is Registered.REGISTERED:
            self._on_registered(status)
        elif status.state is Registered.ENDED:
            if self._told_registered:
                self._tell(notices.Unregistered(status.trouble is Trouble.NONE))
        elif status.state in (Registered.WAITING, Registered.OVERDUE):
            self._on_trouble(status)

    def _on_registered(self, status: Status) -> None:
        if not self._told_registered:
            self._told_registered = True
            self._tell(notices.Registered(self._line.user, status.interval, str(status.contact)))
            self._take(Input.READY)

    def _on_trouble(self, status: Status) -> None:
        text = _trouble(status, self._line)
        if self.state is State.REGISTERING:
            self._tell(notices.RegistrationTrouble(text, status.status))
            self._take(Input.TROUBLE)
            return
        self._told_registered = False
        wait = max(0.0, status.retry_at - self._stack.now())
        self._tell(notices.RegistrationTrouble(text, status.status, wait))

    def _keep(self, flow: Flow | None, interval: float) -> None:
        """Keep the way to the server open, and no other."""
        if self._keep_alive is not None:
            if self._keep_alive[0] == flow:
                return
            self._keep_alive[1]()
            self._keep_alive = None
        if flow is not None:
            self._keep_alive = flow, self._beneath.keep_alive(flow, interval)

    def _contact(self) -> str:
        status = self._registration.status if self._registration is not None else None
        if status is not None and status.contact is not None:
            return str(status.contact)
        return str(self._stack.contact_uri(None, None, self._line.user))

    # -- calling

    def _dial(self) -> None:
        status = self._registration.status if self._registration is not None else None
        flow = status.flow if status is not None and status.state.bound else None
        # Over UDP every server answers from the same socket; a connection is what the server knows us by.
        destination = self._line.destination(self._plan.target, flow if flow is not None and flow.reliable else None)
        if destination.flow is not None:
            self._invite(destination, (destination.flow.local[0], destination.flow.remote[0]))
            return
        try:
            hop = next_hop_of(destination)
        except ParseError as error:
            self._cannot(f"{self._line.way}: {error.reason}")
            return
        self._beneath.resolve(hop, lambda targets, detail: self._resolved(destination, targets, detail))

    def _resolved(self, destination: Destination, targets: Sequence[Target], detail: str) -> None:
        if self.state is not State.IDLE:
            return
        if not targets:
            self._cannot(f"{destination.uri} cannot be called: {detail}")
            return
        peer = targets[0].host
        local = self._beneath.source_towards(peer)
        if not local:
            self._cannot(f"{destination.uri} cannot be called: no network leads to {peer}")
            return
        self._invite(destination, (local, peer))

    def _cannot(self, text: str) -> None:
        self._tell(notices.Fault(text))
        self._take(Input.TROUBLE)

    def _invite(self, destination: Destination, way: tuple[str, str]) -> None:
        call = self._call = PhoneCall(self._beneath, self._plan, way, self._tell, self._call_over)
        self._tell(notices.Calling(str(destination.uri)))
        self._take(Input.CALL)
        call.dial(destination, Party(self._line.user, self._line.name), Party(destination.uri.user or ""))

    def _invited(self, transaction: ServerTransaction, request: Request) -> None:
        """Take an INVITE from somebody who calls us."""
        wanted = self._plan.wait and self._call is None and self.state in (State.REGISTERING, State.IDLE)
        if not wanted:
            self.door.refuse(transaction, 486)
            return
        flow = transaction.flow
        way = flow.local[0], flow.remote[0]
        call = PhoneCall(self._beneath, self._plan, way, self._tell, self._call_over)
        leg = InboundLeg(call.id, self._beneath.context, call.on_leg)
        transaction.user = leg
        if not leg.start(transaction, request):
            return
        self._call = call
        self._expect(None)
        caller = request.from_
        self._tell(notices.Called(caller.uri.user or str(caller.uri), caller.display, request.uri.user or ""))
        self._take(Input.CALL)
        call.take(leg)

    def _call_over(self, well: bool) -> None:
        if self.state is State.BUSY:
            self.code = DONE if well else FAILED
        self._take(Input.CALL_OVER)


def _no_answer(line: Line) -> str:
    return f"{line.way} does not answer: is that the address of a SIP server, and is it running?"


def _trouble(status: Status, line: Line) -> str:
    """Return what is wrong with a registration, and what to do."""
    said = f"{status.status} {status.detail}".strip()
    who = f"{line.user} at {line.way}"
    if status.trouble is Trouble.CREDENTIALS or (status.trouble is Trouble.REFUSED and status.status == 403):
        return f"{who}: the server does not accept this user name and password ({said})"
    if status.trouble is Trouble.NO_CREDENTIALS:
        if line.password is None:
            return f"{who}: the server asks for a password; give --password or set SIP_PASSWORD"
        return f"{who}: the server asks for proof of another kind than a password by digest ({said})"
    if status.trouble is Trouble.REFUSED:
        return f"{who}: the server refuses the registration ({said})"
    if status.trouble is Trouble.SERVER:
        return f"{who}: the server cannot take the registration now ({said})"
    if status.trouble is Trouble.TIMEOUT:
        return _no_answer(line)
    hint = "; --insecure takes it all the same" if "certificate" in status.detail else ""
    return f"the server cannot be reached: {status.detail.rstrip('.')}{hint}"
