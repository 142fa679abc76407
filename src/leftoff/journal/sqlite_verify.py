"""Check a whole SQLite journal: what SQLite can tell of its pages, and what only the checksums can tell of the rows.

SQLite's own check called 64.5 % of the flipped bits that changed a row "ok" (measured), the checksums find those; but
they know nothing of pages that are lost, or of an index that leaves a row out, which SQLite's check finds.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from leftoff.errors import JournalDamaged, JournalError, JournalUnusable
from leftoff.journal.rows import Fetch, Rows
from leftoff.journal.rows_verify import check_journal
from leftoff.journal.sqlite_file import SCHEMA, SQLITE, connect_reader, read_header, refuse_newer, translate, translated
from leftoff.journal.sqlite_wal import Tail, read_tail, size_of
from leftoff.journal.store import Damage, Examined
from leftoff.journal.sync import refuse_odd_file

INDEXES: Final = ("leftoff_fate", "leftoff_named")
_OURS: Final = ("leftoff_journal", "leftoff_run", "leftoff_entry")
_PAGES: Final = ("page_count", "freelist_count", "auto_vacuum")  # the last one keeps pages that are no table's
_ABOUT_INDEX: Final = ("the index alone: an item may be done again, or a key not be found", "each entry")
_ABOUT_PAGES: Final = ("SQLite's own pages, so any table in the file, yours too", "")
_NO_MEMORY: Final = re.compile(r"error code=7$", re.MULTILINE)  # so SQLite's check takes it for a damaged page
_ABOUT_REST: Final = "what stands behind that place, of any run: it cannot be read"


@contextmanager
def indexed_at_the_end(connection: sqlite3.Connection) -> Iterator[None]:
    """Drop the indexes of the entries, and make them when the block ends: once, in order, and of what is there then."""
    for index in INDEXES:
        connection.execute(f"DROP INDEX IF EXISTS {index}")
    yield
    for index in INDEXES:
        connection.execute(SCHEMA[index])


def examine_sqlite(path: Path, url: str) -> Examined:
    """Check every byte that can be checked of the journal at ``path``, called ``url`` in what is said of it.

    SQLite checks its pages beside us, on a connection of its own: it needs no Python for that.
    """
    refuse_odd_file(path)
    if not size_of(str(path)):
        log = f"{path.name}-wal"
        return Examined([Damage(url, f"the file is empty, and {log} is not")] if size_of(f"{path}-wal") else [])
    refuse_newer(path)
    with translated(path):
        tail = read_tail(f"{path}-wal")
        first, second = connect_reader(path), connect_reader(path)
    with translated(path), closing(first), closing(second), ThreadPoolExecutor(1) as beside:
        pages = beside.submit(lambda: list(_or_damage(check_pages(fetch_with(second), path), url)))
        fetch = fetch_with(first)
        fetch("BEGIN", ())
        damage = list(_or_damage(_check_rows(fetch, path, tail), url))
        return Examined([*damage, *pages.result()])


def _or_damage(found: Iterator[Damage], url: str) -> Iterator[Damage]:
    """Let what cannot be read be one more damaged place."""
    try:
        yield from found
    except JournalDamaged as error:
        yield Damage(url, str(error), _ABOUT_REST)


def _check_rows(fetch: Fetch, path: Path, tail: Tail | None) -> Iterator[Damage]:
    with translated(path):
        journal_id = read_header(fetch, path)
    if journal_id is None:
        yield from check_schema(fetch, path)
        return
    rows = Rows(fetch, path, journal_id, SQLITE)
    if tail is not None and drops_commits(tail, rows):
        yield Damage(
            f"frame {tail.frame + 1} of {path.name}-wal",
            "not what was written; SQLite leaves out all commits behind it",
            f"{tail.commits} or more commits, your rows in them too: which keys cannot be told",
            "everything before it",
        )
    yield from check_journal(rows, by_run=False)


def drops_commits(tail: Tail, rows: Rows) -> bool:
    """Return whether what SQLite leaves out of the write-ahead log is more than a crash can have torn.

    With "process" it may: the `owner` entry that asked for it was itself synced.
    """
    if tail.flipped or tail.torn:
        return tail.flipped
    owners = (rows.latest(run, "owner", "") for run in rows.runs())
    return not any(owner is not None and owner.value["durability"] == "process" for owner in owners)


def fetch_with(connection: sqlite3.Connection) -> Fetch:
    """Return what runs a statement on a connection and returns all its rows."""
    return lambda sql, parameters: connection.execute(sql, parameters).fetchall()


def check_all(fetch: Fetch, rows: Rows) -> Iterator[Damage]:
    """Yield what is damaged: pages, indexes, chains, heads, numbers."""
    try:
        with translated(rows.place):
            yield from check_pages(fetch, rows.place)
            yield from check_journal(rows, by_run=False)
    except JournalUnusable:
        raise  # no disk, no memory: that says nothing of the bytes
    except JournalError as error:
        yield Damage(str(rows.place), str(error), _ABOUT_REST)


def check_schema(fetch: Fetch, path: Path) -> Iterator[Damage]:
    """Yield what is wrong with a database that holds no journal: our tables may be missing because of damage."""
    with translated(path):
        (objects,), (pages,), (free,), (grows,) = (
            fetch(sql, ())[0] for sql in ("SELECT count(*) FROM sqlite_master", *map("PRAGMA {}".format, _PAGES))
        )
    if not objects and not grows and pages - free > 1:
        what = f"the schema is empty, and {pages - free - 1} pages belong to no table"
        yield Damage(os.fspath(path), what, *_ABOUT_PAGES)


def check_pages(fetch: Fetch, path: Path) -> Iterator[Damage]:
    """Yield what SQLite finds wrong with its pages and indexes."""
    try:
        found = fetch("PRAGMA integrity_check", ())
    except sqlite3.OperationalError as error:
        if "no such" not in str(error):
            raise translate(error, path) from error
        # An index of the user's needs a function or collation that only their program has: then our tables alone.
        with translated(path):
            found = [row for table in _OURS for row in fetch(f"PRAGMA integrity_check({table})", ())]
    except sqlite3.Error as error:
        raise translate(error, path) from error
    for (text,) in found:
        if _NO_MEMORY.search(str(text)):
            raise translate(MemoryError(), path)
        if text != "ok":
            ours = str(text).endswith(tuple(f"index {name}" for name in INDEXES))
            yield Damage(os.fspath(path), str(text), *(_ABOUT_INDEX if ours else _ABOUT_PAGES))
