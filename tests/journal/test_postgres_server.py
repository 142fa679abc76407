"""How a PostgreSQL server is reached, what must be found there, and what is said where it is not."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

import leftoff
from leftoff.errors import (
    DurabilityUnavailable,
    JournalBusy,
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalLost,
    JournalReadOnly,
    JournalTooNew,
    JournalUnreachable,
    NotAJournal,
    UsageError,
)
from leftoff.journal import postgres_server
from leftoff.journal.entry import Draft
from leftoff.journal.postgres_connection import Guarded
from leftoff.journal.postgres_server import _check_server, check_durability, connect, spelled_out, translate
from tests.journal.test_postgres_errors import execute
from tests.postgres import Server

# -- the URL ---------------------------------------------------------------------------------------------------------


def test_a_url_is_spelled_out_with_all_that_was_left_to_defaults(postgres: Server) -> None:
    """User, host, port and database stand in it, and a password does not."""
    expected = f"postgresql://postgres@127.0.0.1:{postgres.port}/postgres"
    assert spelled_out("postgresql:///") == spelled_out(postgres.url) == expected
    assert spelled_out(f"postgresql://postgres:secret@localhost:{postgres.port}/postgres") == (
        f"postgresql://postgres@localhost:{postgres.port}/postgres"
    )


def test_a_host_that_is_a_folder_or_one_of_several_is_spelled_out(postgres: Server) -> None:
    """It and its port are quoted as options, and lead to the same database."""
    folder, port = str(postgres.folder), postgres.port
    quoted = folder.replace("/", "%2F")
    expected = f"postgresql://postgres@/postgres?host={quoted}&port={port}"
    assert spelled_out(f"postgresql:///postgres?host={quoted}") == expected
    assert spelled_out(expected) == expected
    several = f"postgresql://postgres@127.0.0.1:{port},{quoted}:{port}/postgres"
    assert spelled_out(several) == (f"postgresql://postgres@/postgres?host=127.0.0.1%2C{quoted}&port={port}%2C{port}")


def test_a_user_and_a_database_are_quoted_where_they_must_be(postgres: Server) -> None:
    """What would end a name in a URL does not."""
    undo = ('DROP DATABASE IF EXISTS "x/y"', 'DROP ROLE IF EXISTS "me/you"')
    execute(postgres, *undo, 'CREATE ROLE "me/you" LOGIN', 'CREATE DATABASE "x/y"')
    try:
        url = f"postgresql://me%2Fyou@127.0.0.1:{postgres.port}/x%2Fy"
        assert spelled_out(url) == url
    finally:
        execute(postgres, *undo)


def test_what_is_no_url_is_shown_with_what_one_looks_like() -> None:
    """Its password is not shown."""
    with pytest.raises(UsageError) as told:
        connect(Guarded, "postgresql://me:secret@host/db?nonsense=1")
    assert str(told.value) == (
        "postgresql://me@host/db?nonsense=1 is not a URL that PostgreSQL understands: postgresql://user@host:5432/name"
    )


# -- reaching it -----------------------------------------------------------------------------------------------------


class Absent:
    """A kind of connection whose server does not answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def connect(self, url: str, **options: Any) -> Any:
        self.asked.append((url, options))
        raise psycopg.OperationalError("no  answer\nat all")


def reach(monkeypatch: pytest.MonkeyPatch, url: str, **options: Any) -> tuple[Absent, list[float], str]:
    """Try to reach a server that is away, with a clock that each wait moves by a quarter of a second."""
    absent, waited = Absent(), list[float]()
    clock = SimpleNamespace(monotonic=lambda: 100 + len(waited) / 4, sleep=waited.append)
    monkeypatch.setattr(postgres_server, "time", clock)
    with pytest.raises(JournalUnreachable) as told:
        connect(absent, url, **options)
    monkeypatch.undo()
    return absent, waited, str(told.value)


def test_a_server_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead peer is noticed within minutes by default; the error says what is kept and what to do."""
    absent, waited, told = reach(monkeypatch, "postgresql://me:secret@host/db")
    ((url, options),) = absent.asked
    assert url == "postgresql://me:secret@host/db"
    assert options == {
        "autocommit": True, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
        "tcp_user_timeout": 60_000, "connect_timeout": 10,
    }  # fmt: skip
    assert waited == []
    assert told == (
        "postgresql://me@host/db: the server cannot be reached (no answer at all); everything committed is kept there:"
        " see that it runs, and start again"
    )


def test_what_a_url_says_of_the_network_goes_before_our_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection takes it from the URL; how long to wait for one is handed on."""
    absent, _, _ = reach(monkeypatch, "postgresql://host/db?keepalives_idle=7&connect_timeout=2&tcp_user_timeout=5")
    ((_, options),) = absent.asked
    assert options == {"autocommit": True, "keepalives_interval": 10, "keepalives_count": 3, "connect_timeout": "2"}


