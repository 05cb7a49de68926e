"""``numbers:`` of a trunk. The docstrings are the source of ``docs/configuration.md``."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from pbx.config.kinds import Kind, Section, as_list

__all__ = ["CallerNumbers", "Numbers"]

Format = Literal["as-is", "e164", "digits", "international", "national", "local"]


def _country(text: str) -> str:
    code = text.removeprefix("+")
    if not re.fullmatch(r"[1-9][0-9]{0,2}", code, re.ASCII):
        raise ValueError(f"`{text}` is no country code; write it like 49")
    return code


def _digits(text: str) -> str:
    if not re.fullmatch(r"[0-9+*#]*", text, re.ASCII):
        raise ValueError(f"`{text}` is no beginning of a number; write digits, + * #")
    return text


Digits = Annotated[str, AfterValidator(_digits)]


def _listed(text: str) -> str:
    if not re.fullmatch(r"\+?[0-9]+\*?|\*", text, re.ASCII):
        raise ValueError(f"`{text}` is no number; write it as it is known here, or its beginning with a `*`: +493012*")
    return text


CallerNumbers = Annotated[
    tuple[Annotated[str, AfterValidator(_listed)], ...],
    BeforeValidator(as_list),
    Kind("list of numbers", '["+493012*", "+4989555"]'),
]


class Numbers(Section):
    """How it writes numbers. The dialplan sees `+4930123`, whatever a trunk writes: `e164` is `+4930123`, `digits`
    `4930123`, `international` `004930123`, `national` `030123`, `local` `123` within the area; numbers of other
    countries are then international. `as-is` leaves a number alone; so is one left that is none of these, such as an
    emergency number."""

    country: Annotated[str, AfterValidator(_country)] | None = None
    """The country code that `national` and `local` numbers belong to, such as `49`."""
    area: Digits | None = None
    """The area code of `local` numbers, without its leading 0, such as `30`."""
    inbound: Format = "as-is"
    """How it writes the numbers that it calls, and those of its callers."""
    outbound: Format = "as-is"
    """How it wants the numbers that it is to call, and those of callers."""
    inbound_strip: Digits = ""
    """What it puts before each number that it calls, and is taken off."""
    outbound_prefix: Digits = ""
    """What it wants before each number that it is to call."""
