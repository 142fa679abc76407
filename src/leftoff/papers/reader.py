"""Open a database of papers to look at it: nothing is written or locked, a sync may go on then."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from os import PathLike, fspath
from pathlib import Path

from leftoff.errors import JournalMissing, NotAJournal


@contextmanager
def reading(db: str | PathLike[str]) -> Iterator[sqlite3.Connection]:
    """Open the database at ``db``, read-only.

    Raises JournalMissing if there is no such file, NotAJournal if it holds no papers.
    """
    path = Path(fspath(db)).absolute()
    if not path.is_file():
        raise JournalMissing(f"there is no database at {path}: papers sync makes one")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            connection.execute("SELECT 1 FROM paper LIMIT 1")
        except sqlite3.DatabaseError as error:
            raise NotAJournal(f"{path} holds no papers ({error}): name a database that papers sync made") from error
        yield connection
