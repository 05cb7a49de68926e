"""The log: structlog in front, one thread behind that makes the text and writes it.

Whoever logs pays for a dictionary and a place in a queue; time stamps are formatted, secrets removed and lines written
elsewhere. The library's own logging, Twisted's and Python's warnings come the same way.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher

from pbx.ops.lines import renderer
from pbx.ops.redaction import Redactor

__all__ = ["Level", "LogPipe", "set_level", "start_logging"]

Level = Literal["debug", "info", "warning", "error"]

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_MOST_WAITING = 20_000
_GATHER = 0.1
"""Seconds that a line waits for others."""

# Libraries that say at info what nobody asked for; with level debug they are heard.
_QUIET = ("alembic", "asyncio", "httpx", "httpcore", "sqlalchemy", "uvicorn")

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class LogPipe:
    """The queue and the thread that writes. `put` may be called from any thread."""

    def __init__(
        self,
        form: Literal["json", "console"],
        file: Path | None = None,
        secrets: Iterable[str] = (),
        stream: TextIO | None = None,
    ) -> None:
        """Write to `file`, else to `stream`, else to standard error. Raises OSError if the file cannot be opened."""
        self._file = file
        self._stream = stream or sys.stderr
        if file is not None:
            self._stream = _open(file)
        self._redactor = Redactor(secrets)
        self._render = renderer(form, self._stream)
        self._waiting: deque[dict[str, Any]] = deque()
        self._something = threading.Event()
        self._stopping = threading.Event()
        self._reopen = False
        self.threshold = logging.INFO
        """The least level that is written, by Python's numbers; `set_level` changes it."""
        self.dropped = 0
        """Lines lost because they came faster than they could be written."""
        self._told = 0
        self.failures = 0
        """Lines that could not be written: a full disk, a closed terminal."""
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, event: dict[str, Any]) -> None:
        """Have a line written: ``event``, ``level``, ``logger``, ``timestamp`` (seconds since the epoch), and
        fields."""
        waiting = self._waiting
        if len(waiting) >= _MOST_WAITING:
            self.dropped += 1
            return
        waiting.append(event)
        if not self._something.is_set():
            self._something.set()

    def learn_secrets(self, secrets: Iterable[str]) -> None:
        """Keep these out of the log from now on."""
        self._redactor.learn(secrets)

    def reopen(self) -> None:
        """Open the file anew before the next line: it has been rotated."""
        self._reopen = self._file is not None

    def stop(self, timeout: float = 5.0) -> None:
        """Write what waits and end the thread."""
        self._stopping.set()
        self._something.set()
        self._thread.join(timeout)
        if self._file is not None:
            self._stream.close()

    def _run(self) -> None:
        while True:
            self._something.wait()
            # What is said together is written together. Waking up for each line would cost more than writing it, most
            # of it to the reactor, which has to give up the interpreter meanwhile.
            stopping = self._stopping.wait(_GATHER)
            self._something.clear()
            self._write()
            if stopping:
                return

    def _write(self) -> None:
        """Write what waits."""
        waiting, lines = self._waiting, []
        while waiting:
            try:
                lines.append(self._line(waiting.popleft()))
            except Exception:  # noqa: BLE001 - whatever value cannot be told, the log goes on
                self.failures += 1
        lost = self.dropped - self._told
        if lost:
            self._told += lost
            told = {"event": "log-lines-dropped", "level": "warning", "timestamp": time.time(), "lines": lost}
            lines.append(self._line(told))
        lines.append("")
        try:
            if self._reopen:
                self._reopen = False
                fresh = _open(self._file) if self._file is not None else self._stream
                self._stream, old = fresh, self._stream
                old.close()
            self._stream.write("\n".join(lines))
            self._stream.flush()
        except (OSError, ValueError):
            self.failures += len(lines) - 1

    def _line(self, event: dict[str, Any]) -> str:
        exception = event.pop("exc_info", None)
        fields = self._redactor.fields(event)
        moment = datetime.fromtimestamp(event.get("timestamp") or time.time(), UTC)
        fields["timestamp"] = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
        if exception:
            text = "".join(traceback.format_exception(*exception)).rstrip()
            fields["exception"] = self._redactor.text(text)
        return self._render(fields)


