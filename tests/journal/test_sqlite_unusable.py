"""A disk or a memory that fails under SQLite says nothing of the journal's bytes: no damage is told of."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalUnusable
from leftoff.journal import sqlite
from leftoff.journal.rows import Rows
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_file import SQLITE
from leftoff.journal.sqlite_verify import check_all
from tests.contract import program
from tests.journal.sqlite_files import make, raw

LARGE = ("CREATE TABLE bulk (body)", "INSERT INTO bulk VALUES (zeroblob(2000000))")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "a.db")
    return tmp_path / "a.db"


def test_a_disk_that_fails_under_a_check_is_no_damage(path):
    """A page that cannot be read says nothing of the bytes: it is an error of the system's, not a damaged place."""

    def fetch(sql: str, parameters: Any) -> list[Any]:
        if "integrity_check" in sql:
            raise sqlite3.OperationalError("disk I/O error")
        return []

    with pytest.raises(JournalUnusable, match="disk I/O error"):
        list(check_all(fetch, Rows(fetch, path, "0" * 16, SQLITE)))


def test_memory_that_ends_under_a_check_is_no_damage(path):
    """SQLite's check takes it for a damaged page; it is an error of the system's."""
    said = "*** in database main ***\nPage 4: unable to get the page. error code=7\nPage 5 is never used"

    def fetch(sql: str, parameters: Any) -> list[Any]:
        return [(said,)] if "integrity_check" in sql else []

    with pytest.raises(JournalUnusable, match=r"a\.db cannot be used \(out of memory\)"):
        list(check_all(fetch, Rows(fetch, path, "0" * 16, SQLITE)))


def lose_disk(path: Path) -> None:
    """Let every further read of a file that this process has open fail: its descriptors become ones for writing."""
    writing = os.open(path, os.O_WRONLY)
    for fd in [int(entry.name) for entry in Path("/dev/fd").iterdir()]:
        with suppress(OSError):
            if fd != writing and os.path.samestat(os.fstat(fd), path.stat()):
                os.dup2(writing, fd)
    os.close(writing)


@pytest.mark.parametrize("statements", [(), LARGE], ids=["small", "large"])
def test_a_disk_that_fails_while_a_journal_is_opened_is_no_damage(path, monkeypatch, statements):
    """Pages that the disk does not give back are an error of the system's, and the journal is whole afterwards."""
    raw(path, *statements)
    given = sqlite.read_header

    def read_and_fail(fetch: Any, place: Path) -> Any:
        found = given(fetch, place)
        lose_disk(place)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "read_header", read_and_fail)
        with pytest.raises(JournalUnusable, match=r"a\.db cannot be used \(disk I/O error\)"):
            SqliteStore(path)
    store = SqliteStore(path)
    assert store.counts("loop") == (4, 2)
    store.close()


def test_memory_that_ends_while_a_journal_is_opened_is_no_damage(path):
    """However little memory SQLite is left with, the journal is opened whole or the lack of memory is told."""
    text = """
        import os, signal, sqlite3
        from pathlib import Path
        from leftoff.errors import JournalUnusable
        from leftoff.journal.sqlite import SqliteStore
        limits = sqlite3.connect(":memory:")
        said = set()
        for limit in range(1 << 20, 0, -512):
            try:
                limits.execute(f"PRAGMA hard_heap_limit={limit}")  # of the whole process
            except MemoryError:
                break
            try:
                store = SqliteStore(Path("a.db"))
                store.close()
                said.add("whole")
            except JournalUnusable as error:
                assert "a.db cannot be used (out of memory)" in str(error), error
                said.add("too little")
        print(sorted(said), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)  # what else ends with the process may want SQLite, too
        """
    assert program.run(program.write(path.parent, text), code=-signal.SIGKILL).stdout == "['too little', 'whole']\n"
