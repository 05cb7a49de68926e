"""What a route's ``do:`` holds once loaded: actions, which turn one call into the steps of its decision.

``set`` changes the context for the actions after it; ``goto`` runs those of another route; each other action adds a
step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

from pbx.dialplan.decision import Query
from pbx.dialplan.numbering import Numbering
from pbx.dialplan.rates import RateTable
from pbx.dialplan.steps import (
    CallerOverride,
    ConferenceStep,
    DialStep,
    EnterStep,
    FeatureStep,
    PlayStep,
    Recording,
    RecordStep,
    RouteLimits,
    Step,
    Target,
    VoicemailStep,
)
from pbx.dialplan.template import Template, for_header, for_path, for_sip_user, plain, without_verstat
from pbx.failover import NextOn
from pbx.values import dataclass

__all__ = [
    "RESTRICTIONS",
    "Action",
    "Conference",
    "Context",
    "Dial",
    "DialTarget",
    "Fixed",
    "GoTo",
    "Named",
    "Play",
    "RecordCaller",
    "Refused",
    "SetCaller",
    "SetHeaders",
    "SetNumber",
    "Several",
]

RESTRICTIONS = {
    "international": "{number}, to be sent, is international and the route does not say `international: true`",
    "premium": "{number}, to be sent, is a premium number and the route does not say `premium: true`",
    "unrated": "the table of rates has no line for {number}",
    "unauthenticated": "the caller has not proven who it is, and nobody unknown may dial out",
}
"""Why a route that would dial out does not take a call."""

_NO_HANDLERS: Mapping[str, tuple[Step, ...]] = MappingProxyType({})


class Refused(Exception):
    """A route would dial what it may not; `restriction` is a key of `RESTRICTIONS`, `number` what would have been
    sent."""

    def __init__(self, restriction: str, number: str) -> None:
        super().__init__(restriction)
        self.restriction = restriction
        self.number = number


class Context:
    """One call on its way through a route's actions: what the placeholders stand for, and what ``set`` has changed."""

    __slots__ = ("caller", "fixed", "headers", "kind", "number", "numbering", "query", "values", "withheld")

    def __init__(self, query: Query, kind: str, values: dict[str, str], fixed: int, numbering: Numbering) -> None:
        self.query = query
        self.kind = kind
        """``extension``, ``trunk``, or anything else for a caller that has not proven who it is."""
        self.values = values
        self.number = query.number
        self.fixed = fixed
        """How many of the first characters of `number` were written by the route and not by the caller."""
        self.caller: CallerOverride | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.withheld: frozenset[str] = frozenset()
        """Names, in lower case, of the caller's headers that are not passed on: a rule has set or removed them."""
        self.numbering = numbering

    def branch(self) -> Context:
        """Return a copy for actions that may not be performed, so that their ``set`` does not show elsewhere."""
        copy = Context(self.query, self.kind, dict(self.values), self.fixed, self.numbering)
        copy.number, copy.caller, copy.headers = self.number, self.caller, self.headers
        copy.withheld = self.withheld
        return copy


class Action(Protocol):
    """One entry of ``do:``."""

    def perform(self, context: Context, steps: list[Step]) -> None:
        """Add to `steps`, or change `context`. Raises `Refused` where the route may not take this call."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A step that is the same for every call."""

    step: Step

    def perform(self, context: Context, steps: list[Step]) -> None:
        """Add the step."""
        steps.append(self.step)


@dataclass(frozen=True, slots=True)
class SetNumber:
    """Rewrite the number: `replace` it, then `strip` characters from its beginning, then put `prefix` before it."""

    strip: int = 0
    prefix: Template | None = None
    replace: Template | None = None

    def perform(self, context: Context, steps: list[Step]) -> None:
        """Change the number, and keep count of how much of its beginning is the route's own."""
        number, fixed = context.number, context.fixed
        if self.replace is not None:
            number = self.replace.fill(context.values)
            fixed = len(self.replace.literals[0])
        if self.strip:
            number = number[self.strip :]
            fixed = max(0, fixed - self.strip)
        if self.prefix is not None:
            prefix = self.prefix.fill(context.values)
            number = prefix + number
            fixed = len(prefix) + fixed if self.prefix.constant else len(self.prefix.literals[0])
        context.number = context.values["number"] = number
        context.fixed = fixed