def _open(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a", encoding="utf-8", errors="backslashreplace")


class _PipeLogger:
    """What structlog's loggers write to."""

    def __init__(self, pipe: LogPipe, name: str) -> None:
        self._put = pipe.put
        self._name = name

    def msg(self, /, **event: Any) -> None:
        event["logger"] = self._name
        self._put(event)

    debug = info = warning = error = critical = exception = msg


def _finish(_logger: Any, level: str, event: EventDict) -> EventDict:
    event["level"] = "error" if level == "exception" else level
    event["timestamp"] = time.time()
    if "exc_info" in event:
        event["exc_info"] = _exception(event["exc_info"]) if event["exc_info"] else None
    return event


def _exception(found: object) -> _ExcInfo | None:
    if isinstance(found, BaseException):
        return type(found), found, found.__traceback__
    if isinstance(found, tuple):
        return found
    current = sys.exc_info()
    return current if current[0] is not None else None


class _LibraryHandler(logging.Handler):
    """Takes what libraries say through Python's logging."""

    def __init__(self, pipe: LogPipe) -> None:
        super().__init__()
        self._put = pipe.put

    def emit(self, record: logging.LogRecord) -> None:
        event: dict[str, Any] = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": record.created,
        }
        if record.exc_info and record.exc_info[0] is not None:
            event["exc_info"] = record.exc_info
        self._put(event)


def _twisted_observer(pipe: LogPipe) -> ILogObserver:
    def observe(event: LogEvent) -> None:
        threshold = pipe.threshold
        level = event.get("log_level", LogLevel.info)
        name = "error" if level is LogLevel.critical else "warning" if level is LogLevel.warn else level.name
        # Twisted tells of every listener and resolver at info; so do we, in our own words.
        if _LEVELS[name] < threshold or (level is LogLevel.info and threshold > logging.DEBUG):
            return
        line: dict[str, Any] = {
            "event": formatEvent(event) or "",
            "level": name,
            "logger": event.get("log_namespace", "twisted"),
            "timestamp": event.get("log_time", time.time()),
        }
        failure = event.get("log_failure")
        if failure is not None:
            line["exc_info"] = (failure.type, failure.value, failure.getTracebackObject())
        pipe.put(line)

    return cast("ILogObserver", observe)


def _bound_logger(threshold: int) -> type[Any]:
    """Return structlog's logger from a level on, with a short way for what calls say at info: three lines each."""
    bound = structlog.make_filtering_bound_logger(threshold)
    if threshold > logging.INFO:
        return bound

    class Quick(bound):  # type: ignore[misc, valid-type]
        def info(self, event: str, *values: Any, **fields: Any) -> Any:
            # Whoever puts other processors in the place of ours (tests) has them run.
            if values or "exc_info" in fields or self._processors[0] is not _finish:
                return super().info(event, *values, **fields)
            line = {**self._context, **fields, "event": event, "level": "info", "timestamp": time.time()}
            return self._logger.msg(**line)

    return Quick


def set_level(level: Level, pipe: LogPipe) -> None:
    """Log from `level` on; for a process whose logging was started."""
    threshold = pipe.threshold = _LEVELS[level]
    structlog.configure(wrapper_class=_bound_logger(threshold))
    logging.getLogger().setLevel(threshold)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if threshold == logging.DEBUG else logging.WARNING)


def start_logging(level: Level, pipe: LogPipe) -> Callable[[], None]:
    """Send everything that is logged in this process, from `level` on, to `pipe`; return what undoes that and stops
    it."""
    structlog.configure(
        processors=[_finish],
        logger_factory=lambda name="pbx", *_: _PipeLogger(pipe, name),
        cache_logger_on_first_use=False,
    )
    handler = _LibraryHandler(pipe)
    root = logging.getLogger()
    before = [(logger, logger.level) for logger in (root, *map(logging.getLogger, _QUIET))]
    root.addHandler(handler)
    logging.captureWarnings(True)
    set_level(level, pipe)
    observer = _twisted_observer(pipe)
    globalLogPublisher.addObserver(observer)

    def stop() -> None:
        globalLogPublisher.removeObserver(observer)
        logging.captureWarnings(False)
        root.removeHandler(handler)
        for logger, level_before in before:
            logger.setLevel(level_before)
        structlog.reset_defaults()
        pipe.stop()

    return stop
