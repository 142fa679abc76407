"""Keep records as papers: one paper for each DOI, else for each PMID.

1. What is stored depends on the last text of each record, and on what was set apart, not on the order in which records
   came.
2. Two records with one DOI are one paper, whichever service they are from. A record that gains a DOI takes its paper
   along: into the paper of that DOI if there is one. Each move of a record from one identity to another is a row of
   `merge`; no record is dropped.
3. A revision without the DOI it had keeps its paper and the DOI: services lose DOIs, papers do not.
4. A revision with another DOI leaves a paper that other records share, and renames one that is its own alone.
5. An older version of a record never replaces a newer one. What a newer one replaces is kept in `revision`.
6. A record that its service deletes stays, marked with the day on which that was noticed.
7. A record that was set apart from a DOI (`apart`) is a paper of its own as long as it has that DOI: it keeps the DOI
   and its PMID is its identity. `doi_hash` is that of the other paper.

All rows are written through the caller's connection, so that they commit with the caller's entry. A savepoint of the
caller's is never ended here.
"""

from __future__ import annotations

import sqlite3
import zlib
from dataclasses import replace
from typing import Literal

from leftoff.papers import doi as dois
from leftoff.papers import index, pubmed, works
from leftoff.papers.merging import show
from leftoff.papers.record import Record

Happened = Literal["stored", "updated", "merged", "unchanged"]
Absence = Literal["absent", "deleted"]

# The paper that has a DOI's hash as its key, and whether the record was set apart from it.
HOLDER = """
    SELECT (SELECT id FROM paper WHERE key = ?),
        EXISTS (SELECT 1 FROM apart WHERE source = ? AND identifier = ? AND doi = ?)
"""
IDENTIFY = "INSERT OR IGNORE INTO identifier (kind, value, paper_id) VALUES (?, ?, ?)"
LEVEL = 1  # of zlib: 6 makes a record 10 % smaller, in twice the time


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
    paper, new = _paper_of(connection, record, old, fetched_at)
    joined = paper != old and not new
    connection.execute(
        "INSERT OR REPLACE INTO raw (source, identifier, version, paper_id, fetched_at, digest, content)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*name, record.version, paper, fetched_at, record.digest, zlib.compress(record.raw, LEVEL)),
    )
    if paper != old:
        _moved(connection, record, old, paper, joined=joined, at=fetched_at)
    _name(connection, paper, record)
    show(connection, paper, [(record, fetched_at)] if new else _records_of(connection, paper, record), new=new)
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


def set_apart(connection: sqlite3.Connection, source: str, identifier: int | str, doi: str, at: str) -> None:
    """Make a stored record a paper of its own, which it stays as long as it has this DOI.

    doi: that of its paper, which has other records; at: UTC, ISO 8601.
    """
    connection.execute(
        "INSERT INTO apart (source, identifier, doi, at) VALUES (?, ?, ?, ?)", (source, identifier, doi, at)
    )
    _move(connection, source, identifier, doi, "split", at)


def bring_back(connection: sqlite3.Connection, source: str, identifier: int | str, doi: str, at: str) -> None:
    """Undo `set_apart`: the record is where it were, had it never been set apart."""
    connection.execute("DELETE FROM apart WHERE source = ? AND identifier = ? AND doi = ?", (source, identifier, doi))
    alone = connection.execute(
        "SELECT 1 FROM raw JOIN paper ON paper.id = raw.paper_id WHERE raw.source = ? AND identifier = ?"
        " AND doi = ? AND doi_hash IS NULL",
        (source, identifier, doi),
    )
    if alone.fetchone() is not None:  # else it has another DOI by now
        _move(connection, source, identifier, doi, "unsplit", at)


def _move(connection: sqlite3.Connection, source: str, identifier: int | str, doi: str, why: str, at: str) -> None:
    """Put a stored record where it belongs now; ``doi`` is its own, though its last text may have lost it."""
    old, content = connection.execute(
        "SELECT paper_id, content FROM raw WHERE source = ? AND identifier = ?", (source, identifier)
    ).fetchone()
    record = replace(reread(source, content), doi=doi)
    paper, _ = _paper_of(connection, record, old, at, why)
    if paper == old:
        return  # only its name is another now
    connection.execute("UPDATE raw SET paper_id = ? WHERE source = ? AND identifier = ?", (paper, source, identifier))
    _moved(connection, record, old, paper, joined=True, at=at, why=why)
    _name(connection, paper, record)
    show(connection, paper, _records_of(connection, paper, record))