@dataclass(frozen=True, slots=True)
class SetCaller:
    """Change whom the far end sees as the caller."""

    number: Template | None = None
    name: Template | None = None
    anonymous: bool | None = None

    def perform(self, context: Context, steps: list[Step]) -> None:
        """Lay the change over what an earlier ``set`` left."""
        before = context.caller or CallerOverride()
        number = before.number if self.number is None else self.number.fill(context.values, for_header)
        name = before.name if self.name is None else self.name.fill(context.values, for_header)
        context.caller = CallerOverride(number, name, before.anonymous if self.anonymous is None else self.anonymous)
        if number is not None:
            context.values["caller"] = number
        if name is not None:
            context.values["caller_name"] = name


@dataclass(frozen=True, slots=True)
class SetHeaders:
    """Give the outbound legs headers of the route's own."""

    headers: tuple[tuple[str, Template], ...]
    removed: frozenset[str] = frozenset()
    """Names, in lower case, of headers set before or passed on that the legs shall not have."""

    def perform(self, context: Context, steps: list[Step]) -> None:
        """Add the headers, in place of those of the same name set before or passed on."""
        names = {name.lower() for name, _ in self.headers} | self.removed
        kept = tuple(header for header in context.headers if header[0].lower() not in names)
        context.headers = kept + tuple((name, self._fill(context, value)) for name, value in self.headers)
        context.withheld = (context.withheld | names) if names else context.withheld

    def _fill(self, context: Context, value: Template) -> str:
        values = context.values
        wanted = [name for name in value.names if name.startswith("header.")]
        if wanted:
            given: dict[str, str] = {}
            for name, text in context.query.headers:
                given.setdefault(name.lower(), text)
            values = values | {name: given.get(name[7:].lower(), "") for name in wanted}
        return value.fill(values, for_header)


@dataclass(frozen=True, slots=True)
class Several:
    """The parts of one ``set``."""

    actions: tuple[Action, ...]

    def perform(self, context: Context, steps: list[Step]) -> None:
        """Perform each."""
        for action in self.actions:
            action.perform(context, steps)


@dataclass(frozen=True, slots=True)
class DialTarget:
    """One target of a dial: `name` is an extension's number or a whole URI, perhaps with placeholders, or a trunk's
    name."""

    kind: str
    name: Template

    def fill(self, context: Context) -> Target:
        """Return the target that this call dials."""
        if self.kind == "trunk":
            return Target("trunk", self.name.literals[0], context.number)
        if self.kind == "extension":
            number = self.name.fill(context.values)
            return Target("extension", number, number)
        uri = self.name.fill(context.values, for_sip_user)
        user, at, _ = uri.partition(":")[2].rpartition("@")
        return Target("uri", uri, user if at else "")

    def fixed(self, context: Context) -> int:
        """Return how many of the first characters of the number sent were written by the route."""
        if self.kind == "trunk":
            return context.fixed
        literal = self.name.literals[0].partition(":")[2]
        return len(literal) + (context.fixed if not literal and self.name.names[:1] == ("number",) else 0)


