"""What the user's connection refuses, word for word, and the neighbours of each refusal that it lets through."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import ForkedHandle, TransactionEnded, UsageError, WrongThread
from leftoff.journal import connection as module
from leftoff.journal.connection import Connection, Cursor
from leftoff.journal.entry import Draft
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_owner import SqliteOwner
from tests.journal.sqlite_files import raw

_ENDS = "leftoff commits what the item wrote together with its done entry"
_ROLLED_BACK = (
    "a statement has rolled this item's transaction back (such as INSERT OR ROLLBACK, or a full disk), so what the item"
    " wrote is gone; let the error out of the item so that it is tried again, or use OR ABORT"
)
_OTHER_THREAD = (
    "this connection belongs to the thread that owns the run; workers compute, and map(…, write=) stores what they"
    " return"
)
_FORKED = "this connection was opened before a fork; open the journal again in this process"
_OURS = "tables whose names begin with leftoff_ are the journal's own; only leftoff writes them"
_SET = "is leftoff's to set: its promises rest on it; open a connection of your own for that"
_ATTACHED = (
    "the attached database other is for reading: two files in WAL mode do not commit together, so a row there could"
    " outlive an item that failed"
)
_NO_CURSOR = "a cursor of this connection must be a leftoff cursor, so that its rows stay inside the item"
_BLOB = "a blob is opened with readonly=True here; write it with UPDATE, so that it commits with the item"


@pytest.fixture
def owner(owner: SqliteOwner, tmp_path: Path) -> SqliteOwner:
    """An owner whose connection has a table, with a row, and another database beside it."""
    raw(tmp_path / "other.db", "CREATE TABLE source (id INTEGER PRIMARY KEY, title)")
    raw(tmp_path / "other.db", "INSERT INTO source VALUES (5, 'there')")
    owner.connection.execute("INSERT INTO paper VALUES (1, x'616263')")
    owner.connection.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    return owner


def _sql(text: str) -> Any:
    return lambda connection: connection.execute(text)


@pytest.mark.parametrize(
    ("use", "kind", "said"),
    [
        (_sql("COMMIT"), TransactionEnded, f"COMMIT is refused on this connection: {_ENDS}"),
        (
            _sql("RELEASE Leftoff_item"),
            TransactionEnded,
            f"RELEASE Leftoff_item is refused, the savepoint is the item's own: {_ENDS}",
        ),
        (
            _sql("PRAGMA Synchronous = OFF"),
            UsageError,
            f"PRAGMA Synchronous {_SET}",
        ),
        (
            _sql("PRAGMA wal_checkpoint"),
            UsageError,
            f"PRAGMA wal_checkpoint {_SET}",
        ),
        (_sql("DELETE FROM Leftoff_entry"), UsageError, _OURS),
        (_sql("CREATE TRIGGER spy AFTER INSERT ON leftoff_entry BEGIN SELECT 1; END"), UsageError, _OURS),
        (_sql("INSERT INTO other.source VALUES (6, 'y')"), UsageError, _ATTACHED),
        (lambda c: c.cursor(sqlite3.Cursor), UsageError, _NO_CURSOR),
        (lambda c: c.cursor("Cursor"), UsageError, _NO_CURSOR),
        (
            lambda c: Cursor(sqlite3.connect(":memory:")).execute("SELECT 1"),
            UsageError,
            "this cursor is not of the journal's connection; ask connection.cursor() for one",
        ),
        (
            lambda c: c.close(),
            UsageError,
            "this connection is the run's and is closed with the journal; close the journal instead",
        ),
        (
            lambda c: setattr(c, "isolation_level", "DEFERRED"),
            UsageError,
            f"isolation_level stays None on this connection: {_ENDS}",
        ),
        (
            lambda c: setattr(c, "autocommit", False),
            UsageError,
            f"autocommit cannot be set on this connection: {_ENDS}",
        ),
        (
            lambda c: c.set_authorizer(None),
            UsageError,
            "this connection's authorizer keeps the item's transaction whole; open a connection of your own",
        ),
        (
            lambda c: c.backup(None),
            UsageError,
            "a backup inside an item would hold rows that are not committed; make it before or after the loop",
        ),
        (lambda c: c.blobopen("paper", "title", 1), UsageError, _BLOB),
        (lambda c: c.blobopen("paper", "title", 1, readonly=False), UsageError, _BLOB),
        (
            lambda c: c.deserialize(b""),
            UsageError,
            "deserialize() would replace the journal; open a connection of your own",
        ),
    ],
)
def test_a_refusal_says_what_was_asked_and_what_to_do_instead(
    owner: SqliteOwner, use: Any, kind: type[Exception], said: str
) -> None:
    """Whatever would end, replace or bypass the item's transaction is refused in these words, and the item goes on."""
    owner.begin()
    owner.connection.execute("INSERT INTO paper VALUES (2, 'b')")
    with pytest.raises(UsageError) as refused:
        use(owner.connection)
    assert (type(refused.value), str(refused.value)) == (kind, said)
    assert owner.pending()
    owner.commit([Draft("done", "k")])


