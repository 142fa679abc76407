"""One damaged row of a database hides no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from leftoff.journal.entry import Draft
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_verify import examine_sqlite
from tests.journal.sqlite_files import make, raw


def test_each_damaged_row_is_its_own_place(tmp_path: Path) -> None:
    """A key, a value and a row that is gone are three places, each with what it affects."""
    path = tmp_path / "a.db"
    make(path, 10)
    raw(
        path,
        "UPDATE leftoff_entry SET key = 'k9' WHERE kind = 'done' AND key = 'k1'",
        "UPDATE leftoff_entry SET value = '{\"n\":7}' WHERE kind = 'done' AND key = 'k3'",
        "DELETE FROM leftoff_entry WHERE kind = 'done' AND key = 'k7'",
    )
    found = examine_sqlite(path, "a.db").damage
    assert [one.where for one in found] == ["entry 6", "entry 10", "entry 19"]
    assert [one.affects for one in found] == [
        "entry 6; it reads as done 'k9' of run loop, which is not to be believed",
        "the value of 'k3' in run loop",
        "at least one entry of run loop between 17 and 19 is gone: what it said cannot be told",
    ]
    assert all(one.sound for one in found)


def test_a_row_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    """Bytes that are no text are one place; the rows around them are checked."""
    path = tmp_path / "a.db"
    make(path, 10)
    raw(path, "UPDATE leftoff_entry SET key = CAST(x'ff' AS TEXT) WHERE kind = 'started' AND key = 'k2'")
    raw(path, "UPDATE leftoff_entry SET key = 'k99' WHERE kind = 'started' AND key = 'k8'")
    found = examine_sqlite(path, "a.db").damage
    assert sorted(one.where for one in found) == ["entry 19", "entry 7"]


def test_a_long_value_is_checked_by_itself(tmp_path: Path) -> None:
    """A value too long for a page of rows is read alone: sound it is no place, changed it is one."""
    path = tmp_path / "a.db"
    make(path, 3)
    store = SqliteStore(path)
    store.own("loop").commit([Draft("done", "long", '"' + "x" * 200_000 + '"')])
    store.close()
    assert examine_sqlite(path, "a.db").damage == []
    raw(path, "UPDATE leftoff_entry SET value = replace(value, 'xxx', 'xyx') WHERE key = 'long'")
    assert [one.affects for one in examine_sqlite(path, "a.db").damage] == ["the value of 'long' in run loop"]


def test_a_long_value_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    """A long value of bytes that are no text is the one place; its entry, and those around it, are believed."""
    path = tmp_path / "a.db"
    make(path, 3)
    raw(path, "UPDATE leftoff_entry SET value = printf('%070000d', 1) || CAST(x'ff' AS TEXT) WHERE key = 'since'")
    assert [(one.where, one.affects) for one in examine_sqlite(path, "a.db").damage] == [
        ("entry 9", "the value of 'since' in run loop")
    ]


def test_columns_of_another_type_are_damage_and_no_crash(tmp_path: Path) -> None:
    """SQLite keeps any type in any column: a value turned to bytes, and a sum turned to text, are a place each."""
    path = tmp_path / "a.db"
    make(path, 10)
    raw(
        path,
        "UPDATE leftoff_entry SET value = CAST(value AS BLOB) WHERE kind = 'done' AND key = 'k3'",
        "UPDATE leftoff_entry SET prev = 'text' WHERE kind = 'done' AND key = 'k7'",
    )
    assert [(one.where, one.affects) for one in examine_sqlite(path, "a.db").damage] == [
        ("entry 10", "the value of 'k3' in run loop"),
        ("entry 18", "entry 18; it reads as done 'k7' of run loop, which is not to be believed"),
    ]


def test_a_damaged_entry_of_a_run_that_is_not_there_makes_none_up(tmp_path: Path) -> None:
    """That a run's row is gone is told at the first of its entries that can be believed."""
    path = tmp_path / "a.db"
    make(path, 2)
    store = SqliteStore(path)
    store.own("other").commit([Draft("done", "x")])
    store.close()
    raw(
        path,
        "DELETE FROM leftoff_run WHERE name = 'other'",
        "UPDATE leftoff_entry SET key = 'new' WHERE run = 2 AND kind = 'created'",
    )
    assert [(one.where, one.affects) for one in examine_sqlite(path, "a.db").damage] == [
        ("entry 9", "entry 9; it reads as created 'new' of run 2, which is not to be believed"),
        ("entry 10", "the run that entry 10 and others are of"),
    ]


def test_the_newest_entry_that_cannot_be_read_is_one_place(tmp_path: Path) -> None:
    """That the chain of its run ends before its head says nothing more."""
    path = tmp_path / "a.db"
    make(path, 10)
    raw(path, "UPDATE leftoff_entry SET key = CAST(x'ff' AS TEXT) WHERE kind = 'started' AND key = 'in hand'")
    (found,) = examine_sqlite(path, "a.db").damage
    assert (found.where, found.affects) == ("entry 24", "entry 24, of any run; which key cannot be told")


def put_last_row_at(path: Path, seq: int, key: bytes) -> None:
    """Change the seq and the key of a small journal's newest entry, where SQLite's page of the entries has them."""
    root = raw(path, "SELECT rootpage FROM sqlite_master WHERE name = 'leftoff_entry'")[0][0]
    data = bytearray(path.read_bytes())
    page = (root - 1) * int.from_bytes(data[16:18], "big")
    cells = int.from_bytes(data[page + 3 : page + 5], "big")
    pointer = page + 8 + 2 * (cells - 1)
    cell = page + int.from_bytes(data[pointer : pointer + 2], "big")
    assert data[page] == 13, "a page of rows alone"
    assert data[cell] < 128, "a length of one byte"
    data[cell + 1] = seq
    at = data.index(b"in hand", cell)
    data[at : at + 7] = key
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("key", "said"),
    [(b"in hand", "the entries behind seq 3 are not in order"), (b"\xffn hand", "Could not decode to UTF-8")],
)
def test_rows_that_are_not_in_order_end_the_check(tmp_path: Path, key: bytes, said: str) -> None:
    """Where a row stands behind one with a later number the rest cannot be read, and the check says so and ends."""
    path = tmp_path / "a.db"
    make(path, 3)
    put_last_row_at(path, 3, key)
    *_, end, pages = examine_sqlite(path, "a.db").damage
    assert (end.where, end.affects) == ("a.db", "what stands behind that place, of any run: it cannot be read")
    assert said in end.what
    assert pages.affects == "SQLite's own pages, so any table in the file, yours too"
