"""Take the records of one paper apart, or bring them together again."""

from __future__ import annotations

import sqlite3
from functools import partial
from os import PathLike, fspath
from typing import NamedTuple

from leftoff.errors import NotAJournal, UsageError
from leftoff.papers import doi as dois
from leftoff.papers import tables
from leftoff.papers.listing import Listed, list_papers
from leftoff.papers.lookup import readings
from leftoff.papers.reading import reading
from leftoff.papers.store import bring_back, set_apart
from leftoff.papers.tables import now
from leftoff.work.journal import open as open_journal

SERVICES = ("pubmed", "crossref")
HOME = "SELECT paper.id, paper.doi FROM raw JOIN paper ON paper.id = raw.paper_id"
NAMED = "SELECT paper.id, paper.doi FROM identifier JOIN paper ON paper.id = identifier.paper_id"
RECORDS = "SELECT source, identifier FROM raw WHERE paper_id = ? ORDER BY source, identifier"


class Apart(NamedTuple):
    """Be a record that is set apart from a DOI, or is to be."""

    source: str
    identifier: int | str
    doi: str


def split(paper: str, db: str | PathLike[str], *, undo: bool = False) -> list[Listed]:
    """Take the records of one paper apart, so that each is a paper of its own, and stays one.

    paper: a DOI, a PMCID or a key (``doi1:…``), for all its records, or a PMID, for that record alone; db: the
    database; undo: bring together again what was taken apart, as if it had never been. Of all records taken apart one
    keeps the hash of the DOI as its key, Crossref's or else the highest PMID; another has ``pmid:N``, and the DOI all
    the same. Returns the papers that have this DOI then. It is done whole, or not at all.

    Raises UsageError if there is no such paper, or nothing to take apart or to undo, JournalMissing or NotAJournal for
    a database that is none, JournalBusy while a sync of it is at work.
    """
    with reading(db) as connection:
        _chosen(connection, paper, undo=undo)  # a wrong call changes nothing, not even who owned the run last
    with open_journal(fspath(db), create=False) as journal:
        runs = [journal.run(name) for name in journal.runs() if name in SERVICES]
        if not runs:
            raise NotAJournal(f"{journal.url} was never synced: name a database that papers sync made")
        for run in runs:
            run.own()  # none of them may be at work
        connection = runs[0].connection
        tables.create(connection)
        at = now()
        runs[0].step(
            f"papers {'unsplit' if undo else 'split'} {paper} {at}", partial(_part, connection, paper, at, undo=undo)
        )
        return list_papers(connection, _sharing(connection, paper))


def _part(connection: sqlite3.Connection, paper: str, at: str, *, undo: bool) -> None:
    for each in _chosen(connection, paper, undo=undo):
        if undo:
            bring_back(connection, *each, at)
        else:
            set_apart(connection, *each, at)


def _chosen(connection: sqlite3.Connection, paper: str, *, undo: bool) -> list[Apart]:
    """Return the records that are meant; raise UsageError for none."""
    pmid, home, doi = _named(connection, paper)
    records: list[tuple[str, int | str]] = [] if home is None else connection.execute(RECORDS, (home,)).fetchall()
    marks = _marks(connection, "doi", doi)
    if undo:
        own = [] if pmid is None else _marks(connection, "source = 'pubmed' AND identifier", pmid)
        if not own and not marks:
            raise UsageError(f"nothing of {paper} was taken apart")
        return own or marks  # the one that kept the DOI has no mark: all others come back to it
    if len(records) < 2:
        told = f"PMID {records[0][1]}" if records and records[0][0] == "pubmed" else "Crossref's"
        apart = "; the others were taken apart before (--undo brings them together)" if marks else ""
        raise UsageError(f"{paper} has one record, {told}: there is nothing to take apart{apart}")
    assert doi is not None  # noqa: S101  (only a DOI brings records together)
    if pmid is not None:
        return [Apart("pubmed", pmid, doi)]
    keeps = min(records, key=lambda record: (record[0] != "crossref", -int(record[1]) if record[0] == "pubmed" else 0))
    return [Apart(*each, doi) for each in records if each != keeps]


def _named(connection: sqlite3.Connection, paper: str) -> tuple[int | None, int | None, str | None]:
    """Return the PMID, if one is named, the paper of that name, if one has it as its identity, and the paper's DOI."""
    name = next(readings(paper.strip()), None)
    if name is None:
        raise UsageError(f"{paper!r} is no DOI, no PMID, no PMCID and no key of a paper")
    kind, value = name
    if kind == "pmid":
        home = connection.execute(f"{HOME} WHERE raw.source = 'pubmed' AND identifier = ?", (int(value),)).fetchone()
        if home is None:
            raise UsageError(f"there is no record of PMID {value} in the database")
        return int(value), *home
    if kind == "pmcid":
        found = connection.execute(f"{NAMED} WHERE kind = 'pmcid' AND value = ?", (value,)).fetchone()
    else:
        key = dois.digest(value) if kind == "doi" else value
        found = connection.execute("SELECT id, doi FROM paper WHERE key = ?", (key,)).fetchone()
    doi = value if kind == "doi" else None
    if found is None and (doi is None or not _marks(connection, "doi", doi)):
        raise UsageError(f"there is no paper {value} in the database")
    return (None, *found) if found is not None else (None, None, doi)


def _marks(connection: sqlite3.Connection, column: str, value: str | int | None) -> list[Apart]:
    """Return which records are set apart; a database that nothing was ever split in may lack the table."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'apart'").fetchone() is None:
        return []
    sql = f"SELECT source, identifier, doi FROM apart WHERE {column} = ? ORDER BY source, identifier, doi"  # noqa: S608
    return [Apart(*row) for row in connection.execute(sql, (value,))]


def _sharing(connection: sqlite3.Connection, paper: str) -> list[int]:
    """Return the papers that have the DOI of this one."""
    _, _, doi = _named(connection, paper)
    rows = connection.execute("SELECT paper_id FROM identifier WHERE kind = 'doi' AND value = ?", (doi,))
    return [paper for (paper,) in rows]
