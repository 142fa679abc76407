"""Holds: kernel locks beside the journal. What they mean for owners stands in the contract, P7."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from leftoff.errors import JournalBusy, JournalUnusable, LocksUnavailable, OwnershipLost
from leftoff.journal import lock as module
from leftoff.journal.lock import FileHold, Hold, holder, is_held, is_held_by, whoami


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


def test_a_slot_is_held_once_and_slots_are_apart(journal):
    """One slot refuses a second hold and names the first; another slot of the same file is free."""
    first = Hold(journal, 0, "run a")
    other = Hold(journal, 3, "run b")
    me = json.loads(journal.with_name("run.db.lock").read_bytes()[:512])
    assert (me["host"], me["pid"]) == (whoami()["host"], os.getpid())
    with pytest.raises(JournalBusy) as refused:
        Hold(journal, 0, "run a")
    assert str(refused.value) == (
        f"run a is owned by process {me['pid']} on {me['host']} since {me['start']}; wait for it to end or stop it"
    )
    first.release()
    first.release()
    os.fstat(1)  # what was released twice closed nothing else
    again = Hold(journal, 0, "run a")
    again.release()
    other.release()


def test_the_locks_file_stays_and_means_nothing(journal):
    """A lock file that is just there, empty or with anything in it, holds nobody off, and is never deleted."""
    lock = journal.with_name("run.db.lock")
    for content in (b"", b"garbage", b'{"pid": 1}', b"\xff" * 600, b"[1]"):
        lock.write_bytes(content)
        assert holder(journal, 0) is None
        Hold(journal, 0, "x").release()
        assert lock.exists()


def test_a_hold_whose_holder_cannot_be_read_is_still_a_hold(journal, monkeypatch):
    """The text in the file is for people only: destroyed, the lock still excludes."""
    monkeypatch.setattr(module, "_NAMING", 0.01)
    hold = Hold(journal, 0, "run a")
    for content in (b"", b"\xff" * 512, b"[1]".ljust(512)):
        journal.with_name("run.db.lock").write_bytes(content)
        with pytest.raises(JournalBusy) as refused:
            Hold(journal, 0, "run a")
        assert str(refused.value) == "run a is owned by another process; wait for it to end or stop it"
    hold.release()


def test_who_took_a_slot_this_moment_is_waited_for(journal, monkeypatch):
    """Over the name of a dead process a new one is about to be written: the refusal names the living one."""
    hold, lock = Hold(journal, 0, "run a"), journal.with_name("run.db.lock")
    named = lock.read_bytes()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    assert dead.wait() == 0
    lock.write_text(json.dumps({**whoami(), "pid": dead.pid}).ljust(512))
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        lock.write_bytes(named)

    monkeypatch.setattr(time, "sleep", wait)
    with pytest.raises(JournalBusy, match=rf"run a is owned by process {os.getpid()} on "):
        Hold(journal, 0, "run a")
    assert waits == [0.001]
    hold.release()


def test_a_name_that_does_not_come_is_waited_for_a_second(journal, monkeypatch):
    """Then the dead process's is told, which is better than nothing."""
    hold = Hold(journal, 0, "run a")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    assert dead.wait() == 0
    journal.with_name("run.db.lock").write_text(json.dumps({**whoami(), "pid": dead.pid}).ljust(512))
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[-1])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.append(now[-1] + 0.25))
    with pytest.raises(JournalBusy, match=rf"run a is owned by process {dead.pid} on "):
        Hold(journal, 0, "run a")
    assert now == [1000.0, 1000.25, 1000.5, 1000.75, 1001.0]
    hold.release()


LINGERS = """
import os, subprocess, sys
from pathlib import Path
from leftoff.journal.lock import FileHold, Hold
path = Path(sys.argv[1])
hold = FileHold(path) if path.suffix == ".jsonl" else Hold(path, 0, "run a")
subprocess.Popen(["sleep", "0.3"], pass_fds=[hold._fd])
print(flush=True)
sys.stdin.read()
"""


def killed_behind_a_fork(path: Path) -> int:
    """Return the pid of a process that was killed; a child of it holds for a moment more what it held."""
    program = [sys.executable, "-c", LINGERS, path]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    return process.pid


def test_a_child_that_was_just_forked_is_waited_for(journal):
    """Its parent was killed before it could let go of the lock that it inherited: it does so soon."""
    killed_behind_a_fork(journal)
    Hold(journal, 0, "run a").release()


def test_a_file_whose_writer_is_dead_is_held_for_a_moment_at_most(tmp_path):
    """Also where the writer is named elsewhere; a living one is not waited for."""
    path = tmp_path / "segment.jsonl"
    path.touch()
    dead = killed_behind_a_fork(path)
    assert is_held(path)
    assert is_held_by(path, whoami()), "a living process is believed at once"
    assert not is_held_by(path, {**whoami(), "pid": dead})
    hold = FileHold(path)
    assert is_held_by(path, {**whoami(), "pid": dead}), "somebody else's, or for too long"
    hold.release()
    assert not is_held_by(path, whoami())


@pytest.mark.parametrize(("pid", "host"), [(1, None), (1 << 80, None), ("one", None), (1 << 22, "elsewhere")], ids=str)
def test_a_holder_that_is_not_ours_to_signal_is_named_at_once(journal, monkeypatch, pid, host):
    """A process of somebody else's lives; where no process of this machine is named nothing better will come."""
    hold = Hold(journal, 0, "run a")
    named = {**whoami(), "pid": pid, **({"host": host} if host else {})}
    journal.with_name("run.db.lock").write_text(json.dumps(named).ljust(512))
    kill = os.kill

    def refuse(pid: int, number: int) -> None:
        kill(pid, number)
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it was waited for"))
    with pytest.raises(JournalBusy, match=rf"run a is owned by process {pid} on {named['host']} since "):
        Hold(journal, 0, "run a")
    hold.release()


