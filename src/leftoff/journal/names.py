"""Do the names of a journal's files still mean these files? Asked before each commit, so it must not cost one.

Linux 6.13 and later give a file whose times somebody has asked for a new time with its next write, and the sync of that
write a second thing to write down: 40 µs a commit, measured. So the directory is asked, whose times tell when any name
in it was made, removed or given to another file; only then the files are.
"""

from __future__ import annotations

import os
import time
from typing import Final

_SETTLED: Final = 50_000_000  # nanoseconds: a directory that changed less long ago may change again at the same time
_SECOND: Final = 10**9  # nanoseconds: some file systems keep whole ones


class Names:
    """Watch some names in one directory."""

    def __init__(self, inodes: dict[str, int]) -> None:
        """Watch these paths, each of which must go on to be the name of its inode."""
        self._inodes = inodes
        self._directory = os.path.dirname(next(iter(inodes)))
        self._seen: tuple[int, int] | None = None  # the directory and its time when all names were right

    def lost(self) -> str | None:
        """Return a path that is no longer the name of its file, None where all are."""
        try:
            status = os.stat(self._directory)
        except (FileNotFoundError, NotADirectoryError):
            return next(iter(self._inodes))
        seen = status.st_ino, status.st_ctime_ns
        if seen == self._seen:
            return None
        for path, inode in self._inodes.items():
            if inode_of(path) != inode:
                return path
        if seen[1] % _SECOND and seen[1] < time.time_ns() - _SETTLED:
            self._seen = seen
        return None


def inode_of(path: str | os.PathLike[str]) -> int:
    """Return the number of the file at a path, 0 where there is none."""
    try:
        return os.stat(path).st_ino
    except (FileNotFoundError, NotADirectoryError):
        return 0
