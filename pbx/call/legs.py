"""The legs of one call: who is still there, who has been told to go, and what is written down of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pbx.call import commands
from pbx.call.events import HungUp, Rejected
from pbx.call.occupancy import Occupancy
from pbx.call.ports import LegHandle
from pbx.call.summary import LegSummary
from pbx.cause import EndCause
from pbx.media.session import MediaSession

__all__ = ["Legs", "call_of"]


def call_of(leg: str) -> str:
    """Return the call that a leg belongs to."""
    return leg.partition("-")[0]


class Legs:
    """Legs by id. One that is told to go stays until it says that it is gone, and is told nothing more."""

    __slots__ = ("_gone", "_handles", "_leaving", "_now", "_occupancy", "_summaries")

    def __init__(
        self,
        summaries: dict[str, LegSummary],
        occupancy: Occupancy,
        now: Callable[[], float],
        gone: Callable[[str], None],
    ) -> None:
        """Tell `gone` of each leg that is."""
        self._gone = gone
        self._summaries = summaries
        self._occupancy = occupancy
        self._now = now
        self._handles: dict[str, LegHandle] = {}
        self._leaving: list[str] = []

    def __len__(self) -> int:
        return len(self._handles)

    def add(self, leg: str, target: str, handle: LegHandle) -> None:
        """Take a leg to `target` in."""
        self._handles[leg] = handle
        self._summaries[leg] = LegSummary(leg, target, handle.sip_call_id, handle.remote, started=self._now())
        self._occupancy.enter(target, call_of(leg))

    def put_first(self, leg: str) -> None:
        """Take a leg for the caller's: what is written down of it stands before the others."""
        others = dict(self._summaries)
        self._summaries.clear()
        self._summaries[leg] = others.pop(leg)
        self._summaries.update(others)

    def release(self, leg: str) -> tuple[LegHandle, LegSummary]:
        """Give a leg away, to another call's `adopt`; it counts for the call that it began in until it is gone."""
        return self._handles.pop(leg), self._summaries[leg]

    def adopt(self, handle: LegHandle, summary: LegSummary) -> None:
        """Take in a leg that another call has released."""
        self._handles[summary.leg] = handle
        self._summaries[summary.leg] = replace(summary, ended=0.0, cause=None)

    def takes_info(self, leg: str) -> bool:
        """Return whether a leg's peer says that it takes INFO."""
        handle = self._handles.get(leg)
        return handle is not None and handle.takes_info

    def command(self, command: commands.Command) -> None:
        """Give a command to the leg that it names; one that is gone or leaving gets none."""
        handle = self._handles.get(command.leg)
        if handle is not None and command.leg not in self._leaving:
            handle.handle(command)

    def dismiss(self, command: commands.HangUp | commands.Reject) -> None:
        """Give a leg its last command."""
        handle = self._handles.get(command.leg)
        if handle is not None and command.leg not in self._leaving:
            self._leaving.append(command.leg)
            handle.handle(command)

    def dismiss_all(self, last: Callable[[str], commands.HangUp | commands.Reject]) -> None:
        """Give every leg its last command, which `last` makes for it."""
        for leg in list(self._handles):
            self.dismiss(last(leg))

    def strike(self, event: HungUp | Rejected) -> None:
        """Strike off a leg that is gone."""
        handle = self._handles.pop(event.leg, None)
        if event.leg in self._leaving:
            self._leaving.remove(event.leg)
        if handle is None:
            return
        summary = self._summaries[event.leg]
        summary.ended, summary.cause = self._now(), event.cause
        summary.sip_call_id, summary.remote = handle.sip_call_id, handle.remote
        self._occupancy.leave(summary.target, call_of(event.leg))
        self._gone(event.leg)

    def forget(self, leg: str, cause: EndCause) -> None:
        """Strike off a leg that never began, and so will tell nothing."""
        self.strike(HungUp(leg, cause))

    def forget_all(self, cause: EndCause) -> None:
        """Strike off whatever is left: the last resort."""
        for leg in list(self._handles):
            self.forget(leg, cause)

    def sip_call_ids(self) -> tuple[str, ...]:
        """Return the Call-IDs of the legs that there are and were."""
        return tuple(
            [
                handle.sip_call_id if (handle := self._handles.get(leg)) is not None else summary.sip_call_id
                for leg, summary in self._summaries.items()
            ]
        )

    def describe(self, session: MediaSession) -> None:
        """Write down what is known of the legs that are there."""
        for leg, handle in self._handles.items():
            summary = self._summaries[leg]
            summary.sip_call_id, summary.remote = handle.sip_call_id, handle.remote
            summary.codec = session.codec_name(leg)
            summary.encryption = session.encryption(leg)
