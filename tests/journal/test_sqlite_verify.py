"""What cannot be read is one more damaged place, and what SQLite would leave out of its log is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from leftoff.journal.sqlite_verify import examine_sqlite
from leftoff.journal.store import Damage
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
