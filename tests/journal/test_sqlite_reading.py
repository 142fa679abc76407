"""What a store tells of runs that are not there, of one run beside another, and what it checks as it is opened."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from zlib import crc32

import pytest

from leftoff.errors import JournalDamaged
from leftoff.journal import sqlite
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.store import values_of
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
        assert (store.counts("x"), values_of(store, "x", ["a", "b"]), store.open_items("x")) == (
            (0, 0),
            [None, None],
            {},
        )
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


# -- damage ----------------------------------------------------------------------------------------------------------

FRAME = 24 + 4096


def refused(path: Path, what: str) -> None:
    with pytest.raises(JournalDamaged) as caught:
        SqliteStore(path)
    assert str(caught.value) == (
        f"{path}: {what}; nothing was changed. Restore a copy, or look with: leftoff verify {path}"
    )


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE leftoff_run SET done = done + 1", "the row of the run 'loop' is not what was written"),
        (
            "DELETE FROM leftoff_entry WHERE seq = 16",
            "the newest entry of the run 'loop' should be seq 16, and is gone",
        ),
        (
            "UPDATE leftoff_entry SET run = 2 WHERE seq = 16",
            "the newest entry of the run 'loop' should be seq 16, and is gone",
        ),
    ],
)
def test_damage_of_a_large_journal_is_named_with_its_file(path: Path, statement: str, what: str) -> None:
    """What opening looks at is told by file, run and number."""
    make(path)
    raw(path, *LARGE, statement)
    refused(path, what)


def test_damage_that_an_owner_finds_is_named_with_its_file(path: Path) -> None:
    """What nobody looked at before, and a take-over or a look-up does, is told in the same words."""
    make(path)
    raw(path, *LARGE)
    store = SqliteStore(path)
    owner = store.own("loop")
    raw(path, "UPDATE leftoff_entry SET key = 'k9' WHERE seq = 6")
    value_sum = crc32(b'{"n":1}')
    end = f"; nothing was changed. Restore a copy, or look with: leftoff verify {path}"
    with pytest.raises(JournalDamaged) as caught:
        owner.mark("k9")
    assert str(caught.value) == f"{path}: entry 6 is not what was written about 'k9'{end}"
    for call in (lambda: store.own("loop"), lambda: list(store.entries()), lambda: store.open_items("loop")):
        with pytest.raises(JournalDamaged) as caught:
            call()
        said = str(caught.value)
        assert said.startswith(f"{path}: the entry '6|1|1|")
        assert said.endswith(
            f"|done|{value_sum}|k9' (seq|run|epoch|at|kind|value_sum|key) is not what was written{end}"
        )
    store.close()


def logged(path: Path, journal: bool) -> bytearray:
    """Make a database as a power failure leaves it, with some commits in its log; return the log."""
    source = path.with_name("source.db")
    if journal:
        store = SqliteStore(source)
        owner = store.own("loop")
        for number in range(3):
            owner.commit([done(f"k{number}")])
    else:
        other = sqlite3.connect(source, isolation_level=None)
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("CREATE TABLE paper (id)")
        for number in range(3):
            other.execute("INSERT INTO paper VALUES (?)", (number,))
    shutil.copyfile(source, path)
    data = bytearray(Path(f"{source}-wal").read_bytes())
    (store if journal else other).close()
    return data


@pytest.mark.parametrize("journal", [True, False])
def test_commits_that_sqlite_would_leave_out_are_refused(path: Path, journal: bool) -> None:
    """The first frame that does not fit is named; the last commit alone may be torn, and is left out."""
    data = logged(path, journal)
    ends = [number for number, at in enumerate(range(32, len(data), FRAME)) if data[at + 4 : at + 8] != bytes(4)]
    log = Path(f"{path}-wal")
    for commit, number in enumerate(ends):
        torn = data.copy()
        torn[32 + number * FRAME + 24] ^= 1
        log.write_bytes(torn)
        Path(f"{path}-shm").unlink(missing_ok=True)
        if commit < len(ends) - 1:
            refused(path, f"frame {number + 1} of a.db-wal is not what was written")
            assert log.read_bytes() == torn
    store = SqliteStore(path)
    assert list(store.keys("loop", "done")) == (["k0", "k1"] if journal else [])
    store.own("loop").commit([done("k2")])
    assert list(store.keys("loop", "done"))[-1] == "k2"
    store.close()
    assert list(SqliteStore(path).verify()) == []
