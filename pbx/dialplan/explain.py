"""A decision in words, and as data for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from pbx.dialplan.decision import Decision
from pbx.dialplan.selftest import word_of
from pbx.dialplan.steps import (
    ConferenceStep,
    DialStep,
    EchoStep,
    EnterStep,
    FeatureStep,
    HangUpStep,
    PlayStep,
    RecordStep,
    RejectStep,
    RouteLimits,
    Step,
    Target,
    VoicemailStep,
    WaitStep,
)
from pbx.numbers import TrunkNumbers
from pbx.units import duration_text

__all__ = ["decision_data", "decision_lines"]

_AS_WRITTEN = TrunkNumbers()


def decision_lines(decision: Decision, numbers: TrunkNumbers = _AS_WRITTEN) -> tuple[tuple[int, str], ...]:
    """Return what would be done, a line a step, each with its depth: handlers stand below their dial. `numbers` says
    how each trunk writes the number that it gets."""
    if decision.route is None:
        return ((0, f"reject the caller: {decision.refusal}"),)
    return tuple(_lines(decision.steps, 0, numbers))


def _lines(steps: tuple[Step, ...], depth: int, numbers: TrunkNumbers) -> Iterator[tuple[int, str]]:
    for step in steps:
        yield depth, _sentence(step, numbers)
        if isinstance(step, DialStep):
            for outcome, handler in step.on.items():
                yield depth + 1, f"if {outcome}:" if handler else f"if {outcome}: end the call"
                yield from _lines(handler, depth + 2, numbers)


def _sentence(step: Step, numbers: TrunkNumbers) -> str:
    match step:
        case DialStep():
            return _dial(step, numbers)
        case EnterStep():
            return f"go on with the route {step.route}, {_limits(step.limits)}"
        case PlayStep():
            times = "" if step.repeat == 1 else ", over and over" if step.repeat == 0 else f", {step.repeat} times"
            return f"play {', '.join(step.files)}{times}{', without answering' if step.early else ''}"
        case EchoStep():
            return "echo" + (f" for at most {duration_text(step.limit)}" if step.limit is not None else "")
        case RecordStep():
            name = f" as {step.name}" if step.name else ""
            return f"record the caller{name} for at most {duration_text(step.limit)}"
        case WaitStep():
            return f"wait {duration_text(step.seconds)}"
        case RejectStep():
            return f"reject the caller: {step.cause}" + (f" (status {step.status})" if step.status else "")
        case HangUpStep():
            return f"hang up: {step.cause}"
        case VoicemailStep():
            return f"voicemail of {step.mailbox}"
        case ConferenceStep():
            return _conference(step)
        case FeatureStep():
            return f"{step.feature} {step.name}"
        case _:
            return word_of(step)


def _limits(limits: RouteLimits) -> str:
    at_once = f"{limits.calls} calls at once" if limits.calls is not None else ""
    a_second = f"{limits.per_second:g} a second" if limits.per_second is not None else ""
    return f"which takes {' and '.join(filter(None, (at_once, a_second)))}"


def _conference(step: ConferenceStep) -> str:
    text = f"conference {step.name}"
    if step.pin or step.moderator_pin:
        text += ", asking for a PIN"
    words = {
        "as a moderator": step.moderator,
        "muted at first": step.mute,
        f"with at most {step.max_members} members": bool(step.max_members),
        "recorded": step.record,
        "silent until a moderator comes": step.wait_for_moderator,
        "until the last moderator goes": step.end_with_moderator,
    }
    return ", ".join([text, *(word for word, holds in words.items() if holds)])


def _dial(step: DialStep, numbers: TrunkNumbers) -> str:
    together = ", all at once," if step.strategy == "all" and len(step.targets) > 1 else ""
    joint = " and " if together else " or " if step.strategy == "weighted" else ", then "
    text = f"dial {joint.join(_targets(step, numbers))}{together}"
    text += f" for {duration_text(step.timeout)}" + (" each" if len(step.targets) > 1 and not together else "")
    if step.caller is not None:
        shown = "nobody" if step.caller.anonymous else " ".join(filter(None, (step.caller.name, step.caller.number)))
        text += f", showing {shown or 'the caller'}"
    if step.record is not None:
        text += ", recorded"
    if step.max_duration is not None:
        text += f", at most {duration_text(step.max_duration)}"
    if step.codecs:
        text += f", by {' or '.join(step.codecs)}"
    if step.next_on is not None:
        listed = ", ".join(sorted(step.next_on.named))
        only = f"only on {listed}" if listed else "never"
        text += f", the next one {'on any failure' if step.next_on.others else only}"
    if step.wait_for_line:
        text += f", waiting up to {duration_text(step.wait_for_line)} for a free line"
    if step.headers:
        text += ", with " + ", ".join(f"{name}: {value}" for name, value in step.headers)
    return text


def _targets(step: DialStep, numbers: TrunkNumbers) -> list[str]:
    names = [_target(target, numbers) for target in step.targets]
    if step.weights:
        total = sum(step.weights) or 1
        return [f"{name} ({weight * 100 // total} %)" for name, weight in zip(names, step.weights, strict=True)]
    if step.prices:
        return [f"{name} ({price})" for name, price in zip(names, step.prices, strict=True)]
    return names


def _target(target: Target, numbers: TrunkNumbers) -> str:
    return f"{target} as {numbers.of(str(target)).sent(target.number)}" if target.kind == "trunk" else str(target)


def decision_data(decision: Decision) -> dict[str, object]:
    """Return a decision as plain values, fit for JSON."""
    query = decision.query
    return {
        "call": {"from": query.source, "number": decision.dialled, "at": query.at.isoformat(), "caller": query.caller},
        "route": decision.route,
        "number": decision.number,
        "refusal": decision.refusal or None,
        "emergency": decision.emergency,
        "steps": [_data(step) for step in decision.steps],
        "considered": [
            {"route": each.route, "matched": each.matched, "why": each.why, "position": str(each.position)}
            for each in decision.considered
        ],
    }


def _data(step: Step) -> dict[str, object]:
    data: dict[str, object] = {"step": word_of(step)}
    for field in fields(step):
        data[field.name] = _value(getattr(step, field.name))
    if isinstance(step, DialStep):
        data["on"] = {outcome: [_data(each) for each in handler] for outcome, handler in step.on.items()}
    return data


def _value(value: object) -> object:
    if isinstance(value, tuple):
        return [_value(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _value(getattr(value, field.name)) for field in fields(value)}
    return value if isinstance(value, str | int | float | bool | None) else str(value)
