"""What cannot be read is one more damaged place, and what SQLite would leave out of its log is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalDamaged
from leftoff.journal.rows import Rows
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_file import SQLITE
from leftoff.journal.sqlite_verify import check_all, check_pages, check_schema, drops_commits, examine_sqlite
from leftoff.journal.sqlite_wal import Tail
from leftoff.journal.store import Damage
from tests.contract.drafts import done
from tests.journal.sqlite_files import make, make_killed, raw

FRAME = 24 + 4096


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM leftoff_journal", "the journal's header is not what was written"),
        ("DROP TABLE leftoff_run", "the schema is not what leftoff created (leftoff_run)"),
        (
            "ALTER TABLE leftoff_run RENAME COLUMN name TO called",
            "the schema is not what leftoff created (leftoff_run)",
        ),
    ],
)
def test_what_hides_the_rows_is_a_damaged_place(tmp_path: Path, statement: str, what: str) -> None:
    """A header or a table that is not what was written is told with what cannot be looked at for it."""
    path = tmp_path / "a.db"
    make(path)
    raw(path, statement)
    (found,) = examine_sqlite(path, "a.db").damage
    assert (found.where, found.affects) == (
        "a.db",
        "what stands behind that place, of any run: it cannot be read",
    )
    assert found.what.startswith(f"{path}: {what}; nothing was changed")


def test_a_database_without_a_journal_is_sound(tmp_path: Path) -> None:
    """Tables of the user's alone are no damage, and nothing is made beside them."""
    path = tmp_path / "a.db"
    raw(path, "CREATE TABLE paper (body)", "INSERT INTO paper VALUES (zeroblob(10000))")
    before = path.read_bytes()
    assert examine_sqlite(path, "a.db") == ([], 0)
    assert path.read_bytes() == before


def test_a_schema_that_vanished_is_a_damaged_place(tmp_path: Path) -> None:
    """A file whose first page forgot its tables is told of with how many pages are nobody's."""
    path = tmp_path / "a.db"
    make(path)
    data = path.read_bytes()
    path.write_bytes(data[:103] + b"\0\0" + data[105:])
    pages = len(data) // 4096 - 1
    found = examine_sqlite(path, "a.db").damage
    everything = ("SQLite's own pages, so any table in the file, yours too", "")
    assert found[0] == Damage(str(path), f"the schema is empty, and {pages} pages belong to no table", *everything)
    assert all(one[2:] == everything for one in found)


def test_commits_that_sqlite_would_leave_out_are_a_damaged_place(tmp_path: Path) -> None:
    """A log that is damaged in its middle is told of, with the frame and how many commits are behind it."""
    path = tmp_path / "a.db"
    make_killed(path)
    log = Path(f"{path}-wal")
    data = bytearray(log.read_bytes())
    commits = [at for at in range(32, len(data), FRAME) if data[at + 4 : at + 8] != b"\0\0\0\0"]
    at = commits[-4] + 100
    data[at] ^= 1
    log.write_bytes(data)
    found = examine_sqlite(path, "a.db").damage
    assert found == [
        Damage(
            f"frame {(commits[-4] - 32) // FRAME + 1} of a.db-wal",
            "not what was written; SQLite leaves out all commits behind it",
            "4 or more commits, your rows in them too: which keys cannot be told",
            "everything before it",
        )
    ]
    assert log.read_bytes() == data


PAGES = ("SQLite's own pages, so any table in the file, yours too", "")
INDEX = ("the index alone: an item may be done again, or a key not be found", "each entry")
REST = "what stands behind that place, of any run: it cannot be read"


def test_an_emptied_file_is_damage_only_beside_a_log(tmp_path: Path) -> None:
    """Nothing, and nothing beside it, is a creation that was interrupted; with a log it lost what was in it."""
    path = tmp_path / "a.db"
    assert examine_sqlite(path, "the journal").damage == []
    path.touch()
    assert examine_sqlite(path, "the journal").damage == []
    Path(f"{path}-wal").write_bytes(b"log")
    assert examine_sqlite(path, "the journal") == ([Damage("the journal", "the file is empty, and a.db-wal is not")], 0)


