"""What the tests of the export share: every real paper, and papers made for what no real one shows."""

from __future__ import annotations

import functools
import io
import re
import sqlite3
from collections.abc import Callable, Iterable
from typing import IO, Any

from leftoff.papers import tables, works
from leftoff.papers.exported import Exported, all_ids, exported
from leftoff.papers.record import Author
from leftoff.papers.store import store_record
from leftoff.testing.crossref_works import load
from tests.papers.conftest import SHARED, SHIPPED, RealRecords
from tests.papers.test_store import DAY
from tests.testing.test_crossref import WORKS

CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")


@functools.cache
def database() -> sqlite3.Connection:
    """Return a database of every real record and work, and of the works made from records, in memory."""
    connection = sqlite3.connect(":memory:")
    tables.create(connection)
    for record in RealRecords(SHARED if SHARED.is_dir() else SHIPPED, None, None).records():
        store_record(connection, record, DAY)
    for work in load(WORKS).values():
        store_record(connection, works.record(works.work(work.versions[-1])), DAY)
    return connection


@functools.cache
def library() -> dict[str, Exported]:
    """Return every real paper by its key."""
    papers = [exported(database(), each) for each in all_ids(database())]
    assert len(papers) > 300
    return {paper.key: paper for paper in papers}


def made(*authors: Author, **fields: Any) -> Exported:
    """Return a paper made for a test."""
    known: dict[str, Any] = dict.fromkeys(name for name in Exported.__dataclass_fields__ if name not in NOT_NONE)
    known |= {"key": "pmid:1", "source": "crossref", "fetched_at": DAY, "type": "journal-article", "journal": "J"}
    return Exported(**{**known, **fields}, authors=authors)


NOT_NONE = ("authors", "mesh", "identifiers", "provenance", "conflicts")


def person(last: str | None, fore: str | None = None, suffix: str | None = None, initials: str | None = None) -> Author:
    return Author(last, fore, initials, suffix, None, None, None)


def body(name: str) -> Author:
    return Author(None, None, None, None, name, None, None)


def written(write: Callable[[IO[bytes], Iterable[Exported]], None], papers: Iterable[Exported]) -> str:
    """Return what a format makes of papers."""
    file = io.BytesIO()
    write(file, papers)
    return file.getvalue().decode()


def a_line(text: str | None) -> str:
    """Return a text as the formats with lines have it."""
    return " ".join(CONTROLS.sub("", text or "").split())
