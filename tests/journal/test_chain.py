"""What the owner of a run writes beside its entries: numbers of conclusions, places, times, and marks of open items."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leftoff.journal.entry import Draft, Tries, to_datetime
from leftoff.journal.sqlite import SqliteStore
from tests.contract.drafts import mark_every
from tests.journal.sqlite_files import raw


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "a.db", "process")
    yield store
    store.close()


def _drafts(text: str) -> list[Draft]:
    """Read ``kind key, kind key``."""
    return [Draft(*part.split()) for part in text.split(", ") if part]


@pytest.mark.parametrize(
    ("commits", "numbers"),
    [
        ("cursor since", (0, 0, 0)),
        ("started a; done a", (1, 0, 0)),
        ("started a; dead a", (0, 1, 0)),
        ("started done; dead done", (0, 1, 0)),
        ("started a, started b; done a, done b", (2, 0, 0)),
        ("dead a, dead b, done c", (1, 2, 0)),
        ("done a; done a", (1, 0, 1)),
        ("dead a; dead a", (0, 1, 1)),
        ("done a; dead a", (0, 1, 1)),
        ("dead a; done a", (1, 0, 1)),
        ("dead a; retried a", (0, 0, 1)),
        ("done a; started a; forgotten a", (0, 0, 1)),
        ("forgotten a", (0, 0, 1)),
        ("done a, dead a", (0, 1, 1)),
        ("dead a, done a, dead a", (0, 1, 2)),
        ("done a, done b, dead c, forgotten b, retried c", (1, 0, 2)),
        ("done a; done b, forgotten a; done a", (2, 0, 1)),
    ],
)
def test_a_runs_row_counts_its_conclusions(store: SqliteStore, commits: str, numbers: tuple[int, int, int]) -> None:
    """Done and dead are those that still hold; superseded is how often one was changed or taken back."""
    owner = store.own("loop")
    for drafts in commits.split("; "):
        owner.commit(_drafts(drafts))
    assert raw(store.path, "SELECT done, dead, superseded FROM leftoff_run") == [numbers]
    assert store.counts("loop") == numbers[:2]
    assert list(store.verify()) == []


def test_a_commit_tells_the_places_of_its_conclusions(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a dead one it is negative; every entry of a commit has one time, to the millisecond."""
    owner = store.own("loop")
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.1239)
    assert owner.commit(_drafts("started a, done a, cursor since, dead b, forgotten a")) == [4, -6]
    assert {entry.at for entry in store.entries("loop", after=2)} == {to_datetime(1_700_000_000.123)}


def test_open_items_are_known_while_the_run_goes_on(store: SqliteStore) -> None:
    """What was begun, failed or released is open with its tries until it is concluded."""
    owner = store.own("loop")
    owner.commit([Draft("started", "first"), Draft("started", "again", '{"errors":1,"crashes":2}')])
    assert owner.open_items == {"first": Tries(0, 0, True), "again": Tries(1, 2, True)}
    owner.commit([Draft("failed", "first", '{"tries":{"errors":3}}'), Draft("cursor", "since", "7")])
    assert owner.open_items == {"first": Tries(3, 0, False), "again": Tries(1, 2, True)}
    owner.commit([Draft("done", "first"), Draft("done", "never begun"), Draft("released", "again")])
    assert owner.open_items == {}


def test_open_items_are_marked_each_so_many_entries(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark comes with the commit after as many as there may be, holds what that commit left, and is in the row."""
    mark_every(monkeypatch, 5)
    owner = store.own("loop")
    owner.commit(_drafts("started a, started b"))
    for number in range(3):
        owner.commit([Draft("cursor", "since", str(number))])
    owner.commit([Draft("failed", "a", '{"tries":{"errors":2}}'), Draft("done", "b")])
    for number in range(7):
        owner.commit([Draft("cursor", "since", str(number))])
    marks = [entry for entry in store.entries("loop") if entry.kind == "open"]
    assert [entry.seq for entry in marks] == [10, 17]
    assert [entry.value for entry in marks] == [{"a": {"errors": 2, "crashes": 0, "begun": 0}}] * 2
    assert raw(store.path, "SELECT mark FROM leftoff_run") == [(17,)]
    assert store.open_items("loop") == {"a": Tries(2, 0, False)}


def _met(*places: int) -> bytearray:
    bits = bytearray(4)
    for place in places:
        bits[place >> 3] |= 1 << (place & 7)
    return bits


def test_conclusions_that_were_met_are_counted(store: SqliteStore) -> None:
    """Each of those that still hold is counted once, whether all were met or some; one that was superseded never is."""
    owner = store.own("loop")
    a, b, c = owner.commit(_drafts("done a, done b, dead c"))
    assert owner.tally(_met(a, b, -c)) == (2, 1)
    assert owner.tally(_met(a)) == (1, 0)
    assert owner.tally(_met(-c)) == (0, 1)
    assert owner.tally(_met()) == (0, 0)
    (again,) = owner.commit(_drafts("done a"))
    assert owner.tally(_met(a, b, -c, again)) == (2, 1)
    assert [key for key, _ in owner.concluded()] == []
