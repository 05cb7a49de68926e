"""The plan's own tests: read with the plan, and run by ``pbx check``, at start, and before a reload takes effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, tzinfo

from pbx.codecs import parse_codec
from pbx.dialplan.conditions import TimeCondition
from pbx.dialplan.decision import Decision, Query
from pbx.dialplan.model import Dialplan, PlanTest
from pbx.dialplan.reader import Reader
from pbx.dialplan.steps import (
    DialStep,
    EchoStep,
    EnterStep,
    FeatureStep,
    HangUpStep,
    PlayStep,
    RejectStep,
    Step,
    VoicemailStep,
)
from pbx.dialplan.when_loader import read_verification
from pbx.numbers import AS_IS, TrunkNumbers
from pbx.positions import Entry, Fault, Node, Position, ScalarNode

__all__ = ["heard", "run_tests", "read_moment", "read_tests", "word_of"]

_CALL_KEYS = ("from", "number", "at", "caller", "caller_name", "header", "codec", "verification")
_EXPECT_KEYS = ("route", "dial", "number", "sent", "caller", "record", "reject", "play", "voicemail", "steps")
_AS_WRITTEN = TrunkNumbers()
_UNTIMED = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
"""When a test's call is made that does not say; no outcome may depend on it, see `run_tests`."""


