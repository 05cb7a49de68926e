from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from pbx.errors import ConfigurationError
from pbx.loading import examine, load_configured

PBX = """
    trunks: {a: {address: sip:a}}
    extensions: {"1": {password: correct-horse}}
    media: {sounds: [sounds]}
    dialplan: plan.yaml
"""
PLAN = "routes: [{name: r, when: {from: extension, number: '2'}, do: [{dial: trunk/a}]}]\n"


def write(folder: Path, pbx: str = PBX, plan: str = PLAN) -> Path:
    (folder / "plan.yaml").write_text(dedent(plan))
    path = folder / "pbx.yaml"
    path.write_text(dedent(pbx))
    path.chmod(0o600)
    return path


def faults(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_configured(path, {})
    return [fault.removeprefix(f"{path.parent}/") for fault in caught.value.faults]


def test_both_together(tmp_path: Path) -> None:
    configured = load_configured(write(tmp_path, plan="numbering: {emergency: []}\n" + PLAN), {})
    assert configured.warnings == ()
    assert [route.name for route in configured.dialplan.routes] == ["r"]


def test_faults_of_both_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, PBX + "    x: 1\n", "routes: [{name: r, do: [{dial: trunk/b}, {dail: x}]}]\n")
    assert [fault.split(": ")[0] for fault in faults(path)] == ["pbx.yaml:6:1", "plan.yaml:1:32", "plan.yaml:1:43"]


def test_a_plan_whose_tests_fail_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, plan=PLAN + "tests: [{call: {from: extension/1, number: '2'}, expect: {route: q}}]\n")
    (fault,) = faults(path)
    assert fault.startswith("plan.yaml:2:66: test failed: the call from extension/1 to 2 has route r, not q")
    assert examine(path, {}).dialplan is not None  # for `pbx explain`


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "plan.yaml").unlink()
    (fault,) = faults(path)
    assert fault.startswith(f"pbx.yaml:5:11: there is no dialplan {tmp_path}/plan.yaml; correct the path")


def test_without_a_plan_extensions_reach_each_other(tmp_path: Path) -> None:
    path = write(tmp_path, PBX.replace("dialplan: plan.yaml", ""))
    configured = load_configured(path, {})
    assert [route.name for route in configured.dialplan.routes] == ["extensions"]
    assert [str(warning) for warning in configured.warnings] == [
        f"{path}: there is no `dialplan:`; extensions reach each other, and nothing else is routed"
    ]


def test_sounds_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "sounds" / "digits").mkdir(parents=True)
    (tmp_path / "sounds" / "digits" / "1.wav").touch()
    (tmp_path / "sounds" / "x.ogg").touch()
    plan = "routes: [{name: r, do: [{play: [digits/1, x.ogg, gone, '{recording}', 'x{number}']}]}]\n"
    path = write(tmp_path, plan=plan)
    assert [str(warning) for warning in load_configured(path, {}).warnings] == [
        f"{tmp_path}/plan.yaml:1:50: there is no sound `gone` in {tmp_path}/sounds; put it there, or install "
        "asterisk-core-sounds-en-wav"
    ]


def test_tones_and_ways_to_say_that_there_are_not_are_faults(tmp_path: Path) -> None:
    """They can never be heard, and a caller would find that out."""
    plan = """
        routes:
          - name: r
            when: {from: extension, number: "2"}
            do:
              - play: [tone:bussy, tone:busy/xx, tone:425/480, tone:busy/de]
              - play: ['say:nummer/42', 'say:number/{caller}', 'say:nummer/{caller}', 'say:date/tomorrow', say:time]
              - dial: trunk/a
                ringback: tone:ring
                record: {announce: tone:none}
    """
    pbx = PBX + "    recording: {announce: 'tone:beeep'}\n"
    assert [fault.split(";")[0] for fault in faults(write(tmp_path, pbx, plan))] == [
        "pbx.yaml:6:23: `tone:beeep` cannot be played: there is no tone `beeep`",
        "plan.yaml:6:16: `tone:bussy` cannot be played: there is no tone `bussy`",
        "plan.yaml:6:28: `tone:busy/xx` cannot be played: there are no tones of `xx`",
        "plan.yaml:7:16: `say:nummer/42` cannot be played: `nummer` cannot be said",
        "plan.yaml:7:56: `say:nummer/` cannot be played: `nummer` cannot be said",
        "plan.yaml:7:79: `say:date/tomorrow` cannot be played: `tomorrow` is no moment",
        "plan.yaml:9:19: `tone:ring` cannot be played: there is no tone `ring`",
        "plan.yaml:10:28: `tone:none` cannot be played: there is no tone `none`",
    ]


def test_a_country_and_a_language_that_there_are_not_are_faults(tmp_path: Path) -> None:
    pbx = PBX.replace("{sounds: [sounds]}", "{sounds: [sounds], tones: gb, language: klingon}")
    plan = "routes: [{name: r, do: [{play: [tone:busy, say:number/1]}]}]\n"
    first, second = faults(write(tmp_path, pbx, plan))
    assert first.startswith("pbx.yaml:4:34: media.tones: there are no tones of `gb`; known are ")
    assert second.startswith("pbx.yaml:4:48: media.language: The language pack ")
    assert "cannot be read" in second


def test_features_are_available_once_the_server_has_them(tmp_path: Path) -> None:
    path = write(tmp_path, plan="routes: [{name: r, do: [{voicemail: '1'}]}]\n")
    assert len(examine(path, {}).warnings) == 1
    assert examine(path, {}, {"voicemail"}).warnings == ()
