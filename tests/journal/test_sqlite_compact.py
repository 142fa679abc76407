"""A database is compacted whole and sound, and with nobody at work in it, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalBusy, JournalDamaged
from leftoff.journal import sqlite_compact
from leftoff.journal.entry import Draft
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_compact import compact_sqlite
from leftoff.journal.sqlite_verify import examine_sqlite
from tests.journal.sqlite_files import make, raw


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "a.db")
    return tmp_path / "a.db"


def entries(path: Path) -> list[Any]:
    return raw(path, "SELECT * FROM leftoff_entry ORDER BY seq")


def test_a_large_journal_is_checked_whole_before_it_is_compacted(path):
    """A new chain would vouch for a damaged row that opening does not look at; it is named, and nothing is changed."""
    raw(path, "CREATE TABLE bulk (body)", "INSERT INTO bulk VALUES (zeroblob(2000000))")
    raw(path, "UPDATE leftoff_entry SET value = '{\"n\":7}' WHERE kind = 'done' AND key = 'k1'")
    before = entries(path)
    with pytest.raises(
        JournalDamaged,
        match=r"a\.db: entry 6: the value of entry 6 \(done 'k1'\) is not what was written; nothing was changed\.",
    ):
        compact_sqlite(path, "a.db", keep=False, vacuum=False)
    assert entries(path) == before


def test_a_run_that_begins_meanwhile_is_not_compacted_under_its_owner(path, monkeypatch):
    """A compaction holds the runs that it found; another one between that and its transaction has it give up."""
    other = SqliteStore(path)

    def begin_another(_: Path) -> str:
        other.own("newer").commit([Draft("started", "k")])
        return ""

    before = entries(path)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_compact, "_keep", begin_another)
        with pytest.raises(JournalBusy, match=r"a\.db: another process has begun a new run just now; try again$"):
            compact_sqlite(path, "a.db", keep=True, vacuum=False)
    other.close()
    assert entries(path)[: len(before)] == before
    assert [row[4] for row in entries(path)[len(before) :]] == ["created", "owner", "started"]
    assert examine_sqlite(path, "a.db").damage == []
    done = compact_sqlite(path, "a.db", keep=False, vacuum=False)
    assert done.after < done.before == len(before) + 3
