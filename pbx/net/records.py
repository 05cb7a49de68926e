"""What is asked of DNS, what it answers, and who can be asked. Nothing here knows a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

__all__ = ["Answer", "Dns", "DnsFailure", "Naptr", "Record", "Srv", "order_by_weight"]


class Naptr(NamedTuple):
    """A NAPTR record (RFC 3403 §4.1); `service` in upper case, `replacement` without a final dot."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


class Srv(NamedTuple):
    """An SRV record (RFC 2782); `target` without a final dot, empty if it is the root: the service is not offered."""

    priority: int
    weight: int
    port: int
    target: str


Record = Naptr | Srv | str
"""One record; for A and AAAA the numeric address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What DNS says. No records: there are none, which may be remembered for `ttl` seconds too (RFC 2308)."""

    records: tuple[Record, ...]
    ttl: float


@dataclass(frozen=True, slots=True)
class DnsFailure:
    """DNS could not be asked, or its servers failed. `detail` is one plain sentence."""

    detail: str


class Dns(Protocol):
    """A way to ask DNS. `pbx.net.dns` has the real one."""

    def lookup(self, name: str, kind: str, done: Callable[[Answer | DnsFailure], None]) -> None:
        """Ask for the records of `kind` (``NAPTR``, ``SRV``, ``A`` or ``AAAA``); `done` is called once."""


def order_by_weight(records: Sequence[Srv], draw: Callable[[int], int]) -> list[Srv]:
    """Return SRV records in the order to try them: by priority, and at random by weight within one (RFC 2782).

    `draw(n)` returns a random integer from 0 to n, both included.
    """
    ordered: list[Srv] = []
    for priority in sorted({record.priority for record in records}):
        # RFC 2782: arrange all SRV RRs in any order, except that all those with weight 0 are placed at the beginning.
        left = sorted(
            (record for record in records if record.priority == priority), key=lambda record: record.weight > 0
        )
        while len(left) > 1:
            number = draw(sum(record.weight for record in left))
            for chosen in left:
                number -= chosen.weight
                if number <= 0:
                    break
            ordered.append(chosen)
            left.remove(chosen)
        ordered += left
    return ordered
