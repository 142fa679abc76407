"""Who may write: kernel locks on a file beside the journal, which die with their process.

1. A lock is held by an open file description, never by the existence of a file. ``NAME.lock`` is never deleted.
2. The lock is not on the journal itself: closing any descriptor of SQLite's own files drops SQLite's locks.
3. A forked child shares the open file description, so the lock would outlive its owner in the child: the child closes
   its copy at once (`os.register_at_fork`). Locks by ``lockf`` do not have that trap but fall with *any* close of the
   file.
4. One byte per slot: a slot is the whole journal (JSON Lines) or one run (SQLite). Each slot has 512 bytes that tell,
   for people only, who holds it.
5. A lock that keeps nobody out is none: where a second open file description gets it too, or the system has no locks
   to give, the file system is refused by name.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from leftoff.errors import DurabilityUnavailable, JournalBusy, LocksUnavailable, OwnershipLost
from leftoff.journal.sync import open_private, unusable

if sys.platform != "win32":
    import fcntl

_SLOT: Final = 512
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)  # a planted link would have us write over somebody's file
_NAMING: Final = 1.0  # seconds that a process which took a slot may need to write its name there
_BUSY: Final = (errno.EAGAIN, errno.EACCES)
_held: weakref.WeakSet[Hold] = weakref.WeakSet()


def whoami() -> dict[str, Any]:
    """Return what tells people which process this is: host, pid and the time it took the lock."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "start": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def owner_value(durability: str, moved: str | None = None) -> str:
    """Return the value of an `owner` entry: this process, what it asked for, and where the run goes on if not here."""
    value = {**whoami(), "durability": durability} | ({} if moved is None else {"moved": moved})
    return json.dumps(value, separators=(",", ":"))


class Hold:
    """Hold one slot of a journal's lock file until `release` or the end of the process."""

    _named: int | None = None  # the slot that tells who holds it

    def __init__(self, journal: Path, slot: int, what: str) -> None:
        """Take the slot of ``journal``, or raise `JournalBusy`; ``what`` names it in the error."""
        self._take(journal.with_name(f"{journal.name}.lock"), slot, what)
        self._named = slot
        try:
            self._name(json.dumps(whoami()).encode()[: _SLOT - 1])
        except OSError as error:
            self.release()
            raise unusable(self.path, error) from error

    def _name(self, text: bytes) -> None:
        if self._named is not None:
            os.pwrite(self._fd, text.ljust(_SLOT, b" "), self._named * _SLOT)

    def _take(self, path: Path, slot: int, what: str) -> None:
        self.path = path
        self._fd = -1
        self._pid = os.getpid()
        try:
            self._fd = open_private(path, _NO_LINK)
        except OSError as error:
            raise unusable(path, error) from error
        try:
            holder = _lock_patiently(self._fd, slot, path)
        except OSError as error:
            self.release()
            raise _no_locks(path, error.strerror) from error
        if holder is not None:
            self.release()
            raise JournalBusy(_busy(what, holder))
        try:
            _probe(path, slot * _SLOT)
        except BaseException:
            self.release()
            raise
        status = os.fstat(self._fd)
        self._identity = (status.st_dev, status.st_ino)
        _held.add(self)

    def check(self) -> None:
        """Raise `OwnershipLost` if the lock file was deleted or replaced: another process may hold "the" lock."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            raise OwnershipLost(
                f"{self.path} was deleted or replaced while it was held; another process may own the run: start again"
            )

    def release(self) -> None:
        """Give the slot up, and take the name out of it; a forked child lets go of it and no more."""
        if self._fd >= 0 and os.getpid() == self._pid:
            with suppress(OSError):
                self._name(b"")
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class FileHold(Hold):
    """Hold a file that this process alone writes to, so that others can see that its writer lives."""

    def __init__(self, path: Path) -> None:
        """Take the lock on the file itself: it has a writer of its own, and SQLite never opens it."""
        self._take(path, 0, str(path))


def is_held(path: Path) -> bool:
    """Return whether the writer of a file, which holds it by a `FileHold`, lives."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unusable(path, error) from error
    try:
        return _is_locked(fd, 0)
    finally:
        os.close(fd)


