"""Compact an SQLite journal: our rows in one transaction, the user's tables untouched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from leftoff.errors import UsageError
from leftoff.journal.copying import back_up
from leftoff.journal.rebuilding import free_name, rebuilding
from leftoff.journal.rows import Rows
from leftoff.journal.rows_compact import compact_rows
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_file import SQLITE, damaged, read_header, translated
from leftoff.journal.sqlite_held import held, many_with, transaction
from leftoff.journal.sqlite_verify import check_all, fetch_with
from leftoff.journal.sqlite_wal import size_of
from leftoff.journal.store import Compacted


def compact_sqlite(path: Path, url: str, *, keep: bool, vacuum: bool) -> Compacted:
    """Compact the journal at ``path``; ``keep``: a whole copy first; ``vacuum``: make the file smaller, too.

    Raise `JournalBusy` while another process owns a run, and UsageError where there is nothing to compact.
    """
    with closing(SqliteStore(path)) as store:
        if not store.runs():
            raise UsageError(f"{url} holds no run yet, so there is nothing to compact")
    with held(path, url) as runs:
        before = size_of(str(path)) + size_of(f"{path}-wal")
        aside = _keep(path) if keep else None
        with transaction(path, runs) as connection:
            entries = _compact(connection, path)
        if vacuum:
            with translated(path), closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return Compacted(*entries, before, size_of(str(path)) + size_of(f"{path}-wal"), aside)


def _keep(path: Path) -> str:
    """Keep a copy by SQLite's own backup: pages, so ids and sums are the same."""
    aside = free_name(path, "before")
    with closing(SqliteStore(path)) as store, rebuilding(aside) as temporary:
        back_up(store, temporary)
    return aside.name


def _compact(connection: sqlite3.Connection, path: Path) -> tuple[int, int]:
    fetch = fetch_with(connection)
    journal_id = read_header(fetch, path)
    assert journal_id is not None  # noqa: S101  # it holds a run
    rows = Rows(fetch, path, journal_id, SQLITE)
    for damage in check_all(fetch, rows):
        raise damaged(path, f"{damage.where}: {damage.what}")
    # The newest numbers are among those that go: one that was given once must not be given again.
    numbers = iter(range(rows.newest_seq() + 1, 1 << 62))
    return compact_rows(rows, journal_id, many_with(connection), lambda count: [next(numbers) for _ in range(count)])
