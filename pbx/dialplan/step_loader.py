"""Reading ``do:`` of a route: from the positioned tree to actions."""

from __future__ import annotations

from dataclasses import dataclass, field

from pbx.cause import cause_named, cause_of_status, causes
from pbx.dialplan.actions import (
    Action,
    Fixed,
    GoTo,
    Named,
    Play,
    RecordCaller,
    SetCaller,
    SetHeaders,
    SetNumber,
    Several,
)
from pbx.dialplan.conference_loader import CONFERENCE_OPTIONS, load_conference
from pbx.dialplan.dial_loader import load_dial
from pbx.dialplan.reader import Reader
from pbx.dialplan.scope import Scope, header_name
from pbx.dialplan.steps import (
    AnswerStep,
    EchoStep,
    HangUpStep,
    PlayStep,
    RecordStep,
    RejectStep,
    WaitStep,
)
from pbx.dialplan.template import Template
from pbx.positions import Entry, MappingNode, Node, Position, ScalarNode
from pbx.units import suggestion

__all__ = ["FEATURES", "StepLoader"]

FEATURES = ("voicemail", "queue", "menu", "park", "pickup", "group")
"""Words of steps that hand the caller to a feature, with a name."""

_OPTIONS: dict[str, tuple[str, ...]] = {
    "dial": (
        "timeout",
        "strategy",
        "record",
        "on",
        "max_duration",
        "ringback",
        "pass_headers",
        "next_on",
        "wait_for_line",
        "codecs",
    ),
    "set": (),
    "answer": (),
    "play": ("early", "repeat", "stop_on", "volume", "limit"),
    "echo": ("limit",),
    "record": ("limit", "beep", "finish"),
    "wait": (),
    "reject": ("status",),
    "hangup": (),
    "goto": (),
    "conference": tuple(CONFERENCE_OPTIONS),
    **dict.fromkeys(FEATURES, ()),
}
_LAST = ("reject", "hangup", "goto")
_KEYS = frozenset("0123456789*#ABCD")
_LONGEST_FINISH = 16


