"""A configuration and its dialplan, read together: what ``pbx check``, the start and a reload all go through.

Neither room knows the other; here the plan is checked against the names that are configured, and its own tests are run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pbx.config.loader import Reading, read
from pbx.config.schema import Settings
from pbx.config.tree import read_tree
from pbx.dialplan.builtin import builtin_plan
from pbx.dialplan.checks import Known, check_plan, unknown_names
from pbx.dialplan.loader import load_dialplan
from pbx.dialplan.model import Dialplan
from pbx.dialplan.proof import Proof, prove
from pbx.dialplan.selftest import run_tests
from pbx.errors import ConfigurationError, EnvironmentFault
from pbx.media.language import SAID, LanguagePack, load_language
from pbx.media.tones import countries, is_tone, tone
from pbx.numbers import AS_IS, NumberRules, TrunkNumbers
from pbx.positions import Fault, Position
from pbx.units import suggestion

__all__ = [
    "AVAILABLE_FEATURES",
    "SOUND_SUFFIXES",
    "Configured",
    "Examination",
    "examine",
    "load_configured",
    "trunk_numbers",
]

AVAILABLE_FEATURES: frozenset[str] = frozenset()
"""Words of dialplan features (`pbx.dialplan.step_loader.FEATURES`) that this server has; one that is built is added
here."""

# fmt: off
SOUND_SUFFIXES = (
    "", ".wav", ".flac", ".sln48", ".sln44", ".sln32", ".sln24", ".sln16", ".sln12", ".sln", ".aiff", ".g722", ".opus",
    ".ogg", ".oga", ".mp3", ".ulaw", ".alaw",
)
# fmt: on
"""What a sound's name in the dialplan may lack (as in `pbx/native/src/soundfile.c`)."""


@dataclass(frozen=True, slots=True)
class Configured:
    """All that a server is told by its files; immutable."""

    settings: Settings
    dialplan: Dialplan
    warnings: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Examination:
    """All that there is to say of a configuration and its dialplan. The plan is there if it is free of faults
    itself."""

    settings: Settings | None
    dialplan: Dialplan | None
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    proof: Proof | None = None
    """Who reaches what costs money; for a plan free of faults of its own."""


def load_configured(path: Path | str, environ: Mapping[str, str]) -> Configured:
    """Return settings and dialplan; ConfigurationError carries every fault of both, and every test that failed."""
    examination = examine(path, environ)
    if examination.faults or examination.settings is None or examination.dialplan is None:
        raise ConfigurationError(tuple(str(fault) for fault in examination.faults))
    return Configured(examination.settings, examination.dialplan, examination.warnings)


def examine(
    path: Path | str,
    environ: Mapping[str, str],
    features: Collection[str] = AVAILABLE_FEATURES,
    dialplan: Path | None = None,
) -> Examination:
    """Read everything and say all that is wrong with it, the dialplan even where the configuration has faults.

    `dialplan` is read in place of the one that the configuration names.
    """
    reading = read(path, environ)
    if dialplan is not None:
        reading = replace(reading, dialplan=dialplan, dialplan_position=Position(str(dialplan), 0, 0))
    faults, warnings = list(reading.faults), list(reading.warnings)
    plan: Dialplan | None = None
    proof: Proof | None = None
    if reading.dialplan is not None:
        plan = _examine_plan(reading, features, faults, warnings)
    elif reading.settings is not None:
        plan = builtin_plan(reading.extensions)
        warnings.append(
            Fault(
                Position(str(path), 0, 0),
                "there is no `dialplan:`; extensions reach each other, and nothing else is routed",
            )
        )
    if plan is not None and reading.settings is not None:
        unpaid = [name for name, trunk in reading.settings.trunks.items() if not trunk.paid]
        proof = prove(plan, reading.trunks, reading.extensions, unpaid)
        faults += proof.faults()
    if reading.settings is not None:
        _examine_sounds(plan, reading, reading.settings, faults, warnings)
    return Examination(reading.settings, plan, tuple(sorted(faults)), tuple(sorted(warnings)), proof)


def _examine_plan(
    reading: Reading, features: Collection[str], faults: list[Fault], warnings: list[Fault]
) -> Dialplan | None:
    if reading.dialplan is None:
        return None
    if not reading.dialplan.is_file():
        text = f"there is no dialplan {reading.dialplan}; correct the path, which begins at the folder of this file"
        faults.append(Fault(reading.dialplan_position, text))
        return None
    tree = read_tree(reading.dialplan)
    faults += tree.faults
    if tree.root is None:
        return None
    folder = reading.dialplan.parent
    loaded = load_dialplan(tree.root, lambda name: _read(folder / name))
    faults += loaded.faults
    known = Known(reading.extensions, reading.trunks, features)
    if loaded.plan is None or tree.faults:
        faults += unknown_names(loaded.references, known)
        return None
    findings = check_plan(loaded.plan, known)
    numbers = trunk_numbers(reading.settings) if reading.settings is not None else TrunkNumbers()
    faults += findings.faults + run_tests(loaded.plan, numbers)
    warnings += findings.warnings
    return loaded.plan


def trunk_numbers(settings: Settings) -> TrunkNumbers:
    """Return how each trunk writes numbers."""
    rules = {}
    for name, trunk in settings.trunks.items():
        one = trunk.numbers
        made = NumberRules(
            one.country or "", one.area or "", one.inbound, one.outbound, one.inbound_strip, one.outbound_prefix
        )
        if made != AS_IS:
            rules[name] = made
    return TrunkNumbers(rules)


def _read(path: Path) -> tuple[str, str]:
    return str(path), path.read_text("utf-8")


def _examine_sounds(
    plan: Dialplan | None, reading: Reading, settings: Settings, faults: list[Fault], warnings: list[Fault]
) -> None:
    """Look at every sound that plan and configuration name: a tone or a way to say that there is not is a fault, since
    it can never be heard; a file may still come."""
    media = settings.media
    language: LanguagePack | None = None
    try:
        language = load_language(media.language)
    except EnvironmentFault as error:
        faults.append(Fault(reading.position("media", "language"), f"media.language: {error}"))
    if media.tones not in countries():
        text = f"media.tones: there are no tones of `{media.tones}`; known are {', '.join(countries())}"
        faults.append(Fault(reading.position("media", "tones"), text + suggestion(media.tones, countries())))
    named = [(one.name, one.position) for one in plan.references if one.kind == "sound"] if plan is not None else []
    if settings.recording.announce:
        named.append((settings.recording.announce, reading.position("recording", "announce")))
    for name, position in dict.fromkeys(named):
        try:
            if is_tone(name):
                tone(name, media.tones if media.tones in countries() else "us")
            elif name.startswith(SAID):
                kind, _, value = name.removeprefix(SAID).partition("/")
                if language is not None:
                    language.say(kind, value, datetime.now(UTC))
            elif not _is_there(name, media.sounds):
                places = ", ".join(map(str, media.sounds)) or "any folder, since `media.sounds` names none"
                remedy = "put it there, or install asterisk-core-sounds-en-wav"
                warnings.append(Fault(position, f"there is no sound `{name}` in {places}; {remedy}"))
        except ValueError as error:
            faults.append(Fault(position, f"`{name}` cannot be played: {error}"))


def _is_there(name: str, folders: Sequence[Path]) -> bool:
    return any((folder / (name + suffix)).is_file() for folder in folders for suffix in SOUND_SUFFIXES)
