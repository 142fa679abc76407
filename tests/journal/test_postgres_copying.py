"""A journal that is made whole in a database: what keeps it from appearing there, so that nothing of it is left."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

import leftoff
from leftoff.errors import JournalBusy, JournalDamaged, JournalFull, JournalUnreachable, UsageError
from leftoff.journal import postgres_copying
from leftoff.journal.entry import Draft, to_datetime
from leftoff.journal.postgres_connection import Guarded
from leftoff.journal.postgres_copying import appearing_in
from leftoff.journal.postgres_server import PATIENCE
from tests.postgres import Server, settings_at_commits

KEYS = ["a", "b", "c"]


def copy(url: str) -> None:
    with appearing_in(url, "power") as making:
        entries = (leftoff.Entry(10 * seq, "r", "done", key, seq, to_datetime(0), 1) for seq, key in enumerate(KEYS, 1))
        assert making.write(entries) == len(KEYS)


def there(server: Server) -> list[str] | None:
    """Name the keys of the journal that has appeared, None where there is none."""
    with leftoff.open(server.url) as journal:
        assert journal.verify() == []
        return list(journal.run("r").keys("done")) if journal.store.exists() else None


def meddle(server: Server, trigger: str, what: str) -> None:
    """Let the database do something to each row, by a trigger such as an auditor has put on every new table."""
    with psycopg.connect(server.url, autocommit=True) as other:
        other.execute(
            f"CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {what}; RETURN NEW; END $$"
        )
        other.execute(
            "CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF to_regclass('leftoff.entry') IS NOT NULL THEN"
            f" CREATE {trigger} FOR EACH ROW EXECUTE FUNCTION public.meddle(); END IF; END $$"
        )
        other.execute(
            "CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION watch()"
        )


def unmeddle(server: Server) -> None:
    with psycopg.connect(server.url, autocommit=True) as other:
        other.execute("DROP EVENT TRIGGER watch")
        other.execute("DROP FUNCTION watch, meddle")


# -- the rows --------------------------------------------------------------------------------------------------------


def test_what_the_database_changed_on_the_way_in_does_not_appear(postgres: Server) -> None:
    """Everything is read back and checked before it is committed; the error names the entry."""
    meddle(postgres, "TRIGGER meddle BEFORE INSERT ON leftoff.entry", "IF NEW.key = 'b' THEN NEW.value := '7'; END IF")
    with pytest.raises(JournalDamaged) as told:
        copy(postgres.url)
    assert str(told.value) == (
        "entry 2: the value of entry 2 (done 'b') is not what was written; nothing was copied."
        " Look with: leftoff verify"
    )
    assert there(postgres) is None
    unmeddle(postgres)
    copy(postgres.url)
    assert there(postgres) == KEYS


# -- the lock under which journals are made --------------------------------------------------------------------------


def test_who_makes_a_journal_at_the_same_time_is_waited_for(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as that session ends without having made one, the copy goes on."""
    with psycopg.connect(postgres.url) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtext('leftoff'), 0)")
        waited: list[float] = []

        def give_up(seconds: float) -> None:
            waited.append(seconds)
            other.rollback()

        monkeypatch.setattr("leftoff.journal.postgres_copying.time.sleep", give_up)
        copy(postgres.url)
        assert waited == [0.05]
    assert there(postgres) == KEYS
    with leftoff.open(postgres.url) as journal:
        assert [entry.seq for entry in journal.entries()] == [1, 2, 3]
        (mark,) = journal.run("r").own().commit([Draft("done", "d")])
        assert mark == 5, "behind the copied ones and the owner"
    with pytest.raises(UsageError) as told:
        copy(postgres.url)
    assert str(told.value) == (
        f"{postgres.url} holds a journal already; a copy is made where there is none: name another database"
    )


def test_who_makes_a_journal_for_too_long_is_named_as_the_reason(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait has an end, and nothing was written until then."""
    monkeypatch.setattr("leftoff.journal.postgres_copying.PATIENCE", 0.0)
    with psycopg.connect(postgres.url) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtext('leftoff'), 0)")
        with pytest.raises(JournalBusy) as told:
            copy(postgres.url)
        assert str(told.value) == (
            f"another process is making a journal in {postgres.url}; wait for it to end or stop it"
        )
    assert there(postgres) is None
    copy(postgres.url)
    assert there(postgres) == KEYS


# -- its commit ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "used"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")])
def test_the_commit_is_durable_where_the_server_would_not_wait_for_it(
    postgres: Server, monkeypatch: pytest.MonkeyPatch, given: str, used: str
) -> None:
    """A setting with which a power failure could take the copy is overruled; any other stays as the user has it."""
    seen = settings_at_commits(monkeypatch)
    copy(f"{postgres.url}?options=-c%20synchronous_commit%3D{given}")
    assert seen == [used]


def test_a_commit_that_the_server_refuses_names_its_reason(postgres: Server) -> None:
    """A server whose space runs out only then says so itself: nobody is sent to look for a broken connection."""
    meddle(
        postgres,
        "CONSTRAINT TRIGGER meddle AFTER INSERT ON leftoff.run DEFERRABLE INITIALLY DEFERRED",
        "RAISE 'could not extend file' USING ERRCODE = 'disk_full'",
    )
    with pytest.raises(JournalFull, match=r"no space left.*could not extend file"):
        copy(postgres.url)
    assert there(postgres) is None
    unmeddle(postgres)
    copy(postgres.url)
    assert there(postgres) == KEYS


def test_a_session_that_ends_before_its_commit_leaves_nothing(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is looked at again, through another session, before it is said that the copy is not there."""
    own, struck = Guarded.own, []

    def lost(self: Guarded, sql: str, parameters: Any = ()) -> Any:
        if sql == "COMMIT" and not struck:
            struck.append(sql)
            with psycopg.connect(postgres.url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", (self.info.backend_pid,))
        return own(self, sql, parameters)

    monkeypatch.setattr(Guarded, "own", lost)
    again: list[dict[str, Any]] = []
    connect = postgres_copying.connect
    monkeypatch.setattr(
        postgres_copying, "connect", lambda *given, **options: again.append(options) or connect(*given, **options)
    )
    with pytest.raises(JournalUnreachable) as told:
        copy(postgres.url)
    assert str(told.value) == (
        f"{postgres.url}: the connection was lost before the copy was committed; nothing of it is kept: start again"
    )
    assert (struck, again) == (["COMMIT"], [{}, {"patience": PATIENCE}])
    assert there(postgres) is None
    copy(postgres.url)
    assert there(postgres) == KEYS


def test_a_session_that_ends_behind_its_commit_has_copied_all(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose journal it is that is found then is told by its id."""
    own, struck = Guarded.own, []

    def lost(self: Guarded, sql: str, parameters: Any = ()) -> Any:
        if sql == "COMMIT" and not struck:
            struck.append(own(self, sql, parameters))
            with psycopg.connect(postgres.url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", (self.info.backend_pid,))
        return own(self, sql, parameters)

    monkeypatch.setattr(Guarded, "own", lost)
    copy(postgres.url)
    assert len(struck) == 1
    assert there(postgres) == KEYS
