"""What SQLite's own words mean for a journal, and how its file is opened for reading."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from leftoff.errors import (
    JournalBusy,
    JournalClosed,
    JournalDamaged,
    JournalFull,
    JournalReadOnly,
    JournalUnusable,
    NotAJournal,
)
from leftoff.journal import sqlite_file
from leftoff.journal.connection import Guarded
from leftoff.journal.sqlite_file import busy, connect_reader, translate
from tests.journal.sqlite_files import make

ASK = (
    "nothing that was committed has changed. Look into the system's log for errors of the disk, and at the limits of"
    " this process (ulimit -a), and start again"
)
HELD = (
    "{path}: {who} has held SQLite's write lock for too long. An item holds it from its first use of run.connection to"
    " its end: write last in the item, and read with run.reader()"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "a.db")
    return tmp_path / "a.db"


def allow(monkeypatch: pytest.MonkeyPatch, path: Path, file: int, folder: int) -> None:
    """Let the system say that this user may do these things with the file and with its folder, and no others."""
    given = {path: file, path.parent: folder}
    monkeypatch.setattr(sqlite_file.os, "access", lambda place, mode: not mode & ~given[Path(place)])


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (sqlite3.OperationalError("database is locked"), JournalBusy, HELD.replace("{who}", "another process")),
        (
            sqlite3.OperationalError("disk I/O error"),
            JournalUnusable,
            f"{{path}} cannot be used (disk I/O error); {ASK}",
        ),
        (MemoryError(), JournalUnusable, f"{{path}} cannot be used (out of memory); {ASK}"),
        (OSError(errno.EIO, "Broken"), JournalUnusable, f"{{path}} cannot be used (Broken); {ASK}"),
        (
            sqlite3.DatabaseError("access to leftoff_run is prohibited"),
            JournalUnusable,
            f"{{path}} cannot be used (access to leftoff_run is prohibited); {ASK}",
        ),
        (
            sqlite3.DatabaseError("not authorized"),
            JournalUnusable,
            f"{{path}} cannot be used (not authorized); {ASK}",
        ),
        (
            sqlite3.OperationalError("unable to open database file"),
            JournalUnusable,
            f"{{path}} cannot be used (unable to open database file); {ASK}",
        ),
        (
            sqlite3.OperationalError("attempt to write a readonly database"),
            JournalUnusable,
            f"{{path}} cannot be used (attempt to write a readonly database); {ASK}",
        ),
        (
            sqlite3.OperationalError("database or disk is full"),
            JournalFull,
            "{path} has no space left; everything committed before is intact. Free some space and start again",
        ),
        (
            sqlite3.DatabaseError("database disk image is malformed"),
            JournalDamaged,
            "{path} is malformed, or the disk does not give it back: look into the system's log, or restore a copy",
        ),
        (
            sqlite3.DatabaseError("file is not a database"),
            NotAJournal,
            "{path} is not an SQLite database; name another file, or move this one away",
        ),
        (
            sqlite3.ProgrammingError("Cannot operate on a closed database."),
            JournalClosed,
            "{path} was closed; open it again",
        ),
        (
            ValueError("odd"),
            JournalDamaged,
            "{path}: ValueError: odd; nothing was changed. Restore a copy, or look with: leftoff verify {path}",
        ),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, Exception) else "",
)
def test_each_word_of_sqlites_has_its_meaning(tmp_path: Path, error: Exception, kind: type, said: str) -> None:
    """Whatever comes from below is said in words, with the file's name and what to do next."""
    path = tmp_path / "a.db"
    path.touch()
    found = translate(error, path)
    assert (type(found), str(found)) == (kind, said.format(path=path))


@pytest.mark.parametrize(
    ("file", "folder", "usable"),
    [
        (os.R_OK | os.W_OK, os.W_OK | os.X_OK, True),
        (os.R_OK, os.W_OK | os.X_OK, False),
        (os.W_OK, os.W_OK | os.X_OK, False),
        (os.R_OK | os.W_OK, os.W_OK, False),
        (os.R_OK | os.W_OK, os.X_OK, False),
    ],
)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "unable to open database file",
            "cannot be opened: check that this user may read it, and may write in its folder",
        ),
        (
            "attempt to write a readonly database",
            "cannot be written: it, or its folder, is read-only for this user",
        ),
    ],
)
def test_what_this_user_may_not_do_is_no_failing_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: int, folder: int, usable: bool, text: str, said: str
) -> None:
    """Only who may read and write the file and may make names in its folder is sent to the system's log."""
    path = tmp_path / "a.db"
    allow(monkeypatch, path, file, folder)
    found = translate(sqlite3.OperationalError(text), path)
    if usable:
        assert (type(found), str(found)) == (JournalUnusable, f"{path} cannot be used ({text}); {ASK}")
    else:
        assert (type(found), str(found)) == (JournalReadOnly, f"{path} {said}")


