"""What a journal in PostgreSQL answers, which session it asks through, and who has the lock of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import leftoff
from leftoff.errors import ForkedHandle, JournalBusy, JournalClosed, JournalDamaged, JournalLost, JournalMissing
from leftoff.journal import postgres as postgres_module
from leftoff.journal.entry import Draft
from leftoff.journal.postgres import PostgresStore
from leftoff.journal.postgres_connection import Connection, Guarded
from leftoff.journal.postgres_server import PATIENCE, connect
from leftoff.journal.store import Damage, values_of
from tests.journal.test_postgres_errors import execute
from tests.journal.test_postgres_lost import end
from tests.postgres import Server


@pytest.fixture
def store(postgres: Server) -> Iterator[PostgresStore]:
    opened = PostgresStore(postgres.url)
    yield opened
    opened.close()


# -- answers ---------------------------------------------------------------------------------------------------------


def test_a_database_without_a_journal_answers_nothing(store: PostgresStore) -> None:
    """It is not created by asking."""
    assert (store.exists(), store.runs(), store.length(), store.size(), store.torn()) == (False, [], 0, 0, 0)
    assert (store.counts("r"), values_of(store, "r", ["a", "b"]), store.open_items("r")) == ((0, 0), [None, None], {})
    assert (store.newest("r"), store.latest("r", "owner"), store.head("r"), store.holder("r")) == (None,) * 4
    assert (list(store.entries()), list(store.keys("r", "done")), list(store.verify())) == ([], [], [])
    with pytest.raises(JournalLost) as told:
        store.rows()
    assert str(told.value) == f"the schema leftoff of {store.url} was dropped while it was open; start again"
    with pytest.raises(JournalMissing) as missing:
        store.require()
    assert str(missing.value) == f"there is no journal in {store.url}"


def test_each_run_is_answered_for_by_itself(store: PostgresStore, postgres: Server) -> None:
    """Entries in order over all runs, the newest of each, its keys by their fate, its head, its holder, its program."""
    first, second = store.own("first", "program.py"), store.own("second")
    (done,) = first.commit([Draft("done", "a", "1")])
    (dead,) = second.commit([Draft("dead", "b", '"why"')])
    first.commit([Draft("cursor", "since", "2")])
    second.commit([Draft("done", "c")])
    entries = list(store.entries())
    assert [entry.seq for entry in entries] == sorted({entry.seq for entry in entries})
    of_first = [entry for entry in entries if entry.run == "first"]
    of_second = [entry for entry in entries if entry.run == "second"]
    assert [(entry.kind, entry.key) for entry in of_first] == [
        ("created", ""), ("owner", ""), ("done", "a"), ("cursor", "since"),
    ]  # fmt: skip
    assert [(entry.kind, entry.key) for entry in of_second] == [
        ("created", ""), ("owner", ""), ("dead", "b"), ("done", "c"),
    ]  # fmt: skip
    assert (of_first[0].value["program"], of_second[0].value["program"]) == ("program.py", None)
    assert (of_first[2].seq, of_second[2].seq) == (done, -dead)
    assert (list(store.entries("first", done)), list(store.entries("second"))) == (of_first[3:], of_second)
    assert list(store.entries(after=-dead)) == [entry for entry in entries if entry.seq > -dead]
    assert (store.newest("first"), store.newest("second"), store.newest("third")) == (of_first[3], of_second[3], None)
    assert (store.latest("first", "owner"), store.latest("first", "cursor", "since")) == (of_first[1], of_first[3])
    assert (list(store.keys("second", "done")), list(store.keys("second", "dead"))) == (["c"], ["b"])
    assert (store.counts("second"), store.length(), store.torn()) == ((1, 1), 8, 0)
    assert store.size() > 8192
    with psycopg.connect(postgres.url) as other:
        ((journal_id,),) = other.execute("SELECT id FROM leftoff.journal").fetchall()
        heads = dict(other.execute("SELECT run, sum FROM leftoff.run").fetchall())
    assert store.head("first") == (journal_id, of_first[3].seq, heads[1])
    assert store.head("third") is None
    assert store.holder("first") == of_first[1].value
    first.release()
    assert (store.holder("first"), store.holder("second") is None) == (None, False)


def test_a_check_leaves_no_instant_behind(store: PostgresStore, postgres: Server) -> None:
    """What others commit after it is seen; and an entry of a run that is not there is told with its first number."""
    with leftoff.open(postgres.url) as other:
        owner = other.run("r").own()
        assert list(store.verify()) == []
        owner.commit([Draft("done", "a")])
        assert list(store.keys("r", "done")) == ["a"]
    execute(postgres, "INSERT INTO leftoff.entry SELECT seq, 7, epoch, at, kind, key, value, value_sum, prev, sum"
                      " FROM leftoff.entry")  # fmt: skip
    assert list(store.verify()) == [Damage("entry 1", "it belongs to run 7, which does not exist")]
    execute(postgres, "DROP SCHEMA leftoff CASCADE")
    (damage,) = store.verify()
    assert (damage.where, damage.what.split(";")[0]) == (
        store.url,
        f"{store.url}: the journal's tables were dropped while it was open",
    )


def test_the_rows_of_the_runs_are_checked_when_a_journal_is_opened(store: PostgresStore, postgres: Server) -> None:
    """The error names the place, for whoever opens it and for whoever has."""
    store.own("r").release()
    execute(postgres, "UPDATE leftoff.run SET done = 5")
    for use in (lambda: PostgresStore(postgres.url), store.runs, lambda: store.own("r")):
        with pytest.raises(JournalDamaged) as told:
            use()
        assert str(told.value) == (
            f"{store.url}: the row of the run 'r' is not what was written; nothing was changed."
            f" Restore a copy, or look with: leftoff verify {store.url}"
        )


# -- sessions --------------------------------------------------------------------------------------------------------


def settings(connection: Guarded) -> list[Any]:
    return [connection.own(f"SHOW {name}").fetchone() for name in ("default_transaction_read_only", "enable_seqscan")]


def test_reading_has_a_session_that_cannot_write_and_has_it_again(
    store: PostgresStore, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost one is opened anew as patiently as a server takes to restart, and the same question is asked again."""
    store.own("r").commit([Draft("done", "a")])
    asked: list[tuple[Any, dict[str, Any]]] = []

    def recording(kind: Any, url: str, **options: Any) -> Any:
        asked.append((kind, options))
        return connect(kind, url, **options)

    monkeypatch.setattr(postgres_module, "connect", recording)
    lost = store._connection
    assert settings(lost) == [("on",), ("off",)]
    end(postgres, lost)
    assert store.counts("r") == (1, 0)
    assert store._connection is not lost
    assert settings(store._connection) == [("on",), ("off",)]
    whole, user, reader = store.connect_whole(), store.connect_user(), store.reader()
    patient = store.connect_user(patience=7.0)
    assert (settings(whole), settings(user), settings(reader)) == (
        [("on",), ("off",)],
        [("off",), ("on",)],
        [("on",), ("on",)],
    )
    assert asked == [
        (Guarded, {"reading": True, "patience": PATIENCE}), (Guarded, {"reading": True}),
        (Connection, {"patience": 0.0}), (Guarded, {}), (Connection, {"patience": 7.0}),
    ]  # fmt: skip
    store.close()
    assert (reader.closed, user.closed) == (True, False)
    for connection in (whole, user, patient):
        connection.close_for_good()


