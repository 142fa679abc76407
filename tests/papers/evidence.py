"""What the tests of `sync` hold against each other: what a database says, and what the replica was asked for."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

TABLES = {
    "paper": "key, doi, doi_hash, pmid, pmcid, title, abstract, journal, year, date, type, language, volume, issue,"
    " pages, publisher, issn, isbn, source",
    "shown": "(SELECT key FROM paper WHERE id = paper_id), source, identifier, fields",
    "conflict": "(SELECT key FROM paper WHERE id = paper_id), field, source, identifier, value",
    "identifier": "kind, value, (SELECT key FROM paper WHERE id = paper_id)",
    "author": "(SELECT key FROM paper WHERE id = paper_id), position, name, last, fore, initials, suffix, collective,"
    " affiliation, orcid",
    "mesh": "(SELECT key FROM paper WHERE id = paper_id), position, descriptor, descriptor_ui, qualifier, qualifier_ui,"
    " major",
    "link": "(SELECT key FROM paper WHERE id = paper_id), source, identifier, position, kind, inverse, doi, pmid,"
    " other, text, date, asserted_by",
    "words": "(SELECT key FROM paper WHERE id = words.rowid), title, abstract, author, mesh",
    "raw": "source, identifier, version, (SELECT key FROM paper WHERE id = paper_id), content",
    "found": "source, query, identifier",
}


def query(db: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return what a query finds, without leftoff; nothing in a database that is not there yet."""
    if not db.exists():
        return []
    with closing(sqlite3.connect(db)) as connection:
        has = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'absent'").fetchone()[0]
        return connection.execute(sql).fetchall() if has else []


def content(db: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return what a database says of papers, without days and the numbers of rows."""
    return {table: sorted(query(db, f"SELECT {names} FROM {table}"), key=repr) for table, names in TABLES.items()}


def held(db: Path) -> set[str]:
    """Return the PMIDs whose records a database holds."""
    return {str(pmid) for (pmid,) in query(db, "SELECT identifier FROM raw")}


def requests(folder: Path, tool: str = "efetch") -> list[dict[str, Any]]:
    """Return the whole lines of the replica's access log that are of one tool."""
    path = folder / "access.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [entry for entry in map(json.loads, lines) if entry["path"].endswith(f"/{tool}.fcgi")]


def asked_for(folder: Path) -> Counter[str]:
    """Return how often each PMID was asked for."""
    return Counter(pmid for entry in requests(folder) for pmid in entry["ids"])
