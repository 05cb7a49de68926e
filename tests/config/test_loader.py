from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from types import MappingProxyType

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pbx.config.kinds import Section
from pbx.config.loader import load, read
from pbx.config.pending import PENDING
from pbx.config.reference import _sections_in
from pbx.config.schema import HostPort, Listener, ListenUri, Settings, Sip
from pbx.errors import ConfigurationError

CASES = yaml.safe_load(Path(__file__).with_name("faults.yaml").read_text("utf-8"))


def write(folder: Path, text: str) -> Path:
    path = folder / "pbx.yaml"
    path.write_text(dedent(text), "utf-8")
    path.chmod(0o600)
    return path


def faults(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    path = write(folder, text)
    return [str(fault).removeprefix(f"{path}:") for fault in read(path, environ or {}).faults]


def warnings(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    reading = read(path, {})
    assert reading.faults == ()
    return [str(warning).removeprefix(f"{path}:") for warning in reading.warnings]


def test_the_smallest_configuration(tmp_path: Path) -> None:
    settings = load(write(tmp_path, "extensions: {'101': {password: correct-horse}}"), {})
    assert [str(each.uri) for each in settings.sip.listen] == ["udp://0.0.0.0:5060", "tcp://0.0.0.0:5060"]
    assert settings.http.listen == HostPort("127.0.0.1", 8080)
    assert settings.http.token is None
    assert settings.storage.directory == tmp_path / "var"
    assert settings.storage.recordings_directory == tmp_path / "var" / "recordings"
    assert settings.storage.database_url.reveal() == f"sqlite:///{tmp_path}/var/tandem.db"
    assert settings.extensions["101"].password.reveal() == "correct-horse"
    assert settings.dialplan is None


def test_everything_that_can_be_written(tmp_path: Path) -> None:
    text = """
        sip:
          listen:
            - udp://127.0.0.1:5070
            - {uri: "tcp://[::1]", external_address: "2001:db8::1", local_networks: 10.0.0.0/8}
          domain: example.com
          keep_alive: null
          session_timer: {mode: off, expires: 1h}
          digest: {algorithms: SHA-256, nonce_lifetime: 1m30s}
        media: {ports: 30000-30999, codecs: [opus, pcma], no_media_timeout: 30s, sounds: [sounds]}
        storage: {directory: data, database: "env:DB", recordings: /rec, recording_failure: end}
        http: {listen: "[::1]:8081", token: t0psecret}
        trunks:
          a: {address: "sip:192.0.2.7;transport=tcp", username: u, password: p4ssword, max_calls: 3}
          b: {address: sip:carrier.example, identify: [], caller: own, caller_number: "030"}
          c: {address: sip:carrier.example, identify: "192.0.2.8:5080"}
        extensions:
          101: {password: longenough, name: Alice, codecs: opus}
          "0102": {password: longenough}
        registrar: {max_contacts: 3}
        limits: {calls: 100, max_duration: null}
        log: {level: debug, format: json, file: log/pbx.log}
        dialplan: ../plan.yaml
    """
    settings = load(write(tmp_path, text), {"DB": "postgresql://x"})
    assert settings.sip.listen == (
        Listener(uri=ListenUri("udp", "127.0.0.1", 5070)),
        Listener(
            uri=ListenUri("tcp", "::1", 5060),
            external_address="2001:db8::1",
            local_networks=settings.sip.listen[1].local_networks,
        ),
    )
    assert str(settings.sip.listen[1].local_networks) == "(IPv4Network('10.0.0.0/8'),)"
    assert settings.sip.keep_alive is None
    assert (settings.sip.session_timer.mode, settings.sip.session_timer.expires) == ("off", 3600)
    assert settings.sip.digest.algorithms == ("SHA-256",)
    assert settings.media.codecs == ("opus", "PCMA")
    assert settings.media.sounds == (tmp_path / "sounds",)
    assert settings.storage.directory == tmp_path / "data"
    assert settings.storage.recordings_directory == Path("/rec")
    assert settings.storage.database_url.reveal() == "postgresql://x"
    assert [str(each) for each in settings.trunks["a"].identified_by] == ["192.0.2.7"]
    assert settings.trunks["b"].identified_by == ()
    assert [str(each) for each in settings.trunks["c"].identified_by] == ["192.0.2.8:5080"]
    assert list(settings.extensions) == ["101", "0102"]
    assert settings.limits.max_duration is None
    assert settings.log.file == tmp_path / "log" / "pbx.log"
    assert settings.dialplan == tmp_path.parent / "plan.yaml"


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load(write(tmp_path, "extensions: {'1': {password: longenough}}"), {})
    with pytest.raises(ValidationError):
        settings.sip.t1 = 1.0
    assert isinstance(settings.extensions, MappingProxyType)
    assert isinstance(Settings.model_fields, dict)


@pytest.mark.parametrize("text", ["http: null", "http: {listen: null}", "http:"])
def test_http_can_be_turned_off(tmp_path: Path, text: str) -> None:
    assert load(write(tmp_path, text), {}).http.listen is None


def test_empty_sections_have_their_defaults(tmp_path: Path) -> None:
    settings = load(write(tmp_path, "sip:\nmedia:\nstorage:\ntrunks:\nextensions:\nlimits:\n"), {})
    assert settings.sip == Sip()
    assert settings.trunks == {}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"])
def test_faults(tmp_path: Path, case: dict[str, str]) -> None:
    assert faults(tmp_path, case["text"]) == [case["fault"].replace("FOLDER", str(tmp_path))]


def test_all_faults_at_once(tmp_path: Path) -> None:
    text = """
        sip:
          listen: ["udp://1.1.1.1:5060", udp://x, "udp://1.1.1.1:5060"]
          lissten: 1
        registrar: {min_expires: 2h}
        trunks:
          a: {address: nonsense, usrname: x}
          b: {address: sip:b, caller: own}
        extensions:
          "1": {password: "env:NOPE"}
          "2": {}
        media: 7
    """
    found = [fault.split(": ")[0] for fault in faults(tmp_path, text)]
    assert found == ["3:34", "4:3", "5:26", "7:16", "7:26", "8:31", "10:19", "11:3", "12:8"]


def test_names_and_dialplan_are_known_even_with_faults(tmp_path: Path) -> None:
    reading = read(write(tmp_path, "trunks: {a: 1, b: {}}\nextensions: {'1': }\ndialplan: p.yaml\nx: 1"), {})
    assert reading.settings is None
    assert (reading.trunks, reading.extensions) == (("a", "b"), ("1",))
    assert reading.dialplan == tmp_path / "p.yaml"


def test_load_raises_every_fault(tmp_path: Path) -> None:
    path = write(tmp_path, "x: 1\ny: 2")
    with pytest.raises(ConfigurationError) as caught:
        load(path, {})
    assert [fault.split(": ")[0] for fault in caught.value.faults] == [f"{path}:1:1", f"{path}:2:1"]


def test_no_fault_or_setting_shows_a_secret(tmp_path: Path) -> None:
    text = """
        http: {token: hunter2-token, tokn: hunter2-typo}
        trunks: {a: {address: "sip:u:hunter2-uri@h", password: hunter2-trunk, usrname: x}}
        extensions: {"1": {password: hunter2-phone}, "2": {password: [hunter2-list]}}
        storage: {database: "env:DB"}
    """
    reading = read(write(tmp_path, text), {"DB": "hunter2-db"})
    assert reading.faults
    assert "hunter2" not in "\n".join(map(str, reading.faults + reading.warnings))
    good = load(write(tmp_path, "http: {token: hunter2}\nextensions: {'1': {password: hunter2-phone}}"), {})
    assert "hunter2" not in repr(good) + str(good)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("extensions: {'101': {password: '101'}}", "1:32: the password of 101 is what everybody tries first"),
        ("extensions: {'101': {password: short}}", "1:32: the password of 101 is shorter than 8 characters"),
        ("http: {listen: 0.0.0.0:8080}", "1:16: http.listen: 0.0.0.0:8080 is reached from other machines without TLS"),
        (
            "limits: {calls: 5}\nmedia: {ports: 20000-20003}",
            "1:17: media.ports (20000-20003) has room for 1 calls only",
        ),
        (
            "extensions: {'101': {password: longenough, mailbox: '1'}}",
            "1:44: `mailbox` has no effect yet",
        ),
        ("media: {srtp: require}", "1:15: the keys of encrypted audio go through signalling that anybody"),
        (
            "extensions: {'101': {password: longenough, srtp: prefer}}",
            "1:50: the keys of encrypted audio go through signalling that anybody",
        ),
        (
            "trunks: {x: {address: 'sip:192.0.2.1', srtp: require}}",
            "1:46: the keys of encrypted audio go to the trunk `x` through signalling",
        ),
    ],
)
def test_warnings(tmp_path: Path, text: str, says: str) -> None:
    (warning,) = warnings(tmp_path, text)
    assert warning.startswith(says)


