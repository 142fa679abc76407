"""What the user's connection to PostgreSQL lets in, keeps and refuses, item by item, thread by thread."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

import leftoff
from leftoff.errors import PendingRows, TransactionEnded, UsageError, WrongThread
from leftoff.journal.entry import Draft
from leftoff.journal.postgres_connection import Guarded
from tests.contract import program
from tests.journal.test_postgres_errors import execute
from tests.postgres import Server


def test_every_way_to_send_a_statement_stays_inside_the_item(postgres: Server) -> None:
    """Rows that are copied, and statements in bytes, commit with the item; a stream reads inside it."""
    execute(postgres, "CREATE TABLE made (key text)")
    with leftoff.open(postgres.url) as journal, psycopg.connect(postgres.url, autocommit=True) as other:
        run = journal.run("r")
        for _ in run.each("a", progress=False):
            connection = run.connection
            with connection.cursor().copy("COPY made FROM STDIN") as copy:
                copy.write_row(("copied",))
            connection.execute(b"INSERT INTO made VALUES ('bytes')")
            connection.execute(
                psycopg.sql.SQL("INSERT INTO {} VALUES ('composed')").format(psycopg.sql.Identifier("made"))
            )
            assert [key for (key,) in connection.cursor().stream("SELECT key FROM made ORDER BY key")] == [
                "bytes", "composed", "copied",
            ]  # fmt: skip
            assert other.execute("SELECT count(*) FROM made").fetchone() == (0,)
            with pytest.raises(TransactionEnded):
                connection.execute(b"COMMIT")
        assert other.execute("SELECT count(*) FROM made").fetchone() == (3,)


def test_a_cursor_of_another_make_is_refused(postgres: Server) -> None:
    """Its rows could not be kept inside the item."""
    with leftoff.open(postgres.url) as journal:
        connection = journal.run("r").connection
        connection.cursor_factory = psycopg.Cursor
        with pytest.raises(UsageError, match="must be a leftoff cursor"):
            connection.cursor()


def test_a_with_block_keeps_or_takes_back_what_the_item_wrote(postgres: Server) -> None:
    """Its end commits nothing by itself, and its error takes the rows back while the item goes on."""
    execute(postgres, "CREATE TABLE made (key text)")
    with leftoff.open(postgres.url) as journal, psycopg.connect(postgres.url, autocommit=True) as other:
        run = journal.run("r")
        for _ in run.each("a", progress=False):
            with pytest.raises(ZeroDivisionError), run.connection as connection:
                connection.execute("INSERT INTO made VALUES ('taken back')")
                raise ZeroDivisionError
            with run.connection as connection:
                connection.execute("INSERT INTO made VALUES ('kept')")
            assert other.execute("SELECT count(*) FROM made").fetchone() == (0,)
        assert other.execute("SELECT key FROM made").fetchall() == [("kept",)]


def test_a_transaction_that_was_ended_underneath_is_noticed(postgres: Server) -> None:
    """A COMMIT sent around us, or one that the server answers with ROLLBACK, leaves the item not done."""
    execute(postgres, "CREATE TABLE made (key text)")
    with leftoff.open(postgres.url) as journal:
        owner = journal.run("r").own()
        owner.begin()
        owner.connection.execute("INSERT INTO made VALUES ('a')")
        owner.connection.pgconn.exec_(b"COMMIT")
        with pytest.raises(TransactionEnded, match="has ended this item's transaction"):
            owner.commit([Draft("done", "a")])
        owner.abandon()
        owner.begin()
        owner.connection.execute("INSERT INTO made VALUES ('b')")
        with pytest.raises(psycopg.Error):
            owner.connection.execute("SELECT 1/0")
        with pytest.raises(TransactionEnded, match="rolled this item back"):
            owner.connection.end_transaction()


def test_a_commit_that_the_server_answers_with_a_rollback_is_none(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the item is kept, and the owner goes on: the next item is done, with its row."""
    execute(postgres, "CREATE TABLE made (key text)")
    own, failed = Guarded.own, []

    def failing(self: Guarded, sql: str, parameters: Any = ()) -> Any:
        if sql == "COMMIT" and not failed:
            failed.append(sql)
            with pytest.raises(psycopg.errors.DivisionByZero):
                own(self, "SELECT 1/0")
        return own(self, sql, parameters)

    with leftoff.open(postgres.url) as journal:
        owner = journal.run("r").own()
        monkeypatch.setattr(Guarded, "own", failing)
        owner.begin()
        owner.connection.execute("INSERT INTO made VALUES ('a')")
        with pytest.raises(TransactionEnded, match="rolled this item back instead of committing it"):
            owner.commit([Draft("done", "a")])
        owner.begin()
        owner.connection.execute("INSERT INTO made VALUES ('b')")
        owner.commit([Draft("done", "b")])
        assert list(journal.run("r").keys("done")) == ["b"]
        assert journal.run("r").reader().execute("SELECT key FROM made").fetchall() == [("b",)]
        assert journal.verify() == []


