"""The numbers that cost more, as sets: what `pbx.dialplan.numbering` judges one by one."""

from __future__ import annotations

from collections.abc import Iterable

from pbx.dialplan.language import Languages
from pbx.dialplan.numbering import STAR_CODES, WORLD_PREMIUM, Numbering, home_of, service_prefix
from pbx.numbers import COUNTRIES, Country, without_separators

__all__ = ["Billing"]

_SEPARATORS = "-.() /"
_LONGEST_CODE = 4
"""Digits of a service code."""


class Billing:
    """Sets of numbers by what they cost, as a trunk gets them."""

    def __init__(self, languages: Languages, numbering: Numbering) -> None:
        self._languages = languages
        self._numbering = numbering
        self._home = home_of(numbering.country)
        self._separators = languages.many(languages.chars(_SEPARATORS))
        self._star = languages.sequence(self._separators, languages.chars("*#"))
        self._digit = languages.sequence(self._separators, languages.chars("0123456789"))
        premium = self._premium_raw()
        self._help = self._emergency()
        self._premium = languages.without(
            languages.union(self._past_service(premium, premium), self._begins(numbering.extra_premium)), self._help
        )
        self._international: dict[tuple[tuple[bool, ...], ...], int] = {}

    def restricted(self, restriction: str, fixed: str) -> int:
        """Return every number for which `Numbering.restriction` says ``international`` or ``premium``, where the route
        wrote the beginning `fixed`; with an empty `restriction`, every other number."""
        if restriction == "premium":
            return self._premium
        if restriction == "international":
            return self._abroad(fixed)
        return self._languages.without(self._languages.everything, self._premium, self._abroad(fixed))

    def _abroad(self, fixed: str) -> int:
        bare = without_separators(fixed)
        prefix = service_prefix(bare)
        plain = bare[len(prefix) :]
        found = self._abroad_where(len(plain))
        if not prefix or not 1 <= len(plain) <= _LONGEST_CODE or not plain.isdigit():
            return found
        # What the caller writes may go on with the service code that the route began: then the route chose nothing.
        languages = self._languages
        begun = [part for char in bare for part in (self._separators, languages.word(char))]
        more = languages.times(self._digit, 0, _LONGEST_CODE - len(plain))
        going_on = languages.sequence(*begun, more, self._star, languages.everything)
        return languages.union(languages.both(going_on, self._abroad_where(0)), languages.without(found, going_on))

    def _abroad_where(self, written: int) -> int:
        """Return the numbers that lead abroad where the route wrote so many characters behind the service codes."""
        chosen = tuple(tuple(count > len(prefix) for prefix in self._prefixes()) for count in (written, written - 2))
        found = self._international.get(chosen)
        if found is None:
            raw = self._past_service(*[self._international_raw(one) for one in chosen])
            found = self._international[chosen] = self._languages.without(raw, self._premium, self._help)
        return found

    def _prefixes(self) -> tuple[str, ...]:
        return ("+", *self._numbering.extra_international, *self._home.international)

    def _emergency(self) -> int:
        """Return every number that calls for help in the end (`Numbering.emergency_number`)."""
        languages, numbering = self._languages, self._numbering
        known = sorted(numbering.emergency_forms)
        plain = languages.union(*[self._spaced(word) for word in known if word[0] not in "*#"])
        behind = languages.union(*[self._spaced(word) for word in known if not set(word) & set("*#")])
        stars = languages.sequence(self._star, languages.many(self._star))
        code = languages.sequence(stars, languages.times(self._digit, 1, _LONGEST_CODE))
        found = [plain, languages.sequence(code, languages.many(code), stars, behind)]
        if numbering.country == "1":
            pulses, digit = self._spaced("11"), self._digit
            longer = languages.sequence(self._separators, languages.chars("23"), digit, digit)
            code = languages.union(languages.sequence(digit, digit), longer)
            local = languages.union(*[self._spaced(word) for word in known if word[0].isdigit()])
            found.append(languages.sequence(pulses, code, local))
        if self._numbering.has_star_codes:
            begins = languages.both(self._service(), languages.sequence(languages.everything, languages.word("*")))
            found += [
                languages.sequence(begins, languages.times(self._digit, width, width), behind) for width in STAR_CODES
            ]
        bare = languages.union(*found)
        with_parameters = languages.sequence(bare, languages.word(";"), languages.everything)
        return languages.union(bare, with_parameters, *[languages.word(word) for word in known])

    def _spaced(self, word: str) -> int:
        """Return a whole number with separators wherever people write them."""
        parts = [part for char in word for part in (self._separators, self._languages.word(char))]
        return self._languages.sequence(*parts, self._separators)

    def _service(self) -> int:
        """Return every service prefix."""
        languages = self._languages
        stars = languages.sequence(self._star, languages.many(self._star))
        code = languages.times(self._digit, 1, _LONGEST_CODE)
        return languages.sequence(stars, languages.many(languages.sequence(code, stars)))

    # -- the sets, before a service prefix such as *31# is looked at

    def _begins(self, words: Iterable[str]) -> int:
        languages = self._languages
        found = []
        for word in words:
            parts = [part for char in word for part in (self._separators, languages.word(char))]
            found.append(languages.sequence(*parts, languages.everything))
        return languages.union(*found)

    def _premium_raw(self) -> int:
        languages = self._languages
        worldwide = [*WORLD_PREMIUM]
        worldwide += [code + digits for code, country in COUNTRIES.items() for digits in country.premium]
        parts = []
        for place, prefix in enumerate(self._prefixes()):
            words = self._begins([prefix + word for word in worldwide])
            parts.append(languages.without(words, self._begins(self._prefixes()[:place])))
        home = self._home
        national = self._begins(home.premium_short)
        national = languages.union(national, self._national(home.premium, home, without_trunk=home.trunk == "1"))
        parts.append(languages.without(national, self._begins(self._prefixes())))
        return languages.union(self._begins(self._numbering.extra_premium), *parts)

    def _international_raw(self, chosen: tuple[bool, ...]) -> int:
        languages, country = self._languages, self._numbering.country
        parts = []
        for place, prefix in enumerate(self._prefixes()):
            if chosen[place]:
                continue
            words = self._begins([prefix])
            if country:
                abroad = COUNTRIES[country].abroad if country in COUNTRIES else ()
                inland = self._begins([prefix + country])
                elsewhere = self._begins([prefix + country + digits for digits in abroad])
                words = languages.without(words, languages.without(inland, elsewhere))
            parts.append(languages.without(words, self._begins(self._prefixes()[:place])))
        # National numbers that lead abroad (the Caribbean) are international, too.
        national = self._national(self._home.abroad, self._home, without_trunk=True)
        parts.append(languages.without(national, self._begins(self._prefixes())))
        return languages.union(*parts)

    def _national(self, digits: Iterable[str], home: Country, *, without_trunk: bool) -> int:
        languages = self._languages
        words = list(digits)
        if not home.trunk:
            return self._begins(words)
        found = self._begins([home.trunk + word for word in words])
        if without_trunk:
            found = languages.union(found, languages.without(self._begins(words), self._begins([home.trunk])))
        return found

    def _past_service(self, raw: int, behind_star_code: int) -> int:
        """Return what is a member of `raw` once the service codes before it are taken off, or of `behind_star_code`
        once the two digits of a code like ``*67`` are, too, as `Numbering.restriction` does it."""
        languages, star, digit, everything = self._languages, self._star, self._digit, self._languages.everything
        code, prefix = languages.times(digit, 1, _LONGEST_CODE), self._service()
        # Behind all codes there is none any more.
        begins_code = languages.union(star, languages.sequence(code, star))
        behind = languages.without(everything, languages.sequence(begins_code, everything))
        found = [
            languages.without(raw, languages.sequence(star, everything)),
            languages.sequence(prefix, languages.both(raw, behind)),
        ]
        if self._numbering.has_star_codes:
            ends_in_star = languages.both(prefix, languages.sequence(everything, languages.word("*")))
            two = languages.sequence(digit, digit, behind_star_code)
            found.append(languages.sequence(ends_in_star, languages.both(two, behind)))
        return languages.union(*found)
