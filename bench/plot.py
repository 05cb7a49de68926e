"""A small plot as SVG: panels one above the other over one horizontal axis, a line each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

__all__ = ["Panel", "draw"]

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 64, 16, 28, 44
_HEIGHT, _GAP = 110, 30
_INK, _GRID, _LINE = "#24292f", "#d8dee4", "#0969da"
_FONT = 'font-family="sans-serif" font-size="12"'
_TICKS = 4


@dataclass(frozen=True)
class Panel:
    """One line: what it shows, with its unit, and its values, one for each place on the axis."""

    title: str
    values: Sequence[float]


def draw(axis: str, places: Sequence[float], panels: Sequence[Panel], marks: Sequence[tuple[float, str]] = ()) -> str:
    """Return the plot of panels over `places`; `marks` are places with a word to them. ValueError without places."""
    if not places:
        raise ValueError("nothing to draw")
    height = _TOP + len(panels) * (_HEIGHT + _GAP) - _GAP + _BOTTOM
    horizontal = _ticks(0, max(places))
    scale = (_WIDTH - _LEFT - _RIGHT) / (horizontal[-1] or 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {_FONT}>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for index, panel in enumerate(panels):
        top = _TOP + index * (_HEIGHT + _GAP)
        parts += _panel(panel, top, [_LEFT + place * scale for place in places])
        parts += [_vertical(_LEFT + place * scale, top) for place, _ in marks]
    bottom = height - _BOTTOM
    parts += [_text(_LEFT + place * scale, bottom + 16, _label(place), "middle") for place in horizontal]
    parts += [_text(_LEFT + place * scale, _TOP - 16, word, "middle") for place, word in marks]
    parts += [_text((_LEFT + _WIDTH - _RIGHT) / 2, height - 8, axis, "middle"), "</svg>"]
    return "\n".join(parts) + "\n"


def _panel(panel: Panel, top: float, places: Sequence[float]) -> list[str]:
    ticks = _ticks(min(0, *panel.values), max(panel.values))
    low, high = ticks[0], ticks[-1]

    def at(value: float) -> float:
        return top + _HEIGHT - (value - low) / ((high - low) or 1) * _HEIGHT

    parts = [_text(_LEFT, top - 5, panel.title, "start", bold=True)]
    for tick in ticks:
        y = at(tick)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_GRID}"/>')
        parts.append(_text(_LEFT - 6, y + 4, _label(tick), "end"))
    points = " ".join(f"{x:.1f},{at(value):.1f}" for x, value in zip(places, panel.values, strict=True))
    parts.append(f'<polyline points="{points}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>')
    return parts


def _ticks(low: float, high: float) -> list[float]:
    """Return round values from at most `low` to at least `high`."""
    rough = (high - low) / _TICKS or 1
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * count for count in range(first, max(last, first + 1) + 1)]


def _label(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _vertical(x: float, top: float) -> str:
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + _HEIGHT}" stroke="{_INK}" stroke-dasharray="3 3"/>'


def _text(x: float, y: float, text: str, anchor: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{_INK}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
