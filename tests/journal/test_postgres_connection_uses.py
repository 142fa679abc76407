"""What the user's connection to PostgreSQL says, word for word, where it refuses; and what it hands on as it is."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import psycopg
import pytest
from psycopg.copy import LibpqWriter
from psycopg.rows import dict_row

import leftoff
from leftoff.errors import ForkedHandle, TransactionEnded, UsageError, WrongThread
from leftoff.journal.entry import Draft
from leftoff.journal.postgres_connection import Guarded, _leave_to_parent
from leftoff.journal.postgres_server import connect
from tests.postgres import Server

# -- what is said, in full -------------------------------------------------------------------------------------------

ENDS = "leftoff commits what the item wrote together with its done entry"


def test_what_would_go_around_the_item_is_told_what_to_use_instead(postgres: Server) -> None:
    """Each refusal says what is the run's, and what there is for the user."""
    with leftoff.open(postgres.url) as journal:
        connection = journal.run("r").connection
        for use, said in (
            (
                connection.close,
                "this connection is the run's and is closed with the journal; close the journal instead",
            ),
            (
                connection.pipeline,
                "a pipeline tells its errors late, perhaps behind the item's commit; use executemany() or copy()",
            ),
            (lambda: connection.set_autocommit(False), f"autocommit cannot be set on this connection: {ENDS}"),
            (lambda: connection.tpc_begin("x"), f"two-phase commits are refused on this connection: {ENDS}"),
            (
                lambda: connection.execute("DROP TABLE leftoff.run"),
                "tables of the schema leftoff are the journal's own; only leftoff writes them",
            ),
            (
                lambda: connection.transaction().__enter__(),
                f"outside an item every statement commits by itself, so no transaction can be opened here; {ENDS}",
            ),
        ):
            with pytest.raises(UsageError) as told:
                use()
            assert str(told.value) == said
        with pytest.raises(TransactionEnded) as ended:
            connection.execute("SELECT 1; commit")
        assert str(ended.value) == f"COMMIT is refused on this connection: {ENDS}"
        connection.cursor_factory = psycopg.Cursor
        with pytest.raises(UsageError) as told:
            connection.cursor()
        assert str(told.value) == (
            "a cursor of this connection must be a leftoff cursor, so that its rows stay in the item"
        )


def test_an_item_that_cannot_be_committed_says_why(postgres: Server) -> None:
    """Its transaction was ended, or failed, or rolled back; and what to do about each."""
    with leftoff.open(postgres.url) as journal:
        owner = journal.run("r").own()
        owner.begin()
        owner.connection.execute("SELECT 1")
        owner.connection.pgconn.exec_(b"COMMIT")
        for use in (lambda: owner.connection.execute("SELECT 1"), lambda: owner.commit([Draft("done", "a")])):
            with pytest.raises(TransactionEnded) as told:
                use()
            assert str(told.value) == (
                "a statement has ended this item's transaction, so what the item wrote is no longer one with its entry;"
                " let the error out of the item so that it is tried again"
            )
        owner.abandon()
        owner.begin()
        with pytest.raises(psycopg.Error):
            owner.connection.execute("SELECT 1/0")
        assert not owner.pending(), "the database has given up what was written"
        with pytest.raises(TransactionEnded) as told:
            owner.commit([Draft("done", "a")])
        assert str(told.value) == (
            "a statement of this item failed, and PostgreSQL has given up all that it wrote; let the error out, or"
            " put what may fail under with connection.transaction()"
        )
        with pytest.raises(TransactionEnded) as told:
            owner.connection.end_transaction()
        assert str(told.value) == f"the database has rolled this item back instead of committing it; {ENDS}"
        owner.abandon()
        owner.commit([Draft("done", "a")])


def test_a_connection_in_other_hands_says_whose_it_is(postgres: Server) -> None:
    """It belongs to a thread and to a process; a closing by another process leaves it as it is."""
    with leftoff.open(postgres.url) as journal:
        owner = journal.run("r").own()
        owner.begin()
        connection = owner.connection
        thread, connection.thread = connection.thread, -1
        with pytest.raises(WrongThread) as told:
            connection.execute("SELECT 1")
        assert str(told.value) == (
            "this connection belongs to the thread that owns the run; workers compute, and map(…, write=) stores what"
            " they return"
        )
        with pytest.raises(WrongThread) as told:
            owner.commit([Draft("done", "a")])
        assert str(told.value) == "an item is committed by the thread that began it; this one did not"
        connection.thread = thread
        pid, connection.pid = connection.pid, -1
        with pytest.raises(ForkedHandle) as forked:
            connection.execute("SELECT 1")
        assert str(forked.value) == ("this connection was opened before a fork; open the journal again in this process")
        connection.close_for_good()
        assert not connection.closed
        connection.pid = pid
        owner.commit([Draft("done", "a")])