@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA synchronous",
        "PRAGMA Journal_Mode",
        "PRAGMA cache_size = 100",
        "SAVEPOINT mine",
        "INSERT INTO paper VALUES (2, 'leftoff_')",
        "CREATE TEMP TABLE mine AS SELECT * FROM other.source",
        "ALTER TABLE paper ADD COLUMN leftoff_seen",
        "SELECT count(*) FROM leftoff_entry",
        "REINDEX paper",
    ],
)
def test_what_endangers_nothing_is_let_through(owner: SqliteOwner, sql: str) -> None:
    """Settings are read, other names and temporary tables are the user's, and the journal's tables may be looked at."""
    owner.begin()
    owner.connection.execute(sql)
    owner.commit([Draft("done", "k")])


def test_a_temporary_table_is_written_to(owner: SqliteOwner) -> None:
    """It goes with the connection, so nothing in it can outlive an item that failed."""
    owner.begin()
    owner.connection.execute("CREATE TEMP TABLE mine (x)")
    owner.connection.executemany("INSERT INTO mine VALUES (?)", [(1,), (2,)])
    assert owner.connection.execute("SELECT x FROM temp.mine").fetchall() == [(1,), (2,)]
    owner.abandon()


def test_a_setting_that_is_made_is_pending_and_one_that_is_read_is_not(owner: SqliteOwner) -> None:
    """A PRAGMA with a value may write to the database, and its value goes when the item is taken back."""
    owner.begin()
    owner.connection.execute("PRAGMA user_version")
    assert not owner.pending()
    owner.connection.execute("PRAGMA user_version = 7")
    assert owner.pending()
    owner.abandon()
    assert owner.connection.execute("PRAGMA user_version").fetchone() == (0,)


@pytest.mark.parametrize("sql", ["SAVEPOINT mine", "SAVEPOINT leftover"])
def test_a_transaction_that_would_stay_open_between_items_says_so(owner: SqliteOwner, sql: str) -> None:
    """It is closed again at once."""
    with pytest.raises(UsageError) as refused:
        owner.connection.execute(sql)
    assert str(refused.value) == (
        f"outside an item every statement commits by itself, so no transaction can be opened here; {_ENDS}"
    )
    assert not owner.connection.in_transaction


def test_a_transaction_that_was_rolled_back_says_what_happened_and_what_to_do(owner: SqliteOwner) -> None:
    """The next statement and the commit say the same."""
    owner.begin()
    with pytest.raises(sqlite3.IntegrityError):
        owner.connection.execute("INSERT OR ROLLBACK INTO paper VALUES (1, 'again')")
    for use in (lambda: owner.connection.execute("SELECT 1"), lambda: owner.commit([Draft("done", "k")])):
        with pytest.raises(TransactionEnded) as refused:
            use()
        assert str(refused.value) == _ROLLED_BACK
    owner.abandon()


def _in_another_thread(call: Any) -> BaseException | None:
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)
        else:
            raised.append(None)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0]


def test_another_thread_is_told_whose_the_connection_and_the_item_are(owner: SqliteOwner) -> None:
    """It may neither use the connection nor end the item that another thread began, which does both afterwards."""
    owner.begin()
    owner.connection.execute("INSERT INTO paper VALUES (2, 'b')")
    for use in (owner.connection.commit, lambda: owner.connection.execute("SELECT 1")):
        refused = _in_another_thread(use)
        assert (type(refused), str(refused)) == (WrongThread, _OTHER_THREAD)
    refused = _in_another_thread(lambda: owner.commit([Draft("done", "k")]))
    assert type(refused) is WrongThread
    assert str(refused) == "an item is committed by the thread that began it; this one did not"
    owner.commit([Draft("done", "k")])


def test_a_thread_that_goes_on_with_the_run_has_its_connection(owner: SqliteOwner) -> None:
    """After its commit the connection is that thread's, and no longer the one's that went before."""

    def go_on() -> None:
        owner.commit([Draft("started", "k")])
        owner.connection.execute("INSERT INTO paper VALUES (2, 'b')")

    assert _in_another_thread(go_on) is None
    with pytest.raises(WrongThread):
        owner.connection.execute("SELECT 1")


