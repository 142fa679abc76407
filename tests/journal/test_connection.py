"""P5: what an item writes commits with its entry, whatever the item does with the connection."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalBusy, LeftoffError, TransactionEnded, UsageError, WrongThread
from leftoff.journal.connection import Cursor
from leftoff.journal.entry import Draft
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_owner import SqliteOwner
from tests.journal.sqlite_files import raw


def _begin(owner: SqliteOwner, key: str = "k") -> Any:
    owner.commit([Draft("started", key)])
    owner.begin()
    return owner.connection


def _ids(store: SqliteStore) -> list[int]:
    """What is committed, as another program sees it."""
    return [row[0] for row in raw(store.path, "SELECT id FROM paper ORDER BY id")]


def _add(connection: Any, number: int) -> None:
    connection.execute("INSERT INTO paper VALUES (?, ?)", (number, f"t{number}"))


def test_rows_of_an_item_commit_with_its_entry(store: SqliteStore, owner: SqliteOwner) -> None:
    """Nobody sees an item's row before its done entry, and both are there at once."""
    connection = _begin(owner)
    _add(connection, 1)
    assert _ids(store) == []
    owner.commit([Draft("done", "k")])
    assert _ids(store) == [1]


def test_rows_of_an_item_that_is_abandoned_are_gone(store: SqliteStore, owner: SqliteOwner) -> None:
    """An item that raised leaves none of its rows, and the next one starts clean."""
    connection = _begin(owner)
    _add(connection, 1)
    owner.abandon()
    _add(_begin(owner, "next"), 2)
    owner.commit([Draft("done", "next")])
    assert _ids(store) == [2]


def test_outside_an_item_each_statement_commits_by_itself(store: SqliteStore, owner: SqliteOwner) -> None:
    """Before and after the items the connection is plain autocommit."""
    _add(owner.connection, 1)
    assert _ids(store) == [1]
    owner.connection.rollback()
    owner.connection.commit()
    assert _ids(store) == [1]


def _commit(connection: Any) -> None:
    connection.commit()


def _with_block(connection: Any) -> None:
    with connection:
        _add(connection, 7)


def _script(connection: Any) -> None:
    connection.executescript(
        "INSERT INTO paper VALUES (7, 'a;b');\n-- a comment; with a semicolon\nINSERT INTO paper VALUES (8, 'c')"
    )


def _cursor(connection: Any) -> None:
    connection.cursor().executemany("INSERT INTO paper VALUES (?, ?)", [(7, "a"), (8, "b")])


@pytest.mark.parametrize("use", [_commit, _with_block, _script, _cursor])
def test_nothing_that_commits_elsewhere_commits_an_item_early(store: SqliteStore, owner: SqliteOwner, use: Any) -> None:
    """`commit()`, ``with connection:``, `executescript` and `executemany` make nothing durable before the item is."""
    connection = _begin(owner)
    _add(connection, 1)
    use(connection)
    assert _ids(store) == []
    owner.abandon()
    assert _ids(store) == []


def test_a_script_runs_all_its_statements(store: SqliteStore, owner: SqliteOwner) -> None:
    """A script is split where SQLite says that a statement ends, not at every semicolon."""
    connection = _begin(owner)
    connection.executescript(
        "CREATE TRIGGER twin AFTER INSERT ON paper WHEN new.id < 10 BEGIN INSERT INTO paper VALUES (new.id"
        " + 10, 'twin'); END;"
        "INSERT INTO paper VALUES (1, 'a;b');;"
    )
    owner.commit([Draft("done", "k")])
    assert _ids(store) == [1, 11]


def test_rollback_takes_back_the_items_rows_alone(store: SqliteStore, owner: SqliteOwner) -> None:
    """After `rollback()` the item goes on, and what it writes then commits with it."""
    connection = _begin(owner)
    _add(connection, 1)
    connection.rollback()
    assert not owner.pending()
    _add(connection, 2)
    owner.commit([Draft("done", "k")])
    assert _ids(store) == [2]


def test_a_with_block_that_raises_takes_its_rows_back(store: SqliteStore, owner: SqliteOwner) -> None:
    """The rows of a ``with connection:`` whose body raised are gone though the item goes on."""
    connection = _begin(owner)
    with contextlib.suppress(ZeroDivisionError), connection:
        _add(connection, 1)
        _ = 1 // 0
    owner.commit([Draft("done", "k")])
    assert _ids(store) == []


