"""The table: one line a figure, as aligned Markdown, which reads as well in a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Heading", "Line", "Row", "fill", "number", "ratio", "render"]


@dataclass(frozen=True)
class Heading:
    """The first line of a group: what was done, and with whom Tandem is compared there."""

    text: str
    beside: str = ""


@dataclass(frozen=True)
class Row:
    """One figure."""

    what: str
    tandem: str
    beside: str = ""
    ratio: str = ""
    """Tandem's by the other's."""
    goal: str = ""
    met: bool | None = None


Line = Heading | Row

_COLUMNS = ("", "Tandem", "beside", "ratio", "goal", "met")
_MET = {True: "yes", False: "**no**", None: ""}


def number(value: float, unit: str = "") -> str:
    """Return a figure with three significant digits; n/a if there is none."""
    if math.isnan(value):
        return "n/a"
    text = f"{value:,.0f}" if abs(value) >= 99.95 or value == 0 else f"{value:#.3g}"
    return f"{text} {unit}".rstrip()


def ratio(value: float | None) -> str:
    """Return a ratio; empty if there is none."""
    return "" if value is None or math.isnan(value) else f"{value:.2f}"


def render(lines: Sequence[Line]) -> str:
    """Return the table."""
    cells = [_COLUMNS]
    for line in lines:
        if isinstance(line, Heading):
            cells.append((f"**{line.text}**", "", f"*{line.beside}*" if line.beside else "", "", "", ""))
        else:
            cells.append((line.what, line.tandem, line.beside, line.ratio, line.goal, _MET[line.met]))
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(_COLUMNS))]
    texts = [_row(row, widths) for row in cells]
    rule = "|" + "-" * (widths[0] + 2) + "|" + "|".join("-" * (width + 1) + ":" for width in widths[1:]) + "|"
    return "\n".join([texts[0], rule, *texts[1:]]) + "\n"


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, rest = cells[0].ljust(widths[0]), zip(cells[1:], widths[1:], strict=True)
    return f"| {first} | " + " | ".join(cell.rjust(width) for cell, width in rest) + " |"


def fill(path: Path, name: str, text: str) -> None:
    """Put a text between the markers `<!-- NAME -->` and `<!-- /NAME -->` of a document. ValueError if they are not
    there."""
    document = path.read_text()
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    if begin not in document or end not in document:
        raise ValueError(f"{path} has no {begin.strip()} … {end}")
    head, _, rest = document.partition(begin)
    _, _, tail = rest.partition(end)
    path.write_text(f"{head}{begin}{text}{end}{tail}")
