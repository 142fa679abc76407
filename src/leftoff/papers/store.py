"""Keep records as papers: one paper for each DOI, else for each PMID.

1. What is stored depends on the last text of each record, not on the order in which records came: a paper shows its
   record with the highest PMID, and its other PMIDs are identifiers of it.
2. Two records with one DOI are one paper. A record that gains a DOI takes its paper along: into the paper of that DOI
   if there is one. Each move of a record from one identity to another is a row of `merge`; no record is dropped.
3. A revision without the DOI it had keeps its paper and the DOI: services lose DOIs, papers do not.
4. A revision with another DOI leaves a paper that other records share, and renames one that is its own alone.
5. An older version of a record never replaces a newer one.

All rows are written through the caller's connection, so that they commit with the caller's entry. A savepoint of the
caller's is never ended here.
"""

from __future__ import annotations

import sqlite3
import zlib
from typing import Literal

from leftoff.papers import doi as dois
from leftoff.papers.pubmed import Record, records

Happened = Literal["stored", "updated", "merged", "unchanged"]
SOURCE = "pubmed"


def store_record(connection: sqlite3.Connection, record: Record, fetched_at: str) -> Happened:
    """Store one record, and return what that did to the papers.

    fetched_at: when it was fetched, UTC, ISO 8601. ``stored``: a new paper; ``updated``: the text of a known record
    changed; ``merged``: the record joined a paper that was there already; ``unchanged``: only `fetched_at` moved.
    """
    pmid = int(record.pmid)
    known = connection.execute(
        "SELECT version, paper_id, content FROM raw WHERE source = ? AND identifier = ?", (SOURCE, pmid)
    ).fetchone()
    if known is not None and (record.version < known[0] or zlib.decompress(known[2]) == record.raw):
        connection.execute(
            "UPDATE raw SET fetched_at = ? WHERE source = ? AND identifier = ?", (fetched_at, SOURCE, pmid)
        )
        connection.execute("UPDATE paper SET fetched_at = ? WHERE id = ? AND pmid = ?", (fetched_at, known[1], pmid))
        return "unchanged"
    old = None if known is None else int(known[1])
    paper = _paper_of(connection, record, old, fetched_at)
    joined = paper != old and _holds_records(connection, paper)
    connection.execute(
        "INSERT OR REPLACE INTO raw (source, identifier, version, paper_id, fetched_at, content)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (SOURCE, pmid, record.version, paper, fetched_at, zlib.compress(record.raw, 6)),
    )
    if paper != old:
        _moved(connection, record, old, paper, joined=joined, at=fetched_at)
    _identify(connection, "pmid", record.pmid, paper)
    _identify(connection, "pmcid", record.pmcid, paper)
    shown = connection.execute("SELECT pmid FROM paper WHERE id = ?", (paper,)).fetchone()[0]
    if shown is None or shown <= pmid:
        _show(connection, paper, record, fetched_at)
    if joined:
        return "merged"
    return "stored" if old is None else "updated"


def _paper_of(connection: sqlite3.Connection, record: Record, old: int | None, at: str) -> int:
    """Return the paper that the record belongs to, made or renamed if need be."""
    if record.doi is None:
        return _new(connection, f"pmid:{record.pmid}", None, None) if old is None else old
    digest = dois.digest(record.doi)
    holder = connection.execute("SELECT id FROM paper WHERE doi_hash = ?", (digest,)).fetchone()
    if holder is not None:
        return int(holder[0])
    if old is None or _others(connection, old, int(record.pmid)):
        return _new(connection, digest, record.doi, digest)
    key, doi = connection.execute("SELECT key, doi FROM paper WHERE id = ?", (old,)).fetchone()
    connection.execute(
        "UPDATE paper SET key = ?, doi = ?, doi_hash = ? WHERE id = ?", (digest, record.doi, digest, old)
    )
    connection.execute("DELETE FROM identifier WHERE kind = 'doi' AND paper_id = ?", (old,))
    _identify(connection, "doi", record.doi, old)
    _keep_merge(connection, at, int(record.pmid), key, digest, "gained-doi" if doi is None else "changed-doi")
    return old