def _name(connection: sqlite3.Connection, paper: int, record: Record) -> None:
    """Let the paper be found by this record's names."""
    names = (("doi", record.doi), ("pmid", record.pmid), ("pmcid", record.pmcid))
    connection.executemany(IDENTIFY, [(kind, value, paper) for kind, value in names if value is not None])


def _paper_of(
    connection: sqlite3.Connection, record: Record, old: int | None, at: str, why: str | None = None
) -> tuple[int, bool]:
    """Return the paper that the record belongs to, renamed if need be, and whether it was made for it.

    why: it changed its identity; None: for its DOI.
    """
    if record.doi is None:
        return _new(connection, f"pmid:{record.pmid}", None, None) if old is None else (old, False)
    digest = dois.digest(record.doi)
    holder, is_apart = connection.execute(HOLDER, (digest, record.source, record.identifier, record.doi)).fetchone()
    if is_apart:
        return _paper_apart(connection, record, record.doi, old, at)
    if holder is not None:
        return int(holder), False
    if old is None or _others(connection, old, record):
        return _new(connection, digest, record.doi, digest)
    _rename(connection, record, old, (digest, record.doi, digest), at, why)
    return old, False


def _paper_apart(
    connection: sqlite3.Connection, record: Record, doi: str, old: int | None, at: str
) -> tuple[int, bool]:
    """Return the paper that a record set apart from this DOI is alone, as `_paper_of` does."""
    key = f"pmid:{record.pmid}"
    if old is None or _others(connection, old, record):
        return _new(connection, key, doi, None)
    if connection.execute("SELECT key, doi FROM paper WHERE id = ?", (old,)).fetchone() != (key, doi):
        _rename(connection, record, old, (key, doi, None), at)
    return old, False


def _rename(
    connection: sqlite3.Connection,
    record: Record,
    paper: int,
    identity: tuple[str, str, str | None],
    at: str,
    why: str | None = None,
) -> None:
    """Give a paper that is this record alone another key, DOI and hash."""
    key, doi = connection.execute("SELECT key, doi FROM paper WHERE id = ?", (paper,)).fetchone()
    connection.execute("UPDATE paper SET key = ?, doi = ?, doi_hash = ? WHERE id = ?", (*identity, paper))
    connection.execute("DELETE FROM identifier WHERE kind = 'doi' AND paper_id = ?", (paper,))
    connection.execute(IDENTIFY, ("doi", identity[1], paper))
    _keep_merge(connection, at, record, key, identity[0], why or ("gained-doi" if doi is None else "changed-doi"))


def _new(connection: sqlite3.Connection, key: str, doi: str | None, digest: str | None) -> tuple[int, bool]:
    cursor = connection.execute(
        "INSERT INTO paper (key, doi, doi_hash, source, fetched_at) VALUES (?, ?, ?, '', '')", (key, doi, digest)
    )
    return int(cursor.lastrowid or 0), True


def _moved(
    connection: sqlite3.Connection,
    record: Record,
    old: int | None,
    paper: int,
    *,
    joined: bool,
    at: str,
    why: str | None = None,
) -> None:
    """Write down that a record changed its paper, and leave the paper it left whole, or no paper at all."""
    if old is None and not joined:
        return
    new_key = connection.execute("SELECT key FROM paper WHERE id = ?", (paper,)).fetchone()[0]
    if old is None:
        _keep_merge(connection, at, record, None, new_key, "same-doi")
        return
    old_key, old_doi = connection.execute("SELECT key, doi FROM paper WHERE id = ?", (old,)).fetchone()
    _keep_merge(connection, at, record, old_key, new_key, why or ("gained-doi" if old_doi is None else "changed-doi"))
    connection.executemany(
        "DELETE FROM identifier WHERE kind = ? AND value = ? AND paper_id = ?",
        [("pmid", record.pmid, old), ("pmcid", record.pmcid, old)],
    )
    left = _records_of(connection, old)
    if left:
        for each, _ in left:
            _name(connection, old, each)  # two records may have had the same PMCID
        show(connection, old, left)
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
    return works.reread(raw) if source == works.SOURCE else pubmed.record(raw)


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
