from __future__ import annotations

import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from twisted.logger import Logger

from pbx.ops.logs import LogPipe, start_logging
from pbx.ops.redaction import HIDDEN


class Capture:
    def __init__(self, level: Any = "info", form: Any = "json", secrets: tuple[str, ...] = ()) -> None:
        self.stream = io.StringIO()
        self.pipe = LogPipe(form, secrets=secrets, stream=self.stream)
        self.stop = start_logging(level, self.pipe)

    def lines(self) -> list[dict[str, Any]]:
        self.stop()
        self.stop = lambda: None
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def capture() -> Iterator[Capture]:
    capture = Capture(secrets=("hunter2-long",))
    yield capture
    capture.stop()


def test_a_line_has_time_level_logger_event_and_what_is_bound(capture: Capture) -> None:
    log = structlog.get_logger("pbx.call").bind(call="c1")
    log.info("answered", leg="c1-0", after=1.25)
    log.debug("not shown")
    (line,) = capture.lines()
    assert list(line)[:4] == ["timestamp", "level", "logger", "event"]
    assert line["timestamp"].endswith("Z")
    assert line | {"timestamp": ""} == {
        "timestamp": "",
        "level": "info",
        "logger": "pbx.call",
        "event": "answered",
        "call": "c1",
        "leg": "c1-0",
        "after": 1.25,
    }


def test_exceptions_come_with_their_traceback(capture: Capture) -> None:
    try:
        raise ValueError("broken hunter2-long")
    except ValueError as error:
        structlog.get_logger().exception("oh")
        caught = error
    structlog.get_logger().error("later", exc_info=caught)
    first, second = capture.lines()
    assert first["level"] == second["level"] == "error"
    assert "ValueError: broken [hidden]" in first["exception"]
    assert "test_exceptions_come" in second["exception"]


def test_libraries_twisted_and_warnings_come_the_same_way(capture: Capture) -> None:
    logging.getLogger("some.library").warning("careful: %s", "token=x")
    logging.getLogger("sqlalchemy.engine").info("SELECT 1")
    Logger("some.twisted").warn("slow {what}", what="thing")
    Logger("some.twisted").info("nothing")
    try:
        raise KeyError("k")
    except KeyError:
        Logger("some.twisted").failure("failed")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    found = [(line["logger"], line["level"]) for line in capture.lines()]
    assert found == [
        ("some.library", "warning"),
        ("some.twisted", "warning"),
        ("some.twisted", "error"),
        ("py.warnings", "warning"),
    ]


@pytest.mark.parametrize(
    ("fields", "hidden"),
    [
        ({"password": "x1"}, "x1"),
        ({"api_token": "abc"}, "abc"),
        ({"Authorization": "Digest y"}, "Digest y"),
        ({"url": "postgresql://user:pw12@host/db"}, "pw12"),
        ({"message": 'REGISTER\r\nAuthorization: Digest username="bob", response="6629fae4"\r\nTo: x'}, "6629fae4"),
        ({"text": 'Digest response="6629fae49393a05397450978507c4ef1"'}, "6629fae4"),
        ({"text": "Authorization header was Bearer abcdefgh12345"}, "abcdefgh12345"),
        ({"text": "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"}, "d0Rmdm"),
        ({"text": "a=crypto:1 S inline:d0RmdmcmVCsp|1:4;inline:c0RmdmcmVCsp|2:4"}, "c0Rmdm"),
        ({"text": "('crypto', '1 AES_CM_128_HMAC_SHA1_80 INLINE:d0RmdmcmVCspeEc3QGZi')"}, "d0Rmdm"),
        ({"text": "sip:bob:pwd77@host"}, "pwd77"),
        ({"nested": {"deep": [{"secret": "q9"}, "hunter2-long"]}}, "q9"),
        ({"nested": {"deep": [{"secret": "q9"}, "hunter2-long"]}}, "hunter2"),
        ({"raw": b"has hunter2-long in it"}, "hunter2"),
        ({"thing": Path("/x/hunter2-long")}, "hunter2"),
    ],
)
def test_no_secret_is_written(fields: dict[str, Any], hidden: str) -> None:
    capture = Capture(secrets=("hunter2-long", "4711"))
    structlog.get_logger().info("event", number="4711", **fields)
    capture.stop()
    written = capture.stream.getvalue()
    assert hidden not in written
    assert HIDDEN in written
    assert '"number": "4711"' in written


def test_secrets_may_become_known_later(capture: Capture) -> None:
    capture.pipe.learn_secrets(["brand-new-secret"])
    structlog.get_logger().info("now brand-new-secret")
    assert capture.lines()[0]["event"] == "now [hidden]"


def test_the_console_form_is_one_readable_line() -> None:
    capture = Capture(form="console")
    structlog.get_logger("pbx").bind(call="c1").warning("no-media", seconds=30, text="two\nlines")
    capture.stop()
    (line,) = capture.stream.getvalue().splitlines()
    for part in ("warning", "no-media", "call=c1", "seconds=30"):
        assert part in line


def test_many_threads_lose_nothing_and_a_flood_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = Capture()
    log = structlog.get_logger()
    threads = [threading.Thread(target=lambda: [log.info("x", n=number) for number in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(capture.lines()) == 2000
    assert capture.pipe.dropped == 0

    monkeypatch.setattr("pbx.ops.logs._MOST_WAITING", 10)
    blocked = threading.Event()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            blocked.wait(10)
            return super().write(text)

    stream = Slow()
    pipe = LogPipe("json", stream=stream)
    for number in range(100):
        pipe.put({"event": str(number), "level": "info", "timestamp": 1.0})
    assert pipe.dropped >= 88
    blocked.set()
    pipe.stop()
    assert f'"lines": {pipe.dropped}' in stream.getvalue()


def test_a_file_is_reopened_after_rotation(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "pbx.log"
    pipe = LogPipe("json", path)
    stop = start_logging("info", pipe)
    structlog.get_logger().info("first")
    while "first" not in path.read_text():
        pass
    path.rename(tmp_path / "rotated")
    pipe.reopen()
    structlog.get_logger().info("second")
    stop()
    assert "first" in (tmp_path / "rotated").read_text()
    assert "second" in path.read_text()


def test_a_stream_that_cannot_be_written_hurts_nobody() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    pipe = LogPipe("json", stream=Full())
    pipe.put({"event": "x", "level": "info", "timestamp": 1.0})
    pipe.stop()
    assert pipe.failures == 1


def test_everything_is_as_before_afterwards() -> None:
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    libraries = ("sqlalchemy", "asyncio", "uvicorn")
    levels = [logging.getLogger(name).level for name in libraries]
    capture = Capture()
    capture.stop()
    assert logging.getLogger().handlers == handlers
    assert logging.getLogger().level == level
    assert [logging.getLogger(name).level for name in libraries] == levels
    assert not structlog.is_configured()


def test_at_debug_everything_is_heard() -> None:
    capture = Capture("debug")
    Logger("some.twisted").info("starting")
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("asyncio").debug("slow")
    assert [line["event"] for line in capture.lines()] == ["starting", "started", "slow"]
