"""A database on disk, as a sync leaves it, with the records that a test wants in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import leftoff
from leftoff.papers import tables, works
from leftoff.papers.record import Record
from leftoff.papers.store import store_record

DAY = "2026-01-02T03:04:05Z"
SAYING = ("paper", "identifier", "author", "mesh", "raw", "shown", "conflict", "revision", "apart")


def work(doi: str, title: str = "T", **fields: Any) -> Record:
    """Return a record of Crossref that was made for a test."""
    return works.record(works.work({"DOI": doi, "title": [title], "type": "journal-article", **fields}))


def stored(db: Path, records: Iterable[Record], at: str = DAY) -> Path:
    """Store these records as a sync would, in runs of their services."""
    with leftoff.open(db, durability="process") as journal:
        connection = {source: journal.run(source).connection for source in ("pubmed", "crossref")}
        tables.create(connection["pubmed"])
        for record in records:
            store_record(connection[record.source], record, at)
    return db


def dump(db: Path, tables: Iterable[str] = SAYING) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the tables that say something of papers, the numbers of papers included."""
    with closing(sqlite3.connect(db)) as connection:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in tables}


def ask(db: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return what a question in SQL brings."""
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql, values).fetchall()
