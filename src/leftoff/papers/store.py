"""Keep records as papers: one paper for each DOI, else for each PMID.

1. What is stored depends on the last text of each record, not on the order in which records came.
2. Two records with one DOI are one paper, whichever service they are from. A record that gains a DOI takes its paper
   along: into the paper of that DOI if there is one. Each move of a record from one identity to another is a row of
   `merge`; no record is dropped.
3. A revision without the DOI it had keeps its paper and the DOI: services lose DOIs, papers do not.
4. A revision with another DOI leaves a paper that other records share, and renames one that is its own alone.
5. An older version of a record never replaces a newer one. What a newer one replaces is kept in `revision`.
6. A record that its service deletes stays, marked with the day on which that was noticed.

All rows are written through the caller's connection, so that they commit with the caller's entry. A savepoint of the
caller's is never ended here.
"""

from __future__ import annotations

import sqlite3
import zlib
from typing import Literal

from leftoff.papers import doi as dois
from leftoff.papers import index, pubmed, works
from leftoff.papers.merging import show
from leftoff.papers.record import Record

Happened = Literal["stored", "updated", "merged", "unchanged"]
Absence = Literal["absent", "deleted"]


def store_record(connection: sqlite3.Connection, record: Record, fetched_at: str) -> Happened:
    """Store one record, and return what that did to the papers.

    fetched_at: when it was fetched, UTC, ISO 8601. ``stored``: a new paper; ``updated``: the text of a known record
    changed; ``merged``: the record joined a paper that was there already; ``unchanged``: only `fetched_at` moved.
    """
    name = (record.source, record.identifier)
    known = connection.execute(
        "SELECT version, paper_id, digest FROM raw WHERE source = ? AND identifier = ?", name
    ).fetchone()
    if known is not None and (record.version < known[0] or known[2] == record.digest):
        connection.execute(
            "UPDATE raw SET fetched_at = ?, deleted_at = NULL WHERE source = ? AND identifier = ?", (fetched_at, *name)
        )
        connection.execute("UPDATE paper SET fetched_at = max(fetched_at, ?) WHERE id = ?", (fetched_at, known[1]))
        return "unchanged"
    old = None if known is None else int(known[1])
    if known is not None:
        connection.execute(
            "INSERT INTO revision (source, identifier, version, fetched_at, replaced_at, content)"
            " SELECT source, identifier, version, fetched_at, ?, content FROM raw WHERE source = ? AND identifier = ?",
            (fetched_at, *name),
        )
    paper = _paper_of(connection, record, old, fetched_at)
    joined = paper != old and _holds_records(connection, paper)
    connection.execute(
        "INSERT OR REPLACE INTO raw (source, identifier, version, paper_id, fetched_at, digest, content)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*name, record.version, paper, fetched_at, record.digest, zlib.compress(record.raw, 6)),
    )
    if paper != old:
        _moved(connection, record, old, paper, joined=joined, at=fetched_at)
    _identify(connection, "pmid", record.pmid, paper)
    _identify(connection, "pmcid", record.pmcid, paper)
    show(connection, paper, _records_of(connection, paper, record))
    if joined:
        return "merged"
    return "stored" if old is None else "updated"


def record_absence(connection: sqlite3.Connection, source: str, identifier: int | str, at: str) -> Absence:
    """Keep that a service does not send a record it was asked for, and return what that means.

    ``deleted``: it is stored; it stays, and is marked until it comes again. ``absent``: it never came.
    """
    connection.execute(
        "INSERT OR REPLACE INTO absent (source, identifier, at) VALUES (?, ?, ?)", (source, identifier, at)
    )
    marked = connection.execute(
        "UPDATE raw SET deleted_at = coalesce(deleted_at, ?) WHERE source = ? AND identifier = ?",
        (at, source, identifier),
    )
    return "deleted" if marked.rowcount else "absent"


def _paper_of(connection: sqlite3.Connection, record: Record, old: int | None, at: str) -> int:
    """Return the paper that the record belongs to, made or renamed if need be."""
    if record.doi is None:
        return _new(connection, f"pmid:{record.pmid}", None, None) if old is None else old
    digest = dois.digest(record.doi)
    holder = connection.execute("SELECT id FROM paper WHERE doi_hash = ?", (digest,)).fetchone()
    if holder is not None:
        return int(holder[0])
    if old is None or _others(connection, old, record):
        return _new(connection, digest, record.doi, digest)
    key, doi = connection.execute("SELECT key, doi FROM paper WHERE id = ?", (old,)).fetchone()
    connection.execute(
        "UPDATE paper SET key = ?, doi = ?, doi_hash = ? WHERE id = ?", (digest, record.doi, digest, old)
    )
    connection.execute("DELETE FROM identifier WHERE kind = 'doi' AND paper_id = ?", (old,))
    _identify(connection, "doi", record.doi, old)
    _keep_merge(connection, at, record, key, digest, "gained-doi" if doi is None else "changed-doi")
    return old