def is_held_by(path: Path, writer: dict[str, Any]) -> bool:
    """Return the same, patiently: a child that a dead writer had just forked may hold the file for a moment more."""
    end = time.monotonic() + _NAMING
    while held := is_held(path):
        if _lives(writer) or time.monotonic() >= end:
            break
        time.sleep(0.001)
    return held


def _probe(path: Path, start: int) -> None:
    """Raise `LocksUnavailable` if another open file description gets the lock that was just taken."""
    try:
        second = open_private(path, _NO_LINK)
    except OSError as error:
        raise unusable(path, error) from error
    try:
        _lock(second, start, path)
    except OSError:
        return
    finally:
        os.close(second)
    raise _no_locks(path, "two holders got one lock")


def _no_locks(path: Path, why: str | None) -> LocksUnavailable:
    return LocksUnavailable(
        f"{path}: this file system has no working locks ({why}), so a second process could not be kept out; keep the"
        " journal on a local disk, or in a directory with one file for each writer: progress/"
    )


def _lock(fd: int, start: int, path: Path) -> None:
    """Lock the slot's first byte for this open file description, or raise BlockingIOError."""
    if sys.platform == "linux":
        # struct flock: l_type, l_whence, l_start, l_len, l_pid (0 for an open-file-description lock)
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, 1, 0))
    elif sys.platform != "win32":
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # whole file: one run of a journal at a time (untested)
    else:  # Windows
        raise DurabilityUnavailable(f"{path}: leftoff cannot lock on this platform yet; it runs on Linux and macOS")


def holder(journal: Path, slot: int) -> dict[str, Any] | None:
    """Return who holds a slot of ``journal`` now, None if nobody; take no lock, so that a look refuses nobody."""
    try:
        fd = os.open(journal.with_name(f"{journal.name}.lock"), os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return None
    except OSError as error:
        raise unusable(journal, error) from error
    try:
        return _read_holder(fd, slot) if _is_locked(fd, slot * _SLOT) else None
    finally:
        os.close(fd)


def _is_locked(fd: int, start: int) -> bool:
    """Return whether a lock by another open file description is on the slot's first byte."""
    if sys.platform == "linux":
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, 1, 0))
        return bool(struct.unpack_from("h", answer)[0] != fcntl.F_UNLCK)
    if sys.platform == "darwin":  # l_start, l_len, l_pid, l_type, l_whence; it also tells of flock's locks (untested)
        answer = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack("qqihh", 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET))
        return bool(struct.unpack_from("h", answer, 20)[0] != fcntl.F_UNLCK)
    return False  # pragma: no cover  # Windows


def _lock_patiently(fd: int, slot: int, path: Path) -> dict[str, Any] | None:
    """Lock a slot and return None, or return who holds it.

    A dead process or none is named for a moment: by who took it just now and has yet to write its name there, or by a
    child that was forked just before its parent was killed, and has yet to let go.
    """
    end = time.monotonic() + _NAMING
    while True:
        try:
            _lock(fd, slot * _SLOT, path)
        except OSError as error:
            if error.errno not in _BUSY:
                raise
        else:
            return None
        holder = _read_holder(fd, slot)
        if _lives(holder) or time.monotonic() >= end:
            return holder
        time.sleep(0.001)


def _lives(holder: dict[str, Any]) -> bool:
    """Return whether a process of this machine lives; of another machine's it is taken for granted."""
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or not isinstance(pid, int):
        return bool(holder)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's; or no process's number
        return True
    return True


def _read_holder(fd: int, slot: int) -> dict[str, Any]:
    try:
        holder = json.loads(os.pread(fd, _SLOT, slot * _SLOT))
    except (ValueError, OSError):  # it is for people only
        return {}
    return holder if isinstance(holder, dict) else {}


def _busy(what: str, holder: dict[str, Any]) -> str:
    if not holder:
        return f"{what} is owned by another process; wait for it to end or stop it"
    return (
        f"{what} is owned by process {holder.get('pid')} on {holder.get('host')} since {holder.get('start')};"
        " wait for it to end or stop it"
    )


def _close_in_child() -> None:
    for hold in list(_held):
        hold.release()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_in_child)
