"""How numbers are written: what national numbering plans say, and how each trunk writes a number.

Inside the server a number that is known worldwide is written in E.164, ``+4930123``. A trunk that writes otherwise has
`NumberRules`: what it sends is brought into that form, and what it is sent into its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType

from pbx.values import dataclass

__all__ = ["AS_IS", "COUNTRIES", "FORMATS", "Country", "NumberRules", "TrunkNumbers", "without_separators"]

FORMATS = ("as-is", "e164", "digits", "international", "national", "local")
"""``+4930123``, ``4930123``, ``004930123``, ``030123``, and ``123`` within one's own area; what the last two cannot
write, a number of another country, is international."""

_SEPARATORS = re.compile(r"[-.() /]")
_SHORTEST = 7
"""Digits of the shortest number with a country code; fewer are an extension or a service."""
_SHORTEST_LOCAL = 4
"""Digits of the shortest number within an area; fewer are a service, such as 112."""


@dataclass(frozen=True, slots=True)
class Country:
    """What a country's numbering plan says. National numbers are written without the trunk prefix."""

    trunk: str = "0"
    """Dialled before a national number; empty where there is none."""
    international: tuple[str, ...] = ("00",)
    premium: tuple[str, ...] = ()
    """Beginnings of premium numbers, dialled after the trunk prefix."""
    premium_short: tuple[str, ...] = ()
    """Beginnings of premium numbers that are dialled without the trunk prefix."""
    abroad: tuple[str, ...] = ()
    """Beginnings that share the country code and are billed as international all the same."""
    emergency: tuple[str, ...] = ("112",)
    """Whole numbers, first the one for help of any kind."""
    services: tuple[tuple[str, str], ...] = ()
    """Emergency services with a number of their own (RFC 5031 §4.2, ``police`` for ``sos.police``), and the number."""


# fmt: off
_CARIBBEAN = (
    "242", "246", "264", "268", "284", "345", "441", "473", "649", "658", "664",
    "721", "758", "767", "784", "809", "829", "849", "868", "869", "876",
)
# fmt: on

_ALPINE = ("112", "122", "133", "144")
_BRITISH = ("999", "112")


def _services(police: str = "", fire: str = "", ambulance: str = "") -> tuple[tuple[str, str], ...]:
    known = (("police", police), ("fire", fire), ("ambulance", ambulance))
    return tuple([(name, number) for name, number in known if number])


COUNTRIES = {
    "1": Country("1", ("011",), ("900",), ("976",), _CARIBBEAN, emergency=("911",)),
    "7": Country(
        "8", ("810",), ("803", "809"), emergency=("112", "101", "102", "103"), services=_services("102", "101", "103")
    ),
    "31": Country(premium=("900", "906", "909"), premium_short=("18",)),
    "32": Country(premium=("90",), emergency=("112", "101"), services=_services("101")),
    "33": Country(
        premium=("89",),
        premium_short=("118",),
        emergency=("112", "15", "17", "18", "114"),
        services=_services("17", "18", "15"),
    ),
    "34": Country("", premium=("803", "806", "807", "905", "907", "118")),
    "39": Country(
        "",
        premium=("89", "166", "144", "12"),
        emergency=("112", "113", "115", "118"),
        services=_services("113", "115", "118"),
    ),
    "41": Country(
        premium=("900", "901", "906"),
        premium_short=("18",),
        emergency=("112", "117", "118", "144"),
        services=_services("117", "118", "144"),
    ),
    "43": Country(
        premium=("900", "901", "930", "931", "939"),
        premium_short=("118",),
        emergency=_ALPINE,
        services=_services("133", "122", "144"),
    ),
    "44": Country(premium=("9", "70", "843", "844", "871", "872", "873"), premium_short=("118",), emergency=_BRITISH),
    "48": Country("", premium=("70",), emergency=("112", "997", "998", "999"), services=_services("997", "998", "999")),
    "49": Country(premium=("900", "137"), premium_short=("118",), emergency=("112", "110"), services=_services("110")),
    "61": Country(international=("0011",), premium_short=("190",), emergency=("000", "112", "106")),
    "81": Country(international=("010",), emergency=("110", "118", "119"), services=_services("110", "119", "119")),
}
"""By country code. A country that is not listed has the prefix 00 and no premium numbers but the world's."""


