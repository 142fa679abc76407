"""One damaged row of a database hides no other."""

from __future__ import annotations

from pathlib import Path

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
    from leftoff.journal.entry import Draft
    from leftoff.journal.sqlite import SqliteStore

    store = SqliteStore(path)
    store.own("loop").commit([Draft("done", "long", '"' + "x" * 200_000 + '"')])
    store.close()
    assert examine_sqlite(path, "a.db").damage == []
    raw(path, "UPDATE leftoff_entry SET value = replace(value, 'xxx', 'xyx') WHERE key = 'long'")
    assert [one.affects for one in examine_sqlite(path, "a.db").damage] == ["the value of 'long' in run loop"]
