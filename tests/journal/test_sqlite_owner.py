"""What a take-over writes, to the last field, and what an owner or a store that can go on no longer says."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import (
    ForkedHandle,
    JournalBusy,
    JournalClosed,
    JournalInDoubt,
    JournalLost,
    JournalMissing,
    JournalReadOnly,
    OwnershipLost,
)
from leftoff.journal import sqlite, sqlite_owner
from leftoff.journal.entry import Draft, Tries
from leftoff.journal.sqlite import SqliteStore
from tests.contract.drafts import dead, done, started
from tests.journal.sqlite_files import make, raw


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


def said(kind: type[BaseException], call: Any, *arguments: Any) -> str:
    """Return the whole message of the error that a call must end with."""
    with pytest.raises(kind) as caught:
        call(*arguments)
    assert type(caught.value) is kind
    return str(caught.value)


# -- what is written -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize("durability", [pytest.param("power", id="synced"), pytest.param("process", id="unsynced")])
def test_a_new_run_tells_who_began_it(path: Path, durability: Any) -> None:
    """Header, run and first entries hold the program, this host and process, the time in UTC, what was asked for."""
    store = SqliteStore(path, durability)
    store.own("other")
    owner = store.own("loop", "program.py")
    assert owner.epoch == 1
    ((version, journal_id, created),) = raw(path, "SELECT format, id, created FROM leftoff_journal")
    assert (version, created) == (1, "2026-07-02T12:03:04Z")
    assert re.fullmatch("[0-9a-f]{16}", journal_id)
    first, second = store.entries("loop")
    assert (first.seq, first.kind, first.key, first.epoch) == (3, "created", "", 1)
    assert re.fullmatch("[0-9a-f]{16}", first.value.pop("id"))
    assert first.value == {"program": "program.py", "parent": None}
    assert (second.seq, second.kind, second.key, second.epoch) == (4, "owner", "", 1)
    assert second.value == {
        "host": socket.gethostname(), "pid": os.getpid(), "start": "2026-07-02T12:03:04Z", "durability": durability
    }  # fmt: skip
    numbers = raw(path, "SELECT run, name, epoch, seq, mark, done, dead, superseded FROM leftoff_run ORDER BY run")
    assert numbers == [(1, "other", 1, 2, 1, 0, 0, 0), (2, "loop", 1, 4, 3, 0, 0, 0)]
    store.close()


def test_a_run_that_is_known_keeps_its_header(path: Path) -> None:
    """A later owner adds its own entry alone; the header goes on to tell of the program that began the run."""
    for program in ("first.py", "second.py"):
        store = SqliteStore(path)
        store.own("loop", program)
        store.close()
    store = SqliteStore(path)
    assert [(entry.kind, entry.epoch) for entry in store.entries()] == [("created", 1), ("owner", 1), ("owner", 2)]
    header = store.latest("loop", "created")
    assert header is not None
    assert header.value["program"] == "first.py"
    store.close()


@pytest.mark.parametrize(("durability", "levels"), [("power", [True]), ("process", [True, False])], ids=["one", "two"])
def test_the_take_over_itself_is_always_synced(
    path: Path, monkeypatch: pytest.MonkeyPatch, durability: Any, levels: list[bool]
) -> None:
    """Only behind the owner's entry, which says so, may commits wait for the disk."""
    asked: list[bool] = []
    entries: list[int] = []
    given = sqlite.set_durability

    def set_durability(fetch: Any, place: Path, *, power: bool) -> None:
        asked.append(power)
        entries.append(len(raw(path, "SELECT name FROM sqlite_master WHERE name = 'leftoff_entry'")))
        given(fetch, place, power=power)

    monkeypatch.setattr(sqlite, "set_durability", set_durability)
    store = SqliteStore(path, durability)
    connection = store.own("loop").connection
    assert (asked, entries) == (levels, [0, 1][: len(levels)])
    assert connection.execute("PRAGMA synchronous").fetchone() == (2 if durability == "power" else 1,)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (30000,)
    store.close()


