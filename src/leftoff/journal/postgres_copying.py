"""Write a whole journal into a database that holds none: it appears there complete and durable, or not at all.

1. All of it is one transaction: nobody sees a part, and what a killed copy has sent the server takes back.
2. The lock under which journals are created is held from before the look whether there is one until the end.
3. The sequence stands behind the copied numbers before anybody can own a run.
4. Where the answer to the COMMIT is lost, the end of that session is waited for, and then the journal is looked for.
"""

# ruff: noqa: S608  # only constants are joined into SQL
from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg.rows import tuple_row

from leftoff.errors import JournalBusy, JournalDamaged, JournalUnreachable, UsageError
from leftoff.journal.copying import Head, row_of
from leftoff.journal.entry import Entry
from leftoff.journal.postgres_connection import Guarded
from leftoff.journal.postgres_server import (
    INDEXES,
    PATIENCE,
    POSTGRES,
    check_durability,
    connect,
    create_tables,
    read_header,
    translated,
)
from leftoff.journal.rows import IS_FATE, Rows, RunRow
from leftoff.journal.rows_verify import check_journal
from leftoff.journal.store import Durability, redacted

_LOCK: Final = "SELECT pg_try_advisory_xact_lock(hashtext('leftoff'), 0)"
_ADD_RUN: Final = "INSERT INTO leftoff.run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ACCOUNT: Final = (
    "SELECT count(*) FILTER (WHERE next IS NULL AND kind = 'done'),"
    " count(*) FILTER (WHERE next IS NULL AND kind = 'dead'),"
    " count(*) FILTER (WHERE kind IN ('forgotten', 'retried') OR prev IN ('done', 'dead')) FROM (SELECT kind,"
    " lag(kind) OVER (PARTITION BY key ORDER BY seq) AS prev, lead(kind) OVER (PARTITION BY key ORDER BY seq) AS next"
    f" FROM leftoff.entry WHERE run = ? AND {IS_FATE.format('')}) AS fates"
)


class Making:
    """Be a journal that is being made, in a transaction that nobody else sees."""

    def __init__(self, connection: Guarded, url: str) -> None:
        """Make it through a connection on which the transaction is open."""
        self._own = connection.own
        self._connection = connection
        self.place = redacted(url)
        self.journal_id = ""

    def fetch(self, sql: str, parameters: object = ()) -> list[tuple[object, ...]]:
        """Ask inside the transaction."""
        return self._own(sql, parameters).fetchall()

    def write(self, entries: Iterable[Entry]) -> int:
        """Write entries, in bounded memory; check all of it and return how many they were."""
        with translated(self.place):
            self.journal_id = create_tables(self._own)
            rows = Rows(self.fetch, self.place, self.journal_id, POSTGRES)
            heads: dict[str, Head] = {}
            seq = 0
            with (
                psycopg.Cursor(self._connection, row_factory=tuple_row) as cursor,
                cursor.copy("COPY leftoff.entry FROM STDIN") as lines,
            ):
                for entry in entries:
                    seq += 1
                    lines.write_row(row_of(entry, seq, rows.salt, heads))
            for sql in INDEXES:
                self._own(sql)
            self._own("SELECT setval('leftoff.seq', ?)", (seq,))
            self._own("ANALYZE leftoff.entry")  # or the checks below are planned for an empty table
            for name, head in heads.items():
                self._add_run(name, head, rows)
            for damage in check_journal(rows, by_run=True):
                raise JournalDamaged(f"{damage.where}: {damage.what}; nothing was copied. Look with: leftoff verify")
        return seq

    def _add_run(self, name: str, head: Head, rows: Rows) -> None:
        done, dead, superseded = self._own(_ACCOUNT, (head.run,)).fetchall()[0]
        row = RunRow(head.run, name, head.epoch, head.seq, head.sum, head.mark, done, dead, superseded)
        self._own(_ADD_RUN, (*row, row.row_sum(rows.salt)))


@contextmanager
def appearing_in(url: str, durability: Durability) -> Iterator[Making]:
    """Yield a journal to be written in the database of ``url``; when the block ends well, commit it.

    Raise UsageError where the database holds a journal already, and JournalBusy while another process makes one.
    """
    connection = connect(Guarded, url)
    making = Making(connection, url)
    try:
        with translated(making.place):
            check_durability(making.fetch, making.place, durability)
            _begin(making)
        yield making
        with translated(making.place):
            _commit(connection, making, url)
    finally:
        connection.close_for_good()  # the server takes back what was not committed


def _begin(making: Making) -> None:
    _refuse_existing(making)
    making.fetch("SELECT set_config('statement_timeout', '0', false)")
    making._own("BEGIN ISOLATION LEVEL READ COMMITTED")
    _lock(making)
    _refuse_existing(making)
    if making.fetch("SHOW synchronous_commit") == [("off",)]:
        making._own("SET LOCAL synchronous_commit = on")


def _lock(making: Making) -> None:
    end = time.monotonic() + PATIENCE
    while making.fetch(_LOCK) != [(True,)]:
        if time.monotonic() >= end:
            raise JournalBusy(f"another process is making a journal in {making.place}; wait for it to end or stop it")
        time.sleep(0.05)


def _refuse_existing(making: Making) -> None:
    if read_header(making.fetch, making.place) is not None:
        raise UsageError(
            f"{making.place} holds a journal already; a copy is made where there is none: name another database"
        )


def _commit(connection: Guarded, making: Making, url: str) -> None:
    try:
        connection.own("COMMIT")
        return
    except psycopg.OperationalError:
        if not connection.closed:
            raise
    again = connect(Guarded, url, patience=PATIENCE)
    try:
        looking = Making(again, url)
        again.own("BEGIN")
        _lock(looking)
        if read_header(looking.fetch, looking.place) != making.journal_id:
            raise JournalUnreachable(
                f"{making.place}: the connection was lost before the copy was committed; nothing of it is"
                " kept: start again"
            )
    finally:
        again.close_for_good()
