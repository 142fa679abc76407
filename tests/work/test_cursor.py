"""Cursors: durable positions in a source."""

from __future__ import annotations

import pytest

import leftoff
from leftoff.errors import UnusableValue, UsageError
from tests.contract.stores import Lives, everywhere


@everywhere
def test_a_cursor_moved_outside_an_item_is_durable_at_once(place):
    """Its value is the start until it is moved, then the last position, in this life and the next."""
    lives = Lives(place)
    with lives.open() as journal:
        cursor = journal.run("r").cursor("since", start="2026-01-01")
        assert cursor.value == "2026-01-01"
        for value in ("2026-02-01", {"page": [1, b"x"]}, 0):
            cursor.advance(value)
            assert cursor.value == value
            assert journal.run("r").cursor("since").value == value
        assert journal.run("r").cursor("other", start=1).value == 1
        assert journal.run("s").cursor("since").value is None
    with lives.open() as journal:
        assert journal.run("r").cursor("since", start="2026-01-01").value == 0


@everywhere
@pytest.mark.parametrize("way", ["each", "batches", "map"])
def test_a_cursor_moved_in_an_item_moves_with_it(place, way):
    """Within the item the new position is seen; it is durable with the item's done, and not before."""
    lives = Lives(place)
    with lives.open() as journal:
        run = journal.run("r")
        cursor = run.cursor("page", start=0)

        def body(n: int) -> None:
            cursor.advance(n)
            assert cursor.value == n
            assert [e.value for e in journal.entries("r") if e.kind == "cursor"] == list(range(1, n))

        if way == "map":
            list(run.map(body, [1, 2, 3]))
        else:
            for item in run.each([1, 2, 3]) if way == "each" else run.batches([1, 2, 3], 1):
                body(item[0] if isinstance(item, list) else item)
    with lives.open() as journal:
        assert journal.run("r").cursor("page").value == 3


@everywhere
@pytest.mark.parametrize("way", ["each", "batches", "map"])
def test_an_item_that_fails_leaves_the_cursor_where_it_was(place, way):
    """The position belongs to the item: what raised, or was left by break, did not move it."""
    lives = Lives(place)
    with lives.open() as journal:
        run = journal.run("r")
        cursor = run.cursor("page", start=0)

        def body(n: int) -> None:
            cursor.advance(n)
            if n == 2:
                raise ValueError(n)

        if way == "map":
            list(run.map(body, [1, 2], attempts=1))
        else:
            with pytest.raises(ValueError, match="2"):
                for item in run.each([1, 2]) if way == "each" else run.batches([1, 2], 1):
                    body(item[0] if isinstance(item, list) else item)
        assert cursor.value == 1
    with lives.open() as journal:
        assert journal.run("r").cursor("page").value == 1


@everywhere
def test_a_cursor_moved_behind_a_break_stays(place):
    """Behind a loop that was left no item is in hand: the position is durable at once."""
    lives = Lives(place)
    with lives.open() as journal:
        run = journal.run("r")
        for _ in run.each([1, 2]):
            break
        run.cursor("page").advance(9)
    with lives.open() as journal:
        assert journal.run("r").cursor("page").value == 9


@everywhere
def test_none_is_no_position(place):
    """None and what cannot be kept are refused."""
    with Lives(place).open() as journal:
        cursor = journal.run("r").cursor("page")
        with pytest.raises(UsageError, match="None is no position"):
            cursor.advance(None)
        with pytest.raises(UnusableValue, match="cursor page"):
            cursor.advance(object())


@everywhere
def test_where_an_attempt_that_failed_moved_a_cursor_no_other_takes_it(place):
    """Neither the next try of the item nor the next item records a position that only a failed attempt moved to."""
    lives = Lives(place)
    with lives.open() as journal:
        run = journal.run("r")
        cursor, tried = run.cursor("page", start=0), []

        def body(n: int) -> None:
            tried.append(n)
            if tried in ([1], [1, 1, 2]):
                cursor.advance(n)
                raise ValueError(n)

        outcomes = list(run.map(body, [1, 2, 3], attempts=2, progress=False))
        assert ([outcome.error for outcome in outcomes], tried) == ([None] * 3, [1, 1, 2, 2, 3])
        assert cursor.value == 0


@pytest.mark.parametrize("workers", [None, 3])
def test_a_cursor_that_write_moves_moves_with_the_item(workers):
    """In the owner's thread `write=` may move a cursor: it is part of the item's commit, or of none."""
    with leftoff.open("run.db") as journal:
        run = journal.run("r")
        run.connection.execute("CREATE TABLE t (n)")
        cursor = run.cursor("page", start=-1)

        def save(connection, outcome):
            connection.execute("INSERT INTO t VALUES (?)", (outcome.value,))
            cursor.advance(outcome.value)
            assert cursor.value == outcome.value
            if outcome.value == 4:
                raise ValueError(outcome.value)

        list(run.map(int, range(5), workers=workers, write=save, attempts=1, progress=False))
        assert [key for key, _ in enumerate(run.connection.execute("SELECT n FROM t"))] == list(range(4))
        assert cursor.value in ({3} if workers is None else range(4))
        moves = {entry.value for entry in journal.entries() if entry.kind == "cursor"}
        assert moves <= set(range(4))
        assert 4 not in moves
        assert journal.verify() == []
