"""A database is compacted whole and sound, and with nobody at work in it, or not at all."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalBusy, JournalDamaged, UsageError
from leftoff.journal import sqlite_compact
from leftoff.journal.entry import Draft
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_compact import compact_sqlite
from leftoff.journal.sqlite_held import held
from leftoff.journal.sqlite_verify import examine_sqlite
from tests.journal.sqlite_files import copy, make, observe, raw


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


@pytest.mark.parametrize("begun", [False, True])
def test_a_journal_without_a_run_is_not_compacted(tmp_path, begun):
    """There is nothing to leave out, and nothing is made."""
    path = tmp_path / "b.db"
    if begun:
        make(path)
        raw(path, "DELETE FROM leftoff_entry", "DELETE FROM leftoff_run")
    with pytest.raises(UsageError) as caught:
        compact_sqlite(path, "the journal", keep=True, vacuum=True)
    assert str(caught.value) == "the journal holds no run yet, so there is nothing to compact"
    assert not list(tmp_path.glob("*.before-*"))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("vacuum", [False, True])
def test_what_a_compaction_did_is_told(path, tmp_path, keep, vacuum):
    """Entries and bytes before and after it, and what the original is called; only a vacuum makes the file smaller."""
    raw(path, "CREATE TABLE bulk (body)", "INSERT INTO bulk VALUES (zeroblob(200000))", "DROP TABLE bulk")
    before, size = entries(path), path.stat().st_size
    copy(path, tmp_path / "original.db")
    done = compact_sqlite(path, "a.db", keep=keep, vacuum=vacuum)
    after = entries(path)
    assert (done.before, done.after) == (len(before), len(after)) == (16, 11)
    assert (done.bytes_before, done.bytes_after) == (size, path.stat().st_size)
    assert (done.bytes_after < size) is vacuum
    assert [row[4] for row in after[-2:]] == ["compacted", "open"]
    assert [row[0] for row in after[-2:]] == [before[-1][0] + 1, before[-1][0] + 2]
    assert done.aside == ("a.db.before-1" if keep else None)
    assert [file.name for file in tmp_path.glob("*.before-*")] == ([done.aside] if keep else [])
    if done.aside is not None:
        assert observe(tmp_path / done.aside) == observe(tmp_path / "original.db")
    assert examine_sqlite(path, "a.db").damage == []


def test_bytes_in_the_log_count(path):
    """A log that somebody keeps from being emptied is part of the journal's size before it is compacted."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("INSERT INTO paper VALUES (100, 'x')")
    log = Path(f"{path}-wal").stat().st_size
    size = path.stat().st_size
    assert compact_sqlite(path, "a.db", keep=False, vacuum=False).bytes_before == size + log > size
    other.close()


def test_only_runs_that_can_be_are_held(path):
    """Each run that a row or an entry tells of is held; a number that no run of ours has is not asked for a lock."""
    store = SqliteStore(path)
    store.own("second").commit([Draft("started", "k")])
    store.close()
    more = "INSERT INTO leftoff_entry SELECT {}, {}, 1, at, kind, key, value, 0, 0, 0 FROM leftoff_entry WHERE seq = 1"
    raw(path, more.format(100, 0), more.format(101, -1), more.format(102, "'x'"), more.format(103, 7))
    with held(path, "a.db") as runs:
        assert runs == [1, 2, 7]
        with pytest.raises(JournalBusy, match=r"^run 1 of a\.db is owned by process "), held(path, "a.db"):
            pass
    with held(path, "a.db") as runs:
        assert runs == [1, 2, 7]


def test_a_compacted_run_begins_at_its_mark_and_tells_its_numbers(path):
    """Its row has the numbers of what is left; the two entries that end it are of that moment, and the last is open."""
    store = SqliteStore(path)
    owner = store.own("loop")
    owner.commit([Draft("retried", "k0"), Draft("done", "k0", "1"), Draft("forgotten", "k1"), Draft("cursor", "since")])
    store.close()
    begin = time.time() * 1000
    compact_sqlite(path, "a.db", keep=False, vacuum=False)
    end = time.time() * 1000
    *_, compacted, opened = entries(path)
    assert (compacted[4], opened[4]) == ("compacted", "open")
    assert int(begin) <= compacted[3] == opened[3] <= end
    row = "SELECT seq, sum, mark, done, dead, superseded FROM leftoff_run"
    assert raw(path, row) == [(opened[0], opened[9], opened[0], 4, 1, 0)]
    assert sorted(entry[5] for entry in entries(path) if entry[4] == "done") == ["k0", "k2", "k3", "k5"]
    assert [entry[6] for entry in entries(path) if entry[4] == "cursor"] == [None]
    assert examine_sqlite(path, "a.db").damage == []
