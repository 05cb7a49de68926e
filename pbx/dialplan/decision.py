"""What is asked of a dialplan, and what it answers."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Protocol

from pbx.dialplan.steps import RouteLimits, Step
from pbx.positions import Position
from pbx.values import dataclass

__all__ = ["Considered", "Decision", "Explainer", "Query"]


@dataclass(frozen=True, slots=True)
class Query:
    """One call that wants to go somewhere."""

    source: str
    """``extension/101`` or ``trunk/customer``: who the caller has proven to be. All else is unauthenticated."""
    number: str
    """As dialled: the user part of the Request-URI, unescaped."""
    at: datetime
    """When, as an aware datetime. Time windows are read in the plan's zone, or in this one's if the plan has none."""
    caller: str = ""
    """The caller's number, for routes that match it; empty if unknown or withheld."""
    caller_name: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """Of the INVITE, for routes that match one; names compared without case."""
    codecs: tuple[str, ...] = ()
    """The voice codecs that the caller offers, as RFC 3551 and its followers spell them; empty if unknown."""
    verification: str = "none"
    """What a signature says of who calls: ``passed``, ``failed`` or ``none``."""


@dataclass(frozen=True, slots=True)
class Considered:
    """What became of one route: `why` says in words why it did or did not match."""

    route: str
    matched: bool
    why: str
    position: Position


class Explainer(Protocol):
    """Who can say why a query was decided so; a `Dialplan`."""

    def consider(self, query: Query) -> tuple[Considered, ...]:
        """Return every route tried for `query`, in order, up to the one that matched."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a call goes. The steps are fully substituted; see `pbx.dialplan.steps` for how to perform them."""

    query: Query
    """The call that was decided: of one for help it has the emergency number alone."""
    route: str | None
    """The name of the route that matched; None if there was none."""
    number: str
    """The number after rewriting: that of the first dial, or as dialled where nothing is dialled."""
    steps: tuple[Step, ...]
    """Empty if no route matched."""
    dialled: str
    """The number as dialled: that of `query`, or more than that of a call for help, such as ``*31#112``."""
    refusal: str = ""
    """Where no route matched, the slug of the cause to reject with: ``no-route``, or ``forbidden`` where a route would
    have matched had it allowed international or premium numbers."""
    emergency: bool = False
    """The call is for help, by what was dialled or by what is dialled out: no limit and no budget stops it."""
    limits: RouteLimits | None = None
    """How many calls the route takes; None for any number."""
    _explainer: Explainer | None = field(default=None, repr=False, compare=False)

    @property
    def considered(self) -> tuple[Considered, ...]:
        """The routes tried, in order, and why each did or did not match. Worked out when asked."""
        return self._explainer.consider(self.query) if self._explainer is not None else ()
