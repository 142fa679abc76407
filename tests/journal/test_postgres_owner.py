"""What the owner of a run in PostgreSQL writes, remembers, and says when it cannot."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

import leftoff
from leftoff.errors import (
    ForkedHandle,
    JournalClosed,
    JournalDamaged,
    JournalFull,
    JournalUnreachable,
    OwnershipLost,
    TransactionEnded,
)
from leftoff.journal import postgres_owner
from leftoff.journal.entry import Draft
from leftoff.journal.postgres import PostgresStore
from leftoff.journal.postgres_connection import Guarded
from tests.journal.test_postgres_errors import execute
from tests.journal.test_postgres_lost import end
from tests.postgres import Server


@pytest.fixture
def store(postgres: Server) -> Iterator[PostgresStore]:
    opened = PostgresStore(postgres.url)
    yield opened
    opened.close()


def rows(server: Server, sql: str) -> list[Any]:
    with psycopg.connect(server.url) as other:
        return other.execute(sql).fetchall()


def done(*keys: str) -> list[Draft]:
    return [Draft("done", key) for key in keys]


# -- what is written -------------------------------------------------------------------------------------------------


def test_the_row_of_a_run_tells_where_it_stands(store: PostgresStore, postgres: Server) -> None:
    """Epoch, newest number, numbers of fates; its mark is its first entry until there is an `open` one."""
    store.own("first", "one.py").commit(done("x"))
    owner = store.own("second", "two.py")
    owner.commit([*done("a", "b"), Draft("dead", "c")])
    owner.commit([Draft("forgotten", "a"), Draft("retried", "c")])
    entries = list(store.entries("second"))
    row = "SELECT epoch, seq, mark, done, dead, superseded FROM leftoff.run WHERE name = 'second'"
    assert rows(postgres, row) == [(1, entries[-1].seq, entries[0].seq, 1, 0, 2)]
    (said,) = (entry.value for entry in entries if entry.kind == "owner")
    assert {**said, "start": ""} == {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "start": "",
        "durability": "power",
    }
    assert entries[0].value["program"] == "two.py"
    assert rows(postgres, "SELECT mark FROM leftoff.run WHERE name = 'first'") == [(1,)]
    (marked,) = owner.commit([Draft("open", "", "{}"), *done("d")])
    assert rows(postgres, row) == [(1, marked, marked - 1, 2, 0, 2)]
    owner = store.own("second")
    assert (owner.epoch, rows(postgres, row)[0][0]) == (2, 2)
    assert list(store.verify()) == []


def test_open_items_are_marked_after_so_many_entries(
    store: PostgresStore, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted from the mark on, whichever owner wrote them, so that reopening reads no more than that."""
    monkeypatch.setattr(postgres_owner, "MARK_EVERY", 4)

    def kinds() -> list[str]:
        return [entry.kind[0] for entry in store.entries("r")]

    owner = store.own("r")
    for key in "ab":
        owner.commit([Draft("started", key)])
    assert "".join(kinds()) == "coss", "four entries, and the next commit brings the mark"
    owner.commit([Draft("started", "c")])
    assert "".join(kinds()) == "cossso"
    owner = store.own("r")
    assert "".join(kinds()) == "cosssoo"
    owner.commit([Draft("started", "d")])
    owner.commit([Draft("started", "e")])
    assert "".join(kinds()) == "cosssooss", "the mark, the owner and two more"
    owner.commit([Draft("started", "f")])
    assert "".join(kinds()) == "cosssoossso"
    assert set(store.open_items("r")) == set("abcdef")