def test_a_journal_that_was_closed_or_forked_says_so(store: PostgresStore) -> None:
    """Each question is refused with the place, and what to do."""
    pid, store._pid = store._pid, -1
    with pytest.raises(ForkedHandle) as forked:
        store.runs()
    assert str(forked.value) == f"{store.url} was opened before a fork; open it again in this process"
    store._pid = pid
    store.close()
    for ask in (store.runs, lambda: store.fetch("SELECT 1")):
        with pytest.raises(JournalClosed) as told:
            ask()
        assert str(told.value) == f"{store.url} was closed; open it again"


# -- the lock of a run -----------------------------------------------------------------------------------------------


def test_a_run_that_is_owned_names_its_owner(
    store: PostgresStore, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By process, host and start; a lock of a run that nobody began is just another process's."""
    monkeypatch.setattr(postgres_module, "_SOON", 0.0)
    store.own("r")
    holder = store.holder("r")
    assert holder is not None
    with leftoff.open(postgres.url) as journal:
        with pytest.raises(JournalBusy) as told:
            journal.store.own("r")
        assert str(told.value) == (
            f"the run 'r' of {store.url} is owned by process {holder['pid']} on {holder['host']} since"
            f" {holder['start']}; wait for it to end or stop it"
        )
        store.hold(7, "s")
        with pytest.raises(JournalBusy) as told:
            journal.store.hold(7, "s")
        assert str(told.value) == (
            f"the run 's' of {store.url} is owned by another process; wait for it to end or stop it"
        )
        store.unhold(7)
        journal.store.hold(7, "s")


def test_the_lock_of_a_client_that_is_gone_is_waited_for(
    store: PostgresStore, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server notices within a moment; as soon as it does the run is owned."""
    store.own("r").release()
    waited: list[float] = []
    with psycopg.connect(postgres.url, autocommit=True) as ghost:
        ghost.execute("SELECT pg_advisory_lock(hashtext('leftoff'), 1)")

        def notice(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 2:
                ghost.execute("SELECT pg_advisory_unlock_all()")

        monkeypatch.setattr("leftoff.journal.postgres.time.sleep", notice)
        store.own("r")
    assert waited == [0.02, 0.02]


def test_a_run_that_cannot_begin_takes_no_lock_from_another(
    store: PostgresStore, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever keeps a new run from beginning, the runs that this journal owns stay owned, and it has none of it."""
    monkeypatch.setattr(postgres_module, "_SOON", 0.0)
    store.own("first")
    with monkeypatch.context() as patch:
        patch.setattr("leftoff.journal.postgres_owner._ADD_RUN", "SELECT 1/0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?")
        with pytest.raises(leftoff.LeftoffError):
            store.own("second")
    with leftoff.open(postgres.url) as journal:
        with pytest.raises(JournalBusy):
            journal.store.own("first")
        journal.store.own("second")
