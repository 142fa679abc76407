"""What SQLite, the system or another program does to a database, and what is said of it."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from leftoff.errors import (
    DurabilityUnavailable,
    JournalBusy,
    JournalClosed,
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalInDoubt,
    JournalLost,
    JournalUnusable,
)
from leftoff.journal import sqlite, sqlite_file
from leftoff.journal.entry import Draft
from leftoff.journal.rows import entry_sum
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_file import busy, translate
from tests.contract import program
from tests.journal.sqlite_files import make, raw

LARGE = ("CREATE TABLE bulk (body)", "INSERT INTO bulk VALUES (zeroblob(2000000))")
IO = sqlite3.OperationalError("disk I/O error")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "a.db")
    return tmp_path / "a.db"


def fail(*_: Any, **__: Any) -> Any:
    raise IO


# -- reading ---------------------------------------------------------------------------------------------------------


def test_a_forked_child_does_not_read_through_an_inherited_handle(path):
    """SQLite forbids it, so the child is told to open the journal again; nothing is closed for the parent."""
    text = """
        import os
        from pathlib import Path
        from leftoff.errors import ForkedHandle
        from leftoff.journal.sqlite import SqliteStore
        store = SqliteStore(Path("a.db"))
        owner = store.own("loop")
        if os.fork() == 0:
            for use in (store.runs, lambda: owner.connection.execute("SELECT 1")):
                try:
                    use()
                except ForkedHandle as error:
                    print("refused", flush=True)
            store.close()
            os._exit(0)
        os.wait()
        print(store.runs(), flush=True)
        """
    said = program.run(program.write(path.parent, text)).stdout
    assert said.splitlines() == ["refused", "refused", "['loop']"]


def test_a_child_forked_while_a_run_is_taken_over_closes_nothing(tmp_path):
    """A signal's handler may fork, and the child leave through the takeover: the parent's connection stays open."""
    text = """
        import os, signal, sys
        from pathlib import Path
        from leftoff.journal import sqlite
        from leftoff.journal.entry import Draft

        def opened():
            return sum(os.path.realpath(f"/proc/self/fd/{fd}") == path for fd in os.listdir("/proc/self/fd"))

        def fork(number, frame):
            if os.fork() == 0:
                sys.exit(0)
            os.wait()

        def interrupted(*arguments, **options):
            signal.raise_signal(signal.SIGUSR1)
            return set_durability(*arguments, **options)

        path = os.path.realpath("new.db")
        signal.signal(signal.SIGUSR1, fork)
        store = sqlite.SqliteStore(Path(path))
        set_durability, sqlite.set_durability = sqlite.set_durability, interrupted
        try:
            owner = store.own("loop")
        except SystemExit:
            print("child", opened(), flush=True)
            raise
        owner.commit([Draft("done", "k")])
        store.close()
        print("parent", flush=True)
        """
    said = program.run(program.write(tmp_path, text)).stdout
    assert said.splitlines() == ["child 1", "parent"]
    store = SqliteStore(tmp_path / "new.db")
    assert list(store.keys("loop", "done")) == ["k"]
    assert list(store.verify()) == []
    store.close()


def test_a_reader_follows_a_database_that_was_replaced(path, tmp_path):
    """A journal that was restored from a copy is read as what it is now."""
    reader = SqliteStore(path)
    assert "k1" in list(reader.keys("loop", "done"))
    make(tmp_path / "b.db", items=2)
    (tmp_path / "b.db").replace(path)
    assert list(reader.keys("loop", "done")) == ["k1"]
    reader.close()


def test_a_database_that_was_deleted_answers_nothing(path):
    """What an owner asks of a journal that is gone is an error, not "nothing is done"."""
    store = SqliteStore(path)
    owner = store.own("loop")
    path.unlink()
    with pytest.raises(JournalLost, match="deleted or replaced"):
        owner.marks(["k1"])
    store.close()


def test_entries_of_a_store_that_was_closed_end_with_an_error(path, monkeypatch):
    """Whoever iterates is told, instead of taking the beginning for the whole."""
    monkeypatch.setattr(sqlite, "SQLITE", sqlite.SQLITE._replace(page=3))
    store = SqliteStore(path)
    entries = store.entries()
    next(entries)
    store.close()
    with pytest.raises(JournalClosed):
        list(entries)


def test_a_closed_owner_answers_nothing(path):
    """The fate of a key is not asked of a connection that is closed."""
    store = SqliteStore(path)
    owner = store.own("loop")
    store.close()
    with pytest.raises(JournalClosed):
        owner.mark("k1")


def test_a_verification_left_half_way_does_no_harm(path):
    """The journal may be closed between two damages."""
    raw(path, *LARGE)
    raw(path, "UPDATE leftoff_entry SET at = at + 1 WHERE seq IN (3, 4)")
    store = SqliteStore(path)
    damages = store.verify()
    next(damages)
    store.close()
    damages.close()


def test_verify_says_what_keeps_it_from_looking(path):
    """A file that is no database any more is a damage like others, not an exception."""
    store = SqliteStore(path)
    other = path.with_name("other")
    other.write_bytes(b"no database" * 100)
    other.replace(path)
    assert ["not an SQLite database" in damage.what for damage in store.verify()] == [True]
    store.close()


def test_a_database_that_cannot_be_opened_is_named(path, monkeypatch):
    """SQLite's own words name no file."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(sqlite_file, "Guarded", refuse)
    with pytest.raises(JournalUnusable, match=r"a\.db cannot be used \(unable to open database file\)"):
        SqliteStore(path)