def test_a_constraint_that_speaks_at_the_commit_refuses_the_item_alone(postgres: Server) -> None:
    """A deferred constraint is broken only then: the item is not done and names why, and the run goes on."""
    execute(postgres, "CREATE TABLE made (key text UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    with leftoff.open(postgres.url) as journal:
        run = journal.run("r")
        with pytest.raises(TransactionEnded, match=r"refused to commit .*made_key_key") as refused:
            for key in run.each("a", progress=False):
                run.connection.cursor().executemany("INSERT INTO made VALUES (%s)", [(key,), (key,)])
        assert str(refused.value).endswith("; nothing of it is kept")
        assert list(run.keys("done")) == []
        for key in run.each("a", progress=False):
            run.connection.execute("INSERT INTO made VALUES (%s)", (key,))
        assert run.reader().execute("SELECT key FROM made").fetchall() == [("a",)]
        assert journal.verify() == []


def test_an_item_belongs_to_its_thread_and_its_process(postgres: Server) -> None:
    """Another thread neither uses the connection nor ends the item; between items it may go on with the run."""
    raised: list[type[BaseException]] = []

    def elsewhere(use: Any) -> None:
        def run() -> None:
            try:
                use()
            except WrongThread as error:
                raised.append(type(error))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    with leftoff.open(postgres.url) as journal:
        owner = journal.run("r").own()
        owner.begin()
        elsewhere(lambda: owner.connection.execute("SELECT 1"))
        elsewhere(lambda: owner.commit([Draft("done", "a")]))
        assert raised == [WrongThread, WrongThread]
        owner.commit([Draft("done", "a")])
        elsewhere(lambda: owner.commit([Draft("done", "b")]))
        assert list(journal.run("r").keys("done")) == ["a", "b"]


def test_a_loop_over_rows_that_wait_for_their_item_is_refused(postgres: Server) -> None:
    """Rows that an item has written would be committed by a loop inside it; reading alone is not writing."""
    execute(postgres, "CREATE TABLE made (key text)")
    with leftoff.open(postgres.url) as journal:
        outer, inner = journal.run("outer"), journal.run("inner")
        for _ in outer.each("a", progress=False):
            assert list(inner.each("w", progress=False)) == ["w"]
            outer.connection.execute("SELECT 1")
            assert list(inner.each("x", progress=False)) == ["x"]
            outer.connection.execute("INSERT INTO made VALUES ('a')")
            with pytest.raises(PendingRows):
                next(iter(inner.each("y", progress=False)))


def test_a_forked_child_reads_and_writes_nothing(postgres: Server, tmp_path: Any) -> None:
    """What it would send is the parent's to send, so both its journal and its connection refuse."""
    text = """
        import os
        import leftoff
        from leftoff.errors import ForkedHandle
        with leftoff.open("postgresql:///") as journal:
            store, run = journal.store, journal.run("r")
            connection = run.connection
            if os.fork() == 0:
                for use in (store.runs, lambda: connection.execute("SELECT 1")):
                    try:
                        use()
                    except ForkedHandle:
                        print("refused", flush=True)
                os._exit(0)
            os.wait()
            print(store.runs(), connection.execute("SELECT 1").fetchone(), flush=True)
        """
    said = program.run(program.write(tmp_path, text)).stdout
    assert said.splitlines() == ["refused", "refused", "['r'] (1,)"]


def test_a_forked_child_that_closes_and_forgets_a_journal_closes_no_connection(postgres: Server, tmp_path: Any) -> None:
    """To close one is to send, too, and it is the parent's; one that was closed before is in nobody's way."""
    text = """
        import gc, os
        import leftoff
        import psycopg
        earlier, journal = leftoff.open("postgresql:///"), leftoff.open("postgresql:///")
        closed = earlier.store._connection
        earlier.close()
        run = journal.run("r")
        sessions = [run.connection.pgconn, journal.store._connection.pgconn]
        if os.fork() == 0:
            journal.close()
            del journal, run
            gc.collect()
            print(*(psycopg.pq.ConnStatus(session.status).name for session in sessions), flush=True)
            os._exit(0)
        os.wait()
        print(run.connection.execute("SELECT 1").fetchone(), flush=True)
        journal.close()
        """
    said = program.run(program.write(tmp_path, text))
    assert (said.stdout.splitlines(), said.stderr) == (["OK OK", "(1,)"], "")


def test_a_rollback_that_cannot_be_sent_closes_the_connection(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server undoes what it can no longer be told to, and the run goes on through another connection."""
    execute(postgres, "CREATE TABLE made (key text)")
    with leftoff.open(postgres.url) as journal:
        owner = journal.run("r").own()
        owner.begin()
        lost = owner.connection
        lost.execute("INSERT INTO made VALUES ('a')")
        execute(postgres, f"SELECT pg_terminate_backend({lost.info.backend_pid}, 10000)")
        owner.abandon()
        assert lost.closed
        owner.begin()
        owner.connection.execute("INSERT INTO made VALUES ('b')")
        owner.commit([Draft("done", "b")])
        assert journal.run("r").reader().execute("SELECT key FROM made").fetchall() == [("b",)]