def read_moment(text: str, zone: tzinfo | None) -> datetime:
    """Return the moment that ``2026-11-20T10:00`` names, in `zone` unless it says its own; ValueError if it names
    none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{text}` is no moment; write it like 2026-11-20T10:00") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone or UTC)


def read_tests(reader: Reader, node: Node, zone: tzinfo | None) -> tuple[PlanTest, ...]:
    """Read ``tests:``, noting faults in `reader`."""
    tests = []
    for item in reader.sequence(node, "`tests`"):
        entries = reader.mapping(item, "a test", ("call", "expect", "name"))
        call, expect = (entries.get("call"), entries.get("expect")) if entries is not None else (None, None)
        if call is None or expect is None:
            if entries is not None:
                reader.fault(item.position, "a test needs both `call:` and `expect:`")
            continue
        read = _call(reader, call, zone)
        expected = _expectations(reader, expect)
        if read is not None:
            tests.append(PlanTest(call.position, read[0], read[1], expected))
    return tuple(tests)


def _call(reader: Reader, entry: Entry, zone: tzinfo | None) -> tuple[Query, bool] | None:
    call = reader.mapping(entry.value, "`call`", _CALL_KEYS)
    if call is None:
        return None
    texts = {}
    for each in call:
        if each.key in _CALL_KEYS and each.key not in ("header", "codec"):
            texts[each.key] = reader.text(each.value, f"`{each.key}`")
    for key in ("from", "number"):
        if key not in texts:
            reader.fault(call.position, f"the call of a test needs `{key}:`")
    source = texts.get("from")
    if source is not None and "/" not in source and source in ("extension", "trunk"):
        reader.fault(call.position, f"a call comes from one {source}; write {source}/NAME")
    at = call.get("at")
    moment = reader.converted(at.value, "`at`", lambda text: read_moment(text, zone)) if at else _UNTIMED
    header = call.get("header")
    given = reader.mapping(header.value, "`header`") if header else None
    headers = [(each.key, reader.text(each.value, f"`header: {each.key}`") or "") for each in given or ()]
    number = texts.get("number")
    if source is None or number is None or moment is None:
        return None
    caller, name = texts.get("caller") or "", texts.get("caller_name") or ""
    codec = call.get("codec")
    codecs = tuple(reader.converted_items(codec.value, "`codec`", parse_codec)) if codec else ()
    said = call.get("verification")
    verified = reader.converted(said.value, "`verification`", read_verification) if said else None
    query = Query(source, number, moment, caller, name, tuple(headers), codecs, verification=verified or "none")
    return query, at is not None


def _expectations(reader: Reader, entry: Entry) -> tuple[tuple[str, Position, tuple[str, ...]], ...]:
    expect = reader.mapping(entry.value, "`expect`", _EXPECT_KEYS)
    if expect is None:
        return ()
    if not expect.entries:
        reader.fault(entry.position, "the test expects nothing; add `route:`, `dial:`, `number:` or `reject:`")
    expected: list[tuple[str, Position, tuple[str, ...]]] = []
    for each in expect:
        if isinstance(each.value, ScalarNode) and each.value.null:
            if each.key in ("route", "dial"):  # no route, no dial
                expected.append((each.key, each.value.position, ()))
            else:
                reader.fault(each.value.position, f"`{each.key}` is empty; say what is expected")
            continue
        if each.key == "record":
            flag = reader.flag(each.value, "`record`")
            expected.append((each.key, each.value.position, (str(flag).lower(),)))
        else:
            texts = reader.texts(each.value, f"`{each.key}`")
            expected.append((each.key, each.value.position, tuple(text for text, _ in texts)))
    return tuple(expected)


def run_tests(plan: Dialplan, numbers: TrunkNumbers = _AS_WRITTEN) -> tuple[Fault, ...]:
    """Run the plan's own tests and return what failed, in the order of the file; a plan with failures is refused.

    The numbers of a call from a trunk are what the trunk sends: `numbers` says what is made of them.

    A test that does not say when its call is made fails if a route that it meets depends on the time.
    """
    return tuple(fault for test in plan.tests for fault in _run(plan, test, numbers))


def heard(query: Query, numbers: TrunkNumbers) -> Query:
    """Return a call as the plan sees it: with the numbers of a trunk as they are written here."""
    rules = numbers.of(query.source)
    if rules is AS_IS:
        return query
    return replace(query, number=rules.heard(query.number), caller=rules.caller_heard(query.caller))


def _run(plan: Dialplan, test: PlanTest, numbers: TrunkNumbers) -> Iterator[Fault]:
    decision = plan.decide(heard(test.query, numbers))
    timed = None if test.timed else _decided_by_time(plan, decision)
    if timed is not None:
        yield Fault(test.position, f"the outcome depends on the time (route `{timed}`); add `at:` to the call")
        return
    for key, position, wanted in test.expected:
        got = _sent(decision, numbers) if key == "sent" else _outcome(decision, key)
        if key in ("dial", "sent") and len(wanted) == 1:
            got = got[:1]
        if got != wanted:
            call = f"the call from {test.query.source} to {test.query.number}"
            yield Fault(
                position, f"test failed: {call} has {key} {_listed(got)}, not {_listed(wanted)}{_reason(decision, key)}"
            )


def _decided_by_time(plan: Dialplan, decision: Decision) -> str | None:
    """Return the route of which only the time said whether it takes the call, if there is one."""
    for route in plan.routes:
        others = (each for each in route.all_conditions() if not isinstance(each, TimeCondition))
        if route.depends_on_time and all(condition.holds(decision.query) for condition in others):
            return route.name
        if route.name == decision.route:
            break
    return None


def _sent(decision: Decision, numbers: TrunkNumbers) -> tuple[str, ...]:
    """Return the number that each target of the first dial gets, as it is written there."""
    dial = next((step for step in decision.steps if isinstance(step, DialStep)), None)
    return tuple(numbers.of(str(target)).sent(target.number) for target in dial.targets) if dial else ()


def _outcome(decision: Decision, key: str) -> tuple[str, ...]:
    steps = decision.steps
    dial = next((step for step in steps if isinstance(step, DialStep)), None)
    match key:
        case "route":
            return (decision.route,) if decision.route is not None else ()
        case "number":
            return (decision.number,)
        case "dial":
            return tuple(str(target) for target in dial.targets) if dial else ()
        case "caller":
            own = decision.query.caller
            changed = dial.caller.number if dial and dial.caller else None
            return (changed if changed is not None else own,)
        case "record":
            return ("true" if dial and dial.record else "false",)
        case "reject":
            if decision.route is None:
                return (decision.refusal,)
            return tuple(step.cause for step in steps if isinstance(step, RejectStep))
        case "play":
            return tuple(file for step in steps if isinstance(step, PlayStep) for file in step.files)
        case "voicemail":
            return tuple(step.mailbox for step in steps if isinstance(step, VoicemailStep))
        case _:
            return tuple(word_of(step) for step in steps if not isinstance(step, EnterStep))


def _listed(words: tuple[str, ...]) -> str:
    return "none" if not words else words[0] if len(words) == 1 else f"[{', '.join(words)}]"


def _reason(decision: Decision, key: str) -> str:
    """Say why the wanted route was passed over, where that is the question."""
    if key != "route" or not decision.considered:
        return ""
    last = decision.considered[-1]
    return f" ({last.route}: {last.why})"


def word_of(step: Step) -> str:
    """Return the word by which a dialplan asks for such a step."""
    if isinstance(step, FeatureStep):
        return step.feature
    if isinstance(step, HangUpStep):
        return "hangup"
    if isinstance(step, EnterStep):
        return "goto"
    if isinstance(step, EchoStep):
        return "echo"
    return type(step).__name__.removesuffix("Step").lower()
