"""What compacting a journal in PostgreSQL refuses, and how one that was compacted is proven to come of another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

import leftoff
from leftoff.errors import JournalBusy, JournalDamaged, UsageError
from leftoff.journal.postgres import PostgresStore
from leftoff.work.mend import compact, compare
from tests.postgres import Server
from tests.work import copied


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def template(postgres: Server) -> Iterator[str]:
    """The URL of a copy of the second database, made by the server: all in it is the same, the journal's id, too."""
    url = postgres.second()
    copied.make(url)
    with psycopg.connect(postgres.url, autocommit=True) as other:
        other.execute("DROP DATABASE IF EXISTS kept")
        other.execute("CREATE DATABASE kept TEMPLATE second")
    yield url.replace("second", "kept")
    with psycopg.connect(postgres.url, autocommit=True) as other:
        other.execute("DROP DATABASE kept")


def entries(url: str) -> list[leftoff.Entry]:
    with leftoff.open(url) as journal:
        return list(journal.entries())


def test_a_journal_without_a_run_is_not_compacted(postgres: Server) -> None:
    """Such is what a process leaves that ended before its first run began; there is nothing in it to leave out."""
    with closing(PostgresStore(postgres.url)) as store:
        connection = store.connect_user()
        store.ensure_journal(connection)
        connection.close_for_good()
    with pytest.raises(UsageError, match="holds no run yet, so there is nothing to compact"):
        compact(postgres.url)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE leftoff.entry SET value = '{}' WHERE kind = 'done' AND key = 'item-5'", "the value of entry"),
        ("DELETE FROM leftoff.entry WHERE kind = 'done' AND key = 'item-1'", "does not continue the chain"),
    ],
    ids=["kept", "left out"],
)
def test_a_damaged_journal_is_not_compacted(postgres: Server, change: str, what: str) -> None:
    """Nor is one that only lost what a compaction leaves out: that it was lost must still be seen; nothing changes."""
    copied.make(postgres.url)
    with psycopg.connect(postgres.url, autocommit=True) as other:
        other.execute(change)
        before = other.execute("SELECT * FROM leftoff.entry ORDER BY seq").fetchall()
        with pytest.raises(JournalDamaged, match=rf"entry \d+: .*{what}.*; nothing was changed"):
            compact(postgres.url)
        assert other.execute("SELECT * FROM leftoff.entry ORDER BY seq").fetchall() == before


def test_a_run_that_begins_just_now_puts_a_compaction_off(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody looked at is not compacted; nothing is changed, and the same call does it once the run is free."""
    copied.make(postgres.url)
    connect_whole = PostgresStore.connect_whole
    with leftoff.open(postgres.url) as other:

        def beaten(self: PostgresStore) -> Any:
            other.run("new").own()
            return connect_whole(self)

        monkeypatch.setattr(PostgresStore, "connect_whole", beaten)
        before = len(entries(postgres.url))
        with pytest.raises(JournalBusy, match="another process has begun a new run just now; try again"):
            compact(postgres.url)
        monkeypatch.undo()
        assert len(entries(postgres.url)) == before + 2  # which say that the new run was created, and owned
        with pytest.raises(JournalBusy, match="the run 'new'"):
            compact(postgres.url)
    assert compact(postgres.url).before == before + 2


def test_a_copy_of_the_database_is_proven_to_be_the_ancestor(postgres: Server, template: str) -> None:
    """`compare` finds nothing against what was compacted, and says what is wrong with any other journal."""
    place = template.replace("kept", "second")
    compact(place)
    assert compare(place, template) == []
    with leftoff.open(postgres.url) as journal:
        journal.run("first").own()
    another, none = compare(place, postgres.url)
    assert another.where == "run first"
    assert f"; {postgres.url} is journal " in another.what
    assert none.where == "run second"
    assert none.what.endswith(f"; {postgres.url} holds no such run")
