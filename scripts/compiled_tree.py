"""Makes build/compiled: a copy of the tree in which what a call goes through is compiled (scripts/compiled_rooms.py).

    python scripts/compiled_tree.py          then  PYTHONPATH=build/compiled pbx serve ...

Compiled modules never stand beside the sources that people edit, so nobody can test an old .so for a changed .py. The
copy is made anew whenever a source has changed, and compiled whenever one of the compiled modules has; if compiling
fails, no compiled module is left.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

from compiled_rooms import compiled_modules

ROOT = Path(__file__).resolve().parent.parent
TREE = ROOT / "build" / "compiled"
STAMP = TREE / ".compiled"
BUILD = """
from setuptools import Distribution
from setup import BuildSideBySide, compiled
command = BuildSideBySide(Distribution({"name": "tandem-pbx", "ext_modules": compiled()}))
command.inplace = True
command.ensure_finalized()
command.run()
"""
COPIED = ("pbx", "tests", "bench", "config", "dialplans", "docs", "scripts", "systemd", ".ci")
BUILDERS = tuple(f"scripts/{name}" for name in ("compiled_rooms.py", "constructors.py", "cold.h"))
FILES = ("pyproject.toml", "setup.py", "Makefile", "README.md", "LICENSE", "Dockerfile")


def copy() -> None:
    """Make the copy say what the tree says; compiled modules stay for now."""
    TREE.mkdir(parents=True, exist_ok=True)
    wanted = [path for folder in COPIED for path in (ROOT / folder).rglob("*") if path.is_file()]
    wanted += [ROOT / name for name in FILES]
    kept = set()
    for source in wanted:
        if "__pycache__" in source.parts or (source.suffix == ".so" and source.parent.name != "native"):
            continue
        target = TREE / source.relative_to(ROOT)
        kept.add(target)
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for folder in COPIED:
        for path in (TREE / folder).rglob("*.py"):
            if path not in kept:
                path.unlink()


def fingerprint(modules: list[str]) -> str:
    """Return what the compiled modules depend on, as one text."""
    digest = hashlib.sha256(f"{sys.version} {importlib.metadata.version('mypy')}".encode())
    for name in ("setup.py", *BUILDERS, *modules):
        digest.update(name.encode() + b"\0" + (TREE / name).read_bytes() + b"\0")
    return digest.hexdigest()


def clear() -> None:
    """Delete every compiled module."""
    STAMP.unlink(missing_ok=True)
    for path in [*TREE.glob("*.so"), *(TREE / "pbx").rglob("*.so")]:
        if path.parent.name != "native":
            path.unlink()


def compile_tree() -> bool:
    """Compile the copy in place; return whether that succeeded."""
    clear()
    environ = dict(os.environ, PYTHONPATH=str(TREE))
    if shutil.which("ccache"):
        environ["CC"] = "ccache gcc"
    # Not `setup.py build_ext`, which reads pyproject.toml and so needs the newest setuptools.
    return subprocess.run([sys.executable, "-c", BUILD], cwd=TREE, env=environ, check=False).returncode == 0


def main() -> int:
    """Bring the copy up to date; return the exit status."""
    copy()
    modules = compiled_modules()
    wanted = fingerprint(modules)
    if STAMP.exists() and STAMP.read_text() == wanted:
        return 0
    sys.stderr.write(f"compiling {len(modules)} modules; about two minutes of two quiet cores\n")
    if not compile_tree():
        clear()
        sys.stderr.write("compiled: mypyc or the C compiler failed; nothing compiled is left\n")
        return 1
    STAMP.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