def test_a_server_that_does_not_answer_is_asked_again_until_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times a second, and not once more when the time is over."""
    absent, waited, _ = reach(monkeypatch, "postgresql://host/db", patience=0.5)
    assert (len(absent.asked), waited) == (3, [0.1, 0.1])


@pytest.mark.parametrize("reading", [None, False, True])
def test_a_connection_is_prepared_for_its_use(postgres: Server, reading: bool | None) -> None:
    """In autocommit, with what keeps it alive; one for reading cannot write, and asks through the indexes."""
    connection = connect(Guarded, postgres.url, **({} if reading is None else {"reading": reading}))
    settings = ("idle_session_timeout", "default_transaction_read_only", "enable_seqscan", "statement_timeout")
    found = [connection.own(f"SHOW {name}").fetchone() for name in settings]
    assert connection.autocommit
    assert found == [("0",), ("on" if reading else "off",), ("off" if reading else "on",), ("0",)]
    connection.close_for_good()


# -- what it is ------------------------------------------------------------------------------------------------------

POOLER = (
    " leads to a pooler (such as pgbouncer), which may give each transaction another connection; a lock on a run"
    " belongs to one: name the server itself"
)


@pytest.mark.parametrize(
    ("encoding", "direct", "said"),
    [
        (
            "UTF8",
            False,
            POOLER,
        ),
        ("LATIN1", True, ": the database is encoded in LATIN1; make one with ENCODING 'UTF8'"),
    ],
    ids=["pooler", "encoding"],
)
def test_a_server_that_cannot_be_used_is_told_why(encoding: str, direct: bool, said: str) -> None:
    """Nothing is wrong with a direct connection to a database in UTF-8."""
    _check_server("here", "UTF8", direct=True)
    with pytest.raises(UsageError) as told:
        _check_server("here", encoding, direct=direct)
    assert str(told.value) == f"here{said}"


@pytest.mark.parametrize("missing", ["fsync", "full_page_writes"])
def test_a_setting_that_a_power_failure_needs_is_named(missing: str) -> None:
    """Each of the two is asked for, and neither where only the process may end."""

    def fetch(sql: str, _: Any) -> list[tuple[Any, ...]]:
        return [("off" if sql == f"SHOW {missing}" else "on",)]

    with pytest.raises(DurabilityUnavailable) as told:
        check_durability(fetch, "here", "power")
    assert str(told.value) == (
        f"here: the server runs with {missing}=off, so that a power failure may take what was committed;"
        f" set {missing}=on, or ask for durability='process'"
    )
    check_durability(fetch, "here", "process")
    check_durability(lambda *_: [("on",)], "here", "power")


REFUSED = "here: the database refused (why not); nothing of it was written"
LOST = "here: the connection was lost (why not); everything committed is kept: start again"


@pytest.mark.parametrize(
    ("error", "expected", "said"),
    [
        (psycopg.errors.DivisionByZero, JournalError, REFUSED),
        (psycopg.errors.QueryCanceled, JournalError, REFUSED),
        (psycopg.InterfaceError, JournalError, REFUSED),
        (psycopg.DataError, JournalError, REFUSED),
        (psycopg.errors.ConnectionFailure, JournalUnreachable, LOST),
        (psycopg.errors.CrashShutdown, JournalUnreachable, LOST),
        (psycopg.OperationalError, JournalUnreachable, LOST),
        (
            psycopg.errors.DiskFull,
            JournalFull,
            "here: the server has no space left; everything committed before is intact (why not)",
        ),
        (
            psycopg.errors.InsufficientPrivilege,
            JournalReadOnly,
            "here: this user may not write the schema leftoff; grant it, or use another user (why not)",
        ),
        (
            psycopg.errors.ReadOnlySqlTransaction,
            JournalReadOnly,
            "here: this server can only be read; name the one that can be written (why not)",
        ),
        (
            psycopg.errors.LockNotAvailable,
            JournalBusy,
            "here: another session holds the run's row for too long; end it and start again (why not)",
        ),
        (psycopg.errors.DataCorrupted, JournalDamaged, "here: the database is damaged; restore a copy (why not)"),
        (
            psycopg.errors.UndefinedTable,
            JournalLost,
            "here: the journal's tables were dropped while it was open; put them back or start again (why not)",
        ),
        (
            psycopg.errors.InvalidSchemaName,
            JournalLost,
            "here: the schema leftoff was dropped while it was open; put it back or start again (why not)",
        ),
        (
            ValueError,
            JournalDamaged,
            "here: ValueError: why\n  not; nothing was changed. Restore a copy, or look with: leftoff verify here",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_an_error_from_below_means_is_said(error: type[Exception], expected: type[Exception], said: str) -> None:
    """With the place before it and, in one line, what the server said."""
    told = translate(error("why\n  not"), "here")
    assert (type(told), str(told)) == (expected, said)


# -- the schema ------------------------------------------------------------------------------------------------------


def test_a_new_journal_has_an_id_a_time_and_its_indexes(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is that of Greenwich, wherever the program runs."""
    monkeypatch.setenv("TZ", "Etc/GMT+5")
    time.tzset()
    try:
        begin = time.gmtime()
        with leftoff.open(postgres.url) as journal:
            journal.run("r").own()
        end = time.gmtime()
    finally:
        monkeypatch.undo()
        time.tzset()
    with psycopg.connect(postgres.url) as other:
        ((version, journal_id, created),) = other.execute("SELECT format, id, created FROM leftoff.journal").fetchall()
        indexes = other.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'leftoff' ORDER BY 1").fetchall()
    assert version == 1
    assert re.fullmatch("[0-9a-f]{16}", journal_id)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created)
    assert begin <= time.struct_time((*time.strptime(created, "%Y-%m-%dT%H:%M:%SZ")[:8], 0)) <= end
    assert [name for (name,) in indexes] == ["entry_pkey", "fate", "named", "run_name_key", "run_pkey"]


