"""Open a database of papers for reading: nothing is made, written or locked, and a sync may go on meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from os import PathLike, fspath
from pathlib import Path

from leftoff.errors import JournalDamaged, JournalMissing, NotAJournal, UsageError
from leftoff.papers.index import NO_FTS5


@contextmanager
def reading(db: str | PathLike[str]) -> Iterator[sqlite3.Connection]:
    """Open a database of papers; every statement in the block sees the same state of it.

    Raises JournalMissing if there is no such file, NotAJournal if it holds no papers, or none that are indexed,
    UsageError where SQLite has no FTS5 and it is needed, and JournalDamaged for what cannot be read later on.
    """
    path = Path(fspath(db)).absolute()
    if not path.is_file():
        raise JournalMissing(f"there is no database at {path}: papers sync makes one")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM paper, link LIMIT 1").fetchone()
        except sqlite3.DatabaseError as error:
            raise NotAJournal(
                f"{path} holds no papers that can be read ({error}): name a database that papers sync made"
            ) from error
        try:
            yield connection
        except sqlite3.DatabaseError as error:
            raise _said(path, error) from error


def _said(path: Path, error: sqlite3.DatabaseError) -> Exception:
    if "no such module" in str(error):
        return UsageError(NO_FTS5)
    if "no such table: words" in str(error):
        return NotAJournal(f"the papers in {path} are not indexed: the next papers sync does that")
    return JournalDamaged(f"{path} cannot be read to its end ({error}): look with leftoff verify, or take a copy of it")
