"""Compiles the engine into `pbx.native._engine`.

`pip install -e .` and `pip wheel .` use `ffibuilder`; ``python pbx/native/build.py`` builds in place, beside this file.
Codec libraries are found by pkg-config; those that are missing are left out, and the engine says which codecs it has.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parents[2] if __name__ == "__main__" else Path.cwd()
HEADER = Path("pbx/native/include/engine.h")
SOURCES = Path("pbx/native/src")

LIBRARIES = {
    "opus": "HAVE_OPUS",
    "spandsp": "HAVE_SPANDSP",
    "libbcg729": "HAVE_LIBBCG729",
    "sndfile": "HAVE_SNDFILE",
    "speexdsp": "HAVE_SPEEXDSP",
}
"""pkg-config's name of each optional library, and the macro that tells the sources of it."""

WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wshadow",
    "-Wconversion",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wvla",
    "-Wpointer-arith",
    "-Wwrite-strings",
]

PREAMBLE = """
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wcast-function-type"
#include "../include/engine.h"
"""
"""What cffi generates is not held to the warnings of what we write."""


def pkg_config(*arguments: str) -> list[str] | None:
    """Return what pkg-config prints, or None if it or the library is missing."""
    try:
        run = subprocess.run(["pkg-config", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.split()


def declarations() -> str:
    """Return the part of the contract that cffi reads."""
    text = (ROOT / HEADER).read_text()
    found = re.search(r"/\* What follows down.*?\*/(.*)/\* End of what cffi reads", text, re.DOTALL)
    if found is None:
        raise SystemExit(f"{HEADER} has lost the marks around what cffi reads")
    return found.group(1)


def builder() -> FFI:
    """Return the configured builder; paths are relative to the root of the repository."""
    ffi = FFI()
    ffi.cdef(declarations())
    compile_arguments = ["-O3", "-g", "-std=gnu11", "-fvisibility=hidden", "-D_GNU_SOURCE", *WARNINGS]
    link_arguments = ["-pthread", "-lm"]
    for library, macro in LIBRARIES.items():
        flags = pkg_config("--cflags", library)
        libraries = pkg_config("--libs", library)
        if flags is not None and libraries is not None:
            compile_arguments += [f"-D{macro}", *flags]
            link_arguments += libraries
        else:
            sys.stderr.write(f"pbx.native: {library} is not installed; what it is for is left out\n")
    ffi.set_source(
        "pbx.native._engine",
        PREAMBLE,
        sources=sorted(str(path.relative_to(ROOT)) for path in (ROOT / SOURCES).glob("*.c")),
        depends=sorted(str(path.relative_to(ROOT)) for path in (ROOT / SOURCES).parent.rglob("*.h")),
        include_dirs=[str(SOURCES)],
        extra_compile_args=compile_arguments,
        extra_link_args=link_arguments,
    )
    return ffi


def build_in_place() -> None:
    """Compile beside the sources; objects go to build/. Reads no pyproject.toml, so that any setuptools will do."""
    from cffi.setuptools_ext import cffi_modules
    from setuptools import Distribution

    os.chdir(ROOT)
    distribution = Distribution({"name": "tandem-pbx", "packages": []})
    cffi_modules(distribution, "cffi_modules", ["pbx/native/build.py:ffibuilder"])
    command = distribution.get_command_obj("build_ext")
    command.inplace = True
    command.build_temp = "build/native"
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    build_in_place()
else:
    ffibuilder = builder()
