"""Reading a whole plan: from the positioned tree to a `Dialplan`, with every fault at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from pbx.dialplan.actions import Action, Dial, GoTo
from pbx.dialplan.conditions import NumberCondition, SourceCondition
from pbx.dialplan.model import Dialplan, Reference, Route
from pbx.dialplan.numbering import Numbering, Service
from pbx.dialplan.paid_loader import load_paid
from pbx.dialplan.reader import Reader
from pbx.dialplan.scope import VALUES, ReadFile, Scope, no_files
from pbx.dialplan.selftest import read_tests
from pbx.dialplan.services import SERVICE_URN, service_in
from pbx.dialplan.step_loader import StepLoader
from pbx.dialplan.steps import RouteLimits
from pbx.dialplan.when_loader import load_when
from pbx.dialplan.windows import Window, parse_window
from pbx.positions import Fault, MappingNode, Node, Position
from pbx.units import suggestion

__all__ = ["Loaded", "load_dialplan"]

_PLAN_KEYS = ("routes", "tests", "zone", "hours", "numbering", "allow_hosts")
_ROUTE_KEYS = (
    *("name", "when", "do", "international", "premium", "paid", "description"),
    *("max_calls", "max_calls_per_second"),
)
_NUMBERING_KEYS = ("country", "premium", "international", "emergency", "services")
_MAXIMUM_STEPS = 256
"""Of one route with all that it reaches by ``goto``."""
_RESTRICTIONS = ("international", "premium")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a plan's file: the plan, or the faults for which there is none."""

    plan: Dialplan | None
    faults: tuple[Fault, ...]
    references: tuple[Reference, ...] = ()
    """What the plan names outside itself, known even if it has faults."""


@dataclass(slots=True)
class _Draft:
    """A route whose ``goto`` are not linked yet."""

    route: Route
    scope: Scope
    gotos: list[tuple[GoTo, Position]]


def load_dialplan(root: Node, read_file: ReadFile = no_files) -> Loaded:
    """Read a plan from its tree, and what it names by `read_file`. References out of the plan (trunks, extensions) are
    for `pbx.dialplan.checks`."""
    return _Loader(read_file).load(root)


