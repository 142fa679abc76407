"""The database file: its tables, how it is opened, and what SQLite's errors mean for a journal.

1. Nothing is written by opening. A newer format is found before any lock is taken or any side file made.
2. What is found under our names must be exactly what we would have created: a view or a trigger of somebody else's
   under or on them would be code run by reading.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from leftoff.errors import (
    DurabilityUnavailable,
    JournalBusy,
    JournalClosed,
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalReadOnly,
    JournalTooNew,
    NotAJournal,
)
from leftoff.journal.connection import Guarded
from leftoff.journal.entry import FORMAT
from leftoff.journal.rows import Dialect, Fetch
from leftoff.journal.sqlite_wal import size_of
from leftoff.journal.sync import unusable

SCHEMA: Final = {
    "leftoff_journal": """CREATE TABLE leftoff_journal (
  format INTEGER NOT NULL, id TEXT NOT NULL, created TEXT NOT NULL, sum INTEGER NOT NULL)""",
    "leftoff_run": """CREATE TABLE leftoff_run (
  run INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
  sum INTEGER NOT NULL, mark INTEGER NOT NULL, done INTEGER NOT NULL, dead INTEGER NOT NULL,
  superseded INTEGER NOT NULL, row_sum INTEGER NOT NULL)""",
    "leftoff_entry": """CREATE TABLE leftoff_entry (
  seq INTEGER PRIMARY KEY, run INTEGER NOT NULL, epoch INTEGER NOT NULL, at INTEGER NOT NULL,
  kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT, value_sum INTEGER NOT NULL,
  prev INTEGER NOT NULL, sum INTEGER NOT NULL)""",
    "leftoff_fate": """CREATE INDEX leftoff_fate ON leftoff_entry (run, key)
  WHERE kind = 'done' OR kind = 'dead' OR kind = 'forgotten' OR kind = 'retried'""",
    "leftoff_named": """CREATE INDEX leftoff_named ON leftoff_entry (run, kind, key)
  WHERE kind <> 'started' AND kind <> 'done' AND kind <> 'failed' AND kind <> 'released' AND kind <> 'forgotten'
  AND kind <> 'retried' AND kind <> 'open'""",
}
"""Our tables and indexes, as docs/format.md section 3 has them.

The indexes' conditions are written with OR: for IN, SQLite builds a table of the words anew at each insert (4 µs,
measured).
"""

BUSY_SECONDS: Final = 30.0  # how long another process's item may hold SQLite's write lock before we give up
SMALL: Final = 1 << 20  # bytes; a file up to this is checked whole when it is opened
FROM_BELOW: Final = (sqlite3.Error, OSError, MemoryError, UnicodeError, OverflowError, TypeError, ValueError)
"""What sqlite3, the system, and damaged bytes on their way through Python raise."""

_WRITE_LOCK: Final = 120  # the byte of the -shm file that SQLite's one writer locks (sqlite.org/walformat.html)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Let whatever sqlite3 or damaged bytes raise inside surface as a `JournalError`."""
    try:
        yield
    except FROM_BELOW as error:
        if isinstance(error, JournalError):
            raise
        raise translate(error, path) from error


def translate(error: Exception, path: Path) -> JournalError:
    """Return what an error from below means for the journal; by its text, as Python 3.10 knows no codes."""
    if isinstance(error, OSError):
        return unusable(path, error)
    text = "out of memory" if isinstance(error, MemoryError) else str(error)
    if "locked" in text:
        return busy(path)
    if "I/O" in text and _is_full(path):
        text = "disk is full"
    # "prohibited" and "not authorized": our authorizer refuses nothing of ours, so it could not be asked
    if any(part in text for part in ("I/O", "out of memory", "prohibited", "not authorized")) or (
        ("unable to open" in text or "readonly" in text) and _is_allowed(path)
    ):
        return unusable(path, OSError(None, text))
    for part, (kind, what) in _MEANINGS.items():
        if part in text:
            return kind(f"{path} {what}")
    return damaged(path, f"{type(error).__name__}: {text}")


