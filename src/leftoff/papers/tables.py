"""Lay out the tables of a database of papers; `docs/papers.md` describes them for those who query.

`raw` holds what a service said, a row for each of its records; `paper` and the tables that refer to it say the same for
people, and are derived from `raw`. A paper's identity is `key`: the hash of its DOI, else ``pmid:N``. `search`,
`listed` and `absent` hold what was asked and what is still to be fetched. Times are UTC, `now`.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timezone

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS paper (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,     -- doi_hash, else pmid:N
        doi TEXT,                     -- normal form
        doi_hash TEXT UNIQUE,         -- doi1:SHA-256 of the normal form
        pmid INTEGER,                 -- the highest of the paper's PMIDs: the record that the other columns show
        pmcid TEXT,
        title TEXT,
        abstract TEXT,                -- a paragraph each section, led by its label
        journal TEXT,
        year INTEGER,
        date TEXT,                    -- YYYY, YYYY-MM or YYYY-MM-DD, as exact as it is known
        type TEXT,                    -- as the source names it; several are joined by "; "
        language TEXT,                -- ISO 639-2, several joined by "; "
        source TEXT NOT NULL,         -- pubmed
        fetched_at TEXT NOT NULL      -- UTC, ISO 8601
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS identifier (
        kind TEXT NOT NULL,           -- doi, pmid or pmcid
        value TEXT NOT NULL,
        paper_id INTEGER NOT NULL REFERENCES paper (id),
        PRIMARY KEY (kind, value, paper_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS identifier_paper ON identifier (paper_id)",
    """
    CREATE TABLE IF NOT EXISTS author (
        paper_id INTEGER NOT NULL REFERENCES paper (id),
        position INTEGER NOT NULL,    -- from 1
        name TEXT NOT NULL,           -- as one reads it
        last TEXT,
        fore TEXT,
        initials TEXT,
        suffix TEXT,
        collective TEXT,              -- a body in place of a person
        affiliation TEXT,             -- one a line
        orcid TEXT,                   -- 0000-0000-0000-0000
        PRIMARY KEY (paper_id, position)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS mesh (
        paper_id INTEGER NOT NULL REFERENCES paper (id),
        position INTEGER NOT NULL,    -- from 1
        descriptor TEXT NOT NULL,
        descriptor_ui TEXT,
        qualifier TEXT,
        qualifier_ui TEXT,
        major INTEGER NOT NULL,       -- 1: what the paper is about
        PRIMARY KEY (paper_id, position)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS mesh_descriptor ON mesh (descriptor)",
    """
    CREATE TABLE IF NOT EXISTS raw (
        source TEXT NOT NULL,         -- pubmed
        identifier INTEGER NOT NULL,  -- the PMID
        version INTEGER NOT NULL,
        paper_id INTEGER NOT NULL REFERENCES paper (id),
        fetched_at TEXT NOT NULL,
        content BLOB NOT NULL,        -- the record's XML, UTF-8, zlib
        PRIMARY KEY (source, identifier)
    )
    """,
    "CREATE INDEX IF NOT EXISTS raw_paper ON raw (paper_id)",
    """
    CREATE TABLE IF NOT EXISTS merge (
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        pmid INTEGER NOT NULL,        -- the record that joined or left a paper
        old_key TEXT,                 -- the identity it had; NULL when it was new
        new_key TEXT NOT NULL,        -- the identity it has since
        reason TEXT NOT NULL          -- same-doi, gained-doi or changed-doi
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS event (
        seq INTEGER PRIMARY KEY,      -- the order of the progress log
        at TEXT NOT NULL,
        pmid INTEGER NOT NULL,
        doi TEXT,
        what TEXT NOT NULL            -- stored, updated, merged, unchanged or absent
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS search (
        id INTEGER PRIMARY KEY,
        query TEXT NOT NULL,          -- empty: what a progress log has
        since TEXT,                   -- as the caller named it; NULL: all dates
        most INTEGER,                 -- the caller's limit; NULL: none
        first_day TEXT,               -- the windows begin here; NULL: all dates
        opened_at TEXT NOT NULL,
        listed_at TEXT,               -- from here on the list of PMIDs is complete
        completed_at TEXT,
        total INTEGER,                -- what the service counted over all dates
        shortfall INTEGER             -- records that the service counts and lists in no window
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS listed (
        id INTEGER PRIMARY KEY,       -- the order in which they are fetched
        search_id INTEGER NOT NULL REFERENCES search (id),
        pmid INTEGER NOT NULL,
        revised INTEGER NOT NULL,     -- 1: stored, and revised since
        UNIQUE (search_id, pmid)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS absent (
        pmid INTEGER PRIMARY KEY,     -- the service lists it and does not send it
        at TEXT NOT NULL
    )
    """,
)


def create(connection: sqlite3.Connection) -> None:
    """Make the tables that are not there yet; a second call changes nothing."""
    for statement in SCHEMA:
        connection.execute(statement)


def now() -> str:
    """Return this moment as the tables hold it: UTC, ISO 8601, to the microsecond, so that text compares as time."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
