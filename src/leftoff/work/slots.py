"""Let so many at a time do something, over all processes of the machine.

Invariants (the tests cite them):

S1. No more than the limit hold a place of one name at the same time, threads and processes together.
S2. A place is a kernel lock: it falls with the process that holds it, at whatever instant that is killed.
S3. A process that is forked meanwhile keeps no place of its parent's.
S4. Whoever takes the place of a process that was killed in it waits first: what that one had begun may still go on.

The file of a place holds one byte: whether somebody is in it.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from leftoff.errors import LeftoffError, UsageError
from leftoff.work.rate import home

if sys.platform == "win32":  # untested
    import msvcrt

    def _try_lock(fd: int) -> bool:
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


POLL = 0.02  # seconds between two looks for a free place
FREE, TAKEN = b"0", b"1"
_held: set[int] = set()


def _let_go() -> None:
    """Close what the parent holds (S3): the lock is the open file's, which a child shares until it closes it."""
    for fd in _held:
        os.close(fd)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


class Slots:
    """Let at most so many hold a place under one name.

    name: whatever shares the places, such as a service's host and port; linger: seconds for which a place is kept free
    behind a process that was killed in it (S4); directory: where they are (default: see `leftoff.work.rate.home`).
    """

    def __init__(self, name: str, *, linger: float = 0.0, directory: Path | None = None) -> None:
        self.name = name
        self._linger = linger
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        self._path = (home() if directory is None else directory) / digest

    @contextmanager
    def hold(self, limit: int, sleep: Callable[[float], object] = time.sleep) -> Iterator[float]:
        """Wait for a place and hold it for the block; yield the seconds that were asked of ``sleep``.

        limit: how many may hold one; each who asks says it anew, and who says less waits for more. sleep: may raise to
        give up. Waiters are not served in order.

        Raises UsageError for a limit below 1, LeftoffError where no place can be made.
        """
        if limit < 1:
            raise UsageError(f"hold({limit}): at least one place")
        waited = 0.0
        while (fd := self._taken(limit)) is None:
            sleep(POLL)
            waited += POLL
        try:
            if self._linger and os.pread(fd, 1, 0) == TAKEN:
                sleep(self._linger)
                waited += self._linger
            os.pwrite(fd, TAKEN, 0)
            try:
                yield waited
            finally:
                if fd in _held:  # else this is a child that was forked in the block, and let go of it
                    os.pwrite(fd, FREE, 0)
        finally:
            if fd in _held:
                _held.discard(fd)
                os.close(fd)

    def _taken(self, limit: int) -> int | None:
        for number in range(limit):
            path = f"{self._path}.{number}"
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
            try:
                fd = os.open(path, flags, 0o600)
            except OSError as error:
                raise LeftoffError(
                    f"no place of {self.name!r} can be held in {path}: {error}; "
                    "free that path, or name another directory in LEFTOFF_RATE_DIR"
                ) from error
            _held.add(fd)  # before it is locked: a fork in between must close it, too
            if _try_lock(fd) and os.fstat(fd).st_nlink:  # else a cleaner of old files took it meanwhile
                return fd
            _held.discard(fd)
            os.close(fd)
        return None