_MEANINGS: Final[dict[str, tuple[type[JournalError], str]]] = {
    "is full": (
        JournalFull,
        "has no space left; everything committed before is intact. Free some space and start again",
    ),
    "readonly": (JournalReadOnly, "cannot be written: it, or its folder, is read-only for this user"),
    "unable to open": (
        JournalReadOnly,
        "cannot be opened: check that this user may read it, and may write in its folder",
    ),
    # so SQLite calls it, too, when the disk does not give a page back
    "malformed": (
        JournalDamaged,
        "is malformed, or the disk does not give it back: look into the system's log, or restore a copy",
    ),
    "not a database": (NotAJournal, "is not an SQLite database; name another file, or move this one away"),
    "closed": (JournalClosed, "was closed; open it again"),
}


def damaged(path: Path, what: str) -> JournalDamaged:
    """Return the error for bytes that are not what was written."""
    return JournalDamaged(f"{path}: {what}; nothing was changed. Restore a copy, or look with: leftoff verify {path}")


def _many_keys(keys: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
    return f"key IN ({', '.join('?' * len(keys))})", tuple(keys)


SQLITE: Final = Dialect(
    runs="leftoff_run",
    entries="leftoff_entry",
    summed="printf('%d|%d|%d|%d|%s|%d|%s', seq, run, epoch, at, kind, value_sum, key)",  # quicker than ||, measured
    by_fate=" INDEXED BY leftoff_fate",
    by_named=" INDEXED BY leftoff_named",
    by_seq=" NOT INDEXED",
    newest="SELECT coalesce(max(seq), 0) FROM leftoff_entry",
    same_key="later.key = e.key",
    page=300,  # measured: a twentieth quicker than 2,000, which leave the processor's cache
    one_key=lambda key: ("key = ?", (key,)),
    many_keys=_many_keys,
    translated=translated,
    damaged=damaged,
)
"""What is particular to SQLite in reading rows."""


def _is_full(path: Path) -> bool:
    return os.name == "posix" and path.parent.exists() and os.statvfs(path.parent).f_bavail == 0


def _is_allowed(path: Path) -> bool:
    """Return whether this user may write the file and its folder, so that it is not that what SQLite could not do."""
    return os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)


def busy(path: Path) -> JournalBusy:
    """Return the error for a write lock that nobody gave up in time."""
    pid = _lock_holder(path)
    who = f"process {pid}" if pid else "another process"
    return JournalBusy(
        f"{path}: {who} has held SQLite's write lock for too long. An item holds it from its first use of"
        " run.connection to its end:"
        " write last in the item, and read with run.reader()"
    )


def _lock_holder(path: Path) -> int | None:
    """Return who holds SQLite's write lock, where the system tells (Linux).

    The file itself must not be opened for it.
    """
    with suppress(OSError, ValueError):
        inode = os.stat(f"{path}-shm").st_ino
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            if match := re.search(rf"POSIX\s+\w+\s+WRITE\s+(\d+)\s+\w+:\w+:{inode}\s+(\d+)\s+(\d+)$", line):
                pid, start, end = map(int, match.groups())
                if start <= _WRITE_LOCK <= end:
                    return pid
    return None


# -- opening -----------------------------------------------------------------------------------------------------


def connect_reader(path: Path, seconds: float = BUSY_SECONDS) -> Guarded:
    """Open a connection that cannot write, and trusts nothing that the file's schema says."""
    uri = path.as_uri()
    try:
        return _prepare_reader(
            Guarded(f"{uri}?mode=ro", uri=True, timeout=seconds, isolation_level=None, check_same_thread=False)
        )
    except sqlite3.OperationalError:
        if size_of(f"{path}-journal") and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
            _roll_back(path)
            return _prepare_reader(
                Guarded(f"{uri}?mode=ro", uri=True, timeout=seconds, isolation_level=None, check_same_thread=False)
            )
        # Reading in WAL mode makes side files. Where nobody may make them, nobody writes either, unless a log is there.
        if os.access(path.parent, os.W_OK) or size_of(f"{path}-wal"):
            raise
        return _prepare_reader(Guarded(f"{uri}?immutable=1", uri=True, isolation_level=None, check_same_thread=False))


