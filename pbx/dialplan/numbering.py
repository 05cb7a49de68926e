"""Which numbers cost more than a local call: international and premium ones, refused until a route allows them.

This is what stands between a stolen password and the telephone bill, so it looks at the number that would really be
sent to a trunk, not only at the one dialled, and errs on the side of refusing.

A number is *international* when it begins with an international prefix (``+``, ``00`` …), does not lead into the
plan's own country, and the caller chose where it leads. The route chose if it wrote the prefix and at least the
first digit after it, by the literal beginning of its pattern or by ``set: number``: ``prefix: "+49"`` leads nowhere
but to Germany. A number is *premium* when its country's numbering plan bills it to the caller above the usual.
"""

from __future__ import annotations

import re

from pbx.values import dataclass

__all__ = ["COUNTRIES", "WORLD_PREMIUM", "Country", "Numbering", "home_of", "plain_number"]


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


# fmt: off
_CARIBBEAN = (
    "242", "246", "264", "268", "284", "345", "441", "473", "649", "658", "664",
    "721", "758", "767", "784", "809", "829", "849", "868", "869", "876",
)
# fmt: on

COUNTRIES = {
    "1": Country("1", ("011",), ("900",), ("976",), _CARIBBEAN),
    "7": Country("8", ("810",), ("803", "809")),
    "31": Country(premium=("900", "906", "909"), premium_short=("18",)),
    "32": Country(premium=("90",)),
    "33": Country(premium=("89",), premium_short=("118",)),
    "34": Country("", premium=("803", "806", "807", "905", "907", "118")),
    "39": Country("", premium=("89", "166", "144", "12")),
    "41": Country(premium=("900", "901", "906"), premium_short=("18",)),
    "43": Country(premium=("900", "901", "930", "931", "939"), premium_short=("118",)),
    "44": Country(premium=("9", "70", "843", "844", "871", "872", "873"), premium_short=("118",)),
    "48": Country("", premium=("70",)),
    "49": Country(premium=("900", "137"), premium_short=("118",)),
    "61": Country(international=("0011",), premium_short=("190",)),
    "81": Country(international=("010",)),
}
"""By country code. A country that is not listed has the prefix 00 and no premium numbers but the world's."""

WORLD_PREMIUM = ("979", "881", "882", "883", "870", "878")
"""Country codes of no country: international premium rate, and satellite and other networks billed like it (ITU
E.164.D)."""

_UNKNOWN = Country("0", ("00", "011"), ("900", "190"), ("1900",))
"""Where the plan does not say in which country it is: whatever is international or premium in many of them."""

_SEPARATORS = re.compile(r"[-.() /]")
_SERVICE_PREFIX = re.compile(r"[*#]+\d{0,4}[*#]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Numbering:
    """The plan's view of numbers: `country` is a country code such as ``49``, or empty if unknown."""

    country: str = ""
    extra_premium: tuple[str, ...] = ()
    """Further beginnings of premium numbers, as sent."""
    extra_international: tuple[str, ...] = ()
    """Further international prefixes."""

    def restriction(self, number: str, fixed: int) -> str:
        """Return ``international``, ``premium`` or nothing for a number that a trunk is about to get.

        The first `fixed` characters of it were written by the route, the rest by the caller.
        """
        plain = plain_number(number)
        home = home_of(self.country)
        if any(plain.startswith(prefix) for prefix in self.extra_premium):
            return "premium"
        for prefix in ("+", *self.extra_international, *home.international):
            if plain.startswith(prefix):
                return self._worldwide(plain[len(prefix) :], len(plain_number(number[:fixed])) > len(prefix))
        return _national(plain, home)

    def _worldwide(self, digits: str, route_chose: bool) -> str:
        code, country = _country_of(digits)
        if digits.startswith(WORLD_PREMIUM) or (country and digits[len(code) :].startswith(country.premium)):
            return "premium"
        if route_chose or (
            self.country and digits.startswith(self.country) and not _leads_abroad(digits, code, country)
        ):
            return ""
        return "international"


def home_of(country: str) -> Country:
    """Return the numbering plan of a country code; without one, what is usual in many."""
    return COUNTRIES.get(country, Country()) if country else _UNKNOWN


def plain_number(number: str) -> str:
    """Return the number as a network would read it: without separators, and without a service prefix such as
    ``*31#``."""
    plain = _SEPARATORS.sub("", number)
    service = _SERVICE_PREFIX.match(plain)
    return plain[service.end() :] if service else plain


def _country_of(digits: str) -> tuple[str, Country | None]:
    for length in (3, 2, 1):
        if digits[:length] in COUNTRIES:
            return digits[:length], COUNTRIES[digits[:length]]
    return "", None


def _leads_abroad(digits: str, code: str, country: Country | None) -> bool:
    return country is not None and bool(country.abroad) and digits[len(code) :].startswith(country.abroad)


def _national(plain: str, home: Country) -> str:
    if home.premium_short and plain.startswith(home.premium_short):
        return "premium"
    significant = plain.removeprefix(home.trunk) if home.trunk else plain
    has_trunk = not home.trunk or plain.startswith(home.trunk)
    # A number of the North American plan is dialled with or without the 1 before it.
    if (has_trunk or home.trunk == "1") and home.premium and significant.startswith(home.premium):
        return "premium"
    if home.abroad and significant.startswith(home.abroad):
        return "international"
    return ""
