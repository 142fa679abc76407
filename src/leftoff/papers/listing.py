"""List the papers of a database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from os import PathLike
from typing import Any, TypedDict

from leftoff.papers.reading import reading

QUERY = """
    SELECT paper.key, paper.doi, paper.title, paper.year,
           coalesce(status.status, ''),
           (SELECT json_group_array(value) FROM (
               SELECT value FROM identifier WHERE paper_id = paper.id AND kind = 'pmid'
               ORDER BY CAST(value AS INTEGER)))
    FROM paper LEFT JOIN status ON status.paper_id = paper.id
"""
ORDER = "ORDER BY paper.pmid IS NULL, paper.pmid, paper.doi"
ORDERED = f"SELECT id FROM paper WHERE id IN (SELECT value FROM json_each(?)) {ORDER}"  # noqa: S608  (names of our own)
# The number in place of paper.id: joined to the paper, the status of all papers is found first.
ONE = f"{QUERY.replace('status.paper_id = paper.id', 'status.paper_id = :paper')} WHERE paper.id = :paper"


class Listed(TypedDict):
    """Be one paper, as `papers list --json` prints it; `pmids` in ascending order.

    status: of those in `leftoff.papers.links.STRENGTH` the strongest, "" for none.
    """

    key: str
    doi: str | None
    pmids: list[str]
    title: str | None
    year: int | None
    status: str


def listed(db: str | PathLike[str]) -> Iterator[Listed]:
    """Iterate the papers of a database by ascending PMID, those without one by their DOI; nothing is written or locked.

    Raises JournalMissing if there is no such file, NotAJournal if it holds no papers.
    """
    with reading(db) as connection:
        yield from map(_listed, connection.execute(QUERY + ORDER))


def list_papers(connection: sqlite3.Connection, ids: list[int]) -> list[Listed]:
    """Return these papers, by the numbers of their rows, in the order of `listed`."""
    numbers = connection.execute(ORDERED, (json.dumps(ids),)).fetchall()
    return [_listed(connection.execute(ONE, {"paper": number}).fetchone()) for (number,) in numbers]


def _listed(row: tuple[Any, ...]) -> Listed:
    key, doi, title, year, status, pmids = row
    return Listed(key=key, doi=doi, pmids=json.loads(pmids), title=title, year=year, status=status)