def test_numbers_that_were_taken_ahead_are_used_while_they_are_fresh(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as the last commit had are at hand, for a second; then new ones are taken, so that they follow time."""
    now = [1000.0]
    monkeypatch.setattr(postgres_owner, "time", SimpleNamespace(monotonic=lambda: now[0]))
    owner = store.own("r")
    first = next(store.entries("r")).seq

    def commit(*keys: str) -> list[int]:
        return [mark - first for mark in owner.commit(done(*keys))]

    assert commit("a", "b") == [2, 3], "behind `created` and `owner`, as many as those were"
    assert commit("c") == [4]
    assert commit("d", "e") == [5, 6], "one was left, one had been taken with the last commit"
    now[0] += 1.0
    assert commit("f") == [7]
    now[0] += 1.1
    assert commit("g") == [10], "two that were left were too old"


# -- what is remembered ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drafts", "expected"),
    [
        (done("a"), {"a": 1}),
        ([Draft("dead", "a")], {"a": -1}),
        ([*done("a"), Draft("dead", "b")], {"a": 1, "b": -1}),
        ([*done("a"), Draft("forgotten", "a")], {"a": 0}),
        ([Draft("dead", "a"), Draft("retried", "a")], {"a": 0}),
        ([*done("a"), Draft("forgotten", "a"), *done("a")], {"a": 1}),
    ],
)
def test_a_fate_is_the_same_remembered_and_asked_for(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch, drafts: list[Draft], expected: dict[str, int]
) -> None:
    """The owner that began the run pays no round trip for it; the next one asks, and is told the same."""

    def sign(owner: Any, key: str) -> int:
        mark: int = owner.mark(key)
        return (mark > 0) - (mark < 0)

    owner = store.own("r")
    owner.commit(drafts)
    with monkeypatch.context() as patch:
        patch.setattr(store, "fetch", None)
        assert {key: sign(owner, key) for key in expected} == expected
        assert owner.mark("unknown") == 0
    marks = {key: owner.mark(key) for key in expected}
    again = store.own("r")
    assert {key: again.mark(key) for key in expected} == marks
    assert again.mark("unknown") == 0


def test_fates_are_remembered_up_to_a_number(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are, one more is not."""
    monkeypatch.setattr(postgres_owner, "_REMEMBERED", 3)
    owner = store.own("r")
    asked: list[str] = []
    fetch = store.fetch

    def counting(sql: str, parameters: Sequence[Any] = ()) -> Any:
        asked.append(sql)
        return fetch(sql, parameters)

    owner.commit(done("a", "b", "c"))
    monkeypatch.setattr(store, "fetch", counting)
    assert (owner.mark("a") > 0, asked) == (True, [])
    owner.commit(done("d"))
    asked.clear()
    assert (owner.mark("a") > 0, len(asked)) == (True, 1)


# -- what it says ----------------------------------------------------------------------------------------------------


def test_an_owner_that_may_not_commit_says_why(store: PostgresStore, postgres: Server) -> None:
    """In a forked child, after its end, and where another has the run, with the run and its place."""
    owner = store.own("r")
    pid, owner._pid = owner._pid, -1
    with pytest.raises(ForkedHandle) as forked:
        owner.commit(done("a"))
    assert str(forked.value) == f"{store.url} was opened before a fork; open it again in this process"
    owner._pid = pid
    execute(postgres, "UPDATE leftoff.run SET epoch = epoch + 1")
    for _ in range(2):
        with pytest.raises(OwnershipLost) as lost:
            owner.commit(done("a"))
        assert str(lost.value) == (
            f"the run 'r' of {store.url} was taken over by another process; nothing of this commit was written"
        )
    owner = store.own("s")
    owner.release()
    with pytest.raises(JournalClosed) as closed:
        owner.commit(done("a"))
    assert str(closed.value) == f"{store.url} was closed; open it again"


def test_a_run_that_is_gone_is_named(store: PostgresStore, postgres: Server) -> None:
    """It cannot be taken over again after a lost connection."""
    owner = store.own("r")
    execute(postgres, "DELETE FROM leftoff.run")
    end(postgres, owner.connection)
    with pytest.raises(OwnershipLost) as gone:
        owner.commit(done("a"))
    assert str(gone.value) == f"the run 'r' of {store.url} is gone; start again"


def test_a_damaged_row_that_a_commit_meets_is_named_with_its_place(store: PostgresStore, postgres: Server) -> None:
    """Who begins a run anew checks it through a connection of its own."""
    store.own("r").release()
    with psycopg.connect(postgres.url) as other:
        other.execute("UPDATE leftoff.entry SET at = at + 1 WHERE kind = 'owner'")
    with pytest.raises(JournalDamaged) as told:
        store.own("r")
    assert str(told.value).startswith(f"{store.url}: the entry ")


REFUSING = """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
 $$ BEGIN RAISE 'why not' USING ERRCODE = '{}'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON {} DEFERRABLE INITIALLY DEFERRED
 FOR EACH ROW EXECUTE FUNCTION refuse()"""


@pytest.mark.parametrize("code", ["23514", "40001", "53100"])
def test_a_commit_that_the_server_refuses_is_told_by_whose_rows_it_was(
    store: PostgresStore, postgres: Server, code: str
) -> None:
    """What the item wrote is refused with the item alone; what has nothing to do with it ends the owner."""
    owner = store.own("r")
    execute(postgres, "CREATE TABLE made (key text)", REFUSING.format(code, "made"))
    owner.begin()
    owner.connection.execute("INSERT INTO made VALUES ('a')")
    with pytest.raises((TransactionEnded, JournalFull)) as told:
        owner.commit(done("a"))
    if code == "53100":
        assert str(told.value).startswith(f"{store.url}: the server has no space left")
        with pytest.raises(JournalFull):
            owner.commit(done("b"))
        return
    assert str(told.value).startswith("the database refused to commit what this item wrote (why not")
    assert str(told.value).endswith("); nothing of it is kept")
    owner.commit(done("b"))
    assert list(store.keys("r", "done")) == ["b"]


def test_a_commit_without_rows_of_the_users_that_is_refused_ends_the_owner(
    store: PostgresStore, postgres: Server
) -> None:
    """A constraint that somebody put on the journal's own tables is no matter of an item's."""
    owner = store.own("r")
    execute(postgres, REFUSING.format("23514", "leftoff.entry"))
    with pytest.raises(leftoff.JournalError) as told:
        owner.commit(done("a"))
    assert "; nothing of it was written" in str(told.value)
    with pytest.raises(leftoff.JournalError):
        owner.commit(done("b"))


# -- a session that ends around a commit -----------------------------------------------------------------------------


def strike(monkeypatch: pytest.MonkeyPatch, server: Server, begin: str, *, behind: bool, times: int = 1) -> list[str]:
    """End the session of each statement that begins so, before it is sent or before its answer is heard."""
    own, struck = Guarded.own, list[str]()

    def striking(self: Guarded, sql: str, parameters: Any = ()) -> Any:
        if not sql.startswith(begin) or len(struck) == times:
            return own(self, sql, parameters)
        struck.append(sql)
        if behind:
            own(self, sql, parameters)
        end(server, self)
        return own(self, "SELECT 'never answered'")

    monkeypatch.setattr(Guarded, "own", striking)
    return struck


@pytest.mark.parametrize("behind", [False, True])
def test_a_commit_whose_session_ends_around_it_is_done_once(
    store: PostgresStore, postgres: Server, monkeypatch: pytest.MonkeyPatch, behind: bool
) -> None:
    """Entries alone are sent again where they did not arrive, and not where they did; their marks are theirs."""
    owner = store.own("r")
    struck = strike(monkeypatch, postgres, "WITH moved", behind=behind)
    marks = owner.commit([*done("a"), Draft("dead", "b")])
    assert len(struck) == 1
    assert [(entry.key, entry.seq) for entry in store.entries("r") if entry.kind in ("done", "dead")] == [
        ("a", marks[0]), ("b", -marks[1]),
    ]  # fmt: skip
    owner.commit(done("c"))
    assert (store.counts("r"), list(store.verify())) == ((2, 1), [])


def test_a_commit_that_is_lost_twice_is_given_back(
    store: PostgresStore, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not sent for ever; what is told is what is kept and what to do."""
    owner = store.own("r")
    own, struck = Guarded.own, list[str]()

    def striking(self: Guarded, sql: str, parameters: Any = ()) -> Any:
        if sql.startswith("WITH moved") and any("done" in found for found in parameters if isinstance(found, list)):
            struck.append(sql)
            end(postgres, self)
        return own(self, sql, parameters)

    monkeypatch.setattr(Guarded, "own", striking)
    with pytest.raises(JournalUnreachable) as told:
        owner.commit(done("a"))
    assert len(struck) == 2
    assert str(told.value) == (
        f"{store.url}: the connection was lost before this was committed; nothing of it is kept, and the item will"
        " be worked on again: start again"
    )
    monkeypatch.undo()
    assert list(store.keys("r", "done")) == []


@pytest.mark.parametrize("behind", [False, True])
def test_an_item_whose_session_ends_at_its_commit_is_done_or_given_back(
    store: PostgresStore, postgres: Server, monkeypatch: pytest.MonkeyPatch, behind: bool
) -> None:
    """Rows of the user's cannot be sent again: where the answer was lost they are there, else the item is told."""
    execute(postgres, "CREATE TABLE made (key text)")
    owner = store.own("r")
    owner.begin()
    owner.connection.execute("INSERT INTO made VALUES ('a')")
    assert owner.pending()
    struck = strike(monkeypatch, postgres, "COMMIT", behind=behind)
    if behind:
        assert owner.commit(done("a")) == [store.entries("r").__next__().seq + 2]
    else:
        with pytest.raises(JournalUnreachable, match="nothing of it is kept, and the item will be worked on again"):
            owner.commit(done("a"))
    assert struck == ["COMMIT"]
    kept = ["a"] if behind else []
    assert [key for (key,) in rows(postgres, "SELECT key FROM made")] == list(store.keys("r", "done")) == kept
    assert list(store.verify()) == []


def test_the_journals_own_statements_are_answered_whatever_the_user_has_set(store: PostgresStore) -> None:
    """A factory of rows on the user's connection shapes the user's rows alone."""
    owner = store.own("r")
    owner.connection.row_factory = dict_row
    owner.begin()
    assert owner.connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}
    assert not owner.pending()
    (mark,) = owner.commit(done("a"))
    assert owner.mark("a") == mark