@pytest.mark.parametrize(
    "text",
    [
        "sip: {listen: ['tls://127.0.0.1:5061']}\nmedia: {srtp: require}\nextensions: {'101': {password: longenough}}",
        "trunks: {x: {address: 'sip:192.0.2.1;transport=tls', srtp: require}}",
        "trunks: {x: {address: 'sip:192.0.2.1'}}",
    ],
)
def test_keys_that_nobody_reads(tmp_path: Path, text: str) -> None:
    assert warnings(tmp_path, text) == []


def test_keys_without_effect_are_said(tmp_path: Path) -> None:
    text = "extensions:\n  '1': {password: longenough, mailbox: '1'}\n  '2': {mailbox: '2', password: longenough}\n"
    assert warnings(tmp_path, text) == [
        "2:31: `mailbox` has no effect yet; the server does not heed it",
        "3:9: `mailbox` has no effect yet; the server does not heed it",
    ]


@pytest.mark.parametrize("path", PENDING)
def test_keys_without_effect_are_keys(path: str) -> None:
    model: type[Section] = Settings
    for part in path.split("."):
        if part == "*":
            continue
        inner = _sections_in(model.model_fields[part].annotation)
        model = inner[0] if inner else Section


def test_secrets_in_a_file_that_everybody_can_read(tmp_path: Path) -> None:
    path = write(tmp_path, "extensions: {'1': {password: longenough}}")
    path.chmod(0o644)
    (warning,) = read(path, {}).warnings
    assert "this file holds secrets and is open to everybody" in str(warning)


VALUES = st.recursive(
    st.sampled_from(["1", "x", "null", "'101'", "udp://1.2.3.4", "20s", "sip:a", "env:X", "file:.", "true", "", "'0'"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(
            st.sampled_from(
                [
                    *Settings.model_fields,
                    *Sip.model_fields,
                    "uri",
                    "address",
                    "password",
                    "identify",
                    "101",
                    "ports",
                    "x",
                ]
            ),
            inner,
            max_size=5,
        ).map(lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"),
    ),
    max_leaves=25,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(VALUES)
def test_any_values_give_settings_or_faults(tmp_path: Path, text: str) -> None:
    reading = read(write(tmp_path, text), {})
    assert (reading.settings is None) == bool(reading.faults)
