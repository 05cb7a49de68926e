"""Values: small dataclasses that nobody changes, and enumerations that are looked up in tables.

``@dataclass(frozen=True)`` from here is held frozen by the type checker, not at run time. A frozen dataclass of the
standard library stores each field by ``object.__setattr__``: three times the cost of making one, thirteen times in a
compiled module, and a call makes a hundred. An `Enum` from here is hashed by identity, as it is compared; the standard
library's hashes its name, in Python, at each look-up, and takes two calls in Python to give a member's value.
"""

from __future__ import annotations

import dataclasses
import enum
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        """Do as `dataclasses.dataclass`; a frozen one has its hash, and is not watched."""
        if options.pop("frozen", False):
            options["unsafe_hash"] = options.get("eq", True)
        return dataclasses.dataclass(cls, **options)


__all__ = ["Enum", "dataclass"]


class Enum(enum.Enum):
    """An enumeration whose members are keys of tables."""

    __hash__ = object.__hash__
    if not TYPE_CHECKING:
        value = property(attrgetter("_value_"), doc="What the member stands for.")
