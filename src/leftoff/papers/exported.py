"""Read papers from the database, each with all there is of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leftoff.errors import UsageError
from leftoff.papers.lookup import readings
from leftoff.papers.record import Author, Heading

COLUMNS = (
    *("key", "doi", "doi_hash", "pmid", "pmcid", "title", "abstract", "journal", "year", "date", "type", "language"),
    *("volume", "issue", "pages", "publisher", "issn", "isbn", "source", "fetched_at"),
)
ORDER = "SELECT id FROM paper ORDER BY pmid IS NULL, pmid, doi, key"
NAMED = 5  # so many are named in an error, the others counted


@dataclass(frozen=True)
class Exported:
    """Be one paper as the database has it.

    identifiers: kind and value; provenance: field, source, identifier, fetched_at; conflicts: field, source,
    identifier, value.
    """

    key: str
    doi: str | None
    doi_hash: str | None
    pmid: int | None
    pmcid: str | None
    title: str | None
    abstract: str | None
    journal: str | None
    year: int | None
    date: str | None
    type: str | None
    language: str | None
    volume: str | None
    issue: str | None
    pages: str | None
    publisher: str | None
    issn: str | None
    isbn: str | None
    source: str
    fetched_at: str
    authors: tuple[Author, ...] = ()
    mesh: tuple[Heading, ...] = ()
    identifiers: tuple[tuple[str, str], ...] = ()
    provenance: tuple[tuple[str, str, int | str, str], ...] = ()
    conflicts: tuple[tuple[str, str, int | str, str], ...] = ()

    def named(self, kind: str) -> list[str]:
        """Return its identifiers of a kind."""
        return [value for each, value in self.identifiers if each == kind]


def all_ids(connection: sqlite3.Connection) -> Iterator[int]:
    """Iterate the rows of all papers, by ascending PMID, those without one by their DOI."""
    for (paper,) in connection.execute(ORDER):
        yield paper


def named_ids(connection: sqlite3.Connection, names: Sequence[str], db: Path) -> list[int]:
    """Return the rows of the papers that are named, each once, in the order of the names.

    Raises UsageError for names that are none, and for papers that are not there.
    """
    found: dict[int, None] = {}
    lacking: list[str] = []
    for name in names:
        rows = _rows_named(connection, name)
        found |= dict.fromkeys(rows)
        if not rows:
            lacking.append(name)
    if lacking:
        more = f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else ""
        raise UsageError(f"{db} has no paper {', '.join(lacking[:NAMED])}{more}; nothing was written")
    return list(found)


def _rows_named(connection: sqlite3.Connection, name: str) -> list[int]:
    """Return the rows of the papers with this name, which may be a key, too.

    Raises UsageError for a name that is none.
    """
    rows = connection.execute("SELECT id FROM paper WHERE key = ?", (name.strip(),)).fetchall()
    names = list(readings(name.strip()))
    if not rows and not names:
        raise UsageError(f"{name!r} is no DOI, PMID or PMCID: write 10.1000/abc, 11034741 or PMC1234567")
    for kind, value in names:
        rows = (
            rows
            or connection.execute(
                "SELECT paper_id FROM identifier JOIN paper ON paper.id = paper_id WHERE kind = ? AND value = ?"
                " ORDER BY pmid IS NULL, pmid, paper.doi",
                (kind, value),
            ).fetchall()
        )
    return [paper for (paper,) in rows]


def exported(connection: sqlite3.Connection, paper: int) -> Exported:
    """Return the paper of a row."""

    def rows(sql: str) -> list[tuple[Any, ...]]:
        return connection.execute(sql, (paper,)).fetchall()

    (said,) = rows(f"SELECT {', '.join(COLUMNS)} FROM paper WHERE id = ?")  # noqa: S608  (names of our own)
    authors = rows(
        "SELECT last, fore, initials, suffix, collective, affiliation, orcid FROM author"
        " WHERE paper_id = ? ORDER BY position"
    )
    mesh = rows(
        "SELECT descriptor, descriptor_ui, qualifier, qualifier_ui, major FROM mesh WHERE paper_id = ?"
        " ORDER BY position"
    )
    identifiers = rows("SELECT kind, value FROM identifier WHERE paper_id = ? ORDER BY kind, length(value), value")
    provenance = rows("SELECT field, source, identifier, fetched_at FROM provenance WHERE paper_id = ? ORDER BY field")
    conflicts = rows(
        "SELECT field, source, identifier, value FROM conflict WHERE paper_id = ? ORDER BY field, source, identifier"
    )
    return Exported(
        **dict(zip(COLUMNS, said, strict=True)),
        authors=tuple(Author(*each) for each in authors),
        mesh=tuple(Heading(name, ui, other, its_ui, major == 1) for name, ui, other, its_ui, major in mesh),
        identifiers=tuple(identifiers),
        provenance=tuple(provenance),
        conflicts=tuple(conflicts),
    )
