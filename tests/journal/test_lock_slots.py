"""What stands in a lock file, which bytes of it are locked, and how each platform is asked."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leftoff.errors import DurabilityUnavailable, JournalBusy
from leftoff.journal import lock as module
from leftoff.journal.lock import Hold, holder, is_held, owner_value, whoami

NAME = {"host": "a-host", "pid": 4711, "start": "2026-07-02T12:03:04Z"}
linux = pytest.mark.skipif(sys.platform != "linux", reason="locks of open file descriptions are Linux's")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, noon: None) -> None:
    """Be a process of which everything is known."""
    monkeypatch.setattr(socket, "gethostname", lambda: "a-host")
    monkeypatch.setattr(os, "getpid", lambda: 4711)


def _bytes(journal: Path, slot: int) -> bytes:
    return journal.with_name("run.db.lock").read_bytes()[slot * 512 : (slot + 1) * 512]


@pytest.mark.usefixtures("named")
def test_a_process_is_told_by_host_number_and_time():
    """The time is UTC, and an owner entry says beside it what durability was asked for (docs/format.md)."""
    assert whoami() == NAME
    assert owner_value("power") == ('{"host":"a-host","pid":4711,"start":"2026-07-02T12:03:04Z","durability":"power"}')


@pytest.mark.usefixtures("named")
def test_a_slot_has_512_bytes_with_its_holders_name_while_it_is_held(journal):
    """The name stands at their begin, blanks fill them, and blanks alone are left behind; other slots are untouched."""
    text = json.dumps(NAME).encode()
    other, hold = Hold(journal, 0, "a"), Hold(journal, 2, "b")
    assert [_bytes(journal, slot) for slot in range(4)] == [text.ljust(512), b"\0" * 512, text.ljust(512), b""]
    assert holder(journal, 2) == NAME
    hold.release()
    assert [_bytes(journal, slot) for slot in range(4)] == [text.ljust(512), b"\0" * 512, b" " * 512, b""]
    other.release()


@pytest.mark.usefixtures("named")
def test_a_name_that_is_too_long_is_cut_within_its_slot(journal, monkeypatch):
    """At most 511 bytes are written of it, so that a blank parts it from the next slot's."""
    monkeypatch.setattr(socket, "gethostname", lambda: "h" * 600)
    hold = Hold(journal, 0, "a")
    assert _bytes(journal, 0) == json.dumps(whoami()).encode()[:511] + b" "
    assert _bytes(journal, 1) == b""
    hold.release()


def test_a_child_takes_no_name_out(journal, monkeypatch):
    """What it lets go of is still its parent's, whose name stays."""
    hold = Hold(journal, 0, "a")
    before, parent = _bytes(journal, 0), os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: parent + 1)
        hold.release()
    assert _bytes(journal, 0) == before


def test_a_hold_may_have_the_first_descriptor_there_is(journal):
    """A process that closed its standard input gets number 0 for the lock file, and gives it back like any other."""
    kept = os.dup(0)
    try:
        os.close(0)
        hold = Hold(journal, 0, "a")
        os.fstat(0)
        hold.release()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(0)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    assert _bytes(journal, 0) == b" " * 512


def _ask(path: Path, start: int, command: int) -> int:
    """Return what the kernel says of a lock on one byte; the descriptor, and with it a lock, is left open."""
    fd = os.open(path, os.O_RDWR)
    question = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, 1, 0)
    return int(struct.unpack_from("h", fcntl.fcntl(fd, command, question))[0])


@linux
def test_one_byte_of_a_slot_is_locked_and_asked_for(journal):
    """The others are free for whoever comes after us, and a lock on them means nothing."""
    hold = Hold(journal, 1, "a")
    lock = journal.with_name("run.db.lock")
    free = [_ask(lock, byte, fcntl.F_OFD_GETLK) == fcntl.F_UNLCK for byte in range(511, 514)]
    assert free == [True, False, True]
    hold.release()
    _ask(lock, 513, fcntl.F_OFD_SETLK)
    assert holder(journal, 1) is None


def test_elsewhere_the_whole_file_is_locked(journal, monkeypatch):
    """Where locks of open file descriptions are missing, one run of a journal has an owner at a time."""
    monkeypatch.setattr(sys, "platform", "darwin")
    hold = Hold(journal, 0, "run a")
    for slot in (0, 3):
        with pytest.raises(JournalBusy, match=r"^run b is owned by "):
            Hold(journal, slot, "run b")
        journal.with_name("run.db.lock").write_bytes(json.dumps(whoami()).encode().ljust(512) * 4)
    hold.release()
    Hold(journal, 3, "run b").release()


def test_where_nothing_can_be_locked_nothing_is_owned(journal, monkeypatch):
    """Windows is refused by name; whoever only looks finds nobody."""
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(DurabilityUnavailable) as refused:
        Hold(journal, 0, "a")
    assert str(refused.value) == (
        f"{journal}.lock: leftoff cannot lock on this platform yet; it runs on Linux and macOS"
    )
    assert holder(journal, 0) is None
    assert not is_held(journal.with_name("run.db.lock"))


class _MacFlock(ctypes.Structure):
    """`struct flock` of macOS's sys/fcntl.h."""

    _fields_ = (
        ("l_start", ctypes.c_int64),
        ("l_len", ctypes.c_int64),
        ("l_pid", ctypes.c_int32),
        ("l_type", ctypes.c_int16),
        ("l_whence", ctypes.c_int16),
    )


def _mac(asked: list[tuple[int, ...]], answer: int) -> Callable[..., bytes]:
    def call(fd: int, command: int, question: bytes) -> bytes:
        assert len(question) == ctypes.sizeof(_MacFlock)
        lock = _MacFlock.from_buffer_copy(question)
        asked.append((fd, command, lock.l_start, lock.l_len, lock.l_pid, lock.l_type, lock.l_whence))
        lock.l_type, lock.l_whence = answer, 0x0101
        return bytes(lock)

    return call


@pytest.mark.parametrize(("answer", "locked"), [(fcntl.F_WRLCK, True), (fcntl.F_UNLCK, False)])
def test_macos_is_asked_in_its_own_layout(monkeypatch, answer, locked):
    """It is asked for any lock on the whole file, as an exclusive one would meet it; nobody here has a Mac to try."""
    asked: list[tuple[int, ...]] = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "fcntl", _mac(asked, answer))
    assert module._is_locked(7, 1024) is locked
    assert asked == [(7, fcntl.F_GETLK, 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)]
