"""Lay out the tables of a database of papers; `docs/papers.md` describes them for those who query.

`raw` holds what a service said, a row for each of its records, and `revision` what it said before; `paper` and the
tables that refer to it say the same for people, and are derived from `raw`. `link` holds what records say of other
papers, and the views `linked` and `status` what follows from it (link_views.py); `words` is the index (index.py). A
paper's identity is `key`: the hash of its DOI, else ``pmid:N``, which a record that `apart` names keeps for itself.
`search`, `listed`, `walked` and `absent` hold what was asked and what is still to come. Times are UTC, `now`.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timezone

from leftoff.errors import UsageError
from leftoff.papers import index, link_views
from leftoff.papers.merging import TAKEN

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS paper (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,     -- doi_hash, else pmid:N
        doi TEXT,                     -- normal form
        doi_hash TEXT,                -- doi1:SHA-256 of the normal form; NULL for what is set apart from its DOI
        pmid INTEGER,                 -- the highest of the paper's PMIDs
        pmcid TEXT,
        title TEXT,
        abstract TEXT,                -- a paragraph each section, led by its label
        journal TEXT,
        year INTEGER,
        date TEXT,                    -- YYYY, YYYY-MM or YYYY-MM-DD, as exact as it is known
        type TEXT,                    -- as the source names it; several are joined by "; "
        language TEXT,                -- ISO 639-2, several joined by "; "
        volume TEXT,
        issue TEXT,
        pages TEXT,                   -- or the number of the article
        publisher TEXT,
        issn TEXT,                    -- several joined by "; "
        isbn TEXT,                    -- several joined by "; "
        source TEXT NOT NULL,         -- pubmed, crossref, or both joined by "; "
        fetched_at TEXT NOT NULL      -- the newest of its records; UTC, ISO 8601
    )
    """,
    # For search: a paper's year without its row, which is long. `id` comes first as it is what is known.
    "CREATE INDEX IF NOT EXISTS paper_year ON paper (id, year)",
    """
    CREATE TABLE IF NOT EXISTS shown (
        paper_id INTEGER NOT NULL REFERENCES paper (id),
        source TEXT NOT NULL,
        identifier NOT NULL,          -- the record that they were taken from
        fields TEXT NOT NULL,         -- columns of paper, authors, mesh, joined by "; "
        PRIMARY KEY (paper_id, source, identifier)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS conflict (
        paper_id INTEGER NOT NULL REFERENCES paper (id),
        field TEXT NOT NULL,
        source TEXT NOT NULL,
        identifier NOT NULL,          -- the record that says something else than what is shown
        value TEXT NOT NULL,          -- what it says
        PRIMARY KEY (paper_id, field, source, identifier)
    ) WITHOUT ROWID
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
    """
    CREATE TABLE IF NOT EXISTS raw (
        source TEXT NOT NULL,         -- pubmed or crossref
        identifier NOT NULL,          -- the PMID, a number, or the DOI in normal form
        version INTEGER NOT NULL,
        paper_id INTEGER NOT NULL REFERENCES paper (id),
        fetched_at TEXT NOT NULL,
        deleted_at TEXT,              -- since then the service does not send it any more; NULL: it did, the last time
        digest BLOB NOT NULL,         -- SHA-256 of what makes a revision
        content BLOB NOT NULL,        -- the record's XML or JSON, UTF-8, zlib
        PRIMARY KEY (source, identifier)
    )
    """,
    "CREATE INDEX IF NOT EXISTS raw_paper ON raw (paper_id)",
    "CREATE INDEX IF NOT EXISTS raw_deleted ON raw (paper_id) WHERE deleted_at IS NOT NULL",
    """
    CREATE TABLE IF NOT EXISTS link (
        paper_id INTEGER NOT NULL REFERENCES paper (id),
        source TEXT NOT NULL,
        identifier NOT NULL,          -- the record that says so
        position INTEGER NOT NULL,    -- in this record, from 1
        kind TEXT NOT NULL,           -- what the paper is to the other one: retracted-by, corrects, preprint-of ...
        inverse TEXT NOT NULL,        -- what the other one is to the paper
        doi TEXT,                     -- of the other one, normal form
        pmid INTEGER,
        other TEXT,                   -- an identifier of another kind
        text TEXT,                    -- in the service's words
        date TEXT,                    -- when the later of the two came
        asserted_by TEXT,             -- publisher, retraction-watch, subject or object: Crossref's word for who says so
        PRIMARY KEY (paper_id, source, identifier, position)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS link_doi ON link (doi) WHERE doi IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS link_pmid ON link (pmid) WHERE pmid IS NOT NULL",
    *link_views.VIEWS,
    f"""
    CREATE VIEW IF NOT EXISTS provenance AS
    WITH field (name) AS (VALUES {", ".join(f"('{name}')" for name in TAKEN)})
    SELECT shown.paper_id, field.name AS field, shown.source, shown.identifier, raw.fetched_at
    FROM shown JOIN field ON instr('; ' || shown.fields || ';', '; ' || field.name || ';')
    JOIN raw ON raw.source = shown.source AND raw.identifier = shown.identifier
    """,  # noqa: S608  (names of our own)
    """
    CREATE TABLE IF NOT EXISTS revision (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        identifier NOT NULL,
        version INTEGER NOT NULL,
        fetched_at TEXT NOT NULL,
        replaced_at TEXT NOT NULL,    -- from here on another text is the record's
        content BLOB NOT NULL         -- as in raw
    )
    """,
    "CREATE INDEX IF NOT EXISTS revision_record ON revision (source, identifier)",
    """
    CREATE TABLE IF NOT EXISTS merge (
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        source TEXT NOT NULL,
        identifier NOT NULL,          -- the record that joined or left a paper
        old_key TEXT,                 -- the identity it had; NULL when it was new
        new_key TEXT NOT NULL,        -- the identity it has since
        reason TEXT NOT NULL          -- same-doi, gained-doi, changed-doi, split or unsplit
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS apart (
        source TEXT NOT NULL,
        identifier NOT NULL,          -- the record that is a paper of its own
        doi TEXT NOT NULL,            -- although it has this DOI, as another paper has
        at TEXT NOT NULL,
        PRIMARY KEY (source, identifier, doi)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS apart_doi ON apart (doi)",
    """
    CREATE TABLE IF NOT EXISTS event (
        seq INTEGER PRIMARY KEY,      -- the order of the progress log
        at TEXT NOT NULL,
        source TEXT NOT NULL,
        pmid INTEGER,                 -- of a record of PubMed
        doi TEXT,
        what TEXT NOT NULL            -- stored, updated, merged, unchanged, absent or deleted
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS search (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        query TEXT NOT NULL,          -- empty: what a progress log has
        since TEXT,                   -- as the caller named it; NULL: all dates
        most INTEGER,                 -- the caller's limit; NULL: none
        first_day TEXT,               -- the windows begin here; NULL: all dates
        opened_at TEXT NOT NULL,
        listed_at TEXT,               -- from here on the list of PMIDs, or of windows, is complete
        completed_at TEXT,
        total INTEGER,                -- what the service counted over all dates
        shortfall INTEGER,            -- records that the service counts and lists in no window
        missing INTEGER               -- the shortfall and the dead letters; NULL until it is completed
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS found (
        source TEXT NOT NULL,
        query TEXT NOT NULL,          -- as in search
        identifier NOT NULL,          -- a record that a search of this query found, whether it is stored or not
        at TEXT NOT NULL,             -- when it was found first
        left_at TEXT,                 -- since then the query finds it no longer; NULL: it did, the last time
        PRIMARY KEY (source, query, identifier)
    ) WITHOUT ROWID
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
    CREATE TABLE IF NOT EXISTS walked (
        search_id INTEGER NOT NULL REFERENCES search (id),
        span TEXT NOT NULL,           -- a window of Crossref's
        works INTEGER NOT NULL,       -- distinct works in it
        fresh INTEGER NOT NULL,       -- those of them that no earlier window had
        shortfall INTEGER NOT NULL,   -- works that the service counts in it and gives in no walk
        dead INTEGER NOT NULL,        -- works in it that are dead letters
        at TEXT NOT NULL,
        PRIMARY KEY (search_id, span)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS absent (
        source TEXT NOT NULL,
        identifier NOT NULL,          -- the service lists it, or was asked for it, and does not send it
        at TEXT NOT NULL,
        PRIMARY KEY (source, identifier)
    ) WITHOUT ROWID
    """,
)


def create(connection: sqlite3.Connection) -> None:
    """Make the tables that are not there yet; a second call changes nothing.

    Raises UsageError for tables of a development version before 0.1, and where SQLite has no FTS5.
    """
    known, origins = (
        [row[1] for row in connection.execute(f"PRAGMA table_info({table})")] for table in ("raw", "shown")
    )
    if known and "fields" not in origins:
        raise UsageError(
            "the tables are those of a development version of leftoff: move the database away and sync anew; "
            "a progress log of it (--from-log) says which papers it had"
        )
    for statement in SCHEMA:
        connection.execute(statement)
    index.create(connection)
    for table, column in (("search", "missing INTEGER"), ("found", "left_at TEXT")):  # what came later
        if column.split()[0] not in [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")


def clock() -> datetime:
    """Return this moment in UTC. It is looked up at each call, so that a test can let another day be today."""
    return datetime.now(timezone.utc)


def text_of(moment: datetime) -> str:
    """Return a moment in UTC as the tables hold it: ISO 8601, to the microsecond, so that text compares as time."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def now() -> str:
    """Return this moment as the tables hold it."""
    return text_of(clock())
