"""Let a paper show what its records say together, field by field, and who said it.

1. A field shows what the first record in its order says that says anything. PubMed's come first, of several the one
   with the highest PMID; for what only a publisher knows for sure, Crossref's comes first.
2. `shown` tells for each field which record it is from, and the view `provenance` when that was fetched.
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
from leftoff.papers.record import Record

CROSSREF_FIRST = frozenset({"volume", "issue", "pages", "publisher", "issn", "isbn"})
PUBMED_FIRST = ("pmcid", "title", "abstract", "journal", "date", "type", "language")
FIELDS = (*PUBMED_FIRST, *sorted(CROSSREF_FIRST))
COMPARED = ("title", "journal", "year", "volume", "issue", "pages", "authors")


def show(connection: sqlite3.Connection, paper: int, records: Iterable[tuple[Record, str]]) -> None:
    """Let the paper show what its records say.

    records: at least one, each with when it was fetched.
    """
    fetched = sorted(records, key=lambda each: _rank(each[0]))
    said = [record for record, _ in fetched]
    published = sorted(said, key=lambda record: record.source != "crossref")  # stable
    taken: dict[str, Record] = {}
    for field in FIELDS:
        order = published if field in CROSSREF_FIRST else said
        record = next((each for each in order if getattr(each, field) is not None), None)
        if record is not None:
            taken[field] = record
    for field in ("authors", "mesh"):
        record = next((each for each in said if getattr(each, field)), None)
        if record is not None:
            taken[field] = record
    if "date" in taken:
        taken["year"] = taken["date"]  # of one record: they belong together
    values = {field: getattr(taken[field], field) if field in taken else None for field in (*FIELDS, "year")}
    values["pmid"] = max((each.identifier for each in said if isinstance(each.identifier, int)), default=None)
    values["source"] = "; ".join(dict.fromkeys(each.source for each in said))
    values["fetched_at"] = max(at for _, at in fetched)
    columns = ", ".join(f"{field} = :{field}" for field in values)
    connection.execute(f"UPDATE paper SET {columns} WHERE id = :id", {**values, "id": paper})  # noqa: S608  (our names)
    connection.execute("DELETE FROM shown WHERE paper_id = ?", (paper,))
    connection.executemany(
        "INSERT INTO shown (paper_id, field, source, identifier) VALUES (?, ?, ?, ?)",
        [(paper, field, record.source, record.identifier) for field, record in taken.items()],
    )
    _list_authors(connection, paper, taken.get("authors"))
    _list_mesh(connection, paper, taken.get("mesh"))
    _list_links(connection, paper, said)
    _tell_conflicts(connection, paper, said, taken)
    index.keep(connection, paper)


def _rank(record: Record) -> tuple[bool, int, str]:
    number = record.identifier if isinstance(record.identifier, int) else 0
    return record.source != "pubmed", -number, str(record.identifier)


def _list_authors(connection: sqlite3.Connection, paper: int, record: Record | None) -> None:
    connection.execute("DELETE FROM author WHERE paper_id = ?", (paper,))
    connection.executemany(
        "INSERT INTO author (paper_id, position, name, last, fore, initials, suffix, collective, affiliation, orcid)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (paper, place, each.name, each.last, each.fore, each.initials, each.suffix, each.collective,
             each.affiliation, each.orcid)
            for place, each in enumerate(() if record is None else record.authors, start=1)
        ],
    )  # fmt: skip


def _list_mesh(connection: sqlite3.Connection, paper: int, record: Record | None) -> None:
    connection.execute("DELETE FROM mesh WHERE paper_id = ?", (paper,))
    connection.executemany(
        "INSERT INTO mesh (paper_id, position, descriptor, descriptor_ui, qualifier, qualifier_ui, major)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (paper, place, each.descriptor, each.descriptor_ui, each.qualifier, each.qualifier_ui, int(each.major))
            for place, each in enumerate(() if record is None else record.mesh, start=1)
        ],
    )


def _list_links(connection: sqlite3.Connection, paper: int, said: list[Record]) -> None:
    """Keep the links of all records: that one service knows of no retraction contradicts nobody."""
    connection.execute("DELETE FROM link WHERE paper_id = ?", (paper,))
    connection.executemany(
        "INSERT INTO link (paper_id, source, identifier, position, kind, inverse, doi, pmid, other, text, date,"
        " asserted_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (paper, record.source, record.identifier, place, each.kind, INVERSE[each.kind], each.doi, each.pmid,
             each.other, each.text, each.date, each.asserted_by)
            for record in said
            for place, each in enumerate(record.links, start=1)
        ],
    )  # fmt: skip


def _tell_conflicts(connection: sqlite3.Connection, paper: int, said: list[Record], taken: dict[str, Record]) -> None:
    connection.execute("DELETE FROM conflict WHERE paper_id = ?", (paper,))
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