@dataclass(slots=True)
class StepLoader:
    """Reads the steps of one route."""

    reader: Reader
    scope: Scope
    gotos: list[tuple[GoTo, Position]] = field(default_factory=list)
    """Filled in by the loader once every route is known."""

    def steps(self, node: Node, what: str) -> tuple[Action, ...]:
        """Read a list of steps; a step that is faulty is left out."""
        actions: list[Action] = []
        last = ""
        for item in self.reader.sequence(node, what):
            if last:
                self.reader.fault(
                    item.position, f"this step is never performed: the one before it is `{last}`; remove it"
                )
            word, action = self._step(item)
            last = word if word in _LAST else ""
            if action is not None:
                actions.append(action)
        return tuple(actions)

    def _step(self, node: Node) -> tuple[str, Action | None]:
        if isinstance(node, ScalarNode) and not node.null:  # a bare word, such as `- echo`
            empty = ScalarNode(node.position, "", null=True)
            node = MappingNode(node.position, (Entry(node.text, node.position, empty),))
        entries = self.reader.mapping(node, "a step")
        if entries is None:
            return "", None
        words = [entry for entry in entries if entry.key in _OPTIONS]
        if entries.get("dial") is not None or entries.get("conference") is not None:  # where `record` is an option
            words = [entry for entry in words if entry.key != "record"]
        if len(words) != 1:
            self._no_word(entries, words)
            return "", None
        word = words[0].key
        for entry in entries:
            self.reader.check_key(entry, (word, *_OPTIONS[word]), f"the step `{word}`")
        return word, self._action(words[0], entries)

    def _no_word(self, entries: MappingNode, words: list[Entry]) -> None:
        if words:
            names = " and ".join(f"`{entry.key}`" for entry in words)
            self.reader.fault(words[1].position, f"one step cannot be {names}; begin another one with `- `")
        else:
            first = entries.entries[0] if entries.entries else None
            hint = suggestion(first.key, _OPTIONS) if first else ""
            known = hint or f"; known steps are {', '.join(_OPTIONS)}"
            name = f"`{first.key}` is no step" if first else "a step is empty"
            self.reader.fault(first.position if first else entries.position, name + known)

    def _action(self, entry: Entry, entries: MappingNode) -> Action | None:
        word, node = entry.key, entry.value
        if word == "dial":
            return load_dial(self.reader, self.scope, entry, entries, lambda steps, what: self.steps(steps, what))
        if word in FEATURES:
            return self._feature(word, entry)
        read = {
            "set": self._set,
            "play": self._play,
            "echo": self._echo,
            "record": self._record,
            "wait": self._wait,
            "reject": self._reject,
            "hangup": self._hang_up,
            "goto": self._go_to,
            "answer": self._answer,
            "conference": self._conference,
        }[word]
        return read(node, entries)

    def _answer(self, node: Node, _: MappingNode) -> Action | None:
        self._wants_nothing(node, "answer")
        return Fixed(AnswerStep())

    def _echo(self, node: Node, entries: MappingNode) -> Action | None:
        self._wants_nothing(node, "echo")
        return Fixed(EchoStep(self._limit(entries, None)))

    def _wait(self, node: Node, _: MappingNode) -> Action | None:
        seconds = self.reader.duration(node, "`wait`")
        return Fixed(WaitStep(seconds)) if seconds is not None else None

    def _feature(self, word: str, entry: Entry) -> Action | None:
        name = self.scope.template(self.reader, entry.value, f"`{word}`")
        self.scope.feature(word, name.text if name else "", entry.position)
        return Named(word, name) if name is not None else None

    def _conference(self, node: Node, entries: MappingNode) -> Action | None:
        return load_conference(self.reader, self.scope, node, entries)

    def _go_to(self, node: Node, _: MappingNode) -> Action | None:
        name = self.reader.text(node, "`goto`")
        if name is None:
            return None
        action = GoTo(name)
        self.gotos.append((action, node.position))
        return action

    def _play(self, node: Node, entries: MappingNode) -> Action | None:
        files = [self.scope.file(self.reader, item, "`play`") for item in self.reader.items(node, "`play`")]
        early, repeat = entries.get("early"), entries.get("repeat")
        is_early = self.reader.flag(early.value, "`early`") if early else False
        times = self.reader.integer(repeat.value, "`repeat`", 0, 1000) if repeat else 1
        known = [file for file in files if file is not None]
        if not known or is_early is None or times is None:
            return None
        limit, volume = self._limit(entries, None), entries.get("volume")
        step = PlayStep(
            tuple(file.literals[0] for file in known),
            is_early,
            times,
            self._stop_on(entries.get("stop_on")),
            (self._decibels(volume.value) or 0) if volume else 0,
            limit,
        )
        if all(file.constant for file in known):
            return Fixed(step)
        return Play(tuple(known), step)

    def _stop_on(self, entry: Entry | None) -> str:
        """Read keys, or ``any``."""
        text = self.reader.text(entry.value, "`stop_on`") if entry is not None else None
        if entry is None or text is None:
            return ""
        if text == "any":
            return "0123456789*#"
        if not set(text) <= _KEYS:
            self.reader.fault(entry.value.position, "`stop_on` must be keys of a phone, 0-9, *, #, A-D, or `any`")
        return text

    def _decibels(self, node: Node) -> int | None:
        text = self.reader.text(node, "`volume`")
        number = (text or "").removesuffix("dB").strip().removeprefix("+")
        if number.removeprefix("-").isdecimal() and -60 <= int(number) <= 20:
            return int(number)
        if text is not None:
            self.reader.fault(node.position, f"`volume` must be from -60 to 20, in dB; it is `{text}`")
        return None

    def _record(self, node: Node, entries: MappingNode) -> Action | None:
        name: Template | None = None
        if not (isinstance(node, ScalarNode) and node.null):
            name = self.scope.file(self.reader, node, "`record`", is_sound=False)
        limit = self._limit(entries, 60.0)
        beep_entry, finish_entry = entries.get("beep"), entries.get("finish")
        beep = self.reader.flag(beep_entry.value, "`beep`") if beep_entry else True
        finish: str | None = "#"
        if finish_entry:
            finish = self.reader.text(finish_entry.value, "`finish`")
            if finish is not None and not (set(finish) <= _KEYS and len(finish) <= _LONGEST_FINISH):
                self.reader.fault(finish_entry.value.position, "`finish` must be keys of a phone: 0-9, *, #, A-D")
        step = RecordStep("", limit or 60.0, beep is not False, finish or "")
        if name is None:
            return Fixed(step)
        return RecordCaller(name, step)

    def _reject(self, node: Node, entries: MappingNode) -> Action | None:
        text = self.reader.text(node, "`reject`")
        status_entry = entries.get("status")
        status = self.reader.integer(status_entry.value, "`status`", 400, 699) if status_entry else 0
        if text is None or status is None:
            return None
        if text.isascii() and text.isdigit():
            code = self.reader.integer(node, "`reject`", 400, 699)
            return Fixed(RejectStep(cause_of_status(code).slug, code)) if code is not None else None
        return Fixed(RejectStep(text, status)) if self._is_cause(node, text, "`reject`", 400) else None

    def _hang_up(self, node: Node, _: MappingNode) -> Action | None:
        if isinstance(node, ScalarNode) and node.null:
            return Fixed(HangUpStep())
        text = self.reader.text(node, "`hangup`")
        if text is None or not self._is_cause(node, text, "`hangup`", 200):
            return None
        before = text if cause_named(text).sip_status >= 400 else "declined"
        return Fixed(HangUpStep(text, before))

    def _is_cause(self, node: Node, text: str, what: str, least: int) -> bool:
        known = [cause.slug for cause in causes() if cause.sip_status >= least]
        if text in known:
            return True
        hint = suggestion(text, known) or f"; known are {', '.join(known)}"
        or_status = ", nor a SIP status" if least >= 400 else ""
        self.reader.fault(node.position, f"{what}: `{text}` is no cause for a call to end{or_status}{hint}")
        return False

    def _set(self, node: Node, _: MappingNode) -> Action | None:
        entries = self.reader.mapping(node, "`set`", ("number", "caller", "headers"))
        if entries is None or not entries.entries:
            return None
        actions = [action for entry in entries if (action := self._set_one(entry)) is not None]
        return actions[0] if len(actions) == 1 else Several(tuple(actions)) if actions else None

    def _set_one(self, entry: Entry) -> Action | None:
        if entry.key == "number":
            return self._set_number(entry.value)
        if entry.key == "caller":
            return self._set_caller(entry.value)
        return self._set_headers(entry.value) if entry.key == "headers" else None

    def _set_number(self, node: Node) -> Action | None:
        if isinstance(node, ScalarNode):
            template = self.scope.template(self.reader, node, "`set: number`")
            return SetNumber(replace=template) if template is not None else None
        entries = self.reader.mapping(node, "`set: number`", ("strip", "prefix", "replace"))
        if entries is None:
            return None
        strip, prefix, replaced = entries.get("strip"), entries.get("prefix"), entries.get("replace")
        return SetNumber(
            (self.reader.integer(strip.value, "`strip`", 0, 64) or 0) if strip else 0,
            self.scope.template(self.reader, prefix.value, "`prefix`") if prefix else None,
            self.scope.template(self.reader, replaced.value, "`replace`") if replaced else None,
        )

    def _set_caller(self, node: Node) -> Action | None:
        if isinstance(node, ScalarNode):
            template = self.scope.template(self.reader, node, "`set: caller`")
            return SetCaller(template) if template is not None else None
        entries = self.reader.mapping(node, "`set: caller`", ("number", "name", "anonymous"))
        if entries is None:
            return None
        number, name, anonymous = entries.get("number"), entries.get("name"), entries.get("anonymous")
        return SetCaller(
            self.scope.template(self.reader, number.value, "`set: caller: number`") if number else None,
            self.scope.template(self.reader, name.value, "`set: caller: name`") if name else None,
            self.reader.flag(anonymous.value, "`anonymous`") if anonymous else None,
        )

    def _set_headers(self, node: Node) -> Action | None:
        entries = self.reader.mapping(node, "`set: headers`")
        headers = []
        removed = []
        for entry in entries or ():
            name = header_name(self.reader, entry.key, entry.position)
            if name is not None and isinstance(entry.value, ScalarNode) and entry.value.null:
                removed.append(name.lower())
                continue
            value = self.scope.header_value(self.reader, entry.value, f"the header {entry.key}")
            if name is not None and value is not None:
                headers.append((name, value))
        return SetHeaders(tuple(headers), frozenset(removed)) if headers or removed else None

    def _limit(self, entries: MappingNode, default: float | None) -> float | None:
        limit = entries.get("limit")
        return self.reader.duration(limit.value, "`limit`") if limit else default

    def _wants_nothing(self, node: Node, word: str) -> None:
        if not (isinstance(node, ScalarNode) and node.null):
            self.reader.fault(node.position, f"`{word}` stands alone; write `- {word}:`")
