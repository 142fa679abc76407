"""Show one paper: what it says, which record says it, what others say, and what its records said before."""

from __future__ import annotations

import sqlite3
import zlib
from os import PathLike
from typing import Any, cast

from leftoff.papers.linked import links_in, status_in
from leftoff.papers.lookup import paper_called
from leftoff.papers.merging import FIELDS
from leftoff.papers.paper import Paper
from leftoff.papers.reading import reading
from leftoff.papers.store import reread

COLUMNS = (
    "key, doi, title, journal, year, date, volume, issue, pages, type, language, publisher, issn, isbn, abstract,"
    " source, fetched_at"
)
# Of several records PubMed's come first.
PARTS = {
    "authors": """
        SELECT name, last, fore, initials, suffix, collective, affiliation, orcid
        FROM author WHERE paper_id = :paper ORDER BY position""",
    "mesh": "SELECT descriptor, qualifier, major FROM mesh WHERE paper_id = :paper ORDER BY position",
    "provenance": """
        SELECT field, source, CAST(identifier AS TEXT) AS identifier, fetched_at
        FROM provenance WHERE paper_id = :paper""",
    "conflicts": """
        SELECT field, source, CAST(identifier AS TEXT) AS identifier, value
        FROM conflict WHERE paper_id = :paper ORDER BY field, source DESC, conflict.identifier""",
    "records": """
        SELECT source, CAST(identifier AS TEXT) AS identifier, version, fetched_at, content
        FROM raw WHERE paper_id = :paper ORDER BY source DESC, raw.identifier""",
    "revisions": """
        SELECT source, CAST(identifier AS TEXT) AS identifier, version, fetched_at, content, replaced_at
        FROM revision WHERE (source, identifier) IN (SELECT source, identifier FROM raw WHERE paper_id = :paper)
        ORDER BY source DESC, revision.identifier, id""",
    "merges": """
        SELECT at, source, CAST(identifier AS TEXT) AS identifier, old_key, new_key, reason
        FROM merge WHERE (source, identifier) IN (SELECT source, identifier FROM raw WHERE paper_id = :paper)
        ORDER BY id""",
    "pmids": "SELECT value FROM identifier WHERE paper_id = :paper AND kind = 'pmid' ORDER BY length(value), value",
    "pmcids": "SELECT value FROM identifier WHERE paper_id = :paper AND kind = 'pmcid' ORDER BY length(value), value",
}


def show(name: str, db: str | PathLike[str], *, raw: bool = False) -> Paper:
    """Return one paper: its fields, where each is from, what other records say, and what its records said before.

    name: its DOI in any form, a PMID, a PMCID, or its key; raw: with the text of each record, kept and earlier, as the
    service sent it.

    Raises NoSuchPaper if no paper has this name, UsageError for what is no name, or that of several papers,
    JournalMissing if there is no such file, NotAJournal if it holds no papers.
    """
    with reading(db) as connection:
        return _paper(connection, paper_called(connection, name), raw=raw)


def _paper(connection: sqlite3.Connection, number: int, *, raw: bool) -> Paper:
    (fields,) = _rows(connection, f"SELECT {COLUMNS} FROM paper WHERE id = :paper", number)  # noqa: S608  (our names)
    found: dict[str, Any] = {"status": status_in(connection, number)["status"], "links": links_in(connection, number)}
    found |= {name: _rows(connection, sql, number) for name, sql in PARTS.items()}
    _tell_changes(found["records"], found["revisions"])
    for record in (*found["records"], *found["revisions"]):
        content = zlib.decompress(record["content"]) if raw else None
        record["content"] = None if content is None else content.decode("utf-8", "surrogatepass")
    for heading in found["mesh"]:
        heading["major"] = bool(heading["major"])
    for name in ("pmids", "pmcids"):
        found[name] = [row["value"] for row in found[name]]
    origins = {origin.pop("field"): origin for origin in found["provenance"]}
    order = Paper.__annotations__  # as one reads a paper
    found |= {**fields, "provenance": {field: origins[field] for field in order if field in origins}}
    return cast("Paper", {field: found[field] for field in order})


def _rows(connection: sqlite3.Connection, sql: str, number: int) -> list[dict[str, Any]]:
    cursor = connection.execute(sql, {"paper": number})
    columns = [column[0] for column in cursor.description]
    return [dict(zip(columns, row, strict=True)) for row in cursor]


def _tell_changes(records: list[dict[str, Any]], revisions: list[dict[str, Any]]) -> None:
    """Tell of each earlier text which fields the text that replaced it says otherwise."""
    after = {(each["source"], each["identifier"]): each["content"] for each in records}
    for revision in reversed(revisions):
        name = (revision["source"], revision["identifier"])
        old, new = (reread(revision["source"], content) for content in (revision["content"], after[name]))
        compared = ("doi", *FIELDS, "authors", "mesh")
        revision["changed"] = [field for field in compared if getattr(old, field) != getattr(new, field)]
        after[name] = revision["content"]
