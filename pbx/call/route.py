"""The steps of a call's route: the list of those to come, and the one that runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pbx.call.items import Start
from pbx.call.route_limits import entry_refusal
from pbx.call.steps import Runner, runner_of
from pbx.call.table import State
from pbx.cause import EndCause, cause_named
from pbx.dialplan.selftest import word_of
from pbx.dialplan.steps import EnterStep, RejectStep, Step

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = ["Route"]


class Route:
    """What a call has still to do of what was decided. `running` is the step under way, if one is."""

    __slots__ = ("_to_come", "last_failure", "running")

    def __init__(self) -> None:
        self._to_come: list[Step] = []
        self.running: Runner | None = None
        self.last_failure: EndCause | None = None
        """Why the last dial reached nobody."""

    def run(self, call: Call, steps: tuple[Step, ...], first: Runner | None = None) -> None:
        """Begin with the steps of a decision, `first` before them. To be called once."""
        self._to_come = list(steps)
        self.running = first
        call.post(Start())

    def start(self, call: Call) -> None:
        """Let the first step begin."""
        if self.running is None or not self.running.start():
            self.running = None
            self._go_on(call)

    def replace(self, call: Call, steps: tuple[Step, ...]) -> None:
        """Perform other steps from now on; those before are forgotten, as is what became of them."""
        self.last_failure = None
        self._to_come = list(steps)
        self._go_on(call)

    def clear(self) -> None:
        """Forget what was still to be done."""
        self._to_come.clear()
        self.running = None

    def step_done(self, call: Call) -> None:
        """Go on with the next step; the running one is over."""
        self.running = None
        self._go_on(call)

    def step_failed(self, call: Call, cause: EndCause, instead: tuple[Step, ...] | None) -> None:
        """Go on after a dial that nobody answered: with `instead`, or with what follows."""
        self.running = None
        self.last_failure = cause
        if instead is not None:
            self._to_come = list(instead)
        self._go_on(call)

    def _go_on(self, call: Call) -> None:
        # A step that is done at once (a wait of 0, an unknown sound) goes on in this loop rather than by recursion.
        while self.running is None and call.state in (State.SETTING_UP, State.SERVING):
            if not self._to_come:
                served = call.state is State.SERVING and self.last_failure is None
                self._stop(call, cause_named("completed") if served else self.last_failure or cause_named("no-route"))
                return
            step = self._to_come.pop(0)
            call.summary.steps.append(word_of(step))
            if isinstance(step, EnterStep):
                full = entry_refusal(call, step)
                if full is not None:
                    self._stop(call, full)
                    return
                continue
            if isinstance(step, RejectStep):
                self._stop(call, _reject_cause(step))
                return
            runner = runner_of(step, call)
            self.running = runner
            if not runner.start() and self.running is runner:
                self.running = None

    def _stop(self, call: Call, cause: EndCause) -> None:
        """End what the steps have come to: the call, or a transfer that leaves it as it was."""
        if call.transfer is None or not call.transfer.failed(cause):
            call.end(cause)


def _reject_cause(step: RejectStep) -> EndCause:
    cause = cause_named(step.cause)
    return replace(cause, sip_status=step.status) if step.status else cause
