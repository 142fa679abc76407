"""Ways to damage an SQLite journal through SQLite itself, and what a damaged log may be read as without an error."""

# names of our own tables and columns are joined into SQL
from __future__ import annotations

import random
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from leftoff.journal.rows import RunRow
from leftoff.journal.sqlite_file import SQLITE, header_sum
from leftoff.testing.damage_bytes import same_length

_ENTRY: Final = ("seq", "run", "epoch", "at", "kind", "key", "value")
_RUN: Final = ("run", "name", "epoch", "seq", "sum", "mark", "done", "dead", "superseded")
_HEADER: Final = ("format", "id", "created")
_ODD: Final[tuple[Any, ...]] = (
    *(
        -1,
        0,
        1,
        2,
        2**31,
        2**63 - 1,
        -(2**63),
        1.5,
        1e308,
        float("inf"),
        None,
        "",
        "x",
        "x" * 100_000,
        "\0",
        "9" * 5000,
    ),
    *(b"", b"\xff\x00", b"done", "[" * 100_000 + "]" * 100_000, "[1]", '{"k":"x"}', '{"errors":"many"}', "{", "null"),
    *("owner", "done", "dead", "open", "forgotten", "started", '{"tries":[1]}', "NaN", '{"$bytes":"a"}', "1e999"),
)
_SCHEMA: Final = (
    "CREATE TRIGGER spy AFTER INSERT ON leftoff_entry BEGIN DELETE FROM leftoff_run; END",
    "CREATE TRIGGER spy BEFORE UPDATE ON leftoff_run BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
    "DROP TABLE leftoff_run; CREATE VIEW leftoff_run AS SELECT 1 AS run, 'papers' AS name, 1 AS epoch",
    "ALTER TABLE leftoff_entry RENAME TO kept; CREATE VIEW leftoff_entry AS SELECT * FROM kept WHERE seq < 9",
    "ALTER TABLE leftoff_journal RENAME TO kept; CREATE VIEW leftoff_journal AS SELECT * FROM kept, kept AS again",
    "CREATE VIEW leftoff_more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
    "CREATE VIEW deep AS SELECT * FROM deeper; CREATE VIEW deeper AS SELECT * FROM deep",
    "CREATE INDEX more ON leftoff_entry (at)",
    "DROP INDEX leftoff_fate",
    "DROP INDEX leftoff_named; CREATE INDEX leftoff_named ON leftoff_entry (run, kind, key) WHERE kind = 'created'",
    "ALTER TABLE leftoff_entry ADD COLUMN more TEXT",
    "ALTER TABLE leftoff_run RENAME COLUMN done TO dead_",
    "CREATE TABLE leftoff_other (x)",
    "CREATE TABLE mine (x); CREATE TRIGGER mine_too AFTER INSERT ON mine BEGIN DELETE FROM mine; END",
    "DELETE FROM leftoff_journal",
    "INSERT INTO leftoff_journal SELECT * FROM leftoff_journal",
    "UPDATE leftoff_journal SET format = 1.0",
    "UPDATE leftoff_journal SET format = 2",
    "PRAGMA writable_schema=ON; UPDATE sqlite_master SET rootpage = 2 WHERE name LIKE 'leftoff_%'",
    "PRAGMA writable_schema=ON; UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '')",
    "PRAGMA writable_schema=ON; UPDATE sqlite_master SET name = upper(name)",
    "PRAGMA writable_schema=ON; UPDATE sqlite_master SET type = 'view' WHERE name = 'leftoff_entry'",
    "PRAGMA writable_schema=ON; DELETE FROM sqlite_master WHERE name = 'leftoff_fate'",
    "PRAGMA application_id=7; PRAGMA user_version=99",
    "PRAGMA journal_mode=DELETE",
    "VACUUM",
)


def changed_schema(rng: random.Random, data: bytes) -> bytes:
    """Change the schema, or what belongs to it, as another program may."""
    return _through_sqlite(data, lambda connection: _script(connection, rng.choice(_SCHEMA)))


def changed_rows(rng: random.Random, data: bytes) -> bytes:
    """Change, remove or double rows of ours, and leave the sums as they were."""

    def change(connection: sqlite3.Connection) -> None:
        before = now = _all_rows(connection)
        while now == before:  # what is drawn may be what stood there
            with suppress(sqlite3.Error):
                _change_rows(rng, connection)
            now = _all_rows(connection)

    return _through_sqlite(data, change)


def resealed(rng: random.Random, data: bytes) -> bytes:
    """Change rows of ours, and compute every sum anew."""

    def change(connection: sqlite3.Connection) -> None:
        _change_rows(rng, connection)
        with suppress(TypeError, ValueError, OverflowError, AttributeError):
            _seal(connection)

    return _through_sqlite(data, change)


