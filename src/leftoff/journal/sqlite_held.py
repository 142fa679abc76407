"""Change an SQLite journal as a whole, in one transaction, while nobody owns a run of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from leftoff.errors import JournalBusy
from leftoff.journal.lock import Hold
from leftoff.journal.rows_compact import Many
from leftoff.journal.sqlite_file import BUSY_SECONDS, connect_reader, set_durability, translated
from leftoff.journal.sqlite_verify import fetch_with

_RUNS = "SELECT run FROM leftoff_run UNION SELECT run FROM leftoff_entry ORDER BY run"


@contextmanager
def held(path: Path, url: str) -> Iterator[list[int]]:
    """Hold every run of the database, or raise `JournalBusy`; yield their numbers."""
    with ExitStack() as holds:
        runs = _runs(path)
        for run in runs:
            holds.callback(Hold(path, run, f"run {run} of {url}").release)
        yield runs


def _runs(path: Path) -> list[int]:
    with translated(path), closing(connect_reader(path)) as reader:
        return [run for (run,) in reader.execute(_RUNS) if isinstance(run, int) and run > 0]


@contextmanager
def transaction(path: Path, runs: list[int]) -> Iterator[sqlite3.Connection]:
    """Yield a connection in a durable transaction that commits when the block ends well; then empty the log."""
    with translated(path), closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)) as connection:
        fetch = fetch_with(connection)
        set_durability(fetch, path, power=True)
        connection.execute("BEGIN IMMEDIATE")
        if [run for (run,) in fetch(_RUNS, ()) if isinstance(run, int) and run > 0] != runs:
            raise JournalBusy(f"{path}: another process has begun a new run just now; try again")
        yield connection
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def many_with(connection: sqlite3.Connection) -> Many:
    """Return what runs one statement for each of many parameters."""

    def many(sql: str, parameters: Sequence[tuple[Any, ...]]) -> None:
        connection.executemany(sql, parameters)

    return many
