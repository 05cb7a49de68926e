"""Reading a ``dial`` step."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from pbx.codecs import parse_codec
from pbx.dialplan.actions import Action, Dial, DialTarget
from pbx.dialplan.rates import RateTable, read_rates
from pbx.dialplan.reader import Reader
from pbx.dialplan.scope import Scope, header_name
from pbx.dialplan.steps import OUTCOMES, Recording
from pbx.dialplan.template import Template
from pbx.failover import NextOn, parse_next_on
from pbx.positions import Entry, MappingNode, Node, ScalarNode
from pbx.units import suggestion

T = TypeVar("T")

__all__ = ["DEFAULT_TIMEOUT", "MAXIMUM_TARGETS", "load_dial"]

DEFAULT_TIMEOUT = 60.0
MAXIMUM_TARGETS = 32

# sip:user@host:port;parameters, as far as it takes to find the host; placeholders are checked apart
_URI = re.compile(
    r"(sips?):(?:(?P<user>[^@]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::\d{1,5})?(?:;[^{}\s]*)?"
)

ReadSteps = Callable[[Node, str], tuple[Action, ...]]


def load_dial(reader: Reader, scope: Scope, entry: Entry, entries: MappingNode, read_steps: ReadSteps) -> Dial | None:
    """Return the dial step that `entry` and its options describe; None if a fault left it without a target."""
    options = {each.key: each.value for each in entries if each is not entry}
    targets: list[DialTarget] = []
    rates: RateTable | None = None
    weights: tuple[int, ...] = ()
    if isinstance(entry.value, MappingNode) and entry.value.get("least_cost") is not None:
        rates = _rates(reader, scope, entry.value)
    elif isinstance(entry.value, MappingNode):
        targets, weights = _weighted(reader, scope, entry.value)
    else:
        targets = _listed(reader, scope, entry)
    leaves = rates is not None or any(target.kind != "extension" for target in targets)
    if leaves and scope.dials_out is None:
        scope.dials_out = entry.position
    timeout = reader.duration(options["timeout"], "`timeout`") if "timeout" in options else None
    longest = reader.duration(options["max_duration"], "`max_duration`") if "max_duration" in options else None
    strategy = None
    if "strategy" in options:
        strategy = reader.choice(options["strategy"], "`strategy`", ("sequence", "all", "weighted"))
        if strategy == "weighted" and not weights:
            reader.fault(
                options["strategy"].position,
                "`strategy: weighted` needs a weight for each target: `dial: {trunk/a: 70, trunk/b: 30}`",
            )
    record = _recording(reader, scope, options["record"]) if "record" in options else None
    ringback = _sound(reader, scope, options["ringback"], "`ringback`") if "ringback" in options else ""
    passed = _passed(reader, options["pass_headers"]) if "pass_headers" in options else frozenset()
    handlers = _handlers(reader, options["on"], read_steps) if "on" in options else ()
    wait = reader.duration(options["wait_for_line"], "`wait_for_line`") if "wait_for_line" in options else None
    next_on = _next_on(reader, options["next_on"]) if "next_on" in options else None
    codecs = reader.converted_items(options["codecs"], "`codecs`", parse_codec) if "codecs" in options else []
    if not targets and rates is None:
        return None
    return Dial(
        tuple(targets),
        timeout or DEFAULT_TIMEOUT,
        strategy or ("weighted" if weights else "sequence"),
        record,
        longest,
        ringback,
        passed,
        handlers,
        scope.allowed,
        leaves,
        weights,
        rates,
        next_on,
        wait or 0.0,
        tuple(codecs),
    )


def _listed(reader: Reader, scope: Scope, entry: Entry) -> list[DialTarget]:
    nodes = reader.items(entry.value, "`dial`")
    targets = [target for node in nodes if (target := _target(reader, scope, node)) is not None]
    if not nodes and not isinstance(entry.value, ScalarNode):
        reader.fault(entry.value.position, "`dial` has no target; name an extension or a trunk")
    if len(nodes) > MAXIMUM_TARGETS:
        reader.fault(entry.value.position, f"`dial` has {len(nodes)} targets; {MAXIMUM_TARGETS} are the most")
    return targets


def _weighted(reader: Reader, scope: Scope, node: MappingNode) -> tuple[list[DialTarget], tuple[int, ...]]:
    """Read ``{trunk/a: 70, trunk/b: 30}``."""
    targets, weights = [], []
    for entry in node:
        target = _target(reader, scope, ScalarNode(entry.position, entry.key))
        weight = reader.integer(entry.value, f"the weight of `{entry.key}`", 0, 10_000)
        if target is not None and weight is not None:
            targets.append(target)
            weights.append(weight)
    if not node.entries:
        reader.fault(node.position, "`dial` has no target; name an extension or a trunk")
    if len(node.entries) > MAXIMUM_TARGETS:
        reader.fault(node.position, f"`dial` has {len(node.entries)} targets; {MAXIMUM_TARGETS} are the most")
    return targets, tuple(weights)


def _rates(reader: Reader, scope: Scope, node: MappingNode) -> RateTable | None:
    """Read ``{least_cost: rates.csv}``."""
    entries = reader.mapping(node, "`dial`", ("least_cost",))
    entry = entries.get("least_cost") if entries is not None else None
    name = reader.text(entry.value, "`least_cost`") if entry is not None else None
    if entry is None or name is None:
        return None
    try:
        file, text = scope.read_file(name)
    except OSError as error:
        why = error.strerror or "it cannot be read"
        reader.fault(
            entry.value.position,
            f"`least_cost`: {name}: {why}; correct the path, which begins at the folder of this file",
        )
        return None
    except UnicodeDecodeError:
        reader.fault(entry.value.position, f"`least_cost`: {name} is not UTF-8 text; save it as CSV in UTF-8")
        return None
    table, named = read_rates(reader, file, text.splitlines(keepends=True))
    for trunk, position in named.items():
        scope.refer("trunk", trunk, position)
    return table


def _next_on(reader: Reader, node: Node) -> NextOn | None:
    try:
        return parse_next_on(text for text, _ in reader.texts(node, "`next_on`"))
    except ValueError as error:
        reader.fault(node.position, f"`next_on`: {error}")
        return None


def _target(reader: Reader, scope: Scope, node: Node) -> DialTarget | None:
    text = reader.text(node, "`dial`")
    if text is None:
        return None
    kind, slash, name = text.partition("/")
    if text.startswith(("sip:", "sips:")):
        return _uri(reader, scope, node, text)
    if not slash or not name or kind not in ("extension", "trunk"):
        near = suggestion(kind, ("extension", "trunk"))
        if not slash and text.lstrip("+").isdigit():
            near = f"; did you mean `extension/{text}`?"
        how = near or "; write extension/NUMBER, trunk/NAME or a sip: URI"
        reader.fault(node.position, f"`dial`: `{text}` is no target{how}")
        return None
    if kind == "trunk":
        if "{" in name:
            reader.fault(node.position, "`dial`: a trunk is named outright, so that no caller can choose one")
            return None
        scope.refer("trunk", name, node.position)
        return DialTarget("trunk", Template(name, (name,), ()))
    template = scope.template(reader, ScalarNode(node.position, name), "`dial`")
    if template is None:
        return None
    if template.constant:
        scope.refer("extension", template.literals[0], node.position)
    return DialTarget("extension", template)


def _uri(reader: Reader, scope: Scope, node: Node, text: str) -> DialTarget | None:
    match = _URI.fullmatch(text)
    if match is None or "{" in match["host"]:
        reader.fault(
            node.position,
            f"`dial`: `{text}` is not a SIP URI; write sip:USER@HOST, with placeholders in the user part only",
        )
        return None
    host = match["host"].lower()
    if host not in scope.hosts:
        reader.fault(
            node.position, f"`dial`: calls to {host} are not allowed; add it to `allow_hosts` at the plan's top"
        )
        return None
    template = scope.template(reader, ScalarNode(node.position, text), "`dial`")
    return DialTarget("uri", template) if template is not None else None


def _recording(reader: Reader, scope: Scope, node: Node) -> Recording | None:
    if isinstance(node, ScalarNode):
        return Recording() if reader.flag(node, "`record`") else None
    keys = ("on_failure", "failure", "format", "channels", "announce", "beep", "pause_digit")
    entries = reader.mapping(node, "`record`", keys)
    if entries is None:
        return None
    values = {entry.key: entry.value for entry in entries}

    def choice(key: str, *choices: str) -> str:
        return (reader.choice(values[key], f"`{key}`", choices) or "") if key in values else ""

    return Recording(
        choice("on_failure", "continue", "end") or choice("failure", "continue", "end"),
        choice("format", "wav", "flac", "opus"),
        choice("channels", "stereo", "mixed"),
        _unless_off(reader, values.get("announce"), lambda node: _sound(reader, scope, node, "`announce`"), ""),
        _unless_off(reader, values.get("beep"), lambda node: reader.duration(node, "`beep`"), 0.0),
        _unless_off(reader, values.get("pause_digit"), lambda node: _digit(reader, node), ""),
    )


def _unless_off(reader: Reader, node: Node | None, read: Callable[[Node], T | None], off: T) -> T | None:
    """Read a value; `false` in its place turns off what the server would do."""
    if node is None:
        return None
    if isinstance(node, ScalarNode) and node.text.lower() in ("false", "no", "off"):
        return off
    return read(node)


def _digit(reader: Reader, node: Node) -> str | None:
    return reader.choice(node, "`pause_digit`", tuple("0123456789*#"))


def _sound(reader: Reader, scope: Scope, node: Node, what: str) -> str:
    template = scope.file(reader, node, what)
    if template is None:
        return ""
    if not template.constant:
        reader.fault(node.position, f"{what} must name one sound, without placeholders")
        return ""
    return template.literals[0]


def _passed(reader: Reader, node: Node) -> frozenset[str]:
    names = [header_name(reader, text, position) for text, position in reader.texts(node, "`pass_headers`")]
    return frozenset(name.lower() for name in names if name is not None)


def _handlers(reader: Reader, node: Node, read_steps: ReadSteps) -> tuple[tuple[str, tuple[Action, ...]], ...]:
    entries = reader.mapping(node, "`on`", OUTCOMES)
    return tuple(
        (entry.key, read_steps(entry.value, f"`on: {entry.key}`")) for entry in entries or () if entry.key in OUTCOMES
    )
