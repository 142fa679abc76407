"""What a PostgreSQL server refuses, loses or changes underneath, and what is said of it."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

import leftoff
from leftoff.errors import (
    JournalBusy,
    JournalClosed,
    JournalDamaged,
    JournalError,
    JournalLost,
    JournalReadOnly,
    OwnershipLost,
    PendingRows,
    TransactionEnded,
    UsageError,
    WrongThread,
)
from leftoff.journal import postgres_owner
from leftoff.journal.entry import Draft
from leftoff.journal.postgres_server import _check_server, translate
from leftoff.journal.rows import Rows
from tests.contract import program
from tests.postgres import Server


def execute(server: Server, *statements: str) -> None:
    """Do something as another program."""
    with psycopg.connect(server.url, autocommit=True) as other:
        for statement in statements:
            other.execute(statement)


# -- the server ------------------------------------------------------------------------------------------------------


def test_a_pooler_is_refused():
    """The lock of a run belongs to one session, which a pooler does not give."""
    with pytest.raises(UsageError, match="leads to a pooler"):
        _check_server("postgresql://host/db", "UTF8", direct=False)


def test_a_database_that_is_not_in_utf8_is_refused(postgres: Server) -> None:
    """Sums are of UTF-8 texts; the error says how to make a database for them."""
    execute(
        postgres,
        "DROP DATABASE IF EXISTS plain",
        "CREATE DATABASE plain ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    try:
        with pytest.raises(UsageError, match="encoded in SQL_ASCII; make one with ENCODING 'UTF8'"):
            leftoff.open(postgres.url.rpartition("/")[0] + "/plain")
    finally:
        execute(postgres, "DROP DATABASE plain")


def test_another_server_behind_the_name_is_no_damage(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a lost connection leads to a database that cannot be used, that is said, and not that rows are damaged."""
    execute(
        postgres,
        "DROP DATABASE IF EXISTS plain",
        "CREATE DATABASE plain ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    try:
        with leftoff.open("postgresql:///") as journal:
            journal.run("r").own().commit([Draft("done", "a")])
            monkeypatch.setenv("PGDATABASE", "plain")
            execute(postgres, f"SELECT pg_terminate_backend({journal.store._connection.pgconn.backend_pid}, 10000)")
            with pytest.raises(UsageError, match="encoded in SQL_ASCII; make one with ENCODING 'UTF8'"):
                journal.store.counts("r")
    finally:
        execute(postgres, "DROP DATABASE plain")


@pytest.mark.parametrize("way", ["guest", "read-only"])
def test_who_may_not_write_is_told_so(postgres: Server, way: str) -> None:
    """Another user, or a server that can only be read, gets a name and what to do."""
    with leftoff.open(postgres.url) as journal:
        journal.run("r").own().commit([Draft("done", "a")])
    execute(postgres, "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    url = postgres.url + "?options=-c%20default_transaction_read_only%3Don"
    if way == "guest":
        url = postgres.url.replace("postgres@", "guest@")
    try:
        said = "grant it" if way == "guest" else "can only be read"
        with pytest.raises(JournalReadOnly, match=said), leftoff.open(url) as journal:
            journal.run("r").own()
    finally:
        execute(postgres, "DROP ROLE guest")


def test_other_errors_from_below_are_errors_of_ours():
    """What the server refuses without a name of ours wrote nothing; what Python cannot read is damage."""
    refused = translate(psycopg.errors.DivisionByZero("division by zero"), "here")
    assert (type(refused), "nothing of it was written" in str(refused)) == (JournalError, True)
    assert type(translate(UnicodeDecodeError("utf-8", b"x", 0, 1, "odd"), "here")) is JournalDamaged


def test_a_schema_that_was_dropped_is_lost(postgres: Server) -> None:
    """The next commit raises, and the owner refuses what follows."""
    with leftoff.open(postgres.url) as journal:
        owner = journal.run("r").own()
        owner.commit([Draft("started", "a")])
        execute(postgres, "DROP SCHEMA leftoff CASCADE")
        for _ in range(2):
            with pytest.raises(JournalLost, match="dropped while it was open"):
                owner.commit([Draft("done", "a")])
        with pytest.raises(JournalLost):
            owner.mark("a")
        with pytest.raises(JournalLost):
            _ = owner.connection
        owner.abandon()


def test_a_run_whose_row_is_held_for_too_long_is_busy(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another session that keeps the row locked is waited for, but not for ever; then the run's lock is given back."""
    with leftoff.open(postgres.url) as journal:
        journal.run("r").own()
    with leftoff.open(postgres.url) as journal, psycopg.connect(postgres.url) as other:
        begin = postgres_owner.PostgresOwner._begin

        def impatient(self: Any) -> None:
            begin(self)
            self._connection.own("SET LOCAL lock_timeout = '50ms'")

        monkeypatch.setattr(postgres_owner.PostgresOwner, "_begin", impatient)
        other.execute("SELECT 1 FROM leftoff.run FOR UPDATE")
        with pytest.raises(JournalBusy, match="holds the run's row for too long"):
            journal.run("r").own()
        other.rollback()
        journal.run("r").own().commit([Draft("done", "a")])


def test_two_that_create_a_run_at_once_make_one(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second under the lock takes over what the first has made."""
    with leftoff.open(postgres.url) as journal:
        journal.run("r").own().commit([Draft("done", "a")])
    look, looks = Rows.run, []
    with leftoff.open(postgres.url) as journal:
        store = journal.store
        monkeypatch.setattr(Rows, "run", lambda self, name: look(self, name) if looks else looks.append(name))
        owner = store.own("r")
        assert looks == ["r"]
        assert (owner.epoch, owner.mark("a") > 0) == (2, True)
        assert store.runs() == ["r"]


def test_a_run_that_was_deleted_is_gone(postgres: Server) -> None:
    """An owner that must take its run over again after a lost connection says that it is not there."""
    with leftoff.open(postgres.url) as journal:
        owner = journal.run("r").own()
        pid = owner.connection.info.backend_pid
        execute(postgres, "DELETE FROM leftoff.run", f"SELECT pg_terminate_backend({pid}, 10000)")
        with pytest.raises(OwnershipLost, match="is gone; start again"):
            owner.commit([Draft("done", "a")])


def test_what_a_run_concluded_is_looked_up_once_it_is_much(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fates are remembered while they are few, asked for when they are not, and checked when they are read."""
    monkeypatch.setattr(postgres_owner, "_REMEMBERED", 3)
    with leftoff.open(postgres.url) as journal:
        owner = journal.run("r").own()
        marks = [owner.commit([Draft("done", key)])[0] for key in "abcde"]
        assert [owner.mark(key) for key in "abcdef"] == [*marks, 0]
        execute(postgres, "UPDATE leftoff.entry SET at = at + 1 WHERE key = 'c'")
        with pytest.raises(JournalDamaged, match="about 'c'"):
            owner.mark("c")


def test_a_closed_journal_asks_nothing(postgres: Server) -> None:
    """Reading after the end is an error, not an empty answer."""
    journal = leftoff.open(postgres.url)
    store = journal.store
    journal.close()
    for use in (store.runs, lambda: store.fetch("SELECT 1")):
        with pytest.raises(JournalClosed):
            use()


# -- the user's connection -------------------------------------------------------------------------------------------


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
