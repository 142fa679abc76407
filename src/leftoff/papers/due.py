"""Say which queries are due: what was never searched completely, what was left open, what was searched too long ago."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from leftoff.papers import tables

if TYPE_CHECKING:
    from leftoff.papers.asked import Asked

LAST = """
    SELECT opened_at, completed_at, missing FROM search
    WHERE source = ? AND query = ? AND since IS ? AND most IS ? ORDER BY id DESC LIMIT 1
"""


@dataclass(frozen=True)
class Due:
    """Be why a query is due, in words (None: it is not), and the moment from which on it is (None: it is now)."""

    why: str | None
    next_at: str | None = None


def is_due(db: str, asked: Asked, every: float) -> Due:
    """Say whether what is asked for is due at one of its services; every: seconds from the begin of one search on."""
    times = []
    with _reading(db) as connection:
        for service in asked.services:
            found = Due("never searched completely") if connection is None else _of(connection, service, asked, every)
            if found.why is not None:
                return found if len(asked.services) == 1 else Due(f"{service}: {found.why}")
            times.append(found.next_at or "")
    return Due(None, min(times))


def _of(connection: sqlite3.Connection, service: str, asked: Asked, every: float) -> Due:
    limited = asked.dois is None  # a list is known by what is in it
    since = None if asked.since is None or not limited else asked.since.isoformat()
    row = connection.execute(
        LAST, (service, asked.name_at(service), since, asked.limit if limited else None)
    ).fetchone()
    if row is None:
        return Due("never searched completely")
    opened_at, completed_at, missing = row
    if completed_at is None:
        return Due("its last search was interrupted")
    if missing is None or missing > 0:
        return Due("its last search left something missing")
    opened = datetime.strptime(opened_at, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    next_at = opened + timedelta(seconds=every)
    if next_at > tables.clock():
        return Due(None, tables.text_of(next_at))
    return Due(f"its last complete search was begun at {opened:%Y-%m-%d %H:%M}Z")


@contextmanager
def _reading(db: str) -> Iterator[sqlite3.Connection | None]:
    """Yield a connection that only reads, None if the database has no searches that can be judged yet."""
    path = Path(db).absolute()
    if not path.is_file():
        yield None
        return
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(search)")]
        yield connection if "missing" in columns else None