def _roll_back(path: Path) -> None:
    """Let SQLite undo what was interrupted before the file was in WAL mode.

    A connection that cannot write cannot even read then.
    """
    connection = Guarded(str(path), isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    finally:
        connection.close()


def _prepare_reader(connection: Guarded) -> Guarded:
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def set_durability(fetch: Fetch, path: Path, *, power: bool) -> None:
    """Ask SQLite for the durability, and check what it answered: the change to WAL can fail without an error."""
    answers = {
        "journal_mode=WAL": "wal",
        f"synchronous={'FULL' if power else 'NORMAL'}": 2 if power else 1,
        "mmap_size=0": 0,
        "trusted_schema=OFF": 0,
    }
    if sys.platform == "darwin":
        answers |= {"fullfsync=ON": 1, "checkpoint_fullfsync=ON": 1}  # else fsync leaves the bytes in the drive's cache
    for pragma, wanted in answers.items():
        rows = _ask(fetch, f"PRAGMA {pragma}") or fetch(f"PRAGMA {pragma.partition('=')[0]}", ())
        if rows and rows[0][0] != wanted:
            raise DurabilityUnavailable(
                f"{path}: SQLite answered {rows[0][0]!r} to PRAGMA {pragma}, so what was asked cannot be kept;"
                " keep the journal on a local file system"
            )


def _ask(fetch: Fetch, pragma: str) -> list[tuple[Any, ...]]:
    """Ask again while another process changes to WAL, too: for that SQLite itself does not wait."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return fetch(pragma, ())
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= end:
                raise
        time.sleep(0.002)


def refuse_newer(path: Path) -> None:
    """Raise `JournalTooNew` for a newer format, from the main file alone: no lock taken, no side file made.

    Somebody may be writing the file: whatever does not read well here is left to the proper opening.
    """
    row = None
    with suppress(*FROM_BELOW):
        connection = Guarded(f"{path.as_uri()}?immutable=1", uri=True)
        try:
            row = connection.execute("SELECT format FROM leftoff_journal").fetchone()
        finally:
            connection.close()
    if row is not None:
        refuse_format(path, row[0])


def refuse_format(path: Path, version: Any) -> None:
    """Raise `JournalTooNew` for a format above ours."""
    if isinstance(version, int) and version > FORMAT:
        raise JournalTooNew(
            f"{path} was written in format {version}; this release reads up to {FORMAT}: upgrade leftoff."
            " The file is untouched"
        )


def read_header(fetch: Fetch, path: Path) -> str | None:
    """Return the journal's id, from its checked header; None for a database that holds no journal yet."""
    found = {
        row[0]: row[1]
        for row in fetch(
            "SELECT name, sql FROM sqlite_master WHERE (lower(tbl_name) IN ('leftoff_journal',"
            " 'leftoff_run', 'leftoff_entry')"
            " OR lower(name) IN ('leftoff_journal', 'leftoff_run', 'leftoff_entry', 'leftoff_fate',"
            " 'leftoff_named')) AND sql IS NOT NULL",
            (),
        )
    }
    if not found:
        return None
    rows = fetch("SELECT format, id, created, sum FROM leftoff_journal", ()) if "leftoff_journal" in found else []
    if len(rows) == 1:
        refuse_format(path, rows[0][0])
    if found != SCHEMA:
        odd = ", ".join(name for name in {**SCHEMA, **found} if found.get(name) != SCHEMA.get(name))
        raise damaged(path, f"the schema is not what leftoff created ({odd})")
    if len(rows) != 1 or header_sum(*rows[0][:3]) != rows[0][3]:
        raise damaged(path, "the journal's header is not what was written")
    return str(rows[0][1])


def header_sum(version: int, journal_id: str, created: str) -> int:
    """Return the checksum of the header row."""
    return crc32(f"{version}|{journal_id}|{created}".encode())


def create_tables(run: Any, journal_id: str, created: str) -> None:
    """Create our tables, with the statement runner of an open transaction."""
    for sql in SCHEMA.values():
        run(sql)
    header = (FORMAT, journal_id, created, header_sum(FORMAT, journal_id, created))
    run("INSERT INTO leftoff_journal (format, id, created, sum) VALUES (?, ?, ?, ?)", header)
