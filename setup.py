"""What pyproject.toml cannot say: the native media engine is compiled with the package, and on demand, by
TANDEM_COMPILE=1, the rooms that a call goes through, with mypyc. The same source runs either way.

An editable installation is never compiled, whatever is said: a changed .py beside an old .so would run the old one.
"""

import os
import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup

ROOT = Path(__file__).resolve().parent

COMPILED = (
    "pbx/errors.py pbx/cause.py pbx/ids.py pbx/numbers.py pbx/failover.py",
    "pbx/sip/*.py pbx/sip/ext/*.py pbx/sip/digest/*.py pbx/sdp/*.py",
    "pbx/call/*.py pbx/call/leg/*.py pbx/features/*.py",
    "pbx/media/[celpqs]*.py pbx/media/judging.py pbx/media/keys.py pbx/media/relayed.py pbx/media/transcoding.py",
    "pbx/dialplan/[acdmnprstw]*.py",
    "pbx/net/addresses.py pbx/net/contact.py pbx/net/driver.py pbx/net/hosts.py pbx/net/network.py pbx/net/outgoing.py",
    "pbx/net/replies.py pbx/net/resolver.py pbx/net/routing.py pbx/net/trace.py pbx/net/transactions.py",
    "pbx/net/transport.py",
    "pbx/app/budgeting.py pbx/app/directory.py pbx/app/observer.py pbx/app/wall_clock.py",
    "pbx/ops/watches.py pbx/security/*.py pbx/trunks/table.py pbx/trunks/health.py pbx/store/call_records.py",
)
"""Patterns of the modules that are compiled together; a call across the border to an interpreted one costs what was
gained, so everything between socket and socket is in it."""

INTERPRETED = (
    "__init__.py diagram.py",
    "pbx/sip/effects.py",  # its fields name classes of modules that are imported later, which mypyc takes for loaded
    "pbx/media/engine*.py pbx/media/srtp.py",  # cffi
    "*_loader.py pbx/dialplan/checks.py pbx/dialplan/proof.py pbx/dialplan/rehearsal.py pbx/dialplan/reader.py",
    "pbx/dialplan/scope.py pbx/dialplan/selftest.py",  # at start and reload only
)


def compiled_modules() -> list[str]:
    """Return the modules to compile, as paths below the root."""
    left_out = [pattern for line in INTERPRETED for pattern in line.split()]
    found = [path for line in COMPILED for pattern in line.split() for path in sorted(ROOT.glob(pattern))]
    return [str(path.relative_to(ROOT)) for path in found if not any(path.match(pattern) for pattern in left_out)]


def wanted() -> bool:
    """Return whether what is being built is to be compiled."""
    return os.environ.get("TANDEM_COMPILE") == "1" and "bdist_wheel" in sys.argv


def prepared() -> Path:
    """Return a copy of the package as mypyc is given it: its dataclasses have their constructors written out."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from constructors import write_out

    tree = ROOT / "build" / "mypyc"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT / "pbx", tree / "pbx", ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.c"))
    for name in compiled_modules():
        path = tree / name
        path.write_text(write_out(path.read_text()))
    return tree


def compiled() -> list[Extension]:
    """Return the extensions that mypyc makes of them."""
    try:
        from mypyc.build import mypycify
    except ImportError:
        sys.exit("TANDEM_COMPILE=1 needs mypy: pip install mypy setuptools cffi, and build with --no-build-isolation")
    modules, tree = compiled_modules(), prepared()
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
        extension.extra_compile_args += ["-include", str(ROOT / "scripts" / "cold.h"), "-fvisibility=hidden"]
    return extensions


if __name__ == "__main__":
    setup(cffi_modules=["pbx/native/build.py:ffibuilder"], ext_modules=compiled() if wanted() else [])
