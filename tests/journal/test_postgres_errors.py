"""What a PostgreSQL server refuses, loses or changes underneath, and what is said of it."""

from __future__ import annotations

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
    JournalMissing,
    JournalReadOnly,
    JournalUnreachable,
    OwnershipLost,
    UsageError,
)
from leftoff.journal import postgres_owner
from leftoff.journal.entry import Draft
from leftoff.journal.postgres_connection import Guarded
from leftoff.journal.postgres_server import _check_server, translate
from leftoff.journal.rows import Rows
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


def test_a_database_without_a_journal_is_left_as_it_is(postgres: Server) -> None:
    """Whoever only looks is told that there is none, by a URL without its password, and makes none."""
    url = postgres.url.replace("postgres@", "postgres:secret@")
    with pytest.raises(JournalMissing, match="there is no journal in postgresql://postgres") as told:
        leftoff.open(url, create=False)
    assert "secret" not in str(told.value)
    with psycopg.connect(postgres.url) as other:
        assert other.execute("SELECT to_regnamespace('leftoff')").fetchone() == (None,)


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


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.errors.QueryCanceled, JournalError),
        (psycopg.errors.ObjectInUse, JournalError),
        (psycopg.errors.OutOfMemory, JournalError),
        (psycopg.errors.AdminShutdown, JournalUnreachable),
        (psycopg.errors.ConnectionFailure, JournalUnreachable),
        (psycopg.OperationalError, JournalUnreachable),
    ],
)
def test_only_a_connection_that_was_lost_is_called_so(error: type[psycopg.Error], expected: type[JournalError]) -> None:
    """A statement that an administrator cancelled, or that had no memory, sends nobody to look at the network."""
    told = translate(error("why"), "here")
    assert type(told) is expected
    assert ("the connection was lost" in str(told)) == (expected is JournalUnreachable)


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


def test_a_schema_that_was_dropped_is_found_by_a_check(postgres: Server) -> None:
    """What cannot be checked is told as damage of the whole place, so that every check ends with a list."""
    with leftoff.open(postgres.url) as journal:
        journal.run("r").own()
        execute(postgres, "DROP SCHEMA leftoff CASCADE")
        (damage,) = journal.verify()
        assert damage.where == journal.url
        assert "dropped while it was open; put them back or start again" in damage.what


def test_a_schema_that_was_dropped_as_it_was_made_is_lost(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the first commit of the first owner and the first look at it, too."""
    take = postgres_owner.PostgresOwner._take

    def take_and_lose(self: Any, program: str | None) -> None:
        take(self, program)
        execute(postgres, "DROP SCHEMA leftoff CASCADE")

    monkeypatch.setattr(postgres_owner.PostgresOwner, "_take", take_and_lose)
    with leftoff.open(postgres.url) as journal:
        owner = journal.store.own("r")
        with pytest.raises(JournalLost, match=r"the schema leftoff of .* was dropped while it was open; start again"):
            owner.marks(["a"])


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
        with leftoff.open(postgres.url) as third:
            third.run("r").own().commit([Draft("done", "a")])
        journal.run("r").own().commit([Draft("done", "b")])


def test_tables_that_another_session_locks_are_busy(postgres: Server) -> None:
    """Where the server lets nobody wait for a lock that is said, and the journal's session stays with all it holds."""
    url = postgres.url + "?options=-c%20lock_timeout%3D50ms"
    with leftoff.open(url) as journal, psycopg.connect(postgres.url) as other:
        journal.run("r").own()
        session = journal.store._connection
        other.execute("LOCK TABLE leftoff.run")
        with pytest.raises(JournalBusy, match="too long; end it and start again"):
            journal.runs()
        other.rollback()
        assert journal.runs() == ["r"]
        assert journal.store._connection is session


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


def test_two_that_create_a_journal_at_once_make_one(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second under the lock finds the journal of the first, and begins its run in it."""
    own, others = Guarded.own, []

    def beaten(self: Guarded, sql: str, parameters: Any = ()) -> Any:
        if sql.startswith("SELECT pg_advisory_xact_lock") and not others:
            others.append(leftoff.open(postgres.url))
            others[0].run("first").own()
        return own(self, sql, parameters)

    with leftoff.open(postgres.url) as journal:
        monkeypatch.setattr(Guarded, "own", beaten)
        journal.run("second").own().commit([Draft("done", "a")])
        assert journal.runs() == others[0].runs() == ["first", "second"]
        assert journal.verify() == []
        others[0].close()


def test_an_owner_that_was_begun_anew_is_refused_and_its_successor_goes_on(postgres: Server) -> None:
    """Two loops of one process over a run: the newer one has it, the older one is told which to use."""
    with leftoff.open(postgres.url) as journal:
        store = journal.store
        older = store.own("r")
        older.commit([Draft("done", "a")])
        newer = store.own("r")
        with pytest.raises(OwnershipLost, match="the run 'r' was begun anew in this process; use the newer loop"):
            older.commit([Draft("done", "stale")])
        newer.commit([Draft("done", "b")])
        assert list(store.keys("r", "done")) == ["a", "b"]


def test_an_owner_that_was_released_takes_nothing_from_its_successor(postgres: Server) -> None:
    """Released once more it does not give the lock away that the next owner has; it says that it was closed."""
    with leftoff.open(postgres.url) as journal, leftoff.open(postgres.url) as other:
        released = journal.store.own("r")
        released.release()
        owner = journal.store.own("r")
        released.release()
        with pytest.raises(JournalBusy):
            other.store.own("r")
        with pytest.raises(JournalClosed, match="was closed; open it again"):
            released.commit([Draft("done", "stale")])
        owner.commit([Draft("done", "a")])


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
