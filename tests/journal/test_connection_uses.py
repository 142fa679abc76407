"""Uses of the user's connection beside the plain one: scripts, threads, copies, blobs, attributes."""

from __future__ import annotations

import signal
import sqlite3
import sys
import threading

import pytest

from leftoff.errors import TransactionEnded
from leftoff.journal.connection import Connection
from leftoff.journal.entry import Draft
from tests.journal.sqlite_files import raw


def test_a_scripts_last_statement_needs_no_semicolon(store, owner):
    """It is run like the others, inside the item."""
    owner.begin()
    owner.connection.executescript("INSERT INTO paper VALUES (1, 'a'); INSERT INTO paper VALUES (2, 'b')")
    owner.commit([Draft("done", "k")])
    assert raw(store.path, "SELECT count(*) FROM paper") == [(2,)]


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON paper BEGIN SELECT 1;", "incomplete input"),
        ("SELECT 'a;", "unrecognized token"),
    ],
)
def test_a_script_that_stops_within_a_statement_says_so(store, owner, end, said):
    """What is left over is not dropped: SQLite tells what is wrong with it, and what stands before it was run."""
    owner.begin()
    with pytest.raises(sqlite3.OperationalError, match=said):
        owner.connection.executescript("INSERT INTO paper VALUES (1, 'a');" + end)
    owner.commit([Draft("done", "k")])
    assert raw(store.path, "SELECT count(*) FROM paper") == [(1,)]


@pytest.mark.parametrize("asked", [sqlite3.SQLITE_INSERT, sqlite3.SQLITE_READ])
def test_a_ctrl_c_while_a_statement_is_prepared_is_not_lost(store, owner, monkeypatch, asked):
    """SQLite drops what is raised while it asks whether a statement is allowed: it is raised again behind it."""
    refuse = Connection._refuse

    def interrupted(connection, action, *names):
        if action == asked:
            signal.raise_signal(signal.SIGINT)
        return refuse(connection, action, *names)

    owner.begin()
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "_refuse", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            owner.connection.execute("INSERT INTO paper SELECT id, 'a' FROM paper")
    assert str(caught.value) == "a signal came while SQLite prepared a statement"
    owner.connection.execute("INSERT INTO paper VALUES (2, 'b')")
    owner.commit([Draft("done", "k")])
    assert raw(store.path, "SELECT id FROM paper") == [(2,)]


def test_between_items_another_thread_may_go_on(store, owner):
    """Only an item belongs to the thread that began it."""
    thread = threading.Thread(target=owner.commit, args=([Draft("done", "k")],))
    thread.start()
    thread.join()
    assert list(store.keys("loop", "done")) == ["k"]


def test_a_with_block_whose_transaction_is_gone_lets_its_error_out(store, owner):
    """There is nothing to take back any more, and the error is not hidden by another."""
    owner.connection.execute("INSERT INTO paper VALUES (1, 'a')")
    owner.begin()
    with pytest.raises(sqlite3.IntegrityError), owner.connection as connection:
        connection.execute("INSERT INTO paper VALUES (2, 'b')")
        connection.execute("INSERT OR ROLLBACK INTO paper VALUES (1, 'a')")
    with pytest.raises(TransactionEnded):
        owner.commit([Draft("done", "k")])
    owner.abandon()


def test_the_database_is_copied_between_items(store, owner, tmp_path):
    """`backup` copies what is committed; inside an item it is refused."""
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        owner.connection.backup(copy)
        assert copy.execute("SELECT count(*) FROM leftoff_run").fetchone() == (1,)
    copy.close()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 opens no blobs")
def test_a_blob_is_read(owner):
    """Reading one goes around nothing."""
    owner.connection.execute("INSERT INTO paper VALUES (1, x'616263')")
    with owner.connection.blobopen("paper", "title", 1, readonly=True) as blob:
        assert blob.read() == b"abc"


def test_python_never_begins_a_transaction_here(owner):
    """The attributes that say so can be read, and set to what they are."""
    connection = owner.connection
    connection.isolation_level = None
    assert connection.isolation_level is None
    assert connection.autocommit == -1