def without_separators(number: str) -> str:
    """Return a number without what people write between its digits."""
    return _SEPARATORS.sub("", number)


@dataclass(frozen=True, slots=True)
class NumberRules:
    """How one trunk writes numbers. Whatever is no number (a name, a service code) is left as it is."""

    country: str = ""
    """A country code, such as 49."""
    area: str = ""
    """An area code without its trunk prefix, such as 30."""
    inbound: str = "as-is"
    """One of `FORMATS`: what it sends. A number with ``+``, or with the international prefix, is understood in each."""
    outbound: str = "as-is"
    """One of `FORMATS`: what it is sent."""
    inbound_strip: str = ""
    """What it puts before the numbers that it calls, and is taken off."""
    outbound_prefix: str = ""
    """What it wants before the numbers that it is to call."""

    def heard(self, number: str) -> str:
        """Return a number that the trunk calls, as it is written here."""
        return self.caller_heard(number.removeprefix(self.inbound_strip))

    def sent(self, number: str) -> str:
        """Return a number that the trunk is to call, as the trunk writes it."""
        return self.outbound_prefix + self.caller_sent(number)

    def caller_heard(self, number: str) -> str:
        """Return a caller's number that comes from the trunk, as it is written here."""
        return number if self.inbound == "as-is" else self._e164(number, self.inbound)

    def caller_sent(self, number: str) -> str:
        """Return a caller's number as the trunk writes it."""
        if self.outbound == "as-is":
            return number
        # A short number is an extension here, not one of the trunk's area.
        worldwide = self._e164(number, "national" if self.country else "e164", local=False)
        return self._written(worldwide[1:]) if worldwide.startswith("+") else number

    @property
    def _home(self) -> Country:
        return COUNTRIES.get(self.country, _ANY)

    def _e164(self, number: str, form: str, *, local: bool = True) -> str:
        plain = without_separators(number)
        if plain.startswith("+"):
            return plain if plain[1:].isascii() and plain[1:].isdigit() else number
        if not (plain.isascii() and plain.isdigit()):
            return number
        home = self._home
        if form != "digits":
            for prefix in home.international:
                if plain.startswith(prefix) and len(plain) - len(prefix) >= _SHORTEST:
                    return "+" + plain[len(prefix) :]
        if form == "digits":
            return "+" + plain if len(plain) >= _SHORTEST and not plain.startswith("0") else number
        if form not in ("national", "local") or not self.country or plain in home.emergency:
            return number
        significant = self._significant(plain, home)
        if significant:
            return f"+{self.country}{significant}"
        if local and self.area and len(plain) >= _SHORTEST_LOCAL:
            return f"+{self.country}{self.area}{plain}"
        return number

    def _significant(self, plain: str, home: Country) -> str:
        """Return a national number without its trunk prefix, empty if it is none."""
        if self.country == "1":
            # Dialled with or without the 1 before its ten digits.
            digits = plain[1:] if len(plain) == 11 and plain.startswith("1") else plain
            return digits if len(digits) == 10 else ""
        if home.trunk:
            return plain[len(home.trunk) :] if plain.startswith(home.trunk) and len(plain) > _SHORTEST_LOCAL else ""
        return plain if len(plain) >= _SHORTEST else ""

    def _written(self, digits: str) -> str:
        home = self._home
        if self.outbound == "e164":
            return "+" + digits
        if self.outbound == "digits":
            return digits
        if self.outbound in ("national", "local") and self.country and digits.startswith(self.country):
            significant = digits[len(self.country) :]
            if self.outbound == "local" and self.area and significant.startswith(self.area):
                return significant[len(self.area) :]
            return home.trunk + significant
        return home.international[0] + digits


_ANY = Country()
AS_IS = NumberRules()
"""Numbers pass as they are written."""


@dataclass(frozen=True, slots=True)
class TrunkNumbers:
    """The rules of all trunks, by name; a trunk without rules writes numbers as they are written here."""

    rules: Mapping[str, NumberRules] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    def of(self, source: str) -> NumberRules:
        """Return the rules of a source or target; those of ``extension/101`` are none."""
        kind, _, name = source.partition("/")
        return self.rules.get(name, AS_IS) if kind == "trunk" else AS_IS
