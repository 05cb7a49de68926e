"""A table of rates: what each trunk asks for numbers with a certain beginning, read from CSV.

::

    prefix,trunk,price
    49,telco-a,0.8
    4915,telco-a,4.5
    49,telco-b,1.0

The longest prefix of each trunk counts, the cheapest trunk comes first. Numbers are compared without a leading ``+``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from pbx.dialplan.reader import Reader
from pbx.positions import Position
from pbx.values import dataclass

__all__ = ["Rate", "RateTable", "read_rates"]

_COLUMNS = ("prefix", "trunk", "price")
_LONGEST = 18
"""Digits of a prefix: E.164 has 15, with room for a carrier's own beginning."""
_MOST_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Rate:
    """What a trunk asks for numbers that begin with `prefix`."""

    prefix: str
    trunk: str
    price: Decimal

    def __str__(self) -> str:
        return f"{self.price.normalize():f} for {self.prefix or 'any number'}"


@dataclass(frozen=True, slots=True)
class RateTable:
    """All rates of a file, by prefix."""

    file: str
    rates: dict[str, tuple[Rate, ...]]

    def find(self, number: str) -> tuple[Rate, ...]:
        """Return the rate of each trunk that takes the number, the cheapest first; of equal ones the one that stands
        first in the file."""
        digits = number.removeprefix("+")
        found: dict[str, Rate] = {}
        for length in range(min(len(digits), _LONGEST), -1, -1):
            for rate in self.rates.get(digits[:length], ()):
                found.setdefault(rate.trunk, rate)
        return tuple(sorted(found.values(), key=lambda rate: rate.price))

    @property
    def trunks(self) -> tuple[str, ...]:
        """The trunks named, each once."""
        return tuple(dict.fromkeys(rate.trunk for rates in self.rates.values() for rate in rates))


def read_rates(reader: Reader, file: str, lines: Iterable[str]) -> tuple[RateTable, dict[str, Position]]:
    """Read a table, noting faults in `reader`; return it, and where each trunk is first named."""
    rates: dict[str, list[Rate]] = {}
    named: dict[str, Position] = {}
    seen: dict[tuple[str, str], int] = {}
    before = len(reader.faults)
    rows = csv.reader(lines, strict=True)
    header: list[str] = []
    try:
        for row in rows:
            position = Position(file, rows.line_num, 1)
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if not header:
                header = [cell.lower() for cell in cells]
                if not set(_COLUMNS) <= set(header):
                    reader.fault(position, "the first line must name the columns: prefix,trunk,price")
                    break
                continue
            if len(reader.faults) - before >= _MOST_FAULTS:
                reader.fault(position, "there are more faults in this file; correct those above first")
                break
            rate = _rate(reader, position, dict(zip(header, cells, strict=False)))
            if rate is None:
                continue
            first = seen.setdefault((rate.prefix, rate.trunk), position.line)
            if first != position.line:
                reader.fault(position, f"{rate.trunk} has a price for {rate.prefix} already, at line {first}")
                continue
            named.setdefault(rate.trunk, position)
            rates.setdefault(rate.prefix, []).append(rate)
    except csv.Error as error:
        reader.fault(Position(file, rows.line_num, 1), f"this is no CSV: {error}")
    if not rates and len(reader.faults) == before:
        reader.fault(Position(file, 1, 1), "the table has no rates; write lines such as 49,telco-a,0.8")
    return RateTable(file, {prefix: tuple(found) for prefix, found in rates.items()}), named


def _rate(reader: Reader, position: Position, cells: dict[str, str]) -> Rate | None:
    prefix, trunk, price = (cells.get(column, "") for column in _COLUMNS)
    prefix = prefix.removeprefix("+")
    if prefix and not (prefix.isascii() and prefix.isdigit() and len(prefix) <= _LONGEST):
        reader.fault(position, f"`{prefix}` is no beginning of a number; write digits, or nothing for every number")
        return None
    if not trunk:
        reader.fault(position, "the trunk is missing; a line is prefix,trunk,price")
        return None
    try:
        value = Decimal(price)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value < 0:
        reader.fault(position, f"`{price}` is no price; write a number such as 0.8")
        return None
    return Rate(prefix, trunk.removeprefix("trunk/"), value)
