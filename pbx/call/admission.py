"""Who is calling? A trunk is known by where it sends from, an extension by its digest; nobody by what From says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pbx.call.called import called_in
from pbx.call.commands import Party, Redirection
from pbx.call.leg import LegSettings
from pbx.sip.message import Request
from pbx.sip.stack import Flow, ServerTransaction
from pbx.values import dataclass

__all__ = ["Admission", "Caller", "Sources"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what."""

    source: str
    """``extension/101`` or ``trunk/customer``."""
    party: Party
    called: str
    redirections: tuple[Redirection, ...] = ()


class Sources(Protocol):
    """Who may call, as configuration says."""

    def knows(self, flow: Flow) -> bool:
        """Return whether a trunk or a registered phone sends by this flow."""

    def trunk_of(self, flow: Flow, request: Request) -> str | None:
        """Return the name of the trunk that this call comes from."""

    def called_by_trunk(self, trunk: str, request: Request) -> str:
        """Return whom a trunk calls."""

    def extension_party(self, extension: str) -> Party | None:
        """Return who an extension is; None if there is none."""

    def leg_settings(self, source: str) -> LegSettings:
        """Return how legs to this source behave."""

    def may_replace(self, source: str, target: str, *, early: bool) -> bool:
        """Return whether a source may take the place of a target in a call, which rings if it is `early`."""


Authenticate = Callable[[ServerTransaction, Request], "str | None"]
"""Return the name of the extension whose digest a request carries. None: it carries none that holds, and has been
answered or dropped."""


class Admission:
    """Decides who sends an INVITE."""

    def __init__(
        self,
        sources: Sources,
        authenticate: Authenticate,
        trunk_party: Callable[[str, Request], Party],
        trunk_redirections: Callable[[str, Request], tuple[Redirection, ...]],
    ) -> None:
        self._sources = sources
        self._authenticate = authenticate
        self._trunk_party = trunk_party
        self._trunk_redirections = trunk_redirections
        self.strangers = 0
        """INVITEs without a password from where no trunk and no registered phone is."""

    def admit(self, transaction: ServerTransaction, request: Request) -> Caller | None:
        """Return who calls; None if that is unknown, and then the request has been answered."""
        trunk = self._sources.trunk_of(transaction.flow, request)
        if trunk is not None:
            called = self._sources.called_by_trunk(trunk, request)
            redirections = self._trunk_redirections(trunk, request)
            return Caller(f"trunk/{trunk}", self._trunk_party(trunk, request), called, redirections)
        # Whoever is nobody's trunk is asked for a password like a phone, and learns no more than that.
        if "Authorization" not in request.headers and not self._sources.knows(transaction.flow):
            self.strangers += 1
        extension = self._authenticate(transaction, request)
        if extension is None:
            return None
        called = called_in(request.uri)
        party = self._sources.extension_party(extension)
        if party is None:
            raise LookupError(f"extension {extension} has a password and no entry")
        return Caller(f"extension/{extension}", party, called)

    def leg_settings(self, source: str) -> LegSettings:
        """Return how legs to this source behave."""
        return self._sources.leg_settings(source)

    def may_replace(self, source: str, target: str, early: bool) -> bool:
        """Return whether a source may take the place of a target in a call, which rings if it is `early`."""
        return self._sources.may_replace(source, target, early=early)
