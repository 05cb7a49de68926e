"""Which modules mypyc compiles. The one place that says it: setup.py, scripts/compiled_tree.py and a test read it.

Compiled is what runs between one datagram and the next: a call from a compiled module into an interpreted one wraps its
arguments and looks names up, which costs what was gained. Interpreted stays what runs at the start, at a reload or when
an operator asks, and what stands on libraries that mypyc does not know: Twisted, cffi, pydantic, SQLAlchemy, asyncio.
What a compiled module may not do is said in docs/decisions.md, "Performance".
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["INTERPRETED", "PARTS", "ROOT", "WHOLE", "compiled_modules"]

ROOT = Path(__file__).resolve().parent.parent

WHOLE = ("pbx/call", "pbx/features", "pbx/sdp", "pbx/security", "pbx/sip")
"""Rooms of which every module is compiled, those of their folders too."""

PARTS = {
    "pbx": "cause errors failover ids numbers",
    "pbx/app": "budgeting directory new_calls observer shown trunk_calls wall_clock",
    "pbx/dialplan": "actions conditions decision emergency model numbering pattern rates regex services steps template"
    " windows",
    "pbx/media": "commands engine engine_commands engine_events engine_names events groups judging keys language leg"
    " policy processing proof quality relayed section session session_sound session_streams stream transcoding",
    "pbx/net": "addresses contact driver hosts network outgoing replies resolver routing trace transactions transport",
    "pbx/ops": "watches",
    "pbx/store": "call_records",
    "pbx/trunks": "health table",
}
"""Rooms of which some modules are: those that a call goes through."""

INTERPRETED = {
    "pbx/sip/effects.py": "its fields name classes of modules that are imported later, which mypyc takes for loaded",
    "pbx/sip/diagram.py": "draws for the documentation",
    "pbx/call/diagram.py": "draws for the documentation",
    "pbx/call/leg/diagram.py": "draws for the documentation",
}
"""What of the whole rooms is not compiled, and why. An ``__init__.py`` never is: it only gives names on."""


def compiled_modules(root: Path = ROOT) -> list[str]:
    """Return the modules to compile, as paths below the root."""
    found = [path.relative_to(root).as_posix() for room in WHOLE for path in sorted((root / room).rglob("*.py"))]
    found = [name for name in found if not name.endswith("/__init__.py") and name not in INTERPRETED]
    return found + [f"{room}/{name}.py" for room, names in PARTS.items() for name in names.split()]