@pytest.mark.parametrize(
    "sql",
    [
        "BEGIN",
        "COMMIT",
        "END",
        "ROLLBACK",
        "RELEASE leftoff_item",
        "ROLLBACK TO leftoff_item",
        "SAVEPOINT Leftoff_item",
    ],
)
def test_sql_that_would_end_the_item_is_refused(store: SqliteStore, owner: SqliteOwner, sql: str) -> None:
    """A transaction is the item's: statements that begin or end one are refused in words, and the item goes on."""
    connection = _begin(owner)
    _add(connection, 1)
    with pytest.raises(TransactionEnded, match="refused"):
        connection.execute(sql)
    owner.commit([Draft("done", "k")])
    assert _ids(store) == [1]


@pytest.mark.parametrize("sql", ["BEGIN", "SAVEPOINT mine"])
def test_no_transaction_is_opened_outside_an_item(store: SqliteStore, owner: SqliteOwner, sql: str) -> None:
    """A transaction left open between two items would hold rows that belong to no entry."""
    with pytest.raises(UsageError):
        owner.connection.execute(sql)
    _add(owner.connection, 1)
    assert _ids(store) == [1]


def test_savepoints_of_the_items_own_work(store: SqliteStore, owner: SqliteOwner) -> None:
    """Inside an item, savepoints with other names are the user's to use."""
    connection = _begin(owner)
    connection.execute("SAVEPOINT mine")
    _add(connection, 1)
    connection.execute("ROLLBACK TO mine")
    connection.execute("RELEASE mine")
    _add(connection, 2)
    owner.commit([Draft("done", "k")])
    assert _ids(store) == [2]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO leftoff_journal VALUES (1, 'x', 'y', 0)",
        "UPDATE leftoff_run SET seq = 1",
        "DELETE FROM LEFTOFF_ENTRY",
        "DROP TABLE leftoff_entry",
        "DROP INDEX leftoff_fate",
        "ALTER TABLE leftoff_entry ADD COLUMN more",
        "CREATE TEMP TABLE leftoff_entry (seq)",
        "CREATE TRIGGER spy AFTER INSERT ON leftoff_entry BEGIN SELECT 1; END",
        "CREATE INDEX more ON leftoff_entry (at)",
        "PRAGMA synchronous = OFF",
        "PRAGMA main.journal_mode = DELETE",
        "PRAGMA writable_schema = ON",
        "PRAGMA mmap_size = 1000000",
        "PRAGMA wal_checkpoint",
    ],
)
def test_what_the_promises_rest_on_is_not_the_users_to_change(owner: SqliteOwner, sql: str) -> None:
    """Our tables, and the settings that make a commit durable, are refused in words."""
    with pytest.raises(UsageError):
        owner.connection.execute(sql)
    owner.commit([Draft("started", "k")])


def test_a_rolled_back_transaction_is_noticed_at_the_next_use(store: SqliteStore, owner: SqliteOwner) -> None:
    """After INSERT OR ROLLBACK the next row is refused, not committed by itself to be written twice."""
    connection = _begin(owner)
    _add(connection, 1)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT OR ROLLBACK INTO paper VALUES (1, 'again')")
    script = lambda: connection.executescript("SELECT 1")  # noqa: E731
    for use in (lambda: _add(connection, 2), script, connection.commit, connection.rollback, connection.__enter__):
        with pytest.raises(TransactionEnded, match="rolled"):
            use()
    with pytest.raises(TransactionEnded):
        owner.commit([Draft("done", "k")])
    owner.abandon()
    assert _ids(store) == []
    assert owner.mark("k") == 0
    owner.commit([Draft("failed", "k", '{"tries":{"errors":1}}')])


def test_a_rolled_back_transaction_is_noticed_at_done(store: SqliteStore, owner: SqliteOwner) -> None:
    """An item that swallowed the error of INSERT OR ROLLBACK and wrote nothing more is not done."""
    connection = _begin(owner)
    _add(connection, 1)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT OR ROLLBACK INTO paper VALUES (1, 'again')")
    with pytest.raises(TransactionEnded):
        owner.commit([Draft("done", "k")])
    assert list(store.keys("loop", "done")) == []


def test_a_full_disk_inside_an_item_is_noticed(store: SqliteStore, owner: SqliteOwner) -> None:
    """A statement that found the disk full has rolled the item back.

    It is not done, and what was committed is intact.
    """
    connection = _begin(owner)
    _add(connection, 1)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        connection.execute("INSERT INTO paper VALUES (2, zeroblob(100000))")
    with pytest.raises(LeftoffError):
        owner.commit([Draft("done", "k")])
    assert _ids(store) == []


def test_pending_says_whether_rows_were_written(owner: SqliteOwner) -> None:
    """Reading is not writing; a row, a table and a changed row are."""
    connection = _begin(owner)
    assert not owner.pending()
    connection.execute("SELECT * FROM paper").fetchall()
    assert not owner.pending()
    _add(connection, 1)
    assert owner.pending()
    owner.abandon()
    assert not owner.pending()
    _begin(owner).execute("CREATE TABLE other (x)")
    assert owner.pending()
    owner.abandon()


