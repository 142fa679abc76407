"""Compact a journal in PostgreSQL: our rows in one transaction, while no run is owned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from leftoff.errors import JournalBusy, UsageError
from leftoff.journal.postgres import PostgresStore
from leftoff.journal.postgres_server import POSTGRES, damaged, read_header, translated
from leftoff.journal.rows import Rows
from leftoff.journal.rows_compact import compact_rows
from leftoff.journal.rows_verify import check_journal
from leftoff.journal.store import Compacted


def compact_postgres(store: PostgresStore) -> Compacted:
    """Compact the journal of a store, which is closed afterwards by whoever opened it.

    The server gives the space to later rows as soon as it has vacuumed. Raise `JournalBusy` while a run is owned.
    """
    rows = store.rows() if store.exists() else None
    runs = rows.runs() if rows is not None else []
    if not runs:
        raise UsageError(f"{store.url} holds no run yet, so there is nothing to compact")
    held: list[int] = []
    try:
        for run in runs:
            store.hold(run.run, run.name)
            held.append(run.run)
        before = store.size()
        with translated(store.url):
            entries = _compact(store, [run.run for run in runs])
        return Compacted(*entries, before, store.size())
    finally:
        for number in held:
            store.unhold(number)


def _compact(store: PostgresStore, runs: list[int]) -> tuple[int, int]:
    connection = store.connect_whole()
    try:

        def fetch(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
            return connection.own(sql, parameters).fetchall()

        def many(sql: str, parameters: Sequence[tuple[Any, ...]]) -> None:
            psycopg.Cursor(connection).executemany(sql.replace("?", "%s"), parameters)

        connection.own("BEGIN READ WRITE")
        if [run for (run,) in fetch("SELECT run FROM leftoff.run ORDER BY run FOR UPDATE", ())] != sorted(runs):
            raise JournalBusy(f"{store.url}: another process has begun a new run just now; try again")
        journal_id = read_header(fetch, store.url)
        assert journal_id is not None  # noqa: S101  # it holds a run
        rows = Rows(fetch, store.url, journal_id, POSTGRES)
        for found in check_journal(rows, by_run=True):
            raise damaged(store.url, f"{found.where}: {found.what}")

        def take_numbers(count: int) -> list[int]:
            sql = "SELECT nextval('leftoff.seq') FROM generate_series(1, ?)"
            return [number for (number,) in fetch(sql, (count,))]

        entries = compact_rows(rows, journal_id, many, take_numbers)
        connection.own(
            "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.own("COMMIT")
        return entries
    finally:
        connection.close_for_good()