def answers(pages: int, free: int, grows: int, objects: int) -> Callable[[str, Any], list[Any]]:
    told = {
        "PRAGMA page_count": pages, "PRAGMA freelist_count": free, "PRAGMA auto_vacuum": grows,
        "SELECT count(*) FROM sqlite_master": objects,
    }  # fmt: skip
    return lambda sql, parameters: [(told[sql],)]


@pytest.mark.parametrize(
    ("pages", "free", "grows", "objects", "lost"),
    [
        (1, 0, 0, 0, 0), (2, 0, 0, 0, 1), (9, 0, 0, 0, 8), (9, 5, 0, 0, 3), (9, 7, 0, 0, 1), (9, 8, 0, 0, 0),
        (9, 0, 0, 1, 0), (9, 0, 1, 0, 0), (9, 0, 1, 1, 0),
    ],
)  # fmt: skip
def test_pages_of_no_table_are_counted_where_the_schema_is_empty(
    tmp_path: Path, pages: int, free: int, grows: int, objects: int, lost: int
) -> None:
    """The first page is the schema's, those on the free list nobody's; a file that shrinks by itself has others."""
    found = list(check_schema(answers(pages, free, grows, objects), tmp_path))
    what = f"the schema is empty, and {lost} pages belong to no table"
    assert found == ([Damage(str(tmp_path), what, *PAGES)] if lost else [])


@pytest.mark.parametrize(
    ("said", "about"),
    [
        ("row 3 missing from index leftoff_fate", INDEX),
        ("wrong # of entries in index leftoff_named", INDEX),
        ("wrong # of entries in index theirs", PAGES),
        ("Page 5 is never used", PAGES),
    ],
)
def test_what_sqlite_finds_is_told_with_what_it_concerns(tmp_path: Path, said: str, about: tuple[str, str]) -> None:
    """Of our indexes nothing but the index is in doubt; of anything else the user's tables are, too."""
    assert list(check_pages(lambda sql, parameters: [(said,)], tmp_path)) == [Damage(str(tmp_path), said, *about)]
    assert list(check_pages(lambda sql, parameters: [("ok",)], tmp_path)) == []


def test_where_the_whole_file_cannot_be_checked_our_tables_are(tmp_path: Path) -> None:
    """A function of the user's that only their program has stops SQLite's check; another error is not passed over."""
    asked: list[str] = []

    def fetch(sql: str, parameters: Any) -> list[Any]:
        asked.append(sql)
        if sql == "PRAGMA integrity_check":
            raise sqlite3.OperationalError("no such function: mine")
        return [("ok",)] if "run" in sql else [("odd",)]

    odd = Damage(str(tmp_path), "odd", *PAGES)
    assert list(check_pages(fetch, tmp_path)) == [odd, odd]
    assert asked[1:] == [f"PRAGMA integrity_check(leftoff_{table})" for table in ("journal", "run", "entry")]

    def fail(sql: str, parameters: Any) -> list[Any]:
        asked.append(sql)
        raise sqlite3.OperationalError("database disk image is malformed")

    asked.clear()
    with pytest.raises(JournalDamaged) as caught:
        list(check_pages(fail, tmp_path))
    assert asked == ["PRAGMA integrity_check"]
    said = f"{tmp_path} is malformed, or the disk does not give it back: look into the system's log, or restore a copy"
    assert str(caught.value) == said
    rows = Rows(fail, tmp_path, "0" * 16, SQLITE)
    assert list(check_all(fail, rows)) == [Damage(str(tmp_path), said, REST)]


@pytest.mark.parametrize(
    ("tail", "synced", "unsynced"),
    [
        (Tail(3, 0, True), True, True),
        (Tail(3, 5, True), True, True),
        (Tail(3, 1, False), False, False),
        (Tail(3, 2, False), True, False),
    ],
)
def test_what_a_crash_can_have_torn_depends_on_what_the_owners_asked_for(
    tmp_path: Path, tail: Tail, synced: bool, unsynced: bool
) -> None:
    """Where each commit was synced one may be torn; any number where an owner of some run did not wait for the disk."""
    for later, expected in (("power", synced), ("process", unsynced)):
        path = tmp_path / f"{later}.db"
        store = SqliteStore(path)
        store.own("first").commit([done("a")])
        store.close()
        store = SqliteStore(path, "process" if later == "process" else "power")
        store.own("second").commit([done("b")])
        assert drops_commits(tail, store.rows()) is expected
        store.close()
