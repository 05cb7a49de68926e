"""What pyproject.toml cannot say: the native media engine is compiled with the package, and on demand, by
TANDEM_COMPILE=1, the modules that a call goes through (scripts/compiled_rooms.py), with mypyc.

    TANDEM_COMPILE=1 pip wheel --no-deps .       a compiled wheel, for this version of Python and this machine
    TANDEM_COMPILE=1 pip install .               the same, installed

The same source runs either way. An editable installation is never compiled, whatever is said: a changed .py beside an
old .so would run the old one.
"""

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
ASKED = os.environ.get("TANDEM_COMPILE") == "1"
COMPILER = "mypy>=2.4,<3"
"""What compiling needs beside what pyproject.toml names; pip fetches it for the time of the build."""


class BuildSideBySide(build_ext):
    """Runs as many C compilers as there are processors; setuptools runs one, for all files of mypyc's one library."""

    def build_extensions(self) -> None:
        """Build everything."""
        compile_in_turn = self.compiler.compile

        def compile_side_by_side(sources, **options):
            largest_first = sorted(sources, key=os.path.getsize, reverse=True)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = pool.map(lambda source: compile_in_turn([source], **options), largest_first)
                return [one for compiled_now in objects for one in compiled_now]

        self.compiler.compile = compile_side_by_side
        super().build_extensions()


def prepared(modules: list[str]) -> Path:
    """Return a copy of the package as mypyc is given it: its dataclasses have their constructors written out."""
    from constructors import write_out

    tree = ROOT / "build" / "mypyc"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT / "pbx", tree / "pbx", ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.c"))
    for name in modules:
        path = tree / name
        path.write_text(write_out(path.read_text()))
    return tree


def compiled() -> list[Extension]:
    """Return the extensions that mypyc makes of what is compiled."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from compiled_rooms import compiled_modules

    try:
        from mypyc.build import mypycify
    except ImportError:
        sys.exit(f"TANDEM_COMPILE=1 without build isolation: pip install setuptools cffi '{COMPILER}'")
    modules = compiled_modules()
    tree = prepared(modules)
    configuration = tree / "mypyc.ini"
    # Everything is checked by `make lint`; here only what is compiled is looked at, with or without the libraries.
    configuration.write_text("[mypy]\nfollow_imports = silent\nignore_missing_imports = True\n")
    os.chdir(tree)
    try:
        extensions = mypycify(
            [f"--config-file={configuration}", *modules],
            opt_level=os.environ.get("TANDEM_COMPILE_LEVEL", "2"),
            debug_level="0",
            multi_file=True,
            target_dir=str(ROOT / "build" / "mypyc" / "c"),
        )
    finally:
        os.chdir(ROOT)
    for extension in extensions:
        extension.sources = [os.path.relpath(source, ROOT) for source in extension.sources]  # as a wheel wants them
        # Only Python looks up anything in it: functions that are not seen outside are called without a detour.
        ours = ["-include", str(ROOT / "scripts" / "cold.h"), "-fvisibility=hidden"]
        extension.extra_compile_args = [*extension.extra_compile_args, *ours]  # all have the same list
    return extensions


if __name__ == "__main__":
    setup(
        cffi_modules=["pbx/native/build.py:ffibuilder"],
        cmdclass={"build_ext": BuildSideBySide},
        ext_modules=compiled() if ASKED and "bdist_wheel" in sys.argv else [],
        setup_requires=[COMPILER] if ASKED else [],
    )
