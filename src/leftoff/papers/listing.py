"""List the papers of a database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from os import PathLike, fspath
from pathlib import Path
from typing import TypedDict

from leftoff.errors import JournalMissing, NotAJournal

QUERY = """
    SELECT paper.key, paper.doi, paper.title, paper.year,
           (SELECT json_group_array(value) FROM (
               SELECT value FROM identifier WHERE paper_id = paper.id AND kind = 'pmid'
               ORDER BY CAST(value AS INTEGER)))
    FROM paper ORDER BY paper.pmid IS NULL, paper.pmid, paper.doi
"""


class Listed(TypedDict):
    """Be one paper, as `papers list --json` prints it; `pmids` in ascending order."""

    key: str
    doi: str | None
    pmids: list[str]
    title: str | None
    year: int | None


def listed(db: str | PathLike[str]) -> Iterator[Listed]:
    """Iterate the papers of a database by ascending PMID, those without one by their DOI; nothing is written or locked.

    Raises JournalMissing if there is no such file, NotAJournal if it holds no papers.
    """
    path = Path(fspath(db)).absolute()
    if not path.is_file():
        raise JournalMissing(f"there is no database at {path}: papers sync makes one")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            rows = connection.execute(QUERY)
        except sqlite3.DatabaseError as error:
            raise NotAJournal(f"{path} holds no papers ({error}): name a database that papers sync made") from error
        for key, doi, title, year, pmids in rows:
            yield Listed(key=key, doi=doi, pmids=json.loads(pmids), title=title, year=year)
