"""What the bench makes of its measurements: figures, the table and its place in a document, a picture, SIPp's logs."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.plot import Panel, draw
from bench.sipp import percentile, results
from bench.table import Heading, Row, fill, number, render

_SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 ms"), (0.0123, "0.0123 ms"), (1.1, "1.10 ms"), (9.999, "10.0 ms"), (99.96, "100 ms"), (2630, "2,630 ms")],
)
def test_figures_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value, "ms") == text


def test_what_could_not_be_measured_is_no_figure() -> None:
    assert number(math.nan, "ms") == "n/a"
    assert math.isnan(percentile([], 0.5))


def test_every_line_of_the_table_is_as_wide_as_the_others() -> None:
    text = render([Heading("A call", "another"), Row("CPU", "1 ms", "4 ms", "0.25", "≤ 0.25", True), Row("lost", "0")])
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert {line.count("|") for line in lines} == {7}
    assert "**A call**" in lines[2]
    assert lines[3].split("|")[6].strip() == "yes"


def test_a_goal_that_is_not_met_is_seen() -> None:
    assert "**no**" in render([Row("CPU", "2 ms", goal="≤ 1 ms", met=False)])


def test_the_table_replaces_the_one_before_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "document.md"
    path.write_text("above\n<!-- bench -->\nold\n<!-- /bench -->\nbelow\n")
    fill(path, "bench", "new\n")
    fill(path, "bench", "newer\n")
    assert path.read_text() == "above\n<!-- bench -->\nnewer\n<!-- /bench -->\nbelow\n"


def test_a_document_without_a_place_for_the_table_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "document.md"
    path.write_text("nothing\n")
    with pytest.raises(ValueError, match="<!-- bench -->"):
        fill(path, "bench", "new\n")
    assert path.read_text() == "nothing\n"


def test_the_picture_has_a_line_for_each_panel_within_its_frame() -> None:
    text = draw("seconds", [0, 1, 2], [Panel("a < b", [5, 7, 6]), Panel("flat", [3, 3, 3])], [(1, "here")])
    root = ElementTree.fromstring(text)
    _, _, width, height = (float(one) for one in root.attrib["viewBox"].split())
    lines = root.findall(f"{_SVG}polyline")
    assert len(lines) == 2
    for line in lines:
        points = [tuple(float(one) for one in point.split(",")) for point in line.attrib["points"].split()]
        assert len(points) == 3
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
    assert "a < b" in [text.text for text in root.findall(f"{_SVG}text")]


def test_a_call_counts_from_its_first_invite_to_its_200_and_no_other_response(tmp_path: Path) -> None:
    (tmp_path / "uac.csv").write_text("SuccessfulCall(C);FailedCall(C)\n0;0\n2;1\n")
    lines = [
        ("100.000000", "S", "1@a", "CSeq:1 INVITE", "INVITE sip:3000@127.0.0.1 SIP/2.0"),
        ("100.000500", "S", "2@a", "CSeq:1 INVITE", "INVITE sip:3000@127.0.0.1 SIP/2.0"),
        ("100.001000", "R", "1@a", "CSeq:1 INVITE", "SIP/2.0 180 Ringing"),
        ("100.002000", "R", "1@a", "CSeq:1 INVITE", "SIP/2.0 200 OK"),
        ("100.300000", "R", "1@a", "CSeq:2 BYE", "SIP/2.0 200 OK"),
        ("100.500500", "S", "2@a", "CSeq:1 INVITE", "INVITE sip:3000@127.0.0.1 SIP/2.0"),
        ("100.501500", "R", "2@a", "CSeq:1 INVITE", "SIP/2.0 200 OK"),
    ]
    (tmp_path / "uac.messages").write_text("".join("\t".join(("d", "t", *line)) + "\n" for line in lines))
    found = results(tmp_path, 4)
    assert (found.done, found.failed) == (2, 2)
    assert found.delays == pytest.approx([2.0, 501.0])
