from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from pbx.config.loader import load
from pbx.config.schema import Settings
from pbx.config.secret import Secret, resolve_secret, secrets_in


def secret_file(folder: Path, data: bytes, mode: int = 0o600) -> None:
    path = folder / "s"
    path.write_bytes(data)
    path.chmod(mode)


def test_three_ways_to_write_one(tmp_path: Path) -> None:
    secret_file(tmp_path, b"hunter2\n", 0o640)
    assert resolve_secret("plain", tmp_path, {}).reveal() == "plain"
    assert resolve_secret("env:X", tmp_path, {"X": "v"}).reveal() == "v"
    assert resolve_secret("file:s", tmp_path, {}).reveal() == "hunter2"
    assert [resolve_secret(text, tmp_path, {"X": "v"}).origin for text in ("a", "env:X", "file:s")] == [
        "literal",
        "env",
        "file",
    ]


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o666])
def test_a_file_that_everybody_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    secret_file(tmp_path, b"hunter2", mode)
    with pytest.raises(ValueError, match="open to everybody") as caught:
        resolve_secret("file:s", tmp_path, {})
    assert "chmod 600" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("env:", "names no variable"),
        ("env:NOPE", "NOPE is not set"),
        ("env:EMPTY", "EMPTY is empty"),
        ("file:", "names no file"),
        ("file:nope", "does not exist"),
        ("file:.", "cannot be read"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        resolve_secret(text, tmp_path, {"EMPTY": ""})


@pytest.mark.parametrize(
    ("data", "says"), [(b"", "is empty"), (b"\n", "is empty"), (b"a\nb", "one line"), (b"\xff", "UTF-8")]
)
def test_files_that_hold_no_secret(tmp_path: Path, data: bytes, says: str) -> None:
    secret_file(tmp_path, data)
    with pytest.raises(ValueError, match=says):
        resolve_secret("file:s", tmp_path, {})


def test_nothing_prints_one() -> None:
    secret = Secret("hunter2")
    settings = Settings.model_construct(http=secret)
    for text in (repr(secret), str(secret), f"{secret}", f"{secret!r}", repr(settings), str(settings)):
        assert "hunter2" not in text
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_equality() -> None:
    assert Secret("ä") == Secret("ä", "env")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_every_secret_of_a_configuration_is_found(tmp_path: Path) -> None:
    """So that a log can cross out each, those of sections to come too."""
    (tmp_path / "pbx.yaml").write_text(
        "extensions: {'1': {password: the-phone-s}}\n"
        "trunks: {a: {address: sip:a, username: u, password: the-trunk-s}, b: {address: sip:b}}\n"
        "http: {token: the-token}\n"
        "storage: {database: 'sqlite:///the-database'}\n"
        "sip: {listen: ['udp://127.0.0.1:0'], hep: {collector: 'udp://127.0.0.1:9060', key: the-collector-s}}\n"
    )
    found = {secret.reveal() for secret in secrets_in(load(tmp_path / "pbx.yaml", {}))}
    assert found == {"the-phone-s", "the-trunk-s", "the-token", "sqlite:///the-database", "the-collector-s"}
