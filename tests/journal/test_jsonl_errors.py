"""What the system, a file system or another program does to a JSON Lines journal, and what is said of it."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from leftoff.errors import JournalDamaged, JournalInDoubt, JournalLost, JournalReadOnly, JournalUnusable
from leftoff.journal import jsonl, jsonl_owner, jsonl_scan
from leftoff.journal.entry import Draft
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_index import Index, line_at
from leftoff.journal.jsonl_scan import HEADER_LENGTH
from leftoff.journal.jsonl_verify import examine_jsonl
from tests.journal.jsonl_files import small_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def refuse_to_open(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let the system say of one file that it belongs to somebody else."""
    real = os.open

    def refusing(name, flags, mode=0o777):
        if os.fspath(name) == os.fspath(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(name, flags, mode)

    monkeypatch.setattr(os, "open", refusing)


def test_a_journal_that_may_not_be_read_says_so(path, monkeypatch):
    """Without the permission to read it is no empty journal."""
    small_journal(path, "power")
    refuse_to_open(monkeypatch, path)
    with pytest.raises(JournalReadOnly, match="cannot be read: Permission denied"):
        JsonlStore(path)
    with pytest.raises(JournalReadOnly, match="cannot be read: Permission denied"):
        examine_jsonl(path, str(path))


def test_a_journal_that_may_not_be_written_says_so(path, monkeypatch):
    """A run of a file of somebody else's cannot be owned, and the lock is given back."""
    store = JsonlStore(path)
    with monkeypatch.context() as patch:
        refuse_to_open(patch, path)
        with pytest.raises(JournalReadOnly, match=r"run\.jsonl cannot be written: Permission denied"):
            store.own("r")
    store.own("r")
    store.close()


def test_a_read_that_fails_is_an_error_and_no_empty_journal(path, monkeypatch):
    """A disk that does not give back what is there must not make a loop begin anew."""
    small_journal(path, "power")

    def fail(fd: int, length: int, offset: int) -> bytes:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(OSError, match="I/O error"):
        JsonlStore(path)


def test_damage_done_behind_our_back_stops_an_owner_and_leaves_the_journal_free(path):
    """What was sound when it was opened is checked again under the lock, and the lock is given back."""
    small_journal(path, "power")
    store = JsonlStore(path)
    sound = path.read_bytes()
    path.write_bytes(sound + b"x\n")
    files = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(JournalDamaged):
        store.own("r")
    assert len(list(Path("/proc/self/fd").iterdir())) == files
    path.write_bytes(sound)
    again = JsonlStore(path)
    again.own("r").commit([Draft("done", "a")])
    again.close()
    store.close()


def test_a_file_system_that_forgets_what_is_written_is_named(path, monkeypatch):
    """A header that does not read back is no journal to trust work to."""
    monkeypatch.setattr(jsonl, "write_all", lambda fd, data: None)
    store = JsonlStore(path)
    with pytest.raises(JournalReadOnly, match="does not give back what was written"):
        store.own("r")
    store.close()


@pytest.mark.parametrize("changes", [1, 5])
def test_a_file_that_changes_while_it_is_checked_is_looked_at_again(path, monkeypatch, changes):
    """What looks damaged while an owner cuts a torn tail is no damage; the last look counts."""
    small_journal(path, "power")
    sound, check, looks = path.read_bytes(), jsonl.check, []

    def interfered(fd, start, name):
        looks.append(start)
        if len(looks) > changes:
            path.write_bytes(sound)
            return check(fd, start, name)
        path.write_bytes(sound + b"x" * len(looks))
        raise JournalDamaged("half a cut")

    monkeypatch.setattr(jsonl, "check", interfered)
    store = JsonlStore(path)
    assert len(looks) == changes + 1
    assert list(store.keys("other", "done")) == ["x"]
    store.close()


def test_a_line_whose_end_is_gone_is_returned_as_far_as_it_goes(path):
    """A file that was cut under a reader makes it fail, not wait for ever."""
    path.write_bytes(b'{"seq":1')
    fd = os.open(path, os.O_RDONLY)
    assert line_at(fd, 0) == b'{"seq":1'
    os.close(fd)


def test_with_process_a_journal_that_was_renamed_is_lost(path):
    """The thread that syncs looks at the path, so that work is not kept for long where nobody will look for it."""
    store = JsonlStore(path, "process")
    owner = store.own("r")
    path.rename(path.with_name("elsewhere"))
    path.touch()
    owner.commit([Draft("done", "a")])
    owner._appender._syncer.join(timeout=30)
    with pytest.raises(JournalLost, match="deleted or replaced"):
        owner.commit([Draft("done", "b")])
    store.close()


def test_with_process_a_last_sync_that_failed_is_told_and_the_journal_is_free(path, monkeypatch):
    """`close` raises what may not be durable, once; the file is closed and unlocked, and reopening tells."""
    monkeypatch.setattr(jsonl_owner, "_SYNC_PAUSE", 3600)  # no other sync comes before
    store = JsonlStore(path, "process")
    owner = store.own("r")
    owner.commit([Draft("done", "a")])
    calls = []

    def fail(fd: int) -> None:
        calls.append(fd)
        raise OSError(errno.EIO, "I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(jsonl_owner, "sync_file", fail)
        with pytest.raises(
            JournalInDoubt, match=r"the last sync failed \(I/O error\) and may or .* start again to find"
        ):
            store.close()
        store.close()
    assert len(calls) == 1
    with pytest.raises(JournalInDoubt, match="the last sync failed"):
        owner.commit([Draft("done", "b")])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(calls[0])
    again = JsonlStore(path, "process")
    again.own("r")
    assert list(again.keys("r", "done")) == ["a"]
    again.close()


def test_with_process_a_thread_that_cannot_be_started_costs_nothing(path, monkeypatch):
    """At a limit of threads nothing is written that nobody would sync; the same handle goes on once there is room."""
    store = JsonlStore(path, "process")

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(
            JournalUnusable, match=r"cannot be used \(can't start new thread\); .* limits of this process"
        ):
            store.own("r")
        assert path.stat().st_size == HEADER_LENGTH
    store.own("r").commit([Draft("done", "a")])
    assert [entry.kind for entry in store.entries()] == ["created", "owner", "done"]
    store.close()


def test_a_commit_that_ran_out_of_memory_is_in_doubt(path, monkeypatch):
    """What is in the file and what is known of it may have parted: the handle refuses, and reopening tells."""
    store = JsonlStore(path)
    owner = store.own("r")

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Index, "conclude", fail)
        with pytest.raises(
            JournalInDoubt, match=r"a commit failed \(out of memory\) and may or .* start again to find"
        ):
            owner.commit([Draft("dead", "a", "{}")])
    with pytest.raises(JournalInDoubt, match="out of memory"):
        owner.commit([Draft("done", "b")])
    store.close()
    again = JsonlStore(path)
    again.own("r")
    assert list(again.keys("r", "dead")) == ["a"], "in doubt: here it was durable, and the key is found"
    assert list(again.keys("r", "done")) == []
    again.close()


def test_a_tail_longer_than_any_unsynced_one_is_damage(path, monkeypatch):
    """So much cannot have been waiting for one sync."""
    small_journal(path, "power")
    with path.open("ab") as file:
        file.write(b'{"seq":' + b"1" * 2000)
    JsonlStore(path).close()
    monkeypatch.setattr(jsonl_scan, "_LONGEST_TAIL", 1000)
    with pytest.raises(JournalDamaged):
        JsonlStore(path)
