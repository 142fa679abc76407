"""A journal in PostgreSQL is compacted whole and sound, and with nobody at work in it, or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from leftoff.errors import JournalBusy, JournalDamaged, UsageError
from leftoff.journal import postgres as postgres_module
from leftoff.journal.entry import Draft
from leftoff.journal.postgres import PostgresStore
from leftoff.journal.postgres_compact import compact_postgres
from leftoff.journal.postgres_connection import Guarded
from tests.journal.test_postgres_errors import execute
from tests.postgres import Server, settings_at_commits


@pytest.fixture
def store(postgres: Server) -> Iterator[PostgresStore]:
    """Give a journal of two runs, with conclusions and a cursor that newer ones supersede, and an item in hand."""
    opened = PostgresStore(postgres.url)
    owner, other = opened.own("first"), opened.own("second")
    owner.commit([Draft("started", "a"), Draft("done", "a", "1"), Draft("cursor", "since", "1")])
    owner.commit([Draft("retried", "a"), Draft("dead", "a", "2"), Draft("cursor", "since", "2")])
    owner.commit([Draft("done", "b"), Draft("started", "in hand")])
    other.commit([Draft("done", "c")])
    owner.release()
    other.release()
    yield opened
    opened.close()


def entries(server: Server) -> list[Any]:
    with psycopg.connect(server.url) as other:
        return other.execute("SELECT * FROM leftoff.entry ORDER BY run, seq").fetchall()


def test_a_compacted_run_keeps_what_is_the_newest_of_its_key(store: PostgresStore, postgres: Server) -> None:
    """Each run ends with what it replaced and what is open, at that moment; there is its mark, and its numbers fit."""
    before, (_, length, total), size = entries(postgres), store.head("first") or ("", 0, 0), store.size()
    begin = int(time.time() * 1000)
    done = compact_postgres(store)
    end = time.time() * 1000
    after = entries(postgres)
    assert (done.before, done.after, done.bytes_before) == (len(before), len(after), size)
    assert (done.bytes_after, done.aside) == (store.size(), None)
    first = list(store.entries("first"))
    assert [(entry.kind, entry.key, entry.value) for entry in first[2:-2]] == [
        ("dead", "a", 2), ("cursor", "since", 2), ("done", "b", None),
    ]  # fmt: skip
    assert [(entry.kind, entry.value) for entry in first[-2:]] == [
        ("compacted", {"id": (store.head("first") or ("",))[0], "seq": length, "sum": f"{total:08x}"}),
        ("open", {"in hand": {"errors": 0, "crashes": 0, "begun": 1}}),
    ]
    assert all(begin <= row[3] <= end for row in after if row not in before and row[5] == "")
    with psycopg.connect(postgres.url) as other:
        rows = other.execute("SELECT seq, mark, done, dead, superseded FROM leftoff.run ORDER BY run").fetchall()
    assert rows[0] == (first[-1].seq, first[-1].seq, 1, 1, 0)
    assert rows[1][2:] == (1, 0, 0)
    assert list(store.verify()) == []
    store.own("first").commit([Draft("done", "in hand")])
    assert (store.counts("first"), store.open_items("first")) == ((2, 1), {})


def test_a_journal_without_a_run_is_not_compacted(postgres: Server) -> None:
    """It says so of a database without a journal."""
    store = PostgresStore(postgres.url)
    with pytest.raises(UsageError) as told:
        compact_postgres(store)
    assert str(told.value) == f"{store.url} holds no run yet, so there is nothing to compact"
    store.close()


def test_a_damaged_journal_is_not_compacted(store: PostgresStore, postgres: Server) -> None:
    """A new chain would vouch for what was changed; it is named, nothing is written, and the runs are free again."""
    execute(postgres, "UPDATE leftoff.entry SET value = '7' WHERE kind = 'dead'")
    before = entries(postgres)
    with pytest.raises(JournalDamaged) as told:
        compact_postgres(store)
    ((seq,),) = [(row[0],) for row in before if row[4] == "dead"]
    assert str(told.value) == (
        f"{store.url}: entry {seq}: the value of entry {seq} (dead 'a') is not what was written; nothing was changed."
        f" Restore a copy, or look with: leftoff verify {store.url}"
    )
    assert entries(postgres) == before
    other = PostgresStore(postgres.url)
    other.own("second")
    other.close()


def test_a_run_that_is_owned_or_begins_meanwhile_is_not_compacted(
    store: PostgresStore, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is changed, and the lock of every run that was held for it is given back."""
    monkeypatch.setattr(postgres_module, "_SOON", 0.0)
    other = PostgresStore(postgres.url)
    owner = other.own("second")
    with pytest.raises(JournalBusy, match=r"the run 'second' of .* is owned by process"):
        compact_postgres(store)
    other.own("first").release()
    owner.release()
    own = Guarded.own

    def begin_another(self: Guarded, sql: str, parameters: Any = ()) -> Any:
        if sql == "BEGIN READ WRITE":
            other.own("third")
        return own(self, sql, parameters)

    monkeypatch.setattr(Guarded, "own", begin_another)
    with pytest.raises(JournalBusy) as told:
        compact_postgres(store)
    assert str(told.value) == f"{store.url}: another process has begun a new run just now; try again"
    monkeypatch.undo()
    assert "compacted" not in {row[4] for row in entries(postgres)}
    other.own("first")
    other.own("second")
    other.close()


@pytest.mark.parametrize(("given", "used"), [("off", "on"), ("local", "local")])
def test_its_commit_is_durable_where_the_server_would_not_wait_for_it(
    store: PostgresStore, postgres: Server, monkeypatch: pytest.MonkeyPatch, given: str, used: str
) -> None:
    """A setting with which a power failure could take it is overruled; any other stays as the user has it."""
    lax = PostgresStore(f"{postgres.url}?options=-c%20synchronous_commit%3D{given}")
    seen = settings_at_commits(monkeypatch)
    compact_postgres(lax)
    assert seen == [used]
    lax.close()