def test_a_child_uses_and_closes_no_inherited_connection(owner: SqliteOwner, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told to open the journal again, and what it closes stays open for its parent."""
    connection, parent = owner.connection, os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: parent + 1)
        for use in (connection.commit, lambda: connection.execute("SELECT 1")):
            with pytest.raises(ForkedHandle) as refused:
                use()
            assert str(refused.value) == _FORKED
        connection.close_for_good()
    assert connection.execute("SELECT id FROM paper").fetchall() == [(1,)]
    connection.close_for_good()
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        connection.execute("SELECT 1")


def test_an_inherited_connection_is_never_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite forbids a child even to close one, and Python closes what it frees: a reference is kept for good."""
    connection = Connection(":memory:")
    monkeypatch.setattr(module, "_alive", weakref.WeakSet([connection]))
    before = sys.getrefcount(connection)
    module._keep_from_closing_in_child()
    assert sys.getrefcount(connection) == before + 1
    connection.close_for_good()


def test_a_child_without_connections_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fork of the program passes here, also where it has no journal."""
    monkeypatch.setattr(module, "_alive", weakref.WeakSet())
    monkeypatch.setitem(sys.modules, "ctypes", None)  # importing it would fail
    module._keep_from_closing_in_child()


def test_a_new_connection_refuses_before_its_owner_has_used_it(tmp_path: Path) -> None:
    """Its options are sqlite3's, and nobody is trusted who was not yet asked for."""
    path = tmp_path / "new.db"
    connection = Connection(path, timeout=1.25)
    assert not connection.has_rows()
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (1250,)
    with pytest.raises(UsageError, match="is leftoff's to set"):
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close_for_good()


def test_no_statement_of_the_users_can_be_one_of_the_owners(store: SqliteStore) -> None:
    """Python keeps prepared statements by their text, so each connection's own have a text that nobody guesses."""
    texts: list[set[str]] = []
    for name in ("one", "two"):
        owner = store.own(name)
        seen: set[str] = set()
        owner.connection.set_trace_callback(seen.add)
        owner.begin()
        owner.connection.execute("CREATE TEMP TABLE mine (x)")
        owner.connection.rollback()
        owner.commit([Draft("done", "k")])
        texts.append({text for text in seen if text.split()[0] in ("BEGIN", "SAVEPOINT", "ROLLBACK", "COMMIT")})
        owner.release()
    assert [len(own) for own in texts] == [4, 4]
    assert texts[0].isdisjoint(texts[1])


def test_a_triggers_own_words_are_the_users(owner: SqliteOwner) -> None:
    """A trigger that says what SQLite says of a refusal is no signal, and its error is let out as it is."""
    owner.connection.execute(
        "CREATE TRIGGER no BEFORE DELETE ON paper BEGIN SELECT RAISE(ABORT, 'not authorized'); END"
    )
    with pytest.raises(sqlite3.IntegrityError, match=r"^not authorized$"):
        owner.connection.execute("DELETE FROM paper")


def test_a_refusal_is_that_of_its_own_statement(owner: SqliteOwner) -> None:
    """What a cursor of their own making was refused is not said of the next statement that fails, theirs or ours."""
    for _ in range(2):
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            sqlite3.Cursor(owner.connection).execute("SELECT 1")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        owner.connection.execute("INSERT INTO paper VALUES (1, 'again')")
    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        sqlite3.Cursor(owner.connection).execute("SELECT 1")
    with pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
        owner.connection.own("SELECT * FROM nowhere")


def test_a_backup_takes_sqlite3s_options(owner: SqliteOwner) -> None:
    """Its pages and progress are told as `sqlite3.Connection.backup` tells them."""
    told: list[tuple[int, int, int]] = []
    copy = sqlite3.connect(":memory:")
    owner.connection.backup(copy, pages=-1, progress=lambda *numbers: told.append(numbers), name="other")
    assert copy.execute("SELECT id, title FROM source").fetchall() == [(5, "there")]
    assert len(told) == 1
    copy.close()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 opens no blobs")
def test_a_blob_that_was_opened_cannot_be_written(owner: SqliteOwner) -> None:
    """Writing through it would bypass the item; the database it is looked for in is the caller's to name."""
    blob = owner.connection.blobopen("paper", "title", 1, readonly=True)
    with blob, pytest.raises(sqlite3.OperationalError, match="readonly"):
        blob.write(b"x")
    with owner.connection.blobopen("source", "title", 5, readonly=True, name="other") as blob:
        assert blob.read() == b"there"


def test_many_rows_are_written_by_the_connection_itself(owner: SqliteOwner) -> None:
    """`executemany` of the connection gives each of its rows to the statement, and returns a cursor of ours."""
    cursor = owner.connection.executemany("INSERT INTO paper VALUES (?, ?)", [(7, "a"), (8, "b")])
    assert isinstance(cursor, Cursor)
    assert cursor.rowcount == 2
    assert owner.connection.execute("SELECT id FROM paper ORDER BY id").fetchall() == [(1,), (7,), (8,)]
