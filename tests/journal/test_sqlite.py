"""The SQLite store itself: files, ownership, bounded reading, and what a commit that fails leaves."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import (
    DurabilityUnavailable,
    JournalBusy,
    JournalFull,
    JournalInDoubt,
    JournalMissing,
    JournalReadOnly,
    JournalTooNew,
    NotAJournal,
    OwnershipLost,
    WrongThread,
)
from leftoff.journal import sqlite_owner
from leftoff.journal.entry import MARK_EVERY, Draft, Tries
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_file import SCHEMA, set_durability
from leftoff.journal.store import values_of
from tests.journal.sqlite_files import make, observe, raw, run_python


def test_a_reading_store_creates_nothing_beside_a_foreign_database(tmp_path: Path) -> None:
    """A database without our tables is an empty journal; looking at it adds no table and no file."""
    raw(tmp_path / "a.db", "CREATE TABLE paper (id)", "INSERT INTO paper VALUES (1)")
    before = (tmp_path / "a.db").read_bytes()
    store = SqliteStore(tmp_path / "a.db")
    assert (store.runs(), list(store.entries()), store.counts("loop")) == ([], [], (0, 0))
    store.close()
    assert (tmp_path / "a.db").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db"]


def test_a_database_with_tables_of_its_own_becomes_a_journal(tmp_path: Path) -> None:
    """Our tables are added to the user's database in one transaction, and their rows stay."""
    raw(tmp_path / "a.db", "CREATE TABLE paper (id)", "INSERT INTO paper VALUES (1)")
    store = SqliteStore(tmp_path / "a.db")
    store.own("loop").commit([Draft("started", "k"), Draft("done", "k")])
    store.close()
    assert raw(tmp_path / "a.db", "SELECT id FROM paper") == [(1,)]
    assert raw(tmp_path / "a.db", "PRAGMA journal_mode") == [("wal",)]
    found = dict(raw(tmp_path / "a.db", "SELECT name, sql FROM sqlite_master WHERE name LIKE 'leftoff%'"))
    assert found == SCHEMA


def test_a_database_in_utf16_becomes_a_journal(tmp_path: Path) -> None:
    """Checksums are of the texts, whatever encoding the user's database has."""
    raw(tmp_path / "a.db", "PRAGMA encoding = 'UTF-16le'", "CREATE TABLE paper (id)")
    store = SqliteStore(tmp_path / "a.db")
    owner = store.own("läuft")
    owner.commit([Draft("started", "ключ 🗝"), Draft("done", "ключ 🗝", '"Wert ä"')])
    assert owner.mark("ключ 🗝") > 0
    assert values_of(store, "läuft", ["ключ 🗝"]) == ["Wert ä"]
    assert list(owner.concluded()) == [("ключ 🗝", owner.mark("ключ 🗝"))]
    assert list(store.verify()) == []
    store.close()