def test_a_look_at_the_holder_takes_no_lock(journal):
    """Who holds a slot can be asked while it is held and when it is free, without changing either."""
    assert holder(journal, 0) is None
    assert list(journal.parent.iterdir()) == []
    hold = Hold(journal, 0, "x")
    found = holder(journal, 0)
    assert found is not None
    assert found["pid"] == os.getpid()
    assert holder(journal, 1) is None
    hold.release()
    assert holder(journal, 0) is None


def test_other_openings_of_the_lock_file_do_not_drop_the_lock(journal):
    """Anybody in this process may open and close the file: the lock belongs to one open file description."""
    hold = Hold(journal, 0, "x")
    for _ in range(2):
        journal.with_name("run.db.lock").open("rb").close()
        with pytest.raises(JournalBusy):
            Hold(journal, 0, "x")
    hold.release()


def test_a_lock_file_that_was_swapped_is_noticed(journal):
    """Deleted or replaced, it no longer excludes anybody: the hold says so."""
    lock = journal.with_name("run.db.lock")
    hold = Hold(journal, 0, "x")
    hold.check()
    lock.unlink()
    with pytest.raises(OwnershipLost) as lost:
        hold.check()
    assert str(lost.value) == (
        f"{lock} was deleted or replaced while it was held; another process may own the run: start again"
    )
    lock.touch()
    with pytest.raises(OwnershipLost):
        hold.check()
    hold.release()


def test_a_lock_file_that_cannot_be_is_an_error_of_ours(journal):
    """A directory in its place, or none to put it in, is a JournalUnusable."""
    journal.with_name("run.db.lock").mkdir()
    with pytest.raises(JournalUnusable, match=r"run\.db\.lock cannot be used \(Is a directory\)"):
        Hold(journal, 0, "x")
    with pytest.raises(JournalUnusable):
        Hold(journal.parent / "nowhere" / "run.db", 0, "x")


def test_a_look_that_the_system_refuses_is_an_error_of_ours(journal):
    """Who holds a slot, or a file of its own, is then not known: that is not the same as nobody."""
    lock = journal.with_name("run.db.lock")
    lock.symlink_to(lock)
    with pytest.raises(JournalUnusable, match=r"run\.db cannot be used \(Too many levels of symbolic links\)"):
        holder(journal, 0)
    with pytest.raises(JournalUnusable, match=r"run\.db\.lock cannot be used \(Too many levels of symbolic links\)"):
        is_held(lock)


def test_a_file_is_held_while_its_writer_lives(tmp_path, monkeypatch):
    """A file that is gone has no writer; a second writer is refused by the file's name, and the file is not written."""
    path = tmp_path / "0001.jsonl"
    assert not is_held(path)
    hold = FileHold(path)
    assert is_held(path)
    path.write_bytes(b"an entry")
    monkeypatch.setattr(time, "sleep", lambda seconds: path.write_bytes(json.dumps(whoami()).encode()))
    with pytest.raises(JournalBusy, match=rf"^{path} is owned by process {os.getpid()} on "):
        FileHold(path)
    path.write_bytes(b"an entry")
    hold.release()
    assert not is_held(path)
    assert path.read_bytes() == b"an entry"


def test_a_file_system_without_locks_is_an_error(journal, monkeypatch):
    """It is refused with what the kernel said, and nothing is held."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "fcntl", refuse)
        with pytest.raises(LocksUnavailable) as refused:
            Hold(journal, 0, "x")
    assert str(refused.value) == _no_locks(journal, "No locks available")
    Hold(journal, 0, "x").release()


def _no_locks(journal: Path, why: str) -> str:
    return (
        f"{journal}.lock: this file system has no working locks ({why}), so a second process could not be kept out;"
        " keep the journal on a local disk, or in a directory with one file for each writer: progress/"
    )


def test_a_lock_that_a_second_holder_gets_too_is_none(journal, monkeypatch):
    """A file system that grants whatever it is asked for is refused by what was seen."""
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "fcntl", lambda *_: b"")
        with pytest.raises(LocksUnavailable) as refused:
            Hold(journal, 0, "x")
    assert str(refused.value) == _no_locks(journal, "two holders got one lock")
    Hold(journal, 0, "x").release()


def test_every_opening_to_lock_refuses_links(journal, monkeypatch):
    """A link could be planted between two of them."""
    opened = []
    opens = os.open
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda path, flags, *mode: opened.append((path, flags)) or opens(path, flags, *mode))
        Hold(journal, 0, "x").release()
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    assert opened == [(journal.with_name("run.db.lock"), flags)] * 2


def test_a_planted_link_is_not_followed(journal):
    """A symbolic link in the lock's place is refused, and what it points to is not written (failure mode 37)."""
    victim = journal.with_name("victim")
    victim.write_text("mine")
    journal.with_name("run.db.lock").symlink_to(victim)
    with pytest.raises(JournalUnusable, match="symbolic link"):
        Hold(journal, 0, "x")
    assert victim.read_text() == "mine"


def test_nothing_stays_open_behind_a_refusal(journal):
    """A hold that was refused leaves no descriptor behind."""
    hold = Hold(journal, 0, "x")
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(JournalBusy):
            Hold(journal, 0, "x")
    assert len(list(Path("/dev/fd").iterdir())) == before
    hold.release()