def test_what_was_interrupted_before_it_became_a_journal_is_undone(tmp_path):
    """A user's database whose last program was killed in a transaction is rolled back, then it becomes a journal."""
    text = """
        import os, signal, sqlite3
        connection = sqlite3.connect("user.db", isolation_level=None)
        connection.execute("CREATE TABLE paper (body)")
        connection.execute("INSERT INTO paper VALUES ('kept')")
        connection.execute("PRAGMA cache_size=1")
        connection.execute("BEGIN")
        for _ in range(100):
            connection.execute("INSERT INTO paper VALUES (zeroblob(5000))")
        os.kill(os.getpid(), signal.SIGKILL)
        """
    program.run(program.write(tmp_path, text), code=-signal.SIGKILL)
    assert (tmp_path / "user.db-journal").stat().st_size > 0
    store = SqliteStore(tmp_path / "user.db")
    assert store.runs() == []
    assert store.own("loop").connection.execute("SELECT body FROM paper").fetchall() == [("kept",)]
    store.close()


# -- damage ----------------------------------------------------------------------------------------------------------


def _forge(path: Path, seq: int) -> None:
    """Give an entry to a run that does not exist, with a sum that fits."""
    prev, at, kind, value_sum, key = raw(
        path, f"SELECT prev, at, kind, value_sum, key FROM leftoff_entry WHERE seq = {seq}"
    )[0]
    total = entry_sum(prev, seq, 99, 1, at, kind, value_sum, key)
    raw(path, f"UPDATE leftoff_entry SET run = 99, epoch = 1, sum = {total} WHERE seq = {seq}")


def test_an_entry_of_no_run_is_damage(path):
    """It is named when it is read."""
    raw(path, *LARGE)
    _forge(path, 5)
    store = SqliteStore(path)
    with pytest.raises(JournalDamaged, match="entry 5 belongs to run 99, which does not exist"):
        list(store.entries())
    store.close()


def test_a_newest_entry_of_no_run_is_damage(path):
    """Of a large journal the newest entry is looked at when it is opened."""
    raw(path, *LARGE)
    raw(path, "INSERT INTO leftoff_entry SELECT 999, 99, 1, at, kind, key, value, value_sum, prev, sum FROM"
        " leftoff_entry WHERE seq = 1")  # fmt: skip
    with pytest.raises(JournalDamaged, match="the newest entry belongs to no run"):
        SqliteStore(path)


def test_an_index_of_the_users_that_only_their_program_can_read_is_left_alone(path):
    """A collation of the user's own does not keep a journal from being checked."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.create_collation("mine", lambda a, b: (a > b) - (a < b))
    connection.execute("CREATE TABLE theirs (name TEXT COLLATE mine UNIQUE)")
    connection.execute("INSERT INTO theirs VALUES ('a'), ('b')")
    connection.close()
    store = SqliteStore(path)
    assert list(store.verify()) == []
    store.close()
    raw(path, "UPDATE leftoff_entry SET at = at + 1 WHERE seq = 3")
    with pytest.raises(JournalDamaged):
        SqliteStore(path)


# -- owning and committing -------------------------------------------------------------------------------------------


def test_a_run_that_could_not_be_taken_over_is_free(path):
    """A refusal half-way gives the run's lock back: here another program writes for too long."""
    store = SqliteStore(path)
    store.busy_seconds = 0.05
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalBusy, match="write lock"):
        store.own("loop")
    other.close()
    second = SqliteStore(path)
    second.own("loop").commit([Draft("done", "k")])
    second.close()
    store.close()


def test_a_damaged_run_cannot_be_taken_over_and_is_free(path):
    """What is damaged behind the newest mark is found by the owner, and the lock is given back."""
    raw(path, *LARGE)
    store = SqliteStore(path)
    raw(path, "UPDATE leftoff_entry SET at = at + 1 WHERE kind = 'cursor'")
    for _ in range(2):
        with pytest.raises(JournalDamaged, match="since"):
            store.own("loop")
    raw(path, "UPDATE leftoff_entry SET at = at - 1 WHERE kind = 'cursor'")
    store.own("loop")
    store.close()