def test_a_file_that_exists_is_not_opened_by_us(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To close it again would drop the locks that SQLite holds on it in this process; a new one is private."""
    opened: list[int] = []
    given = os.open

    def watch(name: Any, flags: int, *mode: int, **options: Any) -> int:
        fd = given(name, flags, *mode, **options)
        if os.fspath(name) == str(path):
            opened.append(flags)
        return fd

    monkeypatch.setattr(os, "open", watch)
    store = SqliteStore(path)
    store.own("loop")
    assert [bool(flags & os.O_EXCL) for flags in opened] == [True]
    assert path.stat().st_mode & 0o777 == 0o600
    store.own("loop")
    store.own("other")
    assert len(opened) == 1
    store.close()


def test_fates_that_are_counted_go_up_and_down(path: Path) -> None:
    """The run's row tells of done, dead and superseded after each commit, and a look-up of each key's fate."""
    store = SqliteStore(path)
    owner = store.own("loop")
    numbers = "SELECT seq, done, dead, superseded FROM leftoff_run"
    assert owner.commit([started("a"), started("b"), done("a"), dead("b")]) == [5, -6]
    assert raw(path, numbers) == [(6, 1, 1, 0)]
    assert [owner.mark(key) for key in ("a", "b", "c")] == [5, -6, 0]
    assert owner.commit([Draft("forgotten", "a"), Draft("retried", "b")]) == []
    assert raw(path, numbers) == [(8, 0, 0, 2)]
    assert [owner.mark(key) for key in ("a", "b", "c")] == [0, 0, 0]
    store.close()


def test_an_open_entry_comes_with_the_commit_behind_the_last_that_may_lie_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After just as many entries of the run as may lie between two marks, the next commit ends with one."""
    monkeypatch.setattr(sqlite_owner, "MARK_EVERY", 5)
    store = SqliteStore(path)
    owner = store.own("loop")
    for number in range(14):
        owner.commit([started(f"k{number}")])
    assert [entry.kind for entry in store.entries("loop")] == [
        "created", "owner", *["started"] * 6, "open", *["started"] * 6, "open", *["started"] * 2
    ]  # fmt: skip
    store.close()


@pytest.mark.parametrize(("beside", "expected"), [(False, [13, 25]), (True, [12, 24])])
def test_an_open_entry_comes_when_the_file_has_grown_as_far(
    path: Path, monkeypatch: pytest.MonkeyPatch, beside: bool, expected: list[int]
) -> None:
    """So many entries of the file, this run's or another's, lie between the newest mark and the run's head."""
    monkeypatch.setattr(sqlite_owner, "MARK_SPAN", 10)
    store = SqliteStore(path)
    owner = store.own("loop")
    other = store.own("other") if beside else owner
    for number in range(24):
        (other if number % 2 else owner).commit([started(f"k{number}")])
    assert [entry.seq for entry in store.entries("loop") if entry.kind == "open"] == expected
    store.close()


def test_what_was_in_hand_is_a_crash_only_for_a_later_owner(path: Path) -> None:
    """Of the items without conclusion those count a crash that were begun; those that failed keep their count."""
    store = SqliteStore(path)
    owner = store.own("loop")
    assert owner.open_items == {}
    owner.commit([started("begun"), started("failed"), Draft("failed", "failed", '{"tries":{"errors":2}}')])
    assert store.open_items("loop") == {"begun": Tries(0, 0, True), "failed": Tries(2, 0, False)}
    store.close()
    store = SqliteStore(path)
    assert store.own("loop").open_items == {"begun": Tries(0, 1, False), "failed": Tries(2, 0, False)}
    store.close()


# -- what can go on no longer ----------------------------------------------------------------------------------------


def test_a_store_that_was_closed_says_so(path: Path) -> None:
    """Reading, owning and committing are refused in the same words, with the name that the user gave."""
    make(path)
    store = SqliteStore(path)
    owner = store.own("loop")
    reader = store.reader()
    entries = store.entries()
    next(entries)
    store.close()
    words = f"{path} was closed; open it again"
    for call in (
        store.runs,
        store.length,
        store.reader,
        store.rows,
        lambda: store.own("loop"),
        lambda: owner.connection,
    ):
        assert said(JournalClosed, call) == words
    assert said(JournalClosed, owner.commit, [done("k")]) == words
    assert said(JournalClosed, owner.mark, "k1") == words
    owner.abandon()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        reader.execute("SELECT 1")
    store.close()


def test_a_handle_of_another_process_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a child neither store nor owner does anything, closing included; the parent finds its item as it was."""
    make(path)
    store = SqliteStore(path)
    owner = store.own("loop")
    owner.begin()
    owner.connection.execute("INSERT INTO paper VALUES (100, 'x')")
    reader = store.reader()
    pid = os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: pid + 1)
        words = f"{path} was opened before a fork; open it again in this process"
        assert said(ForkedHandle, store.runs) == words
        assert said(ForkedHandle, owner.commit, [done("k")]) == words
        store._close_reader()
    assert reader.execute("SELECT count(*) FROM paper").fetchone() == (6,)
    owner.commit([done("k")])
    assert raw(path, "SELECT title FROM paper WHERE id = 100") == [("x",)]
    reader.close()
    store.close()


def test_rows_are_not_taken_back_by_a_child(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Abandoning is the parent's alone: the transaction is its own."""
    make(path)
    store = SqliteStore(path)
    owner = store.own("loop")
    owner.begin()
    owner.connection.execute("INSERT INTO paper VALUES (100, 'x')")
    assert owner.pending()
    pid = os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: pid + 1)
        owner.abandon()
    assert owner._connection.in_transaction
    owner.abandon()
    assert not owner._connection.in_transaction
    store.close()


