"""The list of papers."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from leftoff.errors import JournalMissing, NotAJournal
from leftoff.papers import doi, listed, tables
from leftoff.papers.store import store_record
from tests.papers.test_store import DAY, paper


def test_papers_are_listed_with_all_their_pmids(tmp_path: Path) -> None:
    """Each paper is one object, in the order of PMIDs, and names every PMID it has."""
    connection = sqlite3.connect(tmp_path / "papers.db")
    tables.create(connection)
    for record in (paper(30, "10.1000/a"), paper(9, "10.1000/a", title="older"), paper(100, title="B")):
        store_record(connection, record, DAY)
    connection.commit()
    connection.close()
    assert list(listed(tmp_path / "papers.db")) == [
        {
            "key": doi.digest("10.1000/a"),
            "doi": "10.1000/a",
            "pmids": ["9", "30"],
            "title": "T",
            "year": 2001,
            "status": "",
        },
        {"key": "pmid:100", "doi": None, "pmids": ["100"], "title": "B", "year": 2001, "status": ""},
    ]


def test_listing_makes_no_database(tmp_path: Path) -> None:
    """A file that is not there is named and not made."""
    with pytest.raises(JournalMissing, match="papers sync makes one"):
        list(listed(tmp_path / "none.db"))
    assert not list(tmp_path.iterdir())


def test_a_file_without_papers_is_named(tmp_path: Path) -> None:
    """Another file is refused by name, a database without our tables too."""
    (tmp_path / "text.db").write_text("hello " * 100)
    sqlite3.connect(tmp_path / "other.db").close()
    for name in ("text.db", "other.db"):
        with pytest.raises(NotAJournal, match=name):
            list(listed(tmp_path / name))
