"""What the rows of a database say is told as it stands there, and refused by name where it is not what was written."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from leftoff.errors import JournalDamaged
from leftoff.journal.entry import Draft, Tries, to_datetime
from leftoff.journal.rows import Rows, entry_sum, value_sum_of
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_file import SQLITE
from leftoff.journal.sqlite_verify import fetch_with
from tests.journal.sqlite_files import forge_run, make, raw

WITHOUT = "TypeError: an entry 'owner' without host, pid, start, durability"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "a.db")
    return tmp_path / "a.db"


@pytest.fixture
def rows(path: Path) -> Iterator[Rows]:
    """What reads the journal, however small it is, without checking all of it first."""
    connection = sqlite3.connect(path)
    ((journal_id,),) = raw(path, "SELECT id FROM leftoff_journal")
    yield Rows(fetch_with(connection), path, journal_id, SQLITE)
    connection.close()


def said(error: pytest.ExceptionInfo[JournalDamaged], path: Path) -> str:
    """What an error says between the name of the place and what to do next."""
    begin, end = f"{path}: ", f"; nothing was changed. Restore a copy, or look with: leftoff verify {path}"
    assert str(error.value).startswith(begin)
    assert str(error.value).endswith(end)
    return str(error.value)[len(begin) : -len(end)]


def test_an_entry_is_what_its_row_says(rows: Rows, path: Path) -> None:
    """Number, run, epoch, kind, key and time are those of the row, its value is decoded."""
    told = [
        (entry.seq, entry.run, entry.epoch, entry.kind, entry.key, entry.at)
        for entry in rows.entries({1: "loop"}, 1, 0, 100)
    ]
    written = raw(path, "SELECT seq, epoch, kind, key, at FROM leftoff_entry ORDER BY seq")
    assert told == [(seq, "loop", epoch, kind, key, to_datetime(at / 1000)) for seq, epoch, kind, key, at in written]
    assert [entry.value for entry in rows.entries({1: "loop"}, 1, 3, 6)] == [{"n": 0}, None, {"n": 1}]


def test_entries_end_at_the_last_that_was_asked_for(rows: Rows) -> None:
    """The first bound is left out, the second one is in."""
    assert [entry.seq for entry in rows.entries({1: "loop"}, None, 4, 7)] == [5, 6, 7]


def test_open_items_are_read_from_the_mark_on(path: Path) -> None:
    """The `open` entry itself is the first that is read, and what is read is counted."""
    store = SqliteStore(path)
    store.own("loop").commit([
        Draft("open", "", '{"in hand":{"errors":1,"crashes":1,"begun":0},"k9":{"errors":2,"crashes":0,"begun":0}}'),
        Draft("started", "k10"),
    ])  # fmt: skip
    ((head,),) = raw(path, "SELECT seq FROM leftoff_run")
    rows = store._rows
    assert rows is not None
    run = rows.runs()[0]._replace(mark=head - 1)
    opened = {"in hand": Tries(1, 1), "k9": Tries(2, 0), "k10": Tries(0, 0, True)}
    assert rows.open_items(run) == (opened, 2)
    store.close()


def test_conclusions_are_counted_by_their_kind(rows: Rows) -> None:
    """Of six items every fourth is dead."""
    (run,) = rows.runs()
    assert rows.count_conclusions(run) == (4, 2)
    assert (rows.key_count(run, "done"), rows.key_count(run, "dead")) == (4, 2)
    assert [key for page in rows.conclusions(run) for key, _ in page] == ["k0", "k1", "k2", "k3", "k4", "k5"]
    assert list(rows.marks_of(run)) == [-4, 6, 8, 10, -12, 14]


@pytest.mark.parametrize("page", [1, 2, 7, 50])
def test_conclusions_are_the_same_whatever_the_page(page: int, tmp_path: Path) -> None:
    """A run that fits a page is sorted, a larger one is walked beside another's entries: both tell the same."""
    path = tmp_path / "two.db"
    store = SqliteStore(path)
    mine, other = store.own("mine"), store.own("other")
    rng = random.Random(page)
    for number in range(40):
        other.commit([Draft("done", f"{number}")])
        mine.commit([Draft(rng.choice(["done", "dead", "forgotten", "retried", "done"]), f"k{rng.randrange(12)}")])
    store.close()
    connection = sqlite3.connect(path)
    ((journal_id,),) = raw(path, "SELECT id FROM leftoff_journal")
    told = []
    for size in (page, 1000):
        rows = Rows(fetch_with(connection), path, journal_id, SQLITE._replace(page=size))
        run = rows.run("mine")
        assert run is not None
        pages = list(rows.conclusions(run))
        assert all(len(each) <= size for each in pages)
        told.append(([pair for each in pages for pair in each], list(rows.marks_of(run))))
    connection.close()
    assert told[0] == told[1]
    assert [mark for _, mark in told[0][0]] == told[0][1]
    assert len(told[0][1]) > 5


