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
from dataclasses import field

from pbx.dialplan.services import is_for_help, more_general
from pbx.numbers import COUNTRIES, Country, without_separators
from pbx.positions import Position
from pbx.values import dataclass

__all__ = ["STAR_CODES", "WORLD_PREMIUM", "Numbering", "Service", "home_of", "plain_number", "service_prefix"]


WORLD_PREMIUM = ("979", "881", "882", "883", "870", "878")
"""Country codes of no country: international premium rate, and satellite and other networks billed like it (ITU
E.164.D)."""

_UNKNOWN = Country("0", ("00", "011"), ("900", "190"), ("1900",), emergency=("112", "911"))
"""Where the plan does not say in which country it is: whatever is international or premium in many of them."""

_SERVICE_PREFIX = re.compile(r"[*#]+(?:\d{1,4}[*#]+)*", re.ASCII)
"""Service codes such as ``*31#``, as many as there are: each hides the number from who looks at its beginning."""
_TWO_DIGITS = re.compile(r"\d\d", re.ASCII)
_ENDED_CODES = re.compile(r"(?:[*#]+\d{1,4})+[*#]+", re.ASCII)
"""A service prefix with a code in it; a star alone begins the codes of the server itself, such as ``*112``."""
STAR_CODES = (2, 3)
"""Digits of a code of the North American kind."""
_PULSES = re.compile(r"11(?:([23])\d\d|\d\d)(?=\d)", re.ASCII)
"""The same dialled without a star."""


@dataclass(frozen=True, slots=True)
class Service:
    """What the plan says that a service becomes, and where it says so."""

    name: str
    """``sos.police``, of ``urn:service:sos.police``."""
    number: str
    position: Position


