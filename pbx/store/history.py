"""Call records read from beside the server, which may be running or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from pbx.errors import EnvironmentFault
from pbx.store.call_records import CallFilter, CallRecord, search_records
from pbx.store.database import default_url, embedded_database, open_engine

__all__ = ["past_records"]


def past_records(directory: Path, url: str, wanted: CallFilter, limit: int, page: int = 500) -> Iterator[CallRecord]:
    """Yield up to `limit` records, newest first, read `page` at a time; nothing is written.

    `url` empty means the embedded database in `directory`. Raises EnvironmentFault with what to do.
    """
    if not url and not embedded_database(directory).is_file():
        raise EnvironmentFault(f"{embedded_database(directory)} is not there: no call was recorded yet")
    engine = open_engine(url or default_url(directory))
    try:
        after = ""
        while limit > 0:
            found = search_records(engine, wanted, min(page, limit), after)
            yield from found.records
            limit -= len(found.records)
            after = found.next
            if not after:
                return
    except SQLAlchemyError as error:
        raise EnvironmentFault(f"the call records cannot be read: {str(error).splitlines()[0]}") from error
    finally:
        engine.dispose()
