"""The C programs of `tests/native/c`, each for a moment: `tests/native/sanitize.sh SECONDS` runs them for longer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_sanitizers_and_fuzzer_find_nothing() -> None:
    if shutil.which("clang") is None:
        pytest.skip("clang is not installed")
    run = subprocess.run(
        [ROOT / "tests" / "native" / "sanitize.sh", "3"], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-6000:]
    assert run.stdout.rstrip().endswith("clean")
