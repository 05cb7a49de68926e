from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from pbx.store.store import Store

_CHILD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pbx.store.call_records import CallRecord, RecordingRecord
from pbx.store.store import Store

store = Store.open(Path(sys.argv[1]))
store.start()
for number in range(10):
    now = datetime.now(UTC)
    recordings = (RecordingRecord("r", f"{number}.wav"),)
    store.records.put(CallRecord(f"c{number}", now, "extension/101", "101", "102", answered=now, recordings=recordings))
store.writer.flush()
print("flushed", flush=True)
while True:
    store.records.put(CallRecord("late", datetime.now(UTC), "extension/101", "101", "102"))
"""


def test_kill_in_the_middle_of_ten_calls_leaves_ten_records_that_say_so(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "flushed\n"
        child.send_signal(signal.SIGKILL)
    store = Store.open(tmp_path)
    records = {record.id: record for record in store.records.search().records}
    assert {f"c{number}" for number in range(10)} <= set(records)
    assert {record.cause for record in records.values()} == {"server-crashed"}
    assert {records[f"c{number}"].recording_status for number in range(10)} == {"interrupted"}
    assert store.stop()