class _Loader:
    def __init__(self, read_file: ReadFile) -> None:
        self.reader = Reader()
        self.read_file = read_file
        self.zone: ZoneInfo | None = None
        self.hours: dict[str, tuple[Window, ...]] = {}
        self.numbering = Numbering()
        self.hosts: tuple[str, ...] = ()

    def load(self, root: Node) -> Loaded:
        reader = self.reader
        plan = reader.mapping(root, "the dialplan", _PLAN_KEYS)
        if plan is None:
            return Loaded(None, tuple(reader.faults))
        self._read_settings(plan)
        routes_entry = plan.get("routes")
        before = len(reader.faults)
        nodes = reader.sequence(routes_entry.value, "`routes`") if routes_entry else ()
        if not nodes and len(reader.faults) == before:
            reader.fault(
                routes_entry.position if routes_entry else plan.position, "the dialplan has no routes; add one"
            )
        drafts = self._drafts(nodes)
        _Links(reader, drafts).link()
        tests_entry = plan.get("tests")
        tests = read_tests(reader, tests_entry.value, self.zone) if tests_entry else ()
        references = tuple(each for draft in drafts.values() for each in draft.scope.references)
        if reader.faults:
            return Loaded(None, tuple(sorted(reader.faults)), references)
        features = tuple(each for draft in drafts.values() for each in draft.scope.features)
        routes = tuple(draft.route for draft in drafts.values())
        return Loaded(Dialplan(routes, self.zone, self.numbering, tests, references, features), (), references)

    def _read_settings(self, plan: MappingNode) -> None:
        reader = self.reader
        if entry := plan.get("zone"):
            self.zone = reader.converted(entry.value, "`zone`", _zone)
        if entry := plan.get("hours"):
            for named in reader.mapping(entry.value, "`hours`") or ():
                if named.key.startswith("not "):
                    reader.fault(named.position, "the name of a time must not begin with `not `; choose another")
                windows = reader.converted_items(named.value, f"`hours: {named.key}`", parse_window)
                self.hours[named.key] = tuple(windows)
        if entry := plan.get("numbering"):
            self.numbering = self._read_numbering(entry.value)
        if entry := plan.get("allow_hosts"):
            self.hosts = tuple(text.lower() for text, _ in reader.texts(entry.value, "`allow_hosts`"))

    def _read_numbering(self, node: Node) -> Numbering:
        reader = self.reader
        entries = reader.mapping(node, "`numbering`", _NUMBERING_KEYS)
        if entries is None:
            return Numbering()
        country = ""
        if entry := entries.get("country"):
            country = (reader.text(entry.value, "`country`") or "").removeprefix("+")
            if not re.fullmatch(r"[1-9][0-9]{0,2}", country):
                reader.fault(entry.value.position, "`country` must be a country code, such as 49")
        lists = []
        for key in ("premium", "international", "emergency"):
            listed = entries.get(key)
            texts = reader.texts(listed.value, f"`{key}`") if listed else []
            for text, position in texts:
                if not re.fullmatch(r"[0-9+*#]+", text):
                    reader.fault(position, f"`{key}`: `{text}` must be the beginning of a number: digits, + * #")
            lists.append(tuple(text for text, _ in texts))
        services = entries.get("services")
        return Numbering(
            country,
            lists[0],
            lists[1],
            lists[2] if entries.get("emergency") else None,
            self._read_services(services.value) if services else (),
        )

    def _read_services(self, node: Node) -> tuple[Service, ...]:
        reader, found = self.reader, []
        for entry in reader.mapping(node, "`services`") or ():
            service = service_in(SERVICE_URN + entry.key)
            if service != entry.key:
                reader.fault(
                    entry.position,
                    f"`services`: `{entry.key}` is no service; write what follows `{SERVICE_URN}`, such as sos.police",
                )
            number = reader.text(entry.value, f"`{entry.key}`")
            if number is not None and not re.fullmatch(r"[A-Za-z0-9*#+_.-]{1,64}", number, re.ASCII):
                reader.fault(entry.value.position, f"`services`: `{number}` is no number that could be dialled")
            found.append(Service(service, number or "", entry.position))
        return tuple(found)

    def _drafts(self, nodes: tuple[Node, ...]) -> dict[str, _Draft]:
        drafts: dict[str, _Draft] = {}
        for node in nodes:
            entries = self.reader.mapping(node, "a route", _ROUTE_KEYS)
            if entries is None:
                continue
            draft = self._draft(entries)
            earlier = drafts.get(draft.route.name)
            if earlier is not None:
                self.reader.fault(
                    draft.route.position,
                    f"there is a route `{draft.route.name}` already, at line {earlier.route.position.line}; "
                    "give this one another name",
                )
            else:
                drafts[draft.route.name] = draft
        return drafts

    def _limits(self, entries: MappingNode) -> RouteLimits | None:
        calls, rate = entries.get("max_calls"), entries.get("max_calls_per_second")
        if calls is None and rate is None:
            return None
        return RouteLimits(
            self.reader.integer(calls.value, "`max_calls`", 0, 1_000_000) if calls else None,
            self.reader.converted(rate.value, "`max_calls_per_second`", _rate) if rate else None,
        )

    def _draft(self, entries: MappingNode) -> _Draft:
        reader = self.reader
        name_entry = entries.get("name")
        name = (reader.text(name_entry.value, "`name`") or "") if name_entry else ""
        if not name:
            position = name_entry.position if name_entry else entries.position
            reader.fault(position, "a route needs a name, by which logs and tests call it; add `name:`")
            name = f"(line {entries.position.line})"
        allowed = set()
        for key in _RESTRICTIONS:
            flag = entries.get(key)
            if flag is not None and reader.flag(flag.value, f"`{key}`"):
                allowed.add(key)
        when_entry = entries.get("when")
        when = load_when(reader, when_entry, self.hours, self.zone)
        scope = Scope(VALUES + _common_groups(when.number), frozenset(allowed), self.hosts, self.read_file)
        for source, position in when.named_sources:
            scope.refer(source.kind, source.name, position)
        paid_entry = entries.get("paid")
        paid = load_paid(reader, scope, paid_entry) if paid_entry is not None else None
        steps = StepLoader(reader, scope)
        do = entries.get("do")
        before = len(reader.faults)
        if do is None:
            reader.fault(entries.position, f"the route `{name}` does nothing; add `do:` with its steps")
        actions = steps.steps(do.value, "`do`") if do is not None else ()
        if do is not None and not actions and len(reader.faults) == before:
            reader.fault(do.position, f"the route `{name}` does nothing; give it a step")
        position = name_entry.position if name_entry else entries.position
        route = Route(
            name,
            position,
            SourceCondition(when.sources),
            when.number,
            when.conditions,
            actions,
            scope.allowed,
            scope.dials_out,
            paid,
            self._limits(entries),
        )
        return _Draft(route, scope, steps.gotos)


