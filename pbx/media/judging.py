"""Which readings of counts belong together, and what is told of them: a `Verdict` when a direction's finding changes.

`MediaSession` asks the engine for the counts of all audio streams at once (`ask`), gives what comes (`take`), and once
all are there (`complete`) the streams are judged, each against its reading of the time before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pbx.media.events import StreamStatistics, Verdict
from pbx.media.verdict import FAULTS, Facts, Finding, Window, receiving, sending
from pbx.media.verdict_text import remedy_of, text_of
from pbx.values import dataclass

__all__ = ["Judging", "Subject"]

_UNREAD = StreamStatistics()


@dataclass(frozen=True, slots=True)
class Subject:
    """A stream to be judged."""

    stream: str
    facts: Facts
    feed: str
    """The stream that it is connected to; empty for none."""


class Judging:
    """The readings of one call, and what was found last."""

    __slots__ = ("_awaited", "_came", "_found", "_known", "_readings")

    def __init__(self) -> None:
        self._awaited: list[str] = []
        self._came: dict[str, StreamStatistics] = {}
        self._readings: dict[str, StreamStatistics] = {}
        self._known: dict[str, int] = {}
        """What was known of each stream the round before, as a hash: whether it is another is all that is asked."""
        self._found: dict[str, tuple[Finding, Finding]] = {}

    def ask(self, streams: Iterable[str]) -> None:
        """Begin a round; one that the engine has not answered wholly is given up."""
        self._awaited = list(streams)
        self._came = {}

    def take(self, stream: str, counts: StreamStatistics) -> None:
        """Take a reading."""
        if stream in self._awaited:
            self._awaited.remove(stream)
            self._came[stream] = counts

    def lose(self, stream: str) -> None:
        """Wait no longer for a stream that is closed."""
        if stream in self._awaited:
            self._awaited.remove(stream)
        self._came.pop(stream, None)

    @property
    def complete(self) -> bool:
        """Whether a round is there to be judged."""
        return not self._awaited and bool(self._came)

    def judge(self, describe: Callable[[str], Subject | None], seconds: float) -> list[Verdict]:
        """Return what the round that is complete has changed; `seconds` have passed since the one before.

        `describe` says what is known of a stream, None if it is not to be judged. A stream of which something else is
        known than the round before, or that came later than the first round, is judged from the next round on: what a
        hold or a transfer has just begun has had no time to show.
        """
        came, self._came = self._came, {}
        first = not self._readings
        subjects = {stream: subject for stream in came if (subject := describe(stream)) is not None}
        before, self._readings = self._readings, {**self._readings, **{stream: came[stream] for stream in subjects}}
        known = {stream: hash(one) for stream, one in subjects.items()}
        steady = {stream: one for stream, one in subjects.items() if first or self._known.get(stream) == known[stream]}
        self._known = known
        return self._verdicts(steady, before, came, seconds)

    def judge_whole(
        self, subjects: Mapping[str, Subject], counts: Mapping[str, StreamStatistics], seconds: float
    ) -> list[Verdict]:
        """Return verdicts on streams that have come to their end before any round, by all that they counted."""
        unjudged = {stream: one for stream, one in subjects.items() if stream not in self._found}
        return self._verdicts(unjudged, {}, counts, seconds)

    def _verdicts(
        self,
        subjects: Mapping[str, Subject],
        before: Mapping[str, StreamStatistics],
        after: Mapping[str, StreamStatistics],
        seconds: float,
    ) -> list[Verdict]:
        windows = {
            stream: Window(before.get(stream, _UNREAD), after[stream], seconds, one.facts)
            for stream, one in subjects.items()
        }
        heard = {stream: receiving(window) for stream, window in windows.items()}
        verdicts: list[Verdict] = []
        for stream, window in windows.items():
            found = heard[stream], sending(window, heard.get(subjects[stream].feed))
            last = self._found.get(stream)
            for place, arriving in enumerate((True, False)):
                if last is None or last[place] is not found[place]:
                    verdicts.append(_verdict(found[place], window, stream, arriving))
            self._found[stream] = found
        return verdicts


def _verdict(finding: Finding, window: Window, stream: str, arriving: bool) -> Verdict:
    return Verdict(
        stream,
        arriving,
        finding.value,
        text_of(finding, window, arriving=arriving),
        remedy_of(finding, window, arriving=arriving),
        finding in FAULTS,
    )