def _through_sqlite(data: bytes, change: Callable[[sqlite3.Connection], None]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="leftoff-damage-") as folder:
        path = Path(folder, "scratch.db")
        path.write_bytes(data)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            with suppress(sqlite3.Error):  # what SQLite itself refuses leaves the file as it was
                change(connection)
        return path.read_bytes()


def _all_rows(connection: sqlite3.Connection) -> list[str]:
    tables = ("leftoff_entry", "leftoff_run", "leftoff_journal")
    return [repr(row) for table in tables for row in connection.execute(f"SELECT rowid, * FROM {table}")]


def _script(connection: sqlite3.Connection, statements: str) -> None:
    connection.executescript(statements)


def _change_rows(rng: random.Random, connection: sqlite3.Connection) -> None:
    for _ in range(rng.choice([1, 1, 2, 4])):
        table, columns = rng.choice([("entry", _ENTRY), ("entry", _ENTRY), ("run", _RUN), ("journal", _HEADER)])
        rows = [row[0] for row in connection.execute(f"SELECT rowid FROM leftoff_{table}")]
        if not rows:
            continue
        row, what = rng.choice(rows), rng.random()
        if what < 0.1:
            connection.execute(f"DELETE FROM leftoff_{table} WHERE rowid = ?", (row,))
        elif what < 0.2 and table == "entry":
            double = "SELECT max(seq) + 1, run, epoch, at, kind, key, value, value_sum, prev, sum FROM leftoff_entry"
            connection.execute(f"INSERT INTO leftoff_entry {double} WHERE rowid = ?", (row,))
        else:
            odd = rng.choice(_ODD)
            connection.execute(f"UPDATE leftoff_{table} SET {rng.choice(columns)} = ? WHERE rowid = ?", (odd, row))


def _seal(connection: sqlite3.Connection) -> None:
    """Compute the header's sum, the chain of each run, and each run's row, as their owners would have."""
    for row in connection.execute(f"SELECT {', '.join(_HEADER)} FROM leftoff_journal").fetchall():
        connection.execute("UPDATE leftoff_journal SET sum = ?", (header_sum(*row),))
    salt = crc32(str(connection.execute("SELECT id FROM leftoff_journal").fetchone()[0]).encode())
    for (run,) in connection.execute("SELECT run FROM leftoff_run").fetchall():
        total = salt
        entries = connection.execute(
            "SELECT seq, value FROM leftoff_entry WHERE run = ? ORDER BY seq", (run,)
        ).fetchall()
        for seq, value in entries:
            value_sum = 0 if value is None else crc32(str(value).encode())
            connection.execute(
                "UPDATE leftoff_entry SET value_sum = ?, prev = ? WHERE seq = ?", (value_sum, total, seq)
            )
            text = connection.execute(f"SELECT {SQLITE.summed} FROM leftoff_entry WHERE seq = ?", (seq,)).fetchone()[0]
            total = crc32(text.encode(), total)
            connection.execute("UPDATE leftoff_entry SET sum = ? WHERE seq = ?", (total, seq))
            connection.execute("UPDATE leftoff_run SET seq = ?, sum = ? WHERE run = ?", (seq, total, run))
        row = connection.execute(f"SELECT {', '.join(_RUN)} FROM leftoff_run WHERE run = ?", (run,)).fetchone()
        connection.execute("UPDATE leftoff_run SET row_sum = ? WHERE run = ?", (RunRow(*row).row_sum(salt), run))


def earlier(whole: bytes, damaged: bytes, synced: bool) -> Iterator[bytes]:
    """Yield what a damaged write-ahead log may be read as besides the whole one.

    Where its end was cut off: what is left of it. Where only its last transaction changed: all before that. Where an
    owner had not asked for syncs: any beginning before the first changed byte.
    """
    ends = commit_ends(whole)
    same = same_length(whole, damaged)
    if same == len(damaged):
        yield whole[: max((end for end in ends if end <= same), default=0)]
    elif not synced:
        yield from (whole[:end] for end in (0, *ends[:-1]) if end <= same)
    elif len(ends) > 1 and same >= ends[-2]:
        yield whole[: ends[-2]]


def commit_ends(log: bytes) -> list[int]:
    """Return the offsets at which the transactions of a sound write-ahead log end (sqlite.org/fileformat2.html, 4)."""
    if len(log) < 32:
        return []
    size = 24 + struct.unpack_from(">I", log, 8)[0]
    starts = range(32, len(log) - size + 1, size)
    return [start + size for start in starts if struct.unpack_from(">I", log, start + 4)[0]]