@dataclass(frozen=True, slots=True)
class Numbering:
    """The plan's view of numbers: `country` is a country code such as ``49``, or empty if unknown."""

    country: str = ""
    extra_premium: tuple[str, ...] = ()
    """Further beginnings of premium numbers, as sent."""
    extra_international: tuple[str, ...] = ()
    """Further international prefixes."""
    emergency: tuple[str, ...] | None = None
    """Whole emergency numbers; None for those of the country, 112 and 911."""
    services: tuple[Service, ...] = ()
    """What services become that are called by name (RFC 5031)."""
    _emergency: frozenset[str] = field(init=False, repr=False, compare=False)
    _forms: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        known = self.emergency
        if known is None:
            # 3GPP TS 22.101 §10.1.1: 112 and 911 are emergency numbers everywhere.
            known = (*home_of(self.country).emergency, "112", "911")
        object.__setattr__(self, "_emergency", frozenset(known))
        object.__setattr__(self, "_forms", self._written())

    def _written(self) -> dict[str, str]:
        """Return emergency numbers as they are, and as they become where every number is written as one of the world's,
        and which each is."""
        found = {f"+{number}": number for number in self._emergency if number.isdigit()}
        found.update({number: number for number in self._emergency})
        if self.country:
            # Only those of the country itself: in Germany 49911 begins the numbers of a town.
            own = [number for number in home_of(self.country).emergency if number in self._emergency]
            for prefix in ("+", *self.extra_international, *home_of(self.country).international):
                found.update({f"{prefix}{self.country}{number}": number for number in own})
        return found

    @property
    def emergency_numbers(self) -> frozenset[str]:
        """Whole numbers that call for help."""
        return self._emergency

    @property
    def own_emergency_numbers(self) -> tuple[str, ...]:
        """Those that the plan names, or of the country that it names."""
        if self.emergency is not None:
            return self.emergency
        return home_of(self.country).emergency if self.country else ()

    def is_emergency(self, number: str) -> bool:
        """Return whether a number calls for help in the end: no limit and no budget stops such a call."""
        return bool(self.emergency_number(number))

    @property
    def emergency_forms(self) -> dict[str, str]:
        """Emergency numbers, and what they are when written as numbers of the world, such as ``+49112``."""
        return self._forms

    def emergency_number(self, number: str, *, as_it_is: bool = False) -> str:
        """Return the emergency number that a number calls in the end, empty if it is none: behind service codes such as
        ``*31#``, as many as there are, without separators and parameters, and unless it must be written `as_it_is` also
        as a number of the world."""
        forms = self._forms
        found = forms.get(number)
        if found is None:
            for plain in self.behind_codes(number):
                found = forms.get(plain)
                if found is not None:
                    number = plain
                    break
            else:
                return ""
        return found if not as_it_is or found == number else ""

    def numbers_of_service(self, service: str) -> tuple[tuple[str, bool], ...]:
        """Return what a service may become, best first, and whether the plan says so: what it says of the service or of
        one that this is part of, then for help the country's number for it, then those for any help."""
        said, general = {one.name: one.number for one in self.services}, more_general(service)
        found = [(said[name], True) for name in general if name in said]
        if is_for_help(service):
            theirs = dict(home_of(self.country).services)
            found += [(theirs[name[4:]], False) for name in general if name[4:] in theirs]
            usual = [*home_of(self.country).emergency, "112", "911", *(self.emergency or ())]
            own = self.own_emergency_numbers or self._emergency
            found += [(number, False) for number in usual if number in own]
        return tuple(dict.fromkeys(one for one in found if one[1] or one[0] in self._emergency))

    def behind_codes(self, number: str) -> tuple[str, ...]:
        """Return what a number may call in the end: without separators, parameters and service codes that hide it. A
        star alone is no such code. Empty if there is nothing to take off; more than one where codes have no end."""
        if number.lstrip("+").isalnum():
            return self._behind_pulses(number) if number[:2] == "11" else ()
        bare = without_separators(number.partition(";")[0])
        prefix = service_prefix(bare)
        plain = bare[len(prefix) :]
        found = [plain] if not prefix or _ENDED_CODES.fullmatch(prefix) else []
        if not prefix:
            found += self._behind_pulses(bare)
        if self.has_star_codes and prefix.endswith("*"):
            codes = [plain[:width] for width in STAR_CODES]
            found += [plain[len(code) :] for code in codes if code.isascii() and code.isdigit()]
        return tuple(found)

    def _behind_pulses(self, bare: str) -> tuple[str, ...]:
        """Return what follows a code of which the star was dialled as 11, as phones without a star do in North America:
        1167 is ``*67``. No number of its plan begins so; elsewhere numbers do."""
        found = _PULSES.match(bare) if self.country == "1" else None
        if found is None:
            return ()
        return (bare[4:], bare[5:]) if found[1] else (bare[4:],)

    def restriction(self, number: str, fixed: int) -> str:
        """Return ``international``, ``premium`` or nothing for a number that a trunk is about to get.

        The first `fixed` characters of it were written by the route, the rest by the caller. Who calls for help needs
        nobody's leave.
        """
        if self.emergency_number(number):
            return ""
        bare = without_separators(number)
        prefix = service_prefix(bare)
        service, written = len(prefix), len(without_separators(number[:fixed]))
        found = [self._judge(bare[service:], written - service)]
        if prefix and any(bare.startswith(beginning) for beginning in self.extra_premium):
            return "premium"
        if self.has_star_codes and prefix.endswith("*") and _TWO_DIGITS.match(bare, service):
            found.append(self._judge(bare[service + 2 :], written - service - 2))
        return "premium" if "premium" in found else max(found)

    @property
    def has_star_codes(self) -> bool:
        """Whether service codes of the North American kind are looked for, such as ``*67``, which nothing ends."""
        return self.country in ("", "1")

    def _judge(self, plain: str, written: int) -> str:
        """Return the restriction of a number without a service prefix, of which the route wrote the beginning."""
        home = home_of(self.country)
        if any(plain.startswith(prefix) for prefix in self.extra_premium):
            return "premium"
        for prefix in ("+", *self.extra_international, *home.international):
            if plain.startswith(prefix):
                return self._worldwide(plain[len(prefix) :], written > len(prefix))
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


def service_prefix(bare: str) -> str:
    """Return the service codes before a number without separators, such as ``*31#``; empty if there are none."""
    found = _SERVICE_PREFIX.match(bare)
    return found[0] if found else ""


def plain_number(number: str) -> str:
    """Return the number as a network would dial it in the end: without separators and service codes."""
    bare = without_separators(number)
    return bare[len(service_prefix(bare)) :]


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