@dataclass(frozen=True, slots=True)
class Dial:
    """A ``dial`` step."""

    targets: tuple[DialTarget, ...]
    timeout: float
    strategy: str = "sequence"
    record: Recording | None = None
    max_duration: float | None = None
    ringback: str = ""
    pass_headers: frozenset[str] = frozenset()
    """In lower case."""
    on: tuple[tuple[str, tuple[Action, ...]], ...] = ()
    allowed: frozenset[str] = frozenset()
    """Which of ``international`` and ``premium`` the route allows."""
    leaves: bool = False
    """True if a target is a trunk or a URI: the call leaves the house."""
    weights: tuple[int, ...] = ()
    rates: RateTable | None = None
    """What chooses and orders the trunks, in place of `targets`."""
    next_on: NextOn | None = None
    wait_for_line: float = 0.0
    codecs: tuple[str, ...] = ()

    def perform(self, context: Context, steps: list[Step]) -> None:
        """Add the step, with the steps of its handlers."""
        filled, prices = self._filled(context)
        if self.leaves and context.kind != "trunk":
            self._guard(context)
        handlers: Mapping[str, tuple[Step, ...]] = _NO_HANDLERS
        if self.on:
            handlers = MappingProxyType({outcome: _branch(actions, context) for outcome, actions in self.on})
        headers = context.headers
        if self.pass_headers:
            passed = self.pass_headers - context.withheld
            headers += tuple(
                (name, without_verstat(value)) for name, value in context.query.headers if name.lower() in passed
            )
        steps.append(
            DialStep(
                filled,
                context.number,
                self.timeout,
                self.strategy,
                self.record,
                self.max_duration,
                context.caller,
                headers,
                self.ringback,
                self.weights,
                prices,
                self.next_on,
                self.wait_for_line,
                self.codecs,
                handlers,
            )
        )

    def _filled(self, context: Context) -> tuple[tuple[Target, ...], tuple[str, ...]]:
        if self.rates is None:
            return tuple([target.fill(context) for target in self.targets]), ()
        rates = self.rates.find(context.number)
        if not rates:
            raise Refused("unrated", context.number)
        return (
            tuple([Target("trunk", rate.trunk, context.number) for rate in rates]),
            tuple([str(rate) for rate in rates]),
        )

    def _guard(self, context: Context) -> None:
        if context.kind != "extension":
            raise Refused("unauthenticated", context.number)
        numbers = [(context.number, context.fixed)] if self.rates is not None else []
        outside = [target for target in self.targets if target.kind != "extension"]
        numbers += [(target.fill(context).number, target.fixed(context)) for target in outside]
        for number, fixed in numbers:
            restriction = context.numbering.restriction(number, fixed)
            if restriction and restriction not in self.allowed:
                raise Refused(restriction, number)


@dataclass(frozen=True, slots=True)
class Play:
    """A ``play`` step whose file names hold placeholders."""

    files: tuple[Template, ...]
    step: PlayStep

    def perform(self, context: Context, steps: list[Step]) -> None:
        """Add the step."""
        # What is said is never the name of a file: the language pack looks at it character by character.
        filled = [file.fill(context.values, plain if file.text.startswith("say:") else for_path) for file in self.files]
        steps.append(replace(self.step, files=tuple(filled)))


@dataclass(frozen=True, slots=True)
class RecordCaller:
    """A ``record`` step whose name holds placeholders."""

    name: Template
    step: RecordStep

    def perform(self, context: Context, steps: list[Step]) -> None:
        """Add the step."""
        steps.append(replace(self.step, name=self.name.fill(context.values, for_path)))


@dataclass(frozen=True, slots=True)
class Conference:
    """A ``conference`` step."""

    name: Template
    step: ConferenceStep

    def perform(self, context: Context, steps: list[Step]) -> None:
        """Add the step."""
        steps.append(replace(self.step, name=self.name.fill(context.values)))


@dataclass(frozen=True, slots=True)
class Named:
    """A ``voicemail`` step, or another feature with a name."""

    feature: str
    name: Template

    def perform(self, context: Context, steps: list[Step]) -> None:
        """Add the step."""
        name = self.name.fill(context.values)
        steps.append(VoicemailStep(name) if self.feature == "voicemail" else FeatureStep(self.feature, name))


class GoTo:
    """Go on with the actions of another route, which the loader fills in when it knows them all."""

    __slots__ = ("actions", "limits", "route")

    def __init__(self, route: str) -> None:
        self.route = route
        self.actions: tuple[Action, ...] = ()
        self.limits: RouteLimits | None = None
        """Of the other route."""

    def perform(self, context: Context, steps: list[Step]) -> None:
        """Come into the other route, and perform its actions in this call's context."""
        if self.limits is not None:
            steps.append(EnterStep(self.route, self.limits))
        for action in self.actions:
            action.perform(context, steps)


def _branch(actions: tuple[Action, ...], context: Context) -> tuple[Step, ...]:
    steps: list[Step] = []
    inner = context.branch()
    for action in actions:
        action.perform(inner, steps)
    return tuple(steps)