@pytest.mark.parametrize(
    ("statement", "ask", "expected"),
    [
        (
            "UPDATE leftoff_entry SET value = '{\"n\":7}' WHERE seq = 6",
            lambda rows: list(rows.entries({1: "loop"}, 1, 0, 9)),
            "the value of entry 6 (done 'k1') is not what was written",
        ),
        (
            "UPDATE leftoff_entry SET run = 2, sum = {moved} WHERE seq = 6",
            lambda rows: list(rows.entries({1: "loop"}, None, 0, 9)),
            "entry 6 belongs to run 2, which does not exist",
        ),
        (
            "UPDATE leftoff_entry SET value = '{owner}', value_sum = {value_sum}, sum = {forged} WHERE seq = 2",
            lambda rows: list(rows.entries({1: "loop"}, 1, 0, 9)),
            f"a row cannot be understood though its sum fits ({WITHOUT})",
        ),
        (
            "UPDATE leftoff_run SET name = 'other'",
            lambda rows: rows.runs(),
            "the row of the run 'other' is not what was written",
        ),
        (
            "DELETE FROM leftoff_entry WHERE seq = 16",
            lambda rows: rows.run("loop"),
            "the newest entry of the run 'loop' should be seq 16, and is gone",
        ),
    ],
)
def test_a_row_that_is_not_what_was_written_is_named(
    rows: Rows, path: Path, statement: str, ask: Callable[[Rows], Any], expected: str
) -> None:
    """Whoever asks for it is told which, and why it is not believed."""
    owner = '{"host":"here"}'

    def total(seq: int, **changes: Any) -> int:
        names = "prev, seq, run, epoch, at, kind, value_sum, key"
        ((*row,),) = raw(path, f"SELECT {names} FROM leftoff_entry WHERE seq = {seq}")
        return entry_sum(**{**dict(zip(names.split(", "), row, strict=True)), **changes})

    forged = {"moved": total(6, run=2), "forged": total(2, value_sum=value_sum_of(owner))}
    for name, value in {**forged, "owner": owner, "value_sum": value_sum_of(owner)}.items():
        statement = statement.replace(f"{{{name}}}", str(value))
    raw(path, statement)
    with pytest.raises(JournalDamaged) as error:
        ask(rows)
    assert said(error, path) == expected


def test_a_changed_entry_is_named_with_all_that_its_sum_covers(rows: Rows, path: Path) -> None:
    """The first row of a page whose sum does not fit is the one that is shown."""
    raw(path, "UPDATE leftoff_entry SET key = 'k9' WHERE seq IN (6, 8)")
    ((at, value_sum),) = raw(path, "SELECT at, value_sum FROM leftoff_entry WHERE seq = 6")
    for ask in (
        lambda: rows.marks(1, ["k1", "k9"]), lambda: list(rows.conclusions(rows.runs()[0])),
        lambda: list(rows.entries({1: "loop"}, 1, 0, 9)), lambda: rows.conclusions_of(rows.runs()[0], ["k9"]),
    ):  # fmt: skip
        with pytest.raises(JournalDamaged) as error:
            ask()
        assert said(error, path) == (
            f"the entry '6|1|1|{at}|done|{value_sum}|k9' (seq|run|epoch|at|kind|value_sum|key) is not what was written"
        )


def test_a_head_whose_sum_is_not_that_of_its_entry_is_refused(rows: Rows, path: Path) -> None:
    """An entry that fits by itself is not the newest of a run whose row tells of another."""
    assert rows.run("loop") == rows.runs()[0]
    assert rows.run("other") is None
    forge_run(path, sum=crc32(b"another"))
    with pytest.raises(JournalDamaged) as error:
        rows.run("loop")
    assert said(error, path) == "the newest entry of the run 'loop' should be seq 16, and is gone"


@pytest.mark.parametrize("column", ["seq", "done", "superseded"])
def test_a_runs_row_that_was_forged_of_something_else_than_numbers_is_named(
    rows: Rows, path: Path, column: str
) -> None:
    """Its sum fits, so its types are looked at before anything is counted with them."""
    (run,) = rows.runs()
    forged = run._replace(**{column: b"3"}).row_sum(rows.salt)
    raw(path, f"UPDATE leftoff_run SET {column} = x'33', row_sum = {forged}")
    for ask in (rows.runs, lambda: rows.run("loop")):
        with pytest.raises(JournalDamaged) as error:
            ask()
        assert said(error, path) == "the row of the run 'loop' holds something else than numbers"
