"""The part of the API about calls of more than two: conferences, and supervisors of calls."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from pbx.web.ports import ConferenceState, Ports

__all__ = ["conferences_router"]


class MemberView(BaseModel):
    """One call in a conference; its id is the call's."""

    id: str
    source: str
    number: str
    name: str
    seconds: float
    moderator: bool
    muted: bool
    waiting: bool
    """It hears nobody until a moderator comes."""
    speaking: bool
    """It has the floor."""


class ConferenceView(BaseModel):
    """A conference that somebody is in."""

    name: str
    seconds: float
    recording: bool
    members: list[MemberView]

    @classmethod
    def of(cls, state: ConferenceState) -> ConferenceView:
        """Return the view of a conference."""
        members = [
            MemberView(
                id=one.id,
                source=one.source,
                number=one.number,
                name=one.name,
                seconds=one.seconds,
                moderator=one.moderator,
                muted=one.muted,
                waiting=one.waiting,
                speaking=one.speaking,
            )
            for one in state.members
        ]
        return cls(name=state.name, seconds=state.seconds, recording=state.recording, members=members)


class ConferenceList(BaseModel):
    """The conferences of now."""

    conferences: list[ConferenceView]


class MemberChange(BaseModel):
    """What is to be otherwise with a member."""

    model_config = ConfigDict(extra="forbid")

    muted: bool


class ConferenceChange(BaseModel):
    """What is to be otherwise with a conference."""

    model_config = ConfigDict(extra="forbid")

    recording: bool


class Supervise(BaseModel):
    """Who is to supervise a call, and how; who does already changes to this mode."""

    model_config = ConfigDict(extra="forbid")

    supervisor: Annotated[str, Field(pattern=r"^extension/[^/\s]{1,64}$", examples=["extension/100"])]
    mode: Literal["listen", "whisper", "barge"] = "listen"
    whisper_to: Literal["", "caller", "callee"] = ""
    """Left out: whichever is an extension, the callee if both are."""


_NO_CONFERENCE: dict[int | str, dict[str, Any]] = {404: {"description": "There is no such conference, or member"}}
_REFUSED: dict[int | str, dict[str, Any]] = {409: {"description": "The call cannot be supervised"}}


def conferences_router(ports: Ports) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["conferences"])

    @router.get("/conferences")
    async def conferences() -> ConferenceList:
        """The conferences that somebody is in, the longest one first."""
        return ConferenceList(conferences=[ConferenceView.of(one) for one in ports.conferences.all()])

    @router.patch("/conferences/{name}", status_code=204, responses=_NO_CONFERENCE)
    async def change(name: str, wanted: ConferenceChange) -> None:
        """Begin to record a conference, or stop."""
        _found(ports.conferences.record(name, wanted.recording))

    @router.delete("/conferences/{name}", status_code=204, responses=_NO_CONFERENCE)
    async def end(name: str) -> None:
        """End a conference: the calls of all members are hung up."""
        _found(ports.conferences.end(name))

    @router.patch("/conferences/{name}/members/{member}", status_code=204, responses=_NO_CONFERENCE)
    async def change_member(name: str, member: str, wanted: MemberChange) -> None:
        """Mute a member, so that it cannot unmute itself, or let it be heard again."""
        _found(ports.conferences.mute(name, member, wanted.muted))

    @router.delete("/conferences/{name}/members/{member}", status_code=204, responses=_NO_CONFERENCE)
    async def kick(name: str, member: str) -> None:
        """Throw a member out: its call is hung up."""
        _found(ports.conferences.kick(name, member))

    @router.post("/calls/{call}/supervisors", status_code=204, responses=_REFUSED, tags=["calls"])
    async def supervise(call: str, wanted: Supervise) -> None:
        """Ring a supervisor's extension, and let it listen to a call, whisper to one side or talk with both."""
        try:
            ports.supervise(call, wanted.supervisor, wanted.mode, wanted.whisper_to)
        except LookupError as error:
            raise HTTPException(409, str(error.args[0])) from error

    return router


def _found(found: bool) -> None:
    if not found:
        raise HTTPException(404, "There is no such conference, or no such member in it.")