def test_damage_on_a_full_disk_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That no space is left explains an I/O error, and nothing else."""
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=0))
    assert type(translate(sqlite3.DatabaseError("database disk image is malformed"), tmp_path)) is JournalDamaged


def test_an_error_of_a_journal_whose_folder_is_gone_is_one_of_ours(tmp_path: Path) -> None:
    """Whether a disk is full is asked of a folder that is there."""
    found = translate(sqlite3.OperationalError("disk I/O error"), tmp_path / "gone" / "a.db")
    assert type(found) is JournalUnusable


def test_the_holder_of_the_write_lock_is_named_where_the_system_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that is not there, or a system that tells in other words, leaves "another process"."""
    path = tmp_path / "a.db"
    unknown = HELD.format(path=path, who="another process")
    assert str(busy(path)) == unknown
    with Path(f"{path}-shm").open("wb") as shared:
        fcntl.lockf(shared, fcntl.LOCK_EX, 2, 119)
        assert str(busy(path)) == HELD.format(path=path, who=f"process {os.getpid()}")
        other = tmp_path / "locks"
        other.write_bytes(b"\xff\n")
        monkeypatch.setattr(sqlite_file, "Path", lambda place: other)
        assert str(busy(path)) == unknown


# -- opening for reading ---------------------------------------------------------------------------------------------


class Unwilling(Guarded):
    """Be a connection that cannot be opened the ordinary way."""

    def __init__(self, place: str, **options: Any) -> None:
        if place.endswith("?mode=ro"):
            raise sqlite3.OperationalError("unable to open database file")
        super().__init__(place, **options)


def is_for_reading(connection: Guarded) -> None:
    """See that nothing is written through a connection, that no schema is trusted, and that any thread may read."""
    assert connection.isolation_level is None
    assert connection.execute("PRAGMA query_only").fetchone() == (1,)
    assert connection.execute("PRAGMA trusted_schema").fetchone() == (0,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("CREATE TABLE more (x)")
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.extend(connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'paper'"))
    )
    thread.start()
    thread.join()
    assert found == [(1,)]


def test_a_reader_waits_and_writes_nothing(path: Path) -> None:
    """It waits half a minute for who recovers the log, or as long as it is told; it is let into any thread."""
    connection = connect_reader(path)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (30000,)
    is_for_reading(connection)
    connection.close()
    connection = connect_reader(path, 0.25)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (250,)
    connection.close()


def interrupt(path: Path) -> None:
    """Leave a database as a program leaves it that is killed in a transaction, with what undoes it beside it."""
    source = path.with_name("source.db")
    writer = sqlite3.connect(source, isolation_level=None)
    writer.execute("CREATE TABLE paper (body)")
    writer.execute("PRAGMA cache_size=1")
    writer.execute("BEGIN")
    for _ in range(30):
        writer.execute("INSERT INTO paper VALUES (zeroblob(5000))")
    for side in ("", "-journal"):
        shutil.copyfile(f"{source}{side}", f"{path}{side}")
    writer.close()
    assert Path(f"{path}-journal").stat().st_size > 0


def test_a_reader_of_an_interrupted_database_finds_it_undone(tmp_path: Path) -> None:
    """What a program left half-way before the file was in WAL mode is rolled back, and the reader is like any other."""
    path = tmp_path / "a.db"
    interrupt(path)
    connection = connect_reader(path, 0.25)
    assert connection.execute("SELECT count(*) FROM paper").fetchone() == (0,)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (250,)
    is_for_reading(connection)
    connection.close()
    assert not Path(f"{path}-journal").exists()


@pytest.mark.parametrize(("file", "folder"), [(os.R_OK, os.W_OK), (os.R_OK | os.W_OK, os.R_OK), (os.R_OK, os.R_OK)])
def test_who_may_not_write_undoes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: int, folder: int
) -> None:
    """An interrupted transaction stays as it is for a user who may not write the file or in its folder."""
    path = tmp_path / "a.db"
    interrupt(path)
    before = path.read_bytes()
    allow(monkeypatch, path, file, folder)
    if folder & os.W_OK:
        with pytest.raises(sqlite3.OperationalError):
            connect_reader(path)
    assert path.read_bytes() == before
    assert Path(f"{path}-journal").exists()


def test_a_reader_makes_no_database(tmp_path: Path) -> None:
    """Where there is no file, there is none afterwards."""
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        connect_reader(tmp_path / "a.db")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_opened_is_not_written_to_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database without an interrupted transaction beside it is not opened for writing, whatever the error was."""
    monkeypatch.setattr(sqlite_file, "Guarded", Unwilling)
    monkeypatch.setattr(sqlite_file, "_roll_back", lambda place: pytest.fail("it was opened for writing"))
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        connect_reader(path)


@pytest.mark.parametrize(("folder", "log", "read"), [(0, False, True), (0, True, False), (os.W_OK, False, False)])
def test_only_what_nobody_can_be_writing_is_read_without_locks(
    path: Path, monkeypatch: pytest.MonkeyPatch, folder: int, log: bool, read: bool
) -> None:
    """In a folder where no side file can be made and no log is, the bytes cannot change; else the error stands."""
    if log:
        Path(f"{path}-wal").write_bytes(b"log")
    allow(monkeypatch, path, os.R_OK, folder)
    monkeypatch.setattr(sqlite_file, "Guarded", Unwilling)
    if read:
        connection = connect_reader(path)
        is_for_reading(connection)
        assert sorted(file.name for file in path.parent.iterdir()) == ["a.db", "a.db.lock"]
        connection.close()
    else:
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            connect_reader(path)
