"""Two SQLite libraries, one older and one newer, on one journal."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import apsw
import pytest

from leftoff.errors import JournalLost
from leftoff.journal.entry import Draft
from leftoff.journal.sqlite import SqliteStore
from tests.contract import program
from tests.journal.sqlite_files import make


def test_another_sqlite_library_finds_the_journal_sound(tmp_path: Path) -> None:
    """What one library wrote another checks, reads and adds rows to, and the first goes on behind it."""
    print("SQLite", sqlite3.sqlite_version, "and", apsw.sqlite_lib_version())
    path = tmp_path / "a.db"
    make(path)
    other = apsw.Connection(str(path))
    assert list(other.execute("PRAGMA integrity_check")) == [("ok",)]
    done = [key for (key,) in other.execute("SELECT key FROM leftoff_entry WHERE kind = 'done' ORDER BY seq")]
    other.execute("INSERT INTO paper VALUES (100, 'from elsewhere')")
    other.close()
    store = SqliteStore(path)
    assert list(store.keys("loop", "done")) == done
    owner = store.own("loop")
    owner.commit([Draft("done", "behind it")])
    assert owner.connection.execute("SELECT title FROM paper WHERE id = 100").fetchall() == [("from elsewhere",)]
    assert list(store.verify()) == []
    store.close()
    other = apsw.Connection(str(path))
    assert list(other.execute("PRAGMA integrity_check")) == [("ok",)]
    other.close()


def test_another_sqlite_library_in_this_process_loses_nothing(tmp_path: Path) -> None:
    """Closing the file, a second library drops the first one's locks and deletes its log: nothing more is acknowledged.

    The run is still owned: its lock is on another file.
    """
    store = SqliteStore(tmp_path / "run.db")
    owner = store.own("r")
    owner.commit([Draft("done", "a")])
    other = apsw.Connection(str(tmp_path / "run.db"))
    assert list(other.execute("SELECT count(*) FROM leftoff_run")) == [(1,)]
    other.close()
    second = """
        from pathlib import Path
        from leftoff.errors import JournalBusy
        from leftoff.journal.sqlite import SqliteStore
        try:
            SqliteStore(Path("run.db")).own("r")
        except JournalBusy:
            print("refused")
        """
    assert program.run(program.write(tmp_path, second)).stdout == "refused\n"
    with pytest.raises(JournalLost, match=r"run\.db-wal was deleted"):
        owner.commit([Draft("done", "b")])
    store.close()
    store = SqliteStore(tmp_path / "run.db")
    assert list(store.keys("r", "done")) == ["a"]
    assert list(store.verify()) == []
    store.close()
