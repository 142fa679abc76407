"""The platform's fsync, and the few durable operations on files; nothing else in leftoff syncs.

1. What `sync_file` returns from has reached the disk as far as the platform can say so.
2. A new name, a rename and an unlink are durable only after `sync_directory` of their directory.
3. A failed sync is never tried again: the pages count as clean afterwards (Rebello et al., USENIX ATC 2020).
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import Final

from leftoff.errors import (
    DurabilityUnavailable,
    JournalError,
    JournalFull,
    JournalReadOnly,
    JournalUnusable,
    NotAJournal,
)

PRIVATE: Final = 0o600
FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM, errno.EROFS)

if sys.platform == "darwin":
    import fcntl

    def sync_file(fd: int) -> None:
        """Make the file's bytes durable: macOS's fsync leaves them in the drive's cache, F_FULLFSYNC does not."""
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)

elif hasattr(os, "fdatasync"):

    def sync_file(fd: int) -> None:
        """Make the file's bytes and length durable."""
        os.fdatasync(fd)

else:  # Windows: untested

    def sync_file(fd: int) -> None:
        """Make the file's bytes durable."""
        os.fsync(fd)


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make the names in a directory durable. Windows offers no such call; there the file's own sync has to do."""
    if sys.platform == "win32":
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno in FULL:
            raise full(Path(path)) from error
        raise DurabilityUnavailable(
            f"the directory {os.fspath(path)} cannot be synced ({error.strerror}), so a new file in it could vanish"
            " in a"
            " power failure; keep the journal on a local file system"
        ) from error
    finally:
        os.close(fd)


def open_private(path: str | os.PathLike[str], flags: int = 0) -> int:
    """Open a file for reading and writing, created with mode 0600 where it does not exist; return its descriptor."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, PRIVATE)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte: a short write is carried on, and raises what stopped it."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, data[written:])


def keep_aside(path: Path, data: bytes, word: str) -> Path:
    """Keep bytes durably in a new private file ``PATH.WORD-N`` beside ``path`` and return its name."""
    number = 1
    while True:
        aside = path.with_name(f"{path.name}.{word}-{number}")
        try:
            fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        except FileExistsError:
            number += 1
            continue
        try:
            write_all(fd, data)
            sync_file(fd)
        finally:
            os.close(fd)
        sync_directory(path.parent)
        return aside


def create_beside(target: Path) -> tuple[int, Path]:
    """Create an empty file in the target's directory, to be renamed over it; return its descriptor and name.

    It has the target's mode where there is one, else what the umask leaves.
    """
    try:
        mode = stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        mode = None
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if mode is None else mode)
    if mode is not None and hasattr(os, "fchmod"):
        os.fchmod(fd, mode)
    return fd, temporary


def full(path: Path) -> JournalFull:
    """Return the error for a journal that found no space."""
    return JournalFull(f"{path}: no space left; everything committed before is intact. Free some space and start again")


def unusable(path: str | os.PathLike[str], error: OSError) -> JournalError:
    """Return what an error of the system means for the journal, one of whose files is at ``path``."""
    if isinstance(error, JournalError):
        return error
    if error.errno in FULL:
        return full(Path(path))
    if error.errno in _FORBIDDEN:
        return JournalReadOnly(f"{os.fspath(path)} cannot be written: {error.strerror}")
    return JournalUnusable(
        f"{os.fspath(path)} cannot be used ({error.strerror}); nothing that was committed has changed. Look into the"
        " system's log for errors of the disk, and at the limits of this process (ulimit -a), and start again"
    )


def unreadable(path: str | os.PathLike[str], error: OSError) -> JournalError:
    """Return what it means for the journal that what is at ``path`` could not be opened for reading."""
    if isinstance(error, PermissionError):
        return JournalReadOnly(f"{os.fspath(path)} cannot be read: {error.strerror}")
    return unusable(path, error)


def put_in_place(fd: int, temporary: Path, target: Path) -> None:
    """Give the whole file behind ``fd`` the name ``target``, durably: at any instant the old is there, or the new."""
    sync_file(fd)
    os.replace(temporary, target)
    sync_directory(target.parent)


def put_in_place_by_name(temporary: Path, target: Path) -> None:
    """Do the same for a file that somebody else wrote and closed."""
    fd = os.open(temporary, os.O_RDWR | os.O_CLOEXEC)
    try:
        put_in_place(fd, temporary, target)
    finally:
        os.close(fd)


def refuse_odd_file(path: Path) -> None:
    """Raise `NotAJournal` for a directory, a device or a pipe in a journal's place."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
        raise NotAJournal(f"{path} is {what}; name a file for the journal, such as progress.jsonl or papers.db")
