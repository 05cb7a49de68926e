"""What the API answers, as pydantic models: the schema of the OpenAPI page. Here is what several answers share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["PartyView", "Problem", "View"]


class View(BaseModel):
    """What is answered: read from an object of ours, and not changed any more."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Problem(View):
    """Why a request was refused."""

    detail: str


class PartyView(View):
    """Who somebody is."""

    number: str
    name: str = ""
    anonymous: bool = False