@pytest.mark.parametrize("open_elsewhere", [False, True])
def test_a_newer_format_is_refused_untouched(tmp_path: Path, open_elsewhere: bool) -> None:
    """A journal of a newer release is refused, and not a byte of it, nor a file beside it, changes."""
    path = tmp_path / "a.db"
    make(path)
    raw(path, "UPDATE leftoff_journal SET format = 2")
    if open_elsewhere:
        program = (
            "import sqlite3, sys, os; c = sqlite3.connect(sys.argv[1]); c.execute('CREATE TABLE more (x)');"
            " c.commit(); os._exit(0)"
        )
        run_python(program, path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    for read_only in (False, True):
        with pytest.raises(JournalTooNew, match="format 2"):
            SqliteStore(path, read_only=read_only)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_journal_under_two_names_has_one_lock(tmp_path: Path) -> None:
    """A symbolic link to a journal is the same journal: its run has one owner."""
    first = SqliteStore(tmp_path / "a.db")
    first.own("loop")
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
    second = SqliteStore(tmp_path / "link.db")
    with pytest.raises(JournalBusy, match=str(os.getpid())):
        second.own("loop")
    second.own("other")
    second.close()
    first.close()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A journal cannot be made in a folder that does not exist, and the folder is named."""
    store = SqliteStore(tmp_path / "absent" / "a.db")
    with pytest.raises(JournalMissing, match="absent"):
        store.own("loop")
    with pytest.raises(JournalMissing):
        store.reader()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A file of something else is named and left alone."""
    (tmp_path / "a.db").write_bytes(b"PK\x03\x04 a spreadsheet, not a database" * 100)
    with pytest.raises(NotAJournal, match=r"a\.db"):
        SqliteStore(tmp_path / "a.db")


def test_a_store_for_reading_owns_nothing(tmp_path: Path) -> None:
    """``read_only`` reads, and refuses to own a run."""
    make(tmp_path / "a.db")
    store = SqliteStore(tmp_path / "a.db", read_only=True)
    assert store.runs() == ["loop"]
    with pytest.raises(JournalReadOnly):
        store.own("loop")
    store.close()


def test_a_user_without_permission_is_told_so(tmp_path: Path) -> None:
    """In a folder that may not be written, reading works and owning is refused by name."""
    folder = tmp_path / "closed"
    folder.mkdir()
    make(folder / "a.db")
    (folder / "a.db.lock").unlink()
    (folder / "a.db").chmod(0o444)
    for parent in (folder, *folder.parents[:4]):
        parent.chmod(0o555 if parent == folder else 0o755)
    program = """
import os, sys
import urllib.parse  # what the standard library imports late must be found before the user changes
from pathlib import Path
from leftoff.journal.sqlite import SqliteStore
from leftoff.errors import JournalReadOnly
if os.geteuid() == 0:
    os.setuid(65534)
store = SqliteStore(Path(sys.argv[1]))
print(store.counts("loop"))
try:
    store.own("loop")
except JournalReadOnly as error:
    print("refused", error)
"""
    said = run_python(program, folder / "a.db")
    folder.chmod(0o755)
    assert said.stdout.startswith("(4, 2)\nrefused"), said.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["a.db"]


def test_runs_of_one_file_take_turns(tmp_path: Path) -> None:
    """Two runs, of one process or of two, append to one file by turns; each has its own chain and both verify."""
    here, there = SqliteStore(tmp_path / "a.db"), SqliteStore(tmp_path / "a.db")
    owners = [here.own("a"), here.own("b"), there.own("c")]
    for number in range(10):
        for owner in owners:
            owner.commit([Draft("started", f"k{number}")])
            owner.commit([Draft("done", f"k{number}")])
    assert [store.counts(run) for store, run in ((there, "a"), (here, "b"), (here, "c"))] == [(10, 0)] * 3
    seqs = [entry.seq for entry in here.entries()]
    assert seqs == list(range(1, len(seqs) + 1))
    assert list(here.verify()) == []
    assert owners[0].tally(bytearray(b"\xff" * 20)) == (10, 0)
    here.close()
    there.close()


def test_a_newer_loop_of_this_process_takes_the_run_over(tmp_path: Path) -> None:
    """Owning a run again in the same store ends the older owner, whose rows are taken back."""
    store = SqliteStore(tmp_path / "a.db")
    older = store.own("loop")
    older.connection.execute("CREATE TABLE paper (id)")
    older.commit([Draft("started", "k")])
    older.begin()
    older.connection.execute("INSERT INTO paper VALUES (1)")
    newer = store.own("loop")
    assert newer.epoch == older.epoch + 1
    assert newer.open_items["k"].crashes == 1
    with pytest.raises(OwnershipLost):
        older.commit([Draft("done", "k")])
    newer.commit([Draft("done", "k")])
    assert newer.connection.execute("SELECT count(*) FROM paper").fetchone() == (0,)
    store.close()


def test_an_owner_of_an_older_epoch_writes_nothing(tmp_path: Path) -> None:
    """A commit whose epoch is not the run's any more is refused whole, the user's rows included."""
    store = SqliteStore(tmp_path / "a.db")
    owner = store.own("loop")
    owner.connection.execute("CREATE TABLE paper (id)")
    raw(store.path, "UPDATE leftoff_run SET epoch = epoch + 1")
    owner.begin()
    owner.connection.execute("INSERT INTO paper VALUES (1)")
    with pytest.raises(OwnershipLost, match="loop"):
        owner.commit([Draft("done", "k")])
    with pytest.raises(OwnershipLost):
        owner.commit([Draft("started", "k")])
    assert raw(store.path, "SELECT count(*) FROM paper") == [(0,)]
    assert raw(store.path, "SELECT count(*) FROM leftoff_entry") == [(2,)]
    store.close()


def test_open_items_are_read_from_the_newest_mark(tmp_path: Path) -> None:
    """Taking a run over reads from its newest `open` entry, and knows every item that is open."""
    store = SqliteStore(tmp_path / "a.db", "process")
    owner = store.own("loop")
    owner.commit([Draft("started", "early", '{"errors":1}')])
    for name in ("first", "beside the mark"):
        tried = [Draft(kind, f"{number}") for number in range(MARK_EVERY) for kind in ("started", "failed")]
        owner.commit([*tried, Draft("started", name)])
    owner.commit([Draft("started", "late")])
    store.close()
    again = SqliteStore(tmp_path / "a.db")
    marks = [entry.seq for entry in again.entries() if entry.kind == "open"]
    assert len(marks) >= 1
    assert raw(again.path, "SELECT mark FROM leftoff_run") == [(marks[-1],)]
    expected = {"early": Tries(1, 0, True), **dict.fromkeys(("first", "beside the mark", "late"), Tries(0, 0, True))}
    assert again.open_items("loop") == expected
    assert set(again.own("loop").open_items) == set(expected)
    again.close()


def test_a_busy_neighbour_does_not_stretch_what_is_read_at_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run beside a busier one marks its open items by the file's entries, not only by its own."""
    monkeypatch.setattr(sqlite_owner, "MARK_SPAN", 100)
    store = SqliteStore(tmp_path / "a.db", "process")
    slow, quick = store.own("slow"), store.own("quick")
    for number in range(5):
        slow.commit([Draft("started", f"k{number}")])
        quick.commit([Draft("cursor", "at", str(n)) for n in range(60)])
    slow.commit([Draft("done", "k0")])
    head, mark = raw(store.path, "SELECT seq, mark FROM leftoff_run WHERE name = 'slow'")[0]
    assert head - mark <= 100
    assert set(store.open_items("slow")) == {"k1", "k2", "k3", "k4"}
    store.close()


def test_conclusions_that_were_superseded_are_counted_once(tmp_path: Path) -> None:
    """After retry and forget, counts, keys and tally tell of the newest conclusions alone; `concluded` steps aside."""
    store = SqliteStore(tmp_path / "a.db")
    owner = store.own("loop")
    marks = [
        owner.commit([Draft("started", key), Draft(kind, key)])[0]
        for key, kind in (("a", "done"), ("b", "dead"), ("c", "done"))
    ]
    assert [key for key, _ in owner.concluded()] == ["a", "b", "c"]
    superseded = "SELECT superseded FROM leftoff_run"
    assert raw(store.path, superseded) == [(0,)]
    owner.commit([Draft("retried", "b"), Draft("forgotten", "a")])
    assert raw(store.path, superseded) == [(2,)]
    assert list(owner.concluded()) == []
    assert (store.counts("loop"), list(store.keys("loop", "dead"))) == ((1, 0), [])
    assert owner.tally(bytearray(b"\xff" * 9)) == (1, 0)
    owner.commit([Draft("started", "b"), Draft("dead", "b", "{}")])
    owner.commit([Draft("done", "a"), Draft("done", "a", "2")])
    assert raw(store.path, superseded) == [(3,)], "the second of the two changed what the first had said"
    met = bytearray(b"\xff" * 3)
    fates = len([entry for entry in store.entries() if entry.kind in ("done", "dead", "forgotten", "retried")])
    for place in (n for n in range(24) if n not in map(abs, owner.marks(["a", "b", "c"]))):
        if int.from_bytes(met, "big").bit_count() > fates:
            met[place >> 3] &= ~(1 << (place & 7)) & 0xFF
    assert int.from_bytes(met, "big").bit_count() == fates
    assert owner.tally(met) == (2, 1), "as many bits as conclusions, but not theirs"
    assert (store.counts("loop"), list(store.keys("loop", "dead")), list(store.keys("loop", "done"))) == (
        (2, 1),
        ["b"],
        ["c", "a"],
    )
    assert values_of(store, "loop", ["a", "b"]) == [2, {}]
    assert owner.tally(bytearray(b"\xff" * 9)) == (2, 1)
    assert marks[2] == owner.mark("c")
    assert list(store.verify()) == []
    store.close()


def test_many_keys_are_looked_up_in_pieces(tmp_path: Path) -> None:
    """Look-ups of more keys than one question holds are exact and in order."""
    store = SqliteStore(tmp_path / "a.db", "process")
    owner = store.own("loop")
    keys = [f"k{number}" for number in range(2500)]
    owner.commit([Draft("done", key, f'"{key}"') for key in keys[::2]])
    expected = [key if number % 2 == 0 else None for number, key in enumerate(keys)]
    assert values_of(store, "loop", keys) == expected
    assert [mark > 0 for mark in owner.marks(keys)] == [value is not None for value in expected]
    assert [key for key, _ in owner.concluded()] == keys[::2]
    store.close()


def test_a_full_disk_is_said_and_the_journal_stays_whole(tmp_path: Path) -> None:
    """A commit that finds no space is a `JournalFull`, the owner refuses from then on, what was committed is there."""
    store = SqliteStore(tmp_path / "a.db")
    owner = store.own("loop")
    owner.connection.execute("PRAGMA max_page_count = 12")
    done: list[int] = []
    with pytest.raises(JournalFull, match="no space"):
        done.extend(owner.commit([Draft("done", f"k{number}", f'"{"x" * 500}"')])[0] for number in range(200))
    with pytest.raises(JournalFull):
        owner.commit([Draft("done", "more")])
    store.close()
    again = SqliteStore(tmp_path / "a.db")
    assert again.counts("loop") == (len(done), 0)
    assert done
    assert list(again.verify()) == []
    again.close()


def test_a_full_file_system_is_said(tmp_path: Path) -> None:
    """Where the system refuses to make a file longer, the commit raises and everything acknowledged is there."""
    program = """
import resource, signal, sys
from pathlib import Path
from leftoff.errors import JournalFull, JournalInDoubt
from leftoff.journal.entry import Draft
from leftoff.journal.sqlite import SqliteStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
owner = SqliteStore(Path(sys.argv[1])).own("loop")
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
number = 0
try:
    while True:
        owner.commit([Draft("done", f"k{number}", '"' + "x" * 500 + '"')])
        number += 1
except (JournalFull, JournalInDoubt) as error:
    print(number)
try:
    owner.commit([Draft("done", "more")])
except (JournalFull, JournalInDoubt):
    print("refused")
"""
    said = run_python(program, tmp_path / "a.db")
    assert said.stdout.split()[1:] == ["refused"], said.stderr
    store = SqliteStore(tmp_path / "a.db")
    assert store.counts("loop")[0] in {int(said.stdout.split()[0]) + extra for extra in (0, 1)}
    assert list(store.verify()) == []
    store.close()


def test_a_commit_that_failed_is_in_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error of COMMIT itself the owner refuses everything; reopening tells what is there (P9)."""
    store = SqliteStore(tmp_path / "a.db")
    owner = store.own("loop")
    commit = owner._connection.end_transaction

    def commit_and_fail() -> None:
        commit()
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(owner._connection, "end_transaction", commit_and_fail)
    with pytest.raises(JournalInDoubt, match="I/O"):
        owner.commit([Draft("done", "k")])
    monkeypatch.undo()
    with pytest.raises(JournalInDoubt):
        owner.commit([Draft("started", "other")])
    with pytest.raises(JournalInDoubt):
        _ = owner.connection
    again = store.own("loop")
    assert again.mark("k") > 0
    store.close()


def test_an_answer_that_is_not_what_was_asked_is_refused(tmp_path: Path) -> None:
    """The change to WAL can fail without an error; what SQLite answered is read, and named when it is not enough."""
    with pytest.raises(DurabilityUnavailable, match="delete"):
        set_durability(lambda sql, parameters: [("delete",)], tmp_path / "a.db", power=True)


@pytest.mark.parametrize(("durability", "level"), [("power", 2), ("process", 1)])
def test_the_durability_is_what_sqlite_is_set_to(tmp_path: Path, durability: Any, level: int) -> None:
    """Power is WAL with synchronous FULL, process is WAL with NORMAL."""
    store = SqliteStore(tmp_path / "a.db", durability)
    connection = store.own("loop").connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
    store.close()


def test_an_item_is_committed_by_its_own_thread(tmp_path: Path) -> None:
    """While an item is in hand, only the thread that began it may commit."""
    store = SqliteStore(tmp_path / "a.db")
    owner = store.own("loop")
    owner.begin()
    caught: list[BaseException] = []

    def commit() -> None:
        try:
            owner.commit([Draft("done", "k")])
        except WrongThread as error:
            caught.append(error)

    thread = threading.Thread(target=commit)
    thread.start()
    thread.join()
    assert len(caught) == 1
    owner.commit([Draft("done", "k")])
    store.close()


def test_a_forked_child_that_ends_leaves_the_parents_item_alone(tmp_path: Path) -> None:
    """A child forked in the middle of an item ends without touching the parent's transaction or log."""
    program = """
import os, sys
from pathlib import Path
from leftoff.journal.entry import Draft
from leftoff.journal.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
owner = store.own("loop")
owner.connection.execute("CREATE TABLE paper (body)")
owner.begin()
owner.connection.execute("PRAGMA cache_size = 5")
owner.connection.executemany("INSERT INTO paper VALUES (zeroblob(?))", [(3000,)] * 300)  # more than the cache holds
child = os.fork()
if child == 0:
    del owner, store
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
owner.connection.execute("INSERT INTO paper VALUES (1)")
owner.commit([Draft("done", "k")])
assert owner.connection.execute("SELECT count(*), sum(length(body)) FROM paper").fetchone() == (301, 900001)
assert owner.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
store.close()
print("whole")
"""
    said = run_python(program, tmp_path / "a.db")
    assert said.stdout == "whole\n", said.stderr


def test_a_closed_store_is_one_file_and_copies_whole(tmp_path: Path) -> None:
    """Closing empties the log into the database, so that the file alone is the journal."""
    make(tmp_path / "a.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db", "a.db.lock"]
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    assert observe(tmp_path / "b.db") == observe(tmp_path / "a.db")