@pytest.mark.parametrize("run", ["loop", "a new one"])
def test_a_folder_that_cannot_be_synced_leaves_the_run_free(path, monkeypatch, run):
    """A process without a descriptor for the folder is told so, and the run's lock is given back."""
    store, given = SqliteStore(path), os.open

    def refuse(name: Any, flags: int, *mode: int, **options: Any) -> int:
        if flags & os.O_DIRECTORY:
            raise OSError(errno.EMFILE, "Too many open files")
        return given(name, flags, *mode, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(JournalUnusable, match=r"a\.db cannot be used \(Too many open files\).*ulimit -a"):
            store.own(run)
    assert store.holder(run) is None
    store.own(run).commit([Draft("done", "k")])
    store.close()


def test_a_database_that_is_being_read_becomes_a_journal_when_its_reader_is_done(tmp_path, monkeypatch):
    """SQLite itself does not wait for the change to WAL, so the change is asked for until nobody else is in the way."""
    raw(tmp_path / "user.db", "CREATE TABLE paper (body)")
    reader = sqlite3.connect(tmp_path / "user.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM paper").fetchall()
    waited: list[float] = []

    def end_reading(seconds: float) -> None:
        waited.append(seconds)
        reader.close()

    monkeypatch.setattr(sqlite_file.time, "sleep", end_reading)
    store = SqliteStore(tmp_path / "user.db")
    store.busy_seconds = 0
    store.own("loop").commit([Draft("done", "k")])
    assert len(waited) == 1
    assert store.counts("loop") == (1, 0)
    store.close()


def test_a_durability_that_is_refused_at_last_leaves_the_run_free(path, monkeypatch):
    """What "process" asks for comes behind the owner's first entry; where it is refused, nobody owns the run."""
    store = SqliteStore(path, "process")
    given = sqlite.set_durability

    def refuse(fetch: Any, place: Path, *, power: bool) -> None:
        if not power:
            raise DurabilityUnavailable("not here")
        given(fetch, place, power=power)

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "set_durability", refuse)
        with pytest.raises(DurabilityUnavailable):
            store.own("loop")
    assert store.holder("loop") is None
    store.own("loop")
    store.close()


def test_a_transaction_that_cannot_begin_for_another_reason_than_a_lock_ends_the_owner(path, monkeypatch):
    """Waiting would help with a lock alone."""
    store = SqliteStore(path)
    owner = store.own("loop")
    with monkeypatch.context() as patch:
        patch.setattr(owner._connection, "begin_transaction", fail)
        with pytest.raises(JournalError, match="I/O"):
            owner.commit([Draft("done", "k")])
    with pytest.raises(JournalError, match="I/O"):
        owner.commit([Draft("done", "k")])
    store.close()


def test_rows_that_cannot_be_taken_back_end_the_owner(path, monkeypatch):
    """Else they could be committed with the next item."""
    store = SqliteStore(path)
    owner = store.own("loop")
    owner.begin()
    owner.connection.execute("INSERT INTO paper VALUES (100, 'x')")
    with monkeypatch.context() as patch:
        patch.setattr(owner._connection, "undo_transaction", fail)
        with pytest.raises(JournalError, match="I/O"):
            owner.abandon()
    with pytest.raises(JournalError, match="I/O"):
        owner.commit([Draft("done", "k")])
    store.close()
    assert raw(path, "SELECT count(*) FROM paper WHERE id = 100") == [(0,)]


def test_an_io_error_on_a_full_disk_is_a_full_disk(tmp_path, monkeypatch):
    """SQLite calls it an I/O error where the space ran out under its shared memory."""
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=0))
    assert type(translate(IO, tmp_path / "a.db")) is JournalFull
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=1))
    assert type(translate(IO, tmp_path / "a.db")) is JournalUnusable


def test_only_the_holder_of_the_write_lock_is_named(tmp_path):
    """Other locks of SQLite's, such as a checkpoint's, keep nobody from writing."""
    with Path(f"{tmp_path}/a.db-shm").open("wb") as shared:
        assert "another process" in str(busy(tmp_path / "a.db"))
        fcntl.lockf(shared, fcntl.LOCK_EX, 1, 121)
        assert "another process" in str(busy(tmp_path / "a.db"))
        fcntl.lockf(shared, fcntl.LOCK_EX, 1, 120)
        assert f"process {os.getpid()}" in str(busy(tmp_path / "a.db"))


def test_a_commit_in_doubt_is_not_called_full(path, monkeypatch):
    """Of all errors only a full disk leaves no doubt: nothing of the commit is there."""
    store = SqliteStore(path)
    owner = store.own("loop")
    monkeypatch.setattr(owner._connection, "end_transaction", fail)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=1))
    with pytest.raises(JournalInDoubt):
        owner.commit([Draft("done", "k")])
    store.close()
