"""The part of the API that operators keep strangers and thieves out with: bans and budgets."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pbx.web.ports import BanState, Ports

__all__ = ["security_router"]


class BanView(BaseModel):
    """An address that is banned."""

    address: str
    """Of IPv6 the /64 that it is in."""
    reason: str
    since: datetime
    until: datetime
    count: int
    """Bans so far, this one among them."""

    @classmethod
    def of(cls, state: BanState) -> BanView:
        """Return the view of a ban."""
        since, until = (datetime.fromtimestamp(moment, UTC) for moment in (state.since, state.until))
        return cls(address=state.address, reason=state.reason, since=since, until=until, count=state.count)


class Bans(BaseModel):
    """Who is banned."""

    bans: list[BanView]


class BudgetView(BaseModel):
    """What one caller, or one trunk, has spent of a budget in this hour or day."""

    model_config = ConfigDict(from_attributes=True)

    budget: str
    subject: str
    calls: int
    calls_allowed: int | None
    seconds: float
    seconds_allowed: float | None
    until: datetime
    """When it begins anew."""
    exceeded: bool


class Budgets(BaseModel):
    """What is spent."""

    budgets: list[BudgetView]


def _address(text: str) -> str:
    return str(ip_address(text))


class NewBan(BaseModel):
    """An address to be banned, for `seconds` or, left out, for twice as long as the last time."""

    model_config = ConfigDict(extra="forbid")

    address: Annotated[str, AfterValidator(_address), Field(examples=["192.0.2.1"])]
    seconds: Annotated[float | None, Field(gt=0, le=3.2e8)] = None
    reason: Annotated[str, Field(max_length=200)] = ""


_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"description": "It is not banned"}}


def security_router(ports: Ports) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["security"])

    @router.get("/bans")
    async def bans() -> Bans:
        """Every address that is banned now, the one whose ban ends last first."""
        return Bans(bans=[BanView.of(one) for one in ports.bans.all()])

    @router.post("/bans", status_code=201)
    async def ban(wanted: NewBan) -> BanView:
        """Ban an address. Trunks and registered phones there are known, and go on calling."""
        return BanView.of(ports.bans.ban(wanted.address, wanted.reason, wanted.seconds))

    @router.delete("/bans/{address}", status_code=204, responses=_UNKNOWN)
    async def unban(address: str) -> None:
        """Lift a ban, and forget that there ever was one."""
        try:
            lifted = ports.bans.lift(_address(address.partition("/")[0]))
        except ValueError as error:
            raise HTTPException(400, "This is no address.") from error
        if not lifted:
            raise HTTPException(404, "This address is not banned.")

    @router.get("/budgets")
    async def budgets() -> Budgets:
        """What is spent of each budget, by whom."""
        return Budgets(budgets=[BudgetView.model_validate(one) for one in ports.budgets.all()])

    @router.delete("/budgets/{budget}", status_code=204, responses={404: {"description": "Nothing is spent of it"}})
    async def reset_budget(budget: str, subject: str = "") -> None:
        """Give a budget back, to one `subject` or to all."""
        if not ports.budgets.reset(budget, subject):
            raise HTTPException(404, "Nothing is spent of this budget.")

    return router