def test_another_thread_is_refused(owner: SqliteOwner) -> None:
    """The connection belongs to the thread that owns the run; a worker is told to use ``map(…, write=)``."""
    connection = _begin(owner)
    caught: list[BaseException] = []

    def use() -> None:
        for call in (lambda: _add(connection, 1), connection.commit, connection.rollback):
            with pytest.raises(WrongThread) as refused:
                call()
            caught.append(refused.value)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(caught) == 3
    assert "write=" in str(caught[0])


def test_a_plain_cursor_of_the_connection_is_refused(owner: SqliteOwner) -> None:
    """A cursor that goes around the item is refused, and so is a cursor class of another make."""
    connection = _begin(owner)
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.Cursor(connection).execute("INSERT INTO paper VALUES (1, 'a')")
    with pytest.raises(UsageError):
        connection.cursor(sqlite3.Cursor)
    assert isinstance(connection.cursor(), Cursor)
    assert isinstance(connection.execute("SELECT 1"), Cursor)


def test_row_and_text_factories_are_the_users_alone(owner: SqliteOwner) -> None:
    """The user's row and text factories act on their rows and do not disturb the journal."""
    connection = _begin(owner)
    connection.row_factory, connection.text_factory = sqlite3.Row, bytes
    _add(connection, 1)
    assert connection.execute("SELECT title FROM paper").fetchone()["title"] == b"t1"
    owner.commit([Draft("done", "k", '"value"')])
    assert owner.mark("k") > 0
    assert len(owner.marks(["k", "other"])) == 2
    assert [key for key, _ in owner.concluded()] == ["k"]
    owner.commit([Draft("forgotten", "k")])
    assert owner.mark("k") == 0
    assert connection.row_factory is sqlite3.Row


def test_a_returning_clause_left_unread_ends_with_the_item(store: SqliteStore, owner: SqliteOwner) -> None:
    """A half-read RETURNING would keep SQLite from committing; the item ends all the same, with all its rows."""
    connection = _begin(owner)
    cursor = connection.execute("INSERT INTO paper VALUES (1, 'a'), (2, 'b'), (3, 'c') RETURNING id")
    assert cursor.fetchone() == (1,)
    owner.commit([Draft("done", "k")])
    assert _ids(store) == [1, 2, 3]
    with pytest.raises(sqlite3.ProgrammingError):
        cursor.fetchone()
    half = _begin(owner, "k2").execute("INSERT INTO paper VALUES (4, 'd'), (5, 'e') RETURNING id")
    owner.abandon()
    owner.commit([Draft("failed", "k2", '{"tries":{"errors":1}}')])
    assert _ids(store) == [1, 2, 3]
    assert half is not None


def test_an_attached_database_is_for_reading(store: SqliteStore, owner: SqliteOwner, tmp_path: Path) -> None:
    """Two files do not commit together, so rows come from an attached database but never go there."""
    raw(tmp_path / "other.db", "CREATE TABLE source (id, title)", "INSERT INTO source VALUES (5, 'x')")
    connection = owner.connection
    connection.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    _begin(owner).execute("INSERT INTO paper SELECT * FROM other.source")
    with pytest.raises(UsageError, match="reading"):
        connection.execute("INSERT INTO other.source VALUES (6, 'y')")
    owner.commit([Draft("done", "k")])
    assert _ids(store) == [5]


def test_an_item_that_holds_the_write_lock_is_named(store: SqliteStore, owner: SqliteOwner) -> None:
    """Who waits too long for SQLite's write lock learns who holds it and to write last, and may go on later."""
    _add(_begin(owner), 1)
    other = SqliteStore(store.path)
    other.busy_seconds = 0.05
    with pytest.raises(JournalBusy, match="write last") as caught:
        other.own("second")
    assert str(os.getpid()) in str(caught.value)
    owner.commit([Draft("done", "k")])
    second = other.own("second")
    _add(_begin(owner, "k2"), 2)
    with pytest.raises(JournalBusy, match="write last"):
        second.commit([Draft("started", "x")])
    second.begin()
    with pytest.raises(JournalBusy, match="write last"):
        _add(second.connection, 3)
    owner.commit([Draft("done", "k2")])
    second.commit([Draft("started", "x")])
    other.close()


def test_a_reader_cannot_write(store: SqliteStore, owner: SqliteOwner) -> None:
    """The second connection reads what is committed and refuses to write."""
    _add(owner.connection, 1)
    reader = store.reader()
    assert reader.execute("SELECT id FROM paper").fetchall() == [(1,)]
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("INSERT INTO paper VALUES (2, 'b')")
    assert not isinstance(reader.cursor(), Cursor)
