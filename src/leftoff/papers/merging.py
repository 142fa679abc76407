"""Let a paper show what its records say together, field by field, and who said it.

1. A field shows what the first record in its order says that says anything. PubMed's come first, of several the one
   with the highest PMID; for what only a publisher knows for sure, Crossref's comes first.
2. `shown` tells which fields are from which record, and the view `provenance` for each field when that was fetched.
3. `conflict` tells for each field which other records say something else, compared without case, marks and spaces.
4. The index has the words of what is shown.
5. What is shown depends on the records alone, not on the order in which they came.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Iterable

from leftoff.papers import index
from leftoff.papers.links import INVERSE
from leftoff.papers.record import Author, Heading, Record

CROSSREF_FIRST = frozenset({"volume", "issue", "pages", "publisher", "issn", "isbn"})
PUBMED_FIRST = ("pmcid", "title", "abstract", "journal", "date", "type", "language")
FIELDS = (*PUBMED_FIRST, *sorted(CROSSREF_FIRST))
SHOWN = (*FIELDS, "year")
TAKEN = (*SHOWN, "authors", "mesh")
COLUMNS = (*SHOWN, "pmid", "source", "fetched_at")
UPDATE = f"UPDATE paper SET {', '.join(f'{column} = ?' for column in COLUMNS)} WHERE id = ?"  # noqa: S608  (our names)
COMPARED = ("title", "journal", "year", "volume", "issue", "pages", "authors")


def show(
    connection: sqlite3.Connection, paper: int, records: Iterable[tuple[Record, str]], *, new: bool = False
) -> None:
    """Let the paper show what its records say.

    records: at least one, each with when it was fetched; new: nothing was shown of the paper yet.
    """
    fetched = sorted(records, key=lambda each: _rank(each[0]))
    said = [record for record, _ in fetched]
    taken = _taken(said)
    values = {field: getattr(record, field) for field, record in taken.items()}
    pmid = max((each.identifier for each in said if isinstance(each.identifier, int)), default=None)
    sources = "; ".join(dict.fromkeys(each.source for each in said))
    connection.execute(UPDATE, (*map(values.get, SHOWN), pmid, sources, max(at for _, at in fetched), paper))
    if not new:
        for table in ("shown", "author", "mesh", "link", "conflict"):
            connection.execute(f"DELETE FROM {table} WHERE paper_id = ?", (paper,))  # noqa: S608  (names of our own)
    authors, mesh = values.get("authors", ()), values.get("mesh", ())
    _tell_origins(connection, paper, taken)
    _list_authors(connection, paper, authors)
    _list_mesh(connection, paper, mesh)
    _list_links(connection, paper, said)
    _tell_conflicts(connection, paper, said, taken)
    index.keep(connection, paper, index.words(values.get("title"), values.get("abstract"), authors, mesh), new=new)


def _taken(said: list[Record]) -> dict[str, Record]:
    """Return for each field that a record says anything of the record that it is taken from.

    said: in their order.
    """
    published = sorted(said, key=lambda record: record.source != "crossref")  # stable
    taken: dict[str, Record] = {}
    for field in TAKEN:
        for record in published if field in CROSSREF_FIRST else said:
            value = getattr(record, field)
            if value is not None and value != ():
                taken[field] = record
                break
    if "date" in taken:
        taken["year"] = taken["date"]  # of one record: they belong together
    return taken


def _rank(record: Record) -> tuple[bool, int, str]:
    number = record.identifier if isinstance(record.identifier, int) else 0
    return record.source != "pubmed", -number, str(record.identifier)


def _tell_origins(connection: sqlite3.Connection, paper: int, taken: dict[str, Record]) -> None:
    fields: dict[tuple[str, int | str], list[str]] = {}
    for field, record in taken.items():
        fields.setdefault((record.source, record.identifier), []).append(field)
    connection.executemany(
        "INSERT INTO shown (paper_id, source, identifier, fields) VALUES (?, ?, ?, ?)",
        [(paper, *record, "; ".join(names)) for record, names in fields.items()],
    )


def _list_authors(connection: sqlite3.Connection, paper: int, authors: tuple[Author, ...]) -> None:
    connection.executemany(
        "INSERT INTO author (paper_id, position, name, last, fore, initials, suffix, collective, affiliation, orcid)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(paper, place, each.name, *each) for place, each in enumerate(authors, start=1)],
    )


def _list_mesh(connection: sqlite3.Connection, paper: int, mesh: tuple[Heading, ...]) -> None:
    connection.executemany(
        "INSERT INTO mesh (paper_id, position, descriptor, descriptor_ui, qualifier, qualifier_ui, major)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(paper, place, *each) for place, each in enumerate(mesh, start=1)],
    )


def _list_links(connection: sqlite3.Connection, paper: int, said: list[Record]) -> None:
    """Keep the links of all records: that one service knows of no retraction contradicts nobody."""
    links = [
        (paper, record.source, record.identifier, place, each.kind, INVERSE[each.kind], each.doi, each.pmid, each.other,
         each.text, each.date, each.asserted_by)
        for record in said
        for place, each in enumerate(record.links, start=1)
    ]  # fmt: skip
    if links:  # few have any
        connection.executemany(
            "INSERT INTO link (paper_id, source, identifier, position, kind, inverse, doi, pmid, other, text, date,"
            " asserted_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            links,
        )


def _tell_conflicts(connection: sqlite3.Connection, paper: int, said: list[Record], taken: dict[str, Record]) -> None:
    if len(said) == 1:
        return
    rows = []
    for field in COMPARED:
        if field not in taken:
            continue
        shown = _essence(field, _said(taken[field], field))
        for record in said:
            value = _said(record, field)
            if value and _essence(field, value) != shown:
                rows.append((paper, field, record.source, record.identifier, value))
    connection.executemany(
        "INSERT INTO conflict (paper_id, field, source, identifier, value) VALUES (?, ?, ?, ?, ?)", rows
    )


def _said(record: Record, field: str) -> str:
    """Return what a record says of a field, as a person would read it."""
    if field == "authors":
        return "; ".join(each.collective or each.last or each.name for each in record.authors)
    value = getattr(record, field)
    return "" if value is None else str(value)


def _essence(field: str, value: str) -> str:
    """Return what is compared: "123-128" and "123-8" are the same pages, "Nature." and "nature" the same title."""
    if field == "pages":
        first, dash, last = value.replace("\u2013", "-").partition("-")
        if dash and first.isdecimal() and last.isdecimal() and len(last) < len(first):
            value = f"{first}-{first[: len(first) - len(last)]}{last}"
    plain = unicodedata.normalize("NFKD", value).casefold()
    return "".join(character for character in plain if character.isalnum())
