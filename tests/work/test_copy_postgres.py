"""A copy into PostgreSQL appears in one transaction, and a move there is never two journals that go on, nor none."""

from __future__ import annotations

import os
import random
import re
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

import leftoff
from leftoff.errors import JournalBusy, JournalDamaged, JournalMoved, JournalUnreachable, NotAJournal, UsageError
from leftoff.journal.entry import moved_to, to_datetime
from leftoff.journal.postgres_connection import Guarded
from leftoff.journal.postgres_copying import appearing_in
from leftoff.testing.kills import ForkServer
from leftoff.work.copy import Copied, move
from tests.postgres import Server
from tests.work import copied, mended
from tests.work.test_copy import answers, refuses, same

SOURCES = ["a.jsonl", "a.db", "postgresql:///"]
from_anywhere = pytest.mark.parametrize("source", [*SOURCES, "a/"])


@pytest.fixture
def target(postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database beside the one that ``postgresql:///`` means."""
    monkeypatch.chdir(tmp_path)
    return postgres.second()


def tables(url: str) -> list[str]:
    """Name what is in the schema leftoff of a database."""
    with psycopg.connect(url) as connection:
        sql = "SELECT relname FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname='leftoff')"
        return [name for (name,) in connection.execute(sql)]


@from_anywhere
def test_a_copy_answers_as_the_original(source: str, target: str) -> None:
    """Fates, values, tries, steps, cursors, times and ids are the same; the user's tables stay where they are."""
    copied.make(source)
    before = answers(source)
    with leftoff.open(source) as journal:
        done = journal.copy(target)
        assert done == Copied(len(list(journal.entries())), list(copied.RUNS), tables=False)
    assert answers(target) == before == answers(source)
    with psycopg.connect(target) as connection:
        found = connection.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        assert found.fetchone() == (0,)


@from_anywhere
def test_work_on_a_copy_repeats_nothing(source: str, target: str) -> None:
    """Whoever goes on with a copy works on what was not done, under numbers behind those that were copied."""
    copied.make(source, upto=6)
    with leftoff.open(source) as journal:
        last = journal.copy(target).entries
    with leftoff.open(target) as journal:
        assert list(journal.run("first").each(copied.ITEMS, progress=False)) == ["item-1", "item-6", "item-7", "item-8"]
        assert min(entry.seq for entry in journal.entries(after=last)) == last + 1
        assert list(journal.run("third").each("x", progress=False)) == ["x"]
        assert journal.verify() == []


def entries(count: int) -> Iterator[leftoff.Entry]:
    """Make the entries of a run in which so many items are done."""
    for number in range(count):
        yield leftoff.Entry(number + 1, "r", "done", f"key-{number}", "v" * 200, to_datetime(0), 1)


def test_a_copy_takes_no_more_memory_for_more_entries(target: str) -> None:
    """What is held of a journal at one time is a page, however long it is."""
    peaks = []
    for count in (4_000, 40_000):
        tracemalloc.start()
        try:
            with pytest.raises(ZeroDivisionError), appearing_in(target, "power") as making:
                assert making.write(entries(count)) == count
                peaks.append(tracemalloc.get_traced_memory()[1])
                1 / 0  # noqa: B018  # so that the next one finds the database empty
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_where_a_journal_is_nothing_is_written(target: str) -> None:
    """A database with a journal, one whose schema leftoff is something else, and the source's own are refused."""
    copied.make("a.jsonl")
    copied.make("postgresql:///", upto=3)
    before = answers("postgresql:///")
    for source in ("a.jsonl", "postgresql:///"):
        with leftoff.open(source) as journal, pytest.raises(UsageError, match="holds a journal already"):
            journal.copy("postgresql:///")
    with pytest.raises(UsageError, match="holds a journal already"):
        move("a.jsonl", "postgresql:///")
    assert answers("postgresql:///") == before
    assert not refuses("a.jsonl")
    with psycopg.connect(target) as connection:
        connection.execute("CREATE SCHEMA leftoff; CREATE TABLE leftoff.run (mine int)")
    with leftoff.open("a.jsonl") as journal, pytest.raises(NotAJournal):
        journal.copy(target)
    assert tables(target) == ["run"]
    with leftoff.open("a.jsonl") as journal, pytest.raises(JournalUnreachable):
        journal.copy("postgresql://127.0.0.1:1/none")


def test_a_schema_that_is_empty_is_used(target: str) -> None:
    """Who may not create a schema copies into one that was made for them."""
    copied.make("a.jsonl")
    with psycopg.connect(target) as connection:
        connection.execute("CREATE SCHEMA leftoff")
    with leftoff.open("a.jsonl") as journal:
        journal.copy(target)
    assert answers(target) == answers("a.jsonl")


def test_damage_is_not_copied(target: str) -> None:
    """A row that changed is found by the copy, which then does not appear; the moved journal goes on where it was."""
    copied.make("a.db")
    with closing(sqlite3.connect("a.db")) as connection:
        connection.execute(
            "UPDATE leftoff_entry SET value = '{\"of\":\"other\"}' WHERE key = 'item-0' AND kind = 'done'"
        )
        connection.execute("CREATE TABLE large (data BLOB)")
        connection.execute("INSERT INTO large VALUES (zeroblob(2000000))")  # so that opening does not check it whole
        connection.commit()
    with leftoff.open("a.db") as journal, pytest.raises(JournalDamaged, match="item-0"):
        journal.copy(target)
    with pytest.raises(JournalDamaged, match="item-0"):
        move("a.db", target)
    assert tables(target) == []
    with leftoff.open("a.db") as journal:
        assert moved_to(journal.store.latest("first", "owner")) is None


@from_anywhere
def test_a_moved_journal_goes_on_at_one_place(source: str, target: str) -> None:
    """The source refuses and names the target without a password; moving again, also later, changes nothing."""
    copied.make(source, upto=6)
    before = answers(source)
    with_password = target.replace("postgres@", "postgres:s3cret@")
    assert move(source, with_password).entries > 0
    assert answers(target) == before
    with leftoff.open(source) as journal, pytest.raises(JournalMoved, match=target) as refused:
        list(journal.run("first").each(copied.ITEMS, progress=False))
    assert "s3cret" not in str(refused.value)
    with leftoff.open(target) as journal:
        assert list(journal.run("first").each(copied.ITEMS, progress=False)) == ["item-1", "item-6", "item-7", "item-8"]
    later = answers(target)
    for again in (target, with_password):
        assert move(source, again).entries == 0
    assert answers(target) == later
    with pytest.raises(JournalMoved, match=target):
        move(source, "elsewhere.jsonl")
    assert move(target, "back.jsonl").entries > 0
    assert refuses(target)


def test_a_directory_that_somebody_works_on_is_copied_and_not_moved(target: str) -> None:
    """Several may own a run of a directory at once, so a move waits until nobody does; a copy does not."""
    copied.make("a/")
    with leftoff.open("a/") as journal:
        for _ in journal.run("first").each(["x"], progress=False):
            with pytest.raises(JournalBusy, match=str(os.getpid())):
                move("a/", target)
            assert tables(target) == []
            journal.copy("b.jsonl")
    assert move("a/", target).entries > 0
    assert refuses("a/")


def test_the_place_in_a_mark_means_the_same_elsewhere(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment said is written out, so that another server is never taken for the one that was moved to."""
    copied.make("a.jsonl")
    monkeypatch.setenv("PGDATABASE", "second")
    move("a.jsonl", "postgresql:///")
    monkeypatch.setenv("PGDATABASE", "postgres")
    with pytest.raises(JournalMoved, match=target):
        move("a.jsonl", "postgresql:///")
    assert tables(target.replace("second", "postgres")) == []


def test_the_place_in_a_mark_may_be_a_socket(target: str, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is reached through a folder is named with it, in a URL that leads there from anywhere."""
    copied.make("a.jsonl")
    monkeypatch.setenv("PGHOST", str(postgres.folder))
    assert move("a.jsonl", "postgresql:///second").entries > 0
    place = f"postgresql://postgres@/second?host={quote(str(postgres.folder), '')}&port={postgres.port}"
    with pytest.raises(JournalMoved, match=re.escape(f"was moved to {place};")):
        mended.work_on("a.jsonl")
    for name in postgres.environment:
        monkeypatch.delenv(name)
    assert answers(place) == answers(target)


@pytest.mark.parametrize("place", ["b.db", "postgres"])
def test_a_strange_journal_is_not_taken_for_the_copy(place: str, target: str) -> None:
    """Where a move was interrupted and another journal came to be at its target, the move is refused."""
    place = target if place == "postgres" else place
    copied.make("a.jsonl")
    move("a.jsonl", place)
    if place == target:
        with psycopg.connect(target) as connection:
            connection.execute("DROP SCHEMA leftoff CASCADE")
    else:
        Path(place).unlink()
    copied.make(place)
    with pytest.raises(UsageError, match=r"already|exists"):
        move("a.jsonl", place)
    assert refuses("a.jsonl")


def check(function: str, source: str, target: str, expected: dict[str, Any], where: object) -> bool:
    """Whatever ended a copy or move: it is whole or not there, one journal goes on. Return whether it is there."""
    there = tables(target) != []
    if there:
        assert same(answers(target), expected), where
        assert moved(source) == (function == "move"), where
    return there


def moved(source: str) -> bool:
    """Whether each run of a journal says that it goes on elsewhere."""
    with leftoff.open(source) as journal:
        return all(moved_to(journal.store.latest(name, "owner")) for name in journal.runs())


def take_back(source: str) -> None:
    """Own the runs of a journal anew, as a move does that was interrupted: it goes on there."""
    with leftoff.open(source) as journal:
        for name in journal.runs():
            journal.store.own(name)


def sample(count: int, part: int | None) -> range:
    """Choose an eighth of so many places, a random one where none is named."""
    start = random.SystemRandom().randrange(8) if part is None else part
    print("part", start, "of eight; all of them: make prove PYTEST_ADDOPTS='-k test_copy_postgres'")
    return range(start, count, 8)


strikes = pytest.mark.parametrize(
    ("function", "source", "part"),
    [("move", source, None) for source in SOURCES]
    + [
        pytest.param(function, source, part, marks=pytest.mark.prove)
        for function in ("copy", "move")
        for source in SOURCES
        for part in range(8)
    ],
)


@strikes
def test_killed_at_every_statement(function: str, source: str, part: int | None, target: str, postgres: Server) -> None:
    """Killed before any statement to a server or around any write to a file: the same call finishes it, one goes on."""
    copied.make(source)
    expected = answers(source)
    with ForkServer(Path(copied.__file__)) as server:
        statements = int(server.run("counting_statements", function, source, target, -1).output)
        postgres.clean(target)
        take_back(source)
        calls = server.run(function, source, target).calls if "://" not in source else 0
        assert statements > 15
        places = [("statement", number) for number in sample(statements, part)]
        places += [("boundary", number) for number in sample(2 * calls, part)]
        for kind, number in places:
            postgres.clean(target)
            take_back(source)
            if kind == "statement":
                end = server.run("counting_statements", function, source, target, number)
            else:
                end = server.run(function, source, target, boundary=number)
            assert end.killed or (kind == "boundary" and end.code == 0), (kind, number, end)
            there = check(function, source, target, expected, (kind, number))
            if function == "move" or not there:
                assert server.run(function, source, target).code == 0, (kind, number)
            assert same(answers(target), expected), (kind, number)
            assert moved(source) == (function == "move"), (kind, number)


@strikes
def test_a_backend_killed_at_every_statement(
    function: str, source: str, part: int | None, target: str, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever session ends before whichever statement, the copy is whole or not there, and again is enough."""
    copied.make(source)
    expected = answers(source)
    call = {"copy": copied.copy, "move": move}[function]
    with monkeypatch.context() as patch:
        statements = len(_strike_at(patch, -1, postgres, call, source, target))
    assert statements > 15
    for number in sample(statements, part):
        postgres.clean(target)
        take_back(source)
        with monkeypatch.context() as patch:
            _strike_at(patch, number, postgres, call, source, target)
        there = check(function, source, target, expected, number)
        if function == "move" or not there:
            call(source, target)
        assert same(answers(target), expected), number
        assert moved(source) == (function == "move"), number


def _strike_at(
    monkeypatch: pytest.MonkeyPatch, number: int, server: Server, call: Callable[..., object], *places: str
) -> list[str]:
    """Copy or move; end the session before the statement of that number. Return what was sent."""
    sent: list[str] = []
    own = Guarded.own

    def counted(self: Guarded, sql: str, parameters: Any = ()) -> Any:
        sent.append(sql)
        if len(sent) == number + 1:
            with psycopg.connect(server.url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", (self.info.backend_pid,))
        return own(self, sql, parameters)

    monkeypatch.setattr(Guarded, "own", counted)
    with suppress(JournalUnreachable):
        call(*places)
    return sent


def test_a_commit_whose_answer_is_lost_is_looked_up(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the connection breaks behind the server's commit, the copy is found to be there and nothing is raised."""
    copied.make("a.jsonl")
    own, lost = Guarded.own, []

    def losing(self: Guarded, sql: str, parameters: Any = ()) -> Any:
        answer = own(self, sql, parameters)
        if sql == "COMMIT" and not lost:
            lost.append(sql)
            self.pgconn.finish()
            raise psycopg.OperationalError("the connection is lost")
        return answer

    monkeypatch.setattr(Guarded, "own", losing)
    assert move("a.jsonl", target).entries > 0
    assert lost
    assert refuses("a.jsonl")
    assert answers(target) == answers("a.jsonl")
