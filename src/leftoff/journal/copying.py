"""Write a whole journal from the entries of another: it appears under its name complete and durable, or not at all.

1. The copy is built under another name, checked, synced and renamed; until then nobody can open it.
2. Entries keep run, kind, key, value, time and epoch; numbers, sums and the journal's id are the copy's own.
3. Between two SQLite files SQLite's own backup copies, the user's tables included: `cp` of a journal that is being
   written was damaged or refused in 30 of 60 copies (measured).
"""

# ruff: noqa: S608  # only constants are joined into SQL
from __future__ import annotations

import json
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from leftoff.errors import JournalDamaged, JournalError, UsageError
from leftoff.journal.entry import Entry
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_scan import make_header, time_text
from leftoff.journal.jsonl_write import JsonlWriter, entry_text
from leftoff.journal.lock import Hold
from leftoff.journal.rows import IS_FATE, Rows, RunRow, entry_sum, value_sum_of
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_file import SQLITE, create_tables, set_durability, translated
from leftoff.journal.sqlite_file import read_header as read_sqlite_header
from leftoff.journal.sqlite_verify import check_all, fetch_with, indexed_at_the_end
from leftoff.journal.sync import open_private, put_in_place_by_name, unusable

_PAGE: Final = 2000  # rows in one insert
_ASIDE: Final = ("journal_mode=OFF", "synchronous=OFF")  # what fails is removed, what is built is synced as a whole
_SIDES: Final = ("", "-journal", "-wal", "-shm")
_ADD_ENTRY: Final = f"INSERT INTO leftoff_entry VALUES ({', '.join('?' * 10)})"
_ADD_RUN: Final = f"INSERT INTO leftoff_run VALUES ({', '.join('?' * 10)})"
_ACCOUNT: Final = (
    "SELECT total(next IS NULL AND kind = 'done'), total(next IS NULL AND kind = 'dead'),"
    " total(kind IN ('forgotten', 'retried') OR prev IN ('done', 'dead')) FROM (SELECT kind,"
    " lag(kind) OVER (PARTITION BY key ORDER BY seq) AS prev, lead(kind) OVER (PARTITION BY key ORDER BY seq) AS next"
    f" FROM leftoff_entry INDEXED BY leftoff_fate WHERE run = ? AND {IS_FATE.format('')})"
)


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Yield the name to build a journal under; when the block ends well, sync the file and rename it to ``path``.

    Raise UsageError where something is at ``path`` already, and JournalBusy while another process builds it.
    """
    with built_aside(path, _refuse_existing, _remove) as temporary:
        os.close(open_private(temporary, os.O_EXCL))
        yield temporary
        put_in_place_by_name(temporary, path)


@contextmanager
def built_aside(path: Path, refuse_existing: Callable[[Path], None], remove: Callable[[Path], None]) -> Iterator[Path]:
    """Yield a name beside ``path`` that nobody else builds under; what fails, or a kill left there, is removed."""
    refuse_existing(path)
    hold = Hold(path, 0, f"{path}, which is being made,")
    temporary = path.with_name(f"{path.name}.copying")
    try:
        refuse_existing(path)
        try:
            remove(temporary)  # what a killed copy left
            yield temporary
        except BaseException as error:
            with suppress(OSError):  # the error that came first tells more
                remove(temporary)
            if isinstance(error, OSError) and not isinstance(error, JournalError):
                raise unusable(error.filename or path, error) from error
            raise
    finally:
        hold.release()


def _refuse_existing(path: Path) -> None:
    for side in _SIDES:
        if os.path.lexists(f"{path}{side}"):
            raise UsageError(
                f"{path}{side} exists; a copy is made under a new name only: name another, or move it away"
            )


def _remove(temporary: Path) -> None:
    for side in _SIDES:
        if os.path.lexists(f"{temporary}{side}"):
            os.unlink(f"{temporary}{side}")


def write_jsonl(path: Path, entries: Iterable[Entry]) -> int:
    """Write entries to the empty file at ``path`` as a JSON Lines journal; check it and return how many they were."""
    writer = JsonlWriter(path, make_header(secrets.token_hex(8), time_text(time.time())))
    seq = 0
    try:
        for entry in entries:
            seq += 1
            writer.commit([(seq, entry_text(entry))])
    finally:
        writer.close()
    JsonlStore(path).close()  # opening checks every byte
    return seq


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass
class Head:
    """Where a run of the copy stands."""

    run: int
    epoch: int
    seq: int
    sum: int
    mark: int


def write_sqlite(path: Path, entries: Iterable[Entry]) -> int:
    """Write entries to the empty file at ``path`` as an SQLite journal; check it and return how many they were."""
    with translated(path), closing(sqlite3.connect(path, isolation_level=None)) as connection:
        fetch = fetch_with(connection)
        for pragma in _ASIDE:
            connection.execute(f"PRAGMA {pragma}")
        journal_id = secrets.token_hex(8)
        salt = crc32(journal_id.encode())
        connection.execute("BEGIN IMMEDIATE")
        create_tables(connection.execute, journal_id, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        heads: dict[str, Head] = {}
        page: list[tuple[Any, ...]] = []
        seq = 0
        with indexed_at_the_end(connection):
            for entry in entries:
                seq += 1
                page.append(row_of(entry, seq, salt, heads))
                if len(page) >= _PAGE:
                    connection.executemany(_ADD_ENTRY, page)
                    page.clear()
            connection.executemany(_ADD_ENTRY, page)
        for name, head in heads.items():
            counts = [int(count) for count in fetch(_ACCOUNT, (head.run,))[0]]
            row = RunRow(head.run, name, head.epoch, head.seq, head.sum, head.mark, *counts)
            connection.execute(_ADD_RUN, (*row, row.row_sum(salt)))
        connection.execute("COMMIT")
        set_durability(fetch, path, power=True)
        _finish(connection, path)
    return seq


def row_of(entry: Entry, seq: int, salt: int, heads: dict[str, Head]) -> tuple[Any, ...]:
    """Return an entry's row, and move its run's head to it."""
    head = heads.get(entry.run)
    if head is None:
        head = heads[entry.run] = Head(len(heads) + 1, 0, 0, salt, seq)
    at = round(entry.at.timestamp() * 1000)
    value = None if entry.value is None else _json(entry.value)
    value_sum, prev = value_sum_of(value), head.sum
    head.epoch, head.seq = max(head.epoch, entry.epoch), seq
    head.sum = entry_sum(prev, seq, head.run, entry.epoch, at, entry.kind, value_sum, entry.key)
    if entry.kind == "open":
        head.mark = seq
    return seq, head.run, entry.epoch, at, entry.kind, entry.key, value, value_sum, prev, head.sum


def back_up(source: SqliteStore, path: Path) -> int:
    """Copy a whole database, the user's tables included, to the empty file at ``path``; return its entries' number."""
    reader = source.reader()
    with translated(path), closing(sqlite3.connect(path, isolation_level=None)) as connection:
        reader.backup(connection)  # all pages in one step: one instant, whatever is written meanwhile
        _finish(connection, path)
        return int(connection.execute("SELECT count(*) FROM leftoff_entry").fetchone()[0])


def _finish(connection: sqlite3.Connection, path: Path) -> None:
    """Check the copy, and leave nothing of it in a write-ahead log."""
    fetch = fetch_with(connection)
    journal_id = read_sqlite_header(fetch, path)
    assert journal_id is not None  # noqa: S101  # whoever copies has looked at its runs
    for damage in check_all(fetch, Rows(fetch, path, journal_id, SQLITE)):
        raise JournalDamaged(f"{damage.where}: {damage.what}; nothing was copied. Look with: leftoff verify")
    fetch("PRAGMA wal_checkpoint(TRUNCATE)", ())
