"""What the native engine tells, read as events."""

from __future__ import annotations

from dataclasses import asdict, fields

from pbx.media.engine_events import Reader
from pbx.media.engine_names import Names
from pbx.media.events import Refusal, Statistics, StreamStatistics
from pbx.native._engine import ffi, lib


def test_counts_are_read_by_their_order_which_is_that_of_the_native_ones():
    native = [name for name, _ in ffi.typeof("struct engine_counts").fields]
    assert [field.name for field in fields(StreamStatistics)] == native


def test_every_count_arrives_under_its_own_name():
    event = ffi.new("struct engine_event *")
    event.kind = lib.ENGINE_STATISTICS
    expected: dict[str, object] = {}
    for number, (name, field) in enumerate(ffi.typeof("struct engine_counts").fields, start=1):
        if name == "refusal":
            event.counts.refusal, expected[name] = lib.ENGINE_REFUSED_POLICY, Refusal.POLICY
        elif field.type.kind == "array":
            setattr(event.counts, name, f"192.0.2.{number}:4000".encode())
            expected[name] = f"192.0.2.{number}:4000"
        else:
            value = number + 0.5 if field.type.cname == "double" else number if field.type.cname[0] == "u" else -number
            setattr(event.counts, name, value)
            expected[name] = value
    told = Reader(Names(), lambda old, new: None).read(event)
    assert isinstance(told, Statistics)
    assert asdict(told.counts) == expected