class _Links:
    """Gives each ``goto`` the actions of the route that it names."""

    def __init__(self, reader: Reader, drafts: dict[str, _Draft]) -> None:
        self.reader = reader
        self.drafts = drafts
        self.sizes: dict[str, int] = {}
        self.open: list[str] = []

    def link(self) -> None:
        for name in self.drafts:
            self._visit(name)

    def _visit(self, name: str) -> None:
        if name in self.sizes:
            return
        draft = self.drafts[name]
        self.open.append(name)
        size = _size(draft.route.actions)
        for action, position in draft.gotos:
            target = self.drafts.get(action.route)
            if target is None:
                hint = suggestion(action.route, self.drafts)
                self.reader.fault(position, f"`goto`: there is no route `{action.route}`{hint}")
                continue
            if action.route in self.open:
                way = " → ".join([*self.open[self.open.index(action.route) :], action.route])
                self.reader.fault(position, f"`goto` leads in a circle: {way}")
                continue
            self._visit(action.route)
            target = self.drafts[action.route]
            size += self.sizes[action.route]
            action.actions, action.limits = target.route.actions, target.route.limits
            self._inherit(draft, target, action, position)
        if size > _MAXIMUM_STEPS:
            text = f"the route `{name}` has {size} steps with all that it goes to; {_MAXIMUM_STEPS} are the most"
            self.reader.fault(draft.route.position, text)
        self.open.pop()
        self.sizes[name] = min(size, _MAXIMUM_STEPS)

    def _inherit(self, draft: _Draft, target: _Draft, action: GoTo, position: Position) -> None:
        lacking = sorted(target.scope.groups_used.difference(draft.scope.names))
        if lacking:
            names = ", ".join(f"{{{name}}}" for name in lacking)
            self.reader.fault(
                position,
                f"`goto`: the route `{action.route}` uses {names} of its pattern; this route's has no such group",
            )
        draft.scope.groups_used |= target.scope.groups_used
        if draft.route.dials_out is None and target.route.dials_out is not None:
            draft.route = replace(draft.route, dials_out=target.route.dials_out)


def _size(actions: tuple[Action, ...]) -> int:
    return sum(
        1 + (sum(_size(handler) for _, handler in action.on) if isinstance(action, Dial) else 0) for action in actions
    )


def _common_groups(number: NumberCondition | None) -> tuple[str, ...]:
    if number is None:
        return ()
    first, *others = number.patterns
    return tuple(group for group in first.groups if all(group in pattern.groups for pattern in others))


def _rate(text: str) -> float:
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text) and float(text) > 0:
        return float(text)
    raise ValueError(f"`{text}` is no number of calls a second; write it like 5 or 0.5")


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"`{text}` is no time zone of this machine; write one such as Europe/Berlin "
            "(they come with the Debian package tzdata)"
        ) from None
