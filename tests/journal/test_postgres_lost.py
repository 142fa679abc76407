"""What an owner on PostgreSQL still has when its sessions with the server end, and what it is told if nothing.

That nothing is lost or done twice, wherever a session is cut, is counted in tests/crash/test_postgres.py.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

import leftoff
from leftoff.errors import JournalBusy, JournalDamaged, JournalUnreachable, OwnershipLost
from leftoff.journal.entry import Draft
from leftoff.journal.postgres_connection import Guarded
from leftoff.testing.cutting import CuttingProxy
from tests.postgres import Server


def end(server: Server, *sessions: psycopg.Connection[Any]) -> None:
    """End some sessions as an administrator may, all of the clients where none is named; they are gone on return."""
    which = "pid = ANY(%s)" if sessions else "pid <> ALL(%s) AND backend_type = 'client backend'"
    with psycopg.connect(server.url, autocommit=True) as other:
        pids = [session.info.backend_pid for session in sessions] or [other.info.backend_pid]
        other.execute(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {which}", (pids,))


# -- the lock of a run -----------------------------------------------------------------------------------------------


def test_a_lock_that_the_server_keeps_for_a_lost_session_is_waited_for(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may notice the end of a session later than its client; as soon as it does the run is held again."""
    with leftoff.open(postgres.url) as journal, psycopg.connect(postgres.url, autocommit=True) as ghost:
        store = journal.store
        owner = store.own("r")
        end(postgres, store._connection)
        ghost.execute("SELECT pg_advisory_lock(hashtext('leftoff'), 1)")
        waited: list[float] = []

        def notice(seconds: float) -> None:
            waited.append(seconds)
            ghost.execute("SELECT pg_advisory_unlock_all()")

        monkeypatch.setattr("leftoff.journal.postgres.time.sleep", notice)
        assert store.runs() == ["r"]
        monkeypatch.undo()
        assert waited == [0.05]
        owner.commit([Draft("done", "a")])
        with leftoff.open(postgres.url) as other, pytest.raises(JournalBusy):
            other.store.own("r")


