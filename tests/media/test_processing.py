"""Which legs' sound the engine is asked to process."""

from __future__ import annotations

from pbx.media.commands import Process
from pbx.media.policy import MediaSettings
from pbx.media.processing import Processing
from pbx.media.session import MediaSession
from tests.support.media import ids


def asked(settings: Processing, leg: Processing | None) -> list[Processing]:
    made = MediaSession("call", MediaSettings(address="203.0.113.5", processing=settings), ids())
    made.open("a", processing=leg)
    return [command.processing for command in made.take_commands() if isinstance(command, Process)]


def test_of_a_leg_before_the_settings() -> None:
    all_of_it, noise = Processing(-20, 15, 200), Processing(noise=15)
    assert asked(Processing(), None) == []
    assert asked(all_of_it, None) == [all_of_it]
    assert asked(all_of_it, noise) == [noise]
    assert asked(all_of_it, Processing()) == []
    assert asked(Processing(), noise) == [noise]