def test_a_connection_that_is_forgotten_is_closed_by_its_own_process_alone(postgres: Server) -> None:
    """One that was inherited is left to the parent, and one that never came to be is in nobody's way."""
    states = []
    for inherited in (False, True):
        connection = connect(Guarded, postgres.url)
        session = connection.pgconn
        if inherited:
            connection.pid = -1
        del connection
        gc.collect()
        states.append(psycopg.pq.ConnStatus(session.status).name)
        session.finish()
    assert states == ["BAD", "OK"]
    unborn = Guarded.__new__(Guarded)
    unborn.__del__()
    unborn.pgconn = None
    unborn.__del__()
    del unborn.pgconn


def test_what_a_child_inherits_leads_nowhere(postgres: Server) -> None:
    """Right behind a fork the sockets of open connections are taken away; those of closed ones are not looked for."""
    connection, closed = connect(Guarded, postgres.url), connect(Guarded, postgres.url)
    closed.close_for_good()
    nowhere = Path(os.devnull).stat()
    assert not os.path.samestat(os.fstat(connection.pgconn.socket), nowhere)
    _leave_to_parent()
    assert os.path.samestat(os.fstat(connection.pgconn.socket), nowhere)
    connection.close_for_good()


# -- what is handed on -----------------------------------------------------------------------------------------------


def test_cursors_take_what_psycopgs_take(postgres: Server) -> None:
    """Parameters and options reach each way to send a statement, and each kind of cursor."""
    with leftoff.open(postgres.url) as journal:
        connection = journal.run("r").connection
        connection.execute("CREATE TABLE made (key text)")
        assert connection.cursor(row_factory=dict_row).execute("SELECT 1 AS one").fetchone() == {"one": 1}
        cursor = connection.cursor()
        assert cursor.execute("SELECT %s::int", [7], binary=True).fetchone() == (7,)
        assert cursor.pgresult.fformat(0) == 1
        cursor.executemany("INSERT INTO made VALUES (%s) RETURNING key", [("a",), ("b",)], returning=True)
        assert cursor.fetchone() == ("a",)
        streamed = cursor.stream("SELECT key FROM made WHERE key > %s", ["a"], binary=True)
        assert next(streamed) == ("b",)
        assert cursor.pgresult.fformat(0) == 1
        assert list(streamed) == []
        with cursor.copy("COPY (SELECT %s::text) TO STDOUT", ["copied"]) as copy:
            assert list(copy.rows()) == [("copied",)]
        writer = LibpqWriter(cursor)
        with cursor.copy("COPY made FROM STDIN", writer=writer) as copy:
            assert copy.writer is writer
            copy.write_row(("c",))
        assert cursor.execute("SELECT count(*) FROM made").fetchone() == (3,)


def test_a_named_cursor_reads_inside_the_item(postgres: Server) -> None:
    """It is PostgreSQL's own, and ends with the item's transaction."""
    with leftoff.open(postgres.url) as journal:
        owner = journal.run("r").own()
        owner.begin()
        with owner.connection.cursor("named") as cursor:
            cursor.execute("SELECT * FROM generate_series(1, %s)", [3])
            assert (cursor.name, cursor.fetchall()) == ("named", [(1,), (2,), (3,)])
        owner.commit([Draft("done", "a")])


def test_outside_an_item_a_statement_commits_by_itself(postgres: Server) -> None:
    """Before the first item, and between two; inside one it waits."""
    with leftoff.open(postgres.url) as journal, psycopg.connect(postgres.url, autocommit=True) as other:
        owner = journal.run("r").own()
        connection = owner.connection
        assert (connection.in_item, connection.opened) == (False, False)
        connection.execute("CREATE TABLE made (key text)")
        seen = []
        for key in "ab":
            owner.begin()
            connection.execute("INSERT INTO made VALUES (%s)", [key])
            seen.append(other.execute("SELECT count(*) FROM made").fetchone())
            assert owner.pending()
            owner.commit([Draft("done", key)])
            assert not owner.pending()
            connection.execute("INSERT INTO made VALUES ('between')")
            seen.append(other.execute("SELECT count(*) FROM made").fetchone())
        assert seen == [(0,), (2,), (2,), (4,)]