def test_a_journal_that_lost_its_name_says_which(path: Path) -> None:
    """The database, or its log, is named; a log goes only by somebody's hand or another SQLite library's."""
    store = SqliteStore(path)
    owner = store.own("loop")
    Path(f"{path}-wal").unlink()
    for _ in range(2):
        assert said(JournalLost, owner.commit, [done("k")]) == (
            f"{path}-wal was deleted while it was open, by somebody or by a second SQLite library in this process;"
            " nothing more is written: start again"
        )
    store.close()
    other = path.with_name("b.db")
    store = SqliteStore(other)
    owner = store.own("loop")
    other.unlink()
    words = f"{other} was deleted or replaced while it was open; put it back or start again"
    for _ in range(2):
        assert said(JournalLost, owner.commit, [done("k")]) == words
    assert said(JournalLost, store.rows) == words
    assert said(JournalLost, owner.marks, ["k"]) == words
    store.close()


def test_what_cannot_be_owned_says_why(path: Path) -> None:
    """A folder that is missing, a journal for reading, a run that is owned or was begun anew: each in its own words."""
    absent = path.parent / "absent" / "b.db"
    store = SqliteStore(absent)
    assert said(JournalMissing, store.own, "loop") == f"{absent.parent} does not exist; make the folder for b.db first"
    assert said(JournalMissing, store.reader) == f"{absent} does not exist yet; it is made when its first run begins"
    make(path)
    store = SqliteStore(path, read_only=True)
    assert said(JournalReadOnly, store.own, "loop") == (
        f"{path} was opened for reading only; open it without read_only to go on with it"
    )
    store.close()
    first, second = SqliteStore(path), SqliteStore(path)
    older = first.own("loop")
    newer = first.own("loop")
    begun = "the run 'loop' was begun anew in this process; use the newer loop"
    assert said(OwnershipLost, older.commit, [done("k")]) == begun
    assert said(JournalBusy, second.own, "loop").startswith(
        f"the run 'loop' of {path} is owned by process {os.getpid()} on {socket.gethostname()} since "
    )
    raw(path, "UPDATE leftoff_run SET epoch = epoch + 1")
    assert said(OwnershipLost, newer.commit, [started("k")]) == (
        f"the run 'loop' of {path} was taken over by another process; nothing of this commit was written"
    )
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("error", "why"), [(sqlite3.OperationalError("disk I/O error"), "disk I/O error"), (MemoryError(), "out of memory")]
)
def test_a_commit_in_doubt_says_why(path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, why: str) -> None:
    """What went wrong under COMMIT is named, and said again by every later use."""
    store = SqliteStore(path)
    owner = store.own("loop")

    def fail() -> None:
        raise error

    monkeypatch.setattr(owner._connection, "end_transaction", fail)
    words = f"{path}: a commit failed ({why}) and may or may not be durable; start again to find out"
    assert said(JournalInDoubt, owner.commit, [done("k")]) == words
    monkeypatch.undo()
    assert said(JournalInDoubt, owner.commit, [done("k")]) == words
    owner.abandon()
    store.close()


def test_a_writer_in_the_way_leaves_the_owner_whole(path: Path) -> None:
    """Who waited too long for SQLite's lock may try the same commit again: nothing of it was written."""
    make(path)
    store = SqliteStore(path)
    store.busy_seconds = 0.01
    owner = store.own("loop")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalBusy, match=r"has held SQLite's write lock for too long"):
        owner.commit([done("k")])
    owner.begin()
    with pytest.raises(JournalBusy, match=r"has held SQLite's write lock for too long"):
        owner.connection.execute("INSERT INTO paper VALUES (100, 'x')")
    owner.abandon()
    other.execute("ROLLBACK")
    other.close()
    assert len(owner.commit([done("k")])) == 1
    store.close()
