"""What is particular to the user's connection to PostgreSQL, and to the server that it leads to."""

from __future__ import annotations

import psycopg
import pytest

import leftoff
from leftoff.errors import (
    DurabilityUnavailable,
    JournalDamaged,
    JournalTooNew,
    NotAJournal,
    TransactionEnded,
    UsageError,
)
from leftoff.journal.entry import Draft
from leftoff.journal.postgres_connection import refusal_of
from tests.postgres import Server

ENDING = [
    "COMMIT", "commit work", "end", "ABORT", "rollback", "ROLLBACK AND CHAIN", "BEGIN", "start transaction",
    "PREPARE TRANSACTION 'x'", "SELECT 1; COMMIT", "/* a */ commit", "/* /* a */ b */ commit", "-- a\ncommit",
    "SELECT 'it''s; fine'; COMMIT", "SELECT $a$ ; $a$; end", "discard all", "rollback prepared 'x'", ";;commit",
]  # fmt: skip
PLAIN = [
    "SELECT 'COMMIT; COMMIT'", "SAVEPOINT a", "ROLLBACK TO a", "rollback work to savepoint a", "RELEASE a",
    "SELECT 1 -- ; commit",
    "SELECT $x$ ; COMMIT $x$", "UPDATE t SET a = 1", "SELECT * FROM leftoff.entry",
    "/* ; commit */ SELECT 1", "PREPARE p AS SELECT 1", "(SELECT seq FROM leftoff.entry)", "",
]  # fmt: skip


@pytest.mark.parametrize("sql", ENDING)
def test_what_would_end_the_items_transaction_is_refused(sql: str) -> None:
    """Wherever in a text of several statements it stands, and however it is commented."""
    refusal = refusal_of(sql)
    assert refusal is not None
    assert "leftoff commits what the item wrote" in refusal


@pytest.mark.parametrize("sql", PLAIN)
def test_what_only_looks_like_it_is_let_in(sql: str) -> None:
    """Words in quotes and comments, and savepoints, are the user's."""
    assert refusal_of(sql) is None


@pytest.mark.parametrize(
    "sql", ["DELETE FROM leftoff.entry", 'update "leftoff"."run" set seq = 1', "TRUNCATE leftoff.seq"]
)
def test_the_journals_own_tables_are_not_written_by_a_user(sql: str) -> None:
    """Only leftoff writes them."""
    assert "the journal's own" in str(refusal_of(sql))


def test_rows_of_an_item_commit_with_its_entry_and_a_rollback_takes_them_back(postgres: Server) -> None:
    """Another connection sees an item's rows once the item is done; what was rolled back is not among them."""
    with leftoff.open(postgres.url) as journal, psycopg.connect(postgres.url, autocommit=True) as other:
        run = journal.run("r")
        run.connection.execute("CREATE TABLE made (key text)")
        seen = []
        for key in run.each("abc", progress=False):
            connection = run.connection
            connection.execute("INSERT INTO made VALUES ('taken back')")
            connection.rollback()
            with connection.transaction():
                connection.cursor().executemany("INSERT INTO made VALUES (%s)", [(key,)])
            with pytest.raises(ZeroDivisionError), connection.transaction():
                connection.execute("INSERT INTO made VALUES ('undone')")
                raise ZeroDivisionError
            connection.commit()
            seen.append(other.execute("SELECT key FROM made ORDER BY key").fetchall())
        assert seen == [[], [("a",)], [("a",), ("b",)]]
        assert other.execute("SELECT count(*) FROM made").fetchone() == (3,)


def test_an_item_that_went_on_behind_a_failed_statement_is_refused(postgres: Server) -> None:
    """PostgreSQL has given up what it wrote, so it is not done."""
    with leftoff.open(postgres.url) as journal:
        run = journal.run("r")
        with pytest.raises(TransactionEnded, match="given up all that it wrote"):
            for _ in run.each("a", progress=False):
                with pytest.raises(psycopg.Error):
                    run.connection.execute("SELECT 1/0")
        assert list(run.keys("done")) == []


def test_what_would_go_around_the_item_is_refused(postgres: Server) -> None:
    """A pipeline, two-phase commits, autocommit, close, and a transaction outside an item."""
    with leftoff.open(postgres.url) as journal:
        connection = journal.run("r").connection
        for use in (
            connection.close, connection.pipeline, lambda: connection.set_autocommit(False),
            lambda: connection.tpc_begin("x"), lambda: connection.execute("BEGIN"),
            lambda: connection.transaction().__enter__(),
        ):  # fmt: skip
            with pytest.raises(UsageError):
                use()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            journal.run("r").reader().execute("CREATE TABLE t (a int)")


def test_a_changed_row_is_found(postgres: Server) -> None:
    """A key, a value and a head that were changed behind our back are each an error that names the place."""
    for change in (
        "UPDATE leftoff.entry SET key = 'x' WHERE key = 'a'", "UPDATE leftoff.entry SET value = '2' WHERE key = 'a'",
        "DELETE FROM leftoff.entry WHERE key = 'a'", "UPDATE leftoff.run SET done = 5",
    ):  # fmt: skip
        postgres.clean()
        with leftoff.open(postgres.url) as journal:
            owner = journal.run("r").own()
            owner.commit([Draft("done", "a", "1")])
            owner.commit([Draft("done", "b")])
            assert journal.verify() == []
            with psycopg.connect(postgres.url, autocommit=True) as other:
                other.execute(change)
            assert journal.verify() != [], change


def test_a_newer_format_and_tables_of_somebody_else_are_refused_untouched(postgres: Server) -> None:
    """They are named; nothing is written."""
    with psycopg.connect(postgres.url, autocommit=True) as other:
        other.execute("CREATE SCHEMA leftoff; CREATE TABLE leftoff.run (a int)")
        with pytest.raises(NotAJournal):
            leftoff.open(postgres.url)
        postgres.clean()
    with leftoff.open(postgres.url) as journal:
        journal.run("r").own()
    with psycopg.connect(postgres.url, autocommit=True) as other:
        other.execute("UPDATE leftoff.journal SET format = 2")
        with pytest.raises(JournalTooNew):
            leftoff.open(postgres.url)
        other.execute("UPDATE leftoff.journal SET format = 1, created = 'x'")
        with pytest.raises(JournalDamaged):
            leftoff.open(postgres.url)


def test_a_server_without_full_pages_gives_no_power(postgres: Server) -> None:
    """What a power failure could take is not called durable; for the death of processes the server does."""
    with psycopg.connect(postgres.url, autocommit=True) as other:
        try:
            other.execute("ALTER SYSTEM SET full_page_writes = off")
            other.execute("SELECT pg_reload_conf()")
            while other.execute("SHOW full_page_writes").fetchone() == ("on",):
                pass
            with pytest.raises(DurabilityUnavailable, match="full_page_writes=off"):
                leftoff.open(postgres.url)
            leftoff.open(postgres.url, durability="process").close()
        finally:
            other.execute("ALTER SYSTEM RESET full_page_writes")
            other.execute("SELECT pg_reload_conf()")
            while other.execute("SHOW full_page_writes").fetchone() == ("off",):
                pass
