from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pbx.cli.init import default_configuration, initialise, welcome
from pbx.cli.main import application, main
from pbx.errors import EnvironmentFault
from pbx.loading import load_configured

ROOT = Path(__file__).resolve().parents[2]
BRIDGE = str(ROOT / "config" / "bridge.yaml")


@pytest.fixture
def run() -> CliRunner:
    return CliRunner()


def test_check_says_that_all_is_good(run: CliRunner) -> None:
    result = run.invoke(application(), ["check", "-c", BRIDGE])
    assert result.exit_code == 0
    first, title, _, *ways = result.stdout.splitlines()
    assert first == f"{BRIDGE}: good. 1 listener, no extensions, 2 trunks, 2 routes, 3 tests passed; no warnings."
    assert title == "Who reaches what costs money, proven for every number:"
    assert ways[0].split() == ["trunk/carrier,", "extension,", "anybody", "nothing"]
    assert [way.split()[:3] for way in ways[1:]] == [
        ["trunk/customer", kind, "trunk/carrier"] for kind in ("usual", "usual", "international", "premium")
    ]
    assert result.stderr == ""


def test_check_says_every_fault_and_warning(run: CliRunner, tmp_path: Path) -> None:
    path = tmp_path / "pbx.yaml"
    path.write_text("sip: {lisen: 1}\nhttp: {listen: 0.0.0.0:80}\nmedia: 1\n")
    result = run.invoke(application(), ["check", "-c", str(path)])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{path}:1:7: sip has no key `lisen`; did you mean `listen`?",
        f"{path}:3:8: media must be a mapping, `key: value`",
        f"{path}:2:16: warning: http.listen: 0.0.0.0:80 is reached from other machines without TLS; give `certificate` "
        "and `key`",
        f"{path}: 2 faults, 1 warning. Not fit to be served.",
    ]


def test_check_for_programs(run: CliRunner, tmp_path: Path) -> None:
    path = tmp_path / "pbx.yaml"
    path.write_text("x: 1\n")
    result = run.invoke(application(), ["check", "--json", "-c", str(path)])
    assert result.exit_code == 2
    (fault,) = json.loads(result.stdout)["faults"]
    assert (fault["file"], fault["line"], fault["column"]) == (str(path), 1, 1)


def test_explain(run: CliRunner) -> None:
    result = run.invoke(
        application(),
        ["explain", "-c", BRIDGE, "--from", "trunk/customer", "--number", "300", "--at", "2026-11-20T22:00"],
    )
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0].startswith("300 dialled by trunk/customer, Fri 2026-11-20 22:00")
    assert lines[2] == "✗ recorded line 3 300 does not match 2XXX"
    assert lines[3] == "✓ to the carrier line 8 from trunk/customer, 300 matches ."
    assert lines[-1] == "dial trunk/carrier as 300 for 1m"


def test_explain_for_programs(run: CliRunner) -> None:
    arguments = ["explain", "-c", BRIDGE, "--from", "trunk/x", "-n", "2000", "--header", "X-A: b", "--json"]
    result = run.invoke(application(), arguments)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["refusal"] == "no-route"
    assert "there is no trunk `x`" in result.stderr


@pytest.mark.parametrize(
    ("service", "said", "done"),
    [
        (
            "URN:service:sos",
            "It calls 112 in the end, and is decided as if that had been dialled.",
            "trunk/carrier as 112",
        ),
        ("urn:service:counseling", "Nothing says what the service is called by", "reject the caller: no-route"),
    ],
)
def test_explain_says_what_a_service_becomes(run: CliRunner, service: str, said: str, done: str) -> None:
    result = run.invoke(application(), ["explain", "-c", BRIDGE, "--from", "trunk/customer", "--number", service])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{service} dialled by trunk/customer")
    assert said in result.stdout
    assert done in result.stdout
    assert ("It is an emergency call" in result.stdout) is ("sos" in service)
    as_data = run.invoke(application(), ["explain", "-c", BRIDGE, "--from", "trunk/customer", "-n", service, "--json"])
    found = json.loads(as_data.stdout)
    assert (found["call"]["number"], found["emergency"]) == (service, "sos" in service)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--from", "trunk", "--number", "1"],
        ["--from", "trunk/a", "--number", "1", "--at", "noon"],
        ["--from", "trunk/a", "--number", "1", "--header", "x"],
    ],
)
def test_explain_wants_what_it_understands(run: CliRunner, arguments: list[str]) -> None:
    assert run.invoke(application(), ["explain", "-c", BRIDGE, *arguments]).exit_code == 2


