"""The first question to a call that comes in: whether it is looked at at all, or refused since the server is
overloaded. What is refused is written down."""

from __future__ import annotations

from collections.abc import Callable

from pbx.app.directory import Directory
from pbx.app.shedding import LoadShedding
from pbx.call.called import called_in
from pbx.call.commands import Party
from pbx.cause import EndCause, cause_named
from pbx.errors import ParseError
from pbx.registrar.location import Location
from pbx.sip.ext.identity import number_in
from pbx.sip.message import Request
from pbx.sip.stack import Flow
from pbx.sip.uri import Uri

__all__ = ["NewCalls"]

Refuse = Callable[[str, Party, str, EndCause], None]
"""Writes down a call that was refused before it began: source, caller, number called, why."""

ForHelp = Callable[[str, Party, str, tuple[tuple[str, str], ...]], bool]
"""Asks the dialplan whether it makes a call one for help: source, caller, number called, headers."""


class NewCalls:
    """Asked by the transaction layer for each INVITE that would begin a dialog."""

    def __init__(
        self,
        shedding: LoadShedding,
        directory: Directory,
        location: Location,
        is_emergency: Callable[[str], bool],
        trunk_party: Callable[[str, Request], Party],
        refuse: Refuse,
        for_help: ForHelp,
    ) -> None:
        self._shedding = shedding
        self._directory = directory
        self._location = location
        self._is_emergency = is_emergency
        self._trunk_party = trunk_party
        self._refuse = refuse
        self._for_help = for_help

    def takes(self, flow: Flow, request: Request) -> bool:
        """Return whether a call is looked at; if not, it has been counted and written down."""
        proven = "Authorization" in request.headers
        taken = self._shedding.takes(
            self._directory.knows(flow), lambda: self._calls_for_help(flow, request), proven=proven
        )
        if not taken:
            self._write_down(flow, request)
        return taken

    def _calls_for_help(self, flow: Flow, request: Request) -> bool:
        """Return whether a call is for help if it comes from whom it says; whether it does is found out later."""
        number, trunk = called_in(request.uri), self._directory.trunk_of(flow, request)
        if self._is_emergency(number):
            return True
        source = f"trunk/{trunk}" if trunk is not None else f"extension/{request.from_.uri.user or ''}"
        called = number if trunk is None else self._directory.called_by_trunk(trunk, request)
        return self._for_help(source, Party(number_in(request.from_.uri)), called, tuple(request.headers))

    def _write_down(self, flow: Flow, request: Request) -> None:
        """Strangers are counted only: nobody knows who they are before they are asked for a password."""
        directory = self._directory
        trunk = directory.trunk_of(flow, request)
        if trunk is not None:
            try:
                party = self._trunk_party(trunk, request)
            except ParseError:
                party = Party("", "", True)
            called = directory.called_by_trunk(trunk, request)
            self._refuse(f"trunk/{trunk}", party, called, cause_named("overloaded"))
            return
        extension = self._extension_at(flow)
        if extension is not None:
            self._refuse(f"extension/{extension.number}", extension, called_in(request.uri), cause_named("overloaded"))

    def _extension_at(self, flow: Flow) -> Party | None:
        """Return the one extension whose phone has registered over this way."""
        numbers = {Uri.parse(aor).user or "" for aor in self._location.aors_over(flow)}
        return self._directory.extension_party(numbers.pop()) if len(numbers) == 1 else None