def test_a_schema_that_was_made_for_a_user_who_may_make_none_is_filled(postgres: Server) -> None:
    """An administrator gives it; the tables are the user's to create."""
    execute(
        postgres, "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN", "CREATE SCHEMA leftoff AUTHORIZATION guest"
    )
    try:
        with leftoff.open(postgres.url.replace("postgres@", "guest@")) as journal:
            journal.run("r").own().commit([Draft("done", "a")])
            assert list(journal.run("r").keys("done")) == ["a"]
    finally:
        execute(postgres, "DROP SCHEMA leftoff CASCADE", "DROP ROLE guest")


NOT_OURS = ": the tables of the schema leftoff are not those that leftoff creates; nothing was changed"
HEADER = (
    ": the journal's header is not what was written; nothing was changed. Restore a copy, or look with: leftoff verify"
)


@pytest.mark.parametrize(
    ("statement", "expected", "said"),
    [
        ("DROP TABLE leftoff.journal", NotAJournal, NOT_OURS),
        ("ALTER TABLE leftoff.entry ADD COLUMN more text", JournalDamaged, NOT_OURS),
        ("ALTER TABLE leftoff.entry ENABLE ROW LEVEL SECURITY", JournalDamaged, NOT_OURS),
        ("CREATE RULE spy AS ON INSERT TO leftoff.entry DO ALSO NOTHING", JournalDamaged, NOT_OURS),
        (
            "UPDATE leftoff.journal SET format = 2",
            JournalTooNew,
            " was written in format 2; this release reads up to 1: upgrade leftoff. The database is untouched",
        ),
        ("UPDATE leftoff.journal SET created = 'x'", JournalDamaged, HEADER),
        ("INSERT INTO leftoff.journal SELECT * FROM leftoff.journal", JournalDamaged, HEADER),
        ("DELETE FROM leftoff.journal", JournalDamaged, HEADER),
    ],
)
def test_tables_that_leftoff_did_not_make_are_refused(
    postgres: Server, statement: str, expected: type[Exception], said: str
) -> None:
    """A newer release's are told from somebody else's, and a changed header from both."""
    with leftoff.open(postgres.url) as journal:
        journal.run("r").own()
    execute(postgres, statement)
    with pytest.raises(JournalError) as told:
        leftoff.open(postgres.url)
    assert type(told.value) is expected
    assert str(told.value) == f"{postgres.url}{said}" + (f" {postgres.url}" if said == HEADER else "")
