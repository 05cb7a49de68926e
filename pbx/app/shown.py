"""Who is shown as the caller, to whom, and how far we vouch for it."""

from __future__ import annotations

from typing import Final

from pbx.call.commands import Party, Voucher
from pbx.config.schema import Extension, Settings, Trunk
from pbx.numbers import TrunkNumbers

__all__ = ["allowed", "is_listed", "shown_to", "verstat", "voucher"]

_VERSTAT: Final = {"passed": "TN-Validation-Passed", "failed": "TN-Validation-Failed", "none": "No-TN-Validation"}
"""What was found of a signature, as peers are told it (3GPP TS 24.229 §7.2A.20.3)."""


def shown_to(settings: Settings, target: str, source: str, caller: Party) -> Party:
    """Return whom `target` is shown as the caller."""
    trunk = _trunk(settings, target)
    if trunk is None:
        return caller
    number = caller.number
    extension, name = _extension(settings, source)
    if extension is not None and extension.caller_number and caller.number == name:
        number = extension.caller_number
    if trunk.caller_number and (trunk.caller == "own" or not number):
        number = trunk.caller_number
    return Party(number, caller.name, caller.anonymous)


def allowed(settings: Settings, numbers: TrunkNumbers, target: str, party: Party) -> Party:
    """Return a caller as a target may be shown it, whatever a route has set: one of the numbers that may be shown
    there, written as the target writes numbers."""
    trunk = _trunk(settings, target)
    if trunk is None:
        return party
    number = party.number
    if trunk.caller == "listed" and not is_listed(number, trunk.caller_numbers):
        number = trunk.caller_number or ""
    return Party(numbers.of(target).caller_sent(number), party.name, party.anonymous)


def voucher(settings: Settings, numbers: TrunkNumbers, target: str, source: str, caller: Party) -> Voucher | None:
    """Return how far we vouch for a caller as `target` is shown it; None if calls to it are not signed.

    RFC 8588 §4: in full for an extension with a number that is configured for it, or the trunk's own, in part for
    an extension with another number, and for what came in over a trunk only that it came in there.
    """
    trunk = _trunk(settings, target)
    if trunk is None or not trunk.stir.sign:
        return None
    extension, name = _extension(settings, source)
    if extension is None:
        return Voucher("C", source)
    written = numbers.of(target)
    own = [written.caller_sent(one) for one in (name, extension.caller_number, trunk.caller_number) if one]
    return Voucher("A" if caller.number in own else "B", source)


def verstat(settings: Settings, numbers: TrunkNumbers, target: str, outcome: str, caller: Party, shown: Party) -> str:
    """Return what `target` is told of the number of a caller whose signature was looked for; empty for nothing: if it
    is shown another number than the `caller` came with, or is not to be told."""
    trunk, (extension, _) = _trunk(settings, target), _extension(settings, target)
    if trunk is not None:
        told = trunk.stir.verstat
    elif extension is None:
        told = False
    elif extension.verstat is None:
        told = settings.stir.verify is not None and settings.stir.verify.verstat
    else:
        told = extension.verstat
    own = numbers.of(target).caller_sent(caller.number)
    return _VERSTAT[outcome] if told and shown.number == own else ""


def is_listed(number: str, allowed: tuple[str, ...]) -> bool:
    """Return whether a number is one of a list, whose entries may end with ``*`` for all that begin so."""
    return any(number.startswith(one[:-1]) if one.endswith("*") else number == one for one in allowed)


def _trunk(settings: Settings, source: str) -> Trunk | None:
    kind, _, name = source.partition("/")
    return settings.trunks.get(name) if kind == "trunk" else None


def _extension(settings: Settings, source: str) -> tuple[Extension | None, str]:
    kind, _, name = source.partition("/")
    return settings.extensions.get(name) if kind == "extension" else None, name