def _new(connection: sqlite3.Connection, key: str, doi: str | None, digest: str | None) -> int:
    cursor = connection.execute(
        "INSERT INTO paper (key, doi, doi_hash, source, fetched_at) VALUES (?, ?, ?, '', '')", (key, doi, digest)
    )
    paper = int(cursor.lastrowid or 0)
    _identify(connection, "doi", doi, paper)
    return paper


def _moved(
    connection: sqlite3.Connection, record: Record, old: int | None, paper: int, *, joined: bool, at: str
) -> None:
    """Write down that a record changed its paper, and leave the paper it left whole, or no paper at all."""
    new_key = connection.execute("SELECT key FROM paper WHERE id = ?", (paper,)).fetchone()[0]
    if old is None:
        if joined:
            _keep_merge(connection, at, record, None, new_key, "same-doi")
        return
    old_key, old_doi = connection.execute("SELECT key, doi FROM paper WHERE id = ?", (old,)).fetchone()
    reason = "gained-doi" if old_doi is None else "changed-doi"
    _keep_merge(connection, at, record, old_key, new_key, reason)
    connection.executemany(
        "DELETE FROM identifier WHERE kind = ? AND value = ? AND paper_id = ?",
        [("pmid", record.pmid, old), ("pmcid", record.pmcid, old)],
    )
    if _holds_records(connection, old):
        show(connection, old, _records_of(connection, old))
        return
    for table in ("identifier", "author", "mesh", "shown", "conflict", "link"):
        connection.execute(f"DELETE FROM {table} WHERE paper_id = ?", (old,))  # noqa: S608  (names of our own)
    connection.execute("DELETE FROM paper WHERE id = ?", (old,))
    index.drop(connection, old)


def _records_of(connection: sqlite3.Connection, paper: int, known: Record | None = None) -> list[tuple[Record, str]]:
    """Return the records of a paper, each with when it was fetched; ``known`` is one that need not be read again."""
    rows = connection.execute("SELECT source, identifier, fetched_at FROM raw WHERE paper_id = ?", (paper,))
    found = []
    for source, identifier, fetched_at in rows.fetchall():
        if known is not None and (source, identifier) == (known.source, known.identifier):
            found.append((known, str(fetched_at)))
            continue
        (content,) = connection.execute(
            "SELECT content FROM raw WHERE source = ? AND identifier = ?", (source, identifier)
        ).fetchone()
        found.append((reread(source, content), str(fetched_at)))
    return found


def reread(source: str, content: bytes) -> Record:
    """Return the record that a row of `raw` or `revision` holds."""
    raw = zlib.decompress(content)
    if source == works.SOURCE:
        return works.reread(raw)
    (record,) = pubmed.records(b"<PubmedArticleSet>" + raw + b"</PubmedArticleSet>")
    return record


def _identify(connection: sqlite3.Connection, kind: str, value: str | None, paper: int) -> None:
    if value is not None:
        connection.execute(
            "INSERT OR IGNORE INTO identifier (kind, value, paper_id) VALUES (?, ?, ?)", (kind, value, paper)
        )


def _holds_records(connection: sqlite3.Connection, paper: int) -> bool:
    return connection.execute("SELECT 1 FROM raw WHERE paper_id = ? LIMIT 1", (paper,)).fetchone() is not None


def _others(connection: sqlite3.Connection, paper: int, record: Record) -> bool:
    """Say whether the paper has records besides this one."""
    found = connection.execute(
        "SELECT 1 FROM raw WHERE paper_id = ? AND NOT (source = ? AND identifier = ?) LIMIT 1",
        (paper, record.source, record.identifier),
    )
    return found.fetchone() is not None


def _keep_merge(
    connection: sqlite3.Connection, at: str, record: Record, old_key: str | None, new_key: str, reason: str
) -> None:
    """Keep when which record left which identity (None: it was new) for which, and why."""
    connection.execute(
        "INSERT INTO merge (at, source, identifier, old_key, new_key, reason) VALUES (?, ?, ?, ?, ?, ?)",
        (at, record.source, record.identifier, old_key, new_key, reason),
    )
