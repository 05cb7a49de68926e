"""How a call performs the steps of its route: one runner a step, chosen here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pbx.cause import cause_named
from pbx.dialplan import steps

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = ["Runner", "runner_of"]


class Runner(Protocol):
    """A step while it runs. It tells its end by `Route.step_done`, `Route.step_failed`, `Call.talk` or `Call.end`."""

    def start(self) -> bool:
        """Begin; return False if the step is done at once (its end has not been told then)."""

    def take(self, item: Any) -> None:
        """Take an event that the call's table gives to the running step."""


def runner_of(step: steps.Step, call: Call) -> Runner:
    """Return a new runner for a step. RejectStep is the call's own, since it is its end."""
    # Imported here: each of these files needs Call's vocabulary, and Call needs this function.
    from pbx.call import fork, serve

    if isinstance(step, steps.DialStep):
        return fork.Fork(call, step)
    if isinstance(step, steps.AnswerStep):
        return serve.AnswerRunner(call)
    if isinstance(step, steps.PlayStep):
        return serve.PlayRunner(call, step)
    if isinstance(step, steps.EchoStep):
        return serve.EchoRunner(call, step)
    if isinstance(step, steps.RecordStep):
        return serve.RecordRunner(call, step)
    if isinstance(step, steps.WaitStep):
        return serve.WaitRunner(call, step)
    if isinstance(step, steps.HangUpStep):
        return serve.EndRunner(call, cause_named(step.before_answer if call.answer_is_due else step.cause))
    if isinstance(step, steps.VoicemailStep):
        return serve.EndRunner(call, serve.not_available(call, f"voicemail of {step.mailbox}"))
    if isinstance(step, steps.ConferenceStep):
        feature = call.services.features.get("conference")
        if feature is not None:
            return feature(call, step)
        return serve.EndRunner(call, serve.not_available(call, f"conference {step.name}"))
    if isinstance(step, steps.FeatureStep):
        return serve.EndRunner(call, serve.not_available(call, f"{step.feature} {step.name}"))
    raise TypeError(f"no runner for {type(step).__name__}")
