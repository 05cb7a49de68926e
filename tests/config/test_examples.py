"""The shipped examples work, and what `pbx init` writes is what `config/` shows."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import copytree

import pytest

from pbx.config.tree import parse_tree
from pbx.dialplan.loader import load_dialplan
from pbx.dialplan.selftest import run_tests
from pbx.loading import load_configured

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copytree(ROOT / "config", tmp_path / "config")
    copytree(ROOT / "dialplans", tmp_path / "dialplans")
    for name in ("config/secrets/bob", "config/secrets/telco-a", "config/secrets/telco-b", "config/secrets/api-token"):
        secret(tmp_path / name)
    for name in ("101", "102", "api-token"):
        secret(tmp_path / "var" / "secrets" / name)
    return tmp_path


def secret(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("correct-horse-battery\n")
    path.chmod(0o600)


@pytest.mark.parametrize(("name", "routes", "tests"), [("bridge", 2, 3), ("office", 7, 11), ("default", 4, 4)])
def test_every_example_is_good(folder: Path, name: str, routes: int, tests: int) -> None:
    configured = load_configured(folder / "config" / f"{name}.yaml", {"ALICE_SECRET": "correct-horse-battery"})
    assert len(configured.dialplan.routes) == routes
    assert len(configured.dialplan.tests) == tests
    unexpected = [str(each) for each in configured.warnings if "no `voicemail` yet" not in str(each)]
    assert [each for each in unexpected if "there is no sound" not in each] == []


def test_no_example_is_forgotten() -> None:
    assert sorted(path.stem for path in (ROOT / "config").glob("*.yaml")) == ["bridge", "default", "office"]


def test_what_init_writes_is_what_is_shown() -> None:
    templates = ROOT / "pbx" / "config" / "templates"
    assert (templates / "dialplan.yaml").read_text() == (ROOT / "dialplans" / "default.yaml").read_text()
    shown, written = ((ROOT / "config" / "default.yaml"), (templates / "pbx.yaml"))

    def essence(path: Path) -> list[str]:
        lines = [re.sub(r"\s+#.*", "", line) for line in path.read_text().splitlines() if not line.startswith("#")]
        return [line.replace("../var/", "").replace("../dialplans/default.yaml", "dialplan.yaml") for line in lines]

    differing = [(a, b) for a, b in zip(essence(shown), essence(written), strict=True) if a != b]
    assert differing == [("  directory: ../var", "  directory: .")]


def test_the_examples_of_the_documentation_load_and_pass() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "dialplan.md").read_text(), re.DOTALL)
    assert len(blocks) == 7
    for block in blocks:
        tree = parse_tree(block, "docs/dialplan.md")
        assert tree.root is not None
        loaded = load_dialplan(tree.root, lambda name: (name, "prefix,trunk,price\n49,telco-a,0.8\n"))
        assert loaded.plan is not None, loaded.faults
        assert run_tests(loaded.plan) == ()