def test_a_lock_that_never_falls_again_ends_the_owner(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever it is that has the lock, the run is theirs then; nothing is written without it."""
    monkeypatch.setattr("leftoff.journal.postgres.PATIENCE", 0.0)
    with leftoff.open(postgres.url) as journal, psycopg.connect(postgres.url, autocommit=True) as somebody:
        owner = journal.store.own("r")
        end(postgres, journal.store._connection)
        somebody.execute("SELECT pg_advisory_lock(hashtext('leftoff'), 1)")
        assert journal.runs() == ["r"]
        with pytest.raises(OwnershipLost) as told:
            owner.commit([Draft("done", "a")])
        assert str(told.value) == f"the run 'r' of {postgres.url} was taken over by another process"
        assert list(journal.run("r").keys("done")) == []


def test_a_run_that_was_lost_is_not_held_again(postgres: Server) -> None:
    """Once its owner was told, a lost run is free for others, however often the journal's session is opened anew."""
    with leftoff.open(postgres.url) as journal:
        store = journal.store
        kept, lost = store.own("kept"), store.own("lost")
        end(postgres)
        with leftoff.open(postgres.url) as other:
            other.store.own("lost")
            with pytest.raises(OwnershipLost, match=r"the run 'lost' of .* was taken over by another process"):
                lost.commit([Draft("done", "a")])
        end(postgres, store._connection)
        kept.commit([Draft("done", "a")])
        assert store.runs() == ["kept", "lost"]
        with leftoff.open(postgres.url) as other:
            other.store.own("lost").commit([Draft("done", "b")])
            with pytest.raises(JournalBusy, match="the run 'kept'"):
                other.store.own("kept")


def test_an_owner_whose_successor_has_finished_already_is_refused(postgres: Server) -> None:
    """The lock is free again, but the run has gone on: nothing is written over it, and the next may own it."""
    with leftoff.open(postgres.url) as journal:
        owner = journal.store.own("r")
        owner.commit([Draft("done", "a")])
        end(postgres)
        with leftoff.open(postgres.url) as other:
            other.store.own("r").commit([Draft("done", "b")])
        for _ in range(2):
            with pytest.raises(OwnershipLost, match="nothing of this commit was written"):
                owner.commit([Draft("done", "stale")])
        with leftoff.open(postgres.url) as other:
            other.store.own("r").commit([Draft("done", "c")])
        assert list(journal.run("r").keys("done")) == ["a", "b", "c"]


def test_an_owner_that_only_its_epoch_refuses_leaves_the_run_to_others(postgres: Server) -> None:
    """The lock fell with a session that the commit does not need; once that is told, it is never taken again."""
    with leftoff.open(postgres.url) as journal:
        owner = journal.store.own("r")
        end(postgres, journal.store._connection)
        with leftoff.open(postgres.url) as other:
            other.store.own("r").commit([Draft("done", "a")])
        for _ in range(2):
            with pytest.raises(OwnershipLost, match="nothing of this commit was written"):
                owner.commit([Draft("done", "stale")])
        assert journal.runs() == ["r"]
        with leftoff.open(postgres.url) as other:
            other.store.own("r").commit([Draft("done", "b")])
        assert list(journal.run("r").keys("done")) == ["a", "b"]


# -- what is found behind a lost session -----------------------------------------------------------------------------


def test_a_run_that_was_set_back_meanwhile_is_damage(postgres: Server) -> None:
    """A server that came back as an older copy of itself is not written to: what the owner did is not there."""
    with leftoff.open(postgres.url) as journal:
        owner = journal.store.own("r")
        owner.commit([Draft("done", "a")])
        with psycopg.connect(postgres.url, autocommit=True) as other:
            for table in ("run", "entry"):
                other.execute(f"CREATE TABLE {table} AS SELECT * FROM leftoff.{table}")
            owner.commit([Draft("done", "b")])
            for table in ("run", "entry"):
                other.execute(f"DELETE FROM leftoff.{table}")
                other.execute(f"INSERT INTO leftoff.{table} SELECT * FROM {table}")
        end(postgres)
        for _ in range(2):
            with pytest.raises(JournalDamaged, match="the head of the run 'r' is not where its owner left it"):
                owner.commit([Draft("done", "c")])
        assert list(journal.run("r").keys("done")) == ["a"]
        assert journal.verify() == []


def test_an_owner_whose_server_stays_away_is_told_so(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed is there when the server is; until then the owner refuses, and its journal closes at once."""
    monkeypatch.setattr("leftoff.journal.postgres.PATIENCE", 0.0)
    with CuttingProxy(("127.0.0.1", postgres.port)) as proxy:
        journal = leftoff.open(postgres.url.replace(str(postgres.port), str(proxy.port)))
        owner = journal.store.own("r")
        owner.commit([Draft("done", "a")])
    for _ in range(2):
        with pytest.raises(JournalUnreachable, match="everything committed is kept there: see that it runs"):
            owner.commit([Draft("done", "b")])
    journal.close()
    with leftoff.open(postgres.url) as journal:
        journal.store.own("r").commit([Draft("done", "c")])
        assert list(journal.run("r").keys("done")) == ["a", "c"]


def test_a_check_whose_session_is_lost_begins_anew(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read at two instants, with a commit between them, is not called damage: all is read again at one."""
    own, struck = Guarded.own, []

    def lost(self: Guarded, sql: str, parameters: Any = ()) -> Any:
        if not struck and "length(value)" in sql:
            struck.append(sql)
            end(postgres, self)
            owner.commit([Draft("done", "b")])
        return own(self, sql, parameters)

    with leftoff.open(postgres.url) as writer, leftoff.open(postgres.url) as journal:
        owner = writer.store.own("r")
        owner.commit([Draft("done", "a")])
        monkeypatch.setattr(Guarded, "own", lost)
        assert journal.verify() == []
        assert struck


# -- the item in hand ------------------------------------------------------------------------------------------------


def test_an_item_whose_session_ended_in_a_with_block_is_not_done(postgres: Server) -> None:
    """The block lets its error out as it is; an item that goes on nevertheless is refused, and worked on again."""
    with leftoff.open(postgres.url) as journal:
        run = journal.run("r")
        run.connection.execute("CREATE TABLE made (key text)")
        with pytest.raises(JournalUnreachable, match="nothing of it is kept, and the item will be worked on again"):
            for _ in run.each("a", progress=False):
                with pytest.raises(psycopg.OperationalError), run.connection as connection:
                    connection.execute("INSERT INTO made VALUES ('lost')")
                    end(postgres, connection)
                    connection.execute("INSERT INTO made VALUES ('never sent')")
        assert list(run.keys("done")) == []
        for key in run.each("a", progress=False):
            run.connection.execute("INSERT INTO made VALUES (%s)", (key,))
        assert run.reader().execute("SELECT key FROM made").fetchall() == [("a",)]