def test_explain_knows_extensions_and_works_in_spite_of_faults(run: CliRunner, tmp_path: Path) -> None:
    made = initialise(tmp_path / "v")
    made.path.write_text(made.path.read_text() + "x: 1\n")
    arguments = ["explain", "-c", str(made.path), "--from", "extension/101", "--number", "102", "--json"]
    result = run.invoke(application(), arguments)
    assert result.exit_code == 0
    assert "has faults" in result.stderr
    assert json.loads(result.stdout)["call"]["caller"] == "101"


def test_init_makes_what_can_be_served_at_once(run: CliRunner, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "pbx"
    result = run.invoke(application(), ["init", str(folder)])
    assert result.exit_code == 0, result.output
    configured = load_configured(folder / "pbx.yaml", {})
    assert [str(each) for each in configured.warnings if "there is no sound" not in str(each)] == []
    assert configured.settings.storage.directory == folder
    passwords = {each.password.reveal() for each in configured.settings.extensions.values()}
    assert len(passwords) == 2
    assert all(password in result.stdout for password in passwords)
    for path in (folder / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "secrets").stat().st_mode) == 0o700
    assert not any(password in (folder / "pbx.yaml").read_text() for password in passwords)


def test_init_touches_nothing_that_is_there(run: CliRunner, tmp_path: Path) -> None:
    first = initialise(tmp_path)
    assert first.created
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert not initialise(tmp_path).created
    result = run.invoke(application(), ["init", str(tmp_path)])
    assert isinstance(result.exception, EnvironmentFault)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_interrupted_init_is_done_again(tmp_path: Path) -> None:
    initialise(tmp_path)
    secret = (tmp_path / "secrets" / "101").read_text()
    (tmp_path / "pbx.yaml").unlink()
    assert initialise(tmp_path).created
    assert (tmp_path / "secrets" / "101").read_text() == secret


def test_init_says_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        initialise(tmp_path / "file" / "below")


def test_the_default_is_made_at_first_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_configuration({}) == Path("var/pbx.yaml")
    assert default_configuration({"PBX_CONFIG": "x.yaml"}) == Path("x.yaml")
    lines = "\n".join(welcome(load_configured(Path("var/pbx.yaml"), {}).settings))
    for word in ("101", "102", "600", "601", "602", "http://127.0.0.1:8080"):
        assert word in lines


def test_main_turns_errors_into_exit_codes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code, says in (
        (["explain", "-c", "/nonexistent/x.yaml", "--from", "trunk/a", "--number", "1"], 2, "there is no such file"),
        (["init", "/dev/null/x"], 1, "cannot be written"),
        (["check", "-c", BRIDGE], 0, ""),
        (["chekc"], 2, "No such command"),
    ):
        monkeypatch.setattr(sys, "argv", ["pbx", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == code
        assert says in capsys.readouterr().err


def test_check_loads_no_reactor() -> None:
    program = (
        "import sys\nfrom pbx.cli import check, explain, init, main\nprint([m for m in sys.modules if m == 'twisted'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_check_may_be_quiet(run: CliRunner, tmp_path: Path) -> None:
    result = run.invoke(application(), ["check", "--quiet", "-c", BRIDGE])
    assert (result.exit_code, result.output) == (0, "")
    path = tmp_path / "pbx.yaml"
    path.write_text("x: 1\n")
    result = run.invoke(application(), ["check", "--quiet", "-c", str(path)])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{path}:1:1: ")


def test_what_the_unit_and_the_image_say_is_understood(run: CliRunner) -> None:
    unit = [line for line in (ROOT / "systemd" / "pbx.service").read_text().splitlines() if "/bin/pbx " in line]
    image = (ROOT / "Dockerfile").read_text()
    health = json.loads(image[image.index('CMD ["pbx",') + len("CMD ") :].splitlines()[0])
    commands = [line.partition("/bin/pbx ")[2].split() for line in unit] + [health[1:]]
    assert [command[0] for command in commands] == ["check", "serve", "status"]
    for command in commands:
        result = run.invoke(application(), [*command, "--help"])
        assert result.exit_code == 0, result.output
