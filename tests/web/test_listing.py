"""Long lists, and what is slow to make, keep no call waiting: the API's loop is the server's."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from pbx.web.listing import answer_list
from pbx.web.views import PartyView


def test_others_have_their_turn_while_a_list_is_made() -> None:
    turns: list[int] = []
    made: list[int] = []

    def view(number: int) -> PartyView:
        made.append(number)
        return PartyView(number=str(number))

    async def other() -> None:
        while True:
            turns.append(len(made))
            await asyncio.sleep(0)

    async def go() -> bytes:
        task = asyncio.create_task(other())
        response = await answer_list("parties", range(100), view)
        task.cancel()
        return bytes(response.body)

    found = json.loads(asyncio.run(go()))
    assert [one["number"] for one in found["parties"]] == [str(number) for number in range(100)]
    assert max(later - sooner for sooner, later in zip(turns, [*turns[1:], 100], strict=True)) <= 8


def test_an_empty_list() -> None:
    response = asyncio.run(answer_list("parties", [], PartyView.model_validate))
    assert json.loads(bytes(response.body)) == {"parties": []}
    assert response.media_type == "application/json"


def test_circumstances_are_put_into_words_on_a_thread(site: Any) -> None:
    asked: list[threading.Thread] = []

    def circumstances(source: str, number: str, at: datetime, caller: str, name: str) -> Mapping[str, str]:
        asked.append(threading.current_thread())
        return {"decision.txt": ""}

    site.ports = replace(site.ports, circumstances=circumstances)
    assert site.get("/api/v1/calls/c1/bundle.zip").status_code == 200
    assert asked
    assert asked[0] is not threading.current_thread()
