"""What must be on disk before what: each sync of an embedded journal, seen to come in time."""

from __future__ import annotations

import errno
import os
import signal
import stat
import threading

import pytest

from leftoff.errors import DurabilityUnavailable, JournalError, JournalInDoubt
from leftoff.journal.entry import Draft
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_scan import HEADER_LENGTH
from leftoff.journal.sqlite import SqliteStore
from tests.contract import program

PATIENCE = 30.0  # seconds


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What this process does to files from now on: ``write FROM-TO``, ``sync LENGTH`` and ``sync directory``."""
    made: list[str] = []
    write, fsync, fdatasync = os.write, os.fsync, os.fdatasync

    def noted_write(fd: int, data: bytes) -> int:
        start = os.fstat(fd).st_size
        made.append(f"write {start}-{start + len(data)}")
        return write(fd, data)

    def noted_fsync(fd: int) -> None:
        made.append("sync directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else f"sync {os.fstat(fd).st_size}")
        fsync(fd)

    def noted_fdatasync(fd: int) -> None:
        made.append(f"sync {os.fstat(fd).st_size}")
        fdatasync(fd)

    monkeypatch.setattr(os, "write", noted_write)
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "fdatasync", noted_fdatasync)
    return made


def test_a_new_journal_and_its_name_are_on_disk_before_its_first_entry(tmp_path, calls):
    """A JSON Lines journal is a synced header in a synced directory when its first entry is written."""
    store = JsonlStore(tmp_path / "run.jsonl")
    store.own("r")
    first = next(number for number, call in enumerate(calls) if call.startswith(f"write {HEADER_LENGTH}-"))
    before = calls[:first]
    assert before[:3] == ["sync directory", f"write 0-{HEADER_LENGTH}", f"sync {HEADER_LENGTH}"]
    store.close()


def test_a_creation_whose_header_cannot_be_synced_is_begun_again(tmp_path, monkeypatch):
    """A header that may never reach the disk is taken back, so that the next owner writes one that does."""

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    path = tmp_path / "run.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        store = JsonlStore(path)
        with pytest.raises(JournalError, match=r"run\.jsonl"):
            store.own("r")
        store.close()
    assert path.read_bytes() == b""
    store = JsonlStore(path)
    store.own("r").commit([Draft("done", "a")])
    assert list(store.keys("r", "done")) == ["a"]
    store.close()


def test_a_database_whose_name_cannot_be_synced_has_no_owner(tmp_path, monkeypatch):
    """SQLite ignores that the directory cannot be synced; the owner does not."""

    def fail(fd: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fail)
    store = SqliteStore(tmp_path / "run.db")
    with pytest.raises(DurabilityUnavailable, match="could vanish"):
        store.own("r")
    store.close()


def test_what_an_owner_that_died_left_unsynced_is_synced_before_the_next_one_writes(tmp_path, request):
    """With "power" a line says that all before it is on disk, so what a killed "process" left comes there first."""
    killed = program.write(
        tmp_path,
        """
        import os, signal
        from pathlib import Path
        from leftoff.journal.entry import Draft
        from leftoff.journal.jsonl import JsonlStore
        JsonlStore(Path("run.jsonl"), "process").own("r").commit([Draft("done", "a")])
        os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    program.run(killed, code=-signal.SIGKILL)
    size = (tmp_path / "run.jsonl").stat().st_size
    calls = request.getfixturevalue("calls")
    store = JsonlStore(tmp_path / "run.jsonl")
    store.own("r")
    first = next(number for number, call in enumerate(calls) if call.startswith("write"))
    assert f"sync {size}" in calls[:first]
    store.close()


def test_a_line_never_says_that_more_was_synced_than_was(tmp_path, monkeypatch):
    """What is committed while a sync is under way is not part of that sync."""
    path = tmp_path / "run.jsonl"
    under_way, permits = threading.Event(), threading.Semaphore(0)
    lengths: list[int] = []

    def slow(fd: int) -> None:
        if threading.current_thread().name == "leftoff-sync":
            lengths.append(os.fstat(fd).st_size)
            under_way.set()
            permits.acquire(timeout=PATIENCE)

    monkeypatch.setattr(os, "fdatasync", slow)
    store = JsonlStore(path, "process")
    owner = store.own("r")
    assert under_way.wait(PATIENCE)
    owner.commit([Draft("done", "while it is synced")])
    appender = owner._appender
    before = appender._synced
    permits.release()
    while appender._synced == before:
        pass
    assert appender._synced == lengths[0]
    permits.release(1000)
    store.close()


def test_closing_leaves_nothing_unsynced(tmp_path, calls):
    """With "process" the last thing that happens to a journal is a sync of all of it."""
    store = JsonlStore(tmp_path / "run.jsonl", "process")
    owner = store.own("r")
    owner._appender._stop.set()  # the thread that syncs has had its last look
    owner._appender._syncer.join(PATIENCE)
    owner.commit([Draft("done", "a")])
    size = (tmp_path / "run.jsonl").stat().st_size
    store.close()
    assert calls[-1] == f"sync {size}"


def test_a_sync_that_failed_is_not_tried_again(tmp_path, monkeypatch):
    """The pages count as clean after a sync that failed, so that a second one would say yes to what is lost."""
    store = JsonlStore(tmp_path / "run.jsonl")
    owner = store.own("r")
    asked = []

    def fail(fd: int) -> None:
        asked.append(fd)
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(JournalInDoubt):
        owner.commit([Draft("done", "a")])
    store.close()
    assert len(asked) == 1
