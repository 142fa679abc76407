"""What a store tells of runs that are not there, of one run beside another, and what it checks as it is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from leftoff.errors import JournalDamaged
from leftoff.journal import sqlite
from leftoff.journal.sqlite import SqliteStore
from tests.contract.drafts import dead, done, started
from tests.journal.sqlite_files import make, raw

LARGE = ("CREATE TABLE bulk (body)", "INSERT INTO bulk VALUES (zeroblob(2000000))")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


def test_a_run_that_does_not_exist_is_empty(path: Path) -> None:
    """Whatever is asked of it, beside a run that does exist, tells of nothing; so does a journal without a file."""
    store = SqliteStore(path)
    for there in (False, True):
        if there:
            store.own("loop").commit([done("a"), dead("b")])
        assert (store.counts("x"), store.values("x", ["a", "b"]), store.open_items("x")) == ((0, 0), [None, None], {})
        assert (store.newest("x"), store.latest("x", "owner"), store.holder("x"), store.head("x")) == (None,) * 4
        assert (list(store.keys("x", "done")), list(store.keys("x", "dead")), list(store.entries("x"))) == ([], [], [])
        assert (store.torn(), store.length(), store.runs()) == ((0, 4, ["loop"]) if there else (0, 0, []))
    store.close()


def test_the_newest_entry_is_of_its_run(path: Path) -> None:
    """It is the last of the run that was asked for, not the last but one, and not another's."""
    store = SqliteStore(path)
    first, second = store.own("a"), store.own("b")
    first.commit([started("x"), started("y")])
    second.commit([started("z"), done("z")])
    found = [store.newest(run) for run in ("a", "b")]
    assert [(entry.run, entry.seq, entry.kind, entry.key) for entry in found if entry] == [
        ("a", 6, "started", "y"), ("b", 8, "done", "z")
    ]  # fmt: skip
    assert [(entry.seq, entry.run) for entry in store.entries("a", after=2)] == [(5, "a"), (6, "a")]
    assert [entry.seq for entry in store.entries(after=6)] == [7, 8]
    store.close()


def test_a_large_database_whose_runs_are_gone_is_an_empty_journal(path: Path) -> None:
    """Our tables without a row are a journal that nothing was begun in."""
    make(path)
    raw(path, *LARGE, "DELETE FROM leftoff_entry", "DELETE FROM leftoff_run")
    store = SqliteStore(path)
    assert (store.runs(), list(store.entries()), store.length()) == ([], [], 0)
    store.close()


@pytest.mark.parametrize("journal", [True, False])
def test_a_file_just_as_large_as_a_small_one_may_be_is_checked_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch, journal: bool
) -> None:
    """One byte less is allowed, and the place that was damaged is looked at only when it is met."""
    if journal:
        make(path)
        raw(path, "UPDATE leftoff_entry SET at = at + 1 WHERE seq = 3")
    else:
        raw(path, "CREATE TABLE paper (body)", "INSERT INTO paper VALUES (zeroblob(20000))")
        path.write_bytes(path.read_bytes()[:-4096] + b"\xff" * 4096)
    size = path.stat().st_size
    monkeypatch.setattr(sqlite, "SMALL", size)
    with pytest.raises(JournalDamaged):
        SqliteStore(path)
    monkeypatch.setattr(sqlite, "SMALL", size - 1)
    SqliteStore(path).close()