def _new(connection: sqlite3.Connection, key: str, doi: str | None, digest: str | None) -> int:
    cursor = connection.execute(
        "INSERT INTO paper (key, doi, doi_hash, source, fetched_at) VALUES (?, ?, ?, ?, '')", (key, doi, digest, SOURCE)
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
            _keep_merge(connection, at, int(record.pmid), None, new_key, "same-doi")
        return
    old_key, old_doi = connection.execute("SELECT key, doi FROM paper WHERE id = ?", (old,)).fetchone()
    reason = "gained-doi" if old_doi is None else "changed-doi"
    _keep_merge(connection, at, int(record.pmid), old_key, new_key, reason)
    connection.executemany(
        "DELETE FROM identifier WHERE kind = ? AND value = ? AND paper_id = ?",
        [("pmid", record.pmid, old), ("pmcid", record.pmcid, old)],
    )
    if _holds_records(connection, old):
        _show_again(connection, old)
        return
    for table in ("identifier", "author", "mesh"):
        connection.execute(f"DELETE FROM {table} WHERE paper_id = ?", (old,))  # noqa: S608  (names of our own)
    connection.execute("DELETE FROM paper WHERE id = ?", (old,))


def _show_again(connection: sqlite3.Connection, paper: int) -> None:
    """Derive a paper from the records it still has."""
    content, fetched_at = connection.execute(
        "SELECT content, fetched_at FROM raw WHERE paper_id = ? ORDER BY identifier DESC LIMIT 1", (paper,)
    ).fetchone()
    (record,) = records(b"<PubmedArticleSet>" + zlib.decompress(content) + b"</PubmedArticleSet>")
    _show(connection, paper, record, fetched_at)


def _show(connection: sqlite3.Connection, paper: int, record: Record, fetched_at: str) -> None:
    """Let the paper show what this record says."""
    connection.execute(
        "UPDATE paper SET pmid = ?, pmcid = ?, title = ?, abstract = ?, journal = ?, year = ?, date = ?, type = ?,"
        " language = ?, source = ?, fetched_at = ? WHERE id = ?",
        (
            int(record.pmid), record.pmcid, record.title, record.abstract, record.journal, record.year, record.date,
            record.type, record.language, SOURCE, fetched_at, paper,
        ),
    )  # fmt: skip
    connection.execute("DELETE FROM author WHERE paper_id = ?", (paper,))
    connection.executemany(
        "INSERT INTO author (paper_id, position, name, last, fore, initials, suffix, collective, affiliation, orcid)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (paper, place, each.name, each.last, each.fore, each.initials, each.suffix, each.collective,
             each.affiliation, each.orcid)
            for place, each in enumerate(record.authors, start=1)
        ],
    )  # fmt: skip
    connection.execute("DELETE FROM mesh WHERE paper_id = ?", (paper,))
    connection.executemany(
        "INSERT INTO mesh (paper_id, position, descriptor, descriptor_ui, qualifier, qualifier_ui, major)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (paper, place, each.descriptor, each.descriptor_ui, each.qualifier, each.qualifier_ui, int(each.major))
            for place, each in enumerate(record.mesh, start=1)
        ],
    )


def _identify(connection: sqlite3.Connection, kind: str, value: str | None, paper: int) -> None:
    if value is not None:
        connection.execute(
            "INSERT OR IGNORE INTO identifier (kind, value, paper_id) VALUES (?, ?, ?)", (kind, value, paper)
        )


def _holds_records(connection: sqlite3.Connection, paper: int) -> bool:
    return connection.execute("SELECT 1 FROM raw WHERE paper_id = ? LIMIT 1", (paper,)).fetchone() is not None


def _others(connection: sqlite3.Connection, paper: int, pmid: int) -> bool:
    """Say whether the paper has records besides this one."""
    found = connection.execute("SELECT 1 FROM raw WHERE paper_id = ? AND identifier <> ? LIMIT 1", (paper, pmid))
    return found.fetchone() is not None


def _keep_merge(connection: sqlite3.Connection, *row: str | int | None) -> None:
    """Keep when which record left which identity (None: it was new) for which, and why."""
    connection.execute("INSERT INTO merge (at, pmid, old_key, new_key, reason) VALUES (?, ?, ?, ?, ?)", row)
