"""The numbers that cost more, as sets: what `pbx.dialplan.numbering` judges one by one."""

from __future__ import annotations

from collections.abc import Iterable

from pbx.dialplan.language import Languages
from pbx.dialplan.numbering import WORLD_PREMIUM, Numbering, home_of, plain_number
from pbx.numbers import COUNTRIES, Country

__all__ = ["Billing"]

_SEPARATORS = "-.() /"


class Billing:
    """Sets of numbers by what they cost, as a trunk gets them."""

    def __init__(self, languages: Languages, numbering: Numbering) -> None:
        self._languages = languages
        self._numbering = numbering
        self._home = home_of(numbering.country)
        self._separators = languages.many(languages.chars(_SEPARATORS))
        self._premium = self._past_service(self._premium_raw())
        self._international: dict[tuple[bool, ...], int] = {}

    def restricted(self, restriction: str, fixed: str) -> int:
        """Return every number for which `Numbering.restriction` says ``international`` or ``premium``, where the route
        wrote the beginning `fixed`; with an empty `restriction`, every other number."""
        if restriction == "premium":
            return self._premium
        if restriction == "international":
            return self._abroad(fixed)
        return self._languages.without(self._languages.everything, self._premium, self._abroad(fixed))

    def _abroad(self, fixed: str) -> int:
        chosen = tuple(len(plain_number(fixed)) > len(prefix) for prefix in self._prefixes())
        found = self._international.get(chosen)
        if found is None:
            raw = self._past_service(self._international_raw(chosen))
            found = self._international[chosen] = self._languages.without(raw, self._premium)
        return found

    def _prefixes(self) -> tuple[str, ...]:
        return ("+", *self._numbering.extra_international, *self._home.international)

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

    def _past_service(self, raw: int) -> int:
        """Return what is a member of `raw` once a service prefix is taken off, as `plain_number` takes it off."""
        languages, separators = self._languages, self._separators
        star = languages.sequence(separators, languages.chars("*#"))
        digit = languages.sequence(separators, languages.chars("0123456789"))
        everything = languages.everything
        stars = languages.sequence(star, languages.many(star))
        not_star = languages.without(everything, languages.sequence(star, everything))
        # *31#: keys, up to four digits, a key.
        code = languages.sequence(languages.times(digit, 1, 4), star)
        with_code = languages.sequence(stars, code)
        # ## alone, where no code follows.
        two = languages.sequence(star, star, languages.many(star))
        no_code = languages.without(not_star, languages.sequence(code, everything))
        has_service = languages.union(languages.sequence(with_code, everything), languages.sequence(two, no_code))
        return languages.union(
            languages.sequence(with_code, raw),
            languages.sequence(two, languages.both(raw, no_code)),
            languages.without(raw, has_service),
        )
